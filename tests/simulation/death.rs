//! The death of the process at a call to an API server.

use std::time::Duration;

use simcluster::{Cluster, Effect, Rule};

/// The delay of a call, so that operations overlap, and the process can die between a call and its effect.
pub const ON_THE_WAY: Duration = Duration::from_millis(10);

/// The way in which the process dies at a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Death {
    /// Before the call has an effect. Later calls have none either.
    Before,
    /// After the call has its effect, but before its answer. Later calls have no effect.
    After,
    /// The call is lost, but concurrent calls are not.
    Beside,
}

impl Death {
    /// Blocks the calls of a cluster that `rule` matches, from the n-th on. Returns how long after the arrival of the n-th call
    /// the process dies.
    pub fn arm(self, cluster: &Cluster, n: u64, rule: impl Fn(Effect) -> Rule) -> Duration {
        match self {
            Self::Before => {
                cluster.fault(rule(Effect::Silent).from_nth(n));
                Duration::ZERO
            }
            Self::After => {
                cluster.fault(rule(Effect::HangAnswer).nth(n));
                cluster.fault(rule(Effect::Silent).from_nth(n + 1));
                ON_THE_WAY + Duration::from_millis(2)
            }
            Self::Beside => {
                cluster.fault(rule(Effect::Silent).nth(n));
                ON_THE_WAY * 3
            }
        }
    }
}
