//! Answers that are errors, or do not come from the API server.

use super::*;

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
