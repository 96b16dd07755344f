//! The claims of a Pod, for the scheduler and for the attachment of volumes.

use serde_json::Value;

use super::Node;
use super::events::EventContent;
use super::life::Stage;
use crate::fields::{has_ended, items};
use crate::resource::{CLAIMS, CLASSES, PODS, VOLUMES};
use crate::shared::State;
use crate::storage::{NO_PROVISIONER, claims_of, is_bound, uses_claim};
use crate::store::{Object, text_at};

/// The claims of a Pod, as the scheduler sees them.
#[derive(Debug, Default)]
pub(super) struct PodVolumes {
    /// Why no node can take the Pod, whatever it is.
    pub error: Option<String>,
    /// Whether another Pod has a claim that only one Pod may use.
    pub taken: bool,
    /// The required node affinities of the bound volumes.
    pub affinities: Vec<Value>,
    /// The claims that are bound once a node is chosen.
    pub unbound: Vec<Object>,
    /// Whether an unbound claim waits for a volume without a provisioner.
    pub unbindable: bool,
}

// === impl PodVolumes ===

impl PodVolumes {
    pub fn of(state: &State, pod: &Object) -> Self {
        let mut found = Self::default();
        for name in claims_of(pod.value()) {
            let claim = match find(state, pod, name) {
                Ok(claim) => claim,
                Err(why) => return Self { error: Some(why), ..Self::default() },
            };
            found.add(state, pod, claim);
        }
        found
    }

    fn add(&mut self, state: &State, pod: &Object, claim: Object) {
        let spec = &claim.value()["spec"];
        if items(&spec["accessModes"]).any(|mode| mode == "ReadWriteOncePod") {
            self.taken |= is_used_by_another(state, pod, claim.name());
        }
        if is_bound(claim.value()) {
            let volume = state.store.get(VOLUMES, "", text_at(spec, &["volumeName"]));
            let required = volume.and_then(|v| v.value().pointer("/spec/nodeAffinity/required").cloned());
            self.affinities.extend(required);
            return;
        }
        let class = state.store.get(CLASSES, "", text_at(spec, &["storageClassName"]));
        let class = class.as_ref().map_or(&Value::Null, |class| class.value());
        let delayed = class["volumeBindingMode"] == "WaitForFirstConsumer";
        if !delayed || !text_at(spec, &["volumeName"]).is_empty() {
            self.error.get_or_insert("pod has unbound immediate PersistentVolumeClaims".to_owned());
            return;
        }
        self.unbindable |= class["provisioner"] == NO_PROVISIONER;
        self.unbound.push(claim);
    }
}

/// Returns a claim that a Pod can use, or the scheduler's message.
fn find(state: &State, pod: &Object, name: &str) -> Result<Object, String> {
    let Some(claim) = state.store.get(CLAIMS, pod.namespace(), name) else {
        return Err(format!("persistentvolumeclaim {name:?} not found"));
    };
    if claim.value()["status"]["phase"] == "Lost" {
        let volume = text_at(claim.value(), &["spec", "volumeName"]);
        return Err(format!(
            "persistentvolumeclaim {name:?} bound to non-existent persistentvolume {volume:?}"
        ));
    }
    if claim.terminating() {
        return Err(format!("persistentvolumeclaim {name:?} is being deleted"));
    }
    Ok(claim)
}

fn is_used_by_another(state: &State, pod: &Object, claim: &str) -> bool {
    state.store.list(PODS, Some(pod.namespace())).any(|other| {
        other.uid() != pod.uid()
            && !text_at(other.value(), &["spec", "nodeName"]).is_empty()
            && !has_ended(other.value())
            && uses_claim(other.value(), claim)
    })
}

// === impl Node: attached volumes ===

impl Node {
    /// Returns why a volume of a Pod cannot be attached to its node: it may be on one node, and another Pod has it on
    /// another.
    pub(super) fn attach_error(&self, state: &State, pod: &Object) -> Option<String> {
        if self.machines.len() < 2 {
            return None;
        }
        claims_of(pod.value()).find_map(|name| {
            let claim = state.store.get(CLAIMS, pod.namespace(), name)?;
            let spec = &claim.value()["spec"];
            let mut modes = items(&spec["accessModes"]);
            let volume = state.store.get(VOLUMES, "", text_at(spec, &["volumeName"]))?;
            if modes.any(|mode| mode == "ReadWriteMany" || mode == "ReadOnlyMany")
                || volume.value()["spec"].get("csi").is_none()
            {
                return None;
            }
            let elsewhere = |other: &Object| {
                let node = text_at(other.value(), &["spec", "nodeName"]);
                let own = text_at(pod.value(), &["spec", "nodeName"]);
                !node.is_empty() && node != own && uses_claim(other.value(), name)
            };
            let others = state.store.list(PODS, Some(pod.namespace())).filter(elsewhere);
            let names: Vec<_> = others.map(|other| other.name().to_owned()).collect();
            let volume = volume.name();
            (!names.is_empty()).then(|| {
                let names = names.join(", ");
                format!("Multi-Attach error for volume {volume:?} Volume is already used by pod(s) {names}")
            })
        })
    }

    /// Reports once that a Pod waits for a volume, and returns its stage.
    pub(super) fn wait_for_volume(
        &mut self,
        cluster: &mut State,
        pod: &Object,
        present: Stage,
        why: &str,
    ) -> Stage {
        if let Stage::AttachFailed(tries) = present {
            return Stage::AttachFailed(tries.saturating_add(1));
        }
        self.recorder.write(cluster, &self.shared.clock, pod, &EventContent::failed_attach(why), "");
        Stage::AttachFailed(0)
    }
}
