//! `GET` with `watch`: a stream of events from the watch window.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use http::StatusCode;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;

use super::list::{Selection, parse_version};
use crate::body::{Body, ConnectionLost};
use crate::defaults;
use crate::faults::{Delivery, WatchDelivery, WatchFault};
use crate::form::{self, Form};
use crate::reply::Reply;
use crate::request::Request;
use crate::route::Target;
use crate::shared::{Link, Shared};
use crate::status::{ApiError, ApiResult};
use crate::store::{Change, Event, Object};
#[cfg(feature = "kubectl")]
use crate::table;
use crate::view;

/// The interval of bookmarks on a watch without events.
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);
/// The default timeout. The real server chooses one between 30 and 60 minutes.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(45 * 60);

/// An open watch.
struct Watcher {
    shared: Arc<Shared>,
    target: Target,
    selection: Selection,
    form: Form,
    /// Whether a table with column definitions has been sent.
    has_columns: bool,
    /// The version up to which events have been processed.
    last_version: u64,
    changed: watch::Receiver<u64>,
    link: watch::Receiver<Link>,
    cuts: u64,
    /// Lines that are ready to be sent.
    lines: VecDeque<Vec<u8>>,
    /// The fault of this watch.
    delivery: WatchDelivery,
    bookmarks: bool,
    /// The version of the last bookmark, if no event followed it.
    last_bookmark: Option<u64>,
    next_bookmark: Instant,
    deadline: Instant,
    ended: bool,
}

/// The output of the next poll.
enum Ready {
    Lines(Bytes),
    /// A fault closes the connection at this point.
    Cut,
    Nothing,
}

/// Opens a watch.
pub(super) fn watch(
    shared: &Arc<Shared>,
    target: &Target,
    request: &Request,
    fault: Option<WatchFault>,
) -> ApiResult<Reply> {
    let query = &request.query;
    let selection = Selection::of(target, query)?;
    let version = parse_version(query)?;
    let initial = query.is_on("sendInitialEvents");
    // An explicit `false` starts the watch at the current version.
    let from_now = query.get("sendInitialEvents").is_some() && !initial && matches!(version, None | Some(0));
    let timeout = query.number("timeoutSeconds").map_or(DEFAULT_TIMEOUT, Duration::from_secs);
    let now = Instant::now();
    let link = shared.link.subscribe();
    let cuts = link.borrow().cuts;
    let state = shared.state();
    let current = state.store.version();
    let mut watcher = Watcher {
        shared: Arc::clone(shared),
        target: target.clone(),
        selection,
        form: Form::of(&request.accept),
        has_columns: false,
        last_version: version.unwrap_or(0),
        changed: state.store.subscribe(target.resource),
        link,
        cuts,
        lines: VecDeque::new(),
        delivery: WatchDelivery::new(fault),
        bookmarks: query.is_on("allowWatchBookmarks"),
        last_bookmark: None,
        next_bookmark: now + BOOKMARK_EVERY,
        deadline: now + timeout,
        ended: false,
    };
    if watcher.delivery.expires_at_once() {
        watcher.expire(current);
    } else if from_now {
        watcher.last_version = current;
    } else if initial || matches!(version, None | Some(0)) {
        let objects: Vec<_> = watcher.selection.pick(&state.store, target).collect();
        for object in objects {
            watcher.send(Change::Added, &object);
        }
        watcher.last_version = current;
        if initial && watcher.bookmarks {
            watcher.bookmark(true);
        }
    }
    drop(state);
    let body = Body::stream(stream::unfold(watcher, |mut watcher| async move {
        let item = watcher.next().await?;
        Some((item, watcher))
    }));
    Ok(Reply { body, ..Reply::json(StatusCode::OK, Bytes::new()) })
}

// === impl Watcher ===

impl Watcher {
    /// Returns the next chunk of the body.
    async fn next(&mut self) -> Option<Result<Bytes, ConnectionLost>> {
        loop {
            let link = *self.link.borrow_and_update();
            if link.away || link.cuts != self.cuts {
                return self.lost();
            }
            if link.stalled || self.delivery.next() == Delivery::Stall {
                // Only the end of the connection ends the stall. The sender lives as long as the cluster.
                self.link.changed().await.ok()?;
                continue;
            }
            match self.take_lines() {
                Ready::Lines(bytes) => return Some(Ok(bytes)),
                Ready::Cut => return self.lost(),
                Ready::Nothing => {}
            }
            if self.ended {
                return None;
            }
            self.changed.borrow_and_update();
            self.process_events();
            if !self.lines.is_empty() {
                if let Some(late) = self.delivery.wait() {
                    tokio::time::sleep(late).await;
                    // New events may be part of a reordering.
                    if !self.ended {
                        self.process_events();
                    }
                    self.delivery.shuffle(&mut self.lines);
                }
                continue;
            }
            let wake = if self.bookmarks { self.next_bookmark.min(self.deadline) } else { self.deadline };
            tokio::select! {
                biased;
                changed = self.link.changed() => if changed.is_err() { return None },
                changed = self.changed.changed() => if changed.is_err() { return None },
                () = tokio::time::sleep_until(wake) => self.on_time(),
            }
        }
    }

    /// Returns all lines that are ready as one chunk, or a single line if a fault counts them.
    fn take_lines(&mut self) -> Ready {
        match self.delivery.next() {
            Delivery::Cut => return Ready::Cut,
            Delivery::Stall => return Ready::Nothing,
            Delivery::Expire if !self.ended => {
                self.lines.clear();
                self.expire(self.last_version);
            }
            Delivery::One => {
                let Some(line) = self.lines.pop_front() else { return Ready::Nothing };
                self.delivery.sent_one();
                return Ready::Lines(line.into());
            }
            Delivery::All | Delivery::Expire => {}
        }
        let Some(mut all) = self.lines.pop_front() else { return Ready::Nothing };
        for line in self.lines.drain(..) {
            all.extend_from_slice(&line);
        }
        Ready::Lines(all.into())
    }

    fn lost(&mut self) -> Option<Result<Bytes, ConnectionLost>> {
        if self.ended {
            return None;
        }
        self.ended = true;
        self.lines.clear();
        Some(Err(ConnectionLost::Reset))
    }

    /// Processes new events.
    fn process_events(&mut self) {
        let state = self.shared.state();
        let events = state.store.events_after(self.target.resource, self.last_version);
        let current = state.store.version();
        drop(state);
        match events {
            Err(expired) => self.expire(expired.oldest),
            Ok(events) => {
                for event in events {
                    self.last_version = event.version;
                    self.handle_event(&event);
                }
                self.last_version = self.last_version.max(current);
            }
        }
    }

    /// Sends an event as the watch with its selectors sees it.
    fn handle_event(&mut self, event: &Event) {
        let here = |object: &Object| {
            let place = self.target.namespace.as_deref();
            place.is_none_or(|namespace| namespace == object.namespace()) && self.selection.matches(object)
        };
        let was = event.before.as_ref().is_some_and(here);
        let is = event.change != Change::Deleted && here(&event.object);
        match (was, is) {
            (false, false) => {}
            (false, true) => self.send(Change::Added, &event.object),
            (true, true) => self.send(Change::Modified, &event.object),
            (true, false) if event.change == Change::Deleted => self.send(Change::Deleted, &event.object),
            // The object no longer matches: the last state that matched, with the version of the change.
            (true, false) => {
                if let Some(before) = &event.before {
                    self.send(Change::Deleted, &before.at_version(event.version));
                }
            }
        }
    }

    fn send(&mut self, change: Change, object: &Object) {
        let shown = view::of(self.target.resource, object);
        let object = shown.as_ref().unwrap_or(object);
        self.last_bookmark = None;
        let copies = self.delivery.copies();
        if copies == 0 {
            return;
        }
        let word = match change {
            Change::Added => "ADDED",
            Change::Modified => "MODIFIED",
            Change::Deleted => "DELETED",
        };
        let mut line = Vec::with_capacity(object.len() + 96);
        line.extend_from_slice(format!("{{\"type\":\"{word}\",\"object\":").as_bytes());
        if self.form == Form::Plain {
            object.write_full(&mut line);
        } else {
            line.extend_from_slice(self.shown(object).to_string().as_bytes());
        }
        line.extend_from_slice(b"}\n");
        self.lines.extend(std::iter::repeat_n(line, copies));
    }

    fn on_time(&mut self) {
        let now = Instant::now();
        if self.bookmarks && self.last_bookmark != Some(self.last_version) {
            self.bookmark(false);
        }
        self.next_bookmark = now + BOOKMARK_EVERY;
        self.ended |= now >= self.deadline;
    }

    /// Queues a bookmark.
    fn bookmark(&mut self, initial_end: bool) {
        let mut value = defaults::empty(self.target.resource);
        value["metadata"] = json!({"resourceVersion": self.last_version.to_string()});
        if initial_end {
            value["metadata"]["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        let object = Object::new(self.target.resource, self.last_version, value);
        let shown = self.shown(&object);
        self.line("BOOKMARK", &shown);
        self.last_bookmark = Some(self.last_version);
    }

    /// Returns an object in the representation of this watch. Only the first table has column definitions.
    fn shown(&mut self, object: &Object) -> Value {
        let mut shown = match self.form {
            Form::Plain => object.full_value(),
            Form::Metadata => form::metadata(object),
            #[cfg(feature = "kubectl")]
            Form::Table => table::one(object, self.shared.clock.now()),
        };
        if std::mem::replace(&mut self.has_columns, true) && shown["kind"] == "Table" {
            shown["columnDefinitions"] = Value::Null;
        }
        shown
    }

    fn expire(&mut self, oldest: u64) {
        let error = ApiError::expired(format!("too old resource version: {} ({oldest})", self.last_version));
        self.line("ERROR", &error.to_value());
        self.ended = true;
    }

    fn line(&mut self, word: &str, object: &Value) {
        let mut line = json!({"type": word, "object": object}).to_string().into_bytes();
        line.push(b'\n');
        self.lines.push_back(line);
    }
}
