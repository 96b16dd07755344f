//! Names that end up in Kubernetes objects or in addresses, each with the rule it follows.

use std::{fmt, net::IpAddr, str::FromStr};

use http::Uri;

/// A namespace: a DNS label of at most 63 characters ([Kubernetes, namespaces]).
///
/// [Kubernetes, namespaces]: https://kubernetes.io/docs/concepts/overview/working-with-objects/namespaces/
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespace(String);

/// A `PersistentVolumeClaim`'s name: a DNS subdomain of at most 253 characters ([Kubernetes, object names]).
///
/// [Kubernetes, object names]: https://kubernetes.io/docs/concepts/overview/working-with-objects/names/
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PvcName(String);

/// A container image reference. Only what can never be one is refused: the registry knows the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image(String);

/// The host part of a sandbox's URL: a host name, an IPv4 address, or an IPv6 address (kept in brackets).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeHost(String);

/// A host name or IP address that a certificate can be checked against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsServerName(String);

/// The address of an API server: an `http` or `https` URL, with a path where a proxy wants one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerUrl(Uri);

/// Longest image reference taken: the name's 255 bytes, a tag's 128 and a digest's 135 fit well.
const IMAGE_MAX: usize = 1024;

/// Longest host name, in DNS.
const HOST_MAX: usize = 253;

fn is_label(text: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    (1..=63).contains(&text.len())
        && text.bytes().all(|b| inner(b) || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

fn is_host_name(text: &str) -> bool {
    let name = text.strip_suffix('.').unwrap_or(text);
    let part = |p: &str| {
        (1..=63).contains(&p.len())
            // An underscore is no part of a host name, but container engines hand out such names.
            && p.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !p.starts_with('-')
            && !p.ends_with('-')
    };
    // A name that ends in a number is read as an IPv4 address by URL parsers, and so is a broken one.
    let number = |p: &str| p.bytes().all(|b| b.is_ascii_digit());
    name.len() <= HOST_MAX && name.split('.').all(part) && !name.rsplit('.').next().is_some_and(number)
}

// === impl Namespace ===

impl Namespace {
    /// Reads a namespace's name; `None` unless it is a DNS label.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        is_label(text).then(|| Self(text.to_owned()))
    }
}

// === impl PvcName ===

impl PvcName {
    /// Reads a claim's name; `None` unless it is a DNS subdomain.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        (text.len() <= 253 && text.split('.').all(is_label)).then(|| Self(text.to_owned()))
    }
}

// === impl Image ===

impl Image {
    /// Reads an image reference; `None` when it is empty, too long, or holds white space or control
    /// characters.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let sound = (1..=IMAGE_MAX).contains(&text.len())
            && !text.contains(|c: char| c.is_whitespace() || c.is_control());
        sound.then(|| Self(text.to_owned()))
    }
}

// === impl NodeHost ===

impl NodeHost {
    /// Reads a host; `None` when it is none (a scheme, a port or a path does not belong to it).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
        match IpAddr::from_str(bare.unwrap_or(text)) {
            Ok(address @ IpAddr::V6(_)) => Some(Self(format!("[{address}]"))),
            Ok(address @ IpAddr::V4(_)) if bare.is_none() => Some(Self(address.to_string())),
            _ => is_host_name(text).then(|| Self(text.to_owned())),
        }
    }
}

impl From<IpAddr> for NodeHost {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => Self(v4.to_string()),
            IpAddr::V6(v6) => Self(format!("[{v6}]")),
        }
    }
}

// === impl TlsServerName ===

impl TlsServerName {
    /// Reads a host name or IP address (an IPv6 one without brackets).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        (IpAddr::from_str(text).is_ok() || is_host_name(text)).then(|| Self(text.to_owned()))
    }
}

// === impl ServerUrl ===

impl ServerUrl {
    /// Reads an API server's address; `None` unless it is an `http` or `https` URL with a host, without
    /// credentials, query or fragment.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let uri = Uri::from_str(text).ok()?;
        let authority = uri.authority()?;
        let port_is_sound = match authority.as_str().rsplit_once(':') {
            // Without a port, or the colon belongs to an IPv6 address.
            None => true,
            Some((_, port)) if port.ends_with(']') => true,
            Some((_, port)) => port.parse::<u16>().is_ok_and(|p| p > 0),
        };
        let sound = matches!(uri.scheme_str(), Some("http" | "https"))
            && !authority.host().is_empty()
            && !authority.as_str().contains('@')
            && port_is_sound
            && uri.query().is_none()
            && !text.contains('#');
        sound.then_some(Self(uri))
    }

    /// The address.
    #[must_use]
    pub const fn as_uri(&self) -> &Uri {
        &self.0
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

macro_rules! as_text {
    ($($name:ident),*) => {$(
        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}
as_text!(Namespace, PvcName, Image, NodeHost, TlsServerName);

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rule: &str, parse: fn(&str) -> bool, good: &[&str], bad: &[&str]) {
        for text in good {
            assert!(parse(text), "{rule} takes {text:?}");
        }
        for text in bad {
            assert!(!parse(text), "{rule} refuses {text:?}");
        }
    }

    /// Each name follows Kubernetes' rule, or that of the address it becomes a part of.
    #[test]
    fn names_follow_their_rules() {
        let (label, too_long) = ("a".repeat(63), "a".repeat(64));
        check(
            "a namespace",
            |t| Namespace::parse(t).is_some(),
            &["a", "deer-flow", "0", &label],
            &["", "-a", "a-", "A", "a.b", "a_b", "a b", "a\n", "é", &too_long],
        );
        check(
            "a claim",
            |t| PvcName::parse(t).is_some(),
            &["skills", "a.b-c.d"],
            &["", ".", "a..b", "a.", "-a", "Skills", "a/b", &vec!["a"; 128].join(".")],
        );
        check(
            "an image",
            |t| Image::parse(t).is_some(),
            &["busybox", "registry.local:5000/a/b:2", "a@sha256:0000"],
            &["", " ", "a b", "a\n", "a\0", &"a".repeat(IMAGE_MAX + 1)],
        );
        check(
            "a TLS name",
            |t| TlsServerName::parse(t).is_some(),
            &["localhost", "kubernetes.default.svc", "127.0.0.1", "::1"],
            &["", "[::1]", "https://x", "x:6443", "a b"],
        );
        check(
            "a server URL",
            |t| ServerUrl::parse(t).is_some(),
            &[
                "https://host.docker.internal:26443",
                "http://127.0.0.1:8001/",
                "https://[::1]:6443",
                "https://r/k8s/c",
            ],
            &[
                "",
                "host:6443",
                "/x",
                "ftp://x",
                "https://",
                "https://x:0",
                "https://x:99999",
                "https://u:p@x",
                "https://x?y",
                "https://x#y",
            ],
        );
    }

    /// A host is kept as it must stand in a URL.
    #[test]
    fn node_hosts_are_ready_for_a_url() {
        for (text, host) in [
            ("host.docker.internal", Some("host.docker.internal")),
            ("192.168.1.2", Some("192.168.1.2")),
            ("::1", Some("[::1]")),
            ("[::1]", Some("[::1]")),
            ("my_node", Some("my_node")),
            ("", None),
            ("http://x", None),
            ("x:80", None),
            ("x/y", None),
            ("[127.0.0.1]", None),
            ("a..b", None),
            ("-a", None),
            ("256.0.0.1", None),
        ] {
            assert_eq!(NodeHost::parse(text).as_ref().map(NodeHost::as_str), host, "{text:?}");
        }
    }
}
