//! Flipped bits, missing ends, missing files: told as what they are, or without effect; never other rows, never fewer.

use std::path::Path;

use super::*;
use crate::Kind;
use crate::log::{SegmentState, inspect};

/// A small log of several segments and its records; one that was not closed ends with a commit of three.
fn small(closed: bool) -> (Simulated, Vec<Record>) {
    let files = Simulated::new(1);
    let mut random = Random::new(5);
    let (log, _) = open(&files, Options { segment_bytes: 16 << 10, ..options(1) }, 0).unwrap();
    let mut records = Vec::new();
    for commit in 0..7 {
        let count = if commit == 6 { 3 } else { 1 + commit % 3 };
        records.extend((0..count).map(|_| append(&log, &mut random, 700)));
        log.commit_pending().unwrap();
    }
    if closed {
        log.close().unwrap();
    }
    let files = files.restart();
    assert_eq!(segments(&files).len(), 3);
    (files, records)
}

/// What a start after some damage gives: the records, or the refusal.
fn start(files: &Simulated, quarantine: bool) -> Result<(Vec<Record>, Recovered)> {
    let (_, mut recovered) = open(files, Options { quarantine, ..options(2) }, 0)?;
    let records = recovered.by_ref().collect::<Result<Vec<_>>>()?;
    Ok((records, recovered))
}

/// Does something to each byte of each segment, and looks at what the next start says.
fn at_every_offset(
    closed: bool,
    change: impl Fn(&mut Vec<u8>, usize),
    check: impl Fn(&Path, usize, Result<Vec<Record>>),
) {
    let (files, _) = small(closed);
    for path in segments(&files) {
        for offset in 0..files.read(&path).unwrap().len() {
            let damaged = files.restart();
            damaged.edit(&path, |bytes| change(bytes, offset)).unwrap();
            check(&path, offset, start(&damaged, false).map(|(records, _)| records));
        }
    }
}

fn flip(bytes: &mut [u8], offset: usize) {
    bytes[offset] ^= 1 << (offset * 7 % 8);
}

fn assert_names(error: &crate::Error, path: &Path, offset: usize) {
    assert_eq!(error.kind(), Kind::Storage);
    let message = error.message();
    assert!(message.contains(path.to_str().unwrap()), "offset {offset}: {message}");
    assert!(message.contains("log.quarantine") && message.contains("offset "), "offset {offset}: {message}");
}

#[test]
fn a_flipped_bit_anywhere_in_a_closed_log_is_refused_or_has_no_effect() {
    let (_, records) = small(true);
    let refused = std::cell::Cell::new(0);
    at_every_offset(
        true,
        |bytes, offset| flip(bytes, offset),
        |path, offset, found| match found {
            Ok(found) => assert_eq!(found, records, "{} at {offset}", path.display()),
            // A seal is no record: without it the last commit is taken for what it is, and that is whole.
            Err(error) => {
                assert_names(&error, path, offset);
                refused.set(refused.get() + 1);
            }
        },
    );
    let bytes: usize = records.iter().map(|record| record.payload.len() + 44).sum();
    assert!(refused.get() >= bytes, "{} of {bytes} bytes", refused.get());
}

#[test]
fn a_flipped_bit_in_a_log_that_was_not_closed_costs_at_most_its_last_commit() {
    let (_, records) = small(false);
    let torn = std::cell::Cell::new(0);
    at_every_offset(
        false,
        |bytes, offset| flip(bytes, offset),
        |path, offset, found| match found {
            Ok(found) => {
                assert_eq!(found, records[..found.len()], "{} at {offset}", path.display());
                assert!(found.len() >= records.len() - 3, "{} at {offset}", path.display());
                torn.set(torn.get() + usize::from(found.len() < records.len()));
            }
            Err(error) => assert_names(&error, path, offset),
        },
    );
    let last: usize = records.iter().rev().take(3).map(|record| record.payload.len() + 44).sum();
    assert!(torn.get() >= last && torn.get() <= last + 64, "{} places of {last}", torn.get());
}

#[test]
fn a_missing_end_of_any_length_is_refused_or_has_no_effect() {
    for closed in [false, true] {
        let (_, records) = small(closed);
        at_every_offset(
            closed,
            |bytes, offset| bytes.truncate(offset),
            |path, offset, found| match found {
                Ok(found) => assert_eq!(found, records, "{} at {offset}", path.display()),
                Err(error) => assert_names(&error, path, offset),
            },
        );
    }
}

#[test]
fn a_block_of_zeros_in_what_was_durable_is_refused() {
    let (files, records) = small(false);
    let paths = segments(&files);
    let mut refused = 0;
    for path in &paths {
        for block in 1..files.read(path).unwrap().len() / 4096 {
            let damaged = files.restart();
            let mut was_used = false;
            let zero = |bytes: &mut Vec<u8>| {
                let block = &mut bytes[block * 4096..(block + 1) * 4096];
                was_used = block.iter().any(|byte| *byte != 0);
                block.fill(0);
            };
            damaged.edit(path, zero).unwrap();
            match start(&damaged, false) {
                Ok((found, _)) if was_used => {
                    // The last commit, of which nobody can tell whether it was acknowledged.
                    assert_eq!(Some(path), paths.last());
                    assert_eq!(found, records[..found.len()]);
                    assert!(found.len() >= records.len() - 3);
                }
                Ok((found, _)) => assert_eq!(found, records),
                Err(error) => {
                    assert!(was_used, "{} block {block}: {error}", path.display());
                    refused += 1;
                }
            }
        }
    }
    assert!(refused >= 5, "{refused} blocks");
}

#[test]
fn a_missing_segment_is_refused_unless_an_epoch_has_it() {
    let (files, records) = small(true);
    let paths = segments(&files);
    for missing in 0..2 {
        let damaged = files.restart();
        damaged.remove(&paths[missing]).unwrap();
        let error = start(&damaged, false).unwrap_err();
        assert!(error.message().contains("log.quarantine"), "{error}");
        let (found, recovered) = start(&damaged, true).unwrap();
        assert_eq!(found.len() as u64 + recovered.quarantined().records, records.len() as u64);
    }
    let damaged = files.restart();
    damaged.remove(&paths[0]).unwrap();
    let second: Lsn = paths[1].file_stem().unwrap().to_str().unwrap().parse().unwrap();
    assert_eq!(read(open(&damaged, options(2), second).unwrap().1), records[second as usize..]);
}

#[test]
fn damage_below_the_position_of_the_epoch_is_none() {
    let (files, records) = small(true);
    let first = &segments(&files)[0];
    files.edit(first, |bytes| flip(bytes, 4096 + 50)).unwrap();
    open(&files, options(2), 0).and_then(|(_, recovered)| recovered.collect::<Result<Vec<_>>>()).unwrap_err();
    assert_eq!(read(open(&files, options(2), 1).unwrap().1), records[1..]);
}

#[test]
fn a_quarantine_keeps_the_bytes_and_counts_the_record_and_the_rest_is_read() {
    // The head of the first record, and its payload.
    for offset in [4096, 4096 + 60] {
        let (files, records) = small(true);
        let path = &segments(&files)[0];
        files.edit(path, |bytes| flip(bytes, offset)).unwrap();
        for _ in 0..2 {
            let (found, recovered) = start(&files, true).unwrap();
            assert_eq!(found, records[1..], "offset {offset}");
            assert_eq!((recovered.quarantined().places, recovered.quarantined().records), (1, 1));
            let kept = files.list(Path::new("/log/quarantine")).unwrap();
            assert_eq!(kept.len(), 1);
            let kept = files.read(&Path::new("/log/quarantine").join(&kept[0].name)).unwrap();
            assert_eq!(kept, files.read(path).unwrap()[4096..4096 + kept.len()]);
            assert_eq!(kept.len() as u64, recovered.quarantined().bytes);
        }
    }
}

#[test]
fn a_log_goes_on_behind_whatever_was_set_aside() {
    let (files, _) = small(true);
    for (place, path) in segments(&files).iter().enumerate() {
        for offset in [3, 20, 4096 + 3, 4096 + 50, 8192 + 3] {
            let damaged = files.restart();
            damaged.edit(path, |bytes| flip(bytes, offset)).unwrap();
            let (log, recovered) = open(&damaged, Options { quarantine: true, ..options(2) }, 0).unwrap();
            let mut found = read(recovered);
            found.push(append(&log, &mut Random::new(1), 500));
            drop(log);
            let again = start(&damaged, true).unwrap().0;
            assert_eq!(again, found, "segment {place}, offset {offset}");
            assert!(found.windows(2).all(|pair| pair[0].lsn < pair[1].lsn));
        }
    }
}

#[test]
fn a_log_of_a_newer_version_is_never_set_aside() {
    let (files, _) = small(true);
    let version = |bytes: &mut Vec<u8>| {
        bytes[8] = 2;
        let sum = crc32c::crc32c(&bytes[..40]);
        bytes[40..44].copy_from_slice(&sum.to_le_bytes());
    };
    files.edit(&segments(&files)[2], version).unwrap();
    let error = start(&files, true).unwrap_err();
    assert!(error.message().contains("version 2 of the format, and this build of Weir reads 1"), "{error}");
}

#[test]
fn bytes_of_another_log_are_not_taken_for_records() {
    let (files, records) = small(false);
    let (log, _) = open(&files.restart(), options(77), 0).unwrap();
    drop(log);
    // A whole commit of a log with the same numbers, behind the end of this one.
    let stranger = Simulated::new(3);
    let (other, _) = open(&stranger, Options { segment_bytes: 16 << 10, ..options(99) }, records.len() as Lsn).unwrap();
    append(&other, &mut Random::new(1), 500);
    other.commit_pending().unwrap();
    let foreign = stranger.read(&segments(&stranger)[0]).unwrap()[4096..8192].to_vec();
    let last = segments(&files).pop().unwrap();
    files
        .edit(&last, |bytes| {
            let free = bytes.chunks(4096).rposition(|block| block.iter().any(|byte| *byte != 0)).unwrap() + 1;
            bytes[free * 4096..(free + 1) * 4096].copy_from_slice(&foreign);
        })
        .unwrap();
    assert_eq!(start(&files, false).unwrap().0, records);
}

#[test]
fn random_bytes_over_a_log_never_give_a_record_that_was_not_appended() {
    let (files, records) = small(true);
    for seed in 0..seeds(2000).min(100_000) {
        let mut random = Random::new(seed);
        let damaged = files.restart();
        for path in segments(&files) {
            damaged
                .edit(&path, |bytes| {
                    for _ in 0..random.below(4) {
                        let from = random.below(bytes.len() as u64) as usize;
                        let to = (from + random.below(300) as usize).min(bytes.len());
                        bytes[from..to].iter_mut().for_each(|byte| *byte = random.any() as u8);
                    }
                })
                .unwrap();
        }
        inspect(&(Arc::new(damaged.clone()) as Arc<dyn Files>), Path::new("/log")).unwrap();
        let (found, _) = start(&damaged, true).unwrap();
        assert!(found.windows(2).all(|pair| pair[0].lsn < pair[1].lsn), "seed {seed}");
        assert!(found.iter().all(|record| records.get(record.lsn as usize) == Some(record)), "seed {seed}");
    }
}

#[test]
fn an_inspection_says_what_is_where() {
    let (files, records) = small(false);
    let look = |files: &Simulated| inspect(&(Arc::new(files.clone()) as Arc<dyn Files>), Path::new("/log")).unwrap();
    let whole = look(&files);
    assert!(whole.iter().all(|segment| segment.state == SegmentState::Whole));
    assert_eq!(whole.iter().map(|segment| segment.records).sum::<u64>(), records.len() as u64);
    assert_eq!(whole[0].lsns.unwrap().0, 0);
    assert_eq!(whole[2].lsns.unwrap().1, records.len() as u64 - 1);
    assert_eq!(whole[0].received_ns.unwrap().0, records[0].received_ns);

    let paths = segments(&files);
    let last = whole[2].bytes_used as usize - 4096;
    files.edit(&paths[2], |bytes| flip(bytes, last)).unwrap();
    files.edit(&paths[0], |bytes| flip(bytes, 4096)).unwrap();
    files.edit(&paths[1], |bytes| bytes[8..44].fill(0)).unwrap();
    let damaged = look(&files);
    assert!(matches!(damaged[0].state, SegmentState::Damaged { offset: 4096, places: 1, records: 1, .. }));
    assert!(matches!(damaged[1].state, SegmentState::Damaged { offset: 0, places: 1, .. }));
    assert_eq!(damaged[2].state, SegmentState::Torn { offset: last as u64 });
}
