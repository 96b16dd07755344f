//! Group 07: claims, storage classes and host paths.

use std::{collections::BTreeSet, path::Path};

use kubernetes::{manifest::Template, profile::AccessMode};
use serde_json::Value;

use super::{
    json::{items, list, name, text},
    nodes,
};
use crate::{
    check::{Check, Outcome, check},
    facts::{Facts, Read, Unread},
};

pub(super) const CHECKS: &[Check] = &[
    check("SP0701", "the claims of the settings exist", &["SP0602"], exist),
    check("SP0702", "the claims of the settings are bound", &["SP0701"], are_bound),
    check("SP0703", "all nodes can mount the claims", &["SP0702"], are_shared),
    check("SP0704", "the storage classes of workspaces exist", &["SP0306"], classes_exist),
    check("SP0705", "extra mounts of the threads are allowed", &["SP0101"], paths_are_nested),
    check("SP0706", "the host paths exist", &["SP0306"], paths_exist),
    check("SP0707", "the host paths are on one node", &["SP0306"], paths_are_on_one_node),
];

/// Returns the claims of the settings, each with the variable that names it.
pub(crate) fn claims_of(template: &Template) -> Vec<(&'static str, &str)> {
    [("SKILLS_PVC_NAME", &template.skills_pvc), ("USERDATA_PVC_NAME", &template.userdata_pvc)]
        .into_iter()
        .filter_map(|(variable, claim)| Some((variable, claim.as_deref()?)))
        .collect()
}

/// A claim of the settings: the variable that names it, its name, and its object.
type Claim<'a> = (&'static str, &'a str, &'a Read<Value>);

/// Returns the claims that were read, or the outcome if there are none.
fn claims(facts: &Facts) -> Result<Vec<Claim<'_>>, Outcome> {
    let named = claims_of(&facts.settings.template);
    if named.is_empty() {
        return Err(Outcome::skipped("the settings name no claim"));
    }
    let read: Option<Vec<_>> = named
        .into_iter()
        .map(|(variable, claim)| Some((variable, claim, facts.cluster.claims.get(claim)?)))
        .collect();
    read.ok_or_else(|| Outcome::skipped("the claims could not be read"))
}

fn exist(facts: &Facts) -> Outcome {
    let claims = match claims(facts) {
        Ok(claims) => claims,
        Err(outcome) => return outcome,
    };
    let missing: Vec<_> = claims
        .iter()
        .filter(|(.., read)| read.as_ref().is_err_and(Unread::is_absent))
        .map(|(variable, claim, _)| format!("{claim} ({variable})"))
        .collect();
    if !missing.is_empty() {
        return Outcome::failed(
            format!("there is no claim {}", list(&missing)),
            "the claim is in another namespace, or was never created",
            "create the PersistentVolumeClaim in the namespace of the sandboxes",
        );
    }
    match claims.iter().find_map(|(.., read)| read.as_ref().err()) {
        Some(unread) => unread.skip("claims"),
        None => Outcome::passed(""),
    }
}

/// Returns whether a claim waits for its first Pod; `None` if its class could not be read.
fn waits_for_pod(facts: &Facts, claim: &Value) -> Option<bool> {
    let class = text(claim, "/spec/storageClassName");
    // Kubernetes binds a claim without a class, or with one that does not exist, as soon as a volume fits.
    if class.is_empty() {
        return Some(false);
    }
    let classes = facts.cluster.storage_classes.as_deref().ok()?;
    let found = classes.iter().find(|found| name(found) == class);
    Some(found.is_some_and(|class| text(class, "/volumeBindingMode") == "WaitForFirstConsumer"))
}

fn are_bound(facts: &Facts) -> Outcome {
    let claims = match claims(facts) {
        Ok(claims) => claims,
        Err(outcome) => return outcome,
    };
    let mut unknown = None;
    for (_, name, read) in claims {
        let Ok(claim) = read else { continue };
        let phase = text(claim, "/status/phase");
        if claim.pointer("/metadata/deletionTimestamp").is_some() {
            return Outcome::failed(
                format!("the claim {name} is terminating"),
                "it was deleted, and stays until no Pod uses it",
                "create it again after its end; new sandboxes stay Pending until then",
            );
        }
        if phase == "Lost" {
            return Outcome::failed(
                format!("the claim {name} has lost its volume"),
                "the PersistentVolume was deleted",
                "delete the claim and create it again; its data is gone with the volume",
            );
        }
        if phase == "Bound" {
            continue;
        }
        match waits_for_pod(facts, claim) {
            Some(true) => {}
            Some(false) => {
                return Outcome::failed(
                    format!("the claim {name} is {phase}"),
                    "no PersistentVolume fits, its class does not exist, or the provisioner of the class does not work",
                    format!("`kubectl describe pvc {name}` shows the reason"),
                );
            }
            None => {
                unknown = Some(format!(
                    "the claim {name} is {phase}, and the storage classes, which say whether it waits for a Pod, \
                     could not be read"
                ));
            }
        }
    }
    unknown.map_or_else(|| Outcome::passed(""), Outcome::skipped)
}

fn are_shared(facts: &Facts) -> Outcome {
    let claims = match claims(facts) {
        Ok(claims) => claims,
        Err(outcome) => return outcome,
    };
    // Without the right to list nodes, a single one is assumed.
    let nodes = nodes::for_sandboxes(facts).map_or(1, |nodes| nodes.len());
    let is_single = |claim: &Value| {
        items(claim, "/spec/accessModes").all(|mode| mode != "ReadWriteMany" && mode != "ReadOnlyMany")
    };
    let single: Vec<_> = claims
        .iter()
        .filter(|(.., read)| read.as_ref().is_ok_and(is_single))
        .map(|(_, name, _)| (*name).to_owned())
        .collect();
    if nodes < 2 || single.is_empty() {
        return Outcome::passed("");
    }
    Outcome::warned(
        format!("only one node can mount {}, and {nodes} nodes take Pods", list(&single)),
        "with ReadWriteOnce, sandboxes on other nodes stay in ContainerCreating (FailedAttachVolume)",
        "use a claim with ReadWriteMany, or keep sandboxes on one node with node_selector in a profile",
    )
}

fn classes_exist(facts: &Facts) -> Outcome {
    let workspaces: Vec<_> = facts
        .settings
        .template
        .profiles
        .iter()
        .filter_map(|(name, profile)| Some((name, profile.workspace.as_ref()?)))
        .collect();
    if workspaces.is_empty() {
        return Outcome::skipped("no profile has a workspace");
    }
    let classes = match &facts.cluster.storage_classes {
        Ok(classes) => classes,
        Err(unread) => return unread.skip("storage classes"),
    };
    let is_default = |class: &&Value| {
        text(class, "/metadata/annotations/storageclass.kubernetes.io~1is-default-class") == "true"
    };
    for (profile, workspace) in workspaces {
        let (what, class) = match &workspace.storage_class {
            Some(wanted) => (
                format!("the storage class {wanted} of the profile {profile}"),
                classes.iter().find(|class| name(class) == wanted),
            ),
            None => (
                format!("a default storage class, which the profile {profile} uses,"),
                classes.iter().find(is_default),
            ),
        };
        let Some(class) = class else {
            return Outcome::failed(
                format!("{what} does not exist"),
                "the cluster has other classes, or none",
                "set workspace.storage_class to one of `kubectl get storageclasses`",
            );
        };
        let is_local = text(class, "/provisioner") == "rancher.io/local-path";
        if workspace.access_mode == AccessMode::ReadWriteMany && is_local {
            return Outcome::failed(
                format!("{what} makes directories of one node, and the workspace is ReadWriteMany"),
                "the class of kind and k3s does not share volumes",
                "use a class of a network file system, or another access_mode",
            );
        }
    }
    Outcome::passed("")
}

fn paths_are_nested(facts: &Facts) -> Outcome {
    let template = &facts.settings.template;
    let (threads, base) = (template.threads_host_path.as_str(), template.host_base_dir.as_str());
    if template.userdata_pvc.is_some() {
        return Outcome::skipped("the users' data is on a claim");
    }
    if base.is_empty() {
        return Outcome::passed("there is no state directory");
    }
    let is_below = |separator: &str| {
        threads.strip_prefix(base.trim_end_matches(separator)).is_some_and(|rest| rest.starts_with(separator))
    };
    if is_below("/") || is_below("\\") {
        return Outcome::passed("");
    }
    Outcome::warned(
        format!("THREADS_HOST_PATH {threads:?} is not below DEER_FLOW_HOST_BASE_DIR {base:?}"),
        "the two are of different installations; extra mounts outside DEER_FLOW_HOST_BASE_DIR are answered 400",
        "set both to the paths on the node, as DeerFlow has them: BASE and BASE/threads",
    )
}

fn paths_exist(facts: &Facts) -> Outcome {
    let access = match facts.access() {
        Ok(access) => access,
        Err(outcome) => return outcome,
    };
    let is_here = access.host == "localhost"
        || access.host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    if facts.machine.is_container || !is_here {
        return Outcome::skipped("the files of the nodes cannot be seen from here");
    }
    let template = &facts.settings.template;
    let is_default =
        template.skills_host_path.is_none() && template.host_base_dir == Template::default().host_base_dir;
    if is_default || template.skills_pvc.is_some() {
        return Outcome::skipped("the settings name no directory of skills");
    }
    let skills = template.skills_host_path.as_deref().unwrap_or(&template.host_base_dir);
    if skills.is_empty() || Path::new(skills).is_dir() {
        return Outcome::passed("");
    }
    Outcome::warned(
        format!("there is no directory {skills} (the skills) on this machine"),
        "the cluster seems to run on this machine; the paths must exist on its node",
        "create the directories, or set DEER_FLOW_HOST_BASE_DIR and SKILLS_HOST_PATH to those of DeerFlow; ignore \
         this if the node is a container or a virtual machine with other files",
    )
}

fn paths_are_on_one_node(facts: &Facts) -> Outcome {
    let template = &facts.settings.template;
    if facts.is_of_another_cluster() {
        return Outcome::skipped("the sandboxes of the embedded cluster use no files");
    }
    let nodes = match nodes::for_sandboxes(facts) {
        Ok(nodes) => nodes.len(),
        Err(outcome) => return outcome,
    };
    let mut paths = BTreeSet::new();
    if template.userdata_pvc.is_none() {
        paths.insert(template.threads_host_path.as_str());
    }
    if template.skills_pvc.is_none() {
        paths.insert(template.skills_host_path.as_deref().unwrap_or(&template.host_base_dir));
    }
    if nodes < 2 || paths.is_empty() {
        return Outcome::passed("");
    }
    Outcome::warned(
        format!("{nodes} nodes take Pods, and each has files of its own at {}", list(&Vec::from_iter(paths))),
        "a sandbox sees the files of its node, so a thread may lose its data with each new sandbox",
        "use claims with ReadWriteMany (USERDATA_PVC_NAME, SKILLS_PVC_NAME), or the same network file system on all \
         nodes",
    )
}
