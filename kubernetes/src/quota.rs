//! Reads the quotas of the namespace: how much of each is used.
//!
//! The metrics are optional and best effort: a quota that cannot be read is missing in them.

use std::{convert::Infallible, time::Duration};

use k8s_openapi::api::core::v1::ResourceQuota;
use kube::core::{ObjectList, Request, Resource as _, params::ListParams};
use lifecycle::error::{ClusterError, ClusterErrorKind};
use serde::Deserialize as _;
use serde_json::Value;
use tokio::time::sleep;

use crate::{
    connect::Connection,
    fault::{Verb, classify},
    profile::Quantity,
};

/// How often they are read.
const INTERVAL: Duration = Duration::from_secs(60);

/// The wait after a refusal for lack of a right. Someone must grant it.
const FORBIDDEN_WAIT: Duration = Duration::from_secs(600);

/// The most quotas that are read. A namespace usually has one or two.
const QUOTAS_MAX: u32 = 20;

/// The most resources of all quotas that are shown.
const RESOURCES_MAX: usize = 100;

/// One resource of a quota.
#[derive(Debug, Clone, PartialEq)]
pub struct QuotaUse {
    /// The name of the `ResourceQuota`.
    pub quota: String,
    /// The name of the resource, such as `pods` or `requests.cpu`.
    pub resource: String,
    /// The amount in use: bytes, cores or objects.
    pub used: f64,
    /// The largest amount, in the same unit.
    pub hard: f64,
}

/// Reads the quotas again and again, and shows them as metrics. Ends only when it is dropped.
pub(crate) async fn keep_metrics(connection: &Connection) -> Infallible {
    loop {
        let wait = match list(connection).await {
            Ok(quotas) => {
                connection
                    .metrics()
                    .set_quotas(&quotas.iter().flat_map(uses).take(RESOURCES_MAX).collect::<Vec<_>>());
                INTERVAL
            }
            Err(fault) => {
                tracing::debug!(%fault, "the quotas of the namespace cannot be read; the metrics do not show them");
                connection.metrics().set_quotas(&[]);
                if fault.kind == ClusterErrorKind::Forbidden { FORBIDDEN_WAIT } else { INTERVAL }
            }
        };
        sleep(wait).await;
    }
}

async fn list(connection: &Connection) -> Result<Vec<ResourceQuota>, ClusterError> {
    let path = ResourceQuota::url_path(&(), Some(connection.namespace()));
    let request = Request::new(path)
        .list(&ListParams::default().limit(QUOTAS_MAX))
        .map_err(|error| ClusterError::new(ClusterErrorKind::Invalid, &error.to_string()))?;
    let listed = async {
        connection.calls()?.request::<ObjectList<ResourceQuota>>(request, connection.limits().read).await
    };
    listed.await.map(|list| list.items).map_err(|error| classify(Verb::List, &error).fault)
}

/// Returns the resources whose use is known of a `ResourceQuota` as the API server returned it.
#[must_use]
pub fn quota_uses(quota: &Value) -> Vec<QuotaUse> {
    ResourceQuota::deserialize(quota).map(|quota| uses(&quota)).unwrap_or_default()
}

/// Returns the resources of a quota whose use is known.
fn uses(quota: &ResourceQuota) -> Vec<QuotaUse> {
    let status = quota.status.as_ref();
    let hard = status.and_then(|status| status.hard.as_ref());
    let used = status.and_then(|status| status.used.as_ref());
    let (Some(hard), Some(used)) = (hard, used) else { return Vec::new() };
    hard.iter()
        .filter_map(|(resource, hard)| {
            Some(QuotaUse {
                quota: quota.metadata.name.clone()?,
                resource: resource.clone(),
                used: Quantity::of_kubernetes(&used.get(resource)?.0)?.amount(),
                hard: Quantity::of_kubernetes(&hard.0)?.amount(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Guards the amounts of a quota, and that a resource without a known use is left out.
    #[test]
    fn amounts_are_read() {
        let quota = json!({
            "metadata": {"name": "team"},
            "status": {
                "hard": {"pods": "50", "requests.cpu": "10", "requests.memory": "64Gi", "services": "5", "x": "?"},
                "used": {"pods": "7", "requests.cpu": "1500m", "requests.memory": "1536Mi", "x": "1"}
            }
        });
        let found: Vec<_> = uses(&serde_json::from_value(quota).unwrap())
            .into_iter()
            .map(|QuotaUse { resource, used, hard, .. }| (resource, used, hard))
            .collect();
        let wanted = [
            ("pods", 7.0, 50.0),
            ("requests.cpu", 1.5, 10.0),
            ("requests.memory", 1_610_612_736.0, 68_719_476_736.0),
        ];
        assert_eq!(found, wanted.map(|(resource, used, hard)| (resource.to_owned(), used, hard)));
        let new = json!({"metadata": {"name": "new"}, "spec": {"hard": {"pods": "1"}}});
        assert_eq!(uses(&serde_json::from_value(new).unwrap()), []);
    }
}
