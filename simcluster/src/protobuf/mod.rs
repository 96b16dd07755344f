//! Decodes bodies in Kubernetes' Protobuf encoding into JSON. `kubectl` sends objects that it builds itself in this
//! encoding (`kubectl create namespace`, `kubectl auth can-i`). Responses are JSON, which it also accepts.
//!
//! Only the kinds that clients are known to send in this encoding are supported ([`messages`]).

mod messages;
mod wire;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Map, Value};

use messages::{Field, Kind, Message};
use wire::{Broken, Fields, Item};

/// The content type.
const TYPE: &str = "application/vnd.kubernetes.protobuf";
/// The first bytes of every body.
const MAGIC: &[u8] = b"k8s\0";

/// Decodes a body in Protobuf into JSON. Any other body, and one that cannot be decoded, is returned unchanged; the latter
/// is then rejected because of its content type.
pub(crate) fn decoded(content_type: String, body: Bytes) -> (String, Bytes) {
    if content_type != TYPE || body.is_empty() {
        return (content_type, body);
    }
    match to_json(&body) {
        Some(json) => ("application/json".to_owned(), json),
        None => (content_type, body),
    }
}

/// Returns the JSON of a body, or `None` for an unknown kind or an invalid body.
fn to_json(body: &[u8]) -> Option<Bytes> {
    let envelope = object(&messages::ENVELOPE, body.strip_prefix(MAGIC)?).ok()?;
    let text = |path: &str| envelope.pointer(path).and_then(Value::as_str).unwrap_or("");
    let (version, kind) = (text("/typeMeta/apiVersion"), text("/typeMeta/kind"));
    let message = messages::of(version, kind)?;
    let raw = STANDARD.decode(envelope["raw"].as_str()?).ok()?;
    let mut value = object(message, &raw).ok()?;
    value["apiVersion"] = version.into();
    value["kind"] = kind.into();
    Some(value.to_string().into())
}

/// Returns a message as a JSON object. Unknown fields are ignored, as usual in Protobuf.
fn object(message: &Message, bytes: &[u8]) -> Result<Value, Broken> {
    let mut out = Map::new();
    for field in Fields::of(bytes) {
        let (number, item) = field?;
        let Some(Field { name, kind, many, .. }) = message.iter().find(|field| field.number == number) else {
            continue;
        };
        if let Kind::Map(of) = kind {
            let (key, entry) = entry(of, item.bytes()?)?;
            let map = out.entry(*name).or_insert_with(|| Value::Object(Map::new()));
            map[key.as_str()] = entry;
            continue;
        }
        let value = value(kind, &item)?;
        if *many {
            let list = out.entry(*name).or_insert_with(|| Value::Array(Vec::new()));
            list.as_array_mut().into_iter().for_each(|list| list.push(value.clone()));
        } else if !is_zero(kind, &value) {
            out.insert((*name).to_owned(), value);
        }
    }
    Ok(Value::Object(out))
}

/// Whether Go omits a value from JSON.
fn is_zero(kind: &Kind, value: &Value) -> bool {
    match kind {
        Kind::Text => value == "",
        Kind::Int => value == 0,
        Kind::Bool => value == false,
        _ => value.is_null(),
    }
}

fn value(kind: &Kind, item: &Item) -> Result<Value, Broken> {
    Ok(match kind {
        Kind::Text => text(item)?.into(),
        Kind::Bytes => STANDARD.encode(item.bytes()?).into(),
        Kind::Int | Kind::OptionalInt => item.number()?.cast_signed().into(),
        Kind::Bool | Kind::OptionalBool => (item.number()? != 0).into(),
        Kind::Message(message) => object(message, item.bytes()?)?,
        // Both are a message around what JSON has bare.
        Kind::Time => time(&object(&messages::TIME, item.bytes()?)?),
        Kind::Quantity => object(&messages::QUANTITY, item.bytes()?)?["string"].take(),
        Kind::IntOrText => {
            let either = object(&messages::INT_OR_TEXT, item.bytes()?)?;
            let is_text = either["type"] == 1;
            let number = either["int"].as_i64().unwrap_or(0);
            if is_text { either["text"].as_str().unwrap_or("").into() } else { number.into() }
        }
        Kind::Map(_) => return Err(Broken),
    })
}

fn text<'a>(item: &Item<'a>) -> Result<&'a str, Broken> {
    std::str::from_utf8(item.bytes()?).map_err(|_| Broken)
}

/// One pair of a map.
fn entry(of: &Kind, bytes: &[u8]) -> Result<(String, Value), Broken> {
    let (mut key, mut found) = (String::new(), None);
    for field in Fields::of(bytes) {
        match field? {
            (1, item) => text(&item)?.clone_into(&mut key),
            (2, item) => found = Some(value(of, &item)?),
            _ => {}
        }
    }
    Ok((key, found.unwrap_or_else(|| "".into())))
}

/// Returns a time as in JSON, or null for an empty one.
fn time(message: &Value) -> Value {
    let time = message["seconds"].as_i64().and_then(|seconds| Timestamp::from_second(seconds).ok());
    time.map_or(Value::Null, |time| time.to_string().into())
}

#[cfg(test)]
mod tests;
