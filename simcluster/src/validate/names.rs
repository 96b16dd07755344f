//! Validates names and labels. The messages are those of `k8s.io/apimachinery`: `pkg/util/validation` counts characters
//! of names, and `pkg/api/validate/content` counts bytes of labels.

const SUBDOMAIN_RULE: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' \
     or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is \
     '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL_RULE: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and \
     must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is \
     '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const VALUE_RULE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or \
     '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex \
     used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const KEY_RULE: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an \
     alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
     '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";

/// The rule for the names of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NameRule {
    Subdomain,
    Label,
    PathSegment,
}

// === impl NameRule ===

impl NameRule {
    /// Returns the violations of a name.
    pub fn check(self, name: &str) -> Vec<String> {
        match self {
            Self::Subdomain => subdomain(name),
            Self::Label => label(name),
            Self::PathSegment => path_segment(name),
        }
    }

    /// Returns the violations of the prefix of a generated name.
    pub fn check_prefix(self, prefix: &str) -> Vec<String> {
        match self {
            Self::PathSegment => path_segment_prefix(prefix),
            Self::Subdomain | Self::Label => self.check(&without_last_dash(prefix)),
        }
    }
}

/// Replaces a trailing dash, which is allowed because more characters follow. The real server replaces the character
/// before the dash too, so it accepts any character there.
fn without_last_dash(prefix: &str) -> String {
    let shorter = prefix.strip_suffix('-').filter(|rest| !rest.is_empty());
    let kept = shorter.and_then(|rest| rest.get(..rest.len() - 1));
    kept.map_or_else(|| prefix.to_owned(), |kept| format!("{kept}a"))
}

/// Checks a DNS-1123 subdomain, the rule for most names.
pub(crate) fn subdomain(name: &str) -> Vec<String> {
    violations(name, (253, "characters"), is_subdomain, SUBDOMAIN_RULE)
}

/// Checks a DNS-1123 label, the rule for namespaces, Services, containers and volumes.
pub(crate) fn label(name: &str) -> Vec<String> {
    let rule = if is_subdomain(name) { "must not contain dots" } else { LABEL_RULE };
    violations(name, (63, "characters"), is_label, rule)
}

/// Checks a path segment, the rule for RBAC's names, such as `system:node`.
pub(crate) fn path_segment(name: &str) -> Vec<String> {
    if matches!(name, "." | "..") { vec![format!("may not be '{name}'")] } else { path_segment_prefix(name) }
}

fn path_segment_prefix(name: &str) -> Vec<String> {
    let bad = ['/', '%'].into_iter().filter(|bad| name.contains(*bad));
    bad.map(|bad| format!("may not contain '{bad}'")).collect()
}

/// Checks the value of a label.
pub(crate) fn label_value(value: &str) -> Vec<String> {
    violations(value, (63, "bytes"), |value| value.is_empty() || is_qualified_part(value), VALUE_RULE)
}

/// Checks the key of a label or an annotation.
pub(crate) fn qualified_name(key: &str) -> Vec<String> {
    let (prefix, name) = match key.split_once('/') {
        Some((_, name)) if name.contains('/') => {
            return vec![format!(
                "a valid label key {KEY_RULE} with an optional DNS subdomain prefix and '/' (e.g. \
                 'example.com/MyName')"
            )];
        }
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    let empty = || "must be non-empty".to_owned();
    let of_prefix = match prefix {
        None => vec![],
        Some("") => vec![empty()],
        Some(prefix) => violations(prefix, (253, "bytes"), is_subdomain, SUBDOMAIN_RULE),
    };
    let mut of_name = violations(name, (63, "bytes"), is_qualified_part, KEY_RULE);
    if name.is_empty() {
        of_name.insert(0, empty());
    }
    let of_prefix = of_prefix.into_iter().map(|why| format!("prefix part {why}"));
    of_prefix.chain(of_name.into_iter().map(|why| format!("name part {why}"))).collect()
}

/// Returns the violations of a maximum length and of a rule.
fn violations(
    text: &str,
    (limit, unit): (usize, &str),
    is_right: impl Fn(&str) -> bool,
    rule: &str,
) -> Vec<String> {
    let too_long = (text.len() > limit).then(|| format!("must be no more than {limit} {unit}"));
    let wrong = (!is_right(text)).then(|| rule.to_owned());
    too_long.into_iter().chain(wrong).collect()
}

fn is_subdomain(text: &str) -> bool {
    text.split('.').all(is_label)
}

fn is_label(text: &str) -> bool {
    is_made_of(text, |b| b.is_ascii_lowercase() || b.is_ascii_digit(), b"-")
}

fn is_qualified_part(text: &str) -> bool {
    is_made_of(text, |b| b.is_ascii_alphanumeric(), b"-_.")
}

/// Returns whether a text has only these characters, and the separators only inside.
fn is_made_of(text: &str, characters: fn(u8) -> bool, separators: &[u8]) -> bool {
    text.bytes().all(|b| characters(b) || separators.contains(&b))
        && text.bytes().next().is_some_and(characters)
        && text.bytes().last().is_some_and(characters)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards the limits of each rule.
    #[test]
    fn names_at_the_limits_of_each_rule() {
        assert!(subdomain(&"x".repeat(253)).is_empty());
        assert!(subdomain("a.b-c").is_empty());
        for bad in ["", "A", "a_b", "-a", "a-", "a..b", ".a"] {
            assert_eq!(subdomain(bad), [SUBDOMAIN_RULE], "{bad}");
        }
        assert!(label(&"s".repeat(63)).is_empty() && label("1abc").is_empty());
        assert!(label_value("").is_empty() && !label_value("has space").is_empty());
        assert!(qualified_name("example.com/a_b").is_empty());
        for bad in ["", "/a", "a/", "a/b/c", "Bad_Prefix/a"] {
            assert!(!qualified_name(bad).is_empty(), "{bad}");
        }
        assert!(path_segment("system:node").is_empty() && path_segment("Has Space").is_empty());
        for bad in [".", "..", "a/b", "a%b"] {
            assert_eq!(path_segment(bad).len(), 1, "{bad}");
        }
    }

    /// Guards the message for each violation: dots, characters in names and bytes in labels.
    #[test]
    fn each_violation_has_its_message() {
        let (long, longer) = ("x".repeat(64), "x".repeat(254));
        assert_eq!(label("a.b"), ["must not contain dots"]);
        assert_eq!(label("a.B"), [LABEL_RULE]);
        assert_eq!(label(&long), ["must be no more than 63 characters"]);
        assert_eq!(
            label(&format!("{long}.a")),
            ["must be no more than 63 characters", "must not contain dots"]
        );
        assert_eq!(subdomain(&longer), ["must be no more than 253 characters"]);
        assert_eq!(label_value(&long), ["must be no more than 63 bytes"]);
        assert_eq!(qualified_name(&long), ["name part must be no more than 63 bytes"]);
        assert_eq!(qualified_name(&format!("{longer}/a")), ["prefix part must be no more than 253 bytes"]);
    }

    /// Guards that a prefix may end with a dash.
    #[test]
    fn a_prefix_may_end_with_a_dash() {
        for (rule, prefix, wrong) in [
            (NameRule::Subdomain, "a-", 0),
            (NameRule::Subdomain, "a.", 1),
            (NameRule::Subdomain, "-", 1),
            (NameRule::Subdomain, "Aa-", 1),
            // The character before the dash is not checked.
            (NameRule::Subdomain, "A-", 0),
            (NameRule::Label, "a.b-", 1),
            (NameRule::Label, "ä-", 1),
            (NameRule::PathSegment, ".", 0),
            (NameRule::PathSegment, "a/", 1),
        ] {
            assert_eq!(rule.check_prefix(prefix).len(), wrong, "{rule:?} {prefix}");
        }
    }
}
