//! The selection of sandboxes for a command.

use crate::{
    api::{Api, escaped},
    args::FilterArgs,
    error::CallError,
    sandbox::Fields,
};

/// The name of the only cluster.
const ONE_CLUSTER: &str = "default";

// === impl FilterArgs ===

impl FilterArgs {
    /// Returns whether every sandbox is meant.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parameters().is_empty()
    }

    /// Returns whether the selection needs fields that only a daemon with parameters of lists sends.
    #[must_use]
    pub fn needs_origin(&self) -> bool {
        self.selector.is_some() || !self.user.is_empty() || !self.thread.is_empty()
    }

    /// Returns whether a sandbox is meant. The daemon selects too, but an older one ignores the parameters, and streams of
    /// events have all sandboxes.
    #[must_use]
    pub fn matches(&self, sandbox: &Fields) -> bool {
        let is_one = |wanted: &[String], value: Option<&str>| {
            wanted.is_empty() || value.is_some_and(|value| wanted.iter().any(|wanted| wanted == value))
        };
        is_one(&self.status, Some(sandbox.shown_status()))
            && is_one(&self.reason, sandbox.reason.as_deref())
            && is_one(&self.user, sandbox.user_id.as_deref())
            && is_one(&self.thread, sandbox.thread_id.as_deref())
            && is_one(&self.profile, sandbox.profile.as_deref())
            // A daemon with one cluster does not name it.
            && is_one(&self.cluster, sandbox.cluster.as_deref().or(Some(ONE_CLUSTER)))
            && self.selector.as_ref().is_none_or(|selector| selector.matches(&sandbox.labels))
    }

    /// Lets the daemon check the clusters, for a command that reads a stream: streams have all sandboxes, so a cluster that
    /// does not exist would show nothing for ever.
    ///
    /// # Errors
    /// If the daemon does not have one of the clusters.
    pub async fn check_clusters(&self, api: &Api) -> Result<(), CallError> {
        let clusters = Self { cluster: self.cluster.clone(), ..Self::default() };
        if !clusters.is_empty() {
            api.get(&format!("/api/sandboxes?{}&limit=1", clusters.parameters().join("&"))).await?;
        }
        Ok(())
    }

    /// Returns the parameters of a list.
    #[must_use]
    pub fn parameters(&self) -> Vec<String> {
        let Self { status, reason, selector, user, thread, profile, cluster } = self;
        let lists = [
            ("status", status),
            ("reason", reason),
            ("user_id", user),
            ("thread_id", thread),
            ("profile", profile),
            ("cluster", cluster),
        ];
        let mut parameters = Vec::new();
        for (name, values) in lists {
            parameters.extend(values.iter().map(|value| format!("{name}={}", escaped(value))));
        }
        parameters.extend(selector.as_ref().map(|selector| format!("label={}", escaped(&selector.text))));
        parameters
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;

    use super::*;
    use crate::sandbox::Sandbox;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        filter: FilterArgs,
    }

    /// Guards what each option selects, and the parameters that it becomes.
    #[test]
    fn options_select() {
        let sandbox = Sandbox::parse(json!({
            "sandbox_id": "a", "status": "Running", "reason": "R", "user_id": "u", "thread_id": "t", "profile": "p",
            "labels": {"tier": "large"},
        }))
        .unwrap();
        for (args, matches, parameters) in [
            (&[][..], true, &[][..]),
            (&["--status", "running"], true, &["status=Running"]),
            (&["--status", "Failed,Pending"], false, &["status=Failed", "status=Pending"]),
            (&["--reason", "R", "--reason", "S"], true, &["reason=R", "reason=S"]),
            (&["--user", "u", "--thread", "t"], true, &["user_id=u", "thread_id=t"]),
            (&["--user", "u", "--thread", "x"], false, &["user_id=u", "thread_id=x"]),
            (&["--profile", "q"], false, &["profile=q"]),
            (&["--cluster", "default"], true, &["cluster=default"]),
            (&["--cluster", "east"], false, &["cluster=east"]),
            (
                &["-l", "tier in (large, huge),!draft"],
                true,
                &["label=tier%20in%20%28large%2C%20huge%29%2C%21draft"],
            ),
            (&["-l", "tier!=large"], false, &["label=tier%21%3Dlarge"]),
        ] {
            let filter = Program::try_parse_from([&["x"], args].concat()).unwrap().filter;
            assert_eq!(filter.matches(&sandbox.fields), matches, "{args:?}");
            assert_eq!(filter.parameters(), parameters, "{args:?}");
            assert_eq!(filter.is_empty(), args.is_empty());
        }
        assert!(Program::try_parse_from(["x", "-l", "a=b=c"]).is_err());
    }
}
