//! The `OpenAPI` v3 documents: the types, and the paths of each kind. `kubectl` uses them to find out that the server
//! validates fields, and for `kubectl explain`.

use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::discovery;
use crate::options::Options;
use crate::reply::Reply;
use crate::resource::Resource;
use crate::route::Route;
use crate::schema::{self, Field, Shape, Sharing, Struct};

/// The query parameters of `POST`, `PUT` and `PATCH`.
const WRITE_OPTIONS: [&str; 4] = ["dryRun", "fieldManager", "fieldValidation", "pretty"];
const PATCH_TYPES: [&str; 4] = [
    "application/apply-patch+yaml",
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
];

/// Returns the index of documents or one document.
pub(crate) fn answer(route: &Route, options: &Options) -> Option<Reply> {
    let value = match route {
        Route::OpenApi => index(options),
        Route::OpenApiOf(group) => document(group)?,
        _ => return None,
    };
    Some(Reply::json(StatusCode::OK, value.to_string()))
}

fn index(options: &Options) -> Value {
    let groups = std::iter::once("").chain(discovery::groups(options));
    let paths: Map<String, Value> = groups
        // The documents are those of version `v1`.
        .filter(|group| Resource::all().any(|resource| resource.group == *group && resource.version == "v1"))
        .map(|group| {
            let path = place(group);
            let url = format!("/openapi/v3/{path}?hash=1");
            (path, json!({"serverRelativeURL": url}))
        })
        .collect();
    json!({"paths": paths})
}

fn document(group: &str) -> Option<Value> {
    let mut paths = Map::new();
    let mut schemas = Map::new();
    for resource in Resource::all().filter(|resource| resource.group == group) {
        describe(resource, &mut paths);
        if let Some(kind) = schema::of(resource) {
            collect(kind, &mut schemas);
            let name = component(kind.name);
            schemas[&name]["x-kubernetes-group-version-kind"] = json!([kind_of(resource)]);
            for (key, about) in
                [("apiVersion", "The version of this form of the object."), ("kind", "The object's kind.")]
            {
                schemas[&name]["properties"][key] = json!({"type": "string", "description": about});
            }
        }
    }
    if paths.is_empty() {
        return None;
    }
    Some(json!({
        "openapi": "3.0.0", "info": {"title": "Kubernetes", "version": "v1.36.2"},
        "paths": paths, "components": {"schemas": schemas},
    }))
}

fn describe(resource: &Resource, paths: &mut Map<String, Value>) {
    let space = if resource.namespaced { "/namespaces/{namespace}" } else { "" };
    let all = format!("/{}{space}/{}", place(resource.group), resource.plural);
    let body = |types: &[&str]| {
        let content: Map<String, Value> =
            types.iter().map(|kind| ((*kind).to_owned(), json!({"schema": {"type": "object"}}))).collect();
        json!({"content": content})
    };
    let operation = |action: &str, options: &[&str], body: Option<Value>| {
        let parameters: Vec<_> = options
            .iter()
            .map(|name| json!({"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": true}}))
            .collect();
        let mut operation = json!({
            "x-kubernetes-action": action, "x-kubernetes-group-version-kind": kind_of(resource),
            "parameters": parameters, "responses": {"200": {"description": "OK"}},
        });
        if let Some(body) = body {
            operation["requestBody"] = body;
        }
        operation
    };
    let write = || Some(body(&["*/*"]));
    paths.insert(
        all.clone(),
        json!({
            "get": operation("list", &["fieldSelector", "labelSelector", "limit", "continue", "watch"], None),
            "post": operation("post", &WRITE_OPTIONS, write()),
        }),
    );
    let patch: Vec<&str> = WRITE_OPTIONS.into_iter().chain(["force"]).collect();
    paths.insert(
        format!("{all}/{{name}}"),
        json!({
            "get": operation("get", &["pretty"], None),
            "put": operation("put", &WRITE_OPTIONS, write()),
            "patch": operation("patch", &patch, Some(body(&PATCH_TYPES))),
            "delete": operation("delete", &["dryRun", "gracePeriodSeconds", "propagationPolicy"], write()),
        }),
    );
}

/// Adds a type and all types that it contains.
fn collect(kind: &Struct, schemas: &mut Map<String, Value>) {
    let name = component(kind.name);
    if schemas.contains_key(&name) {
        return;
    }
    schemas.insert(name.clone(), Value::Null);
    let mut properties = Map::new();
    for (key, field) in &kind.fields {
        below(&field.shape, schemas);
        properties.insert((*key).to_owned(), property(field));
    }
    let mut shape = json!({"type": "object", "properties": properties});
    if kind.atomic {
        shape["x-kubernetes-map-type"] = "atomic".into();
    }
    schemas.insert(name, shape);
}

fn below(shape: &Shape, schemas: &mut Map<String, Value>) {
    match shape {
        Shape::One(name) => schema::named(name).into_iter().for_each(|kind| collect(kind, schemas)),
        Shape::List(item) | Shape::Map(item) => below(item, schemas),
        _ => {}
    }
}

fn property(field: &Field) -> Value {
    let mut property = shape(&field.shape);
    match &field.sharing {
        Sharing::Members => {}
        Sharing::Whole if matches!(field.shape, Shape::Map(_)) => {
            property["x-kubernetes-map-type"] = "atomic".into();
        }
        Sharing::Whole => property["x-kubernetes-list-type"] = "atomic".into(),
        Sharing::Set => property["x-kubernetes-list-type"] = "set".into(),
        Sharing::Keyed(keys) => {
            property["x-kubernetes-list-type"] = "map".into();
            property["x-kubernetes-list-map-keys"] = json!(keys);
        }
    }
    if field.sharing == Sharing::Set {
        property["x-kubernetes-patch-strategy"] = "merge".into();
    } else if let Some(key) = field.merge_key {
        property["x-kubernetes-patch-strategy"] = "merge".into();
        property["x-kubernetes-patch-merge-key"] = key.into();
    }
    property
}

fn shape(shape: &Shape) -> Value {
    match shape {
        Shape::Text => json!({"type": "string"}),
        Shape::Int32 => json!({"type": "integer", "format": "int32"}),
        Shape::Int64 => json!({"type": "integer", "format": "int64"}),
        Shape::Double => json!({"type": "number", "format": "double"}),
        Shape::Bool => json!({"type": "boolean"}),
        Shape::Bytes => json!({"type": "string", "format": "byte"}),
        Shape::Quantity => json!({"oneOf": [{"type": "string"}, {"type": "number"}]}),
        Shape::IntOrText => {
            json!({"oneOf": [{"type": "integer"}, {"type": "string"}], "format": "int-or-string"})
        }
        Shape::Time | Shape::MicroTime => json!({"type": "string", "format": "date-time"}),
        Shape::Anything => json!({"type": "object"}),
        Shape::One(name) => json!({"allOf": [{"$ref": format!("#/components/schemas/{}", component(name))}]}),
        Shape::List(item) => json!({"type": "array", "items": self::shape(item)}),
        Shape::Map(item) => json!({"type": "object", "additionalProperties": self::shape(item)}),
    }
}

/// Returns the name of a type in the document.
fn component(name: &str) -> String {
    match name.split_once('.') {
        Some((group, kind)) => format!("io.k8s.api.{group}.v1.{kind}"),
        None => format!("io.k8s.api.core.v1.{name}"),
    }
}

fn place(group: &str) -> String {
    if group.is_empty() { "api/v1".to_owned() } else { format!("apis/{group}/v1") }
}

fn kind_of(resource: &Resource) -> Value {
    json!({"group": resource.group, "version": "v1", "kind": resource.kind})
}
