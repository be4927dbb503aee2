use super::*;
use proptest::prelude::*;

fn rules(config: Config) -> Rules {
    Rules::new(&config).unwrap_or_else(|mistakes| panic!("{mistakes:?}"))
}

fn redact_with(config: Config, text: &str) -> String {
    let rules = rules(config);
    let mut counts = vec![0; rules.labels().len()];
    rules.redact(text, &mut counts).unwrap_or_else(|| text.to_owned())
}

fn redact(text: &str) -> String {
    redact_with(Config::default(), text)
}

/// Each text, and what it becomes; `E`, `C`, `T` and `I` in braces stand for the replacements.
fn becomes(table: &[(&str, &str)]) {
    for (text, expected) in table {
        let expected = expected
            .replace("{E}", "[REDACTED:email]")
            .replace("{C}", "[REDACTED:card]")
            .replace("{T}", "[REDACTED:token]")
            .replace("{I}", "[REDACTED:ip]");
        assert_eq!(redact(text), expected, "of {text:?}");
    }
}

fn stays(texts: &[&str]) {
    for text in texts {
        assert_eq!(redact(text), *text);
    }
}

#[test]
fn email_addresses_are_found_in_text_urls_and_json() {
    becomes(&[
        ("alice@example.com", "{E}"),
        ("mail to alice@example.com.", "mail to {E}."),
        ("<alice.b+tag@sub.example.co.uk>,bob@example.org", "<{E}>,{E}"),
        ("/users/alice@example.com/orders", "/users/{E}/orders"),
        ("/u?email=alice@example.com&x=1", "/u?email={E}&x=1"),
        ("/u?email=alice%40example.com&x=1", "/u?email={E}&x=1"),
        ("/u?next=%2Fu%3Femail%3Dalice%2Bx%40example%2Ecom%26y=1", "/u?next=%2Fu%3Femail%3D{E}%26y=1"),
        ("alice%2540example.com", "{E}"),
        (r#"{"to":"o'brien@example.com"}"#, r#"{"to":"{E}"}"#),
        ("mailto:müller@bücher.example", "mailto:{E}"),
        ("\"john smith\"@example.com", "{E}"),
        ("联系 alice@example.com。", "联系 {E}。"),
        ("a@xn--bcher-kva.xn--p1ai", "{E}"),
        ("ALICE@EXAMPLE.COM", "{E}"),
    ]);
}

#[test]
fn what_only_looks_like_an_address_stays() {
    stays(&[
        "@",
        "a@b",
        "root@db-host",
        "lodash@4.17.21",
        "image@sha256:0123abcd",
        "@media screen.css",
        "x @ y.com",
        "100%",
    ]);
}

#[test]
fn card_numbers_are_found_with_and_without_separators() {
    becomes(&[
        ("4111111111111111", "{C}"),
        ("4111 1111 1111 1111", "{C}"),
        ("pan=4111-1111-1111-1111;", "pan={C};"),
        ("378282246310005 and 3782 822463 10005", "{C} and {C}"),
        ("30569309025904", "{C}"),
        ("4222222222222", "{C}"),
        ("6011111111111117,5555555555554444", "{C},{C}"),
        ("2223003122003222", "{C}"),
        ("3530111333300000", "{C}"),
        ("6205500000000000004", "{C}"),
        ("card4111111111111111x", "card{C}x"),
        ("on 2026-11-22 4111 1111 1111 1111 charged", "on 2026-11-22 {C} charged"),
        ("/pay/4111%201111%201111%201111", "/pay/{C}"),
        ("q=4111+1111+1111+1111", "q={C}"),
        ("%204111111111111111", "%20{C}"),
    ]);
}

#[test]
fn numbers_that_are_no_cards_stay() {
    stays(&[
        "4111111111111112",
        "41111111111111111111111111111111",
        "1763788645123",
        "1763788645123456",
        "1763788645123456789",
        "0000000000000000",
        "order 4539578763621487",
        "0.4111111111111111",
        "4bf92f4111111111111111a6a3ce929d",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "550e8400-e29b-41d4-a716-446655440000",
        "12345678-4111-1111-1111-111111111111",
        "2026-11-22T05:17:25.123456789Z",
        "+49 30 1234567",
        "3 1 4 1 5 9 2 6 5 3 5 8 9 7 9 3",
    ]);
}

#[test]
fn credentials_are_found_by_their_form() {
    let jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U";
    assert_eq!(redact(&format!("jwt {jwt}.")), "jwt [REDACTED:token].");
    becomes(&[
        ("Bearer abc.def-123", "Bearer {T}"),
        ("authorization: bearer YWxhZGRpbjpvcGVuc2VzYW1l", "authorization: {T}"),
        ("Basic YWxhZGRpbjpvcGVuc2VzYW1l", "Basic {T}"),
        ("key AKIAIOSFODNN7EXAMPLE used", "key {T} used"),
        ("ghp_0123456789abcdefghijABCDEFGHIJ012345", "{T}"),
        ("github_pat_11ABCDEFG0abcdefghijkl_mnopqrstuvwxyz", "{T}"),
        ("x=xoxb-123456789012-abcdefABCDEF", "x={T}"),
        ("sk_live_4eC39HqLyjWDarjtT1zdp7dc", "{T}"),
        ("sk-proj-abcdEFGH1234ijklMNOP5678", "{T}"),
        ("AIzaSyA-0123456789abcdefghijklmnopqrstuv", "{T}"),
        ("glpat-0123456789abcdefghij", "{T}"),
        ("npm_0123456789abcdefghijklmnopqrstuvwxyz", "{T}"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc=\n-----END RSA PRIVATE KEY-----\nrest", "{T}\nrest"),
        ("-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBg", "{T}"),
        ("postgres://shop:s3cr3t@db.example.com:5432/x", "postgres://{T}@db.example.com:5432/x"),
        ("https://alice:p%40ss@example.com/", "https://{T}@example.com/"),
    ]);
}

#[test]
fn secrets_are_found_by_the_key_before_them() {
    becomes(&[
        ("password=hunter2", "password={T}"),
        ("/login?user=a&password=hunter2&x=1", "/login?user=a&password={T}&x=1"),
        ("/cb?access_token=abc#frag x", "/cb?access_token={T} x"),
        ("Server=db;Pwd=a,b;Database=x", "Server=db;Pwd={T};Database=x"),
        ("api_key: 'a b c'", "api_key: '{T}'"),
        (r#"{"password":"hun\"ter2","n":1}"#, r#"{"password":"{T}","n":1}"#),
        (r#""{\"client_secret\":\"abc\",\"n\":1}""#, r#""{\"client_secret\":\"{T}\",\"n\":1}""#),
        (r#"{"token":12345,"n":1}"#, r#"{"token":{T},"n":1}"#),
        ("X-Api-Key: abcdef", "X-Api-Key: {T}"),
        ("-H 'Authorization: Token abcdef' -v", "-H 'Authorization: {T}' -v"),
        ("AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "AWS_SECRET_ACCESS_KEY={T}"),
        ("secret = \"unterminated value", "secret = \"{T}"),
        ("redirect=%3Ftoken%3Dabc%26x", "redirect=%3Ftoken%3D{T}%26x"),
    ]);
}

#[test]
fn sentences_about_credentials_stay() {
    stays(&[
        "Basic authentication failed",
        "bearer of bad news",
        "invalid token: unexpected end of file",
        "max_tokens=100",
        "Secret::new()",
        "token == other",
        "password=",
        "password=null",
        "password=[REDACTED:token]",
        "token=[token:0123456789abcdef]",
        "sk-circle-fade-dot-animation",
        "disk-0123456789abcdefghij",
        "https://example.com:8080/a@b",
        "-----BEGIN CERTIFICATE-----",
    ]);
}

#[test]
fn ip_addresses_of_both_versions_are_found() {
    becomes(&[
        ("10.0.0.1", "{I}"),
        ("http://192.168.1.20:8080/x", "http://{I}:8080/x"),
        ("from 10.1.2.3.", "from {I}."),
        ("10.0.0.0/8,172.16.0.1", "{I}/8,{I}"),
        ("addr%3A10.0.0.1", "addr%3A{I}"),
        ("%2010.0.0.1", "%20{I}"),
        ("2001:db8::1", "{I}"),
        ("[2001:db8::1]:443", "[{I}]:443"),
        ("2001:0db8:0000:0000:0000:ff00:0042:8329", "{I}"),
        ("::1", "{I}"),
        ("fe80::1%eth0", "{I}%eth0"),
        ("::ffff:10.0.0.1", "{I}"),
        ("peer: fe80::1, ok", "peer: {I}, ok"),
        ("addr:2001:db8::1", "addr:{I}"),
        ("add:2001:db8:0:0:0:0:0:1", "add:{I}"),
        ("ip=2001%3Adb8%3A%3A1", "ip={I}"),
        ("at 2001:db8::1: refused", "at {I}: refused"),
    ]);
}

#[test]
fn versions_times_and_paths_of_code_are_no_addresses() {
    stays(&[
        "1.2.3",
        "v1.2.3.4",
        "1.3.6.1.4.1",
        "300.1.1.1",
        "Mozilla/5.0 (X11) Chrome/120.0.0.0 Safari/537.36",
        "12:34:56",
        "2026-11-22T05:17:25Z",
        "00:1a:2b:3c:4d:5e",
        "std::net::Ipv4Addr",
        "dead::beef",
        "arn:aws:iam::123456789012:user/x",
        "std::f64::consts",
        "::",
        "a:b:c",
        "1.2.3.4.5",
    ]);
}

#[test]
fn patterns_and_keys_of_the_configuration_are_found() {
    let config = Config {
        patterns: vec![Pattern { name: "customer".into(), regex: r"\bCUST-\d{4}\b".into() }],
        keys: vec!["user.name".into(), "internal.*".into()],
        ..Config::default()
    };
    assert_eq!(redact_with(config.clone(), "for CUST-1234, CUST-12345"), "for [REDACTED:customer], CUST-12345");
    assert_eq!(redact_with(config.clone(), "/c/CUST%2D1234/x"), "/c/[REDACTED:customer]/x");
    assert_eq!(redact_with(config.clone(), "user.name=bob&x"), "user.name=[REDACTED:key]&x");
    let rules = rules(config);
    assert!(rules.names_key("User.Name") && rules.names_key("internal.note"));
    assert!(!rules.names_key("user.names") && !rules.names_key("inter"));
}

#[test]
fn a_detector_that_is_not_named_finds_nothing() {
    let config = Config { detect: vec![Detector::Card], ..Config::default() };
    assert_eq!(redact_with(config, "a@example.com 10.0.0.1 password=x 4111111111111111"), {
        "a@example.com 10.0.0.1 password=x [REDACTED:card]"
    });
}

#[test]
fn a_hash_is_the_same_for_every_way_to_write_a_secret_and_differs_by_key() {
    let hash = |key: &str, text: &str| {
        redact_with(Config { mode: Mode::Hash, key: Some(key.into()), ..Config::default() }, text)
    };
    let key = "0123456789abcdef";
    // HMAC-SHA256 of `alice@example.com`, from another implementation.
    assert_eq!(hash(key, "alice@example.com"), "[email:f3d6ddc7dbf9be2e]");
    assert_eq!(hash(key, "Alice%40example.com"), hash(key, "alice@example.com"));
    assert_eq!(hash(key, "4111 1111 1111 1111"), hash(key, "4111111111111111"));
    assert_eq!(hash(key, "::ffff:10.0.0.1"), hash(key, "10.0.0.1"));
    assert_ne!(hash(key, "bob@example.com"), hash(key, "alice@example.com"));
    assert_ne!(hash("another key of 16", "alice@example.com"), hash(key, "alice@example.com"));
}

#[test]
fn what_is_found_is_counted_by_its_name() {
    let rules = rules(Config::default());
    let mut counts = vec![0; rules.labels().len()];
    rules.redact("a@example.com b@example.com 10.0.0.1", &mut counts);
    assert_eq!(counts, [2, 0, 0, 1, 0]);
}

#[test]
fn every_mistake_in_the_configuration_names_its_key() {
    let config = Config {
        patterns: vec![
            Pattern { name: "Bad Name".into(), regex: "x".into() },
            Pattern { name: "email".into(), regex: "(".into() },
            Pattern { name: "all".into(), regex: "x*".into() },
        ],
        keys: vec!["a*b".into()],
        mode: Mode::Hash,
        key: Some("short".into()),
        ..Config::default()
    };
    let mistakes = Rules::new(&config).err().unwrap_or_default();
    let keys: Vec<&str> = mistakes.iter().map(|mistake| mistake.key.as_str()).collect();
    assert_eq!(
        keys,
        ["patterns[0].name", "patterns[1].name", "patterns[1].regex", "patterns[2].regex", "keys[0]", "key"]
    );
}

#[test]
fn a_hostile_text_costs_linear_time() {
    for piece in [
        "@",
        "a@a.",
        "token:",
        "sk-",
        "eyJ",
        "Bearer ",
        "-----BEGIN ",
        "://a:b@",
        "1:",
        "::",
        "4111 ",
        "%25",
        "password=*",
        "1.",
        "a4111111111111111",
        "\"password\":\\",
    ] {
        let text = piece.repeat(200_000 / piece.len());
        let start = std::time::Instant::now();
        redact(&text);
        assert!(start.elapsed().as_secs() < 10, "{piece:?} took {:?}", start.elapsed());
    }
}

proptest! {
    #[test]
    fn a_redacted_text_is_redacted_no_further(text in "[ -~é世\\n]{0,60}") {
        let once = redact(&text);
        prop_assert_eq!(redact(&once), once);
        let hash = || Config { mode: Mode::Hash, key: Some("0123456789abcdef".into()), ..Config::default() };
        let once = redact_with(hash(), &text);
        prop_assert_eq!(redact_with(hash(), &once), once);
    }

    #[test]
    fn a_planted_secret_is_gone_whatever_surrounds_it(
        before in "(.{0,20}[ /?&:;,(<\"'])?", after in "([ /?&;,)>\"'].{0,20})?", which in 0..6usize
    ) {
        let secret = ["planted.person@example.com", "4111111111111111", "ghp_0123456789abcdefghijABCDEFGHIJ012345",
            "203.0.113.77", "AKIAIOSFODNN7EXAMPLE", "planted.person%40example.com"][which];
        let redacted = redact(&[&before, secret, &after].concat());
        prop_assert!(!redacted.contains(secret), "left in {:?}", redacted);
    }
}
