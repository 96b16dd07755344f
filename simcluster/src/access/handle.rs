//! What the handle on a cluster does about access.

use std::time::Duration;

use super::jwt;
use super::state::AUDIENCE;
use super::token_request::{self, Order};
use super::user::User;
use crate::cluster::Cluster;
use crate::resource::SERVICE_ACCOUNTS;

/// Why there is no token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// There is no such service account.
    #[error("there is no service account {namespace}/{name}")]
    NoAccount {
        /// The namespace.
        namespace: String,
        /// The name.
        name: String,
    },
    /// The system gives no random bits for a token or a key.
    #[error("no token can be made: the system gives no random bits")]
    NoRandomness,
}

// === impl Cluster: access ===

impl Cluster {
    /// Whether rights are asked for.
    #[must_use]
    pub fn has_rbac(&self) -> bool {
        self.shared().access.rbac
    }

    /// Makes a token stand for a user from now on.
    pub fn add_token(&self, token: impl Into<String>, user: User) {
        self.shared().access.tokens().insert(token.into(), user);
    }

    /// Makes up a token for a user, which nobody can guess.
    ///
    /// # Errors
    ///
    /// [`TokenError::NoRandomness`].
    pub fn issue_token(&self, user: User) -> Result<String, TokenError> {
        let token = jwt::opaque().ok_or(TokenError::NoRandomness)?;
        self.add_token(token.clone(), user);
        Ok(token)
    }

    /// Makes a token that was added or issued worthless. A service account's ends with the account.
    pub fn revoke_token(&self, token: &str) {
        self.shared().access.tokens().remove(token);
    }

    /// A token for a service account, as `kubectl create token` gives it; it holds for so long.
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
        let order = Order {
            audiences: vec![AUDIENCE.to_owned()],
            seconds: i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX),
            bound: None,
        };
        token_request::issue(&shared.access, &mut state, &account, &order, shared.clock.now())
            .map(|(token, _)| token)
            .ok_or(TokenError::NoRandomness)
    }
}
