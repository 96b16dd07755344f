//! What the middle needs of the world, as traits that the edges implement.

use std::sync::Arc;

use futures::future::BoxFuture;
use jiff::Timestamp;

use crate::{
    error::{ClusterError, SandboxError},
    ids::SandboxId,
    lifetime::{LifetimeAnnotations, ReapReason},
    observed::{Observed, ObservedPod, ObservedService, ResourceVersion, Uid},
    request::CreateRequest,
};

/// The time on the wall.
pub trait Clock: Send + Sync + 'static {
    /// What it shows now. It may be stepped at any time, either way.
    fn wall(&self) -> Timestamp;
}

/// What came of a write.
///
/// There are three ways, not two: after [`Outcome::Unknown`] the next thing to do is to look at the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Outcome<T> {
    /// It was done, and this is what the cluster answered.
    Done(T),
    /// It was certainly not done.
    Refused(ClusterError),
    /// It may or may not have been done.
    Unknown(ClusterError),
}

/// What came of a delete that was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deletion<T> {
    /// The object is gone, or the name belongs to an object of another uid: nothing of ours is left.
    Gone,
    /// It is on its way out; this is how it was last seen.
    Terminating(T),
}

/// The calls that the actors make to Kubernetes.
///
/// Every future ends within the implementation's own deadline (retries included), and may be dropped at any
/// point: what is then true of the cluster is unknown. None of them looks at the shared watch.
pub trait Cluster: Send + Sync + 'static {
    /// Checks against the settings what holds for every request, whether its sandbox exists or not. Makes no call.
    ///
    /// # Errors
    /// The answer for the client.
    fn check(&self, request: &CreateRequest) -> Result<(), SandboxError>;

    /// Checks whether the request can be turned into manifests, which matters only if a Pod is created. Makes no call.
    ///
    /// # Errors
    /// The answer for the client.
    fn check_manifests(&self, request: &CreateRequest) -> Result<(), SandboxError>;

    /// Creates the sandbox's Pod. One write.
    fn create_pod(&self, request: Arc<CreateRequest>) -> BoxFuture<'_, Outcome<ObservedPod>>;

    /// Creates the sandbox's Service. One write; the answer holds the URL.
    fn create_service(&self, request: Arc<CreateRequest>) -> BoxFuture<'_, Outcome<ObservedService>>;

    /// Deletes the sandbox's Pod if it is still the one that was decided on. One write.
    fn delete_pod(&self, id: SandboxId, only: Preconditions)
    -> BoxFuture<'_, Outcome<Deletion<ObservedPod>>>;

    /// Deletes the sandbox's Service if it is still the one that was decided on. One write.
    fn delete_service(
        &self,
        id: SandboxId,
        only: Preconditions,
    ) -> BoxFuture<'_, Outcome<Deletion<ObservedService>>>;

    /// Writes what is to be kept of a sandbox's life on its Pod, if it is still the one of this uid. One write.
    fn write_annotations(
        &self,
        id: SandboxId,
        uid: Uid,
        annotations: LifetimeAnnotations,
    ) -> BoxFuture<'_, Outcome<ObservedPod>>;

    /// Asks the sandbox itself, and the cluster's metrics, whether it is at work.
    fn probe_activity(&self, id: SandboxId, url: Arc<str>) -> BoxFuture<'_, Busy>;

    /// Tells the cluster's people, as an Event about the Pod of this uid, why it is reaped (or, `rehearsed`,
    /// would be). Never waits; an Event that cannot be written is dropped.
    fn record_event(&self, id: &SandboxId, pod: &Uid, cause: ReapReason, rehearsed: bool);

    /// Reads both objects by name, from the cluster itself. Two reads, in parallel.
    ///
    /// # Errors
    /// When one of the calls failed: then nothing is told of the other either.
    fn read(&self, id: SandboxId) -> BoxFuture<'_, Result<Lookup, ClusterError>>;
}

/// Which object a delete is about, by what was decided on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preconditions {
    /// The life of the name.
    pub uid: Uid,
    /// The very state of it, where the decision depended on that; another one is a conflict, and nothing is
    /// deleted.
    pub version: Option<ResourceVersion>,
}

/// Whether a sandbox is at work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Busy {
    /// It is, by this sign (a probe's path, or `cpu`).
    Yes(String),
    /// Nothing shows that it is.
    No,
    /// It was asked and did not answer, for this reason.
    Unanswered(String),
    /// It was not asked, for this reason, which is ours: that says nothing of the sandbox.
    Unasked(String),
}

/// What a look at the cluster itself told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lookup {
    /// What there is that is ours.
    pub seen: Observed,
    /// What has one of the names without our labels, as `Pod "sandbox-x"`.
    pub foreign: Option<String>,
}

/// What the shared watch tells, in the order in which it learnt it, for one kind of object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WatchEvent<T> {
    /// The object is there, and looks like this.
    Applied(SandboxId, T),
    /// The object of this uid is gone, or has left what is watched, as of this version; a later sight of it tells
    /// that it came back.
    Deleted(SandboxId, Uid, ResourceVersion),
    /// A whole list, and the version that it is of: what is absent from it is gone as of then.
    Listed(Vec<(SandboxId, T)>, ResourceVersion),
}

/// Where the shared watch puts what it learns. Implemented by the status view; never blocks.
pub trait WatchSink: Send + Sync + 'static {
    /// A whole list of this kind is asked for from now on; its [`WatchEvent::Listed`] follows. What is written
    /// between the two may be missing from the list although it is there.
    fn relist_started(&self, kind: Kind);
    /// News of a Pod.
    fn pods(&self, event: WatchEvent<ObservedPod>);
    /// News of a Service.
    fn services(&self, event: WatchEvent<ObservedService>);
    /// The watch of this kind is known to be up to date as of now: the state it has told is the cluster's.
    fn synced(&self, kind: Kind);
    /// The watch of this kind has trouble, in words; what it told ages from its last [`WatchSink::heard`].
    fn failing(&self, kind: Kind, why: &str);
}

/// The two kinds that are watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Pods.
    Pod,
    /// Services.
    Service,
}
