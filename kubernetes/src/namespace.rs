//! Creates the namespace of all sandboxes if it is missing.

use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace as FullNamespace;
use kube::core::{
    ObjectMeta, Request, Resource,
    params::{GetParams, PostParams},
};
use lifecycle::{
    error::{ClusterError, ClusterErrorKind},
    observed::Uid,
};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::{
    backoff::{Backoff, LONGEST_ANSWERED, LONGEST_UNANSWERED},
    connect::Connection,
    fault::{Verb, classify},
    names, retry, types,
};

/// The namespace and its last error.
pub struct Namespace {
    connection: Connection,
    /// The reason why the namespace is not known to exist. Readiness reads it, and [`Namespace::ensure`] writes it.
    unready_reason: Mutex<Option<String>>,
    /// Its uid, as it was read or created last.
    uid: Mutex<Option<Uid>>,
    /// The time at which the namespace was last ensured. The lock is held meanwhile, so that a burst of creates ensures
    /// it only once.
    ensured: tokio::sync::Mutex<Option<Instant>>,
}

/// The time for which the namespace is not checked again. It covers a burst of creates that all find the namespace
/// missing, and is short enough to notice that the namespace is deleted again.
const FRESH: Duration = Duration::from_secs(1);

// === impl Namespace ===

impl Namespace {
    /// Creates the handle for the connection's namespace. Makes no call.
    #[must_use]
    pub fn new(connection: Connection) -> Self {
        Self {
            connection,
            unready_reason: Mutex::new(Some("not checked yet".to_owned())),
            uid: Mutex::new(None),
            ensured: tokio::sync::Mutex::new(None),
        }
    }

    /// Returns the reason why the namespace is not known to exist, or `None` if it exists.
    #[must_use]
    pub fn unready_reason(&self) -> Option<String> {
        self.unready_reason.lock().clone()
    }

    /// Returns the uid of the namespace. `None` until it was read or created, and without the rights for that.
    #[must_use]
    pub fn uid(&self) -> Option<Uid> {
        self.uid.lock().clone()
    }

    /// Retries until the namespace exists. Returns only then.
    pub async fn ensure_until_done(&self) {
        let mut backoff = Backoff::default();
        while let Err(fault) = self.ensure().await {
            let longest = match fault.kind {
                ClusterErrorKind::Unreachable | ClusterErrorKind::TimedOut => LONGEST_UNANSWERED,
                _ => LONGEST_ANSWERED,
            };
            tokio::time::sleep(backoff.wait(longest, fault.retry_after, retry::jitter())).await;
        }
    }

    /// Reads the namespace, and creates it if it is missing. Makes at most one read and one write.
    ///
    /// If the role has no permission for that, the namespace is assumed to exist: in many clusters an administrator
    /// creates namespaces.
    ///
    /// # Errors
    /// Returns the error of the API server, or [`ClusterErrorKind::NamespaceTerminating`] while the namespace is
    /// terminating.
    pub async fn ensure(&self) -> Result<(), ClusterError> {
        let mut ensured = self.ensured.lock().await;
        if ensured.is_some_and(|at| at.elapsed() < FRESH) {
            return Ok(());
        }
        let result = self.read_or_create().await;
        let words = result.as_ref().err().map(ToString::to_string);
        let before = {
            let mut reason = self.unready_reason.lock();
            std::mem::replace(&mut *reason, words.clone())
        };
        if let Some(why) = &words {
            // This is retried every few seconds. Log each distinct error once.
            if before == words {
                tracing::debug!(namespace = self.connection.namespace(), %why, "the namespace could still not be read or created");
            } else {
                tracing::warn!(namespace = self.connection.namespace(), %why, "the namespace could not be read or created; trying again");
            }
        } else {
            *ensured = Some(Instant::now());
        }
        result
    }

    async fn read_or_create(&self) -> Result<(), ClusterError> {
        let name = self.connection.namespace();
        match self.read().await {
            Ok(found) => {
                self.keep_uid(&found);
                if found.status.0.is_some_and(|status| status.phase.as_deref() == Some("Terminating")) {
                    return Err(ClusterError::new(
                        ClusterErrorKind::NamespaceTerminating,
                        &format!("namespace {name} is being deleted"),
                    ));
                }
                return Ok(());
            }
            Err(fault) if fault.kind == ClusterErrorKind::NotFound => {}
            Err(fault) => return self.tolerate(fault, "read"),
        }
        match self.create().await {
            Ok(created) => {
                self.keep_uid(&created);
                tracing::info!(namespace = name, "created the namespace");
                Ok(())
            }
            // Another client created it first.
            Err(fault) if fault.kind == ClusterErrorKind::AlreadyExists => Ok(()),
            Err(fault) => self.tolerate(fault, "create"),
        }
    }

    fn keep_uid(&self, namespace: &types::Namespace) {
        let uid = namespace.metadata.0.as_ref().and_then(|metadata| metadata.uid.0.as_deref());
        if let Some(uid) = uid {
            *self.uid.lock() = Some(Uid(uid.into()));
        }
    }

    fn tolerate(&self, fault: ClusterError, right: &'static str) -> Result<(), ClusterError> {
        if fault.kind != ClusterErrorKind::Forbidden {
            return Err(fault);
        }
        tracing::warn!(
            namespace = self.connection.namespace(),
            %fault,
            "not allowed to {right} namespaces: assuming that it exists; if it does not, creates will fail"
        );
        Ok(())
    }

    async fn read(&self) -> Result<types::Namespace, ClusterError> {
        let request = Request::new(FullNamespace::url_path(&(), None))
            .get(self.connection.namespace(), &GetParams::default())
            .map_err(|error| unbuilt(&error))?;
        self.call(Verb::Get, request, self.connection.limits().read).await
    }

    async fn create(&self) -> Result<types::Namespace, ClusterError> {
        let namespace = FullNamespace {
            metadata: ObjectMeta {
                name: Some(self.connection.namespace().to_owned()),
                labels: Some(names::namespace_labels()),
                ..ObjectMeta::default()
            },
            ..FullNamespace::default()
        };
        let body = serde_json::to_vec(&namespace).map_err(|_| {
            ClusterError::new(ClusterErrorKind::Invalid, "the namespace could not be written as JSON")
        })?;
        let request = Request::new(FullNamespace::url_path(&(), None))
            .create(&PostParams::default(), body)
            .map_err(|error| unbuilt(&error))?;
        self.call(Verb::Create, request, self.connection.limits().unattended_write).await
    }

    async fn call(
        &self,
        verb: Verb,
        request: http::Request<Vec<u8>>,
        deadline: Duration,
    ) -> Result<types::Namespace, ClusterError> {
        let call = async { self.connection.calls()?.request(request, deadline).await };
        call.await.map_err(|error| classify(verb, &error).fault)
    }
}

fn unbuilt(error: &kube::core::request::Error) -> ClusterError {
    ClusterError::new(ClusterErrorKind::Invalid, &error.to_string())
}

#[cfg(test)]
mod tests;
