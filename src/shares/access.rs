//! Who may read a sent share: the token endpoint (_Code Flow_), and the credentials of a WebDAV request.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::error::Error;
use crate::error::Kind;
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

/// When to ask again for a share that is held.
const HELD: Duration = Duration::from_secs(3600);

/// What a WebDAV request brought to open a share with.
#[derive(Debug)]
pub enum Credential {
    /// `Authorization: Bearer`: an access token, or the shared secret of a share that allows it (ACC-4).
    Bearer(Secret),
    /// `Authorization: Basic` with the secret as user name (ACC-5).
    Basic(Secret),
}

/// A share that is neither ended nor closed, and whether what opened it may read it (ACC-4).
pub(super) struct Live {
    pub(super) share: SentShare,
    pub(super) readable: bool,
}

pub(super) fn nothing_opened() -> Error {
    Error::new(Reason::SecretWrong, "This does not open the share.")
}

/// A share that waits for an admin since a restore opens to nobody (T-86). It is not said to be gone: whoever is told that
/// throws it away, and most of those that wait will be confirmed.
fn refuse_held(share: &SentShare) -> Result<()> {
    if !share.held {
        return Ok(());
    }
    Err(Error::new(Reason::Busy, "This share can't be opened just now.").retry_after(Some(HELD)))
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
            .filter(|share| share.in_force(now) && share.share_with.provider == *signer)
            .ok_or_else(|| Error::new(Reason::InvalidGrant, "This code opens nothing for this client."))?;
        refuse_held(&share)?;
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
    /// closes it at once. The credential alone says which one it is: deployed servers name no share in the path.
    ///
    /// # Errors
    ///
    /// [`Reason::SecretWrong`], whatever the reason: nothing of that secret or token, an ended share, a raw secret where
    /// tokens are required (T-45), a server that is denied now. Peers delete what they are told this of, so trouble of
    /// our own is never it.
    pub async fn open(&self, credential: &Credential, now: Timestamp) -> Result<SentShare> {
        let found = match credential {
            Credential::Bearer(text) => self.live(text, now).await?,
            Credential::Basic(secret) => self.live_by_secret(secret, now).await?,
        };
        match found {
            Some(live) if live.readable => Ok(live.share),
            _ => Err(nothing_opened()),
        }
    }

    /// The share behind a secret or token, while it lasts and its server is dealt with.
    pub(super) async fn live(&self, secret_or_token: &Secret, now: Timestamp) -> Result<Option<Live>> {
        if !secret_or_token.expose().contains('.') {
            return self.live_by_secret(secret_or_token, now).await;
        }
        let share = self.by_token(secret_or_token, now).await?;
        self.still_live(share, true, now).await
    }

    async fn live_by_secret(&self, secret: &Secret, now: Timestamp) -> Result<Option<Live>> {
        let share = self.store.read(async |txn| sent::by_secret(txn, secret).await).await?;
        let readable = share.as_ref().is_some_and(|share| !share.strict);
        self.still_live(share, readable, now).await
    }

    async fn still_live(&self, share: Option<SentShare>, readable: bool, now: Timestamp) -> Result<Option<Live>> {
        let Some(share) = share.filter(|share| share.in_force(now)) else {
            return self.sure_of_nothing().map(|()| None);
        };
        refuse_held(&share)?;
        match self.peers.permit(&share.share_with.provider, Purpose::Federate).await {
            Ok(_) => Ok(Some(Live { share, readable })),
            Err(error) if error.kind() == Kind::Forbidden || error.reason() == Reason::OwnServer => {
                self.sure_of_nothing().map(|()| None)
            }
            Err(error) => Err(error),
        }
    }

    /// Passes if what was not found is not there: a store that has stopped may have lost sight of it.
    ///
    /// # Errors
    ///
    /// [`Reason::StoreStopped`].
    pub(super) fn sure_of_nothing(&self) -> Result<()> {
        if self.store.healthy() {
            return Ok(());
        }
        Err(Error::new(
            Reason::StoreStopped,
            "This server can't look that up just now.",
        ))
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
