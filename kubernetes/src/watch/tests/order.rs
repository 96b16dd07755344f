//! The reports to the sink and their order.

use std::sync::OnceLock;

use lifecycle::phase::Phase;

use super::*;

/// Guards that the list and then each change are reported in order, each before the watch is up to date.
#[tokio::test(start_paused = true)]
async fn reports_the_list_and_then_each_change() {
    let (recorded, log) = follow(seconds(20), |_, asked| {
        if !asked.is_watch() {
            return list(10, "", &[pod("a", "ua", 9, "Pending")]);
        }
        let lines = [
            event("MODIFIED", &pod("a", "ua", 11, "Running")),
            event("ADDED", &pod("b", "ub", 12, "Pending")),
            event("DELETED", &pod("a", "ua", 13, "Succeeded")),
        ];
        Answer::Watch(lines.map(|line| (seconds(1), line)).into(), End::Never)
    })
    .await;
    assert_eq!(
        recorded.lines(),
        ["listed [a Pending]", "synced", "a Running", "synced", "b Pending", "synced", "a gone ua", "synced"]
    );
    let asked = log.all();
    assert!(asked[0].query.contains("limit=500"), "{}", asked[0].query);
    assert!(asked[0].query.contains("labelSelector=app%3Ddeer-flow-sandbox"), "{}", asked[0].query);
    assert!(
        !asked[0].query.contains("resourceVersion"),
        "the list is read from the store: {}",
        asked[0].query
    );
    for part in ["watch=true", "timeoutSeconds=30", "resourceVersion=10", "allowWatchBookmarks=true"] {
        assert!(asked[1].query.contains(part), "{part} in {}", asked[1].query);
    }
    assert_eq!(log.len(), 2);
    // Servers of 1.37 and later compress a watch unless they are recorded not to.
    assert_eq!(asked[1].accept_encoding.as_deref(), Some("identity"));
}

/// Guards the order on which every read depends: events that arrive together are all reported before the watch is up to
/// date.
#[tokio::test(start_paused = true)]
async fn events_that_arrive_together_are_reported_before_synced() {
    let (recorded, _) = follow(seconds(20), |_, asked| {
        if !asked.is_watch() {
            return list(10, "", &[]);
        }
        let lines: Vec<_> =
            (0..50).map(|n| event("ADDED", &pod(&format!("s{n}"), "u", 11 + n, "Running"))).collect();
        // A bookmark among them is not passed on, and does not prove that more was read.
        let lines = [lines[..20].join("\n"), bookmark(31), lines[20..].join("\n")].join("\n");
        Answer::Watch(vec![(seconds(1), lines)], End::Never)
    })
    .await;
    let lines = recorded.lines();
    assert_eq!(lines.len(), 2 + 50 + 1, "{lines:?}");
    assert_eq!(lines.iter().rposition(|line| line.ends_with("Running")), Some(51));
    assert_eq!(lines[52], "synced");
}

/// Guards that the start of a list is reported before its request is sent: an object that is written after the report
/// may be missing from the list.
#[tokio::test(start_paused = true)]
async fn the_start_of_a_list_is_reported_before_its_request() {
    let recorded = Arc::<OnceLock<Arc<RecordedSink>>>::default();
    let seen = Arc::clone(&recorded);
    let (connection, log) = fake::server(move |before, asked| {
        if asked.is_watch() {
            return failure(500, "", "etcdserver: request timed out");
        }
        let announced = seen.get().unwrap().all().iter().filter(|line| *line == "relist_started").count();
        assert_eq!(announced, before / 2 + 1);
        list(10, "", &[])
    });
    let recorded = recorded.get_or_init(Arc::default);
    let watch = watch(connection, Arc::default(), Kind::Pod, Arc::clone(recorded) as Arc<dyn WatchSink>);
    let _ = timeout(seconds(20), watch).await;
    assert!(log.len() >= 6);
    assert_eq!(recorded.events().len(), log.len() / 2);
}

/// Guards that an invalid object does not affect the others, and that foreign objects are not reported.
#[tokio::test(start_paused = true)]
async fn an_invalid_object_affects_no_other() {
    let (recorded, _) = follow(seconds(5), |_, asked| {
        if asked.is_watch() {
            let mut relabelled = pod("b", "ub", 12, "Running");
            relabelled["metadata"]["labels"]["sandbox-id"] = "other".into();
            let metadata = json!({"name": "sandbox-c", "uid": "uc", "resourceVersion": "11", "labels": 3});
            let odd = json!({"metadata": metadata, "status": "weird"});
            let lines = vec![
                event("ADDED", &odd),
                event("MODIFIED", &relabelled),
                event("MODIFIED", &pod("a", "ua", 13, "Succeeded")),
            ];
            return at_once(lines, End::Never);
        }
        let mut odd = pod("x", "ux", 3, "Hovering");
        odd["status"]["conditions"] = "none".into();
        let mut foreign = pod("y", "uy", 3, "Running");
        foreign["metadata"]["name"] = "nginx".into();
        list(10, "", &[odd, json!(7), foreign, pod("a", "ua", 9, "Running"), pod("b", "ub", 9, "Running")])
    })
    .await;
    assert_eq!(
        recorded.events(),
        [
            "listed [x Unknown, a Running, b Running]",
            // The label of their id is gone, so the objects under these names are gone.
            "c gone uc",
            "b gone ub",
            "a Succeeded",
        ]
    );
}

/// Guards that Services are watched in the same way, and reported with their URL.
#[tokio::test(start_paused = true)]
async fn services_are_reported_with_their_url() {
    let (connection, log) = fake::server(|_, asked| {
        if asked.is_watch() {
            return at_once(vec![], End::Never);
        }
        list(10, "", &[fake::service("a", "us", 9, 31234)])
    });
    let recorded = Arc::new(RecordedSink::default());
    let watch = watch(connection, Arc::default(), Kind::Service, Arc::clone(&recorded) as Arc<dyn WatchSink>);
    let _ = timeout(seconds(1), watch).await;
    assert_eq!(recorded.lines(), ["[(\"a\", \"http://host.docker.internal:31234\")]", "synced"]);
    assert_eq!(log.lines()[0], "GET /api/v1/namespaces/rec/services");
}

/// Guards that the Pod of the helper is a sandbox's Pod.
#[test]
fn the_helpers_pod_is_ours() {
    let read: Pod = serde_json::from_value(pod("a", "ua", 9, "Running")).unwrap();
    assert_eq!(read.sandbox_id().unwrap().as_str(), "a");
    assert_eq!(observe::pod(&read).unwrap().phase, Phase::Running);
}
