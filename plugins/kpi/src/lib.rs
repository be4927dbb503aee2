//! MTTD, MTTA, MTTM, MTTR, uptime, availability and incidents, from the signals themselves and from what tools say.
//!
//! Batches become slots of 10 s by service ([`ingest`]), events become facts. All else is a pure function of those and of
//! the configuration: the watermark makes it be evaluated anew from where something has changed ([`evaluate`]), and rows
//! that have changed go out ([`publish`]). So late, shuffled and repeated input ends in the same rows.

mod codec;
mod config;
mod evaluate;
mod failures;
mod history;
mod ids;
mod incidents;
mod ingest;
mod intervals;
mod keys;
#[allow(dead_code, unused_imports, reason = "it says more of facts than the tables show")]
mod lifecycle;
mod machine;
mod objectives;
mod pages;
mod points;
mod publish;
mod service;
mod silence;
#[allow(dead_code, unused_imports, reason = "edges are for whoever shows single alerts")]
mod slo;
mod slots;
mod statistics;
mod store;
mod tables;
mod verdict;
mod windows;
mod zone;

use weir_sdk::prelude::*;

use config::{Config, Rules, Window};
use ingest::{SERVICE_COLUMNS, events, latency, metrics, probes, spans};
use keys::{ServiceId, Services};
use lifecycle::{AlertRow, ChangeRow, MaintenanceFacts};
use service::World;
use silence::Silences;
use slo::SloRow;
use slots::BLOCK_S;
use store::Store;
use tables::{AvailabilityRow, DayRow, HourRow, IncidentRow};

/// The plugin.
struct Kpi {
    rules: Rules,
    /// What is at hand of the state; nothing after a call that failed.
    hand: Option<Hand>,
}

/// What is at hand of the state.
struct Hand {
    services: Services,
    store: Store,
    maintenance: Option<Vec<MaintenanceFacts>>,
    silences: Silences,
}

impl Hand {
    fn load(rules: &Rules) -> Result<Self> {
        let (services, store) = (Services::load()?, Store::load(rules)?);
        Ok(Self { services, store, maintenance: None, silences: Silences::load()? })
    }
}

impl Processor for Kpi {
    type Config = Config;
    const SIGNALS: Signals = Signals::ALL;
    const SUMMARY: &'static str =
        "Availability, incidents, MTTD, MTTA, MTTM and MTTR of every service, by hour and day";
    const STATEFUL: bool = true;

    fn new(config: Config) -> Result<Self> {
        Ok(Self { rules: Rules::new(config)?, hand: None })
    }

    fn describe(&self, plugin: &mut Description) {
        let columns = spans::COLUMNS.iter().chain(&metrics::COLUMNS).chain(&probes::COLUMNS).chain(&events::COLUMNS);
        let columns = columns.chain(&latency::COLUMNS).chain(&SERVICE_COLUMNS);
        let columns: std::collections::BTreeSet<&str> = columns.copied().collect();
        plugin.reads(columns);
        for key in lifecycle::ATTRIBUTES {
            plugin.reads([format!("attributes.{key}")]);
            plugin.reads(key.strip_prefix("itops.").map(|key| format!("attributes.{key}")));
        }
        plugin.writes(events::MALFORMED, Type::Text, "Why a log record with the name of an event is none");
        plugin.emits::<IncidentRow>().emits::<AvailabilityRow>().emits::<HourRow>().emits::<DayRow>();
        plugin.emits::<ChangeRow>().emits::<AlertRow>().emits::<SloRow>();
    }

    fn process(&mut self, batch: &mut Batch) -> Result {
        let mut hand = self.hand.take().map_or_else(|| Hand::load(&self.rules), Ok)?;
        let (services, store) = (&mut hand.services, &mut hand.store);
        let before = store.totals.clone();
        let mut told = false;
        match batch.signal() {
            Signal::Spans => spans::spans(&self.rules, services, store, batch)?,
            Signal::Metrics => {
                metrics::metrics(&self.rules, services, store, batch)?;
                probes::probes(&self.rules, services, store, batch)?;
            }
            Signal::Logs => {
                let took = events::events(&self.rules, services, batch)?;
                if took.maintenance {
                    hand.maintenance = None;
                }
                told = took.any && store.totals.until.is_some();
            }
        }
        // Rows that are out change: nobody is to wait for them until event time goes on.
        if hand.store.take_restated() || told {
            advance_again();
        }
        hand.store.save()?;
        hand.store.relieve(&self.rules)?;
        if hand.store.totals != before {
            hand.store.totals.save(&self.rules)?;
        }
        // Put back only now: after an error it may not be what the state is.
        self.hand = Some(hand);
        Ok(())
    }

    fn advance(&mut self, watermark: Timestamp) -> Result {
        let mut hand = self.hand.take().map_or_else(|| Hand::load(&self.rules), Ok)?;
        self.evaluate(&mut hand, watermark)?;
        self.hand = Some(hand);
        Ok(())
    }
}

/// So many services that have changed are looked for at once.
const DIRTY_AT_ONCE: usize = 256;
/// What a look at whether a service is silent costs, in slots that could be looked at instead.
const LOOK_WORK: u64 = 20;

impl Kpi {
    fn evaluate(&self, hand: &mut Hand, watermark: Timestamp) -> Result {
        let rules = &self.rules;
        // Whole steps, so that what is known does not depend on when this is called.
        let until = rules.slot_of(watermark.0).div_euclid(rules.refresh) * rules.refresh;
        let totals = &mut hand.store.totals;
        let before = totals.clone();
        if totals.until.is_none_or(|known| until > known) {
            totals.until = Some(until);
            totals.left = hand.services.len();
        }
        let Some(until) = hand.store.totals.until else { return Ok(()) };
        if hand.maintenance.is_none() {
            hand.maintenance = Some(events::all_maintenance()?);
        }
        let mut work = 0;
        hand.store.sweeps(true);
        while hand.store.totals.left > 0 && work < rules.config.work_max {
            let totals = &mut hand.store.totals;
            let id = totals.next;
            totals.next = (id + 1) % hand.services.len().max(1);
            totals.left -= 1;
            work += self.evaluate_one(hand, id, until)?;
        }
        hand.store.sweeps(false);
        let due = store::due(until, DIRTY_AT_ONCE)?;
        let mut more = due.len() == DIRTY_AT_ONCE;
        for id in due {
            if work >= rules.config.work_max {
                more = true;
                break;
            }
            work += self.evaluate_one(hand, id, until)?;
        }
        more |= self.evaluate_silent(hand, until, work)?;
        if more || hand.store.totals.left > 0 {
            advance_again();
        }
        // Only what was evaluated is forgotten.
        if hand.store.totals.left == 0 && before != hand.store.totals {
            self.forget(hand, before.until, until)?;
        } else if hand.store.points_left {
            points::forget(rules, &mut hand.store)?;
        }
        hand.silences.save()?;
        if hand.store.totals != before {
            hand.store.totals.save(&self.rules)?;
        }
        Ok(())
    }

    /// Forgets what no row depends on any more.
    fn forget(&self, hand: &mut Hand, before: Option<i64>, until: i64) -> Result {
        let rules = &self.rules;
        hand.store.forget(rules)?;
        points::forget(rules, &mut hand.store)?;
        hand.silences.forget(until - rules.restate - rules.day - BLOCK_S / rules.config.slot_s);
        let day = |slot: i64| rules.window_start(slot, Window::Day);
        let limit = rules.time_of(until - rules.restate - 2 * rules.day);
        if before.is_none_or(|before| day(before) < day(until))
            && events::forget_maintenance(&rules.config.lifecycle, limit)?
        {
            hand.maintenance = None;
        }
        Ok(())
    }

    fn evaluate_one(&self, hand: &mut Hand, id: ServiceId, until: i64) -> Result<u64> {
        let Some(key) = hand.services.key(id) else { return Ok(0) };
        let dirty = store::dirty_of(id).filter(|dirty| dirty.is_due(until));
        if dirty.is_none() && !hand.store.is_evaluated(id) {
            return Ok(0);
        }
        if dirty.is_some() {
            store::clean(id);
        }
        hand.store.evaluates(id);
        // Evaluations look for slots in the state.
        hand.store.settle()?;
        let maintenance = hand.maintenance.as_deref().unwrap_or_default();
        let mut world =
            World { rules: &self.rules, store: &hand.store, maintenance, silences: &mut hand.silences, until };
        service::evaluate(&mut world, id, key, dirty)
    }

    /// Where it has changed how many services are silent, those that are always on may be down or not. Tells whether some
    /// are left for the next call: this one has done so much work.
    fn evaluate_silent(&self, hand: &mut Hand, until: i64, mut work: u64) -> Result<bool> {
        if hand.store.totals.left > 0 {
            return Ok(false);
        }
        // One round comes to its end before the next begins, or the last services would never have their turn.
        if hand.store.totals.silent.is_none() && hand.silences.is_unsettled() {
            hand.silences.settle();
            hand.store.totals.silent = Some(0);
        }
        while let Some(id) = hand.store.totals.silent {
            let Some(key) = hand.services.key(id) else {
                hand.store.totals.silent = None;
                break;
            };
            if work >= self.rules.config.work_max {
                return Ok(true);
            }
            hand.store.totals.silent = Some(id + 1);
            if !self.rules.is_always_on(&key.service) {
                continue;
            }
            work += LOOK_WORK;
            if let Some(from) = service::silent_since(&self.rules, id)? {
                hand.store.mark(id, from)?;
                work += self.evaluate_one(hand, id, until)?;
            }
        }
        Ok(false)
    }
}

weir_sdk::plugin!(Kpi);

#[cfg(test)]
mod tests;
