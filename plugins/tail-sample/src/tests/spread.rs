//! Random traffic: what is kept stands for all that came, and a restart changes nothing.

use super::*;

const SERVICES: [&str; 3] = ["cart", "pay", "search"];

/// Traces of one to four spans over ten seconds, some failed, some slow, some of a head sampler that kept half of them,
/// and some of whose spans are late; in batches of a second each.
fn traffic(seed: u64, traces: u64) -> (Vec<Vec<Row>>, usize) {
    let mut random = Random(seed);
    let mut batches = vec![Vec::new(); 60];
    let mut came = 0;
    for _ in 0..traces {
        let randomness = random.next() >> 8;
        let (at, spans) = (random.below(10_000) as i64, 1 + random.below(4));
        let head = random.below(4) == 0;
        let error = random.below(12) == 0;
        came += spans as usize;
        for number in 0..spans {
            let late = if random.below(9) == 0 { 35_000 } else { 0 };
            let row = Row {
                error: error && number == 0,
                ms: if random.below(15) == 0 { 700 } else { 5 },
                service: SERVICES[random.below(3) as usize],
                root: number == 0,
                state: head.then_some("ot=th:8"),
                adjusted: if head { 2.0 } else { 1.0 },
                ..span(randomness, at)
            };
            let batch: &mut Vec<Row> = &mut batches[((at + row.ms + late) / 1000) as usize];
            // The head sampler has dropped the others.
            if !head || randomness >= HALF {
                batch.push(row);
            }
        }
    }
    (batches, came)
}

const MIXED: &str = r#"{"root_wait": "3s", "policies": [{"error": true}, {"slower_than_ms": 500},
    {"attribute": "http.route"}, {"per_second": 4}, {"per_second": 1, "by": "service"}, {"probability": 0.1}]}"#;

/// All that comes out of a plugin with this traffic.
fn run(config: &str, batches: &[Vec<Row>], restarts: bool) -> Running {
    let mut running = Running::new(config);
    running.restarts = restarts;
    for (second, rows) in batches.iter().enumerate() {
        if !rows.is_empty() {
            running.spans(rows);
        }
        running.until(second as i64 * 1000 + 999);
    }
    running.until(200_000);
    running
}

#[test]
fn the_counts_of_what_is_kept_add_up_to_the_spans_that_came() {
    const SEEDS: u64 = 40;
    for config in [
        MIXED,
        r#"{"policies": [{"per_second": 3}]}"#,
        r#"{"policies": [{"error": true}, {"probability": 0.2}]}"#,
        r#"{"traces_max": 30, "decided_max": 40, "policies": [{"error": true}, {"per_second": 3}]}"#,
    ] {
        let ratios: Vec<f64> = (0..SEEDS)
            .map(|seed| {
                let (batches, came) = traffic(seed, 70);
                let running = run(config, &batches, false);
                assert!(running.dropped > 0, "seed {seed} samples");
                running.out.iter().map(|out| out.adjusted).sum::<f64>() / came as f64
            })
            .collect();
        let mean = ratios.iter().sum::<f64>() / SEEDS as f64;
        let variance = ratios.iter().map(|ratio| (ratio - mean).powi(2)).sum::<f64>() / (SEEDS - 1) as f64;
        let error = (variance / SEEDS as f64).sqrt();
        assert!((mean - 1.0).abs() < 4.0 * error && error < 0.1, "{mean} ± {error}, seeds 0..{SEEDS}: {config}");
    }
}

#[test]
fn every_row_comes_out_once_or_is_dropped_once() {
    for seed in 0..20 {
        let (batches, _) = traffic(seed, 60);
        let rows: usize = batches.iter().map(Vec::len).sum();
        let running = run(MIXED, &batches, false);
        assert_eq!(running.out.len() + running.dropped, rows, "seed {seed}");
    }
}

#[test]
fn the_spans_of_a_trace_share_its_fate() {
    for seed in 0..20 {
        let (batches, _) = traffic(seed, 60);
        let running = run(MIXED, &batches, false);
        for out in &running.out {
            let spans = batches.iter().flatten().filter(|row| row.trace == Some(out.trace)).count();
            let kept = running.out.iter().filter(|other| other.trace == out.trace).count();
            assert_eq!(kept, spans, "seed {seed}, trace {:x}", out.trace);
        }
    }
}

#[test]
fn a_restart_after_any_call_changes_nothing() {
    let bounded = MIXED.replacen('{', r#"{"traces_max": 25, "decided_max": 30, "#, 1);
    for config in [MIXED, &bounded] {
        for seed in 0..5 {
            let (batches, _) = traffic(seed, 60);
            let (through, restarted) = (run(config, &batches, false), run(config, &batches, true));
            assert_eq!(through.out, restarted.out, "seed {seed}");
            assert_eq!(through.dropped, restarted.dropped, "seed {seed}");
        }
    }
}

#[test]
fn no_state_is_left_of_traces_once_they_are_decided_and_forgotten() {
    let (batches, _) = traffic(1, 60);
    let mut running = run(r#"{"decided_max": 0, "policies": [{"error": true}]}"#, &batches, false);
    assert_eq!(running.until(201_000).state().len(), 1, "only the clock is left");
}
