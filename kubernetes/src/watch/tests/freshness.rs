//! The freshness of the state, and the calls to a cluster that does not answer.

use std::io;

use super::*;

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
