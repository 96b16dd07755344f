//! Parses the peers of the policies, as the settings name them.
//!
//! ```text
//!   10.1.0.0/16              a range            10.1.0.7               an address
//!   gateways/app=gateway     Pods by labels     gateways/*             all Pods of a namespace
//!   10.1.0.0/16:443          with a port        [fd12::/32]:5000-5010/udp
//! ```

use std::{collections::BTreeMap, fmt, net::IpAddr, str::FromStr};

use ipnet::IpNet;
use lifecycle::{
    ids::{DNS_LABEL_MAX, is_dns_label},
    labels::{is_label_key, is_label_value},
};

/// One side of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peer {
    /// A range of addresses.
    Range(IpNet),
    /// Pods of one namespace.
    Pods {
        /// The name of the namespace.
        namespace: String,
        /// The labels of the Pods; empty for all Pods.
        labels: BTreeMap<String, String>,
    },
}

/// A peer, and the ports on which it is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// The peer.
    pub peer: Peer,
    /// The ports; `None` for all.
    pub ports: Option<Ports>,
}

/// Ports of one protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    /// The first port.
    pub first: u16,
    /// The last port, which is included.
    pub last: u16,
    /// Whether the protocol is UDP; otherwise it is TCP.
    pub is_udp: bool,
}

/// Why a text does not name a peer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// Not an address, a range or Pods.
    #[error(
        "{0:?} is not an address, such as 10.1.0.7 or 10.1.0.0/16, or Pods, such as NAMESPACE/app=gateway"
    )]
    Unknown(String),
    /// The range has bits after its prefix.
    #[error("{0:?} has bits after its prefix; write {1}")]
    HostBits(String, IpNet),
    /// An IPv4 range in IPv6 notation.
    #[error("{0:?} is an IPv4 range in IPv6 notation; write it as IPv4")]
    Mapped(String),
    /// The namespace has no valid name.
    #[error("{0:?} is not the name of a namespace")]
    Namespace(String),
    /// Labels that no Pod can have.
    #[error("{0:?} is not a label, such as app=gateway; several are joined with '+', and '*' is all Pods")]
    Label(String),
    /// Ports that do not exist.
    #[error("{0:?} is not a port, such as 443, 5000-5010 or 53/udp")]
    Ports(String),
    /// A port where none is possible.
    #[error("{0:?} has a port, which only a destination has")]
    UnwantedPorts(String),
    /// A name in place of an address.
    #[error("{0:?} is a host name, which only PROVISIONER_NETWORK_ALLOW can have; write addresses or Pods")]
    HostName(String),
    /// Not a host name that a policy can have.
    #[error("{0:?} is not a host name, such as db.example.com or *.example.com")]
    Name(String),
    /// A range so wide that it cannot be the cluster's.
    #[error("{0:?} is too wide; the widest ranges are /8 for IPv4 and /12 for IPv6")]
    TooWide(String),
}

/// Parses a range of the cluster, or one address.
///
/// # Errors
/// [`PeerError`], also for a range that is wider than any private one: nothing of the internet would be left.
pub fn parse_range(text: &str) -> Result<IpNet, PeerError> {
    let range = range(text)?.ok_or_else(|| PeerError::Unknown(text.to_owned()))?;
    let widest = if range.addr().is_ipv4() { 8 } else { 12 };
    if range.prefix_len() < widest { Err(PeerError::TooWide(text.to_owned())) } else { Ok(range) }
}

/// Returns `None` for a text that is not an address or a range.
fn range(text: &str) -> Result<Option<IpNet>, PeerError> {
    let Some(range) = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
    else {
        return Ok(None);
    };
    if let IpAddr::V6(address) = range.addr()
        && address.to_ipv4_mapped().is_some()
    {
        return Err(PeerError::Mapped(text.to_owned()));
    }
    if range.trunc() != range {
        return Err(PeerError::HostBits(text.to_owned(), range.trunc()));
    }
    Ok(Some(range))
}

// === impl Peer ===

impl FromStr for Peer {
    type Err = PeerError;

    fn from_str(text: &str) -> Result<Self, PeerError> {
        let destination: Destination = text.parse()?;
        match destination.ports {
            None => Ok(destination.peer),
            Some(_) => Err(PeerError::UnwantedPorts(text.to_owned())),
        }
    }
}

impl Peer {
    /// Parses a peer without ports.
    fn parse(text: &str) -> Result<Self, PeerError> {
        if let Some(range) = range(text)? {
            return Ok(Self::Range(range));
        }
        let Some((namespace, selector)) = text.split_once('/') else {
            let is_name = text.contains('.') && text.contains(|c: char| c.is_ascii_alphabetic());
            let error = if is_name { PeerError::HostName } else { PeerError::Unknown };
            return Err(error(text.to_owned()));
        };
        if !is_dns_label(namespace, DNS_LABEL_MAX) {
            let address = namespace.contains(['.', ':']);
            let error = if address { PeerError::Unknown } else { PeerError::Namespace };
            return Err(error(if address { text } else { namespace }.to_owned()));
        }
        let label = |text: &str| {
            let (key, value) = text.split_once('=')?;
            (is_label_key(key) && is_label_value(value)).then(|| (key.to_owned(), value.to_owned()))
        };
        let labels = match selector {
            "*" => Some(BTreeMap::new()),
            selector => selector.split('+').map(label).collect(),
        };
        let labels = labels.ok_or_else(|| PeerError::Label(selector.to_owned()))?;
        Ok(Self::Pods { namespace: namespace.to_owned(), labels })
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Range(range) => range.fmt(f),
            Self::Pods { namespace, labels } if labels.is_empty() => write!(f, "{namespace}/*"),
            Self::Pods { namespace, labels } => {
                let labels: Vec<_> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
                write!(f, "{namespace}/{}", labels.join("+"))
            }
        }
    }
}

// === impl Destination ===

impl FromStr for Destination {
    type Err = PeerError;

    fn from_str(text: &str) -> Result<Self, PeerError> {
        let (peer, ports) = split_ports(text.trim())?;
        let peer = Peer::parse(peer)?;
        Ok(Self { peer, ports: ports.map(str::parse).transpose()? })
    }
}

/// Splits a text into a peer and its ports.
pub(super) fn split_ports(text: &str) -> Result<(&str, Option<&str>), PeerError> {
    if let Some((peer, rest)) = text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        return match rest.strip_prefix(':') {
            Some(ports) => Ok((peer, Some(ports))),
            None if rest.is_empty() => Ok((peer, None)),
            None => Err(PeerError::Unknown(text.to_owned())),
        };
    }
    Ok(match text.rsplit_once(':') {
        // Without brackets the colons of IPv6 do not separate a port.
        Some((peer, ports)) if !peer.contains(':') => (peer, Some(ports)),
        _ => (text, None),
    })
}

// === impl Ports ===

impl FromStr for Ports {
    type Err = PeerError;

    fn from_str(text: &str) -> Result<Self, PeerError> {
        let (ports, is_udp) = match text.split_once('/') {
            None | Some((_, "tcp")) => (text.strip_suffix("/tcp").unwrap_or(text), false),
            Some((ports, "udp")) => (ports, true),
            Some(_) => return Err(PeerError::Ports(text.to_owned())),
        };
        let port = |text: &str| {
            let digits = text.bytes().all(|b| b.is_ascii_digit());
            text.parse::<u16>().ok().filter(|port| digits && *port > 0)
        };
        let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
        match (port(first), port(last)) {
            (Some(first), Some(last)) if first <= last => Ok(Self { first, last, is_udp }),
            _ => Err(PeerError::Ports(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        match text.parse::<Destination>() {
            Ok(Destination { peer, ports: None }) => peer.to_string(),
            Ok(Destination { peer, ports: Some(Ports { first, last, is_udp }) }) => {
                format!("{peer} {first}-{last} {}", if is_udp { "udp" } else { "tcp" })
            }
            Err(error) => error.to_string(),
        }
    }

    /// Guards how peers and ports are written.
    #[test]
    fn peers_are_read() {
        for (text, expected) in [
            ("10.1.0.0/16", "10.1.0.0/16"),
            (" 10.1.0.7 ", "10.1.0.7/32"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("fd12::/32", "fd12::/32"),
            ("fd12::7", "fd12::7/128"),
            ("[fd12::/32]", "fd12::/32"),
            ("[fd12::/32]:443", "fd12::/32 443-443 tcp"),
            ("[fd12::7]:53/udp", "fd12::7/128 53-53 udp"),
            ("10.1.0.0/16:443", "10.1.0.0/16 443-443 tcp"),
            ("10.1.0.0/16:443/tcp", "10.1.0.0/16 443-443 tcp"),
            ("10.1.0.7:5000-5010/udp", "10.1.0.7/32 5000-5010 udp"),
            ("gateways/*", "gateways/*"),
            ("gateways/app=gateway", "gateways/app=gateway"),
            ("gateways/example.com/app=gateway+tier=", "gateways/example.com/app=gateway+tier="),
            ("gateways/app=gateway:8080", "gateways/app=gateway 8080-8080 tcp"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    /// Guards that everything else is refused, with what is wrong.
    #[test]
    fn other_texts_are_refused() {
        for (text, words) in [
            ("", "is not an address"),
            ("gateway", "is not an address"),
            ("10.1.0.0/33", "is not an address"),
            ("10.1.0/24", "is not an address"),
            ("2001:db8::/129", "is not an address"),
            ("[fd12::/32]443", "is not an address"),
            ("2001:db8::/32:443", "is not an address"),
            ("10.1.2.3/8", "has bits after its prefix; write 10.0.0.0/8"),
            ("fd12::7/32", "write fd12::/32"),
            ("::ffff:10.0.0.0/104", "write it as IPv4"),
            ("api.example.com", "is a host name"),
            ("api.example.com:443", "is a host name"),
            ("Gateways/app=x", "\"Gateways\" is not the name of a namespace"),
            ("/app=x", "\"\" is not the name of a namespace"),
            ("gateways/", "\"\" is not a label"),
            ("gateways/app", "\"app\" is not a label"),
            ("gateways/app=a b", "is not a label"),
            ("gateways/app=x+", "is not a label"),
            ("10.1.0.7:", "\"\" is not a port"),
            ("10.1.0.7:0", "\"0\" is not a port"),
            ("10.1.0.7:65536", "is not a port"),
            ("10.1.0.7:9-8", "is not a port"),
            ("10.1.0.7:+9", "is not a port"),
            ("10.1.0.7:53/sctp", "\"53/sctp\" is not a port"),
        ] {
            assert!(shown(text).contains(words), "{text}: {}", shown(text));
        }
        let unwanted = "10.1.0.7:443".parse::<Peer>().unwrap_err();
        assert_eq!(unwanted, PeerError::UnwantedPorts("10.1.0.7:443".to_owned()));
        for (range, allowed) in
            [("10.0.0.0/8", true), ("fc00::/7", false), ("fd12::/32", true), ("0.0.0.0/0", false)]
        {
            assert_eq!(parse_range(range).is_ok(), allowed, "{range}");
        }
    }
}
