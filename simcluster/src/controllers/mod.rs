//! The controllers: namespace deletion, garbage collection, quotas, claims, endpoints.

mod claims;
mod endpoints;
mod garbage;
mod namespaces;
mod quotas;

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::follower::{Changes, Follower};
use crate::label_index::LabelIndex;
use crate::random::Random;
use crate::shared::Shared;
use crate::store::Key;

/// The state of the controllers between two steps.
struct Controllers {
    shared: Arc<Shared>,
    follower: Follower,
    services: LabelIndex,
    /// Terminating owners with a finalizer of the garbage collector.
    pending_owners: BTreeSet<Key>,
    /// The source of generated names. It is separate, so that names of clients' objects do not depend on the timing of
    /// controllers.
    random: Random,
}

/// Runs the controllers until they are aborted. Events since the call are processed, not only since the first poll.
pub(crate) fn run(shared: Arc<Shared>) -> impl Future<Output = ()> {
    let random = Random::seeded(!shared.seed);
    let mut controllers = Controllers::new(shared, random);
    async move {
        loop {
            controllers.step();
            controllers.follower.changed().await;
        }
    }
}

// === impl Controllers ===

impl Controllers {
    fn new(shared: Arc<Shared>, random: Random) -> Self {
        let follower = Follower::all(&shared.state().store);
        let services = LabelIndex::default();
        Self { shared, follower, services, pending_owners: BTreeSet::new(), random }
    }

    /// Processes all events since the last step.
    fn step(&mut self) {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.state();
        let Changes { events, missed, restored } = self.follower.take(&state.store);
        if restored {
            self.services = endpoints::index(&state.store);
            self.pending_owners = garbage::all_pending_owners(&state.store);
        }
        if missed {
            // The events are no longer in the window; rebuild from the current state.
            self.pending_owners = garbage::all_pending_owners(&state.store);
            garbage::collect_all_orphans(&mut state, &shared.clock);
        }
        garbage::collect_orphans(&mut state, &shared.clock, &events);
        self.pending_owners.extend(events.iter().filter_map(garbage::pending_owner));
        garbage::process_finalizers(&mut state, &shared.clock, &mut self.pending_owners);
        let mut writer =
            endpoints::Writer { state: &mut state, clock: &shared.clock, random: &mut self.random };
        endpoints::update(&mut writer, &mut self.services, &events, missed);
        claims::release(&mut state, &events);
        namespaces::end(&mut state, &shared.clock);
        quotas::update(&mut state);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::options::Options;
    use crate::resource::{ENDPOINTS, NAMESPACES, PODS, SERVICES};

    /// Guards that endpoints become right even when the events that they follow from have left the watch window.
    #[test]
    fn endpoints_follow_changes_whose_events_were_missed() {
        let shared = Arc::new(Shared::new(Options { seed: Some(1), ..Options::default() }));
        let mut controllers = Controllers::new(Arc::clone(&shared), Random::seeded(1));
        let mut step_without_events = || {
            shared.state().store.forget_events();
            controllers.step();
            let endpoints = shared.state().store.get(ENDPOINTS, "ns", "svc");
            endpoints.map(|endpoints| endpoints.value()["subsets"][0]["addresses"][0]["ip"].clone())
        };
        let put = |resource, value| drop(shared.state().store.put(resource, value));
        let meta = |name: &str| json!({"namespace": "ns", "name": name, "uid": name, "labels": {"id": "a"}});
        put(NAMESPACES, json!({"metadata": {"name": "ns"}}));
        let spec = json!({"selector": {"id": "a"}, "ports": [{"port": 80, "protocol": "TCP"}]});
        put(SERVICES, json!({"metadata": meta("svc"), "spec": spec}));
        assert_eq!(step_without_events(), Some(json!(null)));

        let ready = json!([{"type": "Ready", "status": "True"}]);
        let status = json!({"phase": "Running", "podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}], "conditions": ready});
        put(PODS, json!({"metadata": meta("pod"), "spec": {"containers": []}, "status": status}));
        assert_eq!(step_without_events(), Some(json!("10.0.0.1")));

        shared.state().remove(PODS, "ns", "pod");
        assert_eq!(step_without_events(), Some(json!(null)));

        shared.state().remove(SERVICES, "ns", "svc");
        assert_eq!(step_without_events(), None);
    }
}
