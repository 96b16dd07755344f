//! The admission of Pods by their service account.

use serde_json::Value;

use crate::resource::{PODS, Resource, SERVICE_ACCOUNTS};
use crate::status::{ApiError, ApiResult};
use crate::store::{Store, text_at};

/// The default account. It is assumed to exist: every namespace gets it when it is created.
const DEFAULT: &str = "default";

/// Rejects a Pod whose service account does not exist.
pub(super) fn admit(store: &Store, resource: &Resource, value: &Value) -> ApiResult<()> {
    let account = text_at(value, &["spec", "serviceAccountName"]);
    if resource != PODS || matches!(account, "" | DEFAULT) {
        return Ok(());
    }
    let namespace = text_at(value, &["metadata", "namespace"]);
    if store.get(SERVICE_ACCOUNTS, namespace, account).is_some() {
        return Ok(());
    }
    let why = format!(
        "error looking up service account {namespace}/{account}: serviceaccount {account:?} not found"
    );
    Err(ApiError::forbidden(PODS, text_at(value, &["metadata", "name"]), &why))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_needs_its_service_account() {
        let mut store = Store::with_window(10);
        let pod = |account: &str| json!({"metadata": {"namespace": "n", "name": "p"}, "spec": {"serviceAccountName": account}});
        assert!(admit(&store, PODS, &pod("default")).is_ok());
        let refused = admit(&store, PODS, &pod("robot")).unwrap_err();
        assert_eq!(
            refused.message,
            "pods \"p\" is forbidden: error looking up service account n/robot: serviceaccount \"robot\" not found"
        );
        store.put(SERVICE_ACCOUNTS, json!({"metadata": {"namespace": "n", "name": "robot"}}));
        assert!(admit(&store, PODS, &pod("robot")).is_ok());
    }
}
