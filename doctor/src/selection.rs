//! The choice of checks.

use std::collections::BTreeSet;

use crate::{check::Check, checks, group::Group};

/// The checks to run.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// The named checks; empty for all.
    named: BTreeSet<&'static str>,
    /// Those of them that were named by their codes.
    by_code: BTreeSet<&'static str>,
    /// Whether slow checks run too.
    slow: bool,
}

/// Not the code of a check, and not the name of a group.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown check {:?}: expected a code such as SP0201, or a group: {}",
    .0.chars().take(40).collect::<String>(),
    Group::NAMES.join(", ")
)]
pub struct UnknownCheck(String);

// === impl Selection ===

impl Selection {
    /// Selects all checks, the slow ones too if asked.
    #[must_use]
    pub fn all(slow: bool) -> Self {
        Self { slow, ..Self::default() }
    }

    /// Selects checks by their codes or by the names of their groups; all if there are none.
    ///
    /// # Errors
    /// Returns the first name that is unknown.
    pub fn parse(names: &[String], slow: bool) -> Result<Self, UnknownCheck> {
        let mut selection = Self::all(slow);
        for name in names {
            let lower = name.to_ascii_lowercase();
            let group = Group::ALL.into_iter().find(|group| group.name() == lower);
            if let Some(group) = group {
                selection.named.extend(checks::all().filter(|check| check.group == group).map(|c| c.code));
            } else if let Some(check) = checks::find(&lower.to_ascii_uppercase()) {
                selection.named.insert(check.code);
                selection.by_code.insert(check.code);
            } else {
                return Err(UnknownCheck(name.clone()));
            }
        }
        Ok(selection)
    }

    /// Returns whether a check is shown.
    #[must_use]
    pub fn shows(&self, check: &Check) -> bool {
        self.named.is_empty() || self.named.contains(check.code)
    }

    /// Returns whether a check runs, rather than being left out because it is slow.
    #[must_use]
    pub fn runs(&self, check: &Check) -> bool {
        !check.is_slow || (self.slow && self.shows(check)) || self.by_code.contains(check.code)
    }

    /// Returns whether a slow check runs.
    pub(crate) fn asks_for(&self, code: &str) -> bool {
        checks::find(code).is_some_and(|check| self.runs(check))
    }

    /// Returns whether a check runs that takes longer than the others.
    #[must_use]
    pub fn is_slow(&self) -> bool {
        checks::all().any(|check| check.is_slow && self.runs(check))
    }
}
