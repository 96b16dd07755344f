//! Types for Pods, Services and namespaces that hold only the fields this program reads.
//!
//! A Pod of `k8s-openapi` takes tens of kilobytes. These types keep what [`crate::observe`] needs, and drop the spec
//! and `managedFields` while parsing.
//!
//! They parse from any JSON value: a field that is null or has an unexpected type counts as absent, and a value that is
//! not an object gives an object without a name. One invalid object therefore never fails the list that contains it.
//! Values of fixed sets, such as the phase, stay text.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::core::{NamespaceResourceScope, Resource};
use lifecycle::{
    ids::{ThreadId, UserId},
    labels::Labels,
    placement::replacement::Replacement,
    spec::{ObservedSpec, Origin, Resources},
    workspace::{PodWorkspace, WhenDeleted},
};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    annotations,
    lenient::{Object, Objects, Scalar},
    names,
    spec::{ContainerResources, PodSpec},
};

/// A Pod, reduced to the fields that are read.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(from = "Object<PodFields>")]
pub struct Pod {
    /// The name, namespace, uid, resourceVersion, generation, labels, times, finalizers and our annotations. All other
    /// fields are empty.
    pub metadata: ObjectMeta,
    /// The facts of the spec that API clients can read. The spec itself is dropped.
    pub(crate) spec: ObservedSpec,
    /// The requests of the container `sandbox`.
    pub(crate) requests: Resources,
    /// Whether one of the containers has the name of a sandbox's.
    pub(crate) has_sandbox_container: bool,
    /// The memory limits of the containers that have one, by name.
    pub(crate) memory_limits: Vec<(String, String)>,
    pub(crate) status: PodStatus,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PodFields {
    metadata: Object<Metadata>,
    spec: Object<PodSpec>,
    status: Object<PodStatus>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct PodStatus {
    pub(crate) phase: Scalar<String>,
    /// The reason for the state of the whole Pod, such as `Evicted`.
    pub(crate) reason: Scalar<String>,
    pub(crate) message: Scalar<String>,
    pub(crate) conditions: Objects<Condition>,
    pub(crate) init_container_statuses: Objects<ContainerStatus>,
    pub(crate) container_statuses: Objects<ContainerStatus>,
    /// The generation of the spec that the status is about.
    pub(crate) observed_generation: Scalar<i64>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Condition {
    #[serde(rename = "type")]
    pub(crate) kind: Scalar<String>,
    /// `True`, `False` or `Unknown`.
    pub(crate) status: Scalar<String>,
    pub(crate) reason: Scalar<String>,
    pub(crate) message: Scalar<String>,
    #[serde(rename = "lastTransitionTime")]
    pub(crate) since: Scalar<Timestamp>,
    #[serde(rename = "observedGeneration")]
    pub(crate) observed_generation: Scalar<i64>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct ContainerStatus {
    pub(crate) name: Scalar<String>,
    pub(crate) restart_count: Scalar<i64>,
    pub(crate) state: Object<ContainerState>,
    /// The state before the last restart.
    pub(crate) last_state: Object<ContainerState>,
    /// The resources that the container has. Only a kubelet that can resize reports them.
    pub(crate) resources: Object<ContainerResources>,
}

/// The state of a container. At most one field is set.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ContainerState {
    /// The container has not started, or waits for a restart.
    pub(crate) waiting: Object<StateDetails>,
    pub(crate) running: Object<StateDetails>,
    pub(crate) terminated: Object<StateDetails>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct StateDetails {
    /// The start of the main process. A waiting container has none.
    pub(crate) started_at: Scalar<Timestamp>,
    /// The end of the main process. A waiting container has none.
    pub(crate) finished_at: Scalar<Timestamp>,
    /// The exit code of the main process. A waiting container has none.
    pub(crate) exit_code: Scalar<i64>,
    /// The signal that ended the main process. Most container runtimes only give the exit code.
    pub(crate) signal: Scalar<i64>,
    /// The reason as one word, such as `ImagePullBackOff` or `OOMKilled`.
    pub(crate) reason: Scalar<String>,
    /// The text that belongs to the reason, or the end of the container's log.
    pub(crate) message: Scalar<String>,
}

/// A Service, reduced to the fields that are read.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(from = "Object<ServiceFields>")]
pub struct Service {
    /// The same fields as those of a [`Pod`].
    pub metadata: ObjectMeta,
    /// The ports. A Service that this program creates has one.
    pub(crate) ports: Vec<ServicePort>,
    /// The labels of the Pods that it selects.
    pub(crate) selector: BTreeMap<String, String>,
    /// Such as `NodePort`.
    pub(crate) kind: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ServiceFields {
    metadata: Object<Metadata>,
    spec: Object<ServiceSpec>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ServiceSpec {
    ports: Objects<ServicePort>,
    selector: Scalar<BTreeMap<String, String>>,
    #[serde(rename = "type")]
    kind: Scalar<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct ServicePort {
    pub(crate) name: Scalar<String>,
    /// The port of the Service.
    pub(crate) port: Scalar<u16>,
    /// The port of the Pod: a number or a name.
    pub(crate) target_port: Value,
    pub(crate) protocol: Scalar<String>,
    /// The port on every node.
    pub(crate) node_port: Scalar<u16>,
}

/// An Event about a Pod, reduced to the fields that are read.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(from = "Object<PodEventFields>")]
pub struct PodEvent {
    /// The resourceVersion. All other fields are empty.
    pub metadata: ObjectMeta,
    /// The Pod that it is about.
    pub(crate) involved_object: InvolvedObject,
    pub(crate) reason: String,
    pub(crate) message: String,
    /// When it last happened.
    pub(crate) at: Option<Timestamp>,
    /// When it first happened, on the clock of its reporter.
    pub(crate) first_at: Option<Timestamp>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PodEventFields {
    metadata: Object<PodEventMetadata>,
    involved_object: Object<InvolvedObject>,
    reason: Scalar<String>,
    message: Scalar<String>,
    /// The time of the first occurrence. Written by components that use `events.k8s.io`.
    event_time: Scalar<Timestamp>,
    series: Object<EventSeries>,
    /// Written by all other components, such as the kubelet, in whole seconds.
    first_timestamp: Scalar<Timestamp>,
    last_timestamp: Scalar<Timestamp>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PodEventMetadata {
    resource_version: Scalar<String>,
    creation_timestamp: Scalar<Timestamp>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct EventSeries {
    last_observed_time: Scalar<Timestamp>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct InvolvedObject {
    pub(crate) name: Scalar<String>,
    pub(crate) uid: Scalar<String>,
    /// The part of the Pod that it is about, such as `spec.containers{sandbox}`.
    pub(crate) field_path: Scalar<String>,
}

/// A namespace, reduced to the fields that are read.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Namespace {
    pub(crate) metadata: Object<NamespaceMetadata>,
    pub(crate) status: Object<NamespaceStatus>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct NamespaceMetadata {
    pub(crate) uid: Scalar<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct NamespaceStatus {
    /// `Active` or `Terminating`.
    pub(crate) phase: Scalar<String>,
}

/// The annotations of a Pod that are read.
const POD_ANNOTATIONS: [&str; 11] = {
    let [ttl, idle_timeout, last_activity, owner] = annotations::KEYS;
    let [size, when_deleted, cpu] = [names::WORKSPACE_SIZE, names::WHEN_DELETED, names::CPU_AFTER_START];
    let [thread, user, replacement] = [names::THREAD_ID, names::USER_ID, names::REPLACEMENT];
    let first = names::FIRST_CREATED;
    [ttl, idle_timeout, last_activity, owner, size, when_deleted, cpu, thread, user, replacement, first]
};

/// The metadata fields that are read.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Metadata {
    name: Scalar<String>,
    namespace: Scalar<String>,
    uid: Scalar<String>,
    resource_version: Scalar<String>,
    generation: Scalar<i64>,
    labels: Scalar<BTreeMap<String, String>>,
    annotations: Object<BTreeMap<String, Scalar<String>>>,
    creation_timestamp: Scalar<Timestamp>,
    /// An invalid time also counts as a deletion: the object is terminating.
    deletion_timestamp: Option<Value>,
    deletion_grace_period_seconds: Scalar<i64>,
    finalizers: Scalar<Vec<String>>,
}

// === impl Pod, Service and PodEvent ===

impl From<Object<PodFields>> for Pod {
    fn from(Object(fields): Object<PodFields>) -> Self {
        let PodFields { metadata, spec, status } = fields.unwrap_or_default();
        let spec = spec.0.unwrap_or_default();
        let mut metadata = metadata.0.unwrap_or_default().keeping(&POD_ANNOTATIONS);
        let workspace = workspace_of(&mut metadata).map(Arc::new);
        let origin = Arc::new(origin_of(&mut metadata));
        let profile = metadata.labels.as_ref().and_then(names::profile_of);
        let network = metadata.labels.as_ref().and_then(names::network_of);
        Self {
            has_sandbox_container: spec.has_sandbox_container(),
            requests: spec.requests(),
            spec: ObservedSpec { origin, profile, network, workspace, ..spec.observed() },
            memory_limits: spec.memory_limits(),
            metadata,
            status: status.0.unwrap_or_default(),
        }
    }
}

impl From<Object<ServiceFields>> for Service {
    fn from(Object(fields): Object<ServiceFields>) -> Self {
        let ServiceFields { metadata, spec } = fields.unwrap_or_default();
        let ServiceSpec { ports, selector, kind } = spec.0.unwrap_or_default();
        Self {
            metadata: metadata.into(),
            ports: ports.0,
            selector: selector.0.unwrap_or_default(),
            kind: kind.0,
        }
    }
}

impl From<Object<PodEventFields>> for PodEvent {
    fn from(Object(fields): Object<PodEventFields>) -> Self {
        let fields = fields.unwrap_or_default();
        let metadata = fields.metadata.0.unwrap_or_default();
        let event_time = fields.event_time.0;
        let last_observed = fields.series.0.and_then(|series| series.last_observed_time.0);
        Self {
            metadata: ObjectMeta { resource_version: metadata.resource_version.0, ..ObjectMeta::default() },
            involved_object: fields.involved_object.0.unwrap_or_default(),
            reason: fields.reason.0.unwrap_or_default(),
            message: fields.message.0.unwrap_or_default(),
            at: last_observed.or(fields.last_timestamp.0).or(event_time),
            first_at: fields.first_timestamp.0.or(event_time).or(metadata.creation_timestamp.0),
        }
    }
}

macro_rules! resource {
    ($type:ty, $kind:literal, $plural:literal) => {
        impl Resource for $type {
            type DynamicType = ();
            type Scope = NamespaceResourceScope;

            fn kind((): &()) -> Cow<'_, str> {
                $kind.into()
            }

            fn group((): &()) -> Cow<'_, str> {
                "".into()
            }

            fn version((): &()) -> Cow<'_, str> {
                "v1".into()
            }

            fn plural((): &()) -> Cow<'_, str> {
                $plural.into()
            }

            fn meta(&self) -> &ObjectMeta {
                &self.metadata
            }

            fn meta_mut(&mut self) -> &mut ObjectMeta {
                &mut self.metadata
            }
        }
    };
}
mod claim;
mod pod_request;

pub use self::claim::Claim;
pub(crate) use self::pod_request::PodRequest;

resource!(Pod, "Pod", "pods");
resource!(Service, "Service", "services");
resource!(PodEvent, "Event", "events");

// === impl Metadata ===

impl From<Object<Metadata>> for ObjectMeta {
    fn from(Object(metadata): Object<Metadata>) -> Self {
        metadata.unwrap_or_default().keeping(&annotations::KEYS)
    }
}

impl Metadata {
    /// Converts the metadata with only these annotations: others may hold a whole manifest.
    fn keeping(self, keys: &[&str]) -> ObjectMeta {
        let keep = |all: BTreeMap<String, Scalar<String>>| -> BTreeMap<String, String> {
            let kept = all.into_iter().filter(|(key, _)| keys.contains(&key.as_str()));
            kept.filter_map(|(key, text)| Some((key, text.0?))).collect()
        };
        ObjectMeta {
            name: self.name.0,
            namespace: self.namespace.0,
            uid: self.uid.0,
            resource_version: self.resource_version.0,
            generation: self.generation.0,
            labels: self.labels.0,
            annotations: self.annotations.0.map(keep).filter(|kept| !kept.is_empty()),
            creation_timestamp: self.creation_timestamp.0.map(Time),
            deletion_timestamp: self.deletion_timestamp.map(|time| {
                let time = time.as_str().and_then(|text| text.parse().ok());
                Time(time.unwrap_or(Timestamp::UNIX_EPOCH))
            }),
            deletion_grace_period_seconds: self.deletion_grace_period_seconds.0,
            finalizers: self.finalizers.0,
            ..ObjectMeta::default()
        }
    }
}

/// Removes these annotations, which nothing else reads, and returns their values.
fn take<const N: usize>(metadata: &mut ObjectMeta, keys: [&str; N]) -> [Option<String>; N] {
    let taken = keys.map(|key| metadata.annotations.as_mut()?.remove(key));
    metadata.annotations.take_if(|annotations| annotations.is_empty());
    taken
}

/// Returns how a Pod was created.
fn origin_of(metadata: &mut ObjectMeta) -> Origin {
    let keys = [names::THREAD_ID, names::USER_ID, names::REPLACEMENT, names::FIRST_CREATED];
    let [thread_id, user_id, replacement, first_created] = take(metadata, keys);
    let labels = metadata.labels.iter().flatten().filter(|(key, _)| !names::is_fixed_label(key));
    Origin {
        thread_id: thread_id.and_then(|id| ThreadId::parse(&id)),
        user_id: user_id.and_then(|id| UserId::parse(&id)),
        labels: Labels::new(labels.map(|(key, value)| (key.as_str(), value.as_str()))),
        replaces: replacement.as_deref().and_then(Replacement::parse),
        first_created: first_created.and_then(|text| text.parse().ok()),
    }
}

/// Returns the workspace that a Pod mounts.
fn workspace_of(metadata: &mut ObjectMeta) -> Option<PodWorkspace> {
    let id = metadata.labels.as_ref().and_then(names::workspace_of);
    let [size, when_deleted] = take(metadata, [names::WORKSPACE_SIZE, names::WHEN_DELETED]);
    let when_deleted = when_deleted.as_deref().and_then(WhenDeleted::parse);
    Some(PodWorkspace { id: id?, size: size.map(Arc::from), when_deleted })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Guards the paths of the API server. With a wrong path every call would get a 404.
    #[test]
    fn url_paths_are_pinned() {
        assert_eq!(Pod::url_path(&(), Some("deer-flow")), "/api/v1/namespaces/deer-flow/pods");
        assert_eq!(Service::url_path(&(), Some("deer-flow")), "/api/v1/namespaces/deer-flow/services");
        assert_eq!(Pod::kind(&()), "Pod");
        assert_eq!(Service::kind(&()), "Service");
    }

    /// Guards that only the lifetime annotations are kept, and that an invalid one does not affect the others.
    #[test]
    fn other_annotations_are_dropped() {
        let pod: Pod = serde_json::from_str(
            r#"{"metadata": {"annotations": {
                "kubectl.kubernetes.io/last-applied-configuration": "{\"a long\": \"manifest\"}",
                "sandbox-provisioner/ttl": "8h", "odd": {"nested": [1, {"x": null}]}, "sandbox-provisioner/owner": 7,
                "sandbox-provisioner/\u0069dle-timeout": "15m", "sandbox-provisioner/thread-id": "t"
            }, "uid": "u"}}"#,
        )
        .unwrap();
        let kept = BTreeMap::from([
            ("sandbox-provisioner/ttl".to_owned(), "8h".to_owned()),
            ("sandbox-provisioner/idle-timeout".to_owned(), "15m".to_owned()),
        ]);
        assert_eq!(pod.metadata.annotations, Some(kept));
        assert_eq!(pod.metadata.uid.as_deref(), Some("u"), "what follows is read as ever");
        for odd in [json!(null), json!([]), json!("x"), json!({}), json!({"a": "b"})] {
            let pod: Pod = serde_json::from_value(json!({"metadata": {"annotations": odd}})).unwrap();
            assert_eq!(pod.metadata.annotations, None);
        }
    }

    /// Guards that a Pod shows its thread, its user and the labels that a request or a profile can set, and that an
    /// annotation that was edited by hand counts only if it is valid.
    #[test]
    fn a_pod_shows_for_whom_it_was_created() {
        let pod: Pod = serde_json::from_value(json!({"metadata": {
            "annotations": {
                "sandbox-provisioner/thread-id": "t-1", "sandbox-provisioner/user-id": "not valid",
                "sandbox-provisioner/replacement": "move", "sandbox-provisioner/request": "{}",
                "sandbox-provisioner/first-created": "2026-11-26T08:28:32Z",
            },
            "labels": {
                "app": "deer-flow-sandbox", "sandbox-id": "a", "sandbox-provisioner/profile": "large",
                "app.kubernetes.io/component": "sandbox", "team.example.com/name": "b", "tier": "",
            },
        }}))
        .unwrap();
        let origin = Origin {
            thread_id: ThreadId::parse("t-1"),
            user_id: None,
            labels: Labels::new([("team.example.com/name", "b"), ("tier", "")]),
            replaces: Some(Replacement::Move),
            first_created: "2026-11-26T08:28:32Z".parse().ok(),
        };
        assert_eq!(*pod.spec.origin, origin);
        assert_eq!(pod.metadata.annotations, None);
    }

    /// Guards that an object parses whatever its fields contain, and that its valid fields are read.
    #[test]
    fn odd_fields_are_absent_fields() {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {
                "name": "sandbox-a", "uid": 7, "labels": {"app": ["x"]},
                "creationTimestamp": "yesterday", "deletionTimestamp": "soon",
                "managedFields": "none", "resourceVersion": null,
            },
            "spec": 12,
            "status": {
                "phase": "Hovering", "reason": {"a": 1}, "conditions": [{"type": "Ready", "status": true}, 3],
                "containerStatuses": [{"name": "sandbox", "restartCount": "many", "state": "up"}, null],
                "initContainerStatuses": {},
            },
        }))
        .unwrap();
        assert_eq!(pod.metadata.name.as_deref(), Some("sandbox-a"));
        assert_eq!(pod.metadata.uid, None);
        assert_eq!(pod.metadata.labels, None);
        assert!(pod.metadata.deletion_timestamp.is_some(), "an odd deletion time is still a deletion");
        let status = pod.status;
        assert_eq!(status.phase.as_deref(), Some("Hovering"));
        assert_eq!(status.conditions.len(), 1);
        assert_eq!(status.container_statuses.len(), 1);

        for odd in [
            json!({}),
            json!({"metadata": null, "status": null, "spec": null}),
            json!({"metadata": [{}], "status": "up", "spec": true}),
            json!([{}]),
            json!("up"),
        ] {
            serde_json::from_value::<Pod>(odd.clone()).unwrap();
            serde_json::from_value::<Service>(odd).unwrap();
        }
        let service: Service = serde_json::from_value(
            json!({"spec": {"type": 1, "ports": [{"nodePort": 99999}, {"nodePort": 30001}]}}),
        )
        .unwrap();
        let ports: Vec<_> = service.ports.iter().map(|port| *port.node_port).collect();
        assert_eq!(ports, [None, Some(30001)]);
    }
}
