//! How the cluster bears 10,000 Pods, 10,000 Services and 20 watchers: `cargo bench -p simcluster --bench size`.
//!
//! In the process and over a socket: a LIST of all Pods, beside the mere making of the same JSON; and the time from a
//! change until the last of the watchers has its event. It prints the measurements and never fails.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a program that measures"
)]

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use simcluster::{Cluster, Options};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tower::ServiceExt;

const OBJECTS: usize = 10_000;
const WATCHERS: usize = 20;
const LISTS: usize = 100;
const CHANGES: usize = 500;
const NS: &str = "deer-flow";
const PODS: &str = "/api/v1/namespaces/deer-flow/pods";

/// How a client reaches the cluster.
#[derive(Clone)]
enum Way {
    Service(Cluster),
    Socket(SocketAddr),
}

/// The times that a measurement took.
struct Times(Vec<Duration>);

#[tokio::main]
async fn main() {
    // `cargo test --benches` runs this, too, and means something else.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let options = Options {
        node: None,
        node_ports: 20_000..=60_000,
        watch_window: 4 * OBJECTS,
        watch_window_bytes: usize::MAX,
        ..Options::with_namespace(NS)
    };
    let cluster = Cluster::start(options);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(simcluster::serve(listener, cluster.clone(), std::future::pending()));
    fill(&cluster).await;
    println!("{OBJECTS} Pods, {OBJECTS} Services, {WATCHERS} watchers; times in milliseconds");
    let making = making_the_json(&cluster);
    println!("{}", making.row("making the JSON of a LIST (serde_json)", None));
    for (name, way) in [("service", Way::Service(cluster.clone())), ("socket", Way::Socket(address))] {
        measure(name, &way, &cluster, making.at(0.5)).await;
    }
}

async fn measure(name: &str, way: &Way, cluster: &Cluster, making: Duration) {
    let mut watchers = Watchers::open(way).await;
    // Put all Pods again, so that nothing is cached yet.
    for pod in cluster.objects("pods", Some(NS)) {
        cluster.put("pods", pod).unwrap();
    }
    watchers.all_saw(OBJECTS).await;
    let first = Times::of(1, async |_| way.get(PODS).await).await;
    println!("{}", first.row(&format!("LIST, {name}, right after all have changed"), Some(making)));
    let lists = Times::of(LISTS, async |_| way.get(PODS).await).await;
    println!("{}", lists.row(&format!("LIST, {name}"), Some(making)));
    let selector = format!("{PODS}?labelSelector=app%3Ddeer-flow-sandbox");
    let lists = Times::of(LISTS, async |_| way.get(&selector).await).await;
    println!("{}", lists.row(&format!("LIST by label, {name}"), Some(making)));
    let changes = Times::of(CHANGES, async |n| {
        change(cluster, n, "one");
        watchers.all_saw(1).await;
    });
    println!("{}", changes.await.row(&format!("change until all {WATCHERS} watchers have it, {name}"), None));
    let start = Instant::now();
    (0..OBJECTS).for_each(|n| change(cluster, n, "burst"));
    watchers.all_saw(OBJECTS).await;
    let rate = (OBJECTS * WATCHERS) as f64 / start.elapsed().as_secs_f64();
    println!("{:58} {rate:9.0}/s", format!("events to watchers in a burst, {name}"));
}

/// A change that is one, whatever was changed before.
fn change(cluster: &Cluster, n: usize, word: &str) {
    let name = format!("sandbox-{n}");
    let mark = json!({"mark": format!("{word} {}", cluster.version())});
    cluster.change("pods", NS, &name, |pod| pod["metadata"]["annotations"] = mark).unwrap();
}

/// Makes the objects by calls, so that they are as large as a server makes them.
async fn fill(cluster: &Cluster) {
    let way = Way::Service(cluster.clone());
    for n in 0..OBJECTS {
        let name = format!("sandbox-{n}");
        let labels = json!({"app": "deer-flow-sandbox", "sandbox-id": name});
        let pod = json!({
            "metadata": {"name": name, "labels": labels},
            "spec": {"containers": [{
                "name": "sandbox", "image": "img:1", "ports": [{"name": "http", "containerPort": 8080}],
                "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"cpu": "1", "memory": "1Gi"}},
            }]},
        });
        let service = json!({
            "metadata": {"name": format!("{name}-svc"), "labels": labels},
            "spec": {"type": "NodePort", "selector": labels, "ports": [{"port": 8080}]},
        });
        way.post(PODS, &pod).await;
        way.post("/api/v1/namespaces/deer-flow/services", &service).await;
    }
    assert_eq!((cluster.count("pods", None), cluster.count("services", None)), (OBJECTS, OBJECTS));
}

fn making_the_json(cluster: &Cluster) -> Times {
    let list = json!({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": cluster.objects("pods", None)});
    let mut times = Vec::new();
    for _ in 0..LISTS {
        let start = Instant::now();
        std::hint::black_box(serde_json::to_vec(&list).unwrap());
        times.push(start.elapsed());
    }
    println!("a LIST of all Pods has {:.1} MB", serde_json::to_vec(&list).unwrap().len() as f64 / 1e6);
    Times(times)
}

// === impl Way ===

impl Way {
    async fn post(&self, path: &str, object: &Value) {
        let Self::Service(cluster) = self else { unreachable!("objects are made in the process") };
        let request = http::Request::post(path).header("content-type", "application/json");
        let request = request.body(Full::new(Bytes::from(object.to_string()))).unwrap();
        let answer = cluster.service().oneshot(request).await.unwrap();
        assert_eq!(answer.status(), 201);
    }

    /// Reads an answer whole.
    async fn get(&self, path: &str) {
        match self {
            Self::Service(cluster) => {
                let request = http::Request::get(path).body(Full::new(Bytes::new())).unwrap();
                let answer = cluster.service().oneshot(request).await.unwrap();
                std::hint::black_box(answer.into_body().collect().await.unwrap().to_bytes());
            }
            Self::Socket(address) => {
                let mut stream = ask(*address, path).await;
                let mut all = Vec::with_capacity(32 << 20);
                stream.read_to_end(&mut all).await.unwrap();
                std::hint::black_box(all);
            }
        }
    }

    /// Follows a watch, and says after each piece how many events there were in it.
    async fn watch(self, counted: mpsc::UnboundedSender<usize>) {
        let path = format!(
            "{PODS}?watch=1&resourceVersion=0&sendInitialEvents=false&resourceVersionMatch=NotOlderThan"
        );
        // No line of JSON has a line end within, and the frames of HTTP end theirs otherwise.
        let mut last = b' ';
        let mut count = move |bytes: &[u8]| {
            let mut events = 0;
            for byte in bytes {
                events += usize::from(last == b'}' && *byte == b'\n');
                last = *byte;
            }
            let _ = counted.send(events);
        };
        match self {
            Self::Service(cluster) => {
                let request = http::Request::get(path).body(Full::new(Bytes::new())).unwrap();
                let mut body = cluster.service().oneshot(request).await.unwrap().into_body();
                count(b"");
                while let Some(Ok(frame)) = body.frame().await {
                    count(frame.data_ref().unwrap());
                }
            }
            Self::Socket(address) => {
                let mut stream = ask(address, &path).await;
                let mut buffer = vec![0; 1 << 16];
                while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                    count(&buffer[..read]);
                }
            }
        }
    }
}

async fn ask(address: SocketAddr, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut head = String::new();
    write!(head, "GET {path} HTTP/1.1\r\nhost: cluster\r\nconnection: close\r\n\r\n").unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

/// Open watches; they end with the value.
struct Watchers {
    counts: Vec<mpsc::UnboundedReceiver<usize>>,
    _tasks: JoinSet<()>,
}

// === impl Watchers ===

impl Watchers {
    async fn open(way: &Way) -> Self {
        let mut tasks = JoinSet::new();
        let mut counts = Vec::new();
        for _ in 0..WATCHERS {
            let (sender, mut receiver) = mpsc::unbounded_channel();
            tasks.spawn(way.clone().watch(sender));
            // The head of the answer, or the word that it is there.
            receiver.recv().await.unwrap();
            counts.push(receiver);
        }
        Self { counts, _tasks: tasks }
    }

    /// Waits until each has had so many events more.
    async fn all_saw(&mut self, events: usize) {
        for counts in &mut self.counts {
            let mut seen = 0;
            while seen < events {
                seen += counts.recv().await.expect("the watch goes on");
            }
            assert_eq!(seen, events);
        }
    }
}

// === impl Times ===

impl Times {
    async fn of(count: usize, mut what: impl AsyncFnMut(usize)) -> Self {
        let mut times = Vec::with_capacity(count);
        for n in 0..count {
            let start = Instant::now();
            what(n).await;
            times.push(start.elapsed());
        }
        Self(times)
    }

    /// A quantile.
    fn at(&self, share: f64) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        sorted[((sorted.len() - 1) as f64 * share).round() as usize]
    }

    /// A line of the table, with the median's ratio to another time.
    fn row(&self, name: &str, beside: Option<Duration>) -> String {
        let millis = |share| self.at(share).as_secs_f64() * 1e3;
        let ratio = beside.map_or(String::new(), |other| {
            format!("{:6.2} x", self.at(0.5).as_secs_f64() / other.as_secs_f64())
        });
        format!("{name:58} p50 {:8.3}  p99 {:8.3} {ratio}", millis(0.5), millis(0.99))
    }
}
