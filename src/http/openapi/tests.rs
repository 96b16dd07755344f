//! The document as a whole, and its copy in docs/openapi.json.

mod compatibility;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
};

use serde_json::Value;

use super::{endpoints, schemas};

fn copy() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/openapi.json")
}

fn written() -> String {
    serde_json::to_string_pretty(&super::document()).unwrap() + "\n"
}

/// Returns the texts that stand at this key, anywhere in a document.
fn all<'a>(value: &'a Value, key: &str, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get(key).and_then(Value::as_str));
            fields.values().for_each(|value| all(value, key, found));
        }
        Value::Array(items) => items.iter().for_each(|value| all(value, key, found)),
        _ => {}
    }
}

/// Guards that each variable segment of a path is a described parameter, and that it is required.
#[test]
fn segments_of_paths_are_described() {
    let document: Value = serde_json::from_str(&written()).unwrap();
    for (path, item) in document["paths"].as_object().unwrap() {
        let mut segments: Vec<_> = path
            .split('/')
            .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}').map(str::to_owned))
            .collect();
        segments.sort_unstable();
        for (method, operation) in item.as_object().unwrap() {
            let parameters = operation["parameters"].as_array().unwrap().iter();
            let in_path = parameters.filter(|parameter| parameter["in"] == "path");
            let required = in_path.filter(|parameter| parameter["required"] == true);
            let mut described: Vec<_> =
                required.map(|parameter| parameter["name"].as_str().unwrap().to_owned()).collect();
            described.sort_unstable();
            assert_eq!(described, segments, "{method} {path}");
        }
    }
}

/// Guards that the copy is up to date, and that no change breaks the clients of the copy.
#[test]
fn the_copy_is_up_to_date() {
    let (present, written) = (fs::read_to_string(copy()).unwrap(), written());
    if present != written {
        let [before, after] = [&present, &written].map(|text| serde_json::from_str(text).unwrap());
        let broken = compatibility::broken(&before, &after);
        assert!(broken.is_empty(), "the change breaks clients of the API:\n{}", broken.join("\n"));
        panic!("docs/openapi.json is not up to date; run ./dev docs");
    }
}

#[test]
#[ignore = "writes docs/openapi.json, for ./dev docs"]
fn write_the_generated_files() {
    let written = written();
    if let Ok(present) = fs::read_to_string(copy()) {
        let [before, after] = [&present, &written].map(|text| serde_json::from_str(text).unwrap());
        let broken = compatibility::broken(&before, &after);
        assert!(
            broken.is_empty(),
            "the change breaks clients of the API; if that is intended, run ./dev docs --breaking:\n{}",
            broken.join("\n")
        );
    }
    fs::write(copy(), written).unwrap();
}

/// Guards that every reference leads to something, and that nothing is described without being used.
#[test]
fn references_lead_to_something() {
    let document: Value = serde_json::from_str(&written()).unwrap();
    let mut references = Vec::new();
    all(&document, "$ref", &mut references);
    for reference in &references {
        assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
    }
    for kind in ["schemas", "examples"] {
        for name in document["components"][kind].as_object().unwrap().keys() {
            let reference = format!("#/components/{kind}/{name}");
            assert!(references.contains(&&*reference), "nothing refers to {reference}");
        }
    }
}

/// Guards that no two operations have one name, and no two types one schema.
#[test]
fn names_are_unique() {
    let document: Value = serde_json::from_str(&written()).unwrap();
    let mut ids = Vec::new();
    all(&document["paths"], "operationId", &mut ids);
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "{ids:?}");
    let mut seen: BTreeMap<String, String> = BTreeMap::new();
    for (name, _, schema) in endpoints().iter().flat_map(super::Endpoint::schemas) {
        let schema = serde_json::to_string(&schema).unwrap();
        let first = seen.entry(name.clone()).or_insert_with(|| schema.clone());
        assert_eq!(*first, schema, "two types are called {name}");
    }
}

/// Guards that every operation, parameter, header, answer and field has a description.
#[test]
fn everything_has_a_description() {
    let document: Value = serde_json::from_str(&written()).unwrap();
    let mut missing = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let at = format!("{method} {path}");
            assert!(operation["summary"].is_string(), "{at} has no summary");
            for parameter in operation["parameters"].as_array().unwrap() {
                if !parameter["description"].is_string() {
                    missing.push(format!("{at}: {}", parameter["name"]));
                }
            }
            for (status, response) in operation["responses"].as_object().unwrap() {
                for (name, header) in response["headers"].as_object().unwrap() {
                    if !header["description"].is_string() {
                        missing.push(format!("{at}: {status} {name}"));
                    }
                }
            }
        }
    }
    let schemas = document["components"]["schemas"].as_object().unwrap();
    for (name, schema) in schemas {
        for (field, property) in schema["properties"].as_object().into_iter().flatten() {
            let is_described = |schema: &Value| schema["description"].is_string();
            let alternatives = property["oneOf"].as_array();
            if !is_described(property) && !alternatives.is_some_and(|all| all.iter().any(is_described)) {
                missing.push(format!("{name}.{field}"));
            }
        }
    }
    assert!(missing.is_empty(), "no description: {missing:#?}");
}

/// Guards the two corrections of derived schemas.
#[test]
fn a_field_without_a_value_is_absent() {
    let document: Value = serde_json::from_str(&written()).unwrap();
    let schemas = &document["components"]["schemas"];
    let sandbox = &schemas["Sandbox"];
    assert!(sandbox.get("allOf").is_none(), "flattened fields are fields");
    assert_eq!(sandbox["properties"]["reason"]["type"], "string");
    assert_eq!(sandbox["properties"]["lark_cli_broker"]["type"], serde_json::json!(["boolean", "null"]));
    let required = sandbox["required"].as_array().unwrap();
    assert!(required.contains(&"max_shell_sessions".into()) && !required.contains(&"expires_at".into()));
    let request = &schemas["CreateRequest"]["properties"]["thread_id"]["type"];
    assert_eq!(*request, serde_json::json!(["string", "null"]), "null is not the same as an absent field");
    assert!(schemas::plain([]).is_empty());
}
