//! What a plugin is, and the calls that Weir makes of it.

use serde::de::DeserializeOwned;

use crate::batch::Source;
use crate::{Batch, Description, Error, OnError, Result, Signals, Timestamp, config, raw, row};

/// What a plugin does to the batches of its signals.
///
/// Every call is a transaction: what it changed, emitted and kept is applied when it returns `Ok`, and none of it
/// otherwise.
pub trait Processor: Sized {
    /// Its configuration, from the operator's file; [`NoConfig`](crate::NoConfig) where it has none.
    type Config: DeserializeOwned;

    /// The signals that it takes.
    const SIGNALS: Signals;

    /// What it does, in a line.
    const SUMMARY: &'static str = "";

    /// Whether it keeps [`State`](crate::State): it then runs on one instance, in the order in which rows were accepted.
    const STATEFUL: bool = false;

    /// What becomes of a batch on which it fails, unless the operator says otherwise.
    const ON_ERROR: OnError = OnError::Pass;

    /// A plugin so configured.
    ///
    /// # Errors
    ///
    /// A mistake in the configuration that its type does not show: [`Error::at`].
    fn new(config: Self::Config) -> Result<Self>;

    /// Declares the columns that it reads and writes and the tables that it emits. One that only keeps and drops rows
    /// needs none.
    fn describe(&self, description: &mut Description) {
        let _ = description;
    }

    /// A batch of one of its signals.
    ///
    /// # Errors
    ///
    /// The plugin cannot do its work on this batch, which then goes where [`ON_ERROR`](Self::ON_ERROR) says.
    fn process(&mut self, batch: &mut Batch) -> Result;

    /// Event time has passed this point: no row older than it is expected any more.
    ///
    /// # Errors
    ///
    /// As for [`process`](Self::process).
    fn advance(&mut self, watermark: Timestamp) -> Result {
        let _ = watermark;
        Ok(())
    }
}

/// The name and version of a plugin, which [`plugin!`](crate::plugin) takes from its `Cargo.toml`.
#[doc(hidden)]
pub trait Identity {
    const NAME: &'static str;
    const VERSION: &'static str;
}

/// The name of a package without `weir-plugin-`.
#[doc(hidden)]
pub const fn short_name(package: &'static str) -> &'static str {
    let prefix = b"weir-plugin-";
    let (name, mut index) = (package.as_bytes(), 0);
    while index < prefix.len() {
        if index >= name.len() || name[index] != prefix[index] {
            return package;
        }
        index += 1;
    }
    package.split_at(prefix.len()).1
}

/// A plugin and the calls of it: what is behind the exports, and behind `testing::Plugin`.
#[doc(hidden)]
#[derive(Debug)]
pub struct Runtime<P> {
    pub(crate) processor: P,
}

impl<P: Processor + Identity> Runtime<P> {
    pub fn configure(json: &str) -> Result<Self> {
        #[cfg(target_arch = "wasm32")]
        crate::wasm::report_panics();
        Ok(Self { processor: P::new(config::parse(json)?)? })
    }

    pub fn describe(&self) -> raw::Description {
        let mut description = Description::default();
        self.processor.describe(&mut description);
        description.finish::<P>()
    }

    #[cfg(target_arch = "wasm32")]
    pub fn process(&mut self, batch: &raw::host::Batch) -> Result<(), String> {
        process(&mut self.processor, batch).map_err(|error| error.to_string())
    }

    pub fn advance(&mut self, watermark: i64) -> Result<(), String> {
        row::discard();
        self.processor.advance(Timestamp(watermark)).and_then(|()| row::flush()).map_err(|error| error.to_string())
    }
}

impl<P> Runtime<P> {
    /// The answer of a plugin that is called before it was configured.
    pub fn missing() -> String {
        "the plugin is called before it was configured".to_owned()
    }

    pub fn mistakes(error: &Error) -> Vec<raw::Mistake> {
        let mistakes = error.mistakes();
        mistakes.map(|(key, message)| raw::Mistake { key: key.to_owned(), message: message.to_owned() }).collect()
    }
}

pub(crate) fn process<P: Processor>(processor: &mut P, source: &dyn Source) -> Result {
    row::discard();
    processor.process(&mut Batch::new(source))?;
    row::flush()
}

/// Makes a [`Processor`] the plugin of this crate: `weir_sdk::plugin!(MyPlugin);`.
///
/// Its name is the package's without `weir-plugin-`, its version the package's; both can be said instead:
/// `weir_sdk::plugin!(MyPlugin, name = "mine", version = "2");`.
#[macro_export]
macro_rules! plugin {
    ($processor:ty $(,)?) => {
        $crate::plugin!($processor, name = $crate::short_name(env!("CARGO_PKG_NAME")));
    };
    ($processor:ty, name = $name:expr $(,)?) => {
        $crate::plugin!($processor, name = $name, version = env!("CARGO_PKG_VERSION"));
    };
    ($processor:ty, name = $name:expr, version = $version:expr $(,)?) => {
        impl $crate::Identity for $processor {
            const NAME: &'static str = $name;
            const VERSION: &'static str = $version;
        }

        // Nothing else calls it where it is not built for Weir.
        #[cfg(not(target_arch = "wasm32"))]
        const _: fn(&str) -> $crate::Result<$crate::Runtime<$processor>> = <$crate::Runtime<$processor>>::configure;

        #[cfg(target_arch = "wasm32")]
        const _: () = {
            type Runtime = $crate::Runtime<$processor>;

            std::thread_local! {
                static PLUGIN: std::cell::RefCell<Option<Runtime>> = const { std::cell::RefCell::new(None) };
            }

            struct Exported;

            impl $crate::raw::Guest for Exported {
                fn configure(config: String) -> Result<(), Vec<$crate::raw::Mistake>> {
                    let plugin = Runtime::configure(&config).map_err(|error| Runtime::mistakes(&error))?;
                    PLUGIN.set(Some(plugin));
                    Ok(())
                }

                fn describe() -> $crate::raw::Description {
                    PLUGIN.with_borrow(|plugin| plugin.as_ref().expect("the plugin was configured").describe())
                }

                fn process(batch: &$crate::raw::host::Batch) -> Result<(), String> {
                    PLUGIN.with_borrow_mut(|plugin| plugin.as_mut().ok_or_else(Runtime::missing)?.process(batch))
                }

                fn advance(watermark: i64) -> Result<(), String> {
                    PLUGIN.with_borrow_mut(|plugin| plugin.as_mut().ok_or_else(Runtime::missing)?.advance(watermark))
                }
            }

    $crate::raw::export_plugin!(Exported with_types_in $crate::raw);
        };
    };
}
