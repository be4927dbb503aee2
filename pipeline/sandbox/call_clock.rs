//! How long a call has had a processor.

use super::engine::TICK;
use std::time::{Duration, Instant};

/// Measures a call. What a busy machine makes it wait for is not the guest's doing and does not count, where the system tells
/// how long the thread has run; elsewhere it is the time on the clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallClock {
    started: Instant,
    /// The time on the clock, and of the thread, when this was asked first: a call that is over before costs no look.
    first: Option<(Duration, Option<Duration>)>,
}

impl CallClock {
    pub(crate) fn start() -> Self {
        Self { started: Instant::now(), first: None }
    }

    /// How long the call has run so far. To be asked on its thread, every few ticks.
    pub(crate) fn spent(&mut self) -> Duration {
        let elapsed = self.started.elapsed();
        let ran = time_of_thread();
        let (elapsed_first, ran_first) = *self.first.get_or_insert((elapsed, ran));
        match (ran_first, ran) {
            // Until the first look a thread that runs cannot have run for more than the ticks before it.
            (Some(first), Some(now)) => elapsed_first.min(TICK * 2) + now.saturating_sub(first),
            _ => elapsed,
        }
    }
}

/// How long this thread has run, as Linux tells: nanoseconds on a processor come first.
fn time_of_thread() -> Option<Duration> {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    told.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_works_spends_time_and_one_that_waits_does_not() {
        let mut clock = CallClock::start();
        clock.spent();
        std::thread::sleep(Duration::from_millis(60));
        let waited = clock.spent();
        if time_of_thread().is_some() {
            assert!(waited < Duration::from_millis(30), "{waited:?}");
        }
        while clock.spent() < waited + Duration::from_millis(20) {}
        assert!(clock.started.elapsed() >= waited + Duration::from_millis(20));
    }
}
