//! Who a caller is, and what a caller may do: bearer tokens and role-based access control.
//!
//! A call comes by here before anything is made of it ([`admit`]): `authenticate` says whose its token is,
//! `impersonate` whom it wants to be, `attributes` what it asks for, and `policy` whether the rules say yes. Roles and
//! bindings are objects like all others. Reviews ([`answer`]) ask the same questions without acting.

mod attributes;
mod authenticate;
mod bootstrap;
mod escalation;
pub(crate) mod handle;
mod impersonate;
mod jwt;
pub(crate) mod kubeconfig;
mod objects;
pub(crate) mod options;
mod policy;
pub(crate) mod review_kind;
pub(crate) mod reviews;
mod rules;
pub(crate) mod state;
pub(crate) mod tls;
mod token_request;
pub(crate) mod user;

use http::StatusCode;

pub(crate) use escalation::guard as guard_rights;
pub(crate) use objects::{check as check_object, check_change, fill as fill_object};

use crate::query::Query;
use crate::resource::Resource;
use crate::shared::Shared;
use crate::status::{ApiError, ApiResult};
use attributes::Attributes;
use authenticate::Found;
use options::AccessOptions;
use policy::Verdict;
use user::User;

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
