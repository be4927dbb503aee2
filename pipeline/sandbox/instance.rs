//! An instance of a plugin, and its calls.

use super::bindings::{BatchHandle, Processor, described};
use super::call_clock::CallClock;
use super::engine::{Calls, TICK};
use super::host::{Guest, Log, bounded};
use super::limits::{Limits, bytes_text};
use super::load::{Plugin, root_cause};
use super::transaction::{Effects, Transaction};
use super::{Contract, State};
use crate::batch::View;
use crate::{Error, Result};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;
use wasmtime::component::Resource;
use wasmtime::{Store, UpdateDeadline};

/// How many times the limit on a call an instance may take to start: it may compile expressions and build tables.
const START_FACTOR: u32 = 10;

/// Why a call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultKind {
    /// The plugin returned an error.
    Error,
    /// It panicked or trapped.
    Trap,
    /// It took longer than it may.
    Time,
    /// It wanted more memory than it may have.
    Memory,
    /// It handed over what the contract does not allow, or used what it has not declared, and went on.
    Contract,
    /// No new instance could be made after an earlier fault.
    Start,
}

impl FaultKind {
    /// The kind as a label.
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Trap => "trap",
            Self::Time => "time",
            Self::Memory => "memory",
            Self::Contract => "contract",
            Self::Start => "start",
        }
    }
}

/// A call that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Why.
    pub kind: FaultKind,
    /// Why, in words.
    pub message: String,
}

/// What a call left: the batch and the state, changed if it succeeded and untouched if not.
#[derive(Debug)]
pub struct Answer {
    /// The batch that was handed in, with all its rows.
    pub batch: Option<View>,
    /// The state that was handed in.
    pub state: State,
    /// The other effects, or the fault.
    pub result: Result<Effects, Fault>,
}

/// A running, configured plugin.
pub struct Instance {
    store: Store<Guest>,
    processor: Processor,
    contract: Arc<Contract>,
    calls: Calls,
}

impl std::fmt::Debug for Instance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Instance({})", self.contract.name)
    }
}

impl Instance {
    /// Makes an instance, configures it and asks it what it is.
    ///
    /// # Errors
    ///
    /// The plugin finds mistakes in its configuration (each named by its key), fails, or describes itself wrongly.
    pub fn start(plugin: &Plugin, config: &str, limits: &Limits, log: Log) -> Result<Self> {
        Self::started(plugin, config, limits, log)
            .map_err(|error| error.within(format_args!("plugin `{}`", plugin.name)))
    }

    fn started(plugin: &Plugin, config: &str, limits: &Limits, log: Log) -> Result<Self> {
        let mut store = Store::new(plugin.pre.engine(), Guest::new(limits.clone(), log));
        store.limiter(|guest| &mut guest.memory);
        store.set_hostcall_fuel(limits.memory_bytes);
        store.epoch_deadline_callback(|mut store| {
            let guest = store.data_mut();
            guest.timed_out = guest.clock.spent() >= guest.time;
            Ok(if guest.timed_out { UpdateDeadline::Interrupt } else { UpdateDeadline::Continue(1) })
        });
        let _running = plugin.calls.begin();
        begin(&mut store, None, State::default(), limits.time_per_call.saturating_mul(START_FACTOR));
        let failed = |store: &mut Store<Guest>, error: &wasmtime::Error, what: &str| {
            let fault = fault_of(store, error);
            Error::plugin(format!("it fails to {what}: {}", fault.message))
        };
        let processor = plugin.pre.instantiate(&mut store).map_err(|error| failed(&mut store, &error, "start"))?;
        let answer = processor.weir_plugin_plugin().call_configure(&mut store, config);
        if let Err(mistakes) = answer.map_err(|error| failed(&mut store, &error, "configure itself"))? {
            return Err(Error::config(mistakes_text(&mistakes)));
        }
        let description = processor.weir_plugin_plugin().call_describe(&mut store);
        let description = description.map_err(|error| failed(&mut store, &error, "describe itself"))?;
        let contract = Arc::new(Contract::checked(description)?);
        store.data_mut().contract = Some(contract.clone());
        Ok(Self { store, processor, contract, calls: plugin.calls.clone() })
    }

    /// What the plugin says that it is.
    pub fn contract(&self) -> &Arc<Contract> {
        &self.contract
    }

    /// The linear memory that it has taken, in bytes.
    pub fn memory_bytes(&self) -> usize {
        self.store.data().memory.used()
    }

    /// Hands a batch to the plugin. After a fault the instance must not be used again.
    pub fn process(&mut self, batch: View, state: State) -> Answer {
        let time = self.store.data().limits.time_per_call;
        let _running = self.calls.begin();
        begin(&mut self.store, Some(batch), state, time);
        let handle = Resource::<BatchHandle>::new_borrow(0);
        let (plugin, store) = (self.processor.weir_plugin_plugin(), &mut self.store);
        let result = caught(|| plugin.call_process(store, handle));
        self.end(result)
    }

    /// Tells the plugin that event time has passed this point. After a fault the instance must not be used again.
    pub fn advance(&mut self, watermark_ns: i64, state: State) -> Answer {
        let time = self.store.data().limits.time_per_call;
        let _running = self.calls.begin();
        begin(&mut self.store, None, state, time);
        let (plugin, store) = (self.processor.weir_plugin_plugin(), &mut self.store);
        let result = caught(|| plugin.call_advance(store, watermark_ns));
        self.end(result)
    }

    fn end(&mut self, result: wasmtime::Result<std::result::Result<(), String>>) -> Answer {
        let breach = self.store.data_mut().call.breach.take();
        let fault = match result {
            Ok(Ok(())) => breach.map(|message| Fault { kind: FaultKind::Contract, message }),
            Ok(Err(message)) => Some(Fault { kind: FaultKind::Error, message: bounded(&message) }),
            Err(error) => Some(fault_of(&mut self.store, &error)),
        };
        let call = std::mem::take(&mut self.store.data_mut().call);
        match fault {
            None => {
                let (batch, state, effects) = call.commit();
                Answer { batch, state, result: Ok(effects) }
            }
            Some(fault) => {
                let (batch, state) = call.undo();
                Answer { batch, state, result: Err(fault) }
            }
        }
    }
}

/// A panic inside of a host function is a fault of the call like every other, so that the batch and the state survive it.
fn caught<T>(call: impl FnOnce() -> wasmtime::Result<T>) -> wasmtime::Result<T> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        Err(wasmtime::format_err!("weir itself panicked, please report it: {}", text.unwrap_or("without a message")))
    })
}

fn begin(store: &mut Store<Guest>, batch: Option<View>, state: State, time: Duration) {
    let guest = store.data_mut();
    guest.call = Transaction::new(batch, state, guest.limits.memory_bytes);
    guest.memory.take_refused();
    guest.panicked = None;
    guest.timed_out = false;
    guest.time = time;
    guest.clock = CallClock::start();
    // The first tick may come at once: the callback looks at the clock.
    store.set_epoch_deadline(time.as_millis().div_ceil(TICK.as_millis()).clamp(1, 1 << 40) as u64);
}

fn fault_of(store: &mut Store<Guest>, error: &wasmtime::Error) -> Fault {
    let guest = store.data_mut();
    if guest.timed_out {
        return Fault { kind: FaultKind::Time, message: format!("took longer than {}", duration_text(guest.time)) };
    }
    if guest.memory.take_refused() {
        let limit = bytes_text(guest.limits.memory_bytes);
        let message = format!("memory limit {limit} reached ([plugin.limits] memory)");
        return Fault { kind: FaultKind::Memory, message };
    }
    let message = match guest.panicked.take() {
        Some(message) => format!("panicked: {message}"),
        None => bounded(&format!("trapped: {}", root_cause(error))),
    };
    Fault { kind: FaultKind::Trap, message }
}

fn duration_text(duration: Duration) -> String {
    format!("{} ms", duration.as_millis())
}

fn mistakes_text(mistakes: &[described::Mistake]) -> String {
    // A guest may say as much as it likes; ten mistakes are enough to begin with.
    let texts: Vec<_> = mistakes
        .iter()
        .take(10)
        .map(|mistake| match mistake.key.is_empty() {
            true => bounded(&mistake.message),
            false => format!("`{}`: {}", bounded(&mistake.key), bounded(&mistake.message)),
        })
        .collect();
    if texts.is_empty() { "it refuses its configuration and says no reason".into() } else { texts.join("; ") }
}
