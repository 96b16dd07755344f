use proptest::prelude::*;

use super::*;

fn exit(container: &str, second: i64) -> Exit {
    Exit { container: container.into(), at: Timestamp::from_second(second).unwrap(), is_previous: false }
}

fn lines(text: &str, count: usize) -> Option<String> {
    ExitLog::new(exit("sandbox", 1), text, count).map(|log| log.lines.into())
}

/// Guards that the last lines are kept, without blank ones, control characters and the kubelet's own answer.
#[test]
fn the_last_lines_are_kept() {
    for (text, count, expected) in [
        ("", 3, None),
        ("\n \r\n\n", 3, None),
        ("a\nb\nc\n", 2, Some("b | c")),
        ("a\nb", 9, Some("a | b")),
        ("a\nb", 0, None),
        ("a\r\n\r\n  b  \n", 2, Some("a |   b")),
        ("\u{1b}[31mred\u{1b}[0m\ttab\0", 1, Some("\\u{1b}[31mred\\u{1b}[0m\\ttab\\u{0}")),
        ("a\u{202e}b\u{2028}c", 1, Some("a\\u{202e}b\\u{2028}c")),
        ("grüße ✓", 1, Some("grüße ✓")),
        ("unable to retrieve container logs for containerd://0cb3", 3, None),
    ] {
        assert_eq!(lines(text, count).as_deref(), expected, "{text:?}");
    }
    let long = format!("{}\nlast", "ä".repeat(600));
    let kept = lines(&long, 5).unwrap();
    assert!(
        kept.len() <= ExitLog::LINES_MAX && kept.starts_with('…') && kept.ends_with("… | last"),
        "{kept}"
    );
}

/// Guards that the lines are added to the reason of the same end only, whether the container has ended or waits.
#[test]
fn the_lines_belong_to_one_end() {
    let log = ExitLog::new(exit("sandbox", 7), "no key", 3).unwrap();
    let reason = |exit| Reason { exit, ..Reason::new("Error", Some("container sandbox exited with code 3")) };
    let added = |exit| log.added_to(&reason(exit)).map(|reason| reason.message.unwrap().to_string());
    let expected = "container sandbox exited with code 3; log: no key".to_owned();
    assert_eq!(added(Some(exit("sandbox", 7).into())), Some(expected.clone()));
    assert_eq!(added(Some(Exit { is_previous: true, ..exit("sandbox", 7) }.into())), Some(expected));
    assert_eq!(added(Some(exit("sandbox", 8).into())), None);
    assert_eq!(added(Some(exit("broker", 7).into())), None);
    assert_eq!(added(None), None);
}

proptest! {
    /// Guards that whatever a container prints is bounded, and holds nothing that a terminal would act on.
    #[test]
    fn any_log_is_bounded(text in "(?s).{0,900}", count in 0_usize..8) {
        if let Some(lines) = lines(&text, count) {
            prop_assert!(lines.len() <= ExitLog::LINES_MAX);
            prop_assert!(!lines.contains(char::is_control), "{lines:?}");
        }
    }
}
