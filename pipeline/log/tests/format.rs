//! The bytes are those of `docs/log-format.md`.

use crate::Signal;
use crate::log::format::{Content, Head, SegmentHead, Unreadable, payload_sum, segment_first, segment_name};

#[test]
fn a_head_is_read_as_it_was_written_and_with_its_salt_only() {
    let head = Head {
        content: Content::Payload(Signal::Metrics),
        lsn: u64::MAX - 1,
        durable: 3,
        received_ns: -5,
        tenant: 9,
        is_last: true,
        payload_bytes: 1234,
    };
    let bytes = head.encode(42);
    assert_eq!(Head::decode(&bytes, 42), Some(head));
    assert_eq!(Head::decode(&bytes, 43), None);
    assert_eq!(Head::decode(&bytes[..43], 42), None);
}

#[test]
fn the_checksum_of_a_payload_is_another_for_each_head() {
    let head = |lsn| Head {
        content: Content::Payload(Signal::Logs),
        lsn,
        durable: 0,
        received_ns: 0,
        tenant: 0,
        is_last: false,
        payload_bytes: 3,
    };
    let sum = payload_sum(&head(1).encode(7), [&b"abc"[..]]);
    assert_eq!(payload_sum(&head(1).encode(7), [&b"a"[..], b"", b"bc"]), sum, "in whatever pieces it lies");
    assert_ne!(sum, payload_sum(&head(2).encode(7), [&b"abc"[..]]));
    assert_ne!(sum, payload_sum(&head(1).encode(8), [&b"abc"[..]]));
}

#[test]
fn a_segment_of_another_version_is_told_from_a_damaged_one() {
    let mut block = SegmentHead { salt: 1, first: 2, bytes: 3 }.encode();
    assert_eq!(SegmentHead::decode(&block), Ok(SegmentHead { salt: 1, first: 2, bytes: 3 }));
    block[8] = 9;
    assert!(matches!(SegmentHead::decode(&block), Err(Unreadable::Damaged(_))));
    let sum = crc32c::crc32c(&block[..40]);
    block[40..44].copy_from_slice(&sum.to_le_bytes());
    assert!(matches!(SegmentHead::decode(&block), Err(Unreadable::Version(_))));
}

#[test]
fn a_segment_is_named_by_twenty_digits() {
    assert_eq!(segment_name(77), "00000000000000000077.wal");
    assert_eq!(segment_first(&segment_name(u64::MAX)), Some(u64::MAX));
    for name in ["77.wal", "00000000000000000077", "99999999999999999999.wal", "+0000000000000000077.wal"] {
        assert_eq!(segment_first(name), None, "{name}");
    }
}
