//! The calls about the claims of workspaces.

use std::{collections::BTreeMap, time::Duration};

use futures::future::BoxFuture;
use jiff::Timestamp;
use kube::core::{
    ObjectList, Request, Resource,
    params::{self, DeleteParams, GetParams, ListParams, Patch, PatchParams, PostParams},
};
use lifecycle::{
    error::{ClusterError, ClusterErrorKind, SandboxError},
    ids::{ProfileName, SandboxId},
    observed::{ResourceVersion, Uid},
    traits::{Clock, Deletion, Outcome, Preconditions, Workspaces},
    workspace::{
        Size, Workspace, WorkspaceId,
        adoption::{Adoption, adopt},
        claim::ObservedClaim,
        retention::DeleteReason,
    },
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{KubeCluster, effect::Effect, is_terminating, no_uid, operation::Operation};
use crate::{
    fault::{Certainty, ClassifiedError, Verb, classify},
    manifest, names, observe,
    types::{Claim, Pod},
};

/// The wait before a claim that is in the way is read again. It doubles up to [`LONGEST_WAIT`].
const FIRST_WAIT: Duration = Duration::from_millis(100);

const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// How often the deletion of a new claim is tried while others write to it.
const WITHDRAWALS_MAX: u32 = 3;

/// The next step of a create about its claim.
enum Next {
    /// The claim can be mounted.
    Ready,
    /// The claim is gone or has changed, so it is created or read again.
    Again,
    /// The claim is being deleted.
    Wait,
}

impl KubeCluster {
    /// Creates the claim of a sandbox, or takes the existing one, before the sandbox's Pod is created. Waits for one that
    /// is being deleted, at most until this time. Returns the claim if this has created it.
    pub(super) async fn provide_workspace(
        &self,
        id: &SandboxId,
        wanted: &Workspace,
        until: std::time::Instant,
    ) -> Result<Option<ObservedClaim>, ClusterError> {
        let mut wait = FIRST_WAIT;
        loop {
            match self.create_claim(wanted, until).await {
                Ok(claim) => return Ok(Some(claim)),
                Err(error) if may_exist(&error) => {
                    let Some(claim) = self.read_claim(&wanted.id).await? else {
                        if error.certainty == Certainty::Unknown {
                            return Err(error.fault);
                        }
                        continue_by(until, &mut wait, wanted).await?;
                        continue;
                    };
                    match self.adopt(id, wanted, &claim, until).await? {
                        Next::Ready => return Ok(None),
                        Next::Again | Next::Wait => continue_by(until, &mut wait, wanted).await?,
                    }
                }
                Err(error) => return Err(error.fault),
            }
        }
    }

    async fn create_claim(
        &self,
        wanted: &Workspace,
        until: std::time::Instant,
    ) -> Result<ObservedClaim, ClassifiedError> {
        let name = names::claim(&wanted.id);
        let operation = Operation::<Claim>::new(&self.connection, Verb::Create, &name).until(until);
        let build = || operation.path().create(&PostParams::default(), wanted.manifest.to_vec());
        let created = operation.run(build, Some(Effect::Created), Some(&self.namespace)).await?;
        let observed = observe::claim(&created);
        if let Some((_, claim)) = observed.filter(|(id, claim)| *id == wanted.id && claim.ids == wanted.ids) {
            return Ok(claim);
        }
        // Without its labels it would never be deleted.
        if let Some(uid) = created.metadata.uid.as_deref() {
            let name = created.metadata.name.as_deref().unwrap_or(&name);
            if let Err(error) = self.delete_object(name, uid, None).await {
                tracing::warn!(name, fault = %error.fault, "a claim that a mutating admission has changed could not be deleted; delete it");
            }
        }
        let why = format!(
            "a mutating admission has changed the labels, the annotations or the name of PersistentVolumeClaim \
             {name:?}; exclude the namespace of the sandboxes from it"
        );
        Err(ClassifiedError {
            fault: ClusterError::new(ClusterErrorKind::Mutated, &why),
            certainty: Certainty::NotDone,
        })
    }

    /// Deletes a claim that a create has made and whose Pod was refused, so that another cluster can have the workspace. One
    /// that another create has taken stays.
    pub(super) async fn withdraw_claim(
        &self,
        id: &WorkspaceId,
        made: &ObservedClaim,
    ) -> Result<(), ClusterError> {
        let name = names::claim(id);
        let mut claim = made.clone();
        for _ in 0..WITHDRAWALS_MAX {
            let only = preconditions(&claim);
            match self.delete_object(&name, &only.uid.0, only.version).await {
                Ok(_) => return Ok(()),
                Err(error) if is_changed(&error) => {}
                Err(error) => return Err(error.fault),
            }
            // The controller of the claim writes to it too.
            match self.read_claim(id).await?.as_ref().and_then(observe::claim) {
                None => return Ok(()),
                Some((_, found)) if (&found.uid, found.last_used) == (&made.uid, made.last_used) => {
                    claim = found;
                }
                Some(_) => break,
            }
        }
        Err(ClusterError::new(ClusterErrorKind::WorkspaceInUse, "another sandbox uses it"))
    }

    async fn read_claim(&self, id: &WorkspaceId) -> Result<Option<Claim>, ClusterError> {
        let name = names::claim(id);
        let operation = Operation::<Claim>::new(&self.connection, Verb::Get, &name);
        match operation.run(|| operation.path().get(&name, &GetParams::default()), None, None).await {
            Ok(claim) => Ok(Some(claim)),
            Err(error) if error.fault.kind == ClusterErrorKind::NotFound => Ok(None),
            Err(error) => Err(error.fault),
        }
    }

    /// Takes an existing claim for a sandbox, if it can.
    async fn adopt(
        &self,
        id: &SandboxId,
        wanted: &Workspace,
        claim: &Claim,
        until: std::time::Instant,
    ) -> Result<Next, ClusterError> {
        let found = observe::claim(claim).map(|(_, found)| found);
        let found = match (adopt(wanted, found.as_ref()), found) {
            (Adoption::Refuse(fault), _) => return Err(fault),
            (Adoption::Wait, _) => return Ok(Next::Wait),
            (Adoption::Use, Some(found)) => return self.take(wanted, &found, until).await,
            (Adoption::Replace, Some(found)) => found,
            (Adoption::Use | Adoption::Replace, None) => return Ok(Next::Again),
        };
        // Only the sandbox's own Pod uses its claim. If that exists after all, the create of another finds it.
        if self.get::<Pod>(id).await?.is_some() {
            return Ok(Next::Ready);
        }
        let only = preconditions(&found);
        match self.delete_object(&names::claim(&wanted.id), &only.uid.0, only.version).await {
            Ok(_) => Ok(Next::Again),
            Err(error) if is_changed(&error) => Ok(Next::Again),
            Err(error) => Err(error.fault),
        }
    }

    /// Writes to a claim that a create takes it. That raises its resourceVersion, so a delete that was decided before
    /// fails.
    async fn take(
        &self,
        wanted: &Workspace,
        found: &ObservedClaim,
        until: std::time::Instant,
    ) -> Result<Next, ClusterError> {
        let annotations = BTreeMap::from([
            (names::LAST_USED, Some(self.connection.wall().to_string())),
            (names::UNUSED_SINCE, None),
            (names::WHEN_DELETED, Some(wanted.when_deleted.name().to_owned())),
            (names::KEEP_FOR, Some(humantime::format_duration(wanted.keep_for).to_string())),
        ]);
        match self.annotate(&wanted.id, &preconditions(found), &annotations, Some(until)).await {
            Ok(_) => Ok(Next::Ready),
            Err(error) if is_changed(&error) => Ok(Next::Again),
            Err(error) => Err(error.fault),
        }
    }

    async fn annotate(
        &self,
        id: &WorkspaceId,
        only: &Preconditions,
        annotations: &BTreeMap<&'static str, Option<String>>,
        until: Option<std::time::Instant>,
    ) -> Result<Claim, ClassifiedError> {
        let patch = json!({ "metadata": { "annotations": annotations } });
        self.patch(id, only, patch, Some(Effect::Annotated(annotations)), until).await
    }

    /// Patches a claim that meets the preconditions.
    async fn patch(
        &self,
        id: &WorkspaceId,
        only: &Preconditions,
        mut patch: Value,
        effect: Option<Effect<'_>>,
        until: Option<std::time::Instant>,
    ) -> Result<Claim, ClassifiedError> {
        patch["metadata"]["uid"] = json!(&*only.uid.0);
        if let Some(ResourceVersion(version)) = only.version {
            patch["metadata"]["resourceVersion"] = version.to_string().into();
        }
        let patch = Patch::Merge(patch);
        let name = names::claim(id);
        let operation = Operation::<Claim>::new(&self.connection, Verb::Patch, &name);
        let operation = match until {
            Some(until) => operation.until(until),
            None => operation,
        };
        operation.run(|| operation.path().patch(&name, &PatchParams::default(), &patch), effect, None).await
    }

    async fn delete_object(
        &self,
        name: &str,
        uid: &str,
        version: Option<ResourceVersion>,
    ) -> Result<Claim, ClassifiedError> {
        let params = DeleteParams {
            preconditions: Some(params::Preconditions {
                uid: Some(uid.to_owned()),
                resource_version: version.map(|ResourceVersion(number)| number.to_string()),
            }),
            ..DeleteParams::default()
        };
        let operation = Operation::<Claim>::new(&self.connection, Verb::Delete, name);
        operation.run(|| operation.path().delete(name, &params), Some(Effect::Deleted(uid)), None).await
    }

    /// Returns whether a Pod uses the workspace, whether or not it is terminating. Reads the API server, because the watch
    /// may lag behind.
    async fn is_in_use(&self, id: &WorkspaceId) -> Result<bool, ClusterError> {
        let limits = self.connection.limits();
        let params = ListParams::default().labels(&format!("{}={id}", names::WORKSPACE)).limit(1);
        let call = async {
            let path = Pod::url_path(&(), Some(self.connection.namespace()));
            let request = Request::new(path).list(&params).map_err(|_| None)?;
            let calls = self.connection.calls().map_err(Some)?;
            calls.request::<ObjectList<Pod>>(request, limits.read).await.map_err(Some)
        };
        match call.await {
            Ok(pods) => Ok(!pods.items.is_empty()),
            Err(Some(error)) => Err(classify(Verb::List, &error).fault),
            Err(None) => Err(ClusterError::new(ClusterErrorKind::Invalid, "the request could not be built")),
        }
    }

    /// Returns the claim of a write's answer.
    fn written_claim(id: &WorkspaceId, answer: Result<Claim, ClassifiedError>) -> Outcome<ObservedClaim> {
        match answer.map(|claim| observe::claim(&claim)) {
            Ok(Some((found, claim))) if found == *id => Outcome::Done(claim),
            Ok(_) => Outcome::Unknown(no_uid()),
            Err(error) => error.into(),
        }
    }
}

/// Waits before a create looks at its claim again. Fails if its time is over.
async fn continue_by(
    until: std::time::Instant,
    wait: &mut Duration,
    wanted: &Workspace,
) -> Result<(), ClusterError> {
    if Instant::now() + *wait >= Instant::from_std(until) {
        let why = format!("PersistentVolumeClaim \"{}\" is still being deleted", names::claim(&wanted.id));
        return Err(ClusterError::new(ClusterErrorKind::WorkspaceTerminating, &why));
    }
    sleep(*wait).await;
    *wait = (*wait * 2).min(LONGEST_WAIT);
    Ok(())
}

/// Returns whether the claim of a failed create may exist.
fn may_exist(error: &ClassifiedError) -> bool {
    error.certainty == Certainty::Unknown
        || matches!(error.fault.kind, ClusterErrorKind::AlreadyExists | ClusterErrorKind::Terminating)
}

/// Returns whether a write failed because the claim is gone or has changed since it was read.
fn is_changed(error: &ClassifiedError) -> bool {
    matches!(error.fault.kind, ClusterErrorKind::NotFound | ClusterErrorKind::Conflict)
}

/// Returns the preconditions that a claim is in exactly the observed state.
fn preconditions(claim: &ObservedClaim) -> Preconditions {
    let version = (claim.version != ResourceVersion::UNKNOWN).then_some(claim.version);
    Preconditions { uid: claim.uid.clone(), version }
}

impl Workspaces for KubeCluster {
    fn delete_claim(
        &self,
        id: WorkspaceId,
        Preconditions { uid, version }: Preconditions,
    ) -> BoxFuture<'_, Outcome<Deletion<ObservedClaim>>> {
        Box::pin(async move {
            match self.is_in_use(&id).await {
                Ok(false) => {}
                Ok(true) => {
                    let why = "a sandbox uses the workspace";
                    return Outcome::Refused(ClusterError::new(ClusterErrorKind::WorkspaceInUse, why));
                }
                Err(fault) => return Outcome::Refused(fault),
            }
            match self.delete_object(&names::claim(&id), &uid.0, version).await {
                Ok(claim) => {
                    let terminating =
                        Some(&claim).filter(|claim| is_terminating(*claim)).and_then(observe::claim);
                    Outcome::Done(
                        terminating.map_or(Deletion::Gone, |(_, claim)| Deletion::Terminating(claim)),
                    )
                }
                Err(error) if error.fault.kind == ClusterErrorKind::NotFound || error.is_uid_conflict() => {
                    Outcome::Done(Deletion::Gone)
                }
                Err(error) => error.into(),
            }
        })
    }

    fn mark_unused(
        &self,
        id: WorkspaceId,
        only: Preconditions,
        since: Timestamp,
    ) -> BoxFuture<'_, Outcome<ObservedClaim>> {
        Box::pin(async move {
            let annotations = BTreeMap::from([(names::UNUSED_SINCE, Some(since.to_string()))]);
            Self::written_claim(&id, self.annotate(&id, &only, &annotations, None).await)
        })
    }

    fn check_size(&self, profile: Option<&ProfileName>, size: &str) -> Result<Size, SandboxError> {
        manifest::workspace_size(&self.template, profile, size)
    }

    fn enlarge(
        &self,
        id: WorkspaceId,
        only: Preconditions,
        size: Size,
    ) -> BoxFuture<'_, Outcome<ObservedClaim>> {
        Box::pin(async move {
            let patch = json!({ "spec": { "resources": { "requests": { "storage": &*size.text } } }, "metadata": {} });
            let answer = self.patch(&id, &only, patch, None, None).await;
            Self::written_claim(&id, answer.map_err(explained))
        })
    }

    fn record_claim_event(&self, id: &WorkspaceId, claim: &Uid, reason: DeleteReason, dry_run: bool) {
        self.events.record_claim(id, claim, reason, dry_run);
    }
}

/// Gives the refusal of a class that does not let its volumes grow a name of its own. It comes from an admission plugin.
fn explained(error: ClassifiedError) -> ClassifiedError {
    let says = |words: &str| error.fault.message.contains(words);
    if !says("support resize") && !says("only dynamically provisioned pvc can be resized") {
        return error;
    }
    let fault = ClusterError::new(ClusterErrorKind::WorkspaceNotExpandable, &error.fault.message);
    ClassifiedError { fault, ..error }
}
