//! Fault switches: rules that make chosen calls fail in chosen ways.
//!
//! A [`Rule`] says which calls it is about ([`Matcher`]), how often it strikes ([`Timing`]) and what then happens
//! ([`Effect`]). Deciding is pure ([`FaultTable::strike`]); the server in front of the handlers carries it out, and what
//! goes wrong with an open watch, the watch itself by its [`Twist`].

mod rule;
mod table;
mod twist;

pub use rule::{Effect, Matcher, Refusal, Rule, RuleError, Timing, WatchFault};
pub use table::{ActiveRule, RuleId};
pub(crate) use table::{FaultTable, Strike, Subject};
pub(crate) use twist::{Twist, Verdict};
