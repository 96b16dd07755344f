//! Where a new sandbox is made.

use std::{collections::BTreeMap, time::Duration};

use fleet::backend::Backend;
use lifecycle::{
    budget,
    error::{ClusterErrorKind, SandboxError},
    ids::ProfileName,
    labels::Labels,
    placement::{Terms, moving::DataHome},
    request::CreateRequest,
    selector::Selector,
    workspace::WorkspaceId,
};
use tokio::time::Instant;

use crate::fake::{Mode, World, id, id_for, kind, name, pass, request};

/// Guards that sandboxes are spread over the clusters, that a second POST finds the first one's sandbox, and that the answer
/// names the cluster.
#[tokio::test(start_paused = true)]
async fn sandboxes_are_spread_and_found_again() {
    let world = World::start().await;
    let mut counts = BTreeMap::<_, u32>::new();
    for number in 0..60 {
        let id = id(&format!("a{number}"));
        let first = world.create(&id).await.unwrap();
        let again = world.create(&id).await.unwrap();
        assert_eq!((&first.pod, &first.cluster), (&again.pod, &again.cluster));
        assert_eq!(world.holders(&id), [first.cluster.as_str()]);
        *counts.entry(first.cluster.to_string()).or_default() += 1;
    }
    assert!(counts.len() == 3 && counts.values().all(|count| *count >= 10), "{counts:?}");
}

/// Guards that a sandbox whose old Pod still terminates on a cluster that drains is made elsewhere once that Pod is gone; and
/// that a POST which cannot wait so long says why.
#[tokio::test(start_paused = true)]
async fn a_draining_cluster_gets_no_sandbox_again() {
    let mut world = World::start().await;
    let id = id_for(&["west"]);
    world.create(&id).await.unwrap();
    world.set_terms("west", Terms { weight: 0, ..Terms::default() });
    world.fleet().delete(id.clone(), None).await.unwrap();
    let again = world.create(&id).await.unwrap();
    assert_ne!(again.cluster, name("west"));
    assert_eq!(world.holders(&id), [again.cluster.as_str()]);

    world.set_terms("west", Terms::default());
    let stuck = id_for(&["west", "east"]);
    world.create(&stuck).await.unwrap();
    world.cluster("west").state().termination = Some(Duration::from_secs(60));
    world.set_terms("west", Terms { weight: 0, ..Terms::default() });
    world.fleet().delete(stuck.clone(), None).await.unwrap();
    let asked = Instant::now();
    let error = world.create(&stuck).await.unwrap_err();
    assert!(matches!(error, SandboxError::StillTerminating { .. }), "{error:?}");
    assert_eq!(asked.elapsed().as_secs(), budget::CREATE_SLOT.as_secs());
    assert_eq!(world.cluster("west").count_of("create_pod", &stuck), 1);
}

/// Guards that a new sandbox whose old Pod still terminates on a cluster that it does not want is made on another one, and that
/// the request is refused at once if no cluster can fulfil it.
#[tokio::test(start_paused = true)]
async fn a_sandbox_does_not_return_to_a_cluster_that_it_does_not_want() {
    let mut world = World::start().await;
    let labels = |region| Labels::new([("region", region)]);
    world.set_terms("east", Terms { labels: labels("eu"), ..Terms::default() });
    world.set_terms("west", Terms { labels: labels("us"), ..Terms::default() });
    let id = id_for(&["west"]);
    let selected = CreateRequest {
        cluster_selector: Selector::parse("region=eu").ok(),
        ..CreateRequest::new(id.clone())
    };
    let named = CreateRequest { cluster: Some(name("east")), ..CreateRequest::new(id.clone()) };
    for request in [selected, named] {
        world.create(&id).await.unwrap();
        world.fleet().delete(id.clone(), None).await.unwrap();
        assert_eq!(world.fleet().create(request).await.unwrap().cluster, name("east"));
        assert_eq!(world.holders(&id), ["east"]);
        world.fleet().delete(id.clone(), None).await.unwrap();
        pass(5).await;
    }
    world.create(&id).await.unwrap();
    world.fleet().delete(id.clone(), None).await.unwrap();
    let asked = Instant::now();
    let unknown = CreateRequest { cluster: Some(name("south")), ..CreateRequest::new(id.clone()) };
    let error = world.fleet().create(unknown).await.unwrap_err();
    assert!(matches!(error, SandboxError::BadRequest(_)), "{error:?}");
    assert_eq!(asked.elapsed(), Duration::ZERO);
}

/// Guards that a cluster that drains gets no new sandbox and keeps its own, and that a sandbox stays where it is when the
/// placement of its id changes.
#[tokio::test(start_paused = true)]
async fn a_draining_cluster_keeps_its_sandboxes() {
    let mut world = World::start().await;
    let (old, new) = (id_for(&["west"]), id_for(&["west", "east"]));
    assert_eq!(world.create(&old).await.unwrap().cluster, name("west"));
    world.set_terms("west", Terms { weight: 0, ..Terms::default() });
    let another = id("another");
    for id in [&another, &id("b"), &id("c"), &id("d")] {
        assert_ne!(world.create(id).await.unwrap().cluster, name("west"));
    }
    assert_eq!(world.create(&old).await.unwrap().cluster, name("west"));
    if new != old {
        assert_eq!(world.create(&new).await.unwrap().cluster, name("east"));
    }
    let pinned = CreateRequest { cluster: Some(name("west")), ..request("pinned") };
    let error = world.fleet().create(pinned).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "no cluster can take Sandbox 'pinned': west is draining; try again in 30 s"
    );
}

/// Guards that the next cluster is asked after each definite refusal, and that nothing is left on the first.
#[tokio::test(start_paused = true)]
async fn a_full_cluster_passes_a_sandbox_on() {
    for (call, refusal) in [
        ("create_pod", ClusterErrorKind::QuotaExceeded),
        ("create_service", ClusterErrorKind::NodePortsExhausted),
        ("create_pod", ClusterErrorKind::Denied),
        ("create_service", ClusterErrorKind::QuotaExceeded),
    ] {
        let world = World::start().await;
        let id = id_for(&["west", "north"]);
        world.cluster("west").refuse(call, refusal);
        assert_eq!(world.create(&id).await.unwrap().cluster, name("north"), "{call} {refusal:?}");
        assert_eq!(world.create(&id).await.unwrap().cluster, name("north"), "{call} {refusal:?}");
        pass(5).await;
        assert_eq!(world.holders(&id), ["north"]);
        world.assert_no_orphans("after a spill-over");
        assert_eq!(world.cluster("west").count_of("create_pod", &id), 1, "{call} {refusal:?}");
    }
}

/// Guards that the error has each cluster's refusal if all refuse, and that a later POST succeeds.
#[tokio::test(start_paused = true)]
async fn all_refusals_are_in_the_error() {
    let mut world = World::start().await;
    let id = id_for(&["west", "north", "east"]);
    world.cluster("west").refuse("create_pod", ClusterErrorKind::QuotaExceeded);
    world.cluster("north").refuse("create_service", ClusterErrorKind::NodePortsExhausted);
    world.set_terms("east", Terms { max_sandboxes: Some(0), ..Terms::default() });
    let error = world.create(&id).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "no cluster can take Sandbox '{id}': west: Pod creation failed for now: QuotaExceeded (as the test wants it); \
             north: Service creation failed for now: NodePortsExhausted (as the test wants it); east has reached its \
             max_sandboxes of 0; try again in 5 s"
        )
    );
    pass(5).await;
    assert_eq!(world.holders(&id), [""; 0]);
    world.assert_no_orphans("after all refusals");
    world.cluster("north").allow("create_service");
    assert_eq!(world.create(&id).await.unwrap().cluster, name("north"));
}

/// Guards that a create whose outcome is not known is not repeated elsewhere: the sandbox may exist.
#[tokio::test(start_paused = true)]
async fn an_unknown_outcome_is_never_passed_on() {
    for refusal in [ClusterErrorKind::ServerError, ClusterErrorKind::Invalid] {
        let world = World::start().await;
        let id = id_for(&["west"]);
        world.cluster("west").refuse("create_pod", refusal);
        let error = world.create(&id).await.unwrap_err();
        assert_eq!(kind(&error), Some(refusal));
        for other in ["east", "north"] {
            assert_eq!(world.cluster(other).count_of("create_pod", &id), 0, "{refusal:?}");
        }
    }
    let world = World::start().await;
    let id = id_for(&["west"]);
    world.set_mode("west", Mode::Silent);
    assert!(world.create(&id).await.is_err());
    for other in ["east", "north"] {
        assert_eq!(world.cluster(other).count_of("create_pod", &id), 0);
    }
}

/// Guards that a cluster that cannot be reached any more passes a sandbox on, before its state is known to be stale.
#[tokio::test(start_paused = true)]
async fn an_unreachable_cluster_passes_a_sandbox_on() {
    let world = World::start().await;
    let id = id_for(&["west", "north"]);
    world.set_mode("west", Mode::Down);
    assert_eq!(world.create(&id).await.unwrap().cluster, name("north"));
}

/// Guards that a cluster that does not answer gets no further creates after a moment, long before its state counts as unknown,
/// and that it gets its share again once it answers.
#[tokio::test(start_paused = true)]
async fn a_silent_cluster_is_asked_last() {
    let world = World::start().await;
    let (first, second) = (id_for(&["west", "north"]), id_for(&["west", "east"]));
    world.set_mode("west", Mode::Silent);
    let (fleet, asked) = (world.fleet().clone(), first.clone());
    let waiting = tokio::spawn(async move { fleet.create(CreateRequest::new(asked)).await });
    pass(4).await;
    assert!(world.fleet().member(&name("west")).unwrap().sandboxes.view().is_fresh());
    assert_eq!(world.create(&second).await.unwrap().cluster, name("east"));
    assert_eq!(world.cluster("west").count_of("create_pod", &second), 0);

    world.set_mode("west", Mode::Up);
    assert_eq!(waiting.await.unwrap().unwrap().cluster, name("west"));
    world.fleet().delete(second.clone(), None).await.unwrap();
    pass(3).await;
    assert_eq!(world.create(&second).await.unwrap().cluster, name("west"));
}

/// Guards that the time of a POST is not counted again for each cluster.
#[tokio::test(start_paused = true)]
async fn the_deadline_counts_from_the_arrival() {
    let world = World::start().await;
    let id = id_for(&["west", "north", "east"]);
    for text in ["west", "north", "east"] {
        world.cluster(text).delay("create_pod", Duration::from_secs(9));
        world.cluster(text).refuse("create_pod", ClusterErrorKind::QuotaExceeded);
    }
    let begin = Instant::now();
    let error = world.create(&id).await.unwrap_err();
    assert!(begin.elapsed() <= budget::CREATE, "{:?}", begin.elapsed());
    assert!(error.to_string().contains("east was not asked, because no time was left"), "{error}");
    assert_eq!(world.cluster("east").count_of("create_pod", &id), 0);
}

/// Guards that a maximum holds exactly, also for creates at the same time, and that the others go elsewhere.
#[tokio::test(start_paused = true)]
async fn a_maximum_is_never_exceeded() {
    let mut world = World::start().await;
    for text in ["west", "north"] {
        world.cluster(text).delay("create_pod", Duration::from_secs(1));
        world.set_terms(text, Terms { max_sandboxes: Some(5), ..Terms::default() });
    }
    world.set_terms("east", Terms { weight: 0, ..Terms::default() });
    let creates = (0..16).map(|number| {
        let fleet = world.fleet().clone();
        tokio::spawn(async move { fleet.create(request(&format!("a{number}"))).await })
    });
    let outcomes = futures::future::join_all(creates).await;
    let made = outcomes.iter().filter(|outcome| outcome.as_ref().unwrap().is_ok()).count();
    let on = |text: &str| world.cluster(text).complete();
    assert_eq!((made, on("west"), on("north"), on("east")), (10, 5, 5, 0));
}

/// Guards that two POSTs of one id at the same time make one sandbox, also if the first cluster refuses one of them.
#[tokio::test(start_paused = true)]
async fn one_id_is_placed_once() {
    let world = World::start().await;
    let id = id_for(&["west", "north"]);
    world.cluster("west").refuse("create_service", ClusterErrorKind::NodePortsExhausted);
    world.cluster("west").delay("create_service", Duration::from_secs(1));
    let create = || {
        let (fleet, id) = (world.fleet().clone(), id.clone());
        tokio::spawn(async move { fleet.create(CreateRequest::new(id)).await })
    };
    let (first, second) = (create(), create());
    pass(1).await;
    world.cluster("west").allow("create_service");
    let (first, second) = (first.await.unwrap().unwrap(), second.await.unwrap().unwrap());
    assert_eq!((first.pod, first.cluster), (second.pod, second.cluster));
    pass(5).await;
    assert_eq!(world.holders(&id).len(), 1);
}

/// Guards that a request gets the cluster that it names or selects, that an existing sandbox stays where it is, and that
/// impossible wishes are errors of the request.
#[tokio::test(start_paused = true)]
async fn a_request_can_choose_its_cluster() {
    let mut world = World::start().await;
    let labels = |region| Labels::new([("region", region)]);
    world.set_terms("west", Terms { labels: labels("us"), ..Terms::default() });
    let gpu = ProfileName::parse("gpu");
    let offered = Some(gpu.clone().into_iter().collect());
    world.set_terms("north", Terms { profiles: offered, ..Terms::default() });
    for number in 0..8 {
        let text = format!("a{number}");
        let pinned = CreateRequest { cluster: Some(name("east")), ..request(&text) };
        assert_eq!(world.fleet().create(pinned).await.unwrap().cluster, name("east"));
        let elsewhere = CreateRequest { cluster: Some(name("west")), ..request(&text) };
        assert_eq!(world.fleet().create(elsewhere).await.unwrap().cluster, name("east"));
        let selector = Selector::parse("region=us").ok();
        let selected = CreateRequest { cluster_selector: selector, ..request(&format!("b{number}")) };
        assert_eq!(world.fleet().create(selected).await.unwrap().cluster, name("west"));
        let with_gpu = CreateRequest { profile: gpu.clone(), ..request(&format!("c{number}")) };
        let selector = Selector::parse("!region").ok();
        let with_gpu = CreateRequest { cluster_selector: selector, ..with_gpu };
        assert_ne!(world.fleet().create(with_gpu).await.unwrap().cluster, name("west"));
        assert_ne!(world.create(&id(&format!("d{number}"))).await.unwrap().cluster, name("north"));
    }
    let unknown = CreateRequest { cluster: Some(name("south")), ..request("z") };
    let error = world.fleet().create(unknown).await.unwrap_err();
    let text = "cluster: there is no cluster 'south'; the clusters are east, north, west";
    assert_eq!(error, SandboxError::BadRequest(text.to_owned()));
}

/// Guards that the constraints of a request count with a single cluster too.
#[tokio::test(start_paused = true)]
async fn a_single_cluster_is_no_other() {
    let mut world = World::with(&["default"], None).await;
    let elsewhere = |text| CreateRequest { cluster: Some(name(text)), ..request("a") };
    let error = world.fleet().create(elsewhere("west")).await.unwrap_err();
    let text = "cluster: there is no cluster 'west'; the clusters are default";
    assert_eq!(error, SandboxError::BadRequest(text.to_owned()));
    assert!(world.fleet().create(elsewhere("default")).await.is_ok());
    world.set_terms("default", Terms { weight: 0, ..Terms::default() });
    assert!(world.create(&id("a")).await.is_ok());
    let error = world.create(&id("b")).await.unwrap_err();
    assert_eq!(error.to_string(), "the cluster is draining; try again in 30 s");
}

/// Guards that a sandbox goes to the cluster that has its workspace, and waits while that is away.
#[tokio::test(start_paused = true)]
async fn a_sandbox_follows_its_workspace() {
    let world = World::start().await;
    let workspace = WorkspaceId::of_hash(7);
    for text in ["east", "north", "west"] {
        world.cluster(text).state().data_home = Some(DataHome::Workspace(workspace.clone()));
    }
    world.cluster("north").state().claims.insert(workspace);
    world.cluster("north").add(&id("other"), 0);
    pass(2).await;
    let of_profile = |text: &str| CreateRequest { profile: ProfileName::parse("p"), ..request(text) };
    for number in 0..8 {
        let made = world.fleet().create(of_profile(&format!("a{number}"))).await.unwrap();
        assert_eq!(made.cluster, name("north"));
    }
    world.set_mode("north", Mode::Down);
    pass(60).await;
    let error = world.fleet().create(of_profile("b")).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "no cluster can take Sandbox 'b': north is away: its state is not known at present; try again in 5 s"
    );
}
