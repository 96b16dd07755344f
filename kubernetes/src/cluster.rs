//! Implements the trait `Cluster` of `lifecycle`: the calls of the actors to Kubernetes.

mod operation;

use std::{convert::Infallible, sync::Arc};

use futures::future::BoxFuture;
use kube::core::{
    Resource,
    params::{self, DeleteParams, Patch, PatchParams, PostParams},
};
use lifecycle::{
    error::{ClusterError, ClusterErrorKind, SandboxError},
    ids::SandboxId,
    lifetime::{LifetimeAnnotations, ReapReason},
    observed::{Observed, ObservedPod, ObservedService, ResourceVersion, Uid},
    request::CreateRequest,
    traits::{Busy, Cluster, Deletion, Kind, Lookup, Outcome, Preconditions, WatchSink},
};
use serde::Serialize;
use serde_json::{Map, Value, json};

use self::operation::Operation;
use crate::{
    annotations,
    connect::Connection,
    events::Events,
    fault::{Certainty, ClassifiedError, Verb},
    manifest::{self, Template},
    names,
    namespace::Namespace,
    observe,
    probe::{ProbeOptions, Prober},
    types::{Pod, Service},
    watch,
};

/// The grace period of a Pod, in seconds. A sandbox has no state to save at its end. A POST of the same id waits for
/// the Pod to terminate and must finish within the client's timeout of 30 s.
pub const GRACE_SECONDS: u32 = 10;

/// The Kubernetes calls of the actors, for one cluster. Usable from startup: while there is no connection, every call is
/// refused with the reason.
pub struct KubeCluster {
    connection: Connection,
    template: Arc<Template>,
    /// Creates the namespace if a create finds it missing.
    namespace: Namespace,
    events: Events,
    prober: Prober,
}

// === impl KubeCluster ===

impl KubeCluster {
    /// Creates the calls for one cluster, which may not be connected yet. The template shapes the sandboxes, and the
    /// options define the activity probes.
    #[must_use]
    pub fn new(connection: Connection, template: Arc<Template>, options: ProbeOptions) -> Self {
        let namespace = Namespace::new(connection.clone());
        let events = Events::new(connection.clone());
        let prober = Prober::new(options, connection.clone());
        Self { connection, template, namespace, events, prober }
    }

    /// Returns the connection of the calls.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Returns the namespace of all sandboxes. The caller must create it with [`Namespace::ensure_until_done`].
    #[must_use]
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Returns the queue of Events. The caller must run it with [`Events::run`].
    #[must_use]
    pub fn events(&self) -> &Events {
        &self.events
    }

    /// Watches one kind of object. Ends only when it is dropped.
    pub async fn watch(&self, kind: Kind, sink: Arc<dyn WatchSink>) -> Infallible {
        watch::watch(self.connection.clone(), self.template.clone(), kind, sink).await
    }

    /// Creates an object, and converts the fields of the answer that are kept.
    async fn create<K, T>(
        &self,
        name: &str,
        manifest: &impl Serialize,
        seen: impl Fn(&K) -> Option<T>,
    ) -> Outcome<T>
    where
        K: Resource<DynamicType = ()> + serde::de::DeserializeOwned,
    {
        let Ok(body) = serde_json::to_vec(manifest) else {
            return Outcome::Refused(ClusterError::new(
                ClusterErrorKind::Invalid,
                "the manifest could not be written as JSON",
            ));
        };
        let operation = Operation::<K>::new(&self.connection, Verb::Create, name);
        let build = || operation.path().create(&PostParams::default(), body.clone());
        let answer = match operation.run(build, Some(&self.namespace)).await {
            Ok(object) => seen(&object),
            Err(failed) => return failed.into(),
        };
        // The object was created, but without its uid it cannot be addressed. Report the outcome as unknown, so that
        // the caller reads the object.
        named(answer)
    }

    /// Writes these annotations on the Pod with this uid. Does not change any other field.
    async fn mark(
        &self,
        id: &SandboxId,
        Uid(uid): &Uid,
        annotations: &LifetimeAnnotations,
    ) -> Outcome<ObservedPod> {
        let name = names::pod(id);
        // A null removes an annotation. The uid is immutable, so it acts as the patch's precondition.
        let annotations: Map<String, Value> = annotations::texts(annotations)
            .into_iter()
            .map(|(key, text)| (key.to_owned(), json!(text)))
            .collect();
        let patch = Patch::Merge(json!({"metadata": {"uid": &**uid, "annotations": annotations}}));
        let operation = Operation::<Pod>::new(&self.connection, Verb::Patch, &name);
        match operation.run(|| operation.path().patch(&name, &PatchParams::default(), &patch), None).await {
            Ok(pod) => named(observe::pod(&pod)),
            Err(failed) => failed.into(),
        }
    }

    /// Deletes the object with this name if the preconditions hold.
    async fn delete<K, T>(
        &self,
        name: &str,
        only: Preconditions,
        grace: Option<u32>,
        seen: impl Fn(&K) -> Option<T>,
    ) -> Outcome<Deletion<T>>
    where
        K: Resource<DynamicType = ()> + serde::de::DeserializeOwned,
    {
        let Preconditions { uid: Uid(uid), version } = only;
        let params = DeleteParams {
            grace_period_seconds: grace,
            preconditions: Some(params::Preconditions {
                uid: Some(uid.to_string()),
                resource_version: version.map(|ResourceVersion(number)| number.to_string()),
            }),
            ..DeleteParams::default()
        };
        let operation = Operation::<K>::new(&self.connection, Verb::Delete, name);
        match operation.run(|| operation.path().delete(name, &params), None).await {
            Ok(object) if stays(&object) => {
                Outcome::Done(seen(&object).map_or(Deletion::Gone, Deletion::Terminating))
            }
            Ok(_) => Outcome::Done(Deletion::Gone),
            Err(failed) if failed.fault.kind == ClusterErrorKind::NotFound || failed.is_another_life() => {
                Outcome::Done(Deletion::Gone)
            }
            Err(failed) => failed.into(),
        }
    }

    /// Reads the object with this name.
    async fn look<K, T>(
        &self,
        name: &str,
        ours: impl Fn(&K) -> bool,
        seen: impl Fn(&K) -> Option<T>,
    ) -> Result<Found<T>, ClusterError>
    where
        K: Resource<DynamicType = ()> + serde::de::DeserializeOwned,
    {
        let operation = Operation::<K>::new(&self.connection, Verb::Get, name);
        match operation.run(|| operation.path().get(name, &params::GetParams::default()), None).await {
            Ok(object) if ours(&object) => match seen(&object) {
                Some(row) => Ok(Found::Ours(row)),
                None => Err(ClusterError::new(ClusterErrorKind::Other, "the answer names no uid")),
            },
            Ok(_) => Ok(Found::Stranger(format!("{} \"{name}\"", K::kind(&())))),
            Err(failed) if failed.fault.kind == ClusterErrorKind::NotFound => Ok(Found::Nothing),
            Err(failed) => Err(failed.fault),
        }
    }
}

/// The result of reading an object by name.
enum Found<T> {
    Nothing,
    Ours(T),
    /// A foreign object, with its kind and name.
    Stranger(String),
}

// === impl Found ===

impl<T> Found<T> {
    /// Splits the result into our object and the description of a foreign one.
    fn parts(self) -> (Option<T>, Option<String>) {
        match self {
            Self::Nothing => (None, None),
            Self::Ours(row) => (Some(row), None),
            Self::Stranger(what) => (None, Some(what)),
        }
    }
}

/// Returns the object of a write's answer. Without a uid it cannot be addressed, so the outcome is unknown.
fn named<T>(seen: Option<T>) -> Outcome<T> {
    seen.map_or_else(
        || Outcome::Unknown(ClusterError::new(ClusterErrorKind::ServerError, "the answer names no uid")),
        Outcome::Done,
    )
}

/// Returns whether an object still exists after its deletion: it has a deletion time, and a grace period or a
/// finalizer. For an object that was removed at once, the answer shows its last state or a grace period of 0.
fn stays<K: Resource>(object: &K) -> bool {
    let meta = object.meta();
    let held = meta.finalizers.as_ref().is_some_and(|f| !f.is_empty());
    meta.deletion_timestamp.is_some() && (held || meta.deletion_grace_period_seconds != Some(0))
}

impl<T> From<ClassifiedError> for Outcome<T> {
    fn from(ClassifiedError { fault, certainty }: ClassifiedError) -> Self {
        match certainty {
            Certainty::NotDone => Self::Refused(fault),
            Certainty::Unknown => Self::Unknown(fault),
        }
    }
}

impl Cluster for KubeCluster {
    fn check(&self, request: &CreateRequest) -> Result<(), SandboxError> {
        manifest::check(&self.template, request)
    }

    fn check_manifests(&self, request: &CreateRequest) -> Result<(), SandboxError> {
        manifest::pod(&self.template, request).map(drop)
    }

    fn create_pod(&self, request: Arc<CreateRequest>) -> BoxFuture<'_, Outcome<ObservedPod>> {
        Box::pin(async move {
            match manifest::pod(&self.template, &request) {
                Ok(pod) => self.create(&names::pod(&request.sandbox_id), &pod, observe::pod).await,
                Err(error) => {
                    Outcome::Refused(ClusterError::new(ClusterErrorKind::Unbuildable, &error.to_string()))
                }
            }
        })
    }

    fn create_service(&self, request: Arc<CreateRequest>) -> BoxFuture<'_, Outcome<ObservedService>> {
        Box::pin(async move {
            let id = &request.sandbox_id;
            let service = manifest::service(&self.template, &request);
            self.create(&names::service(id), &service, |made| observe::service(&self.template, id, made))
                .await
        })
    }

    fn delete_pod(
        &self,
        id: SandboxId,
        only: Preconditions,
    ) -> BoxFuture<'_, Outcome<Deletion<ObservedPod>>> {
        Box::pin(async move { self.delete(&names::pod(&id), only, Some(GRACE_SECONDS), observe::pod).await })
    }

    fn delete_service(
        &self,
        id: SandboxId,
        only: Preconditions,
    ) -> BoxFuture<'_, Outcome<Deletion<ObservedService>>> {
        Box::pin(async move {
            let seen = |service: &Service| observe::service(&self.template, &id, service);
            self.delete(&names::service(&id), only, None, seen).await
        })
    }

    fn write_annotations(
        &self,
        id: SandboxId,
        uid: Uid,
        annotations: LifetimeAnnotations,
    ) -> BoxFuture<'_, Outcome<ObservedPod>> {
        Box::pin(async move { self.mark(&id, &uid, &annotations).await })
    }

    fn probe_activity(&self, id: SandboxId, url: Arc<str>) -> BoxFuture<'_, Busy> {
        Box::pin(async move { self.prober.ask(&id, &url).await })
    }

    fn record_event(&self, id: &SandboxId, pod: &Uid, cause: ReapReason, rehearsed: bool) {
        self.events.tell(id, pod, cause, rehearsed);
    }

    fn find_pod(&self, id: SandboxId) -> BoxFuture<'_, Result<Option<Uid>, ClusterError>> {
        Box::pin(async move {
            let pod = self.look(&names::pod(&id), |_: &Pod| true, |pod| observe::uid(&pod.metadata)).await?;
            Ok(pod.parts().0)
        })
    }

    fn read(&self, id: SandboxId) -> BoxFuture<'_, Result<Lookup, ClusterError>> {
        Box::pin(async move {
            let (pod_name, service_name) = (names::pod(&id), names::service(&id));
            let pod = self.look(&pod_name, |pod: &Pod| observe::pod_owner(pod).is_some(), observe::pod);
            let service = self.look(
                &service_name,
                |service: &Service| observe::service_owner(service).is_some(),
                |service| observe::service(&self.template, &id, service),
            );
            let (pod, service) = futures::future::join(pod, service).await;
            let (pod, no_pod) = pod?.parts();
            let (service, no_service) = service?.parts();
            Ok(Lookup { seen: Observed { pod, service }, foreign: no_pod.or(no_service) })
        })
    }
}

#[cfg(test)]
mod tests;
