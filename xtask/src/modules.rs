//! The WebAssembly modules: the shipped plugins, checked in beside their sources, and the guests of the tests.

use std::fs;

use weir_build::{Guests, Repository, Toolchain};

use crate::say;

/// Builds every shipped plugin and puts its module and digest beside its sources.
pub(crate) fn build_plugins(repository: &Repository) -> Result<(), String> {
    let toolchain = Toolchain::find_or_install(&mut say)?;
    say(&toolchain.summary());
    for plugin in repository.plugins()? {
        let module = repository.build(&toolchain, &plugin)?;
        plugin.store(&module)?;
        let size = fs::metadata(&module).map_or(0, |metadata| metadata.len());
        say(&format!("plugins/{0}/{0}.wasm: {size} bytes", plugin.name));
    }
    Ok(())
}

/// Fails where a checked-in module was not built from the sources beside it.
pub(crate) fn check_plugins(repository: &Repository) -> Result<(), String> {
    let plugins = repository.plugins()?;
    let stale = plugins.iter().filter(|plugin| !plugin.is_current());
    let stale: Vec<String> = stale.map(|plugin| format!("plugins/{0}/{0}.wasm", plugin.name)).collect();
    if stale.is_empty() {
        return Ok(());
    }
    Err(format!(
        "not built from the sources as they are now (the plugin, sdk/src, sdk/macros/src, sdk/wit): {}\n\
         run `cargo xtask plugins` and commit what it writes",
        stale.join(", ")
    ))
}

/// Builds what is stale among the modules that the tests run.
pub(crate) fn build_guests(repository: &Repository) -> Result<Guests, String> {
    if repository.guests()?.is_empty() {
        say("no crates in tests/guests");
    }
    repository.refresh_guests(&mut say)
}
