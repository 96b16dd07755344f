use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;
use lifecycle::{ids::SandboxId, request::CreateRequest};
use serde_json::{Value, json};

use super::*;
use crate::{
    manifest::{self, Template},
    names,
};

fn name(text: &str) -> ProfileName {
    ProfileName::parse(text).unwrap()
}

/// Returns a profile with these fields.
fn profile(fields: &Value) -> Profile {
    let mut profile = Profile::default();
    for (field, value) in fields.as_object().unwrap() {
        profile.set(field, value).unwrap_or_else(|error| panic!("{field}: {error:?}"));
    }
    profile
}

/// Resolves profiles with these fields, by their names.
fn resolve(fields: &Value, has_host_paths: bool) -> Result<Profiles, Vec<String>> {
    let written: BTreeMap<_, _> =
        fields.as_object().unwrap().iter().map(|(key, fields)| (name(key), profile(fields))).collect();
    let host_paths = HostPaths { user_data: has_host_paths, skills: has_host_paths };
    Profiles::new(&written, &manifest::default_resources(), host_paths)
        .map_err(|errors| errors.iter().map(ToString::to_string).collect())
}

/// Returns the Pod of a request for the profile `x`, which has these fields.
fn pod(fields: &Value) -> Pod {
    let template =
        Template { profiles: resolve(&json!({ "x": fields }), false).unwrap(), ..Template::default() };
    let request =
        CreateRequest { profile: Some(name("x")), ..CreateRequest::new(SandboxId::parse("a").unwrap()) };
    manifest::pod(&template, &request).unwrap()
}

fn every_field() -> Value {
    json!({
        "description": "A large one",
        "image": "registry.example/large:1",
        "cpu": {"request": "500m", "limit": "2"},
        "start_cpu": "3",
        "memory": "4Gi",
        "ephemeral_storage": {"limit": "5Gi"},
        "env": {"HTTP_PROXY": "http://proxy:3128"},
        "labels": {"example.com/tier": "large"},
        "annotations": {"example.com/owner": "the team"},
        "node_selector": {"pool": "sandboxes"},
        "tolerations": [{"key": "sandboxes", "operator": "Exists", "effect": "NoSchedule"}],
        "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
            {"matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}]}
        ]}}},
        "topology_spread_constraints": [
            {"maxSkew": 2, "topologyKey": "zone", "whenUnsatisfiable": "ScheduleAnyway"}
        ],
        "spread": "required",
        "image_locality": "preferred",
        "runtime_class": "gvisor",
        "priority_class": "low",
        "scheduler_name": "other",
        "image_pull_secrets": ["registry"],
        "security": "restricted",
        "run_as_user": 1000,
        "run_as_group": 1001,
        "fs_group": 1002,
        "automount_service_account_token": true,
        "host_users": false,
        "shm_size": "64Mi",
        "tmp_size": "1Gi",
        "network": {"mode": "isolated", "enforcement": "required"},
        "workspace": {"size": "10Gi", "scope": "sandbox"},
        "ttl": "8h",
        "idle_timeout": "15m",
        "overrides": {"cpu": {"max": "4"}},
    })
}

/// Guards that the list of fields is complete: each is parsed, and no other.
#[test]
fn the_fields_are_those_that_are_listed() {
    let all = every_field();
    let mut written: Vec<_> =
        all.as_object().unwrap().keys().map(String::as_str).chain(["extends"]).collect();
    let mut listed = FIELDS.to_vec();
    written.sort_unstable();
    listed.sort_unstable();
    assert_eq!(written, listed);
    let error = Profile::default().set("cpus", &json!("1")).unwrap_err();
    assert_eq!(error.message, "it is not a field of a profile");
}

/// Guards what each field changes in the Pod.
#[test]
fn each_field_reaches_the_pod() {
    let pod = serde_json::to_value(pod(&every_field())).unwrap();
    let (metadata, spec) = (&pod["metadata"], &pod["spec"]);
    let sandbox = &spec["containers"][0];
    for (found, expected) in [
        (&metadata["labels"]["example.com/tier"], json!("large")),
        (&metadata["labels"]["sandbox-provisioner/profile"], json!("x")),
        (&metadata["labels"]["sandbox-provisioner/network"], json!("isolated")),
        (&metadata["annotations"]["example.com/owner"], json!("the team")),
        (&sandbox["image"], json!("registry.example/large:1")),
        (
            &sandbox["resources"],
            json!({
                "requests": {"cpu": "500m", "memory": "4Gi", "ephemeral-storage": "500Mi"},
                "limits": {"cpu": "3", "memory": "4Gi", "ephemeral-storage": "5Gi"},
            }),
        ),
        (&metadata["annotations"]["sandbox-provisioner/cpu-after-start"], json!("2")),
        (&sandbox["env"], json!([{"name": "HTTP_PROXY", "value": "http://proxy:3128"}])),
        (&spec["nodeSelector"], json!({"pool": "sandboxes"})),
        (&spec["tolerations"][0]["key"], json!("sandboxes")),
        (
            &spec["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
                [0]["matchExpressions"][0]["values"],
            json!(["ssd"]),
        ),
        (&spec["topologySpreadConstraints"][0]["topologyKey"], json!("zone")),
        (
            &spec["topologySpreadConstraints"][1],
            json!({
                "maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "DoNotSchedule",
                "labelSelector": {"matchLabels": {"app": "deer-flow-sandbox"}},
            }),
        ),
        (
            &spec["affinity"]["podAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"],
            json!([{"weight": 100, "podAffinityTerm": {
                "topologyKey": "kubernetes.io/hostname",
                "labelSelector": {"matchLabels": {"app.kubernetes.io/name": "sandbox-image"}},
            }}]),
        ),
        (&spec["runtimeClassName"], json!("gvisor")),
        (&spec["priorityClassName"], json!("low")),
        (&spec["schedulerName"], json!("other")),
        (&spec["imagePullSecrets"], json!([{"name": "registry"}])),
        (
            &spec["securityContext"],
            json!({
                "runAsUser": 1000, "runAsGroup": 1001, "fsGroup": 1002, "runAsNonRoot": true,
                "seccompProfile": {"type": "RuntimeDefault"},
            }),
        ),
        (
            &sandbox["securityContext"],
            json!({"privileged": false, "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}),
        ),
        (&spec["automountServiceAccountToken"], json!(true)),
        (&spec["hostUsers"], json!(false)),
    ] {
        assert_eq!(*found, expected);
    }
    let volumes = spec["volumes"].as_array().unwrap();
    let find = |name: &str| &volumes.iter().find(|volume| volume["name"] == name).unwrap()["emptyDir"];
    assert_eq!(*find("shm"), json!({"medium": "Memory", "sizeLimit": "64Mi"}));
    assert_eq!(*find("tmp"), json!({"sizeLimit": "1Gi"}));
    let mounts = sandbox["volumeMounts"].as_array().unwrap();
    for (name, path) in [("shm", "/dev/shm"), ("tmp", "/tmp")] {
        assert!(mounts.iter().any(|mount| mount["name"] == name && mount["mountPath"] == path), "{name}");
    }
}

/// Guards which CPU a Pod starts with: more than it is to have, with a request that follows as for every other limit, and
/// the later limit in an annotation. Without more, there is no annotation.
#[test]
fn a_sandbox_starts_with_more_cpu() {
    for (fields, requests, limits, after) in [
        (json!({"cpu": {"request": "200m", "limit": "1"}, "start_cpu": "4"}), "200m", "4", Some("1")),
        (json!({"cpu": "500m", "start_cpu": "2"}), "2", "2", Some("500m")),
        (json!({"cpu": "0.5", "start_cpu": "2"}), "2", "2", Some("500m")),
        (json!({"start_cpu": "2"}), "100m", "2", Some("1")),
        (json!({"start_cpu": "1"}), "100m", "1000m", None),
        (json!({"cpu": "2"}), "2", "2", None),
    ] {
        let pod = pod(&fields);
        let annotation = pod.metadata.annotations.as_ref().unwrap().get(names::CPU_AFTER_START);
        assert_eq!(annotation.map(String::as_str), after, "{fields}");
        let resources = pod.spec.unwrap().containers[0].resources.clone().unwrap();
        assert_eq!(resources.requests.unwrap()["cpu"].0, requests, "{fields}");
        assert_eq!(resources.limits.unwrap()["cpu"].0, limits, "{fields}");
    }
}

/// Guards that an empty profile changes nothing but the label with its name.
#[test]
fn an_empty_profile_changes_nothing() {
    let mut with = pod(&json!({}));
    let without =
        manifest::pod(&Template::default(), &CreateRequest::new(SandboxId::parse("a").unwrap())).unwrap();
    assert_eq!(with.metadata.labels.as_mut().unwrap().remove(names::PROFILE).as_deref(), Some("x"));
    assert_eq!(with, without);
}

/// Guards that no profile reaches the name, the labels of this program, a host path, another container or a variable
/// that this program sets.
#[test]
fn a_profile_leaves_alone_what_is_not_its_own() {
    let template = Template {
        profiles: resolve(&json!({ "x": every_field() }), false).unwrap(),
        lark_broker_image: Some("broker:1".to_owned()),
        ..Template::default()
    };
    let plain = CreateRequest {
        provision_lark_cli_broker: true,
        max_shell_sessions: lifecycle::spec::ShellSessions::new(3),
        ..CreateRequest::new(SandboxId::parse("a").unwrap())
    };
    let without = manifest::pod(&template, &plain).unwrap();
    let with =
        manifest::pod(&template, &CreateRequest { profile: Some(name("x")), ..plain.clone() }).unwrap();
    assert_eq!(with.metadata.name, without.metadata.name);
    for (key, value) in without.metadata.labels.iter().flatten() {
        assert_eq!(with.metadata.labels.as_ref().unwrap().get(key), Some(value));
    }
    let (with, without) = (with.spec.unwrap(), without.spec.unwrap());
    let [volumes, more] = [&without, &with].map(|spec| spec.volumes.as_deref().unwrap());
    assert_eq!(&more[..volumes.len()], volumes);
    assert!(
        more[volumes.len()..].iter().all(|volume| volume.empty_dir.is_some() || volume.name == "workspace")
    );
    let [broker, same] = [&without, &with].map(|spec| &spec.containers[1]);
    assert_eq!((&broker.image, &broker.env, &broker.resources), (&same.image, &same.env, &same.resources));
    let [env, more] = [&without, &with].map(|spec| spec.containers[0].env.as_deref().unwrap());
    assert!(more.ends_with(env), "of two variables with one name the last counts");
    let request = CreateRequest { profile: Some(name("x")), ..plain };
    assert_eq!(
        manifest::service(&template, &request).spec.unwrap().selector,
        Some(BTreeMap::from([("sandbox-id".to_owned(), "a".to_owned())]))
    );
}

fn is_refused(field: &str, value: &Value, path: &str, words: &str) {
    let error = Profile::default().set(field, value).unwrap_err();
    assert_eq!(error.path, path, "{field} = {value}: {error:?}");
    assert!(error.message.contains(words), "{field} = {value}: {}", error.message);
    assert!(!error.message.contains(char::is_control) && error.message.len() < 500, "{}", error.message);
}

/// Guards that each value that is not allowed gets a sentence with its path and what is allowed, and is not used.
#[test]
fn values_that_are_not_allowed_are_refused() {
    for (field, value, path, words) in [
        ("extends", json!("Large"), "", "the name of a profile"),
        ("description", json!("a\nb"), "", "one line"),
        ("image", json!("\"img\""), "", "without quotes"),
        ("image", json!(7), "", "7 is not allowed; allowed: an image reference"),
        ("cpu", json!("two"), "", "\"two\" is not allowed; allowed: a number of cores"),
        ("cpu", json!("-1"), "", "a number of cores"),
        ("cpu", json!(0), "", "a number of cores"),
        ("cpu", json!(["1"]), "", "a list is not allowed"),
        (
            "cpu",
            json!({"request": "1", "max": "2"}),
            "",
            "\"max\" is not allowed; allowed: request and limit",
        ),
        ("start_cpu", json!({"limit": "2"}), "", "a table is not allowed; allowed: a number of cores"),
        ("memory", json!({"limit": "1GB"}), ".limit", "\"1GB\" is not allowed"),
        ("memory", json!(true), "", "or a table with request and limit"),
        ("ephemeral_storage", json!("1 Gi"), "", "a number of bytes"),
        ("env", json!(["A=b"]), "", "it is not a table of texts"),
        ("env", json!("A=b"), "", "it is not a table of texts"),
        ("env", json!({"A": "b\0"}), ".A", "the value is not a text without NUL"),
        ("env", json!({"A": 12_345}), ".A", "the value is not a text without NUL"),
        ("env", json!({"1A": "b"}), "", "the key \"1A\" is not allowed"),
        ("env", json!({"MAX_SHELL_SESSIONS": "9"}), "", "which this program sets"),
        ("env", json!({"DEERFLOW_LARK_BROKER_URL": "x"}), "", "which this program sets"),
        ("labels", json!({"app": "x"}), "", "the key \"app\" is not allowed"),
        ("labels", json!({"sandbox-id": "x"}), "", "which this program sets"),
        ("labels", json!({"app.kubernetes.io/managed-by": "x"}), "", "which this program sets"),
        ("labels", json!({"sandbox-provisioner/profile": "x"}), "", "which this program sets"),
        ("labels", json!({"a": "b c"}), ".a", "at most 63"),
        ("labels", json!({"a/b/c": "x"}), "", "the key \"a/b/c\""),
        ("labels", json!({"-a": "x"}), "", "the key \"-a\""),
        ("annotations", json!({"sandbox-provisioner/ttl": "1h"}), "", "which this program sets"),
        ("node_selector", json!({"a": 1}), ".a", "1 is not allowed"),
        ("node_selector", json!("a=b"), "", "a table of texts"),
        ("spread", json!("even"), "", "\"even\" is not allowed; allowed: none, preferred, required"),
        ("image_locality", json!("required"), "", "\"required\" is not allowed; allowed: none, preferred"),
        ("runtime_class", json!("gVisor"), "", "the name of a Kubernetes object"),
        ("priority_class", json!(""), "", "the name of a Kubernetes object"),
        ("scheduler_name", json!("a..b"), "", "the name of a Kubernetes object"),
        ("image_pull_secrets", json!("registry"), "", "a list of names"),
        ("image_pull_secrets", json!(["registry", "a/b"]), "[1]", "the name of a Kubernetes object"),
        ("security", json!("privileged"), "", "allowed: deerflow, baseline, restricted"),
        ("run_as_user", json!(-1), "", "between 0 and 2147483647"),
        ("run_as_group", json!("1000"), "", "between 0 and 2147483647"),
        ("fs_group", json!(2_147_483_648_i64), "", "between 0 and 2147483647"),
        ("automount_service_account_token", json!("no"), "", "true or false"),
        ("host_users", json!(0), "", "true or false"),
        ("shm_size", json!(64), "", "a number of bytes from \"1Mi\""),
        ("tmp_size", json!({"limit": "1Gi"}), "", "a table is not allowed"),
        ("ttl", json!(60), "", "60 is not allowed; allowed: a duration"),
        ("ttl", json!("0s"), "", "between 1s and 365d"),
        ("idle_timeout", json!("400d"), "", "between 1s and 365d"),
    ] {
        is_refused(field, &value, path, words);
    }
}

/// Guards that Kubernetes' own shapes are checked as its API server checks them: types, names of fields and values.
#[test]
fn the_shapes_of_kubernetes_are_checked() {
    for (field, value, path, words) in [
        ("tolerations", json!({"key": "x"}), "", "expected"),
        ("tolerations", json!([{"key": 7}]), "[0].key", "expected a string"),
        ("tolerations", json!([{}, {"efect": "NoSchedule"}]), "[1].efect", "Kubernetes has no such field"),
        (
            "tolerations",
            json!([{"operator": "Exist"}]),
            "[0].operator",
            "\"Exist\" is not allowed; allowed: Exists, Equal, Lt, Gt",
        ),
        ("tolerations", json!([{"effect": "No"}]), "[0].effect", "allowed: NoSchedule, "),
        (
            "affinity",
            json!({"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [
                {"weight": 500, "podAffinityTerm": {"topologyKey": "zone"}}]}}),
            ".podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight",
            "between 1 and 100",
        ),
        (
            "affinity",
            json!({"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{}]}}),
            ".podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].topologyKey",
            "a label key",
        ),
        (
            "topology_spread_constraints",
            json!([{"maxSkew": 0, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}]),
            "[0].maxSkew",
            "above 0",
        ),
        (
            "topology_spread_constraints",
            json!([{"maxSkew": 1, "topologyKey": "zone"}]),
            "[0].whenUnsatisfiable",
            "\"\" is not allowed; allowed: DoNotSchedule",
        ),
        ("affinity", json!({"podAntiAfinity": {}}), ".podAntiAfinity", "Kubernetes has no such field"),
        (
            "affinity",
            json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
                {"matchExpressions": [{"key": "a", "operator": "In", "value": ["b"]}]}]}}}),
            ".nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[0].value",
            "Kubernetes has no such field",
        ),
        ("topology_spread_constraints", json!([{"maxSkew": "1"}]), "[0].maxSkew", "expected"),
        ("tolerations", json!([{"key": "a", "operator": "In"}]), "[0].operator", "allowed: Exists, Equal"),
        ("tolerations", json!([{"effect": "NoSchedule"}]), "[0]", "without key needs operator = \"Exists\""),
        (
            "tolerations",
            json!([{"key": "a", "operator": "Exists", "value": "b"}]),
            "[0].value",
            "not allowed with",
        ),
        ("tolerations", json!([{"key": "a", "tolerationSeconds": 5}]), "[0].tolerationSeconds", "NoExecute"),
    ] {
        is_refused(field, &value, path, words);
    }
}

/// Guards that each kind of selector has the operators that Kubernetes has for it, with the values that they need.
#[test]
fn operators_belong_to_their_selectors() {
    let expression =
        |operator: &str, values: Value| json!([{"key": "a", "operator": operator, "values": values}]);
    let of_nodes = |operator: &str, values| {
        let terms = json!([{"matchExpressions": expression(operator, values)}]);
        let value = json!({"nodeAffinity":
            {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}});
        Profile::default().set("affinity", &value).err()
    };
    let of_pods = |operator: &str, values| {
        let selector = json!({"matchExpressions": expression(operator, values)});
        let value = json!({"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution":
            [{"topologyKey": "zone", "labelSelector": selector}]}});
        Profile::default().set("affinity", &value).err()
    };
    for (operator, values, fits_nodes, fits_pods) in [
        ("In", json!(["b"]), true, true),
        ("NotIn", json!(["b", "c"]), true, true),
        ("In", json!([]), false, false),
        ("Exists", json!([]), true, true),
        ("DoesNotExist", json!(["b"]), false, false),
        ("Gt", json!(["5"]), true, false),
        ("Lt", json!(["5", "6"]), false, false),
        ("Equal", json!(["b"]), false, false),
    ] {
        let (nodes, pods) = (of_nodes(operator, values.clone()), of_pods(operator, values.clone()));
        assert_eq!(
            (nodes.is_none(), pods.is_none()),
            (fits_nodes, fits_pods),
            "{operator} {values} {nodes:?} {pods:?}"
        );
    }
    let none = json!({"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}});
    let error = Profile::default().set("affinity", &none).unwrap_err();
    assert!(
        error.message.contains("an empty list is not allowed; allowed: a list with at least one term"),
        "{error:?}"
    );
}

/// Guards what a profile takes from the one that it extends: maps key by key, lists and values as a whole.
#[test]
fn a_profile_extends_another() {
    let profiles = resolve(
        &json!({
            "base": {
                "cpu": {"request": "1", "limit": "2"}, "env": {"A": "1", "B": "1"},
                "tolerations": [{"key": "a"}], "ttl": "1h", "security": "baseline",
            },
            "middle": {"extends": "base", "cpu": {"limit": "4"}, "env": {"B": "2"}, "run_as_user": 7},
            "top": {"extends": "middle", "tolerations": [], "ttl": "2h"},
        }),
        false,
    )
    .unwrap();
    let top = profiles.get(&name("top")).unwrap();
    assert_eq!(
        (top.cpu.request.as_ref(), top.cpu.limit.as_ref()),
        (Quantity::parse_cores("1").as_ref(), Quantity::parse_cores("4").as_ref())
    );
    assert_eq!(
        top.env.iter().map(|(k, v)| (k.as_str(), v.0.as_str())).collect::<Vec<_>>(),
        [("A", "1"), ("B", "2")]
    );
    assert_eq!(top.tolerations, Some(vec![]));
    assert_eq!(top.ttl, Some(Duration::from_secs(7200)));
    assert_eq!((top.security.level(), top.security.run_as_user), (Level::Baseline, Some(7)));
}

/// Guards that profiles that cannot work are refused, all of them at once.
#[test]
fn profiles_that_cannot_work_are_refused() {
    let refused = |fields: Value, has_host_paths| resolve(&fields, has_host_paths).unwrap_err().join("; ");
    assert_eq!(
        refused(json!({"a": {"extends": "b"}, "c": {"extends": "c"}}), false),
        "profiles.a.extends: there is no profile \"b\"; profiles.c.extends: the profile extends itself"
    );
    let circle = refused(json!({"a": {"extends": "b"}, "b": {"extends": "a"}}), false);
    assert_eq!(circle.matches("extends itself").count(), 2, "{circle}");
    let above =
        refused(json!({"a": {"memory": {"limit": "128Mi"}}, "b": {"cpu": {"request": "1500m"}}}), false);
    assert!(
        above.contains("profiles.a.memory: the request \"256Mi\" is above the limit \"128Mi\""),
        "{above}"
    );
    assert!(above.contains("profiles.b.cpu: the request \"1500m\" is above the limit \"1000m\""), "{above}");
    let start = refused(json!({"a": {"start_cpu": "500m"}}), false);
    assert_eq!(
        start,
        "profiles.a.start_cpu: \"500m\" is below the limit of cpu, which is \"1000m\"; set at least that"
    );
    for user in [json!({"security": "restricted"}), json!({"security": "restricted", "run_as_user": 0})] {
        assert!(refused(json!({ "a": user }), false).contains("a user that is not 0"));
    }
    let constraint =
        |key: &str, action: &str| json!({"maxSkew": 1, "topologyKey": key, "whenUnsatisfiable": action});
    let (hosts, zones) = ("kubernetes.io/hostname", "zone");
    let twice = refused(
        json!({
            "a": {"topology_spread_constraints": [constraint(zones, "ScheduleAnyway"), constraint(zones, "ScheduleAnyway")]},
            "b": {"spread": "preferred", "topology_spread_constraints": [constraint(hosts, "ScheduleAnyway")]},
            "c": {"spread": "required", "topology_spread_constraints": [constraint(hosts, "ScheduleAnyway")]},
            "d": {"spread": "none", "topology_spread_constraints": [constraint(hosts, "ScheduleAnyway")]},
        }),
        false,
    );
    let words = "topology_spread_constraints: two constraints, or one and spread, have topologyKey";
    assert!(twice.contains(&format!("profiles.a.{words} \"zone\"")), "{twice}");
    assert!(twice.contains(&format!("profiles.b.{words} \"kubernetes.io/hostname\"")), "{twice}");
    assert_eq!(twice.matches(words).count(), 2, "{twice}");
    let host = refused(json!({"a": {"security": "baseline"}}), true);
    assert!(host.contains("forbid host paths; set USERDATA_PVC_NAME and SKILLS_PVC_NAME"), "{host}");
}

/// Guards that the values of environment variables do not appear in `Debug`.
#[test]
fn values_of_variables_are_hidden() {
    let shown = format!("{:?}", profile(&json!({"env": {"TOKEN": "s3cret"}})));
    assert!(shown.contains("TOKEN") && !shown.contains("s3cret"), "{shown}");
}
