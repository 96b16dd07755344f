//! Several clusters behind one daemon: the latency beside a cluster that accepts connections and never answers, and the rate
//! of creates on four clusters in processes of their own.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::{
    children::{Server, cluster, process_cluster, settings_file},
    load,
    queries::{median, until_ready},
};

const ROUNDS: usize = 5;
const CONNECTIONS: usize = 8;

/// The time of a write with which one cluster uses little of the processors.
const SLOW_WRITE: Duration = Duration::from_millis(400);

/// A relay that forwards until `is_silent` is set, and keeps its connections open then.
struct Relay {
    address: SocketAddr,
    is_silent: Arc<AtomicBool>,
}

impl Relay {
    async fn start(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let is_silent = Arc::new(AtomicBool::new(false));
        let silent = is_silent.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let silent = silent.clone();
                tokio::spawn(async move {
                    if silent.load(Ordering::SeqCst) {
                        tokio::time::sleep(Duration::from_secs(3600)).await;
                    }
                    let Ok(server) = TcpStream::connect(to).await else { return };
                    let _ = (client.set_nodelay(true), server.set_nodelay(true));
                    let (from_client, to_client) = client.into_split();
                    let (from_server, to_server) = server.into_split();
                    let there = forward(from_client, to_server, silent.clone());
                    let back = forward(from_server, to_client, silent);
                    tokio::join!(there, back);
                });
            }
        });
        Self { address, is_silent }
    }
}

async fn forward(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    silent: Arc<AtomicBool>,
) {
    let mut buffer = vec![0; 1 << 16];
    loop {
        match from.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(length) => {
                while silent.load(Ordering::SeqCst) {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
                if to.write_all(&buffer[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// Measures GET, LIST and POST on two clusters before and after the third stops answering.
pub async fn measure_black_hole() {
    let served = [cluster().await, cluster().await, cluster().await];
    let relay = Relay::start(served[2].address).await;
    let urls =
        [served[0].address, served[1].address, relay.address].map(|address| format!("http://{address}"));
    let daemon = Server::configured(&settings_file(&["a", "b", "c"], &urls));
    until_ready(&daemon).await;
    load::run(daemon.address, 16, 300, |n| load::create(&format!("s-{n}"))).await;
    // A sandbox of a cluster that goes on, for the GETs.
    let (_, list) = load::once(daemon.address, &load::get("/api/sandboxes?cluster=a&limit=1")).await;
    let id =
        list.split("\"sandbox_id\":\"").nth(1).expect("a sandbox on a").split('"').next().expect("an id");
    let get = format!("/api/sandboxes/{id}");

    println!("one of three clusters accepts and never answers, median of {ROUNDS} rounds:");
    let usual = rounds(&daemon, &get, "u").await;
    let memory = daemon.resident_bytes();
    relay.is_silent.store(true, Ordering::SeqCst);
    let silenced = Instant::now();
    let at_once = rounds(&daemon, &get, "v").await;
    while silenced.elapsed() < Duration::from_secs(75) {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let away = rounds(&daemon, &get, "w").await;
    for (n, name) in ["GET", "LIST", "POST"].into_iter().enumerate() {
        println!(
            "  {name:<5} p99 {:>7.2} ms usually, {:>7.2} ms ({:.2}) at once, {:>7.2} ms ({:.2}) once it is away",
            usual[n] * 1e3,
            at_once[n] * 1e3,
            at_once[n] / usual[n],
            away[n] * 1e3,
            away[n] / usual[n],
        );
    }
    let grown = daemon.resident_bytes().saturating_sub(memory) >> 10;
    println!("  memory: {} MiB, and {grown} KiB more after {} s", memory >> 20, silenced.elapsed().as_secs());
}

/// Returns the medians of the p99 of GET, LIST and of a POST on the cluster `a`, in seconds.
async fn rounds(daemon: &Server, get: &str, prefix: &'static str) -> [f64; 3] {
    let mut p99 = [const { Vec::new() }; 3];
    for round in 0..ROUNDS {
        let get = get.to_owned();
        p99[0].push(load::run(daemon.address, CONNECTIONS, 5_000, move |_| load::get(&get)).await.p99);
        let list = |_| load::get("/api/sandboxes");
        p99[1].push(load::run(daemon.address, CONNECTIONS, 1_000, list).await.p99);
        let create = move |n| load::create_on(&format!("{prefix}{round}-{n}"), "a");
        p99[2].push(load::run(daemon.address, CONNECTIONS, 300, create).await.p99);
        // Each list has the same length.
        let delete = move |n| load::delete(&format!("{prefix}{round}-{n}"));
        load::run(daemon.address, CONNECTIONS, 300, delete).await;
    }
    p99.map(|times| median(times.iter().map(Duration::as_secs_f64).collect()))
}

/// Measures creates on one cluster and on four, each in a process of its own.
pub async fn measure_creates() {
    println!("creates, clusters in processes of their own, median of {ROUNDS} rounds in turn:");
    compare_creates(None, 32, 200).await;
    // A cluster that waits instead of computing: the daemon's limit of creates on one cluster bounds the rate.
    compare_creates(Some(SLOW_WRITE), 128, 300).await;
}

async fn compare_creates(delay: Option<Duration>, connections: usize, creates: usize) {
    let processes = [process_cluster(), process_cluster(), process_cluster(), process_cluster()];
    if let Some(delay) = delay {
        for process in &processes {
            let rule = format!(
                r#"{{"when": {{"verb": "create"}}, "effect": {{"delay": "{}ms"}}}}"#,
                delay.as_millis()
            );
            let (status, answer) =
                load::once(process.address, &load::post("/simcluster/v1/faults", &rule)).await;
            assert!((200..300).contains(&status), "{answer}");
        }
    }
    let urls: Vec<_> = processes.iter().map(|process| format!("http://{}", process.address)).collect();
    let one = Server::configured(&settings_file(&["a"], &urls[..1]));
    let four = Server::configured(&settings_file(&["a", "b", "c", "d"], &urls));
    let daemons = [("one cluster", &one), ("four clusters", &four)];
    for (_, daemon) in daemons {
        until_ready(daemon).await;
    }
    let numbers = Arc::new(AtomicUsize::new(0));
    let mut rates = [const { Vec::new() }; 2];
    let mut cpu = [0.0; 2];
    for round in 0..=ROUNDS {
        for (n, (_, daemon)) in daemons.into_iter().enumerate() {
            let numbers = numbers.clone();
            let name = move |_| load::create(&format!("p-{}", numbers.fetch_add(1, Ordering::Relaxed)));
            let before = daemon.cpu_seconds();
            let done = load::run(daemon.address, connections, creates, name).await;
            if round > 0 {
                cpu[n] += daemon.cpu_seconds() - before;
                rates[n].push(done.per_second);
            }
        }
    }
    let writes = delay.map_or("at once".to_owned(), |delay| format!("in {} ms", delay.as_millis()));
    println!("  writes {writes}, {connections} creates at once, {} cores for all processes:", cores());
    for (n, (name, _)) in daemons.into_iter().enumerate() {
        println!(
            "    {name:<13} {:>6.0}/s, {:.2} ms of the daemon's CPU each",
            median(rates[n].clone()),
            cpu[n] * 1e3 / (ROUNDS * creates) as f64,
        );
    }
    let ratio = median(rates[1].iter().zip(&rates[0]).map(|(four, one)| four / one).collect());
    println!("    ratio         {ratio:>6.2}");
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}
