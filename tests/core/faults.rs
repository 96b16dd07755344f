//! Faults, one at a time, on the whole daemon without its socket under a paused clock: the responses to callers, the
//! signals for operators, and the recovery. `docs/failure-modes.md` lists them all.

mod admission;
mod api_server;
mod clusters;
mod namespace;
mod objects;
mod pods;
mod requests;
mod service_type;
mod watch;

use std::time::Duration;

/// The longest time that any recovery takes after its cause has ended: the grace of an orphan and the longest pause
/// between deletes.
const RECOVERY: Duration = Duration::from_secs(180);

/// Waits until the daemon has recovered. Returns how long that took.
async fn recovered(what: &str, holds: impl AsyncFnMut() -> bool) -> Duration {
    testkit::within(RECOVERY, what, holds).await
}
