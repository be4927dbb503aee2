//! What a power cut leaves: the content of files by sectors, the names in folders by operations.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::Random;

/// What a disk writes at once, in bytes.
const SECTOR: usize = 512;

/// The number of a file, which it keeps when it is renamed.
pub(super) type Number = u64;

/// What a name means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Node {
    Folder,
    File(Number),
}

/// The content of one file: what programs read, what is on the disk, and which sectors the system means to write still.
#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    pub(super) seen: Vec<u8>,
    stored: Vec<u8>,
    unwritten: BTreeSet<usize>,
    length_unwritten: bool,
}

impl Content {
    pub(super) fn write(&mut self, at: usize, bytes: &[u8]) {
        let end = at + bytes.len();
        if end > self.seen.len() {
            self.resize(end);
        }
        self.seen[at..end].copy_from_slice(bytes);
        if !bytes.is_empty() {
            self.unwritten.extend(at / SECTOR..=(end - 1) / SECTOR);
        }
    }

    pub(super) fn resize(&mut self, bytes: usize) {
        if bytes < self.seen.len() {
            // Growing again must not show what was cut.
            self.unwritten.extend(bytes / SECTOR..self.seen.len().div_ceil(SECTOR));
        }
        self.seen.resize(bytes, 0);
        self.length_unwritten = true;
    }

    /// Everything is on the disk.
    pub(super) fn sync(&mut self) {
        if self.length_unwritten {
            self.stored.resize(self.seen.len(), 0);
            self.length_unwritten = false;
        }
        for sector in std::mem::take(&mut self.unwritten) {
            self.store(sector);
        }
    }

    /// Any part reached the disk, and the system takes the rest for written, as Linux does after an error.
    pub(super) fn fail_sync(&mut self, random: &mut Random) {
        self.keep_some(random);
        self.unwritten.clear();
        self.length_unwritten = false;
    }

    /// The content after a power cut.
    pub(super) fn cut(mut self, random: &mut Random) -> Self {
        self.keep_some(random);
        Self { seen: self.stored.clone(), stored: self.stored, ..Self::default() }
    }

    fn keep_some(&mut self, random: &mut Random) {
        if self.length_unwritten {
            let (old, new) = (self.stored.len() as u64, self.seen.len() as u64);
            let length = match random.below(3) {
                0 => old,
                1 => new,
                _ => old.min(new) + random.below(old.abs_diff(new) + 1),
            };
            self.stored.resize(length as usize, 0);
        }
        // Now and then all or nothing, which any choice by sector would hardly ever give.
        let mood = random.below(4);
        for sector in self.unwritten.clone() {
            match if mood == 0 { 0 } else { random.below(5) } {
                0 | 1 => self.store(sector),
                2 => {}
                3 => self.fill(sector, |_| 0),
                _ => {
                    // Torn: some bytes are new, some old, some nothing.
                    let from = random.below(SECTOR as u64) as usize;
                    let kept = self.stored.clone();
                    self.store(sector);
                    let zeros = random.one_in(2);
                    let old = |at: usize| if zeros { 0 } else { kept.get(at).copied().unwrap_or(0) };
                    self.fill_from(sector, from, old);
                }
            }
        }
    }

    fn store(&mut self, sector: usize) {
        let start = sector * SECTOR;
        let end = (start + SECTOR).min(self.stored.len());
        let seen = end.min(self.seen.len());
        if start < seen {
            self.stored[start..seen].copy_from_slice(&self.seen[start..seen]);
        }
        self.fill_from(sector, seen.saturating_sub(start).min(SECTOR), |_| 0);
    }

    fn fill(&mut self, sector: usize, byte: impl Fn(usize) -> u8) {
        self.fill_from(sector, 0, byte);
    }

    fn fill_from(&mut self, sector: usize, from: usize, byte: impl Fn(usize) -> u8) {
        let end = ((sector + 1) * SECTOR).min(self.stored.len());
        for at in sector * SECTOR + from..end {
            self.stored[at] = byte(at);
        }
    }
}

/// A change of names that is not durable yet.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Made(PathBuf, Node),
    Removed(PathBuf, Node),
    Renamed(PathBuf, PathBuf, Node),
}

impl Change {
    pub(super) fn is_in(&self, folder: &Path) -> bool {
        let is_in = |path: &Path| path.parent() == Some(folder);
        match self {
            Self::Made(path, _) | Self::Removed(path, _) => is_in(path),
            Self::Renamed(from, to, _) => is_in(from) || is_in(to),
        }
    }

    pub(super) fn apply(&self, names: &mut BTreeMap<PathBuf, Node>) {
        match self {
            Self::Made(path, node) => drop(names.insert(path.clone(), *node)),
            Self::Removed(path, node) => forget(names, path, *node),
            Self::Renamed(from, to, node) => {
                forget(names, from, *node);
                names.insert(to.clone(), *node);
            }
        }
    }
}

fn forget(names: &mut BTreeMap<PathBuf, Node>, path: &Path, node: Node) {
    if names.get(path) == Some(&node) {
        names.remove(path);
    }
}
