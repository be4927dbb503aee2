//! The memory budget: how many bytes of requests and rows may be in memory at once, and from when on clients are slowed down.

use crate::{Error, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, Notify};

/// How many times its body a request takes: the body, and rows of about its size.
const BODY_AND_ROWS: usize = 2;
/// How often somebody who waits on a thread looks.
const LOOKS_EVERY: Duration = Duration::from_millis(1);

/// A number of bytes that all holders together do not exceed: who asks for more is refused, and comes back later. Well before
/// that there is a level from which on new requests wait in line, so that senders go as fast as their rows are written.
#[derive(Debug)]
pub struct Budget {
    bytes_max: usize,
    level: usize,
    wait_max: Duration,
    held: AtomicUsize,
    /// What those who came in are about to take.
    promised: AtomicUsize,
    /// Held by whoever is next to come in; the others wait for it in the order in which they came.
    line: Mutex<()>,
    freed: Notify,
}

impl Budget {
    /// A budget of that many bytes, in which nobody waits.
    pub fn new(bytes_max: usize) -> Arc<Self> {
        Self::paced(bytes_max, usize::MAX, Duration::ZERO)
    }

    /// A budget of that many bytes. While `level` of them are held or about to be, who wants to [`enter`](Self::enter) waits,
    /// but not longer than `wait_max`.
    pub fn paced(bytes_max: usize, level: usize, wait_max: Duration) -> Arc<Self> {
        let (held, promised) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Arc::new(Self { bytes_max, level, wait_max, held, promised, line: Mutex::new(()), freed: Notify::new() })
    }

    /// Holds `bytes` until the permit is dropped, or refuses with [`Overload`](crate::Kind::Overload).
    pub fn hold(self: &Arc<Self>, bytes: usize) -> Result<Permit> {
        let more = |held: usize| held.checked_add(bytes).filter(|sum| *sum <= self.bytes_max);
        match self.held.try_update(Relaxed, Relaxed, more) {
            Ok(_) => Ok(Permit { budget: Arc::clone(self), bytes }),
            Err(held) => Err(Error::overload(format!(
                "the memory for requests is full: {held} of {} bytes are held, {bytes} more are needed; retry later",
                self.bytes_max
            ))),
        }
    }

    /// Waits until there is room for a request with a body of so many bytes: in line, as others do, and for a limited time.
    /// When that is over it comes in nevertheless, and [`hold`](Self::hold) decides. What is returned keeps the room for
    /// it, until it holds what it takes.
    pub async fn enter(self: &Arc<Self>, body_bytes: usize) -> Entry {
        let bytes = body_bytes.saturating_mul(BODY_AND_ROWS);
        if self.line.try_lock().is_ok() && self.has_room(bytes) {
            return self.promise(bytes);
        }
        let room = async {
            let _next = self.line.lock().await;
            while !self.has_room(bytes) {
                self.freed.notified().await;
            }
            self.promise(bytes)
        };
        tokio::time::timeout(self.wait_max, room).await.unwrap_or_else(|_| self.promise(bytes))
    }

    /// [`enter`](Self::enter) on a thread that may block.
    pub fn enter_blocking(self: &Arc<Self>, body_bytes: usize) -> Entry {
        let (bytes, began) = (body_bytes.saturating_mul(BODY_AND_ROWS), Instant::now());
        loop {
            let next = self.line.try_lock();
            if next.is_ok() && self.has_room(bytes) || began.elapsed() >= self.wait_max {
                return self.promise(bytes);
            }
            drop(next);
            std::thread::sleep(LOOKS_EVERY);
        }
    }

    /// Up to half of the level there is room for anything, or what is large would stand in the way of all others for as long as
    /// anybody holds anything.
    fn has_room(&self, bytes: usize) -> bool {
        let taken = self.held.load(Relaxed).saturating_add(self.promised.load(Relaxed));
        taken <= self.level / 2 || taken.saturating_add(bytes) <= self.level
    }

    fn promise(self: &Arc<Self>, bytes: usize) -> Entry {
        self.promised.fetch_add(bytes, Relaxed);
        Entry { budget: Arc::clone(self), bytes }
    }

    /// How many bytes are held now.
    pub fn held(&self) -> usize {
        self.held.load(Relaxed)
    }

    /// How many bytes may be held at once.
    pub fn bytes_max(&self) -> usize {
        self.bytes_max
    }
}

/// Bytes of a [`Budget`], given back when dropped.
#[derive(Debug)]
pub struct Permit {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Permit {
    /// How many bytes it holds.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Holds so many bytes if it holds fewer. What was accepted is not refused any more: the budget may be exceeded by it, and
    /// whoever comes next is refused.
    pub fn grow(&mut self, bytes: usize) {
        if let Some(more @ 1..) = bytes.checked_sub(self.bytes) {
            self.budget.held.fetch_add(more, Relaxed);
            self.bytes = bytes;
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.budget.held.fetch_sub(self.bytes, Relaxed);
        self.budget.freed.notify_one();
    }
}

/// Room in a [`Budget`] for a request that is about to take it; others may have it when this is dropped.
#[derive(Debug)]
pub struct Entry {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.budget.promised.fetch_sub(self.bytes, Relaxed);
        self.budget.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    const LONG: Duration = Duration::from_secs(3_600);

    #[test]
    fn what_grows_beyond_the_budget_keeps_others_out_until_it_is_given_back() {
        let budget = Budget::new(100);
        let mut permit = budget.hold(40).unwrap();
        permit.grow(30);
        assert_eq!((permit.bytes(), budget.held()), (40, 40));
        permit.grow(130);
        assert_eq!((permit.bytes(), budget.held()), (130, 130));
        assert_eq!(budget.hold(1).unwrap_err().kind(), crate::Kind::Overload);
        drop(permit);
        assert_eq!(budget.held(), 0);
    }

    /// Polls once, without a runtime's help to wake it.
    fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[tokio::test]
    async fn above_the_level_requests_wait_in_the_order_in_which_they_came() {
        let budget = Budget::paced(1_000, 100, LONG);
        let rows = budget.hold(60).unwrap();
        let small = budget.enter(18).await;
        let (mut large, mut tiny) = (pin!(budget.enter(25)), pin!(budget.enter(1)));
        assert!(poll(large.as_mut()).is_pending(), "60 held and 36 promised: 50 more are too many");
        assert!(poll(tiny.as_mut()).is_pending(), "nobody overtakes");
        drop(small);
        assert!(poll(large.as_mut()).is_pending(), "60 and 50");
        drop(rows);
        let large = large.await;
        let tiny = tiny.await;
        assert_eq!((budget.held(), budget.promised.load(Relaxed)), (0, 52));
        drop((large, tiny));
        assert_eq!(budget.promised.load(Relaxed), 0);
    }

    #[tokio::test]
    async fn what_is_larger_than_the_level_comes_in_below_half_of_it_and_who_waited_for_long_comes_in() {
        let wait_max = Duration::from_millis(20);
        let budget = Budget::paced(1_000, 100, wait_max);
        let rows = budget.hold(50).unwrap();
        let huge = budget.enter(400).await;
        let began = Instant::now();
        let other = budget.enter(1).await;
        assert!(began.elapsed() >= wait_max);
        drop((rows, huge, other));
        assert_eq!(budget.promised.load(Relaxed), 0);
    }

    #[tokio::test]
    async fn who_gives_up_waiting_does_not_stand_in_the_way() {
        let budget = Budget::paced(1_000, 100, LONG);
        let rows = budget.hold(100).unwrap();
        {
            let mut gone = pin!(budget.enter(1));
            assert!(poll(gone.as_mut()).is_pending());
        }
        let mut next = pin!(budget.enter(2));
        assert!(poll(next.as_mut()).is_pending());
        drop(rows);
        next.await;
    }

    #[test]
    fn a_thread_waits_until_there_is_room_or_the_time_is_over() {
        let budget = Budget::paced(1_000, 100, LONG);
        let rows = budget.hold(100).unwrap();
        std::thread::scope(|scope| {
            let entered = scope.spawn(|| budget.enter_blocking(1));
            drop(rows);
            drop(entered.join().unwrap());
        });
        let wait_max = Duration::from_millis(20);
        let budget = Budget::paced(1_000, 100, wait_max);
        let (_rows, began) = (budget.hold(100).unwrap(), Instant::now());
        drop(budget.enter_blocking(1));
        assert!(began.elapsed() >= wait_max);
    }
}
