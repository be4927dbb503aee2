//! Loading a plugin: what it imports is looked at before any of it is compiled or run.

use super::bindings::ProcessorPre;
use super::engine::{Calls, Engine};
use super::host::Guest;
use super::instance::Instance;
use super::limits::{Limits, bytes_text};
use super::{Contract, bindings};
use crate::{Error, Result};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::sync::Arc;
use wasmparser::{Encoding, Parser, Payload};
use wasmtime::component::{Component, HasSelf, Linker};
use wit_component::ComponentEncoder;

/// The version of the contract that this Weir speaks.
pub const CONTRACT_VERSION: &str = "0.1.0";

const PACKAGE: &str = "weir:plugin/";
const ALLOWED: [&str; 2] = ["weir:plugin/columns", "weir:plugin/host"];

/// A compiled plugin, of which instances are made. A clone is another handle of the same plugin.
#[derive(Clone)]
pub struct Plugin {
    pub(crate) name: Arc<str>,
    pub(crate) pre: ProcessorPre<Guest>,
    pub(crate) limits: Limits,
    pub(crate) calls: Calls,
    /// The SHA-256 of its bytes, in hexadecimal digits.
    pub(crate) sha256: Arc<str>,
    imports: Arc<[String]>,
}

impl std::fmt::Debug for Plugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Plugin({})", self.name)
    }
}

impl Plugin {
    /// Compiles a plugin: a component, or a core module that `wit-bindgen` made, which becomes one.
    ///
    /// # Errors
    ///
    /// It is no WebAssembly, is larger than the limit, imports what Weir does not give, or speaks another version of the
    /// contract. The message begins with the plugin's name.
    pub fn load(engine: &Engine, name: &str, bytes: &[u8], limits: &Limits) -> Result<Self> {
        Self::loaded(engine, name, bytes, limits).map_err(|error| error.within(format_args!("plugin `{name}`")))
    }

    fn loaded(engine: &Engine, name: &str, bytes: &[u8], limits: &Limits) -> Result<Self> {
        if bytes.len() > limits.component_bytes {
            return Err(Error::plugin(format!(
                "it has {}, and {} are allowed ([plugin.limits] component)",
                bytes_text(bytes.len()),
                bytes_text(limits.component_bytes)
            )));
        }
        if !bytes.starts_with(b"\0asm") {
            return Err(Error::plugin(
                "it is not a WebAssembly module or component: it does not begin with the bytes `\\0asm`; build it with \
                 `weir plugin build`, and name the .wasm file that it writes",
            ));
        }
        let shape = Shape::of(bytes)?;
        shape.check()?;
        let component = match shape.encoding {
            Encoding::Component => Component::new(&engine.wasm, bytes),
            Encoding::Module => Component::new(&engine.wasm, componentized(bytes)?),
        };
        let component =
            component.map_err(|error| Error::plugin(format!("it does not compile: {}", root_cause(&error))))?;
        let misfit = |error: wasmtime::Error| {
            Error::plugin(format!(
                "it does not fit the contract weir:plugin {CONTRACT_VERSION}: {error:#}; build it with the SDK of this Weir"
            ))
        };
        let mut linker = Linker::new(&engine.wasm);
        bindings::Processor::add_to_linker::<_, HasSelf<Guest>>(&mut linker, |guest| guest).map_err(misfit)?;
        let pre = linker.instantiate_pre(&component).and_then(ProcessorPre::new).map_err(misfit)?;
        let imports = shape.imports.into_iter().collect();
        let sha256: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let (limits, calls) = (limits.clone(), engine.calls.clone());
        Ok(Self { name: name.into(), pre, limits, calls, sha256: sha256.into(), imports })
    }

    /// The name that it was loaded under.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The interfaces that it imports, in alphabetical order.
    pub fn imports(&self) -> Vec<String> {
        self.imports.to_vec()
    }

    /// Starts an instance with this configuration (a JSON object) and asks it what it is.
    ///
    /// # Errors
    ///
    /// The plugin finds mistakes in its configuration (each named by its key), fails, or describes itself wrongly.
    pub fn configure(&self, json: &str) -> Result<Contract> {
        let log = Arc::new(|_| {});
        Instance::start(self, json, &self.limits, log).map(|instance| Contract::clone(instance.contract()))
    }
}

/// The last reason of an error: what the others only lead to.
pub(crate) fn root_cause(error: &wasmtime::Error) -> String {
    error.root_cause().to_string()
}

fn componentized(module: &[u8]) -> Result<Vec<u8>> {
    let cure = "build it with the Weir SDK for wasm32-unknown-unknown";
    ComponentEncoder::default()
        // The engine validates what it compiles; what is in its cache it has validated.
        .validate(false)
        .module(module)
        .and_then(|mut encoder| encoder.encode())
        .map_err(|error| Error::plugin(format!("it is a core module that is no plugin: {error:#}; {cure}")))
}

/// What a module or component says of itself at its outside.
struct Shape {
    encoding: Encoding,
    imports: BTreeSet<String>,
    exports: BTreeSet<String>,
}

impl Shape {
    fn of(bytes: &[u8]) -> Result<Self> {
        let wrong = |error| Error::plugin(format!("it is not a WebAssembly module or component: {error}"));
        let mut shape = Self { encoding: Encoding::Module, imports: BTreeSet::new(), exports: BTreeSet::new() };
        let mut depth = 0_usize;
        for payload in Parser::new(0).parse_all(bytes) {
            match payload.map_err(wrong)? {
                Payload::Version { encoding, .. } => {
                    if depth == 0 {
                        shape.encoding = encoding;
                    }
                    depth += 1;
                }
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::ImportSection(section) if depth == 1 => {
                    for import in section.into_imports() {
                        shape.imports.insert(import.map_err(wrong)?.module.to_owned());
                    }
                }
                Payload::ExportSection(section) if depth == 1 => {
                    for export in section {
                        shape.exports.insert(export.map_err(wrong)?.name.to_owned());
                    }
                }
                Payload::ComponentImportSection(section) if depth == 1 => {
                    for import in section {
                        shape.imports.insert(import.map_err(wrong)?.name.name.to_owned());
                    }
                }
                Payload::ComponentExportSection(section) if depth == 1 => {
                    for export in section {
                        shape.exports.insert(export.map_err(wrong)?.name.name.to_owned());
                    }
                }
                _ => {}
            }
        }
        Ok(shape)
    }

    fn check(&self) -> Result<()> {
        for import in self.imports.iter().chain(&self.exports) {
            self::check_version(import)?;
        }
        for import in &self.imports {
            if !ALLOWED.contains(&import.split('@').next().unwrap_or_default()) {
                return Err(Error::plugin(format!(
                    "it imports `{import}`, which Weir does not give: build it for wasm32-unknown-unknown, without WASI \
                     (a plugin imports weir:plugin/columns and weir:plugin/host, and nothing else)"
                )));
            }
        }
        let wanted = format!("{PACKAGE}plugin@{CONTRACT_VERSION}");
        // A core module exports the functions of the interface as `interface#function`.
        if !self.exports.iter().any(|export| export.split('#').next() == Some(&*wanted)) {
            return Err(Error::plugin(format!(
                "it does not export `{wanted}`, so it is no plugin: build it with the Weir SDK (weir_sdk::plugin!)"
            )));
        }
        Ok(())
    }
}

fn check_version(name: &str) -> Result<()> {
    let interface = name.split('#').next().unwrap_or_default();
    match interface.strip_prefix(PACKAGE).and_then(|rest| rest.split_once('@')) {
        Some((_, version)) if version != CONTRACT_VERSION => Err(Error::plugin(format!(
            "it was built for the contract weir:plugin {version}, and this Weir speaks {CONTRACT_VERSION}: build it with \
             the SDK of this Weir"
        ))),
        _ => Ok(()),
    }
}
