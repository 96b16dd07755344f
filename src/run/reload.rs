//! A reload: reads the settings again and takes what can change while the daemon runs.

use super::{daemon::Daemon, embedded::EmbeddedClusters};
use crate::settings::{
    ClusterSettings,
    clusters::changed_keys,
    load::Loaded,
    problem::Problems,
    profiles::unoffered,
    reload::{Changes, changes},
};

/// Takes the changes of the settings, and logs what needs a restart. With invalid settings nothing changes.
pub(super) async fn reload(
    in_use: &mut Loaded,
    read: Result<Loaded, Problems>,
    daemon: &mut Daemon,
    mut embedded: Option<&mut EmbeddedClusters>,
) {
    let new = match read {
        Ok(new) => new,
        Err(Problems(problems)) => {
            for problem in &problems {
                tracing::error!("the settings are not reloaded: {problem}");
            }
            return;
        }
    };
    let Changes { added, terms, refused } = changes(in_use, &new);
    for sentence in &refused {
        tracing::warn!("reload: {sentence}");
    }
    let mut taken = Changes { terms, ..Changes::default() };
    for cluster in added {
        let name = cluster.name.clone();
        match add(&cluster, in_use, daemon, embedded.as_deref_mut()).await {
            Ok(()) => {
                tracing::info!(cluster = %name, "reload: the cluster is added");
                taken.added.push(cluster);
            }
            Err(why) => tracing::error!(cluster = %name, "reload: the cluster cannot be added: {why}"),
        }
    }
    for (name, terms) in &taken.terms {
        if let (Some(member), Some(old)) = (daemon.fleet().member(name), in_use.settings.clusters.get(name)) {
            member.set_terms(terms.clone());
            tracing::info!(
                cluster = %name,
                changed = changed_keys(&old.terms, terms).join(", "),
                weight = terms.weight,
                max_sandboxes = terms.max_sandboxes,
                "reload: the cluster has new terms"
            );
        }
    }
    let (added, terms) = (taken.added.len(), taken.terms.len());
    tracing::info!(added, terms, refused = refused.len(), "the settings are reloaded");
    taken.apply(in_use, &new);
    for sentence in unoffered(&in_use.settings.clusters) {
        tracing::warn!("{sentence}");
    }
}

/// Starts the stack of a cluster, and the cluster if it is an embedded one.
async fn add(
    cluster: &ClusterSettings,
    in_use: &Loaded,
    daemon: &mut Daemon,
    embedded: Option<&mut EmbeddedClusters>,
) -> Result<(), String> {
    let embedded = match embedded {
        Some(clusters) => Some(clusters.add(cluster.name.clone()).await?),
        None => None,
    };
    let added = daemon.add_cluster(cluster.clone(), &in_use.settings, embedded).await;
    added.map_err(|error| error.to_string())
}
