//! The clusters of the daemon behind one interface: each request goes to its cluster, or the answers of all are merged.
//!
//! ```text
//!  HTTP API ──Backend──▸ Fleet ──▸ member "west" ──▸ Sandboxes of the crate actors ──▸ its cluster
//!                          │
//!                          └─────▸ member "east" ──▸ Sandboxes of the crate actors ──▸ its cluster
//! ```
//!
//! Each member is a whole stack of its own: a slow cluster takes nothing from another. The views of the members tell where
//! a sandbox lives. A daemon with a single cluster has a fleet with one member.

pub mod backend;
pub mod changes;
pub mod check;
mod fleet;
pub mod list;
mod member;
mod placements;
pub mod position;
pub mod workspaces;

pub use self::{
    fleet::{Fleet, Move},
    member::Member,
};
