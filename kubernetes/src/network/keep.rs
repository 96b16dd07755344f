//! Reads the policies, and writes those that are missing or differ.

use std::sync::Arc;

use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::core::{
    Request,
    params::{GetParams, Patch, PatchParams, PostParams},
};
use lifecycle::error::{ClusterError, ClusterErrorKind};
use serde_json::{Value, json};

use super::{
    call::{body, call, or_absent},
    control::Policies,
};
use crate::{connect::Connection, fault::Verb};

/// The action for one policy.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Action {
    /// It is as it should be.
    Nothing,
    /// It is missing.
    Create,
    /// It differs: a merge patch that corrects it.
    Patch(Value),
}

/// Compares a policy with the one in the cluster.
pub(super) fn decide(wanted: &NetworkPolicy, found: Option<&NetworkPolicy>) -> Action {
    let Some(found) = found else { return Action::Create };
    if found.spec == wanted.spec {
        return Action::Nothing;
    }
    let mut spec = json!(wanted.spec);
    // A merge patch replaces lists, and keeps the keys of tables unless they are null.
    let selector = &mut spec["podSelector"];
    selector["matchExpressions"] = Value::Null;
    let labels = found.spec.as_ref().and_then(|spec| spec.pod_selector.as_ref()?.match_labels.as_ref());
    for key in labels.into_iter().flat_map(|labels| labels.keys()) {
        if selector["matchLabels"].get(key).is_none() {
            selector["matchLabels"][key] = Value::Null;
        }
    }
    Action::Patch(json!({ "spec": spec }))
}

/// Returns whether a policy of the cluster is as it should be.
pub(crate) fn is_as_wanted(wanted: &NetworkPolicy, found: &NetworkPolicy) -> bool {
    decide(wanted, Some(found)) == Action::Nothing
}

/// Reads all policies, and writes those that are missing or differ.
pub(super) async fn all(connection: &Connection, policies: &[NetworkPolicy]) -> Policies {
    let mut differing: Vec<String> = Vec::new();
    for wanted in policies {
        let name = wanted.metadata.name.as_deref().unwrap_or_default();
        let found = match get(connection, name).await {
            Ok(found) => found,
            Err(fault) if fault.kind == ClusterErrorKind::Forbidden => {
                return Policies::Unreadable(unreadable(&fault));
            }
            Err(fault) => return Policies::Failed(format!("{name}: {fault}").into()),
        };
        let (what, written) = match decide(wanted, found.as_ref()) {
            Action::Nothing => continue,
            Action::Create => ("is missing", create(connection, wanted).await),
            Action::Patch(patch) => ("differs from the settings", correct(connection, name, &patch).await),
        };
        match written {
            Ok(()) => tracing::info!(policy = name, was = what, "wrote a network policy"),
            Err(fault) if is_permanent(&fault) => differing.push(format!("{name} {what} ({fault})")),
            Err(fault) => return Policies::Failed(format!("{name}: {fault}").into()),
        }
    }
    if differing.is_empty() {
        return Policies::AsConfigured;
    }
    let differing = differing.join(", ");
    Policies::Differ(
        format!(
            "{differing}; apply the output of render --network-policies as an administrator, or give the role the \
             rights \"create\" and \"patch\" on \"networkpolicies\", as a comment in config/rbac.yaml shows"
        )
        .into(),
    )
}

fn unreadable(fault: &ClusterError) -> Arc<str> {
    format!(
        "not allowed to read network policies ({fault}); give the role the right \"get\" on \"networkpolicies\", as a \
         comment in config/rbac.yaml shows"
    )
    .into()
}

fn is_permanent(fault: &ClusterError) -> bool {
    matches!(fault.kind, ClusterErrorKind::Forbidden | ClusterErrorKind::Denied | ClusterErrorKind::Invalid)
}

async fn get(connection: &Connection, name: &str) -> Result<Option<NetworkPolicy>, ClusterError> {
    let build = |request: Request| request.get(name, &GetParams::default());
    or_absent(call::<NetworkPolicy, NetworkPolicy>(connection, Verb::Get, build).await)
}

async fn create(connection: &Connection, policy: &NetworkPolicy) -> Result<(), ClusterError> {
    let build = |request: Request| request.create(&PostParams::default(), body(policy));
    call::<NetworkPolicy, NetworkPolicy>(connection, Verb::Create, build).await.map(drop)
}

async fn correct(connection: &Connection, name: &str, patch: &Value) -> Result<(), ClusterError> {
    let patch = Patch::Merge(patch);
    let build = |request: Request| request.patch(name, &PatchParams::default(), &patch);
    call::<NetworkPolicy, NetworkPolicy>(connection, Verb::Patch, build).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{Network, policies};

    /// Guards that an equal policy costs no write, and that the correction leaves nothing of another policy.
    #[test]
    fn a_policy_is_corrected_completely() {
        let network = Network { sources: vec!["10.0.0.7".parse().unwrap()], ..Network::default() };
        let wanted = policies(&network, "ns", 8080).remove(0);
        assert_eq!(decide(&wanted, None), Action::Create);
        let mut same = wanted.clone();
        same.metadata.resource_version = Some("7".to_owned());
        assert_eq!(decide(&wanted, Some(&same)), Action::Nothing);

        let mut other = json!(wanted);
        other["spec"]["podSelector"]["matchLabels"]["extra"] = "x".into();
        other["spec"]["podSelector"]["matchExpressions"] = json!([{"key": "a", "operator": "Exists"}]);
        other["spec"]["ingress"] = json!([{}]);
        let found = serde_json::from_value(other.clone()).unwrap();
        let Action::Patch(patch) = decide(&wanted, Some(&found)) else { panic!() };
        json_patch::merge(&mut other, &patch);
        assert_eq!(serde_json::from_value::<NetworkPolicy>(other).unwrap().spec, wanted.spec);
    }
}
