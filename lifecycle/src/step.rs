//! The state machines of one sandbox: a pure function of the event, the observed objects and the time.
//!
//! The caller of [`step`] (the sandbox's actor) keeps the [`Sandbox`], passes in one [`Event`] at a time and executes
//! the [`Action`]s in order. A step contains at most one action that calls the cluster. The actor passes its outcome
//! back as the next event before it takes another message, so requests for one sandbox queue. The outcome first goes
//! into the shared view, so [`Context::seen`] already contains it.
//!
//! ```text
//! existence:
//!            Post                     old Pod gone
//! Steady ──────────▸ Creating ◂────────────────────── Waiting
//!    ▲ ▲               │ │ ▲                             ▲
//!    │ │ ready         │ │ └─ Read, Created ─┐           │ an object is terminating
//!    │ └───────────────┘ └───────────────────┴───────────┘
//!    │                 │ refused
//!    │   all gone      ▼       failed or unknown
//!    └────────────── Deleting ──────────────────▸ DeleteBackoff
//!                      ▲                               │
//!                      └─────── ConfirmingDelete ◂─────┘
//!
//! Steady ── orphan for 60 s ───▸ ConfirmingOrphan ─ confirmed ──▸ Deleting
//!
//! lifetime:
//! Steady ── idle ──────────────▸ Probing ────────── not busy ───▸ Reaping
//! Steady ── other limit ───────▸ Reaping ────────── unknown ────▸ ConfirmingReap ◂──▸ ReapUnknown
//! Steady ── used or returned ──▸ RecordingUse ───── Written ────▸ Steady, then Answer
//! Steady ── Event::Change ─────▸ Updating ───────── Written ────▸ Steady, then Answer
//! Steady ── Event::Resize ─────▸ Resizing ───────── Resized ────▸ Steady, then Answer
//! Steady ── ready after start ─▸ Resizing ───────── Resized ────▸ Steady
//! ```

mod context;
mod create;
mod decision;
mod delete;
mod existence;
mod lifetime;
mod lifetime_state;
mod reap;
mod resize;
mod steady;
#[cfg(test)]
mod tests;
mod types;

pub use self::{
    context::Context,
    steady::ORPHAN_GRACE,
    types::{Action, Event, Reply},
};
use self::{
    decision::{Step, answer},
    lifetime_state::LifetimeState,
    types::Stage,
};
use crate::observed::Expiry;

/// The in-memory state of one sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sandbox<W> {
    stage: Stage<W>,
    /// The lifetime of the current Pod; `None` without a Pod.
    lifetime: Option<LifetimeState>,
}

/// Decides the next stage and the actions that lead to it.
///
/// The function is total over all stages and events. An event that cannot occur (an outcome without a call) changes
/// nothing. A request during a call, which the actor never passes in, gets a retryable error.
pub fn step<W>(sandbox: Sandbox<W>, event: Event<W>, ctx: Context<'_>) -> (Sandbox<W>, Vec<Action<W>>) {
    let Sandbox { stage, lifetime } = sandbox;
    let lifetime = LifetimeState::observe(lifetime, &stage, &event, ctx);
    let mut step = Step { ctx, lifetime };
    let (stage, actions) = match (step.check_owner(&event), stage) {
        (Err(failure), stage) => (stage, answer(event.into_waiter(), &Err(failure))),
        (Ok(()), stage) if step.is_about_another_pod(&event) => {
            (stage, answer(event.into_waiter(), &Ok(Reply::Gone)))
        }
        (Ok(()), Stage::Steady { orphan_since }) => step.steady(orphan_since, event),
        (Ok(()), Stage::Existence(existence)) => step.existence(*existence, event),
        (Ok(()), Stage::Lifetime(lifetime)) => step.lifetime(lifetime, event),
    };
    (Sandbox { stage, lifetime: step.lifetime }, actions)
}

// === impl Sandbox ===

impl<W> Default for Sandbox<W> {
    fn default() -> Self {
        Self { stage: Stage::default(), lifetime: None }
    }
}

impl<W> Sandbox<W> {
    /// Returns whether the sandbox is unpublished, so that reads must not show it.
    #[must_use]
    pub fn is_unpublished(&self) -> bool {
        self.stage.is_unpublished()
    }

    /// Returns whether a deletion of the sandbox has been decided and is not over.
    #[must_use]
    pub fn is_being_deleted(&self) -> bool {
        self.stage.is_being_deleted()
    }

    /// Returns the expiry that callers are shown, if a limit applies.
    #[must_use]
    pub fn expiry(&self, ctx: Context<'_>) -> Option<Expiry> {
        self.lifetime.as_ref()?.expiry(ctx)
    }
}
