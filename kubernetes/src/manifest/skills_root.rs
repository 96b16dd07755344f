//! The directory of a sandbox's skills, and its categories that a caller may mount itself.

use lifecycle::request::CreateRequest;

use super::mounts::Truncated;
use crate::profile::workspace::overlap;

/// The directory in the sandbox below which skills are mounted: an absolute, canonical path that does not overlap a
/// reserved directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SkillsRoot<'a>(&'a str);

lifecycle::named! {
    /// A directory below the [`SkillsRoot`].
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
    pub(super) enum SkillsCategory {
        Public = "public",
        Custom = "custom",
        Legacy = "legacy",
        Integrations = "integrations",
    }
}

/// The error for an invalid [`SkillsRoot`]. `Display` of the first three is DeerFlow's own text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum InvalidSkillsRoot {
    /// The path is relative, empty, or has two leading slashes.
    #[error("The skills container path must be an absolute non-root path")]
    NotAbsolute,
    /// The path is the root directory, or contains `//`, `.`, `..` or a trailing slash.
    #[error("The skills container path must not be root or contain redundant separators, '.' or '..'")]
    NotCanonical,
    /// The path is, contains or lies in a reserved directory.
    #[error("The skills container path '{path}' overlaps reserved sandbox path '{reserved}'")]
    Reserved { path: String, reserved: &'static str },
    /// Kubernetes accepts a NUL in a mount path, but the container then never starts.
    #[error("The skills container path must not contain NUL")]
    Unmountable,
}

/// The directories in a sandbox that DeerFlow uses for other data.
const RESERVED_PATHS: [&str; 3] = ["/mnt/user-data", "/mnt/acp-workspace", "/mnt/integrations/lark-cli"];

/// The skills root of a request that does not set one.
const DEFAULT: &str = "/mnt/skills";

// === impl SkillsRoot ===

impl<'a> SkillsRoot<'a> {
    /// Returns the skills root of a request.
    pub(super) fn of(request: &'a CreateRequest) -> Result<Self, InvalidSkillsRoot> {
        Self::parse(request.skills_container_path.as_deref().unwrap_or(DEFAULT))
    }

    fn parse(path: &'a str) -> Result<Self, InvalidSkillsRoot> {
        // POSIX gives exactly two leading slashes a special meaning.
        let Some(relative) = path.strip_prefix('/').filter(|rest| !rest.starts_with('/')) else {
            return Err(InvalidSkillsRoot::NotAbsolute);
        };
        if relative.split('/').any(|name| matches!(name, "" | "." | "..")) {
            return Err(InvalidSkillsRoot::NotCanonical);
        }
        if let Some(reserved) = RESERVED_PATHS.into_iter().find(|reserved| overlap(path, reserved)) {
            let path = Truncated(&path.escape_debug().to_string()).to_string();
            return Err(InvalidSkillsRoot::Reserved { path, reserved });
        }
        if path.contains('\0') {
            return Err(InvalidSkillsRoot::Unmountable);
        }
        Ok(Self(path))
    }

    pub(super) const fn as_str(self) -> &'a str {
        self.0
    }

    /// Returns the path of a category.
    pub(super) fn join(self, category: SkillsCategory) -> String {
        format!("{}/{}", self.0, category)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards which paths are valid, and which error each invalid path gets.
    #[test]
    fn roots_are_absolute_canonical_and_apart_from_reserved_paths() {
        use InvalidSkillsRoot::{NotAbsolute, NotCanonical, Unmountable};
        let reserved = |path: &str, reserved| InvalidSkillsRoot::Reserved { path: path.to_owned(), reserved };
        let [user_data, acp, lark] = RESERVED_PATHS;
        for path in [
            "/opt",
            "/mnt/skills/v2",
            "/mnt/user-data2",
            "/mnt/integrations/lark",
            "/~/a b",
            "/opt/...",
            "/技能",
            "/a:b",
        ] {
            assert_eq!(SkillsRoot::parse(path).unwrap().as_str(), path);
        }
        for (path, error) in [
            ("", NotAbsolute),
            ("opt", NotAbsolute),
            ("./opt", NotAbsolute),
            (r"C:\skills", NotAbsolute),
            ("//", NotAbsolute),
            ("//opt", NotAbsolute),
            ("///opt", NotAbsolute),
            ("/", NotCanonical),
            ("/opt/", NotCanonical),
            ("/opt//x", NotCanonical),
            ("/./opt", NotCanonical),
            ("/opt/..", NotCanonical),
            ("/opt/../mnt/user-data", NotCanonical),
            ("/mnt", reserved("/mnt", user_data)),
            ("/mnt/user-data", reserved("/mnt/user-data", user_data)),
            ("/mnt/user-data/a\tb", reserved(r"/mnt/user-data/a\tb", user_data)),
            ("/mnt/acp-workspace/x", reserved("/mnt/acp-workspace/x", acp)),
            ("/mnt/integrations", reserved("/mnt/integrations", lark)),
            ("/mnt/integrations/lark-cli/config", reserved("/mnt/integrations/lark-cli/config", lark)),
            ("/opt/a\0b", Unmountable),
        ] {
            assert_eq!(SkillsRoot::parse(path), Err(error), "{path:?}");
        }
    }

    /// Guards that a huge path is not returned whole.
    #[test]
    fn errors_repeat_only_the_start_of_a_long_path() {
        let path = format!("/mnt/user-data/{}", "é".repeat(100_000));
        assert!(SkillsRoot::parse(&path).unwrap_err().to_string().len() < 5_000);
    }
}
