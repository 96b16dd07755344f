//! The object names, labels and annotations that this program reads or writes. Each is defined once.

use std::collections::BTreeMap;

use lifecycle::{
    ids::{ProfileName, SandboxId},
    network::NetworkMode,
    workspace::WorkspaceId,
};

/// The label of all sandbox objects, with its value. An object needs it and [`SANDBOX_ID`] to be adopted or deleted.
const APP: (&str, &str) = ("app", "deer-flow-sandbox");
/// The label that holds the sandbox id. The Service selects its Pod by it.
const SANDBOX_ID: &str = "sandbox-id";
/// The label selector for lists and watches of all sandbox objects.
pub(crate) const SELECTOR: &str = "app=deer-flow-sandbox,sandbox-id";
/// Kubernetes' recommended label for the tool that manages an object. DeerFlow's provisioner does not set it, so an
/// object without it may still be a sandbox's.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// The value of [`MANAGED_BY`], and this program's name in Events and requests.
pub const MANAGED_BY_VALUE: &str = "sandbox-provisioner";

/// The annotation that holds the thread whose data the sandbox mounts.
pub const THREAD_ID: &str = "sandbox-provisioner/thread-id";
/// The annotation that holds the user whose data the sandbox mounts. It is not a label, because a user id may be longer
/// than the 63 characters of a label value.
pub const USER_ID: &str = "sandbox-provisioner/user-id";

/// The annotation that holds the sandbox's own time to live, such as `8h`.
pub const TTL: &str = "sandbox-provisioner/ttl";
/// The annotation that holds the sandbox's own idle timeout, such as `15m`.
pub const IDLE_TIMEOUT: &str = "sandbox-provisioner/idle-timeout";
/// The annotation that holds the last recorded activity, in RFC 3339 format.
pub const LAST_ACTIVITY: &str = "sandbox-provisioner/last-activity";
/// The annotation that holds the owner, the name that the last client gave itself.
pub const OWNER: &str = "sandbox-provisioner/owner";

/// The annotation that holds the request of the sandbox as JSON, if there are several clusters.
pub const REQUEST: &str = "sandbox-provisioner/request";
/// The annotation of a Pod that takes the place of a sandbox on another cluster, with the reason.
pub const REPLACEMENT: &str = "sandbox-provisioner/replacement";

/// The annotation of a Pod whose sandbox has moved, with the creation time of its first Pod.
pub const FIRST_CREATED: &str = "sandbox-provisioner/first-created";

/// The annotation that holds the limit of CPU that the sandbox container gets once it is ready, such as `500m`.
pub const CPU_AFTER_START: &str = "sandbox-provisioner/cpu-after-start";

/// The label of a Pod that holds the profile with which it was created.
pub const PROFILE: &str = "sandbox-provisioner/profile";
/// The label of a Pod that holds its network mode. The network policies select Pods by it.
pub const NETWORK: &str = "sandbox-provisioner/network";
/// The label of the Pods that check whether network policies are enforced.
pub const NETWORK_CHECK: &str = "sandbox-provisioner/network-check";

/// The label of a workspace's claim, and of the Pods that mount it, with the workspace's id.
pub const WORKSPACE: &str = "sandbox-provisioner/workspace";
/// The label of a workspace's claim with the scope.
pub const WORKSPACE_SCOPE: &str = "sandbox-provisioner/workspace-scope";
/// The label selector for lists and watches of the claims of workspaces.
pub(crate) const WORKSPACE_SELECTOR: &str =
    "app.kubernetes.io/managed-by=sandbox-provisioner,sandbox-provisioner/workspace";
/// The annotation of a claim that holds the sandbox whose workspace it is.
pub const WORKSPACE_SANDBOX: &str = "sandbox-provisioner/sandbox-id";
/// The annotation of a Pod that holds the size of the workspace that was asked for.
pub const WORKSPACE_SIZE: &str = "sandbox-provisioner/workspace-size";
/// The annotation of a claim, and of the Pods that mount it, that says what happens after the last sandbox.
pub const WHEN_DELETED: &str = "sandbox-provisioner/when-deleted";
/// The annotation of a claim that says how long it is kept after its last use, such as `7d`.
pub const KEEP_FOR: &str = "sandbox-provisioner/keep-for";
/// The annotation of a claim with the time at which a create has last taken it.
pub const LAST_USED: &str = "sandbox-provisioner/last-used";
/// The annotation of a claim with the time since which no Pod uses it.
pub const UNUSED_SINCE: &str = "sandbox-provisioner/unused-since";

/// The begin of the names of claims.
const CLAIM_PREFIX: &str = "workspace-";

/// The container that serves the sandbox's API.
pub(crate) const SANDBOX_CONTAINER: &str = "sandbox";
/// The environment variable of [`SANDBOX_CONTAINER`] that limits its shell sessions.
pub(crate) const MAX_SHELL_SESSIONS: &str = "MAX_SHELL_SESSIONS";
/// The container with Lark's command line and the user's credentials, beside [`SANDBOX_CONTAINER`].
pub(crate) const LARK_BROKER_CONTAINER: &str = "lark-cli-broker";
/// The init container that installs Lark's command line for [`SANDBOX_CONTAINER`], without a broker.
pub(crate) const LARK_INIT_CONTAINER: &str = "lark-cli-init";
/// The init container that installs the broker's shim for [`SANDBOX_CONTAINER`].
pub(crate) const LARK_SHIM_CONTAINER: &str = "lark-cli-shim-init";
/// The directories of the Lark command line in a sandbox. Without a broker the first two hold credentials.
pub(crate) const LARK_CONFIG_PATH: &str = "/mnt/integrations/lark-cli/config";
pub(crate) const LARK_DATA_PATH: &str = "/mnt/integrations/lark-cli/data";
pub(crate) const LARK_RUNTIME_PATH: &str = "/mnt/integrations/lark-cli/runtime";
/// The thread's own directory in a sandbox.
pub const USER_DATA_PATH: &str = "/mnt/user-data";
/// The name of the sandbox's port, in the Pod and in the Service.
pub(crate) const HTTP_PORT: &str = "http";

/// Returns the name of a sandbox's Pod.
#[must_use]
pub fn pod(id: &SandboxId) -> String {
    format!("sandbox-{id}")
}

/// Returns the name of a sandbox's Service.
#[must_use]
pub fn service(id: &SandboxId) -> String {
    format!("sandbox-{id}-svc")
}

/// Returns the name of a workspace's claim.
#[must_use]
pub fn claim(id: &WorkspaceId) -> String {
    format!("{CLAIM_PREFIX}{id}")
}

/// Returns the workspace whose claim has this name.
pub(crate) fn workspace_of_claim(name: &str) -> Option<WorkspaceId> {
    WorkspaceId::parse(name.strip_prefix(CLAIM_PREFIX)?)
}

/// Returns the workspace that a label names.
pub(crate) fn workspace_of(labels: &BTreeMap<String, String>) -> Option<WorkspaceId> {
    WorkspaceId::parse(labels.get(WORKSPACE)?)
}

/// Returns the labels of a sandbox's Pod and Service.
#[must_use]
pub fn labels(id: &SandboxId) -> BTreeMap<String, String> {
    let mut labels = namespace_labels();
    labels.insert(APP.0.to_owned(), APP.1.to_owned());
    labels.insert(SANDBOX_ID.to_owned(), id.to_string());
    labels
}

/// Returns the label that all sandbox objects have.
pub(crate) fn app_label() -> BTreeMap<String, String> {
    BTreeMap::from([(APP.0.to_owned(), APP.1.to_owned())])
}

/// Returns the label of the Pods that pull the image on every node, of `config/prepull.yaml`.
#[must_use]
pub fn prepull_label() -> BTreeMap<String, String> {
    BTreeMap::from([("app.kubernetes.io/name".to_owned(), "sandbox-image".to_owned())])
}

/// Returns the labels of a namespace that this program creates: Kubernetes' recommended ones.
pub(crate) fn namespace_labels() -> BTreeMap<String, String> {
    [
        ("app.kubernetes.io/name", "deer-flow"),
        ("app.kubernetes.io/component", "sandbox"),
        (MANAGED_BY, MANAGED_BY_VALUE),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into()
}

/// Returns the selector of a sandbox's Service. It contains only the sandbox id, as in DeerFlow's provisioner, so that
/// it also selects an adopted Pod.
pub(crate) fn pod_selector(id: &SandboxId) -> BTreeMap<String, String> {
    BTreeMap::from([(SANDBOX_ID.to_owned(), id.to_string())])
}

/// Returns the first label of a sandbox's object that differs in these labels, with its value in them.
pub(crate) fn altered_label<'a>(
    id: &SandboxId,
    labels: Option<&'a BTreeMap<String, String>>,
) -> Option<(&'static str, Option<&'a str>)> {
    let value = |label: &str| labels.and_then(|labels| labels.get(label)).map(String::as_str);
    [(APP.0, APP.1), (SANDBOX_ID, id.as_str())]
        .into_iter()
        .map(|(label, wanted)| (label, wanted, value(label)))
        .find(|(_, wanted, now)| *now != Some(wanted))
        .map(|(label, _, now)| (label, now))
}

/// Returns the sandbox that an object with these labels belongs to, or `None` for a foreign object.
#[must_use]
pub fn sandbox_id_of(labels: &BTreeMap<String, String>) -> Option<SandboxId> {
    if labels.get(APP.0).map(String::as_str) != Some(APP.1) {
        return None;
    }
    SandboxId::parse(labels.get(SANDBOX_ID)?).ok()
}

/// Returns the profile that the labels of a Pod name.
pub(crate) fn profile_of(labels: &BTreeMap<String, String>) -> Option<ProfileName> {
    ProfileName::parse(labels.get(PROFILE)?)
}

/// Returns the network mode that the labels of a Pod name.
pub(crate) fn network_of(labels: &BTreeMap<String, String>) -> Option<NetworkMode> {
    NetworkMode::parse(labels.get(NETWORK)?)
}

/// Returns whether a label key is one that this program or Kubernetes' recommendation gives a meaning.
pub(crate) fn is_reserved_label(key: &str) -> bool {
    key == APP.0
        || key == SANDBOX_ID
        || ["sandbox-provisioner", "app.kubernetes.io"]
            .contains(&key.split_once('/').map_or("", |(prefix, _)| prefix))
}

/// Returns whether this program sets an environment variable of the sandbox container.
pub(crate) fn is_reserved_variable(name: &str) -> bool {
    name == MAX_SHELL_SESSIONS || name.starts_with("DEERFLOW_")
}

/// How the names begin of the environment variables of the sandbox container that this program or Kubernetes sets, beside
/// [`MAX_SHELL_SESSIONS`].
pub(crate) const FIXED_VARIABLES: [&str; 2] = ["DEERFLOW_", "KUBERNETES_"];

/// Returns whether no request can set an environment variable, because this program or Kubernetes does.
pub(crate) fn is_fixed_variable(name: &str) -> bool {
    name == MAX_SHELL_SESSIONS || FIXED_VARIABLES.iter().any(|fixed| name.starts_with(fixed))
}

/// Returns whether no request can set a label, because this program or Kubernetes does.
pub(crate) fn is_fixed_label(key: &str) -> bool {
    key == APP.0
        || key == SANDBOX_ID
        || key.split_once('/').is_some_and(|(domain, _)| is_fixed_domain(domain))
}

/// Returns whether the labels with this domain have a meaning for this program or for Kubernetes.
pub(crate) fn is_fixed_domain(domain: &str) -> bool {
    let is_of =
        |owner: &str| domain.strip_suffix(owner).is_some_and(|sub| sub.is_empty() || sub.ends_with('.'));
    domain == "sandbox-provisioner" || is_of("kubernetes.io") || is_of("k8s.io")
}

/// Returns whether this program created an object with these labels. DeerFlow's provisioner does not set the label.
pub(crate) fn is_made_by_us(labels: &BTreeMap<String, String>) -> bool {
    labels.get(MANAGED_BY).map(String::as_str) == Some(MANAGED_BY_VALUE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> SandboxId {
        SandboxId::parse(text).unwrap()
    }

    /// Guards that the longest valid id gives valid names: DNS labels of at most 63 characters.
    #[test]
    fn names_fit_a_dns_label() {
        let longest = id(&"a".repeat(lifecycle::ids::SANDBOX_ID_MAX));
        assert_eq!(service(&longest).len(), 63);
        assert!(pod(&longest).len() <= 63);
    }

    /// Guards that an object with our labels is recognized, and one without either label is not.
    #[test]
    fn a_sandboxs_object_needs_both_labels() {
        let ours = labels(&id("abc-123"));
        assert_eq!(sandbox_id_of(&ours), Some(id("abc-123")));

        let deerflows = BTreeMap::from([
            (APP.0.to_owned(), APP.1.to_owned()),
            (SANDBOX_ID.to_owned(), "abc-123".to_owned()),
        ]);
        assert_eq!(
            sandbox_id_of(&deerflows),
            Some(id("abc-123")),
            "an object of DeerFlow's provisioner is adopted"
        );

        for missing in [APP.0, SANDBOX_ID] {
            let mut labels = ours.clone();
            labels.remove(missing);
            assert_eq!(sandbox_id_of(&labels), None, "without {missing}");
        }
        let mut foreign = ours.clone();
        foreign.insert(APP.0.to_owned(), "something-else".to_owned());
        assert_eq!(sandbox_id_of(&foreign), None);
        let mut unusable = ours;
        unusable.insert(SANDBOX_ID.to_owned(), "Not_An_Id".to_owned());
        assert_eq!(sandbox_id_of(&unusable), None);
    }

    /// Guards that the selector contains the same two labels that [`sandbox_id_of`] checks.
    #[test]
    fn the_selector_contains_both_labels() {
        assert_eq!(SELECTOR, format!("{}={},{SANDBOX_ID}", APP.0, APP.1));
        assert_eq!(WORKSPACE_SELECTOR, format!("{MANAGED_BY}={MANAGED_BY_VALUE},{WORKSPACE}"));
    }
}
