//! For each sandbox: a small HTTP server on the node port of every Service whose selector finds a ready Pod.
//!
//! [`endpoints`] computes from the changes of Pods and Services which port serves which sandbox; this file runs one
//! listener a port. A port without a ready Pod stays bound and refuses connections.
//!
//! A sandbox answers, with our own words and shapes:
//!
//! - `GET /v1/sandbox`: `{"success": true, "message": …, "data": {"pod": …, "namespace": …, "uid": …, "image": …}}`
//! - `GET /v1/shell/sessions`, `/v1/bash/sessions`, `/v1/jupyter/sessions`, `/v1/nodejs/sessions`: `{"success": true,
//!   "message": …, "data": {"sessions": [{"session_id": …, "kind": …, "created_at": …}]}}`, the bash ones as
//!   an array directly below `data`, as the all-in-one image has them; empty until
//!   [`Cluster::begin_session`](crate::Cluster::begin_session) begins one.

mod endpoints;
mod server;
pub(crate) mod sessions;

use std::collections::HashMap;
use std::sync::Arc;

use crate::resource::{PODS, Resource, SERVICES};
use crate::shared::Shared;
use crate::store::{Change, Event};
use endpoints::{Endpoints, Outcome};
use server::Port;

/// How far the store has been followed.
#[derive(Debug, Clone, Copy)]
struct Seen {
    version: u64,
    epoch: u64,
}

/// Runs the sandbox servers until they are aborted. It sees changes from the call on, not from the first poll on.
pub(crate) fn run(shared: Arc<Shared>) -> impl Future<Output = ()> {
    let (mut pods, mut services, mut seen) = {
        let state = shared.state();
        let seen = Seen { version: state.store.version(), epoch: state.store.epoch() };
        (state.store.subscribe(PODS), state.store.subscribe(SERVICES), seen)
    };
    let mut endpoints = Endpoints::default();
    let mut ports: HashMap<u16, Port> = HashMap::new();
    async move {
        loop {
            pods.borrow_and_update();
            services.borrow_and_update();
            let outcomes = take_in(&shared, &mut endpoints, &mut seen);
            for outcome in outcomes {
                carry_out(&shared, &mut ports, outcome).await;
            }
            tokio::select! {
                changed = pods.changed() => if changed.is_err() { return },
                changed = services.changed() => if changed.is_err() { return },
            }
        }
    }
}

/// Takes in what happened since `seen`, Services first: a Pod that gets ready then finds its Service.
fn take_in(shared: &Shared, endpoints: &mut Endpoints, seen: &mut Seen) -> Vec<Outcome> {
    let state = shared.state();
    let mut outcomes = Vec::new();
    let epoch = state.store.epoch();
    let mut relist = epoch != seen.epoch;
    for resource in [SERVICES, PODS] {
        match state.store.events_after(resource, seen.version) {
            Ok(events) => {
                for event in events.into_iter().filter(|_| epoch == seen.epoch) {
                    outcomes.extend(apply(endpoints, resource, &event));
                }
            }
            Err(_) => relist = true,
        }
    }
    if relist {
        let services: Vec<_> = state.store.list(SERVICES, None).collect();
        outcomes.extend(endpoints.replace(&services, state.store.list(PODS, None)));
    }
    *seen = Seen { version: state.store.version(), epoch };
    outcomes
}

fn apply(endpoints: &mut Endpoints, resource: &Resource, event: &Event) -> Vec<Outcome> {
    let gone = event.change == Change::Deleted;
    if resource == SERVICES {
        endpoints.service(&event.object, gone)
    } else {
        endpoints.pod(&event.object, gone)
    }
}

async fn carry_out(shared: &Arc<Shared>, ports: &mut HashMap<u16, Port>, outcome: Outcome) {
    match outcome {
        Outcome::Serve(number, sandbox) => {
            // The host's side of the port is with the allocator until it is first needed.
            let held = || shared.state().ports.claim(number).map(Port::Idle);
            let Some(port) = ports.remove(&number).or_else(held) else { return };
            match port.serve(shared, sandbox) {
                Ok(port) => drop(ports.insert(number, port)),
                Err(error) => tracing::warn!(number, %error, "a sandbox cannot be served"),
            }
        }
        Outcome::Refuse(number) => {
            if let Some(port) = ports.remove(&number) {
                match port.refuse().await {
                    Ok(port) => drop(ports.insert(number, port)),
                    Err(error) => tracing::warn!(number, %error, "a node port was lost"),
                }
            }
        }
        Outcome::Release(number) => {
            if let Some(port) = ports.remove(&number) {
                // Ends the server, and with it the listener.
                drop(port.refuse().await);
            }
        }
    }
}
