//! Lists over all clusters.

use lifecycle::{error::SandboxError, ids::ClusterName};

/// A list over all clusters whose state is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing<T> {
    /// The items.
    pub items: Vec<T>,
    /// The clusters that it leaves out, because their state is not known.
    pub incomplete: Vec<ClusterName>,
}

// === impl Listing ===

impl<T> Listing<T> {
    /// Merges the lists of clusters.
    ///
    /// # Errors
    /// The first error if the list of every cluster is one.
    pub(crate) fn merge(
        lists: impl IntoIterator<Item = (ClusterName, Result<Vec<T>, SandboxError>)>,
    ) -> Result<Self, SandboxError> {
        let (mut items, mut incomplete, mut first_error) = (Vec::new(), Vec::new(), None);
        let mut is_known = false;
        for (cluster, list) in lists {
            match list {
                Ok(list) if items.is_empty() => (items, is_known) = (list, true),
                Ok(list) => {
                    items.extend(list);
                    is_known = true;
                }
                Err(error) => {
                    incomplete.push(cluster);
                    first_error = first_error.or(Some(error));
                }
            }
        }
        match first_error {
            Some(error) if !is_known => Err(error),
            _ => Ok(Self { items, incomplete }),
        }
    }
}

impl<T> From<Vec<T>> for Listing<T> {
    fn from(items: Vec<T>) -> Self {
        Self { items, incomplete: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Guards that a cluster whose state is not known is left out and named, and that there is no list without any.
    #[test]
    fn what_is_not_known_is_named() {
        let [east, west] = ["east", "west"].map(|name| ClusterName::parse(name).unwrap());
        let away =
            || Err(SandboxError::Stale { why: "away".to_owned(), retry_after: Duration::from_secs(1) });
        let merged =
            |east_list, west_list| Listing::merge([(east.clone(), east_list), (west.clone(), west_list)]);
        assert_eq!(merged(Ok(vec![1]), Ok(vec![2])), Ok(vec![1, 2].into()));
        let items = vec![2];
        assert_eq!(merged(away(), Ok(vec![2])), Ok(Listing { items, incomplete: vec![east.clone()] }));
        assert_eq!(merged(Ok(vec![]), away()), Ok(Listing { items: vec![], incomplete: vec![west.clone()] }));
        assert_eq!(merged(away(), away()), away().map(|items: Vec<i32>| items.into()));
    }
}
