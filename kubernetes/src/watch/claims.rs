//! The watch on the claims of workspaces. It runs only if a profile has a workspace.

use std::{convert::Infallible, sync::Arc, time::Duration};

use kube_runtime::watcher::{Config, Event};
use lifecycle::{error::ClusterErrorKind, traits::ClaimSink};
use tokio::{
    pin, select,
    time::{Instant, sleep},
};

use super::{RELIST, connection_state::FailedCall, events::Events, failures::Failures, page_size::PageSize};
use crate::{
    backoff::{self, Backoff},
    connect::Connection,
    fault::classify,
    names, observe, retry,
    types::Claim,
};

/// The wait after a refusal for lack of a right. Someone must grant it.
const FORBIDDEN_WAIT: Duration = Duration::from_secs(60);

/// Watches the claims. Ends only when it is dropped.
pub async fn watch(connection: Connection, sink: Arc<dyn ClaimSink>) -> Infallible {
    let mut backoff = Backoff::default();
    let page_size = PageSize::default();
    let mut failures = Failures::default();
    loop {
        let working = || {
            sink.claims_synced();
            backoff.reset();
            if failures.up_to_date(Instant::now()) {
                tracing::info!("the watch on the claims of workspaces works");
            }
        };
        let Err(failed) = follow(&connection, &page_size, &*sink, working).await else { continue };
        let fault = classify(failed.verb, &failed.error).fault;
        let why = format!("the watch on the claims of workspaces failed: {fault}");
        if failures.is_new(&why, Instant::now()) {
            tracing::warn!(%why, "workspaces are not deleted until it works");
        }
        sink.claims_failing(&why);
        if fault.kind == ClusterErrorKind::Forbidden {
            sleep(FORBIDDEN_WAIT).await;
        } else {
            let longest = backoff::longest_after(&failed.error);
            sleep(backoff.wait(longest, fault.retry_after, retry::jitter())).await;
        }
    }
}

/// Lists and then watches, until the next full list is due. Calls `working` whenever it is up to date.
async fn follow(
    connection: &Connection,
    page_size: &PageSize,
    sink: &dyn ClaimSink,
    mut working: impl FnMut(),
) -> Result<(), FailedCall> {
    let config = Config::default().labels(names::WORKSPACE_SELECTOR);
    let mut events = Events::<Claim>::new(connection, page_size, config);
    let mut listed = Vec::new();
    let relist = sleep(Duration::MAX);
    pin!(relist);
    loop {
        let event = select! {
            biased;
            () = relist.as_mut() => return Ok(()),
            event = events.next(&mut working) => event?,
        };
        match event {
            Event::Init => listed.clear(),
            Event::InitApply(claim) => listed.extend(observe::claim(&claim)),
            Event::InitDone => {
                sink.claims_listed(std::mem::take(&mut listed));
                relist.as_mut().reset(Instant::now() + RELIST);
            }
            Event::Apply(claim) => match observe::claim(&claim) {
                Some((id, claim)) => sink.claim(id, claim),
                None => gone(&claim, sink),
            },
            Event::Delete(claim) => gone(&claim, sink),
        }
    }
}

/// Reports a claim that is gone, or is not a workspace's any more. Its name identifies it.
fn gone(claim: &Claim, sink: &dyn ClaimSink) {
    let id = claim.metadata.name.as_deref().and_then(names::workspace_of_claim);
    if let (Some(id), Some(uid)) = (id, observe::uid(&claim.metadata)) {
        sink.claim_gone(&id, &uid);
    }
}
