//! What Kubernetes asks of the objects that we send, as its own validation has it
//! (`pkg/apis/core/validation/validation.go`).

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Container, Pod, Service, Volume};
use kubernetes::manifest::Manifests;

/// The most that all annotations of an object may hold, in bytes.
const ANNOTATIONS_MAX: usize = 256 << 10;

/// Panics where the API server would refuse one of the two.
///
/// `annotations` is what the caller put into annotations itself: a user id, which has no bound but the body's.
pub fn accepts(manifests: &Manifests, annotations: usize) {
    let Manifests { pod, service } = manifests;
    pod_is_valid(pod, annotations);
    service_is_valid(service);
    let labels = pod.metadata.labels.as_ref().unwrap();
    let selector = service.spec.as_ref().and_then(|spec| spec.selector.as_ref()).unwrap();
    assert!(
        selector.iter().all(|(key, value)| labels.get(key) == Some(value)),
        "the Service selects the Pod"
    );
}

fn pod_is_valid(pod: &Pod, annotations: usize) {
    label(pod.metadata.name.as_deref().unwrap());
    labels(pod.metadata.labels.as_ref().unwrap());
    let held =
        pod.metadata.annotations.iter().flatten().map(|(key, value)| key.len() + value.len()).sum::<usize>();
    assert!(held <= ANNOTATIONS_MAX || annotations > ANNOTATIONS_MAX / 2, "{held} bytes of annotations");

    let spec = pod.spec.as_ref().unwrap();
    let volumes: BTreeMap<&str, &Volume> =
        spec.volumes.iter().flatten().map(|volume| (volume.name.as_str(), volume)).collect();
    assert_eq!(volumes.len(), spec.volumes.as_ref().map_or(0, Vec::len), "each volume has a name of its own");
    for volume in volumes.values() {
        volume_is_valid(volume);
    }

    let containers: Vec<&Container> =
        spec.containers.iter().chain(spec.init_containers.iter().flatten()).collect();
    let names: BTreeSet<&str> = containers.iter().map(|container| container.name.as_str()).collect();
    assert_eq!(names.len(), containers.len(), "each container has a name of its own");
    for container in containers {
        label(&container.name);
        let mounts = container.volume_mounts.as_deref().unwrap_or_default();
        let paths: BTreeSet<&str> = mounts.iter().map(|mount| mount.mount_path.as_str()).collect();
        assert_eq!(paths.len(), mounts.len(), "one mount a path: {mounts:?}");
        for mount in mounts {
            assert!(volumes.contains_key(mount.name.as_str()), "{mount:?} has a volume");
            assert!(mount.mount_path.starts_with('/') && !mount.mount_path.contains(':'), "{mount:?}");
            let sub_path = mount.sub_path.as_deref().unwrap_or_default();
            assert!(!sub_path.starts_with('/') && !steps_out(sub_path), "{mount:?}");
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
    assert_eq!(sources.into_iter().filter(|is| *is).count(), 1, "{volume:?} has one source");
    if let Some(host) = &volume.host_path {
        assert!(!host.path.is_empty() && !steps_out(&host.path), "{volume:?}");
        // Kubernetes takes it, but no node can mount it.
        assert!(!host.path.contains('\0'), "{volume:?}");
        assert!(matches!(host.type_.as_deref(), Some("Directory" | "DirectoryOrCreate")), "{volume:?}");
    }
}

/// RFC 1123: what a name of a Pod, a Service, a volume or a container is.
fn label(text: &str) {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let sound = (1..=63).contains(&text.len())
        && text.bytes().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-');
    assert!(sound, "{text:?} is a DNS label");
}

fn labels(labels: &BTreeMap<String, String>) {
    for value in labels.values() {
        let inner = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        assert!(value.len() <= 63 && value.bytes().all(inner), "{value:?} is a label's value");
    }
}

fn steps_out(path: &str) -> bool {
    path.split('/').any(|name| name == "..")
}
