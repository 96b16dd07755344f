//! The program as a process, the cluster that it works on, and a client that tells a reset from an end.

use std::{
    io,
    net::SocketAddr,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use simcluster::{Cluster, Effect, Options, Rule, Verb};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    process::{Child, Command},
};

/// How long anything is waited for before the test fails.
const LONG: Duration = Duration::from_secs(60);

/// A cluster in this process, reached over HTTP, whose creates take this long.
pub struct Slow {
    cluster: Cluster,
    folder: tempfile::TempDir,
}

/// A daemon in a process of its own, which is killed when this is dropped.
pub struct Daemon {
    child: Child,
    pub address: SocketAddr,
}

/// An answer, its head in lower case.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Slow {
    pub async fn start(delay: Duration) -> Self {
        let cluster = Cluster::start(Options::default());
        if !delay.is_zero() {
            cluster.fault(Rule::new(Effect::Delay(delay)).verb(Verb::Create).resource("pods"));
            cluster.fault(Rule::new(Effect::Delay(delay)).verb(Verb::Create).resource("services"));
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(simcluster::serve(listener, cluster.clone(), std::future::pending()));
        let folder = tempfile::tempdir().unwrap();
        let config = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
             clusters: [{{name: c, cluster: {{server: \"http://{address}\"}}}}]\n\
             users: [{{name: u, user: {{}}}}]\n\
             contexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n"
        );
        std::fs::write(folder.path().join("config"), config).unwrap();
        Self { cluster, folder }
    }

    /// How many creates of Pods the cluster was asked for.
    pub fn calls(&self) -> usize {
        self.cluster.count_calls(Verb::Create, "pods")
    }

    pub fn pods(&self) -> usize {
        self.objects().0
    }

    /// How many Pods and Services there are.
    pub fn objects(&self) -> (usize, usize) {
        let count = |resource| self.cluster.count(resource, Some("deer-flow"));
        (count("pods"), count("services"))
    }
}

impl Daemon {
    pub async fn start(cluster: &Slow, variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sandbox-provisioner"));
        command.args(["serve", "--listen", "127.0.0.1:0"]).env_clear().envs(variables.iter().copied());
        Self::run(command, cluster).await
    }

    /// As a shell starts what is to outlive its terminal.
    pub async fn ignoring_hangups(cluster: &Slow) -> Self {
        let mut command = Command::new("/bin/sh");
        let program = env!("CARGO_BIN_EXE_sandbox-provisioner");
        command.args(["-c", &format!("trap '' HUP; exec {program} serve --listen 127.0.0.1:0")]).env_clear();
        Self::run(command, cluster).await
    }

    async fn run(command: Command, cluster: &Slow) -> Self {
        let daemon = Self::spawn(command, &cluster.folder.path().join("config")).await;
        until("it is ready", async || {
            exchange(daemon.address, &get("/readyz")).await.is_ok_and(|answer| answer.status == 200)
        })
        .await;
        daemon
    }

    /// Starts a daemon with this kubeconfig, without waiting until it is ready.
    pub async fn unready(kubeconfig: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sandbox-provisioner"));
        command.args(["serve", "--listen", "127.0.0.1:0"]).env_clear().env("PATH", "/usr/bin:/bin");
        Self::spawn(command, kubeconfig).await
    }

    async fn spawn(mut command: Command, kubeconfig: &Path) -> Self {
        let mut child = command
            .env("KUBECONFIG_PATH", kubeconfig)
            .env("NODE_HOST", "127.0.0.1")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).await.unwrap();
        let address = line.trim_end().rsplit_once("http://").unwrap().1.parse().unwrap();
        Self { child, address }
    }

    /// Sends a signal, by its name without SIG.
    pub async fn signal(&self, name: &str) {
        let id = self.child.id().expect("it runs").to_string();
        let sent = Command::new("/bin/sh").args(["-c", &format!("kill -{name} {id}")]).status().await;
        assert!(sent.unwrap().success());
    }

    /// Waits for its end; its exit status, or `None` when a signal ended it.
    pub async fn status(&mut self) -> Option<i32> {
        tokio::time::timeout(LONG, self.child.wait()).await.expect("it does not end").unwrap().code()
    }
}

pub fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n")
}

pub fn post(id: &str) -> String {
    let body = format!("{{\"sandbox_id\":\"{id}\"}}");
    format!(
        "POST /api/sandboxes HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Sends this on a connection of its own, and takes one answer.
///
/// # Errors
/// When the connection is refused, reset or ends before the answer does.
pub async fn exchange(address: SocketAddr, request: &str) -> io::Result<Answer> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut wire = Vec::new();
    loop {
        if let Some(answer) = whole(&wire) {
            return Ok(answer);
        }
        if stream.read_buf(&mut wire).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

fn whole(wire: &[u8]) -> Option<Answer> {
    let (head, body) = std::str::from_utf8(wire).unwrap().split_once("\r\n\r\n")?;
    let head = head.to_ascii_lowercase();
    let length: usize =
        head.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |l| l.parse().unwrap());
    let status = head.split(' ').nth(1)?.parse().unwrap();
    (body.len() >= length).then(|| Answer { status, body: body.to_owned(), head })
}

/// Waits for something to become true, but not for ever.
pub async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let end = Instant::now() + LONG;
    while !is_so().await {
        assert!(Instant::now() < end, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
