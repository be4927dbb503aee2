//! A file system in memory that loses power, fills up and fails on demand.
//!
//! What was written since the last sync of a file survives a power cut by sectors of 512 bytes: each is old, new, zeros, or
//! torn between them; the length is any between old and new. Names that were made, renamed or removed since the last sync of
//! their folder survive in any part and any order. A sync that fails leaves any part on the disk, and what it did not write
//! stays visible until the power cut, as on Linux.

mod disk;
mod random;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use random::Random;

use super::{Entry, File, Files, Lock, Stat};
use disk::{Change, Content, Node, Number};

/// How an operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No space is left.
    Full,
    /// The disk reports an error; a sync loses what it should have written.
    Io,
    /// A write ends half way, then reports an error.
    Short,
    /// The process has too many files open.
    TooManyOpen,
    /// The thread panics, for want of a bug to test with.
    Panic,
}

/// A file system in memory; clones are the same one.
#[derive(Clone, Debug)]
pub struct Simulated(Arc<Mutex<State>>);

#[derive(Clone, Debug)]
struct State {
    random: Random,
    names: BTreeMap<PathBuf, Node>,
    stored_names: BTreeMap<PathBuf, Node>,
    changes: Vec<Change>,
    contents: HashMap<Number, Content>,
    numbers: Number,
    locks: BTreeSet<PathBuf>,
    capacity: u64,
    operations: u64,
    stop_at: Option<u64>,
    faults: BTreeMap<u64, Fault>,
    /// A sync of a folder failed, and names are visible that no later sync makes durable.
    lost_names: bool,
}

impl Simulated {
    /// An empty file system with the folder `/`; the seed decides what a power cut leaves.
    pub fn new(seed: u64) -> Self {
        let names = BTreeMap::from([(PathBuf::from("/"), Node::Folder)]);
        Self::with(State {
            random: Random::new(seed),
            stored_names: names.clone(),
            names,
            changes: Vec::new(),
            contents: HashMap::new(),
            numbers: 0,
            locks: BTreeSet::new(),
            capacity: u64::MAX,
            operations: 0,
            stop_at: None,
            faults: BTreeMap::new(),
            lost_names: false,
        })
    }

    fn with(state: State) -> Self {
        Self(Arc::new(Mutex::new(state)))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a power cut now would leave. The number of operations begins again; faults and locks are gone.
    #[must_use]
    pub fn crash(&self) -> Self {
        let mut state = self.restart().state().clone();
        let changes = std::mem::take(&mut state.changes);
        let order =
            if state.random.one_in(2) { (0..changes.len()).collect() } else { state.random.order(changes.len()) };
        for change in order.into_iter().filter_map(|at| changes.get(at)) {
            if state.random.one_in(2) {
                change.apply(&mut state.stored_names);
            }
        }
        state.names = state.stored_names.clone();
        state.lost_names = false;
        let kept: BTreeSet<Number> = state.names.values().filter_map(Node::number).collect();
        let mut numbers: Vec<Number> = state.contents.keys().copied().collect();
        numbers.sort_unstable();
        for number in numbers {
            if let Some(content) = state.contents.remove(&number)
                && kept.contains(&number)
            {
                let content = content.cut(&mut state.random);
                state.contents.insert(number, content);
            }
        }
        // Another cut from the same state must be able to end otherwise.
        self.state().random = Random::new(state.random.any());
        Self::with(state)
    }

    /// What the next process sees if only this one dies: everything that was written. It is as durable as before.
    #[must_use]
    pub fn restart(&self) -> Self {
        let state = self.state().clone();
        Self::with(State { operations: 0, stop_at: None, faults: BTreeMap::new(), locks: BTreeSet::new(), ..state })
    }

    /// Whether a sync of a folder failed since the power was cut, and left names that are visible and never will be durable. A
    /// real file system takes nothing more then until the machine starts again.
    pub fn has_lost_names(&self) -> bool {
        self.state().lost_names
    }

    /// How many operations there were; the next has this number.
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// The process dies at the operation of this number: it may be done in part, and everything from it on fails.
    pub fn stop_at(&self, operation: u64) {
        self.state().stop_at = Some(operation);
    }

    /// The operation of this number fails, once.
    pub fn fail_at(&self, operation: u64, fault: Fault) {
        self.state().faults.insert(operation, fault);
    }

    /// How many bytes all files may have together.
    pub fn set_capacity(&self, bytes: u64) {
        self.state().capacity = bytes;
    }

    /// Changes the content of a file behind everybody's back, durably: a flipped bit, a missing end.
    pub fn edit(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        let mut state = self.state();
        let content = state.content(path)?;
        let mut seen = std::mem::take(&mut content.seen);
        change(&mut seen);
        *content = Content::default();
        content.write(0, &seen);
        content.sync();
        Ok(())
    }
}

/// What becomes of an operation.
enum Fate {
    Done,
    /// It fails, having been done in part where that is possible.
    Failed(Fault),
    /// The process is dead: in this very operation, or before it.
    Dead {
        now: bool,
    },
}

impl Fate {
    fn whole(self) -> io::Result<()> {
        match self {
            Self::Done => Ok(()),
            Self::Failed(fault) => Err(fault.error()),
            Self::Dead { .. } => Err(dead()),
        }
    }
}

impl Fault {
    fn error(self) -> io::Error {
        match self {
            Self::Full => ErrorKind::StorageFull.into(),
            Self::Panic => panic!("on purpose (simulated)"),
            Self::Io | Self::Short => io::Error::other("input/output error (simulated)"),
            Self::TooManyOpen => io::Error::other("too many open files (simulated)"),
        }
    }
}

fn dead() -> io::Error {
    io::Error::other("the process is dead (simulated)")
}

impl Node {
    fn number(&self) -> Option<Number> {
        match self {
            Self::File(number) => Some(*number),
            Self::Folder => None,
        }
    }
}

impl State {
    fn begin(&mut self) -> Fate {
        let operation = self.operations;
        self.operations += 1;
        match self.stop_at {
            Some(stop) if operation >= stop => Fate::Dead { now: operation == stop },
            _ => self.faults.remove(&operation).map_or(Fate::Done, Fate::Failed),
        }
    }

    fn number(&self, path: &Path) -> io::Result<Number> {
        self.names.get(path).and_then(Node::number).ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn content(&mut self, path: &Path) -> io::Result<&mut Content> {
        let number = self.number(path)?;
        self.contents.get_mut(&number).ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.names);
        self.changes.push(change);
    }

    /// Bytes that are free. A file without a name takes no space any more.
    fn free(&self) -> u64 {
        let files = self.names.values().filter_map(Node::number);
        let used: u64 = files.filter_map(|number| self.contents.get(&number)).map(|c| c.seen.len() as u64).sum();
        self.capacity.saturating_sub(used)
    }

    fn has_room(&self, more: u64) -> bool {
        more <= self.free()
    }
}

impl Files for Simulated {
    fn create(&self, path: &Path) -> io::Result<Box<dyn File>> {
        let mut state = self.state();
        state.begin().whole()?;
        if state.names.contains_key(path) {
            return Err(ErrorKind::AlreadyExists.into());
        }
        let folder = path.parent().unwrap_or(Path::new("/"));
        if state.names.get(folder) != Some(&Node::Folder) {
            return Err(ErrorKind::NotFound.into());
        }
        state.numbers += 1;
        let number = state.numbers;
        state.contents.insert(number, Content::default());
        state.change(Change::Made(path.to_owned(), Node::File(number)));
        Ok(Box::new(Open { files: self.clone(), number, at: 0 }))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut state = self.state();
        state.begin().whole()?;
        Ok(state.content(path)?.seen.clone())
    }

    fn read_range(&self, path: &Path, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let mut state = self.state();
        state.begin().whole()?;
        let seen = &state.content(path)?.seen;
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(seen.len());
        Ok(seen[from..seen.len().min(from.saturating_add(len))].to_vec())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.begin().whole()?;
        let number = state.number(from)?;
        state.change(Change::Renamed(from.to_owned(), to.to_owned(), Node::File(number)));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.begin().whole()?;
        let number = state.number(path)?;
        state.change(Change::Removed(path.to_owned(), Node::File(number)));
        Ok(())
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<Entry>> {
        let mut state = self.state();
        state.begin().whole()?;
        if state.names.get(folder) != Some(&Node::Folder) {
            return Err(ErrorKind::NotFound.into());
        }
        let within = state.names.iter().filter(|(path, _)| path.parent() == Some(folder));
        let entries = within.filter_map(|(path, node)| {
            let name = path.file_name()?.to_str()?.to_owned();
            Some(Entry { name, stat: state.stat(*node) })
        });
        Ok(entries.collect())
    }

    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.begin().whole()?;
        match state.names.get(folder) {
            Some(Node::Folder) => Ok(()),
            Some(Node::File(_)) => Err(ErrorKind::AlreadyExists.into()),
            None => {
                state.change(Change::Made(folder.to_owned(), Node::Folder));
                Ok(())
            }
        }
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        let mut state = self.state();
        let fate = state.begin();
        let (ours, others): (Vec<_>, Vec<_>) =
            std::mem::take(&mut state.changes).into_iter().partition(|change| change.is_in(folder));
        state.changes = others;
        match fate {
            Fate::Done => {}
            // Any part became durable; after an error the rest never will be.
            Fate::Failed(_) => {
                let all = ours.len();
                let ours: Vec<_> = ours.into_iter().filter(|_| state.random.one_in(2)).collect();
                state.lost_names |= ours.len() < all;
                ours.iter().for_each(|change| change.apply(&mut state.stored_names));
                return fate.whole();
            }
            // One that is killed while it waits changes nothing: the system goes on by itself.
            Fate::Dead { .. } => {
                state.changes.extend(ours);
                return fate.whole();
            }
        }
        ours.iter().for_each(|change| change.apply(&mut state.stored_names));
        Ok(())
    }

    fn set_len(&self, path: &Path, bytes: u64) -> io::Result<()> {
        let mut state = self.state();
        state.begin().whole()?;
        let content = state.content(path)?;
        content.resize(usize::try_from(bytes).unwrap_or(usize::MAX));
        content.sync();
        Ok(())
    }

    fn stat(&self, path: &Path) -> io::Result<Option<Stat>> {
        let mut state = self.state();
        state.begin().whole()?;
        Ok(state.names.get(path).map(|node| state.stat(*node)))
    }

    /// No operation of its own: whoever asks changes nothing and cannot fail by it.
    fn free(&self, _folder: &Path) -> io::Result<Option<u64>> {
        Ok(Some(self.state().free()))
    }

    fn lock(&self, folder: &Path) -> io::Result<Lock> {
        let mut state = self.state();
        state.begin().whole()?;
        if !state.locks.insert(folder.to_owned()) {
            return Err(Lock::refused(folder, "simulated"));
        }
        Ok(Lock::new(Held { files: self.clone(), folder: folder.to_owned() }))
    }
}

impl State {
    fn stat(&self, node: Node) -> Stat {
        let content = node.number().and_then(|number| self.contents.get(&number));
        Stat { is_folder: node == Node::Folder, bytes: content.map_or(0, |content| content.seen.len() as u64) }
    }
}

#[derive(Debug)]
struct Open {
    files: Simulated,
    number: Number,
    at: usize,
}

impl Open {
    /// Does a change to the content, by the fate of the operation: given the state's luck, whole or in part.
    fn act(
        &mut self,
        whole: impl FnOnce(&mut Content, &mut usize),
        part: impl FnOnce(&mut Content, &mut usize, &mut Random, Option<Fault>),
    ) -> io::Result<()> {
        let mut state = self.files.state();
        let fate = state.begin();
        let state = &mut *state;
        let Some(content) = state.contents.get_mut(&self.number) else { return Err(dead()) };
        match fate {
            Fate::Done => whole(content, &mut self.at),
            Fate::Failed(fault) => part(content, &mut self.at, &mut state.random, Some(fault)),
            Fate::Dead { now: true } => part(content, &mut self.at, &mut state.random, None),
            Fate::Dead { now: false } => {}
        }
        fate.whole()
    }
}

impl File for Open {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let length = self.files.state().contents.get(&self.number).map_or(0, |content| content.seen.len());
        let more = (self.at + bytes.len()).saturating_sub(length) as u64;
        if more > 0 && !self.files.state().has_room(more) {
            self.files.state().begin().whole()?;
            return Err(Fault::Full.error());
        }
        self.act(
            |content, at| {
                content.write(*at, bytes);
                *at += bytes.len();
            },
            |content, at, random, _| {
                let done = random.below(bytes.len() as u64 + 1) as usize;
                content.write(*at, &bytes[..done]);
                *at += done;
            },
        )
    }

    fn seek(&mut self, to: u64) -> io::Result<()> {
        self.at = usize::try_from(to).unwrap_or(usize::MAX);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.act(
            |content, _| content.sync(),
            |content, _, random, fault| {
                // One that is killed while it waits changes nothing: the system goes on by itself.
                if fault.is_some() {
                    content.fail_sync(random);
                }
            },
        )
    }

    fn allocate(&mut self, bytes: u64) -> io::Result<()> {
        let length = self.files.state().contents.get(&self.number).map_or(0, |content| content.seen.len() as u64);
        if !self.files.state().has_room(bytes.saturating_sub(length)) {
            self.files.state().begin().whole()?;
            return Err(Fault::Full.error());
        }
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        self.act(|content, _| content.resize(content.seen.len().max(bytes)), |_, _, _, _| {})
    }
}

struct Held {
    files: Simulated,
    folder: PathBuf,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.files.state().locks.remove(&self.folder);
    }
}
