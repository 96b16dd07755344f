//! The fuzz targets' bodies, for the targets in `fuzz_targets`. See README.md.

#[path = "../properties/mod.rs"]
pub mod properties;
