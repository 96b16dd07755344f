//! Compares the Pod, the Service and the URL with those of DeerFlow's provisioner for the same settings and request.
//!
//! `tests/recordings/manifests.json` holds the answers of the version of August 2026, `manifests-2.1.json` those of the
//! 2.1 line. An absent field equals its default, and order counts. Our additions are ignored: `managed-by`, our
//! annotations, `automountServiceAccountToken` and `enableServiceLinks`.

use kubernetes::{
    manifest::{self, Manifests, Probes, ServiceType, SubPathTemplate, Template},
    names,
};
use lifecycle::{error::SandboxError, request::CreateRequest};
use proptest::prelude::*;
use sandbox_provisioner::http::request;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// The node port in the recorded URLs.
const NODE_PORT: u16 = 31234;

#[derive(Deserialize)]
struct Case {
    #[serde(rename = "case")]
    name: String,
    env: Map<String, Value>,
    request: Value,
    pod: Option<Value>,
    service: Option<Value>,
    url: Option<String>,
    error: Option<Refusal>,
}

#[derive(Debug, Deserialize)]
struct Refusal {
    status: u16,
    detail: String,
}

fn recordings(file: &str) -> Vec<Case> {
    let path = format!("{}/tests/recordings/{file}", env!("CARGO_MANIFEST_DIR"));
    // `Value` would parse the one integer beyond 64 bits as a float. As a text it has the same meaning.
    let huge = "100000000000000000000";
    let text = std::fs::read_to_string(path).unwrap().replace(&format!(": {huge}"), &format!(": \"{huge}\""));
    serde_json::from_str(&text).unwrap()
}

/// Builds the template from environment variables, in a simpler way than the program's settings.
fn template(env: &Map<String, Value>) -> Template {
    let mut template = Template { probes: Probes::DeerFlow, ..Template::default() };
    for (name, value) in env {
        let value = value.as_str().unwrap().to_owned();
        let set = || Some(value.clone()).filter(|value| !value.is_empty());
        match name.as_str() {
            "K8S_NAMESPACE" => template.namespace = value,
            "SANDBOX_IMAGE" => template.image = value,
            "SANDBOX_CONTAINER_PORT" => template.container_port = value.parse().unwrap(),
            "SANDBOX_SERVICE_TYPE" => template.service_type = ServiceType::parse(&value).unwrap(),
            "NODE_HOST" => template.node_host = value,
            "THREADS_HOST_PATH" => template.threads_host_path = value,
            "DEER_FLOW_HOST_BASE_DIR" => template.host_base_dir = value,
            "SKILLS_HOST_PATH" => template.skills_host_path = set(),
            "SKILLS_PVC_NAME" => template.skills_pvc = set(),
            "USERDATA_PVC_NAME" => template.userdata_pvc = set(),
            "SKILLS_PVC_SUBPATH_TEMPLATE" => {
                template.skills_pvc_sub_path = set().map(|text| SubPathTemplate::parse(&text).unwrap());
            }
            "LARK_CLI_INIT_IMAGE" => template.lark_init_image = set(),
            "LARK_CLI_BROKER_IMAGE" => template.lark_broker_image = set(),
            "DEERFLOW_LARK_BROKER_DENY_SUBCOMMANDS" => template.lark_broker_deny_subcommands = set(),
            other => panic!("{other} is not known to this test"),
        }
    }
    template
}

fn template_of(env: Value) -> Template {
    let Value::Object(env) = env else { panic!("an environment is an object") };
    template(&env)
}

fn parsed(body: &Value) -> CreateRequest {
    request::create(Some("application/json"), body.to_string().as_bytes()).unwrap()
}

fn build(env: Value, body: &Value) -> Result<Manifests, String> {
    manifest::build(&template_of(env), &parsed(body)).map_err(|error| error.to_string())
}

/// Removes the defaults and our own additions from an object.
fn plain(mut object: Value) -> Value {
    if let Some(object) = object.as_object_mut() {
        // The recordings were made from objects of DeerFlow's client library, which have no such fields.
        object.remove("apiVersion");
        object.remove("kind");
    }
    if let Some(labels) = object.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
        labels.remove(names::MANAGED_BY);
    }
    if let Some(annotations) = object.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        annotations.retain(|key, _| !key.starts_with("sandbox-provisioner/"));
    }
    if let Some(spec) = object.pointer_mut("/spec").and_then(Value::as_object_mut) {
        spec.remove("automountServiceAccountToken");
        spec.remove("enableServiceLinks");
    }
    without_defaults(object)
}

fn without_defaults(value: Value) -> Value {
    let is_default = |key: &str, value: &Value| match (key, value) {
        // An empty object is the value of this field.
        ("emptyDir", _) => false,
        ("protocol", Value::String(text)) => text == "TCP",
        ("restartPolicy", Value::String(text)) => text == "Always",
        ("readOnly", Value::Bool(false)) | (_, Value::Null) => true,
        (_, Value::Object(map)) => map.is_empty(),
        (_, Value::Array(list)) => list.is_empty(),
        _ => false,
    };
    match value {
        Value::Object(map) => Value::Object(
            map.into_iter()
                .map(|(key, value)| (key, without_defaults(value)))
                .filter(|(key, value)| !is_default(key, value))
                .collect(),
        ),
        Value::Array(list) => list.into_iter().map(without_defaults).collect(),
        other => other,
    }
}

fn difference(case: &Case) -> Option<String> {
    let template = template(&case.env);
    let request = parsed(&case.request);
    let made = match (manifest::build(&template, &request), &case.error) {
        (Ok(made), None) => made,
        (Err(error), Some(expected)) => {
            let status = match error {
                SandboxError::BadRequest(_) | SandboxError::MountOutsideState { .. } => 400,
                SandboxError::LarkBrokerRequired => 409,
                SandboxError::LarkBrokerNotConfigured => 503,
                other => panic!("{}: {other}", case.name),
            };
            let error = without_path(&error.to_string());
            let is_same = status == expected.status && error == without_path(&expected.detail);
            return (!is_same).then(|| format!("{status} {error}\n  expected {expected:?}"));
        }
        (made, expected) => return Some(format!("{:?}\n  expected {expected:?}", made.err())),
    };
    let url = manifest::url(&template, &request.sandbox_id, Some(NODE_PORT));
    let differs = |name: &str, ours: Value, theirs: &Option<Value>| {
        let (ours, theirs) = (plain(ours), plain(theirs.clone().unwrap()));
        (ours != theirs).then(|| format!("{name} {ours}\n  expected {theirs}"))
    };
    differs("pod", serde_json::to_value(made.pod).unwrap(), &case.pod)
        .or_else(|| differs("service", serde_json::to_value(made.service).unwrap(), &case.service))
        .or_else(|| (url != case.url).then(|| format!("{url:?}, expected {:?}", case.url)))
}

/// Removes the quoted skills root from a text, because DeerFlow escapes it as Python does.
fn without_path(text: &str) -> String {
    match (text.split_once("container path "), text.rsplit_once(" overlaps ")) {
        (Some((before, _)), Some((_, after))) => format!("{before}… {after}"),
        _ => text.to_owned(),
    }
}

fn hold<'a>(cases: impl IntoIterator<Item = &'a Case>) {
    let differs = |case: &Case| Some(format!("{}: {}", case.name, difference(case)?));
    let differences: Vec<String> = cases.into_iter().filter_map(differs).collect();
    let first = differences.first().map_or("", String::as_str);
    assert!(differences.is_empty(), "{} differ, the first is {first}", differences.len());
}

/// Guards every recorded case of the 2.1 line, including errors. The one with a skills root that cannot be mounted must be
/// rejected instead.
#[test]
fn manifests_are_those_of_the_2_1_line() {
    let cases = recordings("manifests-2.1.json");
    assert_eq!(cases.len(), 208, "the recording is whole");
    let (too_long, same): (Vec<_>, Vec<_>) = cases.iter().partition(|case| case.name == "hostpath/root-long");
    hold(same);
    assert_eq!(too_long.len(), 1);
    let body = too_long[0].request.to_string();
    let refusal = request::create(Some("application/json"), body.as_bytes()).unwrap_err();
    assert!(format!("{refusal:?}").contains("at most 255 bytes"), "{refusal:?}");
}

/// Guards every recorded case of August, including errors. The cases that the 2.1 line rejects must be rejected
/// instead: a broker without its image, and the runtime alone if a broker is configured.
#[test]
fn manifests_are_those_of_august() {
    let cases = recordings("manifests.json");
    assert_eq!(cases.len(), 158, "the recording is whole");
    let refusal = |case: &Case| {
        let has_broker = case.env.get("LARK_CLI_BROKER_IMAGE").is_some_and(|image| image != "");
        let asks = |flag: &str| case.request[flag] == true;
        match (asks("provision_lark_cli_broker"), asks("provision_lark_cli_runtime")) {
            (true, _) if !has_broker => Some(SandboxError::LarkBrokerNotConfigured),
            (false, true) if has_broker => Some(SandboxError::LarkBrokerRequired),
            _ => None,
        }
    };
    let (refused, same): (Vec<_>, Vec<_>) = cases.iter().partition(|case| refusal(case).is_some());
    assert_eq!(refused.len(), 12);
    for case in refused {
        let made = manifest::build(&template(&case.env), &parsed(&case.request));
        assert_eq!(made.err(), refusal(case), "{}", case.name);
    }
    hold(same);
}

/// Guards that both objects have our additions to DeerFlow's objects.
#[test]
fn both_objects_carry_our_additions() {
    let made = build(json!({}), &json!({"sandbox_id": "abc-123", "user_id": "u1"})).unwrap();
    let spec = made.pod.spec.unwrap();
    assert_eq!((spec.automount_service_account_token, spec.enable_service_links), (Some(false), Some(false)));
    for metadata in [made.pod.metadata, made.service.metadata] {
        let labels = metadata.labels.unwrap();
        assert_eq!(labels[names::MANAGED_BY], "sandbox-provisioner");
        assert_eq!(names::sandbox_id_of(&labels).unwrap().as_str(), "abc-123");
        let annotations = metadata.annotations.unwrap();
        assert_eq!(annotations[names::THREAD_ID], "abc-123");
        assert_eq!(annotations[names::USER_ID], "u1");
    }
}

/// Returns each skills volume as `name path source type`, in the order of the sandbox.
fn skills_layout(env: Value) -> Vec<String> {
    let made = build(env, &json!({"sandbox_id": "abc-123"})).unwrap();
    let spec = made.pod.spec.unwrap();
    let volumes = spec.volumes.unwrap();
    let mounts = spec.containers[0].volume_mounts.clone().unwrap();
    let mounts = mounts.iter().filter(|mount| mount.mount_path.starts_with("/mnt/skills"));
    mounts
        .map(|mount| {
            let volume = volumes.iter().find(|volume| volume.name == mount.name).unwrap();
            assert_eq!(mount.read_only, Some(true), "skills are never written");
            let source = match (&volume.host_path, &volume.persistent_volume_claim) {
                (Some(host), None) => format!("{} {}", host.path, host.type_.as_deref().unwrap()),
                (None, Some(claim)) => {
                    format!("{} {}", claim.claim_name, mount.sub_path.as_deref().unwrap_or("/"))
                }
                _ => panic!("{volume:?} has one source"),
            };
            format!("{} {} {source}", mount.name, mount.mount_path)
        })
        .collect()
}

/// Guards that the older layout mounts one directory instead of three, unless a claim is set.
#[test]
fn skills_host_path_is_one_mount_unless_a_claim_is_set() {
    assert_eq!(
        skills_layout(json!({"SKILLS_HOST_PATH": "/srv/skills"})),
        ["skills /mnt/skills /srv/skills Directory"]
    );
    assert_eq!(
        skills_layout(json!({"SKILLS_HOST_PATH": r"C:\skills"})),
        [r"skills /mnt/skills C:\skills Directory"]
    );
    assert_eq!(
        skills_layout(json!({"SKILLS_HOST_PATH": "/srv/skills", "SKILLS_PVC_NAME": "claim"})),
        ["skills /mnt/skills claim /"]
    );
    let template = json!({
        "SKILLS_HOST_PATH": "/srv/skills", "SKILLS_PVC_NAME": "claim", "SKILLS_PVC_SUBPATH_TEMPLATE": "u/{user_id}"
    });
    assert_eq!(skills_layout(template), ["skills /mnt/skills claim u/default"]);
    assert_eq!(skills_layout(json!({"SKILLS_HOST_PATH": ""})).len(), 3, "empty is unset");
}

/// Guards that the older layout changes only the skills.
#[test]
fn skills_host_path_touches_nothing_else() {
    let body = json!({
        "sandbox_id": "abc-123",
        "extra_mounts": [{"host_path": "/.deer-flow/x", "container_path": "/mnt/skills/integrations"}],
    });
    let others = |env: Value| {
        let spec = build(env, &body).unwrap().pod.spec.unwrap();
        let names: Vec<String> = spec.volumes.unwrap().into_iter().map(|volume| volume.name).collect();
        names.into_iter().filter(|name| !name.starts_with("skills")).collect::<Vec<_>>()
    };
    assert_eq!(others(json!({"SKILLS_HOST_PATH": "/srv/skills"})), ["user-data", "extra-0"]);
    assert_eq!(others(json!({})), ["user-data", "extra-0"]);
}

fn lark_mount(place: &str, host: &str) -> Value {
    json!({"host_path": host, "container_path": format!("/mnt/integrations/lark-cli/{place}")})
}

/// Guards that a mount replaced by the Lark runtime is not checked, and that all of the broker's mounts are checked
/// after those of the sandbox, as in DeerFlow's provisioner.
#[test]
fn replaced_mounts_are_checked_as_deerflow_does() {
    let init = json!({"LARK_CLI_INIT_IMAGE": "i"});
    let broker = json!({"LARK_CLI_BROKER_IMAGE": "b"});
    let body = |mounts: &[Value], flag: &str| json!({"sandbox_id": "a", "extra_mounts": mounts, flag: true});
    let runtime = |mounts: &[Value]| body(mounts, "provision_lark_cli_runtime");
    let outside = lark_mount("runtime", "/etc");
    let unsupported = json!({"host_path": "/.deer-flow/x", "container_path": "/mnt/other"});

    assert!(build(init.clone(), &runtime(&[outside.clone(), lark_mount("./runtime/", "x")])).is_ok());
    let with_broker = |mounts: &[Value]| build(broker.clone(), &body(mounts, "provision_lark_cli_broker"));
    assert_eq!(
        with_broker(std::slice::from_ref(&outside)).unwrap_err(),
        "Extra mount host path is outside DeerFlow state: /etc"
    );
    assert_eq!(
        with_broker(&[outside.clone(), unsupported]).unwrap_err(),
        "Unsupported extra mount path: /mnt/other",
        "what the sandbox keeps is checked first"
    );
    // Nine of the twelve mounts are replaced, so the limit of ten is not exceeded.
    let places = ["config", "config/locks", "data"].map(|place| lark_mount(place, "/.deer-flow/x"));
    let many: Vec<Value> = places.into_iter().chain(std::iter::repeat_n(outside, 9)).collect();
    assert!(build(init, &runtime(&many)).is_ok());
    assert_eq!(build(json!({}), &runtime(&many)).unwrap_err(), "Too many extra mounts; max is 10");
}

/// Guards that the broker gets only the mounts that the caller sends, and that its volumes use the users' data claim.
#[test]
fn the_broker_gets_the_mounts_that_there_are() {
    let env = json!({"LARK_CLI_BROKER_IMAGE": "b", "USERDATA_PVC_NAME": "claim"});
    let body = json!({
        "sandbox_id": "a", "provision_lark_cli_broker": true,
        "extra_mounts": [lark_mount("data", "/.deer-flow/users/u/lark")],
    });
    let spec = build(env.clone(), &body).unwrap().pod.spec.unwrap();
    let broker = &spec.containers[1];
    let mounts = broker.volume_mounts.as_ref().unwrap();
    assert_eq!(mounts.len(), 1);
    assert_eq!(mounts[0].mount_path, "/var/lark/data");
    assert_eq!(mounts[0].sub_path.as_deref(), Some("deer-flow/users/u/lark"));

    let whole = json!({
        "sandbox_id": "a", "provision_lark_cli_broker": true,
        "extra_mounts": [lark_mount("data", "/.deer-flow/")],
    });
    assert_eq!(build(env, &whole).unwrap_err(), "Invalid extra mount host path: /.deer-flow");
}

/// Guards that with `SKILLS_HOST_PATH`, as with a claim, the caller's skills are nested in the one mount, which is left
/// out only if the caller mounts all categories. Guards also that both use the skills root.
#[test]
fn named_skills_nest_in_one_mount_until_all_are_named() {
    let layout = |env: Value, categories: &[&str]| {
        let mount = |category: &&str| json!({"host_path": format!("/.deer-flow/{category}"), "container_path": format!("/opt/skills/{category}")});
        let mounts: Vec<Value> = categories.iter().map(mount).collect();
        let body = json!({"sandbox_id": "a", "skills_container_path": "/opt/skills", "extra_mounts": mounts});
        let spec = build(env, &body).unwrap().pod.spec.unwrap();
        assert_eq!(spec.volumes.unwrap().len(), spec.containers[0].volume_mounts.as_ref().unwrap().len());
        let mounts = spec.containers[0].volume_mounts.clone().unwrap().into_iter();
        mounts.map(|mount| format!("{} {}", mount.name, mount.mount_path)).collect::<Vec<_>>()
    };
    for env in [json!({"SKILLS_HOST_PATH": "/srv/skills"}), json!({"SKILLS_PVC_NAME": "claim"})] {
        assert_eq!(layout(env.clone(), &[]), ["skills /opt/skills", "user-data /mnt/user-data"]);
        assert_eq!(
            layout(env.clone(), &["custom", "integrations"]),
            [
                "skills /opt/skills",
                "user-data /mnt/user-data",
                "extra-0 /opt/skills/custom",
                "extra-1 /opt/skills/integrations"
            ]
        );
        let all = layout(env, &["integrations", "legacy", "custom", "public"]);
        assert_eq!(all.len(), 5);
        assert!(all.iter().all(|mount| !mount.starts_with("skills ")), "{all:?}");
    }
}

/// Guards the URL for every type of Service.
#[test]
fn urls_follow_the_service_type() {
    let id = parsed(&json!({"sandbox_id": "abc-123"})).sandbox_id;
    let url = |env: Value, port| manifest::url(&template_of(env), &id, port);
    assert_eq!(url(json!({}), Some(30000)).as_deref(), Some("http://host.docker.internal:30000"));
    assert_eq!(url(json!({}), None), None, "a Service without its port has no URL yet");
    assert_eq!(url(json!({}), Some(0)), None);
    assert_eq!(url(json!({"NODE_HOST": "10.0.0.1"}), Some(1)).as_deref(), Some("http://10.0.0.1:1"));
    assert_eq!(url(json!({"NODE_HOST": "fd00::1"}), Some(1)).as_deref(), Some("http://[fd00::1]:1"));
    assert_eq!(url(json!({"NODE_HOST": "[fd00::1]"}), Some(1)).as_deref(), Some("http://[fd00::1]:1"));
    let inside = json!({
        "SANDBOX_SERVICE_TYPE": "ClusterIP", "K8S_NAMESPACE": "agents", "SANDBOX_CONTAINER_PORT": "9000"
    });
    for port in [None, Some(1)] {
        assert_eq!(
            url(inside.clone(), port).as_deref(),
            Some("http://sandbox-abc-123-svc.agents.svc.cluster.local:9000")
        );
    }
}

/// Generates settings of every kind, as environment variables.
fn environments() -> impl Strategy<Value = Value> {
    let or_none = |text: &'static str| prop_oneof![Just(""), Just(text)];
    (
        prop_oneof![Just("/srv/deer-flow"), Just(""), Just("/"), Just("/srv//deer-flow/."), Just(r"C:\x")],
        or_none("claim"),
        or_none("users"),
        or_none("/srv/skills"),
        or_none("init:1"),
        or_none("broker:1"),
    )
        .prop_map(|(base, skills, users, directory, init, broker)| {
            json!({
                "DEER_FLOW_HOST_BASE_DIR": base, "THREADS_HOST_PATH": "/srv/deer-flow/threads",
                "SKILLS_PVC_NAME": skills, "USERDATA_PVC_NAME": users, "SKILLS_HOST_PATH": directory,
                "LARK_CLI_INIT_IMAGE": init, "LARK_CLI_BROKER_IMAGE": broker,
            })
        })
}

/// Generates requests whose mounts are mostly valid or nearly valid.
fn bodies() -> impl Strategy<Value = Value> {
    let host =
        prop_oneof!["/srv/deer-flow(/([a-z]{1,3}|\\.\\.?|))", "(/srv/deer-flow)?(/([a-z]|\\.\\.|\\.|)){0,5}"];
    let place = prop_oneof![
        Just("/mnt/acp-workspace".to_owned()),
        Just("/mnt/skills/custom".to_owned()),
        Just("/mnt/skills/./public".to_owned()),
        Just("/mnt/skills/legacy".to_owned()),
        Just("/mnt/skills/integrations/".to_owned()),
        Just("/mnt/integrations/lark-cli/config".to_owned()),
        Just("/mnt/integrations//lark-cli/config/locks".to_owned()),
        Just("/mnt/integrations/lark-cli/x/../data".to_owned()),
        Just("/mnt/integrations/lark-cli/runtime".to_owned()),
    ];
    let mount = (host, place, any::<bool>()).prop_map(|(host, place, read_only)| {
        json!({"host_path": host, "container_path": place, "read_only": read_only})
    });
    (prop::collection::vec(mount, 0..5), any::<bool>(), any::<bool>()).prop_map(
        |(mounts, runtime, broker)| {
            json!({
                "sandbox_id": "abc-123", "extra_mounts": mounts,
                "provision_lark_cli_runtime": runtime, "provision_lark_cli_broker": broker,
            })
        },
    )
}

proptest! {
    /// Guards that every built Pod is valid for any settings and request: every mount has its volume and every volume
    /// its mount, names and paths are unique, and no path contains `..`.
    #[test]
    fn built_pods_hold_together(env in environments(), body in bodies()) {
        let Ok(made) = build(env, &body) else { return Ok(()) };
        let spec = made.pod.spec.unwrap();
        let volumes = spec.volumes.unwrap();
        let unique = |mut names: Vec<String>| {
            names.sort_unstable();
            names.windows(2).all(|pair| pair[0] != pair[1])
        };
        prop_assert!(unique(volumes.iter().map(|volume| volume.name.clone()).collect()));

        let containers: Vec<_> = spec.init_containers.unwrap_or_default().into_iter().chain(spec.containers).collect();
        prop_assert!(unique(containers.iter().map(|container| container.name.clone()).collect()));
        let mut used = Vec::new();
        for container in &containers {
            let mounts = container.volume_mounts.clone().unwrap_or_default();
            prop_assert!(unique(mounts.iter().map(|mount| mount.mount_path.clone()).collect()));
            for mount in mounts {
                prop_assert!(volumes.iter().any(|volume| volume.name == mount.name), "{} is a volume", mount.name);
                let sub_path = mount.sub_path.unwrap_or_default();
                prop_assert!(!sub_path.starts_with('/') && sub_path.split('/').all(|name| name != ".."));
                used.push(mount.name);
            }
        }
        for volume in &volumes {
            prop_assert!(used.contains(&volume.name), "{} is mounted", volume.name);
            if let Some(host) = &volume.host_path {
                prop_assert!(host.path.split(['/', '\\']).all(|name| name != ".."), "{}", host.path);
            }
        }
    }

    /// Guards that the sandbox never sees the user's credentials if there is a broker, whatever the caller mounts.
    #[test]
    fn the_sandbox_never_sees_what_the_broker_has(env in environments(), body in bodies()) {
        let Ok(made) = build(env, &body) else { return Ok(()) };
        let containers = made.pod.spec.unwrap().containers;
        let [sandbox, broker] = containers.as_slice() else { return Ok(()) };
        let names = |container: &k8s_openapi::api::core::v1::Container| -> Vec<String> {
            container.volume_mounts.iter().flatten().map(|mount| mount.name.clone()).collect()
        };
        prop_assert!(names(broker).iter().all(|name| !names(sandbox).contains(name)));
        for mount in sandbox.volume_mounts.iter().flatten() {
            prop_assert!(!mount.mount_path.starts_with("/mnt/integrations/lark-cli/config"));
            prop_assert!(!mount.mount_path.starts_with("/mnt/integrations/lark-cli/data"));
        }
    }
}
