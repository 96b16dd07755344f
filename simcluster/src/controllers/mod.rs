//! The controllers: namespace deletion, garbage collection, quotas, claims, endpoints.

mod claims;
mod endpoints;
mod garbage;
mod namespaces;
mod quotas;

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::random::Random;
use crate::resource::RESOURCES;
use crate::shared::Shared;
use crate::store::Event;

/// The state of the controllers between two steps.
struct Controllers {
    shared: Arc<Shared>,
    /// The version up to which events have been processed.
    last_version: u64,
    /// The epoch of the store to which the other fields belong.
    epoch: u64,
    services: endpoints::Index,
    /// Terminating owners with a finalizer of the garbage collector.
    pending_owners: BTreeSet<garbage::Key>,
    /// The source of generated names. It is separate, so that names of clients' objects do not depend on the timing of
    /// controllers.
    random: Random,
}

/// Runs the controllers until they are aborted. Events since the call are processed, not only since the first poll.
pub(crate) fn run(shared: Arc<Shared>) -> impl Future<Output = ()> {
    let (mut changed, last_version, epoch) = {
        let state = shared.state();
        (state.store.subscribe_all(), state.store.version(), state.store.epoch())
    };
    let random = Random::seeded(!shared.seed);
    let mut controllers = Controllers {
        shared,
        last_version,
        epoch,
        services: endpoints::Index::default(),
        pending_owners: BTreeSet::new(),
        random,
    };
    async move {
        loop {
            changed.borrow_and_update();
            controllers.step();
            if changed.changed().await.is_err() {
                return;
            }
        }
    }
}

// === impl Controllers ===

impl Controllers {
    /// Processes all events since the last step.
    fn step(&mut self) {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.state();
        let epoch = state.store.epoch();
        if epoch != self.epoch {
            // An old state was restored, maybe with old versions: only later events count.
            (self.epoch, self.last_version) = (epoch, state.store.epoch_start());
            self.services = endpoints::Index::of(&state.store);
            self.pending_owners = garbage::all_pending_owners(&state.store);
        }
        let mut events: Vec<Event> = Vec::new();
        let version = state.store.version();
        let mut missed = false;
        for resource in &RESOURCES {
            match state.store.events_after(resource, self.last_version) {
                Ok(later) => events.extend(later),
                Err(_) => missed = true,
            }
        }
        self.last_version = version;
        events.sort_by_key(|event| event.version);
        if missed {
            // The events are no longer in the window; rebuild from the current state.
            self.pending_owners = garbage::all_pending_owners(&state.store);
            garbage::collect_all_orphans(&mut state, &shared.clock);
        }
        garbage::collect_orphans(&mut state, &shared.clock, &events);
        self.pending_owners.extend(events.iter().filter_map(garbage::pending_owner));
        garbage::process_finalizers(&mut state, &shared.clock, &mut self.pending_owners);
        endpoints::update(&mut state, &shared.clock, &mut self.services, &mut self.random, &events, missed);
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
        let last_version = shared.state().store.version();
        let mut controllers = Controllers {
            shared: Arc::clone(&shared),
            last_version,
            epoch: 0,
            services: endpoints::Index::default(),
            pending_owners: BTreeSet::new(),
            random: Random::seeded(1),
        };
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
