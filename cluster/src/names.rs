//! Every object name, label and annotation that we write or read, each once.

use std::collections::BTreeMap;

use lifecycle::ids::SandboxId;

/// Marks an object as a sandbox's. Together with [`SANDBOX_ID`] it makes an object ours to adopt or delete.
pub const APP: &str = "app";
/// The value of [`APP`].
pub const APP_VALUE: &str = "deer-flow-sandbox";
/// Which sandbox an object belongs to; also what the Service selects its Pod by.
pub const SANDBOX_ID: &str = "sandbox-id";
/// Kubernetes' recommended label for the application's name.
pub const NAME: &str = "app.kubernetes.io/name";
/// The value of [`NAME`].
pub const NAME_VALUE: &str = "deer-flow";
/// Kubernetes' recommended label for the part of the application.
pub const COMPONENT: &str = "app.kubernetes.io/component";
/// The value of [`COMPONENT`].
pub const COMPONENT_VALUE: &str = "sandbox";
/// Kubernetes' recommended label for who made an object. The original provisioner set none, so an object
/// without it may still be ours.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// The value of [`MANAGED_BY`].
pub const MANAGED_BY_VALUE: &str = "sandbox-provisioner";

/// The annotation that holds the thread whose data the sandbox mounts.
pub const THREAD_ID: &str = "sandbox-provisioner/thread-id";
/// The annotation that holds the user whose data the sandbox mounts. An annotation, as a user id may be
/// longer than the 63 characters of a label's value.
pub const USER_ID: &str = "sandbox-provisioner/user-id";

/// The annotation that holds the sandbox's own time to live, in words such as `8h`.
pub const TTL: &str = "sandbox-provisioner/ttl";
/// The annotation that holds the sandbox's own idle timeout, in words such as `15m`.
pub const IDLE_TIMEOUT: &str = "sandbox-provisioner/idle-timeout";
/// The annotation that holds the last sign of life that was written, as RFC 3339 has it.
pub const LAST_ACTIVITY: &str = "sandbox-provisioner/last-activity";
/// The annotation that holds who used the sandbox last, by its own word.
pub const OWNER: &str = "sandbox-provisioner/owner";

/// The label selector of all that is ours, for lists and watches.
pub const SELECTOR: &str = "app=deer-flow-sandbox,sandbox-id";

/// The container that callers talk to.
pub const SANDBOX_CONTAINER: &str = "sandbox";
/// The variable of [`SANDBOX_CONTAINER`] that limits its shell sessions.
pub const MAX_SHELL_SESSIONS: &str = "MAX_SHELL_SESSIONS";
/// The container with Lark's command line and the user's credentials, beside [`SANDBOX_CONTAINER`].
pub const LARK_BROKER_CONTAINER: &str = "lark-cli-broker";
/// The init container that installs the broker's shim for [`SANDBOX_CONTAINER`].
pub const LARK_SHIM_CONTAINER: &str = "lark-cli-shim-init";
/// Where a sandbox without a broker reads the configuration of Lark's command line.
pub const LARK_CONFIG_PATH: &str = "/mnt/integrations/lark-cli/config";
/// Where a sandbox without a broker keeps the data of Lark's command line.
pub const LARK_DATA_PATH: &str = "/mnt/integrations/lark-cli/data";
/// Where a sandbox has Lark's command line, or the broker's shim.
pub const LARK_RUNTIME_PATH: &str = "/mnt/integrations/lark-cli/runtime";
/// The name of the port on which it answers, in the Pod and in the Service.
pub const HTTP_PORT: &str = "http";

/// The sandbox's Pod.
#[must_use]
pub fn pod(id: &SandboxId) -> String {
    format!("sandbox-{id}")
}

/// The sandbox's Service.
#[must_use]
pub fn service(id: &SandboxId) -> String {
    format!("sandbox-{id}-svc")
}

/// The labels of a sandbox's Pod and Service.
#[must_use]
pub fn labels(id: &SandboxId) -> BTreeMap<String, String> {
    let mut labels = application();
    labels.insert(APP.to_owned(), APP_VALUE.to_owned());
    labels.insert(SANDBOX_ID.to_owned(), id.to_string());
    labels
}

/// The labels of a namespace that we make.
#[must_use]
pub fn namespace_labels() -> BTreeMap<String, String> {
    application()
}

/// What the Service selects its Pod by: the sandbox's id alone, as the original has it, so that an adopted
/// Pod is found too.
#[must_use]
pub fn pod_selector(id: &SandboxId) -> BTreeMap<String, String> {
    BTreeMap::from([(SANDBOX_ID.to_owned(), id.to_string())])
}

/// The sandbox that an object with these labels belongs to, or `None` when it is not ours.
#[must_use]
pub fn owner(labels: &BTreeMap<String, String>) -> Option<SandboxId> {
    if labels.get(APP).map(String::as_str) != Some(APP_VALUE) {
        return None;
    }
    SandboxId::parse(labels.get(SANDBOX_ID)?).ok()
}

/// Whether an object with these labels was made by this service; those that the original made were not.
#[must_use]
pub fn is_made_by_us(labels: &BTreeMap<String, String>) -> bool {
    labels.get(MANAGED_BY).map(String::as_str) == Some(MANAGED_BY_VALUE)
}

fn application() -> BTreeMap<String, String> {
    [(NAME, NAME_VALUE), (COMPONENT, COMPONENT_VALUE), (MANAGED_BY, MANAGED_BY_VALUE)]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> SandboxId {
        SandboxId::parse(text).unwrap()
    }

    /// The longest usable id gives names that Kubernetes takes: DNS labels of at most 63 characters.
    #[test]
    fn names_fit_a_dns_label() {
        let longest = id(&"a".repeat(lifecycle::ids::SANDBOX_ID_MAX));
        assert_eq!(service(&longest).len(), 63);
        assert!(pod(&longest).len() <= 63);
    }

    /// What we write we find again, and what lacks either label is never taken for ours.
    #[test]
    fn owner_needs_both_labels() {
        let ours = labels(&id("abc-123"));
        assert_eq!(owner(&ours), Some(id("abc-123")));

        let originals = BTreeMap::from([
            (APP.to_owned(), APP_VALUE.to_owned()),
            (SANDBOX_ID.to_owned(), "abc-123".to_owned()),
        ]);
        assert_eq!(owner(&originals), Some(id("abc-123")), "an object of the original is adopted");

        for missing in [APP, SANDBOX_ID] {
            let mut labels = ours.clone();
            labels.remove(missing);
            assert_eq!(owner(&labels), None, "without {missing}");
        }
        let mut foreign = ours.clone();
        foreign.insert(APP.to_owned(), "something-else".to_owned());
        assert_eq!(owner(&foreign), None);
        let mut unusable = ours;
        unusable.insert(SANDBOX_ID.to_owned(), "Not_An_Id".to_owned());
        assert_eq!(owner(&unusable), None);
    }

    /// The selector names the same two labels that [`owner`] asks for.
    #[test]
    fn selector_and_owner_agree() {
        assert_eq!(SELECTOR, format!("{APP}={APP_VALUE},{SANDBOX_ID}"));
    }
}
