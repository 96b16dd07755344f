//! Tests of the decision: each combination of states, and each order in which changes happen and are read.

use std::time::Duration;

use actors::view::View;
use jiff::Timestamp;
use lifecycle::{
    ids::{ClusterName, SandboxId},
    lifetime::LifetimeAnnotations,
    observed::{ObservedPod, ObservedService, PodTimes, ResourceVersion, Uid},
    phase::Phase,
    placement::replacement::Replacement,
    spec::{ObservedSpec, Origin},
    traits::{Clock, WatchEvent, WatchSink},
};

use super::*;

struct Still;

impl Clock for Still {
    fn wall(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }
}

/// Returns the change of a sandbox that was created at this time, or is unreadable.
fn change(cluster: &str, created: i64, is_replacement: bool, is_unreadable: bool) -> Arc<Change> {
    let id = SandboxId::parse("a").unwrap();
    let view = View::new(ClusterName::parse(cluster).unwrap(), Duration::from_secs(1), Arc::new(Still));
    let (uid, version) = (Uid(cluster.into()), ResourceVersion(1));
    if is_unreadable {
        view.pods(WatchEvent::Listed { objects: vec![], unreadable: vec![id.clone()], version });
    } else {
        let replaces = is_replacement.then_some(Replacement::Lost);
        let origin = Arc::new(Origin { replaces, ..Origin::default() });
        let pod = ObservedPod {
            uid: uid.clone(),
            version,
            phase: Phase::Running,
            ready: true,
            terminating: false,
            reason: None,
            created: Some(Timestamp::from_second(created).unwrap()),
            times: PodTimes::default(),
            spec: ObservedSpec { origin, ..ObservedSpec::default() },
            annotations: LifetimeAnnotations::default(),
        };
        let url = Some("http://h:1".into());
        let service = ObservedService { uid, version, terminating: false, url, internal_url: None };
        view.pods(WatchEvent::Applied(id.clone(), pod));
        view.services(WatchEvent::Applied(id.clone(), service));
    }
    view.latest_change(&id).unwrap()
}

/// Guards that the winner is fresh if it can be, then stale, and unreadable only if there is no other; and that among equal
/// ones the twins decide.
#[tokio::test(start_paused = true)]
async fn the_winner_is_what_a_get_returns() {
    let index = |shown: &[(bool, Arc<Change>)]| {
        let candidates = shown.iter().enumerate();
        let candidates: Vec<_> = candidates
            .map(|(part, (is_fresh, change))| Candidate { part, is_fresh: *is_fresh, change: change.clone() })
            .collect();
        winner(&candidates)
    };
    let old = change("east", 1, false, false);
    let new = change("west", 2, false, false);
    let replacement = change("west", 2, true, false);
    let unreadable = change("east", 1, false, true);
    for (shown, wanted) in [
        (&[][..], None),
        (&[(false, old.clone())], Some(0)),
        (&[(true, unreadable.clone())], Some(0)),
        (&[(true, old.clone()), (true, new.clone())], Some(0)),
        (&[(true, new.clone()), (true, old.clone())], Some(1)),
        (&[(true, old.clone()), (true, replacement.clone())], Some(1)),
        (&[(false, old.clone()), (true, new.clone())], Some(1)),
        (&[(true, old.clone()), (false, replacement.clone())], Some(0)),
        (&[(false, old.clone()), (false, replacement)], Some(1)),
        (&[(false, old.clone()), (false, new.clone()), (true, unreadable.clone())], Some(0)),
        (&[(true, unreadable.clone()), (true, new)], Some(1)),
        (&[(true, unreadable.clone()), (true, unreadable)], Some(0)),
    ] {
        assert_eq!(index(shown), wanted, "{shown:?}");
    }
}

/// The logs of two clusters about one sandbox, and a client that reads them.
#[derive(Clone, Default)]
struct Model {
    /// For each change, whether it is a replacement; `None` for an end.
    logs: [Vec<Option<bool>>; 2],
    read: [usize; 2],
    sent: Option<At>,
    /// The change of the copy.
    copy: Option<At>,
}

impl Model {
    fn shown(&self, part: usize) -> Option<bool> {
        self.logs[part].last().copied().flatten()
    }

    /// Returns the last change of the winner: a replacement, or otherwise the first cluster.
    fn winner(&self) -> Option<Winner> {
        let shown = [self.shown(0), self.shown(1)];
        let part = match shown {
            [None, None] => return None,
            [Some(_), None] | [Some(true), Some(_)] | [Some(false), Some(false)] => 0,
            [None, Some(_)] | [Some(false), Some(true)] => 1,
        };
        let at = At { part, number: self.logs[part].len() as u64 };
        Some(Winner { at, is_alone: shown.iter().flatten().count() == 1 })
    }

    /// Appends a change, if it is one.
    fn append(&mut self, part: usize, change: Option<bool>) -> bool {
        // An end of a sandbox that does not exist is not a change.
        let is_change = change.is_some() || self.shown(part).is_some();
        if is_change {
            self.logs[part].push(change);
        }
        is_change
    }

    /// Reads the next change. Returns whether there is one.
    fn read(&mut self, part: usize) -> bool {
        let n = self.read[part];
        let Some(change) = self.logs[part].get(n) else { return false };
        let before = n.checked_sub(1).and_then(|n| self.logs[part][n]);
        let at = At { part, number: n as u64 + 1 };
        let item = Item { at, is_gone: change.is_none(), is_added: change.is_some() && before.is_none() };
        let winner = self.winner();
        let (step, sent) = step(item, winner, self.sent);
        self.sent = sent;
        match step {
            Step::Read if item.is_gone => {
                assert_eq!(winner, None, "an end while a cluster shows the sandbox");
                self.copy = None;
            }
            Step::Read => self.copy = Some(at),
            Step::Winner { .. } => self.copy = winner.map(|winner| winner.at),
            Step::Nothing => assert_eq!(self.copy, winner.map(|winner| winner.at), "{self:?}"),
        }
        self.read[part] += 1;
        true
    }
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} read {:?}, sent {:?}, copy {:?}", self.logs, self.read, self.sent, self.copy)
    }
}

/// Guards that the copy is the last change of the winner once everything is read, that an end is sent only when no cluster shows
/// the sandbox, and that nothing is remembered of a sandbox that does not exist: for all histories of six steps.
#[test]
fn every_order_leads_to_the_winner() {
    fn explore(model: &Model, depth: usize) {
        for first in 0..2 {
            let mut drained = model.clone();
            while drained.read(first) || drained.read(1 - first) {}
            assert_eq!(drained.copy, drained.winner().map(|winner| winner.at), "{model:?} -> {drained:?}");
            assert!(drained.copy.is_some() || drained.sent.is_none(), "{drained:?}");
        }
        if depth == 0 {
            return;
        }
        for part in 0..2 {
            for change in [None, Some(false), Some(true)] {
                let mut next = model.clone();
                if next.append(part, change) {
                    explore(&next, depth - 1);
                }
            }
            let mut next = model.clone();
            if next.read(part) {
                explore(&next, depth - 1);
            }
        }
    }
    explore(&Model::default(), 6);
}

/// Guards the name of what is sent: another cluster's state replaces the copy's, and other changes keep their names.
#[test]
fn another_cluster_replaces() {
    let at = |part, number| At { part, number };
    let item = |part, number| Item { at: at(part, number), is_gone: false, is_added: false };
    let alone = |part, number| Some(Winner { at: at(part, number), is_alone: true });
    let of_two = |part, number| Some(Winner { at: at(part, number), is_alone: false });
    let gone = Item { is_gone: true, ..item(0, 5) };
    let added = Item { is_added: true, ..item(1, 5) };
    let winner = |is_replaced| Step::Winner { is_replaced };
    for (what, item, shown, sent, wanted) in [
        ("the only cluster", item(0, 5), alone(0, 5), None, (Step::Read, None)),
        ("its end", gone, None, Some(at(0, 4)), (Step::Read, None)),
        ("its end that is read late", gone, alone(0, 7), None, (winner(true), Some(at(0, 7)))),
        ("the end of the winner", gone, alone(1, 3), Some(at(0, 4)), (winner(true), Some(at(1, 3)))),
        ("the end of the loser", gone, alone(1, 3), Some(at(1, 3)), (Step::Nothing, Some(at(1, 3)))),
        ("a replacement", added, of_two(1, 5), None, (winner(true), Some(at(1, 5)))),
        ("a change of the winner", item(1, 6), of_two(1, 6), Some(at(1, 5)), (winner(false), Some(at(1, 6)))),
        ("a change of the loser", item(0, 6), of_two(1, 6), Some(at(1, 6)), (Step::Nothing, Some(at(1, 6)))),
        (
            "a change that was sent early",
            item(1, 5),
            alone(1, 6),
            Some(at(1, 6)),
            (Step::Nothing, Some(at(1, 6))),
        ),
        ("the last of them", item(1, 6), alone(1, 6), Some(at(1, 6)), (Step::Nothing, None)),
    ] {
        assert_eq!(step(item, shown, sent), wanted, "{what}");
    }
}
