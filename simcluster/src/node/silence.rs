//! The stages of a Pod while its node is unreachable, as the node controller and the taint-based eviction set them.
//! Pure.

use std::time::Duration;

use super::life::{Circumstances, Stage};
use super::object::UNREACHABLE;
use crate::behaviour::Course;
use crate::fields::items;
use crate::store::text_at;

// === impl Circumstances: silence ===

impl Circumstances<'_> {
    /// Returns the next stage while the node is unreachable.
    pub(super) fn next_in_silence(&self, stage: Stage) -> Option<(Duration, Stage)> {
        let soon = Duration::ZERO;
        Some(match stage {
            Stage::New => (self.times.schedule, Stage::Scheduled),
            Stage::Lost => (self.tolerated()?, Stage::Abandoned),
            Stage::Stopping => (soon, Stage::Abandoned),
            stage if stage.is_stopping() || stage.is_over() || stage.waits() => return None,
            // One Pod alone is lost when it has been ready for a while; a node, when its lease has run out.
            _ if !self.node_lost => (self.after(), Stage::Lost),
            _ => (self.times.node_grace, Stage::Lost),
        })
    }

    /// Whether this Pod is unreachable, or soon will be.
    pub(super) fn is_silent(&self, stage: Stage) -> bool {
        let alone = matches!(self.behaviour.course, Course::NodeLost | Course::Unknown);
        let reached = matches!(stage, Stage::Ready(_) | Stage::Synced(_) | Stage::Unready(..) | Stage::Lost);
        self.node_lost || (alone && (reached || stage.is_stopping()))
    }

    /// How long the Pod tolerates an unreachable node; `None` for ever.
    fn tolerated(&self) -> Option<Duration> {
        let fitting = items(&self.pod["spec"]["tolerations"]).filter(|t| {
            matches!(text_at(t, &["key"]), "" | UNREACHABLE)
                && matches!(text_at(t, &["effect"]), "" | "NoExecute")
        });
        let times: Vec<_> = fitting.map(|toleration| toleration["tolerationSeconds"].as_i64()).collect();
        if times.is_empty() {
            return Some(Duration::ZERO);
        }
        // A toleration without a time is for ever, and the shortest time counts.
        let shortest = times.into_iter().flatten().min()?;
        Some(Duration::from_secs(u64::try_from(shortest).unwrap_or(0)))
    }
}
