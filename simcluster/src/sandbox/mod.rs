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

use crate::follower::{Changes, Follower};
use crate::resource::{PODS, SERVICES};
use crate::shared::Shared;
use crate::store::{Change, Event, Store};
use endpoints::{Endpoints, Outcome};
use server::Port;

/// Runs the sandbox servers until they are aborted. It sees changes from the call on, not from the first poll on.
pub(crate) fn run(shared: Arc<Shared>) -> impl Future<Output = ()> {
    let mut follower = Follower::new(&shared.state().store, [SERVICES, PODS]);
    let mut endpoints = Endpoints::default();
    let mut ports: HashMap<u16, Port> = HashMap::new();
    async move {
        loop {
            let outcomes = {
                let store = &shared.state().store;
                let changes = follower.take(store);
                take_in(store, changes, &mut endpoints)
            };
            for outcome in outcomes {
                carry_out(&shared, &mut ports, outcome).await;
            }
            follower.changed().await;
        }
    }
}

fn take_in(store: &Store, changes: Changes, endpoints: &mut Endpoints) -> Vec<Outcome> {
    if changes.need_list() {
        let services: Vec<_> = store.list(SERVICES, None).collect();
        return endpoints.replace(&services, store.list(PODS, None));
    }
    changes.events.into_iter().flat_map(|event| apply(endpoints, &event)).collect()
}

fn apply(endpoints: &mut Endpoints, event: &Event) -> Vec<Outcome> {
    let gone = event.change == Change::Deleted;
    if event.object.resource == SERVICES {
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
