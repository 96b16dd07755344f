use testkit::Log;

use super::*;

/// Returns the JSON lines that `work` logs with this filter.
fn logged(filter: &str, work: impl FnOnce()) -> Vec<serde_json::Value> {
    let log = Log::default();
    let writer = log.clone();
    let layer = json_lines(move || writer.clone());
    let subscriber = Registry::default().with(parse(filter).unwrap()).with(layer);
    let guard = testkit::listen(subscriber);
    work();
    drop(guard);
    log.lines("").lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Guards that a line is one JSON object with its fields at the top level and the request id in its span.
#[test]
fn lines_are_json_with_the_request_id() {
    let lines = logged("info", || {
        tracing::info_span!("request", request_id = "r-1")
            .in_scope(|| tracing::info!(status = 200, "answered"));
    });
    assert_eq!(lines.len(), 1);
    assert_eq!((&lines[0]["message"], &lines[0]["status"]), (&"answered".into(), &200.into()));
    assert_eq!(lines[0]["span"]["request_id"], "r-1");
}

/// Guards that a verbose library is capped at every level, unless the filter names it.
#[test]
fn libraries_are_capped() {
    let library = || tracing::info!(target: "kube_client", "a call");
    assert_eq!(logged("info", library).len(), 0);
    assert_eq!(logged("trace", library).len(), 0);
    assert_eq!(logged("kube_client=info", library).len(), 1);
    assert_eq!(logged("trace", || tracing::warn!(target: "kube_runtime", "forbidden")).len(), 0);
    assert_eq!(logged("debug", || tracing::debug!("ours")).len(), 1);
    for crate_of_ours in ["actors", "kubernetes", "lifecycle", "sandbox_provisioner", "simcluster"] {
        let targets = parse("info").unwrap();
        assert!(targets.would_enable(crate_of_ours, &tracing::Level::INFO), "{crate_of_ours}");
    }
}

/// Characters that end a line, drive a terminal or change the order of text, and some that do not.
const HOSTILE: &str = "a\nFORGED\r\t\0\u{7}\u{8}\u{1b}[2J\u{1b}]0;title\u{7}\u{7f}\u{85}\u{9b}31m\u{9d}\u{61c}\
                       \u{200e}\u{200f}\u{2028}\u{2029}\u{202a}\u{202e}\u{2066}\u{2069} é😀\u{200d}";

fn log_hostile() {
    let error = io::Error::other(HOSTILE);
    tracing::info_span!("request", request_id = HOSTILE, shown = %HOSTILE).in_scope(|| {
        tracing::warn!(shown = %HOSTILE, debug = ?HOSTILE, text = HOSTILE, "{HOSTILE}");
        tracing::warn!(error = &error as &dyn std::error::Error, failed = %error, "failed");
    });
}

/// Guards that no logged value can end a line of the text format or drive a terminal, with and without colours.
#[test]
fn text_lines_escape_control_characters() {
    for colours in [false, true] {
        let log = Log::default();
        let writer = log.clone();
        let layer = text_lines(move || writer.clone(), colours);
        let guard = testkit::listen(Registry::default().with(parse("info").unwrap()).with(layer));
        log_hostile();
        drop(guard);
        let text = log.lines("");
        assert_eq!(text.lines().count(), 2, "{text}");
        for line in text.lines() {
            let line = if colours { without_colours(line) } else { line.to_owned() };
            assert!(!line.chars().any(escape::is_unsafe), "{line:?}");
            for escaped in [r"a\nFORGED\r\t", r"\u{9b}31m", r"\u{202e}", r"\u{2028}", "é😀"] {
                assert!(line.contains(escaped), "{escaped}: {line}");
            }
        }
    }
}

/// Removes the escape sequences of colours and styles.
fn without_colours(line: &str) -> String {
    let mut parts = line.split("\u{1b}[");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (style, rest) = part.split_once('m').expect("an escape sequence of a style");
        assert!(style.bytes().all(|b| b.is_ascii_digit() || b == b';'), "{style:?}");
        text.push_str(rest);
    }
    text
}

/// Guards that the JSON format has the values unchanged and the characters escaped.
#[test]
fn json_lines_escape_control_characters() {
    let log = Log::default();
    let writer = log.clone();
    let layer = json_lines(move || writer.clone());
    let guard = testkit::listen(Registry::default().with(parse("info").unwrap()).with(layer));
    log_hostile();
    drop(guard);
    let text = log.lines("");
    assert!(!text.chars().any(|c| c != '\n' && escape::is_unsafe(c)), "{text:?}");
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!((&lines[0]["message"], &lines[0]["shown"]), (&HOSTILE.into(), &HOSTILE.into()));
    assert_eq!(lines[1]["span"]["request_id"], HOSTILE);
}

/// Guards that the error for an invalid filter contains the filter and an example.
#[test]
fn an_invalid_filter_is_named() {
    let error = parse("a=loud").unwrap_err().to_string();
    assert!(error.contains("\"a=loud\"") && error.contains("info,sandbox_provisioner=debug"), "{error}");
}
