//! `GET /api/network/check` and `POST /api/network/check`: whether the cluster enforces the network policies.

use std::collections::BTreeMap;

use jiff::Timestamp;
use lifecycle::{
    ids::ClusterName,
    network::{Enforced, NetworkReport},
};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;
use warp::{Filter, filters::BoxedFilter, reply::Response};

use super::{
    Backend,
    errors::reply,
    openapi::{Endpoint, Tag, names::EnforcedName},
    path, responses,
};

/// The result of the last check, and the state of the policies. With several clusters, those of the cluster that is worst
/// off, and of each cluster.
#[derive(Serialize, ToSchema)]
#[schema(as = NetworkCheck)]
struct Report {
    #[serde(flatten)]
    worst: ClusterReport,
    /// The result on each cluster. Absent if the daemon has only one, without a name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = Option<BTreeMap<String, ClusterReport>>, required = false)]
    clusters: BTreeMap<ClusterName, ClusterReport>,
}

/// The result of the last check of a cluster, and the state of its policies.
#[derive(Clone, Serialize, ToSchema)]
#[schema(as = ClusterNetworkCheck)]
struct ClusterReport {
    /// Whether the cluster enforces the policies.
    #[schema(value_type = EnforcedName)]
    enforced: Enforced,
    /// The result in words.
    message: String,
    /// When the last check ended; null before the first.
    #[schema(value_type = Option<String>, format = DateTime, required)]
    checked_at: Option<Timestamp>,
    /// Whether a check is running.
    checking: bool,
    /// `ok`, or what differs from the settings.
    policies: String,
}

pub(super) fn endpoints() -> Vec<Endpoint> {
    let example = json!({
        "enforced": "yes", "message": "the cluster enforces network policies", "checked_at": "2026-11-26T08:28:35.1Z",
        "checking": false, "policies": "ok",
    });
    let (path, tag) = ("/api/network/check", Tag::Operation);
    vec![
        Endpoint::get(path, "getNetworkCheck", tag, "Return whether the network policies are enforced")
            .ok::<Report>("The result of the last check", example.clone()),
        Endpoint::post(path, "startNetworkCheck", tag, "Start a check of the network policies")
            .text("Does nothing while a check is running. A body is ignored.")
            .ok::<Report>("The result of the last check", example),
    ]
}

pub(super) fn route<B: Backend>(backend: B) -> BoxedFilter<(Response,)> {
    let shown = backend.clone();
    let report = path::network_check().and(warp::get()).map(move || answer(&shown));
    let check = path::network_check().and(warp::post()).map(move || {
        backend.check_network();
        answer(&backend)
    });
    report.or(check).unify().boxed()
}

fn answer<B: Backend>(backend: &B) -> Response {
    reply(responses::ok(&Report::from(backend.networks()), 256))
}

// === impl Report ===

impl From<Vec<(ClusterName, NetworkReport)>> for Report {
    fn from(reports: Vec<(ClusterName, NetworkReport)>) -> Self {
        let worst = reports.iter().min_by_key(|(_, report)| rank(report));
        let worst = worst.map(|(_, report)| report.clone()).unwrap_or_default();
        let is_one_without_name = matches!(&*reports, [(name, _)] if *name == ClusterName::DEFAULT);
        let clusters = reports.into_iter().filter(|_| !is_one_without_name);
        Self { worst: worst.into(), clusters: clusters.map(|(name, report)| (name, report.into())).collect() }
    }
}

/// Returns a key whose smallest value is that of the cluster that is worst off.
fn rank(report: &NetworkReport) -> (u8, bool) {
    let enforced = match report.enforced {
        Enforced::No => 0,
        Enforced::Unknown => 1,
        Enforced::Yes => 2,
    };
    (enforced, report.policies.is_none())
}

// === impl ClusterReport ===

impl From<NetworkReport> for ClusterReport {
    fn from(report: NetworkReport) -> Self {
        let NetworkReport { is_used, enforced, message, checked_at, is_checking, policies } = report;
        let policies = match policies {
            Some(why) => why.to_string(),
            None if is_used => "ok".to_owned(),
            None => "not used: no profile has a restricted network mode".to_owned(),
        };
        Self {
            enforced,
            message: message.to_string(),
            checked_at: checked_at.map(responses::to_the_millisecond),
            checking: is_checking,
            policies,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(enforced: Enforced, message: &str) -> NetworkReport {
        NetworkReport { enforced, message: message.into(), ..NetworkReport::default() }
    }

    fn shown(reports: &[(&str, NetworkReport)]) -> serde_json::Value {
        let named = reports.iter().map(|(name, report)| (ClusterName::parse(name).unwrap(), report.clone()));
        serde_json::to_value(Report::from(named.collect::<Vec<_>>())).unwrap()
    }

    /// Guards that one cluster without a name is shown as before there were several, and that among several the one that is
    /// worst off is shown first.
    #[test]
    fn the_worst_cluster_is_shown_first() {
        let one = shown(&[("default", report(Enforced::Yes, "all"))]);
        assert_eq!((&one["enforced"], &one["message"]), (&json!("yes"), &json!("all")));
        assert!(one.get("clusters").is_none(), "{one}");
        let several = shown(&[
            ("east", report(Enforced::Yes, "all")),
            ("north", report(Enforced::No, "none")),
            ("west", report(Enforced::Unknown, "not tried")),
        ]);
        assert_eq!((&several["enforced"], &several["message"]), (&json!("no"), &json!("none")));
        assert_eq!(several["clusters"]["west"]["message"], "not tried");
        assert_eq!(several["clusters"].as_object().unwrap().len(), 3);
    }
}
