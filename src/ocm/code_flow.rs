//! Exchanging a shared secret for a token that soon expires (_Code Flow_), and when that must be done.

use std::error::Error;
use std::fmt;

use serde_json::Value;
use serde_json::json;
use url::form_urlencoded;

use crate::ocm::Invalid;
use crate::ocm::address::Provider;
use crate::ocm::json;
use crate::secret::Secret;

/// Longest token request, in bytes.
pub const REQUEST_MAX: usize = 8 * 1024;
/// Longest token that we keep, in bytes.
const TOKEN_MAX: usize = 8 * 1024;
/// How long a token is good for when nobody says, in seconds.
const EXPIRES_IN_DEFAULT: u64 = 300;

/// What the Receiving Server asks of the `tokenEndPoint` (TOK-1).
#[derive(Clone, Debug, PartialEq)]
pub struct TokenRequest {
    /// The Receiving Server, which is also the one that signs (TOK-4).
    pub client_id: Provider,
    /// The shared secret.
    pub code: Secret,
}

impl TokenRequest {
    /// Reads the form. Other parameters are ignored (TOK-2).
    pub fn parse(body: &[u8]) -> Result<Self, TokenError> {
        if body.len() > REQUEST_MAX || !body.is_ascii() {
            return Err(TokenError::InvalidRequest);
        }
        let form: Vec<_> = form_urlencoded::parse(body).collect();
        let parameter = |name: &str| {
            let mut values = form.iter().filter(|(other, _)| other == name);
            match (values.next(), values.next()) {
                (Some((_, value)), None) if !value.is_empty() => Ok(value.as_ref()),
                _ => Err(TokenError::InvalidRequest),
            }
        };
        // reva knows the grant by the name that an earlier draft gave it.
        if !matches!(parameter("grant_type")?, "authorization_code" | "ocm_share") {
            return Err(TokenError::UnsupportedGrantType);
        }
        let (client_id, code) = (parameter("client_id")?, parameter("code")?);
        Ok(Self {
            client_id: Provider::parse_lenient(client_id).map_err(|_| TokenError::InvalidClient)?,
            code: Secret::new(code),
        })
    }

    /// The body to send, as `application/x-www-form-urlencoded`.
    pub fn encode(&self) -> String {
        form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "authorization_code")
            .append_pair("client_id", &self.client_id.to_string())
            .append_pair("code", self.code.expose())
            .finish()
    }
}

/// Why no token is given (RFC 6749, section 5.2). The answer has status 400 for each of them (TOK-3, D11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenError {
    /// A parameter is missing, empty or repeated.
    InvalidRequest,
    /// The request is not signed by the server it speaks for.
    InvalidClient,
    /// The code is unknown, over, revoked, or somebody else's: which of them, nobody learns.
    InvalidGrant,
    /// That server may not have tokens here.
    UnauthorizedClient,
    UnsupportedGrantType,
}

impl TokenError {
    const ALL: [Self; 5] = [
        Self::InvalidRequest,
        Self::InvalidClient,
        Self::InvalidGrant,
        Self::UnauthorizedClient,
        Self::UnsupportedGrantType,
    ];

    /// The word for it on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::InvalidGrant => "invalid_grant",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
        }
    }

    /// The error in an answer, where it is one of these.
    pub fn parse(body: &[u8]) -> Option<Self> {
        let body = json::object(body).ok()?;
        let word = body.get("error")?.as_str()?;
        Self::ALL.into_iter().find(|error| error.as_str() == word)
    }

    pub fn to_json(self) -> Value {
        json!({"error": self.as_str()})
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Error for TokenError {}

/// What the `tokenEndPoint` answers (TOK-2).
#[derive(Clone, Debug, PartialEq)]
pub struct TokenResponse {
    pub access_token: Secret,
    /// `Bearer`; in an answer of another server, whatever the case.
    pub token_type: String,
    /// In seconds.
    pub expires_in: u64,
}

impl TokenResponse {
    /// # Errors
    ///
    /// For an answer without a token that can stand in a header, or with one that isn't a bearer token.
    pub fn parse(body: &[u8]) -> Result<Self, Invalid> {
        let body = json::object(body)?;
        let access_token = json::required_text(&body, "access_token", TOKEN_MAX)?;
        if !access_token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Invalid::new("access_token", "This cannot stand in a header."));
        }
        let token_type = json::text(&body, "token_type", 64)?.unwrap_or_else(|| "Bearer".to_owned());
        if !token_type.eq_ignore_ascii_case("bearer") {
            return Err(Invalid::new("token_type", "Only bearer tokens are supported."));
        }
        let expires_in = match body.get("expires_in") {
            Some(Value::String(text)) => text.trim().parse().ok(),
            Some(Value::Number(number)) => number.as_u64(),
            _ => None,
        };
        Ok(Self {
            access_token: Secret::new(access_token),
            token_type,
            expires_in: expires_in.filter(|seconds| *seconds > 0).unwrap_or(EXPIRES_IN_DEFAULT),
        })
    }

    pub fn to_json(&self) -> Value {
        json!({
            "access_token": self.access_token,
            "token_type": self.token_type,
            "expires_in": self.expires_in,
        })
    }
}

/// How the Receiving Server gets at a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// With a token, or not at all.
    ExchangeOnly,
    /// With a token, else with the shared secret: see [`may_fall_back`].
    ExchangeElseSecret,
    SecretOnly,
}

/// The draft's Decision Table (ACC-2).
///
/// `requires_exchange`: the share has `must-exchange-token`. `peer_exchanges`: the Sending Server has `exchange-token`
/// and a `tokenEndPoint`. `we_sign`: our requests to it are signed, without which no token is given.
pub fn how_to_read(requires_exchange: bool, peer_exchanges: bool, we_sign: bool) -> Access {
    match (requires_exchange, peer_exchanges && we_sign) {
        (true, _) => Access::ExchangeOnly,
        (false, true) => Access::ExchangeElseSecret,
        (false, false) => Access::SecretOnly,
    }
}

/// How an exchange came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExchangeFailure {
    /// No answer came.
    Network,
    /// This status, without one of the errors of [`TokenError`].
    Status(u16),
    /// The server understood, and said no.
    Refused(TokenError),
    /// Success, but no token that can be used.
    Unreadable,
}

/// Whether the shared secret may be used after all: only where no token was required and the Sending Server has no
/// working token endpoint, never once it has refused (DIA-10).
pub fn may_fall_back(access: Access, failure: ExchangeFailure) -> bool {
    match access {
        Access::ExchangeOnly => false,
        Access::SecretOnly => true,
        Access::ExchangeElseSecret => matches!(failure, ExchangeFailure::Network | ExchangeFailure::Status(404 | 501)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_draft_is_read_and_written() {
        let body = "grant_type=authorization_code&client_id=receiver.example.org&code=my_secret_code";
        let request = TokenRequest::parse(body.as_bytes()).unwrap();
        assert_eq!(request.client_id.to_string(), "receiver.example.org");
        assert!(request.code == Secret::new("my_secret_code"));
        assert_eq!(request.encode(), body);
        assert!(!format!("{request:?}").contains("my_secret"));
    }

    #[test]
    fn tok_1_a_token_request_is_read_as_servers_write_it() {
        for (body, expected) in [
            (
                "code=a%2Bb+c&client_id=r.example.org%3A8443&grant_type=authorization_code",
                "r.example.org:8443 a+b c",
            ),
            (
                "grant_type=ocm_share&client_id=https%3A%2F%2Fr.example.org%2F&code=x",
                "r.example.org x",
            ),
            (
                "grant_type=authorization_code&client_id=r.example.org:443&code=x&redirect_uri=a&redirect_uri=b&scope=",
                "r.example.org x",
            ),
        ] {
            let read = TokenRequest::parse(body.as_bytes()).unwrap();
            assert_eq!(format!("{} {}", read.client_id, read.code.expose()), expected);
            assert_eq!(TokenRequest::parse(read.encode().as_bytes()), Ok(read));
        }
    }

    #[test]
    fn tok_3_a_bad_token_request_has_the_error_of_rfc_6749() {
        let long = format!(
            "grant_type=authorization_code&client_id=r.org&code={}",
            "x".repeat(REQUEST_MAX)
        );
        for (body, expected) in [
            ("", TokenError::InvalidRequest),
            ("client_id=r.org&code=x", TokenError::InvalidRequest),
            ("grant_type=authorization_code&code=x", TokenError::InvalidRequest),
            (
                "grant_type=authorization_code&client_id=r.org",
                TokenError::InvalidRequest,
            ),
            (
                "grant_type=authorization_code&client_id=r.org&code=",
                TokenError::InvalidRequest,
            ),
            ("grant_type=&client_id=r.org&code=x", TokenError::InvalidRequest),
            (
                "grant_type=authorization_code&client_id=r.org&code=x&code=x",
                TokenError::InvalidRequest,
            ),
            (
                "grant_type=authorization_code&client_id=r.org&client_id=s.org&code=x",
                TokenError::InvalidRequest,
            ),
            (
                "grant_type=authorization_code&grant_type=x&client_id=r.org&code=x",
                TokenError::InvalidRequest,
            ),
            (
                r#"{"grant_type":"authorization_code","client_id":"r.org","code":"x"}"#,
                TokenError::InvalidRequest,
            ),
            (long.as_str(), TokenError::InvalidRequest),
            (
                "grant_type=client_credentials&client_id=r.org&code=x",
                TokenError::UnsupportedGrantType,
            ),
            ("grant_type=refresh_token", TokenError::UnsupportedGrantType),
            (
                "grant_type=authorization_code&client_id=r.org%2Fx&code=x",
                TokenError::InvalidClient,
            ),
        ] {
            assert_eq!(TokenRequest::parse(body.as_bytes()), Err(expected), "{body:.80}");
        }
        for error in TokenError::ALL {
            let body = error.to_json().to_string();
            assert_eq!(TokenError::parse(body.as_bytes()), Some(error));
        }
        for body in ["", "{}", r#"{"error":7}"#, r#"{"error":"server_error"}"#] {
            assert_eq!(TokenError::parse(body.as_bytes()), None);
        }
    }

    #[test]
    fn tok_2_a_token_response_is_read_leniently() {
        for (body, expected) in [
            (
                r#"{"access_token":"t","token_type":"Bearer","expires_in":86400}"#,
                Some(86_400),
            ),
            (
                r#"{"access_token":"t","token_type":"bearer","expires_in":"60"}"#,
                Some(60),
            ),
            (r#"{"access_token":"t","token_type":"Bearer"}"#, Some(300)),
            (
                r#"{"access_token":"t","expires_in":null,"refresh_token":"x"}"#,
                Some(300),
            ),
            (
                r#"{"access_token":"t","token_type":"Bearer","expires_in":0}"#,
                Some(300),
            ),
            (
                r#"{"access_token":"t","token_type":"Bearer","expires_in":-5}"#,
                Some(300),
            ),
            (r#"{"access_token":"t","token_type":"mac"}"#, None),
            (r#"{"access_token":"","token_type":"Bearer"}"#, None),
            (r#"{"access_token":"a b","token_type":"Bearer"}"#, None),
            (r#"{"access_token":"a\r\nX: y","token_type":"Bearer"}"#, None),
            (r#"{"token_type":"Bearer"}"#, None),
            ("t", None),
        ] {
            let found = TokenResponse::parse(body.as_bytes()).ok();
            assert_eq!(found.map(|response| response.expires_in), expected, "{body}");
        }
        let own = TokenResponse {
            access_token: Secret::new("canary"),
            token_type: "Bearer".to_owned(),
            expires_in: 300,
        };
        assert_eq!(
            TokenResponse::parse(own.to_json().to_string().as_bytes()),
            Ok(own.clone())
        );
        assert!(!format!("{own:?}").contains("canary"));
    }

    #[test]
    fn acc_2_the_decision_table() {
        for (requires, exchanges, sign, expected) in [
            (true, true, true, Access::ExchangeOnly),
            (true, true, false, Access::ExchangeOnly),
            (true, false, true, Access::ExchangeOnly),
            (true, false, false, Access::ExchangeOnly),
            (false, true, true, Access::ExchangeElseSecret),
            (false, true, false, Access::SecretOnly),
            (false, false, true, Access::SecretOnly),
            (false, false, false, Access::SecretOnly),
        ] {
            assert_eq!(how_to_read(requires, exchanges, sign), expected);
        }
    }

    #[test]
    fn dia_10_a_refusal_never_leads_back_to_the_secret() {
        let failures = [
            (ExchangeFailure::Network, true),
            (ExchangeFailure::Status(404), true),
            (ExchangeFailure::Status(501), true),
            (ExchangeFailure::Status(400), false),
            (ExchangeFailure::Status(401), false),
            (ExchangeFailure::Status(500), false),
            (ExchangeFailure::Unreadable, false),
            (ExchangeFailure::Refused(TokenError::InvalidGrant), false),
            (ExchangeFailure::Refused(TokenError::UnsupportedGrantType), false),
        ];
        for (failure, expected) in failures {
            assert_eq!(
                may_fall_back(Access::ExchangeElseSecret, failure),
                expected,
                "{failure:?}"
            );
            assert!(!may_fall_back(Access::ExchangeOnly, failure));
        }
    }
}
