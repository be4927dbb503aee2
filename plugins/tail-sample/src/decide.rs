//! What becomes of traces that are decided together: one threshold for each, so that what is kept stands for all.

use std::collections::HashMap;

use weir_sdk::sampling::threshold::{self, RANGE};

use crate::config::{By, Policy, Rule};
use crate::decided::Decision;
use crate::traces::{Trace, TraceId};

/// The decision on a trace, and the first policy that keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) decision: Decision,
    pub(crate) policy: Option<usize>,
}

pub(crate) fn randomness(id: &TraceId, trace: &Trace) -> u64 {
    trace.randomness.unwrap_or_else(|| threshold::randomness(id))
}

/// The verdicts on the traces that are due in one second.
///
/// Each policy has a threshold for the trace: 0 where it keeps it for what it is, that of its share, or for a rate of `k`
/// the one that the `k` traces of greatest randomness pass. The lowest of them counts, whichever policy comes first:
/// by that one the trace would be kept, so that its inverse is what the trace stands for.
pub(crate) fn decide(policies: &[Policy], traces: &[(TraceId, Trace)]) -> Vec<Verdict> {
    let rates = Rates::of(policies, traces);
    let verdict = |(id, trace): &(TraceId, Trace)| {
        let randomness = randomness(id, trace);
        let (mut lowest, mut first) = (RANGE, None);
        for (index, policy) in policies.iter().enumerate() {
            let threshold = match &policy.rule {
                _ if trace.met >> index & 1 == 0 => RANGE,
                Rule::PerSecond(_, by) => rates.threshold(index, *by, trace),
                Rule::Probability(threshold) => *threshold,
                _ if keeps_for_what_it_is(policy, trace) => 0,
                _ => RANGE,
            };
            if randomness >= threshold {
                first = first.or(Some(index));
            }
            lowest = lowest.min(threshold);
        }
        Verdict { decision: (randomness >= lowest).then_some(lowest), policy: first }
    };
    traces.iter().map(verdict).collect()
}

/// Of a policy that the trace has met: whether it keeps the trace whatever its randomness.
fn keeps_for_what_it_is(policy: &Policy, trace: &Trace) -> bool {
    match policy.rule {
        Rule::Error | Rule::Attribute(..) => true,
        Rule::Slower(limit) => trace.duration_ns().is_some_and(|duration| duration > limit),
        Rule::PerSecond(..) | Rule::Probability(_) => false,
    }
}

/// The thresholds of the rates, by policy and, for rates of services, by service.
struct Rates<'a>(HashMap<(usize, &'a str), u64>);

impl<'a> Rates<'a> {
    fn of(policies: &[Policy], traces: &'a [(TraceId, Trace)]) -> Self {
        let rates: Vec<_> = policies
            .iter()
            .enumerate()
            .filter_map(|(index, policy)| match policy.rule {
                Rule::PerSecond(rate, by) => Some((index, rate, by)),
                _ => None,
            })
            .collect();
        if rates.is_empty() {
            return Self(HashMap::new());
        }
        // What is kept anyway takes no place from the others.
        let anyway = |trace: &Trace| {
            let mut met = policies.iter().enumerate().filter(|(index, _)| trace.met >> index & 1 == 1);
            met.any(|(_, policy)| keeps_for_what_it_is(policy, trace))
        };
        let mut groups: HashMap<(usize, &str), (usize, Vec<u64>)> = HashMap::new();
        for (id, trace) in traces.iter().filter(|(_, trace)| !anyway(trace)) {
            for &(index, rate, by) in rates.iter().filter(|(index, ..)| trace.met >> index & 1 == 1) {
                let group = groups.entry((index, group(by, trace))).or_insert_with(|| (rate, Vec::new()));
                group.1.push(randomness(id, trace));
            }
        }
        Self(groups.into_iter().map(|(key, (rate, group))| (key, passing(rate, group))).collect())
    }

    fn threshold(&self, policy: usize, by: By, trace: &Trace) -> u64 {
        self.0.get(&(policy, group(by, trace))).copied().unwrap_or(RANGE)
    }
}

fn group(by: By, trace: &Trace) -> &str {
    match by {
        By::Whole => "",
        By::Service => trace.service.as_deref().unwrap_or_default(),
    }
}

/// The threshold that at most `rate` of these pass: just above the greatest that is one too many. To any that passes it
/// is set by the others alone, so that its chance to pass was exactly what the threshold says.
fn passing(rate: usize, mut randomness: Vec<u64>) -> u64 {
    if randomness.len() <= rate {
        return 0;
    }
    let (_, next, _) = randomness.select_nth_unstable_by(rate, |one, other| other.cmp(one));
    *next + 1
}

#[cfg(test)]
mod tests;
