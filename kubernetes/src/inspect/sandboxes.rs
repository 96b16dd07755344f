//! Lists the Pods and Services of the namespace, those of others too.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use lifecycle::{ids::SandboxId, observed::ObservedPod};
use serde::Deserialize;
use tokio::time::Instant;

use super::call::{Failure, failure};
use crate::{
    connect::Connection,
    fault::{CallError, Verb},
    lenient::{Object, Objects, Scalar},
    manifest::Template,
    object::SandboxObject,
    observe,
    types::{Pod, Service},
};

/// The objects of one kind in the namespace.
#[derive(Debug, Clone)]
pub struct Listing<T> {
    /// The objects of sandboxes.
    pub ours: BTreeMap<SandboxId, T>,
    /// The names of objects without our labels that have the name of a sandbox's object.
    pub foreign: Vec<String>,
    /// Whether the namespace has more objects than were read.
    pub is_cut: bool,
}

/// The Pods and Services of the namespace.
#[derive(Debug, Clone)]
pub struct SandboxObjects {
    /// The Pods.
    pub pods: Result<Listing<PodState>, Failure>,
    /// The Services, each with its creation time and its node port's URL.
    pub services: Result<Listing<ServiceState>, Failure>,
}

/// The state of a sandbox's Pod.
#[derive(Debug, Clone)]
pub struct PodState {
    /// The state as the daemon observes it.
    pub observed: ObservedPod,
    /// When it was deleted, if it is terminating.
    pub terminating_since: Option<Timestamp>,
}

/// The state of a sandbox's Service.
#[derive(Debug, Clone)]
pub struct ServiceState {
    /// When it was created.
    pub created: Option<Timestamp>,
    /// Whether it is terminating.
    pub is_terminating: bool,
    /// The URL of the sandbox.
    pub url: Option<String>,
}

/// A page of a list.
#[derive(Deserialize)]
#[serde(bound = "T: Deserialize<'de>")]
struct Page<T> {
    #[serde(default)]
    metadata: Object<PageMetadata>,
    items: Objects<T>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PageMetadata {
    #[serde(rename = "continue")]
    next: Scalar<String>,
}

/// The number of objects of a page.
const PAGE: usize = 500;

/// The maximum number of pages.
const PAGES_MAX: usize = 20;

/// Lists the Pods and Services of the connection's namespace. All must be read before `deadline`.
pub async fn list_sandboxes(
    connection: &Connection,
    template: &Template,
    deadline: Instant,
) -> SandboxObjects {
    let pods = list::<Pod, _>(connection, deadline, |pod, _| {
        let terminating_since = pod.metadata.deletion_timestamp.as_ref().map(|time| time.0);
        Some(PodState { observed: observe::pod(pod)?, terminating_since })
    });
    let services = list::<Service, _>(connection, deadline, |service, id| {
        let observed = observe::service(template, id, service)?;
        let url = observed.url.or(observed.internal_url);
        Some(ServiceState {
            created: service.metadata.creation_timestamp.as_ref().map(|time| time.0),
            is_terminating: observed.terminating,
            url: url.map(|url| url.to_string()),
        })
    });
    let (pods, services) = futures::join!(pods, services);
    SandboxObjects { pods, services }
}

async fn list<K: SandboxObject, T>(
    connection: &Connection,
    deadline: Instant,
    state: impl Fn(&K, &SandboxId) -> Option<T>,
) -> Result<Listing<T>, Failure> {
    let mut listing = Listing { ours: BTreeMap::new(), foreign: Vec::new(), is_cut: false };
    let mut next: Option<String> = None;
    for _ in 0..PAGES_MAX {
        let page = page::<K>(connection, next.take(), deadline).await;
        let page = page.map_err(|error| failure(Verb::List, &error))?;
        for object in page.items.0 {
            let name = object.meta().name.as_deref().unwrap_or_default();
            match object.sandbox_id() {
                Some(id) => {
                    if let Some(state) = state(&object, &id) {
                        listing.ours.insert(id, state);
                    }
                }
                None if K::parse_name(name).is_some() => listing.foreign.push(name.to_owned()),
                None => {}
            }
        }
        next = page.metadata.0.and_then(|metadata| metadata.next.0).filter(|token| !token.is_empty());
        if next.is_none() {
            return Ok(listing);
        }
    }
    listing.is_cut = true;
    Ok(listing)
}

async fn page<K: SandboxObject>(
    connection: &Connection,
    next: Option<String>,
    deadline: Instant,
) -> Result<Page<K>, CallError> {
    let params = kube::core::params::ListParams {
        limit: u32::try_from(PAGE).ok(),
        continue_token: next,
        ..Default::default()
    };
    let path = K::url_path(&(), Some(connection.namespace()));
    let request = kube::core::Request::new(path)
        .list(&params)
        .map_err(|error| CallError::from(kube::Error::BuildRequest(error)))?;
    let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
    connection.calls()?.request(request, left).await
}
