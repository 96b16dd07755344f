//! Exports spans to an OpenTelemetry collector, as protobuf over HTTP.
//!
//! Spans are collected in memory and sent in batches by a thread of their own. A collector that is slow or away loses
//! spans, and delays nothing else.

mod client;
#[cfg(feature = "collector")]
pub mod collector;

use std::{env, time::Duration};

use opentelemetry::{
    Context, KeyValue, SpanId, TraceFlags, TraceId,
    trace::{SpanContext, TraceContextExt as _, TraceState, TracerProvider as _},
};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithHttpConfig as _};
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::{Layer, Registry, filter::Targets};

use self::client::CollectorClient;
pub use self::client::TlsError;

/// The environment variables that hold the address of the collector. The second one holds a complete URL.
pub const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"];

/// The variables that choose the protocol, of which this program has one.
const PROTOCOLS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"];
const PROTOCOL: &str = "http/protobuf";

/// The variables that hold the path of the certificate authority of the collector.
const CERTIFICATES: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE"];

/// How long the end of the program waits for the last batch.
const LAST_BATCH: Duration = Duration::from_secs(2);

/// The exporter. Dropping it stops the export.
#[derive(Debug)]
pub struct Exporter {
    provider: SdkTracerProvider,
}

/// The subscriber's layer that collects the spans.
pub type SpanLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// The ids of a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanIds {
    /// The id of its trace.
    pub trace_id: u128,
    /// Its own id.
    pub span_id: u64,
}

/// Why the export cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A variable has a value that this program does not support.
    #[error("{variable}={value:?} is not supported; allowed: {PROTOCOL}")]
    Protocol {
        /// The variable.
        variable: &'static str,
        /// Its value.
        value: String,
    },
    /// The certificate authority cannot be read.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The address of the collector, a header or another variable is invalid.
    #[error("invalid OTEL_EXPORTER_OTLP_… variables: {0}")]
    Settings(#[from] ExporterBuildError),
}

// === impl Exporter ===

impl Exporter {
    /// Starts the export of the spans with this target, as the standard `OTEL_*` variables say. Call it in a tokio
    /// runtime. `service` is the name of the service, unless a variable sets another.
    ///
    /// # Errors
    /// [`StartError`] if a variable is invalid. A collector that cannot be reached is not an error.
    pub fn start(
        target: &'static str,
        service: &'static str,
        version: &'static str,
    ) -> Result<(Self, SpanLayer), StartError> {
        if let Some((variable, value)) = set(&PROTOCOLS).filter(|(_, value)| value != PROTOCOL) {
            return Err(StartError::Protocol { variable, value });
        }
        let certificate = set(&CERTIFICATES).map(|(_, path)| path);
        let client = CollectorClient::new(certificate.as_deref())?;
        let exporter = SpanExporter::builder().with_http().with_http_client(client).build()?;
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource(service, version))
            .build();
        let layer = tracing_opentelemetry::layer()
            .with_tracer(provider.tracer(service))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_level(false)
            .with_tracked_inactivity(false)
            .with_filter(Targets::new().with_target(target, tracing::Level::TRACE));
        Ok((Self { provider }, Box::new(layer)))
    }

    /// Sends the last spans, and waits for that for at most two seconds.
    pub async fn stop(self) {
        let stopping = tokio::task::spawn_blocking(move || self.provider.shutdown_with_timeout(LAST_BATCH));
        // The call may wait longer for its thread than it says.
        match tokio::time::timeout(LAST_BATCH, stopping).await {
            Ok(Ok(Ok(()))) => {}
            _ => tracing::warn!("the last spans could not be exported"),
        }
    }
}

/// Returns the description of this program. The variables `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` come first.
fn resource(service: &'static str, version: &'static str) -> Resource {
    let detected = Resource::builder().build();
    let has_name = detected
        .get(&"service.name".into())
        .is_some_and(|name| !name.as_str().starts_with("unknown_service"));
    let own = [("service.name", service, has_name), ("service.version", version, false)];
    let own = own
        .into_iter()
        .filter(|(key, _, is_set)| {
            !is_set && (*key == "service.name" || detected.get(&(*key).into()).is_none())
        })
        .map(|(key, value, _)| KeyValue::new(key, value));
    Resource::builder().with_attributes(own).build()
}

/// Returns the first of these variables that is set.
fn set(variables: &[&'static str]) -> Option<(&'static str, String)> {
    let value = |variable: &&'static str| {
        Some((*variable, env::var(variable).ok().filter(|value| !value.is_empty())?))
    };
    variables.iter().find_map(value)
}

/// Makes a new span the child of a span of the caller.
pub fn set_parent(span: &Span, SpanIds { trace_id, span_id }: SpanIds, is_sampled: bool) {
    let flags = if is_sampled { TraceFlags::SAMPLED } else { TraceFlags::NOT_SAMPLED };
    let parent =
        SpanContext::new(TraceId::from(trace_id), SpanId::from(span_id), flags, true, TraceState::default());
    let _ = span.set_parent(Context::new().with_remote_span_context(parent));
}

/// Returns the ids of a span; `None` if it is not collected.
#[must_use]
pub fn ids_of(span: &Span) -> Option<SpanIds> {
    let context = span.context();
    let span = context.span();
    let context = span.span_context();
    context.is_valid().then(|| SpanIds {
        trace_id: u128::from_be_bytes(context.trace_id().to_bytes()),
        span_id: u64::from_be_bytes(context.span_id().to_bytes()),
    })
}
