//! How Nextcloud and ownCloud make each other trusted servers (their app "federation"): not part of the protocol, but what
//! decides there whether a share waits for its recipient, and how many may come at once.
//!
//! Each side has a token of 16 letters and digits for the other. One POSTs its token to the other, who brings it back with
//! a GET; the answer to that is a secret that both keep. If both have asked, the greater token wins. With the secret, the
//! other's address book of all accounts is read once a day; the light in their admin page is green when that worked.

use serde_json::Value;
use url::Url;
use url::form_urlencoded::Serializer;

use crate::secret::Secret;

/// How long the tokens of both are.
pub const TOKEN_LENGTH: usize = 16;
/// How long the secrets of both are.
pub const SECRET_LENGTH: usize = 32;
/// With whose name the secret is shown.
pub const READER: &str = "system";
/// Where a server says which of its older interfaces is where.
pub const PROVIDER_DOCUMENT: &str = "/ocs-provider/";

const FALLBACK_ASK: &str = "/ocs/v2.php/apps/federation/api/v1/request-shared-secret";
const FALLBACK_FETCH: &str = "/ocs/v2.php/apps/federation/api/v1/shared-secret";
const LONGEST_SECRET: usize = 128;

/// Where a server takes tokens, and where it gives its secret for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    pub ask: Url,
    pub fetch: Url,
}

impl Places {
    /// As the document names them, or where they are if it does not. Never on another server.
    pub fn of(origin: &Url, document: Option<&[u8]>) -> Option<Self> {
        let document: Option<Value> = document.and_then(|bytes| serde_json::from_slice(bytes).ok());
        let named = document
            .as_ref()
            .and_then(|said| {
                said.pointer("/services/FEDERATED_SHARING/endpoints/shared-secret")?
                    .as_str()
            })
            .filter(|path| is_path(path));
        Some(Self {
            ask: origin.join(named.unwrap_or(FALLBACK_ASK)).ok()?,
            fetch: origin.join(named.unwrap_or(FALLBACK_FETCH)).ok()?,
        })
    }
}

fn is_path(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte);
    text.len() <= 200 && text.starts_with('/') && !text.starts_with("//") && text.bytes().all(plain)
}

/// What is sent to either place.
pub fn fields(own_origin: &str, token: &Secret) -> String {
    let mut fields = Serializer::new(String::new());
    fields.append_pair("url", own_origin);
    fields.append_pair("token", token.expose());
    fields.append_pair("format", "json");
    fields.finish()
}

/// The status that is meant: the first version of the interface says 200 to everything, and the truth in its body.
pub fn status(status: u16, body: &[u8]) -> u16 {
    let said = serde_json::from_slice::<Value>(body).ok();
    let code = said
        .and_then(|said| said.pointer("/ocs/meta/statuscode")?.as_u64())
        .and_then(|code| u16::try_from(code).ok());
    match code {
        Some(100) | None => status,
        Some(code) if (200..300).contains(&status) => code,
        Some(_) => status,
    }
}

/// The secret in an answer, if it is one that can be kept.
pub fn secret(body: &[u8]) -> Option<Secret> {
    let said: Value = serde_json::from_slice(body).ok()?;
    let text = said.pointer("/ocs/data/sharedSecret")?.as_str()?;
    let fit = (SECRET_LENGTH / 2..=LONGEST_SECRET).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
    fit.then(|| Secret::new(text))
}

/// A token as it can stand in a form, if it is one.
pub fn token(text: &str) -> Option<Secret> {
    let fit = (TOKEN_LENGTH / 2..=LONGEST_SECRET).contains(&text.len());
    (fit && text.bytes().all(|byte| byte.is_ascii_alphanumeric())).then(|| Secret::new(text))
}

/// Whether `ours` wins over `theirs`, where both have asked.
pub fn wins(ours: &Secret, theirs: &Secret) -> bool {
    ours.expose().as_bytes() > theirs.expose().as_bytes()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn t03_the_places_are_where_the_document_says_and_never_on_another_server() {
        let origin = Url::parse("https://b.example:8443").unwrap();
        let check = |named: Value, ask: &str, fetch: &str| {
            let document = json!({"services": {"FEDERATED_SHARING": {"endpoints": {"shared-secret": named}}}});
            let places = Places::of(&origin, Some(document.to_string().as_bytes())).unwrap();
            assert_eq!(places.ask.as_str(), format!("https://b.example:8443{ask}"));
            assert_eq!(places.fetch.as_str(), format!("https://b.example:8443{fetch}"));
        };
        let usual = "/ocs/v2.php/cloud/shared-secret";
        check(json!(usual), usual, usual);
        for bad in [
            json!("//c.example/x"),
            json!("https://c.example/x"),
            json!("@c.example/x"),
            json!("/\\c.example/x"),
            json!("/x?y=z"),
            json!("/x#y"),
            json!("/x y"),
            json!(""),
            json!(null),
            json!(["/x"]),
        ] {
            check(bad, FALLBACK_ASK, FALLBACK_FETCH);
        }
        for nothing in [None, Some(&b"<html>"[..]), Some(b"{}")] {
            let places = Places::of(&origin, nothing).unwrap();
            assert_eq!((places.ask.path(), places.fetch.path()), (FALLBACK_ASK, FALLBACK_FETCH));
        }
    }

    #[test]
    fn the_status_is_the_one_that_is_meant() {
        let check = |http: u16, code: Value, expected: u16| {
            let body = json!({"ocs": {"meta": {"statuscode": code}}}).to_string();
            assert_eq!(status(http, body.as_bytes()), expected);
        };
        check(200, json!(200), 200);
        check(200, json!(100), 200);
        check(200, json!(403), 403);
        check(403, json!(200), 403);
        check(200, json!("403"), 200);
        check(200, json!(null), 200);
        assert_eq!(status(201, b""), 201);
    }

    #[test]
    fn t46_nothing_empty_or_odd_is_a_secret_or_a_token() {
        let check = |text: &str, expected: bool| {
            let body = json!({"ocs": {"data": {"sharedSecret": text}}}).to_string();
            assert_eq!(secret(body.as_bytes()).is_some(), expected, "{text}");
        };
        check("abcdefghijklmnopqrstuvwxyz012345", true);
        check("", false);
        check("short", false);
        check(&"a".repeat(129), false);
        check("abcdefghijklmnop rstuvwxyz012345", false);
        assert!(secret(b"{}").is_none() && secret(b"<ocs/>").is_none());
        let check = |text: &str, expected: bool| assert_eq!(token(text).is_some(), expected, "{text}");
        check("abcdefghijklmnop", true);
        check("", false);
        check("abcdefghijklmno&", false);
        check(&"a".repeat(129), false);
    }

    #[test]
    fn the_greater_token_wins_byte_by_byte() {
        let check = |ours: &str, theirs: &str, expected: bool| {
            assert_eq!(wins(&Secret::new(ours), &Secret::new(theirs)), expected);
        };
        check("b", "a", true);
        check("a", "b", false);
        check("a", "Z", true);
        check("A", "9", true);
        check("aa", "a", true);
        check("a", "a", false);
    }
}
