//! The export, in processes of their own, as the variables are those of a process.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::disallowed_methods, reason = "the tests set the variables of a process")]

use std::{
    env,
    process::{Command, Output},
    time::{Duration, Instant},
};

use otlp::{Exporter, ServerSpan, Service, SpanIds, collector::Collector};
use tracing::{Metadata, Span};
use tracing_subscriber::layer::SubscriberExt as _;

const TRACE: u128 = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736;
const PARENT: u64 = 0x00f0_67aa_0ba9_02b7;

/// Runs [`child`] in a process with these variables, and returns its output and how long it took.
fn run(variables: &[(&str, &str)]) -> (Output, Duration) {
    let start = Instant::now();
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", "child", "--ignored", "--nocapture"])
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    (output, start.elapsed())
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[tokio::test]
#[ignore = "the other tests run it"]
async fn child() {
    let service = Service { name: "sandbox-provisioner", version: "1.2.3" };
    let is_exported = |metadata: &Metadata<'_>| metadata.is_span() && metadata.target() == "spans";
    let variable = |name: &str| env::var(name).ok();
    let (exporter, layer) = match Exporter::start(is_exported, "outer", service, variable) {
        Ok(started) => started,
        Err(error) => return println!("error: {error}"),
    };
    let subscriber = tracing_subscriber::registry().with(layer);
    let guard = tracing::subscriber::set_default(subscriber);
    let begun = Instant::now();
    let outer = tracing::info_span!(target: "spans", "outer", http.route = "/a");
    otlp::set_parent(&outer, SpanIds { trace_id: TRACE, span_id: PARENT }, env::var("UNSAMPLED").is_err());
    let ids = otlp::ids_of(&outer).unwrap();
    println!("ids: {:032x} {:016x}", ids.trace_id, ids.span_id);
    outer.in_scope(|| {
        tracing::info_span!(target: "spans", "inner", otel.status_code = "error").in_scope(|| {
            tracing::info!("a line of the log is not part of the span");
            assert!(Span::current().metadata().is_some());
        });
        let log = tracing::info_span!("a span of the log");
        log.in_scope(|| {});
    });
    otlp::answered(&outer, &ServerSpan { method: "GET", route: Some("/a/{id}"), path: "/a/b", status: 503 });
    drop(outer);
    for _ in 0..10_000 {
        tracing::info_span!(target: "spans", "one of many").in_scope(|| {});
    }
    println!("made in {} ms", begun.elapsed().as_millis());
    let stopping = Instant::now();
    exporter.stop().await;
    println!("stopped in {} ms", stopping.elapsed().as_millis());
    drop(guard);
}

/// Returns the number after these words in the output.
fn number(output: &str, words: &str) -> u64 {
    let rest = output.split_once(words).unwrap_or_else(|| panic!("{words}: {output}")).1.trim_start();
    rest.split(' ').next().unwrap().parse().unwrap()
}

/// Guards that the spans arrive with their parents, also that of the caller, with their attributes and with the description
/// of the program, and that the log is not exported.
#[test]
fn spans_arrive() {
    let collector = Collector::start();
    let (output, _) = run(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint())]);
    let log = text(&output);
    assert!(output.status.success(), "{log}");
    let spans = collector.spans();
    let named =
        |name: &str| spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("{name}: {log}"));
    let (outer, inner) = (named("GET /a/{id}"), named("inner"));
    assert_eq!(
        (&*outer.trace_id, &*outer.parent_id),
        (&*format!("{TRACE:032x}"), &*format!("{PARENT:016x}"))
    );
    assert!(log.contains(&format!("ids: {} {}", outer.trace_id, outer.span_id)), "{log}");
    assert_eq!((&inner.trace_id, &inner.parent_id), (&outer.trace_id, &outer.span_id));
    assert_eq!((outer.kind, outer.is_error, inner.is_error), (2, true, true));
    assert_eq!(outer.attributes.get("http.response.status_code").map(String::as_str), Some("503"));
    assert_eq!(outer.resource.get("service.name").map(String::as_str), Some("sandbox-provisioner"));
    assert_eq!(outer.resource.get("service.version").map(String::as_str), Some("1.2.3"));
    assert!(spans.iter().all(|span| span.name != "a span of the log"));
    let bytes = collector.bytes();
    assert!(!String::from_utf8_lossy(&bytes).contains("a line of the log"));
}

/// Guards the standard variables: the name and the attributes of the service, the headers, the sampler and the address of
/// the traces alone.
#[test]
fn the_standard_variables_count() {
    let collector = Collector::start();
    let endpoint = format!("{}/v1/traces", collector.endpoint());
    let variables = [
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", &*endpoint),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=blue"),
        ("OTEL_SERVICE_NAME", "other"),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test,service.version=9"),
    ];
    let (output, _) = run(&variables);
    let spans = collector.spans();
    let resource = &spans.first().unwrap_or_else(|| panic!("{}", text(&output))).resource;
    let value = |key: &str| resource.get(key).map(String::as_str);
    assert_eq!(
        [value("service.name"), value("service.version"), value("deployment.environment")],
        [Some("other"), Some("9"), Some("test")]
    );
    assert!(String::from_utf8_lossy(&collector.bytes()).contains("x-tenant: blue"));

    let none = Collector::start();
    let endpoint = none.endpoint();
    let off = [("OTEL_EXPORTER_OTLP_ENDPOINT", &*endpoint), ("OTEL_TRACES_SAMPLER", "always_off")];
    let (output, _) = run(&off);
    assert!(output.status.success() && none.spans().is_empty(), "{}", text(&output));
    let unsampled = [("OTEL_EXPORTER_OTLP_ENDPOINT", &*endpoint), ("UNSAMPLED", "1")];
    let (output, _) = run(&unsampled);
    assert!(none.spans().iter().all(|span| span.name == "one of many"), "{}", text(&output));
}

/// Guards that a collector that is away or silent does not delay the program or its end.
#[test]
fn a_collector_that_is_away_or_silent_delays_nothing() {
    let silent = Collector::silent();
    for endpoint in ["http://127.0.0.1:1".to_owned(), silent.endpoint()] {
        let (output, took) = run(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint)]);
        let log = text(&output);
        assert!(output.status.success(), "{log}");
        assert!(number(&log, "made in") < 2000, "{log}");
        assert!(number(&log, "stopped in") < 1500, "{log}");
        assert!(took < Duration::from_secs(8), "{took:?}");
    }
    assert!(silent.was_called());
}

/// Guards that an unusable variable is named.
#[test]
fn an_unusable_variable_is_named() {
    for (variable, value, wanted) in [
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "OTEL_EXPORTER_OTLP_PROTOCOL=\"grpc\" is not supported"),
        (
            "OTEL_TRACES_SAMPLER",
            "sometimes",
            "OTEL_TRACES_SAMPLER=\"sometimes\" is not supported; allowed: always_on",
        ),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "not a url", "OTEL_EXPORTER_OTLP_"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere/ca.pem", "\"/nowhere/ca.pem\""),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/dev/null", "does not contain certificates"),
    ] {
        let (output, _) = run(&[(variable, value)]);
        let log = text(&output);
        assert!(log.contains("error: ") && log.contains(wanted), "{variable}: {log}");
    }
}
