//! A collector for tests, which keeps all spans.
//!
//! It has threads of its own, so it also works while tokio's clock is paused.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a test fails by panicking"
)]

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value::Value},
};
use prost::Message as _;

/// How long [`Collector::until`] waits. A batch is sent after 5 s at the latest, unless a variable says otherwise.
const PATIENCE: Duration = Duration::from_secs(20);

/// A collector that listens on a port of its own until the program ends.
#[derive(Debug, Clone)]
pub struct Collector {
    address: SocketAddr,
    received: Arc<Mutex<Received>>,
}

#[derive(Debug, Default)]
struct Received {
    spans: Vec<ExportedSpan>,
    /// All requests as they arrived.
    bytes: Vec<u8>,
    requests: usize,
}

/// A span as it was exported.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ExportedSpan {
    /// The name.
    pub name: String,
    /// The id of its trace, in hexadecimal digits.
    pub trace_id: String,
    /// Its id, in hexadecimal digits.
    pub span_id: String,
    /// The id of the span around it; empty for the first span of a trace.
    pub parent_id: String,
    /// Its kind: 1 is internal, 2 is a server, 3 is a client.
    pub kind: i32,
    /// Whether its status is an error.
    pub is_error: bool,
    /// Its attributes, as text.
    pub attributes: BTreeMap<String, String>,
    /// The attributes of the program that sent it.
    pub resource: BTreeMap<String, String>,
}

// === impl Collector ===

impl Collector {
    /// Starts a collector.
    #[must_use]
    pub fn start() -> Self {
        Self::with(|received, stream| while let Some(()) = exchange(received, &stream) {})
    }

    /// Starts a collector that takes requests and never answers.
    #[must_use]
    pub fn silent() -> Self {
        Self::with(|received, stream| {
            let mut reader = BufReader::new(&stream);
            let mut start = [0];
            while reader.read(&mut start).is_ok_and(|count| count > 0) {
                received.lock().unwrap().requests += 1;
            }
        })
    }

    fn with(serve: impl Fn(&Mutex<Received>, TcpStream) + Copy + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let collector = Self { address, received: Arc::default() };
        let received = collector.received.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let received = received.clone();
                thread::spawn(move || serve(&received, stream));
            }
        });
        collector
    }

    /// Returns its address, for `OTEL_EXPORTER_OTLP_ENDPOINT`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns all spans so far.
    #[must_use]
    pub fn spans(&self) -> Vec<ExportedSpan> {
        self.received.lock().unwrap().spans.clone()
    }

    /// Returns all bytes of all requests so far.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        self.received.lock().unwrap().bytes.clone()
    }

    /// Returns whether anything has arrived.
    #[must_use]
    pub fn was_called(&self) -> bool {
        self.received.lock().unwrap().requests > 0
    }

    /// Waits until the spans satisfy the condition, and returns them.
    #[must_use]
    pub fn until(&self, condition: impl Fn(&[ExportedSpan]) -> bool) -> Vec<ExportedSpan> {
        let end = Instant::now() + PATIENCE;
        loop {
            let spans = self.spans();
            if condition(&spans) {
                return spans;
            }
            assert!(Instant::now() < end, "the spans are only {spans:#?}");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// Reads one request and answers it. Returns `None` at the end of the connection.
fn exchange(received: &Mutex<Received>, stream: &TcpStream) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let header = line.trim_end().split_once(": ");
        if let Some((name, value)) = header
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.parse().ok()?;
        }
        head += &line;
        if line.trim_end().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let is_export = head.starts_with("POST /v1/traces ");
    {
        let mut received = received.lock().unwrap();
        received.requests += 1;
        received.bytes.extend(head.as_bytes());
        received.bytes.extend(&body);
        if is_export {
            received.spans.extend(spans(&body));
        }
    }
    let status = if is_export { "200 OK" } else { "404 Not Found" };
    let answer =
        format!("HTTP/1.1 {status}\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n");
    let mut stream = stream;
    stream.write_all(answer.as_bytes()).ok()
}

fn spans(body: &[u8]) -> Vec<ExportedSpan> {
    let request = ExportTraceServiceRequest::decode(body).expect("the body is a request of the protocol");
    let mut spans = Vec::new();
    for resource in request.resource_spans {
        let attributes = texts(resource.resource.unwrap_or_default().attributes);
        for span in resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            spans.push(ExportedSpan {
                name: span.name,
                trace_id: hex(&span.trace_id),
                span_id: hex(&span.span_id),
                parent_id: hex(&span.parent_span_id),
                kind: span.kind,
                is_error: span.status.is_some_and(|status| status.code == 2),
                attributes: texts(span.attributes),
                resource: attributes.clone(),
            });
        }
    }
    spans
}

fn texts(attributes: Vec<KeyValue>) -> BTreeMap<String, String> {
    let text = |value| match value {
        Value::StringValue(text) => text,
        Value::BoolValue(value) => value.to_string(),
        Value::IntValue(value) => value.to_string(),
        Value::DoubleValue(value) => value.to_string(),
        other => format!("{other:?}"),
    };
    attributes
        .into_iter()
        .map(|attribute| {
            (attribute.key, attribute.value.and_then(|value| value.value).map(text).unwrap_or_default())
        })
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}
