//! Reads the CPU use of a sandbox from the metrics API, if the cluster has one.

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
    lenient::{Object, Objects, Scalar},
    names,
};

/// The deadline of a call to the metrics API, which answers from memory.
const DEADLINE: Duration = Duration::from_secs(3);

/// The maximum number of calls in flight. They count against the limit of all calls to the API server, and a hanging
/// metrics API must not use many of those.
const IN_FLIGHT_MAX: usize = 8;

/// The name of this probe in results.
const SOURCE: &str = "cpu";

/// The client for the metrics API.
pub struct Cpu {
    connection: Connection,
    /// The highest CPU use of an idle sandbox, in millicores.
    idle_millis: u32,
    /// A permit for each call in flight.
    permits: Semaphore,
    /// Whether the missing permission to read metrics was logged.
    warned: AtomicBool,
}

/// The metrics of a Pod, reduced to the fields that are read.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PodMetrics {
    containers: Objects<ContainerMetrics>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ContainerMetrics {
    usage: Object<Usage>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Usage {
    cpu: Scalar<String>,
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

    /// Returns whether the sandbox uses more CPU than an idle one. Without metrics of the sandbox it does not count as
    /// busy.
    pub async fn is_busy(&self, id: &SandboxId) -> Busy {
        let namespace = self.connection.namespace();
        let path = format!("/apis/metrics.k8s.io/v1beta1/namespaces/{namespace}/pods");
        let request = match Request::new(path).get(&names::pod(id), &GetParams::default()) {
            Ok(request) => request,
            Err(error) => return Busy::Unanswered(format!("{SOURCE}: {error}")),
        };
        let Ok(Ok(_permit)) = timeout(TURN_DEADLINE, self.permits.acquire()).await else {
            return Busy::Unasked(format!("{SOURCE}: too many sandboxes are probed at once"));
        };
        let call = async { self.connection.calls()?.request::<PodMetrics>(request, DEADLINE).await };
        match call.await {
            Ok(metrics) => judge(&metrics, self.idle_millis),
            // The metrics API does not exist, or has not measured this Pod yet.
            Err(CallError::Answered { code: 404, .. }) => Busy::No,
            Err(error) => {
                let fault = classify(Verb::Get, &error).fault;
                if fault.kind != ClusterErrorKind::Forbidden {
                    return Busy::Unanswered(format!("{SOURCE}: {fault}"));
                }
                if !self.warned.swap(true, Ordering::Relaxed) {
                    tracing::warn!(
                        namespace, %fault,
                        "not allowed to read the metrics of Pods: their CPU use does not count as activity; give the \
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
        .filter_map(|container| container.usage.0.as_ref()?.cpu.as_deref())
        .map(nanocores)
        .try_fold(0, |sum: u128, used| sum.checked_add(used?));
    match used {
        Some(used) if used > u128::from(idle_millis) * 1_000_000 => Busy::Yes(SOURCE.to_owned()),
        Some(_) => Busy::No,
        None => Busy::Unanswered(format!("{SOURCE}: the use is not a quantity")),
    }
}

/// Parses a CPU use into nanocores. Metrics give a decimal number of cores, optionally with a quantity suffix from `n`
/// to `k`. Fractions of a nanocore are rounded down.
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
        (Cpu::new(connection, 50).is_busy(&id()).await, log)
    }

    /// Guards the quantity formats that metrics use, and that other formats are rejected.
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

    /// Guards that the use of all containers is added, and that only a use above the threshold counts as busy.
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

    /// Guards that hanging metrics use few of the calls to the API server, and that every probe ends within its
    /// deadline.
    #[tokio::test(start_paused = true)]
    async fn hanging_metrics_use_few_calls() {
        let (connection, log) = fake::server(|_, _| Answer::Silence);
        let cpu = Cpu::new(connection, 50);
        let id = id();
        let begun = tokio::time::Instant::now();
        let answers = futures::future::join_all((0..100).map(|_| cpu.is_busy(&id))).await;
        let silent = answers.iter().filter(|busy| matches!(busy, Busy::Unanswered(_))).count();
        let unasked = answers.iter().filter(|busy| matches!(busy, Busy::Unasked(_))).count();
        assert_eq!((silent + unasked, silent % IN_FLIGHT_MAX), (100, 0), "{answers:?}");
        assert!(begun.elapsed() <= TURN_DEADLINE + DEADLINE, "{:?}", begun.elapsed());
        let at_first = log.all().iter().filter(|asked| asked.at < DEADLINE).count();
        assert_eq!(at_first, IN_FLIGHT_MAX);
    }

    /// Guards that a cluster without metrics, or without the permission to read them, relies on the other probes, and
    /// that failing metrics count as unanswered.
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
