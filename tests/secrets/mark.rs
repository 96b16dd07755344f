//! The mark, and where it is found.

use base64::{Engine, engine::general_purpose::STANDARD};

/// Begins every secret that is planted. What is cut off behind it is found all the same.
pub const MARK: &str = "xQ7zMARK";

/// The secret of this name.
pub fn secret(name: &str) -> String {
    format!("{MARK}-{name}-5f2c")
}

/// Panics, with the passage, where a text holds a secret, as it is or in base64, which is how a kubeconfig has them.
pub fn is_not_in(what: &str, text: &str) {
    let encoded = spellings();
    for spelling in std::iter::once(MARK.to_owned()).chain(encoded) {
        if let Some(at) = text.find(&spelling) {
            let passage: String =
                text[text.floor_char_boundary(at.saturating_sub(200))..].chars().take(400).collect();
            panic!("{what} holds a secret ({spelling}): …{passage}…");
        }
    }
}

/// The mark in base64: by where it stands in the text, one of three, each without what its neighbours change.
fn spellings() -> [String; 3] {
    [0, 1, 2].map(|before: usize| {
        let encoded = STANDARD.encode(format!("{}{MARK}", " ".repeat(before)));
        let (first, whole) = ((before * 8).div_ceil(6), (before + MARK.len()) * 8 / 6);
        encoded[first..whole].to_owned()
    })
}

/// The search finds what it is for.
#[test]
fn a_secret_is_found_however_it_is_written() {
    let finds = |text: String| std::panic::catch_unwind(|| is_not_in("a text", &text)).is_err();
    for before in ["", "a", "ab", "abc"] {
        let text = format!("{before}{}", secret("x"));
        assert!(finds(STANDARD.encode(&text)), "{text} in base64");
        assert!(finds(text));
    }
    assert!(finds(format!("cut: {}", &secret("x")[..10])));
    assert!(!finds("nothing".to_owned()));
}
