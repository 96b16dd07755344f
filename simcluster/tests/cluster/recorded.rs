//! Compares the reports of the simulated node with recordings of a real kubelet: every state, every watch event of two
//! lives, and the Events. Only values that differ from run to run are masked.

use serde_json::{Value, json};
use simcluster::{BEHAVIOUR_ANNOTATION, Cluster};

use crate::client::{self, NS, SOON, Watch, cluster, create, delete};

/// A recording, with the names of this cluster in place of the real one's.
fn recording(text: &str) -> Vec<Value> {
    let here = text.replace("\"real\"", "\"deer-flow\"").replace("_real(", "_deer-flow(");
    serde_json::from_str(&here.replace("real-0", "sim-node")).unwrap()
}

/// Masks times, addresses, ids and generated names.
fn masked(value: &Value) -> Value {
    match value {
        Value::String(text) => mask_text(text).into(),
        Value::Array(items) => items.iter().map(masked).collect(),
        Value::Object(fields) => fields.iter().map(|(key, value)| (key.clone(), masked(value))).collect(),
        other => other.clone(),
    }
}

fn mask_text(text: &str) -> String {
    if text.parse::<jiff::Timestamp>().is_ok() && !text.starts_with("1970") {
        return "TIME".to_owned();
    }
    if text.starts_with("sha256:") {
        return "IMAGE".to_owned();
    }
    if text.starts_with("10.244.") {
        return "ADDRESS".to_owned();
    }
    if text.starts_with("kube-api-access-") {
        return "TOKEN".to_owned();
    }
    let mut out = String::new();
    let mut hex = String::new();
    for character in text.chars().chain([' ']) {
        if character.is_ascii_hexdigit() {
            hex.push(character);
            continue;
        }
        // The id of a container has 64 digits.
        out.push_str(if hex.len() == 64 { "ID" } else { &hex });
        hex.clear();
        out.push(character);
    }
    out.trim_end().to_owned()
}

/// Type, reason and message of Events, each once, in the order they first came.
fn sayings(events: &[Value]) -> Vec<Value> {
    let mut all: Vec<Value> = Vec::new();
    for event in events {
        let saying = json!([
            event["type"],
            event["reason"],
            masked(&event["message"]),
            event["source"],
            event["reportingComponent"]
        ]);
        if !all.contains(&saying) {
            all.push(saying);
        }
    }
    all
}

/// The behaviour of each recorded Pod; its spec is the recorded one.
const STATES: [(&str, &str); 10] = [
    ("badmount", "mount-error"),
    ("crash", "crash-loop"),
    ("done", "succeed"),
    ("failed", "crash-loop"),
    ("neverpull", "image-never-pull"),
    ("nopull", "image-pull-error"),
    ("ok", "normal"),
    ("oom", "oom"),
    // A relative hostPath needs no behaviour.
    ("relmount", "normal"),
    ("unready", "never-ready"),
];

/// Guards every recorded state: the node reports the same status at some time, and writes the same Events.
#[tokio::test(start_paused = true)]
async fn every_recorded_state_is_reported() {
    let recorded = recording(include_str!("../../../tests/recordings/pod-states.json"));
    assert_eq!(recorded.len(), STATES.len());
    for state in &recorded {
        let name = state["name"].as_str().unwrap();
        let (_, behaviour) = STATES.iter().find(|(known, _)| *known == name).unwrap();
        let cluster = cluster();
        let mut watch = Watch::open(&cluster, "").await;
        let mut pod = state["pod"].clone();
        let wanted = masked(&pod["status"]);
        pod["status"] = json!({"phase": "Pending", "qosClass": pod["status"]["qosClass"]});
        pod["metadata"]["annotations"] = json!({BEHAVIOUR_ANNOTATION: behaviour});
        cluster.put("pods", pod).unwrap();
        let mut last = Value::Null;
        let reached = async {
            loop {
                let event = watch.next().await.unwrap().unwrap();
                last = masked(&event["object"]["status"]);
                if last == wanted {
                    return;
                }
            }
        };
        let reached = tokio::time::timeout(20 * SOON, reached).await;
        assert!(reached.is_ok(), "{name}: wanted {wanted:#}\nlast {last:#}");
        tokio::time::sleep(SOON).await;
        let mut said = cluster.objects("events", Some(NS));
        said.sort_by_key(|event| event["metadata"]["name"].to_string());
        let recorded = state["events"].as_array().unwrap();
        assert_eq!(sayings(&said), sayings(recorded), "{name}");
    }
}

/// An event of a watch as far as the lives were recorded.
fn outline(kind: &Value, meta: &Value, node: &Value, status: &Value) -> Value {
    let dying = meta.get("deletionTimestamp").is_some();
    json!({
        "type": kind, "generation": meta["generation"], "grace": meta["deletionGracePeriodSeconds"], "dying": dying,
        "node": node, "status": masked(status),
    })
}

async fn live(cluster: &Cluster, pod: &Value, until: fn(&Value) -> bool) -> (String, Vec<Value>) {
    let mut watch = Watch::open(cluster, "").await;
    let made = create(cluster, pod).await;
    cluster.wait_for("pods", Some(NS), SOON, |pods| until(&pods[0])).await.unwrap();
    let name = pod["metadata"]["name"].as_str().unwrap();
    delete(cluster, &format!("pods/{name}?gracePeriodSeconds=5")).await;
    let mut seen = Vec::new();
    while seen.last().is_none_or(|last: &Value| last["type"] != "DELETED") {
        let event = watch.next().await.unwrap().unwrap();
        let object = &event["object"];
        let outlined =
            outline(&event["type"], &object["metadata"], &object["spec"]["nodeName"], &object["status"]);
        seen.push(outlined);
    }
    (made["metadata"]["uid"].as_str().unwrap().to_owned(), seen)
}

/// Guards both recorded lives, event by event: type, generation, grace, node and the whole status.
#[tokio::test(start_paused = true)]
async fn lives_are_what_a_kubelet_reports() {
    let recorded = recording(include_str!("../../../tests/recordings/pod-lifecycles.json"));
    let mut life = client::pod("life");
    life["spec"]["containers"][0]["image"] = "docker.io/local/sandbox:1".into();
    let mut crash = life.clone();
    crash["metadata"] = json!({"name": "loop", "annotations": {BEHAVIOUR_ANNOTATION: "crash-loop"}});
    life["spec"]["containers"][0]["readinessProbe"] =
        json!({"httpGet": {"path": "/v1/sandbox", "port": 8080}});
    // How far each had come when it was deleted.
    let ends: [fn(&Value) -> bool; 2] = [client::is_ready, |pod| {
        let container = &pod["status"]["containerStatuses"][0];
        container["restartCount"] == 2 && container["state"].get("terminated").is_some()
    }];
    for ((pod, recorded), end) in [life, crash].iter().zip(&recorded).zip(ends) {
        let cluster = cluster();
        let (uid, seen) = live(&cluster, pod, end).await;
        // The messages name the Pod with its uid, which a recording of another Pod cannot know.
        let text = recorded["events"].to_string();
        let text = match text.find("_deer-flow(") {
            Some(at) => text.replace(&text[at + 11..at + 47], &uid),
            None => text,
        };
        let events: Vec<Value> = serde_json::from_str(&text).unwrap();
        for (place, (seen, event)) in seen.iter().zip(&events).enumerate() {
            let wanted =
                outline(&event["type"], &event["metadata"], &event["spec.nodeName"], &event["status"]);
            assert_eq!(seen, &wanted, "{}, event {place}", recorded["name"]);
        }
        assert_eq!(seen.len(), events.len());
    }
}
