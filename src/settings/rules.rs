//! The rules for texts that several settings or other modules use: each is a function that parses a text into a typed
//! value, or returns `None`, and a sentence that describes the allowed texts.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use http::Uri;
use kubernetes::{manifest::is_absolute, probe::Probe, profile::is_image};
use lifecycle::ids::{DNS_LABEL_MAX, is_dns_label, is_dns_subdomain};

use super::format::{Exposure, Rule};

pub(super) const LABEL: Rule<String> = Rule::new(
    label,
    "a DNS label: 1 to 63 lower-case letters, digits or '-', with a letter or digit at both ends",
);
pub(super) const CLAIM: Rule<String> = Rule::new(
    subdomain,
    "the name of a claim: lower-case letters, digits, '-' and '.', at most 253 characters",
);
pub(super) const IMAGE: Rule<String> =
    Rule::new(image, "an image reference such as registry.example/sandbox:1, without quotes");
pub(super) const HOST_PATH: Rule<String> =
    Rule::new(host_path, "an absolute path on the node without \"..\", such as /srv/x or C:\\x");
pub(super) const HOST: Rule<String> =
    Rule::new(host, "a host name or an IP address, without scheme, port or path");
pub(super) const TLS_NAME: Rule<String> = Rule::new(tls_name, "a host name or an IP address");
pub(super) const SERVER_URL: Rule<Uri> = Rule::new(
    server_url,
    "an http or https URL without credentials, query or fragment, such as https://host.docker.internal:6443",
)
.exposed(Exposure::WithoutCredentials);
pub(super) const PROBES: Rule<Vec<Probe>> = Rule::new(
    probes,
    "PATH#/POINTER, an HTTP path and a JSON pointer, several of them separated by commas; or none",
);
pub(super) const ONE_LINE: Rule<String> = Rule::new(one_line, "any text without control characters");

/// A DNS label, the format of a namespace name ([Kubernetes, object names]).
///
/// [Kubernetes, object names]: https://kubernetes.io/docs/concepts/overview/working-with-objects/names/
#[must_use]
pub fn label(text: &str) -> Option<String> {
    is_dns_label(text, DNS_LABEL_MAX).then(|| text.to_owned())
}

/// A DNS subdomain of at most 253 characters, the format of a claim name (see [`label`]).
#[must_use]
pub fn subdomain(text: &str) -> Option<String> {
    is_dns_subdomain(text).then(|| text.to_owned())
}

/// An image reference. The check refuses only characters that no reference has, such as the quotes of an env file; the
/// registry checks the rest.
#[must_use]
pub fn image(text: &str) -> Option<String> {
    is_image(text).then(|| text.to_owned())
}

/// An absolute path on a node, of Linux or Windows, without `..`, which Kubernetes refuses.
#[must_use]
pub fn host_path(text: &str) -> Option<String> {
    let windows = !text.starts_with('/');
    let steps_out = text.split(|c| c == '/' || (windows && c == '\\')).any(|name| name == "..");
    (is_absolute(text) && !steps_out && !text.contains(char::is_control)).then(|| text.to_owned())
}

/// The host part of a URL: a host name, an IPv4 address or an IPv6 address. The result for IPv6 has no brackets.
#[must_use]
pub fn host(text: &str) -> Option<String> {
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
    match IpAddr::from_str(bare.unwrap_or(text)) {
        Ok(IpAddr::V6(address)) => Some(address.to_string()),
        Ok(IpAddr::V4(address)) if bare.is_none() => Some(address.to_string()),
        _ => is_host_name(text).then(|| text.to_owned()),
    }
}

/// A name in a certificate: a host name or an IP address without brackets.
#[must_use]
pub fn tls_name(text: &str) -> Option<String> {
    (IpAddr::from_str(text).is_ok() || is_host_name(text)).then(|| text.to_owned())
}

/// The address of an API server: an `http` or `https` URL, with an optional path (for a proxy), without credentials,
/// query or fragment.
#[must_use]
pub fn server_url(text: &str) -> Option<Uri> {
    let uri = Uri::from_str(text).ok()?;
    let authority = uri.authority()?;
    let port_is_sound = match authority.as_str().rsplit_once(':') {
        None => true,
        // The colon is part of an IPv6 address.
        Some((_, port)) if port.ends_with(']') => true,
        Some((_, port)) => port.parse::<u16>().is_ok_and(|port| port > 0),
    };
    let sound = matches!(uri.scheme_str(), Some("http" | "https"))
        && !authority.host().is_empty()
        && !authority.as_str().contains('@')
        && port_is_sound
        && uri.query().is_none()
        && !text.contains('#');
    sound.then_some(uri)
}

/// An API key: a text that an HTTP header can carry unchanged.
#[must_use]
pub fn api_key(text: &str) -> Option<&str> {
    let sound = !text.is_empty() && text.trim() == text && text.bytes().all(|b| (b' '..=b'~').contains(&b));
    sound.then_some(text)
}

/// Probes, separated by commas: each a path on the sandbox's port, a `#`, and a JSON pointer ([RFC 6901]) into the
/// answer. `none`, or nothing, is none.
///
/// [RFC 6901]: https://www.rfc-editor.org/rfc/rfc6901
#[must_use]
pub fn probes(text: &str) -> Option<Vec<Probe>> {
    if matches!(text.trim(), "" | "none") {
        return Some(Vec::new());
    }
    text.split(',').map(|probe| Probe::parse(probe.trim()).ok()).collect()
}

/// Any text on one line.
#[must_use]
pub fn one_line(text: &str) -> Option<String> {
    (!text.contains(char::is_control)).then(|| text.to_owned())
}

/// The address for connections from the same machine to a socket that listens on `bound`.
#[must_use]
pub fn reachable(bound: IpAddr) -> IpAddr {
    match bound {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        other => other,
    }
}

fn is_host_name(text: &str) -> bool {
    let name = text.strip_suffix('.').unwrap_or(text);
    let part = |p: &str| {
        (1..=63).contains(&p.len())
            // Host names contain no underscore, but names of container engines do.
            && p.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !p.starts_with('-')
            && !p.ends_with('-')
    };
    // URL parsers read a name that ends in a number as an IPv4 address, which may then be invalid.
    let number = |p: &str| p.bytes().all(|b| b.is_ascii_digit());
    name.len() <= 253 && name.split('.').all(part) && !name.rsplit('.').next().is_some_and(number)
}

#[cfg(test)]
mod tests {
    use kubernetes::profile::IMAGE_MAX;

    use super::*;

    fn check(rule: &str, takes: impl Fn(&str) -> bool, good: &[&str], bad: &[&str]) {
        for text in good {
            assert!(takes(text), "{rule} takes {text:?}");
        }
        for text in bad {
            assert!(!takes(text), "{rule} refuses {text:?}");
        }
    }

    /// The limits of Kubernetes' rules for names.
    #[test]
    fn names_of_objects() {
        let (longest, too_long) = ("a".repeat(63), "a".repeat(64));
        check(
            "label",
            |t| label(t).is_some(),
            &["a", "deer-flow", "0", &longest],
            &["", "-a", "a-", "A", "a.b", "a_b", "a b", "a\n", "é", &too_long],
        );
        check(
            "subdomain",
            |t| subdomain(t).is_some(),
            &["skills", "a.b-c.d"],
            &["", ".", "a..b", "a.", "-a", "Skills", "a/b", &vec!["a"; 128].join(".")],
        );
        check(
            "image",
            |t| image(t).is_some(),
            &["busybox", "registry.local:5000/a/b:2", "a@sha256:0000"],
            &["", " ", "a b", "a\n", "a\0", &"a".repeat(IMAGE_MAX + 1)],
        );
    }

    /// Only paths that a node can mount are accepted; a backslash separates only on Windows.
    #[test]
    fn host_paths() {
        check(
            "host_path",
            |t| host_path(t).is_some(),
            &["/", "/srv/x", "/srv/..x/", r"C:\deer-flow\threads", "c:/x", r"\\server\share", r"/a\..\b"],
            &["", ".", "x", "./x", "~/x", "C:", "C:x", r"\x", "/a/../b", "/..", r"C:\a\..\b", "/a\nb"],
        );
    }

    /// Each part of an address is checked.
    #[test]
    fn addresses() {
        check(
            "host",
            |t| host(t).is_some(),
            &["host.docker.internal", "192.168.1.2", "::1", "[::1]", "my_node", "X"],
            &["", "http://x", "x:80", "x/y", "[127.0.0.1]", "a..b", "-a", "256.0.0.1", "a b"],
        );
        check(
            "tls_name",
            |t| tls_name(t).is_some(),
            &["localhost", "kubernetes.default.svc", "127.0.0.1", "::1"],
            &["", "[::1]", "https://x", "x:6443", "a b"],
        );
        check(
            "server_url",
            |t| server_url(t).is_some(),
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
            ],
        );
        check("server_url", |t| server_url(t).is_some(), &["https://[::1]"], &["https://x?y", "https://x#y"]);
        assert_eq!(host("[::1]").as_deref(), Some("::1"));
    }

    /// A key that HTTP would change in transit is refused, since it could never match.
    #[test]
    fn keys_survive_a_header() {
        check(
            "api_key",
            |t| api_key(t).is_some(),
            &["k", "a b", "~!"],
            &["", " k", "k ", "k\n", "ключ", "a\tb"],
        );
    }

    /// A probe has a path and a pointer. One invalid probe invalidates the list, so that none is ignored silently.
    #[test]
    fn probes_are_paths_and_pointers() {
        check(
            "probes",
            |t| probes(t).is_some(),
            &[
                "",
                " ",
                "none",
                "/a#/b",
                "/a/b?c=d#/e/0",
                "/a#/b,/c#/d",
                " /a#/b , /c#/d ",
                "/a#/~0~1",
                "/a#/#",
                // The whole response.
                "/a#",
            ],
            &["/a", "/a#b", "a#/b", "#/b", "http://h/a#/b", "/a b#/c", "/a#/~", "/a#/~2", "/a#/b,", ","],
        );
        let read = probes(" /a#/b ,/c#/d").unwrap_or_default();
        assert_eq!(read.iter().map(ToString::to_string).collect::<Vec<_>>(), ["/a#/b", "/c#/d"]);
        assert_eq!(probes("none"), Some(vec![]));
        let refused = ["/a#/b\nc", "none,/a#/b", "/\u{0}#/a", "//h/a#/b", "/é#/a"];
        check("probes", |t| probes(t).is_some(), &["/a#/é"], &refused);
    }
}
