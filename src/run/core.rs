//! All of the daemon but its socket: the link to the cluster, the actors, the watch. A simulation runs it under
//! a paused clock, where no real socket works.

use std::sync::Arc;

use actors::sandboxes::{Rules, Sandboxes, SpawnErr};
use cluster::link::Link;
use tokio::task::JoinHandle;

use super::attach::{self, Target};
use crate::{admin::Check, settings::Settings};

/// The running core. Dropping it cuts everything off, as a crash would.
pub struct Core {
    link: Arc<Link>,
    sandboxes: Sandboxes,
    /// Connects, then feeds the view until dropped.
    attached: Task<()>,
}

/// A task that does not outlive its owner.
#[derive(Debug)]
pub(super) struct Task<T>(pub(super) JoinHandle<T>);

// === impl Core ===

impl Core {
    /// Starts the core on the present runtime. A cluster that is away does not keep it from starting.
    ///
    /// `embedded` takes the place of the cluster that the settings name.
    ///
    /// # Errors
    /// When the supervisor cannot be spawned.
    pub async fn start(settings: &Settings, embedded: Option<simcluster::Cluster>) -> Result<Self, SpawnErr> {
        let link =
            Arc::new(Link::new(Arc::new(settings.template.clone()), settings.lifetimes.probing.options()));
        let rules = Rules {
            staleness: settings.kubernetes.staleness_limit.get(),
            policy: settings.lifetimes.policy(),
            belt: settings.lifetimes.belt(),
        };
        let sandboxes = Sandboxes::start(link.clone(), rules).await?;
        let target = match embedded {
            Some(cluster) => Target::Embedded(cluster),
            None => Target::Real(settings.connect_options()),
        };
        let attached = Task(tokio::spawn(attach::run(target, link.clone(), sandboxes.view().clone())));
        Ok(Self { link, sandboxes, attached })
    }

    /// The handle that the routes use.
    #[must_use]
    pub fn sandboxes(&self) -> &Sandboxes {
        &self.sandboxes
    }

    /// Waits until a part of it has ended, and says which.
    pub(super) async fn ended(&mut self) -> &'static str {
        tokio::select! {
            _ = &mut self.attached.0 => "watch on the cluster",
            () = self.sandboxes.ended() => "supervisor",
        }
    }

    /// Whether it can do its work; a function of its own, since readiness is asked for by other tasks.
    pub(super) fn checks(&self) -> impl Fn() -> Vec<Check> + Send + Sync + 'static {
        let (link, sandboxes) = (self.link.clone(), self.sandboxes.clone());
        move || {
            let missing = sandboxes.missing();
            let watch = |name: &'static str| {
                let why = missing.iter().find(|(missing, _)| *missing == name).map(|(_, why)| why.clone());
                Check { name, outcome: why.map_or(Ok(()), Err) }
            };
            vec![
                Check { name: "cluster", outcome: link.trouble().map_or(Ok(()), Err) },
                Check { name: "namespace", outcome: link.namespace_trouble().map_or(Ok(()), Err) },
                watch("watch-pods"),
                watch("watch-services"),
            ]
        }
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        self.sandboxes.kill();
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
