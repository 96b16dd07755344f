//! Compares the network policies of the cluster with those of the settings, without writing them.

use std::time::Duration;

use k8s_openapi::api::networking::v1::NetworkPolicy;

use super::call::{Failure, get};
use crate::{connect::Connection, manifest::Template, network};

/// The state of one network policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PolicyState {
    /// It is as the settings say.
    AsConfigured,
    /// It does not exist.
    Missing,
    /// It differs from the settings.
    Differs,
}

/// Reads the state of each policy, with its name.
///
/// # Errors
/// Returns the error of the first policy that cannot be read.
pub async fn network_policies(
    connection: &Connection,
    template: &Template,
    deadline: Duration,
) -> Result<Vec<(String, PolicyState)>, Failure> {
    let wanted = network::policies(&template.network, &template.namespace, template.container_port);
    let states = wanted.iter().map(async |wanted| {
        let name = wanted.metadata.name.clone().unwrap_or_default();
        let namespace = &template.namespace;
        let path = format!("/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies/{name}");
        let state = match get(connection, &path, deadline).await {
            Ok(found) => {
                let found = serde_json::from_value::<NetworkPolicy>(found).ok();
                let is_same = found.is_some_and(|found| network::is_as_wanted(wanted, &found));
                if is_same { PolicyState::AsConfigured } else { PolicyState::Differs }
            }
            Err(failure) if failure.is_absent() => PolicyState::Missing,
            Err(failure) => return Err(failure),
        };
        Ok((name, state))
    });
    futures::future::try_join_all(states).await
}
