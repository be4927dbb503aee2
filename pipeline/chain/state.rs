//! The state of the stateful plugins: the seam by which an epoch records and restores it.

use super::Chain;
use crate::sandbox::State;
use crate::{Error, Result};
use std::collections::BTreeMap;

/// The state of every stateful plugin, by the plugin's name, its entries in the order of their keys.
pub type Snapshot = BTreeMap<String, Vec<(Vec<u8>, Vec<u8>)>>;

impl Chain {
    /// The states as they are between two calls. For one that belongs to a sequence number, no batch may be under way.
    pub fn snapshot(&self) -> Snapshot {
        let stateful = self.stages.iter().filter(|stage| stage.contract.stateful);
        stateful.map(|stage| (stage.name.to_string(), stage.with_state(|state| state.snapshot()))).collect()
    }

    /// Puts states back, before the first batch.
    ///
    /// # Errors
    ///
    /// There is state of a plugin that the chain does not have, or that keeps none.
    pub fn restore(&self, snapshot: Snapshot) -> Result<()> {
        for (name, entries) in snapshot {
            let stage = self.stages.iter().find(|stage| *stage.name == *name && stage.contract.stateful);
            let Some(stage) = stage else {
                return Err(Error::config(format!(
                    "there is state of plugin `{name}`, and the configuration has no stateful plugin of that name: give it \
                     its name back, or discard the state"
                )));
            };
            stage.with_state(|state| *state = State::restore(entries));
        }
        Ok(())
    }
}
