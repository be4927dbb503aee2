//! A lock whose waiters work: who has it offers a row group, and who waits for it encodes columns of that meanwhile.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError};

use super::partition::locked;
use super::row_group::RowGroup;

/// What one thread at a time has, and encodes row groups of. Who waits for it helps with them.
#[derive(Default)]
pub(super) struct Helped<T> {
    value: Mutex<T>,
    /// The row group that is being encoded.
    group: Mutex<Option<Arc<RowGroup>>>,
    changed: Condvar,
}

impl<T> Helped<T> {
    /// Takes it, once no other thread has it.
    pub(super) fn lock(&self) -> Turn<'_, T> {
        loop {
            if let Some(turn) = self.lock_if(&|| true) {
                return turn;
            }
        }
    }

    /// Takes it, once no other thread has it, unless it is not `needed` any more; this is asked again after each
    /// [`Helped::news`].
    pub(super) fn lock_if(&self, needed: &impl Fn() -> bool) -> Option<Turn<'_, T>> {
        let mut group = locked(&self.group);
        while needed() {
            if let Some(helped) = group.as_ref().filter(|group| group.has_more()).map(Arc::clone) {
                drop(group);
                helped.help();
                group = locked(&self.group);
                continue;
            }
            match self.value.try_lock() {
                Ok(value) => return Some(self.turn(value)),
                Err(TryLockError::Poisoned(value)) => return Some(self.turn(value.into_inner())),
                Err(TryLockError::WouldBlock) => {}
            }
            group = self.changed.wait(group).unwrap_or_else(PoisonError::into_inner);
        }
        None
    }

    /// Has everybody who waits ask again whether they need to. For who has it: what it offered is done.
    pub(super) fn news(&self) {
        *locked(&self.group) = None;
        self.changed.notify_all();
    }

    /// For who has it: whoever waits may encode columns of this row group.
    pub(super) fn offer(&self, group: &Arc<RowGroup>) {
        *locked(&self.group) = Some(Arc::clone(group));
        self.changed.notify_all();
    }

    fn turn<'a>(&'a self, value: MutexGuard<'a, T>) -> Turn<'a, T> {
        Turn { value, next: Next(self) }
    }
}

/// The lock, had by this thread.
pub(super) struct Turn<'a, T> {
    // Given back before others are told.
    value: MutexGuard<'a, T>,
    next: Next<'a, T>,
}

/// Whoever waits, told when dropped.
struct Next<'a, T>(&'a Helped<T>);

impl<T> Deref for Turn<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for Turn<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T> Drop for Turn<'_, T> {
    fn drop(&mut self) {
        // While it is had: what is offered after that is another thread's.
        *locked(&self.next.0.group) = None;
    }
}

impl<T> Drop for Next<'_, T> {
    fn drop(&mut self) {
        // Who has found it taken waits by now.
        drop(locked(&self.0.group));
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::write::chunk::Compressor;
    use crate::write::row_group::tests::rows;
    use parquet::basic::Compression;
    use std::sync::atomic::AtomicBool;
    use std::sync::atomic::Ordering::SeqCst;
    use std::time::{Duration, Instant};

    fn until(what: &str, is: impl Fn() -> bool) {
        let began = Instant::now();
        while !is() {
            assert!(began.elapsed() < Duration::from_secs(60), "never: {what}");
            std::thread::yield_now();
        }
    }

    #[test]
    fn who_waits_encodes_what_is_offered_and_has_its_turn_then() {
        let shared = Helped::<u32>::default();
        let mut turn = shared.lock();
        let group = Arc::new(rows());
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| *shared.lock());
            shared.offer(&group);
            until("the other thread has begun every column", || !group.has_more());
            let columns = group.finish(&mut Compressor::new(Compression::UNCOMPRESSED).unwrap());
            assert!(columns.iter().all(|chunks| chunks.as_ref().is_ok_and(|chunks| chunks.len() == 1)));
            *turn = 7;
            assert!(!waiting.is_finished(), "it is not its turn");
            drop(turn);
            assert_eq!(waiting.join().unwrap(), 7);
        });
    }

    #[test]
    fn who_does_not_need_it_any_more_waits_no_longer() {
        let shared = Helped::<u32>::default();
        let (needed, asked) = (AtomicBool::new(true), AtomicBool::new(false));
        let turn = shared.lock();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                let is_needed = || {
                    asked.store(true, SeqCst);
                    needed.load(SeqCst)
                };
                shared.lock_if(&is_needed).is_none()
            });
            until("it waits", || asked.load(SeqCst));
            needed.store(false, SeqCst);
            shared.news();
            assert!(waiting.join().unwrap());
        });
        drop(turn);
    }

    #[test]
    fn after_a_panic_of_who_had_it_the_next_has_it() {
        let shared = Helped::<u32>::default();
        let panicked = std::thread::scope(|scope| {
            let first = scope.spawn(|| {
                let mut turn = shared.lock();
                *turn = 3;
                panic!("on purpose");
            });
            first.join().is_err()
        });
        assert!(panicked);
        assert_eq!(*shared.lock(), 3);
    }
}
