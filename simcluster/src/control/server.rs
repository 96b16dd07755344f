//! The control endpoint for the server: faults, availability, snapshots, watches, the call record, the clock.

use http::{Method, StatusCode};
use jiff::SignedDuration;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, ControlError, ControlRequest, done};
use crate::calls::CallMark;
use crate::duration;
use crate::faults::{Rule, RuleId};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Server {
    away: bool,
    #[serde(default, rename = "for")]
    time: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Restore {
    #[serde(default)]
    keep_counting: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Watches {
    stalled: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    step: String,
}

#[expect(clippy::unnecessary_wraps, reason = "all routes have one shape")]
pub(super) fn overview(request: &ControlRequest<'_>) -> Answer {
    let cluster = request.cluster;
    let overview = json!({
        "away": cluster.is_away(), "version": cluster.version(), "now": cluster.now(), "faults": cluster.faults(),
        "snapshots": cluster.shared().snapshots().keys().collect::<Vec<_>>(), "calls": cluster.mark().0,
        "refused": cluster.refused(), "node": super::node::state(request),
    });
    Ok((StatusCode::OK, overview))
}

pub(super) fn faults(request: &ControlRequest<'_>, rest: &[&str]) -> Answer {
    let cluster = request.cluster;
    match (request.method, rest) {
        (&Method::GET, []) => Ok((StatusCode::OK, json!({"faults": cluster.faults()}))),
        (&Method::POST, []) => {
            let rule: Rule = request.read()?;
            rule.check().map_err(|error| ControlError::Invalid(error.to_string()))?;
            Ok((StatusCode::CREATED, json!({"id": cluster.fault(rule)})))
        }
        (&Method::DELETE, []) => {
            cluster.clear_faults();
            done()
        }
        (&Method::DELETE, [id]) => {
            let found = id.parse().is_ok_and(|id| cluster.remove_fault(RuleId(id)));
            if found { done() } else { Err(ControlError::Missing { what: "fault", name: (*id).to_owned() }) }
        }
        (_, [] | [_]) => Err(request.no_such_method()),
        _ => Err(request.no_such_path()),
    }
}

pub(super) fn server(request: &ControlRequest<'_>, rest: &[&str]) -> Answer {
    let cluster = request.cluster;
    match (request.method, rest) {
        (&Method::PUT, []) => match request.read()? {
            Server { away: true, time: Some(text) } => {
                let wrong = || ControlError::Invalid(format!("{text:?} is not a duration such as 30s"));
                cluster.away_for(duration::parse(&text).ok_or_else(wrong)?);
                done()
            }
            Server { away: false, time: Some(_) } => {
                Err(ControlError::Invalid("\"for\" goes with \"away\": true alone".to_owned()))
            }
            Server { away, time: None } => {
                cluster.set_away(away);
                done()
            }
        },
        (&Method::POST, ["restart"]) => {
            cluster.restart();
            done()
        }
        (_, [] | ["restart"]) => Err(request.no_such_method()),
        _ => Err(request.no_such_path()),
    }
}

pub(super) fn snapshots(request: &ControlRequest<'_>, rest: &[&str]) -> Answer {
    let cluster = request.cluster;
    let missing = |id: &str| ControlError::Missing { what: "snapshot", name: id.to_owned() };
    match (request.method, rest) {
        (&Method::GET, []) => {
            let ids: Vec<_> = cluster.shared().snapshots().keys().copied().collect();
            Ok((StatusCode::OK, json!({"snapshots": ids})))
        }
        (&Method::POST, []) => {
            let snapshot = cluster.snapshot();
            let mut kept = cluster.shared().snapshots();
            let id = kept.keys().next_back().map_or(0, |last| last + 1);
            kept.insert(id, snapshot);
            Ok((StatusCode::CREATED, json!({"id": id})))
        }
        (&Method::DELETE, [id]) => {
            let gone = id.parse().ok().and_then(|id: u64| cluster.shared().snapshots().remove(&id));
            if gone.is_some() { done() } else { Err(missing(id)) }
        }
        (&Method::POST, [id, "restore"]) => {
            let kept = id.parse().ok().and_then(|id: u64| cluster.shared().snapshots().get(&id).cloned());
            let snapshot = kept.ok_or_else(|| missing(id))?;
            let how =
                if request.body.is_empty() { Restore { keep_counting: false } } else { request.read()? };
            cluster.restore(&snapshot, how.keep_counting);
            done()
        }
        (_, [] | [_] | [_, "restore"]) => Err(request.no_such_method()),
        _ => Err(request.no_such_path()),
    }
}

pub(super) fn watches(request: &ControlRequest<'_>, rest: &[&str]) -> Answer {
    let cluster = request.cluster;
    match (request.method, rest) {
        (&Method::PUT, []) => cluster.stall_watches(request.read::<Watches>()?.stalled),
        (&Method::POST, ["cut"]) => cluster.cut_watches(),
        (&Method::POST, ["expire"]) => cluster.expire_watch_window(),
        (_, [] | ["cut" | "expire"]) => return Err(request.no_such_method()),
        _ => return Err(request.no_such_path()),
    }
    done()
}

pub(super) fn calls(request: &ControlRequest<'_>) -> Answer {
    let cluster = request.cluster;
    match *request.method {
        Method::GET => {
            let since = match request.query.get("since") {
                None => 0,
                Some(text) => text.parse().map_err(|_| {
                    ControlError::Invalid(format!("since must be the number of a call, not {text:?}"))
                })?,
            };
            let next: Value = cluster.mark().0.into();
            let calls = cluster.calls_since(CallMark(since));
            Ok((StatusCode::OK, json!({"next": next, "calls": calls, "refused": cluster.refused()})))
        }
        Method::DELETE => {
            cluster.reset_calls();
            done()
        }
        _ => Err(request.no_such_method()),
    }
}

pub(super) fn clock(request: &ControlRequest<'_>) -> Answer {
    if *request.method == Method::POST {
        let Step { step } = request.read()?;
        let by: SignedDuration = step
            .parse()
            .map_err(|_| ControlError::Invalid(format!("{step:?} is not a duration such as 1h or -90s")))?;
        request.cluster.step_clock(by);
    } else if *request.method != Method::GET {
        return Err(request.no_such_method());
    }
    Ok((StatusCode::OK, json!({"now": request.cluster.now()})))
}
