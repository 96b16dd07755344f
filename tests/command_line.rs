//! The program as a person or a supervisor runs it: exit statuses and what is printed where.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::process::{Command, Output};

/// Runs the program with these arguments and nothing but these variables.
fn run(arguments: &[&str], variables: &[(&str, &str)]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_sandbox-provisioner"))
        .args(arguments)
        .env_clear()
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// A bad setting ends the start with status 2, and its line is all that is said.
#[test]
fn bad_settings_stop_the_start() {
    let (status, out, err) = run(&["serve"], &[("SANDBOX_CONTAINER_PORT", "0")]);
    assert_eq!((status, out.as_str()), (2, ""));
    assert_eq!(
        err,
        "error: sandbox_container_port: \"0\" from the environment variable SANDBOX_CONTAINER_PORT is not allowed; \
         allowed: a port number from 1 to 65535\n"
    );
    for command in [&["serve", "--check"][..], &["render", "--request", "-"], &["health"]] {
        assert_eq!(run(command, &[("NODE_HOST", "a b")]).0, 2, "{command:?}");
    }
}

/// An address that strangers reach matters to the daemon alone: a container's other commands run without a key.
#[test]
fn only_serving_needs_a_key() {
    let open = [("PROVISIONER_LISTEN", "0.0.0.0:1")];
    assert_eq!(run(&["serve", "--check"], &open).0, 2);
    let (status, _, err) = run(&["health"], &open);
    assert_eq!(status, 1, "{err}");
    assert!(err.starts_with("error: http://127.0.0.1:1/health cannot be asked: "), "{err}");
}

/// What is in force is printed where a pipe takes it, the key is not.
#[test]
fn check_prints_the_settings() {
    let (status, out, err) = run(
        &["serve", "--check", "--listen", "0.0.0.0:8002"],
        &[("PROVISIONER_API_KEY", "hunter2"), ("K8S_NAMESPACE", "agents")],
    );
    assert_eq!((status, err.as_str()), (0, ""));
    assert!(
        out.contains("k8s_namespace = \"agents\"  # from the environment variable K8S_NAMESPACE\n"),
        "{out}"
    );
    assert!(out.contains("listen = \"0.0.0.0:8002\"  # from the flag --listen\n"), "{out}");
    assert!(!out.contains("hunter2"));
}

#[test]
fn the_version_is_the_packages() {
    let (status, out, _) = run(&["--version"], &[]);
    assert_eq!((status, out), (0, format!("sandbox-provisioner {}\n", env!("CARGO_PKG_VERSION"))));
}
