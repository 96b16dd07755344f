//! Faults of the namespace and of its admission.

use doctor::{Facts, Outcome, Report, Selection, find_doubles, gather};
use kubernetes::{
    manifest::{self, Template},
    profile::{HostPaths, Profile, Profiles},
};
use lifecycle::ids::{ClusterName, ProfileName};
use serde_json::json;
use simcluster::{Effect, Options, Refusal, Rule, Verb};

use crate::fixture::{Case, NAMESPACE, TIME, options, template, with_named_profile};

fn refuse(code: u16, message: &str) -> Effect {
    Effect::Refuse(Refusal::Other { code, reason: "Forbidden".into(), message: message.to_owned() })
}

/// Guards the code of each refusal of a Pod or a Service.
#[tokio::test]
async fn refusals_of_the_admission() {
    let forbidden = "pods \"x\" is forbidden: ";
    for (resource, effect, code) in [
        (
            "pods",
            refuse(403, &format!("{forbidden}maximum cpu usage per Container is 500m, but limit is 1")),
            "SP0604",
        ),
        ("pods", refuse(403, &format!("{forbidden}minimum memory usage per Pod is 2Gi")), "SP0604"),
        ("pods", refuse(403, "admission webhook \"a.example\" denied the request: no"), "SP0606"),
        ("services", refuse(403, "admission webhook \"a.example\" denied the request: no"), "SP0606"),
        ("pods", refuse(500, "failed calling webhook \"a.example\": timed out"), "SP0606"),
        ("pods", refuse(422, "Pod \"x\" is invalid: spec.volumes[0]: must be an absolute path"), "SP0606"),
        ("pods", Effect::Silent, "SP0606"),
    ] {
        let case = Case::healthy().await;
        let fault = format!("{effect:?}");
        case.cluster.fault(Rule::new(effect).verb(Verb::Create).resource(resource));
        case.finds(&fault, &[code]).await;
    }
}

/// Guards that a webhook without support for dry runs is not taken for a fault.
#[tokio::test]
async fn a_webhook_without_dry_runs() {
    let case = Case::healthy().await;
    let message = "admission webhook \"a.example\" does not support dry run";
    case.cluster.fault(Rule::new(refuse(400, message)).verb(Verb::Create).resource("pods"));
    case.finds(message, &[]).await;
}

/// Guards that the report says how many profiles were not tried.
#[tokio::test]
async fn not_all_profiles_are_tried() {
    // A sandbox without a profile is tried too.
    for (profiles, details) in [(15, ""), (16, "1 profile not tried"), (18, "3 profiles not tried")] {
        let case = Case::healthy().await;
        let case = case.template(|template| {
            let name = |n| ProfileName::parse(&format!("profile-{n}")).unwrap();
            let written = (0..profiles).map(|n| (name(n), Profile::default())).collect();
            let host_paths = HostPaths { user_data: false, skills: false };
            let profiles = Profiles::new(&written, &manifest::default_resources(), host_paths).unwrap();
            Template { profiles, ..template }
        });
        let report = case.report().await;
        let entry = report.entries.iter().find(|entry| entry.check.code == "SP0606").unwrap();
        assert_eq!(entry.outcome, Outcome::Passed(details.to_owned()), "{profiles}");
    }
}

#[tokio::test]
async fn the_namespace_is_terminating() {
    let case = Case::healthy().await;
    case.cluster
        .change("namespaces", "", NAMESPACE, |namespace| namespace["status"]["phase"] = "Terminating".into())
        .unwrap();
    case.finds("terminating", &["SP0602"]).await;
}

/// Guards that a missing namespace that the daemon may create is not a fault.
#[tokio::test]
async fn the_namespace_is_created_later() {
    let case = Case::start(Options { namespaces: vec![], ..options() }, template()).await;
    case.finds("no namespace", &[]).await;
}

fn quota(hard: &serde_json::Value) -> serde_json::Value {
    json!({"metadata": {"name": "limits", "namespace": NAMESPACE}, "spec": {"hard": hard}})
}

/// Guards that a used quota is a failure, and a nearly used one a warning.
#[tokio::test]
async fn quotas_are_used() {
    for hard in [json!({"pods": "1"}), json!({"services.nodeports": "1"}), json!({"limits.memory": "1536Mi"})]
    {
        let case = Case::healthy().await;
        case.put("resourcequotas", quota(&hard));
        case.finds("used up", &["SP0603"]).await;
    }
    let case = Case::healthy().await;
    for n in 0..8 {
        case.put("pods", json!({
            "metadata": {"name": format!("other-{n}"), "namespace": NAMESPACE}, "status": {"phase": "Running"},
        }));
    }
    case.put("resourcequotas", quota(&json!({"pods": "10"})));
    let is_counted =
        |quotas: &[serde_json::Value]| quotas.iter().all(|quota| quota["status"]["used"]["pods"] == "9");
    case.cluster.wait_for("resourcequotas", None, TIME, is_counted).await.unwrap();
    case.finds("nearly used", &["SP0603"]).await;
}

#[tokio::test]
async fn the_pod_security_level_forbids_host_paths() {
    let case = Case::healthy().await;
    case.cluster
        .change("namespaces", "", NAMESPACE, |namespace| {
            namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] = "baseline".into();
        })
        .unwrap();
    case.finds("baseline", &["SP0605"]).await;
}

/// Guards that a default profile counts in place of a sandbox without a profile.
#[tokio::test]
async fn the_default_profile_counts() {
    for (name, codes) in [("default", &[][..]), ("special", &["SP0605"])] {
        let case = Case::start(options(), template()).await;
        let case = case.template(|template| {
            let claims = Template {
                skills_pvc: Some("skills".to_owned()),
                userdata_pvc: Some("data".to_owned()),
                ..template
            };
            with_named_profile(claims, name, &json!({"security": "restricted", "run_as_user": 1000}))
        });
        for claim in ["skills", "data"] {
            case.put(
                "persistentvolumeclaims",
                json!({
                    "metadata": {"name": claim, "namespace": NAMESPACE}, "status": {"phase": "Bound"},
                }),
            );
        }
        case.cluster
            .change("namespaces", "", NAMESPACE, |namespace| {
                namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] = "restricted".into();
            })
            .unwrap();
        case.finds(name, codes).await;
    }
}

#[tokio::test]
async fn all_node_ports_are_used() {
    // No server listens on the port, because something else on this host may have a fixed one. So the sandbox is not reached.
    let options = Options { node_ports: 29_999..=29_999, sandbox_servers: None, ..options() };
    let case = Case::start(options, template()).await;
    let case = case.with_sandbox("a").await;
    case.finds("no node port is left", &["SP0802", "SP1101"]).await;
}

#[tokio::test]
async fn most_node_ports_are_used() {
    let case = Case::healthy().await;
    let ports: Vec<_> = (30000..32400).map(|port| json!({"port": port, "nodePort": port})).collect();
    let service = json!({
        "metadata": {"name": "large", "namespace": "default"}, "spec": {"type": "NodePort", "ports": ports},
    });
    case.put("services", service);
    case.finds("few node ports are left", &["SP1102"]).await;
}

/// Guards that a namespace that two clusters of the settings have is a fault of the second one, and no other is.
#[tokio::test]
async fn a_namespace_of_two_clusters() {
    let (one, other) = (Case::healthy().await, Case::healthy().await);
    let selection = Selection::default();
    let names = ["east", "north", "west"].map(|name| ClusterName::parse(name).unwrap());
    let mut facts = Vec::new();
    for case in [&one, &other, &one] {
        facts.push(Box::pin(gather(&case.subject, &selection, TIME)).await);
    }
    find_doubles(names.iter().zip(&mut facts));
    let faults = |facts: &Facts| Report::new(facts, &selection).faults();
    assert_eq!(facts.iter().map(faults).collect::<Vec<_>>(), [vec![], vec![], vec!["SP0607"]]);
}
