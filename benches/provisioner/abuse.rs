//! The latency of other callers, and the memory, while clients misuse their connections.
//!
//! The daemon and the abuser run in their own processes. The callers send requests at a fixed rate, half of them on kept
//! connections and half on new ones, first alone and then beside each abuse. Every answer must be a 200.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::{Instant, interval, sleep, timeout},
};

use super::{
    children::{Server, cluster},
    load,
    queries::{median, until_ready},
};

/// The argument that makes this program an abuser. The kind of abuse and the address follow.
pub const ARGUMENT: &str = "--abuse";

/// Enough for a LIST of almost a megabyte.
const SANDBOXES: usize = 5_000;

const ROUNDS: usize = 3;

/// The duration of a measurement, which starts [`WARM_UP`] after the abuse.
const ROUND: Duration = Duration::from_secs(6);
const WARM_UP: Duration = Duration::from_secs(3);

/// The number of callers with kept connections, and of those with new ones. Each sends a request every [`PACE`].
const CALLERS: usize = 16;
const PACE: Duration = Duration::from_millis(20);

/// The pause before an abuser opens a closed connection again.
const AGAIN: Duration = Duration::from_secs(5);

/// The number of lists that are requested on a connection and not read.
const UNREAD: usize = 16;

/// The names of the abuses.
const ABUSES: [&str; 6] =
    ["slow-headers", "unread-lists", "gigabytes", "endless-chunks", "nesting", "hot-id"];

struct Observed {
    p50: f64,
    p99: f64,
    refused: u64,
    asked: usize,
}

/// Measures beside each named abuse, or beside all if none is named.
pub async fn measure(named: &[String]) {
    println!(
        "abuse, {SANDBOXES} sandboxes, {} GETs a second by others, half of them on new connections, median of {ROUNDS} rounds in turn:",
        2 * CALLERS * (1000 / PACE.as_millis() as usize)
    );
    let chosen = |abuse: &&str| named.iter().any(|name| name == abuse);
    let all = !ABUSES.iter().any(&chosen);
    for abuse in ABUSES.iter().filter(|abuse| all || chosen(abuse)) {
        beside(abuse).await;
    }
}

async fn beside(abuse: &str) {
    let cluster = cluster().await;
    let daemon = Server::daemon(&cluster);
    until_ready(&daemon).await;
    load::run(daemon.address, 16, SANDBOXES, |n| load::create(&format!("s-{n}"))).await;
    let (_, list) = load::once(daemon.address, &load::get("/api/sandboxes")).await;
    assert!(list.len() > SANDBOXES * 50);
    drop(list);
    callers(daemon.address).await;

    let (mut alone, mut abused, mut peaks) = (vec![], vec![], vec![]);
    for _ in 0..ROUNDS {
        alone.push(callers(daemon.address).await);
        let before = daemon.resident_bytes();
        daemon.reset_peak();
        let abuser = Server::abuser(abuse, daemon.address);
        sleep(WARM_UP).await;
        abused.push(callers(daemon.address).await);
        peaks.push(daemon.peak_bytes().saturating_sub(before) as f64 / f64::from(1 << 20));
        drop(abuser);
        // Its connections are closed, or reach their limits.
        sleep(Duration::from_secs(1)).await;
    }
    let of = |rounds: &[Observed], value: fn(&Observed) -> f64| median(rounds.iter().map(value).collect());
    let (p50, p99) = (|seen: &Observed| seen.p50, |seen: &Observed| seen.p99);
    let ratio = |value: fn(&Observed) -> f64| {
        median(alone.iter().zip(&abused).map(|(a, b)| value(b) / value(a)).collect())
    };
    println!(
        "  {abuse:<14} alone p50 {:>5.0} us p99 {:>6.0} us; beside it p50 {:>5.0} us p99 {:>6.0} us, ratios {:.2} and {:.2}; refused {} of {}; memory +{:.1} MiB at its peak",
        of(&alone, p50),
        of(&alone, p99),
        of(&abused, p50),
        of(&abused, p99),
        ratio(p50),
        ratio(p99),
        abused.iter().map(|seen| seen.refused).sum::<u64>(),
        abused.iter().map(|seen| seen.asked).sum::<usize>(),
        median(peaks),
    );
}

/// Reads single sandboxes for a round.
async fn callers(address: SocketAddr) -> Observed {
    let refused = Arc::new(AtomicU64::new(0));
    let end = Instant::now() + ROUND;
    let callers: Vec<_> = (0..2 * CALLERS)
        .map(|n| {
            let refused = refused.clone();
            tokio::spawn(async move {
                sleep(PACE.mul_f64(n as f64 / (2 * CALLERS) as f64)).await;
                let mut kept = None;
                let mut pace = interval(PACE);
                let mut times = vec![];
                while Instant::now() < end {
                    pace.tick().await;
                    let request = load::get(&format!("/api/sandboxes/s-{}", fastrand::usize(..SANDBOXES)));
                    let begun = Instant::now();
                    let asked = timeout(Duration::from_secs(10), ask(address, kept.take(), &request)).await;
                    times.push(begun.elapsed());
                    match asked {
                        Ok(Ok((200, stream))) => kept = (n % 2 == 0).then_some(stream),
                        Ok(Ok(_) | Err(_)) | Err(_) => {
                            refused.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                }
                times
            })
        })
        .collect();
    let mut times = vec![];
    for caller in callers {
        times.extend(caller.await.expect("a caller"));
    }
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e6;
    Observed { p50: at(0.5), p99: at(0.99), refused: refused.load(Ordering::Relaxed), asked: times.len() }
}

async fn ask(
    address: SocketAddr,
    kept: Option<TcpStream>,
    request: &str,
) -> std::io::Result<(u16, TcpStream)> {
    let mut stream = match kept {
        Some(stream) => stream,
        None => TcpStream::connect(address).await?,
    };
    stream.set_nodelay(true)?;
    stream.write_all(request.as_bytes()).await?;
    let mut wire = Vec::with_capacity(1024);
    while !wire.windows(4).any(|four| four == b"\r\n\r\n") {
        if stream.read_buf(&mut wire).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    // So small an answer arrives as a whole.
    let status = std::str::from_utf8(&wire).ok().and_then(|head| head.split(' ').nth(1)?.parse().ok());
    Ok((status.unwrap_or(0), stream))
}

/// Misuses the daemon until the process is killed.
pub fn misuse(abuse: &str, address: SocketAddr) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    println!("abusing http://{address}");
    let connections = match abuse {
        "slow-headers" => 5_000,
        "unread-lists" => 500,
        "gigabytes" | "endless-chunks" => 200,
        _ => 32,
    };
    runtime.block_on(async {
        let abusers = (0..connections).map(|n| {
            let abuse = abuse.to_owned();
            tokio::spawn(async move {
                // Opened all at once, they would test the kernel's queue.
                sleep(Duration::from_micros(200 * n)).await;
                loop {
                    // Open a closed connection again after a pause.
                    let _ = one(&abuse, address).await;
                    sleep(AGAIN).await;
                }
            })
        });
        let churn = (abuse == "unread-lists").then(|| tokio::spawn(churn(address)));
        futures::future::join_all(abusers.collect::<Vec<_>>()).await;
        drop(churn);
    });
}

/// Changes what a LIST shows, ten times a second.
async fn churn(address: SocketAddr) {
    for n in 0_u64.. {
        let _ = ask(address, None, &load::create(&format!("churn-{n}"))).await;
        sleep(Duration::from_millis(100)).await;
    }
}

async fn one(abuse: &str, address: SocketAddr) -> std::io::Result<()> {
    let socket = TcpSocket::new_v4()?;
    if abuse == "unread-lists" {
        socket.set_recv_buffer_size(4096)?;
    }
    let mut stream = socket.connect(address).await?;
    let post = "POST /api/sandboxes HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n";
    match abuse {
        "slow-headers" => {
            stream.write_all(b"GET /health HTTP/1.1\r\nx: ").await?;
            loop {
                sleep(Duration::from_secs(1)).await;
                stream.write_all(b"x").await?;
            }
        }
        "unread-lists" => {
            // More than the kernel buffers.
            stream.write_all(load::get("/api/sandboxes").repeat(UNREAD).as_bytes()).await?;
            // Read nothing until the daemon closes the connection.
            sleep(Duration::from_secs(20)).await;
        }
        "gigabytes" => {
            stream.write_all(format!("{post}content-length: {}\r\n\r\n", 1 << 30).as_bytes()).await?;
            for _ in 0..1 << 17 {
                stream.write_all(&[b' '; 8 << 10]).await?;
                sleep(Duration::from_millis(20)).await;
            }
        }
        "endless-chunks" => {
            stream.write_all(format!("{post}transfer-encoding: chunked\r\n\r\n").as_bytes()).await?;
            let chunk = [b"2000\r\n", &[b' '; 8 << 10][..], b"\r\n"].concat();
            loop {
                stream.write_all(&chunk).await?;
                sleep(Duration::from_millis(20)).await;
            }
        }
        "nesting" => {
            let deep = format!("{{\"sandbox_id\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
            let request = format!("{post}content-length: {}\r\n\r\n{deep}", deep.len());
            let mut kept = Some(stream);
            loop {
                let (status, stream) = ask(address, kept.take(), &request).await?;
                assert_eq!(status, 422);
                kept = Some(stream);
                sleep(Duration::from_millis(100)).await;
            }
        }
        _ => {
            let mut kept = Some(stream);
            for request in [load::create("s-1"), load::get("/api/sandboxes/s-1")].iter().cycle() {
                let (_, stream) = ask(address, kept.take(), request).await?;
                kept = Some(stream);
                sleep(Duration::from_millis(20)).await;
            }
        }
    }
    Ok(())
}
