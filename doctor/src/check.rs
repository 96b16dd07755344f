//! The definition of a check and its outcome.

use crate::{facts::Facts, group::Group};

/// The check of the daemon that is about a cluster too.
const SEES_SANDBOXES: &str = "SP1307";

/// A statement that should be true, and a function of the facts that tells whether it is.
#[derive(Debug)]
pub struct Check {
    /// The stable code, such as `SP0201`. The first two digits are the group.
    pub code: &'static str,
    /// The group.
    pub group: Group,
    /// The statement, such as "the kubeconfig exists".
    pub title: &'static str,
    /// The codes of the checks without which this one means nothing.
    pub needs: &'static [&'static str],
    /// Whether it runs only on request.
    pub is_slow: bool,
    pub(crate) run: fn(&Facts) -> Outcome,
}

/// The subject of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// The settings, which are the same for all clusters.
    Settings,
    /// One cluster.
    Cluster,
    /// The daemon, of which there is one.
    Daemon,
}

/// The outcome of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The statement is true. The text has details, and may be empty.
    Passed(String),
    /// The daemon works, and something will or may go wrong.
    Warned(Finding),
    /// Sandboxes cannot be created, reached or deleted.
    Failed(Finding),
    /// It does not apply, or cannot be known. The text says why.
    Skipped(String),
}

/// The description of a fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The observation.
    pub found: String,
    /// The usual cause.
    pub cause: String,
    /// The remedy.
    pub action: String,
}

/// Defines a check that is not slow. The compiler finds its group by its code.
pub(crate) const fn check(
    code: &'static str,
    title: &'static str,
    needs: &'static [&'static str],
    run: fn(&Facts) -> Outcome,
) -> Check {
    let digits = code.as_bytes();
    let number = (digits[2] - b'0') * 10 + digits[3] - b'0';
    Check { code, group: Group::ALL[number as usize - 1], title, needs, is_slow: false, run }
}

// === impl Check ===

impl Check {
    /// Returns the subject of the check.
    pub(crate) fn scope(&self) -> Scope {
        match self.group {
            Group::Settings => Scope::Settings,
            // It compares the sandboxes of a cluster with those that the daemon lists.
            Group::Daemon if self.code == SEES_SANDBOXES => Scope::Cluster,
            Group::Daemon => Scope::Daemon,
            _ => Scope::Cluster,
        }
    }

    /// Returns the link into the documentation.
    #[must_use]
    pub fn doc(&self) -> String {
        format!("docs/doctor.md#{}", self.code.to_ascii_lowercase())
    }
}

// === impl Outcome ===

impl Outcome {
    pub(crate) fn passed(details: impl Into<String>) -> Self {
        Self::Passed(details.into())
    }

    pub(crate) fn skipped(why: impl Into<String>) -> Self {
        Self::Skipped(why.into())
    }

    pub(crate) fn failed(
        found: impl Into<String>,
        cause: impl Into<String>,
        action: impl Into<String>,
    ) -> Self {
        Self::Failed(Finding { found: found.into(), cause: cause.into(), action: action.into() })
    }

    pub(crate) fn warned(
        found: impl Into<String>,
        cause: impl Into<String>,
        action: impl Into<String>,
    ) -> Self {
        Self::Warned(Finding { found: found.into(), cause: cause.into(), action: action.into() })
    }
}
