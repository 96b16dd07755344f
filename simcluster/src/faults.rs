//! Fault switches: rules that make chosen calls fail in chosen ways.
//!
//! A [`Rule`] has the calls that it matches ([`Matcher`]), how often it applies ([`Timing`]), and its effect
//! ([`Effect`]). The decision is pure ([`FaultTable::apply`]). The server in front of the handlers carries it out; an
//! open watch carries out its own faults with its [`WatchDelivery`].

mod delivery;
mod rule;
mod table;

pub(crate) use delivery::{Delivery, WatchDelivery};
pub use rule::{Effect, Matcher, Refusal, Rule, RuleError, Timing, WatchFault};
pub use table::{ActiveRule, RuleId};
pub(crate) use table::{CallFaults, FaultTable, Subject};
