//! The processes that are measured.

use std::{
    io::{BufRead, BufReader, Write},
    net::SocketAddr,
    process::{Child, Command, Stdio},
};

use simcluster::{Cluster, Options};
use tempfile::NamedTempFile;
use testkit::{NAMESPACE, ServedCluster};

use super::{abuse, bare};

/// A server in a process of its own, which is killed when this is dropped.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
}

impl Server {
    pub fn daemon(cluster: &ServedCluster) -> Self {
        Self::daemon_with(cluster, &[])
    }

    pub fn daemon_with(cluster: &ServedCluster, settings: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sandbox-provisioner"));
        command
            .args(["serve", "--listen", "127.0.0.1:0"])
            .env_clear()
            .env("KUBECONFIG_PATH", cluster.kubeconfig(None))
            .env("NODE_HOST", "127.0.0.1")
            .envs(settings.iter().copied());
        Self::spawn(command, "")
    }

    /// A daemon of another build.
    pub fn build(program: &str, cluster: &ServedCluster) -> Self {
        let mut command = Command::new(program);
        command
            .args(["serve", "--listen", "127.0.0.1:0"])
            .env_clear()
            .env("KUBECONFIG_PATH", cluster.kubeconfig(None))
            .env("NODE_HOST", "127.0.0.1");
        Self::spawn(command, "")
    }

    /// A daemon with this settings file.
    pub fn configured(file: &NamedTempFile) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sandbox-provisioner"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--config"]).arg(file.path()).env_clear();
        Self::spawn(command, "")
    }

    /// A daemon on its embedded cluster.
    pub fn embedded() -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sandbox-provisioner"));
        command.args(["serve", "--embedded", "--listen", "127.0.0.1:0"]).env_clear();
        Self::spawn(command, "")
    }

    /// A bare route that returns this answer.
    pub fn bare_get(answer: &str) -> Self {
        Self::bare(bare::GET, answer)
    }

    /// A bare route that writes a Pod and a Service for each request.
    pub fn bare_create(cluster: &ServedCluster) -> Self {
        Self::bare(bare::CREATE, &format!("http://{}", cluster.address))
    }

    fn bare(argument: &str, input: &str) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("our own path"));
        command.arg(argument);
        Self::spawn(command, input)
    }

    /// A process that misuses the daemon at this address.
    pub fn abuser(abuse: &str, address: SocketAddr) -> Self {
        // The abuser stands for other machines, so it only gets CPU time that the others leave.
        let mut command = Command::new("nice");
        command.args(["-n", "19"]).arg(std::env::current_exe().expect("our own path"));
        command.args([abuse::ARGUMENT, abuse, &address.to_string()]);
        Self::spawn(command, "")
    }

    fn spawn(mut command: Command, input: &str) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the process starts");
        let mut stdin = child.stdin.take().expect("its input");
        writeln!(stdin, "{input}").expect("it reads");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("its output")).read_line(&mut line).expect("it talks");
        let url = line.rsplit_once("http://").expect("a URL").1;
        let address = url.split([';', '\n']).next().expect("an address").parse().expect("an address");
        Self { child, address }
    }

    /// The processor time that it has used, in seconds.
    pub fn cpu_seconds(&self) -> f64 {
        // Fields 14 and 15 of proc(5)'s stat are user and system time, in ticks of which Linux has 100 a second.
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("Linux");
        let after_name = stat.rsplit_once(')').expect("a name").1;
        let ticks = |n: usize| -> f64 {
            after_name.split_whitespace().nth(n).expect("a field").parse().expect("ticks")
        };
        (ticks(11) + ticks(12)) / 100.0
    }

    /// Its resident memory, in bytes.
    pub fn resident_bytes(&self) -> u64 {
        self.memory("VmRSS:")
    }

    /// The most that it was resident since [`Server::reset_peak`], in bytes.
    pub fn peak_bytes(&self) -> u64 {
        self.memory("VmHWM:")
    }

    /// Makes what is resident now the peak.
    pub fn reset_peak(&self) {
        std::fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5").expect("Linux");
    }

    fn memory(&self, field: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("Linux");
        let line = status.lines().find(|line| line.starts_with(field)).expect(field);
        line.split_whitespace().nth(1).expect("a number").parse::<u64>().expect("a number") * 1024
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts an embedded cluster in a process of its own.
pub fn process_cluster() -> Server {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sandbox-provisioner"));
    command
        .args([
            "cluster",
            "--listen",
            "127.0.0.1:0",
            "--no-sandbox-servers",
            "--node-port-range",
            "30000-60000",
        ])
        .env_clear();
    Server::spawn(command, "")
}

/// Writes a settings file with these clusters.
pub fn settings_file(names: &[&str], urls: &[String]) -> NamedTempFile {
    let mut file = NamedTempFile::new().expect("a file");
    for (name, url) in names.iter().zip(urls) {
        let kubeconfig = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n\
             clusters: [{{name: c, cluster: {{server: '{url}'}}}}]\nusers: [{{name: u, user: {{}}}}]\n"
        );
        let path = file.path().with_extension(name);
        std::fs::write(&path, kubeconfig).expect("a kubeconfig");
        writeln!(file, "[clusters.{name}]\nkubeconfig_path = {path:?}\nnode_host = \"127.0.0.1\"")
            .expect("a file");
    }
    file
}

/// Serves a cluster with room for 20,000 Services, without a node, because only the daemon is measured.
pub async fn cluster() -> ServedCluster {
    ServedCluster::http(Cluster::start(Options {
        node: None,
        node_ports: 30000..=60000,
        ..Options::with_namespace(NAMESPACE)
    }))
    .await
}
