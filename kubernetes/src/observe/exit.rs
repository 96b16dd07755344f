//! The end of a container in words: how it exited, or which signal killed it.

use lifecycle::text::truncated;

use super::text;
use crate::types::StateDetails;

/// The longest memory limit that is quoted, in bytes. Every quantity that people write is shorter.
const LIMIT_MAX: usize = 24;

/// Returns how the container ended, with its exit code. `limit` is its memory limit.
pub(super) fn words(end: &StateDetails, limit: Option<&str>) -> String {
    let code = end.exit_code.map_or_else(|| "an unknown code".to_owned(), |code| format!("code {code}"));
    match cause(end, limit) {
        Some(Cause::Killed(by)) => format!("was killed{by}, exit {code}"),
        Some(Cause::Exited(why)) => format!("exited with {code} ({why})"),
        None => format!("exited with {code}"),
    }
}

/// Returns whether more is known than the exit code.
pub(super) fn is_explained(end: &StateDetails) -> bool {
    cause(end, None).is_some()
}

/// The meaning of an exit code.
enum Cause {
    /// The signal or the limit that killed it.
    Killed(String),
    /// Why it exited by itself.
    Exited(&'static str),
}

fn cause(end: &StateDetails, limit: Option<&str>) -> Option<Cause> {
    if text(end.reason.as_ref()) == Some("OOMKilled") {
        let limit = limit.map(|limit| format!(", limit {}", truncated(limit, LIMIT_MAX)));
        return Some(Cause::Killed(format!(": out of memory{}", limit.unwrap_or_default())));
    }
    let reported = end.signal.filter(|signal| *signal > 0);
    // A shell and the container runtimes report a process that a signal has killed with 128 and the signal's number.
    let derived = || {
        end.exit_code.and_then(|code| code.checked_sub(128)).filter(|signal| signal_name(*signal).is_some())
    };
    match (reported.or_else(derived), *end.exit_code) {
        (Some(signal), _) => {
            let name = signal_name(signal).map(|name| format!(" ({name})")).unwrap_or_default();
            Some(Cause::Killed(format!(" by signal {signal}{name}")))
        }
        (None, Some(126)) => Some(Cause::Exited("the command could not be run")),
        (None, Some(127)) => Some(Cause::Exited("the command was not found")),
        (None, _) => None,
    }
}

/// Returns the name of a signal that kills a process. The numbers are those of Linux on x86 and Arm.
const fn signal_name(signal: i64) -> Option<&'static str> {
    Some(match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        5 => "SIGTRAP",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        10 => "SIGUSR1",
        11 => "SIGSEGV",
        12 => "SIGUSR2",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        24 => "SIGXCPU",
        25 => "SIGXFSZ",
        31 => "SIGSYS",
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
