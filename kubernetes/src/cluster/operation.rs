//! One operation on one object: up to three calls within a deadline.

use std::{marker::PhantomData, time::Duration};

use kube::core::{Request, Resource};
use lifecycle::error::{ClusterError, ClusterErrorKind};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout};

use crate::{
    calls::Calls,
    connect::Connection,
    fault::{Certainty, ClassifiedError, Verb, classify},
    namespace::Namespace,
    retry::{self, Next, Progress},
};

/// An operation on an object of kind `K`.
pub struct Operation<'a, K> {
    connection: &'a Connection,
    verb: Verb,
    name: &'a str,
    kind: PhantomData<fn() -> K>,
}

/// A request as `kube` builds it.
type Built = Result<http::Request<Vec<u8>>, kube::core::request::Error>;

// === impl Operation ===

impl<'a, K: Resource<DynamicType = ()> + DeserializeOwned> Operation<'a, K> {
    pub fn new(connection: &'a Connection, verb: Verb, name: &'a str) -> Self {
        Self { connection, verb, name, kind: PhantomData }
    }

    /// Returns the request builder for the kind, in the connection's namespace.
    pub fn path(&self) -> Request {
        Request::new(K::url_path(&(), Some(self.connection.namespace())))
    }

    /// Makes the call and retries it where that is safe. If the namespace is missing, creates it once, provided that
    /// `namespace` is set.
    ///
    /// # Errors
    /// Returns the error of the last call. The outcome is unknown if any of the calls may have taken effect.
    pub async fn run(
        &self,
        build: impl Fn() -> Built,
        namespace: Option<&Namespace>,
    ) -> Result<K, ClassifiedError> {
        // Not retried: a connection does not appear within a call.
        let calls = self.connection.calls().map_err(|error| classify(self.verb, &error))?;
        let begun = Instant::now();
        let deadline = self.deadline();
        let mut namespace = namespace;
        let mut perhaps_done = false;
        let mut tries = 0;
        loop {
            tries += 1;
            let failed = match self.once(&calls, &build, deadline.saturating_sub(begun.elapsed())).await {
                Ok(object) => return Ok(self.log_done(tries, object)),
                Err(failed) => failed,
            };
            self.log_failed(tries, &failed);
            perhaps_done |= failed.certainty == Certainty::Unknown;
            if failed.fault.kind == ClusterErrorKind::NamespaceMissing
                && let Some(namespace) = namespace.take()
            {
                let left = deadline.saturating_sub(begun.elapsed());
                match timeout(left, namespace.ensure()).await {
                    Ok(Ok(())) => {}
                    Ok(Err(fault)) => return Err(ClassifiedError { fault, certainty: Certainty::NotDone }),
                    Err(_) => return Err(failed),
                }
            }
            let progress = Progress { tries, elapsed: begun.elapsed(), deadline, jitter: retry::jitter() };
            match retry::decide(self.verb, &failed, progress) {
                Next::TryAfter(wait) => tokio::time::sleep(wait).await,
                Next::GiveUp if perhaps_done => {
                    return Err(ClassifiedError { certainty: Certainty::Unknown, ..failed });
                }
                Next::GiveUp => return Err(failed),
            }
        }
    }

    async fn once(
        &self,
        calls: &Calls,
        build: &impl Fn() -> Built,
        left: Duration,
    ) -> Result<K, ClassifiedError> {
        let request = build().map_err(|error| ClassifiedError {
            fault: ClusterError::new(ClusterErrorKind::Invalid, &error.to_string()),
            certainty: Certainty::NotDone,
        })?;
        let answer = match self.verb {
            Verb::Create => calls.create(request, left).await,
            Verb::Delete | Verb::Patch | Verb::Get | Verb::List | Verb::Watch => {
                calls.request(request, left).await
            }
        };
        answer.map_err(|error| classify(self.verb, &error))
    }

    fn deadline(&self) -> Duration {
        match self.verb {
            Verb::Create | Verb::Delete | Verb::Patch => self.connection.limits().write,
            Verb::Get | Verb::List | Verb::Watch => self.connection.limits().read,
        }
    }

    fn log_done(&self, tries: u32, object: K) -> K {
        tracing::debug!(verb = ?self.verb, kind = %K::kind(&()), name = self.name, tries, "call done");
        object
    }

    fn log_failed(&self, tries: u32, failed: &ClassifiedError) {
        let ClassifiedError { fault, certainty } = failed;
        tracing::debug!(
            verb = ?self.verb, kind = %K::kind(&()), name = self.name, tries, %fault, ?certainty, "call failed"
        );
    }
}
