//! `Content-Digest` (RFC 9530): that the body is the one which was signed.

use aws_lc_rs::digest::Algorithm;
use aws_lc_rs::digest::SHA256;
use aws_lc_rs::digest::SHA512;
use aws_lc_rs::digest::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sfv::BareItem;
use sfv::ListEntry;

use super::SignatureError;
use super::base::parse_dictionary;

/// The value of `Content-Digest` that we send for this body.
pub fn content_digest(body: &[u8]) -> String {
    format!("sha-256=:{}:", STANDARD.encode(digest(&SHA256, body)))
}

/// Whether the value of a `Content-Digest` header fits the body: **each** digest we know must (SIG-4).
///
/// # Errors
///
/// Also where none is known: md5 and the like never count, whether they fit or not.
pub fn check_digest(value: &str, body: &[u8]) -> Result<(), SignatureError> {
    let mut counted = false;
    for (name, member) in &parse_dictionary(value, "content-digest")? {
        let algorithm: &'static Algorithm = match name.as_str() {
            "sha-256" => &SHA256,
            "sha-512" => &SHA512,
            _ => continue,
        };
        let ListEntry::Item(item) = member else {
            return Err(SignatureError::HeaderUnreadable("content-digest"));
        };
        let BareItem::ByteSequence(claimed) = &item.bare_item else {
            return Err(SignatureError::HeaderUnreadable("content-digest"));
        };
        if digest(algorithm, body).as_ref() != claimed.as_slice() {
            return Err(SignatureError::DigestMismatch);
        }
        counted = true;
    }
    if counted {
        Ok(())
    } else {
        Err(SignatureError::DigestUnsupported)
    }
}
