use std::collections::{BTreeMap, BTreeSet};

use lifecycle::{
    ids::{SandboxId, ThreadId},
    placement::moving::DataHome,
    request::ExtraMount,
    workspace::WorkspaceRequest,
};
use serde_json::{Value, json};

use super::*;
use crate::{
    manifest,
    profile::{HostPaths, Profile, Profiles},
};

/// Returns settings with the profile `p`, which has these fields.
fn template(fields: &Value) -> Template {
    let mut profile = Profile::default();
    for (field, value) in fields.as_object().unwrap() {
        profile.set(field, value).unwrap();
    }
    let written = BTreeMap::from([(ProfileName::parse("p").unwrap(), profile)]);
    let profiles = Profiles::new(&written, &manifest::default_resources(), HostPaths::default()).unwrap();
    Template { profiles, ..Template::default() }
}

fn request(sandbox: &str, thread: Option<&str>, user: Option<&str>) -> CreateRequest {
    CreateRequest {
        thread_id: thread.and_then(ThreadId::parse),
        user_id: user.and_then(UserId::parse).unwrap_or_default(),
        profile: ProfileName::parse("p"),
        ..CreateRequest::new(SandboxId::parse(sandbox).unwrap())
    }
}

fn id(scope: &str, sandbox: &str, thread: Option<&str>, user: Option<&str>) -> WorkspaceId {
    let template = template(&json!({"workspace": {"size": "1Gi", "scope": scope}}));
    manifest::workspace(&template, &request(sandbox, thread, user)).unwrap().unwrap().id
}

/// Guards which requests share a workspace: those with the same ids of the scope, and no others.
#[test]
fn a_workspace_is_found_again_by_the_ids_of_its_scope() {
    let (t, u, v) = (Some("t"), Some("u"), Some("v"));
    assert_eq!(id("sandbox", "a", t, u), id("sandbox", "a", None, v));
    assert_eq!(id("thread", "a", t, u), id("thread", "b", t, u));
    assert_eq!(id("user", "a", t, u), id("user", "b", None, u));
    let different = [
        id("sandbox", "a", t, u),
        id("sandbox", "b", t, u),
        id("thread", "a", t, u),
        id("thread", "a", t, v),
        id("thread", "a", Some("t-2"), u),
        id("thread", "a", t, None),
        id("user", "a", t, u),
        id("user", "a", t, v),
        // Ids that are equal as texts, in other places.
        id("thread", "a", u, t),
        id("user", "a", None, t),
        id("sandbox", "t", t, t),
    ];
    assert_eq!(BTreeSet::from(different.clone()).len(), different.len());
}

/// Guards that ids never change: a change would leave all existing workspaces behind.
#[test]
fn ids_are_stable() {
    assert_eq!(id("sandbox", "abc-123", None, None).as_str(), "c19d3417ac88d240ff5e52928ce7c78f");
    assert_eq!(id("thread", "a", Some("t"), Some("u")).as_str(), "c5ecf7fc8235919a791ac72610b0752a");
    assert_eq!(id("user", "a", None, Some("u")).as_str(), "201e7793fb2b52c0a7cf19029b5c8e21");
}

/// Guards the whole claim, and what shows it on the Pod.
#[test]
fn the_claim_and_its_mount() {
    let fields = json!({"workspace": {
        "size": "10Gi", "storage_class": "fast", "access_mode": "ReadWriteMany", "mount_path": "/w",
        "scope": "thread", "when_deleted": "delete", "keep_for": "36h", "source_snapshot": "golden",
    }});
    let manifests = manifest::build(&template(&fields), &request("a", Some("t"), Some("u"))).unwrap();
    let id = id("thread", "a", Some("t"), Some("u"));
    let claim = json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": format!("workspace-{id}"), "namespace": "deer-flow",
            "labels": {
                "app.kubernetes.io/managed-by": "sandbox-provisioner", "sandbox-provisioner/workspace": id,
                "sandbox-provisioner/workspace-scope": "thread", "sandbox-provisioner/profile": "p",
            },
            "annotations": {
                "sandbox-provisioner/thread-id": "t", "sandbox-provisioner/user-id": "u",
                "sandbox-provisioner/when-deleted": "delete", "sandbox-provisioner/keep-for": "1day 12h",
            },
        },
        "spec": {
            "accessModes": ["ReadWriteMany"], "storageClassName": "fast",
            "resources": {"requests": {"storage": "10Gi"}},
            "dataSource": {"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "golden"},
        },
    });
    assert_eq!(json!(manifests.workspace), claim);
    let pod = json!(manifests.pod);
    assert_eq!(pod["metadata"]["labels"]["sandbox-provisioner/workspace"], json!(id));
    assert_eq!(pod["metadata"]["annotations"]["sandbox-provisioner/workspace-size"], "10Gi");
    let volumes = pod["spec"]["volumes"].as_array().unwrap();
    let volume =
        json!({"name": "workspace", "persistentVolumeClaim": {"claimName": format!("workspace-{id}")}});
    assert!(volumes.contains(&volume), "{volumes:?}");
    let mounts = pod["spec"]["containers"][0]["volumeMounts"].as_array().unwrap();
    assert!(
        mounts.contains(&json!({"name": "workspace", "mountPath": "/w", "readOnly": false})),
        "{mounts:?}"
    );
}

/// Guards that the claim of a workspace has none of the labels by which Pods and Services of sandboxes are found.
#[test]
fn a_claim_is_not_taken_for_a_sandbox() {
    let template = template(&json!({"workspace": {"size": "1Gi"}, "labels": {"tier": "x"}}));
    let claim = manifest::build(&template, &request("a", None, None)).unwrap().workspace.unwrap();
    let labels = claim.metadata.labels.unwrap();
    assert_eq!(names::sandbox_id_of(&labels), None);
    assert!(["app", "sandbox-id"].iter().all(|key| !labels.contains_key(*key)));
    assert_eq!(claim.metadata.owner_references, None, "the end of a Pod never deletes data");
}

/// Guards that a workspace in place of the user's data has the sub-path of DeerFlow's claim, and that no other volume
/// changes.
#[test]
fn a_workspace_can_take_the_place_of_the_users_data() {
    let settings = template(&json!({"workspace": {"size": "1Gi", "scope": "user", "user_data": true}}));
    for settings in [settings.clone(), Template { userdata_pvc: Some("users".to_owned()), ..settings }] {
        let pod = json!(manifest::build(&settings, &request("a", Some("t"), Some("u"))).unwrap().pod);
        let id = id("user", "a", None, Some("u"));
        let find =
            |list: &Value| list.as_array().unwrap().iter().find(|item| item["name"] == "user-data").cloned();
        let volume = find(&pod["spec"]["volumes"]).unwrap();
        assert_eq!(volume["persistentVolumeClaim"]["claimName"], format!("workspace-{id}"));
        let mount = find(&pod["spec"]["containers"][0]["volumeMounts"]).unwrap();
        assert_eq!(
            (&mount["mountPath"], &mount["subPath"]),
            (&json!("/mnt/user-data"), &json!("deer-flow/users/u/threads/t/user-data"))
        );
        assert!(!pod.to_string().contains("\"/workspace\""));
    }
}

/// Guards that a request without the ids of the scope, or with a workspace that its profile does not allow, is refused.
#[test]
fn requests_that_do_not_fit_are_refused() {
    let with = |scope: &str| {
        template(&json!({
            "workspace": {"size": "10Gi", "scope": scope},
            "overrides": {"workspace": {"size": {"min": "5Gi", "max": "20Gi"}}},
        }))
    };
    let fixed = || template(&json!({"workspace": {"size": "10Gi"}}));
    let size = |size: &str| CreateRequest {
        workspace: Some(WorkspaceRequest { size: Some(size.to_owned()), when_deleted: None }),
        ..request("a", None, None)
    };
    let plain = request("a", None, None);
    let without_profile = CreateRequest { profile: None, ..size("10Gi") };
    for (template, request, words) in [
        (
            with("thread"),
            plain.clone(),
            "workspace: that of the profile p belongs to a thread, so the request needs a thread_id",
        ),
        (
            with("user"),
            plain.clone(),
            "belongs to a user, so the request needs a user_id other than 'default'",
        ),
        (with("sandbox"), size("21Gi"), "workspace.size: 21Gi is above 20Gi, the maximum of the profile p"),
        (with("sandbox"), size("1Gi"), "workspace.size: 1Gi is below 5Gi, the minimum of the profile p"),
        (fixed(), size("10Gi"), "workspace.size: the profile p does not let a request set this"),
        (with("sandbox"), size("ten"), "workspace.size: \"ten\" is not allowed; allowed: a number of bytes"),
        (with("sandbox"), size(&"9".repeat(9999)), "is not allowed; allowed: a number of bytes"),
        (template(&json!({})), size("10Gi"), "workspace: the profile p has no workspace"),
        (
            with("sandbox"),
            without_profile,
            "workspace: the request has no profile, and only a profile can have a workspace",
        ),
        (
            with("sandbox"),
            CreateRequest { skills_container_path: Some("/workspace/skills".to_owned()), ..plain.clone() },
            "The skills container path overlaps /workspace",
        ),
        (
            Template { skills_pvc: Some("skills".to_owned()), ..template(&json!({"tmp_size": "1Gi"})) },
            CreateRequest { skills_container_path: Some("/tmp".to_owned()), ..plain.clone() },
            "The skills container path is /tmp, where the profile p mounts a volume of its own",
        ),
        (
            Template { skills_pvc: Some("skills".to_owned()), ..template(&json!({"shm_size": "1Gi"})) },
            CreateRequest { skills_container_path: Some("/dev/shm".to_owned()), ..plain.clone() },
            "The skills container path is /dev/shm, where the profile p mounts a volume of its own",
        ),
        (
            template(&json!({"security": "baseline", "workspace": {"size": "1Gi", "user_data": true}})),
            CreateRequest {
                extra_mounts: vec![ExtraMount {
                    host_path: "/.deer-flow/threads/a/acp-workspace".to_owned(),
                    container_path: "/mnt/acp-workspace".to_owned(),
                    read_only: true,
                }],
                ..plain
            },
            "extra_mounts: the profile p forbids host paths",
        ),
    ] {
        let error = manifest::build(&template, &request).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
        assert!(error.len() < 500, "{error}");
    }
    let larger = manifest::build(&with("sandbox"), &size("20Gi")).unwrap().workspace.unwrap();
    assert_eq!(json!(larger)["spec"]["resources"]["requests"]["storage"], "20Gi");
}

/// Guards where the data of a sandbox is said to be: a sandbox that moved away from it would lose it.
#[test]
fn the_data_has_a_home() {
    let home = |template: &Template, request: &CreateRequest| manifest::data_home(template, request);
    let plain = CreateRequest::new(SandboxId::parse("a").unwrap());
    let mut settings = template(&json!({"workspace": {"size": "1Gi", "scope": "thread"}}));
    assert_eq!(home(&settings, &plain), Ok(DataHome::Node("/.deer-flow/threads".to_owned())));
    settings.userdata_pvc = Some("users".to_owned());
    assert_eq!(home(&settings, &plain), Ok(DataHome::Claim("users".to_owned())));
    let of_thread = request("a", Some("t"), None);
    let workspace = id("thread", "a", Some("t"), None);
    assert_eq!(home(&settings, &of_thread), Ok(DataHome::Workspace(workspace)));
    let without_thread = request("a", None, None);
    assert!(matches!(home(&settings, &without_thread), Err(SandboxError::BadRequest(_))));
}
