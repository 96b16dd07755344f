//! A Pod's defaults, as recorded from a real server, and the additions of its admission plugins: the volume with the
//! service account token, two tolerations, the priority.

use serde_json::{Map, Value, json};

use super::{items_mut, set_default, set_defaults};
use crate::random::Random;
use crate::store::text_at;
use crate::validate::quantity::Quantity;

const TOKEN_PATH: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// Sets the defaults of a new Pod.
pub(super) fn fill(pod: &mut Value, random: &mut Random) {
    let spec = &mut pod["spec"];
    fill_spec(spec);
    if spec["automountServiceAccountToken"] != json!(false) {
        mount_token(spec, &format!("kube-api-access-{}", random.suffix()));
    }
}

/// Sets the defaults of a new or changed Pod's spec.
pub(super) fn fill_spec(spec: &mut Value) {
    set_defaults(
        spec,
        json!({
            "restartPolicy": "Always",
            "terminationGracePeriodSeconds": 30,
            "dnsPolicy": "ClusterFirst",
            "serviceAccountName": "default",
            "securityContext": {},
            "schedulerName": "default-scheduler",
            "priority": 0,
            "enableServiceLinks": true,
            "preemptionPolicy": "PreemptLowerPriority",
        }),
    );
    let account = spec["serviceAccountName"].clone();
    set_default(spec, "serviceAccount", account);
    tolerate(spec);
    for list in ["containers", "initContainers"] {
        for container in items_mut(spec, list) {
            fill_container(container);
        }
    }
    for volume in items_mut(spec, "volumes") {
        fill_volume(volume);
    }
}

fn fill_container(container: &mut Value) {
    let pull = if pulls_always(text_at(container, &["image"])) { "Always" } else { "IfNotPresent" };
    set_defaults(
        container,
        json!({
            "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
            "imagePullPolicy": pull, "resources": {},
        }),
    );
    for port in items_mut(container, "ports") {
        set_default(port, "protocol", json!("TCP"));
    }
    fill_resources(&mut container["resources"]);
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if let Some(probe) = container.get_mut(probe).filter(|probe| probe.is_object()) {
            fill_probe(probe);
        }
    }
    for variable in items_mut(container, "env") {
        if let Some(field) = variable.pointer_mut("/valueFrom/fieldRef") {
            set_default(field, "apiVersion", json!("v1"));
        }
    }
}

fn fill_resources(resources: &mut Value) {
    for kind in ["limits", "requests"] {
        for amount in
            resources.get_mut(kind).and_then(Value::as_object_mut).into_iter().flat_map(Map::values_mut)
        {
            if let Some(quantity) = Quantity::from_json(amount) {
                *amount = quantity.canonical().into();
            }
        }
    }
    // An absent request defaults to the limit.
    let limits = resources.get("limits").and_then(Value::as_object).cloned().unwrap_or_default();
    for (key, limit) in limits {
        set_default(resources, "requests", json!({}));
        set_default(&mut resources["requests"], &key, limit);
    }
}

fn fill_probe(probe: &mut Value) {
    let times =
        json!({"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3});
    set_defaults(probe, times);
    if let Some(get) = probe.get_mut("httpGet") {
        set_defaults(get, json!({"path": "/", "scheme": "HTTP"}));
    }
}

fn fill_volume(volume: &mut Value) {
    if let Some(host) = volume.get_mut("hostPath") {
        set_default(host, "type", json!(""));
    }
    for source in ["configMap", "secret", "projected", "downwardAPI"] {
        if let Some(source) = volume.get_mut(source) {
            set_default(source, "defaultMode", json!(420));
        }
    }
    if volume.as_object().is_some_and(|fields| fields.keys().all(|key| key == "name")) {
        volume["emptyDir"] = json!({});
    }
}

/// Returns whether an image is pulled at every start: its tag is `latest` or absent.
fn pulls_always(image: &str) -> bool {
    let last = image.rsplit('/').next().unwrap_or(image);
    !last.contains('@') && last.split_once(':').is_none_or(|(_, tag)| tag == "latest")
}

fn tolerate(spec: &mut Value) {
    set_default(spec, "tolerations", json!([]));
    let Some(list) = spec["tolerations"].as_array_mut() else { return };
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        let tolerated = |t: &Value| t["key"] == key || (t.get("key").is_none() && t["operator"] == "Exists");
        if !list.iter().any(tolerated) {
            list.push(json!({"key": key, "operator": "Exists", "effect": "NoExecute",
                "tolerationSeconds": 300}));
        }
    }
}

fn mount_token(spec: &mut Value, name: &str) {
    let mut mounted = false;
    for list in ["containers", "initContainers"] {
        for container in items_mut(spec, list) {
            set_default(container, "volumeMounts", json!([]));
            let Some(mounts) = container["volumeMounts"].as_array_mut() else { continue };
            if mounts.iter().all(|mount| mount["mountPath"] != TOKEN_PATH) {
                mounts.push(json!({"name": name, "readOnly": true, "mountPath": TOKEN_PATH}));
                mounted = true;
            }
        }
    }
    if !mounted {
        return;
    }
    set_default(spec, "volumes", json!([]));
    let Some(volumes) = spec["volumes"].as_array_mut() else { return };
    volumes.push(json!({"name": name, "projected": {"defaultMode": 420, "sources": [
        {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [
            {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}},
        ]}},
        {"configMap": {"name": "openshift-service-ca.crt",
            "items": [{"key": "service-ca.crt", "path": "service-ca.crt"}]}},
    ]}}));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_without_a_fixed_tag_are_always_pulled() {
        for (image, always) in [
            ("a", true),
            ("a:latest", true),
            ("r:5000/a", true),
            ("r:5000/a:1", false),
            ("a@sha256:0", false),
        ] {
            assert_eq!(pulls_always(image), always, "{image}");
        }
    }
}
