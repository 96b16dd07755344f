//! Fields that a kind does not have. Kubernetes drops them and, as asked, says nothing, warns or refuses.
//!
//! Only the levels where a slip is likely are known here; below a field that is listed without its own shape, all
//! is accepted.

use serde_json::Value;

use crate::resource::{PODS, Resource, SERVICES};

/// The fields of one level.
struct Shape(&'static [(&'static str, Below)]);

/// What a field holds.
enum Below {
    Anything,
    One(&'static Shape),
    Many(&'static Shape),
}

use Below::{Anything as A, Many, One};

const META: Shape = Shape(&[
    ("annotations", A),
    ("creationTimestamp", A),
    ("deletionGracePeriodSeconds", A),
    ("deletionTimestamp", A),
    ("finalizers", A),
    ("generateName", A),
    ("generation", A),
    ("labels", A),
    ("managedFields", A),
    ("name", A),
    ("namespace", A),
    ("ownerReferences", A),
    ("resourceVersion", A),
    ("selfLink", A),
    ("uid", A),
]);
const POD: Shape = Shape(&[
    ("apiVersion", A),
    ("kind", A),
    ("metadata", One(&META)),
    ("spec", One(&POD_SPEC)),
    ("status", A),
]);
const POD_SPEC: Shape = Shape(&[
    ("activeDeadlineSeconds", A),
    ("affinity", A),
    ("automountServiceAccountToken", A),
    ("containers", Many(&CONTAINER)),
    ("dnsConfig", A),
    ("dnsPolicy", A),
    ("enableServiceLinks", A),
    ("ephemeralContainers", A),
    ("hostAliases", A),
    ("hostIPC", A),
    ("hostNetwork", A),
    ("hostPID", A),
    ("hostUsers", A),
    ("hostname", A),
    ("hostnameOverride", A),
    ("imagePullSecrets", A),
    ("initContainers", Many(&CONTAINER)),
    ("nodeName", A),
    ("nodeSelector", A),
    ("os", A),
    ("overhead", A),
    ("preemptionPolicy", A),
    ("priority", A),
    ("priorityClassName", A),
    ("readinessGates", A),
    ("resourceClaims", A),
    ("resources", A),
    ("restartPolicy", A),
    ("runtimeClassName", A),
    ("schedulerName", A),
    ("schedulingGates", A),
    ("securityContext", A),
    ("serviceAccount", A),
    ("serviceAccountName", A),
    ("setHostnameAsFQDN", A),
    ("shareProcessNamespace", A),
    ("subdomain", A),
    ("terminationGracePeriodSeconds", A),
    ("tolerations", A),
    ("topologySpreadConstraints", A),
    ("volumes", A),
    ("workloadRef", A),
]);
const CONTAINER: Shape = Shape(&[
    ("args", A),
    ("command", A),
    ("env", A),
    ("envFrom", A),
    ("image", A),
    ("imagePullPolicy", A),
    ("lifecycle", A),
    ("livenessProbe", A),
    ("name", A),
    ("ports", A),
    ("readinessProbe", A),
    ("resizePolicy", A),
    ("resources", A),
    ("restartPolicy", A),
    ("restartPolicyRules", A),
    ("securityContext", A),
    ("startupProbe", A),
    ("stdin", A),
    ("stdinOnce", A),
    ("terminationMessagePath", A),
    ("terminationMessagePolicy", A),
    ("tty", A),
    ("volumeDevices", A),
    ("volumeMounts", A),
    ("workingDir", A),
]);
const SERVICE: Shape = Shape(&[
    ("apiVersion", A),
    ("kind", A),
    ("metadata", One(&META)),
    ("spec", One(&SERVICE_SPEC)),
    ("status", A),
]);
const SERVICE_SPEC: Shape = Shape(&[
    ("allocateLoadBalancerNodePorts", A),
    ("clusterIP", A),
    ("clusterIPs", A),
    ("externalIPs", A),
    ("externalName", A),
    ("externalTrafficPolicy", A),
    ("healthCheckNodePort", A),
    ("internalTrafficPolicy", A),
    ("ipFamilies", A),
    ("ipFamilyPolicy", A),
    ("loadBalancerClass", A),
    ("loadBalancerIP", A),
    ("loadBalancerSourceRanges", A),
    ("ports", Many(&SERVICE_PORT)),
    ("publishNotReadyAddresses", A),
    ("selector", A),
    ("sessionAffinity", A),
    ("sessionAffinityConfig", A),
    ("trafficDistribution", A),
    ("type", A),
]);
const SERVICE_PORT: Shape = Shape(&[
    ("appProtocol", A),
    ("name", A),
    ("nodePort", A),
    ("port", A),
    ("protocol", A),
    ("targetPort", A),
]);

/// Removes the fields the kind does not have and returns their paths.
pub(crate) fn prune_unknown(resource: &Resource, value: &mut Value) -> Vec<String> {
    let mut unknown = Vec::new();
    match resource {
        r if r == PODS => prune(value, &POD, "", &mut unknown),
        r if r == SERVICES => prune(value, &SERVICE, "", &mut unknown),
        // Of other kinds only the metadata is known.
        _ => {
            if let Some(meta) = value.get_mut("metadata") {
                prune(meta, &META, "metadata", &mut unknown);
            }
        }
    }
    unknown
}

fn prune(value: &mut Value, shape: &Shape, path: &str, unknown: &mut Vec<String>) {
    let Some(fields) = value.as_object_mut() else { return };
    let join = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    fields.retain(|key, below| {
        let Some((_, known)) = shape.0.iter().find(|(name, _)| name == key) else {
            unknown.push(join(key));
            return false;
        };
        match known {
            A => {}
            One(shape) => prune(below, shape, &join(key), unknown),
            Many(shape) => {
                for (place, item) in below.as_array_mut().into_iter().flatten().enumerate() {
                    prune(item, shape, &format!("{}[{place}]", join(key)), unknown);
                }
            }
        }
        true
    });
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn unknown_fields_are_dropped_and_named_by_path() {
        let mut pod = json!({"bogus": 1, "metadata": {"name": "a", "lables": {}},
            "spec": {"containers": [{"name": "c", "imagee": "x"}]}});
        let mut unknown = prune_unknown(PODS, &mut pod);
        unknown.sort();
        assert_eq!(unknown, ["bogus", "metadata.lables", "spec.containers[0].imagee"]);
        assert_eq!(pod, json!({"metadata": {"name": "a"}, "spec": {"containers": [{"name": "c"}]}}));
    }
}
