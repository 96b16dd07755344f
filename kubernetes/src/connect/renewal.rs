//! Keeps the credentials of a connection valid.
//!
//! Kubernetes' own clients run a credential plugin again when its credentials expire or are refused, and read token files
//! again each minute. Here the same holds for client certificates and certificate authorities in files. After a 401 the
//! kubeconfig itself is read again as well.

use std::{convert::Infallible, time::Duration};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use jiff::Timestamp;
use tokio::time::{Instant, sleep, sleep_until};

use super::{ConnectError, Connection, Opened, Options};

/// How often files with credentials are read again. Kubernetes replaces a Pod's token long before it expires, and its own
/// clients read it once a minute.
const REREAD: Duration = Duration::from_secs(60);

/// How long before their end credentials are renewed, if they are valid for longer than twice that time.
const AHEAD: Duration = Duration::from_secs(60);

/// The first wait after credentials were refused or could not be renewed. It doubles each time.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// The longest such wait. A plugin may make calls that cost something.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Why credentials are loaded again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// The API server has answered with 401.
    Rejected,
    /// They end soon.
    Expiring,
    /// They come from files, which may have changed.
    Interval,
}

// === impl Connection ===

impl Connection {
    /// Loads the credentials again whenever they may have changed, and uses them from then on. Never returns.
    ///
    /// While they cannot be loaded, the old ones stay in use, and each new reason is logged once.
    pub async fn keep_credentials(&self, options: &Options, mut opened: Opened) -> Infallible {
        let mut waits = waits();
        let mut last_failure: Option<Instant> = None;
        let mut logged = None;
        loop {
            let cause = self.next_cause(&opened).await;
            if last_failure.is_some_and(|at| at.elapsed() > 2 * LONGEST_WAIT) {
                waits = self::waits();
            }
            let loaded = match cause {
                Cause::Rejected => opened.reread(options).await,
                Cause::Expiring | Cause::Interval => opened.reload().await,
            };
            let renewed = match loaded.and_then(|loaded| self.renew(&opened, loaded)) {
                Ok(Some(renewed)) => {
                    tracing::info!(
                        ?cause,
                        "the credentials for the API server have changed; the new ones are used"
                    );
                    (opened, logged) = (renewed, None);
                    true
                }
                Ok(None) => false,
                Err(error) => {
                    let why = error.to_string();
                    if logged.as_ref() != Some(&why) {
                        tracing::error!(
                            ?cause,
                            "the credentials for the API server cannot be renewed: {why}"
                        );
                        logged = Some(why);
                    }
                    false
                }
            };
            // New credentials may be refused as well, or end at once: the wait bounds how often a plugin is run.
            let settled = match cause {
                Cause::Interval => true,
                Cause::Expiring => renewed && !ends_at_once(&opened),
                Cause::Rejected => false,
            };
            if !settled {
                last_failure = Some(Instant::now());
                sleep(waits.next().unwrap_or(LONGEST_WAIT)).await;
            }
        }
    }

    /// Uses the loaded credentials if they differ. Returns them then.
    fn renew(&self, opened: &Opened, loaded: Opened) -> Result<Option<Opened>, ConnectError> {
        if loaded.is_equivalent(opened) {
            return Ok(None);
        }
        self.connect(&loaded)?;
        Ok(Some(loaded))
    }

    /// Waits for the next reason to load the credentials again.
    async fn next_cause(&self, opened: &Opened) -> Cause {
        let until = due_in(opened.expires_at(), Timestamp::now(), opened.has_files());
        let due = async {
            match until {
                Some((wait, cause)) => {
                    sleep_until(Instant::now() + wait).await;
                    cause
                }
                None => std::future::pending().await,
            }
        };
        let clients = async {
            match (self.calls(), self.watch()) {
                (Ok(calls), Ok(watch)) => {
                    tokio::select! { () = calls.rejected() => {}, () = watch.rejected() => {} }
                }
                // There is always a connection after `open`.
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            () = clients => Cause::Rejected,
            cause = due => cause,
        }
    }
}

/// Returns how long to wait for the next regular renewal, if there is one.
fn due_in(expires_at: Option<Timestamp>, now: Timestamp, has_files: bool) -> Option<(Duration, Cause)> {
    let expiry = expires_at.map(|end| {
        let left = Duration::try_from(end.duration_since(now)).unwrap_or_default();
        (left.saturating_sub(AHEAD).max(left / 2), Cause::Expiring)
    });
    let interval = has_files.then_some((REREAD, Cause::Interval));
    expiry.into_iter().chain(interval).min_by_key(|(wait, _)| *wait)
}

fn ends_at_once(opened: &Opened) -> bool {
    due_in(opened.expires_at(), Timestamp::now(), false).is_some_and(|(wait, _)| wait < FIRST_WAIT)
}

/// Returns the waits after failures.
fn waits() -> ExponentialBackoff {
    let waits = ExponentialBuilder::new().with_min_delay(FIRST_WAIT).with_max_delay(LONGEST_WAIT);
    waits.without_max_times().build()
}

#[cfg(test)]
mod tests;
