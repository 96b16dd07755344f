//! What the routes need of the rest of the program.

use std::future::Future;

use actors::{
    sandboxes::{Reaped, ReaperState, Sandboxes},
    view::Edition,
};
use lifecycle::{
    failure::Failure,
    ids::SandboxId,
    lifetime::{Owner, TermsChange},
    request::CreateRequest,
    seen::{Status, Uid},
};

/// The calls that the routes make. Cheap to clone: each request has its own.
///
/// Every future may be dropped when its caller goes away or its deadline passes; what was begun then goes
/// on or not, as the backend likes.
pub trait Backend: Clone + Send + Sync + 'static {
    /// Makes the sandbox, or finds it made.
    fn create(&self, request: CreateRequest) -> impl Future<Output = Result<Status, Failure>> + Send;

    /// Deletes the sandbox, or finds it gone.
    fn delete(&self, id: SandboxId, owner: Option<Owner>)
    -> impl Future<Output = Result<(), Failure>> + Send;

    /// Notes a sign of life of the sandbox; `None` when there is none.
    fn touch(
        &self,
        id: SandboxId,
        owner: Option<Owner>,
    ) -> impl Future<Output = Result<Option<Status>, Failure>> + Send;

    /// Changes the sandbox's limits, and notes a sign of life; `None` when there is none.
    fn change(
        &self,
        id: SandboxId,
        change: TermsChange,
        owner: Option<Owner>,
    ) -> impl Future<Output = Result<Option<Status>, Failure>> + Send;

    /// When and why the sandbox was reaped, if that was lately and it was not made anew since.
    fn reaped(&self, id: &SandboxId) -> Option<Reaped>;

    /// What the reaper is at.
    fn reaper(&self) -> ReaperState;

    /// Lets the reaper go on after it had stopped; says whether it had.
    fn lift_stop(&self) -> bool;

    /// What is known of the sandbox; `None` when there is none.
    fn get(&self, id: &SandboxId) -> impl Future<Output = Result<Option<Status>, Failure>> + Send;

    /// The uid of the sandbox's Pod; `None` when there is no Pod. Fails where that is not known.
    fn presence(&self, id: &SandboxId) -> impl Future<Output = Result<Option<Uid>, Failure>> + Send;

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

    fn delete(
        &self,
        id: SandboxId,
        owner: Option<Owner>,
    ) -> impl Future<Output = Result<(), Failure>> + Send {
        Self::delete(self, id, owner)
    }

    fn touch(
        &self,
        id: SandboxId,
        owner: Option<Owner>,
    ) -> impl Future<Output = Result<Option<Status>, Failure>> + Send {
        Self::touch(self, id, owner)
    }

    fn change(
        &self,
        id: SandboxId,
        change: TermsChange,
        owner: Option<Owner>,
    ) -> impl Future<Output = Result<Option<Status>, Failure>> + Send {
        Self::change(self, id, change, owner)
    }

    fn reaped(&self, id: &SandboxId) -> Option<Reaped> {
        Self::reaped(self, id)
    }

    fn reaper(&self) -> ReaperState {
        Self::reaper(self)
    }

    fn lift_stop(&self) -> bool {
        Self::lift_stop(self)
    }

    fn get(&self, id: &SandboxId) -> impl Future<Output = Result<Option<Status>, Failure>> + Send {
        Self::get(self, id)
    }

    fn presence(&self, id: &SandboxId) -> impl Future<Output = Result<Option<Uid>, Failure>> + Send {
        Self::presence(self, id)
    }

    fn list(&self) -> impl Future<Output = Result<Vec<(SandboxId, Status)>, Failure>> + Send {
        Self::list(self)
    }

    fn edition(&self) -> impl Future<Output = Result<Edition, Failure>> + Send {
        Self::edition(self)
    }
}
