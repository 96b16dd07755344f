//! Group 13: the daemon.

use std::collections::BTreeMap;

use serde_json::Value;

use super::json::{items, list, text};
use crate::{
    check::{Check, Outcome, check},
    facts::{DaemonList, Facts},
    http::DaemonError,
};

pub(super) const CHECKS: &[Check] = &[
    check("SP1301", "the daemon answers", &[], answers),
    check("SP1302", "the daemon takes the API key", &["SP1301"], takes_key),
    check("SP1303", "the daemon is ready", &["SP1301"], is_ready),
    check("SP1304", "the daemon's optional parts work", &["SP1301"], optional_parts),
    check("SP1305", "the daemon has the version of this program", &["SP1301"], has_version),
    check("SP1306", "the reaper is not stopped", &["SP1301"], reaps),
    check(
        "SP1307",
        "the daemon sees the sandboxes of the cluster",
        &["SP1302", "SP1303", "SP0306", "SP0502"],
        sees_sandboxes,
    ),
];

/// Skips a check that needs an answer of the daemon.
fn skip(facts: &Facts) -> Outcome {
    match &facts.daemon.health {
        Some(Ok(200)) => Outcome::skipped("the daemon did not answer in time"),
        _ => Outcome::skipped("no daemon runs"),
    }
}

fn answers(facts: &Facts) -> Outcome {
    let daemon = &facts.daemon;
    let (url, action) =
        (&daemon.url, "compare the URL with PROVISIONER_LISTEN of the daemon, or give another --url");
    match &daemon.health {
        None => Outcome::skipped("not asked"),
        Some(Ok(200)) => Outcome::passed(url.clone()),
        Some(Ok(status)) => Outcome::failed(
            format!("{url}/health answers HTTP {status}"),
            "another program listens there",
            action,
        ),
        Some(Err(DaemonError::Refused)) if !daemon.is_named => {
            Outcome::skipped(format!("no daemon runs at {url}"))
        }
        Some(Err(DaemonError::Refused)) => Outcome::failed(
            format!("nothing listens at {url}"),
            "the daemon has stopped, or listens on another address",
            "start it, and look at its log; `sandbox-provisioner serve --check` checks its settings",
        ),
        Some(Err(DaemonError::Other(why))) => Outcome::failed(
            format!("{url}/health: {why}"),
            "the daemon hangs, another program listens there, or a firewall is between",
            action,
        ),
    }
}

fn takes_key(facts: &Facts) -> Outcome {
    match &facts.daemon.list {
        Some(Ok(list)) if list.status == 401 => Outcome::failed(
            "the daemon answers 401",
            "its key is another one than that of these settings",
            "use the same PROVISIONER_API_KEY or PROVISIONER_API_KEY_FILE, and restart the daemon after a change",
        ),
        Some(Ok(_)) => Outcome::passed(""),
        _ => skip(facts),
    }
}

/// Returns the failed checks of `/readyz`.
fn failed_parts(report: &Value, optional: bool) -> Vec<String> {
    items(report, "/checks")
        .filter(|check| check.get("ok").and_then(Value::as_bool) == Some(false))
        .filter(|check| check.get("optional").and_then(Value::as_bool).unwrap_or(false) == optional)
        .map(|check| format!("{}: {}", text(check, "/name"), text(check, "/message")))
        .collect()
}

fn is_ready(facts: &Facts) -> Outcome {
    let Some(Ok(report)) = &facts.daemon.ready else { return skip(facts) };
    let failed = failed_parts(report, false);
    if failed.is_empty() {
        return Outcome::passed("");
    }
    Outcome::failed(
        list(&failed),
        "a part of the daemon has no connection, no right or no namespace; requests are answered 503",
        "the checks above show the reason if this program uses the same settings as the daemon",
    )
}

fn optional_parts(facts: &Facts) -> Outcome {
    let Some(Ok(report)) = &facts.daemon.ready else { return skip(facts) };
    let failed = failed_parts(report, true);
    if failed.is_empty() {
        return Outcome::passed("");
    }
    Outcome::warned(
        list(&failed),
        "a right is missing, or the cluster does not support it",
        "apply the rule in config/rbac.yaml that its message names",
    )
}

/// Returns the value of a label of a metric.
fn label<'a>(metrics: &'a str, metric: &str, name: &str) -> Option<&'a str> {
    let line = metrics.lines().find(|line| line.starts_with(&format!("{metric}{{")))?;
    line.split_once(&format!("{name}=\""))?.1.split('"').next()
}

/// Returns the values of a metric by their clusters; the name is empty if there is no such label.
fn values<'a>(metrics: &'a str, metric: &'a str) -> impl Iterator<Item = (&'a str, f64)> {
    metrics.lines().filter_map(move |line| {
        let (series, value) = line.strip_prefix(metric)?.rsplit_once(' ')?;
        if !series.is_empty() && !series.starts_with('{') {
            return None;
        }
        let cluster = series.split_once("cluster=\"").and_then(|(_, rest)| rest.split('"').next());
        Some((cluster.unwrap_or_default(), value.parse().ok()?))
    })
}

fn has_version(facts: &Facts) -> Outcome {
    let Some(Ok(metrics)) = &facts.daemon.metrics else {
        return Outcome::skipped("the daemon's metrics could not be read");
    };
    let (ours, metric) = (facts.daemon.version, "sandbox_provisioner_build_info");
    match label(metrics, metric, "version") {
        None => Outcome::skipped("the daemon does not report its version"),
        Some(version) if version == ours => Outcome::passed(ours),
        Some(version) => Outcome::warned(
            format!("the daemon is version {version}, and this program is {ours}"),
            "the daemon was not restarted after an upgrade, or another binary is used",
            "restart the daemon; codes and settings of this program may not fit it",
        ),
    }
}

fn reaps(facts: &Facts) -> Outcome {
    let Some(Ok(metrics)) = &facts.daemon.metrics else {
        return Outcome::skipped("the daemon's metrics could not be read");
    };
    let values: BTreeMap<_, _> = values(metrics, "sandbox_provisioner_reaper_stopped").collect();
    let stopped: Vec<_> = values.iter().filter(|(_, value)| **value > 0.5).map(|(name, _)| *name).collect();
    match &*stopped {
        [] if values.is_empty() => Outcome::skipped("the daemon does not report it"),
        [] => Outcome::passed(""),
        stopped => Outcome::warned(
            if values.len() > 1 {
                format!("the reap limits have stopped the reaper of {}", list(stopped))
            } else {
                "the reap limits have stopped the reaper".to_owned()
            },
            "a large share of all sandboxes was due at once",
            "find the reason (docs/runbook.md#sandboxreaperstopped), then POST /api/reaper/resume",
        ),
    }
}

fn sees_sandboxes(facts: &Facts) -> Outcome {
    let sandboxes = match facts.sandboxes() {
        Ok(sandboxes) => sandboxes,
        Err(outcome) => return outcome,
    };
    let Some(Ok(DaemonList { status: 200, ids: listed, is_incomplete })) = &facts.daemon.list else {
        return skip(facts);
    };
    if *is_incomplete {
        return Outcome::skipped(
            "the daemon does not know the state of the cluster, and leaves it out of its list",
        );
    }
    let (Ok(pods), Ok(services)) = (&sandboxes.pods, &sandboxes.services) else {
        return Outcome::skipped("Pods or Services could not be read");
    };
    // New and deleted ones may be on one side only.
    let now = facts.cluster_now();
    let is_settled = |pod: &kubernetes::inspect::PodState| {
        !pod.observed.terminating
            && pod.observed.created.is_some_and(|at| now.duration_since(at).as_secs() > 60)
    };
    let unseen: Vec<_> = pods
        .ours
        .iter()
        .filter(|(id, pod)| services.ours.contains_key(*id) && is_settled(pod))
        .map(|(id, _)| id.as_str())
        .filter(|id| !listed.contains(*id))
        .collect();
    if unseen.is_empty() {
        return Outcome::passed(format!("{} listed", listed.len()));
    }
    Outcome::failed(
        format!("the daemon does not list {}", list(&unseen)),
        "the daemon uses another cluster or another namespace than these settings",
        "compare the settings of both: KUBECONFIG_PATH, K8S_API_SERVER and K8S_NAMESPACE, or the tables [clusters.NAME]",
    )
}
