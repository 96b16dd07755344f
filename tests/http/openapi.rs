//! The description of the API: `GET /openapi.json`, and whether it describes the routes that exist.

use std::collections::BTreeSet;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use sandbox_provisioner::http::body;
use serde_json::Value;
use testkit::contract;

use crate::{
    fake::Fake,
    server::{self, KEY},
};

async fn ask(request: http::request::Builder) -> Response<Bytes> {
    let frontend = server::frontend(Fake::default(), body::Limits::default(), Vec::new());
    let answer = frontend.answer(request.body(Full::<Bytes>::default()).unwrap(), None).await;
    let (parts, body) = answer.into_parts();
    // A stream of events does not end.
    let body = if body.is_stream() { Bytes::new() } else { body.collect().await.unwrap().to_bytes() };
    Response::from_parts(parts, body)
}

/// Guards that the document needs no key, and that a client that has it already gets a 304.
#[tokio::test]
async fn the_document_is_open_and_has_a_version() {
    let first = ask(Request::get("/openapi.json")).await;
    assert_eq!(
        (first.status().as_u16(), &first.headers()["content-type"]),
        (200, &"application/json".parse().unwrap())
    );
    let document: Value = serde_json::from_slice(first.body()).unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1."));
    let tag = first.headers()["etag"].to_str().unwrap();
    for (sent, status) in [
        (tag.to_owned(), 304),
        (format!("W/{tag}"), 304),
        (format!("\"x\", {tag}"), 304),
        ("*".to_owned(), 304),
        ("\"x\"".to_owned(), 200),
        (String::new(), 200),
    ] {
        let again = ask(Request::get("/openapi.json").header("if-none-match", &sent)).await;
        assert_eq!(again.status().as_u16(), status, "{sent}");
        assert_eq!(again.body().is_empty(), status == 304, "{sent}");
        assert_eq!(again.headers()["etag"], tag);
    }
}

/// The paths that the fake daemon of these tests does not have.
const OFF: [&str; 1] = ["/metrics"];

/// Guards that each method that a route takes is described, and that each described method is taken.
#[tokio::test]
async fn described_methods_are_those_of_the_routes() {
    let paths = contract::document()["paths"].as_object().unwrap();
    for (path, item) in paths.iter().filter(|(path, _)| !OFF.contains(&&***path)) {
        let target =
            path.replace("{id}", "abc-123").replace("{name}", "default").replace("{file}", "style.css");
        for method in ["get", "head", "post", "put", "patch", "delete", "options", "trace"] {
            let name: Method = method.to_uppercase().parse().unwrap();
            let request = Request::builder().method(&name).uri(&target).header("x-api-key", KEY);
            let answer = ask(request).await;
            let is_taken = answer.status() != 405;
            assert_eq!(is_taken, item.get(method).is_some(), "{name} {path}: {}", answer.status());
            let unknown = answer.body() == r#"{"detail":"Not Found"}"#;
            assert!(!unknown, "{name} {path} is described and has no route");
        }
    }
}

/// Returns the paths of the routes in the source, with `{id}` in place of an id.
fn paths_in_the_source() -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    let mut folders = vec![std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                folders.push(entry);
                continue;
            }
            let text = std::fs::read_to_string(&entry).unwrap_or_default();
            let other = ["warp::path(", "warp::path::path", "warp::path::param", "warp::path::tail"];
            let found = other.iter().find(|form| text.contains(**form));
            assert!(
                found.is_none(),
                "{}: write a path as `warp::path!` or in `paths!`, so that this test finds it",
                entry.display()
            );
            let calls = text.split("warp::path!(").skip(1).map(|call| call.split(')').next().unwrap());
            // The rows `name() = "a" / "b";` of the macro in src/http/path.rs, which contains a call of its own.
            let table =
                text.split_once("\npaths! {").map_or("", |(_, table)| table.split("\n}").next().unwrap());
            let rows = table.lines().filter_map(|row| row.split_once(" = ")?.1.strip_suffix(';'));
            for path in calls.filter(|call| !call.starts_with('$')).chain(rows) {
                let segments = path.split('/').map(str::trim);
                let text = |segment: &str| match segment.strip_prefix('"') {
                    Some(text) => text.trim_end_matches('"').to_owned(),
                    None if segment == "String" => "{file}".to_owned(),
                    None if segment == "PathCluster" => "{name}".to_owned(),
                    None => "{id}".to_owned(),
                };
                paths.insert(segments.fold(String::new(), |path, segment| path + "/" + &text(segment)));
            }
        }
    }
    paths
}

/// Guards that every path of the source is described, and that every described path is in the source.
#[test]
fn described_paths_are_those_of_the_source() {
    let described: BTreeSet<_> = contract::document()["paths"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(described, paths_in_the_source(), "left: docs/openapi.json, right: the routes in src/");
}

/// Guards that the parsers read the fields that the document describes, and no other ones.
#[test]
fn the_parsers_read_the_described_fields() {
    let schemas = &contract::document()["components"]["schemas"];
    let described = |name: &str| schemas[name]["properties"].as_object().unwrap().keys().cloned().collect();
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/src/http/request");
    let parser = std::fs::read_to_string(format!("{source}.rs")).unwrap();
    let overrides = std::fs::read_to_string(format!("{source}/overrides.rs")).unwrap();
    let (create, change) = (function(&parser, "read_create"), function(&parser, "read_change"));
    let size = function(&parser, "workspace_size");
    let more = [function(&overrides, "read"), function(&overrides, "resources")].concat();
    for (name, read) in [
        ("CreateRequest", fields(&(create.replace("mount.", "").replace("workspace.", "") + &more))),
        ("ChangeRequest", fields(&(change + &function(&overrides, "resources")))),
        ("WorkspaceSize", fields(&size)),
    ] {
        let described: BTreeSet<String> = described(name);
        assert_eq!(described, read, "{name}: left: the document, right: the parser");
    }
}

/// Returns the text of a function.
fn function(text: &str, name: &str) -> String {
    let start = text.find(&format!("fn {name}(")).unwrap();
    let text = &text[start..];
    text[..text.find("\n}\n").unwrap()].to_owned()
}

/// Returns the names of the fields of the body that a function reads.
fn fields(text: &str) -> BTreeSet<String> {
    let methods = ["required", "optional", "object", "objects", "entries"];
    let calls = methods
        .iter()
        .flat_map(|method| text.split(&format!("fields.{method}(\"")).skip(1).collect::<Vec<_>>());
    calls.map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
}
