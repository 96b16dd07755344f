//! Escapes characters of logged values that could forge a line of the log or drive a terminal.

use std::{
    fmt::{self, Write as _},
    io,
};

use tracing_subscriber::{
    field::RecordFields,
    fmt::{
        FormatFields, MakeWriter,
        format::{DefaultFields, Writer},
    },
};

/// Formats the fields of an event or of a span as text, without unsafe characters.
pub(super) struct EscapedFields;

/// A writer of JSON that escapes unsafe characters. The formatter has escaped those of ASCII, as JSON needs it.
pub(super) struct EscapedJson<W>(pub W);

/// Returns whether a character is a control character, a line or paragraph separator, or changes the direction of text.
pub(super) fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

// === impl EscapedFields ===

impl<'writer> FormatFields<'writer> for EscapedFields {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'writer>, fields: R) -> fmt::Result {
        // Without colours, so that each unsafe character belongs to a value.
        let mut text = String::new();
        DefaultFields::new().format_fields(Writer::new(&mut text), fields)?;
        for c in text.chars() {
            if is_unsafe(c) { write!(writer, "{}", c.escape_default())? } else { writer.write_char(c)? }
        }
        Ok(())
    }
}

// === impl EscapedJson ===

impl<'a, W: MakeWriter<'a>> MakeWriter<'a> for EscapedJson<W> {
    type Writer = EscapedJson<W::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        EscapedJson(self.0.make_writer())
    }
}

impl<W: io::Write> io::Write for EscapedJson<W> {
    /// Writes whole lines: the formatter passes each event at once.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match str::from_utf8(line) {
            Ok(text) if text.contains(is_escaped) => {
                let mut escaped = String::with_capacity(text.len() + 16);
                for c in text.chars() {
                    if is_escaped(c) {
                        // All unsafe characters are one code unit.
                        let _ = write!(escaped, "\\u{:04x}", u32::from(c));
                    } else {
                        escaped.push(c);
                    }
                }
                self.0.write_all(escaped.as_bytes())?;
            }
            _ => self.0.write_all(line)?,
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn is_escaped(c: char) -> bool {
    c > '~' && is_unsafe(c)
}
