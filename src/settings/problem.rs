//! Problems with the settings, each a message of one line.

use std::{fmt, path::PathBuf};

use super::keys::Key;

/// The origin of a value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// The default.
    Default,
    /// A default that depends on another setting.
    DefaultFor(Key),
    /// A line of the settings file.
    File {
        /// The path, as the user wrote it.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
    },
    /// The content of a file whose path is another setting, with the origin of that setting.
    Within(Box<Origin>),
    /// The setting's environment variable.
    Variable(&'static str),
    /// The setting's flag, without its dashes.
    Flag(&'static str),
}

/// A problem with the settings. `Display` is one line: the setting, its value, its origin and the allowed values. It
/// never contains a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// A value is not allowed.
    #[error("{}: {value} from {origin} is not allowed{}; allowed: {}", key.spec().name, Because(because), key.spec().allowed)]
    BadValue {
        /// The setting.
        key: Key,
        /// The value, safe to print.
        value: Shown,
        /// Its origin.
        origin: Origin,
        /// The reason, if there is more to say than the rule.
        because: Option<String>,
    },
    /// A value has the wrong type in the file.
    #[error("{}: {found} at {origin} is not allowed; allowed: {}", key.spec().name, key.spec().allowed)]
    BadType {
        /// The setting.
        key: Key,
        /// The actual type, with its article.
        found: &'static str,
        /// Its position.
        origin: Origin,
    },
    /// An environment variable is not Unicode.
    #[error("{}: bytes from {origin} that are no text are not allowed; allowed: {}", key.spec().name, key.spec().allowed)]
    NotText {
        /// The setting.
        key: Key,
        /// Their origin.
        origin: Origin,
    },
    /// A default is larger than the maximum for requests.
    #[error(
        "{}: {value} from {origin} is not allowed, as {} is {max} from {max_origin}; allowed: at most that",
        key.spec().name, max_key.spec().name
    )]
    AboveMax {
        /// The default's setting.
        key: Key,
        /// Its value.
        value: Shown,
        /// Its origin.
        origin: Origin,
        /// The setting with the maximum.
        max_key: Key,
        /// Its value.
        max: Shown,
        /// Its origin.
        max_origin: Origin,
    },
    /// The file contains an unknown key.
    #[error("{name:?} at {origin} is not a setting{}", DidYouMean(*suggestion))]
    UnknownKey {
        /// The key, as it was written.
        name: String,
        /// Its position.
        origin: Origin,
        /// The setting that may have been meant.
        suggestion: Option<&'static str>,
    },
    /// The file is not TOML.
    #[error("the settings file is not TOML at {origin}: {message}")]
    Syntax {
        /// The position.
        origin: Origin,
        /// The message of the parser.
        message: String,
    },
    /// The file cannot be read.
    #[error("the settings file {path:?} ({named_by}) cannot be read: {reason}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The origin of its path.
        named_by: &'static str,
        /// The error of the operating system.
        reason: String,
    },
    /// The file with the API key cannot be read.
    #[error("api_key_file: {path:?} from {origin} cannot be read: {reason}; allowed: {}", Key::ApiKeyFile.spec().allowed)]
    KeyFileUnreadable {
        /// The file.
        path: String,
        /// The origin of its path.
        origin: Origin,
        /// The error of the operating system.
        reason: String,
    },
    /// Two settings of one layer contain the API key.
    #[error(
        "api_key: a hidden value from {key} and a file from {file}, of which one must go; \
         allowed: api_key or api_key_file"
    )]
    TwoKeys {
        /// The origin of the key.
        key: Origin,
        /// The origin of the path.
        file: Origin,
    },
    /// An API key is set, and also `auth = none`.
    #[error(
        "auth: \"none\" from {auth} is not allowed, as there is an API key from {key}; allowed: \"none\" without a key, or a key without \"none\""
    )]
    KeyAndNone {
        /// The origin of `none`.
        auth: Origin,
        /// The origin of the key.
        key: Origin,
    },
    /// The daemon would listen on a public address without an API key.
    #[error(
        "listen: \"{listen}\" from {origin} is not allowed without an API key, as others than this machine reach it; \
         allowed: a loopback address, or any with PROVISIONER_API_KEY (or PROVISIONER_API_KEY_FILE) or with PROVISIONER_AUTH=none"
    )]
    Exposed {
        /// The address.
        listen: String,
        /// Its origin.
        origin: Origin,
    },
}

/// All problems with the settings; at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

/// A value in a message: quoted on one line, shortened, without secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown(String);

struct Because<'a>(&'a Option<String>);

struct DidYouMean(Option<&'static str>);

// === impl Origin ===

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("the default"),
            Self::DefaultFor(key) => write!(f, "the default with {}", key.spec().name),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Within(named_by) => write!(f, "the file named by {named_by}"),
            Self::Variable(name) => write!(f, "the environment variable {name}"),
            Self::Flag(name) => write!(f, "the flag --{name}"),
        }
    }
}

impl Origin {
    /// The number of its layer: a later layer overrides.
    #[must_use]
    pub fn layer(&self) -> u8 {
        match self {
            Self::Default | Self::DefaultFor(_) => 0,
            Self::File { .. } => 1,
            Self::Within(named_by) => named_by.layer(),
            Self::Variable(_) => 2,
            Self::Flag(_) => 3,
        }
    }
}

// === impl Problems ===

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.0.iter().enumerate() {
            write!(f, "{}error: {problem}", if i == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

// === impl Shown ===

impl Shown {
    /// The most characters of a value that are shown.
    const MAX: usize = 120;

    /// The value of a setting, for a message.
    #[must_use]
    pub fn new(key: Key, value: &str) -> Self {
        if key.is_secret() {
            return Self("a hidden value".to_owned());
        }
        let value = if key == Key::ApiServer { without_credentials(value) } else { value.to_owned() };
        let cut: String = value.chars().take(Self::MAX).collect();
        let dots = if cut.len() < value.len() { "…" } else { "" };
        Self(format!("{cut:?}{dots}"))
    }
}

/// Hides the credentials in a URL, which may be the reason for its refusal.
fn without_credentials(url: &str) -> String {
    let (start, rest) = match url.rsplit_once('@') {
        Some((before, rest)) => {
            (before.split_once("://").map_or("***@".to_owned(), |(s, _)| format!("{s}://***@")), rest)
        }
        None => (String::new(), url),
    };
    match rest.find(['?', '#']) {
        Some(end) => format!("{start}{}***", &rest[..=end]),
        None => format!("{start}{rest}"),
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === impl Because, DidYouMean ===

impl fmt::Display for Because<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().map_or(Ok(()), |because| write!(f, " ({because})"))
    }
}

impl fmt::Display for DidYouMean {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(name) => write!(f, "; did you mean {name:?}?"),
            None => f.write_str("; config/sandbox-provisioner.toml lists all of them"),
        }
    }
}
