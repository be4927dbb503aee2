//! The memory budget: how many bytes of requests may be in memory at once.

use crate::{Error, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// A number of bytes that all holders together do not exceed. Nobody waits for it: who is refused comes back later.
#[derive(Debug)]
pub struct Budget {
    bytes_max: usize,
    held: AtomicUsize,
}

impl Budget {
    /// A budget of that many bytes.
    pub fn new(bytes_max: usize) -> Arc<Self> {
        Arc::new(Self { bytes_max, held: AtomicUsize::new(0) })
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
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
