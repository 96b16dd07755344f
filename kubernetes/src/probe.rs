//! Activity probes: they ask a sandbox, and the metrics API, whether the sandbox is busy.
//!
//! ```text
//!   Prober::ask ─┬─▸ fetch ──▸ judge, for each probe ─┐
//!                └─▸ cpu ─────────────────────────────┴─▸ combine
//! ```
//!
//! A sandbox runs arbitrary code of its user. Its answers are limited in time and size, and only a JSON value is read
//! from them.

mod cpu;
mod parse;
mod pointer;

use std::{sync::Arc, time::Duration};

use futures::future::{join, join_all};
use http::{Request, Uri, header};
use lifecycle::{ids::SandboxId, traits::Busy};
use serde_json::Value;
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};

use self::cpu::Cpu;
pub use self::parse::{Probe, ProbeError};
use crate::{connect::Connection, fetch::fetch, names::MANAGED_BY_VALUE};

/// The probes for the all-in-one image, one for each of its ways to run code. A session of this image stays open after
/// a command has ended, until it is closed. If that keeps sandboxes busy for too long, use a pointer such as
/// `/data/sessions/*/current_command`, which checks for the command instead.
pub const ALL_IN_ONE: [&str; 4] = [
    "/v1/shell/sessions#/data/sessions",
    "/v1/bash/sessions#/data",
    "/v1/jupyter/sessions#/data/sessions",
    "/v1/nodejs/sessions#/data/sessions",
];

/// The deadline of one probe. The sandbox lists its sessions from memory.
pub const PROBE_DEADLINE: Duration = Duration::from_secs(3);

/// The maximum wait of a probe for a permit. Together with the deadline of a probe it makes every call end within 9 s.
/// The caller's limit is 10 s, and it must distinguish a sandbox that was not asked from one that did not answer.
pub const TURN_DEADLINE: Duration = Duration::from_secs(6);

/// The maximum length of an answer's body, in bytes.
pub const BODY_MAX: usize = 64 << 10;

/// The maximum number of probes in flight. Each uses a connection. If ten thousand sandboxes become idle together, they
/// are probed a few at a time.
pub const IN_FLIGHT_MAX: usize = 32;

/// The activity probes to run before a sandbox counts as idle. There are none by default.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProbeOptions {
    /// The probes that are sent to the sandbox.
    pub probes: Vec<Probe>,
    /// The CPU use above which a sandbox is busy, in millicores; `None` to not read the metrics.
    pub idle_cpu_millis: Option<u32>,
}

/// The client for all activity probes.
pub struct Prober {
    probes: Vec<Probe>,
    cpu: Option<Cpu>,
    /// A permit for each probe in flight.
    permits: Arc<Semaphore>,
    /// The deadline of one probe: [`PROBE_DEADLINE`] except in tests.
    deadline: Duration,
}

// === impl Prober ===

impl Prober {
    /// Creates the client. Metrics are read through the connection.
    #[must_use]
    pub fn new(options: ProbeOptions, connection: Connection) -> Self {
        let ProbeOptions { probes, idle_cpu_millis } = options;
        Self {
            probes,
            cpu: idle_cpu_millis.map(|millis| Cpu::new(connection, millis)),
            permits: Arc::new(Semaphore::new(IN_FLIGHT_MAX)),
            deadline: PROBE_DEADLINE,
        }
    }

    /// Returns whether the sandbox at this URL is busy. Takes at most [`TURN_DEADLINE`] plus [`PROBE_DEADLINE`].
    ///
    /// Cluster IPs cannot be reached from outside the cluster. There, sandboxes behind Services of type `ClusterIP` do
    /// not answer.
    pub async fn ask(&self, id: &SandboxId, url: &str) -> Busy {
        let probes = join_all(self.probes.iter().map(|probe| self.one(probe, url)));
        let cpu = async {
            match &self.cpu {
                Some(cpu) => cpu.is_busy(id).await,
                None => Busy::No,
            }
        };
        let (answers, cpu) = join(probes, cpu).await;
        let busy = combine(answers.into_iter().chain([cpu]));
        tracing::debug!(sandbox_id = %id, ?busy, "probed for activity");
        busy
    }

    async fn one(&self, probe: &Probe, url: &str) -> Busy {
        let unanswered = |why: &str| Busy::Unanswered(format!("{}: {why}", probe.path()));
        let Ok(url) = format!("{url}{}", probe.path()).parse::<Uri>() else {
            return unanswered("the sandbox has no usable URL");
        };
        let request = Request::get(url)
            .header(header::ACCEPT, "application/json")
            .header(header::USER_AGENT, MANAGED_BY_VALUE);
        let turn = timeout_at(Instant::now() + TURN_DEADLINE, self.permits.acquire()).await;
        let Ok(Ok(_permit)) = turn else {
            return Busy::Unasked(format!("{}: too many sandboxes are probed at once", probe.path()));
        };
        match timeout_at(Instant::now() + self.deadline, fetch(request, BODY_MAX)).await {
            Ok(Ok(answer)) => judge(probe, answer.status().as_u16(), answer.body()),
            Ok(Err(error)) => unanswered(&error.to_string()),
            Err(_) => unanswered(&format!("no answer within {:?}", self.deadline)),
        }
    }
}

/// Evaluates the answer to a probe.
#[must_use]
pub fn judge(probe: &Probe, status: u16, body: &[u8]) -> Busy {
    let unanswered = |why: &str| Busy::Unanswered(format!("{}: {why}", probe.path()));
    match status {
        200..=299 => {}
        // This image does not have the API, so nothing runs through it.
        404 => return Busy::No,
        // Redirects are not followed either, because they could lead to any host.
        other => return unanswered(&format!("HTTP {other}")),
    }
    match serde_json::from_slice::<Value>(body) {
        Ok(value) if probe.pointer().values(&value).into_iter().any(shows_work) => {
            Busy::Yes(probe.path().to_owned())
        }
        Ok(_) => Busy::No,
        Err(_) => unanswered("the answer is not JSON"),
    }
}

/// Returns whether a value indicates work.
fn shows_work(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(yes) => *yes,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
    }
}

/// Combines the results. One busy result is enough; the sandbox is idle only if every probe was sent and answered. A
/// missing answer takes precedence over a probe that was not sent.
fn combine(answers: impl IntoIterator<Item = Busy>) -> Busy {
    answers.into_iter().fold(Busy::No, |so_far, next| match (so_far, next) {
        (Busy::Yes(sign), _) | (_, Busy::Yes(sign)) => Busy::Yes(sign),
        (Busy::Unanswered(why), _) | (_, Busy::Unanswered(why)) => Busy::Unanswered(why),
        (Busy::Unasked(why), _) | (_, Busy::Unasked(why)) => Busy::Unasked(why),
        (Busy::No, Busy::No) => Busy::No,
    })
}

#[cfg(test)]
mod tests;
