//! The version of the API server, for operators.

use std::{sync::Arc, time::Duration};

use http::Request;
use kube::client::Body;
use serde::Deserialize;
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

use crate::connect::Connection;

/// How long an answer counts. An API server is seldom upgraded.
const KNOWN_FOR: Duration = Duration::from_secs(10 * 60);
/// How long a failed call counts, so that many requests do not repeat it.
const FAILED_FOR: Duration = Duration::from_secs(10);
/// The deadline of the call. The request of an operator waits for it.
const DEADLINE: Duration = Duration::from_secs(2);

/// The version of the API server. It is read when it is asked for, and then kept for a while.
pub(crate) struct ServerVersion {
    connection: Connection,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// The last version that was read.
    version: Option<Arc<str>>,
    /// Until when it is not read again.
    until: Option<Instant>,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "gitVersion")]
    git_version: String,
}

// === impl ServerVersion ===

impl ServerVersion {
    pub(crate) fn new(connection: Connection) -> Self {
        Self { connection, known: Mutex::default() }
    }

    /// Returns the version, such as `v1.36.0`; `None` if it is not known. Waits at most for [`DEADLINE`], and makes at most
    /// one call at a time.
    pub(crate) async fn get(&self) -> Option<Arc<str>> {
        let reading = async {
            let mut known = self.known.lock().await;
            if known.until.is_none_or(|until| until <= Instant::now()) {
                let read = self.read().await;
                known.until = Some(Instant::now() + if read.is_some() { KNOWN_FOR } else { FAILED_FOR });
                known.version = read.or(known.version.take());
            }
            known.version.clone()
        };
        timeout(DEADLINE, reading).await.ok().flatten()
    }

    async fn read(&self) -> Option<Arc<str>> {
        let request = Request::get("/version").body(Body::empty()).ok()?;
        // Shorter than the whole, so that a failure is recorded.
        let body = self.connection.calls().ok()?.read(request, DEADLINE / 2).await.ok()?;
        let Answer { git_version } = serde_json::from_slice(&body).ok()?;
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "._+-~".contains(c);
        let is_version = (1..=64).contains(&git_version.len()) && git_version.chars().all(is_plain);
        is_version.then(|| git_version.into())
    }
}
