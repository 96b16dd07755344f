//! The record of API calls: what a client really asked of the server.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What a call does, in Kubernetes' own words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    /// One object, or a path that is no resource (`/version`).
    Get,
    /// A collection.
    List,
    /// A collection, as a stream of changes.
    Watch,
    /// `POST`.
    Create,
    /// `PUT`.
    Update,
    /// `PATCH`.
    Patch,
    /// `DELETE` of one object.
    Delete,
    /// `DELETE` of a collection.
    DeleteCollection,
}

/// One call, from its arrival on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Call {
    /// Counts up from 0 over the cluster's life; a reset does not set it back.
    pub seq: u64,
    /// When it arrived, since the cluster's start.
    #[serde(with = "crate::duration")]
    pub at: Duration,
    /// What it does.
    pub verb: Verb,
    /// The plural (`pods`), with a subresource after a slash (`pods/status`); the path for what is no resource.
    pub resource: String,
    /// The namespace in the path.
    pub namespace: Option<String>,
    /// The name in the path, or for a create the one in the body.
    pub name: Option<String>,
    /// The status of the answer (for a watch: of its opening). `None` while there is none, and for ever if the
    /// answer was dropped or withheld by a fault.
    pub status: Option<u16>,
}

/// A place in the record, to ask for what came after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CallMark(pub(crate) u64);

/// The latest calls.
#[derive(Debug)]
pub(crate) struct CallLog {
    calls: VecDeque<Call>,
    limit: usize,
    next: u64,
}

// === impl Verb ===

impl Verb {
    /// The word as RBAC rules and audit logs have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
        }
    }

    /// Whether it changes anything.
    #[must_use]
    pub fn writes(self) -> bool {
        !matches!(self, Self::Get | Self::List | Self::Watch)
    }
}

impl std::fmt::Display for Verb {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

// === impl CallLog ===

impl CallLog {
    pub fn new(limit: usize) -> Self {
        Self { calls: VecDeque::new(), limit, next: 0 }
    }

    /// Notes an arrival and returns its number. The call's own `seq` is overwritten.
    pub fn arrived(&mut self, mut call: Call) -> u64 {
        let seq = self.next;
        self.next += 1;
        call.seq = seq;
        if self.calls.len() >= self.limit {
            self.calls.pop_front();
        }
        if self.limit > 0 {
            self.calls.push_back(call);
        }
        seq
    }

    /// Notes the status of the answer, unless the call has left the record by now.
    pub fn answered(&mut self, seq: u64, status: u16) {
        let first = self.calls.front().map_or(self.next, |call| call.seq);
        let place = seq.checked_sub(first).and_then(|n| usize::try_from(n).ok());
        if let Some(call) = place.and_then(|n| self.calls.get_mut(n)) {
            call.status = Some(status);
        }
    }

    pub fn mark(&self) -> CallMark {
        CallMark(self.next)
    }

    pub fn since(&self, mark: CallMark) -> Vec<Call> {
        self.calls.iter().filter(|call| call.seq >= mark.0).cloned().collect()
    }

    pub fn reset(&mut self) {
        self.calls.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(name: &str) -> Call {
        Call {
            seq: 0,
            at: Duration::ZERO,
            verb: Verb::Get,
            resource: "pods".into(),
            namespace: None,
            name: Some(name.into()),
            status: None,
        }
    }

    #[test]
    fn an_answer_finds_its_call_after_others_came_and_went() {
        let mut log = CallLog::new(2);
        let first = log.arrived(call("a"));
        let second = log.arrived(call("b"));
        let mark = log.mark();
        let third = log.arrived(call("c"));
        log.answered(first, 200);
        log.answered(third, 201);
        let seen: Vec<_> = log.since(CallMark(0)).iter().map(|c| (c.seq, c.status)).collect();
        assert_eq!(seen, [(second, None), (third, Some(201))]);
        assert_eq!(log.since(mark).len(), 1);
        log.reset();
        log.answered(third, 500);
        assert!(log.since(CallMark(0)).is_empty());
    }
}
