//! Whether a client of an earlier document can use the later one.
//!
//! A client breaks if a path, a method, an answer or a field of an answer is gone, if an answer can have other values
//! than before, or if a request needs more than before, or may contain less.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// The writer of the value that a schema describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writer {
    Client,
    Daemon,
}

/// Two documents, and what would break.
struct Comparison<'a> {
    before: &'a Value,
    after: &'a Value,
    broken: Vec<String>,
    /// The pairs of references that were compared, because a schema can contain itself.
    compared: BTreeSet<(String, String, bool)>,
}

/// Returns what breaks a client of the earlier document, in the order of its paths.
pub(super) fn broken(before: &Value, after: &Value) -> Vec<String> {
    let mut comparison = Comparison { before, after, broken: Vec::new(), compared: BTreeSet::new() };
    for (path, item) in fields(&before["paths"]) {
        for (method, operation) in fields(item) {
            let at = format!("{} {path}", method.to_uppercase());
            match after["paths"].get(path).and_then(|item| item.get(method)) {
                Some(now) => comparison.operation(operation, now, &at),
                None => comparison.add(&at, "is removed"),
            }
        }
    }
    comparison.broken
}

fn fields(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

fn items(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// Returns the types that a schema allows; without a type, none.
fn types(schema: &Value) -> BTreeSet<&str> {
    let one = schema["type"].as_str();
    one.into_iter().chain(items(&schema["type"]).iter().filter_map(Value::as_str)).collect()
}

// === impl Comparison ===

impl<'a> Comparison<'a> {
    fn add(&mut self, at: &str, what: &str) {
        let problem = format!("{at} {what}");
        if !self.broken.contains(&problem) {
            self.broken.push(problem);
        }
    }

    fn operation(&mut self, before: &'a Value, after: &'a Value, at: &str) {
        let named = |operation: &'a Value| {
            items(&operation["parameters"])
                .iter()
                .map(|parameter| ((parameter["in"].as_str(), parameter["name"].as_str()), parameter))
                .collect::<Vec<_>>()
        };
        let (old, new) = (named(before), named(after));
        for (name, parameter) in &new {
            let at = format!("{at}: parameter {}", name.1.unwrap_or_default());
            match old.iter().find(|(other, _)| other == name) {
                Some((_, old)) => {
                    // Without it the path is another one.
                    let is_in_path = parameter["in"] == "path";
                    if parameter["required"] == true && old["required"] != true && !is_in_path {
                        self.add(&at, "is required now");
                    }
                    self.schema(&old["schema"], &parameter["schema"], Writer::Client, &at);
                }
                None if parameter["required"] == true => self.add(&at, "is new and required"),
                None => {}
            }
        }
        for (name, _) in old.iter().filter(|(name, _)| !new.iter().any(|(other, _)| other == name)) {
            self.add(at, &format!("has no parameter {} any more", name.1.unwrap_or_default()));
        }
        self.body(&before["requestBody"], &after["requestBody"], at);
        self.security(&before["security"], &after["security"], at);
        for (status, response) in fields(&before["responses"]) {
            match after["responses"].get(status) {
                Some(now) => self.response(response, now, &format!("{at}: {status}")),
                // A client that handles an error does not miss it.
                None if status.starts_with('2') => self.add(at, &format!("has no answer {status} any more")),
                None => {}
            }
        }
        for (status, _) in fields(&after["responses"]) {
            if status.starts_with('2') && before["responses"].get(status).is_none() {
                self.add(at, &format!("has the new answer {status}"));
            }
        }
    }

    fn body(&mut self, before: &'a Value, after: &'a Value, at: &str) {
        if before.is_null() {
            if after["required"] == true {
                self.add(at, "needs a body now");
            }
            return;
        }
        if after["required"] == true && before["required"] != true {
            self.add(at, "needs a body now");
        }
        for (kind, content) in fields(&before["content"]) {
            match after["content"].get(kind) {
                Some(now) => {
                    self.schema(&content["schema"], &now["schema"], Writer::Client, &format!("{at}: body"));
                }
                None => self.add(at, &format!("takes no {kind} any more")),
            }
        }
    }

    fn security(&mut self, before: &Value, after: &Value, at: &str) {
        let was_open = before.is_null() || items(before).iter().any(|way| fields(way).next().is_none());
        let is_open = after.is_null() || items(after).iter().any(|way| fields(way).next().is_none());
        if was_open && !is_open {
            self.add(at, "needs a key now");
        }
        let is_gone = |way: &&Value| !is_open && fields(way).next().is_some() && !items(after).contains(way);
        for way in items(before).iter().filter(is_gone) {
            let names: Vec<_> = fields(way).map(|(name, _)| &**name).collect();
            self.add(at, &format!("does not take {} any more", names.join(" and ")));
        }
    }

    fn response(&mut self, before: &'a Value, after: &'a Value, at: &str) {
        for (name, _) in fields(&before["headers"]) {
            if after["headers"].get(name).is_none() {
                self.add(at, &format!("has no header {name} any more"));
            }
        }
        for (kind, content) in fields(&before["content"]) {
            match after["content"].get(kind) {
                Some(now) => self.schema(&content["schema"], &now["schema"], Writer::Daemon, at),
                None => self.add(at, &format!("has no {kind} any more")),
            }
        }
    }

    /// Compares two schemas. The values of a client may become more, and those of the daemon fewer.
    fn schema(&mut self, before: &'a Value, after: &'a Value, writer: Writer, at: &str) {
        if let (Some(old), Some(new)) = (before["$ref"].as_str(), after["$ref"].as_str()) {
            let pair = (old.to_owned(), new.to_owned(), writer == Writer::Client);
            if !self.compared.insert(pair) {
                return;
            }
        }
        let (before, after) = (resolved(self.before, before), resolved(self.after, after));
        let (wide, narrow) = match writer {
            Writer::Client => (after, before),
            Writer::Daemon => (before, after),
        };
        let (allowed, possible) = (types(wide), types(narrow));
        let is_number = |kind: &str| kind == "integer" && allowed.contains("number");
        let is_wider =
            allowed.is_empty() || possible.iter().all(|kind| allowed.contains(kind) || is_number(kind));
        if !is_wider || (possible.is_empty() && !allowed.is_empty() && alternatives(narrow).is_empty()) {
            self.add(at, &format!("has the type {} instead of {}", after["type"], before["type"]));
        }
        if let Some(allowed) = wide["enum"].as_array()
            && !narrow["enum"]
                .as_array()
                .is_some_and(|values| values.iter().all(|value| allowed.contains(value)))
        {
            self.add(at, &format!("is one of {} instead of {}", after["enum"], before["enum"]));
        }
        if writer == Writer::Client {
            self.bounds(before, after, at);
        }
        self.properties(before, after, writer, at);
        if before["items"].is_object() && after["items"].is_object() {
            self.schema(&before["items"], &after["items"], writer, &format!("{at}[]"));
        }
        self.parts(before, after, writer, at);
    }

    /// Compares the bounds of what a client writes.
    fn bounds(&mut self, before: &Value, after: &Value, at: &str) {
        for (bound, is_upper) in [
            ("maximum", true),
            ("maxLength", true),
            ("maxItems", true),
            ("maxProperties", true),
            ("minimum", false),
            ("minLength", false),
            ("minItems", false),
            ("minProperties", false),
        ] {
            let (old, new) = (before[bound].as_f64(), after[bound].as_f64());
            let is_narrower = match (old, new) {
                (_, None) => false,
                (None, Some(_)) => true,
                (Some(old), Some(new)) => {
                    if is_upper {
                        new < old
                    } else {
                        new > old
                    }
                }
            };
            if is_narrower {
                self.add(at, &format!("has the {bound} {} instead of {}", after[bound], before[bound]));
            }
        }
        if !after["pattern"].is_null() && after["pattern"] != before["pattern"] {
            self.add(at, &format!("has the pattern {} instead of {}", after["pattern"], before["pattern"]));
        }
    }

    fn properties(&mut self, before: &'a Value, after: &'a Value, writer: Writer, at: &str) {
        let required =
            |schema: &Value, name: &str| items(&schema["required"]).iter().any(|other| other == name);
        for (name, property) in fields(&before["properties"]) {
            let inner = format!("{at}.{name}");
            match after["properties"].get(name) {
                Some(now) => self.schema(property, now, writer, &inner),
                None => self.add(&inner, "is removed"),
            }
            if writer == Writer::Daemon && required(before, name) && !required(after, name) {
                self.add(&inner, "can be absent now");
            }
        }
        if writer == Writer::Client {
            for name in items(&after["required"]).iter().filter_map(Value::as_str) {
                if !required(before, name) {
                    self.add(&format!("{at}.{name}"), "is required now");
                }
            }
            if after["additionalProperties"] == false && before["additionalProperties"] != false {
                self.add(at, "takes no other fields any more");
            }
        }
    }

    /// Compares the parts of `allOf`, and the alternatives of `oneOf` and `anyOf`.
    fn parts(&mut self, before: &'a Value, after: &'a Value, writer: Writer, at: &str) {
        for (old, new) in items(&before["allOf"]).iter().zip(items(&after["allOf"])) {
            self.schema(old, new, writer, at);
        }
        let (old, new) = (alternatives(before), alternatives(after));
        for (old, new) in old.iter().zip(&new) {
            self.schema(old, new, writer, at);
        }
        let (had, has) = (old.len(), new.len());
        let is_narrower = if writer == Writer::Client { has < had && has > 0 } else { has > had && had > 0 };
        if is_narrower {
            self.add(at, &format!("has {has} alternatives instead of {had}"));
        }
    }
}

fn alternatives(schema: &Value) -> Vec<&Value> {
    items(&schema["oneOf"]).iter().chain(items(&schema["anyOf"])).collect()
}

fn resolved<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    match schema["$ref"].as_str() {
        Some(reference) => document.pointer(reference.trim_start_matches('#')).unwrap_or(&Value::Null),
        None => schema,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Returns a document with one operation.
    fn document(operation: &Value, schemas: &Value) -> Value {
        json!({"paths": {"/a": {"post": operation}}, "components": {"schemas": schemas}})
    }

    fn answer(schema: &Value) -> Value {
        let content = json!({"application/json": {"schema": {"$ref": "#/components/schemas/A"}}});
        document(&json!({"responses": {"200": {"content": content}}}), &json!({"A": schema}))
    }

    fn request(schema: &Value) -> Value {
        let body = json!({"required": true, "content": {"application/json": {"schema": schema}}});
        document(&json!({"requestBody": body, "responses": {}}), &json!({}))
    }

    /// Guards which changes of an operation break its clients.
    #[test]
    fn changes_of_operations() {
        let plain = json!({"responses": {"200": {}}});
        let with = |extra: Value| {
            let mut operation = plain.clone();
            operation.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
            operation
        };
        let parameter = |required: bool| {
            with(
                json!({"parameters": [{"in": "query", "name": "p", "required": required, "schema": {"type": "string"}}]}),
            )
        };
        let key = with(json!({"security": [{"Key": []}]}));
        let keys = with(json!({"security": [{"Key": []}, {"Bearer": []}]}));
        let open = with(json!({"security": [{"Key": []}, {}]}));
        let header = json!({"responses": {"200": {"headers": {"H": {}}}}});
        let two = json!({"responses": {"200": {}, "201": {}}});
        let failing = json!({"responses": {"200": {}, "404": {}}});
        let body = with(json!({"requestBody": {"required": true}}));
        let optional = with(json!({"requestBody": {}}));
        for (before, after, broken) in [
            (&plain, &plain, &[][..]),
            (&plain, &parameter(false), &[]),
            (&plain, &parameter(true), &["POST /a: parameter p is new and required"]),
            (&parameter(false), &parameter(true), &["POST /a: parameter p is required now"]),
            (&parameter(false), &plain, &["POST /a has no parameter p any more"]),
            (&plain, &key, &["POST /a needs a key now"]),
            (&open, &key, &["POST /a needs a key now"]),
            (&key, &open, &[]),
            (&key, &keys, &[]),
            (&keys, &key, &["POST /a does not take Bearer any more"]),
            (&header, &plain, &["POST /a: 200 has no header H any more"]),
            (&plain, &header, &[]),
            (&two, &plain, &["POST /a has no answer 201 any more"]),
            (&plain, &two, &["POST /a has the new answer 201"]),
            (&plain, &failing, &[]),
            (&failing, &plain, &[]),
            (&plain, &body, &["POST /a needs a body now"]),
            (&optional, &body, &["POST /a needs a body now"]),
            (&plain, &optional, &[]),
        ] {
            let documents = [before, after].map(|operation| document(operation, &json!({})));
            assert_eq!(super::broken(&documents[0], &documents[1]), broken, "{before} {after}");
        }
        let removed = broken(&document(&plain, &json!({})), &json!({"paths": {"/a": {}}}));
        assert_eq!(removed, ["POST /a is removed"]);
    }

    /// Guards which changes of an answer break its readers.
    #[test]
    fn changes_of_answers() {
        let object = |properties: Value, required: Value| json!({"type": "object", "properties": properties, "required": required});
        let text = json!({"type": "string"});
        let one = object(json!({"x": text}), json!(["x"]));
        let names = |names: Value| object(json!({"x": {"type": "string", "enum": names}}), json!(["x"]));
        let of = |schema: Value| object(json!({"x": schema}), json!(["x"]));
        for (before, after, broken) in [
            (one.clone(), object(json!({"x": text, "y": text}), json!(["x", "y"])), &[][..]),
            (one.clone(), object(json!({}), json!([])), &["x is removed", "x can be absent now"]),
            (one.clone(), object(json!({"x": text}), json!([])), &["x can be absent now"]),
            (
                one.clone(),
                of(json!({"type": "integer"})),
                &["x has the type \"integer\" instead of \"string\""],
            ),
            (
                one.clone(),
                of(json!({"type": ["string", "null"]})),
                &["x has the type [\"string\",\"null\"] instead of \"string\""],
            ),
            (of(json!({"type": ["string", "null"]})), one.clone(), &[]),
            (of(json!({"type": "number"})), of(json!({"type": "integer"})), &[]),
            (
                names(json!(["a"])),
                names(json!(["a", "b"])),
                &["x is one of [\"a\",\"b\"] instead of [\"a\"]"],
            ),
            (names(json!(["a", "b"])), names(json!(["a"])), &[]),
            (one.clone(), names(json!(["a"])), &[]),
            (names(json!(["a"])), one.clone(), &["x is one of null instead of [\"a\"]"]),
            (of(json!({"type": "array", "items": text})), of(json!({"type": "array", "items": text})), &[]),
            (
                of(json!({"type": "array", "items": {"type": "string"}})),
                of(json!({"type": "array", "items": {"type": "boolean"}})),
                &["x[] has the type \"boolean\" instead of \"string\""],
            ),
            (
                of(json!({"oneOf": [text]})),
                of(json!({"oneOf": [text, {"type": "null"}]})),
                &["x has 2 alternatives instead of 1"],
            ),
            (one.clone(), of(json!({"type": "string", "description": "new"})), &[]),
        ] {
            let found = super::broken(&answer(&before), &answer(&after));
            let broken: Vec<_> = broken.iter().map(|text| format!("POST /a: 200.{text}")).collect();
            assert_eq!(found, broken, "{before} {after}");
        }
    }

    /// Guards which changes of a request break its writers.
    #[test]
    fn changes_of_requests() {
        let of = |schema: Value| json!({"type": "object", "properties": {"x": schema}});
        let text = json!({"type": "string"});
        let with = |extra: Value| {
            let mut schema = of(text.clone());
            schema.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
            schema
        };
        for (before, after, broken) in [
            (of(text.clone()), of(text.clone()), &[][..]),
            (of(text.clone()), with(json!({"required": ["x"]})), &[".x is required now"]),
            (with(json!({"required": ["x"]})), of(text.clone()), &[]),
            (of(text.clone()), json!({"type": "object"}), &[".x is removed"]),
            (
                of(json!({"type": ["string", "null"]})),
                of(text.clone()),
                &[".x has the type \"string\" instead of [\"string\",\"null\"]"],
            ),
            (of(text.clone()), of(json!({"type": ["string", "null"]})), &[]),
            (
                of(text.clone()),
                of(json!({"type": "string", "enum": ["a"]})),
                &[".x is one of [\"a\"] instead of null"],
            ),
            (
                of(json!({"type": "string", "maxLength": 9})),
                of(json!({"type": "string", "maxLength": 8})),
                &[".x has the maxLength 8 instead of 9"],
            ),
            (
                of(json!({"type": "string", "maxLength": 8})),
                of(json!({"type": "string", "maxLength": 9})),
                &[],
            ),
            (
                of(json!({"type": "string", "minLength": 1})),
                of(json!({"type": "string", "minLength": 2})),
                &[".x has the minLength 2 instead of 1"],
            ),
            (
                of(text.clone()),
                of(json!({"type": "string", "pattern": "^a"})),
                &[".x has the pattern \"^a\" instead of null"],
            ),
            (
                of(text.clone()),
                with(json!({"additionalProperties": false})),
                &[" takes no other fields any more"],
            ),
        ] {
            let found = super::broken(&request(&before), &request(&after));
            let broken: Vec<_> = broken.iter().map(|text| format!("POST /a: body{text}")).collect();
            assert_eq!(found, broken, "{before} {after}");
        }
    }

    /// Guards that a schema that contains itself is compared once.
    #[test]
    fn a_schema_can_contain_itself() {
        let tree = |kind: &str| {
            answer(&json!({"type": "object", "properties": {
                "name": {"type": kind}, "children": {"type": "array", "items": {"$ref": "#/components/schemas/A"}},
            }}))
        };
        assert_eq!(broken(&tree("string"), &tree("string")), Vec::<String>::new());
        let found = broken(&tree("string"), &tree("integer"));
        assert_eq!(found, ["POST /a: 200.name has the type \"integer\" instead of \"string\""]);
    }
}
