//! otap-dataflow as a program: runs the pipelines of a configuration file until it is told to stop.
//!
//!     peer-otap FILE

// Its nodes make themselves known by being linked.
use otel_arrow_dfe_core_nodes as _;

use mimalloc::MiMalloc;
use otel_arrow_dfe_config::engine::OtelDataflowSpec;
use otel_arrow_dfe_controller::{Controller, startup};
use otel_arrow_dfe_otap::OTAP_PIPELINE_FACTORY;

/// Its own program uses it, too.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("peer-otap FILE")?;
    let spec = OtelDataflowSpec::from_file(&path)?;
    startup::validate_engine_components(&spec, &OTAP_PIPELINE_FACTORY)?;
    Controller::new(&OTAP_PIPELINE_FACTORY).run_till_shutdown(spec)?;
    Ok(())
}
