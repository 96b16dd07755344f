//! `SKILLS_PVC_SUBPATH_TEMPLATE`: a sub-path of a claim, with placeholders for user and thread.

use std::fmt;

/// A valid template such as `deer-flow/users/{user_id}/skills`.
///
/// The placeholders are `{user_id}` and `{thread_id}`; `{{` and `}}` stand for single braces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubPathTemplate(String);

/// The error for an invalid [`SubPathTemplate`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubPathError {
    /// The placeholder is not `{user_id}` or `{thread_id}`.
    #[error("unknown placeholder {{{0}}}: use {{user_id}} and {{thread_id}}")]
    UnknownPlaceholder(String),
    /// A brace has no matching brace.
    #[error("unbalanced {0:?}: write {{user_id}} or {{thread_id}}, and double a brace that is meant as such")]
    Unbalanced(char),
    /// The path is absolute. Kubernetes accepts only paths relative to the claim's root.
    #[error("a subPath is relative to the claim's root: leave out the leading \"/\"")]
    Absolute,
    /// The path contains a control character. File names and log lines should not contain one.
    #[error("a subPath must not contain a control character")]
    Control,
    /// The path contains `..`, which Kubernetes rejects.
    #[error("a subPath must not contain \"..\"")]
    ParentDir,
}

// === impl SubPathTemplate ===

impl SubPathTemplate {
    /// Parses a template from the settings.
    ///
    /// ```
    /// use kubernetes::manifest::SubPathTemplate;
    /// let template = SubPathTemplate::parse("users/{user_id}/{thread_id}").unwrap();
    /// assert_eq!(template.render("u1", "t1"), "users/u1/t1");
    /// assert!(SubPathTemplate::parse("users/{name}").is_err());
    /// ```
    ///
    /// # Errors
    /// Returns [`SubPathError`] if a placeholder is unknown, or if Kubernetes would reject the rendered path.
    pub fn parse(source: &str) -> Result<Self, SubPathError> {
        if source.contains(char::is_control) {
            return Err(SubPathError::Control);
        }
        // Ids contain no slashes and no dots, so one sample stands for all rendered paths.
        let sample = expand(source, "u", "t")?;
        if sample.starts_with('/') {
            return Err(SubPathError::Absolute);
        }
        if sample.split('/').any(|component| component == "..") {
            return Err(SubPathError::ParentDir);
        }
        Ok(Self(source.to_owned()))
    }

    /// Returns the sub-path for one user and thread. It is empty only for an empty template.
    #[must_use]
    pub fn render(&self, user_id: &str, thread_id: &str) -> String {
        expand(&self.0, user_id, thread_id).unwrap_or_default()
    }
}

impl fmt::Display for SubPathTemplate {
    /// Writes the template as it was given.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn expand(source: &str, user_id: &str, thread_id: &str) -> Result<String, SubPathError> {
    let mut path = String::new();
    let mut rest = source;
    while let Some(at) = rest.find(['{', '}']) {
        let (text, from_brace) = rest.split_at(at);
        path.push_str(text);
        if let Some(after) = from_brace.strip_prefix("{{") {
            path.push('{');
            rest = after;
        } else if let Some(after) = from_brace.strip_prefix("}}") {
            path.push('}');
            rest = after;
        } else if let Some(after) = from_brace.strip_prefix('{') {
            let (name, after) = after.split_once('}').ok_or(SubPathError::Unbalanced('{'))?;
            path.push_str(match name {
                "user_id" => user_id,
                "thread_id" => thread_id,
                _ => return Err(SubPathError::UnknownPlaceholder(name.to_owned())),
            });
            rest = after;
        } else {
            return Err(SubPathError::Unbalanced('}'));
        }
    }
    path.push_str(rest);
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_in() {
        for (source, rendered) in [
            ("", ""),
            ("skills", "skills"),
            ("{user_id}", "u1"),
            ("deer-flow/users/{user_id}/threads/{thread_id}/skills", "deer-flow/users/u1/threads/t-2/skills"),
            ("{user_id}{user_id}", "u1u1"),
            ("a{{b}}/{thread_id}", "a{b}/t-2"),
            ("..{user_id}", "..u1"),
        ] {
            let template = SubPathTemplate::parse(source).unwrap();
            assert_eq!(template.render("u1", "t-2"), rendered, "{source}");
            assert_eq!(template.to_string(), source);
        }
    }

    /// Guards that an invalid template is reported at startup, and not by Kubernetes at the first sandbox.
    #[test]
    fn mistakes_are_named() {
        let unknown = |name: &str| SubPathError::UnknownPlaceholder(name.to_owned());
        for (source, error) in [
            ("users/{name}", unknown("name")),
            ("{}", unknown("")),
            ("{0}", unknown("0")),
            ("{user_id!r}", unknown("user_id!r")),
            ("{ user_id }", unknown(" user_id ")),
            ("{user_id", SubPathError::Unbalanced('{')),
            ("user_id}", SubPathError::Unbalanced('}')),
            ("/users/{user_id}", SubPathError::Absolute),
            ("a/../b", SubPathError::ParentDir),
            ("a\0b", SubPathError::Control),
            ("users/{us\ter_id}", SubPathError::Control),
            ("{user_id}/..", SubPathError::ParentDir),
        ] {
            assert_eq!(SubPathTemplate::parse(source), Err(error), "{source}");
        }
        assert_eq!(unknown("name").to_string(), "unknown placeholder {name}: use {user_id} and {thread_id}");
    }
}
