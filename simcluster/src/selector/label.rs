//! `labelSelector`: `a=b`, `a==b`, `a!=b`, `a in (b,c)`, `a notin (b,c)`, `a`, `!a`, joined by commas.

use serde_json::{Map, Value};

/// A conjunction of requirements on labels.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct LabelSelector(Vec<Requirement>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Requirement {
    key: String,
    op: Op,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Op {
    Exists,
    Absent,
    In(Vec<String>),
    /// True for objects without the label too.
    NotIn(Vec<String>),
}

// === impl LabelSelector ===

impl LabelSelector {
    /// Reads a selector as it stands in a query. The error says what could not be understood.
    pub fn parse(text: &str) -> Result<Self, String> {
        split_outside_parentheses(text)
            .into_iter()
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(Requirement::parse)
            .collect::<Result<_, _>>()
            .map(Self)
            .map_err(|why| format!("unable to parse requirement: {why}"))
    }

    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an object with these labels (`metadata.labels`, if any) is selected.
    pub fn matches(&self, labels: Option<&Map<String, Value>>) -> bool {
        self.0.iter().all(|requirement| requirement.matches(labels))
    }
}

// === impl Requirement ===

impl Requirement {
    fn parse(text: &str) -> Result<Self, String> {
        if let Some(key) = text.strip_prefix('!') {
            return Self::new(key, Op::Absent);
        }
        if let Some((key, value)) = text.split_once("!=") {
            return Self::new(key, Op::NotIn(vec![value.trim().to_owned()]));
        }
        if let Some((key, value)) = text.split_once("==").or_else(|| text.split_once('=')) {
            return Self::new(key, Op::In(vec![value.trim().to_owned()]));
        }
        let Some((left, list)) = text.split_once('(') else {
            return Self::new(text, Op::Exists);
        };
        let Some(list) = list.trim_end().strip_suffix(')') else {
            return Err(format!("found '{text}', expected: ')'"));
        };
        let values = list.split(',').map(|v| v.trim().to_owned()).collect();
        match left.trim().rsplit_once(char::is_whitespace) {
            Some((key, "in")) => Self::new(key, Op::In(values)),
            Some((key, "notin")) => Self::new(key, Op::NotIn(values)),
            _ => Err(format!("found '{left}', expected: in, notin")),
        }
    }

    fn new(key: &str, op: Op) -> Result<Self, String> {
        let key = key.trim();
        let known = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
        if key.is_empty() || !key.chars().all(known) {
            return Err(format!("invalid label key \"{key}\""));
        }
        Ok(Self { key: key.to_owned(), op })
    }

    fn matches(&self, labels: Option<&Map<String, Value>>) -> bool {
        let value = labels.and_then(|l| l.get(&self.key)).and_then(Value::as_str);
        match &self.op {
            Op::Exists => value.is_some(),
            Op::Absent => value.is_none(),
            Op::In(values) => value.is_some_and(|v| values.iter().any(|w| w == v)),
            Op::NotIn(values) => value.is_none_or(|v| values.iter().all(|w| w != v)),
        }
    }
}

/// Whether labels hold every pair of a Service's `spec.selector`.
pub(crate) fn matches_all(selector: &Map<String, Value>, labels: Option<&Map<String, Value>>) -> bool {
    selector.iter().all(|(key, value)| labels.and_then(|l| l.get(key)) == Some(value))
}

fn split_outside_parentheses(text: &str) -> Vec<&str> {
    let mut depth = 0_i32;
    text.split(|c| {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        c == ',' && depth == 0
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn selects(selector: &str, labels: &Value) -> bool {
        LabelSelector::parse(selector).unwrap().matches(labels.as_object())
    }

    #[test]
    fn every_operator_selects_what_kubernetes_selects() {
        let labels = json!({"app": "x", "tier": "b"});
        let cases = [
            ("", true),
            ("app=x", true),
            ("app==x", true),
            ("app=y", false),
            ("app!=y", true),
            ("app!=x", false),
            ("gone!=x", true),
            ("app", true),
            ("gone", false),
            ("!gone", true),
            ("!app", false),
            ("tier in (a, b)", true),
            ("tier in (a)", false),
            ("tier notin (a,c)", true),
            ("tier notin (b)", false),
            ("gone notin (b)", true),
            ("app=x,tier in (a,b),!gone", true),
            ("app=x,tier=a", false),
        ];
        for (selector, expected) in cases {
            assert_eq!(selects(selector, &labels), expected, "{selector}");
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["a in b)", "a in (b", "a within (b)", "a b", "=x"] {
            assert!(LabelSelector::parse(text).is_err(), "{text}");
        }
    }
}
