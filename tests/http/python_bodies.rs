//! Bodies that Python's `json.loads` accepts, and with it DeerFlow's provisioner.

use http::StatusCode;
use lifecycle::{lifetime::LimitsPatch, request::CreateRequest};
use proptest::prelude::*;
use sandbox_provisioner::http::request;
use serde_json::json;

const JSON: Option<&str> = Some("application/json");

/// Values that only Python accepts.
const PYTHON_ONLY: [&str; 12] = [
    "NaN",
    "Infinity",
    "-Infinity",
    "1e400",
    "-1.5E+999",
    r#""\ud83d""#,
    r#""\uDE00""#,
    r#""\ud83dx""#,
    r#""\ud83d\ud83d\ude00""#,
    r#""\\\ud83d\"""#,
    r#""\ude00\ud83d""#,
    r#"{"\ud83d":[NaN,{"x":1e400}]}"#,
];

fn create(body: impl AsRef<[u8]>) -> Option<CreateRequest> {
    request::create(JSON, body.as_ref()).ok()
}

/// Returns the status of the error.
fn refusal(body: impl AsRef<[u8]>) -> Option<StatusCode> {
    request::create(JSON, body.as_ref()).err().map(|error| error.status())
}

/// Encodes a text as UTF-16 or UTF-32, in both byte orders, with and without a byte order mark.
fn encoded(text: &str) -> Vec<Vec<u8>> {
    let mut encodings = vec![text.as_bytes().to_vec(), format!("\u{feff}{text}").into_bytes()];
    for mark in ["", "\u{feff}"] {
        let text = format!("{mark}{text}");
        encodings.push(text.encode_utf16().flat_map(u16::to_le_bytes).collect());
        encodings.push(text.encode_utf16().flat_map(u16::to_be_bytes).collect());
        encodings.push(text.chars().flat_map(|c| u32::from(c).to_le_bytes()).collect());
        encodings.push(text.chars().flat_map(|c| u32::from(c).to_be_bytes()).collect());
    }
    encodings
}

/// Guards that a value that is ignored may be anything that Python reads, in the body and in a mount, before and after
/// the values that are used, and also as a value that a later one of the same name replaces.
#[test]
fn ignored_values_may_be_what_only_python_reads() {
    let plain = create(r#"{"sandbox_id":"a","user_id":"u"}"#);
    assert!(plain.is_some());
    let mounts = |more: &str| {
        format!(r#"{{"sandbox_id":"a","extra_mounts":[{{"host_path":"/a","container_path":"/b"{more}}}]}}"#)
    };
    for value in PYTHON_ONLY {
        for body in [
            format!(r#"{{"sandbox_id":"a","user_id":"u","note":{value}}}"#),
            format!(r#"{{"note":{value},"sandbox_id":"a","user_id":"u"}}"#),
            format!(r#"{{"sandbox_id":"a","note":[[{value}],{{"x":{value}}}], "user_id":"u"}}"#),
            format!(r#"{{"sandbox_id":{value},"user_id":{value},"sandbox_id":"a","user_id":"u"}}"#),
            format!("{{\"sandbox_id\" :\"a\",\n\"note\"\t:{value} ,\r\n\"user_id\":\"u\"}}"),
        ] {
            assert_eq!(create(&body), plain, "{body}");
        }
        let body = mounts(&format!(r#","note":{value}"#));
        assert!(create(&body).is_some() && create(&body) == create(mounts("")), "{body}");
        let patch = request::change(JSON, format!(r#"{{"ttl":null,"note":{value}}}"#).as_bytes());
        let limits = LimitsPatch { ttl: Some(None), idle_timeout: None };
        assert_eq!(patch, Ok(limits.into()), "{value}");
    }
    assert_eq!(create(r#"{"sandbox_id":"a","user_id":"u","\ud83d":1}"#), plain);
}

/// Guards that a value that is used is refused in each field, and so is the whole body.
#[test]
fn used_values_that_only_python_reads_are_refused() {
    for value in PYTHON_ONLY {
        assert_eq!(refusal(value), Some(StatusCode::UNPROCESSABLE_ENTITY), "{value}");
        for field in [
            "sandbox_id",
            "thread_id",
            "user_id",
            "extra_mounts",
            "include_legacy_skills",
            "skills_container_path",
            "provision_lark_cli_runtime",
            "provision_lark_cli_broker",
            "max_shell_sessions",
            "ttl",
            "idle_timeout",
        ] {
            let body = format!(r#"{{"sandbox_id":"a","{field}":{value}}}"#);
            assert_eq!(refusal(&body), Some(StatusCode::UNPROCESSABLE_ENTITY), "{body}");
        }
        for field in ["host_path", "container_path", "read_only"] {
            let body = format!(
                r#"{{"sandbox_id":"a","extra_mounts":[{{"host_path":"/a","container_path":"/b","{field}":{value}}}]}}"#
            );
            assert_eq!(refusal(&body), Some(StatusCode::UNPROCESSABLE_ENTITY), "{body}");
        }
        let body = format!(r#"{{"sandbox_id":"a","extra_mounts":[{value}]}}"#);
        assert_eq!(refusal(&body), Some(StatusCode::UNPROCESSABLE_ENTITY), "{body}");
        for limit in ["ttl", "idle_timeout"] {
            let patch = request::change(JSON, format!(r#"{{"{limit}":{value}}}"#).as_bytes());
            assert!(patch.is_err(), "{limit} {value}");
        }
    }
    for path in [r"/a\ud83d", r"/\udc00/b", r"/a\ud83d\u0041"] {
        let body = format!(
            r#"{{"sandbox_id":"a","extra_mounts":[{{"host_path":"{path}","container_path":"/b"}}]}}"#
        );
        assert_eq!(refusal(&body), Some(StatusCode::UNPROCESSABLE_ENTITY), "{body}");
    }
}

/// Guards that what Python does not accept either stays refused in a value that is ignored, and that deep nesting does.
#[test]
fn what_python_refuses_is_refused() {
    let deep = "[".repeat(500) + "NaN" + &"]".repeat(500);
    for value in [
        "nan",
        "NAN",
        "NaN1",
        "-NaN",
        "+Infinity",
        "Infinity1",
        "infinity",
        "inf",
        "01e400",
        "1.e400",
        ".1e400",
        "+1e400",
        "1e400x",
        "1e",
        r#""\ud83""#,
        r#""\ud83g""#,
        r#""\x""#,
        r#""\ud83d"#,
        "\"\\ud83d\n\"",
        r#""\"#,
        "'a'",
        "",
        "[NaN,]",
        "NaN NaN",
        &deep,
    ] {
        let body = format!(r#"{{"sandbox_id":"a","note":{value}}}"#);
        assert_eq!(refusal(&body), Some(StatusCode::UNPROCESSABLE_ENTITY), "{body:.60}");
    }
}

/// Guards that a body may be in each encoding that Python detects, and that an invalid one is a 400.
#[test]
fn the_encoding_of_a_body_is_detected() {
    for text in [
        r#"{"sandbox_id":"a","user_id":"u"}"#.to_owned(),
        r#"{"sandbox_id":"a","user_id":"u","note":"\ud83d"}"#.to_owned(),
        "{\"sandbox_id\":\"a\",\"user_id\":\"u\",\"note\":\"é😀\",\"x\":NaN}".to_owned(),
    ] {
        let plain = create(r#"{"sandbox_id":"a","user_id":"u"}"#);
        for body in encoded(&text) {
            assert_eq!(create(&body), plain, "{text}: {body:x?}");
        }
    }
    for body in encoded("7") {
        assert_eq!(refusal(&body), Some(StatusCode::UNPROCESSABLE_ENTITY), "{body:x?}");
    }
    let path = r#"{"sandbox_id":"a","extra_mounts":[{"host_path":"/é😀","container_path":"/b"}]}"#;
    for body in encoded(path) {
        assert_eq!(create(&body).unwrap().extra_mounts[0].host_path, "/é😀");
    }
    for body in [
        &b"\xff\xfe{"[..],
        b"{\0}\0x",
        b"\0{\0}\0",
        b"\xff\xfe\0\0{\0\0",
        b"\0\0\xfe\xff\0\x11\0\0",
        b"\0\0\xfe\xff\x80\0\0\0",
        b"{\"sandbox_id\":\"a\xff\"}",
        b"{\"sandbox_id\":\"a\xed\"}",
        b"{\"sandbox_id\":\"\xc0\xaf\"}",
    ] {
        assert_eq!(refusal(body), Some(StatusCode::BAD_REQUEST), "{body:x?}");
    }
}

/// Guards that half a surrogate pair in the bytes themselves is taken in a value that is ignored, and never as a part
/// of an escape sequence.
#[test]
fn surrogates_may_be_encoded() {
    let units = |text: &str, unit: u16| -> Vec<u8> {
        let units = text.encode_utf16().map(|other| if other == u16::from(b'?') { unit } else { other });
        units.flat_map(u16::to_le_bytes).collect()
    };
    let plain = create(r#"{"sandbox_id":"a"}"#);
    for unit in [0xd800, 0xdbff, 0xdc00, 0xdfff] {
        assert_eq!(create(units(r#"{"sandbox_id":"a","note":"x?y"}"#, unit)), plain, "{unit:x}");
        assert!(refusal(units(r#"{"sandbox_id":"a?"}"#, unit)).is_some(), "{unit:x}");
        assert!(refusal(units(r#"{"sandbox_id":"a","note":"\?"}"#, unit)).is_some(), "{unit:x}");
        assert!(refusal(units(r#"{"sandbox_id":"a",?}"#, unit)).is_some(), "{unit:x}");
    }
    assert_eq!(create(b"{\"sandbox_id\":\"a\",\"note\":\"\xed\xa0\xbd \xed\xb8\x80 e\"}"), plain);
}

proptest! {
    /// Guards that an ignored value never changes a request, whatever else the body contains.
    #[test]
    fn an_ignored_value_changes_nothing(
        value in prop::sample::select(&PYTHON_ONLY[..]),
        path in "/[a-z\\\\\"\u{e9}\u{1f600}\u{fffc}\u{fffd}]{0,8}",
        note in "\\PC{0,8}",
        position in 0_usize..3,
    ) {
        let mut members = vec![
            format!("\"sandbox_id\":{}", json!("a")),
            format!("\"skills_container_path\":{},\"note\":{}", json!(path), json!(note)),
        ];
        let plain = create(format!("{{{}}}", members.join(",")));
        prop_assert!(plain.is_some());
        members.insert(position, format!("\"note\":{value}"));
        prop_assert_eq!(create(format!("{{{}}}", members.join(","))), plain);
    }
}
