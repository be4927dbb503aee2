//! Decides on whole traces, once they had time to arrive: see README.md.

mod apply;
mod clock;
mod config;
mod decide;
mod decided;
mod rows;
mod traces;

use std::collections::HashMap;

use weir_sdk::Bitmap;
use weir_sdk::prelude::*;

use apply::apply;
use clock::Passing;
use config::{Config, Policy, Rule};
use decided::{Decided, Decision};
use rows::{Needs, Rows};
use traces::{Trace, TraceId, Waiting};

const SECOND_NS: i64 = 1_000_000_000;
/// Once one call has let go of so many rows, the others wait for the next: a call has little time and memory.
const ROWS_PER_CALL: u64 = 16_384;

const CLOCK: State<(), i64> = State::named("clock");

struct TailSample {
    policies: Vec<Policy>,
    needs: Needs,
    wait: i64,
    root_wait: Option<i64>,
    logs: bool,
    traces_max: usize,
    decided_max: usize,
    memory: Option<Memory>,
}

/// The state as it is looked up: read once by each instance, and stored as it changes.
struct Memory {
    clock: Option<i64>,
    waiting: Waiting,
    decided: Decided,
}

impl Processor for TailSample {
    type Config = Config;
    const SIGNALS: Signals = Signals::SPANS.and(Signals::LOGS);
    const SUMMARY: &'static str = "keeps or drops whole traces: by error, duration, attribute, rate and share";
    const STATEFUL: bool = true;

    fn new(mut config: Config) -> Result<Self> {
        let policies = config.policies()?;
        Ok(Self {
            needs: Needs::of(&policies, config.root_wait.is_some()),
            policies,
            wait: config.decision_wait.0,
            root_wait: config.root_wait.map(|wait| wait.0),
            logs: config.logs,
            traces_max: config.traces_max,
            decided_max: config.decided_max,
            memory: None,
        })
    }

    fn describe(&self, plugin: &mut Description) {
        plugin.reads(["trace_id", "trace_state", "time", "end_time", "parent_span_id", "status_code", "service_name"]);
        plugin.reads(["adjusted_count"]);
        plugin.reads(self.policies.iter().filter_map(|policy| match &policy.rule {
            Rule::Attribute(path, _) => Some(path.clone()),
            _ => None,
        }));
        plugin.writes("trace_state", Type::Text, "with the threshold that let the trace through, `ot=th:`");
        plugin.writes("adjusted_count", Type::F64, "how many spans the span stands for");
    }

    fn process(&mut self, batch: &mut Batch) -> Result {
        let follows = batch.signal() == Signal::Spans || (batch.signal() == Signal::Logs && self.logs);
        if self.policies.is_empty() || !follows || batch.rows() == 0 {
            return Ok(());
        }
        let mut memory = self.take_memory()?;
        self.take_in(&mut memory, batch)?;
        self.memory = Some(memory);
        Ok(())
    }

    fn advance(&mut self, watermark: Timestamp) -> Result {
        if self.policies.is_empty() {
            return Ok(());
        }
        let mut memory = self.take_memory()?;
        let clock = clock::at_watermark(memory.clock, watermark.0);
        if memory.clock.is_some_and(|before| clock < before) {
            memory.waiting.due_by(clock.saturating_add(self.wait))?;
        }
        memory.set_clock(clock)?;
        let round = self.decide_due(&mut memory)?;
        release(&round)?;
        self.memory = Some(memory);
        Ok(())
    }
}

/// The rows of a batch by their traces.
struct Groups {
    ids: Vec<TraceId>,
    /// The group of each row; none where it has no trace.
    of_row: Vec<Option<usize>>,
    rows: Vec<Vec<usize>>,
}

impl Groups {
    fn of(batch: &Batch) -> Result<Self> {
        let column = batch.trace_ids("trace_id")?;
        let mut known: HashMap<TraceId, usize> = HashMap::new();
        let mut groups = Self { ids: Vec::new(), of_row: Vec::with_capacity(batch.rows()), rows: Vec::new() };
        for row in 0..batch.rows() {
            let group = column.get(row).map(|id| {
                *known.entry(*id).or_insert_with(|| {
                    groups.ids.push(*id);
                    groups.rows.push(Vec::new());
                    groups.ids.len() - 1
                })
            });
            if let Some(rows) = group.and_then(|group| groups.rows.get_mut(group)) {
                rows.push(row);
            }
            groups.of_row.push(group);
        }
        Ok(groups)
    }
}

/// What was decided in a call, with what is known of the traces.
type Round = Vec<(TraceId, Trace, Decision)>;

impl TailSample {
    /// What is in memory, for one call: it is put back when the call succeeds, since the state is not changed otherwise.
    fn take_memory(&mut self) -> Result<Memory> {
        if let Some(memory) = self.memory.take() {
            return Ok(memory);
        }
        let (waiting, decided) = (Waiting::load()?, Decided::load(self.decided_max)?);
        Ok(Memory { clock: CLOCK.get(&())?, waiting, decided })
    }

    /// Rows of waiting traces are held, the others go where their trace went, be it in this very call.
    fn take_in(&self, memory: &mut Memory, batch: &mut Batch) -> Result {
        let groups = Groups::of(batch)?;
        let rows = Rows::read(batch, &self.policies, self.needs)?;
        let passing = Passing::batch(memory.clock, rows.times());
        let mut late = 0;
        let mut fates: Vec<Option<Decision>> = Vec::with_capacity(groups.ids.len());
        for (id, of_trace) in groups.ids.iter().zip(&groups.rows) {
            let fate = memory.decided.get(id);
            match fate {
                Some(_) => late += of_trace.len() as u64,
                None => self.fold(memory, *id, of_trace, &rows, passing)?,
            }
            fates.push(fate);
        }
        count(if batch.signal() == Signal::Spans { "late_spans" } else { "late_logs" }, late);
        memory.set_clock(passing.after)?;
        let round = self.decide_due(memory)?;
        // Forgotten in the same call, where few decisions are remembered, they still are what was decided.
        let now: HashMap<TraceId, Decision> = round.iter().map(|(id, _, decision)| (*id, *decision)).collect();
        for (fate, id) in fates.iter_mut().zip(&groups.ids) {
            *fate = fate.or_else(|| now.get(id).copied());
        }
        let fate = |group: Option<usize>| group.and_then(|group| fates.get(group).copied());
        let decisions: Vec<_> = groups.of_row.iter().map(|group| fate(*group).flatten()).collect();
        let held =
            Bitmap::of(batch.rows(), |row| groups.of_row.get(row).is_some_and(|group| fate(*group) == Some(None)));
        let key = |row: usize| {
            let group = groups.of_row.get(row).copied().flatten();
            group.and_then(|group| groups.ids.get(group)).copied().unwrap_or_default()
        };
        batch.hold(held, key)?;
        apply(batch, &decisions)?;
        release(&round)
    }

    /// Adds rows to what is known of their trace.
    fn fold(&self, memory: &mut Memory, id: TraceId, of_trace: &[usize], rows: &Rows, passing: Passing) -> Result {
        let arrivals = of_trace.iter().map(|&row| passing.arrival(rows.time(row)));
        let mut trace = match memory.waiting.get(&id) {
            Some(trace) => trace.clone(),
            None => Trace::new(arrivals.min().unwrap_or(passing.after).saturating_add(self.wait)),
        };
        for &row in of_trace {
            rows.fold(row, &mut trace);
            if let Some(wait) = self.root_wait.filter(|_| rows.is_root(row)) {
                trace.due = trace.due.min(passing.arrival(rows.time(row)).saturating_add(wait));
            }
        }
        memory.waiting.put(id, trace)
    }

    /// Decides what is due, a second at a time, and what there is no room for; gives the traces whose rows are to go.
    fn decide_due(&self, memory: &mut Memory) -> Result<Round> {
        // A second is decided when it is over: no trace can become due in it any more.
        let over = memory.clock.map_or(i64::MIN, |clock| clock.div_euclid(SECOND_NS));
        let mut settled = Vec::new();
        let mut rows = 0;
        while rows < ROWS_PER_CALL
            && let Some(second) = memory.waiting.first_second().filter(|second| *second < over)
        {
            let first = settled.len();
            self.settle(memory, &mut settled, |waiting| waiting.first_second() == Some(second));
            rows += settled.iter().skip(first).map(|(_, trace, _)| trace.rows()).sum::<u64>();
        }
        let early = self.settle(memory, &mut settled, |waiting| waiting.len() > self.traces_max);
        count("traces_decided_early", early as u64);
        let (mut round, mut rows) = (Round::new(), 0);
        for (id, trace, decision) in settled {
            if rows < ROWS_PER_CALL {
                rows += trace.rows();
                round.push((id, trace, decision));
            } else {
                memory.waiting.put(id, Trace { due: i64::MIN, settled: Some(decision), ..trace })?;
            }
        }
        if memory.waiting.first_second().is_some_and(|second| second < over) {
            advance_again();
        }
        let decisions: Vec<_> = round.iter().map(|(id, _, decision)| (*id, *decision)).collect();
        count("decisions_forgotten", memory.decided.add(&decisions)? as u64);
        Ok(round)
    }

    /// Decides together on the traces that are due first, while `more` says so, and tells on how many; those that an
    /// earlier call has decided come along.
    fn settle(&self, memory: &mut Memory, settled: &mut Round, more: impl Fn(&Waiting) -> bool) -> usize {
        let mut traces = Vec::new();
        while more(&memory.waiting)
            && let Some((id, trace)) = memory.waiting.pop()
        {
            match trace.settled {
                Some(decision) => settled.push((id, trace, decision)),
                None => traces.push((id, trace)),
            }
        }
        let verdicts = decide::decide(&self.policies, &traces);
        for (index, policy) in self.policies.iter().enumerate() {
            let kept = verdicts.iter().filter(|verdict| verdict.policy == Some(index)).count();
            count(&policy.counter, kept as u64);
        }
        count("traces_dropped", verdicts.iter().filter(|verdict| verdict.policy.is_none()).count() as u64);
        let decided = traces.into_iter().zip(&verdicts);
        settled.extend(decided.map(|((id, trace), verdict)| (id, trace, verdict.decision)));
        verdicts.len()
    }
}

impl Memory {
    fn set_clock(&mut self, clock: i64) -> Result {
        if self.clock != Some(clock) {
            self.clock = Some(clock);
            CLOCK.put(&(), &clock)?;
        }
        Ok(())
    }
}

/// The rows that were held of these traces go on, or are dropped.
fn release(round: &Round) -> Result {
    let decisions: HashMap<TraceId, Decision> = round.iter().map(|(id, _, decision)| (*id, *decision)).collect();
    for signal in [Signal::Spans, Signal::Logs] {
        let has_rows = |trace: &Trace| if signal == Signal::Spans { trace.spans > 0 } else { trace.logs > 0 };
        let ids = round.iter().filter(|(_, trace, _)| has_rows(trace)).map(|(id, ..)| *id);
        for mut batch in held(signal, ids)? {
            let ids = batch.trace_ids("trace_id")?;
            let decision = |row: usize| ids.get(row).and_then(|id| decisions.get(id)).copied();
            let decisions: Vec<_> = (0..batch.rows()).map(decision).collect();
            apply(&mut batch, &decisions)?;
        }
    }
    Ok(())
}

weir_sdk::plugin!(TailSample);

#[cfg(test)]
mod tests;
