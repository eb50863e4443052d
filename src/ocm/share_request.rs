//! The message that asks for a share (_Request for a Share_): three fields, read leniently and written strictly.

use serde_json::Value;
use serde_json::json;

use crate::ocm::Invalid;
use crate::ocm::address::OcmAddress;
use crate::ocm::json;
use crate::ocm::share::address;

/// Somebody wants a resource that has not been shared with them (REQ-1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareRequest {
    /// Who is asked.
    pub owner: OcmAddress,
    /// Who wants it; their server is the one that signs (DIA-13).
    pub share_with: OcmAddress,
    /// What they want: an id or a URL as the draft has it, in practice whatever the owner may understand.
    pub share: String,
}

impl ShareRequest {
    /// Longest `share`, in bytes (T-28).
    pub const SHARE_MAX: usize = 1024;

    /// # Errors
    ///
    /// For a `share` that says nothing, is too long, or holds control characters.
    pub fn new(owner: OcmAddress, share_with: OcmAddress, share: &str) -> Result<Self, Invalid> {
        let share = json::plain("share", share.trim(), Self::SHARE_MAX)?;
        if share.is_empty() {
            return Err(Invalid::required("share"));
        }
        Ok(Self {
            owner,
            share_with,
            share,
        })
    }

    /// Reads a request; addresses in each spelling that deployed servers use (INC-16), and an id that is a number.
    pub fn parse(body: &[u8]) -> Result<Self, Invalid> {
        let body = json::object(body)?;
        let share = json::id(&body, "share", Self::SHARE_MAX)?.unwrap_or_default();
        Self::new(address(&body, "owner")?, address(&body, "shareWith")?, &share)
    }

    pub fn to_json(&self) -> Value {
        json!({
            "owner": self.owner,
            "shareWith": self.share_with,
            "share": self.share,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Value {
        json!({
            "owner": "ada@a.example",
            "shareWith": "bob@b.example:8443",
            "share": "https://a.example/files/data.txt",
        })
    }

    fn with(field: &str, value: impl Into<Value>) -> Result<ShareRequest, Invalid> {
        let mut body = good();
        body[field] = value.into();
        ShareRequest::parse(body.to_string().as_bytes())
    }

    #[test]
    fn req_1_what_we_write_we_read() {
        let read = ShareRequest::parse(good().to_string().as_bytes()).unwrap();
        assert_eq!(read.share_with.provider.port(), Some(8443));
        assert_eq!(read.to_json(), good());
    }

    #[test]
    fn req_1_the_example_ids_of_the_draft_and_other_spellings_are_read() {
        let share = |value: Value| with("share", value).unwrap().share;
        assert_eq!(share(json!("1234567890abcdef")), "1234567890abcdef");
        assert_eq!(share(json!(12_345)), "12345");
        assert_eq!(share(json!("  the report  ")), "the report");
        let owner = |text: &str| with("owner", text).unwrap().owner.to_string();
        assert_eq!(owner("ada@https://A.example/"), "ada@a.example");
        assert_eq!(owner("ada@a.example@a.example"), "ada@a.example");
        assert!(with("more", json!({"x": 1})).is_ok());
    }

    #[test]
    fn t28_each_field_has_its_limits_and_the_error_names_it() {
        let check = |field: &str, value: Value| assert_eq!(with(field, value.clone()).unwrap_err().field(), field);
        for field in ["owner", "shareWith", "share"] {
            check(field, Value::Null);
            check(field, json!(""));
            check(field, json!(["x"]));
            check(field, json!("a\u{0}b@a.example"));
            check(field, json!("a\nb@a.example"));
            check(field, json!(format!("{}@a.example", "x".repeat(2000))));
            assert!(with(field, Value::Null).unwrap_err().missing());
        }
        check("owner", json!("ada"));
        check("shareWith", json!("bo\u{202e}b@b.example"));
        check("share", json!("   "));
        assert!(with("share", "x".repeat(1024)).is_ok());
        check("share", json!("x".repeat(1025)));
        let twice = good().to_string().replacen('{', "{\"share\":\"x\",", 1);
        assert_eq!(ShareRequest::parse(twice.as_bytes()).unwrap_err().field(), "body");
    }
}
