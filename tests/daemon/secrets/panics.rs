//! Tests of a panic whose message is a secret, in its own process, because panic hooks are global.

use std::process::Stdio;

use bytes::Bytes;
use fleet::{
    backend::Shown,
    changes::ChangeReader,
    list::Listing,
    position::{Position, Revision, Start},
};
use http::Request;
use http_body_util::{BodyExt, Full};
use lifecycle::{
    error::SandboxError,
    ids::SandboxId,
    lifetime::Owner,
    log::{LogQuery, LogStream, LogText},
    observed::{Status, Uid},
    request::{Change, CreateRequest},
    timeline::Report,
};
use sandbox_provisioner::{
    admin::Admin,
    http::{
        self as api, Backend, Capabilities,
        auth::Auth,
        body,
        frontend::{Deadlines, Frontend},
        metrics::HttpMetrics,
    },
    telemetry::{self, Format},
};

use super::{
    mark::{is_not_in, secret},
    program::key,
};

/// The test that panics.
const CHILD: &str = "secrets::panics::panicking_child";

/// A backend that panics with a secret.
#[derive(Clone)]
struct Ill;

fn ill<T>() -> T {
    panic!("the value was {}", secret("panic"))
}

impl Backend for Ill {
    type WaitPermit = ();
    async fn create(&self, _: CreateRequest) -> Result<Status, SandboxError> {
        ill()
    }
    async fn delete(&self, _: SandboxId, _: Option<Owner>) -> Result<(), SandboxError> {
        ill()
    }
    async fn touch(&self, _: SandboxId, _: Option<Owner>) -> Result<Option<Status>, SandboxError> {
        ill()
    }
    async fn change(
        &self,
        _: SandboxId,
        _: Change,
        _: Option<Owner>,
    ) -> Result<Option<Status>, SandboxError> {
        ill()
    }
    fn reaped(&self, _: &SandboxId) -> Option<actors::sandboxes::Reaped> {
        ill()
    }
    fn reaper(&self) -> fleet::backend::ReaperState {
        ill()
    }
    fn resume_reaping(&self) -> bool {
        ill()
    }
    async fn move_to(
        &self,
        _: SandboxId,
        _: lifecycle::ids::ClusterName,
        _: Option<Owner>,
    ) -> Result<Option<fleet::Move>, SandboxError> {
        ill()
    }
    async fn get(&self, _: &SandboxId) -> Result<Option<std::sync::Arc<Shown>>, SandboxError> {
        ill()
    }
    fn wait_permit(&self, _: &SandboxId) -> Result<(), SandboxError> {
        ill()
    }
    async fn settled(&self, (): (), _: tokio::time::Instant) -> Result<Option<Status>, SandboxError> {
        ill()
    }
    async fn timeline(&self, _: &SandboxId) -> Result<Option<Report>, SandboxError> {
        ill()
    }
    async fn log(&self, _: &SandboxId, _: LogQuery) -> Result<Option<LogText>, SandboxError> {
        ill()
    }
    async fn follow_log(&self, _: &SandboxId, _: LogQuery) -> Result<Option<LogStream>, SandboxError> {
        ill()
    }
    async fn presence(&self, _: &SandboxId) -> Result<Option<Uid>, SandboxError> {
        ill()
    }
    async fn list(&self, _: &Revision) -> Result<Listing<(SandboxId, Status)>, SandboxError> {
        ill()
    }
    async fn changes(&self, _: Start) -> Result<ChangeReader, SandboxError> {
        ill()
    }
    async fn changes_of(&self, _: &SandboxId, _: Start) -> Result<Option<ChangeReader>, SandboxError> {
        ill()
    }
    fn position(&self, _: &Revision) -> Position {
        ill()
    }
    async fn clusters(&self) -> Vec<fleet::backend::ClusterReport> {
        ill()
    }
    async fn revision(&self) -> Result<Revision, SandboxError> {
        ill()
    }
}

/// Guards that answers and logs contain the location of a panic and not its message, at every level in both formats.
#[test]
fn a_panic_tells_where_and_not_what() {
    for format in ["json", "text"] {
        let child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", CHILD, "--ignored", "--nocapture", "--test-threads=1"])
            .env("SECRETS_LOG_FORMAT", format)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8([child.stdout, child.stderr].concat()).unwrap();
        assert!(child.status.success(), "{said}");
        assert!(said.contains("panicked") && said.contains("panics.rs"), "{said}");
        is_not_in("what is said of a panic", &said);
    }
}

#[test]
#[ignore = "run by the test above, in a process of its own"]
#[expect(clippy::disallowed_methods, reason = "told by the test above")]
fn panicking_child() {
    let format = if std::env::var("SECRETS_LOG_FORMAT").is_ok_and(|it| it == "json") {
        Format::Json
    } else {
        Format::Text
    };
    telemetry::init("trace", format, None).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let capabilities = Capabilities { lark_cli_init_image: false, lark_cli_broker_image: false };
        let routes = api::routes(
            Ill,
            capabilities,
            api::Profiles::default(),
            body::Limits::default(),
            Admin::of_checks(Vec::new),
        );
        let frontend =
            Frontend::new(routes, Auth::Key(key().into()), Deadlines::default(), HttpMetrics::default());
        for (method, path) in [
            ("POST", "/api/sandboxes"),
            ("GET", "/api/sandboxes"),
            ("GET", "/api/sandboxes/abc"),
            ("PATCH", "/api/sandboxes/abc"),
            ("DELETE", "/api/sandboxes/abc"),
            ("POST", "/api/sandboxes/abc/touch"),
            ("GET", "/api/events"),
            ("GET", "/api/sandboxes/abc/events"),
            ("GET", "/api/reaper"),
            ("POST", "/api/reaper/resume"),
        ] {
            let request = Request::builder()
                .method(method)
                .uri(path)
                .header("x-api-key", key())
                .header("content-type", "application/json")
                .body(Full::<Bytes>::from(r#"{"sandbox_id":"abc","ttl":"1h"}"#))
                .unwrap();
            let answer = frontend.answer(request, None).await;
            assert_eq!(answer.status(), 500, "{method} {path}");
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            is_not_in("an answer", &String::from_utf8_lossy(&body));
        }
    });
}
