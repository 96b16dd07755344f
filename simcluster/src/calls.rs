//! The call record: the API calls that clients made.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The verb of a call, as in Kubernetes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    /// An object, or a path that is not a resource (`/version`).
    Get,
    /// A collection.
    List,
    /// A watch on a collection.
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

/// A recorded call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Call {
    /// The number of the call. It starts at 0 and continues after a reset.
    pub seq: u64,
    /// The time of arrival, since the cluster's start.
    #[serde(with = "crate::duration")]
    pub at: Duration,
    /// The verb.
    pub verb: Verb,
    /// The plural (`pods`), with a subresource after a slash (`pods/status`), or the path if it is not a resource.
    pub resource: String,
    /// The namespace in the path.
    pub namespace: Option<String>,
    /// The name in the path, or in the body of a create.
    pub name: Option<String>,
    /// The status code of the response. `None` until it is sent, and if a fault dropped or withheld it.
    pub status: Option<u16>,
}

/// A position in the record.
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
    /// Returns the verb as RBAC rules and audit logs write it.
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

    /// Returns whether the verb changes objects.
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

    /// Records an arrival and returns its number. Overwrites the call's own `seq`.
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

    /// Records the status of the response, unless the call is no longer in the record.
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
    fn a_response_is_recorded_after_older_calls_were_dropped() {
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
