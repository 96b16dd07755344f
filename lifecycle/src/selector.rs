//! Label selectors, with the syntax and the meaning that Kubernetes gives them.
//!
//! A selector is a list of requirements, separated by commas, which must all hold: `tier=large`, `tier==large`,
//! `tier!=large`, `tier in (large, huge)`, `tier notin (small)`, `tier` (the label exists), `!tier` (it does not),
//! `cpus>2` and `cpus<8`. An object without the label meets `!=` and `notin`, and no other operator that has a value.

use std::collections::BTreeSet;

use crate::labels::{Labels, is_label_key, is_label_value};

/// A label selector. The empty one selects everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selector(Vec<Requirement>);

/// A requirement for one label.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Requirement {
    key: String,
    operator: Operator,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Operator {
    Exists,
    DoesNotExist,
    In(BTreeSet<String>),
    NotIn(BTreeSet<String>),
    GreaterThan(i64),
    LessThan(i64),
}

/// Why a text is not a label selector.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    /// Another token was expected.
    #[error("found {found}, expected {expected}")]
    Unexpected {
        /// The token.
        found: String,
        /// The tokens that can stand there.
        expected: &'static str,
    },
    /// The text cannot be the key of a label.
    #[error("{0:?} is not a label key such as \"tier\" or \"example.com/tier\"")]
    Key(String),
    /// The text cannot be the value of a label.
    #[error(
        "{0:?} is not a label value: at most 63 letters, digits, '-', '_' and '.', with a letter or digit at both ends"
    )]
    Value(String),
    /// The values of `in` or `notin` are missing.
    #[error("the list of values of {0:?} is empty")]
    NoValues(String),
    /// `<` and `>` compare integers.
    #[error("{0:?} is not an integer, which '<' and '>' compare")]
    Integer(String),
    /// The selector is too long.
    #[error("it has more than {} requirements", Selector::REQUIREMENTS_MAX)]
    TooMany,
}

/// A part of the text. `in` and `notin` are names too, as labels may have these keys and values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'a> {
    Name(&'a str),
    Symbol(&'a str),
    End,
}

/// The rest of the text.
struct Tokens<'a>(&'a str);

const SYMBOLS: [&str; 9] = ["==", "!=", "=", "!", ",", "(", ")", "<", ">"];

// === impl Selector ===

impl Selector {
    /// The largest number of requirements. Each is compared with each sandbox.
    pub const REQUIREMENTS_MAX: usize = 64;

    /// Parses a selector.
    ///
    /// ```
    /// use lifecycle::{labels::Labels, selector::Selector};
    ///
    /// let selector = Selector::parse("tier in (large, huge), !draft").unwrap();
    /// assert!(selector.matches(&Labels::new([("tier", "huge")])));
    /// assert!(!selector.matches(&Labels::new([("tier", "huge"), ("draft", "")])));
    /// ```
    ///
    /// # Errors
    /// The first problem of the text.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        let mut tokens = Tokens(text);
        let mut requirements = Vec::new();
        if tokens.peek() == Token::End {
            return Ok(Self::default());
        }
        loop {
            if requirements.len() == Self::REQUIREMENTS_MAX {
                return Err(SelectorError::TooMany);
            }
            requirements.push(requirement(&mut tokens)?);
            match tokens.next() {
                Token::End => return Ok(Self(requirements)),
                Token::Symbol(",") => {}
                other => return Err(other.unexpected("',' or the end")),
            }
        }
    }

    /// Adds the requirements of another selector.
    ///
    /// # Errors
    /// [`SelectorError::TooMany`] if both together have too many.
    pub fn and(mut self, other: Self) -> Result<Self, SelectorError> {
        self.0.extend(other.0);
        if self.0.len() > Self::REQUIREMENTS_MAX { Err(SelectorError::TooMany) } else { Ok(self) }
    }

    /// Returns whether all requirements hold for these labels.
    #[must_use]
    pub fn matches(&self, labels: &Labels) -> bool {
        self.0.iter().all(|Requirement { key, operator }| operator.accepts(labels.get(key)))
    }
}

// === impl Operator ===

impl Operator {
    /// Returns whether this value of the label is accepted; `None` if the label does not exist.
    fn accepts(&self, value: Option<&str>) -> bool {
        let number = || value.and_then(|value| value.parse::<i64>().ok());
        match self {
            Self::Exists => value.is_some(),
            Self::DoesNotExist => value.is_none(),
            Self::In(values) => value.is_some_and(|value| values.contains(value)),
            Self::NotIn(values) => value.is_none_or(|value| !values.contains(value)),
            Self::GreaterThan(bound) => number().is_some_and(|number| number > *bound),
            Self::LessThan(bound) => number().is_some_and(|number| number < *bound),
        }
    }
}

// === the parser ===

fn requirement(tokens: &mut Tokens<'_>) -> Result<Requirement, SelectorError> {
    let is_negated = tokens.take("!");
    let key = match tokens.next() {
        Token::Name(key) => key,
        other if is_negated => return Err(other.unexpected("a label key")),
        other => return Err(other.unexpected("a label key, '!' or the end")),
    };
    if !is_label_key(key) {
        return Err(SelectorError::Key(key.to_owned()));
    }
    let operator = if is_negated { Operator::DoesNotExist } else { operator(tokens)? };
    Ok(Requirement { key: key.to_owned(), operator })
}

fn operator(tokens: &mut Tokens<'_>) -> Result<Operator, SelectorError> {
    if matches!(tokens.peek(), Token::End | Token::Symbol(",")) {
        return Ok(Operator::Exists);
    }
    Ok(match tokens.next() {
        Token::Symbol("=" | "==") => Operator::In([value(tokens)?].into()),
        Token::Symbol("!=") => Operator::NotIn([value(tokens)?].into()),
        Token::Name("in") => Operator::In(values(tokens, "in")?),
        Token::Name("notin") => Operator::NotIn(values(tokens, "notin")?),
        Token::Symbol(">") => Operator::GreaterThan(integer(tokens)?),
        Token::Symbol("<") => Operator::LessThan(integer(tokens)?),
        other => return Err(other.unexpected("'=', '==', '!=', 'in', 'notin', '<', '>', ',' or the end")),
    })
}

/// Reads the value of an equality. An absent one is the empty value.
fn value(tokens: &mut Tokens<'_>) -> Result<String, SelectorError> {
    if matches!(tokens.peek(), Token::End | Token::Symbol(",")) {
        return Ok(String::new());
    }
    match tokens.next() {
        Token::Name(value) => checked(value),
        other => Err(other.unexpected("a label value")),
    }
}

fn integer(tokens: &mut Tokens<'_>) -> Result<i64, SelectorError> {
    let value = value(tokens)?;
    value.parse().map_err(|_| SelectorError::Integer(value))
}

/// Reads a list in brackets. An absent value, as in `(a,)`, is the empty value.
fn values(tokens: &mut Tokens<'_>, operator: &str) -> Result<BTreeSet<String>, SelectorError> {
    if !tokens.take("(") {
        return Err(tokens.next().unexpected("'('"));
    }
    if tokens.take(")") {
        return Err(SelectorError::NoValues(operator.to_owned()));
    }
    let mut values = BTreeSet::new();
    loop {
        let value = if let Token::Name(value) = tokens.peek() {
            tokens.next();
            checked(value)?
        } else {
            String::new()
        };
        values.insert(value);
        match tokens.next() {
            Token::Symbol(")") => return Ok(values),
            Token::Symbol(",") => {}
            other => return Err(other.unexpected("',' or ')'")),
        }
    }
}

fn checked(value: &str) -> Result<String, SelectorError> {
    if is_label_value(value) { Ok(value.to_owned()) } else { Err(SelectorError::Value(value.to_owned())) }
}

// === impl Token, Tokens ===

impl Token<'_> {
    fn unexpected(self, expected: &'static str) -> SelectorError {
        let found = match self {
            Self::Name(text) | Self::Symbol(text) => format!("{text:?}"),
            Self::End => "the end".to_owned(),
        };
        SelectorError::Unexpected { found, expected }
    }
}

impl<'a> Tokens<'a> {
    fn peek(&self) -> Token<'a> {
        Tokens(self.0).next()
    }

    /// Takes the symbol if it comes next.
    fn take(&mut self, symbol: &str) -> bool {
        let is_next = self.peek() == Token::Symbol(symbol);
        if is_next {
            self.next();
        }
        is_next
    }

    fn next(&mut self) -> Token<'a> {
        let text = self.0.trim_start();
        if let Some(symbol) = SYMBOLS.into_iter().find(|symbol| text.starts_with(symbol)) {
            let (symbol, rest) = text.split_at(symbol.len());
            self.0 = rest;
            return Token::Symbol(symbol);
        }
        let ends = |c: char| c.is_whitespace() || "=!,()<>".contains(c);
        let (name, rest) = text.split_at(text.find(ends).unwrap_or(text.len()));
        self.0 = rest;
        if name.is_empty() { Token::End } else { Token::Name(name) }
    }
}

#[cfg(test)]
mod tests;
