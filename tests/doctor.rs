//! `weir doctor`, `weir repair` and `weir replay` with the real program: each kind of damage is told in full, and mended with
//! consent only.
//!
//! What is printed is compared with the files in `tests/doctor/`, sizes of files left out. `WEIR_BLESS=1 cargo test --test
//! doctor` writes them anew.

#[path = "doctor/place.rs"]
mod place;
mod service;

use place::{DAY, HELD, MANUAL, Place};
use service::program::printed;
use service::rows;
use std::fs;

#[test]
fn a_sound_folder_is_told_on_one_screen() {
    let place = Place::new("");
    place.run(|program| {
        program.send_logs(3);
        program.send_spans(0..2);
    });
    assert_eq!(place.doctor("sound"), 0);
    let (code, out, err) = place.weir(&["doctor", "-c", "weir.toml", "--deep", "--json"]);
    assert_eq!(code, 0, "{err}");
    let read: serde_json::Value = serde_json::from_str(&out).unwrap();
    let rows: Vec<_> = read["tables"].as_array().unwrap().iter().map(|table| table["rows"].as_u64()).collect();
    assert_eq!(rows, [Some(3), Some(2)], "{out}");
    assert_eq!(read["problems"], serde_json::json!([]));
    assert_eq!(read["log"]["position"], 4, "a record for each request: {out}");

    let before = place.snapshot();
    let (code, out, _) = place.repair(&[]);
    assert_eq!(code, 0, "{out}");
    assert!(out.contains("everything is sound"), "{out}");
    assert_eq!(place.snapshot(), before, "looking and finding nothing to mend change nothing");
}

#[test]
fn what_a_crash_left_in_the_log_waits_for_the_next_start() {
    let place = Place::crashed(MANUAL, 3);
    assert_eq!(place.doctor("crashed"), 0);
    place.run(|_| ());
    assert_eq!(place.bodies(), ["0", "1", "2"]);
    assert_eq!(place.doctor_code(), 0);
}

#[test]
fn a_damaged_record_of_the_log_is_named_and_set_aside_with_consent_only() {
    let place = Place::crashed(MANUAL, 3);
    place.flip_behind("data/_log/00000000000000000000.wal", b"body of request 1");
    assert_eq!(place.doctor("log_damaged"), 1);
    let before = place.snapshot();
    let (code, out, err) = place.repair(&[]);
    place.assert_text("log_damaged_repair", &format!("{out}{err}"));
    assert_eq!(code, 2, "nobody agreed");
    assert_eq!(place.snapshot(), before);
    let (code, _, said) = place.weir(&["run", "-c", "weir.toml"]);
    assert_eq!(code, 1, "a start refuses it, too");
    assert!(said.contains("00000000000000000000.wal is damaged at offset 8192"), "{said}");

    let (code, out, err) = place.repair(&["--yes"]);
    assert_eq!(code, 0, "{out}{err}");
    assert_eq!(place.bodies(), ["0", "2"], "the rest is in the tables");
    assert!(place.at("data/_log/quarantine/00000000000000000001-8192.bad").is_file(), "the damaged bytes are kept");
    assert_eq!(place.doctor_code(), 0);
    assert_eq!(place.repair(&["--yes"]).0, 0, "a second repair finds nothing");
    place.run(|program| program.send_logs(1));
    assert_eq!(place.bodies(), ["0", "0", "2"], "nothing comes twice, and what is new is taken");
}

#[test]
fn a_record_alone_that_is_damaged_cannot_be_mended_and_is_left() {
    let place = Place::new("");
    place.run(|program| program.send_logs(2));
    let record = place.only("data/_staging", ".record");
    fs::write(&record, "{}").unwrap();
    assert_eq!(place.doctor("record_damaged"), 1);
    let (code, out, err) = place.repair(&["--yes"]);
    assert_eq!(code, 1, "{out}{err}");
    assert!(err.contains("1 problem is left"), "{err}");
    assert_eq!(fs::read(record).unwrap(), b"{}");
}

#[test]
fn a_damaged_record_after_a_sound_one_is_set_aside_and_its_epoch_made_again() {
    let place = Place::unpublished();
    let records = place.all("data/_staging", ".record");
    let last = records.last().unwrap();
    place.flip(last, 20);
    assert_eq!(place.doctor("record_after_another_damaged"), 1);
    let (code, out, err) = place.repair(&["--yes"]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(!last.exists());
    assert!(place.at("data/_staging/_quarantine").join(last.file_name().unwrap()).is_file());
    place.run(|_| ());
    assert_eq!(place.bodies(), ["0", "0", "1"], "each row once");
    assert_eq!(place.doctor_code(), 0);
}

#[test]
fn what_an_epoch_had_published_before_its_record_was_damaged_is_set_aside_with_it() {
    let place = Place::unpublished();
    let (records, staged) = (place.all("data/_staging", ".record"), place.all("data/_staging", ".parquet"));
    place.flip(records.last().unwrap(), 20);
    let published = place.at(&format!("data/logs/{DAY}")).join(staged.last().unwrap().file_name().unwrap());
    fs::create_dir_all(published.parent().unwrap()).unwrap();
    fs::rename(staged.last().unwrap(), &published).unwrap();
    assert_eq!(place.doctor("table_file_unrecorded"), 1);
    let (code, out, err) = place.repair(&["--yes"]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(!published.exists());
    place.run(|_| ());
    assert_eq!(place.bodies(), ["0", "0", "1"], "each row once");
}

#[test]
fn a_damaged_record_before_a_sound_one_is_set_aside_with_its_rows() {
    let place = Place::unpublished();
    let records = place.all("data/_staging", ".record");
    place.flip(&records[0], 20);
    assert_eq!(place.doctor("record_before_another_damaged"), 1);
    let (code, out, err) = place.repair(&["--yes"]);
    assert_eq!(code, 0, "{out}{err}");
    place.run(|_| ());
    assert_eq!(place.bodies(), ["0", "1"], "those of the second epoch");
    let kept = place.only("data/_staging/_quarantine", ".parquet");
    assert_eq!(rows::read_file(&kept).len(), 1, "and that of the first one is kept");
}

#[test]
fn segments_of_the_log_that_are_missing_are_told_and_passed_over_with_consent() {
    let place = Place::new(&format!("[log]\nsegment = \"1MiB\"\n{MANUAL}"));
    place.crash(|program| (0..6).for_each(|number| program.send_large_log(number, 400_000)));
    let segments = place.all("data/_log", ".wal");
    assert!(segments.len() >= 3, "{segments:?}");
    fs::remove_file(&segments[0]).unwrap();
    assert_eq!(place.doctor("log_missing"), 1);
    assert_eq!(place.weir(&["run", "-c", "weir.toml"]).0, 1, "a start refuses it, too");
    let (code, out, err) = place.repair(&["--yes"]);
    assert_eq!(code, 0, "{out}{err}");
    assert_eq!(rows::read(&place.at("data"), "logs").len(), 4);
    assert_eq!(place.doctor_code(), 0);
}

#[test]
fn a_staged_file_that_is_not_what_was_recorded_is_set_aside() {
    let place = Place::unpublished();
    let staged = place.all("data/_staging", ".parquet");
    place.flip(&staged[0], 100);
    assert_eq!(place.doctor("staged_file_damaged"), 1);
    let (code, out, err) = place.repair(&["--yes"]);
    assert_eq!(code, 1, "{out}{err}");
    assert!(out.contains("is not there"), "that its rows are nowhere is said: {out}");
    assert!(place.at("data/_staging/_quarantine").join(staged[0].file_name().unwrap()).is_file());
    place.run(|program| program.send_logs(1));
    assert_eq!(place.doctor_code(), 0);
}

#[test]
fn files_in_staging_that_no_record_names_are_removed() {
    let place = Place::new("");
    place.run(|program| program.send_logs(1));
    for name in ["weir-9-0.parquet", "weir-9.state", "weir-9.record.new"] {
        fs::write(place.at("data/_staging").join(name), [0; 100]).unwrap();
    }
    fs::write(place.at("data/_staging/other-9-0.parquet"), [0; 100]).unwrap();
    assert_eq!(place.doctor("staged_file_unnamed"), 1);
    let (code, out, err) = place.repair(&["--yes"]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(place.at("data/_staging/other-9-0.parquet").exists(), "another writer's file is not touched");
    assert_eq!(place.all("data/_staging", ".new").len() + place.all("data/_staging", ".state").len(), 1);
}

#[test]
fn state_of_a_plugin_that_is_gone_goes_only_when_it_is_named() {
    let place = Place::new(HELD);
    place.run(|program| program.send_spans(0..2));
    place.configure("[[plugin]]\nuse = \"enrich\"\n");
    assert_eq!(place.doctor("state_of_no_plugin"), 1);
    let (code, out, _) = place.repair(&["--yes"]);
    assert_eq!(code, 1, "{out}");
    assert_eq!(place.doctor_code(), 1, "it is still there");
    let (code, _, err) = place.repair(&["--yes", "--discard-state", "nobody"]);
    assert_eq!(code, 2);
    assert!(err.contains("no state of plugin `nobody`, but of tail"), "{err}");
    let before = place.all("data/_staging", ".record");
    let (code, out, err) = place.repair(&["--yes", "--discard-state", "tail"]);
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("2 held rows are lost"), "{out}");
    assert_eq!(place.all("data/_staging", ".record").len(), before.len() + 1, "it is an epoch of its own");
    place.run(|program| program.send_spans(2..3));
    assert_eq!(place.doctor_code(), 0);
    assert_eq!(rows::read(&place.at("data"), "spans").len(), 1);
}

#[test]
fn damaged_state_is_discarded_as_a_whole() {
    let place = Place::new(HELD);
    place.run(|program| program.send_spans(0..2));
    let state = place.only("data/_staging", ".state");
    place.flip(&state, 12);
    assert_eq!(place.doctor("state_damaged"), 1);
    assert_eq!(place.weir(&["run", "-c", "weir.toml"]).0, 1, "a start refuses it, too");
    let (code, out, err) = place.repair(&["--yes"]);
    assert_eq!(code, 0, "{out}{err}");
    place.run(|program| program.send_spans(2..3));
    assert_eq!(place.doctor_code(), 0);
}

#[test]
fn files_of_tables_that_cannot_be_read_are_set_aside() {
    let place = Place::new("");
    place.run(|program| program.send_logs(3));
    let published = place.only(&format!("data/logs/{DAY}"), ".parquet");
    let older = published.with_file_name("weir-0-0.parquet");
    fs::write(&older, [7; 100]).unwrap();
    fs::write(published.with_file_name("theirs.parquet"), [7; 100]).unwrap();
    place.flip(&published, 100);
    assert_eq!(place.doctor("table_files"), 1);
    let (code, out, err) = place.repair(&["--yes"]);
    assert_eq!(code, 1, "{out}{err}");
    assert!(!older.exists() && !published.exists());
    for name in [&older, &published].map(|path| path.file_name().unwrap().to_owned()) {
        assert!(place.at(&format!("data/_quarantine/logs/{DAY}")).join(name).is_file());
    }
    assert!(published.with_file_name("theirs.parquet").exists(), "a file of somebody else is not touched");
    place.run(|program| program.send_logs(1));
    assert_eq!(place.doctor_code(), 0, "the next epoch forgets the file that is gone");
}

#[test]
fn a_weir_that_runs_is_not_disturbed() {
    let place = Place::new("");
    place.run(|program| {
        program.send_logs(3);
        let (code, out, err) = place.weir(&["doctor", "-c", "weir.toml"]);
        assert_eq!(code, 0, "{out}{err}");
        assert!(out.starts_with(&format!("weir runs here, as process {};", program.id())), "{out}");
        let (code, _, err) = place.repair(&["--yes"]);
        assert_eq!(code, 1);
        assert!(err.contains(&format!("process {}", program.id())), "{err}");
        program.send_logs(1);
    });
    assert_eq!(place.bodies().len(), 4);
}

#[test]
fn where_nothing_is_it_cannot_look() {
    let place = Place::new("");
    let (code, out, err) = place.weir(&["doctor", "-c", "weir.toml"]);
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(err.contains("nothing to look at"), "{err}");
    assert!(!place.at("data").exists(), "looking makes nothing");
}

// ---- replay

/// Two hours of a day, with another day before and behind.
fn days() -> Place {
    let place = Place::new("");
    place.run(|program| {
        for hours in [-24, 0, 1, 24] {
            program.send_logs_at(40, hours);
        }
        program.send_spans(0..500);
    });
    place
}

#[test]
fn a_day_replayed_through_the_same_plugins_gives_the_same_rows() {
    let place = days();
    let replay = |more: &[&str]| {
        let day = ["replay", "-c", "weir.toml", "--from", "2026-03-03", "--to", "2026-03-03"];
        place.weir(&[&day, more].concat())
    };
    let (code, out, err) = replay(&["--table", "logs,spans", "--prefix", "again"]);
    assert_eq!(code, 0, "{err}");
    assert!(out.starts_with("replayed 580 rows into ./data/_replay/again in "), "{out}");
    let of_day = |rows: Vec<rows::Row>| -> Vec<rows::Row> {
        let day = 1_772_496_000_000_000_000..1_772_582_400_000_000_000;
        rows.into_iter().filter(|row| matches!(row["time"], rows::Cell::Time(time) if day.contains(&time))).collect()
    };
    for (table, count) in [("logs", 80), ("spans", 500)] {
        let (live, again) = (rows::read(&place.at("data"), table), rows::read(&place.at("data/_replay/again"), table));
        assert_eq!(again.len(), count, "{table}");
        rows::assert_same(again, of_day(live));
    }
    let (code, _, err) = replay(&["--table", "logs", "--prefix", "again"]);
    assert_eq!(code, 2);
    assert!(err.contains("--append"), "{err}");
    let (code, _, err) = replay(&["--table", "logs", "--to-folder", "data", "--append"]);
    assert_eq!(code, 2);
    assert!(err.contains("choose another folder"), "{err}");
    assert_eq!(place.doctor_code(), 0, "the tables, the log and the state are as they were");
}

#[test]
fn a_new_plugin_meets_the_rows_in_the_order_of_their_time_while_weir_runs() {
    let place = days();
    place.run(|_| {
        fs::write(place.at("new.toml"), HELD).unwrap();
        let replay = ["replay", "-c", "new.toml", "--table", "spans", "--from", "2026-03-03", "--to", "2026-03-03"];
        let (code, out, err) = place.weir(&[&replay[..], &["--to-folder", "new"]].concat());
        assert_eq!(code, 0, "{out}{err}");
        // One span in ten is an error, and each is a trace of its own.
        assert_eq!(rows::read(&place.at("new"), "spans").len(), 50, "{out}");
        assert!(!out.contains("held"), "event time has passed them all: {out}");
    });
}

#[test]
fn what_makes_no_sense_is_refused_before_anything_is_read() {
    let place = days();
    let spans = ["replay", "-c", "weir.toml", "--table", "spans"];
    for (arguments, said) in [
        (&["--from", "2026-03-04", "--to", "2026-03-03", "--prefix", "x"][..], "--from is after --to"),
        (&["--from", "2026-02-29", "--to", "2026-03-03", "--prefix", "x"], "expected a day such as"),
        (&["--from", "2026-03-03", "--to", "2026-03-03", "--prefix", "../x"], "expected 1 to 64 of"),
        (&["--from", "2026-03-03", "--to", "2026-03-03"], "--to-folder"),
        (&["--from", "2026-03-03", "--to", "2026-03-03", "--prefix", "x", "--from-folder", "no"], "no folder"),
    ] {
        let (code, out, err) = place.weir(&[&spans[..], arguments].concat());
        assert_eq!((code, out.as_str()), (2, ""), "{arguments:?}: {err}");
        assert!(err.contains(said), "no {said:?} in {err}");
    }
    assert!(!place.at("data/_replay").exists());
}

#[test]
fn help_says_what_each_of_the_three_does() {
    let place = Place::new("");
    for (command, options) in [
        ("doctor", &["--config <FILE>", "--deep", "--json", "changes nothing"][..]),
        ("repair", &["--config <FILE>", "--yes", "--discard-state <PLUGIN>"]),
        (
            "replay",
            &["--table <TABLE>", "--from <DAY>", "--to <DAY>", "--prefix <NAME>", "--to-folder <FOLDER>", "--append"],
        ),
    ] {
        let done = service::program::output(place.folder(), &[command, "--help"]);
        let help = printed(&done.stdout);
        for option in options {
            assert!(help.contains(option), "no {option:?} in the help of {command}\n{help}");
        }
    }
}
