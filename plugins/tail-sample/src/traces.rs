//! The traces whose rows are held: what the policies need to know of each, in the plugin's state and in memory.

use std::collections::{BTreeSet, HashMap};

use weir_sdk::prelude::*;

use crate::SECOND_NS;
use crate::decided::Decision;

pub(crate) type TraceId = [u8; 16];

/// What is known of a trace whose rows are held. Times are nanoseconds since 1970.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Trace {
    /// When it is to be decided.
    pub(crate) due: i64,
    /// The first start and the last end of its spans; the start is behind the end where it has none.
    pub(crate) start: i64,
    pub(crate) end: i64,
    /// A bit a policy: whether a row has met it.
    pub(crate) met: u64,
    /// `rv`, where a span has it.
    pub(crate) randomness: Option<u64>,
    /// The rows of it, in both signals.
    pub(crate) spans: u32,
    pub(crate) logs: u32,
    /// Whether its root span has come.
    pub(crate) root: bool,
    /// The service of its root span, or of its first row; only where a policy asks.
    pub(crate) service: Option<String>,
    /// What was decided, while its rows wait for a call that has room for them.
    pub(crate) settled: Option<Decision>,
}

/// The same as it is stored: without the names, since there are many.
type Stored = (i64, i64, i64, u64, Option<u64>, u32, u32, bool, Option<String>, Option<(Decision,)>);

impl Trace {
    pub(crate) fn new(due: i64) -> Self {
        Self {
            due,
            start: i64::MAX,
            end: i64::MIN,
            met: 0,
            randomness: None,
            spans: 0,
            logs: 0,
            root: false,
            service: None,
            settled: None,
        }
    }

    pub(crate) fn duration_ns(&self) -> Option<i64> {
        (self.start <= self.end).then(|| self.end.saturating_sub(self.start))
    }

    pub(crate) fn rows(&self) -> u64 {
        u64::from(self.spans) + u64::from(self.logs)
    }

    fn stored(&self) -> Stored {
        let Self { due, start, end, met, randomness, spans, logs, root, service, settled } = self.clone();
        (due, start, end, met, randomness, spans, logs, root, service, settled.map(|decision| (decision,)))
    }

    fn restored((due, start, end, met, randomness, spans, logs, root, service, settled): Stored) -> Self {
        let settled = settled.map(|(decision,)| decision);
        Self { due, start, end, met, randomness, spans, logs, root, service, settled }
    }
}

const STATE: State<TraceId, Stored> = State::named("trace");

/// All of them, by id and in the order in which they are due.
#[derive(Debug)]
pub(crate) struct Waiting {
    traces: HashMap<TraceId, Trace>,
    due: BTreeSet<(i64, TraceId)>,
}

impl Waiting {
    pub(crate) fn load() -> Result<Self> {
        let traces: HashMap<_, _> =
            STATE.scan()?.into_iter().map(|(id, stored)| (id, Trace::restored(stored))).collect();
        let due = traces.iter().map(|(id, trace)| (trace.due, *id)).collect();
        Ok(Self { traces, due })
    }

    pub(crate) fn len(&self) -> usize {
        self.traces.len()
    }

    pub(crate) fn get(&self, id: &TraceId) -> Option<&Trace> {
        self.traces.get(id)
    }

    /// Sets what is known of a trace.
    pub(crate) fn put(&mut self, id: TraceId, trace: Trace) -> Result {
        STATE.put(&id, &trace.stored())?;
        self.due.insert((trace.due, id));
        let due = trace.due;
        if let Some(before) = self.traces.insert(id, trace)
            && before.due != due
        {
            self.due.remove(&(before.due, id));
        }
        Ok(())
    }

    /// The second in which the next trace is due.
    pub(crate) fn first_second(&self) -> Option<i64> {
        self.due.first().map(|(due, _)| due.div_euclid(SECOND_NS))
    }

    /// Takes out the trace that is due first.
    pub(crate) fn pop(&mut self) -> Option<(TraceId, Trace)> {
        let (_, id) = self.due.pop_first()?;
        STATE.delete(&id);
        let trace = self.traces.remove(&id)?;
        Some((id, trace))
    }

    /// No trace is due later than this: for a clock that was set back.
    pub(crate) fn due_by(&mut self, latest: i64) -> Result {
        let late: Vec<TraceId> = self.due.range((latest.saturating_add(1), [0; 16])..).map(|(_, id)| *id).collect();
        for id in late {
            if let Some(trace) = self.traces.get(&id).cloned() {
                self.put(id, Trace { due: latest, ..trace })?;
            }
        }
        Ok(())
    }
}
