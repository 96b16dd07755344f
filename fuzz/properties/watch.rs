//! The body of a watch. The first byte chooses the kind of object and the longest event that is read; the next two,
//! how the body is cut.

use std::{cell::Cell, convert::Infallible, fmt, rc::Rc};

use bytes::Bytes;
use cluster::{
    fault::{self, CallError, Verb},
    manifest::Template,
    names, observe,
    types::{Pod, Service},
    watch::events::{Event, Events},
};
use futures::FutureExt;
use http_body::Frame;
use http_body_util::StreamBody;
use kube::core::Resource;
use lifecycle::{error::ClusterError, phase::Reason};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// An object that can be watched.
trait WatchSink: Resource + DeserializeOwned + fmt::Debug {
    /// What is read off it is bounded, and its owner is the one that its name tells.
    fn is_read_soundly(&self);
}

/// However a body is cut, its events are the same, to the same end; no more of it is held than the longest event; an
/// event of any object can be read; and what is kept of an object is little.
pub fn check(data: &[u8]) {
    let [choice, cut @ ..] = data else { return };
    let Some((cut, body)) = cut.split_at_checked(2) else { return };
    let seed = u32::from_le_bytes([cut[0], cut[1], 1, 0]);
    let longest = [1 << 20, 1 << 20, 40, 200][usize::from(choice / 2 % 4)];
    if choice % 2 == 0 {
        is_sound::<Pod>(body, longest, seed);
    } else {
        is_sound::<Service>(body, longest, seed);
    }
}

fn is_sound<K: WatchSink>(body: &[u8], longest: usize, seed: u32) {
    let whole = told::<K>(&[body.to_vec()], longest);
    let bytes: Vec<Vec<u8>> = body.chunks(1).map(<[u8]>::to_vec).collect();
    assert_eq!(told::<K>(&bytes, longest), whole, "byte by byte");
    assert_eq!(told::<K>(&pieces(body, seed), longest), whole, "in pieces");
    for line in body.split(|byte| *byte == b'\n') {
        any_object_is_read::<K>(line);
    }
}

/// All that is told of a body that comes in these chunks, and how it ends.
fn told<K: WatchSink>(chunks: &[Vec<u8>], longest: usize) -> Vec<String> {
    let asked_for = Rc::new(Cell::new(0));
    let counter = asked_for.clone();
    let frames = chunks.iter().cloned().map(move |chunk| {
        counter.set(counter.get() + chunk.len());
        Ok::<_, Infallible>(Frame::data(Bytes::from(chunk)))
    });
    let mut events = Events::bounded(StreamBody::new(futures::stream::iter(frames)), longest);
    let mut told = Vec::new();
    loop {
        let event = events.next::<K>().now_or_never().expect("all of the body is there");
        match &event {
            Ok(Some(Event::Applied(object) | Event::Deleted(object))) => object.is_read_soundly(),
            Ok(Some(Event::Refused(error))) => is_understood(error),
            _ => {}
        }
        told.push(format!("{event:?}"));
        if !matches!(event, Ok(Some(_))) {
            break;
        }
    }
    let taken = &chunks.concat()[..asked_for.get()];
    let unfinished = taken.rsplit(|byte| *byte == b'\n').next().map_or(0, <[u8]>::len);
    let chunk = chunks.iter().map(Vec::len).max().unwrap_or_default();
    assert!(unfinished <= longest + chunk, "{unfinished} bytes of one event were taken");
    told
}

fn pieces(body: &[u8], seed: u32) -> Vec<Vec<u8>> {
    let mut state = seed;
    let mut rest = body;
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let (piece, after) = rest.split_at((1 + (state >> 24) as usize % 64).min(rest.len()));
        pieces.push(piece.to_vec());
        rest = after;
    }
    pieces
}

/// Whatever JSON stands where an object does: it is read, and the same whether it comes as text or was buffered.
fn any_object_is_read<K: WatchSink>(line: &[u8]) {
    let Ok(value) = serde_json::from_slice::<Value>(line) else { return };
    let objects = [value.get("object"), Some(&value)];
    for object in objects.into_iter().flatten().filter(|object| object.is_object() && depth(object) < 100) {
        // Written anew, without doubled fields, which no API server writes.
        let text = object.to_string();
        let from_text: K = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let buffered: K =
            serde_json::from_value(object.clone()).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(format!("{from_text:?}"), format!("{buffered:?}"), "{text}");
        from_text.is_read_soundly();

        let event = format!("{{\"type\":\"MODIFIED\",\"object\":{text}}}\n");
        let told = told::<K>(&[event.into_bytes()], 16 << 20);
        assert_eq!(told, [format!("Ok(Some(Applied({from_text:?})))"), "Ok(None)".to_owned()]);
    }
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or_default(),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or_default(),
        _ => 0,
    }
}

fn is_understood(error: &CallError) {
    let failed = fault::classify(Verb::Watch, error);
    assert!(failed.fault.message.len() <= ClusterError::MESSAGE_MAX, "{failed:?}");
}

// === impl WatchSink ===

impl WatchSink for Pod {
    fn is_read_soundly(&self) {
        if let Some(id) = observe::pod_owner(self) {
            assert_eq!(self.metadata.name, Some(names::pod(&id)));
            assert_eq!(observe::pod_named(self), Some(id));
        }
        let Some(seen) = observe::pod(self) else {
            assert!(observe::uid(&self.metadata).is_none(), "only a Pod without a uid is passed over");
            return;
        };
        assert_eq!(seen.terminating, self.metadata.deletion_timestamp.is_some());
        if let Some(Reason { name, message }) = seen.reason {
            assert!(!name.is_empty() && name.len() <= Reason::NAME_MAX, "{name:?}");
            assert!(message.is_none_or(|message| message.len() <= Reason::MESSAGE_MAX));
        }
    }
}

impl WatchSink for Service {
    fn is_read_soundly(&self) {
        if let Some(id) = observe::service_owner(self) {
            assert_eq!(self.metadata.name, Some(names::service(&id)));
            assert_eq!(observe::service_named(self), Some(id.clone()));
            let template = Template::default();
            if let Some(url) = observe::service(&template, &id, self).and_then(|seen| seen.url) {
                let uri: http::Uri = url.parse().expect("a sandbox's URL is one");
                assert_eq!(uri.host(), Some(template.node_host.as_str()));
                assert!(uri.port_u16().is_some_and(|port| port > 0), "{url}");
            }
        }
    }
}
