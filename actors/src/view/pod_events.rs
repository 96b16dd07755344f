//! The Kubernetes Events about the Pods, from which a sandbox that does not start has its reason.

use std::sync::Arc;

use lifecycle::{
    exit::ExitLog,
    ids::SandboxId,
    observed::{Status, Uid},
    phase::Reason,
    pod_event::{PodEvent, PodEvents},
    pull::PullTime,
};

use super::{View, merge::Effect, row::Row};

/// The Kubernetes Events about one Pod.
#[derive(Debug)]
pub(crate) struct EventRecord {
    pod: Uid,
    events: PodEvents,
    /// The last lines of the log of a container that has ended.
    log: Option<ExitLog>,
}

// === impl View ===

impl View {
    /// Returns the status of an actor's answer with the reason that callers see.
    pub(crate) fn explained(&self, id: &SandboxId, status: Status) -> Status {
        let reason = self.rows.get(id).and_then(|row| row.reason());
        self.completed(Status { reason: reason.or(status.reason), ..status })
    }

    /// Returns how long the pulls of the Pod's images take, as far as it is known.
    pub(crate) fn pull_time(&self, id: &SandboxId) -> Option<PullTime> {
        self.rows.get(id)?.events.as_ref()?.events.pull_time()
    }

    /// Adds a Kubernetes Event about the Pod with this uid. One about any other Pod is dropped.
    pub(super) fn record_event(&self, id: &SandboxId, uid: &Uid, event: PodEvent) {
        let (is_news, moves_a_limit) = self.rows.get_mut(id).map_or((false, false), |mut row| {
            let row = &mut *row;
            let pod = row.pod.as_ref().filter(|pod| pod.object.uid == *uid);
            let Some(is_ready) = pod.map(|pod| pod.object.ready) else { return (false, false) };
            self.note_event(row, &event);
            let record = row.events.get_or_insert_with(|| EventRecord::new(uid.clone()).into());
            let before = record.events.pull_time();
            let is_news = record.events.record(event, is_ready);
            let moves_a_limit = record.events.pull_time() != before;
            if is_news {
                self.note(id, row, false);
            }
            (is_news, moves_a_limit)
        });
        if is_news {
            self.changed(id);
        }
        if moves_a_limit {
            self.notify(id, Effect::Shape);
        }
    }

    /// Keeps the last lines of the log of a container of the Pod with this uid. Those of any other Pod are dropped.
    pub(super) fn logged(&self, id: &SandboxId, uid: &Uid, log: ExitLog) {
        let is_news = self.rows.get_mut(id).is_some_and(|mut row| {
            let row = &mut *row;
            if row.pod.as_ref().is_none_or(|pod| pod.object.uid != *uid || pod.object.ready) {
                return false;
            }
            row.events.get_or_insert_with(|| EventRecord::new(uid.clone()).into()).log = Some(log);
            self.note(id, row, false);
            true
        });
        if is_news {
            self.changed(id);
        }
    }
}

// === impl EventRecord ===

impl EventRecord {
    fn new(pod: Uid) -> Self {
        Self { pod, events: PodEvents::default(), log: None }
    }
}

// === impl Row ===

impl Row {
    /// Returns the reason that the Events know better than the Pod's status.
    pub(super) fn reason(&self) -> Option<Arc<Reason>> {
        let (record, pod) = (self.events.as_ref()?, self.pod.as_ref()?);
        let with_log = || record.log.as_ref()?.added_to(pod.object.reason.as_deref()?);
        record.events.explain(&pod.object).or_else(with_log).map(Arc::new)
    }

    /// Drops the Events once they no longer matter: the Pod is ready, or it is another one.
    pub(super) fn drop_outdated_events(&mut self) {
        self.events.take_if(|record| {
            let pod = self.pod.as_ref().map(|known| &known.object);
            pod.is_none_or(|pod| pod.uid != record.pod || (pod.ready && !pod.terminating))
        });
    }
}
