//! Services and the numbers by which they are known.

use std::collections::HashMap;

use weir_sdk::{BytesState, Result, count};

use crate::codec::{In, Mixed, Out, mix_text};
use crate::lifecycle::ServiceKey;

/// A service's number: its place in the order in which services were first seen.
pub(crate) type ServiceId = u32;

const NAMES: BytesState<ServiceId> = BytesState::named("n");

/// What services beyond the limit are counted as.
const OVERFLOW: &str = "__overflow__";

/// All services that were ever seen.
#[derive(Debug, Default)]
pub(crate) struct Services {
    names: Vec<ServiceKey>,
    /// By one hash of the names, with another: of many services the names are spread over the memory, and to compare
    /// them costs more than all else that a row of each takes. Two of 128 bits that are equal there will not be.
    by_hash: HashMap<u64, (u64, ServiceId), Mixed>,
}

#[inline]
fn hash(namespace: &str, service: &str, environment: &str) -> (u64, u64) {
    let over = |seed: u64| [namespace, service, environment].iter().fold(seed, |hash, text| mix_text(hash, text));
    (over(0), over(0x6b70_695f_6b65_7973))
}

impl Services {
    pub(crate) fn load() -> Result<Self> {
        let mut services = Self::default();
        NAMES.each(&(), |_, bytes| {
            let mut bytes = In(&bytes);
            let mut text = || bytes.text().unwrap_or_default();
            let (namespace, service, environment) = (text(), text(), text());
            services.add(ServiceKey { namespace, service, environment });
            Ok(())
        })?;
        Ok(services)
    }

    fn add(&mut self, key: ServiceKey) -> ServiceId {
        let id = self.names.len() as ServiceId;
        let (mut hash, other) = hash(&key.namespace, &key.service, &key.environment);
        while self.by_hash.contains_key(&hash) {
            hash = hash.wrapping_add(1);
        }
        self.by_hash.insert(hash, (other, id));
        self.names.push(key);
        id
    }

    pub(crate) fn len(&self) -> u32 {
        self.names.len() as u32
    }

    pub(crate) fn key(&self, id: ServiceId) -> Option<&ServiceKey> {
        self.names.get(id as usize)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (ServiceId, &ServiceKey)> {
        (0..).zip(&self.names)
    }

    /// The number of a service; a new one has it from now on. Those beyond the limit share one.
    pub(crate) fn id(&mut self, namespace: &str, service: &str, environment: &str, limit: u32) -> Result<ServiceId> {
        let (mut hash, other) = hash(namespace, service, environment);
        while let Some(&(known, id)) = self.by_hash.get(&hash) {
            if known == other {
                return Ok(id);
            }
            hash = hash.wrapping_add(1);
        }
        if self.len() >= limit && service != OVERFLOW {
            count("services_overflowed", 1);
            return self.id("", OVERFLOW, "", limit);
        }
        let mut out = Out::default();
        out.text(namespace).text(service).text(environment);
        let owned = |text: &str| text.to_owned();
        let key = ServiceKey { namespace: owned(namespace), service: owned(service), environment: owned(environment) };
        let id = self.add(key);
        NAMES.put(&id, &out.0)?;
        Ok(id)
    }
}
