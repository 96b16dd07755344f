//! Kubeconfigs whose every secret is marked.

use std::path::{Path, PathBuf};

use base64::{Engine, engine::general_purpose::STANDARD};

use super::mark::secret;

/// A kubeconfig for this server, with these lines for its cluster and its user, each `key: value`.
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

/// A token.
pub fn token() -> Vec<String> {
    vec![format!("token: \"{}\"", secret("token"))]
}

/// A name and a password.
pub fn password() -> Vec<String> {
    vec![format!("username: \"{}\"", secret("user")), format!("password: \"{}\"", secret("password"))]
}

/// A client certificate and key that are none.
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

/// A program that gives the credentials, or ends with this status; it talks on standard error.
pub fn plugin(status: i32, prints: &str) -> Vec<String> {
    let script = format!("echo {} >&2; echo '{prints}'; exit {status}", secret("plugin-stderr"));
    vec![format!(
        "exec: {{apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, command: /bin/sh, \
         args: [\"-c\", \"{}\"], env: [{{name: SECRET, value: \"{}\"}}]}}",
        script.replace('\\', r"\\").replace('"', r#"\""#),
        secret("plugin-env")
    )]
}

/// What such a program prints to give a token.
pub fn credential() -> String {
    format!(
        r#"{{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{{"token":"{}"}}}}"#,
        secret("plugin-token")
    )
}
