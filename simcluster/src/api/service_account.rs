//! Service accounts, as Pods run under them.

use serde_json::Value;

use crate::resource::{PODS, Resource, SERVICE_ACCOUNTS};
use crate::status::{ApiError, ApiResult};
use crate::store::{Store, text_at};

/// The account of Pods that name none. It is taken to be there: every namespace has it from its first moments on.
const DEFAULT: &str = "default";

/// Refuses a Pod that is to run under an account that is not there.
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
    fn a_pod_needs_the_account_it_names() {
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
