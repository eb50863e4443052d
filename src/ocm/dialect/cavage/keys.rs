//! RSA keys: another server's public one from its discovery document, and our own.

use std::fmt;

use aws_lc_rs::digest::SHA512;
use aws_lc_rs::digest::digest;
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::encoding::Pkcs8V1Der;
use aws_lc_rs::encoding::PublicKeyX509Der;
use aws_lc_rs::rsa::KeyPair as RsaKeyPair;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::rsa::PublicKey;
use aws_lc_rs::signature::KeyPair;
use aws_lc_rs::signature::RSA_PKCS1_2048_8192_SHA256;
use aws_lc_rs::signature::RSA_PKCS1_2048_8192_SHA512;
use aws_lc_rs::signature::RSA_PKCS1_SHA512;
use aws_lc_rs::signature::UnparsedPublicKey;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::Serialize;
use serde::Serializer;
use serde_json::Value;
use serde_json::json;

use super::Hash;
use crate::ocm::Invalid;
use crate::ocm::json;
use crate::ocm::jwks;
use crate::ocm::signature;
use crate::ocm::signature::KEYID_MAX;

/// Longest PEM text, in bytes; that of an 8192-bit key has 1500.
const PEM_MAX: usize = 4 * 1024;
/// Characters on a line of PEM (RFC 7468).
const PEM_LINE: usize = 64;

/// The public key of another server, as `publicKey` of its discovery document has it: RSA, 2048 to 8192 bits.
///
/// A published example key (T-22) can be read, so that it can be told apart; whoever trusts a key asks
/// [`Self::is_published_example`] first.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Value")]
pub struct PublicKeyPem {
    key_id: String,
    /// `RSAPublicKey` of RFC 8017, in DER.
    der: Vec<u8>,
    modulus: Vec<u8>,
}

impl PublicKeyPem {
    /// # Errors
    ///
    /// With the reason to tell the other server's operator: no PEM, no RSA key, one that is too short.
    pub fn read(key_id: &str, pem: &str) -> Result<Self, Invalid> {
        let key_id = checked_key_id(key_id)?;
        let key = PublicKey::from_der(&der_of(pem)?).map_err(|_| invalid("This is not an RSA public key."))?;
        let modulus = key.modulus().big_endian_without_leading_zero().to_vec();
        let bits = modulus.len() * 8 - modulus.first().map_or(0, |first| first.leading_zeros() as usize);
        if !(2048..=8192).contains(&bits) {
            return Err(invalid("An RSA key must have 2048 to 8192 bits."));
        }
        if key.exponent().big_endian_without_leading_zero() != [1, 0, 1] {
            return Err(invalid("The exponent of an RSA key must be 65537."));
        }
        Ok(Self {
            key_id,
            der: key.as_ref().to_vec(),
            modulus,
        })
    }

    /// Reads `{"keyId": ..., "publicKeyPem": ...}`; anything else in its place means that there is no key.
    pub fn from_value(value: &Value) -> Result<Self, Invalid> {
        let object = value
            .as_object()
            .ok_or_else(|| Invalid::new("publicKey", "It is not an object."))?;
        let key_id = json::required_text(object, "keyId", KEYID_MAX)?;
        // Its lines end with line feeds, which no other text of the protocol may hold.
        match object.get("publicKeyPem").and_then(Value::as_str) {
            Some(pem) => Self::read(&key_id, pem),
            None => Err(Invalid::required("publicKeyPem")),
        }
    }

    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The key's fingerprint: RFC 7638 with SHA-256, in base64url.
    pub fn thumbprint(&self) -> String {
        jwks::rsa_thumbprint(&self.modulus)
    }

    /// Whether the private half is printed in a standard, so that anyone can sign with it (T-22).
    pub fn is_published_example(&self) -> bool {
        jwks::is_published_example(&self.thumbprint())
    }

    /// Whether `signature` over `message` is by this key, with the padding of PKCS #1 v1.5.
    pub(super) fn verify(&self, hash: Hash, message: &[u8], signature: &[u8]) -> bool {
        let algorithm = match hash {
            Hash::Sha256 => &RSA_PKCS1_2048_8192_SHA256,
            Hash::Sha512 => &RSA_PKCS1_2048_8192_SHA512,
        };
        UnparsedPublicKey::new(algorithm, &self.der)
            .verify(message, signature)
            .is_ok()
    }

    /// SPKI in PEM: lines of 64 characters, a line feed after the last.
    pub fn pem(&self) -> String {
        let spki: PublicKeyX509Der<'_> = PublicKey::from_der(&self.der)
            .and_then(|key| key.as_der().map_err(Into::into))
            .expect("the key was read from DER");
        let text = STANDARD.encode(spki.as_ref());
        let mut pem = String::from("-----BEGIN PUBLIC KEY-----\n");
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let (line, more) = rest.split_at(rest.len().min(PEM_LINE));
            pem.push_str(line);
            pem.push('\n');
            rest = more;
        }
        pem.push_str("-----END PUBLIC KEY-----\n");
        pem
    }
}

impl TryFrom<Value> for PublicKeyPem {
    type Error = Invalid;

    fn try_from(value: Value) -> Result<Self, Invalid> {
        Self::from_value(&value)
    }
}

/// Written as it stands in a discovery document.
impl Serialize for PublicKeyPem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        json!({"keyId": self.key_id, "publicKeyPem": self.pem()}).serialize(serializer)
    }
}

/// The RSA key that this server signs with towards servers that know nothing newer.
pub struct RsaSigningKey {
    key_id: String,
    pair: RsaKeyPair,
}

impl RsaSigningKey {
    /// Makes a key of 2048 bits, the size that Nextcloud uses. This takes a good part of a second, and is the one place
    /// in the protocol's code that draws random numbers.
    ///
    /// `key_id` is `https://<authority>/ocm#<name>`: the authority that stands in our OCM Addresses and serves our
    /// discovery document, or Nextcloud refuses what is signed.
    ///
    /// # Errors
    ///
    /// For an id that names no server or cannot stand in a header.
    pub fn generate(key_id: &str) -> Result<Self, Invalid> {
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).map_err(|_| invalid("No RSA key could be made."))?;
        Self::new(key_id, pair)
    }

    /// # Errors
    ///
    /// For bytes that are no RSA key of 2048 bits or more in PKCS #8, and for an id as [`Self::generate`] refuses it.
    pub fn from_pkcs8(key_id: &str, pkcs8: &[u8]) -> Result<Self, Invalid> {
        let pair = RsaKeyPair::from_pkcs8(pkcs8).map_err(|_| invalid("This is not an RSA key in PKCS #8."))?;
        Self::new(key_id, pair)
    }

    fn new(key_id: &str, pair: RsaKeyPair) -> Result<Self, Invalid> {
        let key = Self {
            key_id: checked_key_id(key_id)?,
            pair,
        };
        // What others would refuse is refused here, before anything is signed with it.
        PublicKeyPem::read(&key.key_id, &key.public().pem())?;
        Ok(key)
    }

    /// The key as it is kept: PKCS #8, DER. Secret.
    pub fn to_pkcs8(&self) -> Vec<u8> {
        let der: Pkcs8V1Der<'_> = self.pair.as_der().expect("a key that can sign can be written");
        der.as_ref().to_vec()
    }

    pub fn key_id(&self) -> &str {
        &self.key_id
    }

    /// The public half, as it is published. The caller refuses to start with one that
    /// [`PublicKeyPem::is_published_example`] (T-22).
    pub fn public(&self) -> PublicKeyPem {
        let key = self.pair.public_key();
        PublicKeyPem {
            key_id: self.key_id.clone(),
            der: key.as_ref().to_vec(),
            modulus: key.modulus().big_endian_without_leading_zero().to_vec(),
        }
    }

    /// The public half in PEM.
    pub fn public_pem(&self) -> String {
        self.public().pem()
    }

    /// The signature that is called `rsa-sha512`: PKCS #1 v1.5, the same each time.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair
            .sign_digest(&RSA_PKCS1_SHA512, &digest(&SHA512, message), &mut signature)
            .expect("a key of 2048 bits or more signs any digest");
        signature
    }
}

impl fmt::Debug for RsaSigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RsaSigningKey")
            .field("key_id", &self.key_id)
            .finish_non_exhaustive()
    }
}

/// An id that names a server, and can stand between quotes in a header.
fn checked_key_id(key_id: &str) -> Result<String, Invalid> {
    let plain = |byte: u8| matches!(byte, b'!'..=b'~') && !matches!(byte, b'"' | b'\\');
    if key_id.len() > KEYID_MAX || !key_id.bytes().all(plain) || signature::server_of(key_id).is_err() {
        return Err(Invalid::new("keyId", "A key's id is a URL on its server."));
    }
    Ok(key_id.to_owned())
}

/// What stands between the first and the last line of a PEM text, SPKI or PKCS #1.
fn der_of(pem: &str) -> Result<Vec<u8>, Invalid> {
    let not_pem = || invalid("This is not a public key in PEM.");
    if pem.len() > PEM_MAX {
        return Err(invalid("This key is too long."));
    }
    let inside = ["PUBLIC KEY", "RSA PUBLIC KEY"].into_iter().find_map(|kind| {
        pem.trim()
            .strip_prefix(&format!("-----BEGIN {kind}-----"))?
            .strip_suffix(&format!("-----END {kind}-----"))
    });
    let text: String = inside.ok_or_else(not_pem)?.split_ascii_whitespace().collect();
    STANDARD.decode(text).map_err(|_| not_pem())
}

fn invalid(why: &str) -> Invalid {
    Invalid::new("publicKeyPem", why)
}
