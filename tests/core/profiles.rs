//! Profiles on the whole daemon: the choices of callers, and the Pods that they get.

use http::Method;
use serde_json::{Value, json};
use simcluster::{Cluster, Options};
use testkit::{Answer, Daemon, NAMESPACE, until};

use crate::settings_file::with;

const PROFILES: &str = "
[profiles.default]
cpu = { request = '200m', limit = '1' }
idle_timeout = '30m'

[profiles.large]
extends = 'default'
description = 'Two cores'
cpu = 2
memory = '4Gi'
labels = { tier = 'large' }
ttl = '8h'
";

async fn create(daemon: &Daemon, id: &str, profile: &Value) -> Answer {
    let body = json!({"sandbox_id": id, "profile": profile});
    daemon.call(Method::POST, "/api/sandboxes", Some(body)).await
}

/// Guards that a request gets the profile that it names, or the profile `default`, and that the answers show it with the
/// limits of the container.
#[tokio::test(start_paused = true)]
async fn a_caller_chooses_a_profile() {
    let cluster = Cluster::start(Options::with_namespace(NAMESPACE));
    let daemon = with(&cluster, PROFILES).await;
    let large = create(&daemon, "a", &json!("large")).await;
    assert_eq!((large.status, &large.body["profile"]), (200, &json!("large")), "{large}");
    let resources = json!({"cpu": "2", "memory": "4Gi", "ephemeral_storage": "500Mi"});
    assert_eq!(large.body["resources"], resources);
    let pod = cluster.object("pods", NAMESPACE, "sandbox-a").unwrap();
    assert_eq!(pod["metadata"]["labels"]["tier"], "large");
    assert_eq!(pod["spec"]["containers"][0]["resources"]["requests"]["memory"], "4Gi");
    assert_eq!(pod["metadata"]["annotations"]["sandbox-provisioner/ttl"], "8h");

    let usual = create(&daemon, "b", &Value::Null).await;
    assert_eq!((&usual.body["profile"], &usual.body["resources"]["cpu"]), (&json!("default"), &json!("1")));
    let shown = daemon.get("a").await.body;
    assert_eq!((&shown["profile"], &shown["resources"]), (&json!("large"), &resources));
    assert_eq!(shown["reap_reason"], "IdleTimeout", "the idle timeout of the extended profile");
}

/// Guards that the list of profiles shows what a caller may choose.
#[tokio::test(start_paused = true)]
async fn the_profiles_are_listed() {
    let cluster = Cluster::start(Options::with_namespace(NAMESPACE));
    let listed = with(&cluster, PROFILES).await.fetch("/api/profiles").await;
    let expected = json!({
        "default": "default",
        "profiles": [
            {
                "name": "default", "idle_timeout": "30m",
                "resources": {"cpu": "1", "memory": "1Gi", "ephemeral_storage": "500Mi"},
            },
            {
                "name": "large", "description": "Two cores", "ttl": "8h", "idle_timeout": "30m",
                "resources": {"cpu": "2", "memory": "4Gi", "ephemeral_storage": "500Mi"},
            },
        ],
    });
    assert_eq!((listed.status, &listed.body), (200, &expected));
    let none = with(&cluster, "").await.fetch("/api/profiles").await;
    assert_eq!(none.body, json!({"default": null, "profiles": []}));
}

/// Guards that an unknown profile is refused before the cluster gets a call, and that an invalid name is a 422.
#[tokio::test(start_paused = true)]
async fn an_unknown_profile_is_refused() {
    let cluster = Cluster::start(Options::with_namespace(NAMESPACE));
    let daemon = with(&cluster, PROFILES).await;
    let unknown = create(&daemon, "a", &json!("huge")).await;
    assert_eq!(unknown.status, 400);
    assert_eq!(unknown.body["detail"], "there is no profile 'huge'; the profiles are default, large");
    for invalid in [json!("Large"), json!(""), json!(7), json!("a".repeat(64))] {
        let refused = create(&daemon, "a", &invalid).await;
        assert_eq!((refused.status, &refused.body["detail"][0]["loc"]), (422, &json!(["body", "profile"])));
    }
    assert_eq!(daemon.calls(), Vec::<String>::new());
    let without = with(&cluster, "").await;
    let refused = create(&without, "a", &json!("large")).await;
    assert_eq!(refused.body["detail"], "there is no profile 'large'; no profiles are configured");
}

/// Guards that a POST of an existing sandbox with another profile changes nothing and says so, and that sandboxes keep
/// their profile when the settings change.
#[tokio::test(start_paused = true)]
async fn an_existing_sandbox_keeps_its_profile() {
    let cluster = Cluster::start(Options::with_namespace(NAMESPACE));
    let daemon = with(&cluster, PROFILES).await;
    create(&daemon, "a", &json!("large")).await;
    let before = cluster.object("pods", NAMESPACE, "sandbox-a").unwrap();
    let again = create(&daemon, "a", &json!("default")).await;
    assert_eq!((again.status, &again.body["profile"]), (200, &json!("large")));
    assert_eq!(again.body["profile_not_applied"], "default");
    for profile in [json!("large"), Value::Null] {
        let same = create(&daemon, "a", &profile).await;
        assert_eq!((same.status, same.body.get("profile_not_applied")), (200, None), "{same}");
    }
    let after = cluster.object("pods", NAMESPACE, "sandbox-a").unwrap();
    assert_eq!(
        (&after["spec"], &after["metadata"]["labels"]),
        (&before["spec"], &before["metadata"]["labels"])
    );
    drop(daemon);
    let later = with(&cluster, "").await;
    until("the sandbox is adopted", async || later.get("a").await.status == 200).await;
    assert_eq!(later.get("a").await.body["profile"], "large");
}

/// Guards that without profiles no Pod has the label of one.
#[tokio::test(start_paused = true)]
async fn without_profiles_nothing_changes() {
    let daemon = Daemon::start().await;
    let made = daemon.post("a").await;
    assert_eq!(made.body.get("profile"), None);
    assert_eq!(made.body["resources"], json!({"cpu": "1", "memory": "1Gi", "ephemeral_storage": "500Mi"}));
    let pod = daemon.cluster.object("pods", NAMESPACE, "sandbox-a").unwrap();
    assert_eq!(pod["metadata"]["labels"].get("sandbox-provisioner/profile"), None);
}

/// Guards that the cluster accepts a Pod with every field of a profile.
#[tokio::test(start_paused = true)]
async fn the_cluster_accepts_every_field() {
    let file = "
userdata_pvc_name = 'users'
skills_pvc_name = 'skills'

[profiles.all]
image = 'registry.example/all:1'
cpu = { request = '500m', limit = 2 }
memory = '4Gi'
ephemeral_storage = { limit = '5Gi' }
env = { HTTP_PROXY = 'http://proxy:3128' }
labels = { 'example.com/tier' = 'large' }
annotations = { 'example.com/owner' = 'the team' }
node_selector = { 'kubernetes.io/os' = 'linux' }
tolerations = [{ key = 'sandboxes', operator = 'Exists', effect = 'NoSchedule' }]
topology_spread_constraints = [
    { maxSkew = 2, topologyKey = 'zone', whenUnsatisfiable = 'ScheduleAnyway' },
]
spread = 'preferred'
image_locality = 'preferred'
runtime_class = 'gvisor'
priority_class = 'low'
scheduler_name = 'default-scheduler'
image_pull_secrets = ['registry']
security = 'restricted'
run_as_user = 1000
run_as_group = 1000
fs_group = 1000
automount_service_account_token = false
host_users = false
shm_size = '64Mi'
tmp_size = '1Gi'
ttl = '8h'
idle_timeout = '15m'

[profiles.all.affinity.nodeAffinity]
preferredDuringSchedulingIgnoredDuringExecution = [
    { weight = 1, preference = { matchExpressions = [{ key = 'disk', operator = 'In', values = ['ssd'] }] } },
]
";
    let cluster = Cluster::start(Options::with_namespace(NAMESPACE));
    for (kind, class) in [
        ("runtimeclasses", json!({"metadata": {"name": "gvisor"}, "handler": "runsc"})),
        ("priorityclasses", json!({"metadata": {"name": "low"}, "value": -10})),
    ] {
        cluster.put(kind, class).unwrap();
    }
    let daemon = with(&cluster, file).await;
    let made = create(&daemon, "a", &json!("all")).await;
    assert_eq!(made.status, 200, "{made}");
    let pod = cluster.object("pods", NAMESPACE, "sandbox-a").unwrap();
    assert_eq!(pod["spec"]["runtimeClassName"], "gvisor");
    assert!(pod["spec"]["volumes"].as_array().unwrap().iter().all(|volume| volume.get("hostPath").is_none()));
}
