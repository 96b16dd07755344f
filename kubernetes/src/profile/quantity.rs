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

// === impl Amount ===

impl Amount {
    /// Fills absent values from a base.
    pub(super) fn or(self, base: &Self) -> Self {
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
