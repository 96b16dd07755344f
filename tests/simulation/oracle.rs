//! What callers may be told, and what has to be left in the end: the invariants, checked against every answer and
//! against the cluster.
//!
//! While creates and deletes of one id overlap, or answers are lost, nobody can know what the outcome is: then nothing
//! is claimed about the id until one of them was alone and was answered.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::Timestamp;
use serde_json::Value;
use simcluster::Cluster;
use tokio::time::Instant;

use super::{
    strangers,
    world::{Answer, NAMESPACE},
};

/// How long after the API server's trouble a use may still be one that is not written: a write that was begun in it
/// takes up to ten seconds to fail, and is tried again after five.
const UNWRITTEN: Duration = Duration::from_secs(16);

/// Of how much of an idle timeout a restart may know nothing, and a little.
const UNKNOWN_SHARE: u32 = 10;
const INACCURACY: Duration = Duration::from_secs(1);

/// How long the daemon may answer without having heard of something: its limit for staleness, and a little.
const UNHEARD: Duration = Duration::from_secs(100);

/// The limits of a sandbox, as its creates give them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Limits {
    pub ttl: Option<Duration>,
    pub idle_timeout: Option<Duration>,
}

/// Watches all that is answered.
#[derive(Default)]
pub struct Oracle {
    told: BTreeMap<String, Told>,
    /// Whether the API server's clock was put forward while the present process ran.
    stepped_forward: bool,
    /// When the present process began.
    restarted: Option<Instant>,
    /// When the API server was last in trouble.
    troubled: Option<Instant>,
}

/// What was answered about an id, and what is under way.
#[derive(Default)]
struct Told {
    /// Creates and deletes that were begun.
    begun: u64,
    /// Those that have no answer yet.
    open: u64,
    certain: Option<Truth>,
    limits: Limits,
    /// The latest moments before which it cannot have been made, and used.
    made: Option<Instant>,
    used: Option<Instant>,
    /// Until then the daemon may not have heard of what was done behind its back.
    doubtful_until: Option<Instant>,
}

/// What is certain of an id.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Truth {
    /// It is there, under this URL, until its limits allow.
    There(String),
    /// It is gone, or going.
    Gone,
    /// It has reached a limit: its Pod is gone or going, and its Service follows.
    Reaped,
}

/// A create or a delete that was begun.
pub struct Turn {
    number: u64,
    alone: bool,
    begun: Instant,
    before: Option<Truth>,
}

impl Limits {
    /// Whether it may be reaped at all.
    pub fn any(self) -> bool {
        self.ttl.is_some() || self.idle_timeout.is_some()
    }
}

impl Told {
    /// Whether it may have been reaped by now (invariant 5: never early).
    fn may_be_reaped(&self) -> bool {
        let now = Instant::now();
        let passed = |since: Option<Instant>, limit: Option<Duration>| {
            limit.is_some_and(|limit| since.is_none_or(|since| now >= since + limit))
        };
        passed(self.made, self.limits.ttl) || passed(self.used, self.limits.idle_timeout)
    }
}

impl Oracle {
    /// A create or a delete begins: until it is answered nothing is certain.
    pub fn begin(&mut self, id: &str, limits: Limits) -> Turn {
        let told = self.told.entry(id.to_owned()).or_default();
        let before = told.certain.take();
        told.begun += 1;
        told.open += 1;
        told.limits = limits;
        Turn { number: told.begun, alone: told.open == 1, begun: Instant::now(), before }
    }

    /// A create was answered. Invariant 2: a 200 means that both exist, and that the URL is that sandbox's. Any other
    /// end of it leaves what was there as it was.
    pub fn created(&mut self, cluster: &Cluster, id: &str, turn: &Turn, answer: Option<&Answer>) {
        let certain = self.end(id, turn);
        let Some(answer) = answer.filter(|answer| answer.status == 200 && certain) else {
            if let (true, Some(Truth::There(_))) = (certain, &turn.before) {
                self.told.get_mut(id).unwrap().certain.clone_from(&turn.before);
            }
            return;
        };
        let url = answer.body["sandbox_url"].as_str().expect("a URL").to_owned();
        let told = self.told.get_mut(id).unwrap();
        if told.doubtful_until.is_some_and(|until| Instant::now() < until) {
            return;
        }
        let was_gone = matches!(turn.before, Some(Truth::Gone | Truth::Reaped));
        told.made = was_gone.then_some(turn.begun);
        told.used = Some(turn.begun);
        // It may go between its being made and our looking, where its limits are that short.
        if !told.may_be_reaped() {
            let object = |resource, name: String| cluster.object(resource, NAMESPACE, &name);
            let pod = object("pods", format!("sandbox-{id}"));
            let pod = pod.unwrap_or_else(|| panic!("invariant 2: {id} was given without a Pod"));
            let dying = !pod["metadata"]["deletionTimestamp"].is_null();
            assert!(!dying, "invariant 4: {id} was given a dying Pod");
            let service = object("services", format!("sandbox-{id}-svc"));
            let service = service.unwrap_or_else(|| panic!("invariant 2: {id} was given without a Service"));
            let port = service["spec"]["ports"][0]["nodePort"].to_string();
            assert!(url.ends_with(&format!(":{port}")), "invariant 2: {id} was given {url}");
        }
        told.certain = Some(Truth::There(url));
    }

    /// A delete was answered.
    pub fn deleted(&mut self, id: &str, turn: &Turn, answer: Option<&Answer>) {
        if self.end(id, turn) && answer.is_some_and(|answer| answer.status == 200) {
            self.told.get_mut(id).unwrap().certain = Some(Truth::Gone);
        }
    }

    /// Whether nothing else was under way during the turn.
    fn end(&mut self, id: &str, turn: &Turn) -> bool {
        let told = self.told.get_mut(id).unwrap();
        told.open -= 1;
        turn.alone && told.open == 0 && told.begun == turn.number
    }

    /// A touch that began then was answered. Invariant 5: it wins against a reap, or loses, as a whole.
    pub fn touched(&mut self, id: &str, begun: Instant, answer: &Answer) {
        self.got(id, answer);
        let Some(told) = self.told.get_mut(id) else { return };
        if answer.status == 200 && told.certain.is_some() {
            told.used = told.used.max(Some(begun));
        }
    }

    /// A sandbox was shown, or not. Invariant 6: never a wrong 404, and nothing that was acknowledged to be gone.
    pub fn got(&mut self, id: &str, answer: &Answer) {
        let Some(told) = self.told.get_mut(id) else { return };
        match (&told.certain, answer.status) {
            (Some(Truth::There(url)), 200) => {
                assert_eq!(answer.body["sandbox_url"], *url, "{id} has another URL");
            }
            (Some(Truth::There(_)), 404) => {
                assert!(told.may_be_reaped(), "invariants 5, 6: {id} is gone: {}", answer.body);
                told.certain = Some(Truth::Reaped);
            }
            (Some(Truth::Gone | Truth::Reaped), 200) => panic!("invariant 4: {id} is back: {}", answer.body),
            _ => {}
        }
    }

    /// A question for presence was answered: a Pod that was given to somebody is never said to be absent, unless it may
    /// have been reaped. One that is gone may still be terminating.
    pub fn present(&mut self, id: &str, answer: &Answer) {
        let Some(told) = self.told.get_mut(id) else { return };
        assert!(matches!(answer.status, 200 | 503), "{id}: {}", answer.body);
        if matches!(told.certain, Some(Truth::There(_))) && answer.body["exists"] == false {
            assert!(told.may_be_reaped(), "invariants 5, 6: the Pod of {id} is gone: {}", answer.body);
            told.certain = Some(Truth::Reaped);
        }
    }

    /// A LIST was answered: it lacks nothing that was given, and has nothing that is gone.
    pub fn listed(&mut self, list: &Value) {
        let listed: BTreeSet<_> = ids(list).into_iter().collect();
        for (id, told) in &mut self.told {
            let there = listed.contains(id);
            match told.certain {
                Some(Truth::There(_)) if !there => {
                    assert!(told.may_be_reaped(), "invariants 5, 6: {id} is missing from a list");
                    told.certain = Some(Truth::Reaped);
                }
                Some(Truth::Gone | Truth::Reaped) => assert!(!there, "invariant 4: {id} is listed"),
                _ => {}
            }
        }
    }

    /// Somebody did something to the sandbox behind the daemon's back.
    pub fn meddled(&mut self, id: &str) {
        if let Some(told) = self.told.get_mut(id) {
            told.certain = None;
            // Whatever is under way is no longer alone.
            told.begun += 1;
            told.doubtful_until = Some(Instant::now() + UNHEARD);
        }
    }

    /// The API server's clock was stepped. A process that began a while ago has seen all there is; one that did not may
    /// be yet to read it, and reads as one that begins now.
    pub fn stepped(&mut self, forward: bool) {
        self.stepped_forward |= forward;
        if forward && self.restarted.is_some_and(|restarted| restarted.elapsed() < UNHEARD) {
            self.know_no_age();
        }
    }

    fn know_no_age(&mut self) {
        for told in self.told.values_mut() {
            (told.made, told.used) = (None, None);
        }
    }

    /// Calls to the API server may fail, or may have failed until now.
    pub fn troubled(&mut self) {
        self.troubled = Some(Instant::now());
    }

    /// A new process has begun. What it reads off objects looks older after the API server's clock was put forward, and
    /// nothing can tell it that this is not so. Of the uses that could not be written it knows nothing; but what could
    /// be written was, before it was acknowledged (invariant 5).
    pub fn restarted(&mut self, cluster: &Cluster) {
        self.restarted = Some(Instant::now());
        if std::mem::take(&mut self.stepped_forward) {
            self.know_no_age();
        }
        for (id, told) in &mut self.told {
            let service = cluster.object("services", NAMESPACE, &format!("sandbox-{id}-svc"));
            if told.certain == Some(Truth::Reaped) && service.is_some() {
                // It is shown as the half that it is, until the end of its grace: what took its Pod died with the
                // process that knew.
                told.certain = None;
            }
            let (Some(used), Some(Truth::There(_))) = (told.used, &told.certain) else { continue };
            let Some((written, idle)) = last_written(cluster, id).zip(told.limits.idle_timeout) else {
                continue;
            };
            if used > written + idle / UNKNOWN_SHARE + INACCURACY {
                let excused = self.troubled.is_some_and(|troubled| used < troubled + UNWRITTEN);
                assert!(excused, "invariant 5: {id} was used {:?} after what is written", used - written);
                told.used = Some(written);
            }
        }
    }

    /// Whatever is under way: at most one pair for each id, and never a Service beside a Pod that was given and is dying
    /// for good (invariant 1; names make it so, and this sees to it that they do).
    pub fn judge_pairs(cluster: &Cluster) {
        for resource in ["pods", "services"] {
            let mut seen = BTreeSet::new();
            for object in ours(cluster, resource) {
                let id = object["metadata"]["labels"]["sandbox-id"].as_str().unwrap_or_default().to_owned();
                assert!(seen.insert(id), "invariant 1: two {resource} of one id: {object}");
            }
        }
    }

    /// With all well again for a while: what callers were told is so, every Pod has its Service, what had a limit that
    /// passed is gone (invariants 1, 3, 4, 5).
    pub fn judge_the_end(&mut self, cluster: &Cluster, list: &Value) {
        Self::judge_pairs(cluster);
        let names = |resource: &str| -> Vec<String> {
            let name = |object: &Value| object["metadata"]["name"].as_str().unwrap().to_owned();
            ours(cluster, resource).iter().map(name).collect()
        };
        let pods = names("pods");
        let of_services: Vec<_> =
            names("services").iter().map(|name| name.strip_suffix("-svc").unwrap().to_owned()).collect();
        assert_eq!(pods, of_services, "invariant 3: orphans");
        let listed: Vec<_> = ids(list).iter().map(|id| format!("sandbox-{id}")).collect();
        assert_eq!(listed, pods, "what is listed is what there is");
        self.listed(list);
        for (id, told) in &self.told {
            let there = listed.contains(&format!("sandbox-{id}"));
            assert!(!(there && told.limits.any()), "{id} has outlived its limits: {:?}", told.limits);
        }
    }
}

/// The use that a sandbox's Pod tells of, by the clock of this process: the one that is written, or its creation.
fn last_written(cluster: &Cluster, id: &str) -> Option<Instant> {
    let pod = cluster.object("pods", NAMESPACE, &format!("sandbox-{id}"))?;
    let metadata = &pod["metadata"];
    let written = metadata["annotations"]["sandbox-provisioner/last-activity"].as_str();
    let written: Timestamp = written.or(metadata["creationTimestamp"].as_str())?.parse().unwrap();
    let age = Duration::try_from(cluster.now().duration_since(written)).unwrap_or_default();
    Instant::now().checked_sub(age)
}

fn ids(list: &Value) -> Vec<String> {
    let id = |sandbox: &Value| sandbox["sandbox_id"].as_str().unwrap().to_owned();
    list["sandboxes"].as_array().unwrap().iter().map(id).collect()
}

/// The objects that are sandboxes', in the order of their names.
fn ours(cluster: &Cluster, resource: &str) -> Vec<Value> {
    let mut objects = cluster.objects(resource, Some(NAMESPACE));
    objects.retain(|object| !strangers::is_one(object["metadata"]["name"].as_str().unwrap()));
    objects
}
