//! A client that keeps a copy of all sandboxes, or of one, by the changes that it reads.

use std::collections::{BTreeMap, BTreeSet};

use actors::view::Visible;
use fleet::{
    backend::Backend,
    changes::{ChangeReader, News},
};
use lifecycle::{
    ids::{ClusterName, SandboxId},
    observed::Status,
};

use super::world::{Cluster, World};

/// The client.
pub struct Follower {
    only: Option<SandboxId>,
    reader: Option<ChangeReader>,
    pub copy: BTreeMap<SandboxId, Status>,
    /// The sandboxes that nothing has named since a reset. Those of a stale cluster stay until its state is sent.
    unconfirmed: BTreeSet<SandboxId>,
    pub is_complete: bool,
    pub stale: BTreeSet<ClusterName>,
    pub last_id: Option<String>,
    pub has_ended: bool,
}

impl Follower {
    /// Returns a client about one sandbox, or about all, that has not connected.
    pub fn new(only: Option<SandboxId>) -> Self {
        Self {
            only,
            reader: None,
            copy: BTreeMap::new(),
            unconfirmed: BTreeSet::new(),
            is_complete: false,
            stale: BTreeSet::new(),
            last_id: None,
            has_ended: false,
        }
    }

    /// Disconnects, and forgets the copy.
    pub fn forget(&mut self) {
        *self = Self::new(self.only.clone());
    }

    /// Takes a list as the copy. The stream then continues it.
    pub async fn list(&mut self, world: &World) {
        let Ok((copy, position)) = world.listed().await else { return };
        self.forget();
        (self.copy, self.last_id) = (copy, Some(position));
    }

    /// Disconnects, and connects again after the last position.
    pub async fn resume(&mut self, world: &World) {
        (self.reader, self.has_ended) = (None, false);
        self.is_complete = false;
        self.stale.clear();
        let after = self.last_id.as_deref();
        match &self.only {
            None => self.reader = world.fleet.changes(super::world::start(after)).await.ok(),
            Some(id) => match world.open_one(id, after).await {
                Ok(Some(reader)) => self.reader = Some(reader),
                Ok(None) => {
                    self.copy.clear();
                    self.unconfirmed.clear();
                    self.last_id = None;
                    self.has_ended = true;
                }
                Err(_) => {}
            },
        }
    }

    /// Reads at most so many items. Returns their texts.
    pub fn read(&mut self, world: &World, most: usize) -> Vec<String> {
        let mut told = Vec::new();
        while let Some(reader) = &mut self.reader
            && told.len() < most
            && let Some(news) = reader.read()
        {
            told.push(show(&news));
            self.apply(world, news);
        }
        told
    }

    /// Reads everything that there is.
    pub fn drain(&mut self, world: &World) -> Vec<String> {
        self.read(world, usize::MAX)
    }

    pub fn is_connected(&self) -> bool {
        self.reader.is_some()
    }

    fn apply(&mut self, world: &World, news: News) {
        match news {
            News::Change(change, position) => {
                self.last_id = Some(position.to_string());
                self.unconfirmed.remove(&change.id);
                match &change.visible {
                    Visible::Present(status) => drop(self.copy.insert(change.id.clone(), status.clone())),
                    Visible::Unreadable(_) => panic!("no object is unreadable"),
                    Visible::Gone(_) => {
                        let is_shown = |cluster: &&Cluster| {
                            let view = cluster.member.sandboxes.view();
                            !self.stale.contains(&cluster.name) && view.status(&change.id).is_some()
                        };
                        let shown = world.clusters.iter().find(is_shown);
                        assert!(shown.is_none(), "{} is on {}", change.id, shown.unwrap().name);
                        self.copy.remove(&change.id);
                    }
                }
            }
            News::Reset(position) => {
                self.unconfirmed = self.copy.keys().cloned().collect();
                self.is_complete = false;
                self.last_id = position.map(|position| position.to_string()).or(self.last_id.take());
            }
            News::Synced(position) => {
                self.is_complete = true;
                self.last_id = Some(position.to_string());
                self.remove_missing();
            }
            // A reset repeats it.
            News::Stale(cluster, _) => drop(self.stale.insert(cluster)),
            News::Fresh(cluster) => {
                assert!(self.stale.remove(&cluster), "{cluster} was fresh");
                if self.is_complete {
                    self.remove_missing();
                }
            }
            News::Ended => (self.reader, self.has_ended) = (None, true),
        }
    }
}

impl Follower {
    /// Removes the sandboxes that are missing from the present state, but for those of stale clusters.
    fn remove_missing(&mut self) {
        let (copy, stale) = (&mut self.copy, &self.stale);
        self.unconfirmed.retain(|id| {
            let is_stale = copy.get(id).is_some_and(|status| stale.contains(&status.cluster));
            if !is_stale {
                copy.remove(id);
            }
            is_stale
        });
    }
}

/// Returns an item as a text, with the URL of a sandbox.
pub fn show(news: &News) -> String {
    match news {
        News::Change(change, _) => {
            let url = match &change.visible {
                Visible::Present(status) => format!(" {}", status.cluster),
                Visible::Unreadable(_) | Visible::Gone(_) => String::new(),
            };
            format!("{} {}{url}", change.kind.name(), change.id)
        }
        News::Reset(_) => "reset".to_owned(),
        News::Synced(_) => "synced".to_owned(),
        News::Stale(cluster, _) => format!("stale {cluster}"),
        News::Fresh(cluster) => format!("fresh {cluster}"),
        News::Ended => "end".to_owned(),
    }
}
