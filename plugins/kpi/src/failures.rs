//! What requests failed of: how many of each `error.type`, by service, slot and source.
//!
//! They lie beside the slots, a page of services an entry as those do, and are forgotten with them. A slot in which
//! nothing failed, or nothing said of what, has no part in it. Counts are whole, not samples, so that spans and
//! histograms of the same requests tell the same.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

use weir_sdk::{BytesState, Error, Result, count};

use crate::codec::{In, Mixed, Out, mix_text};
use crate::config::Rules;
use crate::ingest::touched;
use crate::keys::ServiceId;
use crate::pages::{At, page_of};
use crate::slots::{PAGE, Source, read_fixed, write_fixed};
use crate::store::Store;

const FAILURES: BytesState<At> = BytesState::named("f");

/// Types that are counted of a service, slot and source, and of an incident. Of more, those with the smallest hashes:
/// which these are does not depend on the order in which they come, nor do their counts.
const TYPES_MAX: usize = 16;
/// Bytes of a type; what goes beyond is cut off.
const TYPE_BYTES_MAX: usize = 128;

/// Requests by what they failed of, in parts of [`ONE`](crate::slots::ONE).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Types(BTreeMap<String, i64>);

impl Types {
    /// Adds requests, or takes them away; tells whether a type is left out for it.
    pub(crate) fn add(&mut self, name: &str, requests: i64) -> bool {
        if let Some(known) = self.0.get_mut(name) {
            *known = known.wrapping_add(requests);
            if *known == 0 {
                self.0.remove(name);
            }
            return false;
        }
        if requests == 0 {
            return false;
        }
        self.0.insert(name.to_owned(), requests);
        let full = self.0.len() > TYPES_MAX;
        if let Some(last) = self.0.keys().max_by_key(|name| mix_text(0, name)).filter(|_| full).cloned() {
            self.0.remove(&last);
        }
        full
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        other.0.iter().for_each(|(name, requests)| _ = self.add(name, *requests));
    }

    /// What most failed of; of several, the first in the order of the alphabet.
    pub(crate) fn most(&self) -> Option<&str> {
        let most = *self.0.values().max().filter(|most| **most > 0)?;
        self.0.iter().find(|(_, requests)| **requests == most).map(|(name, _)| name.as_str())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn write(&self, out: &mut Out) {
        out.u(self.0.len() as u64);
        self.0.iter().for_each(|(name, requests)| write_fixed(requests.cast_unsigned(), out.text(name)));
    }

    pub(crate) fn read(bytes: &mut In<'_>) -> Option<Self> {
        let types = bytes.list(|bytes| Some((bytes.text()?, read_fixed(bytes)?.cast_signed())))?;
        Some(Self(types.into_iter().collect()))
    }
}

/// The failures of many services in a slot, by the place of the service and the source.
///
/// In the state: the names of the types, then for each service how many places on it is from the one before, how many
/// bytes it has, and these: source, name and count of each.
#[derive(Debug, Default, PartialEq, Eq)]
struct Page(BTreeMap<(usize, u8), Types>);

impl Page {
    fn encode(&self) -> Vec<u8> {
        let names: BTreeMap<&str, u64> = {
            let names = self.0.values().flat_map(|types| types.0.keys().map(String::as_str));
            let mut places: BTreeMap<&str, u64> = BTreeMap::new();
            names.for_each(|name| _ = places.insert(name, 0));
            places.values_mut().zip(0..).for_each(|(place, number)| *place = number);
            places
        };
        let mut out = Out::default();
        out.u(names.len() as u64);
        names.keys().for_each(|name| _ = out.text(name));
        let (mut services, mut next) = (self.0.iter().peekable(), 0);
        while let Some(&(&(place, _), _)) = services.peek() {
            let mut of_service = Out::default();
            while let Some(((_, source), types)) = services.next_if(|((known, _), _)| *known == place) {
                for (name, requests) in &types.0 {
                    let name = names.get(name.as_str()).copied().unwrap_or_default();
                    write_fixed(requests.cast_unsigned(), of_service.u((*source).into()).u(name));
                }
            }
            out.u((place - next) as u64).u(of_service.0.len() as u64);
            out.0.extend_from_slice(&of_service.0);
            next = place + 1;
        }
        if self.0.is_empty() { Vec::new() } else { out.0 }
    }

    /// The services of the page, or the one of that place without a look at the others.
    fn decode(bytes: &[u8], wanted: Option<usize>) -> Option<Self> {
        let (mut bytes, mut page, mut next) = (In(bytes), Self::default(), 0);
        if bytes.0.is_empty() {
            return Some(page);
        }
        let names = bytes.list(In::text)?;
        while !bytes.0.is_empty() {
            let place = usize::try_from(bytes.u()?).ok()?.checked_add(next).filter(|place| *place < PAGE as usize)?;
            let length = usize::try_from(bytes.u()?).ok()?;
            let (of_service, rest) = bytes.0.split_at_checked(length)?;
            (bytes.0, next) = (rest, place + 1);
            if wanted.is_some_and(|wanted| wanted != place) {
                continue;
            }
            let mut of_service = In(of_service);
            while !of_service.0.is_empty() {
                let (source, name) = (u8::try_from(of_service.u()?).ok()?, usize::try_from(of_service.u()?).ok()?);
                let requests = read_fixed(&mut of_service)?.cast_signed();
                let types = page.0.entry((place, source)).or_default();
                types.0.insert(names.get(name)?.clone(), requests);
            }
        }
        Some(page)
    }
}

fn broken() -> Error {
    Error::new("error types in the state cannot be read: discard the state")
}

/// What the requests of a service failed of in a slot, by that source.
pub(crate) fn failures(rules: &Rules, id: ServiceId, slot: i64, source: Source) -> Result<Types> {
    let (at, place) = page_of(rules, id, slot);
    let Some(bytes) = FAILURES.get(&at) else { return Ok(Types::default()) };
    let mut page = Page::decode(&bytes, Some(place)).ok_or_else(broken)?;
    Ok(page.0.remove(&(place, source as u8)).unwrap_or_default())
}

/// Forgets what is known of a block of slots; tells how many bytes that was.
pub(crate) fn forget(block: i64) -> Result<u64> {
    let (mut all, mut bytes) = (Vec::new(), 0);
    FAILURES.each(&block, |at, value| {
        all.push(at);
        bytes += value.len() as u64;
        Ok(())
    })?;
    all.iter().for_each(|at| FAILURES.delete(at));
    Ok(bytes)
}

/// What changes of a page: by place, source and type the service and the requests.
type Changes<'a> = BTreeMap<(usize, u8, &'a str), (ServiceId, i64)>;

/// A type of a batch, by its place in [`Failed`].
pub(crate) type Name = u32;

/// What a batch tells of failures.
#[derive(Debug, Default)]
pub(crate) struct Failed {
    names: Vec<String>,
    known: HashMap<u64, Name, Mixed>,
    requests: HashMap<(ServiceId, i64, u8, Name), i64, Mixed>,
    /// Types that were longer than is kept.
    cut: u64,
}

impl Failed {
    /// The number of a type in this batch; none for a text that is none.
    pub(crate) fn name(&mut self, text: &str) -> Option<Name> {
        let cut = text.floor_char_boundary(TYPE_BYTES_MAX);
        let name = text.get(..cut).filter(|name| !name.is_empty())?;
        self.cut += u64::from(cut < text.len());
        // Numbered by what it hashes to: two that collide, one in 2^64, are one.
        let number = self.names.len() as Name;
        Some(match self.known.entry(mix_text(0, name)) {
            Entry::Occupied(entry) => *entry.get(),
            Entry::Vacant(entry) => {
                self.names.push(name.to_owned());
                *entry.insert(number)
            }
        })
    }

    /// Adds requests that failed, in parts of [`ONE`](crate::slots::ONE); or takes them away.
    pub(crate) fn add(&mut self, service: ServiceId, slot: i64, source: Source, name: Name, requests: i64) {
        let sum = self.requests.entry((service, slot, source as u8, name)).or_default();
        *sum = sum.wrapping_add(requests);
    }

    /// Writes what has changed, page by page.
    pub(crate) fn apply(self, rules: &Rules, store: &mut Store) -> Result {
        let Self { names, requests, cut, .. } = self;
        count("error_types_cut", cut);
        let mut pages: BTreeMap<At, Changes<'_>> = BTreeMap::new();
        for ((service, slot, source, name), requests) in requests {
            let Some(name) = names.get(name as usize).filter(|_| requests != 0) else { continue };
            let (at, place) = page_of(rules, service, slot);
            pages.entry(at).or_default().insert((place, source, name), (service, requests));
        }
        let mut left_out = 0;
        for (at, changes) in pages {
            let known = FAILURES.get(&at).unwrap_or_default();
            let mut page = Page::decode(&known, None).ok_or_else(broken)?;
            for ((place, source, name), (service, requests)) in changes {
                let types = page.0.entry((place, source)).or_default();
                left_out += u64::from(types.add(name, requests));
                if types.is_empty() {
                    page.0.remove(&(place, source));
                }
                touched(store, service, at.2)?;
            }
            let bytes = page.encode();
            store.resized(known.len(), bytes.len());
            FAILURES.put(&at, &bytes)?;
        }
        count("error_types_left_out", left_out);
        Ok(())
    }
}
