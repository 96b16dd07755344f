//! Tests the calls and the shared watch against the embedded cluster, with a paused clock.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests end their test")]

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use kubernetes::{
    cluster::KubeCluster,
    connect::{Connection, Limits},
    probe::ProbeOptions,
};
use lifecycle::{
    error::ClusterErrorKind,
    ids::SandboxId,
    lifetime::{self, LifetimeAnnotations, LifetimePatch, Owner, ReapReason},
    observed::{ObservedPod, ObservedService, ResourceVersion, Uid},
    phase::Phase,
    request::CreateRequest,
    spec::Resources,
    traits::{
        Busy, Cluster as _, Creation, Deletion, Kind, KnownUids, Manifests, Outcome, Preconditions,
        WatchEvent, WatchSink,
    },
};
use simcluster::{Cluster, Effect, Options, Refusal, Rule, Verb};
use tokio::time::{Instant, sleep, timeout};

const NAMESPACE: &str = "deer-flow";

/// A small view, fed by the watch.
#[derive(Default)]
struct View {
    pods: Mutex<BTreeMap<SandboxId, ObservedPod>>,
    services: Mutex<BTreeMap<SandboxId, ObservedService>>,
    heard: Mutex<Option<Instant>>,
    troubles: Mutex<Vec<String>>,
}

fn merge<T>(rows: &Mutex<BTreeMap<SandboxId, T>>, event: WatchEvent<T>) {
    let mut rows = rows.lock().unwrap();
    match event {
        WatchEvent::Applied(id, row) => drop(rows.insert(id, row)),
        WatchEvent::Deleted(id, ..) => drop(rows.remove(&id)),
        WatchEvent::Listed { objects, .. } => *rows = objects.into_iter().collect(),
    }
}

impl WatchSink for View {
    fn pod_event(&self, _: &SandboxId, _: &Uid, _: lifecycle::pod_event::PodEvent) {}
    fn exit_log(&self, _: &SandboxId, _: &Uid, _: lifecycle::exit::ExitLog) {}

    fn relist_started(&self, _: Kind) {}

    fn pods(&self, event: WatchEvent<ObservedPod>) {
        merge(&self.pods, event);
    }

    fn services(&self, event: WatchEvent<ObservedService>) {
        merge(&self.services, event);
    }

    fn synced(&self, kind: Kind) {
        if kind == Kind::Pod {
            *self.heard.lock().unwrap() = Some(Instant::now());
        }
    }

    fn failing(&self, _: Kind, why: &str) {
        self.troubles.lock().unwrap().push(why.to_owned());
    }
}

/// A cluster, the calls to it, and a view that the watch feeds until this is dropped.
struct Fixture {
    cluster: Cluster,
    kube: Arc<KubeCluster>,
    view: Arc<View>,
    _watches: tokio::task::JoinSet<()>,
}

impl Fixture {
    fn new() -> Self {
        Self::with_probes(ProbeOptions::default())
    }

    fn with_probes(probes: ProbeOptions) -> Self {
        let cluster = Cluster::start(Options::with_namespace(NAMESPACE));
        let connection = Connection::from_service(cluster.service(), NAMESPACE, Limits::default());
        let kube = Arc::new(KubeCluster::new(connection, Arc::default(), probes));
        let view = Arc::new(View::default());
        let mut watches = tokio::task::JoinSet::new();
        for kind in [Kind::Pod, Kind::Service] {
            let (kube, sink) = (Arc::clone(&kube), Arc::clone(&view));
            watches.spawn(async move { match kube.watch(kind, sink).await {} });
        }
        Self { cluster, kube, view, _watches: watches }
    }

    fn phase(&self, id: &SandboxId) -> Option<Phase> {
        self.view.pods.lock().unwrap().get(id).map(|pod| pod.phase)
    }

    async fn until(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let wait = async {
            while !holds() {
                sleep(Duration::from_millis(20)).await;
            }
        };
        assert!(timeout(Duration::from_secs(120), wait).await.is_ok(), "never: {what}");
    }

    async fn create(&self, id: &SandboxId) -> (ObservedPod, ObservedService) {
        self.create_for(&CreateRequest::new(id.clone())).await
    }

    async fn create_for(&self, request: &CreateRequest) -> (ObservedPod, ObservedService) {
        let id = &request.sandbox_id;
        let Manifests { pod, service } = self.kube.manifests(request).unwrap();
        let pod = self.kube.create_pod(id.clone(), pod.unwrap(), until());
        let made = futures::future::join(pod, self.kube.create_service(id.clone(), service, until())).await;
        match made {
            (Outcome::Done(Creation::AsSent(pod)), Outcome::Done(Creation::AsSent(service))) => {
                (pod, service)
            }
            other => panic!("{other:?}"),
        }
    }
}

fn id(text: &str) -> SandboxId {
    SandboxId::parse(text).unwrap()
}

fn only(uid: &Uid) -> Preconditions {
    Preconditions { uid: uid.clone(), version: None }
}

/// The time until which the caller of a create that begins now waits.
fn until() -> std::time::Instant {
    (Instant::now() + lifecycle::budget::POST_PATIENCE).into_std()
}

async fn create_pod(kube: &KubeCluster, id: &SandboxId) -> Outcome<Creation<ObservedPod>> {
    let manifests = kube.manifests(&CreateRequest::new(id.clone())).unwrap();
    kube.create_pod(id.clone(), manifests.pod.unwrap(), until()).await
}

/// Guards that the embedded cluster, also as it ships, resizes the container `sandbox` in place.
#[tokio::test(start_paused = true)]
async fn a_pod_is_resized_in_place() {
    let fixture = Fixture::new();
    let a = id("a");
    let (pod, _) = fixture.create(&a).await;
    fixture.until("running", || fixture.phase(&a) == Some(Phase::Running)).await;
    let wanted = Resources { cpu: Some("500m".to_owned()), ..Resources::default() };
    let resized = fixture.kube.resize(a.clone(), pod.uid, wanted).await;
    let Outcome::Done(pod) = resized else { panic!("{resized:?}") };
    let expected = Resources {
        cpu: Some("500m".to_owned()),
        memory: Some("1Gi".to_owned()),
        ephemeral_storage: Some("500Mi".to_owned()),
    };
    assert_eq!(*pod.spec.resources, expected);
}

/// Guards that a sandbox costs four calls: two to create it and two to delete it. The watch reports its phases.
#[tokio::test(start_paused = true)]
async fn a_life_costs_four_calls() {
    let fixture = Fixture::new();
    fixture.until("listed", || fixture.view.heard.lock().unwrap().is_some()).await;
    let a = id("a");
    let mark = fixture.cluster.mark();
    let (pod, service) = fixture.create(&a).await;
    assert!(service.url.as_deref().unwrap().starts_with("http://host.docker.internal:3"));
    fixture.until("running", || fixture.phase(&a) == Some(Phase::Running)).await;
    let pods = fixture.view.pods.lock().unwrap().clone();
    assert_eq!(pods[&a].uid, pod.uid);
    assert_eq!(fixture.view.services.lock().unwrap()[&a].url, service.url);
    let seen = fixture.kube.read(a.clone(), KnownUids::default()).await.unwrap().seen;
    assert!(seen.is_whole());

    let removal = fixture.kube.delete_pod(a.clone(), only(&pod.uid)).await;
    assert!(matches!(&removal, Outcome::Done(Deletion::Terminating(pod)) if pod.terminating), "{removal:?}");
    let removal = fixture.kube.delete_service(a.clone(), only(&service.uid)).await;
    assert_eq!(removal, Outcome::Done(Deletion::Gone));
    fixture.until("gone", || fixture.phase(&a).is_none()).await;
    assert!(fixture.view.services.lock().unwrap().is_empty());

    let calls: Vec<_> = fixture
        .cluster
        .calls_since(mark)
        .into_iter()
        .filter(|call| call.verb != Verb::Watch)
        .map(|call| (call.verb, call.resource))
        .collect();
    let count = |verb| calls.iter().filter(|(v, _)| *v == verb).count();
    assert_eq!((count(Verb::Create), count(Verb::Get), count(Verb::Delete)), (2, 2, 2), "{calls:?}");
    assert_eq!(calls.len(), 6, "{calls:?}");
}

/// Guards that limits and recorded activity are returned by every way of reading a Pod: the answer to the write, the
/// watch, a lookup, and a list after a restart.
#[tokio::test(start_paused = true)]
async fn what_is_written_of_a_life_is_read() {
    let fixture = Fixture::new();
    let a = id("a");
    let mut asked = CreateRequest::new(a.clone());
    asked.limits = lifetime::Limits {
        ttl: Some(Duration::from_secs(9000)),
        idle_timeout: Some(Duration::from_secs(900)),
    };
    asked.owner = Owner::parse("gateway-1");
    let mark = fixture.cluster.mark();
    let (pod, _) = fixture.create_for(&asked).await;
    let written =
        fixture.cluster.calls_since(mark).into_iter().filter(|call| call.verb == Verb::Create).count();
    assert_eq!(written, 2, "limits cost no further call");
    assert_eq!(
        pod.annotations,
        LifetimeAnnotations { limits: asked.limits, last_activity: pod.created, owner: asked.owner }
    );
    assert!(pod.created.is_some());
    fixture.until("running", || fixture.phase(&a) == Some(Phase::Running)).await;

    let patch = LifetimePatch {
        limits: lifetime::Limits { ttl: None, idle_timeout: Some(Duration::from_secs(60)) }.into(),
        last_activity: Some("2026-11-21T04:20:13.25Z".parse().unwrap()),
        owner: Owner::parse("gateway-2"),
    };
    let annotations = patch.clone().applied_to(&pod.annotations);
    let written = fixture.kube.write_annotations(a.clone(), pod.uid.clone(), patch).await;
    let Outcome::Done(patched) = written else { panic!("{written:?}") };
    assert_eq!((&patched.annotations, &patched.uid), (&annotations, &pod.uid));
    assert_eq!(patched.phase, Phase::Running, "the answer shows the whole Pod");
    let watched = || fixture.view.pods.lock().unwrap()[&a].annotations.clone();
    fixture.until("watched", || watched() == annotations).await;
    assert_eq!(
        fixture.kube.read(a.clone(), KnownUids::default()).await.unwrap().seen.pod.unwrap().annotations,
        annotations
    );
    let mut stored = fixture.cluster.object("pods", NAMESPACE, "sandbox-a").unwrap();
    let texts = stored["metadata"]["annotations"].take();
    assert_eq!(texts["sandbox-provisioner/idle-timeout"], "1m");
    assert_eq!(texts["sandbox-provisioner/ttl"], serde_json::Value::Null, "taken away");
    assert_eq!(texts["sandbox-provisioner/thread-id"], "a", "what is not ours to write stays");

    fixture.view.pods.lock().unwrap().clear();
    fixture.cluster.restart();
    fixture.until("listed anew", || fixture.view.pods.lock().unwrap().contains_key(&a)).await;
    assert_eq!(watched(), annotations);

    let another =
        fixture.kube.write_annotations(a.clone(), Uid("another".into()), LifetimePatch::default()).await;
    assert!(matches!(another, Outcome::Refused(fault) if fault.kind == ClusterErrorKind::Conflict));
    assert_eq!(
        fixture.kube.read(a, KnownUids::default()).await.unwrap().seen.pod.unwrap().annotations,
        annotations,
        "another life is left alone"
    );
}

/// Guards that a reap with an outdated resourceVersion deletes nothing, and that one with the current state succeeds.
#[tokio::test(start_paused = true)]
async fn a_stale_decision_deletes_nothing() {
    let fixture = Fixture::new();
    let a = id("a");
    let (pod, _) = fixture.create(&a).await;
    fixture.until("running", || fixture.phase(&a) == Some(Phase::Running)).await;
    let stale = Preconditions { uid: pod.uid.clone(), version: Some(pod.version) };
    let refused = fixture.kube.delete_pod(a.clone(), stale).await;
    assert!(matches!(refused, Outcome::Refused(fault) if fault.kind == ClusterErrorKind::Conflict));
    let seen = fixture.kube.read(a.clone(), KnownUids::default()).await.unwrap().seen.pod.unwrap();
    assert!(!seen.terminating);

    let strange = Preconditions { uid: Uid("another".into()), version: Some(seen.version) };
    assert_eq!(fixture.kube.delete_pod(a.clone(), strange).await, Outcome::Done(Deletion::Gone));
    assert!(
        !fixture.kube.read(a.clone(), KnownUids::default()).await.unwrap().seen.pod.unwrap().terminating,
        "it was another one's name"
    );

    let fresh = Preconditions { uid: seen.uid, version: Some(seen.version) };
    assert!(seen.version > ResourceVersion::UNKNOWN);
    let removal = fixture.kube.delete_pod(a, fresh).await;
    assert!(matches!(removal, Outcome::Done(Deletion::Terminating(_))), "{removal:?}");
}

/// Guards that an Event says why a Pod was deleted, and that a cluster without the permission logs it and works
/// otherwise.
#[tokio::test(start_paused = true)]
async fn events_arrive() {
    let fixture = Fixture::new();
    let a = id("a");
    let (pod, _) = fixture.create(&a).await;
    fixture.kube.record_event(&a, &pod.uid, ReapReason::Idle, false);
    let ours = || {
        let mut events = fixture.cluster.objects("events", Some(NAMESPACE));
        events.retain(|event| event["reportingComponent"] == "sandbox-provisioner");
        events
    };
    let _ = timeout(Duration::from_secs(1), fixture.kube.events().run()).await;
    let events = ours();
    assert_eq!(events.len(), 1, "{events:?}");
    // `kubectl describe pod` selects and prints these fields.
    assert_eq!(events[0]["involvedObject"]["uid"], *pod.uid.0);
    assert_eq!(events[0]["involvedObject"]["name"], "sandbox-a");
    assert_eq!(events[0]["involvedObject"]["namespace"], NAMESPACE);
    assert_eq!(events[0]["reason"], "IdleTimeout");
    assert_eq!(events[0]["message"], ReapReason::Idle.description());

    let forbidden = Rule::new(Effect::Refuse(Refusal::Forbidden)).verb(Verb::Create).resource("events");
    fixture.cluster.fault(forbidden.times(2));
    for _ in 0..3 {
        fixture.kube.record_event(&a, &pod.uid, ReapReason::Ttl, true);
    }
    let _ = timeout(Duration::from_secs(1), fixture.kube.events().run()).await;
    let last = ours().into_iter().filter(|event| event["reason"] == "WouldReapTTLExpired").count();
    assert_eq!(last, 1, "two were refused, the third was written");
}

/// Guards that a cluster without a metrics API does not prevent a reap.
#[tokio::test(start_paused = true)]
async fn a_cluster_without_metrics_shows_no_work() {
    let fixture = Fixture::with_probes(ProbeOptions { idle_cpu_millis: Some(50), ..ProbeOptions::default() });
    let a = id("a");
    let (_, service) = fixture.create(&a).await;
    assert_eq!(fixture.kube.probe_activity(a, service.url.unwrap()).await, Busy::No);
}

/// Guards that within 5 s after an outage of one minute the state is fresh and contains the changes of that time.
#[tokio::test(start_paused = true)]
async fn an_outage_is_over_within_five_seconds() {
    let fixture = Fixture::new();
    let (a, b) = (id("a"), id("b"));
    fixture.create(&a).await;
    fixture.create(&b).await;
    fixture.until("both run", || [&a, &b].iter().all(|id| fixture.phase(id) == Some(Phase::Running))).await;

    fixture.cluster.set_away(true);
    sleep(Duration::from_secs(5)).await;
    let before = *fixture.view.heard.lock().unwrap();
    fixture.cluster.remove("pods", NAMESPACE, "sandbox-a").unwrap();
    fixture.cluster.expire_watch_window();
    assert!(matches!(
        create_pod(&fixture.kube, &id("c")).await,
        Outcome::Refused(fault) if fault.kind == ClusterErrorKind::Unreachable
    ));
    sleep(Duration::from_secs(55)).await;
    assert_eq!(*fixture.view.heard.lock().unwrap(), before, "nobody was heard meanwhile");
    assert_eq!(fixture.phase(&a), Some(Phase::Running), "what was known is kept, and ages");

    fixture.cluster.set_away(false);
    let back = Instant::now();
    fixture.until("proved again", || *fixture.view.heard.lock().unwrap() > before).await;
    assert!(back.elapsed() <= Duration::from_secs(5), "{:?}", back.elapsed());
    assert_eq!((fixture.phase(&a), fixture.phase(&b)), (None, Some(Phase::Running)));
}

/// Guards that a create with a lost answer is reported as unknown, and that a lookup finds the object.
#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_found_by_a_look() {
    let fixture = Fixture::new();
    let a = id("a");
    fixture.cluster.fault(Rule::new(Effect::DropAnswer).verb(Verb::Create).times(1));
    assert!(matches!(create_pod(&fixture.kube, &a).await, Outcome::Unknown(_)));
    let seen = fixture.kube.read(a.clone(), KnownUids::default()).await.unwrap().seen;
    assert!(seen.pod.is_some() && seen.service.is_none());
    assert!(matches!(
        create_pod(&fixture.kube, &a).await,
        Outcome::Refused(fault) if fault.kind == ClusterErrorKind::AlreadyExists
    ));
}

/// Guards that one operation survives a short storm of 429.
#[tokio::test(start_paused = true)]
async fn a_short_storm_is_ridden_out() {
    let fixture = Fixture::new();
    fixture.until("listed", || fixture.view.heard.lock().unwrap().is_some()).await;
    fixture.cluster.fault(Rule::new(Effect::Refuse(Refusal::TooManyRequests)).verb(Verb::Create).times(2));
    assert!(matches!(create_pod(&fixture.kube, &id("a")).await, Outcome::Done(_)));
    assert_eq!(fixture.cluster.count_calls(Verb::Create, "pods"), 3);
    assert_eq!(fixture.cluster.count("pods", Some(NAMESPACE)), 1);
}

/// Guards that a quiet watch reports no error for a day, and that an expired watch window costs one list.
#[tokio::test(start_paused = true)]
async fn a_restarted_api_server_costs_a_list() {
    let fixture = Fixture::new();
    let a = id("a");
    fixture.create(&a).await;
    fixture.until("running", || fixture.phase(&a) == Some(Phase::Running)).await;
    fixture.view.troubles.lock().unwrap().clear();
    sleep(Duration::from_secs(600)).await;
    assert_eq!(*fixture.view.troubles.lock().unwrap(), Vec::<String>::new());

    let lists = fixture.cluster.count_calls(Verb::List, "pods");
    fixture.cluster.restart();
    sleep(Duration::from_secs(40)).await;
    assert_eq!(fixture.phase(&a), Some(Phase::Running));
    let lists = fixture.cluster.count_calls(Verb::List, "pods") - lists;
    assert!((1..=2).contains(&lists), "{lists} lists");
    let heard = fixture.view.heard.lock().unwrap().unwrap();
    assert!(heard.elapsed() <= Duration::from_secs(31));
}

/// Guards the stack that is used in production: a kubeconfig, the client of `kube`, and a socket.
#[tokio::test]
async fn a_kubeconfig_and_a_socket_serve_as_well() {
    let cluster = Cluster::start(Options::with_namespace("another"));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    let served = cluster.clone();
    tasks.spawn(simcluster::serve(listener, served, std::future::pending()));
    let kubeconfig = std::env::temp_dir().join(format!("cluster-embedded-{}", std::process::id()));
    std::fs::write(
        &kubeconfig,
        format!(
            "current-context: c\ncontexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n\
         clusters: [{{name: c, cluster: {{server: 'http://{address}'}}}}]\nusers: [{{name: u, user: {{}}}}]\n"
        ),
    )
    .unwrap();
    let options = kubernetes::connect::Options {
        kubeconfig: kubeconfig.clone(),
        setting: "KUBECONFIG_PATH".to_owned(),
        context: None,
        in_cluster: None,
        api_server: None,
        tls_server_name: None,
        insecure_skip_tls_verify: false,
    };
    let connection = Connection::new(NAMESPACE, Limits::default());
    connection.open(&options).await.unwrap();
    std::fs::remove_file(kubeconfig).unwrap();
    let view = Arc::new(View::default());
    let kube = Arc::new(KubeCluster::new(connection, Arc::default(), ProbeOptions::default()));
    let (watching, sink) = (Arc::clone(&kube), Arc::clone(&view));
    tasks.spawn(async move { match watching.watch(Kind::Pod, sink).await {} });
    // The namespace is missing. The create detects that, creates it and continues.
    let Outcome::Done(Creation::AsSent(pod)) = create_pod(&kube, &id("a")).await else {
        panic!("not created")
    };
    assert_eq!(kube.namespace().unready_reason(), None);
    let told = async {
        while view.pods.lock().unwrap().get(&id("a")).map(|p| p.uid.clone()) != Some(pod.uid.clone()) {
            sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(timeout(Duration::from_secs(10), told).await.is_ok(), "the watch never told of the Pod");
}
