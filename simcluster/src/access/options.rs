//! The settings of access control.

use std::collections::HashMap;

use super::user::User;

/// The tokens of users, and whether RBAC is enabled.
///
/// ```
/// use simcluster::{AccessOptions, User};
///
/// let access = AccessOptions::rbac().token("let-me-in", User::admin());
/// assert!(access.rbac);
/// ```
#[derive(Clone, Default)]
pub struct AccessOptions {
    /// Whether RBAC is enabled. Without it all requests are allowed, with an unknown token as well.
    pub rbac: bool,
    /// The users of static tokens. [`crate::Cluster::add_token`] adds more.
    pub(super) tokens: HashMap<String, User>,
}

// === impl AccessOptions ===

impl AccessOptions {
    /// Enables RBAC.
    #[must_use]
    pub fn rbac() -> Self {
        Self { rbac: true, tokens: HashMap::new() }
    }

    /// Adds a token for a user.
    #[must_use]
    pub fn token(mut self, token: impl Into<String>, user: User) -> Self {
        self.tokens.insert(token.into(), user);
        self
    }
}

impl std::fmt::Debug for AccessOptions {
    /// Shows only the number of tokens, which are secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AccessOptions")
            .field("rbac", &self.rbac)
            .field("tokens", &self.tokens.len())
            .finish_non_exhaustive()
    }
}
