//! Tokens of a label selector.

/// The kind of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    End,
    Open,
    Close,
    Comma,
    Not,
    Equals,
    DoubleEquals,
    NotEquals,
    Greater,
    Less,
    In,
    NotIn,
    Identifier,
}

/// A token with its text; the text of the end is empty.
pub(super) type Lexeme<'a> = (Token, &'a str);

/// Splits a selector into tokens, the last of which is [`Token::End`].
///
/// A NUL character ends the selector where a token would begin, and otherwise ends a token and is skipped: the real
/// lexer uses it as the mark of the end.
pub(super) fn scan(text: &str) -> Vec<Lexeme<'_>> {
    let mut rest = text;
    let mut tokens = Vec::new();
    loop {
        rest = rest.trim_start_matches(is_space);
        if rest.is_empty() || rest.starts_with('\0') {
            tokens.push((Token::End, ""));
            return tokens;
        }
        let length = if rest.starts_with(is_symbol) {
            if rest.starts_with("==") || rest.starts_with("!=") { 2 } else { 1 }
        } else {
            rest.find(|c| is_symbol(c) || is_space(c) || c == '\0').unwrap_or(rest.len())
        };
        let (token, after) = rest.split_at(length);
        tokens.push((kind(token), token));
        rest = after.strip_prefix('\0').unwrap_or(after);
    }
}

fn kind(token: &str) -> Token {
    match token {
        "(" => Token::Open,
        ")" => Token::Close,
        "," => Token::Comma,
        "!" => Token::Not,
        "=" => Token::Equals,
        "==" => Token::DoubleEquals,
        "!=" => Token::NotEquals,
        ">" => Token::Greater,
        "<" => Token::Less,
        "in" => Token::In,
        "notin" => Token::NotIn,
        _ => Token::Identifier,
    }
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

fn is_symbol(c: char) -> bool {
    matches!(c, '=' | '!' | '(' | ')' | ',' | '>' | '<')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards where one token ends and the next begins.
    #[test]
    fn symbols_need_no_spaces_around_them() {
        let cases: [(&str, &[&str]); 9] = [
            ("", &[""]),
            (" \t\r\n", &[""]),
            ("a", &["a", ""]),
            ("!a!=b", &["!", "a", "!=", "b", ""]),
            ("a===b", &["a", "==", "=", "b", ""]),
            ("x in(a,,b)", &["x", "in", "(", "a", ",", ",", "b", ")", ""]),
            ("a>=1", &["a", ">", "=", "1", ""]),
            ("a\0b c", &["a", "b", "c", ""]),
            ("a \0b", &["a", ""]),
        ];
        for (text, wanted) in cases {
            let found: Vec<_> = scan(text).into_iter().map(|(_, token)| token).collect();
            assert_eq!(found, wanted, "{text:?}");
        }
    }
}
