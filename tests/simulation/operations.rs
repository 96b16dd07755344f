//! The operations on one sandbox for [`super::kill_points`].

use std::time::Duration;

use http::Method;
use testkit::NAMESPACE;
use tokio::time::sleep;

use super::{
    clients::{self, path},
    oracle::Limits,
    world::World,
};

/// The id of the sandbox.
pub const ID: &str = "a";

/// The idle timeout of the sandbox in [`Start::Due`].
pub const IDLE: Duration = Duration::from_secs(30);

/// The state of the sandbox before the operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// The sandbox does not exist.
    Absent,
    /// The sandbox runs.
    Present,
    /// The Pod is terminating for several seconds.
    Terminating,
    /// The sandbox runs and is about to reach its idle timeout.
    Due,
    /// The sandbox was deleted a while ago. Its workspace is there if it is kept.
    Kept,
}

/// An operation on the sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// A POST.
    Create,
    /// A DELETE.
    Delete,
    /// A touch.
    Touch,
    /// A reap, which no client requests.
    Reap,
    /// A restart of the daemon, which adopts the existing objects.
    Adopt,
}

impl Start {
    /// Returns the limits of the sandbox.
    pub fn limits(self) -> Limits {
        Limits { ttl: None, idle_timeout: (self == Self::Due).then_some(IDLE) }
    }

    /// Brings the sandbox into this state.
    pub async fn prepare(self, world: &World) {
        world.insist(Method::GET, &path(ID), None, &[404]).await;
        if self == Self::Absent {
            return;
        }
        Operation::Create.insist(world, self.limits()).await;
        match self {
            Self::Terminating => {
                sleep(Duration::from_secs(10)).await;
                let slow = "terminate=8s".parse().unwrap();
                world.cluster.set_pod_behaviour(NAMESPACE, "sandbox-a", Some(slow));
                Operation::Delete.insist(world, self.limits()).await;
                world.cluster.set_pod_behaviour(NAMESPACE, "sandbox-a", None);
                sleep(Duration::from_secs(1)).await;
            }
            Self::Kept => {
                sleep(Duration::from_secs(10)).await;
                Operation::Delete.insist(world, self.limits()).await;
                sleep(Duration::from_secs(100)).await;
            }
            // Slightly before the timeout, so that the next operation comes first.
            Self::Due => sleep(IDLE.saturating_sub(Duration::from_millis(5))).await,
            Self::Absent | Self::Present => sleep(Duration::from_secs(10)).await,
        }
    }
}

impl Operation {
    /// Performs the operation once. Returns the status of the answer if the operation succeeded, and 200 for operations
    /// that no client requests.
    pub async fn attempt(self, world: &World, limits: Limits) -> Option<u16> {
        let (status, done): (_, &[u16]) = match self {
            Self::Create => (clients::create(world, ID, limits).await, &[200]),
            Self::Delete => (clients::delete(world, ID, limits).await, &[200]),
            Self::Touch => (clients::touch(world, ID).await, &[200, 404]),
            Self::Reap => return Some(200),
            Self::Adopt => {
                world.kill_daemon();
                world.start_daemon().await;
                return Some(200);
            }
        };
        status.filter(|status| done.contains(status))
    }

    /// Repeats the operation every second until it succeeds, like a client that needs it.
    pub async fn insist(self, world: &World, limits: Limits) -> u16 {
        for _ in 0..100 {
            if let Some(status) = self.attempt(world, limits).await {
                return status;
            }
            sleep(Duration::from_secs(1)).await;
        }
        panic!("{self:?} is never done");
    }
}
