//! Checks the invariants against every answer and against the cluster: the answers that callers may get, and the
//! objects that may remain at the end.
//!
//! While creates and deletes of one id overlap, or answers are lost, the outcome is unknown. Nothing is asserted about
//! the id until one of them runs alone and is answered.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::Timestamp;
use serde_json::Value;
use simcluster::Cluster;
use testkit::{Answer, NAMESPACE};
use tokio::time::Instant;

use super::foreign_objects;

/// The time after a fault of the API server during which an acknowledged use may be unrecorded. A write that starts
/// during the fault takes up to a minute to fail and is retried after five seconds.
const UNWRITTEN: Duration = Duration::from_secs(68);

/// The share of the idle timeout (one tenth) that may be unrecorded at a restart, and a tolerance.
const UNKNOWN_SHARE: u32 = 10;
const INACCURACY: Duration = Duration::from_secs(1);

/// The time for which the daemon may answer without knowing of a change: its staleness limit and a margin.
const UNHEARD: Duration = Duration::from_secs(100);

/// The limits of a sandbox, as its creates set them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Limits {
    pub ttl: Option<Duration>,
    pub idle_timeout: Option<Duration>,
}

/// Checks all answers.
#[derive(Default)]
pub struct Oracle {
    sandboxes: BTreeMap<String, Recorded>,
    /// Whether the API server's clock was set forward while the current process ran.
    stepped_forward: bool,
    /// The start of the current process.
    restarted: Option<Instant>,
    /// The time of the last fault of the API server.
    last_fault: Option<Instant>,
}

/// The known answers and the requests in flight for one id.
#[derive(Default)]
struct Recorded {
    /// The number of creates and deletes that were started.
    started: u64,
    /// The number of those that are not answered yet.
    open: u64,
    certain: Option<Truth>,
    limits: Limits,
    /// The latest times before which the sandbox cannot have been created or used.
    made: Option<Instant>,
    used: Option<Instant>,
    /// Until this time the daemon may not know of a manual change.
    doubtful_until: Option<Instant>,
    /// The claim of its kept workspace.
    kept: Option<String>,
    /// The claim of a sandbox that was deleted. Its data must not return.
    ended: Option<String>,
}

/// The certain state of an id.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Truth {
    /// The sandbox exists with this URL, until a limit is reached.
    There(String),
    /// The sandbox is gone or terminating.
    Gone,
    /// The sandbox has reached a limit: its Pod is gone or terminating, and its Service follows.
    Reaped,
}

/// A create or a delete in flight.
pub struct Request {
    number: u64,
    alone: bool,
    started: Instant,
    before: Option<Truth>,
    /// The limits until this request.
    limits_before: Limits,
}

impl Limits {
    /// Returns whether the sandbox has a limit.
    pub fn any(self) -> bool {
        self.ttl.is_some() || self.idle_timeout.is_some()
    }
}

impl Recorded {
    /// Returns whether the sandbox may have been reaped by now (invariant 5: never early).
    fn may_be_reaped(&self) -> bool {
        self.may_be_reaped_by(self.limits)
    }

    fn may_be_reaped_by(&self, limits: Limits) -> bool {
        let now = Instant::now();
        let passed = |since: Option<Instant>, limit: Option<Duration>| {
            limit.is_some_and(|limit| since.is_none_or(|since| now >= since + limit))
        };
        passed(self.made, limits.ttl) || passed(self.used, limits.idle_timeout)
    }
}

impl Oracle {
    /// Records the start of a create or a delete. Until it is answered, nothing is certain.
    pub fn start(&mut self, id: &str, limits: Limits) -> Request {
        let recorded = self.sandboxes.entry(id.to_owned()).or_default();
        let before = recorded.certain.take();
        recorded.started += 1;
        recorded.open += 1;
        let limits_before = std::mem::replace(&mut recorded.limits, limits);
        let (number, alone) = (recorded.started, recorded.open == 1);
        Request { number, alone, started: Instant::now(), before, limits_before }
    }

    /// Checks the answer to a create. Invariant 2: a 200 means that both objects exist and that the URL is that
    /// sandbox's. After any other result the previous state remains, unless the sandbox had reached a limit: then it may
    /// have been reaped, and made again.
    pub fn created(&mut self, cluster: &Cluster, id: &str, request: &Request, answer: Option<&Answer>) {
        let certain = self.end(id, request);
        let Some(answer) = answer.filter(|answer| answer.status == 200 && certain) else {
            let recorded = self.sandboxes.get_mut(id).unwrap();
            let may_be_another = recorded.may_be_reaped() || recorded.may_be_reaped_by(request.limits_before);
            if certain && !may_be_another && matches!(request.before, Some(Truth::There(_))) {
                recorded.certain.clone_from(&request.before);
            }
            return;
        };
        let url = answer.body["sandbox_url"].as_str().expect("a URL").to_owned();
        let recorded = self.sandboxes.get_mut(id).unwrap();
        if recorded.doubtful_until.is_some_and(|until| Instant::now() < until) {
            return;
        }
        let was_gone = matches!(request.before, Some(Truth::Gone | Truth::Reaped));
        recorded.made = was_gone.then_some(request.started);
        recorded.used = Some(request.started);
        // With very short limits, the sandbox may be reaped between its creation and this check.
        if !recorded.may_be_reaped() {
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
        if let Some((uid, when_deleted)) = claim_of(cluster, id) {
            if when_deleted == "keep" {
                let kept = recorded.kept.get_or_insert_with(|| uid.clone());
                assert_eq!(*kept, uid, "invariant 12: {id} has another workspace");
            } else if was_gone && when_deleted == "delete" {
                assert_ne!(
                    recorded.ended,
                    Some(uid),
                    "invariant 12: {id} has the data of an earlier sandbox"
                );
            }
        }
        recorded.certain = Some(Truth::There(url));
    }

    /// Records the answer to a delete.
    pub fn deleted(&mut self, cluster: &Cluster, id: &str, request: &Request, answer: Option<&Answer>) {
        if self.end(id, request) && answer.is_some_and(|answer| answer.status == 200) {
            let recorded = self.sandboxes.get_mut(id).unwrap();
            recorded.certain = Some(Truth::Gone);
            recorded.ended = claim_of(cluster, id).map(|(uid, _)| uid);
        }
    }

    /// Returns whether no other create or delete was in flight at the same time.
    fn end(&mut self, id: &str, request: &Request) -> bool {
        let recorded = self.sandboxes.get_mut(id).unwrap();
        recorded.open -= 1;
        request.alone && recorded.open == 0 && recorded.started == request.number
    }

    /// Checks the answer to a touch that started at the given time. Invariant 5: a touch that races a reap wins or
    /// loses as a whole.
    pub fn touched(&mut self, id: &str, started: Instant, answer: &Answer) {
        self.got(id, answer);
        let Some(recorded) = self.sandboxes.get_mut(id) else { return };
        if answer.status == 200 && recorded.certain.is_some() {
            recorded.used = recorded.used.max(Some(started));
        }
    }

    /// Checks the answer to a GET. Invariant 6: no wrong 404, and no sandbox whose deletion was acknowledged.
    pub fn got(&mut self, id: &str, answer: &Answer) {
        let Some(recorded) = self.sandboxes.get_mut(id) else { return };
        match (&recorded.certain, answer.status) {
            (Some(Truth::There(url)), 200) => {
                assert_eq!(answer.body["sandbox_url"], *url, "{id} has another URL");
            }
            (Some(Truth::There(_)), 404) => {
                assert!(recorded.may_be_reaped(), "invariants 5, 6: {id} is gone: {}", answer.body);
                recorded.certain = Some(Truth::Reaped);
            }
            (Some(Truth::Gone | Truth::Reaped), 200) => panic!("invariant 4: {id} is back: {}", answer.body),
            _ => {}
        }
    }

    /// Checks the answer to a presence request. A Pod that was returned to a caller is never reported as absent, unless
    /// it may have been reaped. A deleted one may still be terminating.
    pub fn present(&mut self, id: &str, answer: &Answer) {
        let Some(recorded) = self.sandboxes.get_mut(id) else { return };
        assert!(matches!(answer.status, 200 | 503), "{id}: {}", answer.body);
        if matches!(recorded.certain, Some(Truth::There(_))) && answer.body["exists"] == false {
            assert!(recorded.may_be_reaped(), "invariants 5, 6: the Pod of {id} is gone: {}", answer.body);
            recorded.certain = Some(Truth::Reaped);
        }
    }

    /// Checks the answer to a LIST: it contains every sandbox that exists and none that is gone.
    pub fn listed(&mut self, list: &Value) {
        let listed: BTreeSet<_> = ids(list).into_iter().collect();
        for (id, recorded) in &mut self.sandboxes {
            let there = listed.contains(id);
            match recorded.certain {
                Some(Truth::There(_)) if !there => {
                    assert!(recorded.may_be_reaped(), "invariants 5, 6: {id} is missing from a list");
                    recorded.certain = Some(Truth::Reaped);
                }
                Some(Truth::Gone | Truth::Reaped) => assert!(!there, "invariant 4: {id} is listed"),
                _ => {}
            }
        }
    }

    /// Records a manual change of the sandbox.
    pub fn changed_manually(&mut self, id: &str) {
        if let Some(recorded) = self.sandboxes.get_mut(id) {
            recorded.certain = None;
            // The requests in flight are no longer alone.
            recorded.started += 1;
            recorded.doubtful_until = Some(Instant::now() + UNHEARD);
        }
    }

    /// Records a step of the API server's clock. A process that started long ago has seen all objects. A younger one
    /// may read them later, and then with the same ages as a process that starts now.
    pub fn stepped(&mut self, forward: bool) {
        self.stepped_forward |= forward;
        if forward && self.restarted.is_some_and(|restarted| restarted.elapsed() < UNHEARD) {
            self.know_no_age();
        }
    }

    fn know_no_age(&mut self) {
        for recorded in self.sandboxes.values_mut() {
            (recorded.made, recorded.used) = (None, None);
        }
    }

    /// Records that calls to the API server may fail, or may have failed until now.
    pub fn note_fault(&mut self) {
        self.last_fault = Some(Instant::now());
    }

    /// Records the start of a new process. If the API server's clock was set forward, objects appear older to it, and
    /// it cannot detect that. It does not know uses that could not be recorded. All others were recorded before they
    /// were acknowledged (invariant 5).
    pub fn restarted(&mut self, cluster: &Cluster) {
        self.restarted = Some(Instant::now());
        if std::mem::take(&mut self.stepped_forward) {
            self.know_no_age();
        }
        for (id, recorded) in &mut self.sandboxes {
            let service = cluster.object("services", NAMESPACE, &format!("sandbox-{id}-svc"));
            if recorded.certain == Some(Truth::Reaped) && service.is_some() {
                // The remaining Service is shown as an orphan until the end of its grace: the process that reaped the
                // Pod is gone.
                recorded.certain = None;
            }
            let (Some(used), Some(Truth::There(_))) = (recorded.used, &recorded.certain) else { continue };
            let Some((written, idle)) = last_written(cluster, id).zip(recorded.limits.idle_timeout) else {
                continue;
            };
            if used > written + idle / UNKNOWN_SHARE + INACCURACY {
                let exempt = self.last_fault.is_some_and(|fault| used < fault + UNWRITTEN);
                assert!(exempt, "invariant 5: {id} was used {:?} after what is written", used - written);
                recorded.used = Some(written);
            }
        }
    }

    /// Checks that each id has at most one Pod and one Service at any time (invariant 1). Unique names ensure that, and
    /// this check confirms it.
    pub fn check_pairs(cluster: &Cluster) {
        for resource in ["pods", "services"] {
            let mut seen = BTreeSet::new();
            for object in ours(cluster, resource) {
                let id = &object["metadata"]["labels"]["sandbox-id"];
                let is_new = id.is_null() || seen.insert(id.as_str().unwrap_or_default().to_owned());
                assert!(is_new, "invariant 1: two {resource} of one id: {object}");
            }
        }
    }

    /// Checks that every kept workspace is there (invariant 12).
    pub fn check_kept(&self, cluster: &Cluster) {
        for (id, recorded) in &self.sandboxes {
            if let Some(kept) = &recorded.kept {
                let claim = claim_of(cluster, id).map(|(uid, _)| uid);
                assert_eq!(claim.as_ref(), Some(kept), "invariant 12: the workspace of {id} is lost");
            }
        }
    }

    /// Checks that every workspace that goes with its sandbox is there exactly if the sandbox is (invariant 12).
    fn check_claims(&self, cluster: &Cluster) {
        self.check_kept(cluster);
        for id in self.sandboxes.keys() {
            if let Some((_, when_deleted)) = claim_of(cluster, id)
                && when_deleted == "delete"
            {
                let pod = cluster.object("pods", NAMESPACE, &format!("sandbox-{id}"));
                assert!(pod.is_some(), "invariant 12: the workspace of {id} is left");
            }
        }
    }

    /// Checks the state a while after all faults have ended (invariants 1, 3, 4 and 5): the answers are true, every Pod
    /// has its Service, and no sandbox has outlived its limits.
    pub fn check_final_state(&mut self, cluster: &Cluster, list: &Value) {
        Self::check_pairs(cluster);
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
        self.check_claims(cluster);
        for (id, recorded) in &self.sandboxes {
            let there = listed.contains(&format!("sandbox-{id}"));
            assert!(!(there && recorded.limits.any()), "{id} has outlived its limits: {:?}", recorded.limits);
        }
    }
}

/// Returns the uid of a sandbox's claim, and what happens to it.
fn claim_of(cluster: &Cluster, id: &str) -> Option<(String, String)> {
    let claims = cluster.objects("persistentvolumeclaims", Some(NAMESPACE));
    let claim = claims.into_iter().find(|claim| {
        claim["metadata"]["annotations"]["sandbox-provisioner/sandbox-id"] == id
            && claim["metadata"]["deletionTimestamp"].is_null()
    })?;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let annotation =
        |key: &str| text(&claim["metadata"]["annotations"][format!("sandbox-provisioner/{key}")]);
    // A claim that expires within a simulation may be there or not.
    let expires = annotation("keep-for") == "1m 45s";
    let when_deleted = if expires { "expire".to_owned() } else { annotation("when-deleted") };
    Some((text(&claim["metadata"]["uid"]), when_deleted))
}

/// Returns the last use that a Pod records, as a time of this process: the recorded activity or the creation.
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

/// Returns the objects of sandboxes, ordered by name.
fn ours(cluster: &Cluster, resource: &str) -> Vec<Value> {
    let mut objects = cluster.objects(resource, Some(NAMESPACE));
    objects.retain(|object| !foreign_objects::contains(object["metadata"]["name"].as_str().unwrap()));
    objects
}
