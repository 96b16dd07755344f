//! The namespace of all sandboxes: made if it is missing.

use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace as FullNamespace;
use kube::core::{
    ObjectMeta, Request, Resource,
    params::{GetParams, PostParams},
};
use lifecycle::error::{ClusterError, ClusterErrorKind};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::{
    backoff::{Backoff, LONGEST_ANSWERED, LONGEST_UNANSWERED},
    connect::Connection,
    fault::{Verb, classify},
    names, retry, types,
};

/// The namespace, and what is known to be wrong with it.
pub struct Namespace {
    connection: Connection,
    /// Why it is not known to be there; read by readiness, written by [`Namespace::ensure`].
    missing: Mutex<Option<String>>,
    /// When it was last ensured; held while that is done, so that a burst of creates does it once.
    ensured: tokio::sync::Mutex<Option<Instant>>,
}

/// For how long a namespace that was ensured is not looked at again: long enough for a burst of creates that
/// all found it missing, short enough to notice that it was deleted anew.
const FRESH: Duration = Duration::from_secs(1);

// === impl Namespace ===

impl Namespace {
    /// The connection's namespace. Makes no call.
    #[must_use]
    pub fn new(connection: Connection) -> Self {
        Self {
            connection,
            missing: Mutex::new(Some("not looked at yet".to_owned())),
            ensured: tokio::sync::Mutex::new(None),
        }
    }

    /// Why the namespace is not known to be there, in words; `None` when it is.
    #[must_use]
    pub fn missing(&self) -> Option<String> {
        self.missing.lock().clone()
    }

    /// Tries until the namespace is there. Ends only then.
    pub async fn ensure_until_done(&self) {
        let mut backoff = Backoff::default();
        while let Err(fault) = self.ensure().await {
            let longest = match fault.kind {
                ClusterErrorKind::Unreachable | ClusterErrorKind::TimedOut => LONGEST_UNANSWERED,
                _ => LONGEST_ANSWERED,
            };
            tokio::time::sleep(backoff.wait(longest, fault.retry_after, retry::chance())).await;
        }
    }

    /// Looks for the namespace, and makes it if it is missing: one read, and one write at most.
    ///
    /// Where our role may not do that, it is taken to be there: many clusters give namespaces by hand.
    ///
    /// # Errors
    /// What the cluster said; [`ClusterErrorKind::NamespaceTerminating`] while an earlier life of it ends.
    pub async fn ensure(&self) -> Result<(), ClusterError> {
        let mut ensured = self.ensured.lock().await;
        if ensured.is_some_and(|at| at.elapsed() < FRESH) {
            return Ok(());
        }
        let result = self.look_and_make().await;
        let words = result.as_ref().err().map(ToString::to_string);
        let before = {
            let mut missing = self.missing.lock();
            std::mem::replace(&mut *missing, words.clone())
        };
        if let Some(why) = &words {
            // It is tried every few seconds for as long as it takes: one line for each thing that is wrong.
            if before == words {
                tracing::debug!(namespace = self.connection.namespace(), %why, "the namespace is still not there");
            } else {
                tracing::warn!(namespace = self.connection.namespace(), %why, "the namespace is not there yet");
            }
        } else {
            *ensured = Some(Instant::now());
        }
        result
    }

    async fn look_and_make(&self) -> Result<(), ClusterError> {
        let name = self.connection.namespace();
        match self.look().await {
            Ok(found) => {
                let phase = found.status.and_then(|s| s.phase);
                if phase.as_deref() == Some("Terminating") {
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
        match self.make().await {
            Ok(()) => {
                tracing::info!(namespace = name, "made the namespace");
                Ok(())
            }
            // Somebody else was faster.
            Err(fault) if fault.kind == ClusterErrorKind::AlreadyExists => Ok(()),
            Err(fault) => self.tolerate(fault, "create"),
        }
    }

    fn tolerate(&self, fault: ClusterError, right: &'static str) -> Result<(), ClusterError> {
        if fault.kind != ClusterErrorKind::Forbidden {
            return Err(fault);
        }
        tracing::warn!(
            namespace = self.connection.namespace(),
            %fault,
            "not allowed to {right} namespaces: taking it to be there; if it is not, creates will say so"
        );
        Ok(())
    }

    async fn look(&self) -> Result<types::Namespace, ClusterError> {
        let request = Request::new(FullNamespace::url_path(&(), None))
            .get(self.connection.namespace(), &GetParams::default())
            .map_err(|error| unbuilt(&error))?;
        let Connection { calls, limits, .. } = &self.connection;
        calls.request(request, limits.read).await.map_err(|error| classify(Verb::Get, &error).fault)
    }

    async fn make(&self) -> Result<(), ClusterError> {
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
        let Connection { calls, limits, .. } = &self.connection;
        calls
            .request::<types::Namespace>(request, limits.write)
            .await
            .map(drop)
            .map_err(|error| classify(Verb::Create, &error).fault)
    }
}

fn unbuilt(error: &kube::core::request::Error) -> ClusterError {
    ClusterError::new(ClusterErrorKind::Invalid, &error.to_string())
}

#[cfg(test)]
mod tests;
