//! The object names, labels and annotations that this program reads or writes. Each is defined once.

use std::collections::BTreeMap;

use lifecycle::ids::SandboxId;

/// The label of all sandbox objects. An object needs it and [`SANDBOX_ID`] to be adopted or deleted.
pub const APP: &str = "app";
/// The value of [`APP`].
pub const APP_VALUE: &str = "deer-flow-sandbox";
/// The label that holds the sandbox id. The Service selects its Pod by it.
pub const SANDBOX_ID: &str = "sandbox-id";
/// Kubernetes' recommended label for the application's name.
pub const NAME: &str = "app.kubernetes.io/name";
/// The value of [`NAME`].
pub const NAME_VALUE: &str = "deer-flow";
/// Kubernetes' recommended label for the component within the application.
pub const COMPONENT: &str = "app.kubernetes.io/component";
/// The value of [`COMPONENT`].
pub const COMPONENT_VALUE: &str = "sandbox";
/// Kubernetes' recommended label for the tool that manages an object. DeerFlow's provisioner does not set it, so an
/// object without it may still be a sandbox's.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// The value of [`MANAGED_BY`].
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

/// The label selector for lists and watches of all sandbox objects.
pub const SELECTOR: &str = "app=deer-flow-sandbox,sandbox-id";

/// The container that serves the sandbox's API.
pub const SANDBOX_CONTAINER: &str = "sandbox";
/// The environment variable of [`SANDBOX_CONTAINER`] that limits its shell sessions.
pub const MAX_SHELL_SESSIONS: &str = "MAX_SHELL_SESSIONS";
/// The container with Lark's command line and the user's credentials, beside [`SANDBOX_CONTAINER`].
pub const LARK_BROKER_CONTAINER: &str = "lark-cli-broker";
/// The init container that installs the broker's shim for [`SANDBOX_CONTAINER`].
pub const LARK_SHIM_CONTAINER: &str = "lark-cli-shim-init";
/// The directory of the Lark command line's configuration in a sandbox without a broker.
pub const LARK_CONFIG_PATH: &str = "/mnt/integrations/lark-cli/config";
/// The directory of the Lark command line's data in a sandbox without a broker.
pub const LARK_DATA_PATH: &str = "/mnt/integrations/lark-cli/data";
/// The directory of the Lark command line, or of the broker's shim, in a sandbox.
pub const LARK_RUNTIME_PATH: &str = "/mnt/integrations/lark-cli/runtime";
/// The name of the sandbox's port, in the Pod and in the Service.
pub const HTTP_PORT: &str = "http";

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

/// Returns the labels of a sandbox's Pod and Service.
#[must_use]
pub fn labels(id: &SandboxId) -> BTreeMap<String, String> {
    let mut labels = application();
    labels.insert(APP.to_owned(), APP_VALUE.to_owned());
    labels.insert(SANDBOX_ID.to_owned(), id.to_string());
    labels
}

/// Returns the labels of a namespace that this program creates.
#[must_use]
pub fn namespace_labels() -> BTreeMap<String, String> {
    application()
}

/// Returns the selector of a sandbox's Service. It contains only the sandbox id, as in DeerFlow's provisioner, so that
/// it also selects an adopted Pod.
#[must_use]
pub fn pod_selector(id: &SandboxId) -> BTreeMap<String, String> {
    BTreeMap::from([(SANDBOX_ID.to_owned(), id.to_string())])
}

/// Returns the sandbox that an object with these labels belongs to, or `None` for a foreign object.
#[must_use]
pub fn sandbox_id_of(labels: &BTreeMap<String, String>) -> Option<SandboxId> {
    if labels.get(APP).map(String::as_str) != Some(APP_VALUE) {
        return None;
    }
    SandboxId::parse(labels.get(SANDBOX_ID)?).ok()
}

/// Returns whether this program created an object with these labels. DeerFlow's provisioner does not set the label.
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

        let originals = BTreeMap::from([
            (APP.to_owned(), APP_VALUE.to_owned()),
            (SANDBOX_ID.to_owned(), "abc-123".to_owned()),
        ]);
        assert_eq!(sandbox_id_of(&originals), Some(id("abc-123")), "an object of the original is adopted");

        for missing in [APP, SANDBOX_ID] {
            let mut labels = ours.clone();
            labels.remove(missing);
            assert_eq!(sandbox_id_of(&labels), None, "without {missing}");
        }
        let mut foreign = ours.clone();
        foreign.insert(APP.to_owned(), "something-else".to_owned());
        assert_eq!(sandbox_id_of(&foreign), None);
        let mut unusable = ours;
        unusable.insert(SANDBOX_ID.to_owned(), "Not_An_Id".to_owned());
        assert_eq!(sandbox_id_of(&unusable), None);
    }

    /// Guards that the selector contains the same two labels that [`sandbox_id_of`] checks.
    #[test]
    fn the_selector_contains_both_labels() {
        assert_eq!(SELECTOR, format!("{APP}={APP_VALUE},{SANDBOX_ID}"));
    }
}
