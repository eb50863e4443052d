//! The tokens that this server gives out for shares: JWTs as RFC 9068 has them (IP-34 to IP-38).
//!
//! Receivers take them as opaque. A token says what it was given for; whether the share is still there is looked up each
//! time, so that revoking needs no list of tokens.

use std::error::Error;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::Serialize;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::clock::Timestamp;
use crate::ocm::json;
use crate::ocm::jwks::Algorithm;
use crate::ocm::jwks::Jwk;
use crate::ocm::signature::SigningKey;
use crate::secret::Secret;

/// Longest token, in bytes.
const TOKEN_MAX: usize = 4 * 1024;
/// The type of token that stands in the header (RFC 9068, section 2.1).
const TYPE: &str = "at+jwt";

/// What a token says (IP-35).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The Sending Server, which gave it out: scheme and authority.
    pub iss: String,
    /// The owner's identifier here.
    pub sub: String,
    /// Whom the share is for: an OCM Address.
    pub aud: String,
    /// The share's `providerId` (IP-36).
    pub client_id: String,
    pub iat: Timestamp,
    pub exp: Timestamp,
    /// Different for each token.
    pub jti: String,
}

/// Makes a token.
pub fn issue(key: &SigningKey, claims: &Claims) -> Secret {
    let header = json!({"typ": TYPE, "alg": "EdDSA", "kid": key.kid()});
    let claims = json!(claims);
    let signed = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
    let signature = encode(key.sign(signed.as_bytes()));
    Secret::new(format!("{signed}.{signature}"))
}

/// Reads a token that one of `keys` of the server `iss` has made, if it is still good.
///
/// Only Ed25519 counts, and only under the type of access tokens: a JWT made for something else opens nothing (T-18).
pub fn verify(token: &str, keys: &[Jwk], iss: &str, now: Timestamp) -> Result<Claims, TokenRefusal> {
    if token.len() > TOKEN_MAX {
        return Err(TokenRefusal::Malformed);
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(TokenRefusal::Malformed)?;
    let (header, claims) = signed.split_once('.').ok_or(TokenRefusal::Malformed)?;
    let header = object(header)?;
    let text = |name: &str| header.get(name).and_then(Value::as_str).unwrap_or_default();
    // `crit` names extensions that must be understood; we know none.
    if header.contains_key("crit") || !text("typ").eq_ignore_ascii_case(TYPE) {
        return Err(TokenRefusal::WrongType);
    }
    if !matches!(text("alg"), "EdDSA" | "Ed25519") {
        return Err(TokenRefusal::WrongType);
    }
    let key = keys
        .iter()
        .find(|key| key.kid() == text("kid") && key.algorithm() == Ok(Algorithm::Ed25519))
        .ok_or(TokenRefusal::UnknownKey)?;
    if !key.verify(signed.as_bytes(), &decode(signature)?) {
        return Err(TokenRefusal::WrongSignature);
    }
    let claims: Claims = serde_json::from_value(Value::Object(object(claims)?)).map_err(|_| TokenRefusal::Malformed)?;
    if claims.iss != iss {
        return Err(TokenRefusal::WrongIssuer);
    }
    if claims.exp <= now {
        return Err(TokenRefusal::Expired);
    }
    Ok(claims)
}

/// Why a token opens nothing. For our own log: towards whoever shows it all of them are one answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenRefusal {
    Malformed,
    /// Another kind of token, or another algorithm.
    WrongType,
    UnknownKey,
    WrongSignature,
    WrongIssuer,
    Expired,
}

impl TokenRefusal {
    /// The word for it in the log.
    pub fn code(self) -> &'static str {
        match self {
            Self::Malformed => "token-malformed",
            Self::WrongType => "token-wrong-type",
            Self::UnknownKey => "token-unknown-key",
            Self::WrongSignature => "token-wrong-signature",
            Self::WrongIssuer => "token-wrong-issuer",
            Self::Expired => "token-expired",
        }
    }
}

impl fmt::Display for TokenRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl Error for TokenRefusal {}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn decode(text: &str) -> Result<Vec<u8>, TokenRefusal> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| TokenRefusal::Malformed)
}

fn object(part: &str) -> Result<Map<String, Value>, TokenRefusal> {
    json::object(&decode(part)?).map_err(|_| TokenRefusal::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISS: &str = "https://sender.example.org";
    const KID: &str = "https://sender.example.org/ocm#1";
    const NOW: Timestamp = Timestamp(1_785_060_500);

    fn key(kid: &str) -> SigningKey {
        SigningKey::from_seed(kid, &[7; 32]).unwrap()
    }

    fn claims() -> Claims {
        Claims {
            iss: ISS.to_owned(),
            sub: "einstein".to_owned(),
            aud: "marie@receiver.example.org".to_owned(),
            client_id: "4711".to_owned(),
            iat: NOW,
            exp: Timestamp(NOW.0 + 300),
            jti: "x7".to_owned(),
        }
    }

    fn check(token: &str, expected: Result<Claims, TokenRefusal>) {
        assert_eq!(verify(token, &[key(KID).jwk()], ISS, NOW), expected, "{token}");
    }

    /// A token with this header and these claims, correctly signed.
    fn forge(header: &Value, claims: &Value) -> String {
        let signed = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
        format!("{signed}.{}", encode(key(KID).sign(signed.as_bytes())))
    }

    fn header() -> Value {
        json!({"typ": "at+jwt", "alg": "EdDSA", "kid": KID})
    }

    #[test]
    fn ip_34_a_token_is_read_back_until_it_expires() {
        let token = issue(&key(KID), &claims());
        check(token.expose(), Ok(claims()));
        let keys = [key("older").jwk(), key(KID).jwk()];
        let at = |now: i64| verify(token.expose(), &keys, ISS, Timestamp(now));
        assert!(at(NOW.0 + 299).is_ok());
        assert_eq!(at(NOW.0 + 300), Err(TokenRefusal::Expired));
        assert_eq!(verify(token.expose(), &[], ISS, NOW), Err(TokenRefusal::UnknownKey));
        assert_eq!(
            verify(token.expose(), &keys, "https://other.example.org", NOW),
            Err(TokenRefusal::WrongIssuer)
        );
    }

    #[test]
    fn ip_35_the_parts_of_a_token_are_those_of_rfc_9068() {
        let token = issue(&key(KID), &claims());
        let parts: Vec<_> = token.expose().split('.').collect();
        assert_eq!(Value::Object(object(parts[0]).unwrap()), header());
        let expected = json!({"iss": ISS, "sub": "einstein", "aud": "marie@receiver.example.org", "client_id": "4711",
            "iat": 1_785_060_500, "exp": 1_785_060_800, "jti": "x7"});
        assert_eq!(Value::Object(object(parts[1]).unwrap()), expected);
        assert_eq!(parts.len(), 3);
    }

    #[test]
    fn t18_the_header_cannot_choose_what_is_checked() {
        let good = json!(claims());
        check(&forge(&header(), &good), Ok(claims()));
        for (member, value, expected) in [
            ("alg", json!("none"), TokenRefusal::WrongType),
            ("alg", json!("HS256"), TokenRefusal::WrongType),
            ("alg", json!("ES256"), TokenRefusal::WrongType),
            ("alg", Value::Null, TokenRefusal::WrongType),
            ("typ", json!("JWT"), TokenRefusal::WrongType),
            ("typ", Value::Null, TokenRefusal::WrongType),
            ("crit", json!(["exp"]), TokenRefusal::WrongType),
            ("kid", json!("other"), TokenRefusal::UnknownKey),
            ("kid", Value::Null, TokenRefusal::UnknownKey),
        ] {
            let mut header = header();
            header[member] = value;
            check(&forge(&header, &good), Err(expected));
        }
        let mut jwk = header();
        jwk["jwk"] = json!(key("evil").jwk());
        check(&forge(&jwk, &good), Ok(claims()));
        let unsigned = format!(
            "{}.{}.",
            encode(json!({"typ": "at+jwt", "alg": "none"}).to_string()),
            encode("{}")
        );
        check(&unsigned, Err(TokenRefusal::WrongType));
    }

    #[test]
    fn a_token_that_was_tampered_with_is_refused() {
        let token = issue(&key(KID), &claims());
        let parts: Vec<_> = token.expose().split('.').collect();
        let mut other = claims();
        other.client_id = "4712".to_owned();
        let swapped = format!("{}.{}.{}", parts[0], encode(json!(other).to_string()), parts[2]);
        check(&swapped, Err(TokenRefusal::WrongSignature));
        let stranger = issue(&SigningKey::from_seed(KID, &[8; 32]).unwrap(), &claims());
        check(stranger.expose(), Err(TokenRefusal::WrongSignature));
        let short = format!("{}.{}.{}", parts[0], parts[1], &parts[2][..84]);
        check(&short, Err(TokenRefusal::WrongSignature));
    }

    #[test]
    fn a_text_that_is_no_token_is_refused() {
        let good = issue(&key(KID), &claims());
        for text in [
            "",
            ".",
            "..",
            "a.b",
            "a.b.c",
            "e30.e30.",
            &format!("{}=", good.expose()),
            &format!(" {}", good.expose()),
            &format!("{}.x", good.expose()),
            &"x".repeat(5000),
        ] {
            assert!(verify(text, &[key(KID).jwk()], ISS, NOW).is_err(), "{text:.60}");
        }
        for member in ["iss", "sub", "aud", "client_id", "iat", "exp", "jti"] {
            let mut claims = json!(claims());
            claims[member] = json!({"x": 1});
            check(&forge(&header(), &claims), Err(TokenRefusal::Malformed));
            claims.as_object_mut().unwrap().remove(member);
            check(&forge(&header(), &claims), Err(TokenRefusal::Malformed));
        }
        let twice = format!("{}.{}", encode(header().to_string()), encode(r#"{"exp":1,"exp":2}"#));
        let twice = format!("{twice}.{}", encode(key(KID).sign(twice.as_bytes())));
        check(&twice, Err(TokenRefusal::Malformed));
    }
}
