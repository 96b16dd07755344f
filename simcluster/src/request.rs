//! A parsed API request.

use bytes::Bytes;

#[cfg(feature = "rbac")]
use crate::access::user::User;
use crate::calls::Verb;
use crate::query::Query;
use crate::route::Route;

/// A request with its complete body.
#[derive(Debug)]
pub(crate) struct Request {
    pub route: Route,
    pub verb: Verb,
    pub query: Query,
    pub content_type: String,
    pub accept: String,
    /// The default field manager of a write.
    #[cfg(feature = "kubectl")]
    pub user_agent: String,
    #[cfg(feature = "rbac")]
    pub user: User,
    pub body: Bytes,
}
