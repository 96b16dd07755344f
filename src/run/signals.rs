//! The signals that stop the program.

use std::{future::pending, io, process::ExitCode};

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Waits for SIGTERM, SIGINT and SIGHUP. The first two stop the program gracefully. SIGHUP reloads the settings file;
/// without one it stops the program too, so that requests finish also when the terminal is closed.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// `None` if it would stop the program and the parent process ignores SIGHUP for us, as `nohup` does.
    hangup: Option<Signal>,
}

/// A received signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Caught {
    Terminate,
    Interrupt,
    Hangup,
}

// === impl Signals ===

impl Signals {
    /// Starts to listen. `reloads` says whether SIGHUP reloads the settings.
    pub(super) fn new(reloads: bool) -> io::Result<Self> {
        let hangup = SignalKind::hangup();
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: if !reloads && is_ignored(hangup) { None } else { Some(signal(hangup)?) },
        })
    }

    /// The next signal.
    pub(super) async fn next(&mut self) -> Caught {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => pending().await,
            }
        };
        tokio::select! {
            _ = self.terminate.recv() => Caught::Terminate,
            _ = self.interrupt.recv() => Caught::Interrupt,
            _ = hangup => Caught::Hangup,
        }
    }
}

/// Whether this process was started with the signal ignored. Only Linux shows this without unsafe code; elsewhere the
/// answer is no.
fn is_ignored(kind: SignalKind) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    ignored_in(&status, kind.as_raw_value())
}

/// Whether this text of proc(5)'s `status` has the signal of this number among the ignored ones.
fn ignored_in(status: &str, number: i32) -> bool {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|text| u64::from_str_radix(text.trim(), 16).ok()).unwrap_or(0);
    u32::try_from(number - 1).ok().and_then(|bit| mask.checked_shr(bit)).is_some_and(|mask| mask & 1 == 1)
}

// === impl Caught ===

impl Caught {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Terminate => "SIGTERM",
            Self::Interrupt => "SIGINT",
            Self::Hangup => "SIGHUP",
        }
    }

    /// The status that a shell gives a process which the signal ended: 128 and its number.
    pub(super) fn status(self) -> ExitCode {
        let kind = match self {
            Self::Terminate => SignalKind::terminate(),
            Self::Interrupt => SignalKind::interrupt(),
            Self::Hangup => SignalKind::hangup(),
        };
        ExitCode::from(u8::try_from(128 + kind.as_raw_value()).unwrap_or(u8::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The mask is parsed as proc(5) describes it; without a mask no signal is ignored.
    #[test]
    fn the_mask_of_ignored_signals_is_read() {
        for (status, number, ignored) in [
            ("Name:\tx\nSigIgn:\t0000000000000001\n", 1, true),
            ("SigIgn:\t0000000000001000\n", 13, true),
            ("SigIgn:\t0000000000001000\n", 1, false),
            ("SigIgn:\tffffffffffffffff\n", 64, true),
            ("SigIgn:\tffffffffffffffff\n", 65, false),
            ("SigIgn:\tx\n", 1, false),
            ("", 1, false),
        ] {
            assert_eq!(ignored_in(status, number), ignored, "{status} {number}");
        }
    }

    #[test]
    fn statuses_are_a_shells() {
        for (caught, status) in [(Caught::Hangup, 129), (Caught::Interrupt, 130), (Caught::Terminate, 143)] {
            assert_eq!(caught.status(), ExitCode::from(status), "{}", caught.name());
        }
    }
}
