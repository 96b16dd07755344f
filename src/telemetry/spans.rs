//! The ids of requests in the log, and the export of spans with the feature `otlp`.
//!
//! The log and the export have the span of a request in common. The other exported spans have the target
//! [`TARGET`], which the log leaves out.

use std::fmt;

use tracing::Span;
use tracing_subscriber::{Layer, Registry};

use crate::http::trace_context::TraceContext;

/// The target of spans that are only exported.
pub const TARGET: &str = "spans";

/// The name of the span of a request.
pub const REQUEST: &str = "request";

/// The layer that collects spans.
pub type SpanLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// The export of spans, which may be off.
#[derive(Debug, Default)]
pub struct Export {
    #[cfg(feature = "otlp")]
    exporter: Option<otlp::Exporter>,
}

/// A started export.
#[derive(Default)]
pub struct Started {
    /// The export, to stop it.
    pub export: Export,
    /// The layer for the subscriber.
    pub layer: Option<SpanLayer>,
    /// Why nothing is exported although a variable asks for it.
    pub problem: Option<String>,
}

/// The ids of a request, as the log shows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TraceIds {
    trace_id: u128,
    span_id: u64,
    /// Whether the span is exported.
    pub(crate) is_exported: bool,
}

/// An answered request.
#[cfg_attr(not(feature = "otlp"), expect(dead_code, reason = "only the export reads it"))]
pub(crate) struct Answered<'a> {
    pub(crate) method: &'a str,
    pub(crate) route: &'static str,
    pub(crate) path: &'a str,
    pub(crate) status: u16,
}

// === impl Export ===

impl Export {
    /// Starts the export if the standard variables ask for it. `variable` returns a variable of this process.
    #[cfg(feature = "otlp")]
    #[must_use]
    pub fn start(variable: impl Fn(&str) -> Option<String>) -> Started {
        if asks_for_export(&variable).is_none() {
            return Started::default();
        }
        let is_exported = |metadata: &tracing::Metadata<'_>| {
            metadata.is_span()
                && (metadata.target() == TARGET
                    || (metadata.name() == REQUEST
                        && metadata.target().starts_with(env!("CARGO_CRATE_NAME"))))
        };
        let service = otlp::Service { name: env!("CARGO_PKG_NAME"), version: env!("CARGO_PKG_VERSION") };
        match otlp::Exporter::start(is_exported, REQUEST, service, variable) {
            Ok((exporter, layer)) => {
                Started { export: Self { exporter: Some(exporter) }, layer: Some(layer), problem: None }
            }
            Err(error) => {
                Started { problem: Some(format!("spans are not exported: {error}")), ..Started::default() }
            }
        }
    }

    /// Returns why the export is off, if a variable asks for it.
    #[cfg(not(feature = "otlp"))]
    #[must_use]
    pub fn start(variable: impl Fn(&str) -> Option<String>) -> Started {
        let problem = asks_for_export(variable).map(|name| {
            format!("{name} is set, but this build does not export spans; build it with --features otlp")
        });
        Started { problem, ..Started::default() }
    }

    /// Sends the last spans, and waits for that for at most a second.
    #[cfg(feature = "otlp")]
    pub async fn stop(self) {
        if let Some(exporter) = self.exporter {
            exporter.stop().await;
        }
    }

    /// Does nothing.
    #[cfg(not(feature = "otlp"))]
    #[expect(clippy::unused_async, reason = "it waits with the feature")]
    pub async fn stop(self) {}
}

/// Returns the variable that asks for the export of spans.
fn asks_for_export(variable: impl Fn(&str) -> Option<String>) -> Option<&'static str> {
    let is = |name, value: &str| variable(name).is_some_and(|set| set.trim().eq_ignore_ascii_case(value));
    if is("OTEL_SDK_DISABLED", "true") || is("OTEL_TRACES_EXPORTER", "none") {
        return None;
    }
    let endpoints = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"];
    endpoints.into_iter().find(|name| variable(name).is_some_and(|value| !value.is_empty()))
}

/// Puts a new span into the trace of its request. Returns its ids; `None` if it has no trace.
pub(crate) fn begin(span: &Span, trace: Option<TraceContext>) -> Option<TraceIds> {
    exported(span, trace).or_else(|| {
        let TraceContext { trace_id, .. } = trace?;
        Some(TraceIds { trace_id, span_id: fastrand::u64(1..), is_exported: false })
    })
}

#[cfg(feature = "otlp")]
fn exported(span: &Span, trace: Option<TraceContext>) -> Option<TraceIds> {
    if let Some(TraceContext { trace_id, parent: Some(parent) }) = trace {
        otlp::set_parent(span, otlp::SpanIds { trace_id, span_id: parent.span_id }, parent.is_sampled);
    }
    let otlp::SpanIds { trace_id, span_id } = otlp::ids_of(span)?;
    Some(TraceIds { trace_id, span_id, is_exported: true })
}

#[cfg(not(feature = "otlp"))]
fn exported(_: &Span, _: Option<TraceContext>) -> Option<TraceIds> {
    None
}

/// Adds the answer to the span of a request.
#[cfg(feature = "otlp")]
pub(crate) fn end(span: &Span, answered: &Answered<'_>) {
    let Answered { method, route, path, status } = *answered;
    let route = Some(route).filter(|route| route.starts_with('/'));
    otlp::answered(span, &otlp::ServerSpan { method, route, path, status });
}

#[cfg(not(feature = "otlp"))]
pub(crate) fn end(_: &Span, _: &Answered<'_>) {}

// === impl TraceIds ===

impl TraceIds {
    /// Returns the id of the trace, as the header has it.
    pub(crate) fn trace(&self) -> impl fmt::Display + use<> {
        format!("{:032x}", self.trace_id)
    }

    /// Returns the id of the span, as a header has it.
    pub(crate) fn span(&self) -> impl fmt::Display + use<> {
        format!("{:016x}", self.span_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards which variables switch the export on and off.
    #[test]
    fn the_standard_variables_ask_for_the_export() {
        let (one, two) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
        for (variables, wanted) in [
            (&[][..], None),
            (&[(one, "http://c:4318")], Some(one)),
            (&[(two, "http://c:4318/v1/traces")], Some(two)),
            (&[(one, "")], None),
            (&[(one, "http://c:4318"), ("OTEL_SDK_DISABLED", "TRUE")], None),
            (&[(one, "http://c:4318"), ("OTEL_SDK_DISABLED", "false")], Some(one)),
            (&[(one, "http://c:4318"), ("OTEL_TRACES_EXPORTER", "none")], None),
            (&[(one, "http://c:4318"), ("OTEL_TRACES_EXPORTER", "otlp")], Some(one)),
            (&[("OTEL_SERVICE_NAME", "x")], None),
        ] {
            let lookup = |name: &str| {
                variables.iter().find(|(set, _)| *set == name).map(|(_, value)| (*value).to_owned())
            };
            assert_eq!(asks_for_export(lookup), wanted, "{variables:?}");
        }
    }
}
