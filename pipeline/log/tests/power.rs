//! The power fails, or the process is killed, at any operation.

use super::model::Model;
use super::*;
use crate::files::Fault;

/// A random life of a log on a file system that may stop at any operation. Returns whether the log was opened.
fn live(files: &Simulated, model: &mut Model, random: &mut Random, steps: u64) -> bool {
    let Ok((log, recovered)) = open(files, options(random.any()), model.from) else { return false };
    let Ok(found) = recovered.collect::<Result<Vec<_>>>() else { return false };
    model.check(&log, found);
    for _ in 0..steps {
        match random.below(10) {
            0..5 => {
                let bytes_max = if random.one_in(12) { 40_000 } else { 3000 };
                // None once the log is lost.
                let Ok(record) = try_append(&log, random, bytes_max) else { break };
                model.appended(record);
            }
            5..8 => {
                let committed = log.commit_pending();
                model.see(&log);
                if committed.is_err() {
                    break;
                }
            }
            8 => model.epoch(&log, random),
            _ => drop(log.trim(model.from)),
        }
    }
    if random.one_in(2) {
        // Not for what waits: it is no fault that a process dies without closing.
        let _ = log.close();
        model.see(&log);
    } else {
        files.stop_at(0);
    }
    true
}

/// What the next process finds. After names were lost it is what the machine finds that starts again: a real file system takes
/// nothing in between, and whoever reads a name that is not durable could not know it.
fn next(files: &Simulated, random: &mut Random) -> Simulated {
    if random.one_in(3) && !files.has_lost_names() { files.restart() } else { files.crash() }
}

/// Lives and deaths of one log.
fn lives(seed: u64) {
    let mut random = Random::new(seed);
    let mut files = Simulated::new(random.any());
    let mut model = Model::default();
    for _ in 0..5 {
        if random.below(4) > 0 {
            files.stop_at(random.below(70));
        }
        if random.one_in(3) {
            let faults = [Fault::Io, Fault::Short, Fault::Full, Fault::TooManyOpen];
            files.fail_at(random.below(50), faults[random.below(4) as usize]);
        }
        // A disk that is nearly full, where segments are shorter.
        let room = if random.one_in(4) { random.below(160 << 10) } else { u64::MAX };
        files.set_capacity(room);
        live(&files, &mut model, &mut random, 25);
        files = next(&files, &mut random);
        files.set_capacity(u64::MAX);
    }
    assert!(live(&files, &mut model, &mut random, 0), "the log cannot be opened: {:?}", {
        let opened = open(&files.restart(), options(1), model.from);
        opened.and_then(|(_, recovered)| recovered.collect::<Result<Vec<_>>>().map(|_| ()))
    });
}

/// Runs a test for every seed; what fails says with which.
fn for_seeds(usual: u64, test: fn(u64)) {
    let first = std::env::var("WEIR_SEED").ok().and_then(|seed| seed.parse().ok());
    let range = first.map_or(0..seeds(usual), |seed: u64| seed..seed + 1);
    for seed in range {
        if let Err(panic) = std::panic::catch_unwind(|| test(seed)) {
            eprintln!("seed {seed} failed; WEIR_SEED={seed} runs it alone");
            std::panic::resume_unwind(panic);
        }
    }
}

#[test]
fn what_was_durable_survives_any_lives_and_deaths() {
    for_seeds(10_000, lives);
}

/// A fixed script of everything that a log does; stops when the process does.
fn script(files: &Simulated, model: &mut Model, seed: u64) -> Result<()> {
    let mut random = Random::new(seed);
    for life in 0..3 {
        let (log, recovered) = open(files, options(seed + life), model.from)?;
        let found = recovered.collect::<Result<Vec<_>>>()?;
        model.check(&log, found);
        for round in 0..4 {
            for _ in 0..1 + random.below(4) {
                let bytes_max = if seed.is_multiple_of(2) { 9000 } else { 600 };
                model.appended(append(&log, &mut random, bytes_max));
            }
            let committed = log.commit_pending();
            model.see(&log);
            committed?;
            if round == 2 {
                model.epoch(&log, &mut random);
                log.trim(model.from)?;
            }
        }
        if seed.is_multiple_of(3) {
            log.close()?;
        } else {
            // The process ends without closing.
            let dead = files.restart();
            files.stop_at(0);
            drop(log);
            return script_again(&dead, model, seed, life);
        }
    }
    Ok(())
}

fn script_again(files: &Simulated, model: &mut Model, seed: u64, life: u64) -> Result<()> {
    let (log, recovered) = open(files, options(seed + life + 9), model.from)?;
    let found = recovered.collect::<Result<Vec<_>>>()?;
    model.check(&log, found);
    Ok(())
}

#[test]
fn what_was_durable_survives_a_death_at_every_operation_of_a_script() {
    let mut deaths = 0;
    for seed in 0..12 {
        let whole = Simulated::new(seed);
        script(&whole, &mut Model::default(), seed).unwrap();
        for operation in 0..whole.operations() {
            let files = Simulated::new(seed * 1000 + operation);
            files.stop_at(operation);
            let mut model = Model::default();
            let _ = script(&files, &mut model, seed);
            let cuts = (0..4).map(|_| files.crash()).chain([files.restart()]);
            for (cut, left) in cuts.enumerate() {
                let place = || format!("script {seed}, operation {operation}, cut {cut}");
                let (log, recovered) =
                    open(&left, options(99), model.from).unwrap_or_else(|error| panic!("{}: {error}", place()));
                let found = recovered.collect::<Result<Vec<_>>>();
                let found = found.unwrap_or_else(|error| panic!("{}: {error}", place()));
                // What it prints when it fails is the place.
                println!("{}", place());
                model.clone().check(&log, found);
                deaths += 1;
            }
        }
    }
    assert!(deaths > 2000, "only {deaths} deaths");
}
