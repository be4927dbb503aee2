//! Where tables are: a folder, or an object store.

use std::future::Future;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::TryStreamExt;
use object_store::aws::AmazonS3Builder;
use object_store::{
    ClientOptions, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutPayload, RetryConfig, UpdateVersion,
};
use tokio::runtime::Handle;

use super::WriteOptions;
use super::staging::{epoch_of, largest_epoch};
use crate::config::S3;
use crate::files::{Files, failed, make_folders, remove_if_there, sync_folder};
use crate::{Error, Result};

/// Where tables are.
#[derive(Clone, Debug)]
pub enum Destination {
    /// In a folder.
    Local(PathBuf),
    /// In an object store.
    Store {
        /// The store.
        store: Arc<dyn ObjectStore>,
        /// What stands in front of the names of the tables; may be empty.
        prefix: String,
        /// The runtime that the store's requests run on, not the one that waits for the writer.
        runtime: Handle,
    },
}

/// How often a request to an object store is made before the files wait for the next epoch.
#[derive(Clone, Copy, Debug)]
pub struct Retry {
    /// Attempts, the first one included.
    pub attempts: u32,
    /// The pause after the first one; each further one is twice as long.
    pub pause: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self { attempts: 4, pause: Duration::from_millis(250) }
    }
}

/// Until when answers of an object store are waited for: for ever, unless somebody says otherwise.
#[derive(Clone, Debug, Default)]
pub struct Patience(Arc<OnceLock<Instant>>);

impl Patience {
    /// How often somebody who waits looks whether it is over.
    const LOOK: Duration = Duration::from_millis(20);

    /// It ends so long after the first call.
    pub(super) fn ends_in(&self, most: Duration) {
        let _ = self.0.set(Instant::now() + most);
    }

    fn is_over(&self) -> bool {
        self.0.get().is_some_and(|end| Instant::now() >= *end)
    }

    fn over() -> Error {
        Error::storage(
            "the object store has not taken everything in the time that a shutdown gives it; the rest is on the disk, and the \
             next start publishes it",
        )
    }
}

impl Destination {
    /// A bucket of S3, or of a store that speaks its protocol. What `s3` leaves open comes from the environment (`AWS_…`).
    ///
    /// # Errors
    ///
    /// `Config` where the settings do not make a client.
    pub fn s3(bucket: &str, prefix: &str, s3: &S3, runtime: Handle) -> Result<Self> {
        let retry = RetryConfig { max_retries: 3, retry_timeout: Duration::from_secs(30), ..RetryConfig::default() };
        let client = ClientOptions::new().with_timeout(Duration::from_secs(60)).with_allow_http(s3.allow_http);
        let mut builder = AmazonS3Builder::from_env()
            .with_bucket_name(bucket)
            .with_client_options(client)
            .with_retry(retry)
            .with_virtual_hosted_style_request(s3.virtual_hosted);
        if let Some(endpoint) = &s3.endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        if let Some(region) = &s3.region {
            builder = builder.with_region(region);
        }
        if let Some(id) = &s3.access_key_id {
            builder = builder.with_access_key_id(id.reveal());
        }
        if let Some(secret) = &s3.secret_access_key {
            builder = builder.with_secret_access_key(secret.reveal());
        }
        let store = builder.build().map_err(|error| Error::config(format!("s3://{bucket}: {error}")))?;
        Ok(Self::Store { store: Arc::new(store), prefix: prefix.to_owned(), runtime })
    }

    /// Makes sure that files can get there from the staging folder.
    pub(super) fn prepare(&self, files: &dyn Files, staging: &Path) -> Result<()> {
        let Self::Local(to) = self else { return Ok(()) };
        make_folders(files, to)?;
        if files.are_together(to, staging).map_err(|error| failed("cannot look at", to, &error))? {
            return Ok(());
        }
        Err(Error::config(format!(
            "staging folder {} is on another file system than {}: files could not be moved there whole; put it on the same \
             one",
            staging.display(),
            to.display()
        )))
    }

    /// The largest epoch among all files of that writer.
    pub(super) fn largest_epoch(&self, files: &dyn Files, writer: &str) -> Result<Option<u64>> {
        match self {
            Self::Local(to) => largest_epoch(files, to, writer),
            Self::Store { store, prefix, runtime } => {
                let (store, prefix, writer) = (Arc::clone(store), prefix.clone(), writer.to_owned());
                let largest = async move {
                    let prefix = (!prefix.is_empty()).then(|| object_store::path::Path::from(prefix));
                    let names = store.list(prefix.as_ref());
                    let largest = names.try_fold(None, |largest: Option<u64>, found| {
                        let epoch = found.location.filename().and_then(|name| epoch_of(name, &writer));
                        std::future::ready(Ok(largest.max(epoch)))
                    });
                    largest.await.map_err(|error| Error::storage(format!("cannot list the object store: {error}")))
                };
                wait(runtime, &Patience::default(), largest)?
            }
        }
    }

    /// Brings a staged file to its place, under its name in its folder, which no other file has. Doing it again changes
    /// nothing.
    pub(super) fn publish(&self, options: &WriteOptions, staged: &Path, folder: &str, name: &str) -> Result<()> {
        self.replace(options, staged, folder, name, &Seen::Anything).map(drop)
    }

    /// Brings a staged file to its place, where it replaces what was seen there. If a store has something else by now, nothing
    /// happens, and the answer is false: a request that was given up arrived after all.
    pub(super) fn replace(
        &self,
        options: &WriteOptions,
        staged: &Path,
        folder: &str,
        name: &str,
        seen: &Seen,
    ) -> Result<bool> {
        let files = &*options.files;
        let (store, prefix, runtime) = match self {
            Self::Local(to) => return publish_local(files, staged, &to.join(folder), name).map(|()| true),
            Self::Store { store, prefix, runtime } => (store, prefix, runtime),
        };
        let location = location(prefix, folder, name)?;
        // An earlier attempt came as far as the end.
        let Some(content) = content(files, staged)? else { return Ok(true) };
        let content = PutPayload::from_bytes(content);
        let put = |seen: &Seen| {
            let (store, location, content, mode) =
                (Arc::clone(store), location.clone(), content.clone(), seen.condition());
            wait(runtime, &options.patience, async move { store.put_opts(&location, content, mode.into()).await })
        };
        let attempt = || {
            let answer = match put(seen)? {
                // A store without conditions: it has what came last.
                Err(object_store::Error::NotImplemented { .. }) if *seen != Seen::Anything => put(&Seen::Anything)?,
                answer => answer,
            };
            match answer {
                Ok(_) => Ok(true),
                Err(object_store::Error::Precondition { .. } | object_store::Error::AlreadyExists { .. }) => Ok(false),
                Err(error) => Err(Error::storage(format!("cannot put {name} into the object store: {error}"))),
            }
        };
        if !repeat(options, attempt)? {
            return Ok(false);
        }
        remove_if_there(files, staged).map_err(|error| failed("cannot remove", staged, &error))?;
        Ok(true)
    }

    /// Makes sure of a file that an earlier run brought to its place: it may have been killed before the name was durable.
    pub(super) fn settle(&self, files: &dyn Files, folder: &str) -> Result<()> {
        let Self::Local(to) = self else { return Ok(()) };
        let folder = to.join(folder);
        let there = files.stat(&folder).map_err(|error| failed("cannot look at", &folder, &error))?;
        // Files that are gone, with their folder, were there and are not wanted any more.
        if there.is_some() { make_folders(files, &folder).and_then(|()| sync_folder(files, &folder)) } else { Ok(()) }
    }

    /// Whether a file that has no row left is removed. A store keeps it: a request to create it that was given up may still
    /// arrive, and is refused only where something is.
    pub(super) fn removes_empty(&self) -> bool {
        matches!(self, Self::Local(_))
    }

    /// Removes a file from its place in a folder. Gone already is as good.
    pub(super) fn remove(&self, options: &WriteOptions, folder: &str, name: &str) -> Result<()> {
        let Self::Local(to) = self else { return Ok(()) };
        let files = &*options.files;
        let folder = to.join(folder);
        let target = folder.join(name);
        remove_if_there(files, &target).map_err(|error| failed("cannot remove", &target, &error))?;
        let there = files.stat(&folder).map_err(|error| failed("cannot look at", &folder, &error))?;
        if there.is_some() { sync_folder(files, &folder) } else { Ok(()) }
    }

    /// The content of the file at its place; none where there is none. With what tells it from others of its name.
    pub(super) fn fetch(&self, options: &WriteOptions, folder: &str, name: &str) -> Result<(Option<Bytes>, Seen)> {
        match self {
            Self::Local(to) => Ok((content(&*options.files, &to.join(folder).join(name))?, Seen::Anything)),
            Self::Store { store, prefix, runtime } => {
                let location = location(prefix, folder, name)?;
                repeat(options, || {
                    let (store, location) = (Arc::clone(store), location.clone());
                    let get = async move {
                        let found = store.get(&location).await?;
                        let seen = Seen::of(&found.meta);
                        Ok((Some(found.bytes().await?), seen))
                    };
                    match wait(runtime, &options.patience, get)? {
                        Err(object_store::Error::NotFound { .. }) => Ok((None, Seen::Nothing)),
                        found => found.map_err(|error| {
                            Error::storage(format!("cannot get {folder}/{name} from the object store: {error}"))
                        }),
                    }
                })
            }
        }
    }
}

/// What a file in an object store may replace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// Whatever is there.
    Anything,
    /// There was none.
    Nothing,
    /// The one that has this tag and version.
    This(Option<String>, Option<String>),
}

impl Seen {
    fn of(found: &ObjectMeta) -> Self {
        match (&found.e_tag, &found.version) {
            (None, None) => Self::Anything,
            (tag, version) => Self::This(tag.clone(), version.clone()),
        }
    }

    fn condition(&self) -> PutMode {
        match self.clone() {
            Self::Anything => PutMode::Overwrite,
            Self::Nothing => PutMode::Create,
            Self::This(e_tag, version) => PutMode::Update(UpdateVersion { e_tag, version }),
        }
    }
}

/// The name of a file in an object store.
fn location(prefix: &str, folder: &str, name: &str) -> Result<object_store::path::Path> {
    let location = if prefix.is_empty() { format!("{folder}/{name}") } else { format!("{prefix}/{folder}/{name}") };
    object_store::path::Path::parse(&location)
        .map_err(|error| Error::config(format!("`{location}` is no name in an object store: {error}")))
}

/// The content of a local file; none where there is none.
pub(super) fn content(files: &dyn Files, path: &Path) -> Result<Option<Bytes>> {
    match files.read(path) {
        Ok(content) => Ok(Some(Bytes::from(content))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("cannot read", path, &error)),
    }
}

fn publish_local(files: &dyn Files, staged: &Path, folder: &Path, name: &str) -> Result<()> {
    make_folders(files, folder)?;
    let target = folder.join(name);
    match files.rename(staged, &target) {
        // An earlier attempt came as far as this: what is missing is the folder's own way to the disk.
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let there = files.stat(&target).map_err(|error| failed("cannot look at", &target, &error))?;
            if there.is_none() {
                return Err(failed("cannot move a staged file to", &target, &error));
            }
        }
        result => result.map_err(|error| failed("cannot move a staged file to", &target, &error))?,
    }
    sync_folder(files, folder)
}

fn repeat<T>(options: &WriteOptions, mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
    let Retry { attempts, mut pause } = options.retry;
    for _ in 1..attempts {
        if let Ok(done) = attempt() {
            return Ok(done);
        }
        if options.patience.is_over() {
            break;
        }
        std::thread::sleep(pause);
        pause = pause.saturating_mul(2);
    }
    attempt()
}

/// Waits for what runs on the runtime; works on any thread, also on one of a runtime, where blocking on a future panics.
fn wait<T: Send + 'static>(
    runtime: &Handle,
    patience: &Patience,
    future: impl Future<Output = T> + Send + 'static,
) -> Result<T> {
    let (send, receive) = sync_channel(1);
    let task = runtime.spawn(async move {
        // The receiver waits below, unless it has given up, and then nobody wants the answer.
        let _ = send.send(future.await);
    });
    loop {
        match receive.recv_timeout(Patience::LOOK) {
            Ok(answer) => return Ok(answer),
            Err(RecvTimeoutError::Timeout) if !patience.is_over() => {}
            Err(RecvTimeoutError::Timeout) => {
                task.abort();
                return Err(Patience::over());
            }
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Error::storage("a request to the object store ended without an answer: the runtime stops"));
            }
        }
    }
}
