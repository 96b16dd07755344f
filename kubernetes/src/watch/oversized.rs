//! Skips one object of a list that is longer than what is read of an answer, so that it hides no other.
//!
//! The page is requested once more as a table without objects. That is the shortest form of a list: metadata alone still
//! contains the annotations and `managedFields`, which may be what is long. A table has no uid, but the name is enough:
//! it is the sandbox's.

use bytes::Bytes;
use http::{HeaderValue, Request, Uri, header::ACCEPT, request::Parts};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ListMeta;
use kube::client::Body;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{fault::CallError, lenient::Scalar};

/// The form of a list that the API server is asked for. An API server that does not know it answers with an error.
const TABLE: HeaderValue = HeaderValue::from_static("application/json;as=Table;v=v1;g=meta.k8s.io");

/// A page whose only object was not read.
#[derive(Debug, PartialEq, Eq)]
pub struct Skipped {
    /// The name of the object; `None` if it was deleted in the meantime.
    pub name: Option<String>,
    /// The page without the object. It continues the list.
    pub page: Bytes,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Table {
    kind: String,
    metadata: ListMeta,
    column_definitions: Vec<Column>,
    /// `null` if there are none.
    rows: Option<Vec<Row>>,
}

#[derive(Deserialize)]
struct Column {
    #[serde(default)]
    format: Scalar<String>,
}

#[derive(Deserialize)]
struct Row {
    cells: Vec<Value>,
}

/// Returns the request for the same page as a table without objects.
pub fn request(page: &Parts, uri: &Uri) -> Result<Request<Body>, CallError> {
    let mut request = Request::get(format!("{uri}&includeObject=None"));
    if let Some(headers) = request.headers_mut() {
        headers.clone_from(&page.headers);
        headers.insert(ACCEPT, TABLE);
    }
    request.body(Body::empty()).map_err(|_| CallError::Unreadable)
}

/// Parses the table. Returns `None` if it does not name exactly the object that is skipped: a server that ignores the
/// number of objects per page must not make us skip all of them.
pub fn parse(table: &[u8]) -> Option<Skipped> {
    let Table { kind, metadata, column_definitions, rows } = serde_json::from_slice(table).ok()?;
    let rows = rows.unwrap_or_default();
    if kind != "Table" || rows.len() > 1 {
        return None;
    }
    let column = column_definitions.iter().position(|column| column.format.as_deref() == Some("name"))?;
    let name = rows.first().map(|row| row.cells.get(column).and_then(Value::as_str).map(str::to_owned));
    let name = match name {
        None => None,
        Some(name) => Some(name.filter(|name| !name.is_empty())?),
    };
    let metadata = json!({"resourceVersion": metadata.resource_version, "continue": metadata.continue_});
    Some(Skipped { name, page: json!({"metadata": metadata, "items": []}).to_string().into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(kind: &str, columns: &Value, rows: &Value) -> Vec<u8> {
        let metadata = json!({"resourceVersion": "7", "continue": "next"});
        json!({"kind": kind, "metadata": metadata, "columnDefinitions": columns, "rows": rows})
            .to_string()
            .into_bytes()
    }

    /// Guards that the name comes from the column of names, and that the rest of the list is continued.
    #[test]
    fn the_object_is_named_and_the_list_continues() {
        let columns = json!([{"name": "Age", "format": ""}, {"name": "Name", "format": "name"}]);
        let skipped =
            parse(&table("Table", &columns, &json!([{"cells": ["5d", "sandbox-a"], "object": null}])));
        let skipped = skipped.unwrap();
        assert_eq!(skipped.name.as_deref(), Some("sandbox-a"));
        let page: Value = serde_json::from_slice(&skipped.page).unwrap();
        assert_eq!(page, json!({"metadata": {"resourceVersion": "7", "continue": "next"}, "items": []}));
        for none in [json!([]), json!(null)] {
            assert_eq!(parse(&table("Table", &columns, &none)).unwrap().name, None, "deleted meanwhile");
        }
    }

    /// Guards that an answer of another form, or with several objects, skips nothing.
    #[test]
    fn only_one_named_object_is_skipped() {
        let columns = json!([{"name": "Name", "format": "name"}]);
        let row = json!({"cells": ["sandbox-a"]});
        for (kind, columns, rows) in [
            ("PodList", &columns, json!([row])),
            ("Table", &columns, json!([row, row])),
            ("Table", &json!([{"name": "Name"}]), json!([row])),
            ("Table", &columns, json!([{"cells": []}])),
            ("Table", &columns, json!([{"cells": [7]}])),
            ("Table", &columns, json!([{"cells": [""]}])),
            ("Table", &columns, json!({})),
        ] {
            assert_eq!(parse(&table(kind, columns, &rows)), None, "{kind} {columns} {rows}");
        }
        assert_eq!(parse(b"<html>"), None);
    }

    /// Guards that the table is of the same page.
    #[test]
    fn the_same_page_is_requested() {
        let (mut page, ()) = Request::get("/api/v1/pods?limit=500").body(()).unwrap().into_parts();
        page.headers.insert("accept", HeaderValue::from_static("application/json"));
        page.headers.insert("x-other", HeaderValue::from_static("kept"));
        let uri = Uri::from_static("/api/v1/pods?limit=1&continue=x%3D");
        let request = request(&page, &uri).unwrap();
        assert_eq!(request.uri(), "/api/v1/pods?limit=1&continue=x%3D&includeObject=None");
        assert_eq!(request.headers()["accept"], TABLE);
        assert_eq!(request.headers()["x-other"], "kept");
    }
}
