//! Resource quotas: updates the usage in their status.

use crate::api;
use crate::resource::QUOTAS;
use crate::shared::State;

pub(super) fn update(state: &mut State) {
    let quotas: Vec<_> = state.store.list(QUOTAS, None).collect();
    for quota in quotas {
        let status = api::quota_status(&state.store, quota.namespace(), quota.value());
        if quota.value()["status"] != status {
            let mut value = quota.value().clone();
            value["status"] = status;
            state.store.put(QUOTAS, value);
        }
    }
}
