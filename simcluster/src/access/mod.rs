//! Authentication, impersonation and role-based access control.
//!
//! Every request passes [`admit`] first: `authenticate` finds the user of its token, `impersonate` the user it acts
//! as, `attributes` the action, and `policy` decides. Roles and bindings are ordinary objects. Reviews ([`answer`])
//! return the same decisions without an action.

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
use authenticate::Authentication;
use options::AccessOptions;
use policy::Decision;
use user::User;

/// Returns the default roles and bindings; none without RBAC.
pub(crate) fn first_objects(options: &AccessOptions) -> Vec<(&'static Resource, serde_json::Value)> {
    if options.rbac { bootstrap::objects() } else { Vec::new() }
}

/// Authenticates and authorizes a request. Returns its user, or an error with status 401 or 403.
pub(crate) fn admit(shared: &Shared, head: &http::request::Parts, query: &Query) -> ApiResult<User> {
    let mut user = match authenticate::bearer(&head.headers) {
        None => User::anonymous(),
        Some(token) => match authenticate::token(shared, token, &[]) {
            Authentication::User(user) => user,
            Authentication::Invalid(_) if !shared.access.rbac => User::anonymous(),
            Authentication::Invalid(_) => {
                return Err(ApiError::new(StatusCode::UNAUTHORIZED, "Unauthorized", "Unauthorized"));
            }
        },
    };
    if let Some((other, rights)) = impersonate::impersonated(&head.headers)? {
        for right in &rights {
            demand(shared, &user, right)?;
        }
        user = other;
    }
    demand(shared, &user, &Attributes::of(&head.method, head.uri.path(), query))?;
    Ok(user)
}

/// Rejects an action that the user may not do.
fn demand(shared: &Shared, user: &User, attributes: &Attributes) -> ApiResult<()> {
    let Decision { allowed, reason } = decide(shared, user, attributes);
    if allowed { Ok(()) } else { Err(attributes.forbidden(user, &reason)) }
}

fn decide(shared: &Shared, user: &User, attributes: &Attributes) -> Decision {
    if !shared.access.rbac {
        return Decision { allowed: true, reason: String::new() };
    }
    policy::decide(&shared.state().store, user, attributes)
}
