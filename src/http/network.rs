//! `GET /api/network/check` and `POST /api/network/check`: whether the cluster enforces the network policies.

use jiff::Timestamp;
use lifecycle::network::{Enforced, NetworkReport};
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

/// The result of the last check, and the state of the policies.
#[derive(Serialize, ToSchema)]
#[schema(as = NetworkCheck)]
struct Report {
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
    let report = backend.networks().into_iter().next().unwrap_or_default().1;
    reply(responses::ok(&Report::from(report), 256))
}

// === impl Report ===

impl From<NetworkReport> for Report {
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
