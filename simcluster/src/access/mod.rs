//! Who a caller is, and what a caller may do: bearer tokens and role-based access control.
//!
//! A call comes by here before anything is made of it ([`admit`]): `authenticate` says whose its token is,
//! `impersonate` whom it wants to be, `attributes` what it asks for, and `policy` whether the rules say yes. Roles and
//! bindings are objects like all others. Reviews ([`answer`]) ask the same questions without acting.

mod accounts;
mod attributes;
mod authenticate;
mod bootstrap;
mod escalation;
mod handle;
mod impersonate;
mod jwt;
pub(crate) mod kubeconfig;
mod objects;
mod policy;
mod reviews;
mod rules;
pub(crate) mod tls;
mod token_request;
mod user;

use std::collections::HashMap;

use http::StatusCode;
use parking_lot::{Mutex, MutexGuard};

pub(crate) use accounts::admit as admit_account;
pub(crate) use escalation::guard as guard_rights;
pub use handle::TokenError;
pub(crate) use objects::{check as check_object, check_change, fill as fill_object};
pub(crate) use reviews::{Asked, answer};
pub use user::User;

use crate::query::Query;
use crate::resource::Resource;
use crate::shared::Shared;
use crate::status::{ApiError, ApiResult};
use attributes::Attributes;
use authenticate::Found;
use policy::Verdict;

/// The audience of tokens for the API server itself, which is also the name it issues them under.
const AUDIENCE: &str = "https://kubernetes.default.svc.cluster.local";

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
    tokens: HashMap<String, User>,
}

/// The state of access in one cluster.
#[derive(Debug)]
pub(crate) struct Access {
    rbac: bool,
    tokens: Mutex<HashMap<String, User>>,
    signer: jwt::Signer,
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

// === impl Access ===

impl Access {
    pub fn new(options: &AccessOptions) -> Self {
        let AccessOptions { rbac, tokens } = options;
        Self { rbac: *rbac, tokens: Mutex::new(tokens.clone()), signer: jwt::Signer::default() }
    }

    fn tokens(&self) -> MutexGuard<'_, HashMap<String, User>> {
        self.tokens.lock()
    }
}

/// The roles and bindings that a cluster starts with: none if nobody asks for them.
pub(crate) fn first_objects(options: &AccessOptions) -> Vec<(&'static Resource, serde_json::Value)> {
    if options.rbac { bootstrap::objects() } else { Vec::new() }
}

/// Lets a call in, as the user it is made by; or refuses it with 401 or 403.
pub(crate) fn admit(shared: &Shared, head: &http::request::Parts, query: &Query) -> ApiResult<User> {
    let mut user = match authenticate::bearer(&head.headers) {
        None => User::anonymous(),
        Some(token) => match authenticate::token(shared, token, &[]) {
            Found::User(user) => user,
            Found::Nobody(_) if !shared.access.rbac => User::anonymous(),
            Found::Nobody(_) => {
                return Err(ApiError::new(StatusCode::UNAUTHORIZED, "Unauthorized", "Unauthorized"));
            }
        },
    };
    if let Some((other, rights)) = impersonate::asked(&head.headers)? {
        for right in &rights {
            demand(shared, &user, right)?;
        }
        user = other;
    }
    demand(shared, &user, &Attributes::of(&head.method, head.uri.path(), query))?;
    Ok(user)
}

/// The refusal that somebody without any right would get.
pub(crate) fn forbidden(head: &http::request::Parts, query: &Query) -> ApiError {
    Attributes::of(&head.method, head.uri.path(), query).forbidden(&User::new("provisioner"), "")
}

/// Refuses what a user may not do.
fn demand(shared: &Shared, user: &User, attributes: &Attributes) -> ApiResult<()> {
    let Verdict { allowed, reason } = decide(shared, user, attributes);
    if allowed { Ok(()) } else { Err(attributes.forbidden(user, &reason)) }
}

fn decide(shared: &Shared, user: &User, attributes: &Attributes) -> Verdict {
    if !shared.access.rbac {
        return Verdict { allowed: true, reason: String::new() };
    }
    policy::decide(&shared.state().store, user, attributes)
}
