//! The export of spans by the real program, to a collector of the test.

use http::Method;
use otlp::collector::{Collector, ExportedSpan};
use serde_json::json;
use testkit::{Process, command};

use crate::PROGRAM;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// Starts the program with its embedded cluster and these variables.
async fn embedded(variables: &[(&str, &str)]) -> Process {
    let usual = [("PROVISIONER_LISTEN", "127.0.0.1:0"), ("PROVISIONER_LOG_FORMAT", "json")];
    Process::start(command(PROGRAM, &["serve", "--embedded"], &[&usual, variables].concat())).await
}

fn named<'a>(spans: &'a [ExportedSpan], name: &str) -> Option<&'a ExportedSpan> {
    spans.iter().find(|span| span.name == name)
}

/// Guards that a create is one trace, from the span of the caller over the request and the actor's event to the calls to
/// Kubernetes, that the log has the ids of the exported span, and that the last spans are sent at the end.
#[tokio::test]
async fn a_create_is_one_trace() {
    let collector = Collector::start();
    let program = embedded(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint())]).await;
    let client = program.client();
    client.until_ready().await;
    let traceparent = format!("00-{TRACE}-{PARENT}-01");
    let headers = [("content-type", "application/json"), ("traceparent", &*traceparent)];
    let body = json!({"sandbox_id": "traced"}).to_string();
    let made = client.send(Method::POST, "/api/sandboxes", &headers, Some(body.into())).await;
    assert_eq!(made.status, 200, "{made}");
    let read = client.send(Method::GET, "/api/sandboxes/traced?secret=x", &headers, None).await;
    assert_eq!(read.status, 200, "{read}");
    let printed = program.stop().await;

    let spans = collector.spans();
    let span = |name: &str| named(&spans, name).unwrap_or_else(|| panic!("{name}: {spans:#?}\n{printed}"));
    let (request, event) = (span("POST /api/sandboxes"), span("create"));
    assert_eq!((&*request.trace_id, &*request.parent_id, request.kind), (TRACE, PARENT, 2));
    let attribute = |span: &ExportedSpan, name: &str| span.attributes.get(name).cloned().unwrap_or_default();
    assert_eq!(attribute(request, "http.response.status_code"), "200");
    assert_eq!(attribute(request, "http.route"), "/api/sandboxes");
    assert_eq!((&*event.trace_id, &event.parent_id), (TRACE, &request.span_id));
    assert_eq!(attribute(event, "sandbox.id"), "traced");
    for resource in ["pods", "services"] {
        let call = span(&format!("POST {resource}"));
        assert_eq!((&*call.trace_id, &call.parent_id, call.kind), (TRACE, &event.span_id, 3), "{resource}");
        assert_eq!(attribute(call, "http.response.status_code"), "201");
    }
    let read = span("GET /api/sandboxes/{id}");
    assert_eq!((&*read.trace_id, attribute(read, "url.path")), (TRACE, "/api/sandboxes/traced".to_owned()));
    assert_eq!(read.resource.get("service.name").map(String::as_str), Some("sandbox-provisioner"));
    assert!(!String::from_utf8_lossy(&collector.bytes()).contains("secret"), "a query is not exported");

    let line =
        printed.lines().find(|line| line.contains("\"answered\"") && line.contains("\"POST\"")).unwrap();
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(
        (&line["span"]["trace_id"], &line["span"]["span_id"]),
        (&TRACE.into(), &json!(request.span_id))
    );
    assert!(spans.iter().all(|span| !span.name.contains("watch")), "{spans:#?}");
}

/// Guards that a request without `traceparent` begins a trace, and that an error of the daemon is an error of its span.
#[tokio::test]
async fn a_request_without_a_caller_begins_a_trace() {
    let collector = Collector::start();
    let variables = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &*collector.endpoint()),
        ("KUBECONFIG_PATH", "/nowhere/kubeconfig"),
        ("PROVISIONER_LOG_FORMAT", "json"),
    ];
    let program = Process::serve(PROGRAM, &variables).await;
    let failed = program.client().get("a").await;
    assert_eq!(failed.status, 503);
    let printed = program.stop().await;
    let spans = collector.spans();
    let request = named(&spans, "GET /api/sandboxes/{id}").unwrap_or_else(|| panic!("{spans:#?}\n{printed}"));
    assert!(request.is_error && request.parent_id.is_empty() && request.trace_id.len() == 32, "{request:#?}");
    let line = printed.lines().find(|line| line.contains("\"answered\"")).unwrap();
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!((&line["trace_id"], &line["span_id"]), (&json!(request.trace_id), &json!(request.span_id)));
    assert!(line["request_id"].is_string(), "{line}");
}

/// Guards that a collector that is away or silent slows no request and does not hold the shutdown, and that its outage
/// is logged once.
#[tokio::test]
async fn a_collector_that_does_not_answer_delays_nothing() {
    let silent = Collector::silent();
    for (endpoint, is_refused) in [("http://127.0.0.1:1", true), (&*silent.endpoint(), false)] {
        let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint), ("OTEL_BSP_SCHEDULE_DELAY", "50")];
        let program = embedded(&variables).await;
        let client = program.client();
        client.until_ready().await;
        for n in 0..20 {
            assert_eq!(client.post(&format!("s{n}")).await.status, 200);
            let read = client.get(&format!("s{n}")).await;
            assert!(read.status == 200 && read.took.as_secs() < 2, "{read}");
        }
        let start = std::time::Instant::now();
        let printed = program.stop().await;
        assert!(start.elapsed().as_secs() < 10, "{:?}", start.elapsed());
        let outages = printed.matches("spans cannot be exported").count();
        assert_eq!(outages, usize::from(is_refused), "{printed}");
    }
    assert!(silent.was_called());
}

/// Guards that an invalid variable is a warning, and the daemon works without the export.
#[tokio::test]
async fn an_invalid_variable_is_a_warning() {
    let variables =
        [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")];
    let program = embedded(&variables).await;
    program.client().until_ready().await;
    let printed = program.stop().await;
    let warnings: Vec<_> = printed.lines().filter(|line| line.contains("spans are not exported")).collect();
    assert_eq!(warnings.len(), 1, "{printed}");
    assert!(warnings[0].contains("WARN") && warnings[0].contains("http/protobuf"), "{}", warnings[0]);
}
