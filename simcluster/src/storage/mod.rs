//! Storage: the controller that binds claims to volumes, a provisioner and a resizer.
//!
//! [`claim`] and [`volume`] decide the next step of a claim or a volume; [`object`] writes it. [`controller`] is the
//! shell: one task, and the times at which steps are due.

mod claim;
mod controller;
mod event;
mod names;
mod object;
mod volume;

pub(crate) use claim::is_bound;
pub(crate) use controller::run;
pub(crate) use names::{NO_PROVISIONER, SELECTED_NODE, claims_of, uses_claim};
pub(crate) use object::standard_class;
