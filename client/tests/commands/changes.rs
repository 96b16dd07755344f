//! `create`, `delete`, `touch` and `limits`.

use std::fs;

use client::Exit;
use serde_json::{Value, json};

use crate::{
    command, not_found, sandbox,
    server::{Answer, Server, events, ok},
};

/// A daemon whose sandboxes all exist, except for `gone`.
async fn daemon() -> Server {
    Server::start(|request, _| match request.line.as_str() {
        line if line.contains("/gone") => Answer::Json(404, "", not_found("gone")),
        line if line.starts_with("DELETE /api/sandboxes/owned") => {
            Answer::Json(409, "", json!({"detail": "Sandbox 'owned' is in use by 'g'", "reason": "Owned"}))
        }
        line if line.starts_with("DELETE") => ok(json!({"ok": true})),
        "GET /api/sandboxes/a/events" => events(""),
        "GET /api/sandboxes?limit=1000" => {
            ok(json!({"sandboxes": [sandbox("a", &json!({})), sandbox("b", &json!({"status": "Failed"}))]}))
        }
        _ => ok(sandbox("a", &json!({"profile_not_applied": request.body["profile"]}))),
    })
    .await
}

/// Guards that every flag of `create` is a field of the body, and that flags change the file's fields.
#[tokio::test]
async fn flags_become_the_body() {
    let server = daemon().await;
    let file = std::env::temp_dir().join(format!("client-body-{}", std::process::id()));
    fs::write(&file, "sandbox_id: b\nprofile: small\nenv: {A: '1', B: '2'}\nresources:\n").unwrap();
    let file = file.to_str().unwrap();
    for (args, wanted) in [
        (&["create", "a"][..], json!({"sandbox_id": "a"})),
        (
            &[
                "create",
                "a",
                "--profile",
                "large",
                "--cluster",
                "west",
                "--cluster-selector",
                "region=eu",
                "--user",
                "u",
                "--thread",
                "t",
                "--ttl",
                "8h",
                "--idle-timeout",
                "30m",
                "--cpu",
                "2",
                "--memory",
                "1Gi",
                "--ephemeral-storage",
                "2Gi",
                "--image",
                "i",
                "--env",
                "A=b=c",
                "--label",
                "k=v",
                "--mount",
                "/h:/c:ro",
                "--network",
                "open",
                "--workspace-size",
                "1Gi",
                "--when-deleted",
                "keep",
                "--max-shell-sessions",
                "3",
            ],
            json!({
                "sandbox_id": "a", "profile": "large", "cluster": "west", "cluster_selector": "region=eu",
                "user_id": "u", "thread_id": "t", "ttl": "8h",
                "idle_timeout": "30m", "resources": {"cpu": "2", "memory": "1Gi", "ephemeral_storage": "2Gi"},
                "image": "i", "env": {"A": "b=c"}, "labels": {"k": "v"},
                "extra_mounts": [{"host_path": "/h", "container_path": "/c", "read_only": true}],
                "network": "open", "workspace": {"size": "1Gi", "when_deleted": "keep"}, "max_shell_sessions": 3,
            }),
        ),
        (
            &["create", "-f", file, "--env", "B=3", "--cpu", "1"],
            json!({"sandbox_id": "b", "profile": "small", "env": {"A": "1", "B": "3"}, "resources": {"cpu": "1"}}),
        ),
    ] {
        assert_eq!(command(&server.url, args).await.exit, Exit::Success);
        let last = server.requests().pop().unwrap();
        assert_eq!((last.line.as_str(), &last.body), ("POST /api/sandboxes", &wanted));
    }
    fs::remove_file(file).unwrap();
}

/// Guards that a file that is not a request is refused without its contents, which may be secret.
#[tokio::test]
async fn unusable_files_are_refused() {
    let server = daemon().await;
    let file = std::env::temp_dir().join(format!("client-bad-body-{}", std::process::id()));
    for text in ["", "- hunter2", "hunter2", "env: {A: hunter2", "profile: hunter2"] {
        fs::write(&file, text).unwrap();
        let outcome = command(&server.url, &["create", "-f", file.to_str().unwrap()]).await;
        assert_eq!(outcome.exit, Exit::Usage, "{text:?}: {outcome:?}");
    }
    fs::remove_file(&file).unwrap();
    assert_eq!(server.requests(), []);
}

/// Guards that a create says what an existing sandbox does not have.
#[tokio::test]
async fn what_is_not_applied_is_a_warning() {
    let server = daemon().await;
    let outcome = command(&server.url, &["create", "a", "--profile", "large", "--owner", "me"]).await;
    assert_eq!(
        outcome.err,
        "warning: sandbox \"a\" existed already, without the profile large of this command\n"
    );
    assert!(outcome.out.starts_with("ID   STATUS"), "{}", outcome.out);
    assert!(server.requests()[0].headers.contains("x-owner: me"));
}

/// Guards that each id is deleted and reported, in order, and that a refusal does not stop the others.
#[tokio::test]
async fn several_are_deleted() {
    let server = daemon().await;
    let outcome = command(&server.url, &["delete", "b", "owned", "a"]).await;
    assert_eq!(outcome.exit, Exit::Failed);
    assert_eq!(outcome.out, "sandbox \"b\" deleted\nsandbox \"a\" deleted\n");
    assert_eq!(outcome.err, "error: Sandbox 'owned' is in use by 'g' (Owned)\n");
}

/// Guards which sandboxes a selection deletes, and that nothing is deleted without one.
#[tokio::test]
async fn selections_are_deleted() {
    for (args, exit, deleted) in [
        (&["delete"][..], Exit::Usage, &[][..]),
        (&["delete", "a", "--status", "Failed"], Exit::Usage, &[]),
        (&["delete", "--all", "--dry-run"], Exit::Success, &[]),
        (&["delete", "--status", "unknown"], Exit::Success, &[]),
        (&["delete", "--all"], Exit::Success, &["DELETE /api/sandboxes/a", "DELETE /api/sandboxes/b"]),
        (&["delete", "--status", "Failed"], Exit::Success, &["DELETE /api/sandboxes/b"]),
    ] {
        // The fake daemon ignores parameters, as an older daemon does.
        let server = Server::start(|request, _| match request.line.as_str() {
            line if line.starts_with("DELETE") => ok(json!({"ok": true})),
            _ => ok(
                json!({"sandboxes": [sandbox("a", &json!({})), sandbox("b", &json!({"status": "Failed"}))]}),
            ),
        })
        .await;
        assert_eq!(command(&server.url, args).await.exit, exit, "{args:?}");
        let mut lines: Vec<_> = server.requests().into_iter().map(|request| request.line).collect();
        lines.retain(|line| line.starts_with("DELETE"));
        lines.sort();
        assert_eq!(lines, deleted, "{args:?}");
    }
}

/// Guards that `--wait` returns when the sandbox is gone.
#[tokio::test]
async fn a_delete_waits_for_the_end() {
    let server = daemon().await;
    let outcome = command(&server.url, &["delete", "a", "--wait", "--timeout", "0s"]).await;
    assert_eq!(outcome.exit, Exit::TimedOut, "{outcome:?}");
    assert!(outcome.err.contains("was not deleted within 0s: it is Running"), "{}", outcome.err);
}

/// Guards that a touch shows the sandboxes, and that one that is gone does not hide the others.
#[tokio::test]
async fn touches_are_sent() {
    let server = daemon().await;
    let outcome = command(&server.url, &["touch", "a", "gone", "-o", "name"]).await;
    assert_eq!((outcome.exit, &*outcome.out), (Exit::NotFound, "a\n"));
    let mut lines: Vec<_> = server.requests().into_iter().map(|request| request.line).collect();
    lines.sort();
    assert_eq!(lines, ["POST /api/sandboxes/a/touch", "POST /api/sandboxes/gone/touch"]);
}

/// Guards that lifetimes and resources are sent in one call.
#[tokio::test]
async fn limits_are_patches() {
    let server = daemon().await;
    for (args, wanted) in [
        (
            &["--ttl", "8h", "--idle-timeout", "default"][..],
            &[json!({"ttl": "8h", "idle_timeout": null})][..],
        ),
        (&["--cpu", "2"], &[json!({"resources": {"cpu": "2"}})]),
        (&["--ttl", "1h", "--memory", "1Gi"], &[json!({"ttl": "1h", "resources": {"memory": "1Gi"}})]),
    ] {
        let before = server.requests().len();
        let args = [&["limits", "a"], args].concat();
        assert_eq!(command(&server.url, &args).await.exit, Exit::Success);
        let requests = server.requests().split_off(before);
        assert!(requests.iter().all(|request| request.line == "PATCH /api/sandboxes/a"));
        let bodies: Vec<Value> = requests.into_iter().map(|request| request.body).collect();
        assert_eq!(bodies, wanted, "{args:?}");
    }
}

/// Guards that a move names the cluster, and that a sandbox that has not moved yet is not shown as if it had.
#[tokio::test]
async fn a_move_tells_whether_it_is_done() {
    let server = Server::start(|request, _| {
        let status = if request.body == json!({"cluster": "west"}) { 200 } else { 202 };
        Answer::Json(status, "", sandbox("a", &json!({"cluster": "west"})))
    })
    .await;
    let done = command(&server.url, &["move", "a", "west"]).await;
    assert_eq!((done.exit, &*done.err), (Exit::Success, ""), "{done:?}");
    let last = server.requests().pop().unwrap();
    assert_eq!((&*last.line, &last.body), ("POST /api/sandboxes/a/move", &json!({"cluster": "west"})));
    let underway = command(&server.url, &["move", "a", "east"]).await;
    assert_eq!(underway.exit, Exit::Success);
    assert_eq!(underway.err, "a is being created on east; it moves once it is ready there\n");
}
