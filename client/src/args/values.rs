//! The values of arguments.

use std::{collections::BTreeMap, time::Duration};

use lifecycle::{labels::Labels, phase::Phase, selector::Selector};

/// A directory to mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// On the host.
    pub host_path: String,
    /// In the container.
    pub container_path: String,
    /// Whether it is mounted read-only.
    pub read_only: bool,
}

/// Returns a status with the capital letter of Kubernetes.
pub(super) fn status(text: &str) -> Result<String, String> {
    let known = Phase::NAMES.into_iter().find(|status| status.eq_ignore_ascii_case(text));
    known.map(str::to_owned).ok_or_else(|| format!("expected one of {}", Phase::NAMES.join(", ")))
}

/// A label selector, as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelSelector {
    /// The text, which the daemon reads.
    pub text: String,
    selector: Selector,
}

/// Parses a label selector.
pub(super) fn selector(text: &str) -> Result<LabelSelector, String> {
    let selector = Selector::parse(text).map_err(|error| error.to_string())?;
    Ok(LabelSelector { text: text.to_owned(), selector })
}

/// The longest duration, so that no time overflows.
const DURATION_MAX: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Parses a duration.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text).ok().filter(|duration| *duration <= DURATION_MAX);
    duration.ok_or_else(|| "expected a duration such as 30s, 5m or 1h 30m, at most 365d".to_owned())
}

/// Parses the name of a caller, which is the value of a header.
pub(super) fn owner(text: &str) -> Result<String, String> {
    let is_valid = (1..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    is_valid.then(|| text.to_owned()).ok_or_else(|| "expected 1 to 128 visible ASCII characters".to_owned())
}

/// Parses a name and a value.
pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(name, _)| !name.is_empty());
    let (name, value) = pair.ok_or("expected a name and a value, such as LANG=C")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Parses a directory to mount.
pub(super) fn mount(text: &str) -> Result<Mount, String> {
    let (paths, read_only) = match text.strip_suffix(":ro") {
        Some(paths) => (paths, true),
        None => (text.strip_suffix(":rw").unwrap_or(text), false),
    };
    let both =
        paths.split_once(':').filter(|(host, container)| !host.is_empty() && container.starts_with('/'));
    let (host, container) =
        both.ok_or("expected two paths, such as /srv/data:/mnt/data or /srv/data:/mnt/data:ro")?;
    Ok(Mount { host_path: host.to_owned(), container_path: container.to_owned(), read_only })
}

// === impl LabelSelector ===

impl LabelSelector {
    /// Returns whether it selects a sandbox with these labels.
    #[must_use]
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let labels = labels.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        self.selector.matches(&Labels::new(labels))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards which mounts are accepted.
    #[test]
    fn mounts_are_read() {
        let of =
            |text| mount(text).map(|mount| (mount.host_path, mount.container_path, mount.read_only)).ok();
        let wanted = |read_only| Some(("/a".to_owned(), "/b".to_owned(), read_only));
        assert_eq!(of("/a:/b"), wanted(false));
        assert_eq!(of("/a:/b:ro"), wanted(true));
        assert_eq!(of("/a:/b:rw"), wanted(false));
        for text in ["", "/a", "/a:", ":/b", "/a:b", "/a:ro"] {
            assert_eq!(of(text), None, "{text}");
        }
    }

    /// Guards that a duration that the clock cannot add is refused.
    #[test]
    fn durations_have_a_bound() {
        assert_eq!(duration("1h 30m"), Ok(Duration::from_secs(5400)));
        for text in ["", "5", "366d", "10000000000000000000s"] {
            assert!(duration(text).unwrap_err().ends_with("at most 365d"), "{text:?}");
        }
    }

    #[test]
    fn owners_fit_into_a_header() {
        assert_eq!(owner("gateway-1").as_deref(), Ok("gateway-1"));
        for text in ["", "a b", "a\nb", "é", &"a".repeat(129)] {
            assert!(owner(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn statuses_are_known() {
        assert_eq!(status("running").as_deref(), Ok("Running"));
        assert!(status("Runing").is_err());
    }

    #[test]
    fn pairs_have_a_name() {
        assert_eq!(pair("A=b=c"), Ok(("A".to_owned(), "b=c".to_owned())));
        assert!(pair("A").is_err() && pair("=b").is_err());
    }
}
