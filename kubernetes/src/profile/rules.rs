//! The texts that are allowed in the fields of a profile: for each kind a function that returns a valid text, and its
//! description for error texts.

use std::time::Duration;

use lifecycle::{
    ids::is_dns_subdomain,
    labels::{is_label_key, is_label_value},
    lifetime::{LIMIT_MAX, LIMIT_MIN},
};

use crate::names;

pub(super) const PROFILE_NAME: &str = "the name of a profile: 1 to 63 lower-case letters, digits or '-', with a letter or digit at \
                            both ends";
pub(super) const ONE_LINE: &str = "one line of at most 200 bytes";
pub(super) const ANY_TEXT: &str = "any text";
pub(super) const IMAGE: &str = "an image reference such as registry.example/sandbox:1, without quotes";
pub(super) const OBJECT_NAME: &str = "the name of a Kubernetes object: lower-case letters, digits, '-' and '.', at most 253 \
                           characters";
pub(super) const LIMIT: &str = "a duration such as \"90s\", \"15m\" or \"2h 30m\", between 1s and 365d";
pub(super) const LABEL_KEY: &str = "a label key such as \"tier\" or \"example.com/tier\"";
pub(super) const OWN_LABEL: &str = "a key such as \"tier\" or \"example.com/tier\", and none of app, sandbox-id, \
                         app.kubernetes.io/… and sandbox-provisioner/…, which this program sets";
pub(super) const LABEL_VALUE: &str =
    "at most 63 letters, digits, '-', '_' and '.', with a letter or digit at both ends, or empty";
pub(super) const VARIABLE: &str = "the name of an environment variable: letters, digits and '_', not beginning with a digit, and \
                        not MAX_SHELL_SESSIONS or DEERFLOW_…, which this program sets";

/// The longest accepted image reference: enough for a name of 255 bytes, a tag of 128 and a digest of 135.
pub const IMAGE_MAX: usize = 1024;

pub(super) fn one_line(text: &str) -> Option<String> {
    (text.len() <= 200 && !text.contains(char::is_control)).then(|| text.to_owned())
}

#[expect(clippy::unnecessary_wraps, reason = "it has the type of a parser")]
pub(super) fn any_text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

pub(super) fn image(text: &str) -> Option<String> {
    is_image(text).then(|| text.to_owned())
}

/// Returns whether a text can be an image reference, here and as `SANDBOX_IMAGE`. Only characters that no reference has
/// are refused, such as quotes; the registry checks the rest.
#[must_use]
pub fn is_image(text: &str) -> bool {
    // Brackets are for a registry at an IPv6 address.
    (1..=IMAGE_MAX).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[')
        && text.chars().all(is_image_character)
}

pub(super) fn is_image_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || "._-/:@+[]".contains(c)
}

pub(super) fn limit(text: &str) -> Option<Duration> {
    humantime::parse_duration(text).ok().filter(|limit| (LIMIT_MIN..=LIMIT_MAX).contains(limit))
}

pub(super) fn object_name(text: &str) -> Option<String> {
    is_dns_subdomain(text).then(|| text.to_owned())
}

pub(super) fn label_key(text: &str) -> Option<String> {
    is_label_key(text).then(|| text.to_owned())
}

/// Returns whether a label key can begin with a text.
pub(super) fn is_label_beginning(text: &str) -> bool {
    // A key that begins with the text, if there is one: it ends as each part of a key may end.
    !text.is_empty() && label_key(&format!("{text}a")).is_some()
}

pub(super) fn own_label(text: &str) -> Option<String> {
    label_key(text).filter(|key| !names::is_reserved_label(key))
}

pub(super) fn label_value(text: &str) -> Option<String> {
    is_label_value(text).then(|| text.to_owned())
}

pub(super) fn variable(text: &str) -> Option<String> {
    let valid = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    (valid && !names::is_reserved_variable(text)).then(|| text.to_owned())
}
