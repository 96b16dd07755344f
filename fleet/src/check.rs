//! The checks of a cluster, which decide whether it is ready.

use std::sync::Arc;

/// A check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// The name of the part.
    pub name: &'static str,
    /// The problem as a sentence, if there is one.
    pub outcome: Result<(), String>,
    /// Whether sandboxes can be created and used in spite of the problem.
    pub optional: bool,
}

/// A function that returns the checks of a cluster. It makes no call to Kubernetes.
pub type Checks = Arc<dyn Fn() -> Vec<Check> + Send + Sync>;
