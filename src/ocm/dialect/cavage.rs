//! The older signatures, draft-cavage-http-signatures-12, as Nextcloud 31 to 34 make and demand them (35 towards servers
//! without `http-sig`).
//!
//! Of that draft only what these servers do is done: RSA, and every part that matters covered. As in [`signature`],
//! reading and checking are two steps, because the key is fetched between them. One thing differs: nothing signed says
//! when the signature was made, so here it is `Date` that must be fresh.

mod keys;
mod parameters;
mod signing;

use aws_lc_rs::digest::SHA256;
use aws_lc_rs::digest::SHA512;
use aws_lc_rs::digest::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use url::Url;

use crate::clock::Timestamp;
use crate::ocm::address::Provider;
use crate::ocm::signature;
use crate::ocm::signature::KEYID_MAX;
use crate::ocm::signature::Request;
use crate::ocm::signature::SignatureError;
use crate::ocm::signature::Window;

use parameters::Parameters;

pub use keys::PublicKeyPem;
pub use keys::RsaSigningKey;
pub use signing::sign;

/// What such a signature must cover; a request with a body also [`LENGTH`] (T-17).
const REQUIRED: [&str; 4] = [TARGET, "date", "digest", "host"];
const TARGET: &str = "(request-target)";
const LENGTH: &str = "content-length";
/// Most parts that a signature may cover.
const COVERED_MAX: usize = 32;

/// The hash below the RSA signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hash {
    Sha256,
    Sha512,
}

/// The signature of a request, before its key is known.
#[derive(Clone, Debug)]
pub struct Unverified {
    keyid: String,
    signer: Provider,
    /// Those that the signature may be made with: one, or either where the request leaves it to the key.
    hashes: &'static [Hash],
    /// The names of the covered parts, in the order in which they are signed.
    covered: Vec<String>,
    date: Timestamp,
    created: Option<Timestamp>,
    expires: Option<Timestamp>,
    signature: Vec<u8>,
}

/// Proof that the server `signer` sent this request; see [`signature::Verified`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    pub signer: Provider,
    pub keyid: String,
    /// The same for each copy of the request (T-11).
    pub replay_id: [u8; 32],
    pub date: Timestamp,
    _proof: Checked,
}

/// Made only by [`Unverified::check`], so that nothing else can make a [`Verified`].
#[derive(Clone, Debug, PartialEq, Eq)]
struct Checked;

impl Unverified {
    /// Finds a signature of this form and checks what can be checked without the key; `None` where the request has none,
    /// or has `Signature-Input` and thereby the newer form.
    ///
    /// # Errors
    ///
    /// For a signature that is there and can't be valid, whatever the key; such a request is never taken for unsigned.
    pub fn read(request: &Request<'_>) -> Result<Option<Self>, SignatureError> {
        let Some(parameters) = Parameters::find(request)? else {
            return Ok(None);
        };
        let keyid = parameters.text("keyid").ok_or(SignatureError::KeyidMissing)?;
        if keyid.len() > KEYID_MAX {
            return Err(SignatureError::ParameterInvalid("keyid"));
        }
        let algorithm = parameters.text("algorithm");
        let covered = covered(parameters.text("headers").unwrap_or_default(), request.method)?;
        // Who names an RSA algorithm speaks the version that had no such parts; draft-cavage-12 refuses the mixture.
        if algorithm.is_some_and(|name| name.starts_with("rsa"))
            && let Some(name) = covered.iter().find(|name| is_time(name))
        {
            return Err(SignatureError::ComponentRefused(name.clone()));
        }
        let signature = parameters
            .text("signature")
            .ok_or(SignatureError::ParameterMissing("signature"))?;
        Ok(Some(Self {
            signer: signature::server_of(keyid)?,
            keyid: keyid.to_owned(),
            hashes: hashes(algorithm)?,
            covered,
            date: signature::read_date(&only_line(request, "date")?)?,
            created: parameters.seconds("created")?,
            expires: parameters.seconds("expires")?,
            signature: STANDARD
                .decode(signature)
                .map_err(|_| SignatureError::HeaderUnreadable("signature"))?,
        }))
    }

    /// The key's id, as the signer wrote it. Nextcloud's own servers write it in two ways: what it runs by itself may
    /// put `index.php` before `ocm`, which is no other key (nextcloud/server#58502).
    pub fn keyid(&self) -> &str {
        &self.keyid
    }

    /// The server that the key id belongs to; a path before `/ocm` is that of a Nextcloud in a sub-directory.
    pub fn signer(&self) -> Provider {
        self.signer.clone()
    }

    /// When the request was sent, by the sender's clock.
    pub fn date(&self) -> Timestamp {
        self.date
    }

    /// Names this very signature, to recognise it when it comes again (T-11).
    ///
    /// The key id is not signed, so whoever repeats a request may write it in another way; what counts is the server.
    pub fn replay_id(&self) -> [u8; 32] {
        let signer = self.signer.to_string();
        let name = [signer.as_bytes(), &[0], &self.signature].concat();
        let mut id = [0; 32];
        id.copy_from_slice(digest(&SHA256, &name).as_ref());
        id
    }

    /// Whether the request is neither too old nor from the future. [`Self::check`] asks this too; asking before the key
    /// is fetched saves the fetch. Nextcloud itself looks at the age only.
    pub fn check_time(&self, now: Timestamp, window: &Window) -> Result<(), SignatureError> {
        window.check(&[self.date, self.created.unwrap_or(self.date)], self.expires, now)
    }

    /// Checks everything, in the order in which it gets more expensive: time, key, host, length, digest, signature.
    ///
    /// `request` must be the one that was read, and `key` the one that the signer publishes in its discovery document,
    /// unless that [`PublicKeyPem::is_published_example`].
    pub fn check(
        self,
        request: &Request<'_>,
        now: Timestamp,
        window: &Window,
        key: &PublicKeyPem,
    ) -> Result<Verified, SignatureError> {
        self.check_time(now, window)?;
        if signature::server_of(key.key_id()).as_ref() != Ok(&self.signer) {
            return Err(SignatureError::KeyMismatch);
        }
        check_host(request)?;
        if self.covers(LENGTH) && only_line(request, LENGTH)? != request.body.len().to_string() {
            return Err(SignatureError::LengthMismatch);
        }
        check_digest(&only_line(request, "digest")?, request.body)?;
        let text = self.signing_text(request)?;
        if !self
            .hashes
            .iter()
            .any(|hash| key.verify(*hash, text.as_bytes(), &self.signature))
        {
            return Err(SignatureError::Wrong);
        }
        Ok(Verified {
            replay_id: self.replay_id(),
            signer: self.signer,
            keyid: self.keyid,
            date: self.date,
            _proof: Checked,
        })
    }

    fn covers(&self, name: &str) -> bool {
        self.covered.iter().any(|other| other == name)
    }

    /// The text that is signed: a line for each part, in the order in which the signature names them.
    fn signing_text(&self, request: &Request<'_>) -> Result<String, SignatureError> {
        let time = |value: Option<Timestamp>, name| match value {
            Some(seconds) => Ok(seconds.0.to_string()),
            None => Err(SignatureError::ComponentMissing(String::from(name))),
        };
        let mut lines = Vec::new();
        for name in &self.covered {
            let value = match name.as_str() {
                TARGET => request_target(request.method, request.target_uri),
                "(created)" => time(self.created, name)?,
                "(expires)" => time(self.expires, name)?,
                _ => only_line(request, name)?,
            };
            lines.push(format!("{name}: {value}"));
        }
        Ok(lines.join("\n"))
    }
}

/// The method in lower case, then path and query of the URL.
fn request_target(method: &str, target_uri: &str) -> String {
    let without_fragment = target_uri.split('#').next().unwrap_or_default();
    let rest = without_fragment.split_once("://").map_or("", |(_, rest)| rest);
    let target = rest.find(['/', '?']).map_or("", |start| &rest[start..]);
    let slash = if target.starts_with('/') { "" } else { "/" };
    format!("{} {slash}{target}", method.to_ascii_lowercase())
}

/// The value of a header that stands there once, without the white space around it: of two, this sender and we might
/// not take the same (T-15, T-16).
fn only_line(request: &Request<'_>, name: &str) -> Result<String, SignatureError> {
    if request.headers.iter().filter(|(other, _)| other == name).count() > 1 {
        return Err(SignatureError::ComponentRefused(name.to_owned()));
    }
    signature::field(request, name)?.ok_or_else(|| SignatureError::ComponentMissing(name.to_owned()))
}

fn is_time(name: &str) -> bool {
    matches!(name, "(created)" | "(expires)")
}

/// The covered parts: everything required, and nothing twice (T-17).
fn covered(headers: &str, method: &str) -> Result<Vec<String>, SignatureError> {
    let mut names: Vec<String> = Vec::new();
    for name in headers.split_ascii_whitespace() {
        let plain = name == TARGET || is_time(name) || name.bytes().all(is_header_byte);
        if !plain || names.iter().any(|other| other == name) || names.len() == COVERED_MAX {
            return Err(SignatureError::ComponentRefused(name.to_owned()));
        }
        names.push(name.to_owned());
    }
    let length = (method != "GET").then_some(LENGTH);
    match REQUIRED
        .into_iter()
        .chain(length)
        .find(|name| !names.iter().any(|other| other == name))
    {
        Some(name) => Err(SignatureError::ComponentMissing(name.to_owned())),
        None => Ok(names),
    }
}

fn is_header_byte(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_')
}

/// Without a name, or with the one that says "as the key does", an RSA key leaves both hashes open. Nothing else is
/// ever tried (T-18).
fn hashes(algorithm: Option<&str>) -> Result<&'static [Hash], SignatureError> {
    match algorithm {
        Some("rsa-sha256") => Ok(&[Hash::Sha256]),
        Some("rsa-sha512") => Ok(&[Hash::Sha512]),
        None | Some("hs2019") => Ok(&[Hash::Sha512, Hash::Sha256]),
        Some(_) => Err(SignatureError::AlgorithmMismatch),
    }
}

/// The request was meant for us, and not for another server that we might be mistaken for (T-23).
fn check_host(request: &Request<'_>) -> Result<(), SignatureError> {
    let ours = Url::parse(request.target_uri)
        .ok()
        .and_then(|url| Provider::from_url(&url).ok());
    match (ours, Provider::parse(&only_line(request, "host")?)) {
        (Some(ours), Ok(host)) if ours == host => Ok(()),
        _ => Err(SignatureError::HostMismatch),
    }
}

/// Whether `Digest` (RFC 3230) fits the body: each one we know must, and at least one (T-14).
fn check_digest(value: &str, body: &[u8]) -> Result<(), SignatureError> {
    let unreadable = || SignatureError::HeaderUnreadable("digest");
    let mut seen = Vec::new();
    for member in value.split(',') {
        let (name, claimed) = member.trim().split_once('=').ok_or_else(unreadable)?;
        let algorithm = match name.to_ascii_lowercase().as_str() {
            "sha-256" => &SHA256,
            "sha-512" => &SHA512,
            _ => continue,
        };
        if seen.contains(&algorithm) {
            return Err(SignatureError::DuplicateLabel("digest"));
        }
        seen.push(algorithm);
        let claimed = STANDARD.decode(claimed).map_err(|_| unreadable())?;
        if digest(algorithm, body).as_ref() != claimed {
            return Err(SignatureError::DigestMismatch);
        }
    }
    if seen.is_empty() {
        return Err(SignatureError::DigestUnsupported);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
