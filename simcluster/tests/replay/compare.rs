//! Comparing an answer with a recorded one, past all that differs from run to run.

use serde_json::{Map, Value};

use crate::Response;

/// Pairs of values that stand for the same thing: the recorder's first, ours second.
#[derive(Debug, Default)]
pub struct Mapping(Vec<(String, String)>);

/// Members whose values are masked, whatever they are.
const MASKED: [&str; 13] = [
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "deletionTimestamp",
    "lastTransitionTime",
    "startedAt",
    "startTime",
    "finishedAt",
    "eventTime",
    "nodePort",
    "clusterIP",
    "continue",
    "reportingInstance",
];

// === impl Mapping ===

impl Mapping {
    /// A recorded text with the recorder's names replaced by ours.
    pub fn ours(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (theirs, ours)| {
            // A bare number is replaced only where it is the whole text or a member's whole value.
            if theirs.bytes().all(|byte| byte.is_ascii_digit()) {
                if text == *theirs {
                    ours.clone()
                } else {
                    text.replace(&format!(": {theirs}"), &format!(": {ours}"))
                }
                .replace(&format!(":{theirs}"), &format!(":{ours}"))
            } else {
                text.replace(theirs, ours)
            }
        })
    }

    /// Learns from two answers to one request what is called how.
    pub fn learn(&mut self, theirs: &Response, ours: &Response) {
        self.walk(&theirs.body, &ours.body);
        for (theirs, ours) in theirs.events.iter().flatten().zip(ours.events.iter().flatten()) {
            self.walk(theirs, ours);
        }
    }

    fn walk(&mut self, theirs: &Value, ours: &Value) {
        match (theirs, ours) {
            (Value::Object(theirs), Value::Object(ours)) => {
                for (key, value) in theirs {
                    let Some(other) = ours.get(key) else { continue };
                    let generated = key == "name" && theirs.contains_key("generateName");
                    if ["uid", "continue", "resourceVersion", "nodePort"].contains(&key.as_str()) || generated
                    {
                        self.note(value, other);
                    }
                    self.walk(value, other);
                }
            }
            (Value::Array(theirs), Value::Array(ours)) => {
                theirs.iter().zip(ours).for_each(|(theirs, ours)| self.walk(theirs, ours));
            }
            _ => {}
        }
    }

    fn note(&mut self, theirs: &Value, ours: &Value) {
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let pair = (text(theirs), text(ours));
        if pair.0 != pair.1 && self.0.iter().all(|known| known.0 != pair.0) {
            self.0.push(pair);
        }
    }
}

/// How our answer differs from the recorded one; empty if it does not.
pub fn differences(theirs: &Response, ours: &Response, mapping: &Mapping) -> Vec<String> {
    let mut found = Vec::new();
    if theirs.status != ours.status {
        found.push(format!("status: {} expected, {} found", theirs.status, ours.status));
    }
    for name in ["content-type", "retry-after", "warning"] {
        let (wanted, got) = (theirs.headers.get(name), ours.headers.get(name));
        if (wanted.is_some() || name != "content-type") && wanted != got {
            found.push(format!("header {name}: {wanted:?} expected, {got:?} found"));
        }
    }
    if let Some(events) = &theirs.events {
        let wanted = Value::Array(events.clone());
        let got = Value::Array(ours.events.clone().unwrap_or_default());
        diff("events", &mask(&wanted, mapping), &mask(&got, mapping), &mut found);
    } else {
        let (wanted, got) = (mask(&theirs.body, mapping), mask(&ours.body, mapping));
        diff("body", &served(wanted, &got), &got, &mut found);
    }
    found
}

/// A discovery document without what is not served here; the rest must be alike, entry by entry and in its order. So
/// `kubectl` runs into no resource that is announced and not there.
fn served(mut theirs: Value, ours: &Value) -> Value {
    let list = match theirs["kind"].as_str() {
        Some("APIGroupList") => "groups",
        Some("APIResourceList") => "resources",
        _ => return theirs,
    };
    let known = |entry: &Value| ours[list].as_array().unwrap().iter().any(|own| own["name"] == entry["name"]);
    theirs[list].as_array_mut().unwrap().retain(known);
    theirs
}

fn diff(path: &str, theirs: &Value, ours: &Value, found: &mut Vec<String>) {
    match (theirs, ours) {
        (Value::Object(a), Value::Object(b)) => {
            for (key, value) in a {
                match b.get(key) {
                    Some(other) => diff(&format!("{path}.{key}"), value, other, found),
                    None => found.push(format!("{path}.{key}: {value} expected, nothing found")),
                }
            }
            for (key, value) in b.iter().filter(|(key, _)| !a.contains_key(*key)) {
                found.push(format!("{path}.{key}: nothing expected, {value} found"));
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (place, (theirs, ours)) in a.iter().zip(b).enumerate() {
                diff(&format!("{path}[{place}]"), theirs, ours, found);
            }
        }
        (Value::Array(a), Value::Array(b)) => {
            found.push(format!("{path}: {} items expected, {} found: {ours}", a.len(), b.len()));
        }
        _ if theirs != ours => found.push(format!("{path}: {theirs} expected, {ours} found")),
        _ => {}
    }
}

/// The value with what differs from run to run replaced by marks.
fn mask(value: &Value, mapping: &Mapping) -> Value {
    match value {
        Value::Object(fields) => {
            let masked: Map<String, Value> = fields
                .iter()
                .filter(|(key, _)| *key != "managedFields")
                .map(|(key, value)| {
                    let masked = MASKED.contains(&key.as_str()) && *value != "None" && !value.is_null();
                    let value = match key.as_str() {
                        "clusterIPs" if value[0] != "None" => "(addresses)".into(),
                        // The age in a table.
                        "cells" => mask_age(value),
                        _ if masked => format!("({key})").into(),
                        _ => mask(value, mapping),
                    };
                    (key.clone(), value)
                })
                .collect();
            masked.into()
        }
        Value::Array(items) => items.iter().map(|item| mask(item, mapping)).collect(),
        Value::String(text) => mask_text(&mapping.ours(text)).into(),
        other => other.clone(),
    }
}

fn mask_age(cells: &Value) -> Value {
    let mut cells = cells.clone();
    cells[4] = "(age)".into();
    // The generated part of a name.
    if let Some(name) = cells[0].as_str().and_then(|name| name.strip_prefix("gen-")) {
        cells[0] = format!("gen-{}", "?".repeat(name.len())).into();
    }
    cells
}

/// Hides versions in messages and the generated parts of names.
fn mask_text(text: &str) -> String {
    if text.starts_with("kube-api-access-") {
        return "kube-api-access-?".to_owned();
    }
    // Events of the scheduler are named after the time in nanoseconds.
    if let Some((name, suffix)) = text.rsplit_once('.')
        && suffix.len() == 16
        && suffix.bytes().all(|byte| byte.is_ascii_hexdigit())
    {
        return format!("{name}.(time)");
    }
    for (start, end) in [("current: ", ""), ("too old resource version: 1 (", ")")] {
        if let Some((head, _)) = text.split_once(start) {
            return format!("{head}{start}(version){end}");
        }
    }
    text.to_owned()
}
