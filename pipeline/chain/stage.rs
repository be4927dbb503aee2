//! One plugin in its place: its instances, its state, its health and its policy.

use super::counts::{Counts, LogGate};
use super::health::Health;
use super::turnstile::Turnstile;
use super::{Clock, Emitted, Link};
use crate::batch::{Batch, View};
use crate::sandbox::{
    Answer, Contract, Effects, Fault, FaultKind, Instance, Level, Limits, Log, OnError, Plugin, State,
};
use crate::{Error, Result, Signal};
use sha2::{Digest, Sha256};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A plugin of the chain.
pub(crate) struct Stage {
    pub(crate) name: Arc<str>,
    pub(crate) contract: Arc<Contract>,
    pub(crate) on_error: OnError,
    pub(crate) turnstile: Turnstile,
    plugin: Plugin,
    config: String,
    config_hash: Arc<str>,
    version: Arc<str>,
    tables: Vec<Arc<str>>,
    limits: Limits,
    signals: Vec<Signal>,
    log: Log,
    /// One for each worker, or one alone if the plugin keeps state.
    seats: Vec<Mutex<Seat>>,
    health: Mutex<Health>,
    /// Whether `advance` is to be called though event time stands still: the plugin asked for it, or it starts, and asked
    /// for it before it ended.
    asks: AtomicBool,
    counts: Arc<Counts>,
    clock: Clock,
}

/// The place of an instance: it is made when it is first needed, and again after a fault.
#[derive(Debug, Default)]
struct Seat {
    instance: Option<Instance>,
    state: State,
}

/// What a plugin is called for.
pub(crate) enum Call {
    /// A batch of one of its signals.
    Process(View),
    /// Event time has passed this point.
    Advance(i64),
}

/// How a call ended.
pub(crate) enum Passed {
    /// The plugin took it: the batch with all its rows, if one was given, and what else the plugin did.
    Through(Option<View>, Effects),
    /// The plugin failed, or is put aside: the batch as it was, the label for the counts, and the reason.
    Failed(Option<View>, &'static str, String),
}

/// Rows that a plugin held and that are over a limit.
pub(crate) struct Evicted {
    pub(crate) rows: Batch,
    pub(crate) limit: &'static str,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is inside is whole also after a panic: an instance is taken out of its seat while it runs.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Call {
    fn batch(self) -> Option<View> {
        match self {
            Self::Process(batch) => Some(batch),
            Self::Advance(_) => None,
        }
    }
}

impl Stage {
    /// Starts the first instance of the plugin, which says what it is.
    pub(crate) fn new(link: Link, workers: usize, counts: &Arc<Counts>, clock: &Clock) -> Result<Self> {
        let name: Arc<str> = link.name.into();
        let log: Log = {
            let gate = LogGate::new(link.limits.log_lines_per_second, clock());
            let (name, counts, clock) = (name.clone(), counts.clone(), clock.clone());
            Arc::new(move |noted| gate.note(clock(), &name, &counts, &noted))
        };
        let instance = Instance::start(&link.plugin, &link.config_json, &link.limits, log.clone())?;
        let contract = instance.contract().clone();
        let signals = match link.signals {
            None => contract.signals.clone(),
            Some(signals) => {
                if let Some(foreign) = signals.iter().find(|signal| !contract.signals.contains(signal)) {
                    let own: Vec<_> = contract.signals.iter().map(|signal| signal.name()).collect();
                    let own = own.join(", ");
                    return Err(Error::config(format!("plugin `{name}`: `signals` has {foreign}, and it takes {own}")));
                }
                signals
            }
        };
        let seats = if contract.stateful { 1 } else { workers.max(1) };
        let mut seats: Vec<_> = (0..seats).map(|_| Seat::default()).collect();
        seats[0].instance = Some(instance);
        let digest = Sha256::digest(link.config_json.as_bytes());
        let config_hash: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Ok(Self {
            on_error: link.on_error.unwrap_or(contract.on_error),
            turnstile: Turnstile::default(),
            version: contract.version.as_str().into(),
            tables: contract.tables.iter().map(|table| table.name.as_str().into()).collect(),
            name,
            asks: AtomicBool::new(contract.stateful),
            contract,
            plugin: link.plugin,
            config: link.config_json,
            config_hash: config_hash.into(),
            limits: link.limits,
            signals,
            log,
            seats: seats.into_iter().map(Mutex::new).collect(),
            health: Mutex::default(),
            counts: counts.clone(),
            clock: clock.clone(),
        })
    }

    /// Its name, version, the SHA-256 of its module, and the hash of its configuration.
    pub(crate) fn identity(&self) -> [&str; 4] {
        [&self.name, &self.version, &self.plugin.sha256, &self.config_hash]
    }

    /// Whether the plugin wants batches of that signal.
    pub(crate) fn takes(&self, signal: Signal) -> bool {
        self.signals.contains(&signal)
    }

    pub(crate) fn with_state<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut lock(&self.seats[0]).state)
    }

    /// The linear memory of its instances, in bytes; of those that are not at work just now.
    pub(crate) fn guest_bytes(&self) -> usize {
        self.seats.iter().filter_map(|seat| lock(seat).instance.as_ref().map(Instance::memory_bytes)).sum()
    }

    /// Whether it asks for another call of `advance`.
    pub(crate) fn asks(&self) -> bool {
        self.asks.load(Relaxed)
    }

    /// Calls the plugin, unless it is put aside.
    pub(crate) fn call(&self, worker: usize, call: Call) -> Passed {
        if matches!(call, Call::Advance(_)) {
            // One that fails has to ask again: a plugin that always fails is not to be called for ever.
            self.asks.store(false, Relaxed);
        }
        if !lock(&self.health).may_call((self.clock)()) {
            let reason = format!("plugin `{}` is put aside after repeated faults", self.name);
            return Passed::Failed(call.batch(), "put aside", reason);
        }
        let mut seat = lock(&self.seats[worker % self.seats.len()]);
        let mut instance = match self.instance(&mut seat) {
            Ok(instance) => instance,
            Err(fault) => {
                drop(seat);
                return Passed::Failed(call.batch(), fault.kind.name(), self.failed(&fault));
            }
        };
        let started = (self.clock)();
        let state = std::mem::take(&mut seat.state);
        let Answer { batch, state, result } = match call {
            Call::Process(batch) => instance.process(batch, state),
            Call::Advance(watermark_ns) => instance.advance(watermark_ns, state),
        };
        seat.state = state;
        self.counts.called(&self.name, (self.clock)().saturating_duration_since(started));
        match result {
            Ok(effects) => {
                if effects.again && self.contract.stateful {
                    self.asks.store(true, Relaxed);
                }
                seat.instance = Some(instance);
                drop(seat);
                lock(&self.health).succeeded();
                Passed::Through(batch, effects)
            }
            Err(fault) => {
                drop(seat);
                Passed::Failed(batch, fault.kind.name(), self.failed(&fault))
            }
        }
    }

    /// Lets go of held rows that are over a limit, at this point of event time, and counts those that stay.
    pub(crate) fn evict(&self, watermark_ns: Option<i64>) -> Vec<Evicted> {
        let mut seat = lock(&self.seats[0]);
        let held = &mut seat.state.held;
        if let Some(watermark_ns) = watermark_ns {
            held.advance(watermark_ns);
        }
        let evicted = held.evict(&self.limits).into_iter().map(|(rows, limit)| Evicted { rows, limit }).collect();
        self.counts.held(&self.name, held.rows() as u64, held.bytes() as u64);
        evicted
    }

    /// Whether held rows over a limit go on.
    pub(crate) fn overflow_passes(&self) -> bool {
        self.limits.held_overflow_passes
    }

    /// Counts what a successful call did, and puts the plugin's name to the rows it emitted.
    pub(crate) fn emitted(&self, effects: Effects) -> Vec<Emitted> {
        let emitted = effects.emitted.iter().filter(|emitted| !emitted.retracted);
        let rows = emitted.map(|emitted| emitted.rows as u64).sum();
        self.counts.succeeded(&self.name, effects.counters, rows);
        let emitted = effects.emitted.into_iter().filter_map(|emitted| {
            Some(Emitted {
                table: self.tables.get(emitted.table)?.clone(),
                columns: emitted.columns,
                rows: emitted.rows,
                retracted: emitted.retracted,
                plugin: self.name.clone(),
                version: self.version.clone(),
                config_hash: self.config_hash.clone(),
            })
        });
        emitted.collect()
    }

    fn instance(&self, seat: &mut Seat) -> Result<Instance, Fault> {
        match seat.instance.take() {
            Some(instance) => Ok(instance),
            None => Instance::start(&self.plugin, &self.config, &self.limits, self.log.clone())
                .map_err(|error| Fault { kind: FaultKind::Start, message: error.message().to_owned() }),
        }
    }

    /// Counts a fault and says it in the log; gives it back in words.
    fn failed(&self, fault: &Fault) -> String {
        self.counts.fault(&self.name, fault.kind);
        let message = format!("plugin `{}` {}", self.name, fault.message);
        // The log has a limit for what goes wrong as well.
        (self.log)(crate::sandbox::Noted { level: Level::Error, message: fault.message.clone() });
        if let Some(wait) = lock(&self.health).failed((self.clock)()) {
            let wait = wait.as_secs();
            let text = format!("put aside after repeated faults; it is tried again in {wait} s");
            self.counts.log(&self.name, Level::Error, &text);
        }
        message
    }
}
