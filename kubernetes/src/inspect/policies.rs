//! Compares the network policies of the cluster with those of the settings, without writing them.

use std::time::Duration;

use super::call::{Failure, get};
use crate::{
    connect::Connection,
    manifest::Template,
    network::{self, Policy},
};

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
    let states = wanted.iter().map(|wanted| state(connection, template, wanted, deadline));
    let mut states = futures::future::try_join_all(states).await?;
    if let Some(wanted) = network::name_policy(&template.network, &template.namespace) {
        states.push(state(connection, template, &wanted, deadline).await?);
    }
    Ok(states)
}

async fn state<K: Policy>(
    connection: &Connection,
    template: &Template,
    wanted: &K,
    deadline: Duration,
) -> Result<(String, PolicyState), Failure> {
    let name = wanted.meta().name.clone().unwrap_or_default();
    let path = format!("{}/{name}", K::url_path(&(), Some(&template.namespace)));
    let state = match get(connection, &path, deadline).await {
        Ok(found) if network::is_as_wanted(wanted, found.clone()) => PolicyState::AsConfigured,
        Ok(_) => PolicyState::Differs,
        Err(failure) if failure.is_absent() => PolicyState::Missing,
        Err(failure) => return Err(failure),
    };
    Ok((name, state))
}
