//! The next step of a check, as a function of its observed Pods.

use std::time::Duration;

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use lifecycle::network::Enforced;

/// How long a Pod may take to start. The image may have to be pulled.
const START_MAX: Duration = Duration::from_secs(300);

/// How long a policy may take to have an effect. If the client reports that it still reached the server, the label must
/// have been there for as long.
const EFFECT_MIN: Duration = Duration::from_secs(20);

/// The status of a client that still reaches the server.
const STILL_REACHED: i32 = 3;
/// The status of a program that the image does not have.
const NO_PROGRAM: i32 = 5;

/// The direction of the connections that a check tries. The policy applies to the Pod that gets the label of the mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// The server gets the label.
    Ingress,
    /// The client gets the label.
    Egress,
}

/// The observations so far. Times count from the begin of the check.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    pub server: Option<SeenPod>,
    pub client: Option<SeenPod>,
    /// When the client was created.
    pub client_since: Duration,
    /// When the Pod of the direction got the label of the mode.
    pub labelled_at: Option<Duration>,
    pub now: Duration,
}

/// The facts of a Pod.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct SeenPod {
    pub exists: bool,
    pub is_ready: bool,
    pub address: Option<String>,
    /// The status with which the init container has ended.
    pub init: Option<i32>,
    /// The status with which the container has ended.
    pub main: Option<i32>,
    /// Why it does not run.
    pub why: Option<String>,
}

/// The next step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Look again.
    Wait,
    /// The server listens: create the client, which connects to this address.
    CreateClient(String),
    /// The client has reached the server: put the label on the Pod of the direction.
    Label,
    /// The result, and the result in words.
    Done(Enforced, String),
}

/// Decides the next step.
pub(super) fn decide(direction: Direction, seen: &Seen) -> Step {
    let unknown = |message: String| Step::Done(Enforced::Unknown, message);
    let Some(server) = seen.server.as_ref().filter(|server| server.exists) else {
        return unknown("the server Pod of the check was deleted".to_owned());
    };
    if let Some(status) = server.main {
        return unknown(ended("server", status));
    }
    let Some(client) = &seen.client else {
        return match &server.address {
            Some(address) if server.is_ready => Step::CreateClient(address.clone()),
            _ if seen.now > START_MAX => unknown(not_started("server", server)),
            _ => Step::Wait,
        };
    };
    if !client.exists {
        return unknown("the client Pod of the check was deleted".to_owned());
    }
    match (client.init, client.main) {
        (None, _) if seen.now.saturating_sub(seen.client_since) > START_MAX => {
            unknown(not_started("client", client))
        }
        (Some(0), _) if seen.labelled_at.is_none() => Step::Label,
        (None, _) | (Some(0), None) => Step::Wait,
        (Some(0), Some(status)) => verdict(direction, status, server, seen),
        (Some(NO_PROGRAM), _) => unknown(ended("client", NO_PROGRAM)),
        (Some(status), _) => unknown(format!(
            "the client Pod did not reach the server Pod before the policy applied to it (status {status}): another \
             network policy of the namespace selects them, or Pods cannot reach each other"
        )),
    }
}

fn verdict(direction: Direction, status: i32, server: &SeenPod, seen: &Seen) -> Step {
    let labelled_for = seen.labelled_at.map_or(Duration::ZERO, |at| seen.now.saturating_sub(at));
    let (enforced, message) = match status {
        0 if server.is_ready => (Enforced::Yes, direction.proof().to_owned()),
        0 => (
            Enforced::Unknown,
            "the server Pod of the check is not ready any more: it has stopped, or the policy also blocks the kubelet's \
             probes"
                .to_owned(),
        ),
        STILL_REACHED if labelled_for >= EFFECT_MIN => (
            Enforced::No,
            direction.refutation(labelled_for),
        ),
        STILL_REACHED => (Enforced::Unknown, "the policy had too little time to have an effect".to_owned()),
        status => (Enforced::Unknown, ended("client", status)),
    };
    Step::Done(enforced, message)
}

fn ended(which: &str, status: i32) -> String {
    match status {
        NO_PROGRAM => format!(
            "the image of the check's {which} Pod has none of python3, nc, curl and wget; set network_check_image \
             (PROVISIONER_NETWORK_CHECK_IMAGE)"
        ),
        status => format!("the {which} Pod of the check ended with status {status}"),
    }
}

fn not_started(which: &str, pod: &SeenPod) -> String {
    let why = pod.why.as_deref().unwrap_or("no reason is known");
    format!("the {which} Pod of the check did not start within {} s: {why}", START_MAX.as_secs())
}

// === impl Direction ===

impl Direction {
    /// Returns the result of a check whose connections the policy has ended.
    fn proof(self) -> &'static str {
        match self {
            Self::Ingress => "a Pod was reachable, and was not after the policy applied to it",
            Self::Egress => {
                "a Pod was reachable and reached another Pod, and neither was so after the policy applied to it"
            }
        }
    }

    /// Returns the result of a check whose connections still succeed.
    fn refutation(self, labelled_for: Duration) -> String {
        let time = labelled_for.as_secs();
        match self {
            Self::Ingress => format!(
                "the cluster does not enforce network policies: a Pod was still reachable {time} s after the policy \
                 applied to it; install a network plugin that does, such as Calico or Cilium"
            ),
            Self::Egress => format!(
                "the cluster does not enforce the egress of network policies: a Pod still reached another one {time} s \
                 after the policy applied to it; the network plugin does not know egress, or another policy of the \
                 namespace allows it"
            ),
        }
    }
}

// === impl Seen ===

impl Seen {
    /// Takes in the Pods as they are now. The client counts once it was created.
    pub(super) fn update(&mut self, server: Option<&Pod>, client: Option<&Pod>, now: Duration) {
        self.server = Some(SeenPod::of(server));
        self.client = self.client.take().map(|_| SeenPod::of(client));
        self.now = now;
    }

    /// Notes that the client was created.
    pub(super) fn created_client(&mut self, now: Duration) {
        self.client = Some(SeenPod { exists: true, ..SeenPod::default() });
        self.client_since = now;
    }
}

// === impl SeenPod ===

impl SeenPod {
    fn of(pod: Option<&Pod>) -> Self {
        let Some(pod) = pod else { return Self::default() };
        let status = pod.status.clone().unwrap_or_default();
        let exit = |statuses: &Option<Vec<ContainerStatus>>| {
            let status = statuses.as_ref()?.first()?;
            Some(status.state.as_ref()?.terminated.as_ref()?.exit_code)
        };
        let conditions = || status.conditions.iter().flatten();
        let statuses = status.init_container_statuses.iter().chain(&status.container_statuses).flatten();
        let waiting = statuses.filter_map(|status| status.state.as_ref()?.waiting.as_ref());
        let mut waiting = waiting.filter_map(|waiting| {
            let message = waiting.message.as_deref().map(|message| format!(": {message}"));
            Some(format!("{}{}", waiting.reason.as_deref()?, message.unwrap_or_default()))
        });
        let unscheduled = conditions()
            .find(|condition| condition.type_ == "PodScheduled" && condition.status == "False")
            .map(|condition| condition.message.clone().unwrap_or_else(|| "it is not scheduled".to_owned()));
        Self {
            exists: true,
            is_ready: conditions().any(|condition| condition.type_ == "Ready" && condition.status == "True"),
            address: status.pod_ip.clone().filter(|address| !address.is_empty()),
            init: exit(&status.init_container_statuses),
            main: exit(&status.container_statuses),
            why: unscheduled.or_else(|| waiting.next()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(is_ready: bool) -> SeenPod {
        SeenPod { exists: true, is_ready, address: Some("10.0.0.1".to_owned()), ..SeenPod::default() }
    }

    fn client(init: Option<i32>, main: Option<i32>) -> SeenPod {
        SeenPod { exists: true, init, main, ..SeenPod::default() }
    }

    fn seen(server: SeenPod, client: Option<SeenPod>, labelled_at: Option<u64>, now: u64) -> Seen {
        Seen {
            server: Some(server),
            client,
            client_since: Duration::from_secs(5),
            labelled_at: labelled_at.map(Duration::from_secs),
            now: Duration::from_secs(now),
        }
    }

    /// Guards every step of a check, and that a doubtful result is not a result.
    #[test]
    fn each_step_follows_from_the_pods() {
        use Direction::{Egress, Ingress};
        let ready = || server(true);
        let none = SeenPod::default;
        let started = |code| Some(client(Some(0), code));
        for (seen, expected) in [
            (seen(server(false), None, None, 1), Step::Wait),
            (seen(ready(), None, None, 1), Step::CreateClient("10.0.0.1".to_owned())),
            (seen(ready(), Some(client(None, None)), None, 9), Step::Wait),
            (seen(ready(), started(None), None, 9), Step::Label),
            (seen(ready(), started(Some(0)), None, 9), Step::Label),
            (seen(ready(), started(None), Some(9), 12), Step::Wait),
        ] {
            assert_eq!(decide(Ingress, &seen), expected, "{seen:?}");
            assert_eq!(decide(Egress, &seen), expected, "{seen:?}");
        }
        let missing_program = SeenPod { main: Some(5), ..ready() };
        for (seen, enforced, words) in [
            (seen(ready(), started(Some(0)), Some(9), 15), Enforced::Yes, "was not after the policy applied"),
            (seen(ready(), started(Some(3)), Some(9), 40), Enforced::No, "still reachable 31 s after"),
            (seen(ready(), started(Some(3)), Some(9), 20), Enforced::Unknown, "too little time"),
            (seen(server(false), started(Some(0)), Some(9), 15), Enforced::Unknown, "not ready any more"),
            (
                seen(ready(), started(Some(1)), Some(9), 15),
                Enforced::Unknown,
                "client Pod of the check ended with status 1",
            ),
            (
                seen(ready(), Some(client(Some(4), None)), None, 70),
                Enforced::Unknown,
                "another network policy",
            ),
            (seen(ready(), Some(client(Some(5), None)), None, 9), Enforced::Unknown, "none of python3"),
            (seen(missing_program, None, None, 9), Enforced::Unknown, "none of python3"),
            (seen(none(), None, None, 9), Enforced::Unknown, "server Pod of the check was deleted"),
            (
                seen(ready(), Some(none()), Some(9), 15),
                Enforced::Unknown,
                "client Pod of the check was deleted",
            ),
            (
                seen(server(false), None, None, 301),
                Enforced::Unknown,
                "server Pod of the check did not start",
            ),
            (
                seen(ready(), Some(client(None, None)), None, 306),
                Enforced::Unknown,
                "client Pod of the check did not start",
            ),
        ] {
            let Step::Done(found, message) = decide(Ingress, &seen) else { panic!("{seen:?}") };
            assert_eq!(found, enforced, "{seen:?}");
            assert!(message.contains(words), "{message}");
            let Step::Done(found, _) = decide(Egress, &seen) else { panic!("{seen:?}") };
            assert_eq!(found, enforced, "{seen:?}");
        }
        let still = seen(ready(), started(Some(3)), Some(9), 40);
        let Step::Done(_, message) = decide(Egress, &still) else { panic!("{still:?}") };
        assert!(message.contains("still reached another one 31 s after"), "{message}");
    }
}
