use std::time::Duration;

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

/// Returns the metadata of the Pod of a request.
fn metadata(request: &CreateRequest, keeps_request: bool) -> ObjectMeta {
    let mut metadata =
        ObjectMeta { annotations: Some(annotations::of_request(request).collect()), ..ObjectMeta::default() };
    mark(&mut metadata, request, keeps_request);
    metadata
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
        prop_assert_eq!(read(&id(), &metadata(&request, true)), Some(request));
    }

    /// Guards that an annotation that was changed by hand is never an error of the program.
    #[test]
    fn any_text_is_read(text in "\\PC{0,60}") {
        let _ = decode(&id(), &text);
    }
}

/// Guards that the Pods of a single cluster have neither annotation: they are as those of earlier releases.
#[test]
fn a_single_cluster_marks_nothing() {
    let request = CreateRequest::new(id());
    let pod = manifest::pod(&Template::default(), &request).unwrap();
    let mut marked = pod.metadata.clone();
    mark(&mut marked, &request, false);
    assert_eq!(marked, pod.metadata);
    mark(&mut marked, &CreateRequest { replaces: Some(Replacement::Lost), ..request }, true);
    let added: Vec<_> = marked
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
    assert_eq!(read(&id(), &metadata(&long, true)), None);
    assert_eq!(read(&id(), &metadata(&CreateRequest::new(id()), false)), None);

    let valid = json!({"user_id": "u", "later": {"field": 1}});
    assert!(decode(&id(), &valid.to_string()).is_some(), "a later release may add fields");
    let with = |field: &str, value: Value| {
        let mut invalid = valid.clone();
        invalid[field] = value;
        decode(&id(), &invalid.to_string())
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
    assert_eq!(decode(&id(), "{}"), None, "without a user");
}
