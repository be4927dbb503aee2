//! Broken bytes: nothing panics, prost and the decoder agree, and a refused request leaves no trace.

use super::agree::agree;
use super::{Signal, arbitrary};
use proptest::prelude::*;
use prost::Message;

/// Every place where the bytes may end, and some bits flipped.
fn maim(signal: Signal, good: &[u8], body: &[u8], flips: &[(prop::sample::Index, u8)]) {
    for end in 0..body.len() {
        agree(signal, good, &body[..end]);
    }
    for (at, bit) in flips.iter().filter(|_| !body.is_empty()) {
        let mut body = body.to_vec();
        let at = at.index(body.len());
        body[at] ^= 1 << bit;
        agree(signal, good, &body);
    }
}

fn flips() -> impl Strategy<Value = Vec<(prop::sample::Index, u8)>> {
    prop::collection::vec((any::<prop::sample::Index>(), 0..8_u8), 60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn broken_spans_are_refused_as_by_prost(good in arbitrary::traces(), body in arbitrary::traces(), flips in flips()) {
        maim(Signal::Spans, &good.encode_to_vec(), &body.encode_to_vec(), &flips);
    }

    #[test]
    fn broken_logs_are_refused_as_by_prost(good in arbitrary::logs(), body in arbitrary::logs(), flips in flips()) {
        maim(Signal::Logs, &good.encode_to_vec(), &body.encode_to_vec(), &flips);
    }

    #[test]
    fn broken_metrics_are_refused_as_by_prost(good in arbitrary::metrics(), body in arbitrary::metrics(), flips in flips()) {
        maim(Signal::Metrics, &good.encode_to_vec(), &body.encode_to_vec(), &flips);
    }

    #[test]
    fn two_requests_one_after_the_other_are_one_request(a in arbitrary::metrics(), b in arbitrary::metrics()) {
        agree(Signal::Metrics, &[], &[a.encode_to_vec(), b.encode_to_vec()].concat());
    }
}
