//! Faults of the API server, and a healthy cluster.

use std::time::Duration;

use doctor::Selection;
use jiff::SignedDuration;
use serde_json::json;
use simcluster::{Effect, Options, Refusal, Resize, Rule, Verb};
use tokio::time::Instant;

use crate::fixture::{Case, TIME, ended_in_time, finds, options, template, with_profile};

/// Guards that a healthy cluster passes with no warning, and that the checks without slow ones end in time.
#[tokio::test]
async fn a_healthy_cluster_passes() {
    let case = Case::healthy().await;
    let begin = Instant::now();
    let report = case.report().await;
    ended_in_time(begin, "none");
    let shown = doctor::Format::Table.show(&report, None);
    assert_eq!(report.faults(), [""; 0], "{shown}");
    let passed = shown.lines().filter(|line| line.starts_with("  ok ")).count();
    assert!(passed > 35, "{shown}");
}

/// Guards that a diagnosis changes nothing: each write is a dry run or a question about rights.
#[tokio::test]
async fn nothing_is_changed() {
    let case = Case::healthy().await;
    let kinds = ["namespaces", "pods", "services", "persistentvolumeclaims", "networkpolicies", "secrets"];
    let objects = || kinds.map(|kind| case.cluster.objects(kind, None));
    let (mark, before) = (case.cluster.mark(), objects());
    case.report().await;
    assert_eq!(objects(), before);
    let writes: Vec<_> =
        case.cluster.calls_since(mark).into_iter().filter(|call| call.verb.writes()).collect();
    assert!(writes.iter().all(|call| {
        call.name.as_deref().is_some_and(|name| name.contains("doctor-dry-run"))
            || call.resource.contains("selfsubjectaccessreviews")
    }));
}

fn refuse(code: u16, message: &str) -> Effect {
    Effect::Refuse(Refusal::Other { code, reason: "X".into(), message: message.to_owned() })
}

/// Guards the code of each fault of the API server.
#[tokio::test]
async fn faults_of_the_api_server() {
    let list = |effect, resource| Rule::new(effect).verb(Verb::List).resource(resource);
    for (fault, rule, code) in [
        ("unauthorized", Rule::new(Effect::Refuse(Refusal::Unauthorized)), "SP0305"),
        ("only lists are unauthorized", list(Effect::Refuse(Refusal::Unauthorized), "pods"), "SP0305"),
        ("too many requests", Rule::new(Effect::Refuse(Refusal::TooManyRequests)), "SP0304"),
        ("unavailable", Rule::new(Effect::Refuse(Refusal::Unavailable)), "SP0304"),
        ("silent", Rule::new(Effect::Silent), "SP0304"),
        ("connections break", Rule::new(Effect::DropBefore), "SP0304"),
        ("etcd times out", list(Effect::Refuse(Refusal::EtcdTimeout), "services"), "SP0306"),
        ("lists are silent", list(Effect::Silent, "pods"), "SP0306"),
        ("lists break off", list(Effect::CutBody(20), "pods"), "SP0306"),
        ("slow", Rule::new(Effect::Delay(Duration::from_millis(800))), "SP0307"),
        ("etcd is unhealthy", Rule::new(refuse(500, "etcd failed")).resource("/readyz/etcd"), "SP0308"),
        ("not ready", Rule::new(refuse(500, "readyz failed")).resource("/readyz"), "SP0309"),
    ] {
        let case = Case::healthy().await;
        case.cluster.fault(rule);
        let begin = Instant::now();
        case.finds(fault, &[code]).await;
        ended_in_time(begin, fault);
    }
}

#[tokio::test]
async fn the_api_server_is_away() {
    let case = Case::healthy().await;
    case.cluster.set_away(true);
    case.finds("away", &["SP0304"]).await;
}

/// Guards that a difference of the clocks is found in both directions.
#[tokio::test]
async fn the_clocks_differ() {
    for hours in [1, -1] {
        let case = Case::healthy().await;
        case.cluster.step_clock(SignedDuration::from_hours(hours));
        case.finds("the clock of the cluster is wrong", &["SP0311"]).await;
    }
}

/// Guards that a cluster that cannot resize is a fault for each profile whose Pods may be resized, and for no other.
#[tokio::test]
async fn the_cluster_cannot_resize() {
    for (profile, resize, codes) in [
        (json!({"cpu": "500m", "start_cpu": "2"}), Resize::Absent, &["SP0312"][..]),
        (json!({"cpu": "500m", "start_cpu": "2"}), Resize::Checked, &[]),
        (json!({"overrides": {"cpu": {"max": "4"}}}), Resize::Absent, &["SP0312"]),
        (json!({"overrides": {"memory": {"max": "4Gi"}}}), Resize::Absent, &["SP0312"]),
        (json!({"overrides": {"ephemeral_storage": {"max": "4Gi"}}}), Resize::Absent, &[]),
    ] {
        let case = Case::start(Options { resize, ..options() }, with_profile(template(), &profile)).await;
        case.finds(&format!("{profile} {resize:?}"), codes).await;
    }
}

/// Guards that the slow check of etcd's size runs only if it is asked for, and skips a server without metrics.
#[tokio::test]
async fn slow_checks_run_on_request() {
    let case = Case::healthy().await;
    let mark = case.cluster.mark();
    case.report().await;
    let asked = |mark| case.cluster.calls_since(mark).iter().any(|call| call.resource == "/metrics");
    assert!(!asked(mark));
    let selection = Selection::parse(&["SP0310".to_owned()], false).unwrap();
    finds("nothing", &case.subject, &selection, &[]).await;
    assert!(asked(mark));
    assert!(TIME < Duration::from_secs(3));
}
