//! The properties that hold for any input: one file for each fuzz target, with one `check`, which panics if the property
//! does not hold.
//!
//! The fuzz targets and the normal test of the corpus (`tests/fuzz_corpus`) run the same functions.

pub mod annotations;
mod daemon;
pub mod kubeconfig;
pub mod mounts;
pub mod paths;
pub mod probes;
pub mod queries;
pub mod request_body;
pub mod settings;
mod validation;
pub mod watch;

/// A property of any bytes.
pub type Property = fn(&[u8]);

/// Every target with its name, which is also the directory of its corpus.
pub const ALL: [(&str, Property); 9] = [
    ("annotations", annotations::check),
    ("kubeconfig", kubeconfig::check),
    ("mounts", mounts::check),
    ("paths", paths::check),
    ("probes", probes::check),
    ("queries", queries::check),
    ("request_body", request_body::check),
    ("settings", settings::check),
    ("watch", watch::check),
];
