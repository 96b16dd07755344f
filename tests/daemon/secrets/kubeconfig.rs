//! Kubeconfigs in which every secret contains the marker.

use std::path::{Path, PathBuf};

use base64::{Engine, engine::general_purpose::STANDARD};

use super::mark::secret;

/// Writes a kubeconfig for this server, with these lines `key: value` for its cluster and its user.
pub fn write(folder: &Path, server: &str, cluster: &[String], user: &[String]) -> PathBuf {
    let path = folder.join("kubeconfig");
    let lines = |lines: &[String]| lines.iter().flat_map(|line| ["\n    ", line]).collect::<String>();
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: here\ncontexts:\n- name: here\n  context: {{cluster: here, user: me}}\n\
         clusters:\n- name: here\n  cluster:\n    server: \"{server}\"{}\nusers:\n- name: me\n  user:{}\n",
        lines(cluster),
        lines(user),
    );
    std::fs::write(&path, text).unwrap();
    path
}

/// Returns a token.
pub fn token() -> Vec<String> {
    vec![format!("token: \"{}\"", secret("token"))]
}

/// Returns a name and a password.
pub fn password() -> Vec<String> {
    vec![format!("username: \"{}\"", secret("user")), format!("password: \"{}\"", secret("password"))]
}

/// Returns an invalid client certificate and key.
pub fn broken_key() -> Vec<String> {
    let pem = |kind: &str| {
        let inner = STANDARD.encode(secret(kind));
        STANDARD.encode(format!("-----BEGIN {kind}-----\n{inner}\n-----END {kind}-----\n"))
    };
    vec![
        format!("client-certificate-data: {}", pem("CERTIFICATE")),
        format!("client-key-data: {}", pem("PRIVATE KEY")),
    ]
}

/// Returns a credential plug-in that prints this, writes to standard error and exits with this status.
pub fn plugin(status: i32, prints: &str) -> Vec<String> {
    let script = format!("echo {} >&2; echo '{prints}'; exit {status}", secret("plugin-stderr"));
    vec![format!(
        "exec: {{apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, command: /bin/sh, \
         args: [\"-c\", \"{}\"], env: [{{name: SECRET, value: \"{}\"}}]}}",
        script.replace('\\', r"\\").replace('"', r#"\""#),
        secret("plugin-env")
    )]
}

/// Returns the output of a credential plug-in with a token.
pub fn credential() -> String {
    format!(
        r#"{{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{{"token":"{}"}}}}"#,
        secret("plugin-token")
    )
}
