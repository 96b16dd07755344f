//! Group 09: the nodes.

use std::collections::BTreeSet;

use kubernetes::{
    manifest::Template,
    profile::{Amount, Profile, Quantity},
};
use lifecycle::ids::ProfileName;
use serde_json::Value;

use super::json::{has_condition, items, list, name, text};
use crate::{
    check::{Check, Outcome, check},
    facts::{Facts, Read, Unread},
};

pub(super) const CHECKS: &[Check] = &[
    check("SP0901", "there is a node", &["SP0306"], exists),
    check("SP0902", "a node takes Pods", &["SP0901"], one_takes_pods),
    check("SP0903", "all nodes are ready", &["SP0902"], all_are_ready),
    check("SP0904", "no node is short of memory, disk or processes", &["SP0902"], have_no_pressure),
    check("SP0905", "a node is large enough for each profile", &["SP0902"], are_large_enough),
    check("SP0906", "a node has the labels that each profile asks for", &["SP0902"], have_labels),
    check("SP0907", "the runtime classes of the profiles exist", &["SP0306"], runtime_classes),
    check("SP0908", "the priority classes of the profiles exist", &["SP0306"], priority_classes),
];

/// Returns the runtime classes and the priority classes that profiles name. Kubernetes' own priority classes always exist.
pub(crate) fn named_classes(template: &Template) -> (BTreeSet<String>, BTreeSet<String>) {
    let profiles = || template.profiles.iter().map(|(_, profile)| profile);
    let runtimes = profiles().filter_map(|profile| profile.runtime_class.clone()).collect();
    let priorities = profiles()
        .filter_map(|profile| profile.priority_class.clone())
        .filter(|class| !class.starts_with("system-"))
        .collect();
    (runtimes, priorities)
}

fn nodes(facts: &Facts) -> Result<&[Value], Outcome> {
    facts.cluster.nodes.as_deref().map_err(|unread| unread.skip("nodes"))
}

fn exists(facts: &Facts) -> Outcome {
    match nodes(facts) {
        Err(outcome) => outcome,
        Ok([]) => Outcome::failed(
            "the cluster has no node",
            "no machine has joined, or the autoscaler has removed all",
            "add a node; sandboxes stay Pending until then",
        ),
        Ok(nodes) => Outcome::passed(match nodes.len() {
            1 => "1 node".to_owned(),
            n => format!("{n} nodes"),
        }),
    }
}

/// Returns the taints of a node that keep Pods away.
fn taints(node: &Value) -> impl Iterator<Item = &Value> {
    let keeps_away = |taint: &&Value| matches!(text(taint, "/effect"), "NoSchedule" | "NoExecute");
    items(node, "/spec/taints").filter(keeps_away)
}

/// Returns why a node takes no Pods.
fn obstacle(facts: &Facts, node: &Value) -> Option<String> {
    let name = name(node);
    if !has_condition(node, "Ready", "True") {
        return Some(format!("{name} is not ready"));
    }
    if node.pointer("/spec/unschedulable").and_then(Value::as_bool) == Some(true) {
        return Some(format!("{name} is cordoned"));
    }
    intolerable_taints(facts, node).next().map(|taint| format!("{name} has the taint {taint}"))
}

/// Returns the keys of a node's taints that no profile tolerates.
fn intolerable_taints<'a>(facts: &'a Facts, node: &'a Value) -> impl Iterator<Item = &'a str> {
    let tolerates = |key: &str| {
        facts.settings.template.profiles.iter().any(|(_, profile)| {
            let mut all = profile.tolerations.iter().flatten();
            all.any(|toleration| toleration.key.as_deref().is_none_or(|tolerated| tolerated == key))
        })
    };
    taints(node).map(|taint| text(taint, "/key")).filter(move |key| !tolerates(key))
}

/// The beginning of the keys of taints that Kubernetes derives from the state of a node, such as `unreachable`.
const OF_STATE: &str = "node.kubernetes.io/";

/// Returns the nodes on which sandboxes may run. One that is lost or cordoned counts: it may come back, with its files.
pub(super) fn for_sandboxes(facts: &Facts) -> Result<Vec<&Value>, Outcome> {
    let is_open = |node: &&Value| intolerable_taints(facts, node).all(|key| key.starts_with(OF_STATE));
    Ok(nodes(facts)?.iter().filter(is_open).collect())
}

fn one_takes_pods(facts: &Facts) -> Outcome {
    let nodes = match nodes(facts) {
        Ok(nodes) => nodes,
        Err(outcome) => return outcome,
    };
    let obstacles: Vec<_> = nodes.iter().filter_map(|node| obstacle(facts, node)).collect();
    if obstacles.len() < nodes.len() {
        return Outcome::passed("");
    }
    Outcome::failed(
        list(&obstacles),
        "the kubelet of a node that is not ready has stopped; a cordon or a taint was set by an operator or a controller",
        "`kubectl describe node` shows conditions; `kubectl uncordon`; tolerate a taint with tolerations in a profile",
    )
}

fn all_are_ready(facts: &Facts) -> Outcome {
    let nodes = match nodes(facts) {
        Ok(nodes) => nodes,
        Err(outcome) => return outcome,
    };
    let lost: Vec<_> = nodes.iter().filter(|node| !has_condition(node, "Ready", "True")).map(name).collect();
    if lost.is_empty() {
        return Outcome::passed("");
    }
    Outcome::warned(
        format!("not ready: {}", list(&lost)),
        "the kubelet has stopped, or the node has lost its network; its sandboxes are not reachable",
        "`kubectl describe node`; PROVISIONER_NODE_LOST_TIMEOUT deletes the sandboxes of lost nodes",
    )
}

fn have_no_pressure(facts: &Facts) -> Outcome {
    let nodes = match nodes(facts) {
        Ok(nodes) => nodes,
        Err(outcome) => return outcome,
    };
    let pressed: Vec<_> = nodes
        .iter()
        .flat_map(|node| {
            let kinds = ["MemoryPressure", "DiskPressure", "PIDPressure"].into_iter();
            kinds
                .filter(|kind| has_condition(node, kind, "True"))
                .map(|kind| format!("{} has {kind}", name(node)))
        })
        .collect();
    if pressed.is_empty() {
        return Outcome::passed("");
    }
    Outcome::warned(
        list(&pressed),
        "images and logs fill the disk, or Pods use more than the node has",
        "remove unused images (`crictl rmi --prune`), lower the limits of sandboxes, or add nodes",
    )
}

/// Returns the requests of a profile's sandbox: CPU in cores, memory and disk in bytes.
fn requests(profile: Option<&Profile>) -> [(&'static str, f64); 3] {
    let defaults = kubernetes::manifest::default_resources();
    let of = |field: &str, own: Option<&Amount>| {
        let default = defaults.iter().find(|(name, _)| *name == field).map(|(_, amount)| amount);
        let amounts = || own.into_iter().chain(default);
        // A profile that sets only a limit keeps the default request.
        let request = amounts().find_map(|amount| amount.request.as_ref());
        let limit = || amounts().find_map(|amount| amount.limit.as_ref());
        request.or_else(limit).map(Quantity::amount).unwrap_or_default()
    };
    [
        ("cpu", of("cpu", profile.map(|profile| &profile.cpu))),
        ("memory", of("memory", profile.map(|profile| &profile.memory))),
        ("ephemeral-storage", of("ephemeral_storage", profile.map(|profile| &profile.ephemeral_storage))),
    ]
}

/// Returns the resource of which a node has too little, whatever else runs there.
fn lacks(node: &Value, requests: &[(&'static str, f64)]) -> Option<&'static str> {
    let too_small = |(resource, wanted): &&(&'static str, f64)| {
        let has = Quantity::of_kubernetes(text(node, &format!("/status/allocatable/{resource}")));
        has.is_some_and(|has| has.amount() < *wanted)
    };
    requests.iter().find(too_small).map(|(resource, _)| *resource)
}

fn are_large_enough(facts: &Facts) -> Outcome {
    let nodes = match nodes(facts) {
        Ok(nodes) => nodes,
        Err(outcome) => return outcome,
    };
    let template = &facts.settings.template;
    let named =
        template.profiles.iter().map(|(name, profile)| (format!("of the profile {name}"), Some(profile)));
    // A request without a profile has the default one, if it exists.
    let has_default = template.profiles.get(&ProfileName::default_profile()).is_some();
    let unnamed = (!has_default).then(|| ("without a profile".to_owned(), None));
    for (profile, fields) in unnamed.into_iter().chain(named) {
        let requests = requests(fields);
        let lacking: Vec<_> = nodes.iter().map_while(|node| lacks(node, &requests)).collect();
        if lacking.len() == nodes.len() {
            return Outcome::failed(
                format!("no node is large enough for a sandbox {profile}: too little {}", list(&lacking)),
                "the request of the sandbox is larger than every node, even an empty one",
                "lower cpu, memory or ephemeral_storage in the profile, or add a larger node",
            );
        }
    }
    Outcome::passed("")
}

fn have_labels(facts: &Facts) -> Outcome {
    let nodes = match nodes(facts) {
        Ok(nodes) => nodes,
        Err(outcome) => return outcome,
    };
    for (profile, fields) in facts.settings.template.profiles.iter() {
        let fits = |node: &&Value| {
            let labels = node.pointer("/metadata/labels");
            fields.node_selector.iter().all(|(key, value)| {
                labels.and_then(|labels| labels.get(key)).and_then(Value::as_str) == Some(value)
            })
        };
        if !fields.node_selector.is_empty() && !nodes.iter().any(|node| fits(&node)) {
            let wanted: Vec<_> =
                fields.node_selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
            return Outcome::warned(
                format!("no node has the labels of the profile {profile}: {}", list(&wanted)),
                "the node_selector is misspelt, or the nodes are added on demand by an autoscaler",
                "label a node (`kubectl label node`), or correct node_selector; ignore this with an autoscaler",
            );
        }
    }
    Outcome::passed("")
}

fn runtime_classes(facts: &Facts) -> Outcome {
    let (named, _) = named_classes(&facts.settings.template);
    classes(&named, &facts.cluster.runtime_classes, "RuntimeClass", "runtime_class")
}

fn priority_classes(facts: &Facts) -> Outcome {
    let (_, named) = named_classes(&facts.settings.template);
    classes(&named, &facts.cluster.priority_classes, "PriorityClass", "priority_class")
}

fn classes(
    named: &BTreeSet<String>,
    read: &std::collections::BTreeMap<String, Read<Value>>,
    kind: &str,
    field: &str,
) -> Outcome {
    if named.is_empty() {
        return Outcome::skipped("no profile names one");
    }
    let is_absent =
        |name: &&String| read.get(*name).is_some_and(|read| read.as_ref().is_err_and(Unread::is_absent));
    let missing: Vec<_> = named.iter().filter(is_absent).collect();
    if !missing.is_empty() {
        return Outcome::failed(
            format!("there is no {kind} {}", list(&missing)),
            "the cluster was set up without it, or the name is misspelt; Pods that name it are refused",
            format!("create the {kind}, or correct {field} in the profile"),
        );
    }
    match named.iter().find_map(|name| read.get(name)?.as_ref().err()) {
        Some(unread) => unread.skip(&format!("objects of the kind {kind}")),
        None => Outcome::passed(""),
    }
}
