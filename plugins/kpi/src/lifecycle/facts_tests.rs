use super::*;

joined! {
    /// One number.
    struct Number {
        /// It.
        "n" number: u64,
    }
}

/// The seed in `SEED`, or one that differs from run to run.
fn seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    let given = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
    given.unwrap_or_else(|| RandomState::new().hash_one(0_u8)).max(1)
}

/// The next number of a seed: xorshift64*.
fn next(state: &mut u64, limit: u64) -> u64 {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    (state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % limit
}

fn fold(told: &[Fact<u8, Number>], keep: Keep, limit: usize) -> Facts<u8, Number> {
    let mut facts = Facts::default();
    for fact in told {
        let before = facts.clone();
        let changed = facts.add(fact.clone(), keep, limit);
        assert_eq!(changed, facts != before, "{fact:?} in {before:?}");
    }
    facts
}

#[test]
fn which_facts_are_kept_depends_on_no_order_even_when_they_are_too_many() {
    let seed = seed();
    println!("replay with SEED={seed}");
    let mut state = seed;
    for round in 0..3000 {
        let keep = if round % 2 == 0 { Keep::Earliest } else { Keep::Latest };
        let count = 1 + next(&mut state, 20);
        let mut told: Vec<_> = (0..count)
            .map(|_| Fact {
                time: next(&mut state, 9) as i64,
                step: next(&mut state, 3) as u8,
                uid: (next(&mut state, 2) == 0).then(|| next(&mut state, 6).to_string()),
                attributes: Number { number: Some(next(&mut state, 4)).filter(|number| *number > 0) },
            })
            .collect();
        let expected = fold(&told, keep, 5);
        assert!(expected.iter().count() <= 5);
        for last in (1..told.len()).rev() {
            told.swap(last, next(&mut state, last as u64 + 1) as usize);
        }
        told.extend_from_within(..told.len() / 2);
        assert_eq!(fold(&told, keep, 5), expected, "seed {seed}, round {round}");
    }
}

#[test]
fn of_too_many_the_earliest_or_the_latest_stay() {
    let told: Vec<_> = [3, 1, 4, 2].map(|time| Fact { time, step: 0, uid: None, attributes: Number::default() }).into();
    let times = |keep| fold(&told, keep, 2).iter().map(|fact| fact.time).collect::<Vec<_>>();
    assert_eq!(times(Keep::Earliest), [1, 2]);
    assert_eq!(times(Keep::Latest), [3, 4]);
    assert!(fold(&told, Keep::Latest, 2).truncated() && !fold(&told, Keep::Latest, 4).truncated());
}

#[test]
fn a_copy_with_the_same_uid_and_another_time_is_one_fact() {
    let fact =
        |time, number| Fact { time, step: 0, uid: Some("u".to_owned()), attributes: Number { number: Some(number) } };
    let kept = |keep| fold(&[fact(2, 7), fact(1, 8), fact(3, 9)], keep, 5).iter().cloned().collect::<Vec<_>>();
    assert_eq!(kept(Keep::Earliest), [fact(1, 8)]);
    assert_eq!(kept(Keep::Latest), [fact(3, 9)]);
}

#[test]
fn a_service_that_is_named_goes_before_an_earlier_event_that_names_none() {
    let service = |name: &str| ServiceKey { service: name.to_owned(), ..ServiceKey::default() };
    let mut owner = Owner::default();
    assert!(owner.hear(1, &service("")));
    assert!(owner.hear(5, &service("b")));
    assert!(owner.hear(5, &service("a")));
    assert!(!owner.hear(6, &service("0")) && !owner.hear(0, &service("")));
    assert_eq!(owner.service(), service("a"));
}
