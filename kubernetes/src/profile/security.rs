//! The permissions of the containers of a Pod on the node.

/// The level of a profile, and the user of its containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Security {
    /// The level; `None` is [`Level::DeerFlow`].
    pub level: Option<Level>,
    /// The user id of all processes.
    pub run_as_user: Option<i64>,
    /// The group id of all processes.
    pub run_as_group: Option<i64>,
    /// The group that owns the volumes.
    pub fs_group: Option<i64>,
}

lifecycle::named! {
    /// A level of the [Pod Security Standards], or that of DeerFlow's provisioner.
    ///
    /// [Pod Security Standards]: https://kubernetes.io/docs/concepts/security/pod-security-standards/
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub enum Level {
        /// Not privileged, but with escalation of privileges, and with host paths.
        DeerFlow = "deerflow",
        /// The level `baseline`: no host paths.
        Baseline = "baseline",
        /// The level `restricted`: also no escalation, no capabilities, no root, and the runtime's seccomp profile.
        Restricted = "restricted",
    }
}

// === impl Security ===

impl Security {
    pub(super) fn or(self, base: Self) -> Self {
        Self {
            level: self.level.or(base.level),
            run_as_user: self.run_as_user.or(base.run_as_user),
            run_as_group: self.run_as_group.or(base.run_as_group),
            fs_group: self.fs_group.or(base.fs_group),
        }
    }

    /// Returns the level.
    #[must_use]
    pub fn level(self) -> Level {
        self.level.unwrap_or(Level::DeerFlow)
    }
}
