//! `labelSelector`: `a=b`, `a==b`, `a!=b`, `a in (b,c)`, `a notin (b,c)`, `a>1`, `a<1`, `a`, `!a`, joined by commas.

mod lexer;
mod parser;

use std::collections::BTreeSet;

use crate::quote::quoted;
use crate::store::Labels;
use crate::validate::names;

use lexer::Token;

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
    In(BTreeSet<String>),
    /// True for objects without the label too.
    NotIn(BTreeSet<String>),
    GreaterThan(i64),
    LessThan(i64),
}

// === impl LabelSelector ===

impl LabelSelector {
    /// Parses a selector as it stands in a query. The error is the message of the real server.
    pub fn parse(text: &str) -> Result<Self, String> {
        parser::parse(text).map(Self)
    }

    /// Whether every object is selected.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an object with these labels is selected.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.0.iter().all(|requirement| requirement.matches(labels))
    }
}

// === impl Requirement ===

impl Requirement {
    fn check_key(key: &str) -> Result<(), String> {
        let wrong = names::qualified_name(key);
        // The real server has no path for the key, and prints that.
        if wrong.is_empty() { Ok(()) } else { Err(invalid("<nil>", key, &wrong.join("; "))) }
    }

    /// A requirement whose operator takes values. The operators of numbers take one.
    fn with_values(key: &str, operator: Token, values: BTreeSet<String>) -> Result<Self, String> {
        let mut wrong = Vec::new();
        let mut number = 0;
        if matches!(operator, Token::Greater | Token::Less) {
            for (place, value) in values.iter().enumerate() {
                match value.parse() {
                    Ok(parsed) => number = parsed,
                    Err(_) => wrong.push(invalid(
                        &format!("values[{place}]"),
                        value,
                        "for 'Gt', 'Lt' operators, the value must be an integer",
                    )),
                }
            }
        }
        for (place, value) in values.iter().enumerate() {
            let rules = names::label_value(value);
            if !rules.is_empty() {
                wrong.push(invalid(&format!("values[{place}][{key}]"), value, &rules.join("; ")));
            }
        }
        match wrong.as_slice() {
            [] => {}
            [one] => return Err(one.clone()),
            many => return Err(format!("[{}]", many.join(", "))),
        }
        let op = match operator {
            Token::Greater => Op::GreaterThan(number),
            Token::Less => Op::LessThan(number),
            Token::NotIn | Token::NotEquals => Op::NotIn(values),
            _ => Op::In(values),
        };
        Ok(Self { key: key.to_owned(), op })
    }

    fn matches(&self, labels: &Labels) -> bool {
        let value = labels.get(&self.key);
        let number = || value.and_then(|v| v.parse::<i64>().ok());
        match &self.op {
            Op::Exists => value.is_some(),
            Op::Absent => value.is_none(),
            Op::In(values) => value.is_some_and(|v| values.contains(v)),
            Op::NotIn(values) => value.is_none_or(|v| !values.contains(v)),
            Op::GreaterThan(bound) => number().is_some_and(|n| n > *bound),
            Op::LessThan(bound) => number().is_some_and(|n| n < *bound),
        }
    }
}

fn invalid(field: &str, value: &str, why: &str) -> String {
    format!("{field}: Invalid value: {}: {why}", quoted(value))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NAME: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end \
         with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is \
         '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
    const VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or \
         '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', \
         regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

    fn selects(selector: &str, labels: &Value) -> bool {
        LabelSelector::parse(selector).unwrap().matches(&Labels::new(labels.as_object()))
    }

    /// Guards what each operator selects.
    #[test]
    fn every_operator_selects_what_kubernetes_selects() {
        let labels = json!({"app": "x", "tier": "b", "in": "notin", "n": "5", "empty": ""});
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
            ("! gone", true),
            ("tier in (a, b)", true),
            ("tier in (a)", false),
            ("tier notin (a,c)", true),
            ("tier notin (b)", false),
            ("gone notin (b)", true),
            ("app=x,tier in (a,b),!gone", true),
            ("app=x,tier=a", false),
            // The words of operators are keys and values as well.
            ("in in (notin)", true),
            ("in=notin", true),
            // Empty values.
            ("empty=", true),
            ("empty=,app=x", true),
            ("app=", false),
            ("empty in ()", true),
            ("empty in (,)", true),
            ("app in (x,)", true),
            ("empty in (x,,y)", true),
            ("empty in (x,y)", false),
            ("empty in (,x)", true),
            // Numbers.
            ("n>4", true),
            ("n>5", false),
            ("n<6", true),
            ("app>1", false),
            ("gone<1", false),
        ];
        for (selector, expected) in cases {
            assert_eq!(selects(selector, &labels), expected, "{selector}");
        }
    }

    /// Guards the words about a selector that cannot be parsed.
    #[test]
    fn syntax_errors_are_worded_as_by_kubernetes() {
        let cases = [
            ("=x", "found '=', expected: !, identifier, or 'end of string'"),
            ("!=x", "found '!=', expected: !, identifier, or 'end of string'"),
            (",a", "found ',', expected: !, identifier, or 'end of string'"),
            ("(a)", "found '(', expected: !, identifier, or 'end of string'"),
            ("a,", "found '', expected: identifier after ','"),
            ("a,,b", "found ',', expected: identifier after ','"),
            ("a,=b", "found '=', expected: identifier after ','"),
            ("a=b c", "found 'c', expected: ',' or 'end of string'"),
            ("a=b=c", "found '=', expected: ',' or 'end of string'"),
            ("!a in (b)", "found 'in', expected: ',' or 'end of string'"),
            ("!a=b", "found '=', expected: ',' or 'end of string'"),
            ("a in (b))", "found ')', expected: ',' or 'end of string'"),
        ];
        for (text, message) in cases {
            assert_eq!(LabelSelector::parse(text).unwrap_err(), message, "{text:?}");
        }
        let requirements = [
            ("!", "found '', expected: identifier"),
            ("!!a", "found '!', expected: identifier"),
            ("a b", "found 'b', expected: in, notin, =, ==, !=, gt, lt"),
            ("a within (b)", "found 'within', expected: in, notin, =, ==, !=, gt, lt"),
            ("a!", "found '!', expected: in, notin, =, ==, !=, gt, lt"),
            ("a (b)", "found '(', expected: in, notin, =, ==, !=, gt, lt"),
            ("a in", "found '' expected: '('"),
            ("a in b)", "found 'b' expected: '('"),
            ("a in =", "found '=' expected: '('"),
            ("a in (", "found '', expected: ',', ')' or identifier"),
            ("a in (=b)", "found '=', expected: ',', ')' or identifier"),
            ("a in (b", "found '', expected: ',' or ')'"),
            ("a in (b c)", "found 'c', expected: ',' or ')'"),
            ("a in (b,", "found '', expected: ',', or identifier"),
            ("a in (b,!c)", "found '!', expected: ',', or identifier"),
            ("a==!", "found '!', expected: identifier"),
            ("a=(b)", "found '(', expected: identifier"),
            ("a===b", "found '=', expected: identifier"),
            ("a>=1", "found '=', expected: identifier"),
        ];
        for (text, message) in requirements {
            let found = LabelSelector::parse(text).unwrap_err();
            assert_eq!(found, format!("unable to parse requirement: {message}"), "{text:?}");
        }
    }

    /// Guards the words about keys and values that break the rules for labels.
    #[test]
    fn keys_and_values_follow_the_rules_for_labels() {
        let (long, longer) = ("x".repeat(64), "x".repeat(254));
        let number = "for 'Gt', 'Lt' operators, the value must be an integer";
        let cases = [
            ("a_=b".to_owned(), format!("<nil>: Invalid value: \"a_\": {NAME}")),
            ("!-a".to_owned(), format!("<nil>: Invalid value: \"-a\": {NAME}")),
            ("a/".to_owned(), format!("<nil>: Invalid value: \"a/\": name part must be non-empty; {NAME}")),
            ("/a".to_owned(), "<nil>: Invalid value: \"/a\": prefix part must be non-empty".to_owned()),
            (
                "ä".to_owned(),
                format!("<nil>: Invalid value: \"ä\": {NAME}"),
            ),
            (
                "a/b/c".to_owned(),
                "<nil>: Invalid value: \"a/b/c\": a valid label key must consist of alphanumeric characters, '-', '_' \
                 or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or \
                 '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional \
                 DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
                    .to_owned(),
            ),
            (
                long.clone(),
                format!("<nil>: Invalid value: \"{long}\": name part must be no more than 63 bytes"),
            ),
            (
                format!("{longer}/a"),
                format!("<nil>: Invalid value: \"{longer}/a\": prefix part must be no more than 253 bytes"),
            ),
            ("a=-b".to_owned(), format!("values[0][a]: Invalid value: \"-b\": {VALUE}")),
            ("a in (b,c_,-d)".to_owned(), {
                let (first, second) = ("values[0][a]: Invalid value: \"-d\"", "values[2][a]: Invalid value: \"c_\"");
                format!("[{first}: {VALUE}, {second}: {VALUE}]")
            }),
            (
                format!("a!={long}"),
                format!("values[0][a]: Invalid value: \"{long}\": must be no more than 63 bytes"),
            ),
            ("a>b".to_owned(), format!("values[0]: Invalid value: \"b\": {number}")),
            ("a<".to_owned(), format!("values[0]: Invalid value: \"\": {number}")),
            (
                "a>9223372036854775808".to_owned(),
                format!("values[0]: Invalid value: \"9223372036854775808\": {number}"),
            ),
            (
                "a>1_".to_owned(),
                format!(
                    "[values[0]: Invalid value: \"1_\": {number}, values[0][a]: Invalid value: \"1_\": {VALUE}]"
                ),
            ),
            ("a>-1".to_owned(), format!("values[0][a]: Invalid value: \"-1\": {VALUE}")),
        ];
        for (text, message) in cases {
            let found = LabelSelector::parse(&text).unwrap_err();
            assert_eq!(found, format!("unable to parse requirement: {message}"), "{text:?}");
        }
    }
}
