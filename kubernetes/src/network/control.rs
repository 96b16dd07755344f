//! Keeps the policies as the settings say, and knows whether the cluster enforces them.
//!
//! ```text
//!   run ─┬─▸ keep ──▸ GET, POST, PATCH of the policies ──▸ Policies ─┐
//!        └─▸ check ──▸ two Pods ──▸ Checked ─────────────────────────┴─▸ report ──▸ answers, /readyz, creates
//! ```
//!
//! Without a restricted mode in the settings it makes no call.

use std::{convert::Infallible, mem, sync::Arc, time::Duration};

use jiff::Timestamp;
use lifecycle::{
    error::SandboxError,
    network::{Enforced, NetworkMode, NetworkReport},
    traits::Clock as _,
};
use parking_lot::Mutex;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep},
};

use super::{
    Network,
    check::{Check, Outcome, PodSettings},
    host_names,
    keep::{self, Wanted},
    policy,
};
use crate::{
    backoff::{Backoff, LONGEST_ANSWERED},
    connect::Connection,
    profile::{Profile, Profiles},
    retry,
};

/// How often the policies are compared with the settings.
const KEEP_INTERVAL: Duration = Duration::from_secs(300);

/// How long a result counts before the next use of a restricted mode starts another check.
const RESULT_AGE_MAX: Duration = Duration::from_secs(3600);

/// The first and the longest wait before a check without a result is repeated.
const RETRY_MIN: Duration = Duration::from_secs(30);
const RETRY_MAX: Duration = Duration::from_secs(600);

/// How long a caller waits before it asks again for a sandbox whose check has no result yet.
const CALLER_RETRY: Duration = Duration::from_secs(10);

/// The policies and the check of one cluster.
pub(crate) struct NetworkControl {
    connection: Connection,
    wanted: Wanted,
    check: Check,
    /// Whether a profile has a restricted mode, or lets a request choose one.
    is_used: bool,
    /// Whether a profile requires enforcement: then the first check does not wait for a create.
    is_required: bool,
    kept: watch::Sender<Policies>,
    state: Mutex<State>,
    check_wanted: Notify,
    keep_wanted: Notify,
}

/// The known state of the policies in the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Policies {
    /// They were not read yet.
    NotRead,
    /// They are as the settings say.
    AsConfigured,
    /// They differ, and this process may not change that.
    Differ(Arc<str>),
    /// They cannot be read.
    Unreadable(Arc<str>),
    /// The last call failed, and is repeated soon.
    Failed(Arc<str>),
}

#[derive(Default)]
struct State {
    last: Option<Checked>,
    is_checking: bool,
}

/// The result of a check.
struct Checked {
    outcome: Outcome,
    at: Timestamp,
    since: Instant,
}

// === impl NetworkControl ===

impl NetworkControl {
    /// Creates the control of a cluster. Makes no call.
    pub(crate) fn new(
        connection: Connection,
        network: &Network,
        profiles: &Profiles,
        image: &str,
        port: u16,
    ) -> Self {
        let profiles = || profiles.iter().map(|(_, profile)| profile);
        let restricted = profiles().find(|profile| profile.is_network_restricted());
        let image = network.check_image.as_deref().unwrap_or(image);
        Self {
            wanted: Wanted {
                policies: policy::policies(network, connection.namespace(), port),
                names: host_names::name_policy(network, connection.namespace()),
            },
            check: Check::new(connection.clone(), PodSettings::new(image, port, restricted)),
            is_used: restricted.is_some(),
            is_required: profiles().any(Profile::requires_enforcement),
            connection,
            kept: watch::Sender::new(Policies::NotRead),
            state: Mutex::default(),
            check_wanted: Notify::new(),
            keep_wanted: Notify::new(),
        }
    }

    /// Keeps the policies and runs the checks. Ends only when it is dropped.
    pub(crate) async fn run(&self) -> Infallible {
        if !self.is_used {
            return std::future::pending().await;
        }
        if self.is_required {
            self.check_wanted.notify_one();
        }
        let (never, _) = futures::join!(self.keep(), self.check_when_wanted());
        never
    }

    /// Compares the policies with the settings soon, as after the cluster was away.
    pub(crate) fn keep_soon(&self) {
        self.keep_wanted.notify_one();
    }

    /// Starts a check unless one is running. Never waits.
    pub(crate) fn check_now(&self) {
        if self.is_used && !mem::replace(&mut self.state.lock().is_checking, true) {
            self.check_wanted.notify_one();
        }
    }

    /// Notes that a sandbox of this mode is about to be created, and starts a check if there is no recent result.
    ///
    /// # Errors
    /// The policy must be enforced, and is not, or that is not known.
    pub(crate) fn admit(&self, mode: NetworkMode, is_required: bool) -> Result<(), SandboxError> {
        if !mode.is_restricted() {
            return Ok(());
        }
        let is_recent = self.state.lock().last.as_ref().is_some_and(|last| {
            last.outcome.enforced == Enforced::Unknown || last.since.elapsed() < RESULT_AGE_MAX
        });
        if !is_recent {
            self.check_now();
        }
        let report = self.report();
        let why = match report.enforced {
            _ if !is_required => return Ok(()),
            Enforced::Yes => return Ok(()),
            Enforced::No => format!(
                "{}; an operator changes that, or sets enforcement = \"optional\" in the profile",
                report.message
            ),
            Enforced::Unknown => report.message.to_string(),
        };
        let retry_after = (report.enforced == Enforced::Unknown).then_some(CALLER_RETRY);
        Err(SandboxError::NetworkNotEnforced { mode, why, retry_after })
    }

    /// Returns the state for operators and answers.
    pub(crate) fn report(&self) -> NetworkReport {
        let state = self.state.lock();
        let policies = self.kept.borrow().why_not(self.is_used);
        let last = state.last.as_ref();
        let (enforced, message) = match (&*self.kept.borrow(), last) {
            _ if !self.is_used => (Enforced::Unknown, "no profile has a restricted network mode".into()),
            (Policies::Differ(why), _) => (Enforced::No, why.clone()),
            (_, Some(last)) => (last.outcome.enforced, last.outcome.message.clone()),
            (_, None) if state.is_checking => (Enforced::Unknown, "the check is running".into()),
            (_, None) => (Enforced::Unknown, "not checked yet".into()),
        };
        NetworkReport {
            is_used: self.is_used,
            enforced,
            message,
            checked_at: last.map(|last| last.at),
            is_checking: state.is_checking,
            policies,
        }
    }

    async fn keep(&self) -> Infallible {
        let mut backoff = Backoff::default();
        loop {
            let found = keep::all(&self.connection, &self.wanted).await;
            let wait = if let Policies::Failed(_) = found {
                backoff.wait(LONGEST_ANSWERED, None, retry::jitter())
            } else {
                backoff = Backoff::default();
                KEEP_INTERVAL
            };
            self.note(&found);
            tokio::select! {
                () = sleep(wait) => {}
                () = self.keep_wanted.notified() => {}
            }
        }
    }

    /// Keeps the state that a round has found, and logs it if it is another one.
    fn note(&self, found: &Policies) {
        let before = self.kept.send_replace(found.clone());
        if before == *found {
            return;
        }
        let namespace = self.connection.namespace();
        match found {
            Policies::AsConfigured => {
                tracing::info!(namespace, "the network policies are as the settings say");
                let is_doubtful = self
                    .state
                    .lock()
                    .last
                    .as_ref()
                    .is_some_and(|last| last.outcome.enforced != Enforced::Yes);
                if is_doubtful {
                    self.check_now();
                }
            }
            Policies::Differ(why) | Policies::Unreadable(why) => {
                tracing::warn!(namespace, %why, "the network policies are not known to be as the settings say");
            }
            Policies::Failed(why) => {
                tracing::info!(namespace, %why, "the network policies could not be read or written; retrying");
            }
            Policies::NotRead => {}
        }
    }

    async fn check_when_wanted(&self) -> Infallible {
        let mut kept = self.kept.subscribe();
        let mut retry: Option<Duration> = None;
        loop {
            let wait = retry;
            tokio::select! {
                () = self.check_wanted.notified() => {}
                // A second daemon in the namespace would otherwise delete the Pods of this one's checks each time.
                () = async { sleep(wait.unwrap_or_default().mul_f64(1.0 + retry::jitter())).await }, if wait.is_some() => {}
            }
            self.state.lock().is_checking = true;
            // A check before the first write of the policies would find none. The sender lives as long as `self`.
            let is_read = |policies: &Policies| !matches!(policies, Policies::NotRead | Policies::Failed(_));
            let _ = kept.wait_for(is_read).await;
            let outcome = self.check.run().await;
            self.log(&outcome);
            retry = (outcome.enforced == Enforced::Unknown)
                .then(|| wait.map_or(RETRY_MIN, |wait| (wait * 2).min(RETRY_MAX)));
            let mut state = self.state.lock();
            state.is_checking = false;
            state.last = Some(Checked { outcome, at: self.connection.wall(), since: Instant::now() });
        }
    }

    fn log(&self, outcome: &Outcome) {
        let (namespace, result) = (self.connection.namespace(), &outcome.message);
        match outcome.enforced {
            Enforced::Yes => tracing::info!(namespace, %result, "checked the network policies"),
            Enforced::No => tracing::warn!(namespace, %result, "checked the network policies"),
            Enforced::Unknown => tracing::warn!(
                namespace, %result, "whether network policies are enforced could not be checked; retrying later"
            ),
        }
    }
}

// === impl Policies ===

impl Policies {
    /// Returns why they are not known to be as the settings say.
    fn why_not(&self, is_used: bool) -> Option<Arc<str>> {
        match self {
            _ if !is_used => None,
            Self::AsConfigured => None,
            Self::NotRead => Some("not read yet".into()),
            Self::Differ(why) | Self::Unreadable(why) | Self::Failed(why) => Some(why.clone()),
        }
    }
}
