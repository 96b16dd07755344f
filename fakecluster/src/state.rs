//! The objects of the cluster, and the faults of its calls.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    iter,
    time::Duration,
};

use lifecycle::{
    error::ClusterErrorKind,
    ids::{ClusterName, SandboxId},
    lifetime::LifetimeAnnotations,
    observed::{Observed, ObservedPod, ObservedService, PodTimes, ResourceVersion, Uid},
    phase::Phase,
    placement::{moving::DataHome, replacement::Replacement},
    request::CreateRequest,
    spec::ObservedSpec,
    traits::Busy,
    workspace::WorkspaceId,
};

use crate::{FakeCluster, WallClock};

/// The time that a Pod takes to terminate, if nothing else is set.
pub const TERMINATION: Duration = Duration::from_secs(2);

/// How well a cluster is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// It works.
    #[default]
    Up,
    /// No connection is made.
    Down,
    /// It accepts connections and never answers, and does nothing.
    Silent,
    /// It does all it is asked to, and never answers.
    Mute,
    /// Its watch reports nothing, and all calls work.
    Stalled,
}

/// The state of a cluster.
#[derive(Default)]
pub struct State {
    /// How well it is reached.
    pub mode: Mode,
    /// All Pods and Services.
    pub objects: BTreeMap<SandboxId, Observed>,
    /// The calls so far, such as `create_pod a`.
    pub calls: Vec<String>,
    /// The recorded Events, such as `a IdleTimeout`.
    pub events: Vec<String>,
    /// The time that a Pod takes to terminate.
    pub termination: Option<Duration>,
    /// Whether new Pods stay `Pending` and not ready.
    pub makes_unready: bool,
    /// Whether new Pods keep their request.
    pub keeps_requests: bool,
    /// The uid of the namespace, if it can be read.
    pub namespace: Option<Uid>,
    /// Where the data of sandboxes is.
    pub data_home: Option<DataHome>,
    /// The claims of workspaces.
    pub claims: BTreeSet<WorkspaceId>,
    /// The results of activity probes; [`Busy::No`] if there is no entry.
    pub busy: BTreeMap<SandboxId, Busy>,
    /// The requests from which manifests were built. A manifest is the number of its request.
    pub(crate) requests: Vec<CreateRequest>,
    /// The requests that Pods keep.
    pub(crate) kept: HashMap<Uid, CreateRequest>,
    /// Whether the watch has to begin with a list.
    pub(crate) has_missed: bool,
    pub(crate) version: u64,
    faults: Faults,
}

/// The faults of calls, by a call's name (`resize a 2`) or its begin (`resize a`, `resize`).
#[derive(Default)]
struct Faults {
    delays: HashMap<String, Duration>,
    refusals: HashMap<String, ClusterErrorKind>,
    panics: Vec<String>,
}

/// The faults of one call.
pub(crate) struct CallFaults {
    pub delay: Option<Duration>,
    pub refusal: Option<ClusterErrorKind>,
    pub panics: bool,
}

/// Returns the name of a call and its begins: `resize a 2`, `resize a` and `resize`.
fn names(call: &str) -> impl Iterator<Item = &str> {
    iter::successors(Some(call), |name| Some(name.rsplit_once(' ')?.0))
}

impl FakeCluster {
    /// Lets calls with this name fail. After a `ServerError` it is not known whether a write had an effect.
    pub fn refuse(&self, call: &str, kind: ClusterErrorKind) {
        self.state().faults.refusals.insert(call.to_owned(), kind);
    }

    /// Lets calls with this name succeed again.
    pub fn allow(&self, call: &str) {
        self.state().faults.refusals.remove(call);
    }

    /// Lets calls with this name take this time.
    pub fn delay(&self, call: &str, delay: Duration) {
        self.state().faults.delays.insert(call.to_owned(), delay);
    }

    /// Lets the next call with this name panic.
    pub fn panic_once(&self, call: &str) {
        self.state().faults.panics.push(call.to_owned());
    }

    /// Returns the calls so far, such as `create_pod a`.
    pub fn calls(&self) -> Vec<String> {
        self.state().calls.clone()
    }

    /// Returns how many calls with this name were made, such as `write_annotations`.
    pub fn count(&self, call: &str) -> usize {
        self.state().calls.iter().filter(|made| names(made).any(|name| name == call)).count()
    }

    /// Returns how often a call was made for a sandbox.
    pub fn count_of(&self, call: &str, id: &SandboxId) -> usize {
        self.count(&format!("{call} {id}"))
    }

    /// Returns whether both objects of the sandbox exist and neither is terminating.
    pub fn holds(&self, id: &SandboxId) -> bool {
        self.state().objects.get(id).is_some_and(Observed::is_whole)
    }

    /// Returns whether the sandbox exists, but not as a whole.
    pub fn holds_part(&self, id: &SandboxId) -> bool {
        self.state().objects.get(id).is_some_and(|seen| !seen.is_empty() && !seen.is_whole())
    }

    /// Returns the number of complete sandboxes.
    pub fn complete(&self) -> usize {
        self.state().objects.values().filter(|seen| seen.is_whole()).count()
    }

    /// Returns whether no object exists.
    pub fn is_empty(&self) -> bool {
        self.state().objects.values().all(Observed::is_empty)
    }

    /// Returns why the Pod of a sandbox replaces another, if it does.
    pub fn replaces(&self, id: &SandboxId) -> Option<Replacement> {
        self.state().objects.get(id)?.pod.as_ref()?.spec.origin.replaces
    }

    /// Returns the lifetime annotations of the Pod of a sandbox.
    pub fn annotations(&self, id: &SandboxId) -> LifetimeAnnotations {
        self.state().objects[id].pod.as_ref().unwrap().annotations.clone()
    }
}

impl State {
    /// Notes a call. Returns its faults.
    pub(crate) fn note(&mut self, call: String) -> CallFaults {
        let Faults { delays, refusals, panics } = &mut self.faults;
        let panics = panics
            .iter()
            .position(|panic| names(&call).any(|name| name == panic))
            .map(|at| panics.remove(at));
        let faults = CallFaults {
            delay: names(&call).find_map(|name| delays.get(name).copied()),
            refusal: names(&call).find_map(|name| refusals.get(name).copied()),
            panics: panics.is_some(),
        };
        self.calls.push(call);
        faults
    }

    /// Returns the resourceVersion of another change.
    pub(crate) fn next(&mut self) -> ResourceVersion {
        self.version += 1;
        ResourceVersion(self.version)
    }

    /// Returns the Pod of a sandbox.
    pub(crate) fn pod_mut(&mut self, id: &SandboxId) -> Option<&mut ObservedPod> {
        self.objects.get_mut(id)?.pod.as_mut()
    }

    /// Returns a new Pod.
    pub(crate) fn pod(&mut self, cluster: &ClusterName, clock: &WallClock) -> ObservedPod {
        let version = self.next();
        ObservedPod {
            uid: Uid(format!("{cluster}-pod-{}", version.0).into()),
            version,
            phase: if self.makes_unready { Phase::Pending } else { Phase::Running },
            ready: !self.makes_unready,
            terminating: false,
            reason: None,
            created: Some(clock.second()),
            times: PodTimes::default(),
            spec: ObservedSpec::default(),
            annotations: LifetimeAnnotations::default(),
        }
    }

    /// Returns a new Service.
    pub(crate) fn service(&mut self, cluster: &ClusterName) -> ObservedService {
        let version = self.next();
        ObservedService {
            uid: Uid(format!("{cluster}-service-{}", version.0).into()),
            version,
            terminating: false,
            url: Some(format!("http://{cluster}:{}", 30000 + version.0).into()),
            internal_url: None,
        }
    }
}
