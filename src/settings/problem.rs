//! Problems with the settings, each a message of one line.

use std::{fmt, path::PathBuf};

use super::{
    format::{Exposure, Invalid},
    setting::Spec,
};

/// The origin of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The default.
    Default,
    /// A default that depends on the setting of this name.
    DefaultFor(String),
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

/// A problem with the settings: one line with the setting, its value, its origin and the allowed values. It never
/// contains a secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem(String);

/// All problems with the settings; at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

/// The most characters of a value that are shown.
const SHOWN_MAX: usize = 120;

// === impl Origin ===

impl Origin {
    /// Returns the rank of the source: a source of a higher rank wins.
    pub(super) fn rank(&self) -> u8 {
        match self {
            Self::Default | Self::DefaultFor(_) => 0,
            Self::File { .. } => 1,
            Self::Within(named_by) => named_by.rank(),
            Self::Variable(_) => 2,
            Self::Flag(_) => 3,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("the default"),
            Self::DefaultFor(name) => write!(f, "the default with {name}"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Within(named_by) => write!(f, "the file named by {named_by}"),
            Self::Variable(name) => write!(f, "the environment variable {name}"),
            Self::Flag(name) => write!(f, "the flag --{name}"),
        }
    }
}

// === impl Problem ===

impl Problem {
    /// Creates a problem from a message of one line.
    pub(super) fn new(message: String) -> Self {
        Self(message)
    }

    /// Something that is not allowed for a setting.
    pub(super) fn not_allowed(spec: &Spec, what: &str) -> Self {
        Self::not_allowed_at(&spec.name, what, &spec.allowed)
    }

    /// Something that is not allowed at a place of the settings file.
    pub(super) fn not_allowed_at(path: &str, what: &str, allowed: &str) -> Self {
        Self(format!("{path}: {what}; allowed: {allowed}"))
    }

    /// A value that is not allowed.
    pub(super) fn invalid(spec: &Spec, text: &str, origin: &Origin, invalid: &Invalid) -> Self {
        Self::invalid_at(&spec.name, spec, text, origin, invalid)
    }

    /// A value that is not allowed for a setting at a place of the settings file.
    pub(super) fn invalid_at(
        path: &str,
        spec: &Spec,
        text: &str,
        origin: &Origin,
        Invalid(reason): &Invalid,
    ) -> Self {
        let value = match spec.exposure {
            Exposure::Full => quoted(text),
            Exposure::WithoutCredentials => quoted(&without_credentials(text)),
            Exposure::Hidden => "a hidden value".to_owned(),
        };
        let reason = reason.as_ref().map_or(String::new(), |reason| format!(" ({reason})"));
        Self::not_allowed_at(path, &format!("{value} from {origin} is not allowed{reason}"), &spec.allowed)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.0.iter().map(|problem| format!("error: {problem}")).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for Problems {}

/// Returns a value in quotes, on one line and shortened.
pub(super) fn quoted(text: &str) -> String {
    let cut: String = text.chars().take(SHOWN_MAX).collect();
    let dots = if cut.len() < text.len() { "…" } else { "" };
    format!("{cut:?}{dots}")
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
