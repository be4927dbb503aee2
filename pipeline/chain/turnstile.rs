//! A stateful plugin takes the batches in the order of their numbers, whichever worker has them.

use std::collections::BTreeSet;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Lets numbers through one after the other: 0, 1, 2….
#[derive(Debug, Default)]
pub(crate) struct Turnstile {
    order: Mutex<Order>,
    turned: Condvar,
}

#[derive(Debug, Default)]
struct Order {
    next: u64,
    /// Numbers above `next` that do not want their turn any more.
    passed: BTreeSet<u64>,
}

impl Turnstile {
    fn order(&self) -> MutexGuard<'_, Order> {
        // Whoever panicked while holding the lock left whole numbers behind.
        self.order.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until every lower number has passed.
    fn wait(&self, number: u64) {
        let mut order = self.order();
        while order.next < number {
            order = self.turned.wait(order).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn pass(&self, number: u64) {
        let mut order = self.order();
        if number < order.next {
            return;
        }
        order.passed.insert(number);
        loop {
            let next = order.next;
            if !order.passed.remove(&next) {
                break;
            }
            order.next += 1;
        }
        drop(order);
        self.turned.notify_all();
    }
}

/// The turns that one number has at the turnstiles of its way. Whatever happens to its holder, a panic included, dropping
/// it passes every turn on, so that no other number waits for ever.
#[derive(Debug)]
pub(crate) struct Turns<'a> {
    number: u64,
    left: Vec<&'a Turnstile>,
}

impl<'a> Turns<'a> {
    /// `turnstiles` in the order in which they stand on the way.
    pub(crate) fn new(number: u64, turnstiles: impl DoubleEndedIterator<Item = &'a Turnstile>) -> Self {
        Self { number, left: turnstiles.rev().collect() }
    }

    /// Waits for the turn at the next turnstile of the way, does what there is to do, and passes the turn on.
    pub(crate) fn next<T>(&mut self, act: impl FnOnce() -> T) -> T {
        let Some(turnstile) = self.left.last() else { return act() };
        turnstile.wait(self.number);
        let done = act();
        if let Some(turnstile) = self.left.pop() {
            turnstile.pass(self.number);
        }
        done
    }
}

impl Drop for Turns<'_> {
    fn drop(&mut self) {
        for turnstile in &self.left {
            turnstile.pass(self.number);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn numbers_pass_in_order_whatever_order_they_arrive_in() {
        let turnstile = Turnstile::default();
        let seen = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for number in (0..8).rev() {
                let (turnstile, seen) = (&turnstile, &seen);
                scope.spawn(move || {
                    Turns::new(number, [turnstile].into_iter()).next(|| seen.lock().expect("no panic").push(number));
                });
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        assert_eq!(seen.into_inner().expect("no panic"), (0..8).collect::<Vec<_>>());
    }

    #[test]
    fn a_holder_that_panics_passes_its_turn_on() {
        let turnstile = Turnstile::default();
        std::thread::scope(|scope| {
            let panicking = scope.spawn(|| Turns::new(0, [&turnstile].into_iter()).next(|| panic!("in its turn")));
            assert!(panicking.join().is_err());
        });
        drop(Turns::new(2, [&turnstile].into_iter()));
        Turns::new(1, [&turnstile].into_iter()).next(|| {});
        Turns::new(3, [&turnstile].into_iter()).next(|| {});
        assert_eq!(turnstile.order().next, 4);
    }
}
