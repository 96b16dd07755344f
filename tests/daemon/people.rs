//! The commands for people, run as processes against the daemon.

use std::{fs, process::Stdio};

use serde_json::Value;
use testkit::{Process, command};

use crate::PROGRAM;

/// The key of the daemon. No command may print it.
const KEY: &str = "xQ7z-people-key";

/// A daemon on an embedded cluster, and the variables with which commands find it.
struct Target {
    process: Process,
    url: String,
}

/// The result of a command.
#[derive(Debug)]
struct Outcome {
    status: i32,
    out: String,
    err: String,
}

impl Target {
    async fn start() -> Self {
        let process =
            Process::serve(PROGRAM, &[("PROVISIONER_EMBEDDED", "true"), ("PROVISIONER_API_KEY", KEY)]).await;
        let url = format!("http://{}", process.address());
        Self { process, url }
    }

    /// Runs a command with the key.
    async fn run(&self, arguments: &[&str]) -> Outcome {
        run(arguments, &[("PROVISIONER_URL", &self.url), ("PROVISIONER_API_KEY", KEY)]).await
    }
}

async fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Outcome {
    let output = command(PROGRAM, arguments, variables).output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    let outcome =
        Outcome { status: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) };
    assert!(!format!("{outcome:?}").contains(KEY), "{arguments:?}: the key is printed: {outcome:?}");
    outcome
}

/// Guards that each command works against a real daemon, from a create to the end.
#[tokio::test]
async fn the_commands_manage_a_sandbox() {
    let target = Target::start().await;
    let empty = target.run(&["get"]).await;
    assert_eq!((empty.status, &*empty.out, &*empty.err), (0, "", "No sandboxes found.\n"));
    let created = target.run(&["create", "abc", "--user", "alice", "--wait", "-o", "json"]).await;
    assert_eq!(created.status, 0, "{created:?}");
    let created: Value = serde_json::from_str(&created.out).unwrap();
    assert_eq!((&created["sandbox_id"], &created["ready"]), (&"abc".into(), &true.into()));
    for (arguments, status, part) in [
        (&["get"][..], 0, "abc   Running   True"),
        (&["get", "-o", "wide"], 0, "alice"),
        (&["get", "--user", "alice", "-o", "name"], 0, "abc\n"),
        (&["get", "--user", "bob", "-o", "name"], 0, ""),
        (&["get", "-l", "tier=large", "-o", "name"], 0, ""),
        (&["get", "-l", "!tier", "-o", "name"], 0, "abc\n"),
        (&["get", "abc", "-o", "yaml"], 0, "sandbox_id: abc\n"),
        (&["touch", "abc", "-o", "name"], 0, "abc\n"),
        (&["limits", "abc", "--ttl", "8h", "-o", "json"], 0, "\"reap_reason\": \"TTLExpired\""),
        (&["timeline", "abc"], 0, "Ready after"),
        (&["logs", "abc"], 0, "sandbox started in pod deer-flow/sandbox-abc\n"),
        (&["logs", "abc", "--previous"], 1, ""),
        (&["wait", "abc"], 0, "sandbox \"abc\" ready\n"),
        (&["clusters"], 0, "default   True"),
        (&["profiles"], 0, ""),
        (&["workspaces"], 0, ""),
        (&["get", "def"], 3, ""),
        (&["logs", "def", "-f"], 3, ""),
        (&["create", "UPPER"], 1, ""),
        (&["wait", "abc", "--for", "deleted", "--timeout", "0s"], 6, ""),
        (&["delete", "--all", "--wait"], 0, "sandbox \"abc\" deleted\n"),
        (&["get", "-o", "name"], 0, ""),
    ] {
        let outcome = target.run(arguments).await;
        assert_eq!(outcome.status, status, "{arguments:?}: {outcome:?}");
        assert!(outcome.out.contains(part), "{arguments:?}: {outcome:?}");
    }
}

/// Guards the statuses of a wrong key, of no key, and of a daemon that is not there.
#[tokio::test]
async fn the_key_comes_from_the_environment_or_a_file() {
    let Target { process, url } = Target::start().await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("key");
    fs::write(&file, format!("{KEY}\n")).unwrap();
    let file = file.to_str().unwrap();
    for (variables, arguments, status) in [
        (&[("PROVISIONER_API_KEY_FILE", file)][..], &["get"][..], 0),
        (&[], &["get", "--api-key-file", file], 0),
        (&[], &["get"], 4),
        (&[("PROVISIONER_API_KEY", "wrong")], &["get"], 4),
        (&[("PROVISIONER_API_KEY", KEY), ("PROVISIONER_API_KEY_FILE", file)], &["get"], 2),
    ] {
        let outcome = run(arguments, &[variables, &[("PROVISIONER_URL", &*url)]].concat()).await;
        assert_eq!(outcome.status, status, "{variables:?} {arguments:?}: {outcome:?}");
    }
    process.kill().await;
    let outcome = run(&["get"], &[("PROVISIONER_URL", &url), ("PROVISIONER_API_KEY", KEY)]).await;
    assert_eq!(outcome.status, 5);
    assert!(outcome.err.starts_with(&format!("error: nothing listens at {url}: ")), "{}", outcome.err);
}

/// Guards that a reader that closes the pipe, as `head` does, ends a command in silence and without a panic.
#[tokio::test]
async fn a_closed_pipe_is_not_an_error() {
    let target = Target::start().await;
    assert_eq!(target.run(&["create", "abc"]).await.status, 0);
    for arguments in [&["get"][..], &["get", "--watch"], &["events", "--initial"], &["completions", "bash"]] {
        let variables = [("PROVISIONER_URL", target.url.as_str()), ("PROVISIONER_API_KEY", KEY)];
        let mut child = command(PROGRAM, arguments, &variables).stdout(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().await.unwrap();
        assert_eq!((output.status.code(), &*output.stderr), (Some(0), &b""[..]), "{arguments:?}");
    }
}

/// Guards that the live table is refused without a terminal.
#[tokio::test]
async fn top_needs_a_terminal() {
    let outcome = run(&["top"], &[]).await;
    assert_eq!(outcome.status, 1);
    assert!(outcome.err.starts_with("error: top needs a terminal"), "{}", outcome.err);
}
