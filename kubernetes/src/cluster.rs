//! Implements the trait `Cluster` of `lifecycle`: the calls of the actors to Kubernetes.

mod admission;
mod effect;
mod kept_request;
mod logs;
mod operation;
mod resize;
mod workspace;

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use futures::future::BoxFuture;
use k8s_openapi::{api::core::v1::Pod as FullPod, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::core::{
    Resource,
    params::{self, DeleteParams, GetParams, Patch, PatchParams, PostParams},
};
use lifecycle::{
    error::{ClusterError, ClusterErrorKind, SandboxError},
    ids::{ProfileName, SandboxId},
    lifetime::{LifetimePatch, ReapReason},
    log::{LogQuery, LogStream, LogText},
    network::NetworkReport,
    observed::{Observed, ObservedPod, ObservedService, ResourceVersion, Uid},
    placement::{capacity, moving::DataHome},
    request::CreateRequest,
    spec::Resources,
    traits::{
        Busy, ClaimSink, Cluster, Creation, Deletion, Foreign, Kind, KnownUids, Lookup, Manifest, Manifests,
        Outcome, Preconditions, WatchSink,
    },
};
use serde::Serialize;
use serde_json::json;

use self::{effect::Effect, operation::Operation};
use crate::{
    annotations,
    connect::Connection,
    events::Events,
    exit_logs::ExitLogs,
    fault::{Certainty, ClassifiedError, Verb},
    manifest::{self, Template},
    names,
    namespace::Namespace,
    network::NetworkControl,
    object::SandboxObject,
    observe,
    probe::{ProbeOptions, Prober},
    profile::Profile,
    quota,
    types::{Pod, Service},
    version::ServerVersion,
    watch::{self, claims, pod_events},
};

/// The Kubernetes calls of the actors, for one cluster. Usable from startup: while there is no connection, every call is
/// refused with the reason.
pub struct KubeCluster {
    connection: Connection,
    template: Arc<Template>,
    /// Creates the namespace if a create finds it missing.
    namespace: Namespace,
    events: Events,
    pod_events: pod_events::State,
    exit_logs: Arc<ExitLogs>,
    prober: Prober,
    network: NetworkControl,
    version: ServerVersion,
    /// Whether new Pods keep their request as an annotation.
    keeps_requests: AtomicBool,
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
        let exit_logs = Arc::new(ExitLogs::new(connection.clone(), 0));
        let pod_events = pod_events::State::default();
        let Template { network, profiles, image, container_port, .. } = &*template;
        let network = NetworkControl::new(connection.clone(), network, profiles, image, *container_port);
        let version = ServerVersion::new(connection.clone());
        let keeps_requests = AtomicBool::new(false);
        Self {
            connection,
            template,
            namespace,
            events,
            pod_events,
            exit_logs,
            prober,
            network,
            version,
            keeps_requests,
        }
    }

    /// Sets how many of the last lines of a container's log the reason of its end has. The default is none.
    #[must_use]
    pub fn with_exit_logs(self, lines: u16) -> Self {
        Self { exit_logs: Arc::new(ExitLogs::new(self.connection.clone(), lines)), ..self }
    }

    /// Returns the connection of the calls.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Returns the namespace of all sandboxes. The caller must create it with `Namespace::ensure_until_done`.
    #[must_use]
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// Returns the queue of Events. The caller must run it with `Events::run`.
    #[must_use]
    pub fn events(&self) -> &Events {
        &self.events
    }

    /// Watches one kind of object. Ends only when it is dropped.
    pub async fn watch(&self, kind: Kind, sink: Arc<dyn WatchSink>) -> Infallible {
        let sink = if kind == Kind::Pod { self.exit_logs.tap(sink) } else { sink };
        watch::watch(self.connection.clone(), self.template.clone(), kind, sink).await
    }

    /// Watches the Kubernetes Events about Pods. Ends only when it is dropped.
    pub async fn watch_pod_events(&self, sink: Arc<dyn WatchSink>) -> Infallible {
        pod_events::watch(self.connection.clone(), sink, self.pod_events.clone()).await
    }

    /// Watches the claims of workspaces. Ends only when it is dropped.
    pub async fn watch_claims(&self, sink: Arc<dyn ClaimSink>) -> Infallible {
        claims::watch(self.connection.clone(), sink).await
    }

    /// Returns why the watch on Events does not work; `None` while it does.
    #[must_use]
    pub fn pod_events_failure(&self) -> Option<String> {
        self.pod_events.why_not()
    }

    /// Reads the logs of containers that have ended, if the settings ask for it. Ends only when it is dropped.
    pub async fn read_exit_logs(&self, sink: Arc<dyn WatchSink>) -> Infallible {
        self.exit_logs.run(sink).await
    }

    /// Shows the quotas of the namespace as metrics. Ends only when it is dropped.
    pub async fn keep_quota_metrics(&self) -> Infallible {
        quota::keep_metrics(&self.connection).await
    }

    /// Returns whether the logs of containers that have ended can be read, as far as it is known; `None` if the settings do
    /// not ask for them.
    #[must_use]
    pub fn exit_logs_check(&self) -> Option<Result<(), String>> {
        self.exit_logs.is_on().then(|| self.exit_logs.why_not().map_or(Ok(()), Err))
    }

    /// Keeps the network policies as the settings say, and runs their checks. Ends only when it is dropped.
    pub async fn keep_network(&self) -> Infallible {
        Box::pin(self.network.run()).await
    }

    /// Compares the network policies with the settings soon, as after the cluster was away.
    pub fn keep_network_soon(&self) {
        self.network.keep_soon();
    }

    /// Checks whether the settings allow that this Pod is created now.
    fn admit(&self, request: &CreateRequest, pod: &FullPod) -> Result<(), SandboxError> {
        let mode = pod.metadata.labels.as_ref().and_then(names::network_of);
        let profile = request.profile.as_ref().and_then(|name| self.template.profiles.get(name));
        let is_required = profile.is_some_and(Profile::requires_enforcement);
        mode.map_or(Ok(()), |mode| self.network.admit(mode, is_required))
    }

    /// Creates an object, compares the answer with the request, and converts the fields that are kept.
    async fn create<K: SandboxObject>(
        &self,
        id: &SandboxId,
        body: Arc<[u8]>,
        until: Instant,
    ) -> Outcome<Creation<K::Observed>> {
        let name = K::name(id);
        let operation = Operation::<K>::new(&self.connection, Verb::Create, &name).until(until);
        let build = || operation.path().create(&PostParams::default(), body.to_vec());
        let answer = operation.run(build, Some(Effect::Created), Some(&self.namespace)).await;
        let altered = answer
            .as_ref()
            .ok()
            .and_then(|answered| admission::check(id, || serde_json::from_slice(&body).ok(), answered).err());
        if let (Ok(answered), Some(_)) = (&answer, &altered) {
            self.remove_renamed(id, answered).await;
        }
        self.written(id, answer).map(|object| match altered {
            None => Creation::AsSent(object),
            Some(fault) => Creation::Altered(object, fault),
        })
    }

    /// Deletes an object that this program has just created, if it was given another name: no later call finds it under
    /// the sandbox's.
    async fn remove_renamed<K: SandboxObject>(&self, id: &SandboxId, created: &K) {
        let ObjectMeta { name: Some(name), uid: Some(uid), .. } = created.meta() else { return };
        if *name == K::name(id) {
            return;
        }
        let params = DeleteParams {
            preconditions: Some(params::Preconditions { uid: Some(uid.clone()), resource_version: None }),
            ..DeleteParams::default()
        };
        let operation = Operation::<K>::new(&self.connection, Verb::Delete, name);
        let build = || operation.path().delete(name, &params);
        if let Err(error) = operation.run(build, Some(Effect::Deleted(uid)), None).await {
            tracing::warn!(
                sandbox_id = %id, kind = %K::kind(&()), name, fault = %error.fault,
                "an object that a mutating admission has renamed could not be deleted; delete it"
            );
        }
    }

    /// Deletes an object if the preconditions hold.
    async fn delete<K: SandboxObject>(
        &self,
        id: &SandboxId,
        Preconditions { uid: Uid(uid), version }: Preconditions,
    ) -> Outcome<Deletion<K::Observed>> {
        let params = DeleteParams {
            grace_period_seconds: K::GRACE_SECONDS,
            preconditions: Some(params::Preconditions {
                uid: Some(uid.to_string()),
                resource_version: version.map(|ResourceVersion(number)| number.to_string()),
            }),
            ..DeleteParams::default()
        };
        let name = K::name(id);
        let operation = Operation::<K>::new(&self.connection, Verb::Delete, &name);
        match operation
            .run(|| operation.path().delete(&name, &params), Some(Effect::Deleted(&uid)), None)
            .await
        {
            Ok(object) => {
                // The watch does not show the end of an object without our labels.
                let is_followed = is_terminating(&object) && object.sandbox_id().is_some();
                let terminating = is_followed.then(|| object.observed(&self.template, id)).flatten();
                Outcome::Done(terminating.map_or(Deletion::Gone, Deletion::Terminating))
            }
            Err(error) if error.fault.kind == ClusterErrorKind::NotFound || error.is_uid_conflict() => {
                Outcome::Done(Deletion::Gone)
            }
            Err(error) => error.into(),
        }
    }

    /// Returns the object of a write's answer. Without a uid it cannot be addressed, so the outcome is unknown.
    fn written<K: SandboxObject>(
        &self,
        id: &SandboxId,
        answer: Result<K, ClassifiedError>,
    ) -> Outcome<K::Observed> {
        match answer.map(|object| object.observed(&self.template, id)) {
            Ok(Some(observed)) => Outcome::Done(observed),
            Ok(None) => Outcome::Unknown(no_uid()),
            Err(error) => error.into(),
        }
    }

    /// Reads an object. Returns `None` if it does not exist.
    async fn get<K: SandboxObject>(&self, id: &SandboxId) -> Result<Option<K>, ClusterError> {
        let name = K::name(id);
        let operation = Operation::<K>::new(&self.connection, Verb::Get, &name);
        match operation.run(|| operation.path().get(&name, &GetParams::default()), None, None).await {
            Ok(object) => Ok(Some(object)),
            Err(error) if error.fault.kind == ClusterErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.fault),
        }
    }

    /// Reads an object. Returns it if it is ours, which an object with the known uid is, or says that it is foreign.
    async fn lookup<K: SandboxObject>(
        &self,
        id: &SandboxId,
        known: Option<Uid>,
    ) -> Result<(Option<K::Observed>, Option<Foreign>), ClusterError> {
        let Some(object) = self.get::<K>(id).await? else { return Ok((None, None)) };
        let is_known = known.is_some() && known == observe::uid(object.meta());
        if object.sandbox_id().is_none() && !is_known {
            let what = format!("{} \"{}\"", K::kind(&()), K::name(id));
            return Ok((None, Some(Foreign { what, is_relabelled: object.looks_like(id) })));
        }
        let observed = object.observed(&self.template, id).ok_or_else(no_uid)?;
        Ok((Some(observed), None))
    }
}

fn to_json(manifest: &impl Serialize) -> Result<Arc<[u8]>, SandboxError> {
    let json = serde_json::to_vec(manifest).map_err(|error| SandboxError::Refused {
        operation: lifecycle::operation::Operation::CreateSandbox,
        fault: ClusterError::new(ClusterErrorKind::Invalid, &error.to_string()),
    })?;
    Ok(json.into())
}

/// Returns the error for an answer that cannot be addressed by a later call.
fn no_uid() -> ClusterError {
    ClusterError::new(ClusterErrorKind::ServerError, "response has no metadata.uid")
}

/// Returns whether an object still exists after its deletion: it has a deletion time, and a grace period or a
/// finalizer. For an object that was removed at once, the answer shows its last state or a grace period of 0.
fn is_terminating<K: Resource>(object: &K) -> bool {
    let meta = object.meta();
    let held = meta.finalizers.as_ref().is_some_and(|f| !f.is_empty());
    meta.deletion_timestamp.is_some() && (held || meta.deletion_grace_period_seconds != Some(0))
}

/// Returns the error of a create whose Pod was refused and whose new claim could not be deleted. After it no other cluster
/// is asked.
fn workspace_left(fault: &ClusterError, left: &ClusterError) -> ClusterError {
    let text = format!("{fault}; its workspace remains, because its claim could not be deleted: {left}");
    ClusterError { retry_after: fault.retry_after, ..ClusterError::new(ClusterErrorKind::ServerError, &text) }
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
    fn manifests(&self, request: &CreateRequest) -> Result<Manifests, SandboxError> {
        manifest::check(&self.template, request)?;
        let pod = manifest::pod(&self.template, request).and_then(|mut pod| {
            self.admit(request, &pod)?;
            let keeps_request = self.keeps_requests.load(Ordering::Relaxed);
            crate::kept_request::mark(&mut pod, request, keeps_request);
            let workspace = manifest::workspace(&self.template, request)?.map(Arc::new);
            Ok(Manifest { object: to_json(&pod)?, workspace })
        });
        let service = to_json(&manifest::service(&self.template, request))?;
        Ok(Manifests { pod, service: Manifest::new(service) })
    }

    fn create_pod(
        &self,
        id: SandboxId,
        manifest: Manifest,
        until: Instant,
    ) -> BoxFuture<'_, Outcome<Creation<ObservedPod>>> {
        Box::pin(async move {
            let Manifest { object, workspace } = manifest;
            let Some(workspace) = workspace else { return self.create::<Pod>(&id, object, until).await };
            let made = match self.provide_workspace(&id, &workspace, until).await {
                Ok(made) => made,
                // The Pod was certainly not created.
                Err(fault) => return Outcome::Refused(fault),
            };
            let outcome = self.create::<Pod>(&id, object, until).await;
            match (&outcome, made) {
                // The next cluster may take the sandbox. The workspace must not be on both.
                (Outcome::Refused(fault), Some(made))
                    if capacity::refuses_all(fault.kind) && self.keeps_requests.load(Ordering::Relaxed) =>
                {
                    match self.withdraw_claim(&workspace.id, &made).await {
                        Ok(()) => outcome,
                        Err(left) => Outcome::Refused(workspace_left(fault, &left)),
                    }
                }
                _ => outcome,
            }
        })
    }

    fn create_service(
        &self,
        id: SandboxId,
        manifest: Manifest,
        until: Instant,
    ) -> BoxFuture<'_, Outcome<Creation<ObservedService>>> {
        Box::pin(async move { self.create::<Service>(&id, manifest.object, until).await })
    }

    fn delete_pod(
        &self,
        id: SandboxId,
        preconditions: Preconditions,
    ) -> BoxFuture<'_, Outcome<Deletion<ObservedPod>>> {
        Box::pin(async move { self.delete::<Pod>(&id, preconditions).await })
    }

    fn delete_service(
        &self,
        id: SandboxId,
        preconditions: Preconditions,
    ) -> BoxFuture<'_, Outcome<Deletion<ObservedService>>> {
        Box::pin(async move { self.delete::<Service>(&id, preconditions).await })
    }

    fn write_annotations(
        &self,
        id: SandboxId,
        Uid(uid): Uid,
        annotations: LifetimePatch,
    ) -> BoxFuture<'_, Outcome<ObservedPod>> {
        Box::pin(async move {
            // A null removes an annotation. The uid is immutable, so it acts as the patch's precondition.
            let annotations = annotations::texts(&annotations);
            let effect = Effect::Annotated(&annotations);
            let patch = Patch::Merge(json!({"metadata": {"uid": &*uid, "annotations": annotations}}));
            let name = names::pod(&id);
            let operation = Operation::<Pod>::new(&self.connection, Verb::Patch, &name);
            let build = || operation.path().patch(&name, &PatchParams::default(), &patch);
            self.written(&id, operation.run(build, Some(effect), None).await)
        })
    }

    fn check_resize(&self, profile: Option<&ProfileName>, resources: &Resources) -> Result<(), SandboxError> {
        manifest::check_resize(&self.template, profile, resources)
    }

    fn resize(&self, id: SandboxId, uid: Uid, resources: Resources) -> BoxFuture<'_, Outcome<ObservedPod>> {
        Box::pin(async move { self.resize_pod(&id, &uid, &resources).await })
    }

    fn keep_requests(&self, keeps_requests: bool) {
        self.keeps_requests.store(keeps_requests, Ordering::Relaxed);
    }

    fn read_request(
        &self,
        id: SandboxId,
        uid: Uid,
    ) -> BoxFuture<'_, Result<Option<CreateRequest>, ClusterError>> {
        Box::pin(async move { self.read_kept_request(&id, &uid).await })
    }

    fn data_home(&self, request: &CreateRequest) -> Result<DataHome, SandboxError> {
        manifest::data_home(&self.template, request)
    }

    fn read_log(&self, id: SandboxId, query: LogQuery) -> BoxFuture<'_, Result<LogText, ClusterError>> {
        Box::pin(async move { logs::read(&self.connection, &id, &query).await })
    }

    fn follow_log(&self, id: SandboxId, query: LogQuery) -> BoxFuture<'_, Result<LogStream, ClusterError>> {
        Box::pin(async move { logs::follow(&self.connection, &id, &query).await })
    }

    fn version(&self) -> BoxFuture<'_, Option<Arc<str>>> {
        Box::pin(self.version.get())
    }

    fn namespace_uid(&self) -> Option<Uid> {
        self.namespace.uid()
    }

    fn network(&self) -> NetworkReport {
        self.network.report()
    }

    fn check_network(&self) {
        self.network.check_now();
    }

    fn probe_activity(&self, id: SandboxId, url: Arc<str>) -> BoxFuture<'_, Busy> {
        Box::pin(async move { self.prober.ask(&id, &url).await })
    }

    fn record_event(&self, id: &SandboxId, pod: &Uid, reason: ReapReason, dry_run: bool) {
        self.events.record(id, pod, reason, dry_run);
    }

    fn find_pod(&self, id: SandboxId) -> BoxFuture<'_, Result<Option<Uid>, ClusterError>> {
        Box::pin(async move {
            let pod = self.get::<Pod>(&id).await?;
            pod.map(|pod| observe::uid(&pod.metadata).ok_or_else(no_uid)).transpose()
        })
    }

    fn read(&self, id: SandboxId, known: KnownUids) -> BoxFuture<'_, Result<Lookup, ClusterError>> {
        Box::pin(async move {
            let (pod, service) = futures::join!(
                self.lookup::<Pod>(&id, known.pod),
                self.lookup::<Service>(&id, known.service)
            );
            let ((pod, foreign_pod), (service, foreign_service)) = (pod?, service?);
            Ok(Lookup { seen: Observed { pod, service }, foreign: foreign_pod.or(foreign_service) })
        })
    }
}

#[cfg(test)]
mod tests;
