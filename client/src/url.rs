//! The URL of the daemon.

use std::{fmt, str::FromStr};

use http::{HeaderValue, Uri};

/// The URL of a daemon: a scheme, a host, a port, and the path of a proxy in front of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl {
    /// Whether the connection is encrypted.
    pub is_tls: bool,
    /// The host, an IPv6 address without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The host and the port, as the URL has them.
    pub authority: HeaderValue,
    path: String,
    text: String,
}

/// Not a valid [`BaseUrl`]. The URL is not quoted, because it may contain a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "invalid URL: expected http:// or https:// and a host, such as http://127.0.0.1:8002; a key belongs into PROVISIONER_API_KEY"
)]
pub struct InvalidUrl;

// === impl BaseUrl ===

impl BaseUrl {
    /// Returns the target of a request for a path of the API, which begins with a slash.
    #[must_use]
    pub fn target(&self, path: &str) -> String {
        format!("{}{path}", self.path)
    }
}

impl FromStr for BaseUrl {
    type Err = InvalidUrl;

    fn from_str(text: &str) -> Result<Self, InvalidUrl> {
        let text = text.trim_end_matches('/');
        let uri = Uri::from_str(text).map_err(|_| InvalidUrl)?;
        let authority = uri.authority().ok_or(InvalidUrl)?;
        let is_tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(InvalidUrl),
        };
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let has_extras = authority.as_str().contains('@') || uri.query().is_some() || text.contains('#');
        // `Authority` accepts every port, and says of one that is too large that there is none.
        let port = authority.as_str().strip_prefix(authority.host()).and_then(|rest| rest.strip_prefix(':'));
        let port_is_sound = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0));
        if host.is_empty() || has_extras || !port_is_sound {
            return Err(InvalidUrl);
        }
        Ok(Self {
            is_tls,
            host: host.to_owned(),
            port: authority.port_u16().unwrap_or(if is_tls { 443 } else { 80 }),
            authority: HeaderValue::from_str(authority.as_str()).map_err(|_| InvalidUrl)?,
            path: uri.path().trim_end_matches('/').to_owned(),
            text: text.to_owned(),
        })
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards which URLs are accepted, and where they lead.
    #[test]
    fn urls_are_read() {
        for (text, host, port, target) in [
            ("http://127.0.0.1:8002", "127.0.0.1", 8002, "/api/x"),
            ("http://127.0.0.1:8002/", "127.0.0.1", 8002, "/api/x"),
            ("https://sandboxes.example", "sandboxes.example", 443, "/api/x"),
            ("http://localhost", "localhost", 80, "/api/x"),
            ("http://[::1]:8002", "::1", 8002, "/api/x"),
            ("https://h/provisioner/", "h", 443, "/provisioner/api/x"),
        ] {
            let url: BaseUrl = text.parse().unwrap();
            assert_eq!((&*url.host, url.port, &*url.target("/api/x")), (host, port, target), "{text}");
        }
    }

    /// Guards that an invalid URL is not quoted.
    #[test]
    fn invalid_urls_are_refused() {
        for text in [
            "",
            "localhost:8002",
            "ftp://h",
            "http://",
            "http://u:hunter2@h",
            "http://h?x",
            "http://h#x",
            "http://h:0",
            "http://h:70000",
            "http://h:",
            "http://a b",
        ] {
            let error = text.parse::<BaseUrl>().unwrap_err().to_string();
            assert!(!error.contains("hunter2"));
        }
    }
}
