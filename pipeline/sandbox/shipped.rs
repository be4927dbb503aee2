//! The plugins that ship with Weir, as they were built from `plugins/`.

/// The module of the shipped plugin of that name. [`SHIPPED`](crate::config::SHIPPED) lists the names.
pub fn shipped(name: &str) -> Option<&'static [u8]> {
    Some(match name {
        "enrich" => include_bytes!("../../plugins/enrich/enrich.wasm"),
        "redact" => include_bytes!("../../plugins/redact/redact.wasm"),
        "sample" => include_bytes!("../../plugins/sample/sample.wasm"),
        "kpi" => include_bytes!("../../plugins/kpi/kpi.wasm"),
        "utilization" => include_bytes!("../../plugins/utilization/utilization.wasm"),
        "tail-sample" => include_bytes!("../../plugins/tail-sample/tail-sample.wasm"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_name_that_the_configuration_takes_has_its_module() {
        for name in crate::config::SHIPPED {
            assert!(super::shipped(name).is_some_and(|module| module.starts_with(b"\0asm")), "{name}");
        }
    }
}
