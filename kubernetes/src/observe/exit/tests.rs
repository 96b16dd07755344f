use serde_json::{Value, json};

use super::*;
use crate::observe::tests::{recorded, seen};

fn end(end: &Value) -> StateDetails {
    serde_json::from_value(end.clone()).unwrap()
}

/// Guards the words of each way in which a container ends, and that the exit code stays in the text.
#[test]
fn each_exit_has_its_words() {
    for (state, limit, expected) in [
        (json!({"exitCode": 0}), None, "exited with code 0"),
        (json!({"exitCode": 3, "reason": "Error"}), Some("1Gi"), "exited with code 3"),
        (json!({}), None, "exited with an unknown code"),
        (
            json!({"exitCode": 137, "reason": "OOMKilled"}),
            Some("1Gi"),
            "was killed: out of memory, limit 1Gi, exit code 137",
        ),
        (json!({"exitCode": 137, "reason": "OOMKilled"}), None, "was killed: out of memory, exit code 137"),
        // The kubelet also says so if only a child of the main process was killed.
        (json!({"exitCode": 1, "reason": "OOMKilled"}), None, "was killed: out of memory, exit code 1"),
        (json!({"reason": "OOMKilled"}), None, "was killed: out of memory, exit an unknown code"),
        (
            json!({"exitCode": 137, "reason": "Error"}),
            Some("1Gi"),
            "was killed by signal 9 (SIGKILL), exit code 137",
        ),
        (json!({"exitCode": 139}), None, "was killed by signal 11 (SIGSEGV), exit code 139"),
        (json!({"exitCode": 143}), None, "was killed by signal 15 (SIGTERM), exit code 143"),
        (json!({"exitCode": 134}), None, "was killed by signal 6 (SIGABRT), exit code 134"),
        (json!({"exitCode": 132}), None, "was killed by signal 4 (SIGILL), exit code 132"),
        (json!({"exitCode": 0, "signal": 9}), None, "was killed by signal 9 (SIGKILL), exit code 0"),
        (json!({"exitCode": 1, "signal": 40}), None, "was killed by signal 40, exit code 1"),
        (json!({"exitCode": 1, "signal": 0}), None, "exited with code 1"),
        (json!({"exitCode": 126}), None, "exited with code 126 (the command could not be run)"),
        (json!({"exitCode": 127}), None, "exited with code 127 (the command was not found)"),
        (json!({"exitCode": 128, "reason": "StartError"}), None, "exited with code 128"),
        (json!({"exitCode": 168}), None, "exited with code 168"),
        (json!({"exitCode": 255}), None, "exited with code 255"),
        (json!({"exitCode": -1}), None, "exited with code -1"),
        (json!({"exitCode": i64::MIN}), None, "exited with code -9223372036854775808"),
    ] {
        assert_eq!(words(&end(&state), limit), expected, "{state}");
        let is_plain = expected.starts_with("exited with") && !expected.contains('(');
        assert_eq!(is_explained(&end(&state)), !is_plain, "{state}");
    }
}

/// Guards that the words of an exit have the limit of that container and its own message, and are kept during the
/// back-off.
#[test]
fn an_exit_is_told_with_what_is_known_of_it() {
    let spec = json!({
        "containers": [
            {"name": "sandbox", "resources": {"limits": {"cpu": "1", "memory": "1Gi"}}},
            {"name": "istio-proxy", "resources": {"limits": {"memory": "128Mi"}}},
            {"name": "odd", "resources": {"limits": {"memory": 7}}},
        ],
        "initContainers": [{"name": "lark-cli-init", "resources": {"limits": {"memory": "64Mi"}}}],
    });
    let oom = |name: &str| json!({"name": name, "restartCount": 2, "state": {"terminated": {"reason": "OOMKilled", "exitCode": 137}}});
    let back_off = |end: Value| {
        json!({"name": "sandbox", "lastState": {"terminated": end}, "state": {"waiting": {
        "reason": "CrashLoopBackOff", "message": "back-off 10s restarting failed container=sandbox pod=sandbox-a"}}})
    };
    let ended = |end: Value| json!({"name": "sandbox", "state": {"terminated": end}});
    for (statuses, message) in [
        (
            json!({"containerStatuses": [oom("sandbox")]}),
            "container sandbox was killed: out of memory, limit 1Gi, exit code 137, restarted 2 times",
        ),
        (
            json!({"containerStatuses": [oom("istio-proxy")]}),
            "container istio-proxy was killed: out of memory, limit 128Mi, exit code 137, restarted 2 times",
        ),
        (
            json!({"initContainerStatuses": [oom("lark-cli-init")]}),
            "container lark-cli-init was killed: out of memory, limit 64Mi, exit code 137, restarted 2 times",
        ),
        (
            json!({"containerStatuses": [oom("odd")]}),
            "container odd was killed: out of memory, exit code 137, restarted 2 times",
        ),
        (
            json!({"containerStatuses": [back_off(json!({"exitCode": 139}))]}),
            "back-off 10s restarting failed container=sandbox pod=sandbox-a; was killed by signal 11 (SIGSEGV), exit code 139",
        ),
        (
            json!({"containerStatuses": [back_off(json!({"exitCode": 3}))]}),
            "back-off 10s restarting failed container=sandbox pod=sandbox-a; exited with code 3",
        ),
        (
            json!({"containerStatuses": [back_off(json!({"exitCode": 137, "reason": "OOMKilled"}))]}),
            "container sandbox was killed: out of memory, limit 1Gi, exit code 137",
        ),
        (json!({"containerStatuses": [ended(json!({"exitCode": 2, "message": "no key"}))]}), "no key"),
        (
            json!({"containerStatuses": [ended(json!({"exitCode": 127, "message": "sh: x: not found"}))]}),
            "container sandbox exited with code 127 (the command was not found): sh: x: not found",
        ),
    ] {
        let pod = json!({"metadata": {"uid": "u"}, "spec": spec, "status": statuses});
        assert_eq!(seen(&pod).reason.unwrap().message.as_deref(), Some(message), "{statuses}");
    }
}

/// Guards that the same end of a container is recognized along the recorded life of a crash loop, and differs from the ends
/// before and after it.
#[test]
fn each_end_of_a_crash_loop_is_told_apart() {
    let lives = recorded(include_str!("../../../../tests/recordings/pod-lifecycles.json"));
    let life = lives.iter().find(|life| life["name"] == "loop").unwrap();
    let mut ends: Vec<(String, bool)> = life["events"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|event| {
            let mut event = event.clone();
            event["metadata"]["uid"] = "u".into();
            let exit = seen(&event).reason?.exit.clone()?;
            Some((exit.at.to_string(), exit.is_previous))
        })
        .collect();
    ends.dedup();
    let end = |second: &str, is_previous| (format!("2026-11-21T05:{second}Z"), is_previous);
    assert_eq!(ends, [end("13:55", false), end("13:57", false), end("13:57", true), end("14:09", false)]);
}
