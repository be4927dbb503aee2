//! The `ot` member of a W3C `tracestate`: what earlier samplers have said.

use super::threshold;

/// W3C's limit; a member more takes the place of the last.
const MEMBERS_MAX: usize = 32;

/// What OpenTelemetry's member says of sampling.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sampling {
    /// `th`: the threshold that let the span through.
    pub threshold: Option<u64>,
    /// `rv`: the randomness of the trace, where it is not in the trace id.
    pub randomness: Option<u64>,
}

/// What the `ot` member of a `tracestate` says; nothing where there is none, or where it cannot be read.
pub fn read(trace_state: &str) -> Sampling {
    let mut sampling = Sampling::default();
    let Some(ot) = members(trace_state).find_map(|member| member.strip_prefix("ot=")) else {
        return sampling;
    };
    for field in ot.split(';') {
        match field.split_once(':') {
            Some(("th", value)) => sampling.threshold = threshold::parse(value),
            Some(("rv", value)) => sampling.randomness = threshold::parse_randomness(value),
            _ => {}
        }
    }
    sampling
}

/// Appends the trace state with another threshold: `ot` comes first, as the member that was changed last, and keeps its
/// other fields; the members of others stay as they are.
pub fn write(trace_state: &str, threshold: u64, out: &mut String) {
    out.push_str("ot=th:");
    threshold::write(threshold, out);
    let ot = members(trace_state).find_map(|member| member.strip_prefix("ot="));
    let others = ot.into_iter().flat_map(|ot| ot.split(';'));
    for field in others.filter(|field| !field.is_empty() && !field.starts_with("th:")) {
        out.push(';');
        out.push_str(field);
    }
    for member in members(trace_state).filter(|member| !member.starts_with("ot=")).take(MEMBERS_MAX - 1) {
        out.push(',');
        out.push_str(member);
    }
}

fn members(trace_state: &str) -> impl Iterator<Item = &str> {
    trace_state.split(',').map(str::trim).filter(|member| !member.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(trace_state: &str) -> String {
        let mut out = String::new();
        write(trace_state, 1 << 55, &mut out);
        out
    }

    #[test]
    fn threshold_and_randomness_are_found_among_other_fields_and_vendors() {
        let sampling = read("a=1, ot=x:y;rv:00000000000001;th:c ,b=th:8");
        assert_eq!(sampling, Sampling { threshold: Some(3 << 54), randomness: Some(1) });
        assert_eq!(read("dot=th:8"), Sampling::default());
        assert_eq!(read("ot=th:nonsense;rv:12"), Sampling::default());
    }

    #[test]
    fn a_new_threshold_goes_to_the_front_and_all_else_is_kept() {
        assert_eq!(written(""), "ot=th:8");
        assert_eq!(written("a=1,b=2"), "ot=th:8,a=1,b=2");
        assert_eq!(written("a=1,ot=rv:00000000000001;th:4;x:y,b=2"), "ot=th:8;rv:00000000000001;x:y,a=1,b=2");
    }

    #[test]
    fn there_are_never_more_members_than_w3c_allows() {
        let full = (0..32).map(|number| format!("v{number}=1")).collect::<Vec<_>>().join(",");
        assert_eq!(written(&full).split(',').count(), 32);
    }
}
