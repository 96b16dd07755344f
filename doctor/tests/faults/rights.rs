//! Missing rights, on a cluster with RBAC.

use doctor::{Cluster as Where, Selection, Subject};
use kubernetes::manifest::Template;
use serde_json::{Value, json};
use simcluster::{AccessOptions, Kubeconfig, Options, User};

use crate::fixture::{Case, NAMESPACE, connect, finds, options, serve, subject, template, with_profile};

const TOKEN: &str = "token-of-the-daemon";

/// A cluster with RBAC, and the rights of the user `daemon`.
struct Guarded {
    case: Case,
    url: String,
    folder: tempfile::TempDir,
}

// === impl Guarded ===

impl Guarded {
    async fn new() -> Self {
        let access = AccessOptions::rbac().token(TOKEN, User::new("daemon"));
        let case = Case::start(Options { access, ..options() }, template()).await;
        let url = serve(&case.cluster).await;
        let guarded = Self { case, url, folder: tempfile::tempdir().unwrap() };
        for (kind, name, role) in
            [("rolebindings", "daemon", "Role"), ("clusterrolebindings", "daemon", "ClusterRole")]
        {
            guarded.case.put(
                kind,
                json!({
                    "metadata": {"name": name, "namespace": NAMESPACE},
                    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": role, "name": "daemon"},
                    "subjects": [{"kind": "User", "name": "daemon", "apiGroup": "rbac.authorization.k8s.io"}],
                }),
            );
        }
        guarded
    }

    /// Grants all rights but one, such as `patch pods`.
    fn grant_without(&self, missing: &str) {
        let rule = |group: &str, resource: &str, verbs: &[&str]| {
            let is_missing = |verb: &&&str| group.is_empty() && format!("{verb} {resource}") == missing;
            let verbs: Vec<_> = verbs.iter().filter(|verb| !is_missing(verb)).collect();
            json!({"apiGroups": [group], "resources": [resource], "verbs": verbs})
        };
        let networking = "networking.k8s.io";
        let rules = [
            rule("", "pods", &["get", "list", "watch", "create", "delete", "patch"]),
            rule("", "services", &["get", "list", "watch", "create", "delete"]),
            rule("", "events", &["list", "watch"]),
            rule("events.k8s.io", "events", &["create"]),
            rule("metrics.k8s.io", "pods", &["get"]),
            rule("", "persistentvolumeclaims", &["get", "list", "watch", "create", "patch", "delete"]),
            rule("", "pods/resize", &["patch"]),
            rule("", "pods/log", &["get"]),
            rule(networking, "networkpolicies", &["get", "create", "patch"]),
        ];
        // Rights of other groups are named with their group, all verbs together.
        let rules: Vec<Value> = rules
            .into_iter()
            .map(|mut rule| {
                let name = format!(
                    "{} {}",
                    rule["resources"][0].as_str().unwrap(),
                    rule["apiGroups"][0].as_str().unwrap()
                );
                if missing == name {
                    rule["verbs"] = json!([]);
                }
                rule
            })
            .collect();
        let granted = json!({"metadata": {"name": "daemon", "namespace": NAMESPACE}, "rules": rules});
        self.case.put("roles", granted);
        self.grant_namespaces(if missing == "get namespaces" { &[] } else { &["get"] });
    }

    fn grant_namespaces(&self, verbs: &[&str]) {
        self.case.put("clusterroles", json!({
            "metadata": {"name": "daemon"},
            "rules": [{"apiGroups": [""], "resources": ["namespaces"], "resourceNames": [NAMESPACE], "verbs": verbs}],
        }));
    }

    fn subject(&self, template: Template, token: &str) -> Subject {
        let path = self.folder.path().join("config");
        std::fs::write(&path, Kubeconfig::new(&self.url).token(token).to_string()).unwrap();
        let mut subject = subject(template, Where::Configured(connect(path)));
        (subject.settings.reads_metrics, subject.settings.reads_logs) = (true, true);
        subject
    }

    async fn finds(&self, fault: &str, codes: &[&str]) {
        finds(fault, &self.subject(every_feature(), TOKEN), &Selection::default(), codes).await;
    }
}

/// Returns a template that uses every right.
fn every_feature() -> Template {
    let fields =
        json!({"cpu": "500m", "start_cpu": "2", "workspace": {"size": "1Gi"}, "network": "isolated"});
    let mut template = with_profile(template(), &fields);
    template.network.sources = vec!["10.0.0.7".parse().unwrap()];
    template
}

/// Guards the code of each missing right, and that all rights together give no warning.
#[tokio::test]
async fn each_missing_right_is_named() {
    let guarded = Guarded::new().await;
    for (missing, codes) in [
        ("nothing", &[][..]),
        ("list pods", &["SP0502"]),
        ("watch services", &["SP0502"]),
        ("get pods", &["SP0502"]),
        ("create pods", &["SP0503"]),
        ("create services", &["SP0503"]),
        ("delete pods", &["SP0504"]),
        ("delete services", &["SP0504"]),
        ("patch pods", &["SP0505"]),
        ("get namespaces", &["SP0506"]),
        ("events events.k8s.io", &["SP0507"]),
        ("watch events", &["SP0508"]),
        ("pods metrics.k8s.io", &["SP0509"]),
        ("patch persistentvolumeclaims", &["SP0510"]),
        ("patch pods/resize", &["SP0511"]),
        ("get pods/log", &["SP0512"]),
        ("networkpolicies networking.k8s.io", &["SP0513"]),
    ] {
        guarded.grant_without(missing);
        guarded.finds(missing, codes).await;
    }
}

/// Guards that a PATCH that a profile allows needs the right to resize.
#[tokio::test]
async fn overrides_need_the_right_to_resize() {
    let guarded = Guarded::new().await;
    guarded.grant_without("patch pods/resize");
    for (overrides, codes) in [
        (json!({"cpu": {"max": "4"}}), &["SP0511"][..]),
        (json!({"memory": {"max": "4Gi"}}), &["SP0511"]),
        (json!({"ephemeral_storage": {"max": "4Gi"}}), &[]),
    ] {
        let template = with_profile(template(), &json!({ "overrides": overrides }));
        let subject = guarded.subject(template, TOKEN);
        finds(&overrides.to_string(), &subject, &Selection::default(), codes).await;
    }
}

/// Guards that rights that the settings do not need are not asked for.
#[tokio::test]
async fn unused_rights_are_not_missed() {
    let guarded = Guarded::new().await;
    for unused in ["patch persistentvolumeclaims", "patch pods/resize", "networkpolicies networking.k8s.io"] {
        guarded.grant_without(unused);
        finds(unused, &guarded.subject(template(), TOKEN), &Selection::default(), &[]).await;
    }
}

#[tokio::test]
async fn a_missing_namespace_that_cannot_be_created() {
    let guarded = Guarded::new().await;
    guarded.grant_without("nothing");
    guarded.case.cluster.remove("namespaces", "", NAMESPACE).unwrap();
    guarded.finds("no namespace", &["SP0601"]).await;
}

#[tokio::test]
async fn a_wrong_token_is_found() {
    let guarded = Guarded::new().await;
    let subject = guarded.subject(template(), "another-token");
    finds("another token", &subject, &Selection::default(), &["SP0305"]).await;
}

/// Guards that a cluster that does not tell rights still shows those whose calls fail.
#[tokio::test]
async fn refused_calls_show_missing_rights() {
    use simcluster::{Effect, Refusal, Rule, Verb};
    for (verb, resource, code) in [
        (Verb::List, "pods", "SP0502"),
        (Verb::Create, "services", "SP0503"),
        (Verb::Get, "namespaces", "SP0506"),
    ] {
        let case = Case::healthy().await;
        let gone =
            Effect::Refuse(Refusal::Other { code: 404, reason: "NotFound".into(), message: "x".into() });
        case.cluster
            .fault(Rule::new(gone).resource("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"));
        case.cluster.fault(Rule::new(Effect::Refuse(Refusal::Forbidden)).verb(verb).resource(resource));
        case.finds(&format!("{verb} {resource}"), &[code]).await;
    }
}
