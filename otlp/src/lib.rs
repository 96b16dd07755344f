//! Exports spans to an OpenTelemetry collector, as protobuf over HTTP.
//!
//! Spans are collected in memory and sent in batches by a thread of their own. A collector that is slow or away loses
//! spans, and delays nothing else.

mod client;
#[cfg(feature = "collector")]
pub mod collector;
mod variables;

use std::time::Duration;

use opentelemetry::{
    Context, KeyValue, SpanId, TraceFlags, TraceId,
    trace::{
        SpanBuilder, SpanContext, SpanKind, Status, TraceContextExt as _, TraceState, Tracer,
        TracerProvider as _,
    },
};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithHttpConfig as _};
use opentelemetry_sdk::{
    Resource,
    trace::{SdkTracer, SdkTracerProvider},
};
use tracing::{Metadata, Span, level_filters::LevelFilter};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::{Layer, Registry, filter::filter_fn};

use self::client::CollectorClient;
pub use self::client::TlsError;

/// The variables that hold the path of the certificate authority of the collector.
const CERTIFICATES: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE"];

/// How long the end of the program waits for the last batch. With the default deadlines of a shutdown this is 30 s, the
/// default grace period of Kubernetes.
const LAST_BATCH: Duration = Duration::from_secs(1);

/// The exporter. Dropping it stops the export.
#[derive(Debug)]
pub struct Exporter {
    provider: SdkTracerProvider,
}

/// The subscriber's layer that collects the spans.
pub type SpanLayer = Box<dyn Layer<Registry> + Send + Sync>;

/// The description of the program, unless the variables have another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Service {
    /// The name of the service.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
}

/// An answered HTTP request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerSpan<'a> {
    /// The method.
    pub method: &'a str,
    /// The path with placeholders, if it is known.
    pub route: Option<&'a str>,
    /// The path.
    pub path: &'a str,
    /// The status code.
    pub status: u16,
}

/// A tracer that knows which spans are those of requests. The field `otel.kind` would also be in the log.
struct Kinds {
    tracer: SdkTracer,
    /// The name of the spans of requests.
    request: &'static str,
}

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
    #[error("{variable}={value:?} is not supported; allowed: {allowed}")]
    Unsupported {
        /// The variable.
        variable: &'static str,
        /// Its value.
        value: String,
        /// The values that are supported.
        allowed: &'static str,
    },
    /// The URL of the collector is invalid. The error does not show it: it may contain a password.
    #[error("{variable} is not a URL such as \"http://collector:4318\"")]
    InvalidUrl {
        /// The variable.
        variable: &'static str,
    },
    /// The certificate authority cannot be read.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A header or another variable is invalid.
    #[error("invalid OTEL_EXPORTER_OTLP_… variables: {0}")]
    Settings(#[from] ExporterBuildError),
}

// === impl Exporter ===

impl Exporter {
    /// Starts the export of these spans, as the standard `OTEL_*` variables say. Call it in a tokio runtime. `request` is
    /// the name of the spans of HTTP requests, and `variable` returns a variable of this process.
    ///
    /// # Errors
    /// [`StartError`] if a variable is invalid. A collector that cannot be reached is not an error.
    pub fn start(
        is_exported: fn(&Metadata<'_>) -> bool,
        request: &'static str,
        service: Service,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<(Self, SpanLayer), StartError> {
        let set = |names: &[&'static str]| variables::first(names, &variable);
        variables::check(&variable)?;
        let certificate = set(&CERTIFICATES).map(|(_, path)| path);
        let client = CollectorClient::new(certificate.as_deref(), variables::deadline(&variable))?;
        let exporter = SpanExporter::builder().with_http().with_http_client(client).build()?;
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource(service))
            .build();
        let layer = tracing_opentelemetry::layer()
            .with_tracer(Kinds { tracer: provider.tracer(service.name), request })
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_level(false)
            .with_tracked_inactivity(false)
            .with_filter(filter_fn(is_exported).with_max_level_hint(LevelFilter::DEBUG));
        Ok((Self { provider }, Box::new(layer)))
    }

    /// Sends the last spans, and waits for that for at most a second.
    pub async fn stop(self) {
        let stopping = tokio::task::spawn_blocking(move || self.provider.shutdown_with_timeout(LAST_BATCH));
        // The call may wait longer for its thread than it says.
        let stopped = tokio::time::timeout(LAST_BATCH, stopping).await;
        if !matches!(stopped, Ok(Ok(Ok(())))) {
            tracing::warn!("the last spans could not be exported");
        }
    }
}

/// Returns the description of this program. The variables `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` come first.
fn resource(Service { name, version }: Service) -> Resource {
    let detected = Resource::builder().build();
    let has_name = detected
        .get(&"service.name".into())
        .is_some_and(|name| !name.as_str().starts_with("unknown_service"));
    let own = [("service.name", name, has_name), ("service.version", version, false)];
    let own = own
        .into_iter()
        .filter(|(key, _, is_set)| {
            !is_set && (*key == "service.name" || detected.get(&(*key).into()).is_none())
        })
        .map(|(key, value, _)| KeyValue::new(key, value));
    Resource::builder().with_attributes(own).build()
}

/// Adds the answer to the span of a request, by the semantic conventions of OpenTelemetry. Does nothing if the span is not
/// exported.
pub fn answered(span: &Span, request: &ServerSpan<'_>) {
    let ServerSpan { method, route, path, status } = *request;
    let context = span.context();
    let span = context.span();
    if !span.is_recording() {
        return;
    }
    span.update_name(route.map_or_else(|| method.to_owned(), |route| format!("{method} {route}")));
    let route = route.map(|route| KeyValue::new("http.route", route.to_owned()));
    span.set_attributes(route.into_iter().chain([
        KeyValue::new("http.request.method", method.to_owned()),
        KeyValue::new("url.path", path.to_owned()),
        KeyValue::new("http.response.status_code", i64::from(status)),
    ]));
    if status >= 500 {
        span.set_status(Status::error(""));
    }
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

// === impl Kinds ===

impl Tracer for Kinds {
    type Span = <SdkTracer as Tracer>::Span;

    fn build_with_context(&self, mut builder: SpanBuilder, parent: &Context) -> Self::Span {
        if builder.name == self.request {
            builder.span_kind = Some(SpanKind::Server);
        }
        self.tracer.build_with_context(builder, parent)
    }
}
