//! The selection of sandboxes for a command.

use crate::{api::escaped, args::FilterArgs, sandbox::Fields};

/// The name of the only cluster.
const ONE_CLUSTER: &str = "default";

// === impl FilterArgs ===

impl FilterArgs {
    /// Returns whether every sandbox is meant.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Self { status, reason, profile, cluster } = self;
        [status, reason, profile, cluster].iter().all(|values| values.is_empty())
    }

    /// Returns whether a sandbox is meant. The daemon filters too, but an older one ignores the parameters, and streams of
    /// events are not filtered.
    #[must_use]
    pub fn matches(&self, sandbox: &Fields) -> bool {
        let is_one = |wanted: &[String], value: Option<&str>| {
            wanted.is_empty() || value.is_some_and(|value| wanted.iter().any(|wanted| wanted == value))
        };
        is_one(&self.status, Some(sandbox.shown_status()))
            && is_one(&self.reason, sandbox.reason.as_deref())
            && is_one(&self.profile, sandbox.profile.as_deref())
            // A daemon with one cluster does not name it.
            && is_one(&self.cluster, sandbox.cluster.as_deref().or(Some(ONE_CLUSTER)))
    }

    /// Returns the parameters of a list.
    #[must_use]
    pub fn parameters(&self) -> Vec<String> {
        let all = [
            ("status", &self.status),
            ("reason", &self.reason),
            ("profile", &self.profile),
            ("cluster", &self.cluster),
        ];
        let values = |(name, values): (&'static str, &Vec<String>)| {
            values.iter().map(move |value| format!("{name}={}", escaped(value))).collect::<Vec<_>>()
        };
        all.into_iter().flat_map(values).collect()
    }
}
