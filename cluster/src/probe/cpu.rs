//! How much CPU a sandbox uses, by the cluster's metrics API where there is one.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use kube::core::{Request, params::GetParams};
use lifecycle::{error::ClusterErrorKind, ids::SandboxId, traits::Busy};
use serde::Deserialize;
use tokio::{sync::Semaphore, time::timeout};

use super::TURN_DEADLINE;
use crate::{
    connect::Connection,
    fault::{CallError, Verb, classify},
    lenient, names,
};

/// When the metrics API must have answered; it answers from memory.
const DEADLINE: Duration = Duration::from_secs(3);

/// How many calls are in flight at once: they take their turn among all calls to the API server, of which a
/// hanging metrics API must not take many.
const IN_FLIGHT_MAX: usize = 8;

/// What the sign of work is called.
const SIGN: &str = "cpu";

/// Asks the metrics API.
pub struct Cpu {
    connection: Connection,
    /// What a sandbox at rest uses at most, in thousandths of a core.
    idle_millis: u32,
    /// One for each call in flight.
    permits: Semaphore,
    /// Whether somebody was told that the right to read metrics is missing.
    warned: AtomicBool,
}

/// A Pod's metrics, with what is read of them.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PodMetrics {
    #[serde(deserialize_with = "lenient::objects")]
    containers: Vec<ContainerMetrics>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ContainerMetrics {
    #[serde(deserialize_with = "lenient::object")]
    usage: Option<Usage>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Usage {
    #[serde(deserialize_with = "lenient::scalar")]
    cpu: Option<String>,
}

// === impl Cpu ===

impl Cpu {
    pub fn new(connection: Connection, idle_millis: u32) -> Self {
        Self {
            connection,
            idle_millis,
            permits: Semaphore::new(IN_FLIGHT_MAX),
            warned: AtomicBool::new(false),
        }
    }

    /// Whether the sandbox uses more than one at rest. Where the cluster has no metrics of it, that shows nothing.
    pub async fn ask(&self, id: &SandboxId) -> Busy {
        let Connection { calls, namespace, .. } = &self.connection;
        let path = format!("/apis/metrics.k8s.io/v1beta1/namespaces/{namespace}/pods");
        let request = match Request::new(path).get(&names::pod(id), &GetParams::default()) {
            Ok(request) => request,
            Err(error) => return Busy::Unanswered(format!("{SIGN}: {error}")),
        };
        let Ok(Ok(_permit)) = timeout(TURN_DEADLINE, self.permits.acquire()).await else {
            return Busy::Unasked(format!("{SIGN}: too many sandboxes are asked at once"));
        };
        match calls.request::<PodMetrics>(request, DEADLINE).await {
            Ok(metrics) => judge(&metrics, self.idle_millis),
            // No such API, or not yet a measure of this Pod.
            Err(CallError::Answered { code: 404, .. }) => Busy::No,
            Err(error) => {
                let fault = classify(Verb::Get, &error).fault;
                if fault.kind != ClusterErrorKind::Forbidden {
                    return Busy::Unanswered(format!("{SIGN}: {fault}"));
                }
                if !self.warned.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        namespace = &**namespace, %fault,
                        "not allowed to read the metrics of Pods: their use of CPU counts for nothing; give the \
                         role the right \"get\" on \"pods\" of metrics.k8s.io, as config/rbac.yaml does"
                    );
                }
                Busy::No
            }
        }
    }
}

fn judge(metrics: &PodMetrics, idle_millis: u32) -> Busy {
    let used: Option<u128> = metrics
        .containers
        .iter()
        .filter_map(|container| container.usage.as_ref()?.cpu.as_deref())
        .map(nanocores)
        .try_fold(0, |sum: u128, used| sum.checked_add(used?));
    match used {
        Some(used) if used > u128::from(idle_millis) * 1_000_000 => Busy::Yes(SIGN.to_owned()),
        Some(_) => Busy::No,
        None => Busy::Unanswered(format!("{SIGN}: the use is not a quantity")),
    }
}

/// Reads a use of CPU in the forms that metrics come in: a decimal number of cores, perhaps with one of the suffixes
/// of Kubernetes' quantities up to thousands. A part of a nanocore counts as none.
fn nanocores(text: &str) -> Option<u128> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let scale: u32 = match &text[digits.len()..] {
        "n" => 0,
        "u" => 3,
        "m" => 6,
        "" => 9,
        "k" => 12,
        _ => return None,
    };
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let decimal = |digits: &str| digits.bytes().all(|b| b.is_ascii_digit()) && digits.len() <= 18;
    if whole.is_empty() && part.is_empty() || !decimal(whole) || !decimal(part) {
        return None;
    }
    let unit = 10_u128.pow(scale);
    let number = |digits: &str| if digits.is_empty() { Some(0) } else { digits.parse::<u128>().ok() };
    let below = number(part)? * unit / 10_u128.pow(u32::try_from(part.len()).ok()?);
    Some(number(whole)? * unit + below)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::fake::{self, Answer, Log, failure};

    fn id() -> SandboxId {
        SandboxId::parse("a").unwrap()
    }

    fn metrics(uses: &[&str]) -> Value {
        let containers: Vec<_> = uses.iter().map(|cpu| json!({"name": "c", "usage": {"cpu": cpu}})).collect();
        json!({"kind": "PodMetrics", "containers": containers})
    }

    async fn ask(answer: impl Fn() -> Answer + Send + Sync + 'static) -> (Busy, Log) {
        let (connection, log) = fake::server(move |_, _| answer());
        (Cpu::new(connection, 50).ask(&id()).await, log)
    }

    /// The forms that metrics come in, and those that are none.
    #[test]
    fn quantities_are_read_exactly() {
        for (text, nanos) in [
            ("0", Some(0)),
            ("123456n", Some(123_456)),
            ("250u", Some(250_000)),
            ("100m", Some(100_000_000)),
            ("1", Some(1_000_000_000)),
            ("1.5", Some(1_500_000_000)),
            (".5m", Some(500_000)),
            ("2k", Some(2_000_000_000_000)),
            ("0.1n", Some(0)),
            ("", None),
            ("n", None),
            (".", None),
            ("-1", None),
            ("1e3", None),
            ("1.2.3", None),
            ("much", None),
            ("9999999999999999999n", None),
        ] {
            assert_eq!(nanocores(text), nanos, "{text:?}");
        }
    }

    /// The containers count together, and only what is above the threshold is work.
    #[tokio::test(start_paused = true)]
    async fn containers_count_together() {
        for (uses, busy) in [
            (vec!["50m"], Busy::No),
            (vec!["50000001n"], Busy::Yes("cpu".to_owned())),
            (vec!["30m", "30m"], Busy::Yes("cpu".to_owned())),
            (vec!["0", "12345n"], Busy::No),
            (vec![], Busy::No),
            (vec!["lots"], Busy::Unanswered("cpu: the use is not a quantity".to_owned())),
        ] {
            let answer = metrics(&uses);
            let (told, log) = ask(move || Answer::Json(200, answer.clone())).await;
            assert_eq!(told, busy, "{uses:?}");
            assert_eq!(log.lines(), ["GET /apis/metrics.k8s.io/v1beta1/namespaces/rec/pods/sandbox-a"]);
        }
    }

    /// Metrics that hang leave the API server's other callers their turns, and every ask ends in time.
    #[tokio::test(start_paused = true)]
    async fn hanging_metrics_take_few_turns() {
        let (connection, log) = fake::server(|_, _| Answer::Silence);
        let cpu = Cpu::new(connection, 50);
        let id = id();
        let begun = tokio::time::Instant::now();
        let answers = futures::future::join_all((0..100).map(|_| cpu.ask(&id))).await;
        let silent = answers.iter().filter(|busy| matches!(busy, Busy::Unanswered(_))).count();
        let unasked = answers.iter().filter(|busy| matches!(busy, Busy::Unasked(_))).count();
        assert_eq!((silent + unasked, silent % IN_FLIGHT_MAX), (100, 0), "{answers:?}");
        assert!(begun.elapsed() <= TURN_DEADLINE + DEADLINE, "{:?}", begun.elapsed());
        let at_first = log.all().iter().filter(|asked| asked.at < DEADLINE).count();
        assert_eq!(at_first, IN_FLIGHT_MAX);
    }

    /// A cluster without metrics, or without the right to them, reaps by the other signs; one whose metrics fail
    /// has not answered.
    #[tokio::test(start_paused = true)]
    async fn absent_metrics_show_nothing() {
        let not_found = "podmetrics.metrics.k8s.io \"rec/sandbox-a\" not found";
        assert_eq!(ask(move || failure(404, "NotFound", not_found)).await.0, Busy::No);
        assert_eq!(ask(|| Answer::Text(404, vec![], "404 page not found\n")).await.0, Busy::No);
        let forbidden = "pods.metrics.k8s.io is forbidden: User \"x\" cannot get resource \"pods\"";
        assert_eq!(ask(move || failure(403, "Forbidden", forbidden)).await.0, Busy::No);
        for trouble in [
            || failure(503, "ServiceUnavailable", "the server is currently unable to handle the request"),
            || Answer::Silence,
            || Answer::Broken(std::io::ErrorKind::ConnectionRefused),
            || Answer::Text(200, vec![], "<html>"),
        ] {
            assert!(matches!(ask(trouble).await.0, Busy::Unanswered(why) if why.starts_with("cpu: ")));
        }
    }
}
