//! An object store that fails now and then.

use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use object_store::memory::InMemory;
use object_store::path::Path as Location;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use sha2::{Digest, Sha256};
use tokio::runtime::Runtime;

use super::*;
use crate::Kind;
use crate::write::{Pending, Retry};

/// When a request fails: before the store has the object, or after, so that only the answer is lost, or on its way, so that
/// it may arrive later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fails {
    Before,
    After,
    OnTheWay,
}

#[derive(Debug)]
pub(super) struct Failing {
    store: InMemory,
    fails: Fails,
    /// Requests that succeed until some fail.
    pub(super) good: AtomicUsize,
    /// Requests that fail then.
    pub(super) bad: AtomicUsize,
    pub(super) puts: AtomicUsize,
    /// It knows no conditions.
    pub(super) unconditional: AtomicBool,
    /// Requests on their way.
    late: Mutex<Vec<(Location, PutPayload, PutOptions)>>,
}

impl Failing {
    fn new(fails: Fails) -> Arc<Self> {
        let none = AtomicUsize::default;
        let store = InMemory::new();
        let (unconditional, late) = (AtomicBool::new(false), Mutex::default());
        Arc::new(Self { store, fails, good: none(), bad: none(), puts: none(), unconditional, late })
    }

    /// A tag that follows from the content, as S3 gives it: the same content has the same one.
    async fn tag(&self, location: &Location) -> Result<String> {
        let content = self.store.get(location).await?.bytes().await?;
        Ok(format!("{:x}", Sha256::digest(content)))
    }

    async fn put(&self, location: &Location, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        if self.unconditional.load(SeqCst) && options.mode != PutMode::Overwrite {
            return Err(object_store::Error::NotImplemented {
                operation: "a condition".into(),
                implementer: "this".into(),
            });
        }
        let PutMode::Update(expected) = options.mode else {
            return self.store.put_opts(location, payload, options).await;
        };
        if self.tag(location).await.ok() != expected.e_tag {
            let path = location.to_string();
            return Err(object_store::Error::Precondition { path, source: "it is another one".into() });
        }
        self.store.put_opts(location, payload, PutOptions::default()).await
    }

    /// What was on its way arrives, in its order; how many of it the store took.
    async fn deliver(&self) -> usize {
        let late = std::mem::take(&mut *self.late.lock().unwrap());
        let mut taken = 0;
        for (location, payload, options) in late {
            taken += usize::from(self.put(&location, payload, options).await.is_ok());
        }
        taken
    }

    fn next_fails(&self) -> bool {
        let take = |left: &AtomicUsize| left.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok();
        !take(&self.good) && take(&self.bad)
    }
}

fn failure() -> object_store::Error {
    object_store::Error::Generic { store: "failing", source: "connection reset".into() }
}

impl fmt::Display for Failing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("failing")
    }
}

#[async_trait]
impl ObjectStore for Failing {
    async fn put_opts(&self, location: &Location, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.puts.fetch_add(1, SeqCst);
        let fails = self.next_fails();
        if fails && self.fails == Fails::Before {
            return Err(failure());
        }
        if fails && self.fails == Fails::OnTheWay {
            self.late.lock().unwrap().push((location.clone(), payload, options));
            return Err(failure());
        }
        let result = self.put(location, payload, options).await;
        if fails { Err(failure()) } else { result }
    }

    async fn put_multipart_opts(
        &self,
        location: &Location,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.store.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Location, options: GetOptions) -> Result<GetResult> {
        if self.next_fails() {
            return Err(failure());
        }
        let mut found = self.store.get_opts(location, options).await?;
        found.meta.e_tag = Some(self.tag(location).await?);
        Ok(found)
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Location>>) -> BoxStream<'static, Result<Location>> {
        if !self.next_fails() {
            return self.store.delete_stream(locations);
        }
        match self.fails {
            Fails::Before | Fails::OnTheWay => locations.map(|_| Err(failure())).boxed(),
            Fails::After => self.store.delete_stream(locations).map(|_| Err(failure())).boxed(),
        }
    }

    fn list(&self, prefix: Option<&Location>) -> BoxStream<'static, Result<ObjectMeta>> {
        if self.next_fails() {
            return futures_util::stream::once(std::future::ready(Err(failure()))).boxed();
        }
        self.store.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Location>) -> Result<ListResult> {
        self.store.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Location, to: &Location, options: CopyOptions) -> Result<()> {
        self.store.copy_opts(from, to, options).await
    }
}

pub(super) struct Bucket {
    pub(super) place: Place,
    pub(super) store: Arc<Failing>,
    runtime: Runtime,
}

impl Bucket {
    pub(super) fn new(fails: Fails) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        Self { place: Place::new(), store: Failing::new(fails), runtime }
    }

    pub(super) fn options(&self, attempts: u32) -> WriteOptions {
        let store = Arc::clone(&self.store) as Arc<dyn ObjectStore>;
        let to = Destination::Store { store, prefix: "bucket/a".to_owned(), runtime: self.runtime.handle().clone() };
        let retry = Retry { attempts, pause: Duration::ZERO };
        WriteOptions { retry, ..WriteOptions::new(to, self.place.staging()) }
    }

    /// What was on its way arrives; how many of it the store took.
    pub(super) fn deliver(&self) -> usize {
        self.runtime.block_on(self.store.deliver())
    }

    pub(super) fn names(&self) -> Vec<String> {
        let names = self.store.store.list(None).map_ok(|found| found.location.to_string());
        let mut names: Vec<String> = self.runtime.block_on(names.try_collect()).unwrap();
        names.sort();
        names
    }

    /// The rows of all objects, in the order of their names.
    pub(super) fn batches(&self) -> Vec<RecordBatch> {
        let mut rows = Vec::new();
        for name in self.names() {
            let content = async { self.store.store.get(&Location::from(name)).await?.bytes().await };
            let content = self.runtime.block_on(content).unwrap();
            let batches = ParquetRecordBatchReaderBuilder::try_new(content).unwrap().build().unwrap();
            rows.extend(batches.map(|batch| batch.unwrap()));
        }
        rows
    }

    /// The times of all spans, ascending.
    fn times(&self) -> Vec<i64> {
        let mut times: Vec<i64> = self.batches().iter().flat_map(times_of).collect();
        times.sort_unstable();
        times
    }
}

#[test]
fn files_appear_under_the_prefix_at_the_end_of_the_epoch() {
    let bucket = Bucket::new(Fails::Before);
    let writer = start(WriteOptions { row_group_rows: 1, file_bytes_max: 1, ..bucket.options(1) });
    writer.write("spans", spans(&[NOON])).unwrap();
    assert!(bucket.names().is_empty());
    writer.close_epoch().unwrap();
    assert_eq!(bucket.names(), ["bucket/a/spans/day=2026-01-01/hour=12/weir-1-0.parquet"]);
    assert!(bucket.place.staged().is_empty(), "what is in the store is not kept here");
}

#[test]
fn a_request_is_repeated() {
    for fails in [Fails::Before, Fails::After] {
        let bucket = Bucket::new(fails);
        let writer = start(bucket.options(3));
        bucket.store.bad.store(2, SeqCst);
        writer.write("spans", spans(&[NOON])).unwrap();
        writer.close_epoch().unwrap();
        assert_eq!(bucket.store.puts.load(SeqCst), 3);
        assert_eq!(bucket.times(), [NOON]);
    }
}

#[test]
fn rows_outlive_a_store_that_fails_and_are_published_once() {
    for fails in [Fails::Before, Fails::After] {
        let bucket = Bucket::new(fails);
        let writer = start(bucket.options(1));
        bucket.store.good.store(1, SeqCst);
        bucket.store.bad.store(2, SeqCst);
        writer.write("spans", spans(&[NOON, NOON + HOUR, NOON + 2 * HOUR])).unwrap();
        let error = writer.close_epoch().unwrap_err();
        assert_eq!(error.kind(), Kind::Storage);
        assert!(error.message().contains("connection reset"), "{error}");
        assert_eq!(writer.pending().rows, 2, "one of three files arrived");
        assert_eq!(bucket.place.staged().len(), 2);

        writer.write("spans", spans(&[NOON + 1])).unwrap();
        writer.close_epoch().unwrap_err();
        assert_eq!(writer.pending().rows, 3);

        let closed = writer.close_epoch().unwrap();
        assert_eq!((closed.files, closed.rows), (3, 3), "both epochs were ended");
        assert_eq!(bucket.times(), [NOON, NOON + 1, NOON + HOUR, NOON + 2 * HOUR]);
        assert_eq!(writer.pending(), Pending::default());
        assert_eq!(writer.written()["spans"].rows, 4);
        assert!(bucket.place.staged().is_empty());
    }
}

#[test]
fn no_name_in_a_store_is_used_twice_even_with_a_new_staging_folder() {
    let bucket = Bucket::new(Fails::Before);
    for time in 0..3 {
        let writer = start(bucket.options(1));
        writer.write("spans", spans(&[NOON + time])).unwrap();
        writer.close_epoch().unwrap();
        drop(writer);
        std::fs::remove_dir_all(bucket.place.staging()).unwrap();
    }
    assert_eq!(bucket.times(), [NOON, NOON + 1, NOON + 2]);
}

#[test]
fn a_writer_that_cannot_know_which_names_were_used_does_not_start() {
    let bucket = Bucket::new(Fails::Before);
    bucket.store.bad.store(1, SeqCst);
    let error = Writer::start(bucket.options(1), tables()).unwrap_err();
    assert_eq!(error.kind(), Kind::Storage);
    start(bucket.options(1));
}

#[test]
fn an_epoch_can_be_closed_on_a_thread_of_a_runtime() {
    let bucket = Bucket::new(Fails::Before);
    let writer = start(bucket.options(1));
    writer.write("spans", spans(&[NOON])).unwrap();
    let other = tokio::runtime::Builder::new_current_thread().build().unwrap();
    other.block_on(async { writer.close_epoch() }).unwrap();
    assert_eq!(bucket.times(), [NOON]);
}

#[test]
fn a_file_of_an_epoch_that_arrives_late_is_the_one_that_is_there() {
    let bucket = Bucket::new(Fails::OnTheWay);
    let writer = start(bucket.options(2));
    bucket.store.bad.store(1, SeqCst);
    writer.write("spans", spans(&[NOON])).unwrap();
    writer.close_epoch().unwrap();
    writer.write("spans", spans(&[NOON + 1])).unwrap();
    writer.close_epoch().unwrap();
    assert_eq!(bucket.deliver(), 1);
    assert_eq!(bucket.times(), [NOON, NOON + 1]);
}
