//! What the routes need of the rest of the program.

use std::future::Future;

use actors::{
    sandboxes::{Reaped, ReaperState, Sandboxes},
    view::Revision,
};
use lifecycle::{
    error::SandboxError,
    ids::SandboxId,
    lifetime::{LimitsPatch, Owner},
    observed::{Status, Uid},
    request::CreateRequest,
};

/// The calls that the routes make. Cheap to clone: each request has its own.
///
/// Every future may be dropped when its caller goes away or its deadline passes; what was begun then goes
/// on or not, as the backend likes.
pub trait Backend: Clone + Send + Sync + 'static {
    /// Makes the sandbox, or finds it made.
    fn create(&self, request: CreateRequest) -> impl Future<Output = Result<Status, SandboxError>> + Send;

    /// Deletes the sandbox, or finds it gone.
    fn delete(
        &self,
        id: SandboxId,
        owner: Option<Owner>,
    ) -> impl Future<Output = Result<(), SandboxError>> + Send;

    /// Notes a sign of life of the sandbox; `None` when there is none.
    fn touch(
        &self,
        id: SandboxId,
        owner: Option<Owner>,
    ) -> impl Future<Output = Result<Option<Status>, SandboxError>> + Send;

    /// Changes the sandbox's limits, and notes a sign of life; `None` when there is none.
    fn change(
        &self,
        id: SandboxId,
        change: LimitsPatch,
        owner: Option<Owner>,
    ) -> impl Future<Output = Result<Option<Status>, SandboxError>> + Send;

    /// When and why the sandbox was reaped, if that was lately and it was not made anew since.
    fn reaped(&self, id: &SandboxId) -> Option<Reaped>;

    /// What the reaper is at.
    fn reaper(&self) -> ReaperState;

    /// Lets the reaper go on after it had stopped; says whether it had.
    fn resume_reaping(&self) -> bool;

    /// What is known of the sandbox; `None` when there is none.
    fn get(&self, id: &SandboxId) -> impl Future<Output = Result<Option<Status>, SandboxError>> + Send;

    /// The uid of the sandbox's Pod; `None` when there is no Pod. Fails where that is not known.
    fn presence(&self, id: &SandboxId) -> impl Future<Output = Result<Option<Uid>, SandboxError>> + Send;

    /// All sandboxes that callers may know of, in the order of their ids.
    fn list(&self) -> impl Future<Output = Result<Vec<(SandboxId, Status)>, SandboxError>> + Send;

    /// Which state of things a list would show now: equal revisions show equal lists, and a revision taken
    /// before a list is never newer than it. Fails where a list would.
    fn revision(&self) -> impl Future<Output = Result<Revision, SandboxError>> + Send;
}

impl Backend for Sandboxes {
    fn create(&self, request: CreateRequest) -> impl Future<Output = Result<Status, SandboxError>> + Send {
        Self::create(self, request)
    }

    fn delete(
        &self,
        id: SandboxId,
        owner: Option<Owner>,
    ) -> impl Future<Output = Result<(), SandboxError>> + Send {
        Self::delete(self, id, owner)
    }

    fn touch(
        &self,
        id: SandboxId,
        owner: Option<Owner>,
    ) -> impl Future<Output = Result<Option<Status>, SandboxError>> + Send {
        Self::touch(self, id, owner)
    }

    fn change(
        &self,
        id: SandboxId,
        change: LimitsPatch,
        owner: Option<Owner>,
    ) -> impl Future<Output = Result<Option<Status>, SandboxError>> + Send {
        Self::change(self, id, change, owner)
    }

    fn reaped(&self, id: &SandboxId) -> Option<Reaped> {
        Self::reaped(self, id)
    }

    fn reaper(&self) -> ReaperState {
        Self::reaper(self)
    }

    fn resume_reaping(&self) -> bool {
        Self::resume_reaping(self)
    }

    fn get(&self, id: &SandboxId) -> impl Future<Output = Result<Option<Status>, SandboxError>> + Send {
        Self::get(self, id)
    }

    fn presence(&self, id: &SandboxId) -> impl Future<Output = Result<Option<Uid>, SandboxError>> + Send {
        Self::presence(self, id)
    }

    fn list(&self) -> impl Future<Output = Result<Vec<(SandboxId, Status)>, SandboxError>> + Send {
        Self::list(self)
    }

    fn revision(&self) -> impl Future<Output = Result<Revision, SandboxError>> + Send {
        Self::revision(self)
    }
}
