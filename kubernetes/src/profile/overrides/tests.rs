//! The fields that a request may set: parsing, merging and checking the bounds, and the resulting Pod.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Pod};
use lifecycle::{
    ids::SandboxId,
    request::{CreateRequest, RequestedOverrides},
    spec::Resources,
    text::Hidden,
};
use serde_json::json;

use super::*;
use crate::{
    manifest::{self, Template},
    profile::{HostPaths, Profile, Profiles},
};

fn name(text: &str) -> ProfileName {
    ProfileName::parse(text).unwrap()
}

/// Resolves profiles with these fields, by their names.
fn resolve(fields: &Value) -> Result<Profiles, String> {
    let profile = |fields: &Value| {
        let mut profile = Profile::default();
        for (field, value) in fields.as_object().unwrap() {
            profile.set(field, value).unwrap_or_else(|error| panic!("{field}: {error:?}"));
        }
        profile
    };
    let written: BTreeMap<_, _> =
        fields.as_object().unwrap().iter().map(|(key, fields)| (name(key), profile(fields))).collect();
    Profiles::new(&written, &manifest::default_resources(), HostPaths::default())
        .map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
}

/// A profile that lets a request set everything.
fn bounded() -> Value {
    json!({
        "cpu": {"request": "200m", "limit": "2"},
        "memory": "1Gi",
        "env": {"LANG": "C", "KEPT": "1"},
        "labels": {"team.example.com/name": "a"},
        "image": "ghcr.io/org/sandbox:1",
        "overrides": {
            "cpu": {"min": "100m", "max": "4"},
            "memory": {"min": "512Mi"},
            "ephemeral_storage": {},
            "env": ["FEATURE_*", "LANG", "*"],
            "labels": ["team.example.com/", "app"],
            "image": ["ghcr.io/org/sandbox:*"],
            "network": ["isolated", "allow-list"],
            "workspace": {"size": {"min": "1Gi", "max": "50Gi"}},
        },
    })
}

fn requested(fields: &Value) -> RequestedOverrides {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let texts = |value: &Value| {
        let entries = value.as_object().into_iter().flatten();
        entries
            .map(|(key, value)| (key.clone(), value.as_str().unwrap().to_owned()))
            .collect::<BTreeMap<_, _>>()
    };
    RequestedOverrides {
        resources: Resources {
            cpu: text(&fields["cpu"]),
            memory: text(&fields["memory"]),
            ephemeral_storage: text(&fields["ephemeral_storage"]),
        },
        env: texts(&fields["env"]).into_iter().map(|(name, value)| (name, Hidden(value))).collect(),
        labels: texts(&fields["labels"]),
        image: text(&fields["image"]),
        network: fields["network"].as_str().and_then(NetworkMode::parse),
    }
}

fn request(profile: Option<&str>, fields: &Value) -> CreateRequest {
    CreateRequest {
        profile: profile.map(name),
        overrides: requested(fields),
        ..CreateRequest::new(SandboxId::parse("a").unwrap())
    }
}

/// Returns the Pod of a request, or the text of the error.
fn pod(profile: &Value, fields: &Value) -> Result<Pod, String> {
    let profiles = resolve(&json!({ "large": profile, "strict": {} })).unwrap();
    let template = Template { profiles, ..Template::default() };
    manifest::pod(&template, &request(Some("large"), fields)).map_err(|error| error.to_string())
}

fn sandbox(pod: Pod) -> Container {
    pod.spec.unwrap().containers.swap_remove(0)
}

/// Guards that each value of the table `overrides` that is not allowed gets a sentence with its path and what is allowed.
#[test]
fn overrides_that_are_not_allowed_are_refused() {
    for (value, path, words) in [
        (json!("cpu"), "", "a table with the fields that a request may set"),
        (json!({"cpus": {}}), ".cpus", "a request cannot set it; the fields are cpu, memory, "),
        (json!({"runtime_class": ["gvisor"]}), ".runtime_class", "a request cannot set it"),
        (json!({"cpu": "4"}), ".cpu", "\"4\" is not allowed; allowed: a table with min and max"),
        (json!({"cpu": {"limit": "4"}}), ".cpu.limit", "a table with min and max"),
        (json!({"cpu": {"max": "many"}}), ".cpu.max", "\"many\" is not allowed; allowed: a number of cores"),
        (json!({"cpu": {"min": 0}}), ".cpu.min", "a number of cores from \"1m\""),
        (
            json!({"memory": {"max": "4GB"}}),
            ".memory.max",
            "\"4GB\" is not allowed; allowed: a number of bytes",
        ),
        (json!({"ephemeral_storage": {"min": "1"}}), ".ephemeral_storage.min", "a number of bytes"),
        (json!({"env": "LANG"}), ".env", "a list of patterns"),
        (json!({"env": ["LANG", "A-B"]}), ".env[1]", "\"A-B\" is not allowed; allowed: a pattern of names"),
        (json!({"env": ["1A*"]}), ".env[0]", "a pattern of names"),
        (json!({"env": [""]}), ".env[0]", "a pattern of names"),
        (json!({"env": ["MAX_SHELL_SESSIONS"]}), ".env[0]", "which no request can set"),
        (json!({"env": ["DEERFLOW_*"]}), ".env[0]", "which no request can set"),
        (json!({"env": ["KUBERNETES_SERVICE_HOST"]}), ".env[0]", "which no request can set"),
        (json!({"labels": {"a": "b"}}), ".labels", "a list of beginnings of keys"),
        (json!({"labels": [""]}), ".labels[0]", "the beginning of the keys of labels"),
        (json!({"labels": ["a/b/"]}), ".labels[0]", "the beginning of the keys of labels"),
        (json!({"labels": ["-a"]}), ".labels[0]", "the beginning of the keys of labels"),
        (json!({"labels": ["kubernetes.io/"]}), ".labels[0]", "which no request can set"),
        (json!({"labels": ["app.kubernetes.io/name"]}), ".labels[0]", "which no request can set"),
        (json!({"labels": ["x.k8s.io/"]}), ".labels[0]", "which no request can set"),
        (json!({"labels": ["sandbox-provisioner/"]}), ".labels[0]", "which no request can set"),
        (json!({"image": "a:*"}), ".image", "a list of patterns"),
        (json!({"image": ["a b"]}), ".image[0]", "a pattern of images"),
        (
            json!({"network": ["closed"]}),
            ".network[0]",
            "\"closed\" is not allowed; allowed: open, isolated, allow-list",
        ),
        (json!({"network": "open"}), ".network", "a list of network modes"),
        (
            json!({"workspace": {"max": "1Gi"}}),
            ".workspace.max",
            "a request cannot set it; the fields are size",
        ),
        (json!({"workspace": {"size": "1Gi"}}), ".workspace.size", "a table with min and max"),
        (json!({"workspace": {"size": {"max": "1"}}}), ".workspace.size.max", "a number of bytes"),
    ] {
        let error = Profile::default().set("overrides", &value).unwrap_err();
        assert_eq!(error.path, path, "{value}: {error:?}");
        assert!(error.message.contains(words), "{value}: {}", error.message);
    }
}

/// Guards that bounds between which there is nothing, or not what the profile itself has, are refused at the start.
#[test]
fn bounds_that_cannot_work_are_refused() {
    for (fields, expected) in [
        (
            json!({"overrides": {"cpu": {"min": "2", "max": "1"}}}),
            "profiles.a.overrides.cpu: the minimum \"2\" is above the maximum, which is \"1\"",
        ),
        (
            json!({"memory": "1Gi", "overrides": {"memory": {"min": "2Gi"}}}),
            "profiles.a.overrides.memory: the minimum \"2Gi\" is above the profile's own amount, which is \"1Gi\"",
        ),
        (
            json!({"overrides": {"cpu": {"max": "500m"}}}),
            "profiles.a.overrides.cpu: the profile's own amount \"1000m\" is not between 0 and 500m; set other bounds, \
             or another amount",
        ),
        (
            json!({"overrides": {"ephemeral_storage": {"min": "1Gi", "max": "2Gi"}}}),
            "profiles.a.overrides.ephemeral_storage: the profile's own amount \"500Mi\" is not between 1Gi and 2Gi; set \
             other bounds, or another amount",
        ),
    ] {
        assert_eq!(resolve(&json!({ "a": fields })).unwrap_err(), expected);
    }
}

/// Guards that a profile takes each field of the overrides from the one that it extends, and each end of bounds.
#[test]
fn overrides_are_merged_field_by_field() {
    let profiles = resolve(&json!({
        "base": {"overrides": {
            "cpu": {"min": "100m", "max": "4"}, "env": ["A", "B"], "labels": ["x.example/"], "network": ["open"],
        }},
        "top": {"extends": "base", "overrides": {"cpu": {"max": "8"}, "env": ["C"], "network": [], "memory": {}}},
    }))
    .unwrap();
    let top = &profiles.get(&name("top")).unwrap().overrides;
    let cpu = |text| Quantity::parse_cores(text);
    assert_eq!(top.cpu, Some(Bounds { min: cpu("100m"), max: cpu("8") }));
    assert_eq!(top.memory, Some(Bounds::default()));
    assert_eq!(top.env.as_ref().unwrap().iter().map(Pattern::as_str).collect::<Vec<_>>(), ["C"]);
    assert_eq!(top.labels, Some(vec!["x.example/".to_owned()]));
    assert_eq!(top.network, Some(vec![]));
    assert_eq!(top.image, None);
}

/// Guards which limits and requests a Pod gets: the quality of service stays that of the profile.
#[test]
fn limits_are_set_and_requests_follow() {
    for (profile, wanted, requests, limits) in [
        // The request is the limit, and stays it.
        (json!({"cpu": "2"}), "3", "3", "3"),
        (json!({"cpu": "2"}), "500m", "500m", "500m"),
        (json!({"cpu": {"request": "2000m", "limit": "2"}}), "1", "1", "1"),
        // The request is below the limit, and stays where it is, unless it would be above it.
        (json!({"cpu": {"request": "200m", "limit": "2"}}), "3", "200m", "3"),
        (json!({"cpu": {"request": "200m", "limit": "2"}}), "100m", "100m", "100m"),
        (json!({"cpu": {"request": "200m", "limit": "2"}}), "200m", "200m", "200m"),
        // Those of a Pod without a profile: from 100m to 1.
        (json!({}), "4", "100m", "4"),
        (json!({}), "50m", "50m", "50m"),
    ] {
        let mut profile = profile;
        profile["overrides"] = json!({"cpu": {"min": "10m", "max": "4"}});
        let sandbox = sandbox(pod(&profile, &json!({"cpu": wanted})).unwrap());
        let resources = sandbox.resources.unwrap();
        assert_eq!(resources.requests.unwrap()["cpu"].0, requests, "{profile} {wanted}");
        assert_eq!(resources.limits.unwrap()["cpu"].0, limits, "{profile} {wanted}");
    }
}

/// Guards what a request within the bounds changes: its own variables, labels and image, beside those of the profile.
#[test]
fn a_request_within_the_bounds_is_applied() {
    let fields = json!({
        "cpu": "4", "memory": "512Mi", "ephemeral_storage": "100Mi",
        "env": {"FEATURE_X": "on", "LANG": "de"},
        "labels": {"team.example.com/name": "b", "application": "c"},
        "image": "ghcr.io/org/sandbox:2",
    });
    let pod = pod(&bounded(), &fields).unwrap();
    let labels = pod.metadata.labels.clone().unwrap();
    assert_eq!((labels["team.example.com/name"].as_str(), labels["application"].as_str()), ("b", "c"));
    assert_eq!(labels["app"], "deer-flow-sandbox");
    let sandbox = serde_json::to_value(sandbox(pod)).unwrap();
    assert_eq!(sandbox["image"], "ghcr.io/org/sandbox:2");
    assert_eq!(
        sandbox["resources"],
        json!({
            "requests": {"cpu": "200m", "memory": "512Mi", "ephemeral-storage": "100Mi"},
            "limits": {"cpu": "4", "memory": "512Mi", "ephemeral-storage": "100Mi"},
        })
    );
    assert_eq!(
        sandbox["env"],
        json!([
            {"name": "FEATURE_X", "value": "on"}, {"name": "KEPT", "value": "1"}, {"name": "LANG", "value": "de"}
        ])
    );
}

/// Guards that each value beyond the bounds gets a sentence with the field, the value and the bound.
#[test]
fn a_request_beyond_the_bounds_is_refused() {
    for (fields, expected) in [
        (json!({"cpu": "8"}), "resources.cpu: 8 is above 4, the maximum of the profile large"),
        (json!({"cpu": "4001m"}), "resources.cpu: 4001m is above 4, the maximum of the profile large"),
        (json!({"cpu": "99m"}), "resources.cpu: 99m is below 100m, the minimum of the profile large"),
        (json!({"cpu": "two"}), "resources.cpu: \"two\" is not allowed; allowed: a number of cores from"),
        (json!({"cpu": "-1"}), "resources.cpu: \"-1\" is not allowed"),
        (json!({"cpu": "1Gi"}), "resources.cpu: \"1Gi\" is not allowed"),
        (json!({"memory": "2Gi"}), "resources.memory: 2Gi is above 1Gi, the maximum of the profile large"),
        (
            json!({"memory": "511Mi"}),
            "resources.memory: 511Mi is below 512Mi, the minimum of the profile large",
        ),
        (json!({"memory": "512"}), "resources.memory: \"512\" is not allowed; allowed: a number of bytes"),
        (
            json!({"ephemeral_storage": "1Gi"}),
            "resources.ephemeral_storage: 1Gi is above 500Mi, the maximum of",
        ),
        (
            json!({"env": {"MAX_SHELL_SESSIONS": "9"}}),
            "env.MAX_SHELL_SESSIONS: no request can set it, because this",
        ),
        (
            json!({"env": {"DEERFLOW_LARK_BROKER_URL": "x"}}),
            "env.DEERFLOW_LARK_BROKER_URL: no request can set it",
        ),
        (
            json!({"env": {"KUBERNETES_SERVICE_HOST": "x"}}),
            "env.KUBERNETES_SERVICE_HOST: no request can set it",
        ),
        (
            json!({"env": {"1A": "x"}}),
            "env: the name \"1A\" is not allowed; allowed: the name of an environment",
        ),
        (json!({"env": {"A=B": "x"}}), "env: the name \"A=B\" is not allowed"),
        (json!({"env": {"": "x"}}), "env: the name \"\" is not allowed"),
        (json!({"labels": {"app": "x"}}), "labels.app: no request can set it"),
        (json!({"labels": {"sandbox-id": "x"}}), "labels.sandbox-id: no request can set it"),
        (
            json!({"labels": {"app.kubernetes.io/name": "x"}}),
            "labels.app.kubernetes.io/name: no request can set it",
        ),
        (json!({"labels": {"kubernetes.io/os": "x"}}), "labels.kubernetes.io/os: no request can set it"),
        (json!({"labels": {"node.k8s.io/x": "x"}}), "labels.node.k8s.io/x: no request can set it"),
        (
            json!({"labels": {"sandbox-provisioner/profile": "x"}}),
            "labels.sandbox-provisioner/profile: no request",
        ),
        (
            json!({"labels": {"tier": "x"}}),
            "labels.tier: the key is not allowed by the profile large, which allows team",
        ),
        (json!({"labels": {"a b": "x"}}), "labels: the key \"a b\" is not allowed; allowed: a label key"),
        (
            json!({"labels": {"team.example.com/a": "x y"}}),
            "labels.team.example.com/a: \"x y\" is not allowed; allowed: at",
        ),
        (
            json!({"image": "ghcr.io/org/other:1"}),
            "image: \"ghcr.io/org/other:1\" is not allowed by the profile large",
        ),
        (
            json!({"image": "evil.example/ghcr.io/org/sandbox:1"}),
            "image: \"evil.example/ghcr.io/org/sandbox:1\" is not",
        ),
        (
            json!({"image": "ghcr.io/org/sandbox:1 x"}),
            "image: \"ghcr.io/org/sandbox:1 x\" is not allowed; allowed: an image",
        ),
    ] {
        let error = pod(&bounded(), &fields).unwrap_err();
        assert!(error.starts_with(expected), "{error}\n{expected}");
        assert!(error.len() < 500, "{error}");
        let template =
            Template { profiles: resolve(&json!({ "large": bounded() })).unwrap(), ..Template::default() };
        let checked = manifest::check(&template, &request(Some("large"), &fields));
        assert_eq!(checked.unwrap_err().to_string(), error, "also for a sandbox that exists");
    }
}

/// Guards that a field without bounds is refused with what an operator would write, with a profile and without.
#[test]
fn a_field_without_bounds_is_refused() {
    let profiles = resolve(&json!({ "strict": {"env": {"A": "b"}} })).unwrap();
    let template = Template { profiles, ..Template::default() };
    for (fields, field, setting) in [
        (json!({"cpu": "1"}), "resources.cpu", "cpu = { min = \"100m\", max = \"4\" }"),
        (json!({"memory": "1Gi"}), "resources.memory", "memory = { min = \"256Mi\", max = \"8Gi\" }"),
        (
            json!({"ephemeral_storage": "1Gi"}),
            "resources.ephemeral_storage",
            "ephemeral_storage = { min = \"500Mi\", max = \"20Gi\" }",
        ),
        (json!({"env": {"A": "s3cret"}}), "env", "env = [\"NAME\"]"),
        (json!({"labels": {"a": "b"}}), "labels", "labels = [\"team.example.com/\"]"),
        (json!({"image": "a"}), "image", "image = [\"registry.example/sandbox:*\"]"),
    ] {
        let refused = |profile| manifest::pod(&template, &request(profile, &fields)).unwrap_err().to_string();
        assert_eq!(
            refused(Some("strict")),
            format!(
                "{field}: the profile strict does not let a request set this; an operator allows it with {setting} in \
                 [profiles.strict.overrides]"
            )
        );
        assert_eq!(
            refused(None),
            format!(
                "{field}: without a profile, no request can set this; an operator allows it with {setting} in \
                 [profiles.default.overrides]"
            )
        );
    }
}

/// Guards which network modes and sizes of the workspace a request may name.
#[test]
fn networks_and_workspaces_are_bounded() {
    let profiles =
        resolve(&json!({ "large": bounded(), "strict": {"overrides": {"workspace": {"size": {}}}} }))
            .unwrap();
    let [large, strict] =
        ["large", "strict"].map(|of| (name(of), &profiles.get(&name(of)).unwrap().overrides));
    let network = |(name, of): &(ProfileName, &Overrides), mode| {
        of.check_network(name, mode).map_err(|error| error.to_string())
    };
    assert_eq!(network(&large, NetworkMode::Isolated), Ok(()));
    assert_eq!(
        network(&large, NetworkMode::Open).unwrap_err(),
        "network: open is not allowed by the profile large, which allows isolated, allow-list"
    );
    assert!(
        network(&strict, NetworkMode::Open)
            .unwrap_err()
            .contains("allows it with network = [\"isolated\"] in")
    );
    let own = Quantity::parse_bytes("5Gi");
    let size = |(name, of): &(ProfileName, &Overrides), size: &str| {
        of.check_workspace_size(name, size, own.as_ref()).map(drop).map_err(|error| error.to_string())
    };
    assert_eq!((size(&large, "50Gi"), size(&strict, "5Gi")), (Ok(()), Ok(())));
    assert_eq!(
        size(&large, "51Gi").unwrap_err(),
        "workspace.size: 51Gi is above 50Gi, the maximum of the profile large"
    );
    assert_eq!(
        size(&strict, "6Gi").unwrap_err(),
        "workspace.size: 6Gi is above 5Gi, the maximum of the profile strict",
        "without a maximum, the size that the profile has"
    );
    assert!(
        size(&large, "big")
            .unwrap_err()
            .starts_with("workspace.size: \"big\" is not allowed; allowed: a number")
    );
}
