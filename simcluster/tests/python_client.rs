//! Runs the Python client that DeerFlow's provisioner uses (`kubernetes` on `PyPI`) against the cluster on a port.
//! Without that package in `PYTHON` (else `python3`), or if `PYTHON` is empty, the tests say that they are skipped, and
//! pass.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Stdio;
use std::time::Duration;

use simcluster::{Cluster, Effect, Options, Refusal, Rule, Verb, WatchFault};
use tokio::process::Command;

/// Longer than the script waits for anything.
const PATIENCE: Duration = Duration::from_secs(120);
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/python_client.py");

/// Returns whether the script succeeded, and its output; `None` where it cannot run.
async fn run(test: &str, cluster: &Cluster) -> Option<(bool, String)> {
    #[expect(clippy::disallowed_methods, reason = "whoever runs the tests chooses the interpreter")]
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
    if python.is_empty() {
        eprintln!("PYTHON is empty: {test} is skipped");
        return None;
    }
    let has_library = Command::new(&python).args(["-c", "import kubernetes"]).output().await;
    if !has_library.is_ok_and(|output| output.status.success()) {
        eprintln!(
            "{python} with the module `kubernetes` is not there (PYTHON chooses another): {test} is skipped"
        );
        return None;
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    let task = tokio::spawn(simcluster::serve(listener, cluster.clone(), std::future::pending()));
    let mut command = Command::new(&python);
    command.args([SCRIPT, &server]).stdin(Stdio::null()).env("NO_PROXY", "127.0.0.1").kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output()).await.unwrap().unwrap();
    task.abort();
    let said = [output.stdout, output.stderr].concat();
    Some((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
}

/// Guards every call of DeerFlow's provisioner, and a watch.
#[tokio::test(flavor = "multi_thread")]
async fn the_original_s_library_makes_finds_follows_and_removes_a_sandbox() {
    let cluster = Cluster::start(Options::default());
    let Some((ok, said)) = run("the sandbox's life", &cluster).await else { return };
    assert!(ok && said.contains("done"), "{said}");
    assert_eq!((cluster.count("pods", None), cluster.count("services", None)), (0, 0));
}

/// Guards that the script fails on a server with a single fault.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_wrong_is_found_out() {
    let refuse = |status| {
        let refusal = Refusal::Other { code: status, reason: "Wrong".into(), message: "wrong".into() };
        Rule::new(Effect::Refuse(refusal))
    };
    for rule in [
        // A second namespace of that name, and another refusal than the true one.
        refuse(422).verb(Verb::Create).resource("namespaces").nth(2),
        refuse(410).verb(Verb::Get).resource("pods").nth(1),
        refuse(500).verb(Verb::List).resource("services"),
        Rule::new(Effect::Watch(WatchFault::Double)),
    ] {
        let cluster = Cluster::start(Options::default());
        cluster.fault(rule.clone());
        let Some((ok, said)) = run("the wrong server", &cluster).await else { return };
        let complaint = said.contains("AssertionError") || said.contains("ApiException");
        assert!(!ok && complaint && !said.contains("done"), "{rule:?}: {said}");
    }
}
