//! The caller's mounts, and the host directories that the settings name.
//!
//! The first line is the base directory, and the second the directory of the threads. The third has a letter for each
//! further setting (`s`kills claim, `u`ser data claim, lark `r`untime, lark `b`roker). Each later line is a mount: its
//! host path, a tab, and its path in the sandbox or a digit that selects one of the allowed paths.

use std::path::{Component, Path, PathBuf};

use kubernetes::manifest::{self, Template};
use lifecycle::{
    ids::SandboxId,
    request::{CreateRequest, ExtraMount},
};
use sandbox_provisioner::settings::rules;

use super::validation;

/// The paths below the default skills root where a caller may mount; DeerFlow's list.
const PLACES: [&str; 9] = [
    "/mnt/acp-workspace",
    "/mnt/skills/custom",
    "/mnt/skills/integrations",
    "/mnt/integrations/lark-cli/config",
    "/mnt/integrations/lark-cli/config/locks",
    "/mnt/integrations/lark-cli/data",
    "/mnt/integrations/lark-cli/runtime",
    "/mnt/skills/public",
    "/mnt/skills/legacy",
];

/// Checks that an accepted mount lies below DeerFlow's state, cannot leave it, has an allowed target, and gives a Pod
/// that Kubernetes accepts.
pub fn check(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let mut lines = text.split('\n');
    let Some(template) = template(&mut lines) else { return };
    let request = request(lines, template.lark_broker_image.is_some());

    let manifests = match manifest::build(&template, &request) {
        Ok(manifests) => manifests,
        Err(refusal) => {
            assert!(refusal.to_string().len() < 5_000, "{refusal}");
            return;
        }
    };
    validation::check(&manifests, 0);
    let spec = manifests.pod.spec.as_ref().unwrap();
    let mounts = || spec.containers.iter().flat_map(|container| container.volume_mounts.iter().flatten());
    for volume in spec.volumes.iter().flatten() {
        let is_callers = volume.name.starts_with("extra-")
            || ["lark-cli-config", "lark-cli-locks", "lark-cli-data"].contains(&volume.name.as_str());
        if !is_callers {
            continue;
        }
        let seen: Vec<_> = mounts().filter(|mount| mount.name == volume.name).collect();
        assert_eq!(seen.len(), 1, "{} is mounted once", volume.name);
        if volume.name.starts_with("extra-") {
            assert!(PLACES.contains(&seen[0].mount_path.as_str()), "{:?}", seen[0]);
        }
        if let Some(host) = &volume.host_path {
            lies_below(&host.path, &state_root(&template));
        } else {
            let sub_path = seen[0].sub_path.as_deref().unwrap_or_default();
            let below = sub_path.strip_prefix("deer-flow/").unwrap_or_default();
            assert!(!below.is_empty(), "{sub_path:?} is a part of the claim, never the whole of it");
        }
    }
    assert!(
        request.extra_mounts.len() <= 10
            || template.lark_init_image.is_some()
            || template.lark_broker_image.is_some()
    );
}

/// Returns settings that the program accepts.
fn template<'a>(lines: &mut impl Iterator<Item = &'a str>) -> Option<Template> {
    let (base, threads, letters) = (lines.next()?, lines.next()?, lines.next()?);
    let host_base_dir = if base.is_empty() { String::new() } else { rules::host_path(base)? };
    let if_has = |letter, value: &str| letters.contains(letter).then(|| value.to_owned());
    Some(Template {
        host_base_dir,
        threads_host_path: rules::host_path(threads)?,
        skills_pvc: if_has('s', "skills"),
        userdata_pvc: if_has('u', "userdata"),
        lark_init_image: if_has('r', "lark:1"),
        lark_broker_image: if_has('b', "broker:1"),
        ..Template::default()
    })
}

fn request<'a>(lines: impl Iterator<Item = &'a str>, has_broker: bool) -> CreateRequest {
    let mut request = CreateRequest::new(SandboxId::parse("abc").unwrap());
    request.provision_lark_cli_runtime = true;
    request.provision_lark_cli_broker = has_broker;
    request.extra_mounts = lines
        .filter_map(|line| line.split_once('\t'))
        .enumerate()
        .map(|(index, (host, path))| {
            let place = path.parse::<usize>().ok().and_then(|place| PLACES.get(place).copied());
            ExtraMount {
                host_path: host.to_owned(),
                container_path: place.unwrap_or(path).to_owned(),
                read_only: index % 2 == 1,
            }
        })
        .collect();
    request
}

/// Returns the directory that contains all mounts, computed separately from the program.
fn state_root(template: &Template) -> PathBuf {
    if !template.host_base_dir.is_empty() {
        return PathBuf::from(&template.host_base_dir);
    }
    let threads = Path::new(&template.threads_host_path);
    assert_eq!(
        threads.file_name().and_then(|name| name.to_str()),
        Some("threads"),
        "without a base, no state"
    );
    threads.parent().unwrap().to_owned()
}

fn lies_below(path: &str, root: &Path) {
    let normal =
        Path::new(path).components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    assert!(normal && path.starts_with('/'), "{path:?} is absolute, and has no way up");
    assert!(!path.trim_start_matches('/').contains("//") && !path.contains("/./"), "{path:?} is normalized");
    assert!(Path::new(path).starts_with(root), "{path:?} is below {}", root.display());
}
