//! The watch on Kubernetes' Events about Pods. It tells why a Pod does not start where the Pod's own status does not.
//!
//! It is optional: without it, or while it fails, the reasons are those of the Pods' status.

use std::{convert::Infallible, mem, sync::Arc, time::Duration};

use kube_runtime::watcher::{Config, Event};
use lifecycle::{
    error::ClusterErrorKind,
    observed::{ResourceVersion, Uid},
    pod_event,
    traits::WatchSink,
};
use parking_lot::Mutex;
use tokio::time::sleep;

use super::{events::Events, page_size::PageSize};
use crate::{
    backoff::{self, Backoff},
    connect::Connection,
    fault::classify,
    object::SandboxObject,
    retry,
    types::{Pod, PodEvent},
};

/// Selects the Events about Pods, without those of each start that tell nothing new: of four Events one is left.
const SELECTOR: &str = "involvedObject.kind=Pod,reason!=Scheduled,reason!=SuccessfulAttachVolume,reason!=Created,reason!=Started";

/// The wait after a refusal for lack of a right. Someone must grant it, and until then nothing depends on it.
const FORBIDDEN_WAIT: Duration = Duration::from_secs(300);

/// Why the watch does not work; `None` while it does.
#[derive(Clone, Default)]
pub struct State(Arc<Mutex<Option<String>>>);

// === impl State ===

impl State {
    /// Returns why the watch does not work.
    pub fn why_not(&self) -> Option<String> {
        self.0.lock().clone()
    }

    /// Sets it. Returns whether it is news.
    fn set(&self, why: Option<String>) -> bool {
        let mut known = self.0.lock();
        let is_news = *known != why;
        *known = why;
        is_news
    }
}

/// Watches the Events, and passes those about sandboxes to the sink. Ends only when it is dropped.
pub async fn watch(connection: Connection, sink: Arc<dyn WatchSink>, state: State) -> Infallible {
    let mut backoff = Backoff::default();
    let page_size = PageSize::default();
    let mut logged = false;
    loop {
        let mut events = Events::<PodEvent>::new(&connection, &page_size, Config::default().fields(SELECTOR));
        let failed = loop {
            let working = || {
                backoff.reset();
                if state.set(None) && mem::take(&mut logged) {
                    tracing::info!("the watch on Events works: reasons are complete");
                }
            };
            match events.next(working).await {
                Ok(Event::InitApply(event)) => pass_on(&event, true, &*sink),
                Ok(Event::Apply(event)) => pass_on(&event, false, &*sink),
                // An Event is deleted an hour after it was made. Its message may still hold.
                Ok(Event::Init | Event::InitDone | Event::Delete(_)) => {}
                Err(failed) => break failed,
            }
        };
        let longest = backoff::longest_after(&failed.error);
        let fault = classify(failed.verb, &failed.error).fault;
        let is_forbidden = fault.kind == ClusterErrorKind::Forbidden;
        if state.set(Some(fault.to_string())) && is_forbidden {
            logged = true;
            tracing::info!(
                %fault,
                "not allowed to watch Events: the reasons of sandboxes are only those in the Pods' status; \
                 config/rbac.yaml has the right"
            );
        }
        if is_forbidden {
            sleep(FORBIDDEN_WAIT).await;
        } else {
            sleep(backoff.wait(longest, fault.retry_after, retry::jitter())).await;
        }
    }
}

/// Passes an Event, of a list or of the watch, to the sink if it is about a sandbox's Pod.
fn pass_on(event: &PodEvent, is_listed: bool, sink: &dyn WatchSink) {
    let about = &event.involved_object;
    let Some(id) = about.name.as_deref().and_then(Pod::parse_name) else { return };
    let version = ResourceVersion::parse(event.metadata.resource_version.as_deref());
    let kept = pod_event::PodEvent::new(&event.reason, &event.message, version);
    if let (Some(uid), Some(kept)) = (about.uid.as_deref(), kept) {
        let container = about.field_path.as_deref().unwrap_or_default().into();
        let kept = kept.happened(event.at, is_listed);
        let kept = pod_event::PodEvent { container, first_at: event.first_at, ..kept };
        sink.pod_event(&id, &Uid(uid.into()), kept);
    }
}

#[cfg(test)]
mod tests;
