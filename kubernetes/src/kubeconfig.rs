//! Reads a kubeconfig: how one of its contexts reaches and logs in to the API server. Pure: it opens no other file and
//! runs no program.
//!
//! It takes what kubectl takes: any encoding with a byte order mark, several documents, a key given twice, base64 with
//! line ends, empty strings for absent values, and a server without a scheme. No error quotes the
//! file's content, except names of contexts and plugins.

mod document;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::Uri;
use secrecy::{ExposeSecret as _, SecretString};

use document::{Cluster, Document, Exec, User};

/// The cluster and the user of a context.
#[derive(Debug, Clone)]
pub struct Context {
    /// The API server's address.
    pub server: Uri,
    /// The name that the API server's certificate must contain, instead of the host of its address.
    pub tls_server_name: Option<String>,
    /// Whether any certificate of the API server is accepted.
    pub insecure: bool,
    /// The certificates that the API server's certificate is checked against; `None` for those of the machine.
    pub authority: Option<Content>,
    /// The proxy's address, not yet parsed: it does not count if the API server's address is replaced.
    pub proxy: Option<String>,
    /// The client certificate and its key.
    pub identity: Option<(Content, Content)>,
    /// How the user logs in.
    pub login: Login,
    /// The impersonated user, if there is one.
    pub impersonation: Impersonation,
}

/// A value that stands in the kubeconfig or in a file of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// The decoded value.
    Inline(Secret),
    /// The file that holds it.
    File(PathBuf),
}

/// Bytes that are not printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub Vec<u8>);

/// How a user logs in, besides a client certificate.
#[derive(Debug, Clone)]
pub enum Login {
    /// Not at all.
    None,
    /// With this bearer token.
    Token(SecretString),
    /// With the bearer token in a file, which may be replaced at any time.
    TokenFile {
        /// The path of the file.
        path: PathBuf,
        /// The token to use if the file cannot be read.
        fallback: Option<SecretString>,
    },
    /// With a name and a password.
    Basic(String, SecretString),
    /// With what a program prints.
    Plugin(Box<Plugin>),
}

/// A credential plugin: a program that prints credentials.
#[derive(Debug, Clone)]
pub struct Plugin {
    /// The program, as the kubeconfig names it. A path is made absolute.
    pub command: PathBuf,
    /// Its arguments. They may be secret.
    pub args: Vec<SecretString>,
    /// The environment variables that it gets besides this process's own.
    pub env: Vec<(String, SecretString)>,
    /// The version of the exchange.
    pub api_version: String,
    /// The part about the cluster that it gets, if it asks.
    pub cluster: Option<serde_json::Value>,
}

/// The user to impersonate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Impersonation {
    /// The user's name.
    pub user: Option<String>,
    /// The user's uid.
    pub uid: Option<String>,
    /// The user's groups.
    pub groups: Vec<String>,
    /// Further attributes.
    pub extra: Vec<(String, Vec<String>)>,
}

/// The error for a kubeconfig that cannot be used. Of its content it contains only names: of contexts and of
/// a plugin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KubeconfigError {
    /// It is not UTF-8, and not UTF-16 with a byte order mark.
    #[error("it is not a valid kubeconfig: not text in UTF-8, or in UTF-16 with a byte order mark")]
    NotText,
    /// It is not YAML, or a field has the wrong type.
    #[error("it is not a valid kubeconfig{}", line.map(|line| format!(": see line {line}")).unwrap_or_default())]
    NotYaml {
        /// The line, counted from 1.
        line: Option<u64>,
    },
    /// `current-context` is missing.
    #[error("it names no current-context")]
    NoContext,
    /// The current context does not exist.
    #[error("its current-context is not among its contexts")]
    UnknownContext,
    /// The context of the settings does not exist.
    #[error("it has no context {wanted:?}; {}", listed(contexts))]
    NoSuchContext {
        /// The name in the settings.
        wanted: String,
        /// The names in the kubeconfig.
        contexts: Vec<String>,
    },
    /// The context's cluster does not exist.
    #[error("its context's cluster is not among its clusters")]
    UnknownCluster,
    /// The cluster has no server.
    #[error("its cluster has no server")]
    NoServer,
    /// The server's address is invalid.
    #[error("its cluster's server is not a URL")]
    InvalidServer,
    /// The proxy's address is invalid.
    #[error("its cluster's proxy-url is not a URL that begins with http:// or socks5://")]
    InvalidProxy,
    /// A value in base64 is invalid.
    #[error("its {0} cannot be loaded: not valid base64")]
    InvalidBase64(Part),
    /// Only one half of a client certificate is there.
    #[error("its user has a client certificate but no client key, or the reverse; give both")]
    HalfIdentity,
    /// Two ways to log in that exclude each other.
    #[error("its user has both a username and a token; remove one of them")]
    TwoLogins,
    /// A legacy way to log in.
    #[error("its user's auth-provider is not supported; use a credential plugin (exec) or a token")]
    AuthProvider,
    /// The plugin has no command.
    #[error("its user's credential plugin (exec) has no command")]
    NoCommand,
    /// The plugin needs a terminal.
    #[error(
        "its user's credential plugin {0:?} needs a terminal (interactiveMode: Always), which a daemon does not have"
    )]
    NeedsTerminal(PathBuf),
    /// The plugin speaks a version of the exchange that is not known.
    #[error(
        "its user's credential plugin {0:?} has an unsupported apiVersion; expected client.authentication.k8s.io/v1 \
         or client.authentication.k8s.io/v1beta1"
    )]
    PluginVersion(PathBuf),
}

/// A part of a kubeconfig that holds or names a certificate, a key or a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The cluster's certificate authority.
    Authority,
    /// The user's client certificate.
    ClientCertificate,
    /// The user's client key.
    ClientKey,
    /// The user's token file.
    TokenFile,
}

/// The most names of contexts in an error.
const CONTEXTS_SHOWN: usize = 20;

/// The versions of the exchange with a plugin that are known.
const PLUGIN_VERSIONS: [&str; 2] =
    ["client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"];

// === impl Context ===

impl Context {
    /// Reads the context with this name of a kubeconfig, by default its current one. Relative paths in it start at
    /// `directory`.
    ///
    /// # Errors
    /// Returns an error if the file is invalid or lacks what a connection needs.
    pub fn read(bytes: &[u8], directory: &Path, wanted: Option<&str>) -> Result<Self, KubeconfigError> {
        let mut document = Document::read(bytes)?;
        let context = if let Some(wanted) = wanted {
            document.take_context(wanted).ok_or_else(|| KubeconfigError::NoSuchContext {
                wanted: wanted.to_owned(),
                contexts: document.context_names(),
            })?
        } else {
            let name = document.current_context.take().ok_or(KubeconfigError::NoContext)?;
            document.take_context(&name).ok_or(KubeconfigError::UnknownContext)?
        };
        let cluster = context.cluster.and_then(|name| document.take_cluster(&name));
        let cluster = cluster.ok_or(KubeconfigError::UnknownCluster)?;
        // Kubernetes' own clients also go on without a user.
        let user = context.user.and_then(|name| document.take_user(&name)).unwrap_or_default();

        let at = |path: &str| directory.join(path);
        let authority = content(
            Part::Authority,
            cluster.certificate_authority_data.as_deref(),
            cluster.certificate_authority.as_deref().map(at),
        )?;
        let identity = identity(&user, directory)?;
        let insecure = cluster.insecure_skip_tls_verify.unwrap_or(false);
        let secure = authority.is_some() || identity.is_some() || insecure;
        Ok(Self {
            server: server(cluster.server.as_deref().ok_or(KubeconfigError::NoServer)?, secure)?,
            insecure,
            proxy: cluster.proxy_url.clone(),
            login: login(&user, &cluster, directory)?,
            tls_server_name: cluster.tls_server_name,
            authority,
            identity,
            impersonation: Impersonation {
                user: user.impersonate,
                uid: user.impersonate_uid,
                groups: user.impersonate_groups.unwrap_or_default(),
                extra: user.impersonate_extra.unwrap_or_default().into_iter().collect(),
            },
        })
    }
}

/// Parses the address of the API server. Without a scheme it is HTTPS if anything about TLS is set, as in Kubernetes'
/// own clients.
fn server(text: &str, secure: bool) -> Result<Uri, KubeconfigError> {
    let scheme = if secure { "https" } else { "http" };
    let bare = !text.contains("://");
    let uri = if bare { format!("{scheme}://{text}").parse() } else { text.parse::<Uri>() };
    match uri {
        Ok(uri) if is_address(&uri) && !(bare && uri.path() != "/") => Ok(uri),
        _ => Err(KubeconfigError::InvalidServer),
    }
}

/// Returns whether the URI has a scheme that is spoken here, a host and, if any, a numeric port.
fn is_address(uri: &Uri) -> bool {
    let Some(authority) = uri.authority() else { return false };
    let after_login = authority.as_str().rsplit('@').next().unwrap_or_default();
    let port = after_login.strip_prefix(authority.host()).unwrap_or(after_login);
    matches!(uri.scheme_str(), Some("http" | "https"))
        && !authority.host().is_empty()
        && (port.is_empty() || port.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok()))
}

/// Decodes the inline value, which takes precedence over the file.
fn content(
    part: Part,
    data: Option<&str>,
    file: Option<PathBuf>,
) -> Result<Option<Content>, KubeconfigError> {
    let Some(data) = data else {
        return Ok(file.map(Content::File));
    };
    // Line ends do not count: a wrapped block of base64 is common in YAML.
    let compact: Vec<u8> = data.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let decoded = STANDARD.decode(compact).map_err(|_| KubeconfigError::InvalidBase64(part))?;
    Ok(Some(Content::Inline(Secret(decoded))))
}

fn identity(user: &User, directory: &Path) -> Result<Option<(Content, Content)>, KubeconfigError> {
    let at = |path: &str| directory.join(path);
    let certificate = content(
        Part::ClientCertificate,
        user.client_certificate_data.as_deref(),
        user.client_certificate.as_deref().map(at),
    )?;
    let key = content(
        Part::ClientKey,
        user.client_key_data.as_ref().map(SecretString::expose_secret),
        user.client_key.as_deref().map(at),
    )?;
    match (certificate, key) {
        (Some(certificate), Some(key)) => Ok(Some((certificate, key))),
        (None, None) => Ok(None),
        _ => Err(KubeconfigError::HalfIdentity),
    }
}

/// Chooses the way to log in. The order is that of Kubernetes' own clients: a token counts before a plugin, and the
/// token in a file before one that stands in the kubeconfig.
fn login(user: &User, cluster: &Cluster, directory: &Path) -> Result<Login, KubeconfigError> {
    let token = user.token.clone();
    if let Some(name) = &user.username {
        if token.is_some() || user.token_file.is_some() {
            return Err(KubeconfigError::TwoLogins);
        }
        let password = user.password.clone().unwrap_or_default();
        return Ok(Login::Basic(name.clone(), password));
    }
    if let Some(path) = &user.token_file {
        return Ok(Login::TokenFile { path: directory.join(path), fallback: token });
    }
    if let Some(token) = token {
        return Ok(Login::Token(token));
    }
    if let Some(exec) = &user.exec {
        return plugin(exec, cluster, directory).map(|plugin| Login::Plugin(Box::new(plugin)));
    }
    match &user.auth_provider {
        None => Ok(Login::None),
        // The token is used as it is. Nothing here can renew it.
        Some(provider) if provider.name == "oidc" => {
            let token = provider.config.as_ref().and_then(|config| config.get("id-token")?.clone());
            token.map(|token| Login::Token(token.into())).ok_or(KubeconfigError::AuthProvider)
        }
        Some(_) => Err(KubeconfigError::AuthProvider),
    }
}

fn plugin(exec: &Exec, cluster: &Cluster, directory: &Path) -> Result<Plugin, KubeconfigError> {
    let command = exec.command.as_deref().ok_or(KubeconfigError::NoCommand)?;
    // A name without a slash is looked up in PATH.
    let command = if command.contains('/') { directory.join(command) } else { PathBuf::from(command) };
    let api_version = exec.api_version.clone().unwrap_or_default();
    if !PLUGIN_VERSIONS.contains(&api_version.as_str()) {
        return Err(KubeconfigError::PluginVersion(command));
    }
    if exec.interactive_mode.as_deref() == Some("Always") {
        return Err(KubeconfigError::NeedsTerminal(command));
    }
    let env = exec.env.as_deref().unwrap_or_default();
    Ok(Plugin {
        command,
        args: exec.args.iter().flatten().map(|arg| SecretString::from(arg.as_str())).collect(),
        env: env
            .iter()
            .map(|variable| (variable.name.clone(), variable.value.clone().unwrap_or_default().into()))
            .collect(),
        api_version,
        cluster: exec.provide_cluster_info.unwrap_or(false).then(|| describe(cluster)),
    })
}

/// Describes the cluster to a plugin, in the shape of `ExecCredential.spec.cluster`.
fn describe(cluster: &Cluster) -> serde_json::Value {
    let mut described = serde_json::Map::new();
    let mut set = |name: &str, value: Option<serde_json::Value>| {
        if let Some(value) = value {
            described.insert(name.to_owned(), value);
        }
    };
    set("server", cluster.server.clone().map(Into::into));
    set("tls-server-name", cluster.tls_server_name.clone().map(Into::into));
    set("insecure-skip-tls-verify", cluster.insecure_skip_tls_verify.map(Into::into));
    set("certificate-authority-data", cluster.certificate_authority_data.clone().map(Into::into));
    set("proxy-url", cluster.proxy_url.clone().map(Into::into));
    set("config", cluster.exec_extension().cloned());
    described.into()
}

/// Lists the names of the contexts. A kubeconfig of a large organization has hundreds.
fn listed(contexts: &[String]) -> String {
    let mut names: Vec<_> = contexts.iter().take(CONTEXTS_SHOWN).map(|name| format!("{name:?}")).collect();
    match contexts.len().saturating_sub(CONTEXTS_SHOWN) {
        0 if names.is_empty() => return "it has no contexts".to_owned(),
        0 => {}
        more => names.push(format!("and {more} more")),
    }
    format!("its contexts are {}", names.join(", "))
}

// === impl Secret ===

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[secret]")
    }
}

// === impl Part ===

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Authority => "certificate authority",
            Self::ClientCertificate => "user's client certificate",
            Self::ClientKey => "user's client key",
            Self::TokenFile => "user's token file",
        })
    }
}
