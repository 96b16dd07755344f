//! One call to the API server: sent, answered and understood within a deadline.
//!
//! `kube` gives the connection, the credentials and the requests. The answer is read here, as `kube` drops the
//! `Retry-After` header, knows no deadline, and logs whole bodies that it cannot parse.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{
    Request, Response, StatusCode,
    header::{DATE, HeaderName, RETRY_AFTER},
};
use http_body_util::{BodyExt, Limited};
use kube::{Client, client::Body, core::Status};
use serde::de::DeserializeOwned;
use tokio::{
    sync::{Notify, Semaphore, SemaphorePermit},
    time::{Instant, timeout_at},
};

use crate::{clock::ServerClock, fault::CallError};

/// The longest answer that is read, in bytes: a page of 500 Pods is about 10 MiB.
pub const ANSWER_MAX: usize = 64 << 20;

/// The longest body of an error that is read, in bytes.
const ERROR_MAX: usize = 64 << 10;

/// A client of the API server with a bound on its calls in flight. Cheap to clone; clones share the bound.
#[derive(Clone)]
pub struct Calls {
    client: Client,
    /// One a call in flight: `kube` speaks HTTP/1.1, so that each is a connection.
    permits: Arc<Semaphore>,
    bound: usize,
    /// One a create in flight, besides the other.
    creates: Arc<Semaphore>,
    creates_bound: usize,
    clock: Arc<ServerClock>,
    /// Where the API server is, for whoever reads that it cannot be reached.
    server: Option<Arc<str>>,
    /// Notified when the API server does not take this client's credentials.
    rejected: Arc<Notify>,
}

/// How many of so many calls in flight may be creates: three quarters, so that however many of them wait, deletes
/// and reads come to their turn.
#[must_use]
pub const fn creates_of(in_flight: usize) -> usize {
    let share = in_flight - in_flight / 4;
    if share == 0 { 1 } else { share }
}

// === impl Calls ===

impl Calls {
    /// Creates a client that makes at most `bound` calls at once and sets the clock by their answers. An error contains
    /// the server's URL if it cannot be reached.
    pub fn new(client: Client, bound: usize, clock: Arc<ServerClock>, server: Option<Arc<str>>) -> Self {
        let bound = bound.clamp(1, Semaphore::MAX_PERMITS);
        let creates_bound = creates_of(bound);
        Self {
            client,
            permits: Arc::new(Semaphore::new(bound)),
            bound,
            creates: Arc::new(Semaphore::new(creates_bound)),
            creates_bound,
            clock,
            server,
            rejected: Arc::default(),
        }
    }

    /// Returns these calls with another client of the same API server. The calls in flight still count.
    pub fn with_client(&self, client: Client) -> Self {
        Self { client, rejected: Arc::default(), ..self.clone() }
    }

    /// Waits until the API server does not take this client's credentials.
    pub async fn rejected(&self) {
        self.rejected.notified().await;
    }

    /// Makes one call, reads its whole answer, and ends within `deadline`, the wait for its turn included.
    ///
    /// # Errors
    /// Every way in which it can fail; of [`CallError::Overloaded`] nothing was sent.
    pub async fn request<T: DeserializeOwned>(
        &self,
        request: Request<Vec<u8>>,
        deadline: Duration,
    ) -> Result<T, CallError> {
        let end = Instant::now() + deadline;
        parse(&self.whole(request.map(Body::from), deadline, end).await?)
    }

    /// As [`Calls::request`], of a call that makes something: it waits for its turn among those, too.
    ///
    /// # Errors
    /// As [`Calls::request`].
    pub async fn create<T: DeserializeOwned>(
        &self,
        request: Request<Vec<u8>>,
        deadline: Duration,
    ) -> Result<T, CallError> {
        let end = Instant::now() + deadline;
        let _permit = turn(&self.creates, self.creates_bound, end).await?;
        parse(&self.whole(request.map(Body::from), deadline, end).await?)
    }

    /// Makes one call like [`Calls::request`], and returns the body as it is.
    ///
    /// # Errors
    /// As [`Calls::request`].
    pub async fn read(&self, request: Request<Body>, deadline: Duration) -> Result<Bytes, CallError> {
        self.whole(request, deadline, Instant::now() + deadline).await
    }

    async fn whole(
        &self,
        request: Request<Body>,
        deadline: Duration,
        end: Instant,
    ) -> Result<Bytes, CallError> {
        let _permit = turn(&self.permits, self.bound, end).await?;
        let exchange = async { collect(self.exchange(request).await?, ANSWER_MAX).await };
        timeout_at(end, exchange).await.map_err(|_| CallError::TimedOut { after: deadline })?
    }

    /// Opens a call whose answer goes on: waits for its head only, within `deadline`.
    ///
    /// The answer takes no part in the bound on calls in flight; its reader sees to its end.
    ///
    /// # Errors
    /// As [`Calls::request`].
    pub async fn open(
        &self,
        request: Request<Body>,
        deadline: Duration,
    ) -> Result<Response<Body>, CallError> {
        let end = Instant::now() + deadline;
        let _permit = turn(&self.permits, self.bound, end).await?;
        timeout_at(end, self.exchange(request)).await.map_err(|_| CallError::TimedOut { after: deadline })?
    }

    /// Sends a request, and turns an answer that is no success into an error.
    async fn exchange(&self, request: Request<Body>) -> Result<Response<Body>, CallError> {
        let sent = Instant::now();
        let response = self
            .client
            .send(request)
            .await
            .map_err(|error| CallError::Transport { error, server: self.server.clone() })?;
        if let Some(date) = header(&response, &DATE) {
            self.clock.heard(date, sent);
        }
        if response.status().is_success() {
            return Ok(response);
        }
        let code = response.status().as_u16();
        if response.status() == StatusCode::UNAUTHORIZED {
            self.rejected.notify_one();
        }
        let retry_after = header(&response, &RETRY_AFTER)
            .and_then(|value| value.trim().parse().ok())
            .map(Duration::from_secs);
        // An error whose body breaks off is that error all the same.
        let body = collect(response, ERROR_MAX).await.unwrap_or_default();
        let status = serde_json::from_slice::<Status>(&body).ok().filter(Status::is_failure).map(Box::new);
        Err(CallError::Answered { code, status, retry_after })
    }
}

async fn turn(permits: &Semaphore, bound: usize, end: Instant) -> Result<SemaphorePermit<'_>, CallError> {
    match timeout_at(end, permits.acquire()).await {
        // A turn that comes with the deadline is too late: better not sent than sent and not awaited.
        Ok(Ok(permit)) if Instant::now() < end => Ok(permit),
        // The semaphore is never closed; were it, no call could be made either.
        Ok(_) | Err(_) => Err(CallError::Overloaded { bound }),
    }
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, CallError> {
    // Our types parse from any JSON value, but the API server always answers with an object.
    let is_object = body.trim_ascii_start().starts_with(b"{");
    serde_json::from_slice(body).ok().filter(|_| is_object).ok_or(CallError::Unreadable)
}

fn header<'r>(response: &'r Response<Body>, name: &HeaderName) -> Option<&'r str> {
    response.headers().get(name)?.to_str().ok()
}

async fn collect(response: Response<Body>, most: usize) -> Result<Bytes, CallError> {
    match Limited::new(response.into_body(), most).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) => Err(match error.downcast::<kube::Error>() {
            Ok(error) => (*error).into(),
            Err(_) => CallError::Unreadable,
        }),
    }
}
