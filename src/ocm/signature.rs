//! HTTP Message Signatures as OCM uses them: who sent a request, and that it arrived as it was sent.
//!
//! Two profiles are in the field (see [`Profile`]); what we send satisfies both, and what we receive may follow either.
//! Reading and checking are two steps, because the key is fetched between them: [`Unverified::read`] says which server
//! signed, so that policy can refuse it before anything is fetched; [`Unverified::check`] needs the key.

mod base;
mod digest;
mod error;
mod signing;

use std::time::Duration;
use std::time::UNIX_EPOCH;

use aws_lc_rs::digest::SHA256;
use aws_lc_rs::digest::digest;
use sfv::BareItem;
use sfv::InnerList;
use sfv::ListEntry;

use crate::clock::Timestamp;
use crate::ocm::address::Provider;
use crate::ocm::jwks::Jwk;

pub(crate) use base::field;
pub use digest::check_digest;
pub use digest::content_digest;
pub use error::SignatureError;
pub use signing::SigningKey;
pub use signing::sign;

/// What every OCM signature must cover (SIG-3); profile -05 wants `date` as well.
const REQUIRED: [&str; 4] = ["@method", "@target-uri", "content-digest", "content-length"];
/// The label and the tag that mark a signature as the one that counts.
const OCM: &str = "ocm";
/// Longest key id, in bytes.
pub(crate) const KEYID_MAX: usize = 512;
/// How far `Date` and `created` may lie apart, in seconds.
const DATE_DRIFT_MAX: u64 = 300;

/// A request as it arrived: what signatures are computed from.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// As sent, upper case.
    pub method: &'a str,
    /// The absolute URL that the sender meant: our public origin, then path and query as they came. Never built from
    /// the `Host` header (T-23).
    pub target_uri: &'a str,
    /// The header lines in order, names in lower case, repeated ones kept.
    pub headers: &'a [(String, Vec<u8>)],
    /// The bytes that will be parsed (T-14).
    pub body: &'a [u8],
}

/// The two ways to mark and make an OCM signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// The label `ocm`; `date` is covered.
    Draft05,
    /// The parameter `tag="ocm"` under any label; the key names its algorithm.
    Draft07,
}

/// How old a signature may be, and how far ahead the other server's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    pub max_age: Duration,
    pub skew: Duration,
}

impl Window {
    /// Whether what was made at these times, and holds until `expires`, lies in the window at `now`.
    pub(in crate::ocm) fn check(
        &self,
        made: &[Timestamp],
        expires: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<(), SignatureError> {
        if made.iter().any(|made| *made > now.plus(self.skew)) {
            return Err(SignatureError::CreatedInFuture);
        }
        if made.iter().any(|made| *made < now.minus(self.max_age)) {
            return Err(SignatureError::CreatedTooOld);
        }
        match expires {
            Some(expires) if expires < now => Err(SignatureError::Expired),
            _ => Ok(()),
        }
    }
}

impl Default for Window {
    fn default() -> Self {
        Self {
            max_age: Duration::from_secs(300),
            skew: Duration::from_secs(60),
        }
    }
}

/// The OCM signature of a request, before its key is known.
#[derive(Clone, Debug)]
pub struct Unverified {
    profile: Profile,
    keyid: String,
    created: Timestamp,
    expires: Option<Timestamp>,
    alg: Option<String>,
    /// The covered components and the parameters, in the order received.
    input: InnerList,
    signature: Vec<u8>,
}

/// Proof that the server `signer` sent this request. Whether it may is another question, and so is whether it is the
/// server that the body speaks of (SIG-6, T-12).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    pub signer: Provider,
    pub keyid: String,
    pub profile: Profile,
    /// The same for each copy of the request (SIG-6, T-11).
    pub replay_id: [u8; 32],
    pub created: Timestamp,
    _proof: Checked,
}

/// Made only by [`Unverified::check`], so that nothing else can make a [`Verified`].
#[derive(Clone, Debug, PartialEq, Eq)]
struct Checked;

impl Unverified {
    /// Finds the OCM signature (SIG-2) and checks its form; `None` where the request has none.
    ///
    /// A member with `tag="ocm"` is it; without any, the member labelled `ocm`. Other signatures, such as those that a
    /// proxy adds, are left alone.
    ///
    /// # Errors
    ///
    /// For a signature that is there and can't be valid, whatever the key; such a request is never taken for unsigned.
    pub fn read(request: &Request<'_>) -> Result<Option<Self>, SignatureError> {
        let Some(inputs) = base::dictionary(request, "signature-input")? else {
            return match base::dictionary(request, "signature") {
                Ok(Some(signatures)) if signatures.contains_key(OCM) => Err(SignatureError::Unpaired),
                Err(error @ SignatureError::DuplicateLabel(_)) => Err(error),
                // The older draft-cavage form has the same header name, but is no dictionary; to us it is no signature.
                _ => Ok(None),
            };
        };
        let signatures = base::dictionary(request, "signature")?.unwrap_or_default();
        let tagged: Vec<_> = inputs.iter().filter(|(_, member)| has_ocm_tag(member)).collect();
        let (label, member, profile) = match (tagged.as_slice(), inputs.get_key_value(OCM)) {
            ([(label, member)], _) => (*label, *member, Profile::Draft07),
            ([], Some((label, member))) => (label, member, Profile::Draft05),
            ([], None) if signatures.contains_key(OCM) => return Err(SignatureError::Unpaired),
            ([], None) => return Ok(None),
            _ => return Err(SignatureError::Several),
        };
        let ListEntry::InnerList(input) = member else {
            return Err(SignatureError::HeaderUnreadable("signature-input"));
        };
        let Some(signature) = signatures.get(label) else {
            return Err(SignatureError::Unpaired);
        };
        check_covered(input, profile)?;
        let created = integer(input, "created")?.ok_or(SignatureError::CreatedMissing)?;
        let keyid = string(input, "keyid")?.ok_or(SignatureError::KeyidMissing)?;
        if keyid.len() > KEYID_MAX {
            return Err(SignatureError::ParameterInvalid("keyid"));
        }
        Ok(Some(Self {
            profile,
            keyid,
            created,
            expires: integer(input, "expires")?,
            alg: string(input, "alg")?,
            input: input.clone(),
            signature: signature_bytes(signature)?,
        }))
    }

    /// The key's id, to be found byte for byte in the key set of [`Self::signer`].
    pub fn keyid(&self) -> &str {
        &self.keyid
    }

    /// The server that the key id belongs to, in `https://host/ocm#key` as in `host#key` (INC-29).
    pub fn signer(&self) -> Result<Provider, SignatureError> {
        server_of(&self.keyid)
    }

    pub fn created(&self) -> Timestamp {
        self.created
    }

    pub fn profile(&self) -> Profile {
        self.profile
    }

    /// Names this very signature, to recognise it when it comes again (T-11).
    pub fn replay_id(&self) -> [u8; 32] {
        // Anyone can turn a valid ECDSA signature (r, s) into another one, (r, -s). So only the first half of the short
        // signatures counts; it differs for each message, too.
        let fixed = match self.signature.len() {
            64 => &self.signature[..32],
            _ => &self.signature[..],
        };
        // The key id contains the signer, and ends where the 0 stands: it is printable ASCII.
        let name = [self.keyid.as_bytes(), &[0], fixed].concat();
        let mut id = [0; 32];
        id.copy_from_slice(digest(&SHA256, &name).as_ref());
        id
    }

    /// Whether the signature is neither too old nor from the future (SIG-3). [`Self::check`] asks this too; asking before
    /// the key is fetched saves the fetch.
    pub fn check_time(&self, now: Timestamp, window: &Window) -> Result<(), SignatureError> {
        window.check(&[self.created], self.expires, now)
    }

    /// Checks everything, in the order in which it gets more expensive: time, signer, key, digest, length, signature.
    ///
    /// `request` must be the one that was read, and `key` the one that the signer publishes under [`Self::keyid`].
    pub fn check(
        self,
        request: &Request<'_>,
        now: Timestamp,
        window: &Window,
        key: &Jwk,
    ) -> Result<Verified, SignatureError> {
        self.check_time(now, window)?;
        self.check_date(request)?;
        let signer = self.signer()?;
        self.check_key(key)?;
        let digest = base::field(request, "content-digest")?.ok_or_else(|| missing("content-digest"))?;
        check_digest(&digest, request.body)?;
        let length = base::covered_field(request, "content-length")?.ok_or_else(|| missing("content-length"))?;
        if length != request.body.len().to_string() {
            return Err(SignatureError::LengthMismatch);
        }
        let message = base::signature_base(request, &self.input)?;
        if !key.verify(message.as_bytes(), &self.signature) {
            return Err(SignatureError::Wrong);
        }
        Ok(Verified {
            signer,
            replay_id: self.replay_id(),
            keyid: self.keyid,
            profile: self.profile,
            created: self.created,
            _proof: Checked,
        })
    }

    /// A `Date` that is covered lies near `created`.
    fn check_date(&self, request: &Request<'_>) -> Result<(), SignatureError> {
        if !self.input.items.iter().any(|item| name_of(item) == Some("date")) {
            return Ok(());
        }
        let text = base::field(request, "date")?.ok_or_else(|| missing("date"))?;
        if read_date(&text)?.0.abs_diff(self.created.0) > DATE_DRIFT_MAX {
            return Err(SignatureError::DateFarFromCreated);
        }
        Ok(())
    }

    /// The key decides on the algorithm, and nothing in the request may say otherwise (SIG-3a, T-18).
    fn check_key(&self, key: &Jwk) -> Result<(), SignatureError> {
        if key.kid() != self.keyid {
            return Err(SignatureError::KeyMismatch);
        }
        if self.profile == Profile::Draft07 && key.alg().is_none() {
            return Err(SignatureError::AlgorithmMissing);
        }
        let algorithm = key.algorithm().map_err(|_| SignatureError::AlgorithmUnsupported)?;
        match self.alg.as_deref() {
            Some(alg) if alg != algorithm.http_name() => Err(SignatureError::AlgorithmMismatch),
            _ => Ok(()),
        }
    }
}

/// The server that a key id belongs to.
pub(crate) fn server_of(keyid: &str) -> Result<Provider, SignatureError> {
    let provider = match keyid.split_once("://") {
        Some((scheme @ ("https" | "http"), rest)) => {
            let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
            Provider::parse_lenient(&keyid[..scheme.len() + "://".len() + end])
        }
        _ => Provider::parse(keyid.split('#').next().unwrap_or_default()),
    };
    provider.map_err(|_| SignatureError::KeyidWithoutServer)
}

/// Reads the value of a `Date` header; the parser sees no more than a date's worth of bytes (T-25).
pub(crate) fn read_date(text: &str) -> Result<Timestamp, SignatureError> {
    Some(text)
        .filter(|text| text.len() <= 40)
        .and_then(|text| httpdate::parse_http_date(text).ok())
        .and_then(|date| date.duration_since(UNIX_EPOCH).ok())
        .and_then(|since| i64::try_from(since.as_secs()).ok())
        .map(Timestamp)
        .ok_or(SignatureError::DateUnreadable)
}

fn missing(name: &str) -> SignatureError {
    SignatureError::ComponentMissing(name.to_owned())
}

fn has_ocm_tag(member: &ListEntry) -> bool {
    let parameters = match member {
        ListEntry::Item(item) => &item.params,
        ListEntry::InnerList(list) => &list.params,
    };
    parameters
        .get("tag")
        .and_then(BareItem::as_string)
        .is_some_and(|tag| tag.as_str() == OCM)
}

fn name_of(component: &sfv::Item) -> Option<&str> {
    component.bare_item.as_string().map(|name| name.as_str())
}

/// Everything required is covered, and nothing twice or in a variation of its value (SIG-3, T-17).
fn check_covered(input: &InnerList, profile: Profile) -> Result<(), SignatureError> {
    let mut names: Vec<&str> = Vec::new();
    for component in &input.items {
        let name = name_of(component).ok_or(SignatureError::HeaderUnreadable("signature-input"))?;
        if !component.params.is_empty() || names.contains(&name) {
            return Err(SignatureError::ComponentRefused(name.to_owned()));
        }
        names.push(name);
    }
    let date = (profile == Profile::Draft05).then_some("date");
    match REQUIRED.into_iter().chain(date).find(|name| !names.contains(name)) {
        Some(name) => Err(missing(name)),
        None => Ok(()),
    }
}

fn integer(input: &InnerList, name: &'static str) -> Result<Option<Timestamp>, SignatureError> {
    match input.params.get(name) {
        None => Ok(None),
        Some(BareItem::Integer(seconds)) => Ok(Some(Timestamp(i64::from(*seconds)))),
        Some(_) => Err(SignatureError::ParameterInvalid(name)),
    }
}

fn string(input: &InnerList, name: &'static str) -> Result<Option<String>, SignatureError> {
    match input.params.get(name) {
        None => Ok(None),
        Some(BareItem::String(text)) => Ok(Some(text.as_str().to_owned())),
        Some(_) => Err(SignatureError::ParameterInvalid(name)),
    }
}

fn signature_bytes(member: &ListEntry) -> Result<Vec<u8>, SignatureError> {
    match member {
        ListEntry::Item(item) => item.bare_item.as_byte_sequence().map(<[u8]>::to_vec),
        ListEntry::InnerList(_) => None,
    }
    .ok_or(SignatureError::HeaderUnreadable("signature"))
}

#[cfg(test)]
mod tests;
