//! An object store that is slow or hangs: clients do not notice until the disk has taken what it may, and nothing is lost.

mod service;

use async_trait::async_trait;
use futures_util::TryStreamExt;
use futures_util::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path as Location;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMultipartOptions, PutOptions, PutPayload, PutResult,
};
use service::oracle::{Load, Oracle};
use service::rows::{self, Row};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use weir::config::{Compression, Config, Plugin};
use weir::files::{Files, Simulated};
use weir::run::{Pipeline, Summary};
use weir::write::Destination;
use weir::{Error, Kind, Signal};

/// Longer than anything here may take.
const HANGS: Duration = Duration::from_secs(60);

const SOFT: u64 = 512 << 10;
const HARD: u64 = 1 << 20;

/// A store whose requests wait until they are let through. Listing it, which only a first start does, is not held up.
#[derive(Debug)]
struct Gated {
    store: InMemory,
    /// How many may pass; closed: all.
    gate: Semaphore,
}

impl Gated {
    async fn pass(&self) {
        // A gate that is closed for good lets everybody through.
        if let Ok(permit) = self.gate.acquire().await {
            permit.forget();
        }
    }
}

impl std::fmt::Display for Gated {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("gated")
    }
}

type Result<T> = object_store::Result<T>;

#[async_trait]
impl ObjectStore for Gated {
    async fn put_opts(&self, location: &Location, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.pass().await;
        self.store.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Location,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.store.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Location, options: GetOptions) -> Result<GetResult> {
        self.pass().await;
        self.store.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Location>>) -> BoxStream<'static, Result<Location>> {
        self.store.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Location>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.store.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Location>) -> Result<ListResult> {
        self.store.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Location, to: &Location, options: CopyOptions) -> Result<()> {
        self.store.copy_opts(from, to, options).await
    }
}

/// The store, the local disk, and what was sent.
struct World {
    store: Arc<Gated>,
    files: Simulated,
    runtime: Runtime,
    load: Load,
    oracle: Oracle,
    next: u64,
    /// What the log and the staged files may have on the disk.
    limits: (u64, u64),
}

impl World {
    fn new() -> Self {
        let store = Arc::new(Gated { store: InMemory::new(), gate: Semaphore::new(0) });
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
        let load = Load { seed: 4, rows_max: 6, note_bytes_max: 1500 };
        Self {
            store,
            files: Simulated::new(1),
            runtime,
            load,
            oracle: Oracle::default(),
            next: 0,
            limits: (u64::MAX / 2, u64::MAX),
        }
    }

    /// Epochs end all the time, and a plugin keeps a table whose rows are replaced.
    fn start(&self) -> Pipeline {
        let plugins = vec![Plugin::file("counter", weir_build::guest("counter").unwrap())];
        let mut config = Config { plugins, ..Config::default() };
        (config.write.epoch, config.write.first_epoch) = (Duration::from_millis(20), Duration::from_millis(5));
        config.write.staging = Some("/disk/staging".into());
        config.write.compression = Compression::None;
        config.batch.delay_max = Duration::from_millis(5);
        config.log.folder = Some("/disk/log".into());
        config.log.segment_bytes = 32 << 10;
        (config.log.disk_soft_bytes, config.log.disk_hard_bytes) = self.limits;
        config.log.reserve_bytes = 0;
        config.watch.metrics = false;
        let store = Arc::clone(&self.store) as Arc<dyn ObjectStore>;
        let to = Destination::Store { store, prefix: "shop".to_owned(), runtime: self.runtime.handle().clone() };
        let builder = Pipeline::builder().config(config).files(Arc::new(self.files.clone()));
        builder.store(to, Duration::ZERO).start().unwrap()
    }

    /// Sends the next request; an answer comes though the store gives none.
    fn ingest(&mut self, pipeline: &Pipeline) -> std::result::Result<(), Error> {
        let request = self.next;
        self.next += 1;
        self.oracle.sends(request);
        pipeline.ingest(self.load.shape(request).0, &self.load.encode(request))?;
        self.oracle.acknowledged(request);
        Ok(())
    }

    fn objects(&self) -> Vec<ObjectMeta> {
        self.runtime.block_on(self.store.store.list(None).try_collect()).unwrap()
    }

    fn table(&self, name: &str) -> Vec<Row> {
        let of_table = |object: &ObjectMeta| object.location.as_ref().starts_with(&format!("shop/{name}/"));
        let objects = self.objects().into_iter().filter(of_table);
        let read = |object: ObjectMeta| {
            let content = async { self.store.store.get(&object.location).await?.bytes().await };
            rows::of_content(self.runtime.block_on(content).unwrap().to_vec())
        };
        objects.flat_map(read).collect()
    }

    /// Lets everything through, and finds in the store what has to be there.
    fn check(&self, pipeline: Pipeline) {
        self.store.gate.close();
        pipeline.flush().unwrap();
        let summary = pipeline.shutdown();
        assert!(summary.failure.is_none() && summary.pending == 0, "{summary:?}");
        let stored = Signal::ALL.into_iter().flat_map(|signal| {
            let rows = self.table(signal.name());
            rows.into_iter().map(move |row| (signal, row))
        });
        let check = self.oracle.all_is_there(self.load, stored).unwrap_or_else(|wrong| panic!("{wrong}"));
        check.counts_are_exact(self.table("running")).unwrap_or_else(|wrong| panic!("{wrong}"));
        assert_eq!(staged(&self.files), 0, "what the store has is not kept here");
    }
}

/// What files have together.
fn bytes(files: &Simulated, folder: &Path) -> u64 {
    let entries = files.list(folder).unwrap().into_iter();
    entries
        .map(|entry| if entry.stat.is_folder { bytes(files, &folder.join(&entry.name)) } else { entry.stat.bytes })
        .sum()
}

fn staged(files: &Simulated) -> usize {
    let entries = files.list(Path::new("/disk/staging")).unwrap();
    entries.iter().filter(|entry| entry.name.ends_with(".parquet")).count()
}

fn metric(pipeline: &Pipeline, name: &str, label: Option<&str>) -> f64 {
    let families = pipeline.metrics();
    let family = families.iter().find(|family| family.name == name).unwrap();
    let has_it = |labels: &[(&str, String)]| label.is_none_or(|label| labels.iter().any(|(_, value)| value == label));
    family.samples.iter().find(|(labels, _)| has_it(labels)).unwrap().1
}

/// Waits for what must come.
fn until(what: &str, mut come: impl FnMut() -> bool) {
    let end = Instant::now() + HANGS;
    while !come() {
        assert!(Instant::now() < end, "it never comes: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Everything acknowledged is in an epoch.
fn committed(pipeline: &Pipeline) {
    until("an epoch with all of it", || {
        ["log", "epoch"].iter().all(|stage| metric(pipeline, "weir_lag_requests", Some(stage)) == 0.0)
    });
}

fn shutdown(pipeline: Pipeline) -> Summary {
    let (done, ended) = sync_channel(1);
    // Nobody receives once the test has failed.
    std::thread::spawn(move || drop(done.send(pipeline.shutdown())));
    ended.recv_timeout(HANGS).expect("it ends")
}

#[test]
fn while_a_store_hangs_requests_are_taken_until_the_disk_has_its_limit_and_nothing_is_lost() {
    let mut world = World::new();
    world.limits = (SOFT, HARD);
    let pipeline = world.start();
    let refused = loop {
        match world.ingest(&pipeline) {
            Ok(()) if world.next.is_multiple_of(8) => committed(&pipeline),
            Ok(()) => {}
            Err(refused) => break refused,
        }
    };
    assert_eq!(refused.kind(), Kind::Overload, "the client is to come back: {refused}");
    assert!(refused.message().contains("log.disk_soft"), "{refused}");
    committed(&pipeline);
    assert!(metric(&pipeline, "weir_epoch", None) >= 3.0, "epochs are committed all the time");
    assert!(staged(&world.files) > 3 && world.objects().is_empty());
    let used = bytes(&world.files, Path::new("/disk"));
    assert!((SOFT..HARD).contains(&used), "{used} bytes are on the disk");
    assert!(world.ingest(&pipeline).is_err() && pipeline.failure().get().is_none());

    world.store.gate.close();
    pipeline.flush().unwrap();
    until("room", || world.ingest(&pipeline).is_ok());
    world.check(pipeline);
}

#[test]
fn a_store_that_takes_one_request_at_a_time_holds_neither_answers_nor_epochs_up() {
    let mut world = World::new();
    let pipeline = world.start();
    for _ in 0..12 {
        // The store answers nothing in the meantime.
        (0..3).for_each(|_| world.ingest(&pipeline).unwrap());
        committed(&pipeline);
        assert!(metric(&pipeline, "weir_lag_requests", Some("publish")) > 0.0);
        world.store.gate.add_permits(1);
    }
    until("an object", || !world.objects().is_empty());
    world.check(pipeline);
}

#[test]
fn a_shutdown_does_not_wait_for_a_store_that_hangs_and_the_next_start_publishes_the_rest() {
    let mut world = World::new();
    for life in 0..3 {
        // Nor does a start wait for it.
        let pipeline = world.start();
        (0..5).for_each(|_| world.ingest(&pipeline).unwrap());
        // With a request to the store under way, and with rows that no epoch has yet.
        if life > 0 {
            committed(&pipeline);
        }
        let summary = shutdown(pipeline);
        let failure = summary.failure.as_ref().expect("it says that not everything is published");
        assert_eq!(failure.kind(), Kind::Storage);
        assert!(failure.message().contains("the next start publishes it"), "{failure}");
        assert!(summary.pending > 0 && world.objects().is_empty(), "{summary:?}");
        world.files = world.files.restart();
    }
    let pipeline = world.start();
    world.check(pipeline);
}
