//! The merged changes of several clusters.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::Arc,
};

use actors::view::{Change, ChangeKind, change_reader};
use lifecycle::ids::SandboxId;

use super::{
    News,
    choice::{self, At, Candidate, Item, Step, Winner},
    start::Begin,
};
use crate::{member::Member, position::Position};

/// A reader of several clusters.
///
/// A cluster that is stale at the beginning is held back: its last known sandboxes are not part of the present state, as a
/// list leaves them out too. They are sent when it is fresh.
#[derive(Clone)]
pub(crate) struct Merged {
    parts: Vec<Part>,
    /// The position up to which everything has been read.
    position: Position,
    /// The part that is read next, so that a busy cluster does not keep others waiting.
    next: usize,
    /// The items that are sent before anything else is read.
    due: VecDeque<Due>,
    /// The changes that the copy has, of sandboxes that several clusters show, or whose change was sent before it was read.
    sent: HashMap<SandboxId, At>,
    /// The sandbox, if it is about only one.
    only: Option<SandboxId>,
    /// Whether the copy has a sandbox, if it is about only one.
    has_sandbox: bool,
}

/// The reader of one cluster.
#[derive(Clone)]
struct Part {
    reader: change_reader::ChangeReader,
    reach: Reach,
    /// Whether the copy has had all changes of this cluster since the beginning, or since the last reset.
    is_synced: bool,
}

/// How well the state of a cluster is known, as far as the client has been informed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    Fresh,
    /// It is stale. The copy has its last known state.
    Stale,
    /// It is stale, and nothing is read until it is fresh.
    Held,
    /// It was held back and is fresh. The client is informed once it has its present state.
    Late,
}

/// An item that is sent before anything else is read.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Due {
    Reset,
    Stale(usize),
    Synced,
    /// The state of a sandbox that several clusters show.
    Twin(SandboxId),
}

// === impl Merged ===

impl Merged {
    /// Creates a reader of these members, about one sandbox or about all.
    pub(crate) fn new(members: &[Member], begin: &Begin, only: Option<&SandboxId>) -> Self {
        let (mut parts, mut position) = (Vec::new(), Vec::new());
        for (member, after) in members.iter().zip(&begin.after) {
            let view = member.sandboxes.view();
            let start = after.map_or(actors::view::Start::Present, actors::view::Start::After);
            let reader = match only {
                Some(id) => view.follow(id, start),
                None => view.changes(start),
            };
            let reach = match (view.is_fresh(), after) {
                (true, _) => Reach::Fresh,
                (false, Some(_)) => Reach::Stale,
                (false, None) => Reach::Held,
            };
            let part = Part { reader, reach, is_synced: false };
            position.push(after.or_else(|| part.beginning()));
            parts.push(part);
        }
        let mut merged = Self {
            parts,
            position: Position::new(position),
            next: 0,
            due: VecDeque::new(),
            sent: HashMap::new(),
            only: only.cloned(),
            has_sandbox: false,
        };
        if begin.is_reset {
            merged.due.push_back(Due::Reset);
        }
        merged.announce_stale();
        if begin.after.iter().any(Option::is_some) {
            // Another of them may be the winner than when the client disconnected.
            merged.compare_twins();
        }
        merged
    }

    /// Returns what comes next; `None` if that is nothing yet.
    pub(super) fn read(&mut self) -> Option<News> {
        loop {
            let news = if let Some(due) = self.due.pop_front() {
                self.announce(due)
            } else {
                self.release_held();
                match self.read_part() {
                    Some((part, news)) => self.merge(part, news),
                    None => return self.has_ended().then_some(News::Ended),
                }
            };
            if news.is_some() {
                return news;
            }
        }
    }

    pub(super) fn readers(&self) -> impl Iterator<Item = &change_reader::ChangeReader> {
        self.parts.iter().map(|part| &part.reader)
    }

    pub(super) fn position(&self) -> &Position {
        &self.position
    }

    /// Reads on, on one cluster after the other. Returns the index of the cluster with the item.
    fn read_part(&mut self) -> Option<(usize, change_reader::News)> {
        for _ in 0..self.parts.len() {
            let n = self.next;
            self.next = (n + 1) % self.parts.len();
            if let Some(news) = self.parts[n].read() {
                return Some((n, news));
            }
        }
        None
    }

    /// Returns what is sent for an item of a cluster.
    fn merge(&mut self, n: usize, news: change_reader::News) -> Option<News> {
        match news {
            change_reader::News::Change(change, position) => {
                self.position.set(n, Some(position));
                self.change(n, &change)
            }
            change_reader::News::Reset => Some(self.restart()),
            change_reader::News::Synced(position) => {
                self.position.set(n, Some(position));
                self.parts[n].is_synced = true;
                if self.parts[n].reach != Reach::Late {
                    return self.synced();
                }
                self.parts[n].reach = Reach::Fresh;
                self.due.push_front(Due::Synced);
                Some(News::Fresh(self.parts[n].reader.view().cluster().clone()))
            }
            change_reader::News::Stale(error) => {
                self.compare_twins();
                Some(News::Stale(self.parts[n].reader.view().cluster().clone(), error))
            }
            change_reader::News::Fresh => {
                self.compare_twins();
                Some(News::Fresh(self.parts[n].reader.view().cluster().clone()))
            }
            change_reader::News::Ended => Some(News::Ended),
        }
    }

    /// Returns what is sent after a cluster's change was read.
    fn change(&mut self, n: usize, change: &Arc<Change>) -> Option<News> {
        let item = Item {
            at: At { part: n, number: change.number() },
            is_gone: change.visible.is_gone(),
            is_added: change.kind == ChangeKind::Added,
        };
        let winner = self.winner(&change.id);
        let of_winner = winner.as_ref().map(|(winner, _)| *winner);
        let (step, sent) = choice::step(item, of_winner, self.sent.get(&change.id).copied());
        match sent {
            Some(at) => drop(self.sent.insert(change.id.clone(), at)),
            None => drop(self.sent.remove(&change.id)),
        }
        match (step, winner) {
            (Step::Nothing, _) => None,
            (Step::Winner { is_replaced }, Some((_, latest))) => {
                // A new copy has no state that could be replaced.
                Some(self.send(latest, is_replaced && self.parts[n].is_synced))
            }
            (Step::Read | Step::Winner { .. }, _) => Some(self.send(change.clone(), false)),
        }
    }

    fn send(&mut self, change: Arc<Change>, is_replaced: bool) -> News {
        self.has_sandbox = !change.visible.is_gone();
        let change = if is_replaced { Arc::new(change.as_replaced()) } else { change };
        News::Change(change, self.position.clone())
    }

    /// Returns the last change of the winner of a sandbox; `None` if no cluster shows it.
    fn winner(&self, id: &SandboxId) -> Option<(Winner, Arc<Change>)> {
        let candidate = |(part, of): (usize, &Part)| {
            let change = of.reader.view().latest_change(id)?;
            Some(Candidate { part, is_fresh: of.is_fresh(), change })
        };
        let parts = self.parts.iter().enumerate().filter(|(_, part)| part.reach != Reach::Held);
        let candidates: Vec<_> = parts.filter_map(candidate).collect();
        let Candidate { part, change, .. } = candidates.get(choice::winner(&candidates)?)?;
        let at = At { part: *part, number: change.number() };
        Some((Winner { at, is_alone: candidates.len() == 1 }, change.clone()))
    }

    fn announce(&mut self, due: Due) -> Option<News> {
        match due {
            Due::Reset => Some(News::Reset(Some(self.position.clone()))),
            Due::Stale(n) => {
                let view = self.parts[n].reader.view();
                Some(News::Stale(view.cluster().clone(), view.stale()))
            }
            Due::Synced => self.synced(),
            Due::Twin(id) => {
                let (winner, change) = self.winner(&id)?;
                let sent = self.sent.insert(id, winner.at);
                (sent != Some(winner.at))
                    .then(|| self.send(change, sent.is_some_and(|sent| sent.part != winner.at.part)))
            }
        }
    }

    /// Returns that the copy is complete, if all clusters that are read have been read.
    fn synced(&self) -> Option<News> {
        let is_synced = self.parts.iter().all(|part| part.is_synced || part.reach == Reach::Held);
        is_synced.then(|| News::Synced(self.position.clone()))
    }

    /// Begins again with the present state of all clusters.
    fn restart(&mut self) -> News {
        self.due.clear();
        self.sent.clear();
        self.has_sandbox = false;
        for (n, part) in self.parts.iter_mut().enumerate() {
            part.reach = match (part.reader.view().is_fresh(), part.reach) {
                (true, Reach::Fresh) => Reach::Fresh,
                (true, _) => Reach::Late,
                (false, _) => Reach::Held,
            };
            part.is_synced = false;
            part.reader.restart();
            self.position.set(n, part.beginning());
        }
        self.announce_stale();
        News::Reset(Some(self.position.clone()))
    }

    fn announce_stale(&mut self) {
        let stale = self.parts.iter().enumerate().filter(|(_, part)| !part.is_fresh());
        self.due.extend(stale.map(|(n, _)| Due::Stale(n)));
    }

    /// Begins with the present state of the clusters that were held back and are fresh.
    fn release_held(&mut self) {
        for (n, part) in self.parts.iter_mut().enumerate() {
            if part.reach == Reach::Held && part.reader.view().is_fresh() {
                part.reader.restart();
                part.reach = Reach::Late;
                self.position.set(n, part.beginning());
            }
        }
    }

    /// Compares the sandboxes that several clusters show. Another of them may be the winner.
    fn compare_twins(&mut self) {
        let views: Vec<_> = self
            .parts
            .iter()
            .filter(|part| part.reach != Reach::Held)
            .map(|part| part.reader.view())
            .collect();
        let mut twins = BTreeSet::new();
        for (n, view) in views.iter().enumerate() {
            let others = &views[n + 1..];
            let ids = match &self.only {
                _ if others.is_empty() => break,
                Some(id) => vec![id.clone()],
                None => view.ids(),
            };
            twins.extend(ids.into_iter().filter(|id| {
                view.latest_change(id).is_some()
                    && others.iter().any(|other| other.latest_change(id).is_some())
            }));
        }
        self.due.extend(twins.into_iter().map(Due::Twin));
    }

    /// Returns whether it is about one sandbox that no cluster has, or may have.
    fn has_ended(&self) -> bool {
        let Some(id) = &self.only else { return false };
        let may_have = |part: &Part| {
            let view = part.reader.view();
            view.latest_change(id).is_some() || (!part.is_fresh() && (view.contains(id) || !view.is_listed()))
        };
        !self.has_sandbox && !self.parts.iter().any(may_have)
    }
}

// === impl Part ===

impl Part {
    fn is_fresh(&self) -> bool {
        matches!(self.reach, Reach::Fresh | Reach::Late)
    }

    /// Returns the position before its present state; `None` while it is held back. A client that has a position gets each
    /// end after it, which it may need: a sandbox may be sent before the cluster's changes are read, or not be sent because
    /// of one there.
    fn beginning(&self) -> Option<actors::view::Position> {
        (self.reach != Reach::Held).then(|| self.reader.view().position().beginning())
    }

    /// Reads on. The freshness is compared here, because the reader of the cluster assumes that it began on a fresh view.
    fn read(&mut self) -> Option<change_reader::News> {
        if self.reach == Reach::Held {
            return None;
        }
        let news = self.reader.read();
        if !matches!(news, None | Some(change_reader::News::Stale(_) | change_reader::News::Fresh)) {
            return news;
        }
        let view = self.reader.view();
        let (reach, news) = match (self.reach, view.is_fresh()) {
            (Reach::Fresh, false) => (Reach::Stale, change_reader::News::Stale(view.stale())),
            (Reach::Stale, true) => (Reach::Fresh, change_reader::News::Fresh),
            _ => return None,
        };
        self.reach = reach;
        Some(news)
    }
}
