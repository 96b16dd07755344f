//! Whether the daemon is ready, as a function of the checks of its parts.

use std::{borrow::Cow, sync::Arc};

use fleet::check::Check;
use lifecycle::ids::ClusterName;

/// The checks of `/readyz`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Readiness {
    /// Those of the daemon itself.
    pub daemon: Vec<Check>,
    /// Those of each cluster.
    pub clusters: Vec<(ClusterName, Vec<Check>)>,
}

/// Runs every check. It reads only memory.
pub type ReadinessChecks = Arc<dyn Fn() -> Readiness + Send + Sync>;

/// A check as the report shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NamedCheck<'a> {
    /// The name of the part; with several clusters, after that of its cluster.
    pub name: Cow<'a, str>,
    /// The cluster, for a check of one.
    pub cluster: Option<&'a ClusterName>,
    /// The check.
    pub check: &'a Check,
    /// Whether the daemon is ready in spite of a failure.
    pub optional: bool,
}

// === impl Readiness ===

impl Readiness {
    /// Returns whether the daemon can serve: with several clusters, one of them suffices.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let passes = |checks: &Vec<Check>| checks.iter().all(|check| check.optional || check.outcome.is_ok());
        passes(&self.daemon)
            && (self.clusters.is_empty() || self.clusters.iter().any(|(_, checks)| passes(checks)))
    }

    /// Returns the checks with their names, in the order of the report.
    pub(crate) fn named(&self) -> impl Iterator<Item = NamedCheck<'_>> {
        let are_several = self.clusters.len() > 1;
        // While another cluster is usable, the daemon is ready without this one.
        let one_suffices = are_several && self.is_ready();
        let of_daemon = self.daemon.iter().map(|check| NamedCheck {
            name: check.name.into(),
            cluster: None,
            check,
            optional: check.optional,
        });
        let of_clusters = self.clusters.iter().flat_map(move |(cluster, checks)| {
            checks.iter().map(move |check| NamedCheck {
                name: if are_several {
                    format!("{cluster}/{}", check.name).into()
                } else {
                    check.name.into()
                },
                cluster: Some(cluster),
                check,
                optional: check.optional || one_suffices,
            })
        });
        of_daemon.chain(of_clusters)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &'static str, passes: bool, optional: bool) -> Check {
        let outcome = if passes { Ok(()) } else { Err("gone".to_owned()) };
        Check { name, outcome, optional }
    }

    fn cluster(name: &str, passes: bool, optional_passes: bool) -> (ClusterName, Vec<Check>) {
        let checks = vec![check("watch-pods", passes, false), check("watch-events", optional_passes, true)];
        (ClusterName::parse(name).unwrap(), checks)
    }

    /// Guards that one usable cluster suffices, and that a failure of the daemon itself never does.
    #[test]
    fn one_usable_cluster_suffices() {
        for (daemon, clusters, ready) in [
            (true, vec![], true),
            (false, vec![], false),
            (true, vec![true], true),
            (true, vec![false], false),
            (true, vec![false, true], true),
            (true, vec![true, false, false], true),
            (true, vec![false, false, false], false),
            (false, vec![true, true], false),
        ] {
            let clusters: Vec<_> = ["a", "b", "c"].into_iter().zip(clusters).collect();
            let readiness = Readiness {
                daemon: vec![check("shutdown", daemon, false)],
                clusters: clusters.iter().map(|(name, passes)| cluster(name, *passes, false)).collect(),
            };
            assert_eq!(readiness.is_ready(), ready, "{daemon} {clusters:?}");
        }
    }

    /// Guards the names, and that a failure is shown as required exactly if the daemon is not ready because of it.
    #[test]
    fn checks_of_several_clusters_have_their_names() {
        let named = |clusters| {
            let readiness = Readiness { daemon: vec![check("shutdown", true, false)], clusters };
            readiness.named().map(|named| (named.name.into_owned(), named.optional)).collect::<Vec<_>>()
        };
        let texts = |list: &[(&str, bool)]| {
            list.iter().map(|(name, optional)| ((*name).to_owned(), *optional)).collect::<Vec<_>>()
        };
        assert_eq!(
            named(vec![cluster("default", false, true)]),
            texts(&[("shutdown", false), ("watch-pods", false), ("watch-events", true)])
        );
        let both = |a, b| named(vec![cluster("a", a, true), cluster("b", b, true)]);
        let of = |optional| {
            texts(&[
                ("shutdown", false),
                ("a/watch-pods", optional),
                ("a/watch-events", true),
                ("b/watch-pods", optional),
                ("b/watch-events", true),
            ])
        };
        assert_eq!(both(true, false), of(true));
        assert_eq!(both(false, false), of(false));
    }
}
