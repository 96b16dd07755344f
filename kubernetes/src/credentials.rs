//! Loads the credentials that a kubeconfig names: reads files and runs its credential plugin.
//!
//! They are loaded as a whole, once for all clients. Comparing two results shows the changes between them.

mod plugin;
#[cfg(test)]
mod tests;
mod validity;

use std::{io, path::PathBuf, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::HeaderValue;
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};

pub use self::plugin::PluginError;
pub(crate) use self::validity::CredentialKind;
use crate::kubeconfig::{Content, Context, Login, Part, Secret};

/// Everything that a client proves its identity and the server's with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Credentials {
    /// The certificates that the API server's certificate is checked against, as PEM.
    pub authority: Option<Secret>,
    /// The client certificate and its key, as PEM.
    pub identity: Option<(Secret, Secret)>,
    /// The `Authorization` header. It is marked as sensitive.
    pub authorization: Option<HeaderValue>,
}

/// Credentials and the time from which they are no longer valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Loaded {
    pub credentials: Credentials,
    /// `None` if it is not known.
    pub expires_at: Option<Timestamp>,
}

/// The error for credentials that cannot be loaded. It contains no credentials.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// A file cannot be read.
    #[error("its {part} cannot be read from {} ({kind})", path.display())]
    Unreadable {
        /// The contents of the file.
        part: Part,
        /// The path of the file.
        path: PathBuf,
        /// The error of the operating system.
        kind: io::ErrorKind,
    },
    /// The token file is empty.
    #[error("its user's token file {} is empty", path.display())]
    EmptyToken {
        /// The path of the file.
        path: PathBuf,
    },
    /// The token has characters that a header cannot have.
    #[error(
        "its user's token cannot be sent in a header: it contains a line end or another control character"
    )]
    UnsendableToken,
    /// The credential plugin gave no credentials.
    #[error(transparent)]
    Plugin(#[from] PluginError),
}

/// How long one file may take to be read. It ends the read of an unreachable file system, or of a pipe without a
/// writer.
const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// The largest file that is read, in bytes.
const FILE_MAX: u64 = 4 << 20;

/// Loads the credentials of this context.
///
/// # Errors
/// Returns an error if a file cannot be read, a token is not usable, or the plugin fails.
pub(crate) async fn load(context: &Context) -> Result<Loaded, CredentialsError> {
    let authority = match &context.authority {
        Some(source) if !context.insecure => Some(read(Part::Authority, source).await?),
        _ => None,
    };
    let mut identity = match &context.identity {
        Some((certificate, key)) => {
            Some((read(Part::ClientCertificate, certificate).await?, read(Part::ClientKey, key).await?))
        }
        None => None,
    };
    let mut expires_at = None;
    let authorization = match &context.login {
        Login::None => None,
        Login::Token(token) => Some(bearer(token.expose_secret())?),
        Login::TokenFile { path, fallback } => Some(token_file(path.clone(), fallback.as_ref()).await?),
        Login::Basic(name, password) => Some(basic(name, password)?),
        Login::Plugin(plugin) => {
            let answer = plugin::run(plugin, authority.as_ref()).await?;
            expires_at = answer.expires_at;
            identity = answer.identity.or(identity);
            answer.token.as_ref().map(|token| bearer(token.expose_secret())).transpose()?
        }
    };
    Ok(Loaded { credentials: Credentials { authority, identity, authorization }, expires_at })
}

async fn read(part: Part, content: &Content) -> Result<Secret, CredentialsError> {
    match content {
        Content::Inline(data) => Ok(data.clone()),
        Content::File(path) => read_file(path.clone())
            .await
            .map(Secret)
            .map_err(|kind| CredentialsError::Unreadable { part, path: path.clone(), kind }),
    }
}

/// Reads a token from a file. White space around it does not count: editors and `echo` end a file with a line end.
async fn token_file(path: PathBuf, fallback: Option<&SecretString>) -> Result<HeaderValue, CredentialsError> {
    match (read_file(path.clone()).await, fallback) {
        (Ok(bytes), fallback) => match (String::from_utf8_lossy(&bytes).trim(), fallback) {
            // As a file that cannot be read.
            ("", Some(token)) => bearer(token.expose_secret()),
            ("", None) => Err(CredentialsError::EmptyToken { path }),
            (token, _) => bearer(token),
        },
        (Err(_), Some(token)) => bearer(token.expose_secret()),
        (Err(kind), None) => Err(CredentialsError::Unreadable { part: Part::TokenFile, path, kind }),
    }
}

/// Reads a whole file without blocking the runtime or the end of the process.
pub(crate) async fn read_file(path: PathBuf) -> Result<Vec<u8>, io::ErrorKind> {
    let read = tokio::task::spawn_blocking(move || {
        let mut bytes = Vec::new();
        let file = std::fs::File::open(path)?;
        io::Read::read_to_end(&mut io::Read::take(file, FILE_MAX + 1), &mut bytes)?;
        Ok::<_, io::Error>(bytes)
    });
    match tokio::time::timeout(READ_TIMEOUT, read).await {
        Ok(Ok(Ok(bytes))) if bytes.len() as u64 > FILE_MAX => Err(io::ErrorKind::FileTooLarge),
        Ok(Ok(Ok(bytes))) => Ok(bytes),
        Ok(Ok(Err(error))) => Err(error.kind()),
        Ok(Err(_)) => Err(io::ErrorKind::Other),
        Err(_) => Err(io::ErrorKind::TimedOut),
    }
}

fn bearer(token: &str) -> Result<HeaderValue, CredentialsError> {
    sensitive(&format!("Bearer {token}"))
}

fn basic(name: &str, password: &SecretString) -> Result<HeaderValue, CredentialsError> {
    sensitive(&format!("Basic {}", STANDARD.encode(format!("{name}:{}", password.expose_secret()))))
}

fn sensitive(value: &str) -> Result<HeaderValue, CredentialsError> {
    let mut value =
        HeaderValue::from_bytes(value.as_bytes()).map_err(|_| CredentialsError::UnsendableToken)?;
    value.set_sensitive(true);
    Ok(value)
}
