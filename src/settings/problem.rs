//! What can be wrong with the settings, one line each, for the person who wrote them.

use std::{fmt, path::PathBuf};

use super::keys::Key;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// Nobody gave one.
    Default,
    /// Nobody gave one, and another setting suggests it.
    DefaultFor(Key),
    /// A line of the settings file.
    File {
        /// The file, as it was named.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
    },
    /// The content of a file that another setting names, with the origin of that name.
    Within(Box<Origin>),
    /// The setting's environment variable.
    Variable(&'static str),
    /// The setting's flag, without its dashes.
    Flag(&'static str),
}

/// Something wrong with the settings. `Display` is one line: the setting, its value, where it came from and
/// what is allowed. It never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// A value breaks its rule.
    #[error("{}: {value} from {origin} is not allowed{}; allowed: {}", key.spec().name, Because(because), key.spec().allowed)]
    BadValue {
        /// The setting.
        key: Key,
        /// The value, ready to be shown.
        value: Shown,
        /// Where it came from.
        origin: Origin,
        /// What is wrong with it, where there is more to say than the rule.
        because: Option<String>,
    },
    /// A value has the wrong type in the file.
    #[error("{}: {found} at {origin} is not allowed; allowed: {}", key.spec().name, key.spec().allowed)]
    BadType {
        /// The setting.
        key: Key,
        /// The type that was found, with its article.
        found: &'static str,
        /// Where it stands.
        origin: Origin,
    },
    /// An environment variable is not Unicode.
    #[error("{}: bytes from {origin} that are no text are not allowed; allowed: {}", key.spec().name, key.spec().allowed)]
    NotText {
        /// The setting.
        key: Key,
        /// Where they came from.
        origin: Origin,
    },
    /// A default is beyond what callers may ask for.
    #[error(
        "{}: {value} from {origin} is not allowed, as {} is {max} from {max_origin}; allowed: at most that",
        key.spec().name, max_key.spec().name
    )]
    AboveMax {
        /// The default's setting.
        key: Key,
        /// Its value.
        value: Shown,
        /// Where it came from.
        origin: Origin,
        /// The setting that bounds it.
        max_key: Key,
        /// That one's value.
        max: Shown,
        /// Where that one came from.
        max_origin: Origin,
    },
    /// The file has a key that is no setting.
    #[error("{name:?} at {origin} is not a setting{}", DidYouMean(*suggestion))]
    UnknownKey {
        /// The key, as it was written.
        name: String,
        /// Where it stands.
        origin: Origin,
        /// The setting that may have been meant.
        suggestion: Option<&'static str>,
    },
    /// The file is not TOML.
    #[error("the settings file is not TOML at {origin}: {message}")]
    Syntax {
        /// Where.
        origin: Origin,
        /// What the parser says.
        message: String,
    },
    /// The file cannot be read.
    #[error("the settings file {path:?} ({named_by}) cannot be read: {reason}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What named it.
        named_by: &'static str,
        /// What the system says.
        reason: String,
    },
    /// The file with the API key cannot be read.
    #[error("api_key_file: {path:?} from {origin} cannot be read: {reason}; allowed: {}", Key::ApiKeyFile.spec().allowed)]
    KeyFileUnreadable {
        /// The file.
        path: String,
        /// Where its name came from.
        origin: Origin,
        /// What the system says.
        reason: String,
    },
    /// Two settings of one origin give the API key.
    #[error(
        "api_key: a hidden value from {key} and a file from {file}, of which one must go; \
         allowed: api_key or api_key_file"
    )]
    TwoKeys {
        /// Where the key itself came from.
        key: Origin,
        /// Where the file's name came from.
        file: Origin,
    },
    /// A key is configured, and so is that none is needed.
    #[error(
        "auth: \"none\" from {auth} is not allowed, as there is an API key from {key}; allowed: \"none\" without a key, or a key without \"none\""
    )]
    KeyAndNone {
        /// Where the `none` came from.
        auth: Origin,
        /// Where the key came from.
        key: Origin,
    },
    /// The daemon would serve strangers.
    #[error(
        "listen: \"{listen}\" from {origin} is not allowed without an API key, as others than this machine reach it; \
         allowed: a loopback address, or any with PROVISIONER_API_KEY (or PROVISIONER_API_KEY_FILE) or with PROVISIONER_AUTH=none"
    )]
    Exposed {
        /// The address.
        listen: String,
        /// Where it came from.
        origin: Origin,
    },
}

/// All that is wrong with the settings; at least one problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

/// A value as a message may show it: quoted on one line, cut to size, nothing secret.
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
    /// Which layer it is of: a later layer wins.
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
    /// Longest part of a value that is shown, in characters.
    const MAX: usize = 120;

    /// A setting's value, as a message may show it.
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

/// A URL that is refused may be refused for the password in it.
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
