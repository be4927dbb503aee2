//! A plugin that keeps failing is put aside, and tried again after a time that grows.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

const FAULTS: usize = 5;
const WINDOW: Duration = Duration::from_secs(60);
const BACKOFF_MIN: Duration = Duration::from_secs(1);
const BACKOFF_MAX: Duration = Duration::from_secs(5 * 60);

/// The recent faults of a plugin, over all its instances.
#[derive(Debug, Default)]
pub(crate) struct Health {
    faults: VecDeque<Instant>,
    aside: Option<Aside>,
}

#[derive(Debug)]
struct Aside {
    until: Instant,
    backoff: Duration,
    /// A call is under way that decides whether the plugin is well again.
    trying: bool,
}

impl Health {
    /// Whether the plugin may be called now. While it is put aside, one call is let through when its time has come.
    pub(crate) fn may_call(&mut self, now: Instant) -> bool {
        match &mut self.aside {
            None => true,
            Some(aside) if now >= aside.until && !aside.trying => {
                aside.trying = true;
                true
            }
            Some(_) => false,
        }
    }

    /// A call succeeded.
    pub(crate) fn succeeded(&mut self) {
        // A call that began before the plugin was put aside says nothing about it.
        if self.aside.as_ref().is_some_and(|aside| aside.trying) {
            *self = Self::default();
        }
    }

    /// A call failed. Whether that put the plugin aside, and for how long.
    pub(crate) fn failed(&mut self, now: Instant) -> Option<Duration> {
        if let Some(aside) = &mut self.aside {
            if !aside.trying {
                return None;
            }
            let backoff = (aside.backoff * 2).min(BACKOFF_MAX);
            *aside = Aside { until: now + backoff, backoff, trying: false };
            return Some(backoff);
        }
        self.faults.push_back(now);
        while self.faults.front().is_some_and(|&fault| now.saturating_duration_since(fault) > WINDOW) {
            self.faults.pop_front();
        }
        if self.faults.len() < FAULTS {
            return None;
        }
        self.faults.clear();
        self.aside = Some(Aside { until: now + BACKOFF_MIN, backoff: BACKOFF_MIN, trying: false });
        Some(BACKOFF_MIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fifth_fault_within_a_minute_puts_a_plugin_aside() {
        let start = Instant::now();
        let mut health = Health::default();
        for second in [0, 15, 30, 45] {
            assert_eq!(health.failed(start + Duration::from_secs(second)), None);
        }
        let mut slow = Health::default();
        for minute in 0..20 {
            assert_eq!(slow.failed(start + Duration::from_secs(minute * 16)), None, "five in 64 s are not too many");
        }
        assert!(health.may_call(start + Duration::from_secs(59)));
        assert_eq!(health.failed(start + Duration::from_secs(59)), Some(BACKOFF_MIN));
        assert!(!health.may_call(start + Duration::from_secs(59)));
    }

    #[test]
    fn it_is_tried_again_once_after_a_time_that_doubles_up_to_five_minutes() {
        let mut now = Instant::now();
        let mut health = Health::default();
        for _ in 0..5 {
            let _ = health.failed(now);
        }
        let mut waits = Vec::new();
        for _ in 0..11 {
            let mut waited = 0;
            while !health.may_call(now) {
                now += Duration::from_secs(1);
                waited += 1;
            }
            assert!(!health.may_call(now), "one call decides, the others wait for it");
            waits.push(waited);
            health.failed(now);
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
    }

    #[test]
    fn a_success_makes_it_well_again() {
        let now = Instant::now();
        let mut health = Health::default();
        for _ in 0..5 {
            let _ = health.failed(now);
        }
        health.succeeded();
        assert!(!health.may_call(now), "a call from before it was put aside does not count");
        assert!(health.may_call(now + BACKOFF_MIN));
        health.succeeded();
        assert!(health.may_call(now + BACKOFF_MIN) && health.may_call(now + BACKOFF_MIN));
        assert_eq!(health.failed(now + BACKOFF_MIN), None);
    }
}
