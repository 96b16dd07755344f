//! Runs a credential plugin and parses its output.

use std::{path::PathBuf, process::Stdio, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use tokio::{io::AsyncReadExt as _, process::Command};

use crate::kubeconfig::{Plugin, Secret};

/// The output of a plugin.
#[derive(Debug)]
pub(super) struct Answer {
    pub token: Option<SecretString>,
    /// The client certificate and its key, as PEM.
    pub identity: Option<(Secret, Secret)>,
    pub expires_at: Option<Timestamp>,
}

/// The error for a plugin that gave no credentials. It contains nothing that the plugin printed.
#[derive(Debug, thiserror::Error)]
pub enum PluginError {
    /// The program does not exist.
    #[error("the credential plugin {0:?} was not found; install it, or name it by its path")]
    NotFound(PathBuf),
    /// The program cannot be started.
    #[error("the credential plugin {command:?} cannot be started ({kind})")]
    NotStarted {
        /// The program.
        command: PathBuf,
        /// The error of the operating system.
        kind: std::io::ErrorKind,
    },
    /// The program did not end in time, and was killed.
    #[error("the credential plugin {command:?} did not end within {} s and was killed", after.as_secs())]
    TimedOut {
        /// The program.
        command: PathBuf,
        /// The time that it had.
        after: Duration,
    },
    /// The program failed.
    #[error("the credential plugin {command:?} failed with {status}; run it by hand to see why")]
    Failed {
        /// The program.
        command: PathBuf,
        /// Its exit status.
        status: std::process::ExitStatus,
    },
    /// The program printed something else than credentials.
    #[error("the credential plugin {command:?} printed no usable credentials: {why}")]
    Unusable {
        /// The program.
        command: PathBuf,
        /// The part that is missing or invalid.
        why: &'static str,
    },
}

/// How long a plugin may run. Those of cloud providers make a call or two and take a few seconds.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The longest output that is read, in bytes.
const OUTPUT_MAX: u64 = 1 << 20;

/// The object that a plugin prints.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ExecCredential {
    #[serde(default)]
    kind: Option<String>,
    #[serde(default)]
    api_version: Option<String>,
    #[serde(default)]
    status: Option<Status>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    #[serde(default)]
    token: Option<SecretString>,
    #[serde(default)]
    client_certificate_data: Option<String>,
    #[serde(default)]
    client_key_data: Option<SecretString>,
    #[serde(default)]
    expiration_timestamp: Option<String>,
}

/// Runs the plugin once. It gets no input, and its standard error is dropped, because it may contain credentials.
///
/// # Errors
/// Returns an error if the plugin cannot be run, fails, takes too long or prints no credentials.
pub(super) async fn run(plugin: &Plugin, authority: Option<&Secret>) -> Result<Answer, PluginError> {
    let command = || plugin.command.clone();
    tracing::info!(command = ?plugin.command, "running the kubeconfig's credential plugin");
    let mut child = Command::new(&plugin.command)
        .args(plugin.args.iter().map(SecretString::expose_secret))
        .envs(plugin.env.iter().map(|(name, value)| (name, value.expose_secret())))
        .env("KUBERNETES_EXEC_INFO", exec_info(plugin, authority))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => PluginError::NotFound(command()),
            kind => PluginError::NotStarted { command: command(), kind },
        })?;
    let mut output = Vec::new();
    let stdout = child.stdout.take();
    let work = async {
        if let Some(stdout) = stdout {
            stdout.take(OUTPUT_MAX + 1).read_to_end(&mut output).await?;
        }
        // The plugin waits for ever to write the rest. It is killed when it is dropped.
        if output.len() as u64 > OUTPUT_MAX { Ok(None) } else { child.wait().await.map(Some) }
    };
    let status = tokio::time::timeout(TIMEOUT, work)
        .await
        .map_err(|_| PluginError::TimedOut { command: command(), after: TIMEOUT })?
        .map_err(|error| PluginError::NotStarted { command: command(), kind: error.kind() })?;
    let unusable = |why| PluginError::Unusable { command: command(), why };
    let Some(status) = status else { return Err(unusable("more than 1 MiB")) };
    if !status.success() {
        return Err(PluginError::Failed { command: command(), status });
    }
    answer(&output, &plugin.api_version).map_err(unusable)
}

/// The variable's value that tells a plugin what is asked of it.
fn exec_info(plugin: &Plugin, authority: Option<&Secret>) -> String {
    let mut spec = serde_json::json!({ "interactive": false });
    if let Some(mut cluster) = plugin.cluster.clone() {
        if let (Some(Secret(pem)), Some(fields)) = (authority, cluster.as_object_mut()) {
            fields.insert("certificate-authority-data".to_owned(), STANDARD.encode(pem).into());
        }
        spec["cluster"] = cluster;
    }
    serde_json::json!({ "apiVersion": plugin.api_version, "kind": "ExecCredential", "spec": spec })
        .to_string()
}

/// Reads the plugin's output.
fn answer(output: &[u8], api_version: &str) -> Result<Answer, &'static str> {
    let credential: ExecCredential =
        serde_json::from_slice(output).map_err(|_| "not an ExecCredential in JSON")?;
    if credential.kind.as_deref() != Some("ExecCredential") {
        return Err("its kind is not ExecCredential");
    }
    if credential.api_version.as_deref() != Some(api_version) {
        return Err("its apiVersion is not the one in the kubeconfig");
    }
    let status = credential.status.ok_or("it has no status")?;
    // An empty string counts as absent.
    let certificate = status.client_certificate_data.filter(|pem| !pem.is_empty());
    let key = status.client_key_data.filter(|pem| !pem.expose_secret().is_empty());
    let identity = match (certificate, key) {
        (Some(certificate), Some(key)) => {
            Some((Secret(certificate.into_bytes()), Secret(key.expose_secret().as_bytes().to_vec())))
        }
        (None, None) => None,
        _ => return Err("it has a client certificate but no client key, or the reverse"),
    };
    let token = status.token.filter(|token| !token.expose_secret().is_empty());
    if token.is_none() && identity.is_none() {
        return Err("its token and its client certificate are missing");
    }
    let expires_at = status
        .expiration_timestamp
        .map(|text| text.parse())
        .transpose()
        .map_err(|_| "its expirationTimestamp is not a time")?;
    Ok(Answer { token, identity, expires_at })
}
