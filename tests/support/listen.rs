//! Hearing what one thread logs, whatever others do meanwhile.

use std::sync::LazyLock;

use tracing::{
    Dispatch,
    dispatcher::{DefaultGuard, set_default},
};

/// Hears what this thread logs, until the guard is dropped.
///
/// While there is a single subscriber, `tracing` asks only the thread that first comes by a line whether anybody wants
/// it, and keeps that answer for all threads. So there is always a second one.
pub fn listen(subscriber: impl Into<Dispatch>) -> DefaultGuard {
    static ANOTHER: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(tracing_subscriber::registry()));
    LazyLock::force(&ANOTHER);
    set_default(&subscriber.into())
}
