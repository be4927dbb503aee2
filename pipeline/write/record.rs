//! The record of an epoch: the commit. What is recorded is published, by this run or by the next; what is staged and not
//! recorded is cleared away at the start.
//!
//! One file an epoch, `<writer>-<epoch>.record` in the staging folder: a line of JSON, and a line with its SHA-256. Each
//! names the digest of the one before, so that a missing or exchanged record is seen. The last record stays, for it says
//! where the log begins and what the plugins' state is; the others go when their files are published.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::partition::Staged;
use super::{WriteOptions, staging};
use crate::files::{self, failed};
use crate::{Error, Result};

/// The version of the form of records.
const VERSION: u64 = 1;

/// What one epoch committed.
#[derive(Clone, Debug, Default)]
pub(super) struct Record {
    pub(super) epoch: u64,
    /// The digest of the record before; empty for the first.
    pub(super) previous: String,
    /// The records of the log that the epoch has: from the first position up to the second, which is not in it.
    pub(super) from: u64,
    pub(super) to: u64,
    /// How far event time had come.
    pub(super) watermark: Option<i64>,
    pub(super) files: Vec<Staged>,
    /// The files that make up the state as of this epoch: a whole one, and what changed since.
    pub(super) state: Vec<StateFile>,
    /// What made it: plugins with their digests, rows so far.
    pub(super) about: Value,
    /// The digest of this record, once it is written or read.
    pub(super) digest: String,
}

impl Record {
    /// Whether it is the successor of another one.
    pub(super) fn follows(&self, one: &Self) -> bool {
        self.epoch == one.epoch + 1 && self.previous == one.digest && self.from == one.to
    }
}

/// A file with the state of plugins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StateFile {
    pub(super) name: String,
    pub(super) bytes: u64,
    pub(super) sha256: String,
}

pub(super) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

pub(super) fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn path(options: &WriteOptions, epoch: u64) -> PathBuf {
    options.staging.join(format!("{}-{epoch}.record", options.writer_name))
}

/// The epoch of a record's file, if it is that writer's.
pub(super) fn epoch_of(name: &str, writer: &str) -> Option<u64> {
    name.strip_suffix(".record")?.strip_prefix(writer)?.strip_prefix('-')?.parse().ok()
}

/// Writes a record. This is the commit: it stands when the function returns, and not before.
pub(super) fn write(options: &WriteOptions, record: &mut Record) -> Result<()> {
    let file = |file: &Staged| {
        json!({
            "table": &*file.table, "folder": file.folder, "name": file.name, "rows": file.rows, "bytes": file.bytes,
            "sha256": file.sha256, "staged": file.staged_name(), "pending": file.pending, "key": file.key,
        })
    };
    let state = |file: &StateFile| json!({ "name": file.name, "bytes": file.bytes, "sha256": file.sha256 });
    let value = json!({
        "version": VERSION,
        "writer": options.writer_name,
        "epoch": record.epoch,
        "previous": record.previous,
        "from": record.from,
        "to": record.to,
        "watermark": record.watermark,
        "files": record.files.iter().map(file).collect::<Vec<_>>(),
        "state": record.state.iter().map(state).collect::<Vec<_>>(),
        "about": record.about,
    });
    let mut text = value.to_string();
    record.digest = sha256(text.as_bytes());
    text.push('\n');
    text.push_str(&record.digest);
    text.push('\n');
    files::replace(&*options.files, &path(options, record.epoch), text.as_bytes())
}

/// Removes the record of an epoch, for good: were it there again after a power cut, an old file of a day would replace the
/// one of a later epoch. Gone already is as good.
pub(super) fn remove(options: &WriteOptions, epoch: u64) -> Result<()> {
    let path = path(options, epoch);
    files::remove_if_there(&*options.files, &path).map_err(|error| failed("cannot remove", &path, &error))?;
    staging::sync_folder(options)
}

/// The records that are there, the oldest first: whole, and each the one before's successor.
pub(super) fn read_all(options: &WriteOptions) -> Result<Vec<Record>> {
    let mut records = Vec::new();
    let staging = &options.staging;
    for entry in options.files.list(staging).map_err(|error| failed("cannot list", staging, &error))? {
        if let Some(epoch) = epoch_of(&entry.name, &options.writer_name) {
            let record = read(options, &staging.join(&entry.name))?;
            if record.epoch != epoch {
                return Err(broken(&staging.join(&entry.name), &format!("it is the record of epoch {}", record.epoch)));
            }
            records.push(record);
        }
    }
    records.sort_by_key(|record| record.epoch);
    for pair in records.windows(2) {
        let [one, next] = pair else { continue };
        if !next.follows(one) {
            let why = format!("it does not follow the record of epoch {}", one.epoch);
            return Err(broken(&path(options, next.epoch), &why));
        }
    }
    Ok(records)
}

fn broken(path: &Path, why: &str) -> Error {
    Error::storage(format!(
        "{} is damaged: {why}; restore it from a copy, or look at it with `weir doctor`",
        path.display()
    ))
}

/// Reads one record.
pub(super) fn read(options: &WriteOptions, path: &Path) -> Result<Record> {
    let bytes = options.files.read(path).map_err(|error| failed("cannot read", path, &error))?;
    parse(options, &bytes).map_err(|why| broken(path, &why))
}

/// Reads the bytes of a record; or says why it cannot be believed.
pub(super) fn parse(options: &WriteOptions, bytes: &[u8]) -> std::result::Result<Record, String> {
    let text = std::str::from_utf8(bytes).map_err(|error| error.to_string())?;
    let (json, digest) = text
        .strip_suffix('\n')
        .and_then(|text| text.split_once('\n'))
        .ok_or("it is not two lines, a record and its digest")?;
    if sha256(json.as_bytes()) != digest {
        return Err("its digest is another".to_owned());
    }
    let value: Value = serde_json::from_str(json).map_err(|error| error.to_string())?;
    let number = |value: &Value, key: &str| value[key].as_u64().ok_or(format!("`{key}` is no number"));
    let string = |value: &Value, key: &str| value[key].as_str().map(str::to_owned).ok_or(format!("`{key}` is no text"));
    let list = |key: &str| value[key].as_array().ok_or(format!("`{key}` is no list"));
    let version = number(&value, "version")?;
    if version != VERSION {
        return Err(format!("it has version {version}, and this weir reads version {VERSION}"));
    }
    let mut record = Record {
        epoch: number(&value, "epoch")?,
        previous: string(&value, "previous")?,
        from: number(&value, "from")?,
        to: number(&value, "to")?,
        watermark: value["watermark"].as_i64(),
        about: value["about"].clone(),
        digest: digest.to_owned(),
        ..Record::default()
    };
    for file in list("files")? {
        let key = file["key"].as_array().map(|key| key.iter().filter_map(Value::as_str).map(str::to_owned).collect());
        record.files.push(Staged {
            table: Arc::from(string(file, "table")?),
            path: options.staging.join(string(file, "staged")?),
            folder: string(file, "folder")?,
            name: string(file, "name")?,
            key,
            rows: number(file, "rows")?,
            pending: number(file, "pending")?,
            bytes: number(file, "bytes")?,
            sha256: string(file, "sha256")?,
        });
    }
    for file in list("state")? {
        record.state.push(StateFile {
            name: string(file, "name")?,
            bytes: number(file, "bytes")?,
            sha256: string(file, "sha256")?,
        });
    }
    Ok(record)
}
