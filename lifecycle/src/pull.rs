//! How long the pulls of a Pod's images take, from Kubernetes' Events. That time does not count towards the start
//! timeout, because a slow registry says nothing about the sandbox.
//!
//! The pull of a container's image starts with its first `Pulling` and ends with its first `Pulled`. Both Events have the
//! time of the same node's clock, so the clocks of the node and of this process need not agree. Failed attempts and the
//! waits between them are part of the pull: Kubernetes merges repeated Events, and after a restart of this process only the
//! first and the last attempt would be known.

use std::time::Duration;

use jiff::Timestamp;

/// The most containers of a Pod whose pulls are kept.
const CONTAINERS_MAX: usize = 16;

/// The longest name of a container that is kept, in bytes: that of Kubernetes with the field of the Pod's spec.
const CONTAINER_MAX: usize = 96;

/// How long the pulls of a Pod's images take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PullTime {
    /// An image is being pulled, or the end of its pull is not known.
    Running,
    /// All known pulls have ended, and took this long together.
    Took(Duration),
}

/// The pulls of a Pod's images.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pulls(Vec<Pull>);

/// The pull of one container's image.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pull {
    container: Box<str>,
    began: Option<Timestamp>,
    ended: Option<Timestamp>,
}

/// Whether a pull has started or ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PullStep {
    /// The kubelet pulls the image.
    Began,
    /// The image is on the node.
    Ended,
}

// === impl PullTime ===

impl PullTime {
    /// Returns the time that does not count towards the start timeout, at most `allowance`. A pull that runs is assumed to
    /// take all of it.
    #[must_use]
    pub fn within(self, allowance: Duration) -> Duration {
        match self {
            Self::Running => allowance,
            Self::Took(took) => took.min(allowance),
        }
    }
}

// === impl Pulls ===

impl Pulls {
    /// Records a step of a container's pull at this time. Of repeated steps only the first counts, in whatever order they
    /// arrive: a container that is restarted may pull its image again.
    pub fn record(&mut self, container: &str, step: PullStep, at: Timestamp) {
        let known = self.0.iter().position(|pull| *pull.container == *container);
        if known.is_none() && (self.0.len() >= CONTAINERS_MAX || container.len() > CONTAINER_MAX) {
            return;
        }
        let place = known.unwrap_or_else(|| {
            self.0.push(Pull { container: container.into(), began: None, ended: None });
            self.0.len() - 1
        });
        let Some(pull) = self.0.get_mut(place) else { return };
        let first = match step {
            PullStep::Began => &mut pull.began,
            PullStep::Ended => &mut pull.ended,
        };
        *first = Some(first.map_or(at, |known| known.min(at)));
    }

    /// Returns how long the pulls take; `None` if no image had to be pulled.
    #[must_use]
    pub fn time(&self) -> Option<PullTime> {
        let mut pulls = self.0.iter().filter_map(Pull::time).peekable();
        pulls.peek()?;
        let total = pulls.try_fold(Duration::ZERO, |total, pull| match pull {
            PullTime::Running => None,
            PullTime::Took(took) => Some(total.saturating_add(took)),
        });
        Some(total.map_or(PullTime::Running, PullTime::Took))
    }
}

// === impl Pull ===

impl Pull {
    fn time(&self) -> Option<PullTime> {
        let Some(ended) = self.ended else { return self.began.map(|_| PullTime::Running) };
        let took = ended.duration_since(self.began?);
        // The node's clock was stepped back in between, so the time is not known.
        let Ok(took) = Duration::try_from(took) else { return Some(PullTime::Running) };
        // The times have whole seconds, so up to one more may have passed.
        Some(PullTime::Took(took.saturating_add(Duration::from_secs(1))))
    }
}

#[cfg(test)]
mod tests;
