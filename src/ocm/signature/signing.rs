//! The one form of signature that we send.

use std::fmt;

use aws_lc_rs::signature::Ed25519KeyPair;
use aws_lc_rs::signature::KeyPair;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sfv::BareItem;
use sfv::InnerList;
use sfv::Integer;
use sfv::Item;
use sfv::Key;
use sfv::Parameters;
use sfv::key_ref;

use super::KEYID_MAX;
use super::OCM;
use super::Request;
use super::base;
use super::content_digest;
use crate::clock::Timestamp;
use crate::ocm::Invalid;
use crate::ocm::jwks::Jwk;

/// A key of this server that signs: Ed25519, with the id it is published under.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    kid: sfv::String,
}

impl SigningKey {
    /// # Errors
    ///
    /// For bytes that are no Ed25519 key in PKCS #8 (version 1 or 2), and for an id that cannot stand in a header.
    pub fn from_pkcs8(kid: &str, pkcs8: &[u8]) -> Result<Self, Invalid> {
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8)
            .map_err(|_| Invalid::new("key", "This is not an Ed25519 key in PKCS #8."))?;
        Self::new(kid, pair)
    }

    /// # Errors
    ///
    /// For an id that cannot stand in a header.
    pub fn from_seed(kid: &str, seed: &[u8; 32]) -> Result<Self, Invalid> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed)
            .map_err(|_| Invalid::new("key", "This is not the seed of an Ed25519 key."))?;
        Self::new(kid, pair)
    }

    fn new(kid: &str, pair: Ed25519KeyPair) -> Result<Self, Invalid> {
        if kid.is_empty() || kid.len() > KEYID_MAX {
            return Err(Invalid::new("kid", "A key's id has 1 to 512 characters."));
        }
        let kid = sfv::String::from_string(kid.to_owned())
            .map_err(|_| Invalid::new("kid", "A key's id consists of printable ASCII."))?;
        Ok(Self { pair, kid })
    }

    /// The public half, as it is published. The caller refuses to start with a key that
    /// [`Jwk::is_published_example`] (T-22).
    pub fn jwk(&self) -> Jwk {
        let mut public = [0; 32];
        public.copy_from_slice(self.pair.public_key().as_ref());
        Jwk::ed25519(self.kid(), &public)
    }

    pub fn kid(&self) -> &str {
        self.kid.as_str()
    }

    /// The 64 bytes of an Ed25519 signature.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(message).as_ref().to_vec()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("kid", &self.kid())
            .finish_non_exhaustive()
    }
}

/// Signs a request: the headers to send with it (SIG-1).
///
/// The signature carries both the label `ocm` and `tag="ocm"` and so satisfies both profiles. `cover_date` is false only
/// towards a server that wants profile -07 and has a proxy in front that rewrites `Date`; the header is sent all the
/// same. `target_uri` must be what goes over the wire; a fragment, which doesn't, is cut off.
pub fn sign(
    key: &SigningKey,
    method: &str,
    target_uri: &str,
    body: &[u8],
    created: Timestamp,
    cover_date: bool,
) -> Vec<(&'static str, String)> {
    let mut headers = vec![
        ("content-digest", content_digest(body)),
        ("content-length", body.len().to_string()),
        ("date", created.http_date()),
    ];
    let lines: Vec<_> = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone().into_bytes()))
        .collect();
    let request = Request {
        method,
        target_uri: target_uri.split('#').next().unwrap_or(target_uri),
        headers: &lines,
        body,
    };
    let input = signature_input(key, created, cover_date);
    let message =
        base::signature_base(&request, &input).expect("every component named in `signature_input` is in `request`");
    let signature = STANDARD.encode(key.sign(message.as_bytes()));
    headers.push(("signature-input", format!("{OCM}={}", base::inner_list(&input))));
    headers.push(("signature", format!("{OCM}=:{signature}:")));
    headers
}

fn signature_input(key: &SigningKey, created: Timestamp, cover_date: bool) -> InnerList {
    let text = |text: &'static str| BareItem::String(sfv::StringRef::constant(text).to_owned());
    let date = cover_date.then_some("date");
    let items = super::REQUIRED
        .into_iter()
        .chain(date)
        .map(|name| Item::new(text(name)));
    let created = Integer::try_from(created.0).unwrap_or(Integer::MAX);
    let parameters: [(Key, BareItem); 4] = [
        (key_ref("created").to_owned(), BareItem::Integer(created)),
        (key_ref("keyid").to_owned(), BareItem::String(key.kid.clone())),
        (key_ref("alg").to_owned(), text("ed25519")),
        (key_ref("tag").to_owned(), text(OCM)),
    ];
    InnerList::with_params(items.collect(), Parameters::from_iter(parameters))
}
