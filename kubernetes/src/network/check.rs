//! Proves whether the cluster enforces the policy of the mode `isolated`, with two Pods for each direction.
//!
//! ```text
//!   server ready ──▸ client reaches it ──▸ one of them gets the label of the mode ──▸ does the client still reach it?
//!
//!   ingress: the server gets the label             egress: the client gets the label
//! ```
//!
//! The server listens on a port that the policy allows to none of its sources, and is not a DNS server, so the result does not
//! depend on the settings. The egress is tried only if the ingress is enforced. The client ends with a status that tells the result, so no right to read logs or to run programs in Pods is needed. Both
//! Pods have labels of their own, and neither those of a sandbox; both are deleted with their uid at the end. The next
//! check deletes those of a process that was killed.

mod pods;
mod verdict;

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::Pod;
use kube::core::{
    ObjectList,
    params::{self, DeleteParams, GetParams, ListParams, Patch, PatchParams, PostParams},
};
use lifecycle::{
    error::{ClusterError, ClusterErrorKind},
    network::{Enforced, NetworkMode},
};
use serde_json::json;
use tokio::time::{Instant, sleep, timeout};

pub(super) use self::pods::PodSettings;
use self::{
    pods::{Role, name, pod},
    verdict::{Direction, Seen, Step, decide},
};
use super::call::{body, call, or_absent};
use crate::{connect::Connection, fault::Verb, names};

/// How often the Pods are read.
const INTERVAL: Duration = Duration::from_secs(1);

/// The most that a check takes, without its deletes. The image may have to be pulled.
const DEADLINE: Duration = Duration::from_secs(540);

/// How many reads of the Pods may fail in a row.
const FAILURES_MAX: u32 = 5;

/// The check of one cluster.
pub(super) struct Check {
    connection: Connection,
    settings: PodSettings,
}

/// The result of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outcome {
    /// Whether the policy is enforced.
    pub enforced: Enforced,
    /// The result in words.
    pub message: Arc<str>,
}

// === impl Check ===

impl Check {
    pub(super) fn new(connection: Connection, settings: PodSettings) -> Self {
        Self { connection, settings }
    }

    /// Runs the check. One check runs at a time.
    pub(super) async fn run(&self) -> Outcome {
        let checked = async {
            self.delete_all().await?;
            let ingress = self.observe(Direction::Ingress).await?;
            if ingress.enforced != Enforced::Yes {
                return Ok(ingress);
            }
            self.delete_all().await?;
            self.observe(Direction::Egress).await
        };
        let outcome = match timeout(DEADLINE, checked).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(fault)) => Outcome::unknown(&format!("a call of the check failed: {fault}")),
            Err(_) => Outcome::unknown(&format!("the check did not end within {} s", DEADLINE.as_secs())),
        };
        if let Err(fault) = self.delete_all().await {
            tracing::warn!(
                %fault, selector = names::NETWORK_CHECK,
                "the Pods of the network check could not be deleted; the next check tries again"
            );
        }
        outcome
    }

    async fn observe(&self, direction: Direction) -> Result<Outcome, ClusterError> {
        let suffix = format!("{:08x}", fastrand::u32(..));
        let (server, client) = (name(Role::Server, &suffix), name(Role::Client, &suffix));
        self.create(&pod(&self.settings, Role::Server, &suffix, None)).await?;
        let begun = Instant::now();
        let mut seen = Seen::default();
        let mut failures = 0;
        loop {
            sleep(INTERVAL).await;
            let read = async {
                let found = self.get(&server).await?;
                let of_client = if seen.client.is_some() { self.get(&client).await? } else { None };
                Ok((found, of_client))
            };
            let (found_server, found_client) = match read.await {
                Ok(found) => found,
                Err(fault) if failures < FAILURES_MAX && is_passing(&fault) => {
                    failures += 1;
                    continue;
                }
                Err(fault) => return Err(fault),
            };
            failures = 0;
            seen.update(found_server.as_ref(), found_client.as_ref(), begun.elapsed());
            match decide(direction, &seen) {
                Step::Wait => {}
                Step::CreateClient(address) => {
                    self.create(&pod(&self.settings, Role::Client, &suffix, Some(&address))).await?;
                    seen.created_client(begun.elapsed());
                }
                Step::Label => {
                    self.label(if direction == Direction::Ingress { &server } else { &client }).await?;
                    seen.labelled_at = Some(begun.elapsed());
                }
                Step::Done(enforced, message) => return Ok(Outcome { enforced, message: message.into() }),
            }
        }
    }

    async fn create(&self, pod: &Pod) -> Result<(), ClusterError> {
        let build = |request: kube::core::Request| request.create(&PostParams::default(), body(pod));
        call::<Pod, Pod>(&self.connection, Verb::Create, build).await.map(drop)
    }

    async fn get(&self, name: &str) -> Result<Option<Pod>, ClusterError> {
        let build = |request: kube::core::Request| request.get(name, &GetParams::default());
        or_absent(call::<Pod, Pod>(&self.connection, Verb::Get, build).await)
    }

    /// Puts the label of the mode on a Pod, as a sandbox of the mode has it.
    async fn label(&self, name: &str) -> Result<(), ClusterError> {
        let labels = json!({ names::NETWORK: NetworkMode::Isolated });
        let patch = Patch::Merge(json!({"metadata": {"labels": labels}}));
        let build = |request: kube::core::Request| request.patch(name, &PatchParams::default(), &patch);
        call::<Pod, Pod>(&self.connection, Verb::Patch, build).await.map(drop)
    }

    /// Deletes all Pods of checks, each with its uid.
    async fn delete_all(&self) -> Result<(), ClusterError> {
        let selected = ListParams::default().labels(names::NETWORK_CHECK);
        let build = |request: kube::core::Request| request.list(&selected);
        let found: ObjectList<Pod> = call::<Pod, _>(&self.connection, Verb::List, build).await?;
        for pod in found.items {
            let (Some(name), Some(uid)) = (pod.metadata.name, pod.metadata.uid) else { continue };
            let params = DeleteParams {
                grace_period_seconds: Some(0),
                preconditions: Some(params::Preconditions { uid: Some(uid), resource_version: None }),
                ..DeleteParams::default()
            };
            let build = |request: kube::core::Request| request.delete(&name, &params);
            match call::<Pod, Pod>(&self.connection, Verb::Delete, build).await {
                Ok(_) => {}
                Err(fault)
                    if matches!(fault.kind, ClusterErrorKind::NotFound | ClusterErrorKind::Conflict) => {}
                Err(fault) => return Err(fault),
            }
        }
        Ok(())
    }
}

fn is_passing(fault: &ClusterError) -> bool {
    fault.kind.is_passing()
}

// === impl Outcome ===

impl Outcome {
    fn unknown(message: &str) -> Self {
        Self { enforced: Enforced::Unknown, message: message.into() }
    }
}

#[cfg(test)]
mod tests;
