//! The requests and limits of a Pod. Pure.

use serde_json::Value;

use crate::fields::items;
use crate::validate::quantity::Quantity;

/// Returns how much of a resource a Pod requests: the sum of its containers and sidecars, or what its init containers
/// need one after the other if that is more, and the overhead of its runtime.
pub(crate) fn requested(pod: &Value, key: &str) -> Quantity {
    let zero = Quantity::whole(0);
    let one = |container: &Value| container["resources"]["requests"].get(key).and_then(Quantity::from_json);
    let list = |name: &str| items(&pod["spec"][name]);
    let (mut sidecars, mut most) = (zero, zero);
    for container in list("initContainers") {
        let with = sidecars.plus(one(container).unwrap_or(zero));
        if container["restartPolicy"] == "Always" {
            sidecars = with;
        }
        most = if with.exceeds(most) { with } else { most };
    }
    let together = list("containers").filter_map(one).fold(sidecars, Quantity::plus);
    let sum = if most.exceeds(together) { most } else { together };
    pod["spec"]["overhead"].get(key).and_then(Quantity::from_json).map_or(sum, |overhead| sum.plus(overhead))
}

/// Returns the quality-of-service class for the requests and limits.
pub(crate) fn qos_class(spec: &Value) -> &'static str {
    let containers = ["containers", "initContainers"].into_iter().flat_map(|list| items(&spec[list]));
    let amounts = |c: &Value, kind: &str| -> Vec<(&str, Option<Quantity>)> {
        let of = &c["resources"][kind];
        ["cpu", "memory"].map(|key| (key, of.get(key).and_then(Quantity::from_json))).to_vec()
    };
    let mut any = false;
    let mut guaranteed = true;
    for container in containers {
        let (requests, limits) = (amounts(container, "requests"), amounts(container, "limits"));
        any |= requests.iter().chain(&limits).any(|(_, amount)| amount.is_some());
        guaranteed &= limits.iter().all(|(_, amount)| amount.is_some()) && requests == limits;
    }
    match (any, guaranteed) {
        (false, _) => "BestEffort",
        (true, true) => "Guaranteed",
        (true, false) => "Burstable",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Guards that sidecars run beside the containers, and that a runtime's overhead counts.
    #[test]
    fn sidecars_and_overhead_are_added() {
        let container = json!({"resources": {"requests": {"cpu": "1"}}});
        let mut asking = json!({"spec": {"containers": [container]}});
        let init = |cpu: &str| json!({"resources": {"requests": {"cpu": cpu}}});
        let mut sidecar = init("2");
        sidecar["restartPolicy"] = "Always".into();
        asking["spec"]["initContainers"] = json!([sidecar, init("500m")]);
        assert_eq!(requested(&asking, "cpu"), Quantity::whole(3));
        asking["spec"]["initContainers"][1] = init("4");
        assert_eq!(requested(&asking, "cpu"), Quantity::whole(6));
        asking["spec"]["overhead"] = json!({"cpu": "1"});
        assert_eq!(requested(&asking, "cpu"), Quantity::whole(7));
    }

    #[test]
    fn qos_class_follows_from_requests_and_limits() {
        let spec = |resources: Value| json!({"containers": [{"resources": resources}]});
        let full = json!({"cpu": "1", "memory": "1Gi"});
        assert_eq!(qos_class(&spec(json!({}))), "BestEffort");
        assert_eq!(qos_class(&spec(json!({"limits": full, "requests": full}))), "Guaranteed");
        assert_eq!(qos_class(&spec(json!({"requests": {"cpu": "1"}}))), "Burstable");
    }
}
