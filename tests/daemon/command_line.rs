//! Tests of the program's exit statuses and output.

use std::{
    io::Write as _,
    process::{Command, Output, Stdio},
};

use serde_json::{Value, json};

use crate::PROGRAM;

/// Runs the program with these arguments and only these environment variables.
fn run(arguments: &[&str], variables: &[(&str, &str)]) -> (i32, String, String) {
    let Output { status, stdout, stderr } =
        Command::new(PROGRAM).args(arguments).env_clear().envs(variables.iter().copied()).output().unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// Guards that an invalid setting is the only output, with exit status 2.
#[test]
fn invalid_settings_stop_the_start() {
    let (status, out, err) = run(&["serve"], &[("SANDBOX_CONTAINER_PORT", "0")]);
    assert_eq!((status, out.as_str()), (2, ""));
    assert_eq!(
        err,
        "error: sandbox_container_port: \"0\" from the environment variable SANDBOX_CONTAINER_PORT is not allowed; \
         allowed: a number from 1 to 65535\n"
    );
    for command in [&["serve", "--check"][..], &["render", "--request", "-"], &["health"]] {
        assert_eq!(run(command, &[("NODE_HOST", "a b")]).0, 2, "{command:?}");
    }
}

/// Guards that only `serve` requires a key for a public address, not the other commands.
#[test]
fn only_serving_needs_a_key() {
    let open = [("PROVISIONER_LISTEN", "0.0.0.0:1")];
    assert_eq!(run(&["serve", "--check"], &open).0, 2);
    let (status, _, err) = run(&["health"], &open);
    assert_eq!(status, 1, "{err}");
    assert!(err.starts_with("error: cannot connect to http://127.0.0.1:1/health: "), "{err}");
}

/// Guards that the settings are printed on standard output without the key.
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

/// A number with leading zeros, which TOML does not allow, is printed as it was parsed.
#[test]
fn check_prints_valid_toml() {
    let (status, out, err) = run(&["serve", "--check"], &[("PROVISIONER_MAX_CONNECTIONS", "007")]);
    assert_eq!((status, err.as_str()), (0, ""));
    assert!(out.contains("max_connections = 7  # from the environment variable"), "{out}");
    assert!(out.parse::<toml::Table>().is_ok(), "{out}");
}

#[test]
fn the_version_is_the_packages() {
    let (status, out, _) = run(&["--version"], &[]);
    assert_eq!((status, out), (0, format!("sandbox-provisioner {}\n", env!("CARGO_PKG_VERSION"))));
}

/// Runs the program with this standard input and this standard output.
fn feed(arguments: &[&str], input: &[u8], stdout: Stdio) -> (i32, String, String) {
    let mut child = Command::new(PROGRAM)
        .args(arguments)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(stdout)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The program may end before it has read everything.
    let _ = child.stdin.take().unwrap().write_all(input);
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// Guards that every command reports a failure on standard error in the same format.
#[test]
fn failures_are_printed_as_errors() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    for (arguments, begin) in [
        (&["cluster", "--listen", &taken][..], "error: cannot listen on "),
        (&["render", "--request", "/nonexistent"], "error: cannot read the request from /nonexistent: "),
    ] {
        let (status, out, err) = run(arguments, &[]);
        assert_eq!((status, out.as_str()), (1, ""), "{arguments:?}");
        assert!(err.starts_with(begin), "{err}");
    }
}

/// Guards that an output that cannot be written is a failure, because the file would be incomplete.
#[test]
fn a_full_disk_is_a_failure() {
    for (arguments, input) in
        [(&["serve", "--check"][..], ""), (&["render", "--request", "-"], r#"{"sandbox_id":"a"}"#)]
    {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let (status, _, err) = feed(arguments, input.as_bytes(), full.into());
        assert_eq!(status, 1, "{arguments:?}");
        assert!(err.starts_with("error: standard output cannot be written: "), "{err}");
    }
}

/// Guards that `render` reports an invalid request with the API's messages.
#[test]
fn render_refuses_as_the_api_does() {
    let large = vec![b' '; (1 << 20) + 1];
    for (input, detail) in [
        (&large[..], r#""the request body is larger than 1048576 bytes""#),
        (b"{\"sandbox_id\":\"\xff\"}", r#""There was an error parsing the body""#),
    ] {
        let (status, out, err) = feed(&["render", "--request", "-"], input, Stdio::piped());
        assert_eq!((status, out.as_str()), (1, ""));
        assert!(err.contains(detail), "{err}");
    }
}

/// Guards that `render` shows the probes that the settings choose.
#[test]
fn render_shows_the_probes_of_the_settings() {
    for (flags, readiness, liveness) in [
        (&[][..], json!({"periodSeconds": 1, "failureThreshold": 15}), json!({"initialDelaySeconds": 300})),
        (&["--sandbox-boot-timeout", "20m"], json!({}), json!({"initialDelaySeconds": 1200})),
        (
            &["--sandbox-probes", "deerflow"],
            json!({"initialDelaySeconds": 5, "periodSeconds": 5, "failureThreshold": 3}),
            json!({"initialDelaySeconds": 10}),
        ),
    ] {
        let arguments = [&["render", "--request", "-"], flags].concat();
        let (status, out, err) = feed(&arguments, br#"{"sandbox_id":"a"}"#, Stdio::piped());
        assert_eq!((status, err.as_str()), (0, ""));
        let rendered: Value = serde_json::from_str(&out).unwrap();
        let container = &rendered["pod"]["spec"]["containers"][0];
        for (probe, wanted) in [("readinessProbe", readiness), ("livenessProbe", liveness)] {
            for (field, value) in wanted.as_object().unwrap() {
                assert_eq!(&container[probe][field], value, "{flags:?} {probe} {field}");
            }
        }
        assert_eq!(container["startupProbe"], Value::Null);
    }
}

/// Guards that a public cluster without RBAC causes a warning.
#[test]
fn an_open_cluster_logs_a_warning() {
    for (listen, warned) in [("0.0.0.0:0", true), ("127.0.0.1:0", false)] {
        let mut child = Command::new(PROGRAM)
            .args(["cluster", "--listen", listen])
            .env_clear()
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // The first output comes after the warning.
        let mut welcome = [0; 64];
        std::io::Read::read(child.stdout.as_mut().unwrap(), &mut welcome).unwrap();
        child.kill().unwrap();
        let log = String::from_utf8(child.wait_with_output().unwrap().stderr).unwrap();
        assert_eq!(log.contains("RBAC is not enforced"), warned, "{listen}: {log}");
    }
}
