//! A cluster that refuses all calls. The tests feed its view.

use std::{sync::Arc, time::Instant};

use futures::future::BoxFuture;
use jiff::Timestamp;
use lifecycle::{
    error::{ClusterError, ClusterErrorKind, SandboxError},
    ids::{ProfileName, SandboxId},
    lifetime::{LifetimeAnnotations, ReapReason},
    log::{LogQuery, LogStream, LogText},
    observed::{ObservedPod, ObservedService, Uid},
    request::CreateRequest,
    spec::Resources,
    traits::{
        Busy, Clock, Cluster, Creation, Deletion, KnownUids, Lookup, Manifest, Manifests, Outcome,
        Preconditions,
    },
};

/// The cluster.
pub struct Silent;

/// A wall clock that stands still.
pub struct Still;

fn refused<T: Send + 'static>() -> BoxFuture<'static, Outcome<T>> {
    Box::pin(async { Outcome::Refused(error()) })
}

fn error() -> ClusterError {
    ClusterError::new(ClusterErrorKind::Unreachable, "as the test wants it")
}

impl Cluster for Silent {
    fn manifests(&self, _: &CreateRequest) -> Result<Manifests, SandboxError> {
        Err(SandboxError::LarkBrokerNotConfigured)
    }

    fn create_pod(
        &self,
        _: SandboxId,
        _: Manifest,
        _: Instant,
    ) -> BoxFuture<'_, Outcome<Creation<ObservedPod>>> {
        refused()
    }

    fn create_service(
        &self,
        _: SandboxId,
        _: Manifest,
        _: Instant,
    ) -> BoxFuture<'_, Outcome<Creation<ObservedService>>> {
        refused()
    }

    fn delete_pod(&self, _: SandboxId, _: Preconditions) -> BoxFuture<'_, Outcome<Deletion<ObservedPod>>> {
        refused()
    }

    fn delete_service(
        &self,
        _: SandboxId,
        _: Preconditions,
    ) -> BoxFuture<'_, Outcome<Deletion<ObservedService>>> {
        refused()
    }

    fn write_annotations(
        &self,
        _: SandboxId,
        _: Uid,
        _: LifetimeAnnotations,
    ) -> BoxFuture<'_, Outcome<ObservedPod>> {
        refused()
    }

    fn check_resize(&self, _: Option<&ProfileName>, _: &Resources) -> Result<(), SandboxError> {
        Ok(())
    }

    fn resize(&self, _: SandboxId, _: Uid, _: Resources) -> BoxFuture<'_, Outcome<ObservedPod>> {
        refused()
    }

    fn probe_activity(&self, _: SandboxId, _: Arc<str>) -> BoxFuture<'_, Busy> {
        Box::pin(async { Busy::No })
    }

    fn record_event(&self, _: &SandboxId, _: &Uid, _: ReapReason, _: bool) {}

    fn read_log(&self, _: SandboxId, _: LogQuery) -> BoxFuture<'_, Result<LogText, ClusterError>> {
        Box::pin(async { Err(error()) })
    }

    fn follow_log(&self, _: SandboxId, _: LogQuery) -> BoxFuture<'_, Result<LogStream, ClusterError>> {
        Box::pin(async { Err(error()) })
    }

    fn read(&self, _: SandboxId, _: KnownUids) -> BoxFuture<'_, Result<Lookup, ClusterError>> {
        Box::pin(async { Err(error()) })
    }

    fn find_pod(&self, _: SandboxId) -> BoxFuture<'_, Result<Option<Uid>, ClusterError>> {
        Box::pin(async { Err(error()) })
    }
}

impl Clock for Still {
    fn wall(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }
}
