//! The one form of signature that Nextcloud 31 to 34 take.

use aws_lc_rs::digest::SHA512;
use aws_lc_rs::digest::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::RsaSigningKey;
use super::request_target;
use crate::clock::Timestamp;

/// Signs a request: the headers to send with it, `host` among them, which must go out as it stands here.
///
/// Nextcloud's reader is what this form is for: no space after a comma, and the target before everything else, where it
/// puts it back itself. It takes at most 50,000 bytes of body, for 300 seconds from `now`. `target_uri` must be what goes
/// over the wire, as `Url` writes it.
pub fn sign(
    key: &RsaSigningKey,
    method: &str,
    target_uri: &str,
    body: &[u8],
    now: Timestamp,
) -> Vec<(&'static str, String)> {
    let mut headers = vec![
        ("content-length", body.len().to_string()),
        ("date", now.http_date()),
        ("digest", format!("SHA-512={}", STANDARD.encode(digest(&SHA512, body)))),
        ("host", host(target_uri).to_owned()),
    ];
    let mut text = format!("(request-target): {}", request_target(method, target_uri));
    let mut names = String::from("(request-target)");
    for (name, value) in &headers {
        text.push_str(&format!("\n{name}: {value}"));
        names.push_str(&format!(" {name}"));
    }
    let signature = STANDARD.encode(key.sign(text.as_bytes()));
    let parameters = format!(
        r#"keyId="{}",algorithm="rsa-sha512",headers="{names}",signature="{signature}""#,
        key.key_id()
    );
    headers.push(("signature", parameters));
    headers
}

/// Host and port, as HTTP clients write them.
fn host(target_uri: &str) -> &str {
    let rest = target_uri.split_once("://").map_or("", |(_, rest)| rest);
    &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())]
}
