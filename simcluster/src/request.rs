//! A request to the API, parsed.

use bytes::Bytes;

#[cfg(feature = "rbac")]
use crate::access::user::User;
use crate::calls::Verb;
use crate::query::Query;
use crate::route::Route;

/// A request with its whole body.
#[derive(Debug)]
pub(crate) struct Request {
    pub route: Route,
    pub verb: Verb,
    pub query: Query,
    pub content_type: String,
    pub accept: String,
    /// The field manager of a write that names none.
    #[cfg(feature = "kubectl")]
    pub user_agent: String,
    /// The authenticated caller.
    #[cfg(feature = "rbac")]
    pub user: User,
    pub body: Bytes,
}
