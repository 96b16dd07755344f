//! One operation on one object: up to three calls within a deadline.
//!
//! A write that is not answered is not given up while the API server answers reads, because a call that is dropped half
//! way makes an admission webhook work for nothing.

use std::{marker::PhantomData, time::Duration};

use kube::core::{Request, Resource, params::GetParams};
use lifecycle::error::{ClusterError, ClusterErrorKind};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep, timeout_at};

use super::effect::Effect;
use crate::{
    calls::Calls,
    connect::Connection,
    fault::{CallError, Certainty, ClassifiedError, Verb, classify},
    namespace::Namespace,
    retry::{self, Next, Progress},
};

/// An operation on an object of kind `K`.
pub struct Operation<'a, K> {
    connection: &'a Connection,
    verb: Verb,
    name: &'a str,
    deadline: Instant,
    kind: PhantomData<fn() -> K>,
}

/// A request as `kube` builds it.
type Built = Result<http::Request<Vec<u8>>, kube::core::request::Error>;

// === impl Operation ===

impl<'a, K: Resource<DynamicType = ()> + DeserializeOwned> Operation<'a, K> {
    /// Creates an operation with the deadline of its verb. The deadline of a create is that of its caller.
    pub fn new(connection: &'a Connection, verb: Verb, name: &'a str) -> Self {
        let limits = connection.limits();
        let deadline = match verb {
            Verb::Create | Verb::Delete | Verb::Patch => limits.unattended_write,
            Verb::Get | Verb::List | Verb::Watch => limits.read,
        };
        Self { connection, verb, name, deadline: Instant::now() + deadline, kind: PhantomData }
    }

    /// Sets the deadline.
    pub fn until(self, deadline: std::time::Instant) -> Self {
        Self { deadline: Instant::from_std(deadline), ..self }
    }

    /// Returns the request builder for the kind, in the connection's namespace.
    pub fn path(&self) -> Request {
        Request::new(K::url_path(&(), Some(self.connection.namespace())))
    }

    /// Makes the call and retries it where that is safe. If the namespace is missing, creates it once, provided that
    /// `namespace` is set. A read has no effect.
    ///
    /// # Errors
    /// Returns the error of the last call. The outcome is unknown if any of the calls may have taken effect.
    pub async fn run(
        &self,
        build: impl Fn() -> Built,
        effect: Option<Effect<'_>>,
        namespace: Option<&Namespace>,
    ) -> Result<K, ClassifiedError> {
        // Not retried: a connection does not appear within a call.
        let calls = self.connection.calls().map_err(|error| classify(self.verb, &error))?;
        let begun = Instant::now();
        let deadline = self.retries_end().min(self.deadline.saturating_duration_since(begun));
        let mut namespace = namespace;
        let mut perhaps_done = false;
        let mut tries = 0;
        loop {
            tries += 1;
            let failed = match self.once(&calls, &build, effect).await {
                Ok(object) => return Ok(self.log_done(tries, object)),
                Err(failed) => failed,
            };
            self.log_failed(tries, &failed);
            perhaps_done |= failed.certainty == Certainty::Unknown;
            if failed.fault.kind == ClusterErrorKind::NamespaceMissing
                && let Some(namespace) = namespace.take()
            {
                match timeout_at(self.deadline, namespace.ensure()).await {
                    Ok(Ok(())) => {}
                    Ok(Err(fault)) => return Err(ClassifiedError { fault, certainty: Certainty::NotDone }),
                    Err(_) => return Err(failed),
                }
            }
            let progress = Progress { tries, elapsed: begun.elapsed(), deadline, jitter: retry::jitter() };
            match retry::decide(self.verb, &failed, progress) {
                Next::TryAfter(wait) => sleep(wait).await,
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
        effect: Option<Effect<'_>>,
    ) -> Result<K, ClassifiedError> {
        let request = build().map_err(|error| ClassifiedError {
            fault: ClusterError::new(ClusterErrorKind::Invalid, &error.to_string()),
            certainty: Certainty::NotDone,
        })?;
        let begun = Instant::now();
        let left = self.deadline.saturating_duration_since(begun);
        let call = async {
            match self.verb {
                Verb::Create => calls.create(request, left).await,
                Verb::Delete | Verb::Patch | Verb::Get | Verb::List | Verb::Watch => {
                    calls.request(request, left).await
                }
            }
        };
        let answer = tokio::select! {
            biased;
            answer = call => answer,
            () = self.answer_is_lost(calls, effect) => Err(CallError::TimedOut { after: begun.elapsed() }),
        };
        answer.map_err(|error| classify(self.verb, &error))
    }

    /// Returns once waiting for the answer of a write is useless: a read shows what the write does, so the answer was
    /// lost, or the API server does not answer a read either.
    async fn answer_is_lost(&self, calls: &Calls, effect: Option<Effect<'_>>) {
        let Some(effect) = effect else { return std::future::pending().await };
        let limits = self.connection.limits();
        loop {
            sleep(limits.write).await;
            let Ok(request) = self.path().get(self.name, &GetParams::default()) else { continue };
            let object = match calls.request::<K>(request, limits.read).await {
                Ok(object) => Some(object),
                Err(error) => match classify(Verb::Get, &error).fault.kind {
                    ClusterErrorKind::NotFound => None,
                    ClusterErrorKind::Unreachable
                    | ClusterErrorKind::ServerError
                    | ClusterErrorKind::TimedOut => return,
                    _ => continue,
                },
            };
            if effect.is_shown_by(object.as_ref().map(K::meta)) {
                return;
            }
            tracing::debug!(verb = ?self.verb, kind = %K::kind(&()), name = self.name, "waiting for a slow admission");
        }
    }

    /// Returns the time after which no further try starts.
    fn retries_end(&self) -> Duration {
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
