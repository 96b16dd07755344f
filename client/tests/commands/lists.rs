//! `timeline`, `profiles` and `workspaces`, and the files for shells.

use client::Exit;
use serde_json::json;

use crate::{
    command, command_with,
    server::{Server, ok},
};

/// Guards that a timeline shows its steps and its short answer.
#[tokio::test]
async fn a_timeline_is_a_table() {
    let server = Server::start(|_, _| {
        ok(json!({
            "sandbox_id": "a", "over": false, "ready_after_ms": 13324, "omitted": 2,
            "slowest": {"from": "pulling", "to": "pulled", "duration_ms": 11003, "image": "i:1"},
            "steps": [
                {"step": "accepted", "at": "2026-11-26T08:44:41.416Z", "duration_ms": 0},
                {"step": "warning", "at": "2026-11-26T08:44:52Z", "duration_ms": 150, "reason": "Unhealthy",
                 "message": "status 503", "hint": "it is starting", "count": 3},
            ],
        }))
    })
    .await;
    let outcome = command(&server.url, &["timeline", "a"]).await;
    assert_eq!(
        outcome.out,
        "STEP       TIME                       AFTER    DETAILS\n\
         accepted   2026-11-26T08:44:41.416Z   +0ms\n\
         warning    2026-11-26T08:44:52Z       +150ms   3 times, Unhealthy, status 503, it is starting\n\
         \n\
         Ready after 13.3s.\n\
         Slowest: 11.0s from pulling to pulled, i:1\n\
         2 steps are left out.\n"
    );
    assert_eq!(server.requests()[0].line, "GET /api/sandboxes/a/timeline");
}

/// Guards the columns of profiles, with the bounds of requests.
#[tokio::test]
async fn profiles_are_a_table() {
    let server = Server::start(|_, _| {
        ok(json!({"default": "default", "profiles": [
            {"name": "default", "resources": {"cpu": "1", "memory": "1Gi"}, "ttl": "8h",
             "overrides": {"resources": {"cpu": {"max": "4"}, "memory": {"min": "1Gi", "max": "2Gi"}}, "env": ["A"],
                           "workspace": {"size": {"min": "1Gi"}}}},
            {"name": "large", "description": "for builds", "workspace": {"size": "1Gi", "scope": "thread"}},
        ]}))
    })
    .await;
    let outcome = command(&server.url, &["profiles", "-o", "wide"]).await;
    let lines: Vec<Vec<_>> = outcome
        .out
        .lines()
        .map(|line| line.split("   ").map(str::trim).filter(|cell| !cell.is_empty()).collect())
        .collect();
    assert_eq!(
        lines[0],
        ["NAME", "RESOURCES", "TTL", "IDLE-TIMEOUT", "WORKSPACE", "DESCRIPTION", "OVERRIDES"]
    );
    assert_eq!(
        lines[1],
        [
            "default (default)",
            "cpu=1,memory=1Gi",
            "8h",
            "<none>",
            "<none>",
            "<none>",
            "env,cpu<=4,1Gi<=memory<=2Gi,workspace.size>=1Gi"
        ]
    );
    assert_eq!(lines[2], ["large", "<none>", "<none>", "<none>", "1Gi per thread", "for builds", "<none>"]);
    assert_eq!(command(&server.url, &["profiles", "-o", "name"]).await.out, "default\nlarge\n");
}

/// Guards the columns of workspaces, and their changes.
#[tokio::test]
async fn workspaces_are_managed() {
    let workspace = json!({
        "id": "w1", "scope": "thread", "thread_id": "t", "user_id": "u", "size": "1Gi", "phase": "Bound",
        "when_deleted": "keep", "in_use_by": ["a", "b"], "last_used": null, "deletes_at": null, "profile": "p",
    });
    let server = Server::start(move |request, _| match request.line.as_str() {
        "GET /api/workspaces" => ok(json!({"workspaces": [workspace], "count": 1})),
        line if line.starts_with("DELETE") => ok(json!({"ok": true, "id": "w1"})),
        _ => ok(workspace.clone()),
    })
    .await;
    let outcome = command(&server.url, &["workspaces"]).await;
    assert_eq!(
        outcome.out,
        "ID   SCOPE    OWNER   SIZE   PHASE   USED-BY   DELETES   AGE\n\
         w1   thread   u/t     1Gi    Bound   a,b       <none>    <none>\n"
    );
    assert_eq!(command(&server.url, &["workspaces", "-o", "name"]).await.out, "w1\n");
    let outcome = command(&server.url, &["workspaces", "delete", "w1"]).await;
    assert_eq!((outcome.exit, &*outcome.out), (Exit::Success, "workspace \"w1\" deleted\n"));
    let outcome = command(&server.url, &["workspaces", "resize", "w1", "2Gi", "--no-headers"]).await;
    assert!(outcome.out.starts_with("w1   thread"), "{outcome:?}");
    let last = server.requests().pop().unwrap();
    assert_eq!((&*last.line, &last.body), ("PATCH /api/workspaces/w1", &json!({"size": "2Gi"})));
}

/// Guards the columns of clusters, and that each problem is a line on standard error.
#[tokio::test]
async fn clusters_are_a_table() {
    let server = Server::start(|_, _| {
        ok(json!({"count": 1, "clusters": [{
            "name": "west", "ready": false, "weight": 50, "drain": true, "room": 7, "labels": {"region": "eu"},
            "profiles": ["small", "large"], "version": "v1.36.2", "fresh_since": null,
            "sandboxes": {"count": 3, "ready": 2, "by_status": {"Pending": 1, "Running": 2}},
            "creates": {"running": 1, "running_max": 16, "waiting": 0, "room": 100},
            "problems": [{"check": "watch-pods", "message": "no\u{1b}list", "optional": false}],
        }]}))
    })
    .await;
    let outcome = command(&server.url, &["clusters", "-o", "wide"]).await;
    assert_eq!(
        outcome.out,
        "NAME   READY   WEIGHT       VERSION   FRESH-FOR   SANDBOXES     PROBLEMS     ROOM   BY-STATUS             CREATES              LABELS      PROFILES\n\
         west   False   50 (drain)   v1.36.2   <none>      3 (2 ready)   watch-pods   7      Pending=1,Running=2   1 of 16, 0 waiting   region=eu   small,large\n"
    );
    assert_eq!(outcome.err, "problem: west: watch-pods: no\\u{1b}list\n");
    assert_eq!(command(&server.url, &["clusters", "-o", "name"]).await.out, "west\n");
    assert_eq!(command(&server.url, &["clusters", "west", "-o", "name"]).await.out, "west\n");
    let unknown = command(&server.url, &["clusters", "east"]).await;
    assert_eq!(unknown.exit, Exit::NotFound);
    assert!(unknown.err.contains("there is no cluster \"east\"; the clusters are west"), "{unknown:?}");
}

/// Guards that a cluster is changed by one PATCH.
#[tokio::test]
async fn a_cluster_is_changed() {
    let server =
        Server::start(|_, _| ok(json!({"name": "a b", "ready": true, "weight": 7, "drain": false}))).await;
    for (args, wanted) in [
        (&["clusters", "a b", "--drain"][..], json!({"drain": true})),
        (&["clusters", "a b", "--undrain", "--weight", "7"], json!({"drain": false, "weight": 7})),
        (&["clusters", "a b", "--weight", "0"], json!({"weight": 0})),
    ] {
        let outcome = command(&server.url, args).await;
        assert_eq!(outcome.exit, Exit::Success, "{outcome:?}");
        let last = server.requests().pop().unwrap();
        assert_eq!((&*last.line, &last.body), ("PATCH /api/clusters/a%20b", &wanted), "{args:?}");
    }
}

/// Guards that a cluster that drains because of its weight is named after `--undrain`, which does not end that.
#[tokio::test]
async fn a_weight_of_0_still_drains() {
    let server =
        Server::start(|_, _| ok(json!({"name": "west", "ready": true, "weight": 0, "drain": true}))).await;
    let outcome = command(&server.url, &["clusters", "west", "--undrain"]).await;
    assert_eq!(outcome.err, "warning: west still drains, because its weight is 0; use --weight\n");
}

/// Guards that completions and manual pages are made for every command.
#[tokio::test]
async fn files_for_shells_are_made() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let outcome = command_with(&[], &["completions", shell]).await;
        assert!(outcome.out.contains("sandbox-provisioner") && outcome.out.contains("timeline"), "{shell}");
    }
    assert!(command_with(&[], &["man"]).await.out.contains(".TH sandbox-provisioner 1"));
    let dir = std::env::temp_dir().join(format!("client-man-{}", std::process::id()));
    let dir = dir.to_str().unwrap();
    let outcome = command_with(&[], &["man", "--dir", dir]).await;
    assert_eq!(outcome.exit, Exit::Failed, "the directory does not exist");
    std::fs::create_dir(dir).unwrap();
    assert_eq!(command_with(&[], &["man", "--dir", dir]).await.exit, Exit::Success);
    let page = std::fs::read_to_string(format!("{dir}/sandbox-provisioner-get.1")).unwrap();
    assert!(page.contains("PROVISIONER_URL"), "{page}");
    std::fs::remove_dir_all(dir).unwrap();
}
