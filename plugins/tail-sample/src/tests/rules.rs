//! Each rule, and what a kept trace stands for.

use super::*;

#[test]
fn an_error_in_one_span_keeps_the_whole_trace_and_drops_the_others() {
    let rows = [span(1, 0), Row { error: true, service: "db", ..span(1, 5) }, span(2, 7), span(2, 8)];
    let running = sampled(r#"{"policies": [{"error": true}]}"#, &rows);
    assert_eq!(running.traces(), [1, 1]);
    assert_eq!(running.dropped, 2);
    assert!(running.out.iter().all(|out| out.adjusted == 1.0 && out.state.is_none()));
}

#[test]
fn a_trace_is_as_slow_as_its_first_start_and_last_end_are_apart() {
    let config = r#"{"policies": [{"slower_than_ms": 500}]}"#;
    let rows = [span(1, 0), span(1, 500), span(2, 0), span(2, 499), Row { ms: 501, ..span(3, 100) }];
    assert_eq!(sampled(config, &rows).traces(), [1, 1, 3]);
}

#[test]
fn an_attribute_of_one_span_keeps_the_whole_trace() {
    let routes = [Some("/cart"), Some("/cart/add"), Some("/pay"), None];
    let mut rows: Vec<Row> = (1..).zip(routes).map(|(trace, route)| Row { route, ..span(trace, 0) }).collect();
    rows.extend((1..=4).map(|trace| span(trace, 1)));
    for (test, expected) in [
        ("", vec![1, 2, 3]),
        (r#", "equals": "/cart""#, vec![1]),
        (r#", "in": ["/cart", "/pay"]"#, vec![1, 3]),
        (r#", "matches_prefix": "/cart""#, vec![1, 2]),
    ] {
        let config = format!(r#"{{"policies": [{{"attribute": "http.route"{test}}}]}}"#);
        let both = [expected.clone(), expected].concat();
        assert_eq!(sampled(&config, &rows).traces(), both, "{config}");
    }
}

#[test]
fn an_attribute_that_is_a_number_is_compared_by_its_text_and_its_size() {
    let rows = [200, 404, 500].map(|status| Row { status: Some(status), ..span(status as u64, 0) });
    for (test, expected) in [
        (r#""equals": 404"#, vec![404]),
        (r#""in": ["200", 500]"#, vec![200, 500]),
        (r#""at_least": 404"#, vec![404, 500]),
        (r#""at_least": 300, "at_most": 499.5"#, vec![404]),
    ] {
        let config = format!(r#"{{"policies": [{{"attribute": "attributes.http.response.status_code", {test}}}]}}"#);
        assert_eq!(sampled(&config, &rows).traces(), expected, "{config}");
    }
}

#[test]
fn a_policy_of_services_asks_their_spans_alone() {
    let error = |service, trace| Row { error: true, service, ..span(trace, 0) };
    let rows = [error("pay", 1), error("cart", 2), span(2, 1), Row { service: "pay", ..span(3, 0) }];
    assert_eq!(sampled(r#"{"policies": [{"error": true, "services": ["pay"]}]}"#, &rows).traces(), [1]);
    assert_eq!(sampled(r#"{"policies": [{"probability": 1, "services": ["pay"]}]}"#, &rows).traces(), [1, 3]);
}

#[test]
fn a_share_keeps_what_the_head_sampler_would_and_says_what_it_stands_for() {
    let rows = [span(HALF - 1, 0), span(HALF, 0), span(HALF, 3)];
    let running = sampled(r#"{"policies": [{"probability": 0.5}]}"#, &rows);
    let out = Out { trace: HALF, adjusted: 2.0, state: Some("ot=th:8".to_owned()) };
    assert_eq!(running.out, [out.clone(), out]);
}

#[test]
fn randomness_from_the_trace_state_of_one_span_decides_for_its_trace() {
    let rows = [span(0, 0), Row { state: Some("ot=rv:ffffffffffffff"), ..span(0, 1) }];
    let running = sampled(r#"{"policies": [{"probability": 0.5}]}"#, &rows);
    assert_eq!(running.traces(), [0, 0]);
    assert_eq!(running.out[1].state.as_deref(), Some("ot=th:8;rv:ffffffffffffff"));
}

#[test]
fn what_came_through_an_earlier_threshold_stands_for_the_greater_of_the_two() {
    let before = |state, adjusted| Row { state: Some(state), adjusted, ..span(TOP, 0) };
    let rows = [before("x=1,ot=th:4", 4.0 / 3.0), before("ot=th:c", 4.0), before("x=1", 3.0)];
    let running = sampled(r#"{"policies": [{"probability": 0.5}]}"#, &rows);
    let states: Vec<_> = running.out.iter().filter_map(|out| out.state.as_deref()).collect();
    assert_eq!(states, ["ot=th:8,x=1", "ot=th:c", "ot=th:8,x=1"]);
    assert_eq!(running.out.iter().map(|out| out.adjusted).collect::<Vec<_>>(), [2.0, 4.0, 6.0]);
}

#[test]
fn a_count_that_no_threshold_explains_grows_by_the_step_between_the_thresholds() {
    // Half of what `th` says has been lost to a sampler that writes no threshold.
    let rows = [Row { state: Some("ot=th:4"), adjusted: 8.0 / 3.0, ..span(TOP, 0) }];
    let running = sampled(r#"{"policies": [{"probability": 0.5}]}"#, &rows);
    assert!((running.out[0].adjusted - 4.0).abs() < 1e-9, "{:?}", running.out);
}

#[test]
fn a_threshold_that_cannot_have_let_the_span_through_says_nothing() {
    let rows = [Row { state: Some("ot=th:c"), adjusted: 4.0, ..span(HALF, 0) }];
    let running = sampled(r#"{"policies": [{"probability": 0.5}]}"#, &rows);
    assert_eq!(running.out, [Out { trace: HALF, adjusted: 2.0, state: Some("ot=th:8".to_owned()) }]);
}

#[test]
fn a_rate_keeps_so_many_traces_of_each_second() {
    // Four traces in one second and one in the next, with two spans each.
    let rows: Vec<Row> =
        [(100, 0), (400, 200), (300, 400), (200, 600), (50, 1_100)].map(|(trace, at)| span(trace << 40, at)).into();
    let rows = [rows.clone(), rows].concat();
    let running = sampled(r#"{"policies": [{"per_second": 2}]}"#, &rows);
    let kept = [400, 300, 50].map(|trace| trace << 40);
    assert_eq!(running.traces(), [kept, kept].concat());
    // The third of the second sets the threshold: what passes it stands for what it would let through.
    let count = 2.0_f64.powi(56) / (2.0_f64.powi(56) - ((200_u64 << 40) + 1) as f64);
    assert_eq!(running.out[0].adjusted, count);
    assert_eq!(running.out[2].adjusted, 1.0);
    assert_eq!(running.out[0].state.as_deref(), Some("ot=th:00c80000000001"));
}

#[test]
fn a_rate_of_services_counts_by_the_service_of_the_root_span() {
    let root = |trace, service| Row { root: true, service, ..span(trace, 1) };
    // The first span of each is of another service than its root.
    let rows = [span(1, 0), span(2, 0), span(3, 0), root(1, "a"), root(2, "a"), root(3, "b")];
    let running = sampled(r#"{"policies": [{"per_second": 1, "by": "service"}]}"#, &rows);
    assert_eq!(running.traces(), [2, 3, 2, 3]);
}

#[test]
fn the_order_of_policies_changes_what_is_counted_and_nothing_else() {
    let rows: Vec<Row> = (0..64).map(|n| Row { error: n % 8 == 0, ..span(n << 50 | n, n as i64 * 20) }).collect();
    let policies = [r#"{"error": true}"#, r#"{"per_second": 3}"#, r#"{"probability": 0.25}"#];
    let outs: Vec<_> = [[0, 1, 2], [2, 1, 0], [1, 2, 0]]
        .map(|order| {
            let policies = order.map(|index| policies[index]).join(",");
            sampled(&format!(r#"{{"policies": [{policies}]}}"#), &rows).out
        })
        .into();
    assert!(outs[0].len() > 8 && outs[0].len() < 64);
    assert!(outs.iter().all(|out| *out == outs[0]));
}

fn mistake(config: &str) -> String {
    Plugin::<TailSample>::configure(config).expect_err("a mistake").to_string()
}

#[test]
fn mistakes_name_their_key() {
    let policy = |policy: &str| mistake(&format!(r#"{{"policies": [{{"error": true}}, {policy}]}}"#));
    assert_eq!(
        policy(r#"{"probability": 2}"#),
        "policies[1].probability: 2, but a share is 0, 1, or between 2^-56 and 1"
    );
    assert!(policy(r#"{"per_second": 0}"#).starts_with("policies[1].per_second: 0, but"));
    assert!(policy(r#"{"slower_than_ms": -1}"#).starts_with("policies[1].slower_than_ms: -1, but"));
    assert!(policy(r#"{"error": false}"#).starts_with("policies[1].error: false, but"));
    assert!(policy("{}").starts_with("policies[1]: a policy has exactly one of"));
    assert!(policy(r#"{"error": true, "per_second": 1}"#).starts_with("policies[1]: a policy has exactly one of"));
    assert!(policy(r#"{"error": true, "equals": "a"}"#).starts_with("policies[1].equals: without `attribute`"));
    assert!(policy(r#"{"error": true, "by": "service"}"#).starts_with("policies[1].by: without `per_second`"));
    assert!(policy(r#"{"attribute": "a", "equals": "a", "in": []}"#).starts_with("policies[1]: an attribute is"));
    assert!(policy(r#"{"attribute": "a", "equals": [1]}"#).starts_with("policies[1].equals: expected text"));
    assert!(policy(r#"{"errror": true}"#).starts_with("policies[1].errror: unknown field"));
    assert!(mistake(r#"{"decision_wait": "30"}"#).starts_with("decision_wait: \"30\", but a time is written like"));
    assert!(mistake(r#"{"root_wait": "2 days"}"#).starts_with("root_wait: \"2 days\", but"));
    assert!(mistake(r#"{"decision_wait": "1441m"}"#).starts_with("decision_wait: \"1441m\", but a trace waits a day"));
    assert!(mistake(r#"{"traces_max": 0}"#).starts_with("traces_max: 0, but"));
    let two = mistake(r#"{"traces_max": 0, "policies": [{"per_second": 0}]}"#);
    assert!(two.contains("traces_max") && two.contains("policies[0].per_second"), "{two}");
    let many = vec![r#"{"error": true}"#; 65].join(",");
    assert!(mistake(&format!(r#"{{"policies": [{many}]}}"#)).starts_with("policies: 65 policies, but"));
}
