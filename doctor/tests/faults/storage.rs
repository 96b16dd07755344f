//! Faults of claims, storage classes, host paths and networks.

use doctor::{Cluster, Selection};
use kubernetes::manifest::Template;
use serde_json::{Value, json};
use simcluster::{Effect, Refusal, Rule, Verb};

use crate::fixture::{Case, NAMESPACE, finds, nodes, options, server, template, with_profile};

fn claims(template: Template) -> Template {
    Template { skills_pvc: Some("skills".to_owned()), userdata_pvc: Some("data".to_owned()), ..template }
}

fn claim(name: &str, mode: &str, phase: &str) -> Value {
    json!({
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"accessModes": [mode], "storageClassName": "immediate"},
        "status": {"phase": phase},
    })
}

const CLASS: &str = "immediate";

/// Guards the code of each fault of a claim.
#[tokio::test]
async fn faults_of_claims() {
    let mut terminating = claim("data", "ReadWriteMany", "Bound");
    terminating["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
    terminating["metadata"]["finalizers"] = json!(["example.com/hold"]);
    for (fault, count, data, codes) in [
        ("missing", 1, None, &["SP0701"][..]),
        ("lost", 1, Some(claim("data", "ReadWriteMany", "Lost")), &["SP0702"]),
        ("pending", 1, Some(claim("data", "ReadWriteMany", "Pending")), &["SP0702"]),
        ("terminating", 1, Some(terminating), &["SP0702"]),
        ("of one node", 2, Some(claim("data", "ReadWriteOnce", "Bound")), &["SP0703"]),
        ("of one node, and there is one", 1, Some(claim("data", "ReadWriteOnce", "Bound")), &[]),
        ("shared", 2, Some(claim("data", "ReadWriteMany", "Bound")), &[]),
    ] {
        let case = Case::start(nodes(count), template()).await.template(claims);
        case.put(
            "storageclasses",
            json!({
                "metadata": {"name": CLASS}, "provisioner": "none.example", "volumeBindingMode": "Immediate",
            }),
        );
        case.put("persistentvolumeclaims", claim("skills", "ReadOnlyMany", "Bound"));
        if let Some(data) = data {
            case.put("persistentvolumeclaims", data);
        }
        case.finds(fault, codes).await;
    }
}

/// Guards that a Pending claim is a fault unless its class waits for the first Pod. A class that could not be read is not a
/// fault, and not a bound claim.
#[tokio::test]
async fn claims_are_pending() {
    for (class, mode, codes) in [
        (CLASS, "Immediate", &["SP0702"][..]),
        (CLASS, "WaitForFirstConsumer", &[]),
        ("misspelt", "WaitForFirstConsumer", &["SP0702"]),
        ("", "WaitForFirstConsumer", &["SP0702"]),
    ] {
        for is_readable in [true, false] {
            let case = Case::start(options(), template()).await.template(claims);
            case.put(
                "storageclasses",
                json!({
                    "metadata": {"name": CLASS}, "provisioner": "none.example", "volumeBindingMode": mode,
                }),
            );
            case.put("persistentvolumeclaims", claim("skills", "ReadOnlyMany", "Bound"));
            let mut data = claim("data", "ReadWriteMany", "Pending");
            data["spec"]["storageClassName"] = class.into();
            case.put("persistentvolumeclaims", data);
            if !is_readable {
                let forbidden = Rule::new(Effect::Refuse(Refusal::Forbidden)).verb(Verb::List);
                case.cluster.fault(forbidden.resource("storageclasses"));
            }
            // Without a class there is nothing to read.
            let is_known = is_readable || class.is_empty();
            case.finds(&format!("{class:?} {mode} {is_readable}"), if is_known { codes } else { &[] }).await;
            let report = case.report().await;
            let shown = doctor::Format::Table.show(&report, None);
            let says_why = shown.contains("the claim data is Pending, and the storage classes");
            assert_eq!(says_why, !is_known, "{shown}");
        }
    }
}

/// Guards the code of each fault of a workspace's storage class.
#[tokio::test]
async fn faults_of_storage_classes() {
    for (workspace, codes) in [
        (json!({"size": "1Gi", "storage_class": "nowhere"}), &["SP0704"][..]),
        (json!({"size": "1Gi", "access_mode": "ReadWriteMany"}), &["SP0704"]),
        (json!({"size": "1Gi"}), &[]),
    ] {
        let case = Case::start(options(), template()).await;
        let case = case.template(|template| with_profile(template, &json!({ "workspace": workspace })));
        case.finds(&workspace.to_string(), codes).await;
    }
}

/// Guards the code of each fault of host paths.
#[tokio::test]
async fn faults_of_host_paths() {
    let case = Case::start(options(), template()).await;
    let elsewhere = |template| Template { threads_host_path: "/srv/threads".to_owned(), ..template };
    case.template(elsewhere).finds("outside", &["SP0705"]).await;
    let case = Case::start(nodes(3), template()).await;
    case.finds("three nodes", &["SP0707"]).await;
}

#[tokio::test]
async fn the_node_host_has_no_address() {
    let unknown = |template| Template { node_host: "nowhere.invalid".to_owned(), ..template };
    Case::healthy().await.template(unknown).finds("no address", &["SP0801"]).await;
}

/// Guards that a sandbox that is ready and cannot be reached differs from one that serves something else.
#[tokio::test]
async fn sandboxes_cannot_be_reached() {
    let quiet = simcluster::Options { sandbox_servers: None, ..options() };
    let case = Case::start(quiet, template()).await.with_sandbox("a").await;
    case.finds("nothing listens", &["SP0802"]).await;

    let other = server(|_| (404, "not found".to_owned())).await;
    case.change("services", "sandbox-a-svc", |service| {
        service["spec"]["ports"][0]["nodePort"] = other.port().into();
    });
    case.finds("another service", &["SP0803"]).await;
}

/// Returns a template with a restricted profile.
fn restricted(template: Template) -> Template {
    let mut template = with_profile(template, &json!({"network": "isolated"}));
    template.network.sources = vec!["10.0.0.7".parse().unwrap()];
    template
}

fn daemon(asked: &str) -> (u16, String) {
    let body = match asked {
        "GET /health" => json!({"status": "ok"}),
        "GET /readyz?verbose" => json!({"status": "ok", "checks": []}),
        "POST /api/network/check" => json!({"enforced": "unknown", "message": "running", "checking": true}),
        "GET /api/network/check" => json!({"enforced": "no", "message": "not enforced", "checking": false}),
        _ => json!({"sandboxes": [{"sandbox_id": "a"}]}),
    };
    (200, body.to_string())
}

/// Guards that missing and changed policies are found while a daemon should keep them, and that before its first start they
/// are not a fault.
#[tokio::test]
async fn network_policies_differ() {
    let mut case = Case::healthy().await.template(restricted);
    case.finds("no daemon has written them", &[]).await;
    case.subject.daemon.url = doctor::DaemonUrl::of(server(daemon).await);
    case.finds("missing", &["SP0804"]).await;

    let template = &case.subject.settings.template;
    for policy in kubernetes::network::policies(&template.network, NAMESPACE, template.container_port) {
        case.put("networkpolicies", json!(policy));
    }
    case.finds("as configured", &[]).await;
    case.change("networkpolicies", "sandbox-provisioner-isolated", |policy| {
        policy["spec"]["egress"] = json!([{}]);
    });
    case.finds("changed", &["SP0804"]).await;
    // The embedded cluster of the daemon is another one than that of a diagnosis.
    if let Cluster::Embedded { has_sandboxes, .. } = &mut case.subject.cluster {
        *has_sandboxes = false;
    }
    case.finds("embedded", &[]).await;
}

/// Guards that the enforcement is tried only on request, by the daemon.
#[tokio::test]
async fn network_policies_are_not_enforced() {
    let mut case = Case::healthy().await;
    case.subject.daemon.url = doctor::DaemonUrl::of(server(daemon).await);
    case.finds("not asked", &[]).await;
    let selection = Selection::parse(&["SP0805".to_owned()], false).unwrap();
    finds("asked", &case.subject, &selection, &["SP0805"]).await;
}
