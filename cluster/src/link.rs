//! The port to a cluster that may not be connected to yet.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use futures::future::BoxFuture;
use lifecycle::{
    failure::{Fault, FaultKind},
    ids::SandboxId,
    ports::{Cluster, Outcome, ReadFault, Removal},
    request::CreateRequest,
    seen::{Seen, SeenPod, SeenService, Uid},
};

use crate::{
    connect::Connection,
    manifest::{self, Template},
    namespace::Namespace,
    writes::Writes,
};

/// The calls that the actors make, from the start on: until there is a connection, each of them is refused
/// with the reason why there is none.
pub struct Link {
    template: Arc<Template>,
    /// Set once, by [`Link::attach`].
    attached: OnceLock<Attached>,
    /// Why nothing is attached yet.
    trouble: Mutex<String>,
}

struct Attached {
    writes: Writes,
    namespace: Arc<Namespace>,
}

// === impl Link ===

impl Link {
    /// A link to nothing yet, for sandboxes as the template has them.
    #[must_use]
    pub fn new(template: Arc<Template>) -> Self {
        Self { template, attached: OnceLock::new(), trouble: Mutex::new("not connected yet".to_owned()) }
    }

    /// What sandboxes are made of.
    #[must_use]
    pub fn template(&self) -> &Arc<Template> {
        &self.template
    }

    /// Uses this connection from now on; the first one stays.
    pub fn attach(&self, connection: Connection) {
        let namespace = Arc::new(Namespace::new(connection.clone()));
        let writes = Writes::new(connection, self.template.clone(), namespace.clone());
        let _ = self.attached.set(Attached { writes, namespace });
    }

    /// Notes why there is no connection yet, in words that hold no secret.
    pub fn set_trouble(&self, why: String) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = why;
    }

    /// Why there is no connection; `None` once there is one.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        match self.attached.get() {
            Some(_) => None,
            None => Some(self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()),
        }
    }

    /// Why the namespace is not known to be there; `None` when it is.
    #[must_use]
    pub fn namespace_trouble(&self) -> Option<String> {
        match self.attached.get() {
            Some(attached) => attached.namespace.missing(),
            None => Some("not connected yet".to_owned()),
        }
    }

    /// Sees to it that the namespace is there; ends when it is, and at once when nothing is attached.
    pub async fn ensure_namespace(&self) {
        if let Some(attached) = self.attached.get() {
            attached.namespace.ensure_until_done().await;
        }
    }

    fn writes(&self) -> Result<&Writes, Fault> {
        match self.attached.get() {
            Some(attached) => Ok(&attached.writes),
            None => Err(Fault::new(FaultKind::Unreachable, &self.trouble().unwrap_or_default())),
        }
    }
}

impl Cluster for Link {
    fn check(&self, request: &CreateRequest) -> Result<(), String> {
        manifest::pod(&self.template, request).map(drop).map_err(|error| error.to_string())
    }

    fn create_pod(&self, request: Arc<CreateRequest>) -> BoxFuture<'_, Outcome<SeenPod>> {
        match self.writes() {
            Ok(writes) => writes.create_pod(request),
            Err(fault) => refused(fault),
        }
    }

    fn create_service(&self, request: Arc<CreateRequest>) -> BoxFuture<'_, Outcome<SeenService>> {
        match self.writes() {
            Ok(writes) => writes.create_service(request),
            Err(fault) => refused(fault),
        }
    }

    fn delete_pod(&self, id: SandboxId, uid: Uid) -> BoxFuture<'_, Outcome<Removal<SeenPod>>> {
        match self.writes() {
            Ok(writes) => writes.delete_pod(id, uid),
            Err(fault) => refused(fault),
        }
    }

    fn delete_service(&self, id: SandboxId, uid: Uid) -> BoxFuture<'_, Outcome<Removal<SeenService>>> {
        match self.writes() {
            Ok(writes) => writes.delete_service(id, uid),
            Err(fault) => refused(fault),
        }
    }

    fn read(&self, id: SandboxId) -> BoxFuture<'_, Result<Seen, ReadFault>> {
        match self.writes() {
            Ok(writes) => writes.read(id),
            Err(fault) => Box::pin(std::future::ready(Err(ReadFault::Failed(fault)))),
        }
    }
}

fn refused<T: Send + 'static>(fault: Fault) -> BoxFuture<'static, Outcome<T>> {
    Box::pin(std::future::ready(Outcome::Refused(fault)))
}
