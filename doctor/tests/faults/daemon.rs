//! Faults of the daemon and of its settings.

use std::sync::Arc;

use doctor::DaemonUrl;
use lifecycle::ids::ClusterName;
use serde_json::{Value, json};

use crate::fixture::{Case, server};

/// The answers of a healthy daemon.
fn healthy(asked: &str) -> (u16, String) {
    let body = match asked {
        "GET /readyz?verbose" => ready(&json!([])).to_string(),
        "GET /metrics" => {
            "sandbox_provisioner_build_info{version=\"1.2.3\"} 1\nsandbox_provisioner_reaper_stopped 0\n"
                .to_owned()
        }
        "GET /api/sandboxes" => json!({"sandboxes": [{"sandbox_id": "a"}]}).to_string(),
        _ => "{}".to_owned(),
    };
    (200, body)
}

fn ready(checks: &Value) -> Value {
    json!({"status": "failed", "checks": checks})
}

type Answers = Arc<dyn Fn(&str) -> Option<(u16, String)> + Send + Sync>;

/// Guards the code of each fault of a running daemon, and that a healthy one has none.
#[tokio::test]
async fn faults_of_the_daemon() {
    let at = |path: &'static str, status: u16, body: Value| -> Answers {
        let text = body.as_str().map_or_else(|| body.to_string(), str::to_owned);
        Arc::new(move |asked| asked.ends_with(path).then(|| (status, text.clone())))
    };
    let failed =
        |optional| json!([{"name": "watch", "ok": false, "optional": optional, "message": "no right"}]);
    for (fault, answers, codes) in [
        ("healthy", at("/none", 200, json!("")), &[][..]),
        ("another program", at("/health", 404, json!("")), &["SP1301"]),
        ("another key", at("/api/sandboxes", 401, json!({"detail": "x"})), &["SP1302"]),
        ("not ready", at("/readyz?verbose", 503, ready(&failed(false))), &["SP1303"]),
        ("a part is missing", at("/readyz?verbose", 200, ready(&failed(true))), &["SP1304"]),
        (
            "another version",
            at("/metrics", 200, json!("sandbox_provisioner_build_info{version=\"1.0.0\"} 1\n")),
            &["SP1305"],
        ),
        (
            "the reaper is stopped",
            at("/metrics", 200, json!("sandbox_provisioner_reaper_stopped 1\n")),
            &["SP1306"],
        ),
        (
            "the reaper of a cluster is stopped",
            at(
                "/metrics",
                200,
                json!(
                    "sandbox_provisioner_reaper_stopped{cluster=\"a\"} 0\n\
                     sandbox_provisioner_reaper_stopped{cluster=\"b\"} 1\n"
                ),
            ),
            &["SP1306"],
        ),
        (
            "the reaper of the only cluster runs",
            at("/metrics", 200, json!("sandbox_provisioner_reaper_stopped{cluster=\"default\"} 0\n")),
            &[],
        ),
        ("another cluster", at("/api/sandboxes", 200, json!({"sandboxes": []})), &["SP1307"]),
    ] {
        let mut case = Case::healthy().await;
        case.age();
        let url = DaemonUrl::of(server(move |asked| answers(asked).unwrap_or_else(|| healthy(asked))).await);
        (case.subject.daemon.url, case.subject.daemon.metrics) = (url.clone(), Some(url));
        case.finds(fault, codes).await;
    }
}

/// Guards that a cluster that the daemon's list leaves out is not taken for another cluster.
#[tokio::test]
async fn the_daemon_has_lost_a_cluster() {
    for (name, codes) in [(Some("west"), &[][..]), (Some("east"), &["SP1307"]), (None, &[])] {
        let mut case = Case::healthy().await;
        case.age();
        case.subject.name = name.and_then(ClusterName::parse);
        let list = json!({"sandboxes": [], "incomplete": ["west"]}).to_string();
        let answer = move |asked: &str| match asked {
            "GET /api/sandboxes" => (200, list.clone()),
            _ => healthy(asked),
        };
        let url = DaemonUrl::of(server(answer).await);
        (case.subject.daemon.url, case.subject.daemon.metrics) = (url.clone(), Some(url));
        case.finds(&format!("{name:?}"), codes).await;
    }
}

/// Guards that a daemon that does not run is a fault only if its URL was named.
#[tokio::test]
async fn no_daemon_runs() {
    let mut case = Case::healthy().await;
    case.finds("not named", &[]).await;
    case.subject.daemon.is_named = true;
    case.finds("named", &["SP1301"]).await;
}

/// Guards the codes of settings with which the daemon does not start, is open, or refuses a profile.
#[tokio::test]
async fn faults_of_the_settings() {
    let mut case = Case::healthy().await;
    case.subject.settings.listen = Some("0.0.0.0:8002".parse().unwrap());
    case.finds("no key", &["SP0102"]).await;
    case.subject.settings.has_key = true;
    case.finds("a key", &[]).await;
    case.subject.settings.unoffered_profiles = vec!["profiles.gpu: unoffered".to_owned()];
    case.finds("a profile that no cluster offers", &["SP0103"]).await;
    case.subject.settings.unoffered_profiles.clear();
    case.subject.settings.problems = vec!["listen: refused".to_owned()];
    case.finds("refused", &["SP0101"]).await;
}
