//! How long a start took, stage by stage.

use std::time::Duration;

use super::{Step, Timeline};

use crate::named;

named! {
    /// A stage of a start, from the end of the stage before it.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
    pub enum StartStage {
        /// The POST waited for its turn, or for the end of an earlier Pod.
        Accepted = "accepted",
        /// The Pod was created.
        Created = "created",
        /// The Pod got a node.
        Scheduled = "scheduled",
        /// The images were pulled.
        Pulled = "pulled",
        /// The sandbox's container was started.
        Started = "started",
        /// The URL worked.
        Ready = "ready",
    }
}

/// The durations of a start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// The stages that were observed, in order.
    pub stages: Vec<(StartStage, Duration)>,
    /// The time from the POST to readiness.
    pub total: Duration,
}

// === impl StartStage ===

impl StartStage {
    /// Returns the stage that ends with this step.
    const fn ended_by(step: &Step) -> Option<Self> {
        Some(match step {
            Step::Creating => Self::Accepted,
            Step::PodCreated => Self::Created,
            Step::Scheduled => Self::Scheduled,
            Step::Pulled { .. } => Self::Pulled,
            Step::Started => Self::Started,
            Step::Ready => Self::Ready,
            _ => return None,
        })
    }
}

// === impl Timeline ===

impl Timeline {
    /// Returns whether the sandbox was ever ready.
    #[must_use]
    pub fn was_ready(&self) -> bool {
        self.entries.has_rank(Step::Ready.rank())
    }

    /// Returns how long the start took; `None` unless this process has seen all of it, from the POST to readiness.
    #[must_use]
    pub fn start(&self) -> Option<Start> {
        let mut entries = self.entries.iter();
        let accepted = entries.next().filter(|first| first.step == Step::Accepted)?.at;
        let mut stages: Vec<(StartStage, Duration)> = Vec::new();
        let mut before = accepted;
        for entry in entries {
            let Some(stage) = StartStage::ended_by(&entry.step) else { continue };
            let took = Duration::from_millis(u64::try_from(entry.at - before).unwrap_or(0));
            before = entry.at;
            // A Pod with several images has several pulls.
            match stages.iter_mut().find(|(known, _)| *known == stage) {
                Some((_, sum)) => *sum += took,
                None => stages.push((stage, took)),
            }
            if stage == StartStage::Ready {
                let total = Duration::from_millis(u64::try_from(before - accepted).unwrap_or(0));
                return Some(Start { stages, total });
            }
        }
        None
    }
}
