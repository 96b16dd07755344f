use serde_json::{Value, json};

use super::*;

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
