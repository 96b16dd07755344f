//! Validation of a value by the JSON Schema of an `OpenAPI` 3.1 document. It knows the keywords that the document uses,
//! and panics on another one. Fields that the schema does not name are errors, because the document describes each.

use std::collections::BTreeSet;

use serde_json::Value;

/// The keywords that only describe.
const ANNOTATIONS: [&str; 8] =
    ["contentMediaType", "default", "deprecated", "description", "example", "examples", "format", "title"];

/// The schemas of a document.
pub(super) struct Schemas<'a>(pub(super) &'a Value);

impl<'a> Schemas<'a> {
    /// Returns an error unless the value is valid. `at` is its place.
    pub(super) fn check(&self, schema: &'a Value, value: &Value, at: &str) -> Result<(), String> {
        self.check_one(schema, value, at)?;
        let known = self.known(schema, value);
        let unknown = value.as_object().into_iter().flatten().find(|(key, _)| !known.contains(key.as_str()));
        match unknown.filter(|_| !self.is_open(schema)) {
            Some((key, _)) => Err(format!("{at}.{key} is not in the document")),
            None => Ok(()),
        }
    }

    /// Checks everything but the names of the fields.
    fn check_one(&self, schema: &'a Value, value: &Value, at: &str) -> Result<(), String> {
        let keywords = schema.as_object().unwrap_or_else(|| panic!("{at}: not a schema: {schema}"));
        for (keyword, rule) in keywords {
            match &**keyword {
                "$ref" => self.check_one(self.resolve(rule), value, at)?,
                "type" => check_type(rule, value, at)?,
                "enum" => {
                    if !list(rule).contains(value) {
                        return Err(format!("{at}: {value} is none of {rule}"));
                    }
                }
                "required" => {
                    let fields = value.as_object();
                    let missing = |name: &&Value| fields.is_some_and(|f| !f.contains_key(text(name)));
                    if let Some(name) = list(rule).iter().find(missing) {
                        return Err(format!("{at} has no {name}: {value}"));
                    }
                }
                "properties" => {
                    for (name, rule) in rule.as_object().into_iter().flatten() {
                        if let Some(value) = value.get(name) {
                            self.check(rule, value, &format!("{at}.{name}"))?;
                        }
                    }
                }
                "additionalProperties" => self.check_others(keywords.get("properties"), rule, value, at)?,
                "items" => {
                    for (index, value) in value.as_array().into_iter().flatten().enumerate() {
                        self.check(rule, value, &format!("{at}.{index}"))?;
                    }
                }
                "allOf" => list(rule).iter().try_for_each(|rule| self.check_one(rule, value, at))?,
                "anyOf" | "oneOf" => {
                    let outcomes: Vec<_> =
                        list(rule).iter().map(|rule| self.check(rule, value, at)).collect();
                    let fitting = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
                    if fitting == 0 || (keyword == "oneOf" && fitting > 1) {
                        let problems: Vec<_> = outcomes.into_iter().filter_map(Result::err).collect();
                        return Err(format!("{at} fits {fitting} of {keyword}: {}", problems.join("; or ")));
                    }
                }
                "minimum" => {
                    if value.as_f64().is_some_and(|number| Some(number) < rule.as_f64()) {
                        return Err(format!("{at}: {value} is less than {rule}"));
                    }
                }
                "contentSchema" => {
                    let text = value.as_str().unwrap_or_default();
                    let value = serde_json::from_str(text).map_err(|error| format!("{at}: {error}"))?;
                    self.check(rule, &value, at)?;
                }
                // The keys of an object in JSON are always texts.
                "propertyNames" => assert_eq!(rule["type"], "string"),
                keyword => assert!(ANNOTATIONS.contains(&keyword), "{at}: unknown keyword {keyword}"),
            }
        }
        Ok(())
    }

    fn check_others(
        &self,
        named: Option<&Value>,
        rule: &'a Value,
        value: &Value,
        at: &str,
    ) -> Result<(), String> {
        for (key, value) in value.as_object().into_iter().flatten() {
            if rule.is_object() && named.is_none_or(|named| named.get(key).is_none()) {
                self.check(rule, value, &format!("{at}.{key}"))?;
            }
        }
        Ok(())
    }

    fn resolve(&self, reference: &Value) -> &'a Value {
        let pointer = text(reference).trim_start_matches('#');
        self.0.pointer(pointer).unwrap_or_else(|| panic!("nothing is at {reference}"))
    }

    /// Returns the names of all fields that the schema describes, in the alternatives that fit.
    fn known(&self, schema: &'a Value, value: &Value) -> BTreeSet<&'a str> {
        let mut names: BTreeSet<_> = schema["properties"]
            .as_object()
            .into_iter()
            .flat_map(|fields| fields.keys())
            .map(|key| &**key)
            .collect();
        if let Some(reference) = schema.get("$ref") {
            names.extend(self.known(self.resolve(reference), value));
        }
        for part in list(&schema["allOf"]) {
            names.extend(self.known(part, value));
        }
        for part in list(&schema["anyOf"]).iter().chain(list(&schema["oneOf"])) {
            if self.check(part, value, "").is_ok() {
                names.extend(self.known(part, value));
            }
        }
        names
    }

    /// Returns whether the schema allows every field.
    fn is_open(&self, schema: &'a Value) -> bool {
        let parts = list(&schema["allOf"]).iter().chain(list(&schema["anyOf"])).chain(list(&schema["oneOf"]));
        let of_reference = schema.get("$ref").is_some_and(|reference| self.is_open(self.resolve(reference)));
        // A schema without a type allows everything.
        let describes = ["type", "$ref", "allOf", "anyOf", "oneOf", "enum"];
        let is_any = describes.iter().all(|keyword| schema.get(keyword).is_none());
        let others = schema.get("additionalProperties");
        let has_others = others.is_some_and(|others| *others != Value::Bool(false));
        is_any || has_others || of_reference || parts.into_iter().any(|part| self.is_open(part))
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("not a text: {value}"))
}

fn check_type(rule: &Value, value: &Value, at: &str) -> Result<(), String> {
    let is = |name: &str| match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "number" => value.is_number(),
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        name => panic!("{at}: unknown type {name}"),
    };
    let fits = rule.as_str().map_or_else(|| list(rule).iter().any(|name| is(text(name))), is);
    if fits { Ok(()) } else { Err(format!("{at}: {value} is not of the type {rule}")) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Guards that the checks of answers find what differs from the document.
    #[test]
    fn differences_are_found() {
        let document = json!({"s": {
            "a": {"type": "object", "required": ["x"], "properties": {"x": {"type": ["integer", "null"], "minimum": 1}}},
            "b": {"allOf": [{"$ref": "#/s/a"}, {"type": "object", "properties": {"y": {"enum": ["p", "q"]}}}]},
            "c": {"oneOf": [{"type": "string"}, {"type": "array", "items": {"$ref": "#/s/a"}}]},
            "d": {"type": "object", "additionalProperties": {"type": "string"}},
            "e": {"type": "string", "contentSchema": {"$ref": "#/s/a"}},
            "f": {"description": "anything"},
        }});
        for (name, value, error) in [
            ("a", json!({"x": 1}), ""),
            ("a", json!({"x": null}), ""),
            ("a", json!({"x": 1e30}), ""),
            ("a", json!({}), "v has no \"x\": {}"),
            ("a", json!({"x": 0}), "v.x: 0 is less than 1"),
            ("a", json!({"x": 1.5}), "v.x: 1.5 is not of the type [\"integer\",\"null\"]"),
            ("a", json!({"x": 1, "z": 1}), "v.z is not in the document"),
            ("a", json!([]), "v: [] is not of the type \"object\""),
            ("b", json!({"x": 1, "y": "p"}), ""),
            ("b", json!({"x": 1, "y": "r"}), "v.y: \"r\" is none of [\"p\",\"q\"]"),
            ("b", json!({"x": 1, "z": 1}), "v.z is not in the document"),
            ("c", json!("t"), ""),
            ("c", json!([{"x": 1}]), ""),
            ("d", json!({"k": "v"}), ""),
            ("d", json!({"k": 1}), "v.k: 1 is not of the type \"string\""),
            ("e", json!("{\"x\":1}"), ""),
            ("e", json!("{}"), "v has no \"x\": {}"),
            ("f", json!({"x": [1]}), ""),
        ] {
            let schema = &document["s"][name];
            let found = Schemas(&document).check(schema, &value, "v").err().unwrap_or_default();
            assert_eq!(found, error, "{name} {value}");
        }
        let both = Schemas(&document).check(&document["s"]["c"], &json!([{}]), "v");
        assert!(both.unwrap_err().starts_with("v fits 0 of oneOf: "));
    }
}
