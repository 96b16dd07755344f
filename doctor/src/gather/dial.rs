//! Resolves `NODE_HOST`, and dials a few ready sandboxes.

use futures::future::join_all;
use http::Method;
use kubernetes::{inspect::SandboxObjects, manifest::ServiceType};
use tokio::{
    net::lookup_host,
    time::{Instant, timeout_at},
};

use crate::{
    http::{DaemonError, call},
    subject::Subject,
};

/// The number of sandboxes that are dialled.
const DIALLED_MAX: usize = 3;

/// The path that every sandbox image serves.
const PATH: &str = "/v1/sandbox";

/// The URLs of sandboxes, each with the status of the answer.
pub(super) type Dialled = Vec<(String, Result<u16, String>)>;

/// Looks for an address of `NODE_HOST`; `None` if no URL has it.
pub(super) async fn resolve(subject: &Subject, deadline: Instant) -> Option<Result<(), String>> {
    let template = &subject.settings.template;
    if template.service_type != ServiceType::NodePort {
        return None;
    }
    Some(match timeout_at(deadline, lookup_host((template.node_host.as_str(), 80))).await {
        Ok(Ok(mut addresses)) => addresses.next().map(drop).ok_or_else(|| "it has no address".to_owned()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("timed out".to_owned()),
    })
}

/// Dials a few ready sandboxes. Those without a node port can be reached only from a Pod.
pub(super) async fn sandboxes(subject: &Subject, objects: &SandboxObjects, deadline: Instant) -> Dialled {
    let is_reachable =
        subject.settings.template.service_type == ServiceType::NodePort || subject.machine.is_pod;
    let (true, Ok(pods), Ok(services)) = (is_reachable, &objects.pods, &objects.services) else {
        return Vec::new();
    };
    let ready = pods.ours.iter().filter(|(_, pod)| pod.observed.ready && !pod.observed.terminating);
    let urls = ready.filter_map(|(id, _)| services.ours.get(id)?.url.clone()).take(DIALLED_MAX);
    let dial = async |url: String| {
        let answer = call(Method::GET, &url, PATH, None, deadline).await;
        let status = answer.map(|answer| answer.status().as_u16()).map_err(|error| match error {
            DaemonError::Refused => "connection refused".to_owned(),
            DaemonError::Other(why) => why,
        });
        (url, status)
    };
    join_all(urls.map(dial)).await
}
