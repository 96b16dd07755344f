//! What the middle needs of the world, as traits that the edges implement.

use std::sync::Arc;

use futures::future::BoxFuture;

use crate::{
    failure::Fault,
    ids::SandboxId,
    request::CreateRequest,
    seen::{Seen, SeenPod, SeenService, Uid, Version},
};

/// What came of a write.
///
/// There are three ways, not two: after [`Outcome::Unknown`] the next thing to do is to look at the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum Outcome<T> {
    /// It was done, and this is what the cluster answered.
    Done(T),
    /// It was certainly not done.
    Refused(Fault),
    /// It may or may not have been done.
    Unknown(Fault),
}

/// What came of a delete that was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removal<T> {
    /// The object is gone, or the name belongs to an object of another uid: nothing of ours is left.
    Gone,
    /// It is on its way out; this is how it was last seen.
    Leaving(T),
}

/// The calls that the actors make to Kubernetes.
///
/// Every future ends within the implementation's own deadline (retries included), and may be dropped at any
/// point: what is then true of the cluster is unknown. None of them looks at the shared watch.
pub trait Cluster: Send + Sync + 'static {
    /// Whether the request can be turned into manifests under the present settings. Makes no call.
    ///
    /// # Errors
    /// The client's own text of what is wrong (an answer of 400).
    fn check(&self, request: &CreateRequest) -> Result<(), String>;

    /// Creates the sandbox's Pod. One write.
    fn create_pod(&self, request: Arc<CreateRequest>) -> BoxFuture<'_, Outcome<SeenPod>>;

    /// Creates the sandbox's Service. One write; the answer holds the URL.
    fn create_service(&self, request: Arc<CreateRequest>) -> BoxFuture<'_, Outcome<SeenService>>;

    /// Deletes the sandbox's Pod if it is still the one of this uid. One write.
    fn delete_pod(&self, id: SandboxId, uid: Uid) -> BoxFuture<'_, Outcome<Removal<SeenPod>>>;

    /// Deletes the sandbox's Service if it is still the one of this uid. One write.
    fn delete_service(&self, id: SandboxId, uid: Uid) -> BoxFuture<'_, Outcome<Removal<SeenService>>>;

    /// Reads both objects by name, from the cluster itself. Two reads, in parallel.
    ///
    /// # Errors
    /// [`ReadFault::NotOurs`] when a name is taken by an object without our labels.
    fn read(&self, id: SandboxId) -> BoxFuture<'_, Result<Seen, ReadFault>>;
}

/// Why a look at the cluster told nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadFault {
    /// The call failed.
    Failed(Fault),
    /// The name is taken by an object that does not carry our labels, as `Pod "sandbox-x"`.
    NotOurs(String),
}

/// What the shared watch tells, in the order in which it learnt it, for one kind of object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WatchEvent<T> {
    /// The object is there, and looks like this.
    Applied(SandboxId, T),
    /// The object of this uid is gone, or has left what is watched, as of this version; a later sight of it tells
    /// that it came back.
    Deleted(SandboxId, Uid, Version),
    /// A whole list, and the version that it is of: what is absent from it is gone as of then.
    Listed(Vec<(SandboxId, T)>, Version),
}

/// Where the shared watch puts what it learns. Implemented by the status view; never blocks.
pub trait Watched: Send + Sync + 'static {
    /// A whole list of this kind is asked for from now on; its [`WatchEvent::Listed`] follows. What is written
    /// between the two may be missing from the list although it is there.
    fn listing(&self, kind: Kind);
    /// News of a Pod.
    fn pods(&self, event: WatchEvent<SeenPod>);
    /// News of a Service.
    fn services(&self, event: WatchEvent<SeenService>);
    /// The watch of this kind is known to be up to date as of now: the state it has told is the cluster's.
    fn heard(&self, kind: Kind);
    /// The watch of this kind has trouble, in words; what it told ages from its last [`Watched::heard`].
    fn trouble(&self, kind: Kind, why: &str);
}

/// The two kinds that are watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Pods.
    Pod,
    /// Services.
    Service,
}
