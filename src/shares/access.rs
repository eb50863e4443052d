//! Who may read a sent share: the token endpoint (_Code Flow_), and the credentials of a WebDAV request.

use crate::clock::Timestamp;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;
use crate::ocm::access_token;
use crate::ocm::access_token::Claims;
use crate::ocm::address::Provider;
use crate::ocm::code_flow::TokenRequest;
use crate::ocm::code_flow::TokenResponse;
use crate::peers::trust::Purpose;
use crate::random;
use crate::secret::Secret;
use crate::shares::SentShare;
use crate::shares::Shares;
use crate::shares::sent;

/// What a WebDAV request brought to open a share with.
#[derive(Debug)]
pub enum Credential {
    /// `Authorization: Bearer`: an access token, or the shared secret of a share that allows it (ACC-4).
    Bearer(Secret),
    /// `Authorization: Basic` with the secret as user name (ACC-5).
    Basic(Secret),
}

impl Shares {
    /// Exchanges a shared secret for a short-lived token that opens that share and nothing else (TOK-1 to TOK-4).
    ///
    /// # Errors
    ///
    /// [`Reason::InvalidGrant`], the same for a code that is unknown, ended, expired or another server's (T-43).
    pub async fn exchange(&self, signer: &Provider, request: &TokenRequest, now: Timestamp) -> Result<TokenResponse> {
        let share = self
            .store
            .read(async |txn| sent::by_secret(txn, &request.code).await)
            .await?
            .filter(|share| share.open(now) && share.share_with.provider == *signer)
            .ok_or_else(|| Error::new(Reason::InvalidGrant, "This code opens nothing for this client."))?;
        let lifetime = self.config.shares.token_lifetime.0;
        let end = now.plus(lifetime);
        // No token outlives its share (T-42).
        let end = share.expires.map_or(end, |expires| end.min(expires));
        let claims = Claims {
            iss: self.config.server.public_url.origin().to_owned(),
            sub: share.user.clone(),
            aud: share.share_with.to_string(),
            client_id: share.id.clone(),
            iat: now,
            exp: end,
            jti: random::token(16).expose().to_owned(),
        };
        Ok(TokenResponse {
            access_token: access_token::issue(&self.keys.active(), &claims),
            token_type: "Bearer".to_owned(),
            expires_in: now.until(end).as_secs(),
        })
    }

    /// The share that a WebDAV request may open, checked against its live state each time, so that stopping a share
    /// closes it at once. `named` is the `providerId` in the path, where there is one.
    ///
    /// # Errors
    ///
    /// [`Reason::SecretWrong`], whatever the reason: a token of another share, an ended share, a raw secret where tokens
    /// are required (T-45), a server that is denied now.
    pub async fn open(&self, credential: &Credential, named: &str, now: Timestamp) -> Result<SentShare> {
        let wrong = || Error::new(Reason::SecretWrong, "This does not open the share.");
        let share = match credential {
            Credential::Bearer(token) if token.expose().contains('.') => self.by_token(token, now).await?,
            Credential::Bearer(secret) | Credential::Basic(secret) => self
                .store
                .read(async |txn| sent::by_secret(txn, secret).await)
                .await?
                .filter(|share| !share.strict),
        };
        let share = share
            .filter(|share| share.open(now) && share.id == named)
            .ok_or_else(wrong)?;
        self.peers
            .permit(&share.share_with.provider, Purpose::Federate)
            .await
            .map_err(|_| wrong())?;
        Ok(share)
    }

    async fn by_token(&self, token: &Secret, now: Timestamp) -> Result<Option<SentShare>> {
        let issuer = self.config.server.public_url.origin();
        let Ok(claims) = access_token::verify(token.expose(), &self.keys.published(), issuer, now) else {
            return Ok(None);
        };
        let share = self
            .store
            .read(async |txn| txn.get::<SentShare>([&claims.client_id]).await)
            .await?;
        Ok(share.filter(|share| share.share_with.to_string() == claims.aud))
    }
}
