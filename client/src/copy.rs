//! A copy of the daemon's sandboxes, kept current by the stream of events.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::{sandbox::Sandbox, sse::Event};

/// The sandboxes of a stream.
#[derive(Debug, Default)]
pub struct Copy {
    sandboxes: BTreeMap<String, Sandbox>,
    /// The sandboxes that no event has named since the stream began again. Those of a cluster that is away stay until its state
    /// is sent.
    unconfirmed: BTreeSet<String>,
    /// Why the daemon has lost a cluster, by its name, which is empty if there is only one.
    away: BTreeMap<String, String>,
    complete: bool,
}

/// The meaning of an event for a reader of the copy.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// The sandbox is new or has changed.
    Present(Sandbox),
    /// The sandbox does not exist any more.
    Gone(Sandbox),
    /// The copy is complete.
    Complete,
    /// The daemon has lost the cluster, and its state may be out of date.
    Stale(String),
    /// The state is current again.
    Fresh,
}

// === impl Copy ===

impl Copy {
    /// Returns the sandboxes, in the order of their ids.
    pub fn sandboxes(&self) -> impl Iterator<Item = &Sandbox> {
        self.sandboxes.values()
    }

    /// Returns whether the stream has sent all sandboxes that existed at its beginning.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// Returns why the state may be out of date, for each cluster that the daemon has lost.
    pub fn stale(&self) -> impl Iterator<Item = &str> {
        self.away.values().map(String::as_str)
    }

    /// Notes that a stream begins. It tells again which clusters the daemon has lost.
    pub fn begin(&mut self) {
        self.away.clear();
    }

    /// Applies an event. Returns what has changed: nothing for an event that repeats what the copy has.
    pub fn apply(&mut self, event: &Event) -> Vec<Change> {
        match &*event.name {
            // The present state follows, without the clusters that are away. Other sandboxes that are missing from it are gone.
            "reset" => {
                self.unconfirmed = self.sandboxes.keys().cloned().collect();
                self.complete = false;
                vec![]
            }
            "synced" => {
                let was_complete = std::mem::replace(&mut self.complete, true);
                let mut changes = self.remove_missing();
                if !was_complete {
                    changes.push(Change::Complete);
                }
                changes
            }
            "stale" => {
                let why = event.data["detail"].as_str().unwrap_or("the state may be out of date").to_owned();
                self.away.insert(cluster(event), why.clone());
                vec![Change::Stale(why)]
            }
            "fresh" => {
                let was_away = self.away.remove(&cluster(event)).is_some();
                // The present state of the cluster has been sent, unless `synced` follows.
                let mut changes = if self.complete { self.remove_missing() } else { vec![] };
                changes.extend((was_away && self.away.is_empty()).then_some(Change::Fresh));
                changes
            }
            "deleted" | "reaped" => {
                let id = event.data["sandbox_id"].as_str().unwrap_or_default().to_owned();
                self.confirm(&id);
                // A `reaped` after a `deleted` only adds the reason, so the row is not in the copy.
                let gone = self.remove(&id, &event.data);
                gone.or_else(|| Sandbox::parse(event.data.clone()).map(Change::Gone)).into_iter().collect()
            }
            _ => Sandbox::parse(event.data.clone())
                .and_then(|sandbox| self.store(sandbox))
                .into_iter()
                .collect(),
        }
    }

    fn store(&mut self, sandbox: Sandbox) -> Option<Change> {
        self.confirm(sandbox.id());
        let before = self.sandboxes.insert(sandbox.id().to_owned(), sandbox.clone());
        (before.as_ref() != Some(&sandbox)).then_some(Change::Present(sandbox))
    }

    fn confirm(&mut self, id: &str) {
        self.unconfirmed.remove(id);
    }

    /// Removes the sandboxes that are missing from the present state, but for those of clusters that are away.
    fn remove_missing(&mut self) -> Vec<Change> {
        let is_away = |id: &String| {
            let cluster = self.sandboxes.get(id).and_then(|sandbox| sandbox.fields.cluster.as_ref());
            cluster.is_some_and(|cluster| self.away.contains_key(cluster))
        };
        let (kept, gone) = std::mem::take(&mut self.unconfirmed).into_iter().partition(is_away);
        self.unconfirmed = kept;
        let gone: BTreeSet<String> = gone;
        gone.iter().filter_map(|id| self.remove(id, &gone_without_event(id))).collect()
    }

    /// Removes a sandbox. The row of its end has the fields of its last state.
    fn remove(&mut self, id: &str, end: &Value) -> Option<Change> {
        let last = self.sandboxes.remove(id)?;
        let mut fields = last.fields;
        "NotFound".clone_into(&mut fields.status);
        (fields.ready, fields.reason, fields.message, fields.expires_at) = (false, None, None, None);
        fields.reaped = Sandbox::parse(end.clone()).and_then(|end| end.fields.reaped);
        Some(Change::Gone(Sandbox { value: end.clone(), fields }))
    }
}

/// Returns the cluster of an event about a whole cluster.
fn cluster(event: &Event) -> String {
    event.data["cluster"].as_str().unwrap_or_default().to_owned()
}

/// Returns the data of a `deleted` that was missed.
fn gone_without_event(id: &str) -> Value {
    json!({"detail": format!("Sandbox '{id}' not found"), "sandbox_id": id, "status": "NotFound"})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name: &str, data: Value) -> Event {
        Event { id: None, name: name.to_owned(), data }
    }

    fn status(id: &str, status: &str) -> Value {
        json!({"sandbox_id": id, "status": status, "ready": status == "Running", "sandbox_url": "http://n:1"})
    }

    /// Returns the changes in short: `+a Running`, `-a Deleted`.
    fn applied(copy: &mut Copy, name: &str, data: Value) -> Vec<String> {
        let shown = |change: &Change| match change {
            Change::Present(sandbox) => format!("+{} {}", sandbox.id(), sandbox.fields.shown_status()),
            Change::Gone(sandbox) => format!("-{} {}", sandbox.id(), sandbox.fields.shown_status()),
            Change::Complete => "complete".to_owned(),
            Change::Stale(why) => format!("stale: {why}"),
            Change::Fresh => "fresh".to_owned(),
        };
        copy.apply(&event(name, data)).iter().map(shown).collect()
    }

    /// Guards the meaning of each event.
    #[test]
    fn a_copy_follows_the_events() {
        let copy = &mut Copy::default();
        assert_eq!(applied(copy, "added", status("a", "Pending")), ["+a Pending"]);
        assert_eq!(applied(copy, "synced", json!({})), ["complete"]);
        assert_eq!(applied(copy, "ready", status("a", "Running")), ["+a Running"]);
        assert_eq!(applied(copy, "changed", status("a", "Running")), [""; 0], "nothing has changed");
        assert_eq!(applied(copy, "a-new-name", status("b", "Pending")), ["+b Pending"]);
        assert_eq!(applied(copy, "stale", json!({"detail": "lost"})), ["stale: lost"]);
        assert_eq!(copy.stale().collect::<Vec<_>>(), ["lost"]);
        assert_eq!(applied(copy, "fresh", json!({})), ["fresh"]);
        assert_eq!(applied(copy, "deleted", status("a", "NotFound")), ["-a Deleted"]);
        let mut reaped = status("a", "NotFound");
        reaped["reaped"] = json!({"reason": "IdleTimeout", "message": "m"});
        assert_eq!(applied(copy, "reaped", reaped.clone()), ["-a Reaped"], "the reason comes later");
        reaped["sandbox_id"] = "b".into();
        let gone = copy.apply(&event("reaped", reaped));
        let [Change::Gone(gone)] = &*gone else { panic!("{gone:?}") };
        assert_eq!(gone.fields.sandbox_url, "http://n:1", "the last state is shown");
        assert_eq!(copy.sandboxes().count(), 0);
        assert_eq!(applied(copy, "unknown", json!({})), [""; 0]);
    }

    /// Guards that the state is out of date until each cluster is back, or until a stream begins.
    #[test]
    fn each_cluster_comes_back() {
        let copy = &mut Copy::default();
        let of = |cluster: &str| json!({"detail": format!("{cluster} is away"), "cluster": cluster});
        for cluster in ["west", "east"] {
            assert_eq!(applied(copy, "stale", of(cluster)), [format!("stale: {cluster} is away")]);
        }
        assert_eq!(copy.stale().collect::<Vec<_>>(), ["east is away", "west is away"]);
        assert_eq!(applied(copy, "fresh", of("east")), [""; 0]);
        assert_eq!(applied(copy, "fresh", of("west")), ["fresh"]);
        applied(copy, "stale", of("west"));
        copy.begin();
        assert_eq!(copy.stale().count(), 0);
    }

    /// Guards that after a `reset` only real changes are reported, those that were missed included.
    #[test]
    fn a_reset_shows_what_was_missed() {
        let copy = &mut Copy::default();
        for id in ["a", "b", "c"] {
            applied(copy, "added", status(id, "Running"));
        }
        applied(copy, "synced", json!({}));
        assert_eq!(applied(copy, "reset", json!({})), [""; 0]);
        assert!(!copy.is_complete());
        assert_eq!(applied(copy, "ready", status("a", "Running")), [""; 0]);
        assert_eq!(applied(copy, "status", status("b", "Failed")), ["+b Failed"]);
        assert_eq!(applied(copy, "synced", json!({})), ["-c Deleted", "complete"]);
        assert_eq!(applied(copy, "synced", json!({})), [""; 0], "after a resume");
    }

    /// Guards that a `reset` does not remove the sandboxes of a cluster that is away, that sandboxes which have ended meanwhile
    /// are gone once its state is sent, and that a new stream in between changes nothing.
    #[test]
    fn a_cluster_that_is_away_keeps_its_sandboxes() {
        for has_reconnected in [false, true] {
            let copy = &mut Copy::default();
            let of = |id: &str, cluster: &str| json!({"sandbox_id": id, "status": "Running", "ready": true, "cluster": cluster});
            let west = json!({"detail": "west is away", "cluster": "west"});
            for (id, cluster) in [("a", "east"), ("b", "east"), ("c", "west"), ("d", "west"), ("e", "west")] {
                applied(copy, "added", of(id, cluster));
            }
            applied(copy, "synced", json!({}));
            applied(copy, "reset", json!({}));
            assert_eq!(applied(copy, "stale", west.clone()), ["stale: west is away"]);
            assert_eq!(applied(copy, "added", of("a", "east")), [""; 0]);
            assert_eq!(applied(copy, "added", of("e", "east")), ["+e Running"], "it has moved");
            assert_eq!(applied(copy, "synced", json!({})), ["-b Deleted", "complete"]);
            if has_reconnected {
                copy.begin();
                applied(copy, "stale", west);
                assert_eq!(applied(copy, "synced", json!({})), [""; 0]);
            }
            assert_eq!(copy.sandboxes().map(Sandbox::id).collect::<Vec<_>>(), ["a", "c", "d", "e"]);
            assert_eq!(applied(copy, "added", of("c", "west")), [""; 0]);
            assert_eq!(applied(copy, "fresh", json!({"cluster": "west"})), ["-d Deleted", "fresh"]);
            assert_eq!(applied(copy, "synced", json!({})), [""; 0]);
        }
    }

    /// Guards that a cluster which is back before the present state is complete loses no sandbox that has not been sent yet.
    #[test]
    fn a_return_before_the_end_of_the_state_removes_nothing() {
        let copy = &mut Copy::default();
        let mut a = status("a", "Running");
        a["cluster"] = "west".into();
        applied(copy, "added", a.clone());
        applied(copy, "synced", json!({}));
        applied(copy, "reset", json!({}));
        applied(copy, "stale", json!({"detail": "d", "cluster": "west"}));
        assert_eq!(applied(copy, "fresh", json!({"cluster": "west"})), ["fresh"]);
        assert_eq!(applied(copy, "added", a), [""; 0]);
        assert_eq!(applied(copy, "synced", json!({})), ["complete"]);
    }
}
