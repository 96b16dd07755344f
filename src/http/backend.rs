//! The interface between the routes and the rest of the program.

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

/// The calls that the routes make. Cheap to clone: each request has its own clone.
///
/// A future may be dropped when the client disconnects or the deadline passes. The backend decides whether the
/// work continues.
pub trait Backend: Clone + Send + Sync + 'static {
    /// Creates the sandbox if it does not exist.
    fn create(&self, request: CreateRequest) -> impl Future<Output = Result<Status, SandboxError>> + Send;

    /// Deletes the sandbox if it exists.
    fn delete(
        &self,
        id: SandboxId,
        owner: Option<Owner>,
    ) -> impl Future<Output = Result<(), SandboxError>> + Send;

    /// Records activity of the sandbox; `None` if it does not exist.
    fn touch(
        &self,
        id: SandboxId,
        owner: Option<Owner>,
    ) -> impl Future<Output = Result<Option<Status>, SandboxError>> + Send;

    /// Changes the sandbox's limits and records activity; `None` if it does not exist.
    fn change(
        &self,
        id: SandboxId,
        change: LimitsPatch,
        owner: Option<Owner>,
    ) -> impl Future<Output = Result<Option<Status>, SandboxError>> + Send;

    /// When and why the sandbox was reaped, if that was recent and it was not created again since.
    fn reaped(&self, id: &SandboxId) -> Option<Reaped>;

    /// The state of the reaper.
    fn reaper(&self) -> ReaperState;

    /// Resumes the reaper; returns whether it was stopped.
    fn resume_reaping(&self) -> bool;

    /// The state of the sandbox; `None` if it does not exist.
    fn get(&self, id: &SandboxId) -> impl Future<Output = Result<Option<Status>, SandboxError>> + Send;

    /// The uid of the sandbox's Pod; `None` if there is no Pod. An error if this is unknown.
    fn presence(&self, id: &SandboxId) -> impl Future<Output = Result<Option<Uid>, SandboxError>> + Send;

    /// All sandboxes that a LIST shows, in the order of their ids.
    fn list(&self) -> impl Future<Output = Result<Vec<(SandboxId, Status)>, SandboxError>> + Send;

    /// The revision of the list: equal revisions mean equal lists, and a revision read before a list is never
    /// newer than that list. Fails if a list would fail.
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
