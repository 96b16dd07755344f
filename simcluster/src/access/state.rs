//! The state of access control in one cluster.

use std::collections::HashMap;

use parking_lot::{Mutex, MutexGuard};

use super::jwt;
use super::options::AccessOptions;
use super::user::User;

/// The issuer of tokens, and the audience of tokens for the API server.
pub(super) const AUDIENCE: &str = "https://kubernetes.default.svc.cluster.local";

#[derive(Debug)]
pub(crate) struct Access {
    pub(super) rbac: bool,
    tokens: Mutex<HashMap<String, User>>,
    pub(super) signer: jwt::Signer,
}

// === impl Access ===

impl Access {
    pub fn new(options: &AccessOptions) -> Self {
        let AccessOptions { rbac, tokens } = options;
        Self { rbac: *rbac, tokens: Mutex::new(tokens.clone()), signer: jwt::Signer::default() }
    }

    pub(super) fn tokens(&self) -> MutexGuard<'_, HashMap<String, User>> {
        self.tokens.lock()
    }
}
