//! The reader beside `serde_json`: the same values of the same texts, and a path to each mistake.

use std::collections::BTreeMap;
use std::fmt::Debug;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::read;

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct All {
    flag: bool,
    small: u8,
    whole: i64,
    large: u64,
    wide: i128,
    ratio: f64,
    letter: Option<char>,
    text: String,
    maybe: Option<Box<All>>,
    list: Vec<(u32, String)>,
    names: BTreeMap<String, Vec<f64>>,
    numbered: BTreeMap<i16, Wrapped>,
    kinds: BTreeMap<Kind, Kind>,
    either: Option<Either>,
    any: Value,
    nothing: (),
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Wrapped(f32);

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Plain,
    Holding(i32),
    Pair(u8, u8),
    Named { first: String, second: Option<u8> },
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Either {
    Number(f64),
    Text(String),
    Many(Vec<Either>),
    Named { name: String },
}

/// Both read it alike, or both refuse it.
fn same<T: DeserializeOwned + PartialEq + Debug>(text: &str) {
    let (here, there) = (read::<T>(text), serde_json::from_str::<T>(text));
    match (&here, &there) {
        (Ok(here), Ok(there)) => assert_eq!(here, there, "{text}"),
        (Err(_), Err(_)) => {}
        _ => panic!("{text}: {here:?} here, {there:?} there"),
    }
}

#[test]
fn what_serde_json_writes_is_read_back() {
    let inner = All {
        small: 255,
        whole: i64::MIN,
        large: u64::MAX,
        wide: -i128::from(u64::MAX) * 3,
        ratio: 5e-324,
        letter: Some('é'),
        text: "\"\\/\u{8}\u{c}\n\r\t\u{0}\u{1f}\u{7f} ünï 🦀".into(),
        ..All::default()
    };
    let all = All {
        flag: true,
        ratio: 0.1 + 0.2,
        maybe: Some(Box::new(inner)),
        list: vec![(1, "a".into()), (2, String::new())],
        names: BTreeMap::from([("a.b".into(), vec![1.0, -0.0, f64::MAX]), (String::new(), Vec::new())]),
        numbered: BTreeMap::from([(-3, Wrapped(1.5)), (7, Wrapped(0.0))]),
        kinds: BTreeMap::from([(Kind::Plain, Kind::Named { first: "x".into(), second: None })]),
        either: Some(Either::Many(vec![Either::Number(1.0), Either::Named { name: "n".into() }])),
        any: json!({ "deep": [[{}], null, true, -1, 1.5e300, "t"] }),
        ..All::default()
    };
    for text in [serde_json::to_string(&all), serde_json::to_string_pretty(&all)] {
        assert_eq!(read::<All>(&text.expect("JSON")).expect("the same"), all);
    }
    for kind in [Kind::Holding(-1), Kind::Pair(1, 2), Kind::Named { first: "f".into(), second: Some(2) }] {
        assert_eq!(read::<Kind>(&serde_json::to_string(&kind).expect("JSON")).expect("the same"), kind);
    }
}

#[test]
fn numbers_are_those_of_serde_json_to_the_last_bit() {
    let digits =
        ["0", "-0", "1", "-1", "01", "-", "+1", ".5", "1.", "1.5", "-1.25", "0.1e-3", "1E+2", "1e", "2e-", "1e309"];
    let limits = ["18446744073709551615", "18446744073709551616", "-9223372036854775808", "-9223372036854775809"];
    let near = ["2.2250738585072011e-308", "9007199254740993.0", "4.35", "123456789012345678901234567890", "1e-400"];
    for text in digits.iter().chain(&limits).chain(&near) {
        same::<f64>(text);
        same::<i64>(text);
        same::<u64>(text);
        same::<u8>(text);
        same::<Value>(text);
        let (here, there) = (read::<f64>(text).ok(), serde_json::from_str::<f64>(text).ok());
        assert_eq!(here.map(f64::to_bits), there.map(f64::to_bits), "{text}");
    }
}

#[test]
fn what_is_no_json_is_refused_and_what_is_skipped_is_looked_at() {
    let texts = [
        "",
        " ",
        "nul",
        "nulll",
        "tru",
        "truefalse",
        "[",
        "[1",
        "[1,",
        "[1,]",
        "[,1]",
        "[1 2]",
        "{",
        "{}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{a:1}",
        "{\"a\":1 \"b\":2}",
        "{\"a\":1}}",
        "\"",
        "\"\\\"",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u00e9\"",
        "\"\\ud83e\\udd80\"",
        "\"\\ud83e\"",
        "\"\\ud83ex\"",
        "\"\\udd80\"",
        "\"\\ud83e\\u0041\"",
        "\"a\nb\"",
        "\"é",
        "\u{feff}1",
        "[1]\u{a0}",
        " [ 1 , [ ] , { } ] ",
        "{\"a\":{\"b\":[\"\\u0041\",-1e3,null,false]}}",
        "{\"a\":1,\"a\":2}",
    ];
    for text in texts {
        same::<Value>(text);
        same::<Vec<Value>>(text);
        same::<BTreeMap<String, Value>>(text);
        let ignored = read::<serde::de::IgnoredAny>(text).is_ok();
        assert_eq!(ignored, serde_json::from_str::<Value>(text).is_ok(), "{text}");
    }
    same::<Vec<(u8, u8)>>("[[1,2],[1,2,3]]");
    same::<(u8, u8)>("[1]");
    same::<BTreeMap<u8, u8>>(r#"{"1": 1, "x": 2}"#);
    same::<BTreeMap<bool, u8>>(r#"{"true": 1}"#);
}

#[test]
fn texts_made_at_random_are_read_alike() {
    // Pieces of JSON in any order: most are none, and where one is, both must see the same in it.
    let pieces = ["{", "}", "[", "]", ",", ":", "\"a\"", "\"\\n\"", "1", "-0.5", "true", "null", " "];
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    for _ in 0..20_000 {
        let mut text = String::new();
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let mut rest = random;
        for _ in 0..random % 12 {
            text += pieces[(rest % pieces.len() as u64) as usize];
            rest /= pieces.len() as u64;
        }
        same::<Value>(&text);
    }
}

#[test]
fn depth_has_a_limit() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert!(read::<Value>(&nested(100)).is_ok());
    let fault = read::<Value>(&nested(100_000)).expect_err("too deep");
    assert_eq!(fault.message(), "nested too deeply: 128 levels are allowed");
    assert!(read::<serde::de::IgnoredAny>(&nested(100_000)).is_err());
}

#[test]
fn a_mistake_has_its_path_and_says_what_was_expected() {
    let said = |text: &str| read::<All>(text).expect_err("a mistake").to_string();
    let cases = [
        (r#"{"small": 256}"#, "small: invalid value: integer `256`, expected u8"),
        (r#"{"small": -1.5}"#, "small: invalid type: floating point `-1.5`, expected u8"),
        (r#"{"flag": "yes"}"#, "flag: invalid type: string \"yes\", expected a boolean"),
        (r#"{"text": null}"#, "text: invalid type: null, expected a string"),
        (r#"{"list": [[1, "a"], [2, []]]}"#, "list[1][1]: invalid type: sequence, expected a string"),
        (r#"{"names": {"a": [0, true]}}"#, "names.a[1]: invalid type: boolean `true`, expected f64"),
        (r#"{"maybe": {"maybe": {"whole": {}}}}"#, "maybe.maybe.whole: invalid type: map, expected i64"),
        (r#"{"kinds": {"plain": {"holding": "x"}}}"#, "kinds.plain.holding: invalid type: string \"x\", expected i32"),
        (r#"{"kinds": {"plain": {"named": {}}}}"#, "kinds.plain.named.first: missing: this key is required"),
        (r#"[true]"#, "invalid type: sequence, expected struct All"),
        (r#"{"flag": }"#, "flag: no JSON: expected a value, found '}' at byte 9"),
        (r#"{"flag": true"#, "no JSON: expected a comma, found the end"),
    ];
    for (text, message) in cases {
        assert_eq!(said(text), message, "{text}");
    }
    assert!(
        said(r#"{"maybe": {"flog": 1}}"#).starts_with("maybe.flog: unknown field `flog`, expected one of `flag`, ")
    );
}
