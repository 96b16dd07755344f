//! The grammar of label selectors, with the error texts of `k8s.io/apimachinery/pkg/labels`.

use std::collections::BTreeSet;

use super::lexer::{Lexeme, Token, scan};
use super::{Op, Requirement};

const OPERATORS: &str = "in, notin, =, ==, !=, gt, lt";

/// Parses a selector. The error is the message of the real server.
pub(super) fn parse(text: &str) -> Result<Vec<Requirement>, String> {
    let mut parser = Parser { tokens: scan(text), position: 0 };
    let mut requirements = Vec::new();
    loop {
        match parser.peek() {
            (Token::Identifier | Token::Not, _) => {
                let requirement = parser.requirement();
                requirements.push(requirement.map_err(|why| format!("unable to parse requirement: {why}"))?);
            }
            (Token::End, _) => return Ok(requirements),
            (_, found) => return Err(expected(found, "!, identifier, or 'end of string'")),
        }
        match parser.next() {
            (Token::End, _) => return Ok(requirements),
            (Token::Comma, _) => {
                let (token, found) = parser.peek();
                if !matches!(token, Token::Identifier | Token::Not) {
                    return Err(expected(found, "identifier after ','"));
                }
            }
            (_, found) => return Err(expected(found, "',' or 'end of string'")),
        }
    }
}

struct Parser<'a> {
    tokens: Vec<Lexeme<'a>>,
    position: usize,
}

// === impl Parser ===

impl<'a> Parser<'a> {
    /// Returns the next token as it stands. Past the end there are only ends.
    fn peek_operator(&self) -> Lexeme<'a> {
        self.tokens.get(self.position).copied().unwrap_or((Token::End, ""))
    }

    /// Returns the next token where a key or a value is wanted, which may be called `in` or `notin`.
    fn peek(&self) -> Lexeme<'a> {
        match self.peek_operator() {
            (Token::In | Token::NotIn, text) => (Token::Identifier, text),
            other => other,
        }
    }

    /// Returns the next lexeme, and consumes it.
    fn next(&mut self) -> Lexeme<'a> {
        let lexeme = self.peek();
        self.position += 1;
        lexeme
    }

    fn requirement(&mut self) -> Result<Requirement, String> {
        let (mut token, mut key) = self.next();
        let absent = token == Token::Not;
        if absent {
            (token, key) = self.next();
        }
        if token != Token::Identifier {
            return Err(expected(key, "identifier"));
        }
        Requirement::check_key(key)?;
        if absent {
            return Ok(Requirement { key: key.to_owned(), op: Op::Absent });
        }
        if matches!(self.peek(), (Token::End | Token::Comma, _)) {
            return Ok(Requirement { key: key.to_owned(), op: Op::Exists });
        }
        let (token, found) = self.peek_operator();
        self.position += 1;
        let values = match token {
            Token::In | Token::NotIn => self.list()?,
            Token::Equals | Token::DoubleEquals | Token::NotEquals | Token::Greater | Token::Less => {
                BTreeSet::from([self.value()?])
            }
            _ => return Err(expected(found, OPERATORS)),
        };
        Requirement::with_values(key, token, values)
    }

    /// The value after `=` and its like; an empty one needs no characters.
    fn value(&mut self) -> Result<String, String> {
        if matches!(self.peek(), (Token::End | Token::Comma, _)) {
            return Ok(String::new());
        }
        match self.next() {
            (Token::Identifier, value) => Ok(value.to_owned()),
            (_, found) => Err(expected(found, "identifier")),
        }
    }

    /// The values after `in` and `notin`.
    fn list(&mut self) -> Result<BTreeSet<String>, String> {
        let (token, found) = self.next();
        if token != Token::Open {
            // The real message has no comma here.
            return Err(format!("found '{found}' expected: '('"));
        }
        let mut values = BTreeSet::new();
        match self.peek() {
            (Token::Identifier | Token::Comma, _) => self.values(&mut values)?,
            (Token::Close, _) => drop(values.insert(String::new())),
            (_, found) => return Err(expected(found, "',', ')' or identifier")),
        }
        // The loop above stops only before a closing parenthesis.
        self.position += 1;
        Ok(values)
    }

    /// Values and commas up to the closing parenthesis. Beside a comma that lacks a neighbour stands an empty value.
    fn values(&mut self, values: &mut BTreeSet<String>) -> Result<(), String> {
        loop {
            match self.next() {
                (Token::Identifier, value) => {
                    values.insert(value.to_owned());
                    match self.peek() {
                        (Token::Comma, _) => {}
                        (Token::Close, _) => return Ok(()),
                        (_, found) => return Err(expected(found, "',' or ')'")),
                    }
                }
                (Token::Comma, _) => {
                    if values.is_empty() {
                        values.insert(String::new());
                    }
                    match self.peek() {
                        (Token::Close, _) => {
                            values.insert(String::new());
                            return Ok(());
                        }
                        (Token::Comma, _) => drop(values.insert(String::new())),
                        _ => {}
                    }
                }
                (_, found) => return Err(expected(found, "',', or identifier")),
            }
        }
    }
}

fn expected(found: &str, wanted: &str) -> String {
    format!("found '{found}', expected: {wanted}")
}
