//! `/livez`, `/readyz` and `/metrics`, as Kubernetes' own components serve them.

mod readiness;

use std::{fmt::Write, sync::Arc};

use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER},
};
use serde::Serialize;
use utoipa::{
    ToSchema,
    openapi::{
        ContentBuilder,
        path::ParameterIn,
        schema::{ObjectBuilder, Type},
    },
};
use warp::{Filter, Rejection, Reply, filters::BoxedFilter, reply::Response};

pub use fleet::check::Check;

pub(crate) use self::readiness::NamedCheck;
pub use self::readiness::{Readiness, ReadinessChecks};

use crate::{
    http::{
        auth::Auth,
        errors::{ApiError, accepts},
        openapi::{
            self, Endpoint, Tag,
            names::{one_of, stand_in},
            parameters, schemas,
        },
        responses,
    },
    metrics::{self, Metrics},
};

/// The data that the routes of this module show. Cheap to clone.
#[derive(Clone)]
pub struct Admin {
    /// The checks of `/readyz`.
    pub checks: ReadinessChecks,
    /// The metrics of `/metrics`, and who may read them; without metrics the path is unknown.
    pub metrics: Option<(Metrics, Auth)>,
}

/// Whether the daemon can serve its clients.
#[derive(Serialize, ToSchema)]
#[schema(as = Readiness)]
struct Report<'a> {
    /// `ok` or `failed`.
    #[schema(value_type = ReadinessName)]
    status: &'static str,
    /// The checks, in order.
    checks: Vec<ReportedCheck<'a>>,
}

/// A condition that must hold for the daemon to be ready.
#[derive(Serialize, ToSchema)]
#[schema(as = ReadinessCheck)]
struct ReportedCheck<'a> {
    /// A short stable name; with several clusters, after that of the cluster, as `west/watch-pods`.
    name: &'a str,
    /// Whether it passes.
    ok: bool,
    /// Whether the daemon is ready without it. Absent if not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    optional: bool,
    /// The problem, if it fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
}

stand_in!(ReadinessName, "ReadinessStatus", "Whether every required check passes.", one_of(["ok", "failed"]));

/// Describes the routes.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    let text = |description, example: &str| {
        let content = ContentBuilder::new().schema(Some(schemas::text(description)));
        content.example(Some(example.into())).build()
    };
    let live = openapi::response("The daemon runs").content("text/plain", text("The word `ok`.", "ok"));
    let mut ready =
        Endpoint::get("/readyz", "getReadiness", Tag::Daemon, "Return whether the daemon can serve");
    let report = ready.schema::<Report<'_>>(schemas::Use::Response);
    let answer = |description, example| {
        let report = ContentBuilder::new().schema(Some(report.clone())).build();
        let lines = text("A line per check, as Kubernetes' own components write it.", example);
        openapi::response(description).content("text/plain", lines).content("application/json", report)
    };
    let retry = parameters::header("The seconds after which the client should try again.", "1");
    let verbose = ObjectBuilder::new().schema_type(Type::String);
    vec![
        Endpoint::get("/livez", "getLiveness", Tag::Daemon, "Return whether the daemon runs")
            .text("Needs no key.")
            .answers("200", live)
            .and_head(),
        ready
            .text("Needs no key. The report has the checks with `verbose`, as JSON, and if a required one fails.")
            .with(parameters::optional(ParameterIn::Query, "verbose", "Report the checks.", verbose, ""))
            .answers("200", answer("Every required check passes", "ok"))
            .answers(
                "503",
                answer("A required check fails", "[-]watch-pods failed: no list yet\nreadyz check failed\n")
                    .header("Retry-After", retry),
            )
            .and_head(),
    ]
}

/// All routes, for GET and HEAD.
pub(crate) fn route(Admin { checks, metrics }: Admin) -> BoxedFilter<(Response,)> {
    let live = warp::path!("livez").and(reads()).map(|| text(StatusCode::OK, "ok".to_owned()));
    let ready = warp::path!("readyz")
        .and(reads())
        .and(warp::header::headers_cloned())
        .and(warp::query::raw().or(warp::any().map(String::new)).unify())
        .map(move |headers, query: String| answer(&checks(), &headers, &query));
    let health = live.or(ready).unify();
    match metrics {
        Some((metrics, auth)) => health.or(metrics::route(metrics, auth)).unify().boxed(),
        None => health.boxed(),
    }
}

/// The routes of a listener that serves nothing else. Any other request is a 404.
pub(crate) fn routes(admin: Admin) -> BoxedFilter<(Response,)> {
    let not_found = warp::any().map(|| ApiError::not_found().into_response());
    route(admin).or(not_found).unify().boxed()
}

/// The health endpoints, with any method.
pub(crate) fn paths() -> impl Filter<Extract = (), Error = Rejection> + Clone {
    warp::path!("livez").or(warp::path!("readyz")).unify()
}

fn reads() -> impl Filter<Extract = (), Error = Rejection> + Copy {
    warp::get().or(warp::head()).unify()
}

/// Returns 200 if the daemon is ready, else 503. The report contains the checks with `?verbose`, and if one fails.
fn answer(readiness: &Readiness, headers: &HeaderMap, query: &str) -> Response {
    let ready = readiness.is_ready();
    let checks: Vec<_> = readiness.named().collect();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let verbose = query.split('&').any(|pair| pair.split('=').next() == Some("verbose"));
    let mut response = if accepts(headers, "application/json") {
        let checks = checks.iter().map(ReportedCheck::from).collect();
        let report = Report { status: if ready { "ok" } else { "failed" }, checks };
        let mut response = crate::http::errors::reply(responses::ok(&report, 256));
        *response.status_mut() = status;
        response
    } else if verbose || !ready {
        text(status, listed(&checks, ready))
    } else {
        text(status, "ok".to_owned())
    };
    if !ready {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

/// The checks in the format of Kubernetes' own `/readyz?verbose`, with the problem after "failed".
fn listed(checks: &[NamedCheck<'_>], ready: bool) -> String {
    let mut lines = String::new();
    for NamedCheck { name, check, optional, .. } in checks {
        // Writing to a String cannot fail.
        let _ = match &check.outcome {
            Ok(()) => writeln!(lines, "[+]{name} ok"),
            Err(why) => {
                let failed = if *optional { "failed (optional)" } else { "failed" };
                writeln!(lines, "[-]{name} {failed}: {}", why.replace(['\r', '\n'], " "))
            }
        };
    }
    lines.push_str(if ready { "readyz check passed\n" } else { "readyz check failed\n" });
    lines
}

fn text(status: StatusCode, body: String) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

// === impl Admin ===

impl Admin {
    /// Shows these checks of the daemon, and no metrics.
    #[must_use]
    pub fn of_checks(checks: impl Fn() -> Vec<Check> + Send + Sync + 'static) -> Self {
        let checks = Arc::new(move || Readiness { daemon: checks(), clusters: Vec::new() });
        Self { checks, metrics: None }
    }
}

// === impl ReportedCheck ===

impl<'a> From<&'a NamedCheck<'a>> for ReportedCheck<'a> {
    fn from(NamedCheck { name, check, optional, .. }: &'a NamedCheck<'a>) -> Self {
        let message = check.outcome.as_ref().err().map(String::as_str);
        Self { name, ok: message.is_none(), optional: *optional, message }
    }
}
