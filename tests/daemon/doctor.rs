//! `doctor` as a process. `doctor/tests` has the faults.

use std::{fs, path::Path};

use serde_json::{Value, json};
use simcluster::{Cluster, Options};
use testkit::{NAMESPACE, Process, ServedCluster, command, until};
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::PROGRAM;

const KEY: &str = "planted-key-of-the-daemon";

/// Returns the variables of each run: nothing listens at the address of the daemon.
fn usual() -> &'static [(&'static str, &'static str)] {
    &[("NODE_HOST", "127.0.0.1"), ("PROVISIONER_LISTEN", "127.0.0.1:1")]
}

/// Runs `doctor` with these arguments and environment variables. Returns the exit status and both outputs.
async fn doctor(arguments: &[&str], variables: &[(&str, &str)]) -> (i32, String, String) {
    let usual = [("NODE_HOST", "127.0.0.1"), ("PROVISIONER_LISTEN", "127.0.0.1:1")];
    let output =
        command(PROGRAM, &[&["doctor"], arguments].concat(), &[&usual, variables].concat()).output().await;
    let output = output.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Guards the exit statuses, and that an invalid URL is not quoted.
#[tokio::test]
async fn exit_statuses() {
    for (arguments, variables, status) in [
        (&["SP9999"][..], &[][..], 2),
        (&["--url", "https://user:hunter2@localhost"], &[], 2),
        (&["--wait=0s"], &[], 2),
        (&["--list", "--fix"], &[], 2),
        (&[], &[("SANDBOX_CONTAINER_PORT", "0")], 2),
        (&[], &[("KUBECONFIG_PATH", "/nowhere")], 1),
        (&["rights"], &[("KUBECONFIG_PATH", "/nowhere")], 1),
        (&["--embedded", "--strict"], &[], 0),
        (&["--embedded", "--url", "http://127.0.0.1:1"], &[], 1),
        (&["settings"], &[("PROVISIONER_LISTEN", "0.0.0.0:1"), ("PROVISIONER_AUTH", "none")], 0),
        (&["settings", "--strict"], &[("PROVISIONER_LISTEN", "0.0.0.0:1"), ("PROVISIONER_AUTH", "none")], 1),
        (&["settings"], &[("PROVISIONER_LISTEN", "0.0.0.0:1")], 1),
        (&["--list"], &[], 0),
    ] {
        let (found, out, err) = doctor(arguments, variables).await;
        assert_eq!(found, status, "{arguments:?} {variables:?}\n{out}{err}");
        assert_eq!(status == 2, out.is_empty(), "{out}");
        assert!(!err.contains("hunter2"), "{err}");
    }
}

/// Guards that each of several clusters is checked and named, and that one can be chosen, for `render` too.
#[tokio::test]
async fn each_cluster_is_checked() {
    let several = ["--embedded", "--embedded-clusters", "2"];
    let (status, out, err) = doctor(&several, &[]).await;
    assert_eq!(status, 0, "{out}{err}");
    for name in ["embedded-1", "embedded-2"] {
        assert!(out.contains(&format!("namespace of {name}\n")), "{out}");
        assert!(out.contains(&format!("  {name}: the namespace exists")), "{out}");
    }
    assert_eq!(out.matches("the daemon starts with the settings").count(), 1, "{out}");
    let (status, out, _) = doctor(&[&several, &["--cluster", "embedded-2"][..]].concat(), &[]).await;
    assert!(status == 0 && !out.contains("embedded-"), "{out}");
    let (status, out, err) = doctor(&[&several, &["--cluster", "west"][..]].concat(), &[]).await;
    assert_eq!((status, out.as_str()), (2, ""));
    assert!(err.contains("the settings have embedded-1, embedded-2"), "{err}");

    let render = async |arguments: &[&str]| {
        let all = [&["render", "--network-policies"], &several[..], arguments].concat();
        command(PROGRAM, &all, &[]).output().await.unwrap()
    };
    let refused = render(&[]).await;
    assert_eq!(refused.status.code(), Some(2));
    let told = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(
        told,
        "error: the settings have several clusters; choose one of embedded-1, embedded-2 with --cluster\n"
    );
    assert!(render(&["--cluster", "embedded-1"]).await.status.success());
}

/// Guards that a cluster is not checked for the profiles that it does not offer.
#[tokio::test]
async fn a_profile_is_checked_where_it_is_offered() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("settings.toml");
    let text = "[profiles.gpu]\nnode_selector = { accelerator = 'gpu' }\n\
                [clusters.east]\nprofiles = ['default']\n[clusters.west]\n";
    fs::write(&file, text).unwrap();
    let (_, out, err) = doctor(&["--embedded", "-o", "short", "--config", path(&file)], &[]).await;
    assert!(out.contains("west SP0906 warning"), "{out}{err}");
    assert!(!out.contains("east SP0906"), "{out}{err}");
}

/// Guards that a daemon on a healthy cluster passes with no warning, and that neither key stands in the output.
#[tokio::test]
async fn a_healthy_installation_passes() {
    let options =
        Options { sandbox_servers: Some([127, 0, 0, 1].into()), ..Options::with_namespace(NAMESPACE) };
    let served = ServedCluster::https(Cluster::start(options)).await;
    let kubeconfig = served.kubeconfig(Some("planted-token"));
    let variables = [("KUBECONFIG_PATH", path(&kubeconfig)), ("PROVISIONER_API_KEY", KEY)];
    let daemon = Process::serve(PROGRAM, &variables).await;
    let client = daemon.client().with_key(Some(KEY));
    client.until_ready().await;
    client.running("a").await;
    let url = format!("http://{}", daemon.address());

    let (status, out, err) = doctor(&["-o", "json", "--strict", "--url", &url], &variables).await;
    assert_eq!((status, err.as_str()), (0, ""), "{out}");
    let report: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["status"], "passed");
    let of = |code: &str| {
        let checks = report["checks"].as_array().unwrap();
        checks.iter().find(|check| check["code"] == code).unwrap()["status"].clone()
    };
    for code in
        ["SP0401", "SP0402", "SP0403", "SP0405", "SP1301", "SP1302", "SP1303", "SP1305", "SP1306", "SP1307"]
    {
        assert_eq!(of(code), "passed", "{code}");
    }

    let other = [("KUBECONFIG_PATH", path(&kubeconfig)), ("PROVISIONER_API_KEY", "another-planted-key")];
    let (status, out, err) = doctor(&["-o", "short", "--url", &url], &other).await;
    assert_eq!(status, 1);
    assert!(out.starts_with("SP1302 failed: "), "{out}");
    assert!(!format!("{out}{err}").contains("planted"), "{out}{err}");
}

/// Guards that `--wait` names the failing checks, and ends as soon as no check fails.
#[tokio::test]
async fn it_waits_until_nothing_fails() {
    let served = ServedCluster::http(Cluster::start(Options::with_namespace(NAMESPACE))).await;
    let source = served.kubeconfig(None);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config");
    let variables = [("KUBECONFIG_PATH", path(&file))];
    let mut waiting =
        command(PROGRAM, &["doctor", "--wait=60s", "-o", "short"], &[usual(), &variables].concat());
    let mut waiting = waiting.spawn().unwrap();
    let mut first = String::new();
    BufReader::new(waiting.stderr.take().unwrap()).read_line(&mut first).await.unwrap();
    assert!(first.starts_with("waiting for SP0201, at most "), "{first}");
    fs::copy(&source, &file).unwrap();
    assert!(waiting.wait().await.unwrap().success());
}

/// Guards that only `--fix` deletes an orphan.
#[tokio::test]
async fn an_orphan_is_deleted_on_request() {
    let served = ServedCluster::http(Cluster::start(Options::with_namespace(NAMESPACE))).await;
    let kubeconfig = served.kubeconfig(None);
    let service = json!({
        "metadata": {
            "name": "sandbox-a-svc", "namespace": NAMESPACE, "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {"app": "deer-flow-sandbox", "sandbox-id": "a"},
        },
        "spec": {"type": "NodePort", "ports": [{"port": 8080, "nodePort": 30001}]},
    });
    served.cluster.put("services", service).unwrap();
    let variables = [("KUBECONFIG_PATH", path(&kubeconfig))];
    let (status, out, _) = doctor(&["-o", "short", "--strict"], &variables).await;
    assert_eq!(status, 1);
    assert!(out.starts_with("SP1201 warning: Service of a; "), "{out}");
    assert_eq!(served.cluster.count("services", Some(NAMESPACE)), 1);
    let (status, out, _) = doctor(&["-o", "short", "--strict", "--fix"], &variables).await;
    assert_eq!((status, out.lines().next()), (0, Some("deleted the orphan Service sandbox-a-svc")));
    until("it is gone", async || served.cluster.count("services", Some(NAMESPACE)) == 0).await;
}
