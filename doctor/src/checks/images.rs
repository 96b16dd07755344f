//! Group 10: the images of sandboxes.

use std::collections::BTreeSet;

use kubernetes::manifest::Template;
use lifecycle::ids::ProfileName;
use serde_json::Value;

use super::{
    json::{items, list, name},
    nodes,
};
use crate::{
    check::{Check, Outcome, check},
    facts::Facts,
};

pub(super) const CHECKS: &[Check] = &[
    check("SP1001", "the nodes have the images of sandboxes", &["SP0902"], are_present),
    check("SP1002", "the images of sandboxes can be pulled", &["SP0306", "SP0502"], can_be_pulled),
];

/// The number of images that a kubelet reports (`--node-status-max-images`). A node that reports as many has more.
const REPORTED_MAX: usize = 50;

/// The reasons of a Pod whose image cannot be pulled.
const PULL_FAILURES: [&str; 4] =
    ["ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"];

/// Returns the images that sandboxes may have.
fn wanted_images(template: &Template) -> BTreeSet<&str> {
    let profiles = || template.profiles.iter().map(|(_, profile)| profile.image.as_deref());
    // A request without a profile has the default one, if it exists.
    let has_default = template.profiles.get(&ProfileName::default_profile()).is_some();
    let is_used = !has_default || profiles().any(|image| image.is_none());
    let own = is_used.then_some(template.image.as_str());
    let lark = [template.lark_init_image.as_deref(), template.lark_broker_image.as_deref()];
    profiles().chain(lark).flatten().chain(own).collect()
}

/// Returns the name of an image with the registry and the tag that are left out, and without a tag beside a digest.
fn full_name(image: &str) -> String {
    let (first, rest) = image.split_once('/').unwrap_or(("", image));
    let has_registry = first.contains(['.', ':']) || first == "localhost";
    let named = match first {
        "" => format!("docker.io/library/{rest}"),
        "docker.io" if !rest.contains('/') => format!("docker.io/library/{rest}"),
        _ if has_registry => image.to_owned(),
        _ => format!("docker.io/{image}"),
    };
    let (path, last) = named.rsplit_once('/').unwrap_or_default();
    match last.split_once('@') {
        // A node reports the tag and the digest of an image as two names.
        Some((tagged, digest)) => format!("{path}/{}@{digest}", tagged.split(':').next().unwrap_or_default()),
        None if last.contains(':') => named,
        None => format!("{named}:latest"),
    }
}

fn has_image(node: &Value, image: &str) -> bool {
    let wanted = full_name(image);
    items(node, "/status/images")
        .flat_map(|image| items(image, "/names"))
        .filter_map(Value::as_str)
        .any(|found| full_name(found) == wanted)
}

fn are_present(facts: &Facts) -> Outcome {
    if facts.is_of_another_cluster() {
        return Outcome::skipped("the embedded cluster pulls no images");
    }
    let nodes = match nodes::for_sandboxes(facts) {
        Ok(nodes) => nodes,
        Err(outcome) => return outcome,
    };
    let mut absent = Vec::new();
    let mut is_unknown = false;
    for image in wanted_images(&facts.settings.template) {
        for node in nodes.iter().filter(|node| !has_image(node, image)) {
            let reported = items(node, "/status/images").count();
            if reported == 0 || reported >= REPORTED_MAX {
                is_unknown = true;
            } else {
                absent.push(format!("{image} on {}", name(node)));
            }
        }
    }
    if !absent.is_empty() {
        return Outcome::warned(
            format!("absent: {}", list(&absent)),
            "the image was never pulled there; the first sandbox of a node waits for the pull, which may take minutes",
            "pull it in advance, for example with config/prepull.yaml",
        );
    }
    if is_unknown {
        return Outcome::skipped("not known: a node reports none of its images, or as many as it can");
    }
    Outcome::passed("")
}

fn can_be_pulled(facts: &Facts) -> Outcome {
    let sandboxes = match facts.sandboxes() {
        Ok(sandboxes) => sandboxes,
        Err(outcome) => return outcome,
    };
    let Ok(pods) = &sandboxes.pods else {
        return Outcome::skipped("Pods could not be read");
    };
    let failing: Vec<_> = pods
        .ours
        .iter()
        .filter_map(|(id, pod)| {
            let reason =
                pod.observed.reason.as_ref().filter(|reason| PULL_FAILURES.contains(&&*reason.name))?;
            Some(format!("{id}: {}", reason.message.as_deref().unwrap_or(&reason.name)))
        })
        .collect();
    if failing.is_empty() {
        return Outcome::passed("");
    }
    Outcome::failed(
        list(&failing),
        "the name of the image is wrong, or the node has no access to the registry, or no credentials for it",
        "check SANDBOX_IMAGE, and image_pull_secrets in a profile; `crictl pull IMAGE` on the node shows the reason",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards that names of images are compared as container runtimes complete them.
    #[test]
    fn names_of_images_are_completed() {
        for (image, full) in [
            ("busybox", "docker.io/library/busybox:latest"),
            ("busybox:1", "docker.io/library/busybox:1"),
            ("library/busybox", "docker.io/library/busybox:latest"),
            ("team/app@sha256:ab", "docker.io/team/app@sha256:ab"),
            ("team/app:2@sha256:ab", "docker.io/team/app@sha256:ab"),
            ("busybox:1@sha256:ab", "docker.io/library/busybox@sha256:ab"),
            ("host:5000/app:2@sha256:ab", "host:5000/app@sha256:ab"),
            ("docker.io/busybox", "docker.io/library/busybox:latest"),
            ("docker.io/busybox:1", "docker.io/library/busybox:1"),
            ("docker.io/team/app:2", "docker.io/team/app:2"),
            ("localhost/app", "localhost/app:latest"),
            ("host:5000/app", "host:5000/app:latest"),
            ("registry.example/a/b:2", "registry.example/a/b:2"),
        ] {
            assert_eq!(full_name(image), full, "{image}");
        }
    }
}
