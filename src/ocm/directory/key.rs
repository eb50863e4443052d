//! The key that a Directory Service is known by: pasted by an admin, as a JWK or as PEM.

use aws_lc_rs::rsa;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::Value;
use serde_json::json;

use crate::ocm::Invalid;
use crate::ocm::json;
use crate::ocm::jwks::Algorithm;
use crate::ocm::jwks::Jwk;

/// Longest text of a key, in bytes.
pub const KEY_BYTES_MAX: usize = 16 * 1024;

const PEM_BEGIN: &str = "-----BEGIN PUBLIC KEY-----";
const PEM_END: &str = "-----END PUBLIC KEY-----";
/// What stands before the 32 bytes of an Ed25519 key in a SubjectPublicKeyInfo (RFC 8410).
const ED25519_PREFIX: &[u8] = &[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
/// What stands before the two coordinates of a P-256 key, uncompressed (RFC 5480).
const P256_PREFIX: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
];

/// A public key that was obtained out of band, with the one algorithm it is for (DIR-1).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct PinnedKey(Jwk);

impl PinnedKey {
    /// Reads a JWK (RFC 7517) or a PEM block `PUBLIC KEY`: Ed25519, P-256, or RSA of 2048 to 4096 bits.
    ///
    /// # Errors
    ///
    /// For any other text, without repeating it: it may be a private key. Also for a key whose private half stands in a
    /// standard, as of the draft's example: anyone could sign with it (T-22).
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let text = text.trim();
        if text.len() > KEY_BYTES_MAX {
            return Err(invalid("This is too long to be a key."));
        }
        if text.contains("PRIVATE KEY") {
            return Err(invalid(
                "This is a private key. Pin the public one, and tell the owner.",
            ));
        }
        let mut jwk = if text.starts_with('{') {
            Value::Object(json::object(text.as_bytes()).map_err(|_| invalid("This is not the JSON of one JWK."))?)
        } else {
            from_pem(text)?
        };
        // The key is known by what it is; its id is a name that a document may or may not repeat.
        if jwk.get("kid").is_none() {
            jwk["kid"] = json!("pinned");
        }
        if jwk["kty"] == "RSA" && jwk.get("alg").is_none() {
            jwk["alg"] = json!("RS256");
        }
        let key = Jwk::from_value(&jwk).map_err(|why| invalid(why.why()))?;
        key.algorithm().map_err(|why| invalid(why.why()))?;
        if key.is_published_example() {
            return Err(invalid(
                "The private half of this key is printed in a standard; anyone can sign with it.",
            ));
        }
        Ok(Self(key))
    }

    /// Any key, also one that everybody can sign with.
    #[cfg(test)]
    pub(super) fn danger_example(jwk: Jwk) -> Self {
        Self(jwk)
    }

    /// How it is shown to people, and known here: RFC 7638 with SHA-256.
    pub fn fingerprint(&self) -> String {
        self.0.thumbprint()
    }

    /// The name of its algorithm in a JWS.
    pub(super) fn alg(&self) -> &'static str {
        match self.0.algorithm() {
            Ok(Algorithm::Ed25519) => "EdDSA",
            Ok(Algorithm::EcdsaP256Sha256) => "ES256",
            Ok(Algorithm::RsaV15Sha256) => "RS256",
            Err(_) => "nothing",
        }
    }

    /// Whether `alg` names the algorithm of this key. RFC 9864 has a second name for EdDSA with this curve.
    pub(super) fn fits(&self, alg: &str) -> bool {
        alg == self.alg() || (alg == "Ed25519" && self.alg() == "EdDSA")
    }

    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        self.0.verify(message, signature)
    }
}

impl TryFrom<String> for PinnedKey {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        Self::parse(&text)
    }
}

/// The JWK that says the same.
fn from_pem(text: &str) -> Result<Value, Invalid> {
    let body = text
        .strip_prefix(PEM_BEGIN)
        .and_then(|rest| rest.strip_suffix(PEM_END))
        .ok_or_else(|| invalid("This is neither a JWK, {\"kty\": ...}, nor one PEM block PUBLIC KEY."))?;
    let body: String = body.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let der = STANDARD
        .decode(body)
        .map_err(|_| invalid("The text between BEGIN and END is not base64."))?;
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    if let Some(x) = der.strip_prefix(ED25519_PREFIX) {
        return Ok(json!({"kty": "OKP", "crv": "Ed25519", "x": encode(x)}));
    }
    if let Some((x, y)) = der.strip_prefix(P256_PREFIX).and_then(|xy| xy.split_at_checked(32)) {
        return Ok(json!({"kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y)}));
    }
    let key = rsa::PublicKey::from_der(&der)
        .map_err(|_| invalid("We support keys of the types Ed25519, P-256 and RSA only."))?;
    Ok(json!({
        "kty": "RSA",
        "n": encode(key.modulus().big_endian_without_leading_zero()),
        "e": encode(key.exponent().big_endian_without_leading_zero()),
    }))
}

fn invalid(why: &str) -> Invalid {
    Invalid::new("key", why.to_owned())
}
