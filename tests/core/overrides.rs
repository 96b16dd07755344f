//! The fields that a POST sets in place of its profile, on the whole daemon.

use http::Method;
use serde_json::{Value, json};
use simcluster::{Cluster, Options};
use testkit::{Answer, Daemon, NAMESPACE, until};

use crate::settings_file::with;

const PROFILES: &str = "
network_sources = '10.0.0.0/24'

[profiles.default]
cpu = { request = '200m', limit = '1000m' }
memory = '1Gi'

[profiles.default.overrides]
cpu = { min = '100m', max = '4' }
memory = { min = '512Mi' }

[profiles.open]
extends = 'default'
env = { LANG = 'C', KEPT = '1' }

[profiles.open.overrides]
cpu = { max = '8000m' }
env = ['FEATURE_*', 'LANG']
labels = ['team.example.com/']
image = ['ghcr.io/org/sandbox:*']
network = ['open']
workspace = { size = { min = '1Gi', max = '51200Mi' } }
";

async fn create(daemon: &Daemon, id: &str, fields: &Value) -> Answer {
    let mut body = json!({"sandbox_id": id});
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    daemon.call(Method::POST, "/api/sandboxes", Some(body)).await
}

/// Guards that a POST within the bounds of its profile is applied, also with the profile `default`, and that the answers
/// show it.
#[tokio::test(start_paused = true)]
async fn a_request_sets_what_its_profile_allows() {
    let cluster = Cluster::start(Options::with_namespace(NAMESPACE));
    let daemon = with(&cluster, PROFILES).await;
    let made = create(&daemon, "a", &json!({"resources": {"cpu": "2", "memory": "512Mi"}})).await;
    assert_eq!((made.status, &made.body["profile"]), (200, &json!("default")), "{made}");
    let resources = json!({"cpu": "2", "memory": "512Mi", "ephemeral_storage": "500Mi"});
    assert_eq!(made.body["resources"], resources);
    assert_eq!(made.body.get("resources_not_applied"), None);
    assert_eq!(daemon.get("a").await.body["resources"], resources);
    let pod = cluster.object("pods", NAMESPACE, "sandbox-a").unwrap();
    assert_eq!(
        pod["spec"]["containers"][0]["resources"]["requests"],
        json!({"cpu": "200m", "memory": "512Mi", "ephemeral-storage": "500Mi"})
    );

    let fields = json!({
        "profile": "open", "image": "ghcr.io/org/sandbox:2", "resources": {"cpu": 8},
        "env": {"FEATURE_X": "on", "LANG": "de"}, "labels": {"team.example.com/name": "b"},
    });
    let made = create(&daemon, "b", &fields).await;
    assert_eq!((made.status, &made.body["resources"]["cpu"]), (200, &json!("8")), "{made}");
    let pod = cluster.object("pods", NAMESPACE, "sandbox-b").unwrap();
    assert_eq!(pod["metadata"]["labels"]["team.example.com/name"], "b");
    let sandbox = &pod["spec"]["containers"][0];
    assert_eq!(sandbox["image"], "ghcr.io/org/sandbox:2");
    let env = json!([
        {"name": "FEATURE_X", "value": "on"}, {"name": "KEPT", "value": "1"}, {"name": "LANG", "value": "de"},
    ]);
    assert_eq!(sandbox["env"], env);
}

/// Guards that a POST of an existing sandbox with other resources changes nothing and says which, that the same amount in
/// another form is not another one, and that variables, labels and the image of an existing sandbox stay.
#[tokio::test(start_paused = true)]
async fn an_existing_sandbox_keeps_its_resources() {
    let cluster = Cluster::start(Options::with_namespace(NAMESPACE));
    let daemon = with(&cluster, PROFILES).await;
    create(&daemon, "a", &json!({"profile": "open", "resources": {"cpu": "2"}})).await;
    let before = cluster.object("pods", NAMESPACE, "sandbox-a").unwrap();
    for (resources, not_applied) in [
        (json!({"cpu": "2"}), None),
        (json!({"cpu": "2000m", "memory": "1024Mi"}), None),
        (json!({"memory": 1_073_741_824}), None),
        (json!({"cpu": "3000m"}), Some(json!({"cpu": "3000m"}))),
        (json!({"cpu": "2", "memory": "512Mi"}), Some(json!({"memory": "512Mi"}))),
    ] {
        let fields = json!({"resources": resources, "profile": "open", "env": {"LANG": "fr"}});
        let again = create(&daemon, "a", &fields).await;
        assert_eq!(again.status, 200, "{again}");
        assert_eq!(again.body.get("resources_not_applied"), not_applied.as_ref(), "{resources}");
        assert_eq!(again.body["resources"]["cpu"], "2");
    }
    let after = cluster.object("pods", NAMESPACE, "sandbox-a").unwrap();
    assert_eq!(after["spec"], before["spec"]);
}

/// Guards that the list of profiles shows the bounds, in the form in which sandboxes show amounts: without a maximum of its
/// own the bound is the amount of the profile.
#[tokio::test(start_paused = true)]
async fn the_bounds_are_listed() {
    let cluster = Cluster::start(Options::with_namespace(NAMESPACE));
    let listed = with(&cluster, PROFILES).await.fetch("/api/profiles").await;
    let resources = json!({"cpu": "1", "memory": "1Gi", "ephemeral_storage": "500Mi"});
    let expected = json!({
        "default": "default",
        "profiles": [
            {
                "name": "default", "resources": resources,
                "overrides": {"resources": {
                    "cpu": {"min": "100m", "max": "4"}, "memory": {"min": "512Mi", "max": "1Gi"},
                }},
            },
            {
                "name": "open", "resources": resources,
                "overrides": {
                    "resources": {"cpu": {"min": "100m", "max": "8"}, "memory": {"min": "512Mi", "max": "1Gi"}},
                    "env": ["FEATURE_*", "LANG"],
                    "labels": ["team.example.com/"],
                    "image": ["ghcr.io/org/sandbox:*"],
                    "network": ["open"],
                    "workspace": {"size": {"min": "1Gi", "max": "50Gi"}},
                },
            },
        ],
    });
    assert_eq!((listed.status, &listed.body), (200, &expected), "{listed}");
}

/// Guards that the values of variables appear in no log, no answer, no Event and no annotation, whether the request is
/// accepted or refused.
#[tokio::test(start_paused = true)]
async fn values_of_variables_are_shown_nowhere() {
    let cluster = Cluster::start(Options::with_namespace(NAMESPACE));
    let daemon = with(&cluster, PROFILES).await;
    let mut shown = String::new();
    for (id, env) in [
        ("a", json!({"FEATURE_TOKEN": "s3cret"})),
        ("b", json!({"OTHER": "s3cret"})),
        ("c", json!({"MAX_SHELL_SESSIONS": "s3cret"})),
        ("d", json!({"FEATURE_TOKEN": ["s3cret"]})),
        ("-", json!({"FEATURE_TOKEN": "s3cret"})),
    ] {
        let answer = create(&daemon, id, &json!({"profile": "open", "env": env})).await;
        assert_eq!(answer.status == 200, id == "a", "{answer}");
        shown += &answer.body.to_string();
    }
    daemon.running("a").await;
    shown += &daemon.get("a").await.body.to_string();
    daemon.delete("a").await;
    until("it is gone", async || daemon.get("a").await.status == 404).await;
    shown += &daemon.logged("");
    for resource in ["events", "services"] {
        shown += &Value::from(cluster.objects(resource, None)).to_string();
    }
    assert!(!shown.contains("s3cret"), "{shown}");
}
