//! The header `traceparent` of [W3C Trace Context](https://www.w3.org/TR/trace-context/): the trace of the caller.

use http::{HeaderMap, HeaderName};

static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The version whose format is known. Later versions begin with the same fields.
const VERSION: &str = "00";
/// The version that no header may have.
const INVALID_VERSION: &str = "ff";
/// The length of the header in the known version.
const LENGTH: usize = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".len();

/// The trace of a request that has the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TraceContext {
    pub(crate) trace_id: u128,
    /// The span of the caller; `None` for a new trace, because the header is invalid.
    pub(crate) parent: Option<Parent>,
}

/// The span of the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Parent {
    pub(crate) span_id: u64,
    /// Whether the caller records the trace.
    pub(crate) is_sampled: bool,
}

// === impl TraceContext ===

impl TraceContext {
    /// Returns the trace of a request; `None` without the header. An invalid header starts a new trace.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all(&TRACEPARENT).iter();
        let (first, second) = (values.next()?, values.next());
        let valid = first.to_str().ok().filter(|_| second.is_none()).and_then(parse);
        Some(valid.unwrap_or_else(|| Self { trace_id: fastrand::u128(1..), parent: None }))
    }
}

fn parse(text: &str) -> Option<TraceContext> {
    let (known, rest) = text.split_at_checked(LENGTH)?;
    let mut fields = known.split('-');
    let [version, trace_id, span_id, flags] = std::array::from_fn(|_| fields.next().unwrap_or_default());
    let ends_well = rest.is_empty() || (version != VERSION && rest.starts_with('-'));
    if version == INVALID_VERSION || !ends_well {
        return None;
    }
    let (_, flags) = (hexadecimal(version, 2)?, hexadecimal(flags, 2)?);
    let trace_id = hexadecimal(trace_id, 32).filter(|id| *id != 0)?;
    let span_id = hexadecimal(span_id, 16).filter(|id| *id != 0)?;
    let parent = Parent { span_id: u64::try_from(span_id).ok()?, is_sampled: flags & 1 == 1 };
    Some(TraceContext { trace_id, parent: Some(parent) })
}

/// Parses a number with this many lower-case digits.
fn hexadecimal(text: &str, digits: usize) -> Option<u128> {
    let is_digit = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    (text.len() == digits && text.bytes().all(is_digit))
        .then(|| u128::from_str_radix(text, 16).ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn of(values: &[&str]) -> Option<TraceContext> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(&TRACEPARENT, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        TraceContext::of(&headers)
    }

    /// Guards that a valid header gives the trace and the span of the caller, also in a later version.
    #[test]
    fn valid_headers_are_read() {
        let expected = |is_sampled| {
            let parent = Parent { span_id: 0x00f0_67aa_0ba9_02b7, is_sampled };
            Some(TraceContext { trace_id: 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736, parent: Some(parent) })
        };
        for (value, is_sampled) in [
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", true),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00", false),
            ("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-03", true),
            ("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", true),
            ("cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more", true),
        ] {
            assert_eq!(of(&[value]), expected(is_sampled), "{value}");
        }
        assert_eq!(of(&[]), None);
    }

    /// Guards that an invalid header starts a new trace, with another id each time.
    #[test]
    fn invalid_headers_start_a_new_trace() {
        let valid = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        for values in [
            &[""][..],
            &["x"],
            &["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7"],
            &["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1"],
            &["00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01"],
            &["00-4bf92f3577b34da6a3ce929d0e0e473-600f067aa0ba902b7-01"],
            &["00-00000000000000000000000000000000-00f067aa0ba902b7-01"],
            &["00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01"],
            &["ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"],
            &["0x-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"],
            &["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more"],
            &["cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01more"],
            &["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0é"],
            &["+0-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"],
            &[valid, valid],
        ] {
            let [one, two] = [of(values).unwrap(), of(values).unwrap()];
            assert_eq!((one.parent, two.parent), (None, None), "{values:?}");
            assert!(one.trace_id != 0 && one.trace_id != two.trace_id, "{values:?}");
        }
    }
}
