//! The real program.

use std::{net::SocketAddr, process::Stdio, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader},
    process::{Child, Command},
    task::JoinHandle,
    time::timeout,
};

use crate::Client;

/// How long a process may take to end.
const END: Duration = Duration::from_secs(60);

/// A process that listens on a port, which its first line of output names. Dropping it is `kill -9`.
pub struct Process {
    child: Child,
    address: SocketAddr,
    output: JoinHandle<String>,
    errors: Option<JoinHandle<String>>,
}

/// Returns a command with these arguments and only these environment variables.
#[must_use]
pub fn command(program: &str, arguments: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).env_clear().envs(variables.iter().copied());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

// === impl Process ===

impl Process {
    /// Starts the daemon with these environment variables, on a port that the system chooses.
    pub async fn serve(program: &str, variables: &[(&str, &str)]) -> Self {
        let usual = [("PROVISIONER_LISTEN", "127.0.0.1:0"), ("NODE_HOST", "127.0.0.1")];
        Self::start(command(program, &["serve"], &[&usual, variables].concat())).await
    }

    /// Starts a command and waits until it names its address.
    pub async fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let errors = child.stderr.take().map(|errors| tokio::spawn(rest(errors, String::new())));
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut first = String::new();
        output.read_line(&mut first).await.unwrap();
        let url = first.trim_end().rsplit_once("http://");
        let address = url.expect("the first line names the URL").1.parse().unwrap();
        Self { child, address, output: tokio::spawn(rest(output, first)), errors }
    }

    /// Returns the address on which it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns a client without a key.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::at(self.address).described()
    }

    /// Returns the id of the process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id().expect("the process runs")
    }

    /// Kills the process like `kill -9`.
    pub async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Sends a signal, named without SIG.
    pub async fn signal(&self, name: &str) {
        let sent =
            Command::new("/bin/sh").args(["-c", &format!("kill -{name} {}", self.id())]).status().await;
        assert!(sent.unwrap().success());
    }

    /// Waits for the end. Returns the exit status, or `None` if a signal killed the process.
    pub async fn status(&mut self) -> Option<i32> {
        timeout(END, self.child.wait()).await.expect("the process ends").unwrap().code()
    }

    /// Terminates the process and returns all that it printed.
    pub async fn stop(mut self) -> String {
        self.signal("TERM").await;
        self.status().await;
        let mut printed = self.output.await.unwrap();
        if let Some(errors) = self.errors {
            printed += &errors.await.unwrap();
        }
        printed
    }
}

/// Reads to the end, and appends it to the text before.
async fn rest(mut output: impl AsyncRead + Unpin, mut before: String) -> String {
    output.read_to_string(&mut before).await.unwrap();
    before
}
