//! The settings of access control.

use std::collections::HashMap;

use super::user::User;

/// How callers are told apart, and whether their rights are asked for.
///
/// ```
/// use simcluster::{AccessOptions, User};
///
/// let access = AccessOptions::rbac().token("let-me-in", User::admin());
/// assert!(access.rbac);
/// ```
#[derive(Clone, Default)]
pub struct AccessOptions {
    /// Whether everything needs a right that a role gives. If not, everybody may do everything, and a token that
    /// nobody knows is no obstacle.
    pub rbac: bool,
    /// The users that tokens stand for. More can be added later: [`crate::Cluster::add_token`].
    pub(super) tokens: HashMap<String, User>,
}

// === impl AccessOptions ===

impl AccessOptions {
    /// Rights are asked for.
    #[must_use]
    pub fn rbac() -> Self {
        Self { rbac: true, tokens: HashMap::new() }
    }

    /// With a token that stands for a user.
    #[must_use]
    pub fn token(mut self, token: impl Into<String>, user: User) -> Self {
        self.tokens.insert(token.into(), user);
        self
    }
}

impl std::fmt::Debug for AccessOptions {
    /// Tokens are secrets: only their number is shown.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccessOptions")
            .field("rbac", &self.rbac)
            .field("tokens", &self.tokens.len())
            .finish_non_exhaustive()
    }
}
