//! Continue tokens, in the real server's format (JSON in unpadded URL-safe base64).

use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};
use base64::engine::{DecodePaddingMode, Engine};

use crate::status::{ApiError, ApiResult};

/// The start of the next page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Page {
    /// The version of the first page; `None` for the current state.
    pub version: Option<u64>,
    namespace: Option<String>,
    name: String,
}

/// The encoding of tokens. Reading is lenient about their end.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    NO_PAD.with_decode_padding_mode(DecodePaddingMode::Indifferent).with_decode_allow_trailing_bits(true),
);

// === impl Page ===

impl Page {
    /// Returns whether the page starts before this object.
    pub fn is_before(&self, namespace: &str, name: &str) -> bool {
        match &self.namespace {
            Some(last) => (namespace, name) > (last.as_str(), self.name.as_str()),
            None => name > self.name.as_str(),
        }
    }

    /// Returns the error for a token whose version has expired, with a token for the rest of the current state.
    pub fn expired(&self) -> ApiError {
        let (namespace, one) = (self.namespace.as_deref().unwrap_or(""), self.namespace.is_none());
        let token = encode(None, namespace, &self.name, one);
        let message = "The provided continue parameter is too old to display a consistent list result. You can start \
            a new list without the continue parameter, or use the continue token in this response to retrieve the \
            remainder of the results. Continuing with the provided token results in an inconsistent list - objects \
            that were created, modified, or deleted between the time the first chunk was returned and now may show up \
            in the list.";
        ApiError { continue_token: Some(token), ..ApiError::expired(message) }
    }
}

/// Returns the token after an object. The list of a single namespace omits the namespace.
pub(crate) fn encode(version: Option<u64>, namespace: &str, name: &str, one_namespace: bool) -> String {
    let start = if one_namespace || namespace.is_empty() {
        format!("/{name}\\u0000")
    } else {
        format!("{namespace}/{name}\\u0000")
    };
    let version = version.map_or_else(|| "-1".to_owned(), |version| version.to_string());
    BASE64.encode(format!("{{\"v\":\"meta.k8s.io/v1\",\"rv\":{version},\"start\":\"{start}\"}}"))
}

/// Decodes a token. The error is that of Go's parser.
pub(crate) fn decode(token: &str) -> ApiResult<Page> {
    #[derive(serde::Deserialize)]
    struct Token {
        rv: i64,
        start: String,
    }
    let invalid = |why: &str| {
        ApiError::bad_request(format!("invalid continue token: continue key is not valid: {why}"))
    };
    let bytes = BASE64.decode(token).map_err(|_| invalid("illegal base64 data"))?;
    let token: Token = serde_json::from_slice(&bytes).map_err(|_| match bytes.first() {
        Some(byte) if *byte != b'{' => {
            let shown = match char::from(*byte) {
                c if c.is_control() => format!("\\u{:04x}", u32::from(*byte)),
                c => c.to_string(),
            };
            invalid(&format!("invalid character '{shown}' looking for beginning of value"))
        }
        _ => invalid("unexpected end of JSON input"),
    })?;
    let start = token.start.trim_end_matches('\0');
    let (namespace, name) = match start.split_once('/') {
        Some(("", name)) => (None, name),
        Some((namespace, name)) => (Some(namespace.to_owned()), name),
        None => (None, start),
    };
    Ok(Page { version: u64::try_from(token.rv).ok(), namespace, name: name.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_have_the_real_servers_format() {
        let token = "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MTIxODYsInN0YXJ0IjoiL2FcdTAwMDAifQ";
        assert_eq!(encode(Some(12186), "rec", "a", true), token);
        let page = decode(token).unwrap();
        assert_eq!(page, Page { version: Some(12186), namespace: None, name: "a".to_owned() });
        assert!(page.is_before("rec", "b") && !page.is_before("rec", "a"));
        let everywhere = decode(&encode(Some(1), "n", "b", false)).unwrap();
        assert!(everywhere.is_before("o", "a") && !everywhere.is_before("n", "b"));
        let rest = decode(&page.expired().continue_token.unwrap()).unwrap();
        assert_eq!(rest, Page { version: None, namespace: None, name: "a".to_owned() });
    }
}
