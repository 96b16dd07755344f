use serde_json::json;

use super::*;

/// A field of bytes.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2, u8::try_from(content.len()).unwrap()];
    out.extend_from_slice(content);
    out
}

fn body(version: &str, kind: &str, message: &[u8]) -> Vec<u8> {
    let types = [field(1, version.as_bytes()), field(2, kind.as_bytes())].concat();
    [MAGIC, &field(1, &types), &field(2, message), &field(3, b"")].concat()
}

fn read(version: &str, kind: &str, message: &[u8]) -> Option<Value> {
    to_json(&body(version, kind, message)).map(|json| serde_json::from_slice(&json).unwrap())
}

/// Guards each way a field is written: texts, lists of texts with empty ones, maps, numbers, messages in messages.
#[test]
fn messages_become_the_json_they_stand_for() {
    let labels = field(11, &[field(1, b"app"), field(2, b"x")].concat());
    // As kubectl sends it: empty texts, an empty creation time, and a generation of zero.
    let meta = [field(1, b"r"), field(2, b""), field(8, b""), vec![7 << 3, 0], labels].concat();
    let reads = [field(1, b"get"), field(1, b"list"), field(2, b""), field(3, b"pods")].concat();
    let role = [field(1, &meta), field(2, &reads)].concat();
    let version = "rbac.authorization.k8s.io/v1";
    let expected = json!({"kind": "Role", "apiVersion": version,
        "metadata": {"name": "r", "labels": {"app": "x"}},
        "rules": [{"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods"]}]});
    assert_eq!(read(version, "Role", &role), Some(expected));

    let port = [vec![3 << 3, 0x90, 0x3f], field(4, &[8, 0, 16, 80, 26, 0]), vec![5 << 3, 0]].concat();
    let service = field(2, &field(1, &port));
    let ports = json!([{"port": 8080, "targetPort": 80}]);
    assert_eq!(read("v1", "Service", &service).unwrap()["spec"]["ports"], ports);

    let options = vec![1 << 3, 0];
    let options = read("v1", "DeleteOptions", &options).unwrap();
    assert_eq!(options["gracePeriodSeconds"], 0, "zero is not none here");

    let hard = field(1, &[field(1, b"pods"), field(2, &field(1, b"5"))].concat());
    assert_eq!(read("v1", "ResourceQuota", &field(2, &hard)).unwrap()["spec"]["hard"], json!({"pods": "5"}));
}

/// A body with an unreadable part is refused whole.
#[test]
fn broken_and_unknown_bodies_are_not_read() {
    let whole = body("v1", "Namespace", &field(1, &field(1, b"n")));
    assert!(to_json(&whole).is_some());
    for cut in 1..whole.len() - 2 {
        assert_eq!(to_json(&whole[..cut]), None, "cut after {cut}");
    }
    assert_eq!(to_json(b"{}"), None);
    assert_eq!(read("v1", "Podlet", b""), None);
    assert_eq!(read("v1", "Namespace", &[8, 1]), None, "a number where a message belongs");
    assert_eq!(
        read("v1", "Namespace", &[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]),
        None
    );
}
