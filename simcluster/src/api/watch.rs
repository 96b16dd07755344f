//! `GET` with `watch`: a stream of changes, served from the watch window.

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
use crate::faults::{Twist, Verdict, WatchFault};
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

/// How often a quiet watch says how far it has come.
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);
/// How long a watch lasts that names no timeout: the real server draws 30 to 60 minutes.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(45 * 60);

/// One open watch.
struct Watcher {
    shared: Arc<Shared>,
    target: Target,
    selection: Selection,
    form: Form,
    /// Whether a table has gone out.
    headed: bool,
    /// The last version that has been looked at.
    seen: u64,
    changed: watch::Receiver<u64>,
    link: watch::Receiver<Link>,
    cuts: u64,
    /// Lines that are ready to go out.
    lines: VecDeque<Vec<u8>>,
    /// What goes wrong with it.
    twist: Twist,
    bookmarks: bool,
    /// The version of the last bookmark, if nothing came after it.
    marked: Option<u64>,
    next_bookmark: Instant,
    deadline: Instant,
    ended: bool,
}

/// What can go out now.
enum Ready {
    Lines(Bytes),
    /// A fault cuts the connection here.
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
    // Said outright, "no" means from now on.
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
        headed: false,
        seen: version.unwrap_or(0),
        changed: state.store.subscribe(target.resource),
        link,
        cuts,
        lines: VecDeque::new(),
        twist: Twist::new(fault),
        bookmarks: query.is_on("allowWatchBookmarks"),
        marked: None,
        next_bookmark: now + BOOKMARK_EVERY,
        deadline: now + timeout,
        ended: false,
    };
    if watcher.twist.expires_at_once() {
        watcher.expire(current);
    } else if from_now {
        watcher.seen = current;
    } else if initial || matches!(version, None | Some(0)) {
        let objects: Vec<_> = watcher.selection.pick(&state.store, target).collect();
        for object in objects {
            watcher.send(Change::Added, &object);
        }
        watcher.seen = current;
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
    /// The next piece of the body.
    async fn next(&mut self) -> Option<Result<Bytes, ConnectionLost>> {
        loop {
            let link = *self.link.borrow_and_update();
            if link.away || link.cuts != self.cuts {
                return self.lost();
            }
            if link.stalled || self.twist.verdict() == Verdict::Stall {
                // Only losing the connection ends the silence; the sender lives as long as the cluster.
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
            self.look();
            if !self.lines.is_empty() {
                if let Some(late) = self.twist.wait() {
                    tokio::time::sleep(late).await;
                    // What came meanwhile may take part in a change of order.
                    if !self.ended {
                        self.look();
                    }
                    self.twist.shuffle(&mut self.lines);
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

    /// The lines that are ready, in one piece, unless a fault counts them.
    fn take_lines(&mut self) -> Ready {
        match self.twist.verdict() {
            Verdict::Cut => return Ready::Cut,
            Verdict::Stall => return Ready::Nothing,
            Verdict::Expire if !self.ended => {
                self.lines.clear();
                self.expire(self.seen);
            }
            Verdict::One => {
                let Some(line) = self.lines.pop_front() else { return Ready::Nothing };
                self.twist.sent_one();
                return Ready::Lines(line.into());
            }
            Verdict::Go | Verdict::Expire => {}
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

    /// Takes in what happened since the last look.
    fn look(&mut self) {
        let state = self.shared.state();
        let events = state.store.events_after(self.target.resource, self.seen);
        let current = state.store.version();
        drop(state);
        match events {
            Err(expired) => self.expire(expired.oldest),
            Ok(events) => {
                for event in events {
                    self.seen = event.version;
                    self.take_in(&event);
                }
                self.seen = self.seen.max(current);
            }
        }
    }

    /// What an event is to someone who sees only what is selected.
    fn take_in(&mut self, event: &Event) {
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
            // Out of sight: the last state that was in sight, under the version of the change.
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
        self.marked = None;
        let copies = self.twist.copies();
        if copies == 0 {
            return;
        }
        let word = match change {
            Change::Added => "ADDED",
            Change::Modified => "MODIFIED",
            Change::Deleted => "DELETED",
        };
        let mut line = Vec::with_capacity(object.item_json().len() + 96);
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
        if self.bookmarks && self.marked != Some(self.seen) {
            self.bookmark(false);
        }
        self.next_bookmark = now + BOOKMARK_EVERY;
        self.ended |= now >= self.deadline;
    }

    /// Says how far the watch has come, with an otherwise empty object.
    fn bookmark(&mut self, initial_end: bool) {
        let mut value = defaults::empty(self.target.resource);
        value["metadata"] = json!({"resourceVersion": self.seen.to_string()});
        if initial_end {
            value["metadata"]["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        let object = Object::new(self.target.resource, self.seen, value);
        let shown = self.shown(&object);
        self.line("BOOKMARK", &shown);
        self.marked = Some(self.seen);
    }

    /// An object in the form of this watch. Of tables only the first has the columns.
    fn shown(&mut self, object: &Object) -> Value {
        let mut shown = match self.form {
            Form::Plain => object.full_value(),
            Form::Metadata => form::metadata(object),
            #[cfg(feature = "kubectl")]
            Form::Table => table::one(object, self.shared.clock.now()),
        };
        if std::mem::replace(&mut self.headed, true) && shown["kind"] == "Table" {
            shown["columnDefinitions"] = Value::Null;
        }
        shown
    }

    fn expire(&mut self, oldest: u64) {
        let error = ApiError::expired(format!("too old resource version: {} ({oldest})", self.seen));
        self.line("ERROR", &error.to_value());
        self.ended = true;
    }

    fn line(&mut self, word: &str, object: &Value) {
        let mut line = json!({"type": word, "object": object}).to_string().into_bytes();
        line.push(b'\n');
        self.lines.push_back(line);
    }
}
