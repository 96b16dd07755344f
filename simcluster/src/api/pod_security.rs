//! The admission of Pods by the Pod Security Standards, as the labels of their namespace ask for it.
//!
//! Pure. The checks and their messages are those of the newest version. These are left out, because sandboxes do not
//! use the fields: `AppArmor`, `SELinux`, `procMount`, sysctls, hosts of probes and Windows. A namespace's version label is
//! shown in messages, and has no effect.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::fields::items;
use crate::quote::quoted;
use crate::resource::{PODS, Resource};
use crate::status::{ApiError, ApiResult};
use crate::store::text_at;

/// The label of a namespace with the level that its Pods must keep.
const ENFORCE: &str = "pod-security.kubernetes.io/enforce";
/// The label of a namespace with the level whose violations are only warned about.
const WARN: &str = "pod-security.kubernetes.io/warn";

/// The capabilities that `baseline` lets a container add.
const BASELINE_CAPABILITIES: [&str; 13] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// The types of volumes that `restricted` allows.
const RESTRICTED_VOLUMES: [&str; 8] = [
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
];

/// A check: the reason of its refusals, and a function that returns their detail, if a spec violates it.
type Check = (&'static str, fn(&Value) -> Option<String>);

/// The checks of `baseline`, in the order of the real server.
const BASELINE: [Check; 6] = [
    ("non-default capabilities", baseline_capabilities),
    ("host namespaces", host_namespaces),
    ("hostPath volumes", host_paths),
    ("hostPort", host_ports),
    ("privileged", privileged),
    ("seccompProfile", baseline_seccomp),
];
/// The checks of `restricted`: those of `baseline` that it does not sharpen, then its own.
const RESTRICTED: [Check; 9] = [
    ("host namespaces", host_namespaces),
    ("hostPort", host_ports),
    ("privileged", privileged),
    ("allowPrivilegeEscalation != false", privilege_escalation),
    ("unrestricted capabilities", restricted_capabilities),
    ("restricted volume types", volume_types),
    ("runAsNonRoot != true", run_as_non_root),
    ("runAsUser=0", run_as_user),
    ("seccompProfile", restricted_seccomp),
];

/// Rejects a new Pod that violates the level that its namespace enforces.
pub(super) fn admit(namespace: Option<&Value>, resource: &Resource, pod: &Value) -> ApiResult<()> {
    let Some(violations) = violations(namespace, ENFORCE, resource, pod) else { return Ok(()) };
    let name = text_at(pod, &["metadata", "name"]);
    Err(ApiError::forbidden(PODS, name, &format!("violates {violations}")))
}

/// Returns the warning about a new Pod that violates the level that its namespace warns about.
pub(super) fn warning(namespace: Option<&Value>, resource: &Resource, pod: &Value) -> Option<String> {
    violations(namespace, WARN, resource, pod).map(|violations| format!("would violate {violations}"))
}

/// Returns the level of the namespace under this label, and how the Pod violates it.
fn violations(namespace: Option<&Value>, label: &str, resource: &Resource, pod: &Value) -> Option<String> {
    let labels = &namespace?["metadata"]["labels"];
    let level = labels[label].as_str().filter(|_| resource == PODS)?;
    let checks: &[Check] = match level {
        "baseline" => &BASELINE,
        "restricted" => &RESTRICTED,
        _ => return None,
    };
    let findings: Vec<_> = checks
        .iter()
        .filter_map(|(reason, check)| check(&pod["spec"]).map(|detail| format!("{reason} ({detail})")))
        .collect();
    let version = labels[format!("{label}-version").as_str()].as_str().unwrap_or("latest");
    (!findings.is_empty()).then(|| format!("PodSecurity \"{level}:{version}\": {}", findings.join(", ")))
}

// === the checks of `baseline` ===

fn baseline_capabilities(spec: &Value) -> Option<String> {
    added_capabilities(spec, &BASELINE_CAPABILITIES)
}

fn host_namespaces(spec: &Value) -> Option<String> {
    let used: Vec<_> = ["hostNetwork", "hostPID", "hostIPC"]
        .into_iter()
        .filter(|field| spec[*field] == true)
        .map(|field| format!("{field}=true"))
        .collect();
    (!used.is_empty()).then(|| used.join(", "))
}

fn host_paths(spec: &Value) -> Option<String> {
    let with_path = items(&spec["volumes"]).filter(|volume| volume["hostPath"].is_object());
    let names: Vec<_> = with_path.map(|volume| text_at(volume, &["name"])).collect();
    (!names.is_empty()).then(|| counted("volume", &names))
}

fn host_ports(spec: &Value) -> Option<String> {
    let (names, ports) = offenders(containers(spec), |container| {
        let ports = items(&container["ports"]).filter_map(|port| port["hostPort"].as_i64());
        ports.filter(|port| *port != 0).map(|port| port.to_string()).collect()
    });
    let word = if names.len() == 1 { "uses" } else { "use" };
    let what = if ports.len() == 1 { "hostPort" } else { "hostPorts" };
    let ports = ports.into_iter().collect::<Vec<_>>().join(", ");
    containers_that(&format!("{word} {what} {ports}"), &names)
}

fn privileged(spec: &Value) -> Option<String> {
    let names = names(spec, |context| context["privileged"] == true);
    containers_that("must not set securityContext.privileged=true", &names)
}

fn baseline_seccomp(spec: &Value) -> Option<String> {
    let pod = forbidden_profile(&spec["securityContext"]);
    let (names, mut types) = offenders(containers(spec), |container| {
        forbidden_profile(&container["securityContext"]).into_iter().collect()
    });
    types.extend(pod);
    let types = quoted_list(types);
    setters(pod.is_some(), &names, &format!("must not set securityContext.seccompProfile.type to {types}"))
}

fn forbidden_profile(context: &Value) -> Option<&str> {
    let profile = text_at(context, &["seccompProfile", "type"]);
    (!["", "RuntimeDefault", "Localhost"].contains(&profile)).then_some(profile)
}

// === the checks of `restricted` ===

fn privilege_escalation(spec: &Value) -> Option<String> {
    let names = names(spec, |context| context["allowPrivilegeEscalation"] != false);
    containers_that("must set securityContext.allowPrivilegeEscalation=false", &names)
}

fn restricted_capabilities(spec: &Value) -> Option<String> {
    let keeping =
        names(spec, |context| !items(&context["capabilities"]["drop"]).any(|dropped| dropped == "ALL"));
    let keeping = containers_that("must set securityContext.capabilities.drop=[\"ALL\"]", &keeping);
    let adding = added_capabilities(spec, &["NET_BIND_SERVICE"]);
    let details: Vec<_> = keeping.into_iter().chain(adding).collect();
    (!details.is_empty()).then(|| details.join("; "))
}

fn volume_types(spec: &Value) -> Option<String> {
    let (names, types) = offenders(items(&spec["volumes"]), |volume| {
        let mut keys = volume.as_object().into_iter().flatten().map(|(key, _)| key.as_str());
        let source = keys.find(|key| *key != "name").unwrap_or("unknown");
        if RESTRICTED_VOLUMES.contains(&source) { vec![] } else { vec![source] }
    });
    let word = if names.len() == 1 { "uses" } else { "use" };
    let what = if types.len() == 1 { "type" } else { "types" };
    let (volumes, types) = (counted("volume", &names), quoted_list(types));
    (!names.is_empty()).then(|| format!("{volumes} {word} restricted volume {what} {types}"))
}

fn run_as_non_root(spec: &Value) -> Option<String> {
    if has_user_namespace(spec) {
        return None;
    }
    let pod = &spec["securityContext"]["runAsNonRoot"];
    let refusing = names(spec, |context| context["runAsNonRoot"] == false);
    setters(*pod == false, &refusing, "must not set securityContext.runAsNonRoot=false").or_else(|| {
        let silent = names(spec, |context| context["runAsNonRoot"].is_null());
        let detail = containers_that("must set securityContext.runAsNonRoot=true", &silent)?;
        (*pod != true).then(|| format!("pod or {detail}"))
    })
}

fn run_as_user(spec: &Value) -> Option<String> {
    let root = |context: &Value| context["runAsUser"] == 0;
    let detail = setters(root(&spec["securityContext"]), &names(spec, root), "must not set runAsUser=0")?;
    (!has_user_namespace(spec)).then_some(detail)
}

fn restricted_seccomp(spec: &Value) -> Option<String> {
    baseline_seccomp(spec).or_else(|| {
        let unset = |context: &Value| context["seccompProfile"].is_null();
        let why = "must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\"";
        let detail = containers_that(why, &names(spec, unset))?;
        unset(&spec["securityContext"]).then(|| format!("pod or {detail}"))
    })
}

/// Since 1.35 a Pod with a user namespace of its own may run as root in it.
fn has_user_namespace(spec: &Value) -> bool {
    spec["hostUsers"] == false
}

// === the containers and their words ===

/// Returns all containers, in the order of the messages.
fn containers(spec: &Value) -> impl Iterator<Item = &Value> {
    ["initContainers", "containers", "ephemeralContainers"].into_iter().flat_map(|list| items(&spec[list]))
}

/// Returns the names of the containers whose security context has a trait.
fn names(spec: &Value, of: impl Fn(&Value) -> bool) -> Vec<&str> {
    containers(spec)
        .filter(|container| of(&container["securityContext"]))
        .map(|container| text_at(container, &["name"]))
        .collect()
}

/// Returns the names of the containers or volumes with forbidden values, and those values.
fn offenders<'a, T: Ord>(
    all: impl Iterator<Item = &'a Value>,
    forbidden: impl Fn(&'a Value) -> Vec<T>,
) -> (Vec<&'a str>, BTreeSet<T>) {
    let found = all.map(|one| (text_at(one, &["name"]), forbidden(one)));
    let (names, values): (Vec<_>, Vec<_>) = found.filter(|(_, values)| !values.is_empty()).unzip();
    (names, values.into_iter().flatten().collect())
}

/// Returns the violation of the containers that add other capabilities than these.
fn added_capabilities(spec: &Value, allowed: &[&str]) -> Option<String> {
    let (names, added) = offenders(containers(spec), |container| {
        let added = items(&container["securityContext"]["capabilities"]["add"]).filter_map(Value::as_str);
        added.filter(|capability| !allowed.contains(capability)).collect()
    });
    let added = quoted_list(added);
    containers_that(&format!("must not include {added} in securityContext.capabilities.add"), &names)
}

/// Returns the violation of containers, if there are some.
fn containers_that(violation: &str, names: &[&str]) -> Option<String> {
    setters(false, names, violation)
}

/// Returns the violation of the Pod itself and of containers, if one of them sets a forbidden value.
fn setters(pod: bool, names: &[&str], violation: &str) -> Option<String> {
    let pod = pod.then(|| "pod".to_owned());
    let containers = (!names.is_empty()).then(|| counted("container", names));
    let all: Vec<_> = pod.into_iter().chain(containers).collect();
    (!all.is_empty()).then(|| format!("{} {violation}", all.join(" and ")))
}

fn counted(word: &str, names: &[&str]) -> String {
    format!("{word}{} {}", if names.len() == 1 { "" } else { "s" }, quoted_list(names.iter().copied()))
}

fn quoted_list<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    texts.into_iter().map(quoted).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn namespace(level: &str) -> Value {
        json!({"metadata": {"labels": {ENFORCE: level}}})
    }

    fn refusal(level: &str, spec: &Value) -> Option<String> {
        let pod = json!({"metadata": {"name": "p"}, "spec": spec});
        admit(Some(&namespace(level)), PODS, &pod).err().map(|error| error.message)
    }

    /// A Pod that violates nothing.
    fn restricted() -> Value {
        json!({
            "securityContext": {"runAsNonRoot": true, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{"name": "c", "securityContext": {
                "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]},
            }}],
            "volumes": [{"name": "v", "emptyDir": {}}],
        })
    }

    /// Guards the checks of both levels with their messages, one violation each.
    #[test]
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn each_violation_has_its_message() {
        let both = ["baseline", "restricted"];
        let strict = ["restricted"];
        let cases: [(&str, Value, &[&str], &str); 16] = [
            ("/hostNetwork", json!(true), &both, "host namespaces (hostNetwork=true)"),
            (
                "/containers/0/ports",
                json!([{"hostPort": 80}]),
                &both,
                "hostPort (container \"c\" uses hostPort 80)",
            ),
            (
                "/containers/0/securityContext/privileged",
                json!(true),
                &both,
                "privileged (container \"c\" must not set securityContext.privileged=true)",
            ),
            (
                "/securityContext/seccompProfile/type",
                json!("Unconfined"),
                &both,
                "seccompProfile (pod must not set securityContext.seccompProfile.type to \"Unconfined\")",
            ),
            (
                "/containers/0/securityContext/capabilities/add",
                json!(["SYS_ADMIN"]),
                &["baseline"],
                "non-default capabilities (container \"c\" must not include \"SYS_ADMIN\" in \
                 securityContext.capabilities.add)",
            ),
            (
                "/containers/0/securityContext/capabilities",
                json!({"add": ["SYS_ADMIN", "CHOWN"]}),
                &strict,
                "unrestricted capabilities (container \"c\" must set securityContext.capabilities.drop=[\"ALL\"]; \
                 container \"c\" must not include \"CHOWN\", \"SYS_ADMIN\" in securityContext.capabilities.add)",
            ),
            (
                "/volumes/0",
                json!({"name": "v", "hostPath": {}}),
                &["baseline"],
                "hostPath volumes (volume \"v\")",
            ),
            (
                "/volumes/0",
                json!({"name": "v", "hostPath": {}}),
                &strict,
                "restricted volume types (volume \"v\" uses restricted volume type \"hostPath\")",
            ),
            (
                "/volumes",
                json!([{"name": "v", "hostPath": {}}, {"name": "w", "nfs": {}}]),
                &strict,
                "restricted volume types (volumes \"v\", \"w\" use restricted volume types \"hostPath\", \"nfs\")",
            ),
            (
                "/containers/0/securityContext/allowPrivilegeEscalation",
                Value::Null,
                &strict,
                "allowPrivilegeEscalation != false (container \"c\" must set \
                 securityContext.allowPrivilegeEscalation=false)",
            ),
            (
                "/securityContext/runAsNonRoot",
                Value::Null,
                &strict,
                "runAsNonRoot != true (pod or container \"c\" must set securityContext.runAsNonRoot=true)",
            ),
            (
                "/securityContext/runAsNonRoot",
                json!(false),
                &strict,
                "runAsNonRoot != true (pod must not set securityContext.runAsNonRoot=false)",
            ),
            (
                "/containers/0/securityContext/runAsNonRoot",
                json!(false),
                &strict,
                "runAsNonRoot != true (container \"c\" must not set securityContext.runAsNonRoot=false)",
            ),
            ("/securityContext/runAsUser", json!(0), &strict, "runAsUser=0 (pod must not set runAsUser=0)"),
            (
                "/securityContext/seccompProfile",
                Value::Null,
                &strict,
                "seccompProfile (pod or container \"c\" must set securityContext.seccompProfile.type to \
                 \"RuntimeDefault\" or \"Localhost\")",
            ),
            ("/hostPID", json!(true), &both, "host namespaces (hostPID=true)"),
        ];
        for level in both {
            assert_eq!(refusal(level, &restricted()), None, "{level}");
        }
        for (place, value, levels, words) in cases {
            let mut spec = restricted();
            let (parent, key) = place.rsplit_once('/').unwrap();
            match spec.pointer_mut(parent).unwrap() {
                Value::Array(items) => items[key.parse::<usize>().unwrap()] = value,
                parent => parent[key] = value,
            }
            for level in levels {
                let wanted =
                    format!("pods \"p\" is forbidden: violates PodSecurity \"{level}:latest\": {words}");
                assert_eq!(refusal(level, &spec), Some(wanted), "{place}");
            }
        }
    }

    /// Guards that a Pod with a user namespace of its own may run as root in it.
    #[test]
    fn a_user_namespace_allows_root() {
        let mut spec = restricted();
        spec["securityContext"]["runAsNonRoot"] = json!(false);
        spec["securityContext"]["runAsUser"] = json!(0);
        assert!(refusal("restricted", &spec).is_some());
        spec["hostUsers"] = json!(false);
        assert_eq!(refusal("restricted", &spec), None);
    }

    /// Guards that several violations are listed in the real server's order, and that init containers come first.
    #[test]
    fn violations_are_listed_in_order() {
        let spec = json!({"containers": [{"name": "c"}], "initContainers": [{"name": "i"}]});
        assert_eq!(refusal("baseline", &spec), None);
        assert_eq!(
            refusal("restricted", &spec).unwrap(),
            "pods \"p\" is forbidden: violates PodSecurity \"restricted:latest\": \
             allowPrivilegeEscalation != false (containers \"i\", \"c\" must set \
             securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (containers \"i\", \"c\" must set \
             securityContext.capabilities.drop=[\"ALL\"]), runAsNonRoot != true (pod or containers \"i\", \"c\" must set \
             securityContext.runAsNonRoot=true), seccompProfile (pod or containers \"i\", \"c\" must set \
             securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\")"
        );
    }

    /// Guards that only labels decide, and that `warn` does not refuse.
    #[test]
    fn the_labels_of_the_namespace_decide() {
        let pod = json!({"metadata": {"name": "p"}, "spec": {"hostPID": true, "containers": []}});
        for (labels, refused, warned) in [
            (json!({}), false, false),
            (json!({ENFORCE: "privileged"}), false, false),
            (json!({ENFORCE: "baseline"}), true, false),
            (json!({WARN: "baseline"}), false, true),
        ] {
            let namespace = json!({"metadata": {"labels": labels}});
            assert_eq!(admit(Some(&namespace), PODS, &pod).is_err(), refused, "{namespace}");
            assert_eq!(warning(Some(&namespace), PODS, &pod).is_some(), warned, "{namespace}");
        }
        let namespace = json!({"metadata": {"labels": {ENFORCE: "baseline", "pod-security.kubernetes.io/enforce-version": "v1.35"}}});
        let refused = admit(Some(&namespace), PODS, &pod).unwrap_err().message;
        assert!(
            refused.contains("violates PodSecurity \"baseline:v1.35\": host namespaces (hostPID=true)"),
            "{refused}"
        );
    }
}
