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

/// How long an answer's head may take. `kube` itself has no deadline for the answer to a list or the start of a watch,
/// so a client that must survive a silent server needs this one.
const HEAD: Duration = Duration::from_secs(15);

/// As `Client::new` makes it: no retries, no deadline.
pub fn bare(cluster: &Cluster) -> Client {
    Client::new(cluster.service(), NS)
}

/// With a deadline for heads and no retries: the watcher sees each failure, and its own back-off applies.
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

/// The service, with each call on a task of its own, as a connection has: a call continues while its caller does not
/// poll. A `Controller` does not poll any of its watches while it waits after a failure of one of them, and that can
/// take longer than the deadline: the answers must be there when it polls again.
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
