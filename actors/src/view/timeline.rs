//! The timelines of the rows: each change of a row is added to its timeline while the row is locked.

use std::time::Instant;

use dashmap::mapref::entry::OccupiedEntry;
use lifecycle::{
    ids::SandboxId,
    lifetime::ReapReason,
    pod_event::PodEvent,
    timeline::{DeleteReason, Report, Snapshot, Step, Timeline},
};

use super::{View, row::Row, shown::RowCell};

// === impl View ===

impl View {
    /// Reports the timeline of the sandbox, or that of the last sandbox with this id if it ended within the last hour.
    pub(crate) fn timeline(&self, id: &SandboxId) -> Option<Report> {
        let open = self.rows.get(id).and_then(|row| {
            let timeline = row.timeline.as_ref().filter(|timeline| !row.unpublished && timeline.is_shown());
            timeline.map(|timeline| self.timelines.report(timeline))
        });
        open.or_else(|| self.timelines.report_ended(id))
    }

    /// Records that the daemon begins to create the Pod, for a POST that arrived at this time.
    pub(crate) fn creating(&self, id: &SandboxId, received: Instant) {
        if let Some(mut row) = self.rows.get_mut(id) {
            self.timelines.begin(id, &mut row.timeline, received);
            // A Service that exists is that of an earlier Pod.
            self.note(id, &mut row, true);
        }
    }

    /// Records a use of the sandbox.
    pub(crate) fn touched(&self, id: &SandboxId) {
        if let Some(mut row) = self.rows.get_mut(id)
            && row.timeline.is_some()
        {
            self.timelines.change(&mut row.timeline, Timeline::touch);
        }
    }

    /// Records that the daemon deletes the sandbox, unless callers have not seen it yet.
    pub(crate) fn deleting(&self, id: &SandboxId, reason: DeleteReason) {
        if let Some(mut row) = self.rows.get_mut(id)
            && !row.unpublished
        {
            self.metrics.deleted(reason);
            self.record(&mut row, Step::Deleting(reason));
        }
    }

    /// Records that the daemon has reaped the sandbox. The watch may have shown its end before.
    pub(crate) fn note_reap(&self, id: &SandboxId, reason: ReapReason) {
        let step = Step::Reaped(reason);
        match self.rows.get_mut(id) {
            Some(mut row) if row.timeline.is_some() => self.record(&mut row, step),
            _ => self.timelines.record_late(id, step),
        }
    }

    fn record(&self, row: &mut Row, step: Step) {
        if row.timeline.is_some() {
            self.timelines.record(&mut row.timeline, step);
        }
    }

    /// Adds what an Event about the row's Pod tells.
    pub(super) fn note_event(&self, row: &mut Row, event: &PodEvent) {
        let Some(step) = Step::of_event(event, |image| self.timelines.share_image(image)) else { return };
        // The first time, because the kubelet counts a repetition up, such as that of a pull after a restart.
        let listed_at = event.first_at.or(event.at).filter(|_| event.is_listed);
        self.timelines.change(&mut row.timeline, |timeline, clocks, text_max| {
            timeline.record(step, listed_at, clocks, text_max);
        });
    }

    /// Adds what has changed in a row. `is_listed` says that a list has shown it.
    pub(super) fn note(&self, id: &SandboxId, row: &mut Row, is_listed: bool) {
        let mut open = row.timeline.take();
        let pod = row.pod.as_ref().map(|known| &known.object);
        let is_another =
            |pod: &_| open.as_ref().and_then(|open| open.pod()).is_some_and(|known| known != pod);
        if pod.is_some_and(|pod| is_another(&pod.uid)) {
            self.timelines.record(&mut open, Step::Gone);
            self.timelines.end(id, &mut open);
        }
        if pod.is_some() || open.is_some() {
            let status = row.status();
            let is_shown = status.is_some();
            let known = || row.reason().or_else(|| pod?.reason.clone());
            let seen = Snapshot {
                pod,
                service: row.service.as_ref().map(|known| &known.object),
                reason: status.map_or_else(known, |status| status.reason),
                is_shown,
                is_listed,
            };
            let was_ready = open.as_ref().is_some_and(|timeline| timeline.was_ready());
            self.timelines
                .change(&mut open, |timeline, clocks, text_max| timeline.observe(&seen, clocks, text_max));
            if !was_ready && let Some(start) = open.as_ref().and_then(|timeline| timeline.start()) {
                self.metrics.started(&start);
            }
        }
        row.timeline = open;
    }

    /// Removes the row if it contains nothing. Its timeline has then come to its end.
    pub(super) fn remove_if_void(&self, row: OccupiedEntry<'_, SandboxId, RowCell>) {
        if row.get().is_void() {
            let (id, mut row) = row.remove_entry();
            self.timelines.end(&id, &mut row.timeline);
        }
    }
}

#[cfg(test)]
mod tests;
