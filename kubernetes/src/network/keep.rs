//! Reads the policies, and writes those that are missing or differ.

use std::sync::Arc;

use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::core::{
    Request, Resource,
    params::{GetParams, Patch, PatchParams, PostParams},
};
use lifecycle::error::{ClusterError, ClusterErrorKind};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

use super::{
    call::{body, call, get_path, or_absent},
    control::Policies,
    host_names::{GROUP_VERSION, NamePolicy, PLURAL},
};
use crate::{connect::Connection, fault::Verb};

/// The action for one policy.
#[derive(Debug, Clone, PartialEq)]
enum Action {
    /// It is as it should be.
    Nothing,
    /// It is missing.
    Create,
    /// It differs: a merge patch that corrects it.
    Patch(Value),
}

/// The policies of the settings.
pub(super) struct Wanted {
    pub policies: Vec<NetworkPolicy>,
    /// The one for host names, if there are some.
    pub names: Option<NamePolicy>,
}

/// A policy of either kind.
pub(crate) trait Policy: Resource<DynamicType = ()> + Serialize + DeserializeOwned {
    fn spec(&self) -> Value;
}

/// The groups of the API server.
#[derive(Deserialize)]
struct Groups {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    versions: Vec<Version>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    group_version: String,
}

/// Compares the spec of a policy with the one in the cluster.
fn decide(wanted: &Value, found: Option<&Value>) -> Action {
    match found {
        None => Action::Create,
        Some(found) if found == wanted => Action::Nothing,
        Some(found) => Action::Patch(json!({"spec": merge_patch(found, wanted)})),
    }
}

/// Returns whether a policy of the cluster, as JSON, is as it should be.
pub(crate) fn is_as_wanted<K: Policy>(wanted: &K, found: Value) -> bool {
    let found = serde_json::from_value::<K>(found).ok();
    found.is_some_and(|found| decide(&wanted.spec(), Some(&found.spec())) == Action::Nothing)
}

/// Returns the merge patch that makes `wanted` of `found`: it keeps the keys of tables unless they are null.
fn merge_patch(found: &Value, wanted: &Value) -> Value {
    let (Value::Object(before), Value::Object(after)) = (found, wanted) else { return wanted.clone() };
    let mut patch = Map::new();
    for key in before.keys().filter(|key| !after.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    for (key, value) in after {
        match before.get(key) {
            Some(old) if old == value => {}
            Some(old) => drop(patch.insert(key.clone(), merge_patch(old, value))),
            None => drop(patch.insert(key.clone(), value.clone())),
        }
    }
    Value::Object(patch)
}

/// Reads all policies, and writes those that are missing or differ.
pub(super) async fn all(connection: &Connection, wanted: &Wanted) -> Policies {
    let mut differing = Vec::new();
    for policy in &wanted.policies {
        if let Err(end) = keep(connection, policy, &mut differing).await {
            return end;
        }
    }
    let mut of_names = Vec::new();
    if let Some(policy) = &wanted.names {
        match knows_names(connection).await {
            Ok(true) => {}
            Ok(false) => return Policies::Differ(no_names()),
            Err(fault) => return Policies::Failed(format!("the groups of the API server: {fault}").into()),
        }
        if let Err(end) = keep(connection, policy, &mut of_names).await {
            return end;
        }
    }
    let resource = if differing.is_empty() { PLURAL } else { "networkpolicies" };
    differing.extend(of_names);
    if differing.is_empty() {
        return Policies::AsConfigured;
    }
    let differing = differing.join(", ");
    Policies::Differ(
        format!(
            "{differing}; apply the output of render --network-policies as an administrator, or give the role the \
             rights \"create\" and \"patch\" on {resource:?}, as a comment in config/rbac.yaml shows"
        )
        .into(),
    )
}

/// Reads one policy, and writes it if it is missing or differs. Adds to `differing` what it may not write.
///
/// # Errors
/// Why the other policies are not looked at.
async fn keep<K: Policy>(
    connection: &Connection,
    wanted: &K,
    differing: &mut Vec<String>,
) -> Result<(), Policies> {
    let name = wanted.meta().name.as_deref().unwrap_or_default();
    let found = match get::<K>(connection, name).await {
        Ok(found) => found,
        Err(fault) if fault.kind == ClusterErrorKind::Forbidden => {
            return Err(Policies::Unreadable(unreadable::<K>(&fault)));
        }
        Err(fault) => return Err(Policies::Failed(format!("{name}: {fault}").into())),
    };
    let (what, written) = match decide(&wanted.spec(), found.map(|found| found.spec()).as_ref()) {
        Action::Nothing => return Ok(()),
        Action::Create => ("is missing", create(connection, wanted).await),
        Action::Patch(patch) => ("differs from the settings", correct::<K>(connection, name, &patch).await),
    };
    match written {
        Ok(()) => tracing::info!(policy = name, was = what, "wrote a network policy"),
        Err(fault) if is_permanent(&fault) => differing.push(format!("{name} {what} ({fault})")),
        Err(fault) => return Err(Policies::Failed(format!("{name}: {fault}").into())),
    }
    Ok(())
}

/// Returns whether the cluster has Cilium's policies.
async fn knows_names(connection: &Connection) -> Result<bool, ClusterError> {
    let Groups { groups } = get_path(connection, "/apis").await?;
    Ok(groups.iter().flat_map(|group| &group.versions).any(|version| version.group_version == GROUP_VERSION))
}

fn no_names() -> Arc<str> {
    format!(
        "network_allow (PROVISIONER_NETWORK_ALLOW) has host names, and a NetworkPolicy knows only addresses; this \
         cluster does not have {PLURAL} ({GROUP_VERSION}); use addresses, or install Cilium"
    )
    .into()
}

fn unreadable<K: Policy>(fault: &ClusterError) -> Arc<str> {
    let resource = K::plural(&());
    format!(
        "not allowed to read network policies ({fault}); give the role the right \"get\" on {resource:?}, as a comment \
         in config/rbac.yaml shows"
    )
    .into()
}

fn is_permanent(fault: &ClusterError) -> bool {
    matches!(fault.kind, ClusterErrorKind::Forbidden | ClusterErrorKind::Denied | ClusterErrorKind::Invalid)
}

async fn get<K: Policy>(connection: &Connection, name: &str) -> Result<Option<K>, ClusterError> {
    let build = |request: Request| request.get(name, &GetParams::default());
    or_absent(call::<K, K>(connection, Verb::Get, build).await)
}

async fn create<K: Policy>(connection: &Connection, policy: &K) -> Result<(), ClusterError> {
    let build = |request: Request| request.create(&PostParams::default(), body(policy));
    call::<K, K>(connection, Verb::Create, build).await.map(drop)
}

async fn correct<K: Policy>(connection: &Connection, name: &str, patch: &Value) -> Result<(), ClusterError> {
    let patch = Patch::Merge(patch);
    let build = |request: Request| request.patch(name, &PatchParams::default(), &patch);
    call::<K, K>(connection, Verb::Patch, build).await.map(drop)
}

impl Policy for NetworkPolicy {
    fn spec(&self) -> Value {
        json!(self.spec)
    }
}

impl Policy for NamePolicy {
    fn spec(&self) -> Value {
        self.spec().clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::{
        fake::{Answer, Asked, failure, server},
        network::{Allowed, Network, name_policy, policies},
    };

    /// Guards that an equal policy costs no write, and that the correction leaves nothing of another policy.
    #[test]
    fn a_policy_is_corrected_completely() {
        let network = Network { sources: vec!["10.0.0.7".parse().unwrap()], ..Network::default() };
        let wanted = json!(policies(&network, "ns", 8080).remove(0));
        let spec = &wanted["spec"];
        assert_eq!(decide(spec, None), Action::Create);
        assert_eq!(decide(spec, Some(spec)), Action::Nothing);
        let mut other = wanted.clone();
        other["spec"]["podSelector"]["matchLabels"]["extra"] = "x".into();
        other["spec"]["podSelector"]["matchExpressions"] = json!([{"key": "a", "operator": "Exists"}]);
        other["spec"]["ingress"] = json!([{}]);
        let Action::Patch(patch) = decide(spec, Some(&other["spec"])) else { panic!() };
        json_patch::merge(&mut other, &patch);
        assert_eq!(other["spec"], *spec);
    }

    /// Answers as an API server that has these policies, and Cilium's resource or not.
    fn answer(objects: &Mutex<Vec<Value>>, has_cilium: bool, asked: &Asked) -> Answer {
        let mut objects = objects.lock().unwrap();
        let name = asked.path.rsplit('/').next().unwrap_or_default();
        let is_named = |object: &Value| object["metadata"]["name"] == name;
        match asked.method.as_str() {
            "GET" if asked.path == "/apis" => {
                let group = if has_cilium { "cilium.io" } else { "example.com" };
                let versions = ["v2", "v2alpha1"]
                    .map(|version| json!({"groupVersion": format!("{group}/{version}"), "version": version}));
                let groups = json!([{"name": group, "versions": versions}]);
                Answer::Json(200, json!({"kind": "APIGroupList", "groups": groups}))
            }
            "GET" => match objects.iter().find(|object| is_named(object)) {
                Some(object) => Answer::Json(200, object.clone()),
                None => failure(404, "NotFound", &format!("networkpolicies {name:?} not found")),
            },
            "POST" => {
                objects.push(asked.body.clone());
                Answer::Json(201, asked.body.clone())
            }
            _ => {
                let object = objects.iter_mut().find(|object| is_named(object)).unwrap();
                json_patch::merge(object, &asked.body);
                Answer::Json(200, object.clone())
            }
        }
    }

    fn settings(allow: &[&str]) -> Wanted {
        let names = allow.iter().map(|text| match text.parse() {
            Ok(Allowed::Name(name)) => name,
            other => panic!("{other:?}"),
        });
        let network = Network { allow_names: names.collect(), ..Network::default() };
        Wanted { policies: policies(&network, "rec", 8080), names: name_policy(&network, "rec") }
    }

    /// Guards that host names become a policy of Cilium where the cluster has it, that it is kept as the settings say, and
    /// that without it the answer says so. Without host names there is no such call.
    #[tokio::test(start_paused = true)]
    async fn names_need_cilium() {
        let stored = Arc::new(Mutex::new(Vec::new()));
        let objects = stored.clone();
        let (connection, log) = server(move |_, asked| answer(&objects, true, asked));
        let named = settings(&["db.example.com:5432"]);
        assert_eq!(all(&connection, &named).await, Policies::AsConfigured);
        let path = "/apis/cilium.io/v2/namespaces/rec/ciliumnetworkpolicies";
        assert!(log.lines().contains(&format!("POST {path}")), "{:?}", log.lines());
        let writes = || log.lines().iter().filter(|line| !line.starts_with("GET")).count();
        assert_eq!((writes(), stored.lock().unwrap().len()), (3, 3));
        assert_eq!(all(&connection, &named).await, Policies::AsConfigured);
        assert_eq!(writes(), 3, "nothing differs");

        let other = settings(&["*.example.org"]);
        assert_eq!(all(&connection, &other).await, Policies::AsConfigured);
        let wanted = json!(other.names)["spec"].clone();
        assert_eq!((writes(), &stored.lock().unwrap()[2]["spec"]), (4, &wanted));

        let objects = Arc::new(Mutex::new(Vec::new()));
        let (connection, log) = server(move |_, asked| answer(&objects, false, asked));
        let Policies::Differ(why) = all(&connection, &named).await else { panic!() };
        assert!(why.contains("has host names") && why.contains("cilium.io/v2"), "{why}");
        assert!(log.lines().iter().all(|line| !line.contains(PLURAL)), "{:?}", log.lines());
        assert_eq!(all(&connection, &settings(&[])).await, Policies::AsConfigured);
        assert_eq!(log.lines().iter().filter(|line| *line == "GET /apis").count(), 1, "only for names");
    }
}
