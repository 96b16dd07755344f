//! Reads a few facts from a Pod's spec while it is parsed. The spec itself is dropped.

use std::sync::Arc;

use lifecycle::spec::{ObservedSpec, Resources, ShellSessions};
use serde::Deserialize;

use crate::{
    lenient::{Object, Objects, Scalar},
    names,
};

/// A Pod's spec. It and its parts do not implement `Debug`, because environment variables may hold secrets.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct PodSpec {
    containers: Objects<Container>,
    init_containers: Objects<Container>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Container {
    name: Scalar<String>,
    env: Objects<Variable>,
    volume_mounts: Objects<VolumeMount>,
    resources: Object<ContainerResources>,
}

/// The resources of a container.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ContainerResources {
    limits: Object<Quantities>,
    requests: Object<Quantities>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct Quantities {
    cpu: Scalar<String>,
    memory: Scalar<String>,
    ephemeral_storage: Scalar<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Variable {
    name: Scalar<String>,
    /// `None` if the value comes from another source, such as a Secret.
    value: Scalar<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct VolumeMount {
    mount_path: Scalar<String>,
}

// === impl PodSpec ===

impl PodSpec {
    /// Returns whether one of the containers has the name of a sandbox's.
    pub(crate) fn has_sandbox_container(&self) -> bool {
        find(&self.containers, names::SANDBOX_CONTAINER).is_some()
    }

    /// Returns the memory limits of the containers that have one, by name.
    pub(crate) fn memory_limits(&self) -> Vec<(String, String)> {
        let all = self.containers.iter().chain(self.init_containers.iter());
        all.filter_map(|container| Some((container.name.0.clone()?, container.memory_limit()?))).collect()
    }

    /// Returns the requests of the container `sandbox`.
    pub(crate) fn requests(&self) -> Resources {
        let sandbox = find(&self.containers, names::SANDBOX_CONTAINER);
        sandbox
            .and_then(|container| container.resources.0.as_ref())
            .map(ContainerResources::requests)
            .unwrap_or_default()
    }

    /// Returns the limits of the container `sandbox`.
    pub(crate) fn limits(&self) -> Resources {
        find(&self.containers, names::SANDBOX_CONTAINER).map(Container::limits).unwrap_or_default()
    }

    /// Returns the facts that API clients can read.
    pub(crate) fn observed(&self) -> ObservedSpec {
        let sandbox = find(&self.containers, names::SANDBOX_CONTAINER);
        let has_broker = find(&self.containers, names::LARK_BROKER_CONTAINER).is_some();
        let has_shim = find(&self.init_containers, names::LARK_SHIM_CONTAINER).is_some();
        ObservedSpec {
            max_shell_sessions: sandbox.map_or(Some(ShellSessions::DEFAULT), Container::max_shell_sessions),
            lark_cli_broker: match (has_broker, has_shim) {
                (true, true) if sandbox.is_some_and(Container::mounts_lark_credentials) => None,
                (true, true) => Some(true),
                (false, false) => Some(false),
                (true, false) | (false, true) => None,
            },
            origin: Arc::default(),
            profile: None,
            network: None,
            resources: Arc::new(self.limits()),
            workspace: None,
            resize: None,
            cpu_after_start: None,
        }
    }
}

fn find<'a>(containers: &'a [Container], name: &str) -> Option<&'a Container> {
    containers.iter().find(|container| container.name.as_deref() == Some(name))
}

// === impl ContainerResources ===

impl ContainerResources {
    pub(crate) fn limits(&self) -> Resources {
        self.limits.0.as_ref().map(Quantities::texts).unwrap_or_default()
    }

    fn requests(&self) -> Resources {
        self.requests.0.as_ref().map(Quantities::texts).unwrap_or_default()
    }
}

// === impl Quantities ===

impl Quantities {
    fn texts(&self) -> Resources {
        Resources {
            cpu: self.cpu.0.clone(),
            memory: self.memory.0.clone(),
            ephemeral_storage: self.ephemeral_storage.0.clone(),
        }
    }
}

// === impl Container ===

impl Container {
    fn memory_limit(&self) -> Option<String> {
        self.resources.0.as_ref()?.limits.0.as_ref()?.memory.0.clone()
    }

    fn limits(&self) -> Resources {
        self.resources.0.as_ref().map(ContainerResources::limits).unwrap_or_default()
    }

    /// Returns the default if the variable is not set, and `None` if it is not a positive integer.
    fn max_shell_sessions(&self) -> Option<ShellSessions> {
        // If two variables have the same name, Kubernetes uses the last.
        let variable = self.env.iter().rfind(|v| v.name.as_deref() == Some(names::MAX_SHELL_SESSIONS));
        let Some(variable) = variable else { return Some(ShellSessions::DEFAULT) };
        variable.value.as_deref()?.trim().parse().ok().and_then(ShellSessions::new)
    }

    /// Returns whether the container mounts the credentials that a broker must keep from it.
    fn mounts_lark_credentials(&self) -> bool {
        let credentials = [names::LARK_CONFIG_PATH, names::LARK_DATA_PATH];
        let paths = self.volume_mounts.iter().filter_map(|mount| mount.mount_path.as_deref());
        paths.into_iter().any(|path| credentials.iter().any(|credential| path.starts_with(credential)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::types::Pod;

    fn observed(spec: &Value) -> ObservedSpec {
        serde_json::from_value::<Pod>(json!({ "spec": spec })).unwrap().spec
    }

    fn sessions(count: u128) -> Option<ShellSessions> {
        ShellSessions::new(count)
    }

    /// Guards that the limit is read from its variable of the container `sandbox`, and that an invalid value is
    /// reported as unknown, not as the default.
    #[test]
    fn the_session_limit_is_read_from_its_variable() {
        let with_env = |env: Value| json!({"containers": [{"name": "x"}, {"name": "sandbox", "env": env}]});
        let of =
            |value: Value| with_env(json!([{"name": "MAX_SHELL_SESSIONS", "value": value}, {"name": "Z"}]));
        for (spec, expected) in [
            (json!({}), sessions(10)),
            (
                json!({"containers": [{"name": "x", "env": [{"name": "MAX_SHELL_SESSIONS", "value": "99"}]}]}),
                sessions(10),
            ),
            (with_env(json!([])), sessions(10)),
            (with_env(json!([{"name": "max_shell_sessions", "value": "3"}])), sessions(10)),
            (of(json!("7")), sessions(7)),
            (of(json!(" 12 ")), sessions(12)),
            (of(json!("100000000000000000000")), sessions(100_000_000_000_000_000_000)),
            (of(json!("0")), None),
            (of(json!("-1")), None),
            (of(json!("many")), None),
            (of(json!("")), None),
            (of(json!("1.5")), None),
            (of(json!(7)), None),
            (with_env(json!([{"name": "MAX_SHELL_SESSIONS", "valueFrom": {}}])), None),
            (
                with_env(json!([
                    {"name": "MAX_SHELL_SESSIONS", "value": "3"}, {"value": "4", "name": "MAX_SHELL_SESSIONS"}
                ])),
                sessions(4),
            ),
        ] {
            assert_eq!(observed(&spec).max_shell_sessions, expected, "{spec}");
        }
    }

    /// Guards that a broker is reported only if its container and its shim exist and the sandbox cannot read its
    /// credentials.
    #[test]
    fn a_broker_counts_only_if_it_is_whole() {
        let config = "/mnt/integrations/lark-cli/config";
        for (containers, init, paths, expected) in [
            (&["sandbox"][..], &[][..], &["/mnt/user-data"][..], Some(false)),
            (&["sandbox"], &["lark-cli-init"], &[], Some(false)),
            (&["sandbox"], &[], &[config], Some(false)),
            (&["sandbox", "lark-cli-broker"], &["lark-cli-shim-init"], &[], Some(true)),
            (
                &["lark-cli-broker", "sandbox"],
                &["x", "lark-cli-shim-init"],
                &["/mnt/integrations/lark-cli/runtime"],
                Some(true),
            ),
            (&["lark-cli-broker"], &["lark-cli-shim-init"], &[], Some(true)),
            (&["sandbox", "lark-cli-broker"], &[], &[], None),
            (&["sandbox"], &["lark-cli-shim-init"], &[], None),
            (&["sandbox", "lark-cli-shim-init"], &["lark-cli-broker"], &[], Some(false)),
            (&["sandbox", "lark-cli-broker"], &["lark-cli-shim-init"], &[config], None),
            (
                &["sandbox", "lark-cli-broker"],
                &["lark-cli-shim-init"],
                &["/x", "/mnt/integrations/lark-cli/config/locks"],
                None,
            ),
            (
                &["sandbox", "lark-cli-broker"],
                &["lark-cli-shim-init"],
                &["/mnt/integrations/lark-cli/data/x"],
                None,
            ),
        ] {
            let mounts: Vec<_> = paths.iter().map(|path| json!({"name": "v", "mountPath": path})).collect();
            let containers: Vec<_> = containers
                .iter()
                .map(|name| match *name {
                    "sandbox" => json!({"name": name, "volumeMounts": mounts}),
                    _ => json!({"name": name, "volumeMounts": [{"mountPath": config}]}),
                })
                .collect();
            let init: Vec<_> = init.iter().map(|name| json!({ "name": name })).collect();
            let spec = json!({"containers": containers, "initContainers": init});
            assert_eq!(observed(&spec).lark_cli_broker, expected, "{spec}");
        }
    }

    /// Guards that an invalid spec loses at most its own facts, never the whole object.
    #[test]
    fn odd_specs_are_read_as_far_as_they_go() {
        for odd in [
            json!(null),
            json!(12),
            json!([]),
            json!({"containers": {}, "initContainers": 3}),
            json!({"containers": [null, 7, {"name": 3, "env": "x", "volumeMounts": [1, {"mountPath": []}]}]}),
        ] {
            assert_eq!(observed(&odd), ObservedSpec::default(), "{odd}");
        }
    }
}
