//! `logs`: prints the log of a sandbox.

use std::{mem, time::Duration};

use tokio::time::timeout;

use super::Session;
use crate::{
    api::{self, escaped},
    args::LogsArgs,
    error::{Cause, Failure},
    text,
};

/// The longest part of a line that waits for its end, in bytes.
const LINE_MAX: usize = 64 << 10;

/// Says in an answer that the log is longer than its limit.
const TRUNCATED: &str = "log-truncated";

pub(super) async fn run(session: &mut Session<'_, '_>, args: &LogsArgs) -> Result<(), Failure> {
    let (headers, mut log) = session.api.open_text(&path(args)).await?;
    // A log that is followed may be silent for long.
    let patience = if args.follow { Duration::MAX } else { session.api.timeout() };
    let mut lines = Lines::default();
    loop {
        let part = timeout(patience, log.next()).await;
        let part = part
            .map_err(|_| session.api.error(Cause::TimedOut { after: patience, is_request_timeout: true }))?;
        let Some(part) = part else { break };
        let part = part.map_err(|why| session.api.error(Cause::Cut(why)))?;
        if session.console.out_is_terminal {
            let text = lines.push(&part, session.console.has_colours);
            session.console.print(&text)?;
        } else {
            session.console.print_bytes(&part)?;
        }
    }
    let rest = lines.finish(session.console.has_colours);
    session.console.print(&rest)?;
    if headers.contains_key(TRUNCATED) {
        session.console.note(
            "warning: the log is too long, so its last lines are missing; ask for fewer with --tail or --since",
        );
    }
    Ok(())
}

/// Returns the path of the call.
fn path(args: &LogsArgs) -> String {
    let LogsArgs { id, follow, tail, previous, timestamps, since, container, .. } = args;
    let flags = [("follow", follow), ("previous", previous), ("timestamps", timestamps)];
    let flags = flags.into_iter().filter(|(_, flag)| **flag).map(|(name, _)| format!("{name}=true"));
    let since = since.map(|since| format!("since={}ms", since.as_millis()));
    let container = container.as_deref().map(|name| format!("container={}", escaped(name)));
    let query: Vec<_> =
        [format!("tail={tail}")].into_iter().chain(flags).chain(since).chain(container).collect();
    format!("{}/logs?{}", api::sandbox(id), query.join("&"))
}

/// The lines for a terminal. A part of the log may end within a line, or within a character.
#[derive(Default)]
struct Lines {
    /// The beginning of the next line.
    started: Vec<u8>,
}

// === impl Lines ===

impl Lines {
    /// Adds a part of the log. Returns the lines that are complete.
    fn push(&mut self, part: &[u8], colours: bool) -> String {
        self.started.extend_from_slice(part);
        let end = match self.started.iter().rposition(|byte| *byte == b'\n') {
            Some(end) => end + 1,
            None if self.started.len() > LINE_MAX => self.started.len(),
            None => return String::new(),
        };
        let rest = self.started.split_off(end);
        shown(&mem::replace(&mut self.started, rest), colours)
    }

    /// Returns the last line, if it has no end.
    fn finish(self, colours: bool) -> String {
        shown(&self.started, colours)
    }
}

fn shown(lines: &[u8], colours: bool) -> String {
    text::of_program(&String::from_utf8_lossy(lines), colours)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards that a line is shown once it is complete, wherever the parts of the log end.
    #[test]
    fn lines_are_shown_whole() {
        let mut lines = Lines::default();
        let parts: [&[u8]; 4] = [b"one\ntw", b"o \xc3", b"\xa9\nthree\nfo", b"ur"];
        let shown: Vec<_> = parts.into_iter().map(|part| lines.push(part, false)).collect();
        assert_eq!(shown, ["one\n", "", "two \u{e9}\nthree\n", ""]);
        assert_eq!(lines.finish(false), "four");

        let mut lines = Lines::default();
        assert_eq!(lines.push(&vec![b'x'; LINE_MAX], false), "");
        assert_eq!(lines.push(b"x", false).len(), LINE_MAX + 1, "a line without an end is not kept forever");
    }
}
