//! What happens on the day, and what is true of a service at a moment.

/// Nanoseconds of a second.
pub(super) const SECOND: u64 = 1_000_000_000;
/// Nanoseconds of a minute.
pub(super) const MINUTE: u64 = 60 * SECOND;

/// The moment of the day at that hour and minute, from midnight.
pub(super) const fn clock(hour: u64, minute: u64) -> u64 {
    (hour * 60 + minute) * MINUTE
}

/// What an episode does to the service.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Effect {
    /// That share of the service's requests fails.
    Fails(f64),
    /// Latency rises to that many times the usual.
    Slows(f64),
    /// Another version of the service runs, of whose requests that share fails.
    Runs(&'static str, f64),
    /// The service is down, as announced.
    Maintained,
    /// The disk fills up to that share.
    Fills(f64),
}

/// Something that happens: the truth that the tables are to tell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Episode {
    /// When it starts, in nanoseconds from the start of the day.
    pub from_ns: u64,
    /// When it ends, not included.
    pub to_ns: u64,
    /// The service that it happens to.
    pub service: &'static str,
    /// What happens, in words.
    pub what: &'static str,
    /// What it does to the service.
    pub effect: Effect,
}

/// Every episode of the day, in the order of their starts.
pub(super) const EPISODES: [Episode; 6] = [
    episode(0, 24 * 60, "db-host", "the data disk fills from 55 % to 97 %", Effect::Fills(0.97)),
    episode(600, 620, "checkout", "outage: the connection pool is exhausted", Effect::Fails(0.96)),
    episode(690, 708, "checkout", "bad deployment of 2.4.0, rolled back to 2.3.1", Effect::Runs("2.4.0", 0.6)),
    episode(780, 870, "catalog", "slow degradation: a query without its index", Effect::Slows(14.0)),
    episode(905, 917, "payment", "outage: the card network's gateway times out", Effect::Fails(0.92)),
    episode(1200, 1230, "shipping", "planned maintenance", Effect::Maintained),
];

const fn episode(from: u64, to: u64, service: &'static str, what: &'static str, effect: Effect) -> Episode {
    Episode { from_ns: from * MINUTE, to_ns: to * MINUTE, service, what, effect }
}

/// How much of the disk of the database is used at the start of the day.
const DISK_AT_MIDNIGHT: f64 = 0.55;
/// The share of requests that fail on any day.
const FAILS_ANYWAY: f64 = 0.003;

/// What goes on with the service at that moment of the day.
pub(super) fn now(service: &str, at_ns: u64) -> impl Iterator<Item = &'static Episode> {
    EPISODES
        .iter()
        .filter(move |episode| episode.service == service && (episode.from_ns..episode.to_ns).contains(&at_ns))
}

/// The share of the service's requests that fail at that moment of the day.
pub(super) fn failing(service: &str, at_ns: u64) -> f64 {
    let share = |episode: &Episode| match episode.effect {
        Effect::Fails(share) | Effect::Runs(_, share) => share,
        Effect::Maintained => 1.0,
        Effect::Slows(_) | Effect::Fills(_) => 0.0,
    };
    now(service, at_ns).map(share).fold(FAILS_ANYWAY, f64::max)
}

/// How many times the usual the latency is.
pub(super) fn slowness(service: &str, at_ns: u64) -> f64 {
    let factor = |episode: &Episode| match episode.effect {
        Effect::Slows(to) => 1.0 + (to - 1.0) * progress(episode, at_ns),
        _ => 1.0,
    };
    now(service, at_ns).map(factor).fold(1.0, f64::max)
}

/// The version that runs, where it is not the usual one.
pub(super) fn version(service: &str, at_ns: u64) -> Option<&'static str> {
    now(service, at_ns).find_map(|episode| match episode.effect {
        Effect::Runs(version, _) => Some(version),
        _ => None,
    })
}

/// How much of the disk is used, 0 to 1.
pub(super) fn disk_used(at_ns: u64) -> f64 {
    now("db-host", at_ns)
        .find_map(|episode| match episode.effect {
            Effect::Fills(to) => Some(DISK_AT_MIDNIGHT + (to - DISK_AT_MIDNIGHT) * progress(episode, at_ns)),
            _ => None,
        })
        .unwrap_or(DISK_AT_MIDNIGHT)
}

fn progress(episode: &Episode, at_ns: u64) -> f64 {
    at_ns.saturating_sub(episode.from_ns) as f64 / (episode.to_ns - episode.from_ns) as f64
}

/// Requests to the shop in each hour, as a share of the busiest.
const CURVE: [f64; 24] = [
    0.30, 0.25, 0.22, 0.20, 0.22, 0.28, 0.40, 0.55, 0.70, 0.80, 0.86, 0.90, 0.95, 0.92, 0.86, 0.84, 0.86, 0.92, 0.98,
    1.00, 0.94, 0.78, 0.55, 0.40,
];

/// The traffic at that moment, as a share of the busiest.
pub(super) fn traffic(at_ns: u64) -> f64 {
    let hour = clock(1, 0);
    let (index, part) = ((at_ns / hour) as usize % 24, (at_ns % hour) as f64 / hour as f64);
    CURVE[index] * (1.0 - part) + CURVE[(index + 1) % 24] * part
}
