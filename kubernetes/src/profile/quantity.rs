//! Amounts of a resource, such as `500m` or `1Gi`.

use std::{cmp::Ordering, ops::RangeInclusive};

use k8s_openapi::apimachinery::pkg::api::resource::Quantity as KubernetesQuantity;
use kube_quantity::ParsedQuantity;

/// A positive amount of a resource, as Kubernetes writes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Quantity {
    text: String,
    /// The amount in cores or bytes.
    amount: f64,
}

/// The request and the limit of one resource.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Amount {
    /// The amount that the scheduler reserves.
    pub request: Option<Quantity>,
    /// The maximum.
    pub limit: Option<Quantity>,
}

/// The longest text of a quantity, in bytes. The longest useful one, `18446744073709551615`, is shorter.
const TEXT_MAX: usize = 24;

// === impl Quantity ===

impl Quantity {
    /// The description of amounts of CPU, for error texts.
    pub const ALLOWED_CORES: &str = "a number of cores from \"1m\" to \"1k\", such as \"500m\" or \"2\"";
    /// The description of amounts of memory and storage, for error texts.
    pub const ALLOWED_BYTES: &str = "a number of bytes from \"1Mi\" to \"1Pi\", such as \"512Mi\" or \"4Gi\"";

    /// Parses an amount of CPU; returns `None` for one that no node can have.
    #[must_use]
    pub fn parse_cores(text: &str) -> Option<Self> {
        Self::parse(text, 0.001..=1e3)
    }

    /// Parses an amount of memory or storage; returns `None` for one that no container can use. Below 1 MiB it is most
    /// probably a number without its suffix.
    #[must_use]
    pub fn parse_bytes(text: &str) -> Option<Self> {
        Self::parse(text, 1_048_576.0..=1_125_899_906_842_624.0)
    }

    fn parse(text: &str, range: RangeInclusive<f64>) -> Option<Self> {
        // The library also takes a suffix alone, and a sign.
        let begins = text.starts_with(|first: char| first.is_ascii_digit());
        if !begins || text.len() > TEXT_MAX {
            return None;
        }
        let amount = ParsedQuantity::try_from(text).ok()?.to_bytes_f64()?;
        range.contains(&amount).then(|| Self { text: text.to_owned(), amount })
    }

    /// Returns the number of bytes of any quantity that Kubernetes has written.
    pub(crate) fn bytes_of(text: &str) -> Option<u64> {
        let anything = 0.0..=f64::MAX;
        Self::parse(text, anything).map(|quantity| quantity.whole_bytes())
    }

    /// Returns the quantity as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns whether another quantity is the same amount, however it is written.
    #[must_use]
    #[expect(clippy::float_cmp, reason = "the same amount is computed the same way")]
    pub fn is_same(&self, other: &Self) -> bool {
        self.amount == other.amount
    }

    /// Parses an amount from an object of Kubernetes, whatever it is.
    #[must_use]
    pub fn of_kubernetes(text: &str) -> Option<Self> {
        Self::parse(text, 0.0..=f64::MAX)
    }

    /// Returns whether two texts of Kubernetes are the same amount, such as `1000m` and `1`.
    #[must_use]
    pub fn is_same_text(one: &str, other: &str) -> bool {
        let same = |(one, other): (Self, Self)| one.is_same(&other);
        one == other || Self::of_kubernetes(one).zip(Self::of_kubernetes(other)).is_some_and(same)
    }

    /// Returns the quantity as Kubernetes writes it in the objects that it stores: with the largest suffix that needs no
    /// fraction.
    #[must_use]
    pub fn canonical(&self) -> String {
        // A fraction of a byte is written with a decimal suffix.
        let is_binary = self.text.ends_with('i') && self.amount.fract() == 0.0;
        if is_binary && self.amount >= 1024.0 {
            return shorten(self.amount, 1024.0, &["", "Ki", "Mi", "Gi", "Ti", "Pi"]);
        }
        let thousandths = (self.amount * 1000.0).round();
        #[expect(
            clippy::float_cmp,
            reason = "amounts that are no thousandths are never written in another form"
        )]
        if thousandths / 1000.0 != self.amount {
            return self.text.clone();
        }
        let is_exponent = self.text.contains(['e', 'E']);
        let suffixes: &[&str] = if is_exponent {
            &["e-3", "", "e3", "e6", "e9", "e12", "e15"]
        } else {
            &["m", "", "k", "M", "G", "T", "P"]
        };
        shorten(thousandths, 1000.0, suffixes)
    }

    /// Returns the amount in cores, bytes or objects.
    #[must_use]
    pub const fn amount(&self) -> f64 {
        self.amount
    }

    /// Returns the amount of a quantity of bytes.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the amount is positive and far below the largest number"
    )]
    pub const fn whole_bytes(&self) -> u64 {
        self.amount as u64
    }

    /// Converts it to Kubernetes' own type.
    #[must_use]
    pub fn to_kubernetes(&self) -> KubernetesQuantity {
        KubernetesQuantity(self.text.clone())
    }
}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.amount.partial_cmp(&other.amount)
    }
}

/// Writes a whole number with the last of these suffixes that needs no fraction. Each stands for `base` times the one
/// before it.
fn shorten(mut number: f64, base: f64, suffixes: &[&str]) -> String {
    let mut suffixes = suffixes.iter();
    let mut suffix = suffixes.next();
    while number % base == 0.0
        && let Some(next) = suffixes.next()
    {
        number /= base;
        suffix = Some(next);
    }
    format!("{number}{}", suffix.unwrap_or(&""))
}

// === impl Amount ===

impl Amount {
    /// Fills absent values from a base.
    pub(crate) fn or(self, base: &Self) -> Self {
        Self {
            request: self.request.or_else(|| base.request.clone()),
            limit: self.limit.or_else(|| base.limit.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards which texts are quantities: those that Kubernetes accepts, within bounds.
    #[test]
    fn quantities_are_those_of_kubernetes() {
        for text in ["1", "0.5", "500m", "1m", "1e2", "1k", "100"] {
            assert_eq!(Quantity::parse_cores(text).unwrap().as_str(), text);
        }
        for text in ["1048576", "1Mi", "1.5Gi", "64M", "2Ti", "1e9", "1Pi"] {
            assert_eq!(Quantity::parse_bytes(text).unwrap().as_str(), text);
        }
        for text in ["", "0", "-1", "+1", "m", "1 ", "inf", "NaN", "one", "1,5", "100n", "2k", "1Gi", "1e99"]
        {
            assert_eq!(Quantity::parse_cores(text), None, "{text:?}");
        }
        for text in [
            "0Gi",
            "5",
            "100m",
            "1023Ki",
            "Gi",
            "1gi",
            "1GB",
            "1 Gi",
            "1Gi1",
            "2Pi",
            "99999999999999999999Gi",
        ] {
            assert_eq!(Quantity::parse_bytes(text), None, "{text:?}");
        }
    }

    /// Guards that the canonical form is that of Kubernetes' objects, and that it is the same amount.
    #[test]
    fn quantities_have_a_canonical_form() {
        for (text, canonical) in [
            ("1000m", "1"),
            ("1", "1"),
            ("0.5", "500m"),
            ("1.5", "1500m"),
            ("2000", "2k"),
            ("1e3", "1e3"),
            ("1e2", "100"),
            ("0.0015", "0.0015"),
            ("1024Mi", "1Gi"),
            ("1000Mi", "1000Mi"),
            ("1.5Gi", "1536Mi"),
            ("0.5Gi", "512Mi"),
            ("1024Ki", "1Mi"),
            ("0.1Gi", "107374182400m"),
            ("1000M", "1G"),
            ("1048576", "1048576"),
            ("1Pi", "1Pi"),
            ("5E9", "5e9"),
        ] {
            let quantity = Quantity::parse(text, 0.0..=f64::MAX).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(quantity.canonical(), canonical, "{text}");
            assert!(Quantity::is_same_text(text, canonical), "{text}");
        }
        for (one, other) in [("1", "2"), ("1Gi", "1G"), ("x", "y"), ("", "1")] {
            assert!(!Quantity::is_same_text(one, other), "{one} {other}");
        }
        for (one, other) in
            [("100m", "0.1"), ("300m", "0.3"), ("7m", "0.007"), ("4Gi", "4294967296"), ("0", "0")]
        {
            assert!(Quantity::is_same_text(one, other), "{one} {other}");
        }
    }

    /// Guards that quantities with different suffixes are compared by their amount.
    #[test]
    fn quantities_are_compared_by_their_amount() {
        let bytes = |text| Quantity::parse_bytes(text).unwrap();
        for (less, more) in [("1000Mi", "1Gi"), ("1G", "1Gi"), ("2M", "2Mi"), ("1Mi", "1Pi")] {
            assert!(bytes(less) < bytes(more), "{less} {more}");
        }
        let cores = |text| Quantity::parse_cores(text).unwrap();
        assert!(cores("999m") < cores("1") && cores("1000m") <= cores("1") && cores("1000m") >= cores("1"));
    }
}
