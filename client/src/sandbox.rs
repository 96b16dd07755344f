//! A sandbox as the API describes it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use lifecycle::{readiness::is_permanent, spec::Resources};
use serde::Deserialize;
use serde_json::Value;

/// A sandbox: the answer as it came, and the fields that tables show. Fields that an older daemon does not send are absent.
#[derive(Debug, Clone, PartialEq)]
pub struct Sandbox {
    /// The whole answer.
    pub value: Value,
    /// The fields.
    pub fields: Fields,
}

/// The fields of a sandbox.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default)]
pub struct Fields {
    /// Its id.
    pub sandbox_id: String,
    /// Its URL.
    pub sandbox_url: String,
    /// `Pending`, `Running`, `Terminating`, …; `NotFound` after its end.
    pub status: String,
    /// Whether its URL works.
    pub ready: bool,
    /// Why it does not run.
    pub reason: Option<String>,
    /// The cluster's own words.
    pub message: Option<String>,
    /// Advice.
    pub hint: Option<String>,
    /// Its profile.
    pub profile: Option<String>,
    /// Its cluster, if the daemon has several.
    pub cluster: Option<String>,
    /// The user whose data it has.
    pub user_id: Option<String>,
    /// The conversation whose data it has.
    pub thread_id: Option<String>,
    /// The labels that its create has set.
    pub labels: BTreeMap<String, String>,
    /// The limits of its container.
    pub resources: Resources,
    /// Its workspace.
    pub workspace: Option<Workspace>,
    /// When its Pod was created.
    pub created_at: Option<Timestamp>,
    /// Since when it is idle.
    pub idle_since: Option<Timestamp>,
    /// When it expires.
    pub expires_at: Option<Timestamp>,
    /// The limit that it reaches then.
    pub reap_reason: Option<String>,
    /// Why it still exists after it has expired.
    pub reap_held: Option<Hold>,
    /// Why it was reaped.
    pub reaped: Option<Hold>,
    /// The profile that a create named and that the sandbox does not have.
    pub profile_not_applied: Option<String>,
    /// The cluster that a POST named, if the sandbox exists on another one.
    pub cluster_not_applied: Option<String>,
    /// The network mode that a create named and that the sandbox does not have.
    pub network_not_applied: Option<String>,
    /// The resources that a create set and that the sandbox does not have.
    pub resources_not_applied: Resources,
    /// The resize that is in progress, or the last one.
    pub resize: Option<Resize>,
    /// The sentence of an error.
    pub detail: Option<Value>,
}

/// A workspace of a sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct Workspace {
    /// Its id.
    pub id: String,
}

/// A reason with a sentence.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct Hold {
    /// The name.
    pub reason: String,
    /// The sentence.
    pub message: String,
}

/// A resize.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct Resize {
    /// `Proposed`, `InProgress`, `Deferred`, `Infeasible` or `Done`.
    pub state: String,
    /// The node's own words.
    pub message: Option<String>,
}

// === impl Sandbox ===

impl Sandbox {
    /// Reads a sandbox; `None` if the value is not one.
    #[must_use]
    pub fn parse(value: Value) -> Option<Self> {
        let fields = Fields::deserialize(&value).ok().filter(|fields| !fields.sandbox_id.is_empty())?;
        Some(Self { value, fields })
    }

    /// Returns the id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.fields.sandbox_id
    }
}

// === impl Fields ===

impl Fields {
    /// Returns the status as a table shows it: `Deleted` or `Reaped` after the end, `Unknown` while the state is not
    /// known.
    #[must_use]
    pub fn shown_status(&self) -> &str {
        match &*self.status {
            "NotFound" if self.reaped.is_some() => "Reaped",
            "NotFound" => "Deleted",
            "" => "Unknown",
            status => status,
        }
    }

    /// Returns why the sandbox does not run, why it was reaped, or why it still exists.
    #[must_use]
    pub fn shown_reason(&self) -> Option<&str> {
        self.reason
            .as_deref()
            .or_else(|| self.reaped.as_ref().map(|reaped| &*reaped.reason))
            .or_else(|| self.reap_held.as_ref().map(|held| &*held.reason))
    }

    /// Returns the sentence that belongs to [`Self::shown_reason`].
    #[must_use]
    pub fn shown_message(&self) -> Option<&str> {
        if self.reason.is_some() {
            return self.message.as_deref();
        }
        if self.status.is_empty() {
            return self.detail.as_ref().and_then(Value::as_str);
        }
        self.reaped.as_ref().or(self.reap_held.as_ref()).map(|hold| &*hold.message)
    }

    /// Returns whether the sandbox can never become ready by itself, as `?wait=ready` decides it.
    #[must_use]
    pub fn is_stuck(&self) -> bool {
        match &*self.status {
            "Succeeded" | "Failed" | "NotFound" => true,
            "Terminating" => false,
            _ => self.reason.as_deref().is_some_and(is_permanent),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards that the command line gives up a wait where the daemon does, and nowhere else.
    #[test]
    fn only_what_does_not_pass_is_stuck() {
        for (status, reason, wanted) in [
            ("Pending", None, false),
            ("Pending", Some("ImagePullBackOff"), false),
            ("Pending", Some("InvalidImageName"), true),
            ("Pending", Some("WorkspaceLost"), true),
            ("Running", Some("ErrImageNeverPull"), true),
            ("Terminating", Some("ErrImageNeverPull"), false),
            ("Failed", None, true),
            ("NotFound", None, true),
        ] {
            let fields =
                Fields { status: status.to_owned(), reason: reason.map(str::to_owned), ..Fields::default() };
            assert_eq!(fields.is_stuck(), wanted, "{status} {reason:?}");
        }
    }
}
