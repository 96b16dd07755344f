//! Images: where they would come from, and how a pull that fails reads.

/// An image's name, taken apart.
#[derive(Debug, PartialEq, Eq)]
struct Reference<'a> {
    registry: &'a str,
    path: String,
    tag: &'a str,
}

/// The registry of images that name none.
const DEFAULT_REGISTRY: &str = "docker.io";

/// Returns containerd's error for an image whose registry refuses the connection.
pub(super) fn pull_error(image: &str) -> String {
    let reference = Reference::of(image);
    let Reference { registry, path, tag } = &reference;
    let name = format!("{registry}/{path}{}{tag}", if tag.starts_with("sha256:") { "@" } else { ":" });
    let host = if *registry == DEFAULT_REGISTRY { "registry-1.docker.io" } else { registry };
    let local = ["localhost", "127."].iter().any(|prefix| host.starts_with(prefix));
    let scheme = if local { "http" } else { "https" };
    let address = if host.contains(':') { (*host).to_owned() } else { format!("{host}:443") };
    format!(
        "failed to pull and unpack image {name:?}: failed to resolve reference {name:?}: failed to do request: Head \
         \"{scheme}://{host}/v2/{path}/manifests/{tag}\": dial tcp {address}: connect: connection refused"
    )
}

/// Returns the kubelet's message for an image that is absent and must not be pulled.
pub(super) fn never_pulled(image: &str) -> String {
    format!("Container image {image:?} is not present with pull policy of Never")
}

/// Hashes a text (FNV-1a).
pub(super) fn fingerprint(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

// === impl Reference ===

impl<'a> Reference<'a> {
    fn of(image: &'a str) -> Self {
        let (name, digest) = image.split_once('@').map_or((image, None), |(n, d)| (n, Some(d)));
        let last = name.rfind('/').map_or(0, |at| at + 1);
        let (name, tag) = match name[last..].find(':') {
            Some(at) => (&name[..last + at], &name[last + at + 1..]),
            None => (name, "latest"),
        };
        let named = |first: &&str| first.contains(['.', ':']) || *first == "localhost";
        let (registry, path) = match name.split_once('/').filter(|(first, _)| named(first)) {
            Some((registry, path)) => (registry, path.to_owned()),
            None if name.contains('/') => (DEFAULT_REGISTRY, name.to_owned()),
            None => (DEFAULT_REGISTRY, format!("library/{name}")),
        };
        Self { registry, path, tag: digest.unwrap_or(tag) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_pull_names_the_registry_the_image_would_come_from() {
        // As recorded.
        assert_eq!(
            pull_error("127.0.0.1:9/none/such:1"),
            "failed to pull and unpack image \"127.0.0.1:9/none/such:1\": failed to resolve reference \
             \"127.0.0.1:9/none/such:1\": failed to do request: Head \
             \"http://127.0.0.1:9/v2/none/such/manifests/1\": dial tcp 127.0.0.1:9: connect: connection refused"
        );
        let error = pull_error("img");
        assert!(error.contains("image \"docker.io/library/img:latest\""), "{error}");
        assert!(
            error.contains("\"https://registry-1.docker.io/v2/library/img/manifests/latest\""),
            "{error}"
        );
        assert_eq!(Reference::of("r:5000/a/b@sha256:0").registry, "r:5000");
    }
}
