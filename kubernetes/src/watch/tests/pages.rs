//! Lists in pages, and objects that are too large.

use super::*;

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
