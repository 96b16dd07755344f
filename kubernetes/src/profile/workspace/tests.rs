use serde_json::json;

use super::*;

/// Guards the defaults, of which only the size has none.
#[test]
fn only_the_size_is_needed() {
    let least = Workspace::parse(&json!({"size": "10Gi"})).unwrap();
    assert_eq!(least.size.as_str(), "10Gi");
    let Workspace {
        storage_class, access_mode, mount, scope, when_deleted, keep_for, source_snapshot, ..
    } = least;
    assert_eq!((storage_class, source_snapshot), (None, None));
    assert_eq!((access_mode, mount), (AccessMode::ReadWriteOnce, Mount::Path("/workspace".to_owned())));
    assert_eq!((scope, when_deleted), (Scope::Sandbox, WhenDeleted::Keep));
    assert_eq!(keep_for, Duration::from_secs(604_800));
}

/// Guards that every field is read.
#[test]
fn every_field_is_read() {
    let all = json!({
        "size": "1Ti", "storage_class": "fast", "access_mode": "ReadWriteMany", "mount_path": "/home/agent/work",
        "scope": "thread", "when_deleted": "delete", "keep_for": "1h 30m", "source_snapshot": "golden",
        "user_data": false,
    });
    let all = Workspace::parse(&all).unwrap();
    assert_eq!(
        (all.storage_class.as_deref(), all.source_snapshot.as_deref()),
        (Some("fast"), Some("golden"))
    );
    assert_eq!(
        (all.access_mode, all.mount),
        (AccessMode::ReadWriteMany, Mount::Path("/home/agent/work".to_owned()))
    );
    assert_eq!((all.scope, all.when_deleted), (Scope::Thread, WhenDeleted::Delete));
    assert_eq!(all.keep_for, Duration::from_secs(5400));
    let user_data = Workspace::parse(&json!({"size": "1Gi", "user_data": true, "scope": "user"})).unwrap();
    assert_eq!((user_data.mount, user_data.scope), (Mount::UserData, Scope::User));
}

/// Guards that each invalid value is refused with its path.
#[test]
fn invalid_values_are_refused_with_their_path() {
    for (value, path, words) in [
        (json!("10Gi"), "", "\"10Gi\" is not allowed; allowed: a table with size"),
        (json!({}), "", "size is missing"),
        (json!({"size": "10"}), ".size", "a number of bytes"),
        (json!({"size": "2Pi"}), ".size", "a number of bytes"),
        (json!({"size": -1}), ".size", "a number of bytes"),
        (
            json!({"size": "1Gi", "storage_class": "Fast"}),
            ".storage_class",
            "the name of a Kubernetes object",
        ),
        (json!({"size": "1Gi", "storage_class": ""}), ".storage_class", "the name of a Kubernetes object"),
        (
            json!({"size": "1Gi", "access_mode": "ReadOnlyMany"}),
            ".access_mode",
            "ReadWriteOnce, ReadWriteOncePod",
        ),
        (json!({"size": "1Gi", "access_mode": 1}), ".access_mode", "ReadWriteOnce"),
        (json!({"size": "1Gi", "scope": "Thread"}), ".scope", "sandbox, thread, user"),
        (json!({"size": "1Gi", "when_deleted": "retain"}), ".when_deleted", "keep, delete"),
        (json!({"size": "1Gi", "keep_for": "59s"}), ".keep_for", "between 1m and 3650d"),
        (json!({"size": "1Gi", "keep_for": "11years"}), ".keep_for", "between 1m and 3650d"),
        (json!({"size": "1Gi", "keep_for": 7}), ".keep_for", "a duration"),
        (
            json!({"size": "1Gi", "source_snapshot": "a b"}),
            ".source_snapshot",
            "the name of a Kubernetes object",
        ),
        (json!({"size": "1Gi", "user_data": "yes"}), ".user_data", "true or false"),
        (
            json!({"size": "1Gi", "user_data": true, "mount_path": "/w"}),
            ".mount_path",
            "not allowed with user_data",
        ),
        (json!({"size": "1Gi", "path": "/w"}), ".path", "it is not a field of a workspace"),
    ] {
        let error = Workspace::parse(&value).unwrap_err();
        assert_eq!(error.path, path, "{value}");
        assert!(error.message.contains(words), "{value}: {}", error.message);
    }
}

/// Guards that a workspace never hides another mount or the files of the image that a container needs.
#[test]
fn a_workspace_hides_nothing() {
    for path in ["/w", "/workspace", "/home/gem/work", "/data/a.b", "/temporary", "/mntx", "/srv/ä"] {
        assert_eq!(mount_path(path).as_deref(), Some(path));
    }
    let long = format!("/{}", "a".repeat(255));
    for path in [
        "",
        "/",
        "w",
        "./w",
        "//w",
        "/w/",
        "/w//x",
        "/w/../x",
        "/w/.",
        "/mnt",
        "/mnt/x",
        "/mnt/user-data",
        "/tmp/x",
        "/dev/shm",
        "/proc",
        "/etc/x",
        "/lib64",
        "/usr",
        "/var/run/secrets",
        "/var",
        "/a:b",
        "/a\0",
        "/a\nb",
        r"/a\b",
        &long,
    ] {
        assert_eq!(mount_path(path), None, "{path:?}");
    }
}
