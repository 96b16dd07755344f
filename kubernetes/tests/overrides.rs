//! A request that sets fields in place of its profile changes only these fields of the Pod.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests end their test")]

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use kubernetes::{
    manifest::{self, Manifests, Template},
    profile::{HostPaths, Profile, Profiles},
};
use lifecycle::{
    error::SandboxError,
    ids::{ProfileName, SandboxId, ThreadId, UserId},
    network::NetworkMode,
    request::{CreateRequest, RequestedOverrides},
    spec::{Resources, ShellSessions},
    text::Hidden,
    workspace::{WhenDeleted, WorkspaceRequest},
};
use proptest::{option, prelude::*, sample::select};
use serde_json::{Value, json};
use simcluster::{Cluster, Options};
use tower::ServiceExt;

const NAMESPACE: &str = "deer-flow";
const CORES: &[&str] = &["50m", "100m", "0.5", "1000m", "4"];
const BYTES: &[&str] = &["128Mi", "256Mi", "500Mi", "1Gi", "4Gi"];
const VARIABLES: [&str; 8] = [
    "LANG",
    "LANG",
    "FEATURE_B",
    "FEATURE_A",
    "PATH",
    "MAX_SHELL_SESSIONS",
    "DEERFLOW_LARK_BROKER_URL",
    "KUBERNETES_SERVICE_HOST",
];
const LABELS: [&str; 10] = [
    "team.example.com/b",
    "team.example.com/c",
    "tiers",
    "team.example.com/a",
    "tier",
    "app",
    "sandbox-id",
    "app.kubernetes.io/managed-by",
    "sandbox-provisioner/profile",
    "sandbox-provisioner/network",
];
const IMAGES: [&str; 3] = ["ghcr.io/org/sandbox:2", "ghcr.io/org/other:1", "evil.example/sandbox:2"];

/// A value that is in its field of the profile, or missing there.
fn field(
    name: &'static str,
    value: impl Strategy<Value = Value> + 'static,
) -> BoxedStrategy<Option<(String, Value)>> {
    option::weighted(0.7, value.prop_map(move |value| (name.to_owned(), value))).boxed()
}

fn amount(values: &'static [&'static str]) -> impl Strategy<Value = Value> {
    let pair = (0..values.len(), 0..values.len()).prop_map(|(one, other)| {
        let (request, limit) = (one.min(other), one.max(other));
        json!({"request": values[request], "limit": values[limit]})
    });
    prop_oneof![select(values).prop_map(Value::from), pair]
}

fn bounds(values: &'static [&'static str]) -> impl Strategy<Value = Value> {
    (option::of(Just(values[0])), option::weighted(0.8, Just(values[4]))).prop_map(|(min, max)| {
        let ends = [("min", min), ("max", max)].into_iter();
        ends.filter_map(|(end, value)| Some((end.to_owned(), json!(value?)))).collect()
    })
}

fn fields(all: Vec<BoxedStrategy<Option<(String, Value)>>>) -> impl Strategy<Value = Value> {
    all.prop_map(|fields| fields.into_iter().flatten().collect())
}

fn overrides() -> impl Strategy<Value = Value> {
    fields(vec![
        field("cpu", bounds(CORES)),
        field("memory", bounds(BYTES)),
        field("ephemeral_storage", bounds(BYTES)),
        field("env", select(vec![json!(["*"]), json!(["FEATURE_*", "LANG"]), json!([])])),
        field("labels", select(vec![json!(["team.example.com/"]), json!(["a", "s", "t"])])),
        field("image", select(vec![json!(["*"]), json!(["ghcr.io/org/sandbox:*"])])),
        field("network", select(vec![json!(["open", "isolated", "allow-list"]), json!(["isolated"])])),
        field("workspace", bounds(BYTES).prop_map(|size| json!({"size": size}))),
    ])
}

fn affinity() -> Value {
    let term = json!({"matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}]});
    let preferred = json!([{"weight": 1, "preference": term}]);
    json!({"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}})
}

fn workspace() -> impl Strategy<Value = Value> {
    let scope = select(vec!["sandbox", "thread", "user"]);
    let mode = select(vec!["ReadWriteOnce", "ReadWriteMany"]);
    (select(BYTES), scope, mode, any::<bool>()).prop_map(|(size, scope, mode, is_user_data)| {
        json!({
            "size": size, "scope": scope, "access_mode": mode, "user_data": is_user_data, "storage_class": "fast",
            "source_snapshot": "golden", "when_deleted": "delete", "keep_for": "2d",
        })
    })
}

fn profile() -> impl Strategy<Value = Value> {
    fields(vec![
        field("description", Just(json!("A large one"))),
        field("cpu", amount(CORES)),
        field("memory", amount(BYTES)),
        field("ephemeral_storage", amount(BYTES)),
        field("env", Just(json!({"LANG": "C", "KEPT": "1"}))),
        field("labels", Just(json!({"tier": "gold", "kept": "x"}))),
        field("annotations", Just(json!({"kept": "x"}))),
        field("node_selector", Just(json!({"pool": "a"}))),
        field("spread", select(vec![json!("preferred"), json!("required")])),
        field("shm_size", Just(json!("64Mi"))),
        field("tmp_size", Just(json!("64Mi"))),
        field("run_as_user", Just(json!(1000))),
        field("run_as_group", Just(json!(1000))),
        field("fs_group", Just(json!(1000))),
        field("security", select(vec![json!("deerflow"), json!("baseline"), json!("restricted")])),
        field("automount_service_account_token", any::<bool>().prop_map(Value::from)),
        field("host_users", any::<bool>().prop_map(Value::from)),
        field("image", Just(json!("registry.example/own:1"))),
        field("start_cpu", select(vec![json!("4"), json!("8")])),
        field(
            "tolerations",
            Just(json!([{"key": "sandboxes", "operator": "Exists", "effect": "NoSchedule"}])),
        ),
        field("affinity", Just(affinity())),
        field(
            "topology_spread_constraints",
            Just(json!([{"maxSkew": 2, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}])),
        ),
        field("image_locality", select(vec![json!("none"), json!("preferred")])),
        field("scheduler_name", Just(json!("default-scheduler"))),
        field("runtime_class", Just(json!("gvisor"))),
        field("priority_class", Just(json!("low"))),
        field("image_pull_secrets", Just(json!(["registry"]))),
        field("ttl", Just(json!("8h"))),
        field("idle_timeout", Just(json!("15m"))),
        field("workspace", workspace()),
        field("network", select(vec![json!("open"), json!("isolated")])),
        field("overrides", overrides()),
    ])
}

fn texts<V: Clone + std::fmt::Debug + 'static>(
    keys: &'static [&'static str],
    value: impl Fn(String) -> V + Clone + 'static,
) -> impl Strategy<Value = BTreeMap<String, V>> {
    let some =
        prop::collection::btree_map(select(keys).prop_map(str::to_owned), "[a-z]{0,5}".prop_map(value), 1..3);
    prop_oneof![3 => Just(BTreeMap::new()), 1 => some]
}

fn wanted_workspace() -> impl Strategy<Value = WorkspaceRequest> {
    let when_deleted = select(vec![WhenDeleted::Keep, WhenDeleted::Delete]);
    (option::of(select(BYTES).prop_map(str::to_owned)), option::of(when_deleted))
        .prop_map(|(size, when_deleted)| WorkspaceRequest { size, when_deleted })
}

fn request() -> impl Strategy<Value = (RequestedOverrides, Option<WorkspaceRequest>, bool, bool)> {
    let text =
        |values: &'static [&'static str]| option::weighted(0.3, select(values).prop_map(str::to_owned));
    let resources = (text(CORES), text(BYTES), text(BYTES))
        .prop_map(|(cpu, memory, ephemeral_storage)| Resources { cpu, memory, ephemeral_storage });
    let image = option::weighted(0.2, select(&IMAGES[..]).prop_map(str::to_owned));
    let network = option::weighted(0.2, select(NetworkMode::ALL.to_vec()));
    let overrides = (resources, texts(&VARIABLES, Hidden), texts(&LABELS, |text| text), image, network)
        .prop_map(|(resources, env, labels, image, network)| RequestedOverrides {
            resources,
            env,
            labels,
            image,
            network,
        });
    (overrides, option::weighted(0.3, wanted_workspace()), any::<bool>(), any::<bool>())
}

fn written(fields: &Value) -> Option<Profile> {
    let mut profile = Profile::default();
    for (field, value) in fields.as_object()? {
        profile.set(field, value).unwrap_or_else(|error| panic!("{field} = {value}: {error:?}"));
    }
    Some(profile)
}

/// Returns a template with the profile `x` of these fields, which may extend another one.
fn template(fields: &Value, base: Option<&Value>) -> Option<Template> {
    let mut fields = fields.clone();
    let mut all = BTreeMap::new();
    if let Some(base) = base {
        fields["extends"] = "base".into();
        all.insert(ProfileName::parse("base")?, written(base)?);
    }
    all.insert(ProfileName::parse("x")?, written(&fields)?);
    // A profile may be refused at the start, for example because its request is above its limit.
    let profiles = Profiles::new(&all, &manifest::default_resources(), HostPaths::default()).ok()?;
    Some(Template {
        namespace: NAMESPACE.to_owned(),
        lark_broker_image: Some("broker:1".to_owned()),
        userdata_pvc: Some("users".to_owned()),
        skills_pvc: Some("skills".to_owned()),
        profiles,
        ..Template::default()
    })
}

/// Adds the JSON pointers at which two values differ, the shortest that lead to a value that is in one only.
fn differences(path: &str, one: &Value, other: &Value, found: &mut BTreeSet<String>) {
    match (one, other) {
        (Value::Object(a), Value::Object(b)) => {
            for key in a.keys().chain(b.keys()).collect::<BTreeSet<_>>() {
                let path = format!("{path}/{}", key.replace('/', "~1"));
                differences(
                    &path,
                    a.get(key).unwrap_or(&Value::Null),
                    b.get(key).unwrap_or(&Value::Null),
                    found,
                );
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() && !path.ends_with("/env") => {
            for (index, (one, other)) in a.iter().zip(b).enumerate() {
                differences(&format!("{path}/{index}"), one, other, found);
            }
        }
        _ if one == other => {}
        _ => drop(found.insert(path.to_owned())),
    }
}

/// Returns the JSON pointers that a request may change.
fn own_fields(overrides: &RequestedOverrides, workspace: Option<&WorkspaceRequest>) -> BTreeSet<String> {
    let RequestedOverrides { resources, env, labels, image, network } = overrides;
    let sandbox = "/pod/spec/containers/0";
    let mut own: BTreeSet<_> =
        labels.keys().map(|key| format!("/pod/metadata/labels/{}", key.replace('/', "~1"))).collect();
    for (name, amount) in [
        ("cpu", &resources.cpu),
        ("memory", &resources.memory),
        ("ephemeral-storage", &resources.ephemeral_storage),
    ] {
        if amount.is_some() {
            own.extend(["limits", "requests"].map(|part| format!("{sandbox}/resources/{part}/{name}")));
        }
    }
    own.extend(image.as_ref().map(|_| format!("{sandbox}/image")));
    own.extend(network.map(|_| "/pod/metadata/labels/sandbox-provisioner~1network".to_owned()));
    own.extend((!env.is_empty()).then(|| format!("{sandbox}/env")));
    let own_annotation =
        |object: &str, key: &str| format!("/{object}/metadata/annotations/sandbox-provisioner~1{key}");
    if let Some(WorkspaceRequest { size, when_deleted }) = workspace {
        if size.is_some() {
            own.insert("/workspace/spec/resources/requests/storage".to_owned());
            own.insert(own_annotation("pod", "workspace-size"));
        }
        if when_deleted.is_some() {
            own.extend(["pod", "workspace"].map(|object| own_annotation(object, "when-deleted")));
        }
    }
    // With more CPU for the start, the limit of the request counts after it.
    own.extend(resources.cpu.as_ref().map(|_| own_annotation("pod", "cpu-after-start")));
    own
}

/// Returns the value that each variable of the sandbox container has. If two have one name, Kubernetes uses the last.
fn variables(manifests: &Manifests) -> BTreeMap<String, Option<String>> {
    let sandbox = &manifests.pod.spec.as_ref().unwrap().containers[0];
    assert_eq!(sandbox.name, "sandbox");
    sandbox.env.iter().flatten().map(|variable| (variable.name.clone(), variable.value.clone())).collect()
}

/// Starts a cluster with the classes of the profiles.
fn cluster() -> Cluster {
    let cluster = Cluster::start(Options::with_namespace(NAMESPACE));
    let gvisor = json!({"metadata": {"name": "gvisor"}, "handler": "runsc"});
    cluster.put("runtimeclasses", gvisor).unwrap();
    cluster.put("priorityclasses", json!({"metadata": {"name": "low"}, "value": -10})).unwrap();
    cluster
}

/// Returns the answer of the embedded API server to the create of an object.
async fn created(cluster: &Cluster, resource: &str, object: &impl serde::Serialize) -> (u16, String) {
    let path = format!("/api/v1/namespaces/{NAMESPACE}/{resource}?dryRun=All");
    let body = Full::new(Bytes::from(serde_json::to_vec(object).unwrap()));
    let request = http::Request::post(path).header("content-type", "application/json").body(body).unwrap();
    let answer = cluster.service().oneshot(request).await.unwrap();
    let status = answer.status().as_u16();
    (status, String::from_utf8_lossy(&answer.into_body().collect().await.unwrap().to_bytes()).into_owned())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    /// Guards that a request changes only its own fields of the container `sandbox` and its own labels: no selector, no name,
    /// no host path, no other container, and none of the labels and variables of this program or of Kubernetes; and that
    /// the cluster accepts the result.
    #[test]
    fn a_request_reaches_only_its_own_fields(
        fields in profile(),
        base in option::weighted(0.4, profile()),
        (overrides, workspace, broker, sessions) in request(),
    ) {
        let Some(template) = template(&fields, base.as_ref()) else { return Ok(()) };
        let plain = CreateRequest {
            profile: ProfileName::parse("x"),
            thread_id: ThreadId::parse("t"),
            user_id: UserId::parse("u").unwrap(),
            provision_lark_cli_broker: broker,
            max_shell_sessions: sessions.then_some(ShellSessions::DEFAULT),
            ..CreateRequest::new(SandboxId::parse("a").unwrap())
        };
        let without = manifest::build(&template, &plain).unwrap();
        let wanted = CreateRequest { overrides: overrides.clone(), workspace: workspace.clone(), ..plain };
        let with = match manifest::build(&template, &wanted) {
            Ok(with) => with,
            Err(SandboxError::BadRequest(_)) => return Ok(()),
            Err(error) => panic!("{error}"),
        };

        let mut found = BTreeSet::new();
        let [one, other] = [&without, &with].map(|manifests| serde_json::to_value(manifests).unwrap());
        differences("", &one, &other, &mut found);
        let own = own_fields(&overrides, workspace.as_ref());
        prop_assert!(found.is_subset(&own), "{:?} beyond {:?}", found, own);

        let (before, after) = (variables(&without), variables(&with));
        for (name, value) in &before {
            let expected = overrides.env.get(name).map_or(value.clone(), |value| Some(value.0.clone()));
            prop_assert_eq!(after.get(name), Some(&expected));
        }
        prop_assert!(after.keys().all(|name| before.contains_key(name) || overrides.env.contains_key(name)));
        for fixed in ["MAX_SHELL_SESSIONS", "DEERFLOW_LARK_BROKER_URL", "KUBERNETES_SERVICE_HOST"] {
            prop_assert_eq!(before.get(fixed), after.get(fixed));
        }

        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        let answers = runtime.block_on(async {
            let cluster = cluster();
            let mut answers = vec![
                created(&cluster, "pods", &with.pod).await,
                created(&cluster, "services", &with.service).await,
            ];
            if let Some(claim) = &with.workspace {
                answers.push(created(&cluster, "persistentvolumeclaims", claim).await);
            }
            answers
        });
        for (status, body) in answers {
            prop_assert_eq!(status, 201, "{}", body);
        }
    }
}
