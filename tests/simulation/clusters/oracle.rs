//! Checks every answer, and the objects of all clusters in the end.
//!
//! While creates and deletes of one id overlap, or answers are lost, the outcome is unknown. Nothing is asserted about the id
//! until one of them runs alone and is answered. A move is one of them. It can end later than its answer, on the cluster that
//! it names alone.

mod moves;
mod objects;
mod replacements;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::Value;
use testkit::Answer;
use tokio::time::Instant;

use self::{
    objects::{check_pair, is_live},
    replacements::Replacements,
};
use super::{
    clients::profile_of,
    world::{LOSS_TIMEOUT, NAMES, World},
};

/// How long before a fault a quiet cluster may have been heard last, from when its absence counts.
const QUIET: Duration = Duration::from_secs(40);

/// How long after a fault, or after the start of the daemon, a cluster may still count as away.
const RETURN: Duration = Duration::from_secs(45);

/// The knowledge of all sandboxes and clusters.
#[derive(Default)]
pub struct Oracle {
    sandboxes: BTreeMap<String, Recorded>,
    faults: [Fault; 3],
    started: Option<Instant>,
    /// Since when each cluster gets no new sandboxes, if that is certain.
    drained: [Option<Instant>; 3],
    pub replacements: Replacements,
}

/// The last faults of a cluster, without a longer pause between them.
#[derive(Default)]
struct Fault {
    since: Option<Instant>,
    /// `None` while one lasts.
    until: Option<Instant>,
}

#[derive(Default)]
struct Recorded {
    certain: Option<Truth>,
    /// The number of creates and deletes that were started.
    started: u64,
    /// The number of those in flight.
    open: usize,
    /// All clusters and URLs that were given to callers.
    urls: BTreeSet<(usize, String)>,
    /// Since when several of them live while their clusters are well.
    twins_since: Option<Instant>,
    /// Whether its workspace may be on a cluster that was lost.
    has_lost_workspace: bool,
}

/// The certain state of a sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Truth {
    There(Homes),
    Gone,
}

/// The places where a sandbox may be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Homes {
    /// The clusters and URLs that were given to callers.
    given: BTreeSet<(usize, String)>,
    /// Those of them in whose place a replacement was made.
    replaced: BTreeSet<(usize, String)>,
    /// Whether a create with an unknown outcome may have made it elsewhere too.
    or_elsewhere: bool,
    /// The clusters to which a move may still bring it.
    moves: BTreeSet<usize>,
}

/// A create or a delete in flight.
pub struct Request {
    number: u64,
    is_alone: bool,
    started: Instant,
    before: Option<Truth>,
}

/// The sandboxes whose state was certain when a read started.
pub struct Known(BTreeMap<String, u64>);

impl Known {
    fn contains(&self, id: &str, recorded: &Recorded) -> bool {
        self.0.get(id) == Some(&recorded.started)
    }
}

impl Fault {
    fn start(&mut self) {
        let now = Instant::now();
        if self.until.is_none_or(|until| now > until + RETURN) {
            self.since = Some(now);
        }
        self.until = None;
    }

    /// Returns whether the cluster may be away.
    fn is_on(&self) -> bool {
        self.since.is_some() && self.until.is_none_or(|until| Instant::now() <= until + RETURN)
    }

    /// Returns whether the cluster may be lost.
    fn is_long(&self) -> bool {
        self.is_on() && self.since.is_some_and(|since| since.elapsed() + QUIET >= LOSS_TIMEOUT)
    }
}

impl Oracle {
    /// Records the start of a process. It drains no cluster, because a drain is in memory.
    pub fn started(&mut self) {
        self.started = Some(Instant::now());
        self.drained = [None; 3];
        self.replacements.started();
    }

    /// Records that a cluster gets no new sandboxes from now on.
    pub fn drained(&mut self, cluster: usize) {
        self.drained[cluster] = Some(Instant::now());
    }

    pub fn is_drained(&self, cluster: usize) -> bool {
        self.drained[cluster].is_some()
    }

    pub fn undrained(&mut self, cluster: usize) {
        self.drained[cluster] = None;
    }

    pub fn fault_started(&mut self, cluster: usize) {
        self.faults[cluster].start();
    }

    pub fn fault_ended(&mut self, cluster: usize) {
        self.faults[cluster].until = Some(Instant::now());
    }

    /// Returns the sandboxes whose state is certain when a read starts, with the number of creates and deletes of each so far.
    /// A read says nothing about those that change meanwhile.
    pub fn known(&self) -> Known {
        let is_known = |(_, recorded): &(&String, &Recorded)| recorded.certain.is_some();
        let known = self.sandboxes.iter().filter(is_known);
        Known(known.map(|(id, recorded)| (id.clone(), recorded.started)).collect())
    }

    /// Records the start of a create or a delete. Until it is answered, nothing is certain.
    pub fn start(&mut self, id: &str) -> Request {
        let new = || Recorded { certain: Some(Truth::Gone), ..Recorded::default() };
        let recorded = self.sandboxes.entry(id.to_owned()).or_insert_with(new);
        let before = recorded.certain.take();
        recorded.started += 1;
        recorded.open += 1;
        let is_alone = recorded.open == 1;
        Request { number: recorded.started, is_alone, started: Instant::now(), before }
    }

    /// Records that a caller has got this URL.
    fn given(&mut self, id: &str, home: &(usize, String)) {
        if let Some(recorded) = self.sandboxes.get_mut(id) {
            recorded.urls.insert(home.clone());
        }
    }

    /// Checks that a request which started after a cluster was drained has made nothing there.
    fn check_drain(&self, id: &str, request: &Request, cluster: usize) {
        let is_drained = self.drained[cluster].is_some_and(|at| at < request.started);
        assert!(!is_drained, "{id} was made on {}, which drains", NAMES[cluster]);
    }

    /// Returns whether no other create or delete was in flight at the same time.
    fn end(&mut self, id: &str, request: &Request) -> bool {
        let recorded = self.sandboxes.get_mut(id).unwrap();
        recorded.open -= 1;
        request.is_alone && recorded.open == 0 && recorded.started == request.number
    }

    /// Checks the answer to a create: both objects exist on the cluster that it names, and a sandbox that was given to a caller
    /// is made again elsewhere only if its clusters may be lost.
    pub fn created(&mut self, world: &World, id: &str, request: &Request, answer: Option<&Answer>) {
        if profile_of(id).is_some() {
            self.check_workspace(world, id, answer);
        }
        if !self.end(id, request) {
            return;
        }
        let before = match &request.before {
            Some(Truth::There(homes)) => Some(homes.clone()),
            Some(Truth::Gone) => None,
            // Creates and deletes whose outcome is not known may have left it on any cluster.
            None => Some(Homes { or_elsewhere: true, ..Homes::default() }),
        };
        let is_unknown = request.before.is_none();
        let certain = match (answer.filter(|answer| answer.status == 200), before) {
            (Some(answer), before) => {
                let home = home(&answer.body);
                let mut homes = before.unwrap_or_default();
                let is_new = !homes.given.contains(&home);
                let is_expected = !is_new || homes.or_elsewhere || homes.moves.contains(&home.0);
                for other in homes.given.iter().filter(|_| !is_expected) {
                    let (n, url) = other;
                    // It was deleted because of its replacement, which may be lost now.
                    let is_over = homes.replaced.contains(other) && !is_live(world, id, other);
                    let why = format!("{id} has {url} on {} and was made on {home:?}", NAMES[*n]);
                    assert!(is_over || self.faults[*n].is_long(), "two URLs: {why}");
                }
                if !is_expected {
                    homes.replaced.extend(homes.given.iter().cloned());
                }
                if request.before == Some(Truth::Gone) {
                    self.check_drain(id, request, home.0);
                }
                if !self.faults[home.0].is_on() {
                    check_pair(world, id, &home);
                }
                self.given(id, &home);
                homes.given.insert(home);
                Some(homes)
            }
            (None, Some(homes)) if !is_unknown => Some(Homes { or_elsewhere: true, ..homes }),
            (None, _) => None,
        };
        self.sandboxes.get_mut(id).unwrap().certain = certain.map(Truth::There);
    }

    /// Records the answer to a delete. It does not wait for a twin on a cluster that has been away since the daemon's start, so
    /// nothing is certain then: if the daemon is restarted once more, the twin is back.
    pub fn deleted(&mut self, id: &str, request: &Request, answer: Option<&Answer>) {
        let is_away = |n: &usize| self.faults[*n].is_on();
        let may_be_back = match &request.before {
            Some(Truth::Gone) => false,
            Some(Truth::There(homes)) if !homes.or_elsewhere => {
                homes.given.iter().map(|(n, _)| n).chain(&homes.moves).any(is_away)
            }
            Some(Truth::There(_)) | None => (0..NAMES.len()).any(|n| is_away(&n)),
        };
        if self.end(id, request) && answer.is_some_and(|answer| answer.status == 200) && !may_be_back {
            self.sandboxes.get_mut(id).unwrap().certain = Some(Truth::Gone);
        }
    }

    /// Checks the answer to a GET or a touch: no wrong 404, no sandbox whose deletion was acknowledged, no unknown URL, and an
    /// answer if the cluster of the sandbox is well, whatever happens to the others.
    pub fn got(&mut self, id: &str, known: &Known, answer: &Answer) {
        let is_settled = self.started.is_some_and(|started| started.elapsed() > RETURN);
        if answer.status == 200 {
            self.given(id, &home(&answer.body));
        }
        let recorded = self.sandboxes.get_mut(id).filter(|recorded| known.contains(id, recorded));
        let Some(recorded) = recorded else { return };
        match (&mut recorded.certain, answer.status) {
            (Some(Truth::There(homes)), 200) => homes.check(id, home(&answer.body)),
            (Some(Truth::There(homes)), 404) => panic!("{id} is denied: {homes:?}: {}", answer.body),
            (Some(Truth::There(homes)), status) => {
                let is_one = !homes.or_elsewhere && homes.given.len() == 1 && homes.moves.is_empty();
                let is_well = is_settled && is_one;
                let is_away = homes.given.iter().any(|(n, _)| self.faults[*n].is_on());
                assert!(!is_well || is_away, "{id} is not known: {homes:?}: {status} {}", answer.body);
            }
            (Some(Truth::Gone), 200) => panic!("{id} is back: {}", answer.body),
            (Some(Truth::Gone) | None, _) => {}
        }
    }

    /// Checks the answer to a LIST: each sandbox that exists is there or on a cluster that is named, and none that is gone.
    pub fn listed(&mut self, known: &Known, answer: &Answer) {
        let incomplete = incomplete(&answer.body);
        let header = answer.header("incomplete-clusters").unwrap_or_default();
        let names: Vec<_> = incomplete.iter().map(|n| NAMES[*n]).collect();
        assert_eq!(header, names.join(", "), "{}", answer.body);
        let listed = listed(&answer.body);
        for (id, home) in &listed {
            self.given(id, home);
        }
        let of_known = self.sandboxes.iter_mut().filter(|(id, recorded)| known.contains(id, recorded));
        for (id, recorded) in of_known {
            match (&mut recorded.certain, listed.get(id)) {
                (Some(Truth::There(homes)), None) => {
                    let mut places = homes.given.iter().map(|(n, _)| n).chain(&homes.moves);
                    let is_left_out = places.any(|n| incomplete.contains(n));
                    let is_named = is_left_out || (homes.or_elsewhere && !incomplete.is_empty());
                    assert!(is_named, "{id} is missing: {homes:?}: {}", answer.body);
                }
                (Some(Truth::There(homes)), Some(home)) => {
                    assert!(!incomplete.contains(&home.0), "{id} is of a cluster that is left out");
                    homes.check(id, home.clone());
                }
                (Some(Truth::Gone), Some(home)) => panic!("{id} is listed on {home:?}"),
                (Some(Truth::Gone) | None, _) => {}
            }
        }
    }
}

impl Homes {
    /// Checks that the sandbox may be there.
    fn check(&mut self, id: &str, home: (usize, String)) {
        if !self.given.contains(&home) {
            let is_expected = self.or_elsewhere || self.moves.contains(&home.0);
            assert!(is_expected, "{id} is at {home:?} and not at {:?}", self.given);
            self.given.insert(home);
        }
    }
}

/// Returns the cluster and the URL of a sandbox.
pub fn home(sandbox: &Value) -> (usize, String) {
    let text = |field: &str| sandbox[field].as_str().unwrap_or_else(|| panic!("no {field}: {sandbox}"));
    (number(text("cluster")), text("sandbox_url").to_owned())
}

fn number(name: &str) -> usize {
    NAMES.iter().position(|known| *known == name).unwrap()
}

fn incomplete(list: &Value) -> BTreeSet<usize> {
    let names = list["incomplete"].as_array().into_iter().flatten();
    names.map(|name| number(name.as_str().unwrap())).collect()
}

/// Returns the sandboxes of a list, each of which must be in it once.
fn listed(list: &Value) -> BTreeMap<String, (usize, String)> {
    let mut listed = BTreeMap::new();
    for sandbox in list["sandboxes"].as_array().unwrap() {
        let id = sandbox["sandbox_id"].as_str().unwrap().to_owned();
        let other = listed.insert(id, home(sandbox));
        assert_eq!(other, None, "{sandbox} is listed twice");
    }
    listed
}
