//! Activity probes as operators write them, and the responses of a sandbox, which its user may forge.
//!
//! The first line is the probe. The next byte chooses the status. The rest is the body of the response.

use kubernetes::probe::{self, Probe};
use lifecycle::traits::Busy;
use sandbox_provisioner::settings::rules;
use serde_json::Value;

const STATUSES: [u16; 6] = [200, 204, 302, 404, 500, 999];

/// Checks that a probe is written as it is read, that any response has exactly one meaning, and that no message repeats
/// a part of it.
pub fn check(data: &[u8]) {
    let mut parts = data.splitn(2, |byte| *byte == b'\n');
    let Some(Ok(text)) = parts.next().map(str::from_utf8) else { return };
    let several = rules::probes(text);
    let probe = match Probe::parse(text) {
        Ok(probe) => probe,
        Err(error) => return assert!(!error.to_string().is_empty()),
    };
    let written = probe.to_string();
    assert_eq!(Probe::parse(&written).as_ref(), Ok(&probe), "{text:?} is written as {written:?}");
    assert!(probe.path().starts_with('/') && !probe.path().starts_with("//"), "{probe:?}");
    if !text.contains(',') && text.trim() == text {
        assert_eq!(several, Some(vec![probe.clone()]), "{text:?}");
    }

    let Some((choice, body)) = parts.next().and_then(<[u8]>::split_first) else { return };
    let status = STATUSES[usize::from(*choice) % STATUSES.len()];
    let busy = probe::judge(&probe, status, body);
    assert_eq!(probe::judge(&probe, status, body), busy);
    let is_json = serde_json::from_slice::<Value>(body);
    match (status, is_json) {
        (404, _) => assert_eq!(busy, Busy::No),
        (200..=299, Ok(value)) => agrees_with_the_standard(&written, &value, &busy),
        _ => assert!(matches!(busy, Busy::Unanswered(_)), "{busy:?}"),
    }
    match busy {
        Busy::Yes(sign) => assert_eq!(sign, probe.path()),
        Busy::Unanswered(why) => assert!(why.len() <= probe.path().len() + 40, "{why:?}"),
        Busy::No => {}
        Busy::Unasked(why) => panic!("it was asked: {why:?}"),
    }
}

/// Checks that a pointer without a wildcard step selects the same value as in RFC 6901.
fn agrees_with_the_standard(probe: &str, answer: &Value, busy: &Busy) {
    let (_, pointer) = probe.split_once('#').expect("it has a pointer");
    if pointer.split('/').any(|step| step == "*") {
        return;
    }
    let found = answer.pointer(pointer);
    let shows_nothing = match found {
        None | Some(Value::Null | Value::Bool(false)) => true,
        Some(Value::Number(number)) => number.as_f64() == Some(0.0),
        Some(Value::String(text)) => text.is_empty(),
        Some(Value::Array(items)) => items.is_empty(),
        Some(Value::Object(fields)) => fields.is_empty(),
        Some(Value::Bool(true)) => false,
    };
    assert_eq!(*busy == Busy::No, shows_nothing, "{probe} in {answer}");
}
