//! The decision what a reader of several clusters sends of a sandbox.
//!
//! A copy has of each sandbox what a GET returns: the last change of the winner among the clusters that show the sandbox.
//! The decision depends on the present state of the clusters, and not on the order in which their changes are read. So all
//! readers come to the same copy, also after a disconnect.

use std::sync::Arc;

use actors::view::{Change, Visible};
use lifecycle::placement::twins::{self, Twin};

/// The state of a sandbox on a cluster that shows it.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    /// The index of the cluster.
    pub(super) part: usize,
    /// Whether the state of the cluster is known.
    pub(super) is_fresh: bool,
    /// The last change of the sandbox there.
    pub(super) change: Arc<Change>,
}

/// A change, by the index of the cluster and the number in its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct At {
    pub(super) part: usize,
    pub(super) number: u64,
}

/// A change that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) at: At,
    /// Whether the sandbox does not exist there since then.
    pub(super) is_gone: bool,
    /// Whether it did not exist there before.
    pub(super) is_added: bool,
}

/// The last change of the winner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Winner {
    pub(super) at: At,
    /// Whether no other cluster shows the sandbox.
    pub(super) is_alone: bool,
}

/// The item that is sent after a change was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The change that was read.
    Read,
    /// The last change of the winner. The copy has the state of another cluster so far, if this is set.
    Winner { is_replaced: bool },
    /// Nothing, because the copy has the last change of the winner.
    Nothing,
}

/// Returns the index of the candidate whose state a copy has.
///
/// It is the one that a GET returns. If a GET fails because the clusters that show the sandbox are stale, the copy keeps
/// their last state. Unlike a GET, lists and streams do not know which twin awaits its deletion: the log has
/// no such change.
pub(super) fn winner(candidates: &[Candidate]) -> Option<usize> {
    let rank = |candidate: &Candidate| {
        let is_unreadable = matches!(candidate.change.visible, Visible::Unreadable(_));
        (is_unreadable, !candidate.is_fresh)
    };
    let best = candidates.iter().map(rank).min()?;
    let equal = candidates.iter().enumerate().filter(|(_, candidate)| rank(candidate) == best);
    let equal: Vec<_> = equal.collect();
    let twins = equal.iter().map(|(_, candidate)| match &candidate.change.visible {
        Visible::Present(status) => Some(Twin::of(&status.cluster, status)),
        Visible::Unreadable(_) | Visible::Gone(_) => None,
    });
    let winner = twins.collect::<Option<Vec<_>>>().and_then(|twins| twins::winner(&twins)).unwrap_or(0);
    equal.get(winner).map(|(index, _)| *index)
}

/// Returns what is sent after a change was read, and which change the copy then has, if that must be remembered.
///
/// `sent` is the change that the copy has, if it is remembered. It is remembered while several clusters show the sandbox,
/// and until the reader has read it in the log of its cluster.
pub(super) fn step(item: Item, winner: Option<Winner>, sent: Option<At>) -> (Step, Option<At>) {
    let Some(Winner { at: winner, is_alone }) = winner else { return (Step::Read, None) };
    let is_own = is_alone && winner.part == item.at.part;
    // An end that is read late is not sent, because the sandbox was made again.
    if is_own && sent.is_none() && !item.is_gone {
        return (Step::Read, None);
    }
    let remembered = if is_own && item.at.number >= winner.number { None } else { Some(winner) };
    let is_replaced = match sent {
        Some(sent) if sent == winner => return (Step::Nothing, remembered),
        Some(sent) => sent.part != winner.part,
        None => item.is_gone || (item.is_added && item.at.part == winner.part),
    };
    (Step::Winner { is_replaced }, remembered)
}

#[cfg(test)]
mod tests;
