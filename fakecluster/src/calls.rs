//! The calls of the actors.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures::future::{BoxFuture, pending};
use lifecycle::{
    error::{ClusterError, ClusterErrorKind, SandboxError},
    ids::{ProfileName, SandboxId},
    lifetime::{LifetimeAnnotations, LifetimePatch, ReapReason},
    log::{LogQuery, LogStream, LogText},
    observed::{ObservedPod, ObservedService, Uid},
    placement::moving::DataHome,
    request::CreateRequest,
    spec::Resources,
    traits::{
        Busy, Cluster, Creation, Deletion, KnownUids, Lookup, Manifest, Manifests, Outcome, Preconditions,
    },
};
use tokio::time::sleep;

use crate::{FakeCluster, Mode};

impl FakeCluster {
    /// Makes a call, which is delayed, fails or panics if the test asks for it.
    pub(crate) async fn call(&self, call: String) -> Outcome<()> {
        if self.writes.is_dead() {
            return pending().await;
        }
        let (mode, faults) = {
            let mut state = self.state();
            (state.mode, state.note(call))
        };
        if let Some(delay) = faults.delay {
            sleep(delay).await;
        }
        assert!(!faults.panics, "as the test wants it");
        let error = |kind| ClusterError::new(kind, "as the test wants it");
        match mode {
            Mode::Down => Outcome::Refused(error(ClusterErrorKind::Unreachable)),
            Mode::Silent | Mode::Mute => {
                sleep(Duration::from_secs(8)).await;
                Outcome::Unknown(error(ClusterErrorKind::TimedOut))
            }
            Mode::Up | Mode::Stalled => match faults.refusal {
                None => Outcome::Done(()),
                Some(kind @ ClusterErrorKind::ServerError) => Outcome::Unknown(error(kind)),
                Some(kind) => Outcome::Refused(error(kind)),
            },
        }
    }

    /// Makes a call that only reads.
    async fn look(&self, call: String) -> Result<(), ClusterError> {
        match self.call(call).await {
            Outcome::Done(()) => Ok(()),
            Outcome::Refused(fault) | Outcome::Unknown(fault) => Err(fault),
        }
    }
}

impl Cluster for FakeCluster {
    /// A manifest is the number of the request that it was built from.
    fn manifests(&self, request: &CreateRequest) -> Result<Manifests, SandboxError> {
        if request.provision_lark_cli_broker {
            return Err(SandboxError::LarkBrokerNotConfigured);
        }
        let requests = &mut self.state().requests;
        let manifest = Manifest::new(Arc::new(requests.len().to_ne_bytes()));
        requests.push(request.clone());
        let pod = if request.extra_mounts.is_empty() {
            Ok(manifest.clone())
        } else {
            Err(SandboxError::BadRequest("not here".to_owned()))
        };
        Ok(Manifests { pod, service: manifest })
    }

    fn create_pod(
        &self,
        id: SandboxId,
        manifest: Manifest,
        _: Instant,
    ) -> BoxFuture<'_, Outcome<Creation<ObservedPod>>> {
        Box::pin(async move {
            self.write(format!("create_pod {id}"), |cluster| cluster.add_pod(&id, &manifest)).await
        })
    }

    fn create_service(
        &self,
        id: SandboxId,
        _: Manifest,
        _: Instant,
    ) -> BoxFuture<'_, Outcome<Creation<ObservedService>>> {
        Box::pin(async move {
            self.write(format!("create_service {id}"), |cluster| cluster.add_service(&id)).await
        })
    }

    fn delete_pod(
        &self,
        id: SandboxId,
        only: Preconditions,
    ) -> BoxFuture<'_, Outcome<Deletion<ObservedPod>>> {
        Box::pin(async move {
            self.write(format!("delete_pod {id}"), |cluster| cluster.terminate_pod(&id, only)).await
        })
    }

    fn delete_service(
        &self,
        id: SandboxId,
        only: Preconditions,
    ) -> BoxFuture<'_, Outcome<Deletion<ObservedService>>> {
        Box::pin(async move {
            self.write(format!("delete_service {id}"), |cluster| cluster.remove_service(&id, only.uid)).await
        })
    }

    fn write_annotations(
        &self,
        id: SandboxId,
        uid: Uid,
        annotations: LifetimePatch,
    ) -> BoxFuture<'_, Outcome<ObservedPod>> {
        Box::pin(async move {
            let change = |pod: &mut ObservedPod| pod.annotations = annotations.applied_to(&pod.annotations);
            let effect = |cluster: &Self| cluster.change_pod(&id, &uid, change);
            self.write(format!("write_annotations {id}"), effect).await
        })
    }

    fn namespace_uid(&self) -> Option<Uid> {
        self.state().namespace.clone()
    }

    fn keep_requests(&self, keeps_requests: bool) {
        self.state().keeps_requests = keeps_requests;
    }

    fn read_request(
        &self,
        id: SandboxId,
        uid: Uid,
    ) -> BoxFuture<'_, Result<Option<CreateRequest>, ClusterError>> {
        Box::pin(async move {
            self.look(format!("read_request {id}")).await?;
            let mut state = self.state();
            let Some(kept) = state.kept.get(&uid).cloned() else { return Ok(None) };
            let Some(pod) = state.pod_mut(&id).filter(|pod| pod.uid == uid) else {
                return Err(ClusterError::new(ClusterErrorKind::NotFound, ""));
            };
            let LifetimeAnnotations { limits, owner, last_activity: _ } = pod.annotations.clone();
            let first_created = pod.spec.origin.first_created.or(pod.created);
            Ok(Some(CreateRequest { limits, owner, first_created, ..kept }))
        })
    }

    fn data_home(&self, _: &CreateRequest) -> Result<DataHome, SandboxError> {
        Ok(self.state().data_home.clone().unwrap_or(DataHome::Nowhere))
    }

    fn check_resize(&self, _: Option<&ProfileName>, resources: &Resources) -> Result<(), SandboxError> {
        let refused = resources.ephemeral_storage.is_some();
        if refused { Err(SandboxError::BadRequest("beyond the bounds".to_owned())) } else { Ok(()) }
    }

    fn resize(&self, id: SandboxId, uid: Uid, to: Resources) -> BoxFuture<'_, Outcome<ObservedPod>> {
        Box::pin(async move {
            let call = format!("resize {id} {}", to.cpu.as_deref().unwrap_or_default());
            let effect = |cluster: &Self| {
                if let Some(kept) = cluster.state().kept.get_mut(&uid) {
                    kept.overrides.resources = to.clone();
                }
                cluster.change_pod(&id, &uid, |pod| {
                    (pod.spec.cpu_after_start, pod.spec.resources) = (None, Arc::new(to));
                })
            };
            self.write(call, effect).await
        })
    }

    fn probe_activity(&self, id: SandboxId, _: Arc<str>) -> BoxFuture<'_, Busy> {
        Box::pin(async move {
            let _ = self.look(format!("probe_activity {id}")).await;
            self.state().busy.get(&id).cloned().unwrap_or(Busy::No)
        })
    }

    fn read_log(&self, _: SandboxId, _: LogQuery) -> BoxFuture<'_, Result<LogText, ClusterError>> {
        Box::pin(pending())
    }

    fn follow_log(&self, _: SandboxId, _: LogQuery) -> BoxFuture<'_, Result<LogStream, ClusterError>> {
        Box::pin(pending())
    }

    fn record_event(&self, id: &SandboxId, _: &Uid, reason: ReapReason, dry_run: bool) {
        let event = format!("{id} {}{}", if dry_run { "would " } else { "" }, reason.name());
        self.state().events.push(event);
    }

    fn read(&self, id: SandboxId, _: KnownUids) -> BoxFuture<'_, Result<Lookup, ClusterError>> {
        Box::pin(async move {
            self.look(format!("read {id}")).await?;
            let seen = self.state().objects.get(&id).cloned().unwrap_or_default();
            Ok(Lookup { seen, foreign: None })
        })
    }

    fn find_pod(&self, id: SandboxId) -> BoxFuture<'_, Result<Option<Uid>, ClusterError>> {
        Box::pin(async move {
            self.look(format!("find_pod {id}")).await?;
            Ok(self.state().pod_mut(&id).map(|pod| pod.uid.clone()))
        })
    }
}
