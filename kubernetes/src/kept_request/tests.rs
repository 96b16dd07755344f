use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use lifecycle::{
    lifetime::{Limits, Owner},
    placement::replacement::Replacement,
};
use proptest::{collection::btree_map, option, prelude::*};
use serde_json::{Value, json};

use super::*;
use crate::manifest::{self, Template};

fn id() -> SandboxId {
    SandboxId::parse("a").unwrap()
}

/// Returns a Pod with the annotations of a request, as a move reads it.
fn pod(request: &CreateRequest, keeps_request: bool) -> PodRequest {
    let annotations = Some(annotations::of_request(request).collect());
    let mut pod = Pod { metadata: ObjectMeta { annotations, ..ObjectMeta::default() }, ..Pod::default() };
    mark(&mut pod, request, keeps_request);
    serde_json::from_value(serde_json::to_value(pod).unwrap()).unwrap()
}

fn decode(text: &str) -> Option<CreateRequest> {
    super::decode(&id(), serde_json::from_str(text).ok()?)
}

prop_compose! {
    fn overrides()(
        cpu in option::of("[0-9]{1,3}m"),
        memory in option::of("[0-9]{1,3}Gi"),
        ephemeral_storage in option::of("[0-9]{1,3}Mi"),
        env in btree_map("[A-Z_]{1,8}", ".{0,12}", 0..4),
        labels in btree_map("[a-z.]{1,8}/[a-z]{1,8}", "[a-z0-9]{0,12}", 0..4),
        image in option::of(".{1,30}"),
        network in option::of(prop::sample::select(NetworkMode::ALL.to_vec())),
    ) -> RequestedOverrides {
        RequestedOverrides {
            resources: Resources { cpu, memory, ephemeral_storage },
            env: env.into_iter().map(|(name, value)| (name, Hidden(value))).collect(),
            labels,
            image,
            network,
        }
    }
}

prop_compose! {
    fn request()(
        (thread, user) in (option::of("[A-Za-z0-9_-]{1,64}"), "[A-Za-z0-9_-]{1,255}"),
        mounts in prop::collection::vec((".{0,20}", ".{0,20}", any::<bool>()), 0..4),
        (legacy, runtime, broker) in any::<(bool, bool, bool)>(),
        skills in option::of(".{0,20}"),
        sessions in option::of(1_u128..),
        profile in option::of("[a-z0-9]{1,63}"),
        overrides in overrides(),
        workspace in option::of((option::of("[0-9]{1,3}Gi"), option::of(any::<bool>()))),
        (ttl, idle) in (option::of(1_u64..31_536_000), option::of(1_u64..31_536_000)),
        owner in option::of("[!-~]{1,128}"),
    ) -> CreateRequest {
        let when = |keep: bool| if keep { WhenDeleted::Keep } else { WhenDeleted::Delete };
        let mount = |(host_path, container_path, read_only)| ExtraMount { host_path, container_path, read_only };
        CreateRequest {
            thread_id: thread.and_then(|text| ThreadId::parse(&text)),
            user_id: UserId::parse(&user).unwrap(),
            extra_mounts: mounts.into_iter().map(mount).collect(),
            include_legacy_skills: legacy,
            skills_container_path: skills,
            provision_lark_cli_runtime: runtime,
            provision_lark_cli_broker: broker,
            max_shell_sessions: sessions.and_then(ShellSessions::new),
            profile: profile.and_then(|text| ProfileName::parse(&text)),
            overrides,
            workspace: workspace
                .map(|(size, keep)| WorkspaceRequest { size, when_deleted: keep.map(when) }),
            limits: Limits {
                ttl: ttl.map(Duration::from_secs),
                idle_timeout: idle.map(Duration::from_secs),
            },
            owner: owner.and_then(|text| Owner::parse(&text)),
            ..CreateRequest::new(id())
        }
    }
}

proptest! {
    /// Guards that a sandbox is made again exactly as it was requested: every field comes back.
    #[test]
    fn a_request_comes_back(request in request()) {
        prop_assert_eq!(read(&id(), &pod(&request, true)), Some(request));
    }

    /// Guards that an annotation that was changed by hand is never an error of the program.
    #[test]
    fn any_text_is_read(text in "\\PC{0,60}") {
        let _ = decode(&text);
    }
}

/// Guards that the Pods of a single cluster have neither annotation: they are as those of earlier releases.
#[test]
fn a_single_cluster_marks_nothing() {
    let request = CreateRequest::new(id());
    let pod = manifest::pod(&Template::default(), &request).unwrap();
    let mut marked = pod.clone();
    mark(&mut marked, &request, false);
    assert_eq!(marked, pod);
    mark(&mut marked, &CreateRequest { replaces: Some(Replacement::Lost), ..request }, true);
    let added: Vec<_> = marked
        .metadata
        .annotations
        .unwrap()
        .into_iter()
        .filter(|(key, _)| !pod.metadata.annotations.as_ref().unwrap().contains_key(key))
        .collect();
    let text = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    assert_eq!(
        added,
        [
            text("sandbox-provisioner/replacement", "lost"),
            text("sandbox-provisioner/request", r#"{"user_id":"default"}"#),
        ]
    );
}

/// Guards that a request of any size leaves a Pod that the API server accepts, and that one invalid value makes the whole
/// request unreadable: the sandbox would not be the same.
#[test]
fn what_cannot_be_kept_is_absent() {
    let mut long = CreateRequest::new(id());
    long.overrides.env.insert("A".to_owned(), Hidden("x".repeat(BYTES_MAX)));
    assert_eq!(read(&id(), &pod(&long, true)), None);
    assert_eq!(read(&id(), &pod(&CreateRequest::new(id()), false)), None);

    let valid = json!({"user_id": "u", "later": {"field": 1}});
    assert!(decode(&valid.to_string()).is_some(), "a later release may add fields");
    let with = |field: &str, value: Value| {
        let mut invalid = valid.clone();
        invalid[field] = value;
        decode(&invalid.to_string())
    };
    for (field, value) in [
        ("user_id", json!("../etc")),
        ("thread_id", json!("a b")),
        ("profile", json!("Not A Name")),
        ("max_shell_sessions", json!("0")),
        ("network", json!("wide")),
        ("workspace", json!({"when_deleted": "maybe"})),
        ("env", json!([])),
    ] {
        assert_eq!(with(field, value.clone()), None, "{field}: {value}");
    }
    assert_eq!(decode("{}"), None, "without a user");
}

/// Guards that a move carries the limits that a resize has set, and no others: the request decides about those, with the
/// settings of the other cluster.
#[test]
fn a_resize_is_part_of_the_request() {
    let text = |amount: &str| (!amount.is_empty()).then(|| amount.to_owned());
    let resources = |cpu, memory| Resources { cpu: text(cpu), memory: text(memory), ephemeral_storage: None };
    for (made, after_start, present, asked, wanted) in [
        (("1", "1Gi"), None, ("1", "1Gi"), ("", ""), ("", "")),
        (("1", "1Gi"), None, ("1000m", "1024Mi"), ("", ""), ("", "")),
        (("1", "1Gi"), None, ("2", "1Gi"), ("", ""), ("2", "")),
        (("1", "1Gi"), None, ("2", "4Gi"), ("1", ""), ("2", "4Gi")),
        (("1", "1Gi"), None, ("1", "4Gi"), ("1", ""), ("1", "4Gi")),
        // The CPU of the start is not the sandbox's.
        (("1", "1Gi"), Some("1"), ("4", "1Gi"), ("", ""), ("", "")),
        (("1", "1Gi"), Some("2"), ("4", "1Gi"), ("", ""), ("2", "")),
        // A Pod whose limits are not known, and one without limits.
        (("", ""), None, ("2", "4Gi"), ("1", ""), ("1", "")),
        (("1", "1Gi"), None, ("", ""), ("", ""), ("", "")),
    ] {
        let made = resources(made.0, made.1);
        let mut request = CreateRequest::new(id());
        request.overrides.resources = resources(asked.0, asked.1);
        let annotations = [
            (names::REQUEST, encode(&request, made.clone())),
            (names::CPU_AFTER_START, after_start.map(str::to_owned)),
        ];
        let annotations = annotations.into_iter().filter_map(|(key, text)| Some((key.to_owned(), text?)));
        let metadata = ObjectMeta { annotations: Some(annotations.collect()), ..ObjectMeta::default() };
        let read = read(&id(), &PodRequest { metadata, limits: resources(present.0, present.1) }).unwrap();
        assert_eq!(read.overrides.resources, resources(wanted.0, wanted.1), "{made:?} {present:?}");
    }
}

/// Guards that a Pod keeps the limits that it was made with, the one after the start in place of the one for the start.
#[test]
fn a_pod_keeps_the_limits_that_it_was_made_with() {
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"annotations": {}},
        "spec": {"containers": [
            {"name": "other", "resources": {"limits": {"cpu": "9"}}},
            {"name": "sandbox", "resources": {"limits": {"cpu": "4", "memory": "1Gi"}}},
        ]},
    }))
    .unwrap();
    let request = CreateRequest { profile: ProfileName::parse("p"), ..CreateRequest::new(id()) };
    let kept = |pod: &Pod, request: &CreateRequest| {
        let Resources { cpu, memory, .. } = made(pod, request);
        [cpu, memory].map(Option::unwrap_or_default)
    };
    assert_eq!(kept(&pod, &request), ["4", "1Gi"]);
    assert_eq!(kept(&pod, &CreateRequest::new(id())), ["", ""], "without a profile it is not resized");
    let mut lowered = pod.clone();
    lowered.metadata.annotations = Some([(names::CPU_AFTER_START.to_owned(), "1".to_owned())].into());
    assert_eq!(kept(&lowered, &request), ["1", "1Gi"]);
}

/// Guards that a sandbox keeps its creation time over any number of moves.
#[test]
fn the_first_creation_is_kept() {
    let time = |text: &str| text.parse().unwrap();
    let mut first = pod(&CreateRequest::new(id()), true);
    first.metadata.creation_timestamp = Some(Time(time("2026-11-26T08:28:32Z")));
    let mut request = read(&id(), &first).unwrap();
    for _ in 0..2 {
        assert_eq!(request.first_created, Some(time("2026-11-26T08:28:32Z")));
        let mut next = pod(&request, true);
        next.metadata.creation_timestamp = Some(Time(time("2026-11-27T00:00:00Z")));
        request = read(&id(), &next).unwrap();
    }
}
