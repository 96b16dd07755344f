//! What is done to one sandbox, for [`super::kill_points`].

use std::time::Duration;

use http::Method;
use tokio::time::sleep;

use super::{
    clients::{self, path},
    oracle::Limits,
    world::{NAMESPACE, World},
};

/// The id of the sandbox.
pub const ID: &str = "a";

/// How long the sandbox may be idle in [`Start::Due`].
pub const IDLE: Duration = Duration::from_secs(30);

/// How the sandbox stands when the operations begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// There is none.
    Absent,
    /// It runs.
    Present,
    /// Its Pod is on its way out, which takes a while.
    Terminating,
    /// It runs, and is due to be reaped the very moment.
    Due,
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// A POST.
    Create,
    /// A DELETE.
    Delete,
    /// A touch.
    Touch,
    /// The reaper does its part; nobody calls.
    Reap,
    /// The daemon is started anew, and finds what there is.
    Adopt,
}

impl Start {
    /// The limits of the sandbox.
    pub fn limits(self) -> Limits {
        Limits { ttl: None, idle_timeout: (self == Self::Due).then_some(IDLE) }
    }

    /// Brings it about.
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
            // A little before: what is done next comes first.
            Self::Due => sleep(IDLE.saturating_sub(Duration::from_millis(5))).await,
            Self::Absent | Self::Present => sleep(Duration::from_secs(10)).await,
        }
    }
}

impl Operation {
    /// Does it once. The status of the answer, if that says that it is done; 200 for what nobody asks for.
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

    /// As clients do that need it: once more each second, until it is done.
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
