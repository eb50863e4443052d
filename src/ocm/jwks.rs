//! Public keys on the wire: what another server publishes, read leniently, and what we publish ourselves.

use aws_lc_rs::digest::SHA256;
use aws_lc_rs::digest::digest;
use aws_lc_rs::rsa::PublicKeyComponents;
use aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED;
use aws_lc_rs::signature::ED25519;
use aws_lc_rs::signature::RSA_PKCS1_2048_8192_SHA256;
use aws_lc_rs::signature::UnparsedPublicKey;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::Serialize;
use serde::Serializer;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::ocm::Invalid;
use crate::ocm::json;

/// Longest JWK Set we read, in bytes.
pub const SET_BYTES_MAX: usize = 64 * 1024;
/// Most keys in a JWK Set; a server has two or three.
pub const SET_KEYS_MAX: usize = 32;
/// Longest key id, in bytes.
const KID_MAX: usize = 512;

/// How a signature is made. There is no symmetric one, and no `none` (SIG-3a, T-18).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    Ed25519,
    EcdsaP256Sha256,
    RsaV15Sha256,
}

impl Algorithm {
    /// The name in the `alg` parameter of an HTTP Message Signature.
    pub fn http_name(self) -> &'static str {
        match self {
            Self::Ed25519 => "ed25519",
            Self::EcdsaP256Sha256 => "ecdsa-p256-sha256",
            Self::RsaV15Sha256 => "rsa-v1_5-sha256",
        }
    }
}

/// A public key that signatures can be checked with.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Value")]
pub struct Jwk {
    kid: String,
    alg: Option<String>,
    material: Material,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Material {
    Ed25519([u8; 32]),
    P256 {
        x: [u8; 32],
        y: [u8; 32],
    },
    /// The modulus, big-endian; the exponent is always 65537.
    Rsa(Vec<u8>),
}

impl Jwk {
    /// A key of our own.
    pub fn ed25519(kid: &str, public: &[u8; 32]) -> Self {
        Self {
            kid: kid.to_owned(),
            alg: Some("Ed25519".to_owned()),
            material: Material::Ed25519(*public),
        }
    }

    /// Reads one key of a set.
    ///
    /// # Errors
    ///
    /// With the reason to tell the other server's operator: an unknown type of key, a private key, a weak one, one that
    /// isn't for signatures.
    pub fn from_value(value: &Value) -> Result<Self, Invalid> {
        let key = value.as_object().ok_or_else(|| invalid("It is not an object."))?;
        if ["d", "p", "q", "dp", "dq", "qi", "k", "oth"]
            .iter()
            .any(|name| key.contains_key(*name))
        {
            return Err(invalid("It contains private parts; it must be replaced at once."));
        }
        if !matches!(key.get("use").and_then(Value::as_str), None | Some("sig")) {
            return Err(invalid("It is not for signatures."));
        }
        Ok(Self {
            kid: json::required_text(key, "kid", KID_MAX)?,
            alg: json::text(key, "alg", 64)?,
            material: Material::read(key)?,
        })
    }

    /// What signatures name in `keyid`, byte for byte.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The `alg` that the key was published with; servers that follow -05 may leave it out.
    pub fn alg(&self) -> Option<&str> {
        self.alg.as_deref()
    }

    /// The one algorithm this key is for: its type decides, and a published `alg` must agree (SIG-3a).
    pub fn algorithm(&self) -> Result<Algorithm, Invalid> {
        let unusable = || Err(invalid("Its alg does not fit its type, or we do not support it."));
        match (&self.material, self.alg()) {
            (Material::Ed25519(_), None | Some("Ed25519" | "EdDSA")) => Ok(Algorithm::Ed25519),
            (Material::P256 { .. }, None | Some("ES256")) => Ok(Algorithm::EcdsaP256Sha256),
            // An RSA key fits several algorithms, so here nothing may be guessed.
            (Material::Rsa(_), Some("RS256")) => Ok(Algorithm::RsaV15Sha256),
            _ => unusable(),
        }
    }

    /// Whether `signature` over `message` is by this key. ECDSA signatures are the plain 64 bytes, never DER.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        if self.algorithm().is_err() {
            return false;
        }
        let verified = match &self.material {
            Material::Ed25519(x) => UnparsedPublicKey::new(&ED25519, x).verify(message, signature),
            Material::P256 { x, y } => {
                let point = [&[4u8][..], x, y].concat();
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature)
            }
            Material::Rsa(n) => {
                let e: &[u8] = &[1, 0, 1];
                PublicKeyComponents { n: n.as_slice(), e }.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
            }
        };
        verified.is_ok()
    }

    /// The key's fingerprint: RFC 7638 with SHA-256, in base64url.
    pub fn thumbprint(&self) -> String {
        // Exactly these members, in alphabetical order, without white space; none needs escaping.
        let text = match &self.material {
            Material::Ed25519(x) => format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, encode(x)),
            Material::P256 { x, y } => {
                format!(
                    r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#,
                    encode(x),
                    encode(y)
                )
            }
            Material::Rsa(n) => return rsa_thumbprint(n),
        };
        encode(digest(&SHA256, text.as_bytes()).as_ref())
    }

    /// Whether the private half is printed in a standard, so that anyone can sign with it (T-22).
    pub fn is_published_example(&self) -> bool {
        is_published_example(&self.thumbprint())
    }

    fn to_value(&self) -> Value {
        let mut value = match &self.material {
            Material::Ed25519(x) => json!({"kty": "OKP", "crv": "Ed25519", "x": encode(x)}),
            Material::P256 { x, y } => json!({"kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y)}),
            Material::Rsa(n) => json!({"kty": "RSA", "n": encode(n), "e": "AQAB"}),
        };
        value["kid"] = json!(self.kid);
        if let Some(alg) = &self.alg {
            value["alg"] = json!(alg);
        }
        value["use"] = json!("sig");
        value
    }
}

impl TryFrom<Value> for Jwk {
    type Error = Invalid;

    fn try_from(value: Value) -> Result<Self, Invalid> {
        Self::from_value(&value)
    }
}

impl Serialize for Jwk {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_value().serialize(serializer)
    }
}

impl Material {
    fn read(key: &Map<String, Value>) -> Result<Self, Invalid> {
        let name = |field: &str| key.get(field).and_then(Value::as_str);
        match (name("kty"), name("crv")) {
            (Some("OKP"), Some("Ed25519")) => {
                let x = coordinate(key, "x")?;
                if is_small_order(&x) {
                    return Err(invalid("It is a point that makes any signature valid."));
                }
                Ok(Self::Ed25519(x))
            }
            (Some("EC"), Some("P-256")) => Ok(Self::P256 {
                x: coordinate(key, "x")?,
                y: coordinate(key, "y")?,
            }),
            (Some("RSA"), _) => {
                let n = decode(key, "n")?;
                let bits = n.len() * 8 - n.first().map_or(0, |first| first.leading_zeros() as usize);
                if n.first() == Some(&0) || !(2048..=4096).contains(&bits) {
                    return Err(invalid("An RSA key must have 2048 to 4096 bits."));
                }
                if decode(key, "e")? != [1, 0, 1] {
                    return Err(invalid("The exponent of an RSA key must be 65537."));
                }
                Ok(Self::Rsa(n))
            }
            _ => Err(invalid("We do not support this type of key.")),
        }
    }
}

/// The public keys of one server (RFC 7517). Each key id stands for one key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JwkSet {
    pub keys: Vec<Jwk>,
}

/// A published key that cannot be used, and why: for the operator of the server that publishes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedKey {
    /// The key's id, where it has one that can be shown.
    pub kid: String,
    pub why: String,
}

impl JwkSet {
    /// Reads a set, leaving out every key that cannot be used: see [`Self::parse_noting`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Invalid> {
        Self::parse_noting(bytes).map(|(set, _)| set)
    }

    /// Reads a set, and notes which keys were left out. A key id that stands twice is left out both times: which key it
    /// means would be up to the reader.
    ///
    /// # Errors
    ///
    /// Only where there is no set at all, or one beyond [`SET_BYTES_MAX`] or [`SET_KEYS_MAX`].
    pub fn parse_noting(bytes: &[u8]) -> Result<(Self, Vec<RefusedKey>), Invalid> {
        if bytes.len() > SET_BYTES_MAX {
            return Err(Invalid::new("keys", "The set of keys is too large."));
        }
        let body = json::object(bytes)?;
        let items = body
            .get("keys")
            .and_then(Value::as_array)
            .ok_or_else(|| Invalid::required("keys"))?;
        if items.len() > SET_KEYS_MAX {
            return Err(Invalid::new("keys", "There are too many keys."));
        }
        let kid_of = |item: &Value| item["kid"].as_str().map(str::to_owned);
        let mut set = Self::default();
        let mut refused = Vec::new();
        for item in items {
            let kid = kid_of(item);
            let twice = kid.is_some() && items.iter().filter(|other| kid_of(other) == kid).count() > 1;
            let key = if twice {
                Err(invalid("Its kid is not unique."))
            } else {
                Jwk::from_value(item)
            };
            match key {
                Ok(key) => set.keys.push(key),
                Err(why) => refused.push(RefusedKey {
                    kid: json::plain("kid", &kid.unwrap_or_default(), KID_MAX).unwrap_or_default(),
                    why: why.why().to_owned(),
                }),
            }
        }
        Ok((set, refused))
    }

    /// Id and thumbprint of each key, for people to compare.
    pub fn thumbprints(&self) -> Vec<(String, String)> {
        let both = |key: &Jwk| (key.kid.clone(), key.thumbprint());
        self.keys.iter().map(both).collect()
    }

    /// The key with exactly this id, even one that everybody knows the private half of.
    pub fn find(&self, kid: &str) -> Option<&Jwk> {
        self.keys.iter().find(|key| key.kid == kid)
    }

    /// The key with exactly this id, unless its private half is printed in a standard (T-22).
    pub fn find_trusted(&self, kid: &str) -> Option<&Jwk> {
        self.find(kid).filter(|key| !key.is_published_example())
    }
}

/// Thumbprints of keys whose private half stands in a standard or draft (T-22).
const PUBLISHED_EXAMPLES: &[&str] = &[
    "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k", // RFC 8032 7.1 TEST 1, RFC 8037 A.1, draft -05 Appendix B
    "FtIu-VbGrfe_KB6CH7GNwODB72MNxj_ml11dEvO-7kk", // RFC 8032 7.1 TEST 2
    "FVV5umTuau890q59V-4Ga_R6qWb7ON_ivJc4EjvCwTM", // RFC 8032 7.1 TEST 3
    "lZI1vM7tnlYapaF5-cy86ptx0tT_8Av721hhiNB5ti4", // RFC 8032 7.1 TEST 1024
    "poqkLGiymh_W0uP6PZFw-dvez3QJT5SolqXBCW38r0U", // RFC 9421 B.1.4
    "feZfYwDyvIXaes0EOgkZbWE3-1J18vahLk0DMSkrUYE", // draft -07 Appendix B
    "ydQXMtvbsOsZyFir-Y7A8t7fKEM1gbKPvyFkdpu4fvI", // RFC 9421 B.1.3
    "oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U", // RFC 7515 A.3
    "cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-s", // RFC 7517 A.2
    "BHj8s0GPnMEQtkaULIM-PLgEhLBbuGUQ1vMxmBWZzEo", // RFC 9421 B.1.1
    "oD0HwocPBSfpNy5W3bpJeyFGY_IQ_YpqxSjQ3Yd-CLA", // RFC 9421 B.1.2
    "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs", // RFC 7517 A.2, RFC 7638 3.1
];

/// Whether the key with this fingerprint has a private half that everybody knows (T-22).
pub(crate) fn is_published_example(thumbprint: &str) -> bool {
    PUBLISHED_EXAMPLES.contains(&thumbprint)
}

/// The fingerprint of the RSA key with this modulus and the exponent 65537; see [`Jwk::thumbprint`].
pub(crate) fn rsa_thumbprint(n: &[u8]) -> String {
    let text = format!(r#"{{"e":"AQAB","kty":"RSA","n":"{}"}}"#, encode(n));
    encode(digest(&SHA256, text.as_bytes()).as_ref())
}

/// The eight points of small order on Curve25519's Edwards form, by their y coordinate (little-endian, without the sign
/// bit), and the two encodings of those whose y isn't reduced.
const SMALL_ORDER: [[u8; 32]; 7] = {
    const fn with(first: u8, middle: u8, last: u8) -> [u8; 32] {
        let mut y = [middle; 32];
        y[0] = first;
        y[31] = last;
        y
    }
    [
        with(0x00, 0x00, 0x00),
        with(0x01, 0x00, 0x00),
        with(0xec, 0xff, 0x7f),
        with(0xed, 0xff, 0x7f),
        with(0xee, 0xff, 0x7f),
        [
            0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf,
            0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
        ],
        [
            0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20,
            0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
        ],
    ]
};

fn is_small_order(point: &[u8; 32]) -> bool {
    let mut y = *point;
    y[31] &= 0x7f;
    SMALL_ORDER.contains(&y)
}

fn invalid(why: &str) -> Invalid {
    Invalid::new("keys", why)
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn decode(key: &Map<String, Value>, field: &str) -> Result<Vec<u8>, Invalid> {
    let text = json::required_text(key, field, 1024)?;
    URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|_| Invalid::new(field, "This is not base64url without padding."))
}

fn coordinate(key: &Map<String, Value>, field: &str) -> Result<[u8; 32], Invalid> {
    decode(key, field)?
        .try_into()
        .map_err(|_| Invalid::new(field, "This is not 32 bytes long."))
}

#[cfg(test)]
mod tests;
