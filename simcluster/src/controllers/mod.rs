//! What a controller manager does, as far as it is needed: namespaces that end, owners that are gone, quotas, claims,
//! endpoints.

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

/// What the controllers remember from one step to the next.
struct Controllers {
    shared: Arc<Shared>,
    /// The last version that has been looked at.
    seen: u64,
    /// The life of the store that `seen` and all that follows is of.
    epoch: u64,
    services: endpoints::Index,
    /// Objects that are held until something about what they own is done: resource, namespace, name.
    held: BTreeSet<garbage::Key>,
    /// Generated names. Their own, so that the names clients see do not depend on when the controllers run.
    random: Random,
}

/// Runs the controllers until they are aborted. What happens from the call on is seen, not from the first poll on.
pub(crate) fn run(shared: Arc<Shared>) -> impl Future<Output = ()> {
    let (mut changed, seen, epoch) = {
        let state = shared.state();
        (state.store.subscribe_all(), state.store.version(), state.store.epoch())
    };
    let random = Random::seeded(!shared.seed);
    let mut controllers = Controllers {
        shared,
        seen,
        epoch,
        services: endpoints::Index::default(),
        held: BTreeSet::new(),
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
    /// Acts on all that happened since the last step.
    fn step(&mut self) {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.state();
        let epoch = state.store.epoch();
        if epoch != self.epoch {
            // An old state has come back, under old versions perhaps: only what followed it counts.
            (self.epoch, self.seen) = (epoch, state.store.begun());
            self.services = endpoints::Index::of(&state.store);
            self.held = garbage::all_held(&state.store);
        }
        let mut events: Vec<Event> = Vec::new();
        let version = state.store.version();
        let mut missed = false;
        for resource in &RESOURCES {
            match state.store.events_after(resource, self.seen) {
                Ok(later) => events.extend(later),
                Err(_) => missed = true,
            }
        }
        self.seen = version;
        events.sort_by_key(|event| event.version);
        if missed {
            // The events have left the window; the state that they led to is there.
            self.held = garbage::all_held(&state.store);
            garbage::collect_all_orphans(&mut state, &shared.clock);
        }
        garbage::collect_orphans(&mut state, &shared.clock, &events);
        self.held.extend(events.iter().filter_map(garbage::held));
        garbage::let_go(&mut state, &shared.clock, &mut self.held);
        endpoints::update(&mut state, &shared.clock, &mut self.services, &mut self.random, &events, missed);
        claims::release(&mut state, &events);
        namespaces::end(&mut state, &shared.clock);
        quotas::update(&mut state);
    }
}
