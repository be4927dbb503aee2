use super::*;
use crate::config::Test;
use crate::tests::Random;

const SEEDS: u64 = 4000;

fn policy(rule: Rule) -> Policy {
    Policy { counter: "kept".to_owned(), services: Vec::new(), rule }
}

fn share(probability: f64) -> Policy {
    policy(Rule::Probability(threshold::from_ratio(probability)))
}

fn rate(traces: usize) -> Policy {
    policy(Rule::PerSecond(traces, By::Whole))
}

/// A trace with this randomness that has met all policies.
fn trace(randomness: u64) -> (TraceId, Trace) {
    let trace = Trace { met: u64::MAX, randomness: Some(randomness), ..Trace::new(0) };
    ([0; 16], trace)
}

fn of_service(randomness: u64, service: &str) -> (TraceId, Trace) {
    let (id, trace) = trace(randomness);
    (id, Trace { service: Some(service.to_owned()), ..trace })
}

fn decisions(policies: &[Policy], traces: &[(TraceId, Trace)]) -> Vec<Decision> {
    decide(policies, traces).into_iter().map(|verdict| verdict.decision).collect()
}

#[test]
fn a_rate_keeps_the_traces_of_greatest_randomness_by_the_threshold_that_the_next_one_sets() {
    let traces = [50, 10, 40, 30].map(trace);
    assert_eq!(decisions(&[rate(2)], &traces), [Some(31), None, Some(31), None]);
    assert_eq!(decisions(&[rate(4)], &traces), [Some(0); 4]);
}

#[test]
fn a_rate_of_services_has_a_threshold_for_each() {
    let policies = [policy(Rule::PerSecond(1, By::Service))];
    let traces = [of_service(5, "a"), of_service(9, "a"), of_service(1, "b")];
    assert_eq!(decisions(&policies, &traces), [None, Some(6), Some(0)]);
}

#[test]
fn what_is_kept_anyway_takes_no_place_from_the_others() {
    let mut traces = [90, 80, 20, 10].map(trace);
    for (_, trace) in &mut traces[2..] {
        trace.met = 0b01;
    }
    assert_eq!(decisions(&[rate(1), policy(Rule::Error)], &traces), [Some(0), Some(0), Some(11), None]);
}

#[test]
fn the_lowest_threshold_counts_whichever_policy_comes_first() {
    let (half, tenth) = (share(0.5), share(0.1));
    let traces = [RANGE - 1, RANGE / 2, 0].map(trace);
    let expected = [Some(RANGE / 2), Some(RANGE / 2), None];
    assert_eq!(decisions(&[half.clone(), tenth.clone()], &traces), expected);
    assert_eq!(decisions(&[tenth, half], &traces), expected);
}

#[test]
fn a_trace_is_counted_for_the_first_policy_that_keeps_it() {
    let policies = [share(0.1), share(0.5)];
    let first: Vec<_> =
        decide(&policies, &[RANGE - 1, RANGE / 2, 0].map(trace)).into_iter().map(|verdict| verdict.policy).collect();
    assert_eq!(first, [Some(0), Some(1), None]);
}

#[test]
fn a_policy_that_a_trace_has_not_met_says_nothing() {
    let (id, met) = trace(RANGE - 1);
    let policies = [policy(Rule::Attribute("attributes.a".to_owned(), Test::Exists)), share(0.5)];
    assert_eq!(decisions(&policies, &[(id, Trace { met: 0, ..met })]), [None]);
}

#[test]
fn a_trace_without_spans_is_not_slow() {
    assert_eq!(decisions(&[policy(Rule::Slower(0))], &[trace(1)]), [None]);
}

/// The mean over many seeds of what the kept traces stand for, per trace that was there, in standard errors from 1.
fn deviation(policies: &[Policy], mut traces: impl FnMut(&mut Random) -> Vec<(TraceId, Trace)>) -> f64 {
    let (mut sum, mut squares) = (0.0, 0.0);
    for seed in 0..SEEDS {
        let traces = traces(&mut Random(seed));
        let kept = decisions(policies, &traces).into_iter().flatten();
        let estimate = kept.map(threshold::adjusted_count).sum::<f64>() / traces.len() as f64;
        sum += estimate;
        squares += estimate * estimate;
    }
    let mean = sum / SEEDS as f64;
    let error = ((squares / SEEDS as f64 - mean * mean) / SEEDS as f64).sqrt();
    assert!(error > 0.0, "the policies sample");
    println!("mean {mean}, standard error {error}, seeds 0..{SEEDS}");
    (mean - 1.0) / error
}

/// Traces of which some have met only the later policies, the errors among them.
fn mixed(random: &mut Random) -> Vec<(TraceId, Trace)> {
    let number = 20 + random.below(80);
    let services = ["a", "b", "c"];
    let one = |random: &mut Random| {
        let (id, trace) = of_service(random.next() >> 8, services[random.below(3) as usize]);
        let met = if random.below(10) == 0 { u64::MAX } else { !1 };
        (id, Trace { met, ..trace })
    };
    (0..number).map(|_| one(random)).collect()
}

#[test]
fn what_is_kept_stands_for_all_by_any_mixture_of_policies() {
    let (error, by_service) = (policy(Rule::Error), policy(Rule::PerSecond(2, By::Service)));
    let mixtures = [
        vec![error.clone(), share(0.1)],
        vec![error.clone(), rate(5)],
        vec![error.clone(), by_service.clone()],
        vec![error.clone(), rate(5), by_service, share(0.1)],
        vec![error, share(0.1), rate(5)],
    ];
    for policies in mixtures {
        let deviation = deviation(&policies, mixed);
        assert!(deviation.abs() < 4.0, "{deviation} standard errors: {policies:?}");
    }
}

#[test]
fn an_estimate_that_ignored_the_policies_behind_the_first_would_be_found_out() {
    // The error policy first by order, and twice the weight of a share for what both keep: no unbiased rule.
    let policies = [policy(Rule::Error), share(0.5)];
    let mut wrong = 0.0;
    let mut all = 0.0;
    for seed in 0..SEEDS {
        let traces = mixed(&mut Random(seed));
        all += traces.len() as f64;
        let verdicts = decide(&policies, &traces);
        let kept = verdicts.iter().zip(&traces).filter(|(verdict, _)| verdict.decision.is_some());
        wrong += kept.map(|(_, (id, trace))| if randomness(id, trace) >= RANGE / 2 { 2.0 } else { 1.0 }).sum::<f64>();
    }
    assert!(wrong / all > 1.02, "{}", wrong / all);
}
