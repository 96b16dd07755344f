//! Resource quantities (`100m`, `1Gi`): parsing and the canonical form.

use serde_json::Value;

/// A quantity in billionths, which represents `1n` to `9223372036854775807` exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Quantity {
    nanos: i128,
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Format {
    Decimal,
    Binary,
    Exponent,
}

const NANO: i128 = 1_000_000_000;
const BINARY: [(&str, u32); 6] = [("Ki", 1), ("Mi", 2), ("Gi", 3), ("Ti", 4), ("Pi", 5), ("Ei", 6)];
/// Decimal suffixes with their power of ten.
const DECIMAL: [(&str, i32); 10] =
    [("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];

// === impl Quantity ===

impl Quantity {
    /// Parses a quantity from JSON, which may be a number.
    pub fn from_json(value: &Value) -> Option<Self> {
        match value {
            Value::String(text) => Self::parse(text),
            Value::Number(number) => Self::parse(&number.to_string()),
            _ => None,
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        let digits_end =
            text.find(|c: char| !(c.is_ascii_digit() || "+-.".contains(c))).unwrap_or(text.len());
        let (number, suffix) = text.split_at(digits_end);
        if let Some((_, power)) = BINARY.iter().find(|(s, _)| *s == suffix) {
            return Self::scaled(number, 1024_i128.pow(*power), 0, Format::Binary);
        }
        if let Some((_, power)) = DECIMAL.iter().find(|(s, _)| *s == suffix) {
            return Self::scaled(number, 1, *power, Format::Decimal);
        }
        let power: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
        Self::scaled(number, 1, power, Format::Exponent)
    }

    /// Parses a decimal number and multiplies it with `factor` and ten to the `power`. Rounds up to whole billionths.
    fn scaled(number: &str, factor: i128, power: i32, format: Format) -> Option<Self> {
        let (negative, number) = match number.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, number.strip_prefix('+').unwrap_or(number)),
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let digits = format!("{whole}{fraction}");
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let mantissa = digits.parse::<i128>().ok()?.checked_mul(factor)?;
        let exponent = power + 9 - i32::try_from(fraction.len()).ok()?;
        let scale = 10_i128.checked_pow(exponent.unsigned_abs())?;
        let nanos = if exponent >= 0 { mantissa.checked_mul(scale)? } else { (mantissa + scale - 1) / scale };
        Some(Self { nanos: if negative { -nanos } else { nanos }, format })
    }

    /// Creates a quantity from an integer.
    pub fn whole(number: i64) -> Self {
        Self { nanos: i128::from(number) * NANO, format: Format::Decimal }
    }

    /// Creates a quantity from thousandths.
    pub fn milli(number: u64) -> Self {
        Self { nanos: i128::from(number) * (NANO / 1000), format: Format::Decimal }
    }

    /// Returns the amount in thousandths, rounded up.
    pub fn millis(self) -> i128 {
        (self.nanos + NANO / 1000 - 1).div_euclid(NANO / 1000)
    }

    /// Returns the amount in whole units, rounded up.
    pub fn units(self) -> i128 {
        (self.nanos + NANO - 1).div_euclid(NANO)
    }

    /// Returns whether this is more than another quantity.
    pub fn exceeds(self, other: Self) -> bool {
        self.nanos > other.nanos
    }

    /// Returns the sum, in the format of the first.
    pub fn plus(self, other: Self) -> Self {
        Self { nanos: self.nanos.saturating_add(other.nanos), format: self.format }
    }

    /// Returns the difference, in the format of the first.
    pub fn minus(self, other: Self) -> Self {
        Self { nanos: self.nanos.saturating_sub(other.nanos), format: self.format }
    }

    /// Returns the canonical form: with the largest suffix that needs no fraction.
    pub fn canonical(self) -> String {
        let whole = self.nanos % NANO == 0;
        if self.format == Format::Binary && whole && (self.nanos / NANO).abs() >= 1024 {
            let mut amount = self.nanos / NANO;
            let mut suffix = "";
            for (name, _) in BINARY {
                if amount % 1024 != 0 {
                    break;
                }
                amount /= 1024;
                suffix = name;
            }
            return format!("{amount}{suffix}");
        }
        let mut amount = self.nanos;
        let mut power = -9;
        while amount != 0 && amount % 1000 == 0 && power < 18 {
            amount /= 1000;
            power += 3;
        }
        if amount == 0 {
            return "0".to_owned();
        }
        match (self.format, DECIMAL.iter().find(|(_, p)| *p == power)) {
            (Format::Exponent, _) if power != 0 => format!("{amount}e{power}"),
            (_, Some((suffix, _))) => format!("{amount}{suffix}"),
            (_, None) => format!("{amount}e{power}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_written_as_kubernetes_writes_them() {
        let cases = [
            ("1000m", "1"),
            ("100m", "100m"),
            ("256Mi", "256Mi"),
            ("1024Mi", "1Gi"),
            ("0.5Gi", "512Mi"),
            ("1.5", "1500m"),
            ("1500", "1500"),
            ("2000", "2k"),
            ("0", "0"),
            ("1e3", "1e3"),
            ("900Ti", "900Ti"),
            ("-1", "-1"),
        ];
        for (text, expected) in cases {
            assert_eq!(Quantity::parse(text).unwrap().canonical(), expected, "{text}");
        }
    }

    #[test]
    fn invalid_quantities_are_none() {
        for text in ["", "lots", "1 Gi", "1gi", "--1", "1.2.3", "."] {
            assert!(Quantity::parse(text).is_none(), "{text}");
        }
    }
}
