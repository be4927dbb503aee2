//! Random rows, retractions, ends of epochs and restarts, compared with a plain table in memory.

use std::collections::BTreeMap;

use super::*;

/// Numbers that follow from a seed (xorshift64*).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % limit
    }
}

const SERVICES: [Option<&str>; 4] = [None, Some(""), Some("a"), Some("a\0b")];

type Key = (i64, Option<&'static str>, Option<i64>);

struct Change {
    day: i64,
    row: Given,
    retract: bool,
}

fn change(random: &mut Random) -> Change {
    let service = SERVICES[random.below(4) as usize];
    let code = [None, Some(-1), Some(1)][random.below(3) as usize];
    let row = (service, code, random.below(3) as f64);
    Change { day: random.below(2) as i64, row, retract: random.below(3) == 0 }
}

fn run(seed: u64) {
    let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let place = Place::new();
    let options = || WriteOptions { row_group_rows: 3, ..place.options() };
    let mut writer = begin(options());
    let mut model: BTreeMap<Key, (f64, i64)> = BTreeMap::new();
    for epoch in 0..5 {
        let changes: Vec<Change> = (0..random.below(30)).map(|_| change(&mut random)).collect();
        let mut newest: BTreeMap<Key, Option<f64>> = BTreeMap::new();
        for Change { day, row: (service, code, value), retract } in &changes {
            newest.insert((*day, *service, *code), (!retract).then_some(*value));
        }
        // The calls come in another order than that which counts.
        let mut calls: Vec<usize> = (0..changes.len()).collect();
        for at in (1..calls.len()).rev() {
            calls.swap(at, random.below(at as u64 + 1) as usize);
        }
        for at in calls {
            let Change { day, row, retract } = &changes[at];
            let rows = batch(NOON + day * DAY, at as i64, &[*row]);
            writer.upsert("daily", epoch * 1000 + at as u64, rows, *retract).unwrap();
        }
        for (key, value) in newest {
            match (value, model.get(&key).copied()) {
                (None, _) => drop(model.remove(&key)),
                (Some(value), Some((old, _))) if old == value => {}
                (Some(value), old) => drop(model.insert(key, (value, old.map_or(0, |(_, revision)| revision + 1)))),
            }
        }
        writer.close_epoch().unwrap();
        let row = |(&(day, service, code), &(value, revision)): (&Key, &(f64, i64))| {
            (NOON + day * DAY, service.map(str::to_owned), code, value.to_string(), revision)
        };
        assert_eq!(daily(&place), model.iter().map(row).collect::<Vec<_>>(), "seed {seed}, epoch {epoch}");
        if random.below(3) == 0 {
            drop(writer);
            writer = begin(options());
        }
    }
}

#[test]
fn the_table_is_that_of_a_plain_model() {
    let seeds = match std::env::var("WEIR_UPSERT_SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => (0..60).collect(),
    };
    seeds.into_iter().for_each(run);
}
