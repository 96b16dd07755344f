use std::{
    io,
    sync::{Mutex, OnceLock},
};

use lifecycle::{
    ids::SandboxId,
    observed::{ObservedPod, ObservedService, Uid},
    phase::Phase,
};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::*;
use crate::connect::Limits;
use crate::fake::{self, Answer, Asked, End, Log, failure, list, pod};

/// The maximum length of an answer, less than usual.
const ANSWER_MAX: usize = 100 << 10;

/// A sink that records each report as a short line, with its time.
#[derive(Default)]
pub(crate) struct RecordedSink {
    lines: Mutex<Vec<(Instant, String)>>,
    list_versions: Mutex<Vec<ResourceVersion>>,
}

impl RecordedSink {
    fn record(&self, line: String) {
        self.lines.lock().unwrap().push((Instant::now(), line));
    }

    fn all(&self) -> Vec<String> {
        self.lines.lock().unwrap().iter().map(|(_, line)| line.clone()).collect()
    }

    /// Returns all lines except the starts of lists.
    fn lines(&self) -> Vec<String> {
        self.all().into_iter().filter(|line| line != "relist_started").collect()
    }

    /// Returns only the events.
    pub(crate) fn events(&self) -> Vec<String> {
        self.lines().into_iter().filter(|l| l != "synced" && !l.starts_with("failing")).collect()
    }

    fn last_synced(&self) -> Option<Instant> {
        self.lines.lock().unwrap().iter().rev().find(|(_, line)| line == "synced").map(|(at, _)| *at)
    }

    /// Returns the longest time between two reports that the watch is up to date.
    fn longest_silence(&self) -> Duration {
        let lines = self.lines.lock().unwrap();
        let synced: Vec<_> = lines.iter().filter(|(_, line)| line == "synced").map(|(at, _)| *at).collect();
        synced.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
    }

    fn failure(&self) -> Option<String> {
        self.lines().into_iter().find(|line| line.starts_with("failing"))
    }
}

impl WatchSink for RecordedSink {
    fn relist_started(&self, _: Kind) {
        self.record("relist_started".to_owned());
    }

    fn pods(&self, event: WatchEvent<ObservedPod>) {
        self.record(match event {
            WatchEvent::Applied(id, pod) => format!("{id} {}", pod.phase),
            WatchEvent::Deleted(id, Uid(uid), _) => format!("{id} gone {uid}"),
            WatchEvent::Listed { objects, unreadable, version } => {
                self.list_versions.lock().unwrap().push(version);
                let objects = objects.iter().map(|(id, pod)| format!("{id} {}", pod.phase));
                let all: Vec<_> =
                    objects.chain(unreadable.iter().map(|id| format!("{id} unreadable"))).collect();
                format!("listed [{}]", all.join(", "))
            }
        });
    }

    fn services(&self, event: WatchEvent<ObservedService>) {
        let url = |s: &ObservedService| s.url.clone().unwrap_or_default();
        let rows: Vec<(SandboxId, Arc<str>)> = match event {
            WatchEvent::Applied(id, service) => vec![(id, url(&service))],
            WatchEvent::Deleted(..) => vec![],
            WatchEvent::Listed { objects, .. } => {
                objects.iter().map(|(id, s)| (id.clone(), url(s))).collect()
            }
        };
        self.record(format!("{rows:?}"));
    }

    fn pod_event(&self, id: &SandboxId, Uid(uid): &Uid, event: lifecycle::pod_event::PodEvent) {
        let from = if event.is_listed { "list" } else { "watch" };
        let at = event.at.map(|at| format!(" at {at}, {from}")).unwrap_or_default();
        let container = Some(&event.container).filter(|container| !container.is_empty());
        let first =
            event.first_at.zip(container).map(|(at, container)| format!(", first {at} of {container}"));
        let at = at + &first.unwrap_or_default();
        self.record(format!("{id} {uid} {} {}{at}", event.kind.name(), event.message));
    }

    fn exit_log(&self, id: &SandboxId, Uid(uid): &Uid, log: lifecycle::exit::ExitLog) {
        self.record(format!("{id} {uid} {log:?}"));
    }

    fn synced(&self, _: Kind) {
        self.record("synced".to_owned());
    }

    fn failing(&self, _: Kind, why: &str) {
        self.record(format!("failing: {why}"));
    }
}

/// Watches the Pods of a scripted server for this long.
async fn follow(
    length: Duration,
    script: impl Fn(usize, &Asked) -> Answer + Send + Sync + 'static,
) -> (Arc<RecordedSink>, Log) {
    let (connection, log) = fake::limited(script, Limits { answer: ANSWER_MAX, ..Limits::default() });
    let recorded = Arc::new(RecordedSink::default());
    let watch = watch(connection, Arc::default(), Kind::Pod, Arc::clone(&recorded) as Arc<dyn WatchSink>);
    let _ = timeout(length, watch).await;
    (recorded, log)
}

fn event(kind: &str, object: &Value) -> String {
    json!({"type": kind, "object": object}).to_string()
}

fn at_once(lines: Vec<String>, end: End) -> Answer {
    Answer::Watch(lines.into_iter().map(|line| (Duration::ZERO, line)).collect(), end)
}

fn bookmark(version: u64) -> String {
    let metadata = json!({"resourceVersion": version.to_string(), "creationTimestamp": null});
    event("BOOKMARK", &json!({"kind": "Pod", "apiVersion": "v1", "metadata": metadata}))
}

/// A watch without events, which the server ends after its timeout.
fn quiet() -> Answer {
    Answer::Watch(vec![(WATCH_TIMEOUT, bookmark(90))], End::InOrder)
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

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

/// Guards that a quiet cluster costs one call every 30 s and a list every five minutes, that no failure is reported, and
/// that each watch continues from the last version.
#[tokio::test(start_paused = true)]
async fn a_quiet_watch_stays_fresh_and_cheap() {
    // A real server sends no bookmark as long as the version of the kind does not change.
    let silent = || Answer::Watch(vec![], End::InOrderAfter(WATCH_TIMEOUT));
    for (watch, version) in [(quiet as fn() -> Answer, 90), (silent, 10)] {
        let begun = Instant::now();
        let script = move |_, asked: &Asked| if asked.is_watch() { watch() } else { list(10, "", &[]) };
        let (recorded, log) = follow(seconds(601), script).await;
        let (lists, watches): (Vec<_>, Vec<_>) = log.all().into_iter().partition(|asked| !asked.is_watch());
        assert_eq!((lists.len(), watches.len()), (3, 21));
        assert_eq!(recorded.failure(), None);
        assert!(recorded.last_synced().unwrap() >= begun + seconds(600));
        assert!(recorded.longest_silence() <= WATCH_TIMEOUT);
        let resumed = format!("resourceVersion={version}");
        assert!(log.all()[2].query.contains(&resumed), "{resumed}: {}", log.all()[2].query);
    }
}

/// Guards that the orderly end of a watch at its timeout proves that it is up to date: not every server sends bookmarks.
#[tokio::test(start_paused = true)]
async fn the_orderly_end_at_the_timeout_proves_freshness() {
    let (recorded, log) = follow(seconds(31), |before, asked| match (asked.is_watch(), before) {
        (false, _) => list(10, "", &[]),
        (true, 1) => Answer::Watch(vec![], End::InOrderAfter(WATCH_TIMEOUT)),
        (true, _) => Answer::Silence,
    })
    .await;
    assert_eq!(recorded.lines(), ["listed []", "synced", "synced"]);
    assert!(log.all()[2].query.contains("resourceVersion=10"));
}

/// Guards that a server or a proxy that ends each watch at once proves nothing and is not called in a hot loop.
#[tokio::test(start_paused = true)]
async fn an_early_end_proves_nothing() {
    let (recorded, log) =
        follow(
            seconds(60),
            |_, asked| {
                if asked.is_watch() { at_once(vec![], End::InOrder) } else { list(10, "", &[]) }
            },
        )
        .await;
    let (lists, watches): (Vec<_>, Vec<_>) = log.all().into_iter().partition(|asked| !asked.is_watch());
    let synced = recorded.lines().iter().filter(|line| *line == "synced").count();
    assert_eq!(synced, lists.len(), "only the lists are proofs");
    assert!(recorded.failure().unwrap().contains("closed before its time"));
    // 0.5 + 1 + 2 + 3 + 3 …, up to a quarter less by chance: at most 28 in a minute, and at least 21.
    assert!((21..=28).contains(&watches.len()), "{} watches", watches.len());
}

/// Guards that the recorded 410 inside a 200 leads to a new list, without the objects that are gone.
#[tokio::test(start_paused = true)]
async fn an_expired_watch_is_listed_again() {
    let (recorded, _) = follow(seconds(5), |before, asked| match (asked.is_watch(), before) {
        (false, 0) => list(10, "", &[pod("a", "ua", 9, "Running"), pod("b", "ub", 9, "Running")]),
        (false, _) => list(500, "", &[pod("b", "ub", 9, "Running")]),
        (true, 1) => {
            let status = json!({"status": "Failure", "reason": "Expired", "code": 410, "message": "too old"});
            at_once(vec![event("ERROR", &status)], End::InOrder)
        }
        (true, _) => at_once(vec![], End::Never),
    })
    .await;
    let lines = recorded.lines();
    assert_eq!(lines[0], "listed [a Running, b Running]");
    assert_eq!(lines[1], "synced");
    assert!(
        lines[2].starts_with("failing") && lines[2].contains("too old"),
        "an error is no proof: {lines:?}"
    );
    assert_eq!(lines[3..], ["listed [b Running]", "synced"]);
}

/// Guards that a list is reported only when it is complete, and that an expired page restarts it.
#[tokio::test(start_paused = true)]
async fn a_list_is_reported_whole_or_not_at_all() {
    let (recorded, log) = follow(seconds(5), |before, asked| match before {
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
    assert_eq!(recorded.events(), ["listed [b Running, c Running]"]);
    assert_eq!(
        *recorded.list_versions.lock().unwrap(),
        [ResourceVersion(20)],
        "the list's own, not that of an item"
    );
    assert_eq!(log.len(), 5);
    let all = recorded.all();
    assert_eq!(
        (&*all[0], &*all[2], &*all[3]),
        ("relist_started", "relist_started", "listed [b Running, c Running]")
    );
}

/// Returns the parameter of a query.
fn parameter<'a>(asked: &'a Asked, name: &str) -> Option<&'a str> {
    asked.query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

/// Answers with the next page of 40 Pods, as many as the query asks for.
fn page_of_forty(asked: &Asked) -> Answer {
    let start: usize = parameter(asked, "continue").map_or(0, |next| next.parse().unwrap());
    let limit: usize = parameter(asked, "limit").unwrap().parse().unwrap();
    let end = (start + limit).min(40);
    let items: Vec<_> = (start..end).map(|n| pod(&format!("s{n}"), &format!("u{n}"), 9, "Running")).collect();
    let next = if end < 40 { end.to_string() } else { String::new() };
    list(10, &next, &items)
}

/// Guards that a page that is longer than what is read is requested again with fewer objects, within the same list, and that
/// later pages grow again.
#[tokio::test(start_paused = true)]
async fn a_page_that_is_too_long_is_divided() {
    let too_long: &str = Box::leak("x".repeat(ANSWER_MAX + 1).into_boxed_str());
    let (recorded, log) = follow(seconds(5), move |_, asked| {
        if asked.is_watch() {
            return at_once(vec![], End::Never);
        }
        let limit: usize = parameter(asked, "limit").unwrap().parse().unwrap();
        let starts = parameter(asked, "continue").is_none();
        if starts && limit > 10 { Answer::Text(200, vec![], too_long) } else { page_of_forty(asked) }
    })
    .await;
    let all = (0..40).map(|n| format!("s{n} Running")).collect::<Vec<_>>().join(", ");
    assert_eq!(recorded.lines(), [format!("listed [{all}]"), "synced".to_owned()], "nobody notices");
    let asked = log.all();
    let limits: Vec<_> = asked.iter().filter_map(|asked| parameter(asked, "limit")).collect();
    assert_eq!(limits, ["500", "250", "125", "62", "31", "15", "7", "14", "28"]);
}

/// Answers with the next page of five Pods, of which the third is too large to be read, or names it in a table.
fn page_with_a_large_object(asked: &Asked, too_long: &'static str) -> Answer {
    let start: usize = parameter(asked, "continue").map_or(0, |next| next.parse().unwrap());
    let limit: usize = parameter(asked, "limit").unwrap().parse().unwrap();
    let end = (start + limit).min(5);
    let next = if end < 5 { end.to_string() } else { String::new() };
    if parameter(asked, "includeObject") == Some("None") {
        let row = json!({"cells": [format!("sandbox-s{start}"), "1/1"], "object": null});
        let columns = json!([{"name": "Name", "format": "name"}, {"name": "Ready", "format": ""}]);
        let metadata = json!({"resourceVersion": "10", "continue": next});
        let table =
            json!({"kind": "Table", "metadata": metadata, "columnDefinitions": columns, "rows": [row]});
        return Answer::Json(200, table);
    }
    if (start..end).contains(&2) {
        return Answer::Text(200, vec![], too_long);
    }
    let items: Vec<_> = (start..end).map(|n| pod(&format!("s{n}"), &format!("u{n}"), 9, "Running")).collect();
    list(10, &next, &items)
}

/// Guards that an object that is too large to be read is reported by name and hides no other, and that the list after
/// it continues with longer pages.
#[tokio::test(start_paused = true)]
async fn an_object_that_is_too_large_hides_no_other() {
    let too_long: &str = Box::leak("x".repeat(ANSWER_MAX + 1).into_boxed_str());
    let (recorded, log) = follow(RELIST + seconds(5), move |_, asked| {
        if asked.is_watch() { quiet() } else { page_with_a_large_object(asked, too_long) }
    })
    .await;
    let listed = "listed [s0 Running, s1 Running, s3 Running, s4 Running, s2 unreadable]".to_owned();
    assert_eq!(recorded.events(), [listed.clone(), listed]);
    assert_eq!(recorded.failure(), None);
    let asked = log.all();
    let first = asked.iter().take_while(|asked| !asked.is_watch());
    let limits: Vec<_> = first.filter_map(|asked| parameter(asked, "limit")).collect();
    // The third object alone is requested twice: as it is, and as a table.
    let (halved, alone) = limits.split_at(8);
    assert_eq!(halved, ["500", "250", "125", "62", "31", "15", "7", "3"]);
    assert_eq!(alone, ["1", "2", "1", "2", "1", "1", "1", "2"]);
}

/// Guards that a server that does not answer with a table of one object fails the list, which therefore hides nothing.
#[tokio::test(start_paused = true)]
async fn an_object_that_is_too_large_and_not_named_fails_the_list() {
    let too_long: &str = Box::leak("x".repeat(ANSWER_MAX + 1).into_boxed_str());
    let two = json!({"kind": "Table", "metadata": {"resourceVersion": "10"},
        "columnDefinitions": [{"format": "name"}], "rows": [{"cells": ["sandbox-a"]}, {"cells": ["sandbox-b"]}]});
    let others: [Box<dyn Fn() -> Answer + Send + Sync>; 3] = [
        Box::new(move || Answer::Text(200, vec![], too_long)),
        Box::new(move || Answer::Json(200, two.clone())),
        Box::new(|| list(10, "", &[pod("a", "ua", 9, "Running")])),
    ];
    for other in others {
        let (recorded, _) = follow(seconds(1), move |_, asked| {
            if asked.query.contains("includeObject") { other() } else { Answer::Text(200, vec![], too_long) }
        })
        .await;
        assert_eq!(recorded.events(), [""; 0]);
        let failure = recorded.failure().unwrap();
        assert!(failure.contains("the answer is longer than 100 KiB"), "{failure}");
    }
}

/// Guards that an event that is too long ends the watch, and that the list then shows the object.
#[tokio::test(start_paused = true)]
async fn an_event_that_is_too_long_is_listed() {
    let (recorded, log) = follow(seconds(5), |before, asked| match (asked.is_watch(), before) {
        (false, 0) => list(10, "", &[]),
        (false, _) => list(20, "", &[pod("a", "ua", 15, "Running")]),
        (true, 1) => {
            let mut large = pod("a", "ua", 15, "Running");
            large["metadata"]["annotations"] = json!({"note": "x".repeat(ANSWER_MAX / 4)});
            at_once(vec![event("ADDED", &large)], End::Never)
        }
        (true, _) => at_once(vec![], End::Never),
    })
    .await;
    let failure = recorded.failure().unwrap();
    assert!(failure.contains("the answer is longer than 25 KiB"), "{failure}");
    assert_eq!(recorded.events(), ["listed []", "listed [a Running]"]);
    assert_eq!(log.len(), 4, "the watch continues after the list");
}

/// Guards that after a page that did not arrive in time the next list has shorter pages.
#[tokio::test(start_paused = true)]
async fn a_page_that_is_too_slow_is_divided() {
    let (recorded, log) = follow(seconds(45), |_, asked| {
        match parameter(asked, "limit").and_then(|limit| limit.parse::<usize>().ok()) {
            None => at_once(vec![], End::Never),
            Some(limit) if limit > 125 => Answer::Silence,
            Some(_) => page_of_forty(asked),
        }
    })
    .await;
    let failure = recorded.failure().unwrap();
    assert!(failure.contains("the list of Pods failed: TimedOut (timed out after 10s)"), "{failure}");
    assert!(recorded.events()[0].starts_with("listed [s0 Running, "), "{:?}", recorded.lines());
    let asked = log.all();
    let limits: Vec<_> = asked.iter().filter_map(|asked| parameter(asked, "limit")).collect();
    assert_eq!(limits, ["500", "250", "125"]);
}

/// Guards that a list may take longer than its longest silence.
#[tokio::test(start_paused = true)]
async fn a_page_may_arrive_slowly() {
    let page =
        json!({"metadata": {"resourceVersion": "7"}, "items": [pod("a", "ua", 3, "Running")]}).to_string();
    let (recorded, _) = follow(seconds(50), move |_, asked| {
        if asked.is_watch() {
            return at_once(vec![], End::Never);
        }
        // A line end between two tokens changes nothing.
        let parts = page.split_inclusive(',').map(|part| (seconds(5), part.to_owned())).collect();
        Answer::Watch(parts, End::InOrder)
    })
    .await;
    assert_eq!(recorded.lines(), ["listed [a Running]", "synced"]);
}

/// Guards that a success that is not a list, such as a proxy's welcome page, does not mean that everything is gone.
#[tokio::test(start_paused = true)]
async fn a_foreign_success_is_not_an_empty_list() {
    for foreign in [|| Answer::Json(200, json!({})), || Answer::Text(200, vec![], "<html>welcome</html>")] {
        let (recorded, _) = follow(seconds(3), move |_, _| foreign()).await;
        assert_eq!(recorded.events(), Vec::<String>::new());
        assert_eq!(recorded.last_synced(), None);
        assert!(recorded.failure().is_some());
    }
}

/// Guards that no answer of a proxy lists or deletes an object or proves that the watch works, that the error names the
/// proxy's answer, and that the watch recovers within 5 s of its end.
#[tokio::test(start_paused = true)]
async fn an_answer_of_a_proxy_says_nothing_about_objects() {
    let html = || vec![("content-type", "text/html")];
    for (code, headers, body) in [
        (200, html(), "<html>Please sign in</html>"),
        (204, vec![], ""),
        (302, html(), ""),
        (403, html(), "<html>"),
        (404, html(), "<html>"),
        (404, vec![], r#"{"message":"no Route matched with those values"}"#),
        (407, html(), "<html>"),
        (410, html(), "<html>"),
        (503, html(), "<html>"),
    ] {
        for watch in [false, true] {
            let (begun, headers) = (Instant::now(), headers.clone());
            let (recorded, log) = follow(seconds(70), move |before, asked| {
                let between = before > 0 && begun.elapsed() < seconds(60);
                match asked.is_watch() {
                    is_watch if is_watch == watch && between => Answer::Text(code, headers.clone(), body),
                    true if before == 1 => at_once(vec![], End::InOrder),
                    true => at_once(vec![], End::Never),
                    false => list(10, "", &[pod("a", "ua", 9, "Running")]),
                }
            })
            .await;
            assert!(recorded.events().iter().all(|event| event == "listed [a Running]"), "{code}");
            let failures: Vec<_> = recorded.lines().into_iter().filter(|l| l.contains("proxy")).collect();
            assert!(failures.iter().any(|line| line.contains(&format!("HTTP {code}"))), "{failures:?}");
            let after = log.all().into_iter().find(|asked| asked.at >= seconds(60)).unwrap();
            assert!(after.at < seconds(65), "{code} {watch}: {:?}", after.at);
            assert!(recorded.last_synced().unwrap() >= begun + seconds(60), "{code} {watch}");
        }
    }
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

/// Guards that a silent and a broken watch are detected and reported, and prove nothing.
#[tokio::test(start_paused = true)]
async fn a_stalled_or_broken_watch_is_noticed() {
    use io::ErrorKind::{ConnectionReset, TimedOut, UnexpectedEof};

    // The second and the third are an orderly end to `kube`.
    for broken in [None, Some(UnexpectedEof), Some(TimedOut), Some(ConnectionReset)] {
        let after = if broken.is_some() { Duration::ZERO } else { SILENCE_MAX };
        let begun = Instant::now();
        let (recorded, log) =
            follow(after + seconds(1), move |before, asked| match (asked.is_watch(), before) {
                (true, 1) => at_once(vec![], broken.map_or(End::Never, End::Broken)),
                (true, _) => Answer::Silence,
                (false, _) => list(10, "", &[]),
            })
            .await;
        let lines = recorded.lines();
        assert_eq!(lines[..2], ["listed []", "synced"]);
        assert!(lines[2].starts_with("failing: the watch of Pods failed"), "{lines:?}");
        assert_eq!(lines[3..], ["listed []", "synced"], "a list is what proves the state again");
        let relisted = log.all()[2].at;
        assert!(relisted >= after && relisted <= after + backoff::FIRST, "{relisted:?}");
        assert!(recorded.last_synced().unwrap() >= begun + relisted);
    }
}

/// Guards that an incomplete or invalid event is not an orderly end, even at the watch's timeout: the state is unknown
/// until the next list.
#[tokio::test(start_paused = true)]
async fn a_torn_or_foreign_event_is_an_error() {
    let event = |line: &'static str| (Some(line), "");
    for (line, torn) in [
        (None, "{\"type\":\"ADDED\",\"obj"),
        event("<html>"),
        event("{}"),
        event("{\"type\":\"ADDED\",\"object\":3}"),
        event("{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"sandbox-a\",\"uid\":\"u\"}}}"),
        event("{\"type\":\"HOVERING\",\"object\":{\"metadata\":{\"resourceVersion\":\"11\"}}}"),
        event("{\"type\":\"BOOKMARK\",\"object\":{}}"),
        event("{\"type\":\"ERROR\",\"object\":7}"),
    ] {
        let (recorded, log) =
            follow(WATCH_TIMEOUT + seconds(1), move |before, asked| match (asked.is_watch(), before) {
                (false, _) => list(10, "", &[]),
                (true, 1) => {
                    let line = line.map(|line| (Duration::ZERO, line.to_owned()));
                    let pause = (WATCH_TIMEOUT, String::new());
                    Answer::Watch(line.into_iter().chain([pause]).collect(), End::Torn(torn))
                }
                (true, _) => at_once(vec![], End::Never),
            })
            .await;
        let failure = "failing: the watch of Pods failed: ServerError (the answer could not be understood)";
        let lines = ["listed []", "synced", failure, "listed []", "synced"];
        assert_eq!(recorded.lines(), lines, "{line:?} {torn:?}");
        assert!(!log.all()[2].is_watch());
    }
}

/// Guards that an error page of a proxy is reported by its code, not by its text, and that its `Retry-After` counts.
#[tokio::test(start_paused = true)]
async fn a_proxys_error_is_reported_without_its_text() {
    for (watch, words) in [(false, "the list of Pods failed"), (true, "the watch of Pods failed")] {
        let (recorded, log) = follow(seconds(6), move |_, asked| {
            if asked.is_watch() == watch {
                return Answer::Text(502, vec![("retry-after", "4")], "<html>Bearer abc</html>");
            }
            list(10, "", &[])
        })
        .await;
        let failure = recorded.failure().unwrap();
        assert!(failure.contains(words) && failure.contains("HTTP 502"), "{failure}");
        assert!(!recorded.lines().concat().contains("html"), "{:?}", recorded.lines());
        let failures: Vec<_> = log.all().into_iter().filter(|asked| asked.is_watch() == watch).collect();
        assert_eq!(failures.iter().map(|asked| asked.at.as_secs()).collect::<Vec<_>>(), [0, 4]);
    }
}

/// Guards that a server that accepts and never answers is detected by the timeout of a list and of a watch.
#[tokio::test(start_paused = true)]
async fn a_silent_server_is_noticed() {
    for silent_watch in [false, true] {
        let (recorded, log) = follow(seconds(11), move |_, asked| {
            if asked.is_watch() || !silent_watch { Answer::Silence } else { list(10, "", &[]) }
        })
        .await;
        assert!(recorded.failure().unwrap().contains("TimedOut"), "{:?}", recorded.lines());
        assert!(log.len() >= 2);
    }
}

/// Guards that a failing server is called with growing pauses, and found again within 5 s of its return.
#[tokio::test(start_paused = true)]
async fn failing_lists_are_backed_off() {
    // Twenty failures: 0.5 + 1 + 2 + 17 × 3 s for a server that is away, up to a quarter less by chance.
    let (recorded, log) = follow(seconds(120), |before, asked| match (before, asked.is_watch()) {
        (0..20, _) => Answer::Broken(io::ErrorKind::ConnectionRefused),
        (_, false) => list(10, "", &[]),
        (_, true) => quiet(),
    })
    .await;
    let found = log.all()[20].at.as_secs_f64();
    assert!((54.5 * 0.75..=54.5).contains(&found), "{found}");
    assert!(log.all().windows(2).take(20).all(|pair| pair[1].at < pair[0].at + seconds(5)));
    assert_eq!(recorded.events(), ["listed []"]);

    // One that answers with errors is spared: at most one call in ten seconds, once it is known to last.
    for storm in [
        || Answer::Text(429, vec![("retry-after", "1")], "Too many requests, please try again later.\n"),
        || failure(500, "", "etcdserver: request timed out"),
    ] {
        let (recorded, log) = follow(seconds(300), move |_, _| storm()).await;
        assert!((30..=45).contains(&log.len()), "{} calls in 300 s", log.len());
        assert_eq!(recorded.last_synced(), None);
    }
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
