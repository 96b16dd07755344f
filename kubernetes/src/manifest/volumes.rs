//! The volumes of a sandbox: its skills, its user's data, and the extra mounts of the request.

use k8s_openapi::api::core::v1::{
    EmptyDirVolumeSource, HostPathVolumeSource, PersistentVolumeClaimVolumeSource, Volume, VolumeMount,
};
use lifecycle::request::CreateRequest;

use super::{
    MountError, SkillsCategory, SkillsRoot, Template, host_path,
    mounts::{self, Mount, MountPath},
    template::SkillsSource,
};

/// A volume and its only mount in a container.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Mounted {
    pub(super) volume: Volume,
    pub(super) mount: VolumeMount,
}

/// The requirement on a host directory when the Pod starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HostDir {
    /// The directory must exist. Used for read-only mounts: creating an empty directory would hide a mistake.
    Exists,
    /// The directory is created if it does not exist.
    ExistsOrMade,
}

/// Returns the default skills, read-only, without the categories that the caller mounts itself.
///
/// If one volume holds all categories, it is mounted and the caller's mounts are nested in it. It is left out only if
/// the caller mounts every category.
pub(super) fn skills(
    template: &Template,
    root: SkillsRoot<'_>,
    request: &CreateRequest,
    extra: &[Mount],
) -> Vec<Mounted> {
    let directory = |name: &str, path: &str, host_path: String| {
        Mounted::new(host_volume(name, host_path, HostDir::Exists), path, true)
    };
    let is_replaced = |category| extra.iter().any(|mount| mount.path == MountPath::Skills(category));
    if SkillsCategory::ALL.into_iter().all(is_replaced) {
        return Vec::new();
    }
    match template.skills() {
        SkillsSource::Claim { name, sub_path } => {
            let sub_path =
                sub_path.map(|template| template.render(request.user_id.as_str(), request.thread()));
            let mut volume = claim_volume("skills", name);
            if let Some(claim) = &mut volume.persistent_volume_claim {
                claim.read_only = Some(true);
            }
            vec![Mounted::new(volume, root.as_str(), true).with_sub_path(sub_path)]
        }
        SkillsSource::Directory(path) => vec![directory("skills", root.as_str(), path.to_owned())],
        SkillsSource::Views { host_base_dir } => {
            let users_own = |view| {
                host_path::join(host_base_dir, &["users", request.user_id.as_str(), "skills_view", view])
            };
            let everybodys = host_path::join(host_base_dir, &["skills_view", "public"]);
            let views = [
                ("skills-public", SkillsCategory::Public, everybodys),
                ("skills-custom", SkillsCategory::Custom, users_own("custom")),
                ("skills-legacy", SkillsCategory::Legacy, users_own("legacy")),
            ];
            let kept = views.into_iter().filter(|(_, category, _)| !is_replaced(*category));
            kept.map(|(name, category, path)| directory(name, &root.join(category), path)).collect()
        }
    }
}

/// Returns the thread's own directory, read-write.
pub(super) fn user_data(template: &Template, request: &CreateRequest) -> Mounted {
    const NAME: &str = "user-data";
    const PATH: &str = "/mnt/user-data";
    let thread = request.thread();
    if let Some(claim) = &template.userdata_pvc {
        let sub_path = format!("deer-flow/users/{}/threads/{thread}/user-data", request.user_id);
        return Mounted::new(claim_volume(NAME, claim), PATH, false).with_sub_path(Some(sub_path));
    }
    let host_path = host_path::join(&template.threads_host_path, &[thread, "user-data"]);
    Mounted::new(host_volume(NAME, host_path, HostDir::ExistsOrMade), PATH, false)
}

/// Returns the extra mounts of the request, numbered in their order.
pub(super) fn extra(
    template: &Template,
    root: SkillsRoot<'_>,
    mounts: &[Mount],
) -> Result<Vec<Mounted>, MountError> {
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
    mount: &Mount,
    name: &str,
    path: &str,
) -> Result<Mounted, MountError> {
    if let Some(claim) = &template.userdata_pvc {
        let sub_path = mounts::claim_sub_path(template, mount)?;
        let mounted = Mounted::new(claim_volume(name, claim), path, mount.read_only);
        return Ok(mounted.with_sub_path(Some(sub_path)));
    }
    let must = if mount.read_only { HostDir::Exists } else { HostDir::ExistsOrMade };
    Ok(Mounted::new(host_volume(name, mount.host_path.clone(), must), path, mount.read_only))
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

fn host_volume(name: &str, path: String, must: HostDir) -> Volume {
    let type_ = match must {
        HostDir::Exists => "Directory",
        HostDir::ExistsOrMade => "DirectoryOrCreate",
    };
    Volume {
        name: name.to_owned(),
        host_path: Some(HostPathVolumeSource { path, type_: Some(type_.to_owned()) }),
        ..Volume::default()
    }
}

fn claim_volume(name: &str, claim: &str) -> Volume {
    Volume {
        name: name.to_owned(),
        persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
            claim_name: claim.to_owned(),
            read_only: None,
        }),
        ..Volume::default()
    }
}

// === impl Mounted ===

impl Mounted {
    fn new(volume: Volume, path: &str, read_only: bool) -> Self {
        let mount = volume_mount(&volume.name, path, read_only);
        Self { volume, mount }
    }

    /// Mounts a sub-path of the volume. `None` and an empty text mount its root.
    fn with_sub_path(mut self, sub_path: Option<String>) -> Self {
        self.mount.sub_path = sub_path.filter(|path| !path.is_empty());
        self
    }
}
