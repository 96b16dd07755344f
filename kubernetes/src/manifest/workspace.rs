//! The claim of a sandbox's workspace.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::{
    api::core::v1::{
        PersistentVolumeClaim, PersistentVolumeClaimSpec, TypedLocalObjectReference,
        VolumeResourceRequirements,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use lifecycle::{
    error::{ClusterError, ClusterErrorKind, SandboxError},
    ids::{ProfileName, UserId},
    operation::Operation,
    request::CreateRequest,
    workspace::{self, Scope, ScopeIds, Size, WhenDeleted, WorkspaceId},
};
use ring::digest;

use super::{SkillsRoot, Template, pod::find_profile};
use crate::{
    names,
    profile::{Mount, Profile, Quantity, Workspace, workspace::overlap},
};

/// The workspace of a request.
pub(super) struct Wanted<'a> {
    id: WorkspaceId,
    ids: ScopeIds,
    size: Quantity,
    when_deleted: WhenDeleted,
    profile: &'a ProfileName,
    workspace: &'a Workspace,
}

/// Checks the fields of a request about its workspace, which must be valid whether or not the sandbox exists.
pub(super) fn check(template: &Template, request: &CreateRequest) -> Result<(), SandboxError> {
    let Some(asked) = &request.workspace else { return Ok(()) };
    let Some(name) = &request.profile else {
        let why = "workspace: the request has no profile, and only a profile can have a workspace";
        return Err(SandboxError::BadRequest(why.to_owned()));
    };
    let profile = find_profile(template, name)?;
    let Some(workspace) = &profile.workspace else {
        let why = format!("workspace: the profile {name} has no workspace");
        return Err(SandboxError::BadRequest(why));
    };
    asked.size.as_deref().map_or(Ok(()), |size| size_of(name, profile, workspace, size).map(drop))
}

/// Checks whether an existing workspace of this profile may have this size.
pub(super) fn checked_size(
    template: &Template,
    profile: Option<&ProfileName>,
    size: &str,
) -> Result<Size, SandboxError> {
    let bounds = profile.and_then(|name| {
        let profile = template.profiles.get(name)?;
        Some((name, profile, profile.workspace.as_ref()?))
    });
    let Some((name, profile, workspace)) = bounds else {
        let why = match profile {
            Some(name) => {
                format!("size: the workspace has the profile {name}, which has no workspace any more")
            }
            None => "size: the workspace does not name its profile, whose bounds would apply".to_owned(),
        };
        return Err(SandboxError::BadRequest(why));
    };
    size_of(name, profile, workspace, size).map(|size| Size::from(&size))
}

impl From<&Quantity> for Size {
    fn from(quantity: &Quantity) -> Self {
        Self { text: quantity.as_str().into(), bytes: quantity.whole_bytes() }
    }
}

/// Parses the size that a request asks for, within the bounds of its profile.
fn size_of(
    name: &ProfileName,
    profile: &Profile,
    workspace: &Workspace,
    size: &str,
) -> Result<Quantity, SandboxError> {
    Ok(profile.overrides.check_workspace_size(name, size, Some(&workspace.size))?)
}

// === impl Wanted ===

impl<'a> Wanted<'a> {
    /// Returns the workspace of a request; `None` if its profile has none.
    ///
    /// # Errors
    /// The error for the client, if the request does not have the ids of the scope.
    pub(super) fn of(
        template: &'a Template,
        request: &'a CreateRequest,
    ) -> Result<Option<Self>, SandboxError> {
        check(template, request)?;
        let Some(profile_name) = &request.profile else { return Ok(None) };
        let profile = find_profile(template, profile_name)?;
        let Some(workspace) = &profile.workspace else { return Ok(None) };
        let ids = ids(workspace.scope, request).map_err(|missing| {
            SandboxError::BadRequest(format!(
                "workspace: that of the profile {profile_name} belongs to a {}, so the request needs {missing}",
                workspace.scope.name()
            ))
        })?;
        let asked = request.workspace.as_ref();
        let size = match asked.and_then(|asked| asked.size.as_deref()) {
            Some(size) => size_of(profile_name, profile, workspace, size)?,
            None => workspace.size.clone(),
        };
        let when_deleted = asked.and_then(|asked| asked.when_deleted).unwrap_or(workspace.when_deleted);
        Ok(Some(Self { id: id_of(&ids), ids, size, when_deleted, profile: profile_name, workspace }))
    }

    /// Checks that the workspace and the skills do not hide each other.
    pub(super) fn check_mounts(&self, skills: SkillsRoot<'_>) -> Result<(), SandboxError> {
        match &self.workspace.mount {
            Mount::Path(path) if overlap(path, skills.as_str()) => Err(SandboxError::BadRequest(format!(
                "The skills container path overlaps {path}, where the profile {} mounts the workspace",
                self.profile
            ))),
            Mount::Path(_) | Mount::UserData => Ok(()),
        }
    }

    /// Returns its id.
    pub(super) fn id(&self) -> WorkspaceId {
        self.id.clone()
    }

    /// Returns the claim that takes the place of the thread's own directory, if the profile says so.
    pub(super) fn user_data(&self) -> Option<String> {
        (self.workspace.mount == Mount::UserData).then(|| names::claim(&self.id))
    }

    /// Returns the claim and its path, if the workspace has a path of its own.
    pub(super) fn own_mount(&self) -> Option<(String, &'a str)> {
        match &self.workspace.mount {
            Mount::Path(path) => Some((names::claim(&self.id), path)),
            Mount::UserData => None,
        }
    }

    /// Adds what shows the workspace to the metadata of its Pod.
    pub(super) fn mark(&self, pod: &mut ObjectMeta) {
        let labels = pod.labels.get_or_insert_default();
        labels.insert(names::WORKSPACE.to_owned(), self.id.to_string());
        let annotations = pod.annotations.get_or_insert_default();
        annotations.insert(names::WORKSPACE_SIZE.to_owned(), self.size.as_str().to_owned());
        annotations.insert(names::WHEN_DELETED.to_owned(), self.when_deleted.name().to_owned());
    }

    /// Builds the claim.
    pub(super) fn claim(&self, template: &Template) -> PersistentVolumeClaim {
        let labels = [
            (names::MANAGED_BY, names::MANAGED_BY_VALUE),
            (names::WORKSPACE, self.id.as_str()),
            (names::WORKSPACE_SCOPE, self.ids.scope.name()),
            (names::PROFILE, self.profile.as_str()),
        ];
        let ScopeIds { scope: _, sandbox_id, thread_id, user_id } = &self.ids;
        let annotations = [
            (names::WORKSPACE_SANDBOX, sandbox_id.as_deref()),
            (names::THREAD_ID, thread_id.as_deref()),
            (names::USER_ID, user_id.as_deref()),
            (names::WHEN_DELETED, Some(self.when_deleted.name())),
            (names::KEEP_FOR, Some(&*self.keep_for())),
        ];
        let annotations =
            annotations.into_iter().filter_map(|(key, text)| Some((key.to_owned(), text?.to_owned())));
        let snapshot = self.workspace.source_snapshot.as_ref().map(|name| TypedLocalObjectReference {
            api_group: Some("snapshot.storage.k8s.io".to_owned()),
            kind: "VolumeSnapshot".to_owned(),
            name: name.clone(),
        });
        let storage = BTreeMap::from([("storage".to_owned(), self.size.to_kubernetes())]);
        PersistentVolumeClaim {
            metadata: ObjectMeta {
                name: Some(names::claim(&self.id)),
                namespace: Some(template.namespace.clone()),
                labels: Some(labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into()),
                annotations: Some(annotations.collect()),
                ..ObjectMeta::default()
            },
            spec: Some(PersistentVolumeClaimSpec {
                access_modes: Some(vec![self.workspace.access_mode.name().to_owned()]),
                storage_class_name: self.workspace.storage_class.clone(),
                resources: Some(VolumeResourceRequirements {
                    requests: Some(storage),
                    ..VolumeResourceRequirements::default()
                }),
                data_source: snapshot,
                ..PersistentVolumeClaimSpec::default()
            }),
            status: None,
        }
    }

    /// Converts it to what a create needs.
    pub(super) fn into_workspace(self, template: &Template) -> Result<workspace::Workspace, SandboxError> {
        let manifest = serde_json::to_vec(&self.claim(template)).map_err(|error| SandboxError::Refused {
            operation: Operation::CreateSandbox,
            fault: ClusterError::new(ClusterErrorKind::Invalid, &error.to_string()),
        })?;
        Ok(workspace::Workspace {
            size: Size::from(&self.size),
            storage_class: self.workspace.storage_class.as_deref().map(Arc::from),
            access_mode: self.workspace.access_mode.name().into(),
            when_deleted: self.when_deleted,
            keep_for: self.workspace.keep_for,
            manifest: manifest.into(),
            id: self.id,
            ids: self.ids,
        })
    }

    fn keep_for(&self) -> String {
        humantime::format_duration(self.workspace.keep_for).to_string()
    }
}

/// Returns the ids of a request's scope, or the name of the missing one.
///
/// A thread belongs to its user: two users with threads of the same id have different workspaces. The user of a request
/// without a `user_id` is shared by all callers, so it does not get a workspace.
fn ids(scope: Scope, request: &CreateRequest) -> Result<ScopeIds, &'static str> {
    let none = ScopeIds { scope, sandbox_id: None, thread_id: None, user_id: None };
    let user = Some(request.user_id.as_str().into());
    match scope {
        Scope::Sandbox => Ok(ScopeIds { sandbox_id: Some(request.sandbox_id.as_str().into()), ..none }),
        Scope::Thread => {
            let thread = request.thread_id.as_ref().ok_or("a thread_id")?;
            Ok(ScopeIds { thread_id: Some(thread.as_str().into()), user_id: user, ..none })
        }
        Scope::User if request.user_id == UserId::default() => Err("a user_id other than 'default'"),
        Scope::User => Ok(ScopeIds { user_id: user, ..none }),
    }
}

/// Computes the id of a workspace from its scope and ids. No id contains a line break.
pub(crate) fn id_of(ids: &ScopeIds) -> WorkspaceId {
    let ScopeIds { scope, sandbox_id, thread_id, user_id } = ids;
    let parts = [sandbox_id, thread_id, user_id].map(|id| id.as_deref().unwrap_or_default());
    let text = format!("{}\n{}", scope.name(), parts.join("\n"));
    let hash = digest::digest(&digest::SHA256, text.as_bytes());
    WorkspaceId::of_hash(hash.as_ref().iter().take(16).fold(0, |id, byte| id << 8 | u128::from(*byte)))
}

#[cfg(test)]
mod tests;
