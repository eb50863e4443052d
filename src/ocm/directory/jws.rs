//! A JSON Web Signature (RFC 7515) in its three serialisations, checked with one key that is known beforehand.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Map;
use serde_json::Value;

use super::DOCUMENT_BYTES_MAX;
use super::key::PinnedKey;
use crate::ocm::Invalid;
use crate::ocm::json;

/// Most signatures on one document: the one that is pinned, and those of a change of keys.
const SIGNATURES_MAX: usize = 8;
/// Longest `alg`, in bytes.
const ALG_MAX: usize = 64;
/// What a header must not hold, wherever it stands: it would bring its own key, or change what is signed (T-47).
const FORBIDDEN: [&str; 6] = ["crit", "b64", "jwk", "jku", "x5u", "x5c"];

/// A signed text of which nothing has been checked.
pub(super) struct Jws {
    payload: String,
    signatures: Vec<Signature>,
}

struct Signature {
    protected: String,
    unprotected: Map<String, Value>,
    signature: String,
}

/// What the pinned key has signed.
pub(super) struct Verified {
    pub payload: Vec<u8>,
    pub header: Map<String, Value>,
    /// The very text under the signature.
    pub signed: String,
}

impl Jws {
    /// Reads the compact serialisation.
    pub(super) fn compact(text: &str) -> Result<Self, Invalid> {
        let mut parts = text.split('.');
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(protected), Some(payload), Some(signature), None) => Ok(Self {
                payload: payload.to_owned(),
                signatures: vec![Signature {
                    protected: protected.to_owned(),
                    unprotected: Map::new(),
                    signature: signature.to_owned(),
                }],
            }),
            _ => Err(Invalid::new("document", "This is neither JSON nor a compact JWS.")),
        }
    }

    /// Reads the flattened or the general serialisation.
    pub(super) fn json(document: &Map<String, Value>) -> Result<Self, Invalid> {
        let payload = part(document, "payload")?;
        let signatures = match document.get("signatures") {
            None => vec![Signature::read(document)?],
            // RFC 7515, section 7.2.2: no reader could tell which of the two counts.
            Some(_)
                if ["signature", "protected", "header"]
                    .iter()
                    .any(|name| document.contains_key(*name)) =>
            {
                return Err(Invalid::new(
                    "signatures",
                    "This is both a flattened and a general JWS.",
                ));
            }
            Some(Value::Array(list)) if (1..=SIGNATURES_MAX).contains(&list.len()) => list
                .iter()
                .map(|item| match item.as_object() {
                    Some(item) => Signature::read(item),
                    None => Err(Invalid::new("signatures", "A signature must be a JSON object.")),
                })
                .collect::<Result<_, _>>()?,
            Some(_) => {
                let why = format!("There must be one signature, and at most {SIGNATURES_MAX}.");
                return Err(Invalid::new("signatures", why));
            }
        };
        Ok(Self { payload, signatures })
    }

    /// What it says, whoever signed it.
    pub(super) fn danger_payload(&self) -> Result<Vec<u8>, Invalid> {
        decode("payload", &self.payload)
    }

    /// What it says, if one of its signatures is by `key`. Those by other keys count for nothing; but a header that asks
    /// for something to be done differently condemns the whole.
    pub(super) fn verify(&self, key: &PinnedKey) -> Result<Verified, Invalid> {
        let headers = self
            .signatures
            .iter()
            .map(Signature::header)
            .collect::<Result<Vec<_>, _>>()?;
        let mut refused = Invalid::new("signature", "There is none.");
        for (signature, header) in self.signatures.iter().zip(headers) {
            let signed = format!("{}.{}", signature.protected, self.payload);
            match signature.check(&header, &signed, key) {
                Ok(()) => {
                    let payload = decode("payload", &self.payload)?;
                    return Ok(Verified {
                        payload,
                        header,
                        signed,
                    });
                }
                Err(why) => refused = why,
            }
        }
        Err(refused)
    }
}

impl Signature {
    fn read(object: &Map<String, Value>) -> Result<Self, Invalid> {
        let unprotected = match object.get("header") {
            None => Map::new(),
            Some(Value::Object(header)) => header.clone(),
            Some(_) => return Err(Invalid::new("header", "This must be a JSON object.")),
        };
        Ok(Self {
            protected: part(object, "protected")?,
            signature: part(object, "signature")?,
            unprotected,
        })
    }

    /// The protected header, if both headers keep to what is allowed.
    fn header(&self) -> Result<Map<String, Value>, Invalid> {
        let header = json::object(&decode("protected", &self.protected)?)
            .map_err(|invalid| Invalid::new("protected", invalid.why()))?;
        for name in FORBIDDEN {
            if header.contains_key(name) || self.unprotected.contains_key(name) {
                return Err(Invalid::new("header", format!("A header with {name} is not accepted.")));
            }
        }
        if self.unprotected.contains_key("alg") {
            return Err(Invalid::new("header", "The alg stands outside of what is signed."));
        }
        // RFC 7515, section 4.
        if self.unprotected.keys().any(|name| header.contains_key(name)) {
            return Err(Invalid::new("header", "The same parameter stands in both headers."));
        }
        Ok(header)
    }

    /// The key says how a signature is checked, and the header may only agree (T-47).
    fn check(&self, header: &Map<String, Value>, signed: &str, key: &PinnedKey) -> Result<(), Invalid> {
        let alg = json::required_text(header, "alg", ALG_MAX)?;
        if !key.fits(&alg) {
            let why = format!("It is signed with {alg}; the pinned key is for {}.", key.alg());
            return Err(Invalid::new("alg", why));
        }
        if !key.verify(signed.as_bytes(), &decode("signature", &self.signature)?) {
            return Err(Invalid::new(
                "signature",
                "It is not by the pinned key, or something was changed.",
            ));
        }
        Ok(())
    }
}

/// One of the three texts that are encoded.
fn part(object: &Map<String, Value>, field: &str) -> Result<String, Invalid> {
    if object.get(field).is_some_and(Value::is_object) {
        // As in the draft's example (INC-23): the bytes that were signed can't be told from it.
        let why = "This is a JSON object; RFC 7515 wants base64url text, and nothing else can be verified.";
        return Err(Invalid::new(field, why));
    }
    json::required_text(object, field, DOCUMENT_BYTES_MAX)
}

fn decode(field: &str, text: &str) -> Result<Vec<u8>, Invalid> {
    URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_| Invalid::new(field, "This is not base64url without padding."))
}
