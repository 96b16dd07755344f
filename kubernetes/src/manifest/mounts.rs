//! The extra mounts of a request, checked against the settings. Order and texts are those of DeerFlow's provisioner.

use std::{borrow::Cow, fmt};

use lifecycle::request::ExtraMount;

use super::{SkillsCategory, SkillsRoot, Template, host_path};
use crate::names;

/// The maximum number of extra mounts of a sandbox, as in DeerFlow's provisioner.
pub const MOUNTS_MAX: usize = 10;

/// The paths in a sandbox at which a caller may mount a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum MountPath {
    AcpWorkspace,
    /// A category below the [`SkillsRoot`].
    Skills(SkillsCategory),
    LarkConfig,
    LarkLocks,
    LarkData,
    LarkRuntime,
}

/// The error for invalid extra mounts. `Display` gives the text of DeerFlow's provisioner, which clients know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MountError {
    /// There are more than [`MOUNTS_MAX`] mounts.
    #[error("Too many extra mounts; max is {MOUNTS_MAX}")]
    TooMany,
    /// The host path, as given, is not absolute.
    #[error("Extra mount host path must be absolute: {}", Truncated(.0))]
    RelativeHostPath(String),
    /// The host path, as given, is outside of DeerFlow's state, which is below this root.
    #[error("Extra mount host path is outside DeerFlow state: {}", Truncated(.path))]
    OutsideState { path: String, root: String },
    /// The host path, normalized, cannot be mounted: it is the root of the users' data claim, or it contains a NUL.
    #[error("Invalid extra mount host path: {}", Truncated(.0))]
    InvalidHostPath(String),
    /// The path in the sandbox, as given, is not absolute.
    #[error("Extra mount path must be absolute: {}", Truncated(.0))]
    RelativePath(String),
    /// The path in the sandbox, as given, is not a supported mount path.
    #[error("Unsupported extra mount path: {}", Truncated(.0))]
    UnsupportedPath(String),
    /// Two mounts have this path in the sandbox.
    #[error("Duplicate extra mount path: {0}")]
    Duplicate(String),
}

/// A mount that has passed all checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    /// The path on the host: absolute, normalized and below the state's root.
    pub(super) host_path: String,
    /// The path in the sandbox.
    pub(super) path: MountPath,
    /// Whether the sandbox mounts it read-only.
    pub(super) read_only: bool,
}

/// A caller's text in an error message, truncated after [`Truncated::MAX`] bytes.
pub(super) struct Truncated<'a>(pub(super) &'a str);

/// Checks the mounts of a request in their order. Returns the first error.
pub(super) fn check<'a>(
    template: &Template,
    skills: SkillsRoot<'_>,
    mounts: impl IntoIterator<Item = &'a ExtraMount>,
) -> Result<Vec<Mount>, MountError> {
    let mounts: Vec<&ExtraMount> = mounts.into_iter().collect();
    if mounts.len() > MOUNTS_MAX {
        return Err(MountError::TooMany);
    }
    let root = state_root(template);
    let mut checked: Vec<Mount> = Vec::with_capacity(mounts.len());
    for mount in mounts {
        let mount = check_one(&root, skills, mount)?;
        if checked.iter().any(|other| other.path == mount.path) {
            return Err(MountError::Duplicate(mount.path.within(skills).into_owned()));
        }
        checked.push(mount);
    }
    Ok(checked)
}

/// Returns the sub-path of the users' data claim for a mount's host path.
///
/// The claim mirrors the state's root under `deer-flow/`. The root itself is never mounted.
pub(super) fn claim_sub_path(template: &Template, mount: &Mount) -> Result<String, MountError> {
    match host_path::below(&mount.host_path, &state_root(template)) {
        Some(names) if !names.is_empty() => Ok(format!("deer-flow/{}", names.join("/"))),
        _ => Err(MountError::InvalidHostPath(mount.host_path.clone())),
    }
}

fn check_one(root: &str, skills: SkillsRoot<'_>, mount: &ExtraMount) -> Result<Mount, MountError> {
    let host_path = host_path::normalize(&mount.host_path);
    if !host_path.starts_with('/') {
        return Err(MountError::RelativeHostPath(mount.host_path.clone()));
    }
    if host_path::below(&host_path, root).is_none() {
        return Err(MountError::OutsideState { path: mount.host_path.clone(), root: root.to_owned() });
    }
    if host_path.contains('\0') {
        // Kubernetes accepts a NUL, but the Pod then never starts.
        return Err(MountError::InvalidHostPath(mount.host_path.clone()));
    }
    let path = host_path::normalize(&mount.container_path);
    if !path.starts_with('/') {
        return Err(MountError::RelativePath(mount.container_path.clone()));
    }
    let path = MountPath::parse(&path, skills)
        .ok_or_else(|| MountError::UnsupportedPath(mount.container_path.clone()))?;
    Ok(Mount { host_path, path, read_only: mount.read_only })
}

/// Returns the normalized host directory that all mounts must be below. It is empty if there is none.
///
/// Without a base directory it is the parent of the threads' directory, if that is called `threads`.
fn state_root(template: &Template) -> String {
    if !template.host_base_dir.is_empty() {
        return host_path::normalize(&template.host_base_dir);
    }
    let threads = host_path::normalize(&template.threads_host_path);
    match host_path::split_last(&threads) {
        (parent, "threads") => parent.to_owned(),
        _ => String::new(),
    }
}

// === impl MountPath ===

impl MountPath {
    const ALL: [Self; 9] = [
        Self::AcpWorkspace,
        Self::Skills(SkillsCategory::Public),
        Self::Skills(SkillsCategory::Custom),
        Self::Skills(SkillsCategory::Legacy),
        Self::Skills(SkillsCategory::Integrations),
        Self::LarkConfig,
        Self::LarkLocks,
        Self::LarkData,
        Self::LarkRuntime,
    ];

    /// Returns the path in a sandbox with this skills root.
    pub(super) fn within(self, skills: SkillsRoot<'_>) -> Cow<'static, str> {
        match self {
            Self::AcpWorkspace => "/mnt/acp-workspace".into(),
            Self::Skills(category) => skills.join(category).into(),
            Self::LarkConfig => names::LARK_CONFIG_PATH.into(),
            Self::LarkLocks => "/mnt/integrations/lark-cli/config/locks".into(),
            Self::LarkData => names::LARK_DATA_PATH.into(),
            Self::LarkRuntime => names::LARK_RUNTIME_PATH.into(),
        }
    }

    /// Returns the supported path that a mount means, after normalizing it.
    pub(super) fn of(mount: &ExtraMount, skills: SkillsRoot<'_>) -> Option<Self> {
        Self::parse(&host_path::normalize(&mount.container_path), skills)
    }

    fn parse(normal: &str, skills: SkillsRoot<'_>) -> Option<Self> {
        Self::ALL.into_iter().find(|path| path.within(skills) == normal)
    }
}

// === impl Truncated ===

impl Truncated<'_> {
    /// The longest path in Linux (`PATH_MAX`, 4096 bytes). The rest of a longer text is not useful.
    const MAX: usize = 4096;
}

impl fmt::Display for Truncated<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = &self.0[..self.0.floor_char_boundary(Self::MAX)];
        f.write_str(head)?;
        if head.len() < self.0.len() {
            write!(f, "… ({} bytes)", self.0.len())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use lifecycle::{ids::SandboxId, request::CreateRequest};

    use super::*;

    fn template(threads: &str, base: &str) -> Template {
        Template {
            threads_host_path: threads.to_owned(),
            host_base_dir: base.to_owned(),
            ..Template::default()
        }
    }

    fn mount(host: &str, container: &str) -> ExtraMount {
        ExtraMount { host_path: host.to_owned(), container_path: container.to_owned(), read_only: false }
    }

    fn check(template: &Template, mounts: &[ExtraMount]) -> Result<Vec<Mount>, MountError> {
        super::check(template, SkillsRoot::of(&CreateRequest::new(id())).unwrap(), mounts)
    }

    fn id() -> SandboxId {
        SandboxId::parse("a").unwrap()
    }

    /// Guards the order of the checks: the host path before the path in the sandbox, and one mount after the other.
    /// Clients know which of two errors DeerFlow's provisioner returns.
    #[test]
    fn the_first_mistake_is_the_answer() {
        let template = template("/srv/threads", "/srv");
        let error = |mounts: &[ExtraMount]| check(&template, mounts).unwrap_err().to_string();
        let good = mount("/srv/x", "/mnt/acp-workspace");
        assert_eq!(error(&[mount("x", "y")]), "Extra mount host path must be absolute: x");
        assert_eq!(error(&[mount("", "")]), "Extra mount host path must be absolute: ");
        assert_eq!(error(&[mount("/x", "y")]), "Extra mount host path is outside DeerFlow state: /x");
        assert_eq!(error(&[mount("/srv/x", "y")]), "Extra mount path must be absolute: y");
        assert_eq!(error(&[mount("/srv/x", "")]), "Extra mount path must be absolute: ");
        assert_eq!(error(&[mount("/srv/x", "/mnt/../etc/")]), "Unsupported extra mount path: /mnt/../etc/");
        assert_eq!(
            error(&[good.clone(), mount("/srv/y", "/mnt/./acp-workspace//"), mount("x", "y")]),
            "Duplicate extra mount path: /mnt/acp-workspace"
        );
        assert_eq!(
            error(&[mount("/srv/x", "//mnt/acp-workspace")]),
            "Unsupported extra mount path: //mnt/acp-workspace",
            "two leading slashes are another root"
        );
        assert_eq!(error(&vec![good; 11]), "Too many extra mounts; max is 10");
    }

    /// Guards that the state's root without a base directory is the parent of `threads`, or empty.
    #[test]
    fn the_state_root_follows_the_settings() {
        for (threads, base, root) in [
            ("/data/threads", "/srv/deer-flow/", "/srv/deer-flow"),
            ("/data/threads", "", "/data"),
            ("/data//threads/", "", "/data"),
            ("/data/chats", "", ""),
            ("/threads", "", "/"),
            (r"C:\x\threads", "", ""),
            ("threads", "", ""),
            ("", "", ""),
        ] {
            assert_eq!(state_root(&template(threads, base)), root, "{threads:?} {base:?}");
        }
    }

    /// Guards that a NUL is rejected, because the Pod would never start, and that a huge path is not returned whole.
    #[test]
    fn odd_paths_are_refused_briefly() {
        let template = template("/srv/threads", "/srv");
        let nul = check(&template, &[mount("/srv/a\0b", "/mnt/acp-workspace")]);
        assert_eq!(nul, Err(MountError::InvalidHostPath("/srv/a\0b".to_owned())));
        let huge = check(&template, &[mount(&"é".repeat(100_000), "/mnt/acp-workspace")]);
        assert!(huge.unwrap_err().to_string().len() < 5_000);
    }

    #[test]
    fn the_claim_mirrors_the_state_root() {
        let template = template("/srv/threads", "/srv/");
        let sub_path = |host: &str| {
            claim_sub_path(&template, &check(&template, &[mount(host, "/mnt/acp-workspace")]).unwrap()[0])
        };
        assert_eq!(sub_path("/srv//a/./b/").as_deref(), Ok("deer-flow/a/b"));
        assert_eq!(sub_path("/srv/"), Err(MountError::InvalidHostPath("/srv".to_owned())));
    }
}
