//! Amounts of a resource, such as `500m` or `1Gi`.

use std::cmp::Ordering;

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
    /// The description of all quantities, for error texts.
    pub const ALLOWED: &str = "a Kubernetes quantity above zero, such as \"500m\", \"2\" or \"1Gi\"";

    /// Parses a quantity; returns `None` for one that is not positive.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        // The library also takes a suffix alone, and a sign.
        let begins = text.starts_with(|first: char| first.is_ascii_digit());
        if !begins || text.len() > TEXT_MAX {
            return None;
        }
        let amount = ParsedQuantity::try_from(text).ok()?.to_bytes_f64()?;
        (amount > 0.0 && amount.is_finite()).then(|| Self { text: text.to_owned(), amount })
    }

    /// Returns the quantity as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
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

    /// Guards which texts are quantities: those that Kubernetes takes, above zero.
    #[test]
    fn quantities_are_those_of_kubernetes() {
        for text in ["1", "0.5", "500m", "100n", "1k", "1.5Gi", "64Mi", "2Ti", "1e3", "18446744073709551615"]
        {
            assert_eq!(Quantity::parse(text).unwrap().as_str(), text);
        }
        for text in [
            "", "0", "0Gi", "-1", "+1", "Gi", "m", "1gi", "1GB", "1 Gi", "inf", "NaN", "1Gi1", "one", "1,5",
            "1e99E",
        ] {
            assert_eq!(Quantity::parse(text), None, "{text:?}");
        }
    }

    /// Guards that quantities with different suffixes are compared by their amount.
    #[test]
    fn quantities_are_compared_by_their_amount() {
        let quantity = |text| Quantity::parse(text).unwrap();
        for (less, more) in [("999m", "1"), ("1000Mi", "1Gi"), ("1G", "1Gi"), ("1k", "1Ki"), ("1n", "9Pi")] {
            assert!(quantity(less) < quantity(more), "{less} {more}");
        }
        assert!(quantity("1000m") <= quantity("1") && quantity("1000m") >= quantity("1"));
    }
}
