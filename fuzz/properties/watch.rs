//! The objects of lists and watches. The first byte chooses the kind of object: from 128 on an Event, below it a Pod or a
//! Service. Each line after it is JSON, of an event of the watch or of an object.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::{ObjectList, WatchEvent};
use kubernetes::{
    fault::{self, CallError, Verb},
    manifest::Template,
    object::{SandboxObject, WatchedObject},
    observe,
    types::{Pod, PodEvent, Service},
};
use lifecycle::{error::ClusterError, phase::Reason};
use serde::de::DeserializeOwned;
use serde_json::Value;

trait Watched: WatchedObject {
    /// Checks that the fields that are kept are bounded, and that the name is the sandbox's.
    fn is_read_soundly(&self);
}

/// Checks that any JSON is parsed where an object is expected, with the same result from text and from a buffer, in an
/// event and in a list, and that the kept part of an object is bounded.
pub fn check(data: &[u8]) {
    let [choice, lines @ ..] = data else { return };
    for line in lines.split(|byte| *byte == b'\n') {
        match choice {
            128.. => is_sound::<PodEvent>(line),
            _ if choice % 2 == 0 => is_sound::<Pod>(line),
            _ => is_sound::<Service>(line),
        }
    }
}

fn is_sound<K: Watched>(line: &[u8]) {
    match serde_json::from_slice(line) {
        Ok(WatchEvent::<K>::Error(status)) => {
            let error = CallError::Answered { code: status.code, status: Some(status), retry_after: None };
            let failed = fault::classify(Verb::Watch, &error);
            assert!(failed.fault.message.len() <= ClusterError::MESSAGE_MAX, "{failed:?}");
        }
        Ok(event) => object(&event).is_read_soundly(),
        Err(_) => {}
    }
    let Ok(value) = serde_json::from_slice::<Value>(line) else { return };
    let values = [value.get("object"), Some(&value)];
    for value in values.into_iter().flatten().filter(|value| depth(value) < 100) {
        any_value_is_parsed::<K>(value);
    }
}

fn any_value_is_parsed<K: Watched>(value: &Value) {
    // Serialized again to remove duplicate fields, which an API server never writes.
    let text = value.to_string();
    let from_text = parse::<K>(&text);
    from_text.is_read_soundly();
    let expected = format!("{from_text:?}");
    let buffered: K = serde_json::from_value(value.clone()).unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!(format!("{buffered:?}"), expected, "{text}");

    for event in [
        format!("{{\"type\":\"MODIFIED\",\"object\":{text}}}"),
        format!("{{\"object\":{text},\"type\":\"DELETED\"}}"),
    ] {
        let event = parse::<WatchEvent<K>>(&event);
        assert_eq!(format!("{:?}", object(&event)), expected, "{text}");
    }
    let list = format!("{{\"metadata\":{{\"resourceVersion\":\"1\"}},\"items\":[{text},{{}},{text}]}}");
    let items = parse::<ObjectList<K>>(&list).items;
    assert_eq!(items.len(), 3, "{text}");
    for item in [&items[0], &items[2]] {
        assert_eq!(format!("{item:?}"), expected, "{text}");
    }
}

fn parse<T: DeserializeOwned>(text: &str) -> T {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn object<K: Watched>(event: &WatchEvent<K>) -> K {
    match event {
        WatchEvent::Added(object) | WatchEvent::Modified(object) | WatchEvent::Deleted(object) => {
            object.clone()
        }
        WatchEvent::Bookmark(_) | WatchEvent::Error(_) => K::default(),
    }
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or_default(),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or_default(),
        _ => 0,
    }
}

// === impl Watched ===

impl Watched for PodEvent {
    fn is_read_soundly(&self) {
        // The version is all that the watch itself reads of an Event.
        let version = self.metadata.resource_version.clone();
        assert_eq!(self.metadata, ObjectMeta { resource_version: version, ..ObjectMeta::default() });
    }
}

impl Watched for Pod {
    fn is_read_soundly(&self) {
        if let Some(id) = self.sandbox_id() {
            assert_eq!(self.metadata.name, Some(Self::name(&id)));
            assert_eq!(Self::parse_name(&Self::name(&id)), Some(id));
        }
        let Some(seen) = observe::pod(self) else {
            assert!(observe::uid(&self.metadata).is_none(), "only a Pod without a uid is passed over");
            return;
        };
        assert_eq!(seen.terminating, self.metadata.deletion_timestamp.is_some());
        if let Some(Reason { name, message, .. }) = seen.reason.as_deref() {
            assert!(!name.is_empty() && name.len() <= Reason::NAME_MAX, "{name:?}");
            assert!(message.as_ref().is_none_or(|message| message.len() <= Reason::MESSAGE_MAX));
        }
    }
}

impl Watched for Service {
    fn is_read_soundly(&self) {
        if let Some(id) = self.sandbox_id() {
            assert_eq!(self.metadata.name, Some(Self::name(&id)));
            assert_eq!(Self::parse_name(&Self::name(&id)), Some(id.clone()));
            let template = Template::default();
            if let Some(url) = observe::service(&template, &id, self).and_then(|seen| seen.url) {
                let uri: http::Uri = url.parse().expect("a sandbox's URL is one");
                assert_eq!(uri.host(), Some(template.node_host.as_str()));
                assert!(uri.port_u16().is_some_and(|port| port > 0), "{url}");
            }
        }
    }
}
