//! Records in memory stand as they will in the file, in whatever pieces.

use crate::Signal;
use crate::files::Random;
use crate::log::format::{BLOCK, Content, Head, payload_sum};
use crate::log::records::Records;

const SALT: u64 = 77;

fn head(lsn: u64, payload: &[u8]) -> Head {
    Head {
        content: Content::Payload(Signal::Logs),
        lsn,
        durable: lsn,
        received_ns: 5,
        tenant: 0,
        is_last: false,
        payload_bytes: payload.len() as u32,
    }
}

/// The bytes of a commit, put together by the format's description alone.
fn expected(commit: &[(u64, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (number, (lsn, payload)) in commit.iter().enumerate() {
        let head = Head { durable: commit[0].0, is_last: number + 1 == commit.len(), ..head(*lsn, payload) };
        let encoded = head.encode(SALT);
        bytes.extend(encoded);
        bytes.extend(payload);
        bytes.extend(payload_sum(&encoded, [&payload[..]]).to_le_bytes());
        bytes.resize(bytes.len().next_multiple_of(8), 0);
    }
    bytes.resize(bytes.len().next_multiple_of(BLOCK as usize), 0);
    bytes
}

/// Commits of records with such payloads, so many of them at a time, come out as described.
fn check(records: &mut Records, all: &[(u64, Vec<u8>)], mut commits: impl FnMut(usize) -> usize, what: &str) {
    for (lsn, payload) in all {
        records.push(head(*lsn, payload), payload);
    }
    let mut left = all;
    while !left.is_empty() {
        assert_eq!(records.next().map(|head| head.lsn), left.first().map(|(lsn, _)| *lsn), "{what}");
        let (commit, rest) = left.split_at(commits(left.len()));
        let is_whole = commit.len() == all.len();
        // A commit that found no space is made again.
        for _ in 0..2 {
            let pieces = records.commit(commit.len(), SALT);
            let in_blocks =
                |piece: &&[u8]| piece.as_ptr().addr().is_multiple_of(4096) && piece.len().is_multiple_of(4096);
            assert!(!is_whole || pieces.iter().all(in_blocks), "{what}: it cannot be written without a copy");
            assert!(pieces.concat() == expected(commit), "{what}");
        }
        records.durable(commit.len());
        left = rest;
    }
    assert!(records.is_done(), "{what}");
    assert_eq!(records.bytes_left(), 0, "{what}");
    records.clear();
}

#[test]
fn records_of_any_size_stand_one_behind_the_other_in_commits_of_any_number() {
    for seed in 0..60 {
        let mut random = Random::new(seed);
        let mut records = Records::default();
        for _ in 0..3 {
            let sizes_max = [10, 5_000, 300_000, 1_300_000][random.below(4) as usize];
            let all: Vec<(u64, Vec<u8>)> = (0..1 + random.below(12))
                .map(|lsn| (lsn, (0..random.below(sizes_max)).map(|_| random.any() as u8).collect()))
                .collect();
            check(&mut records, &all, |left| 1 + random.below(left as u64) as usize, &format!("seed {seed}"));
        }
    }
}

#[test]
fn records_may_end_and_begin_anywhere_at_the_end_of_a_piece() {
    const PIECE: usize = 512 << 10;
    let mut records = Records::default();
    let payload = |bytes: usize, with: u8| vec![with; bytes];
    for around in (0..=9).map(|eighth| 48 + 8 * eighth) {
        for bytes in [PIECE - around, 2 * PIECE - around] {
            let all = [payload(bytes, 1), payload(0, 2), payload(9, 3), payload(PIECE, 4)];
            let all: Vec<(u64, Vec<u8>)> = (5..).zip(all).collect();
            check(&mut records, &all, |left| left, &format!("{bytes} bytes"));
            check(&mut records, &all, |_| 1, &format!("{bytes} bytes, one by one"));
        }
    }
}
