//! The access control methods of [`Cluster`].

use std::time::Duration;

use super::jwt;
use super::state::AUDIENCE;
use super::token_request::{self, TokenSpec};
use super::user::User;
use crate::cluster::Cluster;
use crate::resource::SERVICE_ACCOUNTS;

/// Why a token was not created.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The service account does not exist.
    #[error("service account {namespace}/{name} not found")]
    NoAccount {
        /// The namespace.
        namespace: String,
        /// The name.
        name: String,
    },
    /// The operating system returned no random bytes for a token or a key.
    #[error("cannot create a token: the operating system has no randomness")]
    NoRandomness,
}

// === impl Cluster: access ===

impl Cluster {
    /// Returns whether RBAC is enabled.
    #[must_use]
    pub fn has_rbac(&self) -> bool {
        self.shared().access.rbac
    }

    /// Adds a token for a user.
    pub fn add_token(&self, token: impl Into<String>, user: User) {
        self.shared().access.tokens().insert(token.into(), user);
    }

    /// Creates a random token for a user.
    ///
    /// # Errors
    ///
    /// [`TokenError::NoRandomness`].
    pub fn issue_token(&self, user: User) -> Result<String, TokenError> {
        let token = jwt::opaque().ok_or(TokenError::NoRandomness)?;
        self.add_token(token.clone(), user);
        Ok(token)
    }

    /// Revokes a token that was added or issued. A service account token is revoked by deleting the account.
    pub fn revoke_token(&self, token: &str) {
        self.shared().access.tokens().remove(token);
    }

    /// Creates a token for a service account, like `kubectl create token`. It expires after the given time.
    ///
    /// # Errors
    ///
    /// [`TokenError::NoAccount`] and [`TokenError::NoRandomness`].
    pub fn service_account_token(
        &self,
        namespace: &str,
        name: &str,
        lifetime: Duration,
    ) -> Result<String, TokenError> {
        let shared = self.shared();
        let mut state = shared.state();
        let account = state.store.get(SERVICE_ACCOUNTS, namespace, name).ok_or_else(|| {
            TokenError::NoAccount { namespace: namespace.to_owned(), name: name.to_owned() }
        })?;
        let spec = TokenSpec {
            audiences: vec![AUDIENCE.to_owned()],
            seconds: i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX),
            bound: None,
        };
        token_request::issue(&shared.access, &mut state, &account, &spec, shared.clock.now())
            .map(|(token, _)| token)
            .ok_or(TokenError::NoRandomness)
    }
}
