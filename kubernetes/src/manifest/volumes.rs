//! The volumes of a sandbox: its skills, its user's data, and the extra mounts of the request.

use k8s_openapi::api::core::v1::{
    EmptyDirVolumeSource, HostPathVolumeSource, PersistentVolumeClaimVolumeSource, Volume, VolumeMount,
};
use lifecycle::request::CreateRequest;

use super::{
    MountError, SkillsCategory, SkillsRoot, Template, host_path,
    mounts::{self, MountPath},
};
use crate::names;

/// A volume and its only mount in a container.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct VolumeAndMount {
    pub(super) volume: Volume,
    pub(super) mount: VolumeMount,
}

/// Returns the default skills, read-only, without the categories that the caller mounts itself.
///
/// The claim takes precedence over the host directory. An operator who sets it no longer keeps skills on the hosts, and
/// a `SKILLS_HOST_PATH` that an older compose file still sets must not cause a hostPath volume.
///
/// If one volume holds all categories, it is mounted and the caller's mounts are nested in it. It is left out only if
/// the caller mounts every category.
pub(super) fn skills(
    template: &Template,
    root: SkillsRoot<'_>,
    request: &CreateRequest,
    extra: &[mounts::Mount],
) -> Vec<VolumeAndMount> {
    let is_replaced = |category| extra.iter().any(|mount| mount.path == MountPath::Skills(category));
    if SkillsCategory::ALL.into_iter().all(is_replaced) {
        return Vec::new();
    }
    if let Some(claim) = &template.skills_pvc {
        let sub_path = template.skills_pvc_sub_path.as_ref();
        let sub_path = sub_path.map(|path| path.render(request.user_id.as_str(), request.thread()));
        let mut skills = VolumeAndMount::claim("skills", claim, sub_path, root.as_str(), true);
        if let Some(claim) = &mut skills.volume.persistent_volume_claim {
            claim.read_only = Some(true);
        }
        return vec![skills];
    }
    if let Some(path) = &template.skills_host_path {
        return vec![VolumeAndMount::host_path("skills", path.clone(), root.as_str(), true)];
    }
    // Three host directories under DeerFlow's state: the public skills, the user's own and the user's legacy skills.
    let base = template.host_base_dir.as_str();
    let of_user = |view| host_path::join(base, &["users", request.user_id.as_str(), "skills_view", view]);
    let views = [
        ("skills-public", SkillsCategory::Public, host_path::join(base, &["skills_view", "public"])),
        ("skills-custom", SkillsCategory::Custom, of_user("custom")),
        ("skills-legacy", SkillsCategory::Legacy, of_user("legacy")),
    ];
    let kept = views.into_iter().filter(|(_, category, _)| !is_replaced(*category));
    kept.map(|(name, category, path)| VolumeAndMount::host_path(name, path, &root.join(category), true))
        .collect()
}

/// Returns the workspace of the sandbox, read-write.
pub(super) fn workspace(claim: &str, path: &str) -> VolumeAndMount {
    VolumeAndMount::claim("workspace", claim, None, path, false)
}

/// Returns the thread's own directory, read-write. The claim of a workspace may take the place of the settings' volume.
pub(super) fn user_data(
    template: &Template,
    request: &CreateRequest,
    workspace: Option<&str>,
) -> VolumeAndMount {
    const NAME: &str = "user-data";
    let thread = request.thread();
    if let Some(claim) = workspace.or(template.userdata_pvc.as_deref()) {
        let sub_path = format!("deer-flow/users/{}/threads/{thread}/user-data", request.user_id);
        return VolumeAndMount::claim(NAME, claim, Some(sub_path), names::USER_DATA_PATH, false);
    }
    let host_path = host_path::join(&template.threads_host_path, &[thread, "user-data"]);
    VolumeAndMount::host_path(NAME, host_path, names::USER_DATA_PATH, false)
}

/// Returns the extra mounts of the request, numbered in their order.
pub(super) fn extra(
    template: &Template,
    root: SkillsRoot<'_>,
    mounts: &[mounts::Mount],
) -> Result<Vec<VolumeAndMount>, MountError> {
    mounts
        .iter()
        .enumerate()
        .map(|(index, mount)| of_mount(template, mount, &format!("extra-{index}"), &mount.path.within(root)))
        .collect()
}

/// Returns one extra mount under the given volume name and path. Uses the users' data claim if one is set, else the
/// host path.
pub(super) fn of_mount(
    template: &Template,
    mount: &mounts::Mount,
    name: &str,
    path: &str,
) -> Result<VolumeAndMount, MountError> {
    if let Some(claim) = &template.userdata_pvc {
        let sub_path = mounts::claim_sub_path(template, mount)?;
        return Ok(VolumeAndMount::claim(name, claim, Some(sub_path), path, mount.read_only));
    }
    Ok(VolumeAndMount::host_path(name, mount.host_path.clone(), path, mount.read_only))
}

/// Returns a volume that exists as long as the Pod.
pub(super) fn empty_volume(name: &str) -> Volume {
    Volume { name: name.to_owned(), empty_dir: Some(EmptyDirVolumeSource::default()), ..Volume::default() }
}

/// Returns a mount of the volume with this name.
pub(super) fn volume_mount(name: &str, path: &str, read_only: bool) -> VolumeMount {
    VolumeMount {
        name: name.to_owned(),
        mount_path: path.to_owned(),
        read_only: Some(read_only),
        ..VolumeMount::default()
    }
}

// === impl VolumeAndMount ===

impl VolumeAndMount {
    /// Mounts a directory of the host. For a read-only mount the directory must exist: creating an empty directory
    /// would hide a mistake.
    fn host_path(name: &str, host_path: String, path: &str, read_only: bool) -> Self {
        let type_ = if read_only { "Directory" } else { "DirectoryOrCreate" };
        Self {
            volume: Volume {
                name: name.to_owned(),
                host_path: Some(HostPathVolumeSource { path: host_path, type_: Some(type_.to_owned()) }),
                ..Volume::default()
            },
            mount: volume_mount(name, path, read_only),
        }
    }

    /// Mounts a sub-path of a claim. `None` and an empty text mount its root.
    fn claim(name: &str, claim: &str, sub_path: Option<String>, path: &str, read_only: bool) -> Self {
        let claim = PersistentVolumeClaimVolumeSource {
            claim_name: claim.to_owned(),
            ..PersistentVolumeClaimVolumeSource::default()
        };
        Self {
            volume: Volume {
                name: name.to_owned(),
                persistent_volume_claim: Some(claim),
                ..Volume::default()
            },
            mount: VolumeMount {
                sub_path: sub_path.filter(|path| !path.is_empty()),
                ..volume_mount(name, path, read_only)
            },
        }
    }
}
