//! Invalid profiles and requests: each gets one clear sentence with its path and bound, and nothing of them reaches the
//! cluster.

use http::Method;
use sandbox_provisioner::settings::{environment::Environment, load, sources::FlagValues};
use serde_json::Value;
use simcluster::{Cluster, Options};
use testkit::NAMESPACE;

use crate::settings_file::with;

/// The fields of a profile, and the beginning of the error after its name.
const FILES: &[(&str, &str)] = &[
    // Names and structure.
    ("cpus = 1", "cpus at settings.toml:2: it is not a field of a profile; did you mean \"cpu\"?"),
    ("extends = 'b'", "extends: there is no profile \"b\""),
    ("extends = 'a'", "extends: the profile extends itself"),
    ("description = 7", "description at settings.toml:2: 7 is not allowed; allowed: one line"),
    ("image = 'a b'", "image at settings.toml:2: \"a b\" is not allowed; allowed: an image reference"),
    // Resources.
    (
        "cpu = 'two'",
        "cpu at settings.toml:2: \"two\" is not allowed; allowed: a number of cores from \"1m\" to \"1k\"",
    ),
    ("cpu = { max = 2 }", "cpu at settings.toml:2: \"max\" is not allowed; allowed: request and limit"),
    (
        "start_cpu = 'x'",
        "start_cpu at settings.toml:2: \"x\" is not allowed; allowed: a number of cores from \"1m\" to \"1k\"",
    ),
    (
        "start_cpu = '500m'",
        "start_cpu: \"500m\" is below the limit of cpu, which is \"1000m\"; set at least that",
    ),
    (
        "memory = '4GB'",
        "memory at settings.toml:2: \"4GB\" is not allowed; allowed: a number of bytes from \"1Mi\"",
    ),
    ("memory.limit = '128Mi'", "memory: the request \"256Mi\" is above the limit \"128Mi\""),
    ("ephemeral_storage = 0", "ephemeral_storage at settings.toml:2: 0 is not allowed"),
    // Environment and labels.
    ("env = { A = 1 }", "env.A at settings.toml:2: the value is not a text without NUL"),
    ("env = { DEERFLOW_X = 'y' }", "env at settings.toml:2: the key \"DEERFLOW_X\" is not allowed"),
    ("labels = { app = 'x' }", "labels at settings.toml:2: the key \"app\" is not allowed"),
    (
        "labels = { a = 'b c' }",
        "labels.a at settings.toml:2: \"b c\" is not allowed; allowed: at most 63 letters",
    ),
    ("annotations = { 'a b' = 'c' }", "annotations at settings.toml:2: the key \"a b\" is not allowed"),
    // Placement.
    (
        "node_selector = 'a=b'",
        "node_selector at settings.toml:2: \"a=b\" is not allowed; allowed: a table of texts",
    ),
    (
        "tolerations = [{ efect = 'x' }]",
        "tolerations[0].efect at settings.toml:2: Kubernetes has no such field",
    ),
    ("affinity = { podAffinity = 7 }", "affinity.podAffinity at settings.toml:2: invalid type"),
    (
        "spread = 'even'",
        "spread at settings.toml:2: \"even\" is not allowed; allowed: none, preferred, required",
    ),
    (
        "image_locality = 'required'",
        "image_locality at settings.toml:2: \"required\" is not allowed; allowed: none, preferred",
    ),
    (
        "runtime_class = 'gVisor'",
        "runtime_class at settings.toml:2: \"gVisor\" is not allowed; allowed: the name of",
    ),
    (
        "image_pull_secrets = ['A']",
        "image_pull_secrets[0] at settings.toml:2: \"A\" is not allowed; allowed: the name",
    ),
    // Permissions.
    (
        "security = 'root'",
        "security at settings.toml:2: \"root\" is not allowed; allowed: deerflow, baseline, restricted",
    ),
    (
        "security = 'baseline'",
        "security: the levels baseline and restricted forbid host paths; set USERDATA_PVC_NAME",
    ),
    (
        "run_as_user = -1",
        "run_as_user at settings.toml:2: -1 is not allowed; allowed: a number between 0 and 2147483647",
    ),
    ("host_users = 'no'", "host_users at settings.toml:2: \"no\" is not allowed; allowed: true or false"),
    ("shm_size = '64'", "shm_size at settings.toml:2: \"64\" is not allowed; allowed: a number of bytes"),
    // Limits.
    ("ttl = '0s'", "ttl at settings.toml:2: \"0s\" is not allowed; allowed: a duration"),
    // The bounds of requests.
    (
        "overrides = 'cpu'",
        "overrides at settings.toml:2: \"cpu\" is not allowed; allowed: a table with the fields",
    ),
    (
        "overrides.ttl = '1h'",
        "overrides.ttl at settings.toml:2: a request cannot set it; the fields are cpu, memory, ",
    ),
    (
        "overrides.cpu = 4",
        "overrides.cpu at settings.toml:2: 4 is not allowed; allowed: a table with min and max",
    ),
    (
        "overrides.cpu.max = 'x'",
        "overrides.cpu.max at settings.toml:2: \"x\" is not allowed; allowed: a number of cores",
    ),
    (
        "overrides.cpu = { min = 2, max = 1 }",
        "overrides.cpu: the minimum \"2\" is above the maximum, which is \"1\"",
    ),
    (
        "overrides.cpu.max = '500m'",
        "overrides.cpu: the profile's own amount \"1000m\" is not between 0 and 500m",
    ),
    (
        "overrides.env = ['A-B']",
        "overrides.env[0] at settings.toml:2: \"A-B\" is not allowed; allowed: a pattern",
    ),
    (
        "overrides.env = ['DEERFLOW_*']",
        "overrides.env[0] at settings.toml:2: \"DEERFLOW_*\" could only match what this",
    ),
    (
        "overrides.labels = ['k8s.io/']",
        "overrides.labels[0] at settings.toml:2: \"k8s.io/\" could only match what this",
    ),
    (
        "overrides.image = 'a'",
        "overrides.image at settings.toml:2: \"a\" is not allowed; allowed: a list of patterns",
    ),
    (
        "overrides.network = ['no']",
        "overrides.network[0] at settings.toml:2: \"no\" is not allowed; allowed: open, ",
    ),
    (
        "overrides.workspace.min = 1",
        "overrides.workspace.min at settings.toml:2: a request cannot set it; the fields are",
    ),
];

/// The profiles of the requests.
const PROFILES: &str = "
[profiles.default]
[profiles.large]
cpu = { request = '200m', limit = '2' }
[profiles.large.overrides]
cpu = { min = '100m', max = '4' }
memory = { min = '512Mi' }
env = ['FEATURE_*', '*']
labels = ['team.example.com/', 'app']
image = ['ghcr.io/org/sandbox:*']
[profiles.few.overrides]
env = ['LANG']
";

/// The fields of a request, its status, and the beginning of its error.
const REQUESTS: &[(&str, u16, &str)] = &[
    // The profile.
    (r#"{"profile": 7}"#, 422, "body.profile: Input should be a valid string"),
    (r#"{"profile": "Large"}"#, 422, "body.profile: String should match pattern"),
    (r#"{"profile": "huge"}"#, 400, "there is no profile 'huge'; the profiles are default, few, large"),
    // Shapes.
    (r#"{"resources": "2"}"#, 422, "body.resources: Input should be a valid dictionary"),
    (
        r#"{"resources": {"gpu": "1"}}"#,
        422,
        "body.resources.gpu: Extra inputs are not permitted; the fields are cpu,",
    ),
    (r#"{"resources": {"cpu": [2]}}"#, 422, "body.resources.cpu: Input should be a valid string"),
    (r#"{"env": ["A=b"]}"#, 422, "body.env: Input should be a valid dictionary"),
    (r#"{"env": {"A": 1}}"#, 422, "body.env.A: Input should be a valid string"),
    (r#"{"env": {"A": "\u0000"}}"#, 422, "body.env.A: Value error, a value must not contain NUL"),
    (r#"{"labels": {"a": null}}"#, 422, "body.labels.a: Input should be a valid string"),
    (r#"{"image": {}}"#, 422, "body.image: Input should be a valid string"),
    // Fields without bounds.
    (
        r#"{"resources": {"cpu": "1"}}"#,
        400,
        "resources.cpu: the profile default does not let a request set this; an operator \
      allows it with cpu = { min = \"100m\", max = \"4\" } in [profiles.default.overrides]",
    ),
    (r#"{"image": "a"}"#, 400, "image: the profile default does not let a request set this"),
    (r#"{"labels": {"a": "b"}}"#, 400, "labels: the profile default does not let a request set this"),
    (
        r#"{"profile": "large", "resources": {"ephemeral_storage": "1Gi"}}"#,
        400,
        "resources.ephemeral_storage: the profile large",
    ),
    // Bounds.
    (
        r#"{"profile": "large", "resources": {"cpu": "8"}}"#,
        400,
        "resources.cpu: 8 is above 4, the maximum of the profile large",
    ),
    (
        r#"{"profile": "large", "resources": {"cpu": "1m"}}"#,
        400,
        "resources.cpu: 1m is below 100m, the minimum of the profile",
    ),
    (
        r#"{"profile": "large", "resources": {"cpu": "1Gi"}}"#,
        400,
        "resources.cpu: \"1Gi\" is not allowed; allowed: a number of",
    ),
    (
        r#"{"profile": "large", "resources": {"cpu": -1}}"#,
        400,
        "resources.cpu: \"-1\" is not allowed; allowed: a number of",
    ),
    (
        r#"{"profile": "large", "resources": {"memory": "2Gi"}}"#,
        400,
        "resources.memory: 2Gi is above 1Gi, the maximum of the",
    ),
    (
        r#"{"profile": "large", "resources": {"memory": "4 GB"}}"#,
        400,
        "resources.memory: \"4 GB\" is not allowed; allowed: a",
    ),
    // Names and values.
    (
        r#"{"profile": "large", "env": {"MAX_SHELL_SESSIONS": "9"}}"#,
        400,
        "env.MAX_SHELL_SESSIONS: no request can set it",
    ),
    (
        r#"{"profile": "large", "env": {"A B": "x"}}"#,
        400,
        "env: the name \"A B\" is not allowed; allowed: the name of an",
    ),
    (
        r#"{"profile": "few", "env": {"PATH": "x"}}"#,
        400,
        "env.PATH: the name is not allowed by the profile few, which allows LANG",
    ),
    (
        r#"{"profile": "large", "labels": {"app": "x"}}"#,
        400,
        "labels.app: no request can set it, because this program or",
    ),
    (
        r#"{"profile": "large", "labels": {"tier": "x"}}"#,
        400,
        "labels.tier: the key is not allowed by the profile large, which \
      allows team.example.com/…, app…",
    ),
    (
        r#"{"profile": "large", "labels": {"team.example.com/": "x"}}"#,
        400,
        "labels: the key \"team.example.com/\" is not allowed",
    ),
    (
        r#"{"profile": "large", "labels": {"team.example.com/a": "-"}}"#,
        400,
        "labels.team.example.com/a: \"-\" is not allowed;",
    ),
    (
        r#"{"profile": "large", "image": "evil:1"}"#,
        400,
        "image: \"evil:1\" is not allowed by the profile large, which allows \
      ghcr.io/org/sandbox:*",
    ),
    (
        r#"{"profile": "large", "image": "ghcr.io/org/sandbox:1 x"}"#,
        400,
        "image: \"ghcr.io/org/sandbox:1 x\" is not allowed; \
      allowed: an image reference",
    ),
];

/// Guards that an invalid profile ends the start with one line that has its path, its place and what is allowed.
#[test]
fn invalid_profiles_are_refused_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("settings.toml");
    for (fields, expected) in FILES {
        std::fs::write(&path, format!("[profiles.a]\n{fields}\n")).unwrap();
        let loaded =
            load::for_serving(Some(&path), &Environment::from_lookup(|_| None), &FlagValues::default());
        let refusal = loaded.err().unwrap_or_else(|| panic!("{fields} is accepted")).to_string();
        let refusal = refusal.replace(&format!("{}/", folder.path().display()), "");
        let expected = format!("error: profiles.a.{expected}");
        assert!(refusal.starts_with(&expected), "{fields}\n{refusal}\n{expected}");
        assert_eq!(refusal.trim_end().lines().count(), 1, "{refusal}");
    }
}

/// Guards that an invalid request gets one sentence with its path and bound, and that the cluster gets no call.
#[tokio::test(start_paused = true)]
async fn invalid_requests_reach_no_cluster() {
    let cluster = Cluster::start(Options::with_namespace(NAMESPACE));
    let daemon = with(&cluster, PROFILES).await;
    assert!(FILES.len() + REQUESTS.len() >= 60);
    let mark = cluster.mark();
    for (fields, status, expected) in REQUESTS {
        let mut body: Value = serde_json::from_str(fields).unwrap();
        body["sandbox_id"] = "a".into();
        let answer = daemon.call(Method::POST, "/api/sandboxes", Some(body.clone())).await;
        let detail = &answer.body["detail"];
        let text = match detail {
            Value::Array(errors) => {
                let loc = errors[0]["loc"].as_array().unwrap().iter().map(|part| part.as_str().unwrap());
                format!("{}: {}", loc.collect::<Vec<_>>().join("."), errors[0]["msg"].as_str().unwrap())
            }
            detail => detail.as_str().unwrap().to_owned(),
        };
        assert_eq!(answer.status, *status, "{body:.200}: {answer}");
        assert!(text.starts_with(expected), "{body:.200}\n{text}\n{expected}");
    }
    assert_eq!(cluster.calls_since(mark), []);
    assert_eq!(cluster.count("pods", None), 0);
}
