//! `kubectl` as the administrator and as other users, if it is installed.

use std::{path::Path, process::Stdio};

use tokio::process::Command;

use super::guarded::{ACCOUNT, ADMIN, Guarded, HOME};

/// Returns what `kubectl` prints: its output, or everything if it fails.
async fn kubectl(kubeconfig: &Path, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new("kubectl")
        .arg("--kubeconfig")
        .arg(kubeconfig)
        // Without this, kubectl caches the discovery in the home directory.
        .args(["--cache-dir", kubeconfig.parent().unwrap().to_str().unwrap()])
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap().trim_end().to_owned();
    if output.status.success() {
        Ok(text(output.stdout))
    } else {
        Err(text(output.stdout) + &text(output.stderr))
    }
}

/// Guards the steps of the README: a kubeconfig with TLS, the shipped file, a token for the daemon's account, and access
/// reviews.
#[tokio::test]
async fn kubectl_asks_about_rights() {
    if !is_installed().await {
        return;
    }
    let guarded = Guarded::empty().await;
    let admin = guarded.kubeconfig(Some(ADMIN));
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/config/rbac.yaml");
    kubectl(&admin, &["apply", "-f", shipped]).await.unwrap();
    let who = kubectl(&admin, &["auth", "whoami", "-o", "jsonpath={.status.userInfo.groups}"]).await.unwrap();
    assert_eq!(who, "[\"system:masters\",\"system:authenticated\"]");
    assert_eq!(kubectl(&admin, &["auth", "can-i", "create", "pods"]).await.unwrap(), "yes");

    let token = kubectl(&admin, &["create", "token", ACCOUNT, "-n", HOME]).await.unwrap();
    let daemon = guarded.kubeconfig(Some(&token));
    let none = kubectl(&daemon, &["get", "pods", "-n", "deer-flow", "-o", "name"]).await;
    assert_eq!(none, Ok(String::new()));
    let refused = kubectl(&daemon, &["get", "pods"]).await.unwrap_err();
    assert_eq!(
        refused,
        format!(
            "Error from server (Forbidden): pods is forbidden: User \"system:serviceaccount:{HOME}:{ACCOUNT}\" cannot \
             list resource \"pods\" in API group \"\" in the namespace \"default\""
        )
    );
    let can = async |arguments: &[&str]| {
        let all = [&["auth", "can-i"], arguments].concat();
        kubectl(&daemon, &all).await.unwrap_or_else(|no| no)
    };
    assert_eq!(can(&["create", "pods", "-n", "deer-flow"]).await, "yes");
    assert_eq!(can(&["create", "secrets", "-n", "deer-flow"]).await, "no");
    assert_eq!(can(&["get", "namespaces/deer-flow"]).await, "yes");
    let list = can(&["--list", "-n", "deer-flow"]).await;
    assert!(list.contains("[get list watch create delete]"), "{list}");

    let nobody = guarded.kubeconfig(Some("unknown-token"));
    let refused = kubectl(&nobody, &["get", "pods"]).await.unwrap_err();
    assert!(refused.contains("Unauthorized"), "{refused}");
    let account = format!("system:serviceaccount:{HOME}:{ACCOUNT}");
    let other = ["auth", "can-i", "delete", "pods", "-n", "deer-flow", "--as", account.as_str()];
    assert_eq!(kubectl(&admin, &other).await.unwrap(), "yes");
}

/// Guards the objects that kubectl sends as protobuf: those that it builds itself instead of reading a file.
#[tokio::test]
async fn kubectl_makes_objects_and_rights() {
    if !is_installed().await {
        return;
    }
    let guarded = Guarded::empty().await;
    let admin = guarded.kubeconfig(Some(ADMIN));
    for command in [
        "create namespace tools",
        "-n tools create serviceaccount robot",
        "-n tools create configmap colours --from-literal=sky=blue",
        "-n tools create secret generic key --from-literal=door=open",
        "-n tools create quota few --hard=pods=5",
        "-n tools create service nodeport web --tcp=80:8080",
        "-n tools create role reader --verb=get,list --resource=pods",
        "-n tools create rolebinding robots-read --role=reader --serviceaccount=tools:robot",
        "create clusterrole health --verb=get --non-resource-url=/metrics",
        "create clusterrolebinding robots-health --clusterrole=health --group=system:serviceaccounts:tools",
    ] {
        let words: Vec<_> = command.split(' ').collect();
        let made = kubectl(&admin, &words).await.unwrap_or_else(|error| panic!("{command}: {error}"));
        assert!(made.ends_with("created"), "{command}: {made}");
    }
    let data = guarded.cluster.object("secrets", "tools", "key").unwrap();
    assert_eq!(data["data"]["door"], "b3Blbg==");
    let web = guarded.cluster.object("services", "tools", "web").unwrap();
    assert_eq!(web["spec"]["ports"][0]["targetPort"], 8080);
    let token = kubectl(&admin, &["-n", "tools", "create", "token", "robot"]).await.unwrap();
    let robot = guarded.kubeconfig(Some(&token));
    let can = async |words: &[&str]| {
        let all = [&["auth", "can-i"], words].concat();
        kubectl(&robot, &all).await.unwrap_or_else(|no| no)
    };
    assert_eq!(can(&["list", "pods", "-n", "tools"]).await, "yes");
    assert_eq!(can(&["list", "pods"]).await, "no");
    assert_eq!(can(&["get", "/metrics"]).await, "yes");
}

async fn is_installed() -> bool {
    let found = Command::new("kubectl").args(["version", "--client"]).output().await.is_ok();
    if !found {
        eprintln!("skipped: kubectl is not installed");
    }
    found
}
