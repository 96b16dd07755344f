//! A client of the HTTP API.

use std::{error::Error, fmt::Debug, net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use sandbox_provisioner::http::frontend::Frontend;
use serde_json::{Value, json};
use tokio::{
    net::TcpStream,
    task::JoinHandle,
    time::{Instant, timeout},
};

use crate::{Answer, Events, Lines, contract, until};

/// The time after which every caller has given up (invariant 7).
const GIVEN_UP: Duration = Duration::from_secs(29);

/// A client of one daemon. It calls the routes directly or over sockets, each request on its own connection.
#[derive(Clone)]
pub struct Client {
    transport: Transport,
    key: Option<String>,
    /// Whether the server is the daemon, so that each answer is compared with its own description.
    is_described: bool,
}

#[derive(Clone)]
enum Transport {
    Direct(Frontend),
    Socket(SocketAddr),
}

/// The body of an answer that does not end by itself.
pub(crate) type StreamBody = UnsyncBoxBody<Bytes, NoAnswer>;

/// Why there is no answer: the connection was refused, reset or closed.
pub type NoAnswer = Box<dyn Error + Send + Sync>;

// === impl Client ===

impl Client {
    /// Returns a client of the server at this address.
    #[must_use]
    pub fn at(address: SocketAddr) -> Self {
        Self { transport: Transport::Socket(address), key: None, is_described: false }
    }

    /// Returns a client that calls the routes without a socket, which works under a paused clock.
    #[must_use]
    pub fn direct(frontend: Frontend) -> Self {
        Self { transport: Transport::Direct(frontend), key: None, is_described: true }
    }

    /// Returns a client that sends this API key.
    #[must_use]
    pub fn with_key(&self, key: Option<&str>) -> Self {
        Self { key: key.map(str::to_owned), ..self.clone() }
    }

    /// Returns a client that compares each answer with the daemon's description of its API, and fails if they differ.
    #[must_use]
    pub fn described(self) -> Self {
        Self { is_described: true, ..self }
    }

    /// Reads a sandbox.
    pub async fn get(&self, id: &str) -> Answer {
        self.fetch(&format!("/api/sandboxes/{id}")).await
    }

    /// Creates a sandbox with only an id.
    pub async fn post(&self, id: &str) -> Answer {
        self.call(Method::POST, "/api/sandboxes", Some(json!({ "sandbox_id": id }))).await
    }

    /// Deletes a sandbox.
    pub async fn delete(&self, id: &str) -> Answer {
        self.call(Method::DELETE, &format!("/api/sandboxes/{id}"), None).await
    }

    /// Sends a GET for a path.
    pub async fn fetch(&self, path: &str) -> Answer {
        self.call(Method::GET, path, None).await
    }

    /// Sends a request with an optional JSON body.
    pub async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Answer {
        self.call_with(method, path, &[], body).await
    }

    /// Sends a request with an optional JSON body to a daemon that may be gone.
    ///
    /// # Errors
    /// If the connection is refused, reset or closed without an answer.
    pub async fn try_call(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Answer, NoAnswer> {
        let mut request = Request::builder().method(method).uri(path);
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        self.request(request.body(body.into())?).await
    }

    /// Sends a request with headers and an optional JSON body.
    pub async fn call_with(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> Answer {
        let json = body.as_ref().map(|_| ("content-type", "application/json"));
        let headers: Vec<_> = headers.iter().copied().chain(json).collect();
        self.send(method, path, &headers, body.map(|body| body.to_string().into())).await
    }

    /// Sends a request with exactly these headers and bytes.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Bytes>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.request(request.body(body.unwrap_or_default()).unwrap()).await.expect("the daemon answers")
    }

    /// Sends a request to a daemon that may be gone.
    ///
    /// # Errors
    /// If the connection is refused, reset or closed without an answer.
    pub async fn request(&self, request: Request<Bytes>) -> Result<Answer, NoAnswer> {
        let mut request = request.map(Full::new);
        if let Some(key) = &self.key {
            request.headers_mut().insert("x-api-key", key.parse()?);
        }
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let start = Instant::now();
        let answer = async {
            match &self.transport {
                Transport::Direct(frontend) => {
                    let (head, body) = frontend.answer(request, None).await.into_parts();
                    Ok((head, body.collect().await.expect("the body is complete").to_bytes()))
                }
                Transport::Socket(address) => exchange(*address, request).await,
            }
        };
        let answer =
            timeout(GIVEN_UP, answer).await.expect("every request is answered in time (invariant 7)");
        let answer = answer.map(|(head, body)| Answer::new(head, body, start.elapsed()))?;
        if self.is_described {
            contract::check(&method, &path, &answer).unwrap_or_else(|problem| {
                panic!("{method} {path}: not in the document: {problem}\n{answer:?}")
            });
        }
        Ok(answer)
    }

    /// Opens a stream of events, after the event with this id.
    pub async fn events(&self, path: &str, after: Option<&str>) -> Result<Events, Box<Answer>> {
        let (body, connection) = self.open(path, after, "text/event-stream").await?;
        Ok(Events::new(body, connection))
    }

    /// Opens a log that is followed.
    pub async fn follow(&self, path: &str) -> Result<Lines, Box<Answer>> {
        let (body, connection) = self.open(path, None, "text/plain; charset=utf-8").await?;
        Ok(Lines::new(body, connection))
    }

    /// Opens an answer of this type. Returns its body and its connection.
    async fn open(
        &self,
        path: &str,
        after: Option<&str>,
        kind: &str,
    ) -> Result<(StreamBody, Option<JoinHandle<()>>), Box<Answer>> {
        let mut request = Request::get(path);
        for (name, value) in [("last-event-id", after), ("x-api-key", self.key.as_deref())] {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        let request = request.body(Full::default()).unwrap();
        let start = Instant::now();
        match &self.transport {
            Transport::Direct(frontend) => {
                Ok((opened(frontend.answer(request, None).await, path, kind, start).await?, None))
            }
            Transport::Socket(address) => {
                let (response, connection) = send(*address, request).await.expect("the daemon answers");
                Ok((opened(response, path, kind, start).await?, Some(connection)))
            }
        }
    }

    /// Waits until a sandbox was created, runs and is ready.
    pub async fn running(&self, id: &str) {
        let created = self.post(id).await;
        assert_eq!(created.status, 200, "{created}");
        let what = format!("{id} runs");
        until(&what, async || self.get(id).await.to_string() == "200 | Running").await;
    }

    /// Returns the failed checks of `/readyz` without which the daemon is not ready, as it shows them.
    pub async fn unready(&self) -> Vec<String> {
        let text = self.fetch("/readyz?verbose").await.text();
        let is_failed = |line: &&str| line.starts_with("[-]") && !line.contains(" failed (optional): ");
        text.lines().filter(is_failed).map(str::to_owned).collect()
    }

    /// Waits until the daemon is ready.
    pub async fn until_ready(&self) {
        until("the daemon is ready", async || self.fetch("/readyz").await.status == 200).await;
    }

    /// Waits until a sandbox has this phase, and returns it.
    pub async fn until_phase(&self, id: &str, phase: &str) -> Value {
        until(&format!("{id} is {phase}"), async || self.get(id).await.body["status"] == phase).await;
        self.get(id).await.body
    }
}

/// Returns the body of a response of this type, or an answer that is not one.
async fn opened<B>(
    response: Response<B>,
    path: &str,
    kind: &str,
    start: Instant,
) -> Result<StreamBody, Box<Answer>>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<NoAnswer> + Debug,
{
    let (head, body) = response.into_parts();
    if head.status == StatusCode::OK {
        assert_eq!(head.headers["content-type"], kind);
        contract::check_head(&Method::GET, path, head.status.as_u16(), &head.headers)
            .unwrap_or_else(|problem| panic!("not in the document: {problem}"));
        return Ok(body.map_err(Into::into).boxed_unsync());
    }
    let bytes = body.collect().await.expect("the body is complete").to_bytes();
    Err(Box::new(Answer::new(head, bytes, start.elapsed())))
}

/// Sends a request on a new connection, and returns the beginning of the response and the connection.
async fn send(
    address: SocketAddr,
    mut request: Request<Full<Bytes>>,
) -> Result<(Response<Incoming>, JoinHandle<()>), NoAnswer> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(async move { drop(connection.await) });
    request.headers_mut().insert("host", address.to_string().parse()?);
    Ok((sender.send_request(request).await?, connection))
}

/// Sends a request on a new connection, and returns the whole response.
async fn exchange(
    address: SocketAddr,
    request: Request<Full<Bytes>>,
) -> Result<(http::response::Parts, Bytes), NoAnswer> {
    let (response, connection) = send(address, request).await?;
    let (head, body) = response.into_parts();
    let body = body.collect().await?.to_bytes();
    connection.abort();
    Ok((head, body))
}
