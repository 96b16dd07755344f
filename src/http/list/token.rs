//! The token with which a list continues.
//!
//! It holds the last id of the page before, so it stays valid while sandboxes come and go, and after a restart.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use lifecycle::ids::SandboxId;

/// The format of the token, so that a later one can be told apart.
const FORMAT: &str = "1/";

/// Returns the token for the sandboxes after this one.
pub(super) fn after(id: &SandboxId) -> String {
    URL_SAFE_NO_PAD.encode(format!("{FORMAT}{id}"))
}

/// Returns the last id of the page before; `None` if the text is not a token.
pub(super) fn parse(token: &str) -> Option<SandboxId> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
    SandboxId::parse(text.strip_prefix(FORMAT)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards that a token is read back, and that any other text is not a token.
    #[test]
    fn only_tokens_are_read() {
        for id in ["a", "abc-123", &"a".repeat(51)] {
            let id = SandboxId::parse(id).unwrap();
            let token = after(&id);
            assert!(token.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)), "{token}");
            assert_eq!(parse(&token), Some(id));
        }
        for text in ["", "abc-123", "MS8", "MS8=", "MS9h=", "Mi9h", "MS9B", "!", "MS9h\n", "é"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
        assert_eq!(parse("MS9h"), SandboxId::parse("a").ok());
    }
}
