//! The whole of a refusal: code, reason, message and causes, as a real API server words them.

use serde_json::{Value, json};

use crate::client::{call, create, delete, get, pod, service, still_cluster};

const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must \
     start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
     '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";

fn bad_request(message: &str) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message,
        "reason": "BadRequest", "code": 400})
}

/// The causes of a refusal as `field: message`, after its message was found to hold the same lines once each.
fn causes(answer: &(u16, Value), prefix: &str) -> Vec<String> {
    let (status, body) = answer;
    assert_eq!((*status, &body["reason"]), (422, &"Invalid".into()), "{body}");
    let list = body["details"]["causes"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let lines: Vec<_> =
        list.iter().map(|c| format!("{}: {}", text(&c["field"]), text(&c["message"]))).collect();
    let mut once = lines.clone();
    once.dedup();
    let shown = if let [one] = once.as_slice() { one.clone() } else { format!("[{}]", once.join(", ")) };
    assert_eq!(text(&body["message"]), format!("{prefix} is invalid: {shown}"));
    lines
}

/// Guards that list, watch and delete of a collection refuse selectors alike, before all other options.
#[tokio::test(start_paused = true)]
async fn selectors_are_refused_in_every_verb_that_takes_them() {
    let cluster = still_cluster();
    for (query, message) in [
        (
            "labelSelector=a%20b",
            "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt",
        ),
        ("labelSelector=a%3Db%2C", "found '', expected: identifier after ','"),
        // A bad label selector is reported before a bad field selector, and both before other options.
        (
            "fieldSelector=x&labelSelector=%3D&resourceVersionMatch=Exact",
            "found '=', expected: !, identifier, or 'end of string'",
        ),
        ("fieldSelector=x&resourceVersionMatch=Exact", "invalid selector: 'x'; can't understand 'x'"),
        ("fieldSelector=spec.image%3Dx", "field label not supported: spec.image"),
    ] {
        let wanted = (400, bad_request(message));
        assert_eq!(get(&cluster, &format!("pods?{query}")).await, wanted);
        assert_eq!(get(&cluster, &format!("pods?watch=true&{query}")).await, wanted);
        assert_eq!(delete(&cluster, &format!("pods?{query}")).await, wanted);
    }
    let message = "\"spec.x\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"";
    assert_eq!(get(&cluster, "configmaps?fieldSelector=spec.x%3Dy").await, (400, bad_request(message)));
}

/// Guards that other options are refused before a field that the kind does not have.
#[tokio::test(start_paused = true)]
async fn options_are_refused_before_unknown_fields() {
    let query = "fieldSelector=spec.image%3Dx&resourceVersionMatch=Exact";
    let (status, body) = get(&still_cluster(), &format!("pods?{query}")).await;
    let message = "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: resourceVersionMatch is \
         forbidden unless resourceVersion is provided";
    assert_eq!((status, &body["message"]), (422, &message.into()));
}

/// Guards names of Services: a DNS label, which may start with a digit and has no dots.
#[tokio::test(start_paused = true)]
async fn names_of_services_are_dns_labels() {
    let cluster = still_cluster();
    assert_eq!(call(&cluster, "POST", "services", &service("1abc", "a")).await.0, 201);
    for (name, why) in [("a.b", "must not contain dots"), ("A", LABEL), ("a_b", LABEL), ("-a", LABEL)] {
        let answer = call(&cluster, "POST", "services", &service(name, "a")).await;
        let wanted = format!("metadata.name: Invalid value: \"{name}\": {why}");
        assert_eq!(causes(&answer, &format!("Service \"{name}\"")), [wanted]);
    }
}

/// Guards that a generated name is refused with the errors of `generateName` and of `name`.
#[tokio::test(start_paused = true)]
async fn a_generated_name_is_refused_with_its_start() {
    let cluster = still_cluster();
    let mut generated = service("", "a");
    generated["metadata"] = json!({"generateName": "a.b-"});
    let (status, body) = call(&cluster, "POST", "services", &generated).await;
    let name = body["details"]["name"].as_str().unwrap().to_owned();
    assert!(name.starts_with("a.b-") && name.len() == 9, "{name}");
    assert_eq!(
        causes(&(status, body), &format!("Service \"{name}\"")),
        [
            "metadata.generateName: Invalid value: \"a.b-\": must not contain dots".to_owned(),
            format!("metadata.name: Invalid value: \"{name}\": must not contain dots"),
        ]
    );
}

/// Guards the paths of fields and the order of what is wrong with a Pod's volumes, mounts and containers.
#[tokio::test(start_paused = true)]
async fn faults_of_a_pod_come_in_the_order_of_the_server() {
    let cluster = still_cluster();
    let pod = json!({
        "metadata": {"name": "p"},
        "spec": {
            "automountServiceAccountToken": false,
            "volumes": [{"name": "v", "emptyDir": {}}, {"name": "w", "hostPath": {"path": "/../x"}}],
            "containers": [
                {"name": "c", "image": "i", "volumeMounts": [
                    {"name": "v", "mountPath": "/v", "subPath": "../x"},
                    {"name": "w", "mountPath": "/w"},
                ]},
                {"name": "c", "image": ""},
            ],
            "initContainers": [{"name": "c", "image": "i"}],
        },
    });
    assert_eq!(
        causes(&call(&cluster, "POST", "pods", &pod).await, "Pod \"p\""),
        [
            "spec.volumes[1].hostPath.path: Invalid value: \"/../x\": must not contain '..'",
            "spec.containers[0].volumeMounts.subPath: Invalid value: \"../x\": must not contain '..'",
            // A volume with a fault cannot be mounted.
            "spec.containers[0].volumeMounts[1].name: Not found: \"w\"",
            "spec.containers[1].image: Required value",
            "spec.containers[1].name: Duplicate value: \"c\"",
            "spec.initContainers[0].name: Duplicate value: \"c\"",
        ]
    );
}

/// Guards that changed metadata is checked as often as on a real server, and that the message says it once.
#[tokio::test(start_paused = true)]
async fn causes_repeat_where_the_server_checks_again() {
    let cluster = still_cluster();
    create(&cluster, &pod("a")).await;
    assert_eq!(call(&cluster, "POST", "services", &service("a", "a")).await.0, 201);
    let change = json!({"metadata": {"labels": {"-": ""}}});
    for (path, name, count) in [("pods/a", "Pod \"a\"", 4), ("services/a", "Service \"a\"", 3)] {
        let lines = causes(&call(&cluster, "PATCH", path, &change).await, name);
        assert_eq!(lines.len(), count, "{lines:?}");
        assert!(lines[0].starts_with("metadata.labels: Invalid value: \"-\": name part"), "{lines:?}");
    }
}
