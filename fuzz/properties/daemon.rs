//! The HTTP API of a daemon except its sockets, with a backend that records its calls.

mod backend;

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use sandbox_provisioner::admin::Admin;
use sandbox_provisioner::http::{
    self as api, Capabilities,
    auth::Auth,
    body,
    frontend::{Deadlines, Frontend},
    metrics::HttpMetrics,
};

pub use self::backend::{Call, Recorder, running};

/// The API key.
pub const KEY: &str = "the-key";

/// The HTTP API.
pub struct Daemon {
    frontend: Frontend,
    backend: Recorder,
    runtime: tokio::runtime::Runtime,
}

/// The answer to a request, and what it made the backend do.
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub calls: Vec<Call>,
}

// === impl Daemon ===

impl Daemon {
    pub fn new(backend: Recorder) -> Self {
        let limits = body::Limits { bytes: 1 << 10, time: Duration::from_secs(1) };
        let capabilities = Capabilities { lark_cli_init_image: false, lark_cli_broker_image: false };
        let routes = api::routes(
            backend.clone(),
            capabilities,
            api::Profiles::default(),
            limits,
            Admin::of_checks(Vec::new),
        );
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let auth = Auth::Key(KEY.into());
        let frontend = Frontend::new(routes, auth, Deadlines::default(), HttpMetrics::default());
        Self { frontend, backend, runtime }
    }

    /// Answers a request, and reads the whole body of the answer.
    pub fn answer(&self, request: Request<Full<Bytes>>) -> Answer {
        self.runtime.block_on(async {
            let (head, body) = self.frontend.answer(request, None).await.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            Answer { status: head.status, headers: head.headers, body, calls: self.backend.take() }
        })
    }
}

// === impl Answer ===

impl Answer {
    /// Returns the header as text.
    pub fn header(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("headers are ASCII"))
    }
}

/// Decodes percent-encoding once.
pub fn percent_decoded(text: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut rest = text.as_bytes();
    let mut decoded = Vec::new();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match (byte, after) {
            (b'%', [high, low, behind @ ..]) if digit(*high).is_some() && digit(*low).is_some() => {
                decoded.extend(digit(*high).zip(digit(*low)).map(|(high, low)| high << 4 | low));
                rest = behind;
            }
            _ => decoded.push(byte),
        }
    }
    decoded
}
