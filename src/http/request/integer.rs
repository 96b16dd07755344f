//! Parsing of integers by the rules of pydantic's lax mode.

use lifecycle::spec::ShellSessions;
use serde_json::Value;

use super::Problem;

/// Parses an integer above 0. Booleans, numbers without a fraction, and texts of both are accepted.
pub(super) fn shell_sessions(value: &Value) -> Result<ShellSessions, Problem> {
    let count = match value {
        Value::Bool(flag) => u128::from(*flag),
        Value::Number(number) => from_number(number)?,
        Value::String(text) => from_text(text)?,
        Value::Null | Value::Array(_) | Value::Object(_) => return Err(Problem::INT_TYPE),
    };
    ShellSessions::new(count).ok_or_else(|| Problem::greater_than(0))
}

/// Converts a number to an integer. A negative integer becomes 0, which is rejected with the same error.
fn from_number(number: &serde_json::Number) -> Result<u128, Problem> {
    const BOUND: f64 = 9_223_372_036_854_775_808.0; // 2^63, above which pydantic reads no float
    if let Some(integer) = number.as_u64() {
        return Ok(integer.into());
    }
    let float = number.as_f64().unwrap_or(f64::NAN);
    if float <= 0.0 && float.fract() == 0.0 {
        return Ok(0);
    }
    if float.fract() != 0.0 {
        return Err(Problem::INT_FROM_FLOAT);
    }
    if float >= BOUND {
        return Err(Problem::INT_PARSING_SIZE);
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a whole number within 63 bits"
    )]
    Ok(float as u128)
}

/// Parses a text such as `12`, ` +1_000 ` or `12.0`. A negative integer becomes 0, which is rejected with the same
/// error.
fn from_text(text: &str) -> Result<u128, Problem> {
    let text = text.trim();
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
    let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    if !whole.split('_').all(is_number) || fraction.is_empty() || fraction.bytes().any(|b| b != b'0') {
        return Err(Problem::INT_PARSING);
    }
    if text.starts_with('-') {
        return Ok(0);
    }
    let digits: String = whole.split('_').collect();
    digits.parse().map_err(|_| Problem::INT_PARSING_SIZE)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Guards that each result is that of pydantic 2.13 for an `int` above 0.
    #[test]
    fn integers_are_read_as_pydantic_reads_them() {
        for (value, count) in [
            (json!(12), 12),
            (json!(12.0), 12),
            (json!(true), 1),
            (json!(1e3), 1000),
            (json!(u64::MAX), u128::from(u64::MAX)),
            (json!("12"), 12),
            (json!(" 12\n"), 12),
            (json!("\u{a0}+0012"), 12),
            (json!("1_000"), 1000),
            (json!("0_1"), 1),
            (json!("12.00"), 12),
            (json!("1_0.0"), 10),
            (json!("100000000000000000000"), 100_000_000_000_000_000_000),
        ] {
            assert_eq!(shell_sessions(&value).ok(), ShellSessions::new(count), "{value}");
        }
        let zero = || Problem::greater_than(0);
        for (value, problem) in [
            (json!(0), zero()),
            (json!(-1), zero()),
            (json!(false), zero()),
            (json!(-0.0), zero()),
            (json!(-1e30), zero()),
            (json!("0"), zero()),
            (json!("-3"), zero()),
            (json!("-1.0"), zero()),
            (json!("0.0"), zero()),
            (json!(12.5), Problem::INT_FROM_FLOAT),
            (json!(0.5), Problem::INT_FROM_FLOAT),
            (json!(-0.5), Problem::INT_FROM_FLOAT),
            (json!(1e20), Problem::INT_PARSING_SIZE),
            (json!("9".repeat(40)), Problem::INT_PARSING_SIZE),
            (json!(""), Problem::INT_PARSING),
            (json!(" "), Problem::INT_PARSING),
            (json!("many"), Problem::INT_PARSING),
            (json!("12."), Problem::INT_PARSING),
            (json!(".0"), Problem::INT_PARSING),
            (json!("12.5"), Problem::INT_PARSING),
            (json!("1.0_0"), Problem::INT_PARSING),
            (json!("1e3"), Problem::INT_PARSING),
            (json!("_1"), Problem::INT_PARSING),
            (json!("1__0"), Problem::INT_PARSING),
            (json!("+-1"), Problem::INT_PARSING),
            (json!("+ 1"), Problem::INT_PARSING),
            (json!("٣"), Problem::INT_PARSING),
            (json!(null), Problem::INT_TYPE),
            (json!([12]), Problem::INT_TYPE),
            (json!({}), Problem::INT_TYPE),
        ] {
            assert_eq!(shell_sessions(&value), Err(problem), "{value}");
        }
    }
}
