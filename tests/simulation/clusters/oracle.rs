//! Checks every answer, and the objects of all clusters in the end.
//!
//! While creates and deletes of one id overlap, or answers are lost, the outcome is unknown. Nothing is asserted about the id
//! until one of them runs alone and is answered.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::Value;
use testkit::{Answer, NAMESPACE};
use tokio::time::Instant;

use super::world::{LOSS_TIMEOUT, NAMES, World};

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
    /// Whether a create with an unknown outcome may have made it elsewhere too.
    or_elsewhere: bool,
}

/// A create or a delete in flight.
pub struct Request {
    number: u64,
    is_alone: bool,
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
    /// Records the start of a process.
    pub fn started(&mut self) {
        self.started = Some(Instant::now());
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
        Request { number: recorded.started, is_alone: recorded.open == 1, before }
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
                for (n, url) in homes.given.iter().filter(|_| is_new && !homes.or_elsewhere) {
                    let why = format!("{id} has {url} on {} and was made on {home:?}", NAMES[*n]);
                    assert!(self.faults[*n].is_long(), "two URLs: {why}");
                }
                if !self.faults[home.0].is_on() {
                    check_pair(world, id, &home);
                }
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
            Some(Truth::There(homes)) if !homes.or_elsewhere => homes.given.iter().any(|(n, _)| is_away(n)),
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
        let recorded = self.sandboxes.get_mut(id).filter(|recorded| known.contains(id, recorded));
        let Some(recorded) = recorded else { return };
        match (&mut recorded.certain, answer.status) {
            (Some(Truth::There(homes)), 200) => homes.check(id, home(&answer.body)),
            (Some(Truth::There(homes)), 404) => panic!("{id} is denied: {homes:?}: {}", answer.body),
            (Some(Truth::There(homes)), status) => {
                let is_well = is_settled && !homes.or_elsewhere && homes.given.len() == 1;
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
        let of_known = self.sandboxes.iter_mut().filter(|(id, recorded)| known.contains(id, recorded));
        for (id, recorded) in of_known {
            match (&mut recorded.certain, listed.get(id)) {
                (Some(Truth::There(homes)), None) => {
                    let is_left_out = homes.given.iter().any(|(n, _)| incomplete.contains(n));
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

    /// Checks the state a while after all faults have ended: each sandbox is whole and on one cluster, the list has exactly
    /// those, and none is lost or back.
    pub fn check_final_state(&mut self, world: &World, list: &Value) {
        assert!(incomplete(list).is_empty(), "{list}");
        let listed = listed(list);
        let mut found = BTreeMap::new();
        for (n, cluster) in NAMES.iter().enumerate() {
            let names = |resource: &str| {
                let of = world.objects(n, resource).into_iter();
                of.map(|object| object["metadata"]["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
            };
            let services = names("services").into_iter();
            let services: Vec<_> =
                services.filter_map(|name| Some(name.strip_suffix("-svc")?.to_owned())).collect();
            let pods = names("pods");
            assert_eq!(pods, services, "orphans on {cluster}");
            for pod in pods {
                let id = pod.strip_prefix("sandbox-").unwrap().to_owned();
                let other = found.insert(id.clone(), n);
                assert_eq!(other, None, "{id} is on {cluster} too");
            }
        }
        let of_list: BTreeMap<_, _> = listed.iter().map(|(id, (n, _))| (id.clone(), *n)).collect();
        assert_eq!(of_list, found, "the list has the sandboxes of the clusters");
        for (id, recorded) in &mut self.sandboxes {
            match (&mut recorded.certain, listed.get(id)) {
                (Some(Truth::There(homes)), Some(home)) => homes.check(id, home.clone()),
                (Some(Truth::There(homes)), None) => panic!("{id} is lost: {homes:?}"),
                (Some(Truth::Gone), Some(home)) => panic!("{id} is back on {home:?}"),
                (Some(Truth::Gone) | None, _) => {}
            }
        }
    }
}

impl Homes {
    /// Checks that the sandbox may be there.
    fn check(&mut self, id: &str, home: (usize, String)) {
        if !self.given.contains(&home) {
            assert!(self.or_elsewhere, "{id} is at {home:?} and not at {:?}", self.given);
            self.given.insert(home);
        }
    }
}

/// Checks that both objects of a sandbox that was given to a caller exist.
fn check_pair(world: &World, id: &str, (n, url): &(usize, String)) {
    let object = |resource, name: String| world.clusters[*n].object(resource, NAMESPACE, &name);
    let pod = object("pods", format!("sandbox-{id}"));
    assert!(pod.is_some(), "{id} was given at {url} without a Pod");
    let service = object("services", format!("sandbox-{id}-svc"));
    let service = service.unwrap_or_else(|| panic!("{id} was given at {url} without a Service"));
    let port = service["spec"]["ports"][0]["nodePort"].to_string();
    assert!(url.ends_with(&format!("://{}.example:{port}", NAMES[*n])), "{id} was given {url}");
}

/// Returns the cluster and the URL of a sandbox.
fn home(sandbox: &Value) -> (usize, String) {
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
