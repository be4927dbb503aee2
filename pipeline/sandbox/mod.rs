//! The sandbox: plugins run in WebAssembly, with the imports of the contract and nothing else, inside limits.
//!
//! [`Plugin::load`] compiles and inspects a plugin, [`Instance::start`] configures one instance of it, and
//! [`Instance::process`] and [`Instance::advance`] are calls. A call is a transaction: what a guest did to the batch and to
//! its state stands when it returns success, and is undone when it fails in whatever way. After a fault the instance is
//! thrown away, since nothing is known about the inside of it any more.

mod bindings;
mod budget;
mod call_clock;
mod contract;
mod engine;
mod held;
mod host;
mod incoming;
mod instance;
mod limits;
mod load;
mod outgoing;
mod shipped;
mod state;
mod transaction;

pub use contract::{ColumnType, Contract, DeclaredColumn, Mode, OnError, TableDef};
pub use engine::{Engine, EngineOptions};
pub use held::{ChunkEntry, Held};
pub use host::{Level, Log, Noted};
pub use instance::{Answer, Fault, FaultKind, Instance};
pub use limits::Limits;
pub use load::{CONTRACT_VERSION, Plugin};
pub use shipped::shipped;
pub use state::{Entry, State};
pub use transaction::{Effects, EmittedRows};
