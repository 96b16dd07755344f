//! Implements the trait `Cluster` while the connection may not exist yet.

use std::{
    convert::Infallible,
    sync::{Arc, OnceLock},
};

use futures::future::BoxFuture;
use jiff::Timestamp;
use lifecycle::{
    error::{ClusterError, ClusterErrorKind, SandboxError},
    ids::SandboxId,
    lifetime::{LifetimeAnnotations, ReapReason},
    observed::{ObservedPod, ObservedService, Uid},
    request::CreateRequest,
    traits::{Busy, Cluster, Deletion, Lookup, Outcome, Preconditions},
};
use parking_lot::Mutex;

use crate::{
    connect::Connection,
    manifest::{self, Template},
    namespace::Namespace,
    probe::ProbeOptions,
    writes::Writes,
};

/// The Kubernetes calls of the actors, usable from startup. Until there is a connection, every call is rejected with
/// the reason.
pub struct Link {
    template: Arc<Template>,
    /// The activity probes to run before a sandbox counts as idle.
    probes: ProbeOptions,
    /// The connection, set once by [`Link::attach`].
    attached: OnceLock<Attached>,
    /// The reason why there is no connection yet.
    trouble: Mutex<String>,
}

struct Attached {
    writes: Writes,
    namespace: Arc<Namespace>,
}

// === impl Link ===

impl Link {
    /// Creates a link without a connection. The template shapes the sandboxes, and the options define the activity
    /// probes.
    #[must_use]
    pub fn new(template: Arc<Template>, probes: ProbeOptions) -> Self {
        Self {
            template,
            probes,
            attached: OnceLock::new(),
            trouble: Mutex::new("not connected yet".to_owned()),
        }
    }

    /// Returns the template of the sandboxes.
    #[must_use]
    pub fn template(&self) -> &Arc<Template> {
        &self.template
    }

    /// Uses this connection from now on. Only the first call has an effect.
    pub fn attach(&self, connection: Connection) {
        let namespace = Arc::new(Namespace::new(connection.clone()));
        let writes = Writes::new(connection, self.template.clone(), namespace.clone(), self.probes.clone());
        let _ = self.attached.set(Attached { writes, namespace });
    }

    /// Records the reason why there is no connection yet. The text must not contain secrets.
    pub fn set_trouble(&self, why: String) {
        *self.trouble.lock() = why;
    }

    /// Returns the reason why there is no connection, or `None` if there is one.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        match self.attached.get() {
            Some(_) => None,
            None => Some(self.trouble.lock().clone()),
        }
    }

    /// Returns the reason why the namespace is not known to exist, or `None` if it exists.
    #[must_use]
    pub fn namespace_trouble(&self) -> Option<String> {
        match self.attached.get() {
            Some(attached) => attached.namespace.missing(),
            None => Some("not connected yet".to_owned()),
        }
    }

    /// Returns the time of the API server's clock, or `None` before its first answer.
    #[must_use]
    pub fn server_time(&self) -> Option<Timestamp> {
        self.attached.get().and_then(|attached| attached.writes.connection().server_time())
    }

    /// Waits until the namespace exists, and creates it if it is missing. Returns immediately without a connection.
    pub async fn ensure_namespace(&self) {
        if let Some(attached) = self.attached.get() {
            attached.namespace.ensure_until_done().await;
        }
    }

    /// Writes the queued Events. Never returns. Call it after [`Link::attach`].
    pub async fn run_events(&self) -> Infallible {
        match self.attached.get() {
            Some(attached) => attached.writes.events().run().await,
            None => std::future::pending().await,
        }
    }

    fn writes(&self) -> Result<&Writes, ClusterError> {
        match self.attached.get() {
            Some(attached) => Ok(&attached.writes),
            None => {
                Err(ClusterError::new(ClusterErrorKind::Unreachable, &self.trouble().unwrap_or_default()))
            }
        }
    }
}

impl Cluster for Link {
    fn check(&self, request: &CreateRequest) -> Result<(), SandboxError> {
        manifest::check(&self.template, request)
    }

    fn check_manifests(&self, request: &CreateRequest) -> Result<(), SandboxError> {
        manifest::pod(&self.template, request).map(drop)
    }

    fn create_pod(&self, request: Arc<CreateRequest>) -> BoxFuture<'_, Outcome<ObservedPod>> {
        match self.writes() {
            Ok(writes) => writes.create_pod(request),
            Err(fault) => refused(fault),
        }
    }

    fn create_service(&self, request: Arc<CreateRequest>) -> BoxFuture<'_, Outcome<ObservedService>> {
        match self.writes() {
            Ok(writes) => writes.create_service(request),
            Err(fault) => refused(fault),
        }
    }

    fn delete_pod(
        &self,
        id: SandboxId,
        only: Preconditions,
    ) -> BoxFuture<'_, Outcome<Deletion<ObservedPod>>> {
        match self.writes() {
            Ok(writes) => writes.delete_pod(id, only),
            Err(fault) => refused(fault),
        }
    }

    fn delete_service(
        &self,
        id: SandboxId,
        only: Preconditions,
    ) -> BoxFuture<'_, Outcome<Deletion<ObservedService>>> {
        match self.writes() {
            Ok(writes) => writes.delete_service(id, only),
            Err(fault) => refused(fault),
        }
    }

    fn write_annotations(
        &self,
        id: SandboxId,
        uid: Uid,
        annotations: LifetimeAnnotations,
    ) -> BoxFuture<'_, Outcome<ObservedPod>> {
        match self.writes() {
            Ok(writes) => writes.write_annotations(id, uid, annotations),
            Err(fault) => refused(fault),
        }
    }

    fn probe_activity(&self, id: SandboxId, url: Arc<str>) -> BoxFuture<'_, Busy> {
        match self.writes() {
            Ok(writes) => writes.probe_activity(id, url),
            Err(fault) => Box::pin(std::future::ready(Busy::Unasked(fault.to_string()))),
        }
    }

    fn record_event(&self, id: &SandboxId, pod: &Uid, cause: ReapReason, rehearsed: bool) {
        // Without a connection nothing is reaped.
        if let Ok(writes) = self.writes() {
            writes.record_event(id, pod, cause, rehearsed);
        }
    }

    fn read(&self, id: SandboxId) -> BoxFuture<'_, Result<Lookup, ClusterError>> {
        match self.writes() {
            Ok(writes) => writes.read(id),
            Err(fault) => Box::pin(std::future::ready(Err(fault))),
        }
    }

    fn find_pod(&self, id: SandboxId) -> BoxFuture<'_, Result<Option<Uid>, ClusterError>> {
        match self.writes() {
            Ok(writes) => writes.find_pod(id),
            Err(fault) => Box::pin(std::future::ready(Err(fault))),
        }
    }
}

fn refused<T: Send + 'static>(fault: ClusterError) -> BoxFuture<'static, Outcome<T>> {
    Box::pin(std::future::ready(Outcome::Refused(fault)))
}
