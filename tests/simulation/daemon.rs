//! A daemon that can be killed, and the calls of clients.

use std::{cell::RefCell, rc::Rc, time::Duration};

use bytes::Bytes;
use http::{Method, Request};
use sandbox_provisioner::run::Core;
use serde_json::Value;
use testkit::{Answer, Client, Events};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::history::History;

/// The daemon, of which one process runs at a time. Clones share it.
#[derive(Clone)]
pub struct Daemon {
    pub history: History,
    process: Rc<RefCell<Option<Process>>>,
}

/// A running process.
struct Process {
    core: Core,
    killed: CancellationToken,
}

impl Daemon {
    /// Creates a daemon that does not run.
    pub fn new(history: History) -> Self {
        Self { history, process: Rc::default() }
    }

    /// Runs this process.
    pub fn run(&self, core: Core) {
        *self.process.borrow_mut() = Some(Process { core, killed: CancellationToken::new() });
    }

    /// Returns whether it runs.
    pub fn is_up(&self) -> bool {
        self.process.borrow().is_some()
    }

    /// Kills it at once.
    pub fn kill(&self) {
        if let Some(process) = self.process.borrow_mut().take() {
            self.history.note("the daemon is killed");
            process.killed.cancel();
        }
    }

    /// Calls the daemon. Returns `None` if the daemon is down or is killed before it answers.
    ///
    /// # Panics
    /// Panics if the answer is late or malformed (invariant 7).
    pub async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Option<Answer> {
        let (client, killed) = {
            let process = self.process.borrow();
            let process = process.as_ref()?;
            (Client::direct(process.core.frontend().clone()), process.killed.clone())
        };
        // Slightly less than the timeouts of existing clients.
        let longest = match method {
            Method::POST => Duration::from_millis(25_100),
            Method::DELETE => Duration::from_millis(12_100),
            _ => Duration::from_millis(9_000),
        };
        let asked = match &body {
            Some(body) => format!("{method} {path} {body}"),
            None => format!("{method} {path}"),
        };
        let mut request = Request::builder().method(&method).uri(path);
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let request = request.body(Bytes::from(body)).unwrap();
        let begun = Instant::now();
        let answer = timeout(longest, client.request(request));
        let answer = tokio::select! {
            biased;
            () = killed.cancelled() => {
                self.history.note(format_args!("{asked}: the connection is lost"));
                return None;
            }
            answer = answer => answer,
        };
        let answer =
            answer.unwrap_or_else(|_| panic!("invariant 7: {method} {path} takes {:?}", begun.elapsed()));
        let answer = answer.unwrap();
        let Answer { status, body, .. } = &answer;
        self.history.note(format_args!("{asked}: {status} {body}"));
        let well_formed = if *status < 300 { body.is_object() } else { body["detail"].is_string() };
        assert!(well_formed, "invariant 7: {method} {path}: {status} {body}");
        let known = body["reason"].is_string();
        assert!(*status != 500 || known, "what happens here is no mistake of ours: {method} {path}: {body}");
        assert!(
            *status != 503 || answer.retry_after().is_some(),
            "a 503 says when to come again: {method} {path}: {body}"
        );
        Some(answer)
    }

    /// Opens a stream of all events. Returns `None` if the daemon is down or refuses it, and the token of its end.
    pub async fn events(&self, after: Option<&str>) -> Option<(Events, CancellationToken)> {
        let (client, killed) = {
            let process = self.process.borrow();
            let process = process.as_ref()?;
            (Client::direct(process.core.frontend().clone()), process.killed.clone())
        };
        let opened = tokio::select! {
            biased;
            () = killed.cancelled() => return None,
            opened = client.events("/api/events", after) => opened,
        };
        match opened {
            Ok(events) => Some((events, killed)),
            Err(answer) => {
                assert_eq!(answer.status, 503, "{answer}");
                None
            }
        }
    }

    /// Repeats the call until the status is one of these, like a client that needs it.
    pub async fn insist(&self, method: Method, path: &str, body: Option<Value>, wanted: &[u16]) -> Answer {
        for _ in 0..100 {
            match self.call(method.clone(), path, body.clone()).await {
                Some(answer) if wanted.contains(&answer.status) => return answer,
                _ => sleep(Duration::from_secs(1)).await,
            }
        }
        panic!("{method} {path} is not answered with one of {wanted:?}");
    }
}
