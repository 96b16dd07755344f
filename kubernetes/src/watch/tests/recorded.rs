//! A sink that records its reports.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use lifecycle::{
    exit::ExitLog,
    ids::SandboxId,
    observed::{ObservedPod, ObservedService, ResourceVersion, Uid},
    pod_event::PodEvent,
    traits::{Kind, WatchEvent, WatchSink},
};
use tokio::time::Instant;

/// A sink that records each report as a short line, with its time.
#[derive(Default)]
pub(crate) struct RecordedSink {
    lines: Mutex<Vec<(Instant, String)>>,
    pub(super) list_versions: Mutex<Vec<ResourceVersion>>,
}

impl RecordedSink {
    fn record(&self, line: String) {
        self.lines.lock().unwrap().push((Instant::now(), line));
    }

    pub(super) fn all(&self) -> Vec<String> {
        self.lines.lock().unwrap().iter().map(|(_, line)| line.clone()).collect()
    }

    /// Returns all lines except the starts of lists.
    pub(super) fn lines(&self) -> Vec<String> {
        self.all().into_iter().filter(|line| line != "relist_started").collect()
    }

    /// Returns only the events.
    pub(crate) fn events(&self) -> Vec<String> {
        self.lines().into_iter().filter(|l| l != "synced" && !l.starts_with("failing")).collect()
    }

    pub(super) fn last_synced(&self) -> Option<Instant> {
        self.lines.lock().unwrap().iter().rev().find(|(_, line)| line == "synced").map(|(at, _)| *at)
    }

    /// Returns the longest time between two reports that the watch is up to date.
    pub(super) fn longest_silence(&self) -> Duration {
        let lines = self.lines.lock().unwrap();
        let synced: Vec<_> = lines.iter().filter(|(_, line)| line == "synced").map(|(at, _)| *at).collect();
        synced.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
    }

    pub(super) fn failure(&self) -> Option<String> {
        self.lines().into_iter().find(|line| line.starts_with("failing"))
    }
}

impl WatchSink for RecordedSink {
    fn relist_started(&self, _: Kind) {
        self.record("relist_started".to_owned());
    }

    fn pods(&self, event: WatchEvent<ObservedPod>) {
        self.record(match event {
            WatchEvent::Applied(id, pod) => format!("{id} {}", pod.phase),
            WatchEvent::Deleted(id, Uid(uid), _) => format!("{id} gone {uid}"),
            WatchEvent::Listed { objects, unreadable, version } => {
                self.list_versions.lock().unwrap().push(version);
                let objects = objects.iter().map(|(id, pod)| format!("{id} {}", pod.phase));
                let all: Vec<_> =
                    objects.chain(unreadable.iter().map(|id| format!("{id} unreadable"))).collect();
                format!("listed [{}]", all.join(", "))
            }
        });
    }

    fn services(&self, event: WatchEvent<ObservedService>) {
        let url = |s: &ObservedService| s.url.clone().unwrap_or_default();
        let rows: Vec<(SandboxId, Arc<str>)> = match event {
            WatchEvent::Applied(id, service) => vec![(id, url(&service))],
            WatchEvent::Deleted(..) => vec![],
            WatchEvent::Listed { objects, .. } => {
                objects.iter().map(|(id, s)| (id.clone(), url(s))).collect()
            }
        };
        self.record(format!("{rows:?}"));
    }

    fn pod_event(&self, id: &SandboxId, Uid(uid): &Uid, event: PodEvent) {
        let from = if event.is_listed { "list" } else { "watch" };
        let at = event.at.map(|at| format!(" at {at}, {from}")).unwrap_or_default();
        let container = Some(&event.container).filter(|container| !container.is_empty());
        let first =
            event.first_at.zip(container).map(|(at, container)| format!(", first {at} of {container}"));
        let at = at + &first.unwrap_or_default();
        self.record(format!("{id} {uid} {} {}{at}", event.kind.name(), event.message));
    }

    fn exit_log(&self, id: &SandboxId, Uid(uid): &Uid, log: ExitLog) {
        self.record(format!("{id} {uid} {log:?}"));
    }

    fn synced(&self, _: Kind) {
        self.record("synced".to_owned());
    }

    fn failing(&self, _: Kind, why: &str) {
        self.record(format!("failing: {why}"));
    }
}
