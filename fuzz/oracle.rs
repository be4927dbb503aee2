//! What the property tests compare with, from their sources.

#[path = "../pipeline/decode/tests/agree.rs"]
pub(crate) mod agree;
#[path = "../pipeline/decode/tests/expected.rs"]
pub(crate) mod expected;
#[path = "../pipeline/decode/tests/show.rs"]
pub(crate) mod show;
