//! `sandbox-provisioner cluster --rbac`, as an operator runs it.

use std::path::Path;

use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, Client, Config,
    api::ListParams,
    config::{KubeConfigOptions, Kubeconfig},
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use crate::PROGRAM;

fn cluster(arguments: &[&str]) -> Command {
    let usual = ["cluster", "--listen", "127.0.0.1:0", "--no-sandbox-servers"];
    testkit::command(PROGRAM, &[&usual, arguments].concat(), &[])
}

async fn started(kubeconfig: &Path) -> Child {
    let mut child = cluster(&["--rbac", "--write-kubeconfig", kubeconfig.to_str().unwrap()]).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = lines.next_line().await.unwrap().unwrap();
    assert!(first.contains("listening on https://127.0.0.1:"), "{first}");
    child
}

async fn client(mut kubeconfig: Kubeconfig, token: bool) -> Api<Pod> {
    if !token {
        kubeconfig.auth_infos[0].auth_info.as_mut().unwrap().token = None;
    }
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await.unwrap();
    Api::default_namespaced(Client::try_from(config).unwrap())
}

/// Guards that the written kubeconfig is all that a client needs, that requests without its token are rejected, and that
/// a second start replaces it with a new authority and a new token.
#[tokio::test]
async fn the_written_kubeconfig_leads_in() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin.yaml");
    for _ in 0..2 {
        let _child = started(&path).await;
        let kubeconfig = Kubeconfig::read_from(&path).unwrap();
        let pods = client(kubeconfig.clone(), true).await.list(&ListParams::default()).await.unwrap();
        assert!(pods.items.is_empty());
        let refused = client(kubeconfig, false).await.list(&ListParams::default()).await.unwrap_err();
        assert!(refused.to_string().contains("User \"system:anonymous\" cannot list resource"), "{refused}");
    }
}

/// Guards that a foreign kubeconfig is not overwritten, and that RBAC is not enforced if no client could have rights.
#[tokio::test]
async fn what_would_do_harm_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config");
    std::fs::write(&path, "apiVersion: v1\n").unwrap();
    let output = cluster(&["--write-kubeconfig", path.to_str().unwrap()]).output().await.unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("was not written by an embedded cluster"), "{said}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "apiVersion: v1\n");

    let output = cluster(&["--rbac"]).output().await.unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("--write-kubeconfig"), "{said}");
    let output = cluster(&["--tls-name", "na\u{ef}ve"]).output().await.unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}
