//! Printing, to a terminal, a file or a pipe.

use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write};

use serde_json::Value;

use crate::{
    args::{Format, OutputArgs, When},
    environment::Environment,
    error::Failure,
    table::{Cell, Style, Widths, render},
};

/// The longest answer to a question, in bytes.
const ANSWER_MAX: u64 = 1024;

/// The standard streams of a command.
pub struct Console<'a> {
    /// Standard output.
    pub out: &'a mut dyn Write,
    /// Standard error.
    pub err: &'a mut dyn Write,
    /// Whether the output is a terminal that can show colours.
    pub has_colours: bool,
    /// Whether standard output is a terminal.
    pub out_is_terminal: bool,
    /// Whether standard input and output are a terminal.
    pub is_terminal: bool,
}

// === impl Console ===

impl Console<'_> {
    /// Prints a text.
    pub fn print(&mut self, text: &str) -> Result<(), Failure> {
        self.print_bytes(text.as_bytes())
    }

    /// Prints bytes as they are.
    pub fn print_bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.out.write_all(bytes)?;
        self.out.flush()?;
        Ok(())
    }

    /// Prints a line on standard error. That this fails is not worth a message.
    pub fn note(&mut self, text: &str) {
        let _ = writeln!(self.err, "{text}");
    }

    /// Prints an error, unless there is nothing to say.
    pub fn error(&mut self, failure: &Failure) {
        let text = failure.to_string();
        if !text.is_empty() {
            self.note(&format!("error: {text}"));
        }
    }

    /// Asks a question. Only `y` and `yes` mean yes; the end of the input means no.
    pub fn ask(&mut self, question: &str) -> Result<bool, Failure> {
        self.print(&format!("{question} (y/n): "))?;
        let mut answer = String::new();
        io::stdin().lock().take(ANSWER_MAX).read_line(&mut answer)?;
        Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
    }

    /// Returns whether to use colours.
    #[must_use]
    pub fn uses_colours(&self, when: When) -> bool {
        match when {
            When::Always => true,
            When::Auto => self.has_colours,
            When::Never => false,
        }
    }

    /// Returns how tables are printed.
    #[must_use]
    pub fn style(&self, args: &OutputArgs) -> Style {
        Style { headers: !args.no_headers, colours: self.uses_colours(args.color) }
    }

    /// Prints a table.
    pub fn table(&mut self, titles: &[&str], rows: &[Vec<Cell>], args: &OutputArgs) -> Result<(), Failure> {
        let style = self.style(args);
        self.print(&render(titles, rows, &mut Widths::default(), style))
    }

    /// Prints a value as JSON or YAML.
    pub fn value(&mut self, value: &Value, format: Format) -> Result<(), Failure> {
        let text = if format == Format::Yaml {
            serde_saphyr::to_string(value).map_err(io::Error::other)?
        } else {
            format!("{value:#}\n")
        };
        self.print(&text)
    }
}

/// Calls a function with the streams of this process.
pub async fn with_process<T>(environment: &Environment, run: impl AsyncFnOnce(&mut Console<'_>) -> T) -> T {
    let (mut out, mut err) = (io::stdout(), io::stderr());
    let is_terminal = out.is_terminal();
    let console = &mut Console {
        out_is_terminal: is_terminal,
        has_colours: is_terminal && !environment.no_color && !environment.term_is_dumb,
        is_terminal: is_terminal && io::stdin().is_terminal(),
        out: &mut out,
        err: &mut err,
    };
    run(console).await
}
