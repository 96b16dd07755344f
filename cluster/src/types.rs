//! Pods, Services and namespaces with only what is read of them.
//!
//! A Pod as `k8s-openapi` has it costs tens of kilobytes; these keep what [`crate::read`] asks for, and
//! drop the spec and `managedFields` while they are parsed.
//!
//! They are read tolerantly: a field that is absent, null or of an unexpected type is as if it were absent,
//! so that one odd object never costs the list it stands in. Values out of fixed sets stay text.

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

/// A Pod.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Pod {
    /// Name, uid, version, labels, times, finalizers and the annotations about its life; nothing else of it is
    /// filled.
    #[serde(default, deserialize_with = "metadata")]
    pub metadata: ObjectMeta,
    /// What callers are told of its spec; the spec itself is dropped.
    #[serde(default, deserialize_with = "spec::observe")]
    pub spec: ObservedSpec,
    /// What the node and the scheduler say of it.
    #[serde(default, deserialize_with = "lenient::object")]
    pub status: Option<PodStatus>,
}

/// A Pod's status.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PodStatus {
    /// `Pending`, `Running`, `Succeeded`, `Failed` or `Unknown`.
    #[serde(deserialize_with = "lenient::scalar")]
    pub phase: Option<String>,
    /// Why the whole Pod is in its state, as `Evicted`.
    #[serde(deserialize_with = "lenient::scalar")]
    pub reason: Option<String>,
    /// The same, in a sentence.
    #[serde(deserialize_with = "lenient::scalar")]
    pub message: Option<String>,
    /// `PodScheduled`, `Ready` and others.
    #[serde(deserialize_with = "lenient::objects")]
    pub conditions: Vec<Condition>,
    /// The init containers, in order.
    #[serde(deserialize_with = "lenient::objects")]
    pub init_container_statuses: Vec<ContainerStatus>,
    /// The containers.
    #[serde(deserialize_with = "lenient::objects")]
    pub container_statuses: Vec<ContainerStatus>,
}

/// One condition of a Pod.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Condition {
    /// Which condition, as `Ready`.
    #[serde(rename = "type", deserialize_with = "lenient::scalar")]
    pub kind: Option<String>,
    /// `True`, `False` or `Unknown`.
    #[serde(deserialize_with = "lenient::scalar")]
    pub status: Option<String>,
    /// Why, as one word.
    #[serde(deserialize_with = "lenient::scalar")]
    pub reason: Option<String>,
    /// Why, in a sentence.
    #[serde(deserialize_with = "lenient::scalar")]
    pub message: Option<String>,
}

/// One container of a Pod.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ContainerStatus {
    /// The container's name.
    #[serde(deserialize_with = "lenient::scalar")]
    pub name: Option<String>,
    /// How often it has been started anew.
    #[serde(deserialize_with = "lenient::scalar")]
    pub restart_count: Option<i64>,
    /// Its present state.
    #[serde(deserialize_with = "lenient::object")]
    pub state: Option<ContainerState>,
    /// How it ended the last time.
    #[serde(deserialize_with = "lenient::object")]
    pub last_state: Option<ContainerState>,
}

/// A container's state: one of the two is set, or neither when it runs.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ContainerState {
    /// It has not started, or waits to be started again.
    #[serde(deserialize_with = "lenient::object")]
    pub waiting: Option<Waiting>,
    /// It has ended.
    #[serde(deserialize_with = "lenient::object")]
    pub terminated: Option<Terminated>,
}

/// Why a container waits.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Waiting {
    /// As one word, as `ImagePullBackOff`.
    #[serde(deserialize_with = "lenient::scalar")]
    pub reason: Option<String>,
    /// In a sentence.
    #[serde(deserialize_with = "lenient::scalar")]
    pub message: Option<String>,
}

/// How a container ended.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Terminated {
    /// Its exit status.
    #[serde(deserialize_with = "lenient::scalar")]
    pub exit_code: Option<i64>,
    /// As one word, as `OOMKilled`.
    #[serde(deserialize_with = "lenient::scalar")]
    pub reason: Option<String>,
    /// In a sentence, or the end of its log.
    #[serde(deserialize_with = "lenient::scalar")]
    pub message: Option<String>,
}

/// A Service.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Service {
    /// Name, uid, version, labels, times and finalizers; nothing else of it is filled.
    #[serde(default, deserialize_with = "metadata")]
    pub metadata: ObjectMeta,
    /// Its kind and ports.
    #[serde(default, deserialize_with = "lenient::object")]
    pub spec: Option<ServiceSpec>,
}

/// The part of a Service's spec that tells where it is reached.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ServiceSpec {
    /// `ClusterIP`, `NodePort` or another.
    #[serde(rename = "type", deserialize_with = "lenient::scalar")]
    pub kind: Option<String>,
    /// Its ports; ours has one.
    #[serde(deserialize_with = "lenient::objects")]
    pub ports: Vec<ServicePort>,
}

/// One port of a Service.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ServicePort {
    /// Its name, as `http`.
    #[serde(deserialize_with = "lenient::scalar")]
    pub name: Option<String>,
    /// The port inside the cluster.
    #[serde(deserialize_with = "lenient::scalar")]
    pub port: Option<u16>,
    /// The port on every node.
    #[serde(deserialize_with = "lenient::scalar")]
    pub node_port: Option<u16>,
}

/// A namespace.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Namespace {
    /// What stage of its life it is in.
    #[serde(default, deserialize_with = "lenient::object")]
    pub status: Option<NamespaceStatus>,
}

/// A namespace's status.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct NamespaceStatus {
    /// `Active` or `Terminating`.
    #[serde(deserialize_with = "lenient::scalar")]
    pub phase: Option<String>,
}

/// The metadata that is read.
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
    /// Only those that [`annotations::KEYS`] names: others may hold a whole manifest.
    #[serde(deserialize_with = "kept_annotations")]
    annotations: Option<BTreeMap<String, String>>,
    #[serde(deserialize_with = "lenient::scalar")]
    creation_timestamp: Option<Timestamp>,
    /// A time that cannot be read is a time all the same: the object is on its way out.
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

/// The annotations that are read. Values of the others are skipped where they stand.
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

    /// The paths are what the API server serves; a slip here would be a 404 for everything.
    #[test]
    fn url_paths_are_pinned() {
        assert_eq!(Pod::url_path(&(), Some("deer-flow")), "/api/v1/namespaces/deer-flow/pods");
        assert_eq!(Service::url_path(&(), Some("deer-flow")), "/api/v1/namespaces/deer-flow/services");
        assert_eq!(Pod::kind(&()), "Pod");
        assert_eq!(Service::kind(&()), "Service");
    }

    /// Of the annotations only ours about a sandbox's life are kept, and an odd one among them costs itself only.
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

    /// Whatever stands where, an object parses, and what can be read of it is.
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
