//! `get --watch` and `events`, over disconnects.

use client::Exit;
use serde_json::{Value, json};

use crate::{
    command, not_found, sandbox,
    server::{Answer, Request, Server, events, open_events},
};

fn event(id: &str, name: &str, data: &Value) -> String {
    format!("id: {id}\nevent: {name}\ndata: {data}\n\n")
}

/// A daemon that ends the stream after the first change, and continues it at the next connection.
fn interrupted(request: &Request, number: usize) -> Answer {
    let pending = sandbox("a", &json!({"status": "Pending", "ready": false}));
    match number {
        0 => {
            assert!(!request.headers.contains("last-event-id"), "{request:?}");
            let first = [
                event("1-1", "added", &sandbox("b", &json!({}))),
                event("1-2", "added", &pending),
                event("1-2", "synced", &json!({})),
                event(
                    "1-3",
                    "reason",
                    &sandbox("a", &json!({"status": "Pending", "ready": false, "reason": "X"})),
                ),
            ];
            events(&first.concat())
        }
        1 => {
            assert!(request.headers.contains("last-event-id: 1-3"), "{request:?}");
            let rest = [
                event("1-4", "ready", &sandbox("a", &json!({}))),
                event("1-4", "synced", &json!({})),
                event("1-5", "deleted", &not_found("a")),
            ];
            open_events(&rest.concat())
        }
        _ => Answer::Json(404, "", not_found("a")),
    }
}

/// Guards that the table shows the state and each change once, and that a lost connection is resumed.
#[tokio::test]
async fn a_watch_survives_a_disconnect() {
    let server = Server::start(interrupted).await;
    let outcome = command(&server.url, &["get", "a", "--watch"]).await;
    assert_eq!(outcome.exit, Exit::Success);
    assert_eq!(
        outcome.out,
        "ID   STATUS    READY   REASON   AGE      IDLE     EXPIRES   URL\n\
         a    Pending   False   <none>   <none>   <none>   <none>    http://n:1\n\
         a    Pending   False   X        <none>   <none>   <none>    http://n:1\n\
         a    Running   True    <none>   <none>   <none>   <none>    http://n:1\n\
         a    Deleted   False   <none>   <none>   <none>   <none>    http://n:1\n"
    );
    assert_eq!(outcome.err, "warning: the daemon has ended the stream; connecting again\nconnected again\n");
    assert_eq!(server.requests()[0].line, "GET /api/sandboxes/a/events");
}

/// Guards that `--watch-only` leaves out the state at the beginning, and that JSON is one document a line.
#[tokio::test]
async fn only_changes_are_shown() {
    let server = Server::start(interrupted).await;
    let outcome = command(&server.url, &["get", "a", "--watch-only", "-o", "json"]).await;
    let lines: Vec<Value> = outcome.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let statuses: Vec<_> = lines.iter().map(|line| line["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["Pending", "Running", "NotFound"]);
}

/// Guards that a filter hides other sandboxes, and that one that stops matching is shown a last time.
#[tokio::test]
async fn a_watch_is_filtered() {
    let server = Server::start(|request, number| match interrupted(request, number) {
        // The stream of all sandboxes does not end, so the test ends it.
        Answer::Open(text) => events(&text[text.find("\r\n\r\n").unwrap() + 4..]),
        answer => answer,
    })
    .await;
    let outcome = command(&server.url, &["get", "--watch", "--status", "Pending", "-o", "json"]).await;
    assert_eq!(outcome.exit, Exit::NotFound, "{outcome:?}");
    let lines: Vec<Value> = outcome.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let shown: Vec<_> =
        lines.iter().map(|line| format!("{} {}", line["sandbox_id"], line["status"])).collect();
    assert_eq!(shown, ["\"a\" \"Pending\"", "\"a\" \"Pending\"", "\"a\" \"Running\""]);
}

/// Guards that a cluster that does not exist is an error at once, also where the daemon's stream has all sandboxes.
#[tokio::test]
async fn an_unknown_cluster_is_refused() {
    let refuse = |_: &Request, _| {
        Answer::Json(
            422,
            "",
            json!({"detail": "query.cluster: Input should be 'east' or 'west'", "status": 422}),
        )
    };
    for args in [&["get"][..], &["get", "--watch"], &["events"], &["wait"], &["delete"]] {
        let server = Server::start(refuse).await;
        let outcome = command(&server.url, &[args, &["--cluster", "south"]].concat()).await;
        assert_eq!(outcome.exit, Exit::Failed, "{args:?}: {outcome:?}");
        assert!(outcome.err.contains("Input should be 'east' or 'west'"), "{args:?}: {outcome:?}");
        let requests = server.requests();
        assert_eq!(requests.len(), 1, "{requests:?}");
        assert!(requests[0].line.starts_with("GET /api/sandboxes?cluster=south&limit="), "{requests:?}");
    }
}

/// Guards that `events` prints the changes with their names, and ends with the sandbox.
#[tokio::test]
async fn events_are_printed() {
    for (args, wanted) in [
        (&["events", "a"][..], "reason:a ready:a deleted:a"),
        (&["events", "a", "--initial"], "added:b added:a reason:a ready:a deleted:a"),
        (&["events", "a", "--reason", "X"], "reason:a deleted:a"),
    ] {
        let server = Server::start(interrupted).await;
        let outcome = command(&server.url, &[args, &["-o", "json"]].concat()).await;
        let of_sandboxes = outcome.out.lines().filter_map(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            let id = line["data"]["sandbox_id"].as_str()?.to_owned();
            Some(format!("{}:{id}", line["event"].as_str().unwrap()))
        });
        assert_eq!(of_sandboxes.collect::<Vec<_>>().join(" "), wanted, "{args:?}");
        let server = Server::start(interrupted).await;
        let table = command(&server.url, args).await.out;
        assert!(table.starts_with("TIME                   EVENT        ID"), "{table}");
        assert_eq!(table.lines().count(), 1 + wanted.split(' ').count(), "{table}");
    }
}

/// Guards that the stream of a sandbox that does not exist is an error at once.
#[tokio::test]
async fn a_missing_sandbox_has_no_stream() {
    let server = Server::start(|_, _| Answer::Json(404, "", not_found("a"))).await;
    for command_name in ["get", "events"] {
        let args = if command_name == "get" { vec!["get", "a", "-w"] } else { vec!["events", "a"] };
        let outcome = command(&server.url, &args).await;
        assert_eq!((outcome.exit, &*outcome.err), (Exit::NotFound, "error: Sandbox 'a' not found\n"));
    }
}
