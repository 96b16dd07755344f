//! The simulated sessions in the sandboxes, for clients that ask whether a sandbox is busy.

use std::collections::{BTreeMap, btree_map::Entry};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The kind of work that a session does; each kind has its own list in the sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SessionKind {
    /// `/v1/shell/sessions`
    Shell,
    /// `/v1/bash/sessions`
    Bash,
    /// `/v1/jupyter/sessions`
    Jupyter,
    /// `/v1/nodejs/sessions`
    Nodejs,
}

/// A session inside a sandbox, as the sandbox lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Session {
    /// Its name, unique among its kind in its sandbox.
    pub session_id: String,
    /// The kind of work.
    pub kind: SessionKind,
    /// When it began, by the cluster's wall clock.
    pub created_at: Timestamp,
}

/// The sessions of all sandboxes.
#[derive(Debug, Default)]
pub(crate) struct Sessions(BTreeMap<(String, String), BTreeMap<(SessionKind, String), Timestamp>>);

// === impl SessionKind ===

impl SessionKind {
    /// Returns the kind with a word, as in paths and in JSON.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        serde_json::from_value(word.into()).ok()
    }

    /// The kind whose list is at a path of the sandbox.
    pub(super) fn listed_at(path: &str) -> Option<Self> {
        Self::parse(path.strip_prefix("/v1/")?.strip_suffix("/sessions")?)
    }
}

// === impl Sessions ===

impl Sessions {
    /// False if there is one already.
    pub fn begin(
        &mut self,
        namespace: &str,
        pod: &str,
        kind: SessionKind,
        id: &str,
        since: Timestamp,
    ) -> bool {
        let of_pod = self.0.entry((namespace.to_owned(), pod.to_owned())).or_default();
        let entry = of_pod.entry((kind, id.to_owned()));
        let new = matches!(entry, Entry::Vacant(_));
        entry.or_insert(since);
        new
    }

    /// False if there is none.
    pub fn end(&mut self, namespace: &str, pod: &str, kind: SessionKind, id: &str) -> bool {
        let place = (namespace.to_owned(), pod.to_owned());
        let Some(of_pod) = self.0.get_mut(&place) else { return false };
        let gone = of_pod.remove(&(kind, id.to_owned())).is_some();
        if of_pod.is_empty() {
            self.0.remove(&place);
        }
        gone
    }

    pub fn of(&self, namespace: &str, pod: &str) -> Vec<Session> {
        let of_pod = self.0.get(&(namespace.to_owned(), pod.to_owned())).into_iter().flatten();
        let session = |((kind, id), since): (&(SessionKind, String), &Timestamp)| Session {
            session_id: id.clone(),
            kind: *kind,
            created_at: *since,
        };
        of_pod.map(session).collect()
    }

    /// The list of one kind as the sandbox answers it: the all-in-one image has the bash sessions directly below
    /// `data`, and the others below `data.sessions`.
    pub fn listed(&self, namespace: &str, pod: &str, kind: SessionKind) -> Value {
        let mut all = self.of(namespace, pod);
        all.retain(|session| session.kind == kind);
        let message = format!("{} sessions", all.len());
        let data = if kind == SessionKind::Bash { json!(all) } else { json!({"sessions": all}) };
        json!({"success": true, "message": message, "data": data})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_begin_and_end_each_in_its_own_list() {
        let mut sessions = Sessions::default();
        assert!(sessions.begin("ns", "a", SessionKind::Bash, "1", Timestamp::UNIX_EPOCH));
        assert!(!sessions.begin("ns", "a", SessionKind::Bash, "1", Timestamp::UNIX_EPOCH));
        let listed = |sessions: &Sessions, kind| {
            let data = &sessions.listed("ns", "a", kind)["data"];
            data.get("sessions").unwrap_or(data).clone()
        };
        let one = json!([{"session_id": "1", "kind": "bash", "created_at": "1970-01-01T00:00:00Z"}]);
        assert_eq!(listed(&sessions, SessionKind::Bash), one);
        assert_eq!(listed(&sessions, SessionKind::Shell), json!([]));
        assert!(sessions.end("ns", "a", SessionKind::Bash, "1"));
        assert!(!sessions.end("ns", "a", SessionKind::Bash, "1"));
        assert!(sessions.0.is_empty());
        assert_eq!(SessionKind::listed_at("/v1/nodejs/sessions"), Some(SessionKind::Nodejs));
        assert_eq!(SessionKind::listed_at("/v1/sandbox"), None);
    }
}
