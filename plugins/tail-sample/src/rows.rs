//! The columns of a batch that the policies look at, each read once, and only where one does.

use weir_sdk::Text;
use weir_sdk::prelude::*;
use weir_sdk::sampling::trace_state;
use weir_sdk::{Fixed, I64s};

use crate::config::{By, Policy, Rule};
use crate::traces::Trace;

/// What the policies need to know of rows at all.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Needs {
    root: bool,
    service: bool,
    /// Whether randomness decides: whether a policy has a threshold between all and none.
    pub(crate) randomness: bool,
}

impl Needs {
    pub(crate) fn of(policies: &[Policy], root_wait: bool) -> Self {
        let by_service = policies.iter().any(|policy| matches!(policy.rule, Rule::PerSecond(_, By::Service)));
        let random = |policy: &Policy| matches!(policy.rule, Rule::PerSecond(..) | Rule::Probability(_));
        Self { root: root_wait || by_service, service: by_service, randomness: policies.iter().any(random) }
    }
}

/// Which rows meet a policy, but for what only the whole trace can tell.
struct Meets {
    bit: u64,
    services: Option<Texts>,
    values: Option<Texts>,
    errors: bool,
}

/// A column of text, and which of its texts are wanted.
struct Texts(Text, Vec<bool>);

impl Texts {
    fn new(text: Text, wanted: impl Fn(&str) -> bool) -> Self {
        let wanted = (0..text.distinct_len()).map(|key| wanted(text.distinct(key))).collect();
        Self(text, wanted)
    }

    fn wants(&self, row: usize) -> bool {
        self.0.get(row).is_some() && self.1.get(self.0.key(row)).is_some_and(|wanted| *wanted)
    }
}

/// The rows of one batch.
pub(crate) struct Rows {
    spans: bool,
    start: I64s,
    end: Option<I64s>,
    parent: Option<Fixed<8>>,
    status: Option<Text>,
    service: Option<Text>,
    states: Option<Text>,
    meets: Vec<Meets>,
}

impl Rows {
    pub(crate) fn read(batch: &Batch, policies: &[Policy], needs: Needs) -> Result<Self> {
        let spans = batch.signal() == Signal::Spans;
        let any_error = policies.iter().any(|policy| policy.rule == Rule::Error);
        let span_text = |name, wanted: bool| (spans && wanted).then(|| batch.text(name)).transpose();
        let by_service = policies.iter().any(|policy| !policy.services.is_empty());
        let service = (needs.service || by_service).then(|| batch.text("service_name")).transpose()?;
        let mut meets = Vec::with_capacity(policies.len());
        for (index, policy) in policies.iter().enumerate() {
            let (errors, values) = match &policy.rule {
                // A log record says nothing of errors, of time spent or of attributes of spans.
                Rule::Error | Rule::Attribute(..) | Rule::Slower(_) if !spans => continue,
                Rule::Error => (true, None),
                Rule::Attribute(path, test) => {
                    (false, Some(Texts::new(batch.any_as_text(path)?, |value| test.holds(value))))
                }
                Rule::Slower(_) | Rule::PerSecond(..) | Rule::Probability(_) => (false, None),
            };
            let services = service.as_ref().filter(|_| !policy.services.is_empty());
            let services =
                services.map(|text| Texts::new(text.clone(), |name| policy.services.iter().any(|s| s == name)));
            meets.push(Meets { bit: 1 << index, services, values, errors });
        }
        Ok(Self {
            spans,
            start: batch.i64("time")?,
            end: spans.then(|| batch.i64("end_time")).transpose()?,
            parent: (spans && needs.root).then(|| batch.span_ids("parent_span_id")).transpose()?,
            status: span_text("status_code", any_error)?,
            service: service.filter(|_| needs.service),
            states: span_text("trace_state", needs.randomness)?,
            meets,
        })
    }

    /// When the row was ready to be sent: a span at its end.
    pub(crate) fn time(&self, row: usize) -> Option<i64> {
        self.end.as_ref().and_then(|end| end.get(row)).or_else(|| self.start.get(row))
    }

    /// The times of all rows.
    pub(crate) fn times(&self) -> Vec<i64> {
        (0..self.start.len()).filter_map(|row| self.time(row)).collect()
    }

    /// Whether the row is a root span.
    pub(crate) fn is_root(&self, row: usize) -> bool {
        self.parent.as_ref().is_some_and(|parent| parent.get(row).is_none())
    }

    /// Adds what the row says to what is known of its trace.
    pub(crate) fn fold(&self, row: usize, trace: &mut Trace) {
        for meets in &self.meets {
            let error = || self.status.as_ref().is_some_and(|status| status.is(row, "ERROR"));
            let met = (!meets.errors || error())
                && meets.values.as_ref().is_none_or(|values| values.wants(row))
                && meets.services.as_ref().is_none_or(|services| services.wants(row));
            trace.met |= if met { meets.bit } else { 0 };
        }
        let root = self.is_root(row);
        if let Some(service) = self.service.as_ref().and_then(|service| service.get(row))
            && (trace.service.is_none() || root && !trace.root)
        {
            trace.service = Some(service.to_owned());
        }
        trace.root |= root;
        if !self.spans {
            trace.logs = trace.logs.saturating_add(1);
            return;
        }
        trace.spans = trace.spans.saturating_add(1);
        if let (Some(start), Some(end)) = (self.start.get(row), self.time(row)) {
            trace.start = trace.start.min(start);
            trace.end = trace.end.max(end);
        }
        if trace.randomness.is_none() {
            let state = self.states.as_ref().and_then(|states| states.get(row));
            trace.randomness = state.and_then(|state| trace_state::read(state).randomness);
        }
    }
}
