use std::sync::Mutex;

use lifecycle::{
    ids::SandboxId,
    observed::{ObservedPod, ObservedService, Uid},
    phase::Phase,
};
use serde_json::{Value, json};

use super::*;
use crate::fake::{self, Answer, Asked, End, Log, failure, list, pod};

/// What the sink was told, as short lines, and when.
#[derive(Default)]
struct Told(Mutex<Vec<(Instant, String)>>);

impl Told {
    fn note(&self, line: String) {
        self.0.lock().unwrap().push((Instant::now(), line));
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().iter().map(|(_, line)| line.clone()).collect()
    }

    /// All but the announcements of lists.
    fn lines(&self) -> Vec<String> {
        self.all().into_iter().filter(|line| line != "listing").collect()
    }

    /// The news alone.
    fn news(&self) -> Vec<String> {
        self.lines().into_iter().filter(|l| l != "heard" && !l.starts_with("trouble")).collect()
    }

    fn last_heard(&self) -> Option<Instant> {
        self.0.lock().unwrap().iter().rev().find(|(_, line)| line == "heard").map(|(at, _)| *at)
    }

    fn failing(&self) -> Option<String> {
        self.lines().into_iter().find(|line| line.starts_with("trouble"))
    }
}

impl WatchSink for Told {
    fn relist_started(&self, _: Kind) {
        self.note("listing".to_owned());
    }

    fn pods(&self, event: WatchEvent<ObservedPod>) {
        self.note(match event {
            WatchEvent::Applied(id, pod) => format!("{id} {}", pod.phase),
            WatchEvent::Deleted(id, Uid(uid), _) => format!("{id} gone {uid}"),
            WatchEvent::Listed(all, _) => {
                let all: Vec<_> = all.iter().map(|(id, pod)| format!("{id} {}", pod.phase)).collect();
                format!("listed [{}]", all.join(", "))
            }
        });
    }

    fn services(&self, event: WatchEvent<ObservedService>) {
        let url = |s: &ObservedService| s.url.clone().unwrap_or_default();
        let rows: Vec<(SandboxId, Arc<str>)> = match event {
            WatchEvent::Applied(id, service) => vec![(id, url(&service))],
            WatchEvent::Deleted(..) => vec![],
            WatchEvent::Listed(all, _) => all.iter().map(|(id, s)| (id.clone(), url(s))).collect(),
        };
        self.note(format!("{rows:?}"));
    }

    fn synced(&self, _: Kind) {
        self.note("heard".to_owned());
    }

    fn failing(&self, _: Kind, why: &str) {
        self.note(format!("trouble: {why}"));
    }
}

/// Follows Pods at a scripted server for as long as is said.
async fn follow(
    length: Duration,
    script: impl Fn(usize, &Asked) -> Answer + Send + Sync + 'static,
) -> (Arc<Told>, Log) {
    let (connection, log) = fake::server(script);
    let told = Arc::new(Told::default());
    let watch = watch(connection, Arc::default(), Kind::Pod, Arc::clone(&told) as Arc<dyn WatchSink>);
    let _ = timeout(length, watch).await;
    (told, log)
}

fn event(kind: &str, object: &Value) -> String {
    json!({"type": kind, "object": object}).to_string()
}

fn at_once(lines: Vec<String>, end: End) -> Answer {
    Answer::Watch(lines.into_iter().map(|line| (Duration::ZERO, line)).collect(), end)
}

/// A watch in which nothing happens, ended by the server after its timeout.
fn quiet() -> Answer {
    let bookmark = event("BOOKMARK", &json!({"metadata": {"resourceVersion": "90"}}));
    Answer::Watch(vec![(TIMEOUT, bookmark)], End::InOrder)
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The list, then what changes, in order; and each is told before it is called up to date.
#[tokio::test(start_paused = true)]
async fn tells_the_list_and_then_each_change() {
    let (told, log) = follow(seconds(20), |_, asked| {
        if !asked.is_watch() {
            return list(10, "", &[pod("a", "ua", 9, "Pending")]);
        }
        let lines = vec![
            event("MODIFIED", &pod("a", "ua", 11, "Running")),
            event("ADDED", &pod("b", "ub", 12, "Pending")),
            event("DELETED", &pod("a", "ua", 13, "Succeeded")),
        ];
        at_once(lines, End::Never)
    })
    .await;
    assert_eq!(
        told.lines(),
        ["listed [a Pending]", "heard", "a Running", "heard", "b Pending", "heard", "a gone ua", "heard"]
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
}

/// A quiet cluster costs one call every 30 s, and a list every five minutes; it is never called in trouble, and each
/// watch goes on from the last version.
#[tokio::test(start_paused = true)]
async fn a_quiet_watch_stays_fresh_and_cheap() {
    let begun = Instant::now();
    let (told, log) =
        follow(seconds(601), |_, asked| if asked.is_watch() { quiet() } else { list(10, "", &[]) }).await;
    let (lists, watches): (Vec<_>, Vec<_>) = log.all().into_iter().partition(|asked| !asked.is_watch());
    assert_eq!((lists.len(), watches.len()), (3, 21));
    assert_eq!(told.failing(), None);
    assert!(told.last_heard().unwrap() >= begun + seconds(600));
    assert!(log.all()[2].query.contains("resourceVersion=90"), "the bookmark's version is gone on from");
}

/// The orderly end of a watch at its timeout is a proof by itself: not every server sends bookmarks.
#[tokio::test(start_paused = true)]
async fn the_orderly_end_at_the_timeout_is_heard() {
    let (told, log) = follow(seconds(31), |before, asked| match (asked.is_watch(), before) {
        (false, _) => list(10, "", &[]),
        // An empty line carries the pause and no event.
        (true, 1) => Answer::Watch(vec![(TIMEOUT, String::new())], End::InOrder),
        (true, _) => Answer::Silence,
    })
    .await;
    assert_eq!(told.lines(), ["listed []", "heard", "heard"]);
    assert!(log.all()[2].query.contains("resourceVersion=10"));
}

/// A server, or a proxy, that ends each watch at once proves nothing by it and is not called in a hot loop.
#[tokio::test(start_paused = true)]
async fn an_early_end_proves_nothing() {
    let (told, log) =
        follow(
            seconds(60),
            |_, asked| {
                if asked.is_watch() { at_once(vec![], End::InOrder) } else { list(10, "", &[]) }
            },
        )
        .await;
    let (lists, watches): (Vec<_>, Vec<_>) = log.all().into_iter().partition(|asked| !asked.is_watch());
    let heard = told.lines().iter().filter(|line| *line == "heard").count();
    assert_eq!(heard, lists.len(), "only the lists are proofs");
    assert!(told.failing().unwrap().contains("closed before its time"));
    // 0.5 + 1 + 2 + 3 + 3 …, up to a quarter less by chance: at most 28 in a minute, and at least 21.
    assert!((21..=28).contains(&watches.len()), "{} watches", watches.len());
}

/// The recorded 410 inside a 200, then a new list: what vanished in between is absent from it.
#[tokio::test(start_paused = true)]
async fn an_expired_watch_is_listed_anew() {
    let (told, _) = follow(seconds(5), |before, asked| match (asked.is_watch(), before) {
        (false, 0) => list(10, "", &[pod("a", "ua", 9, "Running"), pod("b", "ub", 9, "Running")]),
        (false, _) => list(500, "", &[pod("b", "ub", 9, "Running")]),
        (true, 1) => {
            let status = json!({"status": "Failure", "reason": "Expired", "code": 410, "message": "too old"});
            at_once(vec![event("ERROR", &status)], End::InOrder)
        }
        (true, _) => at_once(vec![], End::Never),
    })
    .await;
    let lines = told.lines();
    assert_eq!(lines[0], "listed [a Running, b Running]");
    assert_eq!(lines[1], "heard");
    assert!(
        lines[2].starts_with("trouble") && lines[2].contains("too old"),
        "an error is no proof: {lines:?}"
    );
    assert_eq!(lines[3..], ["listed [b Running]", "heard"]);
}

/// Nothing of a list is told before all of it is there, and a page that expired begins it anew.
#[tokio::test(start_paused = true)]
async fn a_list_is_told_whole_or_not_at_all() {
    let (told, log) = follow(seconds(5), |before, asked| match before {
        0 => list(10, "next-1", &[pod("a", "ua", 9, "Running")]),
        1 => failure(410, "Expired", "The provided continue parameter is too old"),
        2 => list(20, "next-2", &[pod("b", "ub", 9, "Running")]),
        3 => {
            assert!(asked.query.contains("continue=next-2"), "{}", asked.query);
            list(20, "", &[pod("c", "uc", 9, "Running")])
        }
        _ => at_once(vec![], End::Never),
    })
    .await;
    assert_eq!(told.news(), ["listed [b Running, c Running]"]);
    assert_eq!(log.len(), 5);
    let all = told.all();
    assert_eq!((&*all[0], &*all[2], &*all[3]), ("listing", "listing", "listed [b Running, c Running]"));
}

/// A success that is no list (a proxy's welcome page) never means that everything is gone.
#[tokio::test(start_paused = true)]
async fn a_foreign_success_is_no_empty_list() {
    for foreign in [|| Answer::Json(200, json!({})), || Answer::Text(200, vec![], "<html>welcome</html>")] {
        let (told, _) = follow(seconds(3), move |_, _| foreign()).await;
        assert_eq!(told.news(), Vec::<String>::new());
        assert_eq!(told.last_heard(), None);
        assert!(told.failing().is_some());
    }
}

/// One object that nobody understands costs no other; what is not ours is not told.
#[tokio::test(start_paused = true)]
async fn an_odd_object_costs_nothing_else() {
    let (told, _) = follow(seconds(5), |_, asked| {
        if asked.is_watch() {
            let mut relabelled = pod("b", "ub", 12, "Running");
            relabelled["metadata"]["labels"]["sandbox-id"] = "other".into();
            let odd = json!({"metadata": {"name": "sandbox-c", "uid": "uc", "labels": 3}, "status": "weird"});
            let lines = vec![
                event("ADDED", &odd),
                event("MODIFIED", &relabelled),
                event("MODIFIED", &pod("a", "ua", 13, "Succeeded")),
            ];
            return at_once(lines, End::Never);
        }
        let mut odd = pod("x", "ux", 3, "Hovering");
        odd["status"]["conditions"] = "none".into();
        let mut stranger = pod("y", "uy", 3, "Running");
        stranger["metadata"]["name"] = "nginx".into();
        list(10, "", &[odd, json!(7), stranger, pod("a", "ua", 9, "Running"), pod("b", "ub", 9, "Running")])
    })
    .await;
    assert_eq!(
        told.news(),
        [
            "listed [x Unknown, a Running, b Running]",
            // Neither carries its id's label any more: what we knew under the name is gone.
            "c gone uc",
            "b gone ub",
            "a Succeeded",
        ]
    );
}

/// A watch that stays open and silent, and one that breaks, are noticed, said, and no proof of anything.
#[tokio::test(start_paused = true)]
async fn a_stalled_or_broken_watch_is_noticed() {
    for (end, after) in [(true, SILENCE_MAX), (false, Duration::ZERO)] {
        let begun = Instant::now();
        let (told, log) = follow(after + seconds(1), move |before, asked| match (asked.is_watch(), before) {
            (true, 1) => at_once(vec![], if end { End::Never } else { End::Broken }),
            (true, _) => Answer::Silence,
            (false, _) => list(10, "", &[]),
        })
        .await;
        let lines = told.lines();
        assert_eq!(lines[..2], ["listed []", "heard"]);
        assert!(lines[2].starts_with("trouble: the watch of Pods failed"), "{lines:?}");
        assert_eq!(lines[3..], ["listed []", "heard"], "a list is what proves the state again");
        let relisted = log.all()[2].at;
        assert!(relisted >= after && relisted <= after + backoff::FIRST, "{relisted:?}");
        assert!(told.last_heard().unwrap() >= begun + relisted);
    }
}

/// A server that accepts and never answers is noticed by the head's timeout, on a list and on a watch.
#[tokio::test(start_paused = true)]
async fn a_silent_server_is_noticed() {
    for silent_watch in [false, true] {
        let (told, log) = follow(seconds(11), move |_, asked| {
            if asked.is_watch() || !silent_watch { Answer::Silence } else { list(10, "", &[]) }
        })
        .await;
        assert!(told.failing().unwrap().contains("TimedOut"), "{:?}", told.lines());
        assert!(log.len() >= 2);
    }
}

/// However long the server fails, it is called with growing pauses, and found again within 5 s of its return.
#[tokio::test(start_paused = true)]
async fn failing_lists_are_backed_off() {
    // Twenty failures: 0.5 + 1 + 2 + 17 × 3 s for a server that is away, up to a quarter less by chance.
    let (told, log) = follow(seconds(120), |before, asked| match (before, asked.is_watch()) {
        (0..20, _) => Answer::Broken(std::io::ErrorKind::ConnectionRefused),
        (_, false) => list(10, "", &[]),
        (_, true) => quiet(),
    })
    .await;
    let found = log.all()[20].at.as_secs_f64();
    assert!((54.5 * 0.75..=54.5).contains(&found), "{found}");
    assert!(log.all().windows(2).take(20).all(|pair| pair[1].at < pair[0].at + seconds(5)));
    assert_eq!(told.news(), ["listed []"]);

    // One that answers with errors is spared: at most one call in ten seconds, once it is known to last.
    for storm in [
        || Answer::Text(429, vec![("retry-after", "1")], "Too many requests, please try again later.\n"),
        || failure(500, "", "etcdserver: request timed out"),
    ] {
        let (told, log) = follow(seconds(300), move |_, _| storm()).await;
        assert!((30..=45).contains(&log.len()), "{} calls in 300 s", log.len());
        assert_eq!(told.last_heard(), None);
    }
}

/// Services are followed in the same way, and told with their URL.
#[tokio::test(start_paused = true)]
async fn services_are_told_with_their_url() {
    let (connection, log) = fake::server(|_, asked| {
        if asked.is_watch() {
            return at_once(vec![], End::Never);
        }
        list(10, "", &[fake::service("a", "us", 9, 31234)])
    });
    let told = Arc::new(Told::default());
    let watch = watch(connection, Arc::default(), Kind::Service, Arc::clone(&told) as Arc<dyn WatchSink>);
    let _ = timeout(seconds(1), watch).await;
    assert_eq!(told.lines(), ["[(\"a\", \"http://host.docker.internal:31234\")]", "heard"]);
    assert_eq!(log.lines()[0], "GET /api/v1/namespaces/rec/services");
}

/// The pod that the helper makes is what the tests take it for.
#[test]
fn the_helpers_pod_is_ours() {
    let read: Pod = serde_json::from_value(pod("a", "ua", 9, "Running")).unwrap();
    assert_eq!(crate::observe::pod_owner(&read).unwrap().as_str(), "a");
    assert_eq!(crate::observe::pod(&read).unwrap().phase, Phase::Running);
}
