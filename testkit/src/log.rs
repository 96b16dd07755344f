//! The log of one thread.

use std::{
    io,
    sync::{Arc, LazyLock},
};

use parking_lot::Mutex;
use tracing::{
    Dispatch,
    dispatcher::{DefaultGuard, set_default},
};
use tracing_subscriber::fmt::MakeWriter;

/// Lines that were logged. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Log(Arc<Mutex<Vec<u8>>>);

/// Sends what this thread logs to a subscriber until the guard is dropped.
///
/// While there is a single subscriber, `tracing` asks only the first thread that reaches a log line whether the line is
/// enabled, and caches the answer for all threads. A second subscriber that always exists prevents that.
pub fn listen(subscriber: impl Into<Dispatch>) -> DefaultGuard {
    static SECOND: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(tracing_subscriber::registry()));
    LazyLock::force(&SECOND);
    set_default(&subscriber.into())
}

// === impl Log ===

impl Log {
    /// Captures what this thread logs at the default level, until the guard is dropped.
    #[must_use]
    pub fn capture() -> (Self, DefaultGuard) {
        let log = Self::default();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(log.clone()).finish();
        (log, listen(subscriber))
    }

    /// Returns the lines that contain these words.
    #[must_use]
    pub fn lines(&self, words: &str) -> String {
        let log = String::from_utf8(self.0.lock().clone()).unwrap();
        log.split_inclusive('\n').filter(|line| line.contains(words)).collect()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}
