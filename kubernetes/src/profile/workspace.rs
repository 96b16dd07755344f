//! The field `workspace`: storage that outlives a sandbox's Pod.

use std::time::Duration;

use lifecycle::workspace::{
    Scope, WhenDeleted,
    retention::{KEEP_MAX, KEEP_MIN},
};
use serde_json::Value;

use super::{
    fields::{FieldError, boolean, bytes, one_of, text},
    quantity::Quantity,
    rules::{OBJECT_NAME, object_name},
};

/// The workspace of the sandboxes of a profile.
#[derive(Debug, Clone, PartialEq)]
pub struct Workspace {
    /// Its size.
    pub size: Quantity,
    /// The storage class; `None` for the cluster's default.
    pub storage_class: Option<String>,
    /// How nodes may mount it.
    pub access_mode: AccessMode,
    /// Where the sandbox has it.
    pub mount: Mount,
    /// The sandboxes that share it.
    pub scope: Scope,
    /// Whether it is kept or deleted after the last sandbox.
    pub when_deleted: WhenDeleted,
    /// How long it is kept after its last use.
    pub keep_for: Duration,
    /// The `VolumeSnapshot` whose data a new one has.
    pub source_snapshot: Option<String>,
}

lifecycle::named! {
    /// How nodes may mount a volume.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum AccessMode {
        /// The Pods of one node.
        ReadWriteOnce = "ReadWriteOnce",
        /// One Pod.
        ReadWriteOncePod = "ReadWriteOncePod",
        /// The Pods of all nodes.
        ReadWriteMany = "ReadWriteMany",
    }
}

/// Where a sandbox has its workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mount {
    /// At this path.
    Path(String),
    /// In place of the thread's own directory, with the sub-path that a claim of the users' data has.
    UserData,
}

/// The path of a workspace whose profile sets none.
pub const DEFAULT_MOUNT_PATH: &str = "/workspace";

/// How long a workspace is kept whose profile does not say so.
const DEFAULT_KEEP: Duration = Duration::from_secs(7 * 24 * 60 * 60);

const FIELDS: &str = "size, storage_class, access_mode, mount_path, scope, when_deleted, keep_for, source_snapshot and user_data";

const KEEP: &str = "a duration such as \"12h\" or \"7d\", between 1m and 3650d";

const MOUNT_PATH: &str = "an absolute path of at most 255 characters without \"..\", \".\", \"//\" and \":\" that does \
                          not overlap /mnt, /tmp or a directory of the system, such as \"/workspace\"";

/// The directories that the paths of workspaces must not overlap: those in which this program mounts other volumes, and
/// those without which no container starts.
const RESERVED: [&str; 15] = [
    "/mnt", "/tmp", "/dev", "/proc", "/sys", "/etc", "/bin", "/lib", "/lib32", "/lib64", "/libx32", "/sbin",
    "/usr", "/run", "/var/run",
];

impl Workspace {
    /// Parses the value of the field.
    pub(super) fn parse(value: &Value) -> Result<Self, FieldError> {
        let allowed = format!("a table with {FIELDS}");
        let fields = value.as_object().ok_or_else(|| FieldError::not_allowed(value, &allowed))?;
        let Some(size) = fields.get("size") else {
            return Err(FieldError::new(String::new(), "size is missing, such as \"10Gi\"".to_owned()));
        };
        let mut workspace = Self {
            size: bytes(size).map_err(|error| error.within(".size"))?,
            storage_class: None,
            access_mode: AccessMode::ReadWriteOnce,
            mount: Mount::Path(DEFAULT_MOUNT_PATH.to_owned()),
            scope: Scope::Sandbox,
            when_deleted: WhenDeleted::Keep,
            keep_for: DEFAULT_KEEP,
            source_snapshot: None,
        };
        let mut is_user_data = false;
        for (name, value) in fields {
            let within = |error: FieldError| error.within(&format!(".{name}"));
            match name.as_str() {
                "size" => {}
                "storage_class" => {
                    workspace.storage_class = Some(text(value, object_name, OBJECT_NAME).map_err(within)?);
                }
                "access_mode" => {
                    workspace.access_mode =
                        one_of(value, &AccessMode::NAMES, AccessMode::parse).map_err(within)?;
                }
                "mount_path" => {
                    workspace.mount = Mount::Path(text(value, mount_path, MOUNT_PATH).map_err(within)?);
                }
                "scope" => workspace.scope = one_of(value, &Scope::NAMES, Scope::parse).map_err(within)?,
                "when_deleted" => {
                    workspace.when_deleted =
                        one_of(value, &WhenDeleted::NAMES, WhenDeleted::parse).map_err(within)?;
                }
                "keep_for" => workspace.keep_for = text(value, keep_for, KEEP).map_err(within)?,
                "source_snapshot" => {
                    workspace.source_snapshot = Some(text(value, object_name, OBJECT_NAME).map_err(within)?);
                }
                "user_data" => is_user_data = boolean(value).map_err(within)?,
                _ => {
                    let message = format!("it is not a field of a workspace; the fields are {FIELDS}");
                    return Err(within(FieldError::new(String::new(), message)));
                }
            }
        }
        if is_user_data {
            if fields.contains_key("mount_path") {
                let message =
                    "it is not allowed with user_data = true, which mounts the workspace at /mnt/user-data";
                return Err(FieldError::new(".mount_path".to_owned(), message.to_owned()));
            }
            workspace.mount = Mount::UserData;
        }
        Ok(workspace)
    }
}

fn keep_for(text: &str) -> Option<Duration> {
    humantime::parse_duration(text).ok().filter(|keep| (KEEP_MIN..=KEEP_MAX).contains(keep))
}

/// Parses a path that a volume can be mounted at without hiding anything that a sandbox needs.
fn mount_path(text: &str) -> Option<String> {
    let relative = text.strip_prefix('/')?;
    let is_canonical = !relative.split('/').any(|name| matches!(name, "" | "." | ".."));
    let is_plain = text.len() <= 255 && !text.contains(|c: char| c.is_control() || c == ':' || c == '\\');
    let is_free = !RESERVED.iter().any(|reserved| overlap(text, reserved));
    (is_canonical && is_plain && is_free).then(|| text.to_owned())
}

/// Returns whether two canonical paths are equal or one contains the other.
pub(crate) fn overlap(a: &str, b: &str) -> bool {
    let contains = |outer: &str, inner: &str| {
        inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    contains(a, b) || contains(b, a)
}

#[cfg(test)]
mod tests;
