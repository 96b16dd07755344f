//! The log: text for a terminal, and one JSON object per line otherwise.

mod escape;
pub mod spans;

use std::{
    io::{self, IsTerminal},
    panic,
};

use tracing::{Subscriber, subscriber::set_global_default};
use tracing_subscriber::{
    Layer, Registry,
    filter::{ParseError, Targets},
    fmt::{self, MakeWriter},
    layer::SubscriberExt,
    registry::LookupSpan,
};

use self::{
    escape::{EscapedFields, EscapedJson},
    spans::SpanLayer,
};

/// Libraries that log too much, each with its most verbose level unless the filter names it: the actor library logs
/// every actor, the HTTP library every connection. The Kubernetes client and its watcher log every failure, which the
/// daemon logs itself, once; and whole bodies that cannot be parsed, which may contain secrets. The exporter of spans is
/// the last but one, and the spans that are only exported are the last. A name here also counts
/// for all crates whose names begin with it.
const CAPS: &str = "kube_client=off,kube_runtime=off,ractor=warn,hyper=warn,hyper_util=warn,\
                    rustls=warn,tower=warn,warp=warn,h2=warn,opentelemetry=off,spans=off";

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// [`Format::Text`] when standard error is a terminal, else [`Format::Json`].
    #[default]
    Auto,
    /// One line of text per event.
    Text,
    /// One JSON object per event.
    Json,
}

/// Why logging could not be initialized.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter is invalid.
    #[error(
        "invalid log filter {filter:?}: {source}; expected a level (error, warn, info, debug, trace) \
             or targets with levels, such as \"info,sandbox_provisioner=debug\""
    )]
    Filter {
        /// The filter.
        filter: String,
        /// The error of the parser.
        source: ParseError,
    },
    /// Logging is already initialized.
    #[error("logging is already initialized")]
    AlreadyInitialized,
}

/// Sends the log of the whole process to standard error, including panics. Call it once, at the start.
///
/// `filter` is a level, or targets with levels as [`Targets`] parses them. It may name a capped library to raise its
/// level. `export` is the layer that collects spans, if they are exported.
///
/// # Errors
/// [`TelemetryError`] if the filter cannot be parsed, or logging is already initialized.
pub fn init(filter: &str, format: Format, export: Option<SpanLayer>) -> Result<(), TelemetryError> {
    let json = match format {
        Format::Auto => !io::stderr().is_terminal(),
        Format::Text => false,
        Format::Json => true,
    };
    let targets = parse(filter)?;
    let set = match export {
        None => set_global_default(Registry::default().with(targets).with(lines(json))),
        // Both need other spans, so each layer has a filter of its own.
        Some(export) => {
            let log: Box<dyn Layer<_> + Send + Sync> = lines(json);
            set_global_default(Registry::default().with(export).with(log.with_filter(targets)))
        }
    };
    set.map_err(|_| TelemetryError::AlreadyInitialized)?;
    panic::set_hook(Box::new(log_panic));
    Ok(())
}

/// The filter, combined with the caps.
fn parse(filter: &str) -> Result<Targets, TelemetryError> {
    let invalid = |source| TelemetryError::Filter { filter: filter.to_owned(), source };
    // Later directives for a target replace earlier ones, so the filter overrides the caps.
    format!("info,{CAPS},{filter}").parse().map_err(invalid)
}

fn lines<S>(json: bool) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    if json { json_lines(io::stderr) } else { text_lines(io::stderr, io::stderr().is_terminal()) }
}

fn text_lines<S, W>(writer: W, colours: bool) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    fmt::layer().fmt_fields(EscapedFields).with_writer(writer).with_ansi(colours).boxed()
}

fn json_lines<S, W>(writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    fmt::layer().json().flatten_event(true).with_span_list(false).with_writer(EscapedJson(writer)).boxed()
}

/// Logs a panic as one line, in its span (and so with the request id). The line omits the message, which may contain
/// a secret; the location is enough to find the bug.
fn log_panic(info: &panic::PanicHookInfo<'_>) {
    let location = info.location().map(ToString::to_string);
    tracing::error!(location = location.as_deref().unwrap_or("unknown"), "panicked");
}

#[cfg(test)]
mod tests;
