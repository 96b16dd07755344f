//! Whether a sandbox is at work, asked of the sandbox itself and of the cluster's metrics.
//!
//! ```text
//!   Prober::ask ─┬─▸ fetch ──▸ judge, for each probe ─┐
//!                └─▸ cpu ─────────────────────────────┴─▸ combine
//! ```
//!
//! A sandbox runs whatever its user likes: its answers are bounded in time and size, and no more than a value
//! in JSON is taken from them.

mod cpu;
mod fetch;
mod parse;
mod pointer;

use std::{sync::Arc, time::Duration};

use futures::future::{join, join_all};
use http::Uri;
use lifecycle::{ids::SandboxId, traits::Busy};
use serde_json::Value;
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};

pub use self::parse::{Probe, ProbeError};
use self::{cpu::Cpu, fetch::fetch};
use crate::connect::Connection;

/// The probes for the all-in-one image, one for each of its ways to run code. What it calls a session stays
/// after a command has ended, until it is closed: where that is too long, a pointer such as
/// `/data/sessions/*/current_command` asks for the command instead.
pub const ALL_IN_ONE: [&str; 4] = [
    "/v1/shell/sessions#/data/sessions",
    "/v1/bash/sessions#/data",
    "/v1/jupyter/sessions#/data/sessions",
    "/v1/nodejs/sessions#/data/sessions",
];

/// When a sandbox must have answered one probe: lists of sessions come from memory.
pub const PROBE_DEADLINE: Duration = Duration::from_secs(3);

/// How long a probe waits for its turn, so that an ask ends within 9 s whatever happens: the caller's own limit is
/// 10 s, and who was not asked is to be told from who did not answer.
pub const TURN_DEADLINE: Duration = Duration::from_secs(6);

/// The longest answer that is read, in bytes.
pub const BODY_MAX: usize = 64 << 10;

/// How many probes are in flight at once, each of them a connection: ten thousand sandboxes that become idle
/// together are asked one after the other.
pub const IN_FLIGHT_MAX: usize = 32;

/// What is asked before a sandbox counts as idle. By default nothing is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProbeOptions {
    /// What is asked of the sandbox.
    pub probes: Vec<Probe>,
    /// The use of CPU above which a sandbox is at work, in thousandths of a core; `None` to leave the metrics
    /// alone.
    pub idle_cpu_millis: Option<u32>,
}

/// Asks sandboxes.
pub struct Prober {
    probes: Vec<Probe>,
    cpu: Option<Cpu>,
    /// One for each probe in flight.
    permits: Arc<Semaphore>,
    /// [`PROBE_DEADLINE`], but for tests.
    deadline: Duration,
}

// === impl Prober ===

impl Prober {
    /// Asks as the options have it; metrics are read through the connection.
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

    /// Whether the sandbox that is reached at this URL is at work. Ends within [`TURN_DEADLINE`] and
    /// [`PROBE_DEADLINE`].
    ///
    /// From outside the cluster its own addresses cannot be reached: sandboxes behind Services of type
    /// `ClusterIP` are then not answered for.
    pub async fn ask(&self, id: &SandboxId, url: &str) -> Busy {
        let probes = join_all(self.probes.iter().map(|probe| self.one(probe, url)));
        let cpu = async {
            match &self.cpu {
                Some(cpu) => cpu.ask(id).await,
                None => Busy::No,
            }
        };
        let (answers, cpu) = join(probes, cpu).await;
        let busy = combine(answers.into_iter().chain([cpu]));
        tracing::debug!(sandbox = %id, ?busy, "asked whether it is busy");
        busy
    }

    async fn one(&self, probe: &Probe, url: &str) -> Busy {
        let unanswered = |why: &str| Busy::Unanswered(format!("{}: {why}", probe.path()));
        let Ok(url) = url.parse::<Uri>() else {
            return unanswered("the sandbox has no usable URL");
        };
        let turn = timeout_at(Instant::now() + TURN_DEADLINE, self.permits.acquire()).await;
        let Ok(Ok(_permit)) = turn else {
            return Busy::Unasked(format!("{}: too many sandboxes are asked at once", probe.path()));
        };
        match timeout_at(Instant::now() + self.deadline, fetch(&url, probe.path())).await {
            Ok(Ok(answer)) => judge(probe, answer.status, &answer.body),
            Ok(Err(error)) => unanswered(&error.to_string()),
            Err(_) => unanswered(&format!("no answer within {:?}", self.deadline)),
        }
    }
}

/// What an answer to a probe means.
#[must_use]
pub fn judge(probe: &Probe, status: u16, body: &[u8]) -> Busy {
    let unanswered = |why: &str| Busy::Unanswered(format!("{}: {why}", probe.path()));
    match status {
        200..=299 => {}
        // This image has no such API, and so nothing that runs by it.
        404 => return Busy::No,
        // Redirects among them: they could lead anywhere.
        other => return unanswered(&format!("HTTP {other}")),
    }
    match serde_json::from_slice::<Value>(body) {
        Ok(value) if probe.pointer().values(&value).into_iter().any(shows_work) => {
            Busy::Yes(probe.path().to_owned())
        }
        Ok(_) => Busy::No,
        Err(_) => unanswered("the answer is no JSON"),
    }
}

/// Whether a value says that there is something.
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

/// One sign of work is enough; and only if all were asked and answered, all is quiet. Silence of the sandbox's own
/// goes before what was not asked for want of a turn.
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
