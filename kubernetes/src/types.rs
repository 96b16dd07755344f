//! Types for Pods, Services and namespaces that hold only the fields this program reads.
//!
//! A Pod of `k8s-openapi` takes tens of kilobytes. These types keep what [`crate::observe`] needs, and drop the spec
//! and `managedFields` while parsing.
//!
//! Parsing is lenient: a field that is null or has an unexpected type counts as absent. One invalid object therefore
//! never fails the list that contains it. Values of fixed sets, such as the phase, stay text.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::core::{NamespaceResourceScope, Resource};
use lifecycle::spec::ObservedSpec;
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::Value;

use crate::{annotations, lenient, spec};

/// A Pod, reduced to the fields that are read.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Pod {
    /// The name, namespace, uid, resourceVersion, labels, times, finalizers and lifetime annotations. All other fields
    /// are empty.
    #[serde(default, deserialize_with = "metadata")]
    pub metadata: ObjectMeta,
    /// The facts of the spec that API clients can read. The spec itself is dropped.
    #[serde(default, deserialize_with = "spec::observe")]
    pub spec: ObservedSpec,
    /// The status that the scheduler and the kubelet report.
    #[serde(default, deserialize_with = "lenient::object")]
    pub status: Option<PodStatus>,
}

/// The status of a Pod.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PodStatus {
    /// `Pending`, `Running`, `Succeeded`, `Failed` or `Unknown`.
    #[serde(deserialize_with = "lenient::scalar")]
    pub phase: Option<String>,
    /// The reason for the state of the whole Pod, such as `Evicted`.
    #[serde(deserialize_with = "lenient::scalar")]
    pub reason: Option<String>,
    /// The text that belongs to the reason.
    #[serde(deserialize_with = "lenient::scalar")]
    pub message: Option<String>,
    /// The conditions, such as `PodScheduled` and `Ready`.
    #[serde(deserialize_with = "lenient::objects")]
    pub conditions: Vec<Condition>,
    /// The statuses of the init containers, in order.
    #[serde(deserialize_with = "lenient::objects")]
    pub init_container_statuses: Vec<ContainerStatus>,
    /// The statuses of the containers.
    #[serde(deserialize_with = "lenient::objects")]
    pub container_statuses: Vec<ContainerStatus>,
}

/// A condition of a Pod.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Condition {
    /// The type of the condition, such as `Ready`.
    #[serde(rename = "type", deserialize_with = "lenient::scalar")]
    pub kind: Option<String>,
    /// `True`, `False` or `Unknown`.
    #[serde(deserialize_with = "lenient::scalar")]
    pub status: Option<String>,
    /// The reason for the status, as one word.
    #[serde(deserialize_with = "lenient::scalar")]
    pub reason: Option<String>,
    /// The text that belongs to the reason.
    #[serde(deserialize_with = "lenient::scalar")]
    pub message: Option<String>,
}

/// The status of one container of a Pod.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ContainerStatus {
    /// The container's name.
    #[serde(deserialize_with = "lenient::scalar")]
    pub name: Option<String>,
    /// The number of restarts.
    #[serde(deserialize_with = "lenient::scalar")]
    pub restart_count: Option<i64>,
    /// The current state.
    #[serde(deserialize_with = "lenient::object")]
    pub state: Option<ContainerState>,
    /// The state before the last restart.
    #[serde(deserialize_with = "lenient::object")]
    pub last_state: Option<ContainerState>,
}

/// The state of a container. At most one field is set; neither is set while the container runs.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ContainerState {
    /// The container has not started, or waits for a restart.
    #[serde(deserialize_with = "lenient::object")]
    pub waiting: Option<Waiting>,
    /// The container has exited.
    #[serde(deserialize_with = "lenient::object")]
    pub terminated: Option<Terminated>,
}

/// The details of a waiting container.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Waiting {
    /// The reason as one word, such as `ImagePullBackOff`.
    #[serde(deserialize_with = "lenient::scalar")]
    pub reason: Option<String>,
    /// The text that belongs to the reason.
    #[serde(deserialize_with = "lenient::scalar")]
    pub message: Option<String>,
}

/// The details of a terminated container.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Terminated {
    /// The exit code of the main process.
    #[serde(deserialize_with = "lenient::scalar")]
    pub exit_code: Option<i64>,
    /// The reason as one word, such as `OOMKilled`.
    #[serde(deserialize_with = "lenient::scalar")]
    pub reason: Option<String>,
    /// The text that belongs to the reason, or the end of the container's log.
    #[serde(deserialize_with = "lenient::scalar")]
    pub message: Option<String>,
}

/// A Service, reduced to the fields that are read.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Service {
    /// The name, namespace, uid, resourceVersion, labels, times, finalizers and lifetime annotations. All other fields
    /// are empty.
    #[serde(default, deserialize_with = "metadata")]
    pub metadata: ObjectMeta,
    /// The type and the ports.
    #[serde(default, deserialize_with = "lenient::object")]
    pub spec: Option<ServiceSpec>,
}

/// The fields of a Service's spec that determine its URL.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ServiceSpec {
    /// The type of the Service, such as `ClusterIP` or `NodePort`.
    #[serde(rename = "type", deserialize_with = "lenient::scalar")]
    pub kind: Option<String>,
    /// The ports. A Service that this program creates has one.
    #[serde(deserialize_with = "lenient::objects")]
    pub ports: Vec<ServicePort>,
}

/// A port of a Service.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ServicePort {
    /// The name of the port, such as `http`.
    #[serde(deserialize_with = "lenient::scalar")]
    pub name: Option<String>,
    /// The port of the Service inside the cluster.
    #[serde(deserialize_with = "lenient::scalar")]
    pub port: Option<u16>,
    /// The port on every node.
    #[serde(deserialize_with = "lenient::scalar")]
    pub node_port: Option<u16>,
}

/// A namespace, reduced to the fields that are read.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Namespace {
    /// The status with the phase.
    #[serde(default, deserialize_with = "lenient::object")]
    pub status: Option<NamespaceStatus>,
}

/// The status of a namespace.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct NamespaceStatus {
    /// `Active` or `Terminating`.
    #[serde(deserialize_with = "lenient::scalar")]
    pub phase: Option<String>,
}

/// The metadata fields that are read.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Metadata {
    #[serde(deserialize_with = "lenient::scalar")]
    name: Option<String>,
    #[serde(deserialize_with = "lenient::scalar")]
    namespace: Option<String>,
    #[serde(deserialize_with = "lenient::scalar")]
    uid: Option<String>,
    #[serde(deserialize_with = "lenient::scalar")]
    resource_version: Option<String>,
    #[serde(deserialize_with = "lenient::scalar")]
    labels: Option<BTreeMap<String, String>>,
    /// Only the annotations in [`annotations::KEYS`]: others may hold a whole manifest.
    #[serde(deserialize_with = "kept_annotations")]
    annotations: Option<BTreeMap<String, String>>,
    #[serde(deserialize_with = "lenient::scalar")]
    creation_timestamp: Option<Timestamp>,
    /// An invalid time also counts as a deletion: the object is terminating.
    deletion_timestamp: Option<Value>,
    #[serde(deserialize_with = "lenient::scalar")]
    deletion_grace_period_seconds: Option<i64>,
    #[serde(deserialize_with = "lenient::scalar")]
    finalizers: Option<Vec<String>>,
}

// === impl Resource ===

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
resource!(Pod, "Pod", "pods");
resource!(Service, "Service", "services");

// === metadata ===

fn metadata<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectMeta, D::Error> {
    let read = lenient::object::<_, Metadata>(deserializer)?.unwrap_or_default();
    Ok(ObjectMeta {
        name: read.name,
        namespace: read.namespace,
        uid: read.uid,
        resource_version: read.resource_version,
        labels: read.labels,
        annotations: read.annotations,
        creation_timestamp: read.creation_timestamp.map(Time),
        deletion_timestamp: read.deletion_timestamp.filter(|v| !v.is_null()).map(|v| {
            let time = v.as_str().and_then(|t| t.parse().ok());
            Time(time.unwrap_or(Timestamp::UNIX_EPOCH))
        }),
        deletion_grace_period_seconds: read.deletion_grace_period_seconds,
        finalizers: read.finalizers,
        ..ObjectMeta::default()
    })
}

fn kept_annotations<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<BTreeMap<String, String>>, D::Error> {
    Ok(lenient::object::<_, KeptAnnotations>(deserializer)?
        .map(|kept| kept.0)
        .filter(|kept| !kept.is_empty()))
}

/// The annotations that are read. The values of all others are skipped while parsing.
struct KeptAnnotations(BTreeMap<String, String>);

struct KeptVisitor;

impl<'de> Deserialize<'de> for KeptAnnotations {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(KeptVisitor).map(Self)
    }
}

impl<'de> Visitor<'de> for KeptVisitor {
    type Value = BTreeMap<String, String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("annotations")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut kept = BTreeMap::new();
        while let Some(key) = map.next_key::<String>()? {
            if !annotations::KEYS.contains(&key.as_str()) {
                map.next_value::<IgnoredAny>()?;
            } else if let Ok(text) = serde_json::from_value::<String>(map.next_value::<Value>()?) {
                kept.insert(key, text);
            }
        }
        Ok(kept)
    }
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
        let status = pod.status.unwrap();
        assert_eq!(status.phase.as_deref(), Some("Hovering"));
        assert_eq!(status.conditions.len(), 1);
        assert_eq!(status.container_statuses.len(), 1);

        for odd in [
            json!({}),
            json!({"metadata": null, "status": null, "spec": null}),
            json!({"metadata": [{}], "status": "up", "spec": true}),
        ] {
            serde_json::from_value::<Pod>(odd.clone()).unwrap();
            serde_json::from_value::<Service>(odd).unwrap();
        }
        let service: Service = serde_json::from_value(
            json!({"spec": {"type": 1, "ports": [{"nodePort": 99999}, {"nodePort": 30001}]}}),
        )
        .unwrap();
        let ports: Vec<_> = service.spec.unwrap().ports.iter().map(|p| p.node_port).collect();
        assert_eq!(ports, [None, Some(30001)]);
    }
}
