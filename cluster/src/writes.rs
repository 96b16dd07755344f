//! The calls that the actors make: `lifecycle`'s port to the cluster.

mod operation;

use std::sync::Arc;

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
    traits::{Busy, Cluster, Deletion, Lookup, Outcome, Preconditions},
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
};

/// How long a Pod has to end by itself, in seconds, before it is killed. A sandbox keeps nothing that it
/// would have to save; and a POST of its id waits for its end, within the 30 s after which callers give up.
pub const GRACE_SECONDS: u32 = 10;

/// The calls that the actors make to Kubernetes.
pub struct Writes {
    connection: Connection,
    template: Arc<Template>,
    /// Made anew if a create finds that it is gone; shared with whoever ensures it at the start.
    namespace: Arc<Namespace>,
    events: Events,
    prober: Prober,
}

// === impl Writes ===

impl Writes {
    /// The calls to the connection's cluster, for sandboxes as the template has them, asked as the probes say.
    #[must_use]
    pub fn new(
        connection: Connection,
        template: Arc<Template>,
        namespace: Arc<Namespace>,
        options: ProbeOptions,
    ) -> Self {
        let events = Events::new(connection.clone());
        let prober = Prober::new(options, connection.clone());
        Self { connection, template, namespace, events, prober }
    }

    /// What the calls go through.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The Events that are told through the port; whoever owns this runs them.
    #[must_use]
    pub fn events(&self) -> &Events {
        &self.events
    }

    /// Creates an object, and reads of the answer only what is kept.
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
        // It was made, but without its uid nothing can be done with it: the cluster is looked at.
        named(answer)
    }

    /// Writes these annotations on the Pod of this uid, and leaves the rest of it alone.
    async fn mark(
        &self,
        id: &SandboxId,
        Uid(uid): &Uid,
        annotations: &LifetimeAnnotations,
    ) -> Outcome<ObservedPod> {
        let name = names::pod(id);
        // A null takes an annotation away. The uid cannot be changed, and so is what the patch depends on.
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

    /// Deletes the object of this name if it is still the one that was decided on.
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

    /// Reads the object of this name.
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

/// What has a name.
enum Found<T> {
    Nothing,
    Ours(T),
    /// An object without our labels.
    Stranger(String),
}

// === impl Found ===

impl<T> Found<T> {
    /// What is ours, and what is not.
    fn parts(self) -> (Option<T>, Option<String>) {
        match self {
            Self::Nothing => (None, None),
            Self::Ours(row) => (Some(row), None),
            Self::Stranger(what) => (None, Some(what)),
        }
    }
}

/// What a write's answer shows of the object; without a uid nobody knows which object that is.
fn named<T>(seen: Option<T>) -> Outcome<T> {
    seen.map_or_else(
        || Outcome::Unknown(ClusterError::new(ClusterErrorKind::ServerError, "the answer names no uid")),
        Outcome::Done,
    )
}

/// Whether an object that was just deleted is still there: it has been given a time to go, and either a grace
/// or a finalizer to wait for. What is gone at once is shown as it last was, or with a grace of 0.
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

impl Cluster for Writes {
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
