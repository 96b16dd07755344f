//! Network modes on the whole daemon: the policies in the cluster, the check of their enforcement, and the answers.

mod reachability;

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use simcluster::{Cluster, Effect, Options, Refusal, Rule, Verb};
use testkit::{Answer, Daemon, NAMESPACE, until, within};

use crate::settings_file::with;

const PROFILES: &str = "
network_sources = '192.0.2.0/24'
[profiles.default]
network = 'isolated'
overrides = { network = ['open', 'isolated'] }
[profiles.strict]
network = { mode = 'isolated', enforcement = 'required' }
";

async fn create(daemon: &Daemon, body: Value) -> Answer {
    daemon.call(Method::POST, "/api/sandboxes", Some(body)).await
}

async fn report(daemon: &Daemon) -> Value {
    daemon.fetch("/api/network/check").await.body
}

/// Waits until a check has ended.
async fn checked(daemon: &Daemon) -> Value {
    let ended = async || {
        let report = report(daemon).await;
        report["checking"] == false && report["checked_at"].is_string()
    };
    within(Duration::from_secs(120), "the check has ended", ended).await;
    report(daemon).await
}

fn policies(cluster: &Cluster) -> Vec<String> {
    let policies = cluster.objects("networkpolicies", Some(NAMESPACE));
    policies.iter().map(|policy| policy["metadata"]["name"].as_str().unwrap().to_owned()).collect()
}

fn check_pods(cluster: &Cluster) -> usize {
    let is_of_check =
        |pod: &Value| pod["metadata"]["labels"].get("sandbox-provisioner/network-check").is_some();
    cluster.objects("pods", Some(NAMESPACE)).iter().filter(|pod| is_of_check(pod)).count()
}

fn policy_calls(cluster: &Cluster) -> Vec<String> {
    let calls = cluster.calls().into_iter().filter(|call| call.resource == "networkpolicies");
    calls.map(|call| format!("{} {}", call.verb, call.name.unwrap_or_default())).collect()
}

/// Guards that without a restricted mode nothing is read, written or checked.
#[tokio::test(start_paused = true)]
async fn without_a_restricted_mode_there_is_no_call() {
    let cluster = Cluster::start(Options::with_namespace(NAMESPACE));
    let daemon =
        with(&cluster, "network_sources = '192.0.2.0/24'\n[profiles.default]\nnetwork = 'open'\n").await;
    let created = create(&daemon, json!({"sandbox_id": "a"})).await;
    assert_eq!(created.body["network"], json!({"mode": "open"}), "{created}");
    assert_eq!(daemon.call(Method::POST, "/api/network/check", None).await.status, 200);
    tokio::time::sleep(Duration::from_secs(400)).await;
    assert_eq!((policy_calls(&cluster), check_pods(&cluster)), (vec![], 0));
    assert_eq!(report(&daemon).await["policies"], "not used: no profile has a restricted network mode");
}

/// Guards that the policies are written, that the first use starts a check, and that its result is in every answer.
#[tokio::test(start_paused = true)]
async fn the_enforcement_is_proved() {
    let cluster = Cluster::start(Options::with_namespace(NAMESPACE));
    let daemon = with(&cluster, PROFILES).await;
    let created = create(&daemon, json!({"sandbox_id": "a"})).await;
    assert_eq!((created.status, &created.body["network"]["mode"]), (200, &json!("isolated")), "{created}");
    let pod = cluster.object("pods", NAMESPACE, "sandbox-a").unwrap();
    assert_eq!(pod["metadata"]["labels"]["sandbox-provisioner/network"], "isolated");
    let result = checked(&daemon).await;
    assert_eq!((&result["enforced"], &result["policies"]), (&json!("yes"), &json!("ok")), "{result}");
    let names = ["sandbox-provisioner-allow-list", "sandbox-provisioner-isolated"];
    assert_eq!((policies(&cluster), check_pods(&cluster)), (names.map(str::to_owned).to_vec(), 0));
    let expected = json!({"mode": "isolated", "enforced": "yes"});
    assert_eq!(daemon.get("a").await.body["network"], expected);
    assert_eq!(daemon.fetch("/api/sandboxes").await.body["sandboxes"][0]["network"], expected);
    let open = create(&daemon, json!({"sandbox_id": "b", "network": "open"})).await;
    assert_eq!(open.body["network"], json!({"mode": "open"}));
    let again = create(&daemon, json!({"sandbox_id": "b", "network": "isolated"})).await;
    assert_eq!((again.status, &again.body["network_not_applied"]), (200, &json!("isolated")));
    let ready = daemon.fetch("/readyz?verbose").await.body.to_string();
    assert!(
        ready.contains("[+]network-policies ok") && ready.contains("[+]network-enforcement ok"),
        "{ready}"
    );
    assert_eq!(daemon.logged("checked the network policies").lines().count(), 1);
}

/// Guards that a profile that requires enforcement gets no sandbox on a cluster that ignores policies, and that others are
/// told that theirs are not enforced.
#[tokio::test(start_paused = true)]
async fn a_cluster_that_ignores_policies_is_detected() {
    let cluster = Cluster::start(Options::with_namespace(NAMESPACE));
    cluster.set_network_policies_enforced(false);
    let daemon = with(&cluster, PROFILES).await;
    let early = create(&daemon, json!({"sandbox_id": "a", "profile": "strict"})).await;
    assert_eq!((early.status, &early.body["reason"]), (503, &json!("NetworkNotEnforced")), "{early}");
    assert!(early.headers.contains_key("retry-after"), "the check has not ended yet");
    let result = checked(&daemon).await;
    assert_eq!(result["enforced"], "no", "{result}");
    let refused = create(&daemon, json!({"sandbox_id": "a", "profile": "strict"})).await;
    let detail = refused.body["detail"].as_str().unwrap();
    assert_eq!((refused.status, refused.headers.contains_key("retry-after")), (503, false), "{refused}");
    assert!(detail.contains("does not enforce network policies") && detail.contains("optional"), "{detail}");
    assert_eq!(daemon.objects(), Vec::<String>::new());
    let created = create(&daemon, json!({"sandbox_id": "b"})).await;
    let network = async || daemon.get("b").await.body["network"].clone();
    let unenforced = json!({"mode": "isolated", "enforced": "no"});
    assert_eq!((&created.body["network"], &network().await), (&unenforced, &unenforced));

    cluster.set_network_policies_enforced(true);
    let started = daemon.call(Method::POST, "/api/network/check", None).await;
    assert_eq!((started.status, &started.body["enforced"]), (200, &json!("no")));
    let is_enforced = async || report(&daemon).await["enforced"] == "yes";
    within(Duration::from_secs(120), "the check is repeated on demand", is_enforced).await;
    assert_eq!(
        network().await,
        json!({"mode": "isolated", "enforced": "yes"}),
        "though the sandbox has not changed"
    );
    let created = create(&daemon, json!({"sandbox_id": "a", "profile": "strict"})).await;
    assert_eq!(created.body["network"]["enforced"], "yes", "{created}");
}

/// Guards that a cluster that enforces only the ingress is detected: here because another policy of the namespace allows
/// every egress.
#[tokio::test(start_paused = true)]
async fn egress_that_is_not_enforced_is_detected() {
    let cluster = Cluster::start(Options::with_namespace(NAMESPACE));
    let open = json!({
        "metadata": {"name": "egress", "namespace": NAMESPACE},
        "spec": {"podSelector": {}, "policyTypes": ["Egress"], "egress": [{}]},
    });
    cluster.put("networkpolicies", open).unwrap();
    let daemon = with(&cluster, PROFILES).await;
    create(&daemon, json!({"sandbox_id": "a"})).await;
    let result = checked(&daemon).await;
    let message = result["message"].as_str().unwrap();
    assert_eq!(result["enforced"], "no", "{result}");
    assert!(
        message.contains("does not enforce the egress") && message.contains("another policy"),
        "{message}"
    );
    assert_eq!(check_pods(&cluster), 0);

    cluster.remove("networkpolicies", NAMESPACE, "egress").unwrap();
    let answer = daemon.call(Method::POST, "/api/network/check", None).await;
    assert_eq!(answer.body["checking"], true, "the old result is not that of this check");
    let is_enforced = async || report(&daemon).await["enforced"] == "yes";
    within(Duration::from_secs(120), "the check is repeated on demand", is_enforced).await;
}

/// Guards that the policies are kept: a changed or deleted one is corrected, and an equal one costs no write.
#[tokio::test(start_paused = true)]
async fn the_policies_are_kept() {
    let cluster = Cluster::start(Options::with_namespace(NAMESPACE));
    let daemon = with(&cluster, PROFILES).await;
    until("the policies are written", async || policies(&cluster).len() == 2).await;
    let wanted = cluster.object("networkpolicies", NAMESPACE, "sandbox-provisioner-isolated").unwrap();
    let writes = || policy_calls(&cluster).iter().filter(|call| !call.starts_with("get")).count();
    let before = writes();
    tokio::time::sleep(Duration::from_secs(700)).await;
    assert_eq!(writes(), before, "nothing differs");

    cluster.remove("networkpolicies", NAMESPACE, "sandbox-provisioner-allow-list").unwrap();
    let open = |policy: &mut Value| {
        policy["spec"]["ingress"] = json!([{}]);
        policy["spec"]["podSelector"]["matchLabels"]["extra"] = "x".into();
    };
    cluster.change("networkpolicies", NAMESPACE, "sandbox-provisioner-isolated", open).unwrap();
    let is_corrected = async || {
        let isolated = cluster.object("networkpolicies", NAMESPACE, "sandbox-provisioner-isolated");
        policies(&cluster).len() == 2 && isolated.is_some_and(|policy| policy["spec"] == wanted["spec"])
    };
    within(Duration::from_secs(310), "the policies are corrected", is_corrected).await;
    assert_eq!(report(&daemon).await["policies"], "ok");
}

/// Guards that without the rights the daemon says once what is missing, and that policies of an administrator are enough.
#[tokio::test(start_paused = true)]
async fn without_rights_the_policies_are_verified() {
    let cluster = Cluster::start(Options::with_namespace(NAMESPACE));
    let refuse = |verb| Rule::new(Effect::Refuse(Refusal::Forbidden)).resource("networkpolicies").verb(verb);
    cluster.fault(refuse(Verb::Create));
    cluster.fault(refuse(Verb::Patch));
    let daemon = with(&cluster, PROFILES).await;
    let differs = async || report(&daemon).await["policies"].as_str().unwrap().contains("is missing");
    until("the missing policies are reported", differs).await;
    let created = create(&daemon, json!({"sandbox_id": "a"})).await;
    assert_eq!(created.body["network"], json!({"mode": "isolated", "enforced": "no"}), "{created}");
    tokio::time::sleep(Duration::from_secs(1000)).await;
    assert_eq!(daemon.logged("not known to be as the settings say").lines().count(), 1);

    let network = daemon_policies();
    for policy in network {
        cluster.put("networkpolicies", policy).unwrap();
    }
    let is_ok = async || report(&daemon).await["policies"] == "ok";
    within(Duration::from_secs(310), "the policies are found", is_ok).await;
    let is_enforced = async || report(&daemon).await["enforced"] == "yes";
    within(Duration::from_secs(120), "the check is repeated", is_enforced).await;

    let cluster = Cluster::start(Options::with_namespace(NAMESPACE));
    cluster.fault(refuse(Verb::Get));
    let daemon = with(&cluster, PROFILES).await;
    let unreadable =
        async || report(&daemon).await["policies"].as_str().unwrap().contains("not allowed to read");
    until("the missing right is reported", unreadable).await;
}

/// Guards that host names on a cluster that has no policies for them are reported once, and that the other policies are
/// written.
#[tokio::test(start_paused = true)]
async fn host_names_need_a_cluster_that_knows_them() {
    let cluster = Cluster::start(Options::with_namespace(NAMESPACE));
    let daemon =
        with(&cluster, &format!("network_allow = 'db.example.com:5432, 10.9.0.0/16'\n{PROFILES}")).await;
    let is_reported = async || report(&daemon).await["policies"].as_str().unwrap().contains("has host names");
    until("it is reported", is_reported).await;
    let created = create(&daemon, json!({"sandbox_id": "a"})).await;
    assert_eq!(created.body["network"], json!({"mode": "isolated", "enforced": "no"}), "{created}");
    assert_eq!(policies(&cluster).len(), 2);
    tokio::time::sleep(Duration::from_secs(1000)).await;
    assert_eq!(daemon.logged("this cluster does not have ciliumnetworkpolicies").lines().count(), 1);
}

/// Guards that a cluster with Cilium gets the policy for host names, that it is kept, and that without the rights to write it
/// the daemon names its resource.
#[tokio::test(start_paused = true)]
async fn host_names_are_a_policy_of_cilium() {
    const NAMES: &str = "sandbox-provisioner-allow-list-names";
    let options = || Options { custom_resources: true, ..Options::with_namespace(NAMESPACE) };
    let settings = format!("network_allow = 'db.example.com:5432, *.example.org'\n{PROFILES}");
    let cluster = Cluster::start(options());
    let daemon = with(&cluster, &settings).await;
    let found = || cluster.object("ciliumnetworkpolicies", NAMESPACE, NAMES);
    until("the policy is written", async || found().is_some()).await;
    let spec = found().unwrap()["spec"].clone();
    assert_eq!(spec["egress"][1]["toFQDNs"], json!([{"matchName": "db.example.com"}]), "{spec}");
    assert_eq!(spec["egress"][2]["toFQDNs"], json!([{"matchPattern": "*.example.org"}]), "{spec}");
    until("all are as the settings say", async || report(&daemon).await["policies"] == "ok").await;

    let closed = |policy: &mut Value| policy["spec"]["egress"] = json!([]);
    cluster.change("ciliumnetworkpolicies", NAMESPACE, NAMES, closed).unwrap();
    within(Duration::from_secs(310), "it is corrected", async || found().unwrap()["spec"] == spec).await;

    let cluster = Cluster::start(options());
    cluster.fault(Rule::new(Effect::Refuse(Refusal::Forbidden)).resource("ciliumnetworkpolicies").writes());
    let daemon = with(&cluster, &settings).await;
    let is_named =
        async || report(&daemon).await["policies"].as_str().unwrap().contains("\"ciliumnetworkpolicies\"");
    until("the missing right is named", is_named).await;
    assert_eq!(policies(&cluster).len(), 2, "the other policies are written");
}

/// Returns the policies of the settings above, as an administrator applies them.
fn daemon_policies() -> Vec<Value> {
    let network = kubernetes::network::Network {
        sources: vec!["192.0.2.0/24".parse().unwrap()],
        ..kubernetes::network::Network::default()
    };
    let policies = kubernetes::network::policies(&network, NAMESPACE, 8080);
    policies.iter().map(|policy| serde_json::to_value(policy).unwrap()).collect()
}

/// Guards that a check deletes the Pods that a killed process left, and nothing else.
#[tokio::test(start_paused = true)]
async fn the_pods_of_a_killed_check_are_deleted() {
    let cluster = Cluster::start(Options::with_namespace(NAMESPACE));
    let daemon = with(&cluster, PROFILES).await;
    create(&daemon, json!({"sandbox_id": "a"})).await;
    until("the check has both Pods", async || check_pods(&cluster) == 2).await;
    drop(daemon);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(check_pods(&cluster), 2);
    let foreign = json!({
        "metadata": {"name": "other", "namespace": NAMESPACE, "labels": {"app.kubernetes.io/managed-by": "sandbox-provisioner"}},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    });
    cluster.put("pods", foreign).unwrap();
    let daemon = with(&cluster, PROFILES).await;
    daemon.call(Method::POST, "/api/network/check", None).await;
    assert_eq!(checked(&daemon).await["enforced"], "yes");
    assert_eq!(check_pods(&cluster), 0);
    assert!(cluster.object("pods", NAMESPACE, "other").is_some());
    assert!(cluster.object("pods", NAMESPACE, "sandbox-a").is_some());
}

/// Guards that a check that cannot run is unknown, and is repeated.
#[tokio::test(start_paused = true)]
async fn a_check_that_cannot_run_is_unknown() {
    let cluster = Cluster::start(Options::with_namespace(NAMESPACE));
    let refuse =
        Rule::new(Effect::Refuse(Refusal::Forbidden)).resource("pods").named("sandbox-provisioner-check");
    cluster.fault(refuse.times(1));
    let daemon = with(&cluster, PROFILES).await;
    let created = create(&daemon, json!({"sandbox_id": "a"})).await;
    assert_eq!((created.status, &created.body["network"]["enforced"]), (200, &json!("unknown")));
    let failed = checked(&daemon).await;
    assert_eq!(failed["enforced"], "unknown", "{failed}");
    assert!(
        failed["message"].as_str().unwrap().contains("a call of the check failed: Forbidden"),
        "{failed}"
    );
    let is_enforced = async || report(&daemon).await["enforced"] == "yes";
    within(Duration::from_secs(120), "the check is repeated", is_enforced).await;
}

/// Guards that a mode that a request may not have is refused before the cluster gets a call.
#[tokio::test(start_paused = true)]
async fn requests_stay_within_the_profile() {
    let cluster = Cluster::start(Options::with_namespace(NAMESPACE));
    let daemon = with(&cluster, PROFILES).await;
    until("the policies are written", async || policies(&cluster).len() == 2).await;
    let mark = cluster.mark();
    for (body, status, words) in [
        (
            json!({"network": "allow-list"}),
            400,
            "network: allow-list is not allowed by the profile default, which allows open, isolated",
        ),
        (
            json!({"profile": "strict", "network": "open"}),
            400,
            "the profile strict does not let a request set this",
        ),
        (json!({"network": "closed"}), 422, "Input should be 'open', 'isolated' or 'allow-list'"),
        (json!({"network": 7}), 422, "Input should be a valid string"),
        (json!({"network": {"mode": "open"}}), 422, "Input should be a valid string"),
    ] {
        let mut request = body.clone();
        request["sandbox_id"] = "a".into();
        let refused = create(&daemon, request).await;
        assert_eq!(refused.status, status, "{body}: {refused}");
        assert!(refused.body["detail"].to_string().contains(words), "{body}: {refused}");
    }
    let calls = cluster
        .calls_since(mark)
        .into_iter()
        .filter(|call| call.resource == "pods" && call.verb == Verb::Create);
    assert_eq!(calls.count(), 0);
}
