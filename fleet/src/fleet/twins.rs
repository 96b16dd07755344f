//! Deletes the sandboxes that lose against a twin on another cluster.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    convert::Infallible,
    time::Duration,
};

use futures::stream::{self, StreamExt};
use lifecycle::{
    ids::{ClusterName, SandboxId},
    observed::{Status, Uid},
    placement::{route::Reach, twins},
};

use super::{Fleet, lookup::twin};
use crate::{backend::ClusterReport, check::Check, member::Member};

/// The pause between two comparisons of the clusters.
const INTERVAL: Duration = Duration::from_secs(10);

/// The problem of a cluster that has two names.
const DOUBLE: &str = "two tables of the settings lead to one cluster and namespace; remove one of them, and restart the daemon";

/// How many twins are deleted at the same time.
const AT_ONCE: usize = 16;

/// A cluster that has the whole sandbox, with its status.
type Shown<'a> = (&'a Member, Status);

impl Fleet {
    /// Compares the clusters every 10 s and deletes the twins that lose. Ends only when it is dropped. With one cluster
    /// there is nothing to compare.
    pub async fn settle_twins(&self) -> Infallible {
        loop {
            tokio::time::sleep(INTERVAL).await;
            self.delete_losers().await;
        }
    }

    /// Remembers the tables that lead to the same cluster as another one, and logs each once.
    fn set_doubles(&self, found: BTreeMap<ClusterName, ClusterName>) {
        let mut doubles = self.0.doubles.lock();
        for (cluster, other) in &found {
            if doubles.get(cluster) != Some(other) {
                tracing::error!(%cluster, %other, "{DOUBLE}");
            }
        }
        *doubles = found;
    }

    /// Returns the cluster as operators see it.
    pub(super) async fn report(&self, member: &Member) -> ClusterReport {
        let mut report = member.report(self.facts(member, &member.terms()).sandboxes).await;
        if let Some(other) = self.0.doubles.lock().get(member.name()) {
            let outcome = Err(format!("{DOUBLE}: '{other}' is the same"));
            report.checks.push(Check { name: "unique", outcome, optional: true });
        }
        report
    }

    /// Deletes the twins that lose. Each Pod is deleted only if it is the one that was compared.
    ///
    /// The sandboxes of a lost cluster do not count. Those of a stale one count as they were known last.
    async fn delete_losers(&self) {
        let members = self.members();
        let is_counted = |member: &&Member| member.reach(self.0.loss_timeout) != Reach::Lost;
        let counted: Vec<_> = members.iter().filter(is_counted).collect();
        let twins: Vec<_> = twin_ids(&counted).into_iter().map(|id| (shown(&counted, &id), id)).collect();
        // Without the right to read its namespace a cluster is recognized by its Pods.
        let namespaces =
            members.iter().filter_map(|member| Some((member.sandboxes.namespace_uid()?, member.name())));
        let pods = twins.iter().flat_map(|(shown, _)| shown);
        let pods = pods.map(|(member, status)| (status.pod.clone(), member.name()));
        self.set_doubles(doubles(namespaces.chain(pods)));
        let losers = twins.iter().flat_map(|(shown, id)| losers(shown, id));
        stream::iter(losers)
            .for_each_concurrent(AT_ONCE, async |(member, id, pod)| {
                let outcome = member.sandboxes.discard(id.clone(), pod).await;
                let cluster = member.name();
                match outcome {
                    Ok(()) => tracing::info!(sandbox_id = %id, %cluster, "deleted: another cluster has it"),
                    Err(error) => {
                        tracing::warn!(sandbox_id = %id, %cluster, %error, "another cluster has it too");
                    }
                }
            })
            .await;
    }
}

/// Returns the ids of which several clusters have an object.
fn twin_ids(members: &[&Member]) -> BTreeSet<SandboxId> {
    let mut found = BTreeSet::new();
    for (index, member) in members.iter().enumerate() {
        let Some(others) = members.get(index + 1..).filter(|others| !others.is_empty()) else { break };
        let is_elsewhere = |id: &SandboxId| others.iter().any(|other| other.view().contains(id));
        found.extend(member.view().ids().into_iter().filter(is_elsewhere));
    }
    found
}

/// Returns the clusters that show the same object as another, with the other's name, which comes first.
fn doubles<'a>(objects: impl Iterator<Item = (Uid, &'a ClusterName)>) -> BTreeMap<ClusterName, ClusterName> {
    let (mut first, mut found) = (BTreeMap::new(), BTreeMap::new());
    for (uid, cluster) in objects {
        match first.entry(uid) {
            Entry::Vacant(entry) => drop(entry.insert(cluster)),
            Entry::Occupied(other) => drop(found.insert(cluster.clone(), (*other.get()).clone())),
        }
    }
    found
}

/// Returns the clusters that have the whole sandbox, with its status.
fn shown<'a>(members: &[&'a Member], id: &SandboxId) -> Vec<Shown<'a>> {
    let whole = members.iter().filter(|member| member.view().is_whole(id));
    whole.filter_map(|member| Some((*member, member.view().status(id)?))).collect()
}

/// Returns the clusters whose sandbox loses, with its Pod.
fn losers<'a>(shown: &[Shown<'a>], id: &SandboxId) -> Vec<(&'a Member, SandboxId, Uid)> {
    let Some((first, _)) = shown.first() else { return vec![] };
    let now = first.sandboxes.wall();
    let compared: Vec<_> = shown.iter().map(|(member, status)| twin(member, id, status)).collect();
    let is_fresh = |name: &ClusterName| {
        shown.iter().any(|(member, _)| member.name() == name && member.view().is_fresh())
    };
    let losers = twins::losers(&compared, is_fresh, now).into_iter().filter_map(|index| shown.get(index));
    losers.map(|(member, status)| (*member, id.clone(), status.pod.clone())).collect()
}
