//! What the routes need of the rest of the program.

use std::future::Future;

use actors::{sandboxes::Sandboxes, view::Edition};
use lifecycle::{failure::Failure, ids::SandboxId, request::CreateRequest, seen::Status};

/// The calls that the routes make. Cheap to clone: each request has its own.
///
/// Every future may be dropped when its caller goes away or its deadline passes; what was begun then goes
/// on or not, as the backend likes.
pub trait Backend: Clone + Send + Sync + 'static {
    /// Makes the sandbox, or finds it made.
    fn create(&self, request: CreateRequest) -> impl Future<Output = Result<Status, Failure>> + Send;

    /// Deletes the sandbox, or finds it gone.
    fn delete(&self, id: SandboxId) -> impl Future<Output = Result<(), Failure>> + Send;

    /// What is known of the sandbox; `None` when there is none.
    fn get(&self, id: &SandboxId) -> impl Future<Output = Result<Option<Status>, Failure>> + Send;

    /// All sandboxes that callers may know of, in the order of their ids.
    fn list(&self) -> impl Future<Output = Result<Vec<(SandboxId, Status)>, Failure>> + Send;

    /// Which state of things a list would show now: equal editions show equal lists, and an edition taken
    /// before a list is never newer than it. Fails where a list would.
    fn edition(&self) -> impl Future<Output = Result<Edition, Failure>> + Send;
}

impl Backend for Sandboxes {
    fn create(&self, request: CreateRequest) -> impl Future<Output = Result<Status, Failure>> + Send {
        Self::create(self, request)
    }

    fn delete(&self, id: SandboxId) -> impl Future<Output = Result<(), Failure>> + Send {
        Self::delete(self, id)
    }

    fn get(&self, id: &SandboxId) -> impl Future<Output = Result<Option<Status>, Failure>> + Send {
        Self::get(self, id)
    }

    fn list(&self) -> impl Future<Output = Result<Vec<(SandboxId, Status)>, Failure>> + Send {
        Self::list(self)
    }

    fn edition(&self) -> impl Future<Output = Result<Edition, Failure>> + Send {
        Self::edition(self)
    }
}
