//! The kubelet's probes of the sandbox container.

use std::time::Duration;

use k8s_openapi::{
    api::core::v1::{HTTPGetAction, Probe},
    apimachinery::pkg::util::intstr::IntOrString,
};

/// The path of the probes. It answers once the sandbox can be used.
const PATH: &str = "/v1/sandbox";

/// How long a probe waits for its answer.
const TIMEOUT_SECONDS: i32 = 3;

/// The probes of a sandbox (`SANDBOX_PROBES`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probes {
    /// A readiness probe every second from the start, and a liveness probe that begins after the boot.
    ///
    /// There is no startup probe: the kubelet runs no readiness probe before it has succeeded, which costs one more
    /// period. Therefore the liveness probe's delay is what protects a slow boot.
    Fast {
        /// How long the container may boot before its liveness probe runs (`SANDBOX_BOOT_TIMEOUT`).
        boot_timeout: Duration,
    },
    /// The probes of DeerFlow's provisioner.
    DeerFlow,
}

/// The readiness and the liveness probe of a container.
pub(super) struct ContainerProbes {
    pub(super) readiness: Probe,
    pub(super) liveness: Probe,
}

// === impl Probes ===

impl Probes {
    /// The default of `SANDBOX_BOOT_TIMEOUT`.
    pub const BOOT_TIMEOUT: Duration = Duration::from_secs(300);

    /// Returns the probes of a container that listens on this port.
    pub(super) fn of_port(self, port: u16) -> ContainerProbes {
        match self {
            Self::Fast { boot_timeout } => ContainerProbes {
                // As tolerant as DeerFlow's: a container becomes unready after 15 s without an answer.
                readiness: probe(port, 0, 1, 15),
                liveness: probe(port, whole_seconds(boot_timeout), 10, 3),
            },
            Self::DeerFlow => {
                ContainerProbes { readiness: probe(port, 5, 5, 3), liveness: probe(port, 10, 10, 3) }
            }
        }
    }
}

impl Default for Probes {
    fn default() -> Self {
        Self::Fast { boot_timeout: Self::BOOT_TIMEOUT }
    }
}

/// Rounds up, because a boot must not get less time than its setting says.
fn whole_seconds(duration: Duration) -> i32 {
    let seconds = duration.as_secs().saturating_add(u64::from(duration.subsec_nanos() > 0));
    i32::try_from(seconds).unwrap_or(i32::MAX)
}

fn probe(port: u16, delay: i32, period: i32, failures: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(PATH.to_owned()),
            port: IntOrString::Int(port.into()),
            ..HTTPGetAction::default()
        }),
        initial_delay_seconds: (delay > 0).then_some(delay),
        period_seconds: Some(period),
        timeout_seconds: Some(TIMEOUT_SECONDS),
        failure_threshold: Some(failures),
        ..Probe::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn written(probes: Probes) -> serde_json::Value {
        let ContainerProbes { readiness, liveness } = probes.of_port(8080);
        json!({"readinessProbe": readiness, "livenessProbe": liveness})
    }

    /// Guards the fields of both kinds of probes.
    #[test]
    fn probes_have_their_fields() {
        let get = json!({"path": "/v1/sandbox", "port": 8080});
        assert_eq!(
            written(Probes::default()),
            json!({
                "readinessProbe": {"httpGet": get, "periodSeconds": 1, "timeoutSeconds": 3, "failureThreshold": 15},
                "livenessProbe": {
                    "httpGet": get, "initialDelaySeconds": 300, "periodSeconds": 10, "timeoutSeconds": 3,
                    "failureThreshold": 3,
                },
            })
        );
        assert_eq!(
            written(Probes::DeerFlow),
            json!({
                "readinessProbe": {
                    "httpGet": get, "initialDelaySeconds": 5, "periodSeconds": 5, "timeoutSeconds": 3,
                    "failureThreshold": 3,
                },
                "livenessProbe": {
                    "httpGet": get, "initialDelaySeconds": 10, "periodSeconds": 10, "timeoutSeconds": 3,
                    "failureThreshold": 3,
                },
            })
        );
    }

    /// Guards that a boot gets at least the time of its setting, and that no setting overflows.
    #[test]
    fn boot_timeouts_are_rounded_up() {
        for (duration, seconds) in
            [(Duration::from_millis(90_500), 91), (Duration::from_secs(90), 90), (Duration::MAX, i32::MAX)]
        {
            let liveness = Probes::Fast { boot_timeout: duration }.of_port(1).liveness;
            assert_eq!(liveness.initial_delay_seconds, Some(seconds));
        }
    }
}
