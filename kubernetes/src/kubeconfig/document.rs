//! The text and the fields of a kubeconfig file.

use std::{collections::BTreeMap, fmt};

use secrecy::SecretString;
use serde::{Deserialize, Deserializer};
use serde_saphyr::options::DuplicateKeyPolicy;

use super::KubeconfigError;

/// The fields of a kubeconfig that a connection needs. All other fields are ignored.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Document {
    #[serde(rename = "current-context", default, deserialize_with = "text")]
    pub current_context: Option<String>,
    #[serde(default)]
    contexts: Option<Vec<NamedContext>>,
    #[serde(default)]
    clusters: Option<Vec<NamedCluster>>,
    #[serde(default)]
    users: Option<Vec<NamedUser>>,
}

#[derive(Debug, Deserialize)]
struct NamedContext {
    #[serde(default, deserialize_with = "text")]
    name: Option<String>,
    #[serde(default)]
    context: Option<Context>,
}

#[derive(Debug, Deserialize)]
struct NamedCluster {
    #[serde(default, deserialize_with = "text")]
    name: Option<String>,
    #[serde(default)]
    cluster: Option<Cluster>,
}

#[derive(Debug, Deserialize)]
struct NamedUser {
    #[serde(default, deserialize_with = "text")]
    name: Option<String>,
    #[serde(default)]
    user: Option<User>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Context {
    #[serde(default, deserialize_with = "text")]
    pub cluster: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub user: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Cluster {
    #[serde(default, deserialize_with = "text")]
    pub server: Option<String>,
    #[serde(default)]
    pub insecure_skip_tls_verify: Option<bool>,
    #[serde(default, deserialize_with = "text")]
    pub certificate_authority: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub certificate_authority_data: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub proxy_url: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub tls_server_name: Option<String>,
    #[serde(default)]
    extensions: Option<Vec<NamedExtension>>,
}

/// The part of a cluster's entry for credential plugins that ask for it.
#[derive(Debug, Clone, Deserialize)]
struct NamedExtension {
    #[serde(default, deserialize_with = "text")]
    name: Option<String>,
    #[serde(default)]
    extension: serde_json::Value,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct User {
    #[serde(default, deserialize_with = "text")]
    pub username: Option<String>,
    #[serde(default, deserialize_with = "secret")]
    pub password: Option<SecretString>,
    #[serde(default, deserialize_with = "secret")]
    pub token: Option<SecretString>,
    #[serde(rename = "tokenFile", default, deserialize_with = "text")]
    pub token_file: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub client_certificate: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub client_certificate_data: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub client_key: Option<String>,
    #[serde(default, deserialize_with = "secret")]
    pub client_key_data: Option<SecretString>,
    #[serde(rename = "as", default, deserialize_with = "text")]
    pub impersonate: Option<String>,
    #[serde(rename = "as-uid", default, deserialize_with = "text")]
    pub impersonate_uid: Option<String>,
    #[serde(rename = "as-groups", default)]
    pub impersonate_groups: Option<Vec<String>>,
    #[serde(rename = "as-user-extra", default)]
    pub impersonate_extra: Option<BTreeMap<String, Vec<String>>>,
    #[serde(default)]
    pub auth_provider: Option<AuthProvider>,
    #[serde(default)]
    pub exec: Option<Exec>,
}

#[derive(Debug, Deserialize)]
pub(super) struct AuthProvider {
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub config: Option<BTreeMap<String, Option<String>>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Exec {
    #[serde(default, deserialize_with = "text")]
    pub api_version: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub command: Option<String>,
    #[serde(default)]
    pub args: Option<Vec<String>>,
    #[serde(default)]
    pub env: Option<Vec<ExecVariable>>,
    #[serde(default, deserialize_with = "text")]
    pub interactive_mode: Option<String>,
    #[serde(default)]
    pub provide_cluster_info: Option<bool>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ExecVariable {
    pub name: String,
    #[serde(default)]
    pub value: Option<String>,
}

/// The name of the extension that credential plugins receive.
const EXEC_EXTENSION: &str = "client.authentication.k8s.io/exec";

// === impl Document ===

impl Document {
    /// Reads all documents of a file. The first entry of a name counts, as when kubectl merges files; the last of two
    /// equal keys in one mapping counts.
    pub fn read(bytes: &[u8]) -> Result<Self, KubeconfigError> {
        let text = decode(bytes).ok_or(KubeconfigError::NotText)?;
        let options = serde_saphyr::options! { duplicate_keys: DuplicateKeyPolicy::LastWins };
        let documents = serde_saphyr::from_multiple_with_options::<Option<Self>>(&text, options)
            .map_err(|error| KubeconfigError::NotYaml { line: error.location().map(|at| at.line()) })?;
        Ok(documents.into_iter().flatten().reduce(Self::merged).unwrap_or_default())
    }

    fn merged(mut self, next: Self) -> Self {
        self.current_context = self.current_context.or(next.current_context);
        self.contexts.get_or_insert_default().extend(next.contexts.unwrap_or_default());
        self.clusters.get_or_insert_default().extend(next.clusters.unwrap_or_default());
        self.users.get_or_insert_default().extend(next.users.unwrap_or_default());
        self
    }

    pub fn take_context(&mut self, name: &str) -> Option<Context> {
        let found = self.contexts.as_mut()?.iter_mut().find(|named| named.name.as_deref() == Some(name))?;
        Some(found.context.take().unwrap_or_default())
    }

    pub fn context_names(&self) -> Vec<String> {
        self.contexts.iter().flatten().filter_map(|named| named.name.clone()).collect()
    }

    pub fn take_cluster(&mut self, name: &str) -> Option<Cluster> {
        let found = self.clusters.as_mut()?.iter_mut().find(|named| named.name.as_deref() == Some(name))?;
        Some(found.cluster.take().unwrap_or_default())
    }

    pub fn take_user(&mut self, name: &str) -> Option<User> {
        let found = self.users.as_mut()?.iter_mut().find(|named| named.name.as_deref() == Some(name))?;
        Some(found.user.take().unwrap_or_default())
    }
}

// === impl Cluster ===

impl Cluster {
    /// Returns the configuration that this entry holds for credential plugins.
    pub fn exec_extension(&self) -> Option<&serde_json::Value> {
        let extensions = self.extensions.as_deref().unwrap_or_default();
        extensions
            .iter()
            .find(|named| named.name.as_deref() == Some(EXEC_EXTENSION))
            .map(|named| &named.extension)
    }
}

// === impl User ===

impl fmt::Debug for User {
    /// Shows nothing of the content, which is secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User").finish_non_exhaustive()
    }
}

/// Reads a string. An empty one counts as absent, as in Kubernetes' own clients.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.filter(|text| !text.is_empty()))
}

/// Reads a secret as [`text`] reads a string.
fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SecretString>, D::Error> {
    Ok(text(deserializer)?.map(SecretString::from))
}

/// Decodes UTF-8, or what the byte order mark names. Returns `None` for anything else.
fn decode(bytes: &[u8]) -> Option<String> {
    let utf16 = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let (units, rest) = bytes.as_chunks::<2>();
        let units: Vec<u16> = units.iter().map(|pair| unit(*pair)).collect();
        if rest.is_empty() { String::from_utf16(&units).ok() } else { None }
    };
    match bytes {
        [0xFF, 0xFE, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xFE, 0xFF, rest @ ..] => utf16(rest, u16::from_be_bytes),
        [0xEF, 0xBB, 0xBF, rest @ ..] | rest => std::str::from_utf8(rest).ok().map(str::to_owned),
    }
}
