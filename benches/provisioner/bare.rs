//! Warp routes that do nothing but the work itself, to compare the daemon with.

use std::{
    future::Future,
    io::{BufRead, Write},
    sync::Arc,
};

use bytes::Bytes;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::{Api, Client, api::PostParams};
use kubernetes::manifest::{self, Template};
use sandbox_provisioner::http::request;
use testkit::NAMESPACE;
use tokio::net::TcpListener;
use warp::Filter;

/// The argument that makes this program a server of `GET /bare`. It reads its answer as one line from standard input.
pub const GET: &str = "--bare-get";

/// The argument that makes this program a server of `POST /api/sandboxes`. It reads the URL of the API server as one line
/// from standard input.
pub const CREATE: &str = "--bare-create";

/// Writes the Pod and the Service of one request, in parallel.
#[derive(Clone)]
pub struct Writer {
    pods: Api<Pod>,
    services: Api<Service>,
    template: Arc<Template>,
}

impl Writer {
    pub fn new(client: &Client) -> Self {
        Self {
            pods: Api::namespaced(client.clone(), NAMESPACE),
            services: Api::namespaced(client.clone(), NAMESPACE),
            template: Arc::default(),
        }
    }

    /// Writes what this body asks for.
    pub async fn write(&self, body: &[u8]) {
        let request = request::create(Some("application/json"), body).expect("a request");
        let manifests = manifest::build(&self.template, &request).expect("manifests");
        let params = PostParams::default();
        let (pod, service) = futures::join!(
            self.pods.create(&params, &manifests.pod),
            self.services.create(&params, &manifests.service),
        );
        pod.and(service.map(drop)).expect("both are written");
    }
}

/// A client of the API server at this URL.
pub fn client(url: &str) -> Client {
    let mut config = kube::Config::new(url.parse().expect("a URL"));
    config.default_retry = false;
    Client::try_from(config).expect("a client")
}

/// Serves a constant answer until the process is killed.
pub fn serve_get() {
    let body = Bytes::from(line());
    let route = warp::path!("bare")
        .and(warp::get())
        .map(move || http::Response::builder().header("content-type", "application/json").body(body.clone()));
    serve(|listener| warp::serve(route).incoming(listener).run());
}

/// Serves creates until the process is killed.
pub fn serve_create() {
    let url = line();
    serve(|listener| {
        let writer = Writer::new(&client(&url));
        let route = warp::path!("api" / "sandboxes").and(warp::post()).and(warp::body::bytes()).then(
            move |body: Bytes| {
                let writer = writer.clone();
                async move {
                    writer.write(&body).await;
                    warp::reply::json(&true)
                }
            },
        );
        warp::serve(route).incoming(listener).run()
    });
}

fn line() -> String {
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).expect("a line");
    line.trim_end().to_owned()
}

/// Listens, and prints the address.
fn serve<F: Future>(run: impl FnOnce(TcpListener) -> F) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        println!("bare http://{}", listener.local_addr().expect("an address"));
        std::io::stdout().flush().expect("standard output");
        run(listener).await;
    });
}
