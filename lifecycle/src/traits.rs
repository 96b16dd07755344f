//! The traits between the crates: `actors` calls them, and `kubernetes` and the view implement them.

use std::{fmt, sync::Arc, time::Instant};

use futures::future::BoxFuture;
use jiff::Timestamp;

use crate::{
    error::{ClusterError, SandboxError},
    exit::ExitLog,
    ids::{ProfileName, SandboxId},
    lifetime::{LifetimePatch, ReapReason},
    log::{LogQuery, LogStream, LogText},
    named,
    network::NetworkReport,
    observed::{Observed, ObservedPod, ObservedService, ResourceVersion, Uid},
    placement::moving::DataHome,
    pod_event::PodEvent,
    request::CreateRequest,
    spec::Resources,
    workspace::{Size, Workspace, WorkspaceId, claim::ObservedClaim, retention::DeleteReason},
};

/// The wall clock.
pub trait Clock: Send + Sync + 'static {
    /// Returns the current time. The wall clock may be stepped at any time, in either direction.
    fn wall(&self) -> Timestamp;
}

/// The outcome of a write.
///
/// After [`Outcome::Unknown`] the caller must read the objects before it does anything else.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Outcome<T> {
    /// The write succeeded, with the cluster's answer.
    Done(T),
    /// The write was certainly not executed.
    Refused(ClusterError),
    /// The write may or may not have been executed.
    Unknown(ClusterError),
}

/// The result of an accepted create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Creation<T> {
    /// The object is as it was sent, in all that this program relies on.
    AsSent(T),
    /// A mutating admission has changed the object so that it cannot be used. It must be deleted.
    Altered(T, ClusterError),
}

/// The result of an accepted delete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deletion<T> {
    /// The object is gone, or another object has its name: none of ours is left.
    Gone,
    /// The object is terminating, with its last observed state.
    Terminating(T),
}

/// The calls that the actors make to Kubernetes.
///
/// Every future ends within the implementation's own deadline, including retries. It may be dropped at any point; the
/// state of the cluster is then unknown. No call uses the shared watch.
pub trait Cluster: Send + Sync + 'static {
    /// Builds the manifests of a request. Makes no call.
    ///
    /// # Errors
    /// The error for the client, if the request does not fit the settings whether or not its sandbox exists.
    fn manifests(&self, request: &CreateRequest) -> Result<Manifests, SandboxError>;

    /// Creates the sandbox's Pod with one write, which ends at `until`.
    fn create_pod(
        &self,
        id: SandboxId,
        manifest: Manifest,
        until: Instant,
    ) -> BoxFuture<'_, Outcome<Creation<ObservedPod>>>;

    /// Creates the sandbox's Service with one write, which ends at `until`. The answer contains the URL.
    fn create_service(
        &self,
        id: SandboxId,
        manifest: Manifest,
        until: Instant,
    ) -> BoxFuture<'_, Outcome<Creation<ObservedService>>>;

    /// Deletes the sandbox's Pod with one write, if it meets the preconditions.
    fn delete_pod(&self, id: SandboxId, only: Preconditions)
    -> BoxFuture<'_, Outcome<Deletion<ObservedPod>>>;

    /// Deletes the sandbox's Service with one write, if it meets the preconditions.
    fn delete_service(
        &self,
        id: SandboxId,
        only: Preconditions,
    ) -> BoxFuture<'_, Outcome<Deletion<ObservedService>>>;

    /// Changes the lifetime annotations of the Pod with one write, if the Pod still has this uid.
    fn write_annotations(
        &self,
        id: SandboxId,
        uid: Uid,
        annotations: LifetimePatch,
    ) -> BoxFuture<'_, Outcome<ObservedPod>>;

    /// Returns the version of the API server, such as `v1.36.0`; `None` if it is not known. Waits for a call of at most 2 s
    /// if the version was not read recently.
    fn version(&self) -> BoxFuture<'_, Option<Arc<str>>> {
        Box::pin(async { None })
    }

    /// Returns the uid of the namespace of the sandboxes; `None` while it is not known. Makes no call.
    fn namespace_uid(&self) -> Option<Uid> {
        None
    }

    /// Sets whether new Pods keep their request, which a move to another cluster needs. They do not at first.
    fn keep_requests(&self, _keeps_requests: bool) {}

    /// Reads the request with which the Pod of this uid was created, with its present limits and owner; `None` if the Pod does
    /// not keep it. One read.
    ///
    /// # Errors
    /// When the call failed, or when the Pod does not exist.
    fn read_request(
        &self,
        _id: SandboxId,
        _uid: Uid,
    ) -> BoxFuture<'_, Result<Option<CreateRequest>, ClusterError>> {
        Box::pin(async { Ok(None) })
    }

    /// Returns where the data of a sandbox with this request is. Makes no call.
    ///
    /// # Errors
    /// The error for the client, if the request does not fit the settings.
    fn data_home(&self, _request: &CreateRequest) -> Result<DataHome, SandboxError> {
        Ok(DataHome::Nowhere)
    }

    /// Returns the state of the network policies and of their check. Makes no call.
    fn network(&self) -> NetworkReport {
        NetworkReport::default()
    }

    /// Starts a check whether the network policies are enforced, unless one is running. Never waits.
    fn check_network(&self) {}

    /// Checks whether the profile lets a request set these limits of an existing sandbox. Makes no call.
    ///
    /// # Errors
    /// The error for the client.
    fn check_resize(&self, profile: Option<&ProfileName>, resources: &Resources) -> Result<(), SandboxError>;

    /// Sets these limits of the container `sandbox` in place with one write, after a read, if the Pod still has this uid.
    fn resize(&self, id: SandboxId, uid: Uid, resources: Resources) -> BoxFuture<'_, Outcome<ObservedPod>>;

    /// Asks the sandbox itself, and the cluster's metrics, whether the sandbox is busy.
    fn probe_activity(&self, id: SandboxId, url: Arc<str>) -> BoxFuture<'_, Busy>;

    /// Reads the log of a container of the sandbox's Pod, with one call.
    ///
    /// # Errors
    /// When the call failed, or there is no log.
    fn read_log(&self, id: SandboxId, query: LogQuery) -> BoxFuture<'_, Result<LogText, ClusterError>>;

    /// Opens the log of a container of the sandbox's Pod, which then follows what the container prints. The cluster may
    /// answer only with the first line, so an error may also come from the stream.
    ///
    /// # Errors
    /// When the call failed within a short time, or there is no log.
    fn follow_log(&self, id: SandboxId, query: LogQuery) -> BoxFuture<'_, Result<LogStream, ClusterError>>;

    /// Records an Event about the Pod with this uid: why it is reaped or, in a dry run, would be reaped. Never waits,
    /// and drops an Event that cannot be written.
    fn record_event(&self, id: &SandboxId, pod: &Uid, reason: ReapReason, dry_run: bool);

    /// Reads both objects by name from the API server, with two reads in parallel. An object with a uid of the known ones
    /// is the sandbox's, whatever its labels.
    ///
    /// # Errors
    /// The error of the first failed read. The result of the other read is then dropped.
    fn read(&self, id: SandboxId, known: KnownUids) -> BoxFuture<'_, Result<Lookup, ClusterError>>;

    /// Returns the uid of the Pod with the sandbox's name, whatever its labels; `None` if there is no such Pod. One
    /// read.
    ///
    /// # Errors
    /// When the call failed: then it is unknown whether the Pod exists.
    fn find_pod(&self, id: SandboxId) -> BoxFuture<'_, Result<Option<Uid>, ClusterError>>;
}

/// The calls about the claims of workspaces, other than those of a create.
pub trait Workspaces: Send + Sync + 'static {
    /// Deletes the claim if it meets the preconditions and no Pod uses it.
    fn delete_claim(
        &self,
        id: WorkspaceId,
        only: Preconditions,
    ) -> BoxFuture<'_, Outcome<Deletion<ObservedClaim>>>;

    /// Writes to the claim that no Pod uses it since this time, if it meets the preconditions.
    fn mark_unused(
        &self,
        id: WorkspaceId,
        only: Preconditions,
        since: Timestamp,
    ) -> BoxFuture<'_, Outcome<ObservedClaim>>;

    /// Checks whether a workspace of this profile may have this size. Makes no call.
    ///
    /// # Errors
    /// The error for the client.
    fn check_size(&self, profile: Option<&ProfileName>, size: &str) -> Result<Size, SandboxError>;

    /// Asks for a larger volume, if the claim meets the preconditions.
    fn enlarge(
        &self,
        id: WorkspaceId,
        only: Preconditions,
        size: Size,
    ) -> BoxFuture<'_, Outcome<ObservedClaim>>;

    /// Records an Event about the claim with this uid: why it is deleted or, in a dry run, would be deleted. Never waits,
    /// and drops an Event that cannot be written.
    fn record_claim_event(&self, id: &WorkspaceId, claim: &Uid, reason: DeleteReason, dry_run: bool);
}

/// The receiver of the watch on claims. It never blocks.
pub trait ClaimSink: Send + Sync + 'static {
    /// Applies the state of a claim.
    fn claim(&self, id: WorkspaceId, claim: ObservedClaim);
    /// Reports that the claim with this uid is gone.
    fn claim_gone(&self, id: &WorkspaceId, claim: &Uid);
    /// Applies a complete list. A claim that is not in the list is gone.
    fn claims_listed(&self, claims: Vec<(WorkspaceId, ObservedClaim)>);
    /// Reports that the watch is up to date.
    fn claims_synced(&self);
    /// Reports that the watch fails, with the reason.
    fn claims_failing(&self, why: &str);
}

/// The manifests of a sandbox, built once from a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifests {
    /// The Pod, or the error for the client if the request's mounts do not fit the settings. That matters only if a
    /// Pod is created: an existing Pod is used as it is.
    pub pod: Result<Manifest, SandboxError>,
    /// The Service.
    pub service: Manifest,
}

/// The manifest of an object, as it is sent to the API server. Only the implementation of [`Cluster`] reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The object.
    pub object: Arc<[u8]>,
    /// The workspace that must exist before a Pod is created.
    pub workspace: Option<Arc<Workspace>>,
}

// === impl Manifest ===

impl Manifest {
    /// Creates the manifest of an object without a workspace.
    #[must_use]
    pub fn new(object: Arc<[u8]>) -> Self {
        Self { object, workspace: None }
    }
}

// === impl Outcome ===

impl<T> Outcome<T> {
    /// Converts the answer of a write that succeeded.
    pub fn map<U>(self, convert: impl FnOnce(T) -> U) -> Outcome<U> {
        match self {
            Self::Done(answer) => Outcome::Done(convert(answer)),
            Self::Refused(fault) => Outcome::Refused(fault),
            Self::Unknown(fault) => Outcome::Unknown(fault),
        }
    }
}

// === impl Creation ===

impl<T> Creation<T> {
    /// Converts the object.
    pub fn map<U>(self, convert: impl FnOnce(T) -> U) -> Creation<U> {
        match self {
            Self::AsSent(object) => Creation::AsSent(convert(object)),
            Self::Altered(object, fault) => Creation::Altered(convert(object), fault),
        }
    }
}

// === impl Foreign ===

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = if self.is_relabelled { ", whose labels have been changed," } else { "" };
        write!(f, "{}{why}", self.what)
    }
}

// === impl KnownUids ===

impl From<&Observed> for KnownUids {
    fn from(Observed { pod, service }: &Observed) -> Self {
        Self {
            pod: pod.as_ref().map(|pod| pod.uid.clone()),
            service: service.as_ref().map(|service| service.uid.clone()),
        }
    }
}

/// The preconditions of a delete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preconditions {
    /// The expected uid.
    pub uid: Uid,
    /// The expected resourceVersion, if the decision depended on the object's state. Any other resourceVersion is a
    /// conflict, and nothing is deleted.
    pub version: Option<ResourceVersion>,
}

/// Whether a sandbox is busy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Busy {
    /// The sandbox is busy, according to this source (a probe's path, or `cpu`).
    Yes(String),
    /// No source shows that the sandbox is busy.
    No,
    /// The sandbox did not answer its activity probe, for this reason.
    Unanswered(String),
    /// The activity probe was not sent, for this reason. It lies with this program and says nothing about the
    /// sandbox.
    Unasked(String),
}

/// The result of a read of both objects from the API server.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lookup {
    /// The objects with our labels.
    pub seen: Observed,
    /// The foreign object with one of the names.
    pub foreign: Option<Foreign>,
}

/// An object with one of the sandbox's names and without its labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreign {
    /// The object, such as `Pod "sandbox-x"`.
    pub what: String,
    /// Whether it looks like a sandbox's object whose labels were changed manually. It may be in use.
    pub is_relabelled: bool,
}

/// The uids by which this program knows a sandbox's objects.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KnownUids {
    /// The uid of the Pod.
    pub pod: Option<Uid>,
    /// The uid of the Service.
    pub service: Option<Uid>,
}

/// An event of the shared watch for one kind of object. Events arrive in the order in which the watch received them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WatchEvent<T> {
    /// The object exists in this state.
    Applied(SandboxId, T),
    /// The object with this uid is gone, or has lost our labels, as of this resourceVersion. A later observation
    /// means that it has its labels again.
    Deleted(SandboxId, Uid, ResourceVersion),
    /// A complete list. An object that is not in the list is gone as of the list's resourceVersion.
    Listed {
        /// The objects that were read.
        objects: Vec<(SandboxId, T)>,
        /// The sandboxes whose object exists but is too large to be read. Its state is unknown.
        unreadable: Vec<SandboxId>,
        /// The resourceVersion of the list.
        version: ResourceVersion,
    },
}

/// The receiver of the shared watch's events, implemented by the view. It never blocks.
pub trait WatchSink: Send + Sync + 'static {
    /// Reports that a list of this kind is requested; its [`WatchEvent::Listed`] follows. An object that is written
    /// in between may be missing from the list although it exists.
    fn relist_started(&self, kind: Kind);
    /// Applies an event of a Pod.
    fn pods(&self, event: WatchEvent<ObservedPod>);
    /// Applies an event of a Service.
    fn services(&self, event: WatchEvent<ObservedService>);
    /// Applies a Kubernetes Event about the Pod with this uid.
    fn pod_event(&self, id: &SandboxId, pod: &Uid, event: PodEvent);
    /// Applies the last lines of the log of a container of the Pod with this uid.
    fn exit_log(&self, id: &SandboxId, pod: &Uid, log: ExitLog);
    /// Reports that the watch of this kind is up to date: the reported state is the cluster's current state.
    fn synced(&self, kind: Kind);
    /// Reports that the watch of this kind fails, with the reason. Its state ages from the last
    /// [`WatchSink::synced`].
    fn failing(&self, kind: Kind, why: &str);
}

named! {
    /// The kind of a watched object.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub enum Kind {
        /// A Pod.
        Pod = "Pod",
        /// A Service.
        Service = "Service",
    }
}
