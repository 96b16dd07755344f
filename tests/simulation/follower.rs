//! A client that keeps a copy of all sandboxes by their events, reads slowly at times, and disconnects often.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
    time::Duration,
};

use fastrand::Rng;
use serde_json::Value;
use testkit::Event;
use tokio::time::{Instant, sleep, sleep_until};

use super::daemon::Daemon;

/// The copy; clones share it.
#[derive(Clone, Default)]
pub struct Copy {
    state: Rc<RefCell<State>>,
}

#[derive(Default)]
struct State {
    sandboxes: BTreeMap<String, Value>,
    /// The sandboxes that no event has named since a reset. Those of a cluster that is away stay until its state is sent.
    unconfirmed: BTreeSet<String>,
    /// The clusters that are away.
    away: BTreeSet<String>,
    /// Whether the present state was read to its end.
    is_complete: bool,
    last_id: Option<String>,
}

/// Keeps the copy up to date for ever.
pub async fn follow(daemon: Daemon, mut rng: Rng, copy: Copy) {
    loop {
        let last_id = copy.state.borrow().last_id.clone();
        let Some((mut events, killed)) = daemon.events(last_id.as_deref()).await else {
            sleep(Duration::from_secs(1)).await;
            continue;
        };
        copy.state.borrow_mut().away.clear();
        let end = Instant::now() + Duration::from_millis(rng.u64(1..60_000));
        loop {
            let event = tokio::select! {
                biased;
                () = killed.cancelled() => break,
                () = sleep_until(end) => break,
                event = events.next() => event,
            };
            let Some(event) = event else { break };
            copy.apply(event);
            if rng.u8(0..50) == 0 {
                sleep(Duration::from_millis(rng.u64(1..20_000))).await;
            }
        }
    }
}

// === impl Copy ===

impl Copy {
    fn apply(&self, event: Event) {
        let mut state = self.state.borrow_mut();
        state.last_id = event.id.or(state.last_id.take());
        let id = event.data["sandbox_id"].as_str().map(str::to_owned);
        let cluster = || event.data["cluster"].as_str().unwrap_or_default().to_owned();
        if let Some(id) = &id {
            state.unconfirmed.remove(id);
        }
        match (&*event.name, id) {
            ("reset", _) => {
                state.unconfirmed = state.sandboxes.keys().cloned().collect();
                state.is_complete = false;
            }
            ("synced", _) => {
                state.is_complete = true;
                state.remove_missing();
            }
            ("stale", _) => drop(state.away.insert(cluster())),
            ("fresh", _) => {
                state.away.remove(&cluster());
                if state.is_complete {
                    state.remove_missing();
                }
            }
            ("deleted" | "reaped", Some(id)) => drop(state.sandboxes.remove(&id)),
            (_, Some(id)) => drop(state.sandboxes.insert(id, event.data)),
            (name, None) => assert!(name.starts_with(':'), "{name}"),
        }
    }

    /// Returns the copy as a text, to understand a failure.
    pub fn text(&self) -> String {
        let state = self.state.borrow();
        let sandboxes: Vec<_> = state.sandboxes.values().map(Value::to_string).collect();
        format!("complete: {}, {}", state.is_complete, sandboxes.join("\n"))
    }

    /// Returns whether the copy is complete and equals this list, apart from the expiries, which may differ by less than
    /// a second.
    pub fn equals(&self, list: &Value) -> bool {
        let without_expiry = |sandbox: &Value| {
            let mut sandbox = sandbox.clone();
            for field in ["expires_at", "reap_held"] {
                sandbox.as_object_mut().unwrap().remove(field);
            }
            sandbox
        };
        let state = self.state.borrow();
        let mine: Vec<_> = state.sandboxes.values().map(without_expiry).collect();
        let theirs: Vec<_> = list["sandboxes"].as_array().unwrap().iter().map(without_expiry).collect();
        state.is_complete && mine == theirs
    }
}

impl State {
    /// Removes the sandboxes that are missing from the present state, but for those of clusters that are away.
    fn remove_missing(&mut self) {
        let (sandboxes, away) = (&mut self.sandboxes, &self.away);
        self.unconfirmed.retain(|id| {
            let cluster = sandboxes.get(id).and_then(|sandbox| sandbox["cluster"].as_str());
            let is_away = cluster.is_some_and(|cluster| away.contains(cluster));
            if !is_away {
                sandboxes.remove(id);
            }
            is_away
        });
    }
}
