//! The fields of a create that stand in place of its profile's: their shapes. The bounds are the profile's.

use lifecycle::{request::RequestedOverrides, spec::Resources};
use sandbox_provisioner::http::request::{self, ECHO_MAX, ERRORS_MAX};
use serde_json::{Value, json};

fn create(fields: &Value) -> Result<RequestedOverrides, Value> {
    let mut body = json!({"sandbox_id": "a"});
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    match request::create(Some("application/json"), body.to_string().as_bytes()) {
        Ok(request) => Ok(request.overrides),
        Err(error) => Err(error.detail()),
    }
}

/// Guards what is accepted: null for an absent field, and a number for a quantity, as Kubernetes takes one.
#[test]
fn fields_are_read_as_they_were_written() {
    let text = |text: &str| Some(text.to_owned());
    for (resources, expected) in [
        (json!(null), Resources::default()),
        (json!({}), Resources::default()),
        (json!({"cpu": null, "memory": "1Gi"}), Resources { memory: text("1Gi"), ..Resources::default() }),
        (
            json!({"cpu": 2, "memory": 1_073_741_824, "ephemeral_storage": "5Gi"}),
            Resources { cpu: text("2"), memory: text("1073741824"), ephemeral_storage: text("5Gi") },
        ),
        (json!({"cpu": 0.5}), Resources { cpu: text("0.5"), ..Resources::default() }),
        // Whether it is a quantity is checked with the bounds.
        (json!({"cpu": "two"}), Resources { cpu: text("two"), ..Resources::default() }),
    ] {
        assert_eq!(create(&json!({ "resources": resources })).unwrap().resources, expected, "{resources}");
    }
    let all = create(&json!({"env": {"A": "b", "C": ""}, "labels": {"x/y": "z"}, "image": "a:1"})).unwrap();
    let env: Vec<_> = all.env.iter().map(|(name, value)| (name.as_str(), value.0.as_str())).collect();
    assert_eq!(env, [("A", "b"), ("C", "")]);
    assert_eq!((all.labels["x/y"].as_str(), all.image.as_deref()), ("z", Some("a:1")));
    let none = create(&json!({"env": null, "labels": null, "image": null})).unwrap();
    assert_eq!(none, RequestedOverrides::default());
}

/// Guards that each shape that is not allowed is a 422 with its path and what is allowed.
#[test]
fn shapes_that_are_not_allowed_are_refused() {
    let many = |count: usize| (0..count).map(|n| (format!("A{n}"), json!("x"))).collect::<Value>();
    let long = "k".repeat(318);
    for (fields, path, words) in [
        (json!({"resources": "2"}), "resources", "valid dictionary"),
        (json!({"resources": ["cpu"]}), "resources", "valid dictionary"),
        (
            json!({"resources": {"cpus": "2"}}),
            "resources.cpus",
            "the fields are cpu, memory, ephemeral_storage",
        ),
        (json!({"resources": {"ephemeral-storage": "2"}}), "resources.ephemeral-storage", "not permitted"),
        (json!({"resources": {"cpu": true}}), "resources.cpu", "valid string"),
        (json!({"resources": {"memory": {"limit": "1Gi"}}}), "resources.memory", "valid string"),
        (json!({"env": ["A=b"]}), "env", "valid dictionary"),
        (json!({"env": {"A": 1}}), "env.A", "valid string"),
        (json!({"env": {"A": null}}), "env.A", "valid string"),
        (json!({"env": {"A": "b\0"}}), "env.A", "a value must not contain NUL"),
        (json!({"env": many(65)}), "env", "at most 64 items after validation, not 65"),
        (json!({"env": {"A": "x".repeat(32 << 10)}}), "env", "at most 32768 bytes"),
        (json!({"labels": "a=b"}), "labels", "valid dictionary"),
        (json!({"labels": {"a": true}}), "labels.a", "valid string"),
        (json!({"labels": many(33)}), "labels", "at most 32 items after validation, not 33"),
        (json!({"labels": { &long: "x" }}), &format!("labels.{}…", &long[..314]), "at most 317 characters"),
        (json!({"image": 7}), "image", "valid string"),
        (json!({"image": {}}), "image", "valid string"),
    ] {
        let detail = create(&fields).unwrap_err();
        let error = &detail[0];
        let loc: Vec<_> =
            error["loc"].as_array().unwrap().iter().map(|part| part.as_str().unwrap()).collect();
        assert_eq!(loc.join("."), format!("body.{path}"), "{fields:.100}");
        assert!(error["msg"].as_str().unwrap().contains(words), "{fields:.100}: {error}");
        assert!(error.to_string().len() < ECHO_MAX * 2, "{fields:.100}");
    }
    let both = create(&json!({"resources": {"cpu": [], "memory": {}}, "image": 1})).unwrap_err();
    assert_eq!(both.as_array().unwrap().len(), 3, "every error is reported");
    let keys: Value = (0..1000).map(|n| (format!("r{n}"), json!(""))).collect();
    let all = create(&json!({ "resources": keys })).unwrap_err();
    assert_eq!(all.as_array().unwrap().len(), ERRORS_MAX);
}

/// Guards that no error shows the value of a variable, whatever else is invalid.
#[test]
fn errors_do_not_show_variables() {
    let json = Some("application/json");
    for (content_type, body) in [
        (json, r#"{"env": {"TOKEN": "s3cret"}}"#),
        (json, r#"{"sandbox_id": "a", "env": {"TOKEN": ["s3cret"]}}"#),
        (json, r#"{"sandbox_id": "a", "env": "TOKEN=s3cret"}"#),
        (json, r#"{"sandbox_id": "a", "env": {"TOKEN": "s3cret\u0000"}}"#),
        (json, r#"["env", {"env": {"TOKEN": "s3cret"}}]"#),
        (json, r#""{\"env\": \"s3cret\"}""#),
        (None, r#"{"sandbox_id": "a", "env": {"TOKEN": "s3cret"}}"#),
    ] {
        let error = request::create(content_type, body.as_bytes()).unwrap_err();
        let shown = format!("{error} {error:?} {}", error.detail());
        assert!(!shown.contains("s3cret"), "{body}: {shown}");
    }
    let made = create(&json!({"env": {"TOKEN": "s3cret"}})).unwrap();
    assert!(!format!("{made:?}").contains("s3cret"));
}
