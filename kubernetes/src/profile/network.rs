//! The network of a profile.

use lifecycle::network::NetworkMode;
use serde_json::Value;

use super::{
    Profile,
    fields::{FieldError, Parsed, one_of, text},
};

/// The network of a profile's Pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProfileNetwork {
    /// The mode of a sandbox whose request names none.
    pub mode: NetworkMode,
    /// Whether a sandbox of a restricted mode is created only on a cluster that enforces its policy.
    pub is_enforcement_required: bool,
}

// === impl ProfileNetwork ===

impl ProfileNetwork {
    /// Parses a mode, or a table with a mode and whether its enforcement is required.
    pub(super) fn parse(value: &Value) -> Parsed<Self> {
        let modes = NetworkMode::NAMES.join(", ");
        let Value::Object(parts) = value else {
            let allowed = format!("{modes}, or a table with mode and enforcement");
            let mode = text(value, NetworkMode::parse, &allowed)?;
            return Ok(Self { mode, is_enforcement_required: false });
        };
        let mut network = Self { mode: NetworkMode::Open, is_enforcement_required: false };
        for (part, value) in parts {
            let within = |error: FieldError| error.within(&format!(".{part}"));
            match part.as_str() {
                "mode" => {
                    network.mode = one_of(value, &NetworkMode::NAMES, NetworkMode::parse).map_err(within)?;
                }
                "enforcement" => {
                    network.is_enforcement_required =
                        text(value, enforcement, "optional, required").map_err(within)?;
                }
                _ => {
                    let message = "it is not allowed; allowed: mode and enforcement".to_owned();
                    return Err(within(FieldError::new(String::new(), message)));
                }
            }
        }
        if !parts.contains_key("mode") {
            let message = format!("mode is missing; allowed: {modes}");
            return Err(FieldError::new(String::new(), message));
        }
        Ok(network)
    }
}

fn enforcement(text: &str) -> Option<bool> {
    match text {
        "optional" => Some(false),
        "required" => Some(true),
        _ => None,
    }
}

// === impl Profile ===

impl Profile {
    /// Returns whether a sandbox of the profile can have a restricted network mode.
    #[must_use]
    pub fn is_network_restricted(&self) -> bool {
        let chosen = self.overrides.network.as_deref().unwrap_or_default();
        let modes = self.network.map(|network| network.mode).into_iter().chain(chosen.iter().copied());
        modes.into_iter().any(NetworkMode::is_restricted)
    }

    /// Returns whether a sandbox of the profile needs a cluster that enforces the policy of its network mode.
    #[must_use]
    pub fn requires_enforcement(&self) -> bool {
        self.network.is_some_and(|network| network.is_enforcement_required) && self.is_network_restricted()
    }

    /// Sets the network mode that a request names.
    pub(super) fn set_network_mode(&mut self, mode: NetworkMode) {
        let is_enforcement_required = self.network.is_some_and(|network| network.is_enforcement_required);
        self.network = Some(ProfileNetwork { mode, is_enforcement_required });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Guards how the network of a profile is written, and that everything else is refused with its path.
    #[test]
    fn networks_are_read() {
        for (value, mode, is_enforcement_required) in [
            (json!("open"), NetworkMode::Open, false),
            (json!("isolated"), NetworkMode::Isolated, false),
            (json!({"mode": "allow-list"}), NetworkMode::AllowList, false),
            (json!({"mode": "isolated", "enforcement": "required"}), NetworkMode::Isolated, true),
            (json!({"mode": "isolated", "enforcement": "optional"}), NetworkMode::Isolated, false),
        ] {
            let expected = ProfileNetwork { mode, is_enforcement_required };
            assert_eq!(ProfileNetwork::parse(&value), Ok(expected), "{value}");
        }
        for (value, path, words) in [
            (
                json!("closed"),
                "",
                "allowed: open, isolated, allow-list, or a table with mode and enforcement",
            ),
            (json!(["isolated"]), "", "a list is not allowed"),
            (json!(true), "", "true is not allowed"),
            (json!({"mode": "Isolated"}), ".mode", "allowed: open, isolated, allow-list"),
            (json!({"mode": "isolated", "enforcement": true}), ".enforcement", "allowed: optional, required"),
            (json!({"mode": "isolated", "allow": []}), ".allow", "allowed: mode and enforcement"),
            (json!({"enforcement": "required"}), "", "mode is missing"),
        ] {
            let error = ProfileNetwork::parse(&value).unwrap_err();
            assert_eq!(error.path, path, "{value}");
            assert!(error.message.contains(words), "{value}: {}", error.message);
        }
    }

    /// Guards when the daemon needs policies and their check, and that a request cannot drop the requirement.
    #[test]
    fn restricted_profiles_are_recognized() {
        let profile = |fields: &Value| {
            let mut profile = Profile::default();
            for (field, value) in fields.as_object().into_iter().flatten() {
                profile.set(field, value).unwrap();
            }
            profile
        };
        let required = json!({"mode": "open", "enforcement": "required"});
        for (fields, is_restricted, requires) in [
            (json!({}), false, false),
            (json!({"network": "open"}), false, false),
            (json!({"network": "isolated"}), true, false),
            (json!({"overrides": {"network": ["open"]}}), false, false),
            (json!({"network": "open", "overrides": {"network": ["allow-list"]}}), true, false),
            (json!({"network": required}), false, false),
            (json!({"network": required, "overrides": {"network": ["isolated"]}}), true, true),
            (json!({"network": {"mode": "isolated", "enforcement": "required"}}), true, true),
        ] {
            let profile = profile(&fields);
            let found = (profile.is_network_restricted(), profile.requires_enforcement());
            assert_eq!(found, (is_restricted, requires), "{fields}");
        }
        let mut chosen = profile(&json!({"network": required}));
        chosen.set_network_mode(NetworkMode::Isolated);
        let expected = ProfileNetwork { mode: NetworkMode::Isolated, is_enforcement_required: true };
        assert_eq!(chosen.network, Some(expected));
    }
}
