//! The marker in every secret, and the search for it.

use base64::{Engine, engine::general_purpose::STANDARD};

/// The start of every secret, so that a truncated secret is found too.
pub const MARK: &str = "xQ7zMARK";

/// Returns the secret with this name.
pub fn secret(name: &str) -> String {
    format!("{MARK}-{name}-5f2c")
}

/// Panics and shows the passage if a text contains a secret, plain or in base64, the encoding of kubeconfigs.
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

/// Returns the three base64 forms of the marker, one for each offset, without the letters that depend on its neighbors.
fn spellings() -> [String; 3] {
    [0, 1, 2].map(|before: usize| {
        let encoded = STANDARD.encode(format!("{}{MARK}", " ".repeat(before)));
        let (first, whole) = ((before * 8).div_ceil(6), (before + MARK.len()) * 8 / 6);
        encoded[first..whole].to_owned()
    })
}

/// Guards that the search finds every form.
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
