//! The rules of Kubernetes for the objects that we send, from `pkg/apis/core/validation/validation.go`.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Container, Pod, Service, Volume};
use kubernetes::manifest::Manifests;

/// The maximum size of all annotations of an object, in bytes.
const ANNOTATIONS_MAX: usize = 256 << 10;

/// Panics if the API server would reject one of the two objects.
///
/// `annotations` is the size of the caller's own annotations: a user id has no limit except that of the body.
pub fn check(manifests: &Manifests, annotations: usize) {
    let Manifests { pod, service, workspace: _ } = manifests;
    pod_is_valid(pod, annotations);
    service_is_valid(service);
    let labels = pod.metadata.labels.as_ref().unwrap();
    let selector = service.spec.as_ref().and_then(|spec| spec.selector.as_ref()).unwrap();
    assert!(
        selector.iter().all(|(key, value)| labels.get(key) == Some(value)),
        "the Service does not select the Pod"
    );
}

fn pod_is_valid(pod: &Pod, annotations: usize) {
    label(pod.metadata.name.as_deref().unwrap());
    labels(pod.metadata.labels.as_ref().unwrap());
    let size =
        pod.metadata.annotations.iter().flatten().map(|(key, value)| key.len() + value.len()).sum::<usize>();
    assert!(size <= ANNOTATIONS_MAX || annotations > ANNOTATIONS_MAX / 2, "{size} bytes of annotations");

    let spec = pod.spec.as_ref().unwrap();
    let volumes: BTreeMap<&str, &Volume> =
        spec.volumes.iter().flatten().map(|volume| (volume.name.as_str(), volume)).collect();
    assert_eq!(volumes.len(), spec.volumes.as_ref().map_or(0, Vec::len), "two volumes have the same name");
    for volume in volumes.values() {
        volume_is_valid(volume);
    }

    let containers: Vec<&Container> =
        spec.containers.iter().chain(spec.init_containers.iter().flatten()).collect();
    let names: BTreeSet<&str> = containers.iter().map(|container| container.name.as_str()).collect();
    assert_eq!(names.len(), containers.len(), "two containers have the same name");
    for container in containers {
        label(&container.name);
        let mounts = container.volume_mounts.as_deref().unwrap_or_default();
        let paths: BTreeSet<&str> = mounts.iter().map(|mount| mount.mount_path.as_str()).collect();
        assert_eq!(paths.len(), mounts.len(), "two mounts have the same path: {mounts:?}");
        for mount in mounts {
            assert!(volumes.contains_key(mount.name.as_str()), "{mount:?} has no volume");
            // Kubernetes accepts a NUL, and the container never starts.
            assert!(mount.mount_path.starts_with('/') && !mount.mount_path.contains('\0'), "{mount:?}");
            let sub_path = mount.sub_path.as_deref().unwrap_or_default();
            assert!(!sub_path.starts_with('/') && !has_parent_step(sub_path), "{mount:?}");
        }
    }
}

fn service_is_valid(service: &Service) {
    label(service.metadata.name.as_deref().unwrap());
    labels(service.metadata.labels.as_ref().unwrap());
    let ports = service.spec.as_ref().unwrap().ports.as_deref().unwrap();
    assert!(ports.iter().all(|port| (1..=65535).contains(&port.port)), "{ports:?}");
}

fn volume_is_valid(volume: &Volume) {
    label(&volume.name);
    let sources =
        [volume.host_path.is_some(), volume.persistent_volume_claim.is_some(), volume.empty_dir.is_some()];
    assert_eq!(sources.into_iter().filter(|is| *is).count(), 1, "{volume:?} must have one source");
    if let Some(host) = &volume.host_path {
        assert!(!host.path.is_empty() && !has_parent_step(&host.path), "{volume:?}");
        // Kubernetes accepts a NUL, but no node can mount the path.
        assert!(!host.path.contains('\0'), "{volume:?}");
        assert!(matches!(host.type_.as_deref(), Some("Directory" | "DirectoryOrCreate")), "{volume:?}");
    }
}

/// Checks the name of a Pod, Service, volume or container, which is a DNS label (RFC 1123).
fn label(text: &str) {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let is_valid = (1..=63).contains(&text.len())
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-');
    assert!(is_valid, "{text:?} is not a DNS label");
}

fn labels(labels: &BTreeMap<String, String>) {
    for value in labels.values() {
        let inner = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        assert!(value.len() <= 63 && value.bytes().all(inner), "{value:?} is not a label value");
    }
}

fn has_parent_step(path: &str) -> bool {
    path.split('/').any(|name| name == "..")
}
