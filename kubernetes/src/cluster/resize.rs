//! Resizes the container `sandbox` in place, with the subresource `resize` of its Pod.

use kube::core::params::{Patch, PatchParams};
use lifecycle::{
    error::{ClusterError, ClusterErrorKind},
    ids::SandboxId,
    observed::{ObservedPod, Uid},
    spec::Resources,
    traits::Outcome,
};
use serde_json::{Map, Value, json};

use super::{KubeCluster, Operation};
use crate::{
    fault::{ClassifiedError, Verb},
    names, observe,
    profile::{Amount, Quantity},
    types::Pod,
};

/// A change of the limit of CPU that a Pod is to get once it is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct CpuAfterStart<'a> {
    old: &'a str,
    new: &'a str,
}

impl KubeCluster {
    /// Sets these limits, if the Pod still has this uid. The requests depend on those that the Pod has, so it is read first.
    pub(super) async fn resize_pod(
        &self,
        id: &SandboxId,
        uid: &Uid,
        wanted: &Resources,
    ) -> Outcome<ObservedPod> {
        let pod = match self.get::<Pod>(id).await {
            Ok(Some(pod)) if observe::uid(&pod.metadata).as_ref() == Some(uid) => pod,
            Ok(_) => {
                let why = "another Pod has its name, or none";
                return Outcome::Refused(ClusterError::new(ClusterErrorKind::NotFound, why));
            }
            Err(fault) => return Outcome::Refused(fault),
        };
        let after_start = cpu_after_start(&pod, wanted);
        let annotated = async |cpu| self.patch_pod(id, None, &Patch::Merge(annotation_patch(uid, cpu))).await;
        if let Some(CpuAfterStart { new, .. }) = after_start
            && let Err(error) = annotated(new).await
        {
            return error.into();
        }
        let patch = Patch::Strategic(resize_patch(&pod, uid, wanted));
        let outcome = self.written(id, self.patch_pod(id, Some("resize"), &patch).await);
        // A refused resize changes nothing, also not once the sandbox is ready.
        if let (Outcome::Refused(_), Some(CpuAfterStart { old, .. })) = (&outcome, after_start)
            && let Err(error) = annotated(old).await
            && error.fault.kind != ClusterErrorKind::NotFound
        {
            tracing::warn!(
                sandbox_id = %id, fault = %error.fault,
                "a resize was refused, and the annotation with the CPU after the start could not be set back"
            );
        }
        outcome
    }

    async fn patch_pod(
        &self,
        id: &SandboxId,
        subresource: Option<&str>,
        patch: &Patch<Value>,
    ) -> Result<Pod, ClassifiedError> {
        let name = names::pod(id);
        let operation = Operation::<Pod>::new(&self.connection, Verb::Patch, &name);
        let params = PatchParams::default();
        let build = || match subresource {
            Some(subresource) => operation.path().patch_subresource(subresource, &name, &params, patch),
            None => operation.path().patch(&name, &params, patch),
        };
        operation.run(build, None, None).await
    }
}

/// Returns the change of the limit of CPU that a Pod is to get once it is ready: the limit of a resize is also the one after
/// the start.
fn cpu_after_start<'a>(pod: &'a Pod, wanted: &'a Resources) -> Option<CpuAfterStart<'a>> {
    let old = pod.metadata.annotations.as_ref()?.get(names::CPU_AFTER_START)?;
    let new = wanted.cpu.as_ref().filter(|cpu| !Quantity::is_same_text(cpu, old))?;
    Some(CpuAfterStart { old, new })
}

fn annotation_patch(Uid(uid): &Uid, cpu: &str) -> Value {
    json!({"metadata": {"uid": &**uid, "annotations": { names::CPU_AFTER_START: cpu }}})
}

/// Returns the patch that sets these limits, with the requests that follow.
fn resize_patch(pod: &Pod, Uid(uid): &Uid, wanted: &Resources) -> Value {
    let (mut limits, mut requests) = (Map::new(), Map::new());
    let (has, requested) = (&pod.spec.resources, &pod.requests);
    for (name, wanted, limit, request) in [
        ("cpu", &wanted.cpu, &has.cpu, &requested.cpu),
        ("memory", &wanted.memory, &has.memory, &requested.memory),
    ] {
        let Some(wanted) = wanted else { continue };
        limits.insert(name.to_owned(), wanted.as_str().into());
        let quantity = |text: &Option<String>| Quantity::of_kubernetes(text.as_deref()?);
        let amount = Amount { request: quantity(request), limit: quantity(limit) };
        let request = Quantity::of_kubernetes(wanted).and_then(|wanted| amount.with_limit(wanted).request);
        if let Some(request) = request {
            requests.insert(name.to_owned(), request.as_str().into());
        }
    }
    let sandbox =
        json!({"name": names::SANDBOX_CONTAINER, "resources": {"limits": limits, "requests": requests}});
    json!({"metadata": {"uid": &**uid}, "spec": {"containers": [sandbox]}})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(requests: &Value, limits: &Value, after_start: Option<&str>) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"uid": "u", "annotations": { names::CPU_AFTER_START: after_start }},
            "spec": {"containers": [{"name": "sandbox", "resources": {"requests": requests, "limits": limits}}]},
        }))
        .unwrap()
    }

    fn wanted(cpu: Option<&str>, memory: Option<&str>) -> Resources {
        let text = |text: Option<&str>| text.map(str::to_owned);
        Resources { cpu: text(cpu), memory: text(memory), ephemeral_storage: None }
    }

    /// Guards which limits and requests a resize sets: a request that is its limit follows it, another one stays unless it
    /// would be above the limit, and a resource that is not named is not in the patch.
    #[test]
    fn requests_follow_as_in_a_create() {
        let (requests, limits) =
            (json!({"cpu": "200m", "memory": "1Gi"}), json!({"cpu": "1", "memory": "1024Mi"}));
        for (cpu, memory, new_limits, new_requests) in [
            (Some("2"), None, json!({"cpu": "2"}), json!({"cpu": "200m"})),
            (Some("100m"), None, json!({"cpu": "100m"}), json!({"cpu": "100m"})),
            (None, Some("2Gi"), json!({"memory": "2Gi"}), json!({"memory": "2Gi"})),
            (
                Some("1"),
                Some("1Gi"),
                json!({"cpu": "1", "memory": "1Gi"}),
                json!({"cpu": "200m", "memory": "1Gi"}),
            ),
        ] {
            let patch = resize_patch(&pod(&requests, &limits, None), &Uid("u".into()), &wanted(cpu, memory));
            let resources = json!({"limits": new_limits, "requests": new_requests});
            let containers = json!([{"name": "sandbox", "resources": resources}]);
            assert_eq!(patch, json!({"metadata": {"uid": "u"}, "spec": {"containers": containers}}));
        }
        let none =
            resize_patch(&pod(&json!({}), &json!({}), None), &Uid("u".into()), &wanted(Some("2"), None));
        assert_eq!(
            none["spec"]["containers"][0]["resources"],
            json!({"limits": {"cpu": "2"}, "requests": {}})
        );
    }

    /// Guards that a Pod whose CPU is to be lowered after its start is lowered to the CPU of the last resize.
    #[test]
    fn a_resize_is_also_for_after_the_start() {
        let annotation = |after_start, cpu, memory| {
            let pod = pod(&json!({}), &json!({"cpu": "4"}), after_start);
            cpu_after_start(&pod, &wanted(cpu, memory)).map(|change| change.new.to_owned())
        };
        assert_eq!(annotation(Some("1"), Some("2"), None).as_deref(), Some("2"));
        assert_eq!(annotation(Some("1"), Some("4"), Some("1Gi")).as_deref(), Some("4"));
        assert_eq!(annotation(Some("1"), Some("1000m"), None), None, "it is to get that already");
        assert_eq!(annotation(Some("1"), None, Some("1Gi")), None);
        assert_eq!(annotation(None, Some("2"), None), None);
    }
}
