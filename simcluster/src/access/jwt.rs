//! Service account tokens: JSON Web Tokens that are signed with the cluster's own key (ES256). The key lives as long
//! as the cluster.

use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, UnparsedPublicKey,
};
use serde::{Deserialize, Serialize};

/// The claims of a token, under Kubernetes' names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Claims {
    pub aud: Vec<String>,
    /// The expiry, in seconds since 1970.
    pub exp: i64,
    pub iat: i64,
    pub iss: String,
    /// The ID of the token.
    pub jti: String,
    #[serde(rename = "kubernetes.io")]
    pub kubernetes: Bound,
    pub nbf: i64,
    pub sub: String,
}

/// The service account of the token, and the object it is bound to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Bound {
    pub namespace: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<Reference>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<Reference>,
    pub serviceaccount: Reference,
}

/// The name and the uid of an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Reference {
    pub name: String,
    pub uid: String,
}

/// The cluster's signing key. It is created on first use.
#[derive(Default)]
pub(super) struct Signer(OnceLock<Option<EcdsaKeyPair>>);

// === impl Signer ===

impl Signer {
    /// Signs a token. Returns `None` if the operating system has no randomness for the key.
    pub fn sign(&self, claims: &Claims) -> Option<String> {
        let key = self.key()?;
        let header = encode(br#"{"alg":"ES256","typ":"JWT"}"#);
        let signed = format!("{header}.{}", encode(&serde_json::to_vec(claims).ok()?));
        let signature = key.sign(&SystemRandom::new(), signed.as_bytes()).ok()?;
        Some(format!("{signed}.{}", encode(signature.as_ref())))
    }

    /// Returns the claims of a token, or `None` if this cluster did not sign it.
    pub fn verify(&self, token: &str) -> Option<Claims> {
        let (signed, signature) = token.rsplit_once('.')?;
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.key()?.public_key());
        key.verify(signed.as_bytes(), &decode(signature)?).ok()?;
        serde_json::from_slice(&decode(signed.split_once('.')?.1)?).ok()
    }

    fn key(&self) -> Option<&EcdsaKeyPair> {
        let make = || {
            let random = SystemRandom::new();
            let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
            let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).ok()?;
            EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).ok()
        };
        self.0.get_or_init(make).as_ref()
    }
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signer")
    }
}

/// Returns a token of 256 random bits, or `None` if the operating system has no randomness.
pub(super) fn opaque() -> Option<String> {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).ok()?;
    Some(encode(&bytes))
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims() -> Claims {
        Claims {
            aud: vec!["a".into()],
            exp: 2,
            iat: 1,
            iss: "i".into(),
            jti: "j".into(),
            kubernetes: Bound {
                namespace: "n".into(),
                pod: None,
                secret: None,
                serviceaccount: Reference { name: "s".into(), uid: "u".into() },
            },
            nbf: 1,
            sub: "system:serviceaccount:n:s".into(),
        }
    }

    /// Guards that a token is accepted only unmodified and only on the cluster that signed it.
    #[test]
    fn only_unmodified_tokens_of_this_cluster_are_valid() {
        let signer = Signer::default();
        let token = signer.sign(&claims()).unwrap();
        assert_eq!(signer.verify(&token), Some(claims()));
        assert_eq!(Signer::default().verify(&token), None, "another cluster's");
        let (head, signature) = token.rsplit_once('.').unwrap();
        let mut forged = claims();
        forged.sub = "system:admin".into();
        let body = encode(&serde_json::to_vec(&forged).unwrap());
        let header = head.split_once('.').unwrap().0;
        for bad in
            ["", ".", "a.b.c", head, &format!("{header}.{body}.{signature}"), &format!("{header}.{body}.")]
        {
            assert_eq!(signer.verify(bad), None, "{bad}");
        }
    }
}
