//! The file of a day, rewritten: the rows that it has, and those that replace, follow or end them.

use std::cmp::Ordering;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_array::{Array, ArrayRef, Int64Array, RecordBatch};
use arrow_select::interleave::interleave_record_batch;
use bytes::Bytes;

use super::encode::{Encoder, OpenFile};
use super::gather::{Chunk, Day, Mark, Newest};
use super::keys::Columns;
use super::order::as_they_are;
use super::partition::{Staged, locked};
use super::{WriteOptions, Writer, Written, destination, read, staging};
use crate::files::{Files, Lost, failed, remove_if_there};
use crate::tables::{Table, Upsert};
use crate::{Error, Result};

/// The revision, in a staged file, of a row that says that its key has none any more.
const RETRACTED: i64 = -1;

/// A row of a file to be written: the number of its batch and its own there, and its revision.
type Picked = ((usize, usize), i64);

impl Day {
    /// Stages the newest rows. They are merged into the day's file when the epoch is published: what is committed must not
    /// wait for a store to tell what it has. After an error every row is still here.
    pub(super) fn stage(&self, options: &WriteOptions) -> Result<()> {
        let upsert = self.upsert()?;
        let mut gathered = self.all();
        let newest = Newest::of(upsert, &gathered)?;
        if !newest.rows.is_empty() {
            let picked = |&(chunk, row): &(usize, usize)| {
                let mark: Mark = gathered[chunk].marks[row];
                ((chunk, row), if mark.retract { RETRACTED } else { 0 })
            };
            let rows: Vec<Picked> = newest.rows.iter().map(picked).collect();
            let number = self.epoch.next.fetch_add(1, Relaxed);
            let path = options.staging.join(staging::file_name(&options.writer_name, self.epoch.number, number));
            let batches: Vec<&RecordBatch> = gathered.iter().map(|chunk| &chunk.rows).collect();
            let (bytes, sha256) = write(options, &path, &self.table, &self.encoder, &batches, &rows)?;
            self.account.staged.fetch_add(bytes, Relaxed);
            locked(&self.epoch.staged).push(Staged {
                table: Arc::clone(&self.table.name),
                path,
                folder: self.path(),
                name: format!("{}.parquet", options.writer_name),
                key: Some(upsert.key.iter().map(|&at| self.table.schema.field(at).name().clone()).collect()),
                rows: rows.len() as u64,
                pending: self.taken(),
                bytes,
                sha256,
            });
        }
        gathered.clear();
        self.account.memory.fetch_sub(self.bytes(), Relaxed);
        Ok(())
    }
}

impl Writer {
    /// Merges staged rows into the file of their day, if they change it. Doing it again changes nothing.
    pub(super) fn publish_merged(&self, file: &Staged, key: &[String]) -> Result<Written> {
        let Staged { path, folder, name, .. } = file;
        // Gone already: an earlier attempt came as far as that.
        let options = &self.options;
        let files = &*options.files;
        let Some(content) = destination::content(files, path)? else { return Ok(Written::default()) };
        let (table, encoder) = self.merged_table(file, key, &content)?;
        let Some(upsert) = &table.upsert else { return Err(Error::bug(format!("table `{}` has no key", table.name))) };
        let changes = read::restored(&table, content, &path.display().to_string())?;
        let changes: Vec<Chunk> = changes.into_iter().map(|rows| chunk(upsert, rows)).collect();
        // What an attempt that was interrupted may have left.
        let whole = path.with_extension("merged");
        let mut written = Written::default();
        // Each refusal is of a request that was given up and arrived after all, of which there are not many.
        for _ in 0..=options.retry.attempts {
            remove(files, &whole)?;
            let (content, seen) = options.to.fetch(options, folder, name)?;
            let stored = match content {
                Some(content) => read::restored(&table, content, &format!("{folder}/{name}"))?,
                None => Vec::new(),
            };
            let is_done = match merge(upsert, &stored, &changes)? {
                None => true,
                Some(rows) if rows.is_empty() && options.to.removes_empty() => {
                    options.to.remove(options, folder, name)?;
                    true
                }
                Some(rows) => {
                    let changed = changes.iter().map(|chunk| &chunk.rows);
                    let batches: Vec<&RecordBatch> = stored.iter().chain(changed).collect();
                    let (bytes, _) = write(options, &whole, &table, &encoder, &batches, &rows)?;
                    written = Written { rows: rows.len() as u64, bytes, files: 1 };
                    options.to.replace(options, &whole, folder, name, &seen)?
                }
            };
            if is_done {
                remove(files, path)?;
                return Ok(written);
            }
        }
        Err(Error::storage(format!(
            "{folder}/{name} changes all the time in the object store, and this writer should be the only one of its name: \
             give each its own write.writer"
        )))
    }

    /// The table as it is declared; or as it was, where no plugin declares it any more.
    fn merged_table(&self, file: &Staged, key: &[String], content: &Bytes) -> Result<(Arc<Table>, Arc<Encoder>)> {
        let declared = self.tables.table(&file.table).filter(|table| table.upsert.is_some());
        if let Some((table, encoder)) = declared.and_then(|table| Some((table, self.encoders.get(&table.name)?))) {
            return Ok((Arc::clone(table), Arc::clone(encoder)));
        }
        let schema = read::schema(content.clone(), &file.path)?;
        let table = Table::was_upsert(&file.table, schema, key)?;
        let options = &self.options;
        let encoder = Encoder::new(&table, options.row_group_rows, options.zstd_level, false)?;
        Ok((Arc::new(table), Arc::new(encoder)))
    }
}

fn remove(files: &dyn Files, path: &Path) -> Result<()> {
    remove_if_there(files, path).map_err(|error| failed("cannot remove", path, &error))
}

/// The revision of a row.
fn revision(upsert: &Upsert, rows: &RecordBatch, row: usize) -> i64 {
    let revisions = rows.column(upsert.revision).as_primitive_opt::<Int64Type>();
    revisions.filter(|revisions| revisions.is_valid(row)).map_or(0, |revisions| revisions.value(row))
}

/// Rows from a file, each of whose keys is there once.
fn chunk(upsert: &Upsert, rows: RecordBatch) -> Chunk {
    let mark = |row| Mark { order: 0, call: 0, retract: revision(upsert, &rows, row) == RETRACTED };
    Chunk { marks: (0..rows.num_rows()).map(mark).collect(), rows }
}

/// Writes a file whole, on the disk for good, or not at all; returns its bytes and their SHA-256.
fn write(
    options: &WriteOptions,
    path: &Path,
    table: &Table,
    encoder: &Encoder,
    batches: &[&RecordBatch],
    rows: &[Picked],
) -> Result<(u64, String)> {
    let revision = table.upsert.as_ref().map_or(0, |upsert| upsert.revision);
    let mut file = OpenFile::create(&*options.files, path, table.private, encoder, rows.len())?;
    // Stores tell contents apart, and by this two versions of a day are never the same one.
    file.note("weir.changes", &path.file_stem().unwrap_or_default().to_string_lossy());
    let mut encode = || {
        for rows in rows.chunks(options.row_group_rows.max(1)) {
            let from: Vec<(usize, usize)> = rows.iter().map(|(from, _)| *from).collect();
            let group = interleave_record_batch(batches, &from).and_then(|group| {
                let mut columns: Vec<ArrayRef> = group.columns().to_vec();
                columns[revision] = Arc::new(Int64Array::from_iter_values(rows.iter().map(|(_, count)| *count)));
                RecordBatch::try_new(group.schema(), columns)
            });
            let group = [group.map_err(|error| Error::bug(format!("table `{}`: {error}", table.name)))?];
            file.encode(&group, as_they_are(&group), |_| {})?;
            file.drain()?;
        }
        file.finish()?;
        file.sync().map_err(|error| Lost::error(path, &error))?;
        Ok((file.bytes(), file.sha256()))
    };
    let written = encode();
    if written.is_err() {
        // Nobody uses it; where even this fails, the next attempt removes it.
        let _ = options.files.remove(path);
    }
    written
}

fn contents<'a>(upsert: &Upsert, rows: impl Iterator<Item = &'a RecordBatch>) -> Result<Vec<Columns<'a>>> {
    rows.map(|rows| Columns::new(rows, &upsert.content)).collect()
}

/// The rows of a day after the changes, in the order of their keys, stored batches counted first; none where that is what is
/// stored.
fn merge(upsert: &Upsert, stored: &[RecordBatch], changes: &[Chunk]) -> Result<Option<Vec<Picked>>> {
    let old_chunks: Vec<Chunk> = stored.iter().map(|rows| chunk(upsert, rows.clone())).collect();
    // Whatever wrote the file, each key is there once from now on.
    let (old, new) = (Newest::of(upsert, &old_chunks)?, Newest::of(upsert, changes)?);
    let old_contents = contents(upsert, stored.iter())?;
    let new_contents = contents(upsert, changes.iter().map(|chunk| &chunk.rows))?;
    let (mut before, mut after) = (Vec::new(), Vec::new());
    let mut same = |old: (usize, usize), new: (usize, usize)| {
        before.clear();
        after.clear();
        old_contents[old.0].append(old.1, &mut before);
        new_contents[new.0].append(new.1, &mut after);
        before == after
    };
    let kept = |at: (usize, usize)| (at, revision(upsert, &stored[at.0], at.1));
    let stored_rows: usize = stored.iter().map(RecordBatch::num_rows).sum();
    let mut changed = old.rows.len() != stored_rows;
    let mut rows = Vec::with_capacity(stored_rows);
    let (mut left, mut right) = (0, 0);
    while right < new.rows.len() {
        let order = if left < old.rows.len() { old.key(left).cmp(new.key(right)) } else { Ordering::Greater };
        if order == Ordering::Less {
            rows.push(kept(old.rows[left]));
            left += 1;
            continue;
        }
        let replaced = (order == Ordering::Equal).then(|| old.rows[left]);
        left += usize::from(replaced.is_some());
        let (at, row) = new.rows[right];
        right += 1;
        match replaced {
            _ if changes[at].marks[row].retract => changed |= replaced.is_some(),
            Some(replaced) if same(replaced, (at, row)) => rows.push(kept(replaced)),
            _ => {
                let count = replaced.map_or(0, |replaced| kept(replaced).1.saturating_add(1));
                rows.push(((stored.len() + at, row), count));
                changed = true;
            }
        }
    }
    rows.extend(old.rows[left..].iter().map(|&at| kept(at)));
    Ok(changed.then_some(rows))
}
