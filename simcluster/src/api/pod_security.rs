//! The admission of Pods by the Pod Security Standards, as the labels of their namespace ask for it.
//!
//! Pure. The checks and their messages are those of the newest version. These are left out, because sandboxes do not
//! use the fields: `AppArmor`, `SELinux`, `procMount`, sysctls, hosts of probes and Windows. A namespace's version label is
//! shown in messages, and has no effect.

use std::collections::BTreeSet;

use serde_json::{Value, json};

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

/// The result of a check: the reason and the detail of a violation, if there is one.
type Finding = Option<(&'static str, String)>;

/// The checks of `baseline`, in the order of the real server.
const BASELINE: [fn(&Value) -> Finding; 6] =
    [baseline_capabilities, host_namespaces, host_paths, host_ports, privileged, baseline_seccomp];
/// The checks of `restricted`: those of `baseline` that it does not sharpen, then its own.
const RESTRICTED: [fn(&Value) -> Finding; 9] = [
    host_namespaces,
    host_ports,
    privileged,
    privilege_escalation,
    restricted_capabilities,
    volume_types,
    run_as_non_root,
    run_as_user,
    restricted_seccomp,
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
    let checks: &[fn(&Value) -> Finding] = match level {
        "baseline" => &BASELINE,
        "restricted" => &RESTRICTED,
        _ => return None,
    };
    let findings: Vec<_> = checks
        .iter()
        .filter_map(|check| check(&pod["spec"]))
        .map(|(reason, detail)| format!("{reason} ({detail})"))
        .collect();
    let version = labels[format!("{label}-version").as_str()].as_str().unwrap_or("latest");
    (!findings.is_empty()).then(|| format!("PodSecurity \"{level}:{version}\": {}", findings.join(", ")))
}

// === the checks of `baseline` ===

fn baseline_capabilities(spec: &Value) -> Finding {
    let (names, added) = adding(spec, &BASELINE_CAPABILITIES);
    let detail =
        format!("{} must not include {added} in securityContext.capabilities.add", containers_of(&names));
    (!names.is_empty()).then_some(("non-default capabilities", detail))
}

fn host_namespaces(spec: &Value) -> Finding {
    let used: Vec<_> = ["hostNetwork", "hostPID", "hostIPC"]
        .into_iter()
        .filter(|field| spec[*field] == json!(true))
        .map(|field| format!("{field}=true"))
        .collect();
    (!used.is_empty()).then(|| ("host namespaces", used.join(", ")))
}

fn host_paths(spec: &Value) -> Finding {
    let names: Vec<_> = items(&spec["volumes"])
        .filter(|volume| volume["hostPath"].is_object())
        .map(|volume| text_at(volume, &["name"]))
        .collect();
    (!names.is_empty()).then(|| ("hostPath volumes", counted(&names, "volume", "volumes")))
}

fn host_ports(spec: &Value) -> Finding {
    let mut names = Vec::new();
    let mut ports = BTreeSet::new();
    for container in containers(spec) {
        let used: Vec<_> = items(&container["ports"])
            .filter_map(|port| port["hostPort"].as_i64())
            .filter(|port| *port != 0)
            .collect();
        if !used.is_empty() {
            names.push(text_at(container, &["name"]));
            ports.extend(used.iter().map(ToString::to_string));
        }
    }
    let word = if names.len() == 1 { "uses" } else { "use" };
    let what = if ports.len() == 1 { "hostPort" } else { "hostPorts" };
    let ports = ports.into_iter().collect::<Vec<_>>().join(", ");
    (!names.is_empty()).then(|| ("hostPort", format!("{} {word} {what} {ports}", containers_of(&names))))
}

fn privileged(spec: &Value) -> Finding {
    let names = names(spec, |context| context["privileged"] == json!(true));
    let detail = format!("{} must not set securityContext.privileged=true", containers_of(&names));
    (!names.is_empty()).then_some(("privileged", detail))
}

fn baseline_seccomp(spec: &Value) -> Finding {
    let allowed = |context: &Value| {
        matches!(text_at(context, &["seccompProfile", "type"]), "" | "RuntimeDefault" | "Localhost")
    };
    let pod = (!allowed(&spec["securityContext"])).then_some(&spec["securityContext"]);
    let wrong: Vec<_> =
        containers(spec).filter(|container| !allowed(&container["securityContext"])).collect();
    let types: BTreeSet<_> = pod
        .into_iter()
        .chain(wrong.iter().map(|container| &container["securityContext"]))
        .map(|context| text_at(context, &["seccompProfile", "type"]))
        .collect();
    let wrong: Vec<_> = wrong.into_iter().map(|container| text_at(container, &["name"])).collect();
    let setters = setters(pod.is_some(), &wrong)?;
    let types = quoted_list(&types.into_iter().collect::<Vec<_>>());
    Some(("seccompProfile", format!("{setters} must not set securityContext.seccompProfile.type to {types}")))
}

// === the checks of `restricted` ===

fn privilege_escalation(spec: &Value) -> Finding {
    let names = names(spec, |context| context["allowPrivilegeEscalation"] != json!(false));
    let detail = format!("{} must set securityContext.allowPrivilegeEscalation=false", containers_of(&names));
    (!names.is_empty()).then_some(("allowPrivilegeEscalation != false", detail))
}

fn restricted_capabilities(spec: &Value) -> Finding {
    let keeping =
        names(spec, |context| !items(&context["capabilities"]["drop"]).any(|dropped| dropped == "ALL"));
    let (names, added) = adding(spec, &["NET_BIND_SERVICE"]);
    let details: Vec<_> = [
        (!keeping.is_empty()).then(|| {
            format!("{} must set securityContext.capabilities.drop=[\"ALL\"]", containers_of(&keeping))
        }),
        (!names.is_empty()).then(|| {
            format!("{} must not include {added} in securityContext.capabilities.add", containers_of(&names))
        }),
    ]
    .into_iter()
    .flatten()
    .collect();
    (!details.is_empty()).then(|| ("unrestricted capabilities", details.join("; ")))
}

fn volume_types(spec: &Value) -> Finding {
    let mut names = Vec::new();
    let mut types = BTreeSet::new();
    for volume in items(&spec["volumes"]) {
        let source =
            volume.as_object().into_iter().flatten().map(|(key, _)| key.as_str()).find(|key| *key != "name");
        let source = source.unwrap_or("unknown");
        if !RESTRICTED_VOLUMES.contains(&source) {
            names.push(text_at(volume, &["name"]));
            types.insert(source);
        }
    }
    let word = if names.len() == 1 { "uses" } else { "use" };
    let what = if types.len() == 1 { "type" } else { "types" };
    let types = quoted_list(&types.into_iter().collect::<Vec<_>>());
    let volumes = counted(&names, "volume", "volumes");
    (!names.is_empty())
        .then(|| ("restricted volume types", format!("{volumes} {word} restricted volume {what} {types}")))
}

fn run_as_non_root(spec: &Value) -> Finding {
    const REASON: &str = "runAsNonRoot != true";
    if has_user_namespace(spec) {
        return None;
    }
    let pod = &spec["securityContext"]["runAsNonRoot"];
    let refusing = names(spec, |context| context["runAsNonRoot"] == json!(false));
    if let Some(setters) = setters(*pod == json!(false), &refusing) {
        return Some((REASON, format!("{setters} must not set securityContext.runAsNonRoot=false")));
    }
    let silent = names(spec, |context| context["runAsNonRoot"].is_null());
    (*pod != json!(true) && !silent.is_empty()).then(|| {
        (REASON, format!("pod or {} must set securityContext.runAsNonRoot=true", containers_of(&silent)))
    })
}

fn run_as_user(spec: &Value) -> Finding {
    let root = |context: &Value| context["runAsUser"] == json!(0);
    let setters = setters(root(&spec["securityContext"]), &names(spec, root))?;
    (!has_user_namespace(spec)).then(|| ("runAsUser=0", format!("{setters} must not set runAsUser=0")))
}

fn restricted_seccomp(spec: &Value) -> Finding {
    if let Some(finding) = baseline_seccomp(spec) {
        return Some(finding);
    }
    let unset = |context: &Value| context["seccompProfile"].is_null();
    let silent = names(spec, unset);
    let finding = || {
        let detail = format!(
            "pod or {} must set securityContext.seccompProfile.type to \"RuntimeDefault\" or \"Localhost\"",
            containers_of(&silent)
        );
        ("seccompProfile", detail)
    };
    (unset(&spec["securityContext"]) && !silent.is_empty()).then(finding)
}

/// Since 1.35 a Pod with a user namespace of its own may run as root in it.
fn has_user_namespace(spec: &Value) -> bool {
    spec["hostUsers"] == json!(false)
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

/// Returns the containers that add other capabilities than these, and those capabilities.
fn adding<'a>(spec: &'a Value, allowed: &[&str]) -> (Vec<&'a str>, String) {
    let mut added = BTreeSet::new();
    let mut names = Vec::new();
    for container in containers(spec) {
        let others: Vec<_> = items(&container["securityContext"]["capabilities"]["add"])
            .filter_map(Value::as_str)
            .filter(|capability| !allowed.contains(capability))
            .collect();
        if !others.is_empty() {
            names.push(text_at(container, &["name"]));
            added.extend(others);
        }
    }
    (names, quoted_list(&added.into_iter().collect::<Vec<_>>()))
}

/// Returns who sets a forbidden value, if anybody does.
fn setters(pod: bool, names: &[&str]) -> Option<String> {
    let pod = pod.then(|| "pod".to_owned());
    let containers = (!names.is_empty()).then(|| containers_of(names));
    let all: Vec<_> = pod.into_iter().chain(containers).collect();
    (!all.is_empty()).then(|| all.join(" and "))
}

fn containers_of(names: &[&str]) -> String {
    counted(names, "container", "containers")
}

fn counted(names: &[&str], one: &str, many: &str) -> String {
    format!("{} {}", if names.len() == 1 { one } else { many }, quoted_list(names))
}

fn quoted_list(texts: &[&str]) -> String {
    texts.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", ")
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
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
