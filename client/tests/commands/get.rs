//! `get`, without `--watch`.

use client::Exit;
use serde_json::json;

use crate::{
    command, not_found, sandbox,
    server::{Answer, Server, ok},
};

async fn two() -> Server {
    Server::start(|request, _| match request.line.as_str() {
        "GET /api/sandboxes/a" => ok(sandbox("a", &json!({}))),
        "GET /api/sandboxes/c" => Answer::Json(404, "", not_found("c")),
        _ => ok(json!({"count": 2, "sandboxes": [
            sandbox("a", &json!({})),
            sandbox("b", &json!({"status": "Pending", "ready": false, "reason": "Unschedulable", "profile": "large"})),
        ]})),
    })
    .await
}

/// Guards the table, and that the key is sent as a header.
#[tokio::test]
async fn a_list_is_a_table() {
    let server = two().await;
    let outcome = command(&server.url, &["get"]).await;
    assert_eq!((outcome.exit, &*outcome.err), (Exit::Success, ""));
    assert_eq!(
        outcome.out,
        "ID   STATUS    READY   REASON          AGE      IDLE     EXPIRES   URL\n\
         a    Running   True    <none>          <none>   <none>   <none>    http://n:1\n\
         b    Pending   False   Unschedulable   <none>   <none>   <none>    http://n:1\n"
    );
    let requests = server.requests();
    assert_eq!(requests[0].line, "GET /api/sandboxes?limit=1000");
    assert!(requests[0].headers.contains("x-api-key: hunter2"), "{:?}", requests[0]);
}

/// Guards each format, for a list and for one sandbox.
#[tokio::test]
async fn every_format_is_printed() {
    let server = two().await;
    for (args, wanted) in [
        (&["get", "-o", "name"][..], "a\nb\n"),
        (&["get", "a", "-o", "name"], "a\n"),
        (&["get", "--status", "Pending", "-o", "name"], "b\n"),
        (&["get", "--sort-by", "ready", "-o", "name"], "b\na\n"),
        (&["get", "--profile", "small,large", "-o", "name"], "b\n"),
        (
            &["get", "a", "--no-headers"],
            "a   Running   True   <none>   <none>   <none>   <none>   http://n:1\n",
        ),
    ] {
        assert_eq!(command(&server.url, args).await.out, wanted, "{args:?}");
    }
    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    let list = json(&command(&server.url, &["get", "-o", "json"]).await.out);
    assert_eq!((&list["count"], &list["sandboxes"][1]["sandbox_id"]), (&json!(2), &json!("b")));
    assert_eq!(json(&command(&server.url, &["get", "a", "-o", "json"]).await.out), sandbox("a", &json!({})));
    let yaml = command(&server.url, &["get", "a", "-o", "yaml"]).await.out;
    assert!(yaml.contains("sandbox_id: a\n"), "{yaml}");
    let wide = command(&server.url, &["get", "-o", "wide"]).await.out;
    assert!(wide.lines().next().unwrap().ends_with("MESSAGE"), "{wide}");
}

/// Guards that the filters reach the daemon, which filters before it answers.
#[tokio::test]
async fn filters_are_parameters() {
    let server = two().await;
    command(&server.url, &["get", "--status", "Pending,Failed", "--reason", "a b"]).await;
    assert_eq!(
        server.requests()[0].line,
        "GET /api/sandboxes?status=Pending&status=Failed&reason=a%20b&limit=1000"
    );
}

/// Guards that all pages of a list are read, and that the list has the form of one answer.
#[tokio::test]
async fn pages_are_read() {
    let server = Server::start(|request, _| match request.line.as_str() {
        "GET /api/sandboxes?limit=1000" => {
            ok(json!({"sandboxes": [sandbox("a", &json!({}))], "continue": "a+b", "version": "1-1"}))
        }
        "GET /api/sandboxes?limit=1000&continue=a%2Bb" => {
            ok(json!({"sandboxes": [sandbox("b", &json!({}))], "version": "1-1"}))
        }
        line => panic!("{line}"),
    })
    .await;
    let outcome = command(&server.url, &["get", "-o", "json"]).await;
    let list: serde_json::Value = serde_json::from_str(&outcome.out).unwrap();
    assert_eq!(list, json!({"count": 2, "sandboxes": [sandbox("a", &json!({})), sandbox("b", &json!({}))]}));
}

/// Guards that a list without the sandboxes of a cluster says so, in tables and in JSON, and before a deletion.
#[tokio::test]
async fn an_incomplete_list_is_said() {
    let server = Server::start(|request, _| {
        let list = json!({"sandboxes": [sandbox("a", &json!({}))], "count": 1, "incomplete": ["west"], "version": "1-1"});
        if request.line.starts_with("GET") { ok(list) } else { ok(json!({"ok": true, "sandbox_id": "a"})) }
    })
    .await;
    let warning = "warning: the cluster west is away, and its sandboxes are left out; see 'clusters west'\n";
    for args in
        [&["get"][..], &["get", "-o", "json"], &["delete", "--all"], &["get", "--cluster", "east,west"]]
    {
        let outcome = command(&server.url, args).await;
        assert_eq!(outcome.exit, Exit::Success, "{args:?}");
        assert_eq!(
            outcome.err.strip_suffix("No sandboxes found.\n").unwrap_or(&outcome.err),
            warning,
            "{args:?}"
        );
    }
    assert!(
        command(&server.url, &["get", "-o", "json"])
            .await
            .out
            .contains("\"incomplete\": [\n    \"west\"\n  ]")
    );
    let workspaces =
        Server::start(|_, _| ok(json!({"workspaces": [], "count": 0, "incomplete": ["west"]}))).await;
    let outcome = command(&workspaces.url, &["workspaces"]).await;
    assert!(
        outcome.err.starts_with("warning: the cluster west is away, and its workspaces"),
        "{}",
        outcome.err
    );
    let outcome = command(&server.url, &["get", "--cluster", "east"]).await;
    assert!(!outcome.err.contains("west"), "nothing is missing: {}", outcome.err);
}

/// Guards that a daemon that ignores the parameters is not taken for one where all sandboxes match.
#[tokio::test]
async fn an_older_daemon_cannot_select_by_label() {
    let server = two().await;
    for args in [&["get", "-l", "!x"][..], &["delete", "-l", "!x"], &["wait", "--user", "u"]] {
        let outcome = command(&server.url, args).await;
        assert_eq!((outcome.exit, &*outcome.out), (Exit::Failed, ""));
        assert!(outcome.err.starts_with("error: the daemon is older than this program"), "{}", outcome.err);
    }
}

/// Guards that the sandboxes that exist are printed although another one does not.
#[tokio::test]
async fn a_missing_one_does_not_hide_the_others() {
    let server = two().await;
    let outcome = command(&server.url, &["get", "c", "a", "-o", "name"]).await;
    assert_eq!((outcome.exit, &*outcome.out), (Exit::NotFound, "a\n"));
    assert_eq!(outcome.err, "error: Sandbox 'c' not found\n");
    let outcome = command(&server.url, &["get", "c"]).await;
    assert_eq!((outcome.exit, &*outcome.out), (Exit::NotFound, ""));
}

#[tokio::test]
async fn an_empty_list_is_said() {
    let server = Server::start(|_, _| ok(json!({"sandboxes": [], "count": 0}))).await;
    let outcome = command(&server.url, &["get"]).await;
    assert_eq!((outcome.exit, &*outcome.out, &*outcome.err), (Exit::Success, "", "No sandboxes found.\n"));
    assert!(command(&server.url, &["get", "-o", "json"]).await.out.contains("\"count\": 0"));
}
