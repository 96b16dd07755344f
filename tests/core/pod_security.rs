//! Namespaces that enforce the Pod Security Standards, and Pods with classes that the cluster does not have.

use http::Method;
use serde_json::{Value, json};
use simcluster::{Cluster, Options};
use testkit::{Answer, Daemon, NAMESPACE};

use crate::settings_file::with;

const PROFILES: &str = "
userdata_pvc_name = 'users'
skills_pvc_name = 'skills'

[profiles.usual]

[profiles.base]
security = 'baseline'

[profiles.strict]
security = 'restricted'
run_as_user = 1000

[profiles.rooted]
security = 'restricted'
run_as_user = 1000
host_users = false
tmp_size = '1Gi'
shm_size = '64Mi'

[profiles.gvisor]
runtime_class = 'gvisor'

[profiles.low]
priority_class = 'low'
";

/// Starts a daemon with these profiles in a namespace that enforces a level.
async fn enforcing(level: &str) -> (Cluster, Daemon) {
    let cluster = Cluster::start(Options::with_namespace(NAMESPACE));
    let labels = json!({"pod-security.kubernetes.io/enforce": level});
    cluster
        .change("namespaces", "", NAMESPACE, |namespace| namespace["metadata"]["labels"] = labels)
        .unwrap();
    let daemon = with(&cluster, PROFILES).await;
    (cluster, daemon)
}

async fn create(daemon: &Daemon, profile: &str) -> Answer {
    let body = json!({"sandbox_id": profile, "profile": profile});
    daemon.call(Method::POST, "/api/sandboxes", Some(body)).await
}

/// Guards which profiles a namespace admits that enforces a level, and that a refused create leaves nothing.
#[tokio::test(start_paused = true)]
async fn a_namespace_admits_the_profiles_of_its_level() {
    for (level, admitted) in [
        ("privileged", &["usual", "base", "strict", "rooted"][..]),
        ("baseline", &["usual", "base", "strict", "rooted"]),
        ("restricted", &["strict", "rooted"]),
    ] {
        let (cluster, daemon) = enforcing(level).await;
        for profile in ["usual", "base", "strict", "rooted"] {
            let made = create(&daemon, profile).await;
            if admitted.contains(&profile) {
                assert_eq!(made.status, 200, "{level} {profile}: {made}");
                continue;
            }
            assert_eq!(
                (made.status, &made.body["reason"]),
                (500, &json!("Denied")),
                "{level} {profile}: {made}"
            );
            let detail = made.body["detail"].as_str().unwrap();
            assert!(detail.contains("violates PodSecurity \"restricted:latest\""), "{detail}");
            assert_eq!(cluster.object("pods", NAMESPACE, &format!("sandbox-{profile}")), None);
            assert_eq!(cluster.object("services", NAMESPACE, &format!("sandbox-{profile}-svc")), None);
        }
    }
}

/// Guards that the answer names a class that the cluster does not have, and that the create works once it does.
#[tokio::test(start_paused = true)]
async fn a_missing_class_is_named() {
    let (cluster, daemon) = enforcing("privileged").await;
    let class = |kind: &str, name: &str, more: Value| {
        let mut object = json!({"metadata": {"name": name}});
        object.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        cluster.put(kind, object).unwrap();
    };
    for (profile, words) in
        [("gvisor", "RuntimeClass \"gvisor\" not found"), ("low", "no PriorityClass with name low was found")]
    {
        let refused = create(&daemon, profile).await;
        assert_eq!((refused.status, &refused.body["reason"]), (500, &json!("Denied")), "{refused}");
        assert!(refused.body["detail"].as_str().unwrap().contains(words), "{refused}");
    }
    class(
        "runtimeclasses",
        "gvisor",
        json!({"handler": "runsc", "overhead": {"podFixed": {"memory": "120Mi"}}}),
    );
    class("priorityclasses", "low", json!({"value": -10}));
    for profile in ["gvisor", "low"] {
        let made = create(&daemon, profile).await;
        assert_eq!(made.status, 200, "{made}");
    }
    let spec =
        |id: &str| cluster.object("pods", NAMESPACE, &format!("sandbox-{id}")).unwrap()["spec"].clone();
    assert_eq!(spec("gvisor")["overhead"], json!({"memory": "120Mi"}));
    assert_eq!(spec("low")["priority"], -10);
}
