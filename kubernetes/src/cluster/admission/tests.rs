use lifecycle::request::CreateRequest;
use serde_json::{Value, json};

use super::*;
use crate::{
    manifest::{self, Template},
    types::{Pod, Service},
};

fn id() -> SandboxId {
    SandboxId::parse("a").unwrap()
}

/// Returns what the check says of an object that a mutating admission has changed by this JSON merge patch.
fn changed<K: SandboxObject>(sent: &Value, patch: &Value) -> Option<String> {
    let mut answered = sent.clone();
    json_patch::merge(&mut answered, patch);
    let parse = |value: &Value| serde_json::from_value::<K>(value.clone()).unwrap();
    check(&id(), || Some(parse(sent)), &parse(&answered)).err().map(|error| {
        assert_eq!(error.kind, ClusterErrorKind::Mutated);
        error.message
    })
}

fn pod(patch: &Value) -> Option<String> {
    let pod = manifest::pod(&Template::default(), &CreateRequest::new(id())).unwrap();
    changed::<Pod>(&json!(pod), patch)
}

fn service(patch: &Value) -> Option<String> {
    changed::<Service>(&json!(manifest::service(&Template::default(), &CreateRequest::new(id()))), patch)
}

/// Guards that each change that makes a sandbox unusable is refused by the name of its field.
#[test]
fn a_change_that_breaks_us_names_its_field() {
    let ports = |port: Value| json!({"spec": {"ports": [port]}});
    for (told, field) in [
        (pod(&json!({"metadata": {"labels": null}})), "metadata.labels[\"app\"] (now absent)"),
        (pod(&json!({"metadata": {"labels": {"app": "x"}}})), "metadata.labels[\"app\"] (now \"x\")"),
        (
            pod(&json!({"metadata": {"labels": {"sandbox-id": "b"}}})),
            "metadata.labels[\"sandbox-id\"] (now \"b\")",
        ),
        (pod(&json!({"metadata": {"name": "x-sandbox-a"}})), "metadata.name (now \"x-sandbox-a\")"),
        (pod(&json!({"spec": {"containers": [{"name": "proxy"}]}})), "spec.containers"),
        (
            service(&json!({"metadata": {"labels": {"sandbox-id": null}}})),
            "metadata.labels[\"sandbox-id\"] (now absent)",
        ),
        (service(&json!({"spec": {"selector": {"version": "v1"}}})), "spec.selector (now {"),
        (service(&json!({"spec": {"selector": null}})), "spec.selector (now {})"),
        (service(&json!({"spec": {"type": "ClusterIP"}})), "spec.type (now \"ClusterIP\")"),
        (
            service(&ports(json!({"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}))),
            "spec.ports",
        ),
        (
            service(&ports(json!({"name": "http", "port": 8080, "targetPort": "web", "protocol": "TCP"}))),
            "spec.ports",
        ),
        (service(&json!({"spec": {"ports": []}})), "spec.ports"),
    ] {
        let told = told.unwrap();
        assert!(told.contains(field) && told.contains("a mutating admission"), "{field}: {told}");
    }
}

/// Guards that the usual changes of mutating admissions are accepted: defaults, added labels and annotations, injected
/// containers, other images, a load balancer.
#[test]
fn a_harmless_change_is_accepted() {
    assert_eq!(pod(&json!({})), None);
    assert_eq!(
        pod(&json!({"metadata": {"labels": {"team": "x"}, "annotations": {"injected": "true"}, "uid": "u"}})),
        None
    );
    let injected = json!([{"name": "proxy", "image": "p"}, {"name": "sandbox", "image": "mirror.example/i"}]);
    assert_eq!(pod(&json!({"spec": {"containers": injected, "nodeName": "n"}})), None);
    let port =
        json!({"name": "http", "port": 8080, "targetPort": 8080, "protocol": "TCP", "nodePort": 30001});
    for spec in [json!({"ports": [port], "clusterIP": "10.0.0.1"}), json!({"type": "LoadBalancer"})] {
        assert_eq!(service(&json!({ "spec": spec })), None, "{spec}");
    }
}
