//! Clients on the in-process service.

use std::time::Duration;

use http::{Request, Response};
use kube::Client;
use kube::client::Body;
use kube::client::retry::RetryPolicy;
use simcluster::Cluster;
use tower::retry::RetryLayer;
use tower::timeout::TimeoutLayer;
use tower::{BoxError, Service, ServiceBuilder, ServiceExt, service_fn};

use crate::NS;

/// How long an answer's head may take. `kube` itself waits without end for the answer to a list and for a watch to
/// open, so whoever wants to outlive a silent server brings this.
const HEAD: Duration = Duration::from_secs(15);

/// As `Client::new` makes it: no retries, no deadline.
pub fn bare(cluster: &Cluster) -> Client {
    Client::new(cluster.service(), NS)
}

/// With a deadline for heads and no retries: each failure comes to the watcher, whose back-off then counts.
pub fn with_deadline(cluster: &Cluster) -> Client {
    let service = ServiceBuilder::new().layer(TimeoutLayer::new(HEAD)).service(connection(cluster));
    Client::new(service, NS)
}

/// As `Client::try_from(Config)` makes it by default, which retries 429, 503 and 504 of every verb fifteen times; with a
/// deadline for the head of each try.
pub fn with_retries(cluster: &Cluster) -> Client {
    let service = ServiceBuilder::new()
        .layer(RetryLayer::new(RetryPolicy::server_retry()))
        .layer(TimeoutLayer::new(HEAD))
        .service(connection(cluster));
    Client::new(service, NS)
}

/// The service, with each call on a task of its own, as a connection has one: a call goes on while nobody polls for its
/// answer. A `Controller` does not poll any of its watches while it waits after a failure of one of them, and that can
/// take longer than the deadline: the answers must be there when it looks again.
fn connection(
    cluster: &Cluster,
) -> impl Service<Request<Body>, Response = Response<simcluster::Body>, Error = BoxError, Future: Send>
+ Clone
+ use<> {
    let service = cluster.service();
    service_fn(move |request| {
        let call = tokio::spawn(service.clone().oneshot(request));
        async { Ok(call.await??) }
    })
}
