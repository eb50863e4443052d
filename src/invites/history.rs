//! What happened to an invite: who accepted, who tried in vain, to whom it was mailed.

use serde::Deserialize;
use serde::Serialize;

use crate::clock::Timestamp;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Reason;
use crate::error::Result;
use crate::invites::Acceptance;
use crate::invites::InviteState;
use crate::invites::Invites;
use crate::invites::Mailed;
use crate::invites::SentInvite;
use crate::invites::own_invite;
use crate::invites::shown;
use crate::ocm::address::Provider;
use crate::ocm::invite::InviteToken;
use crate::outbox::Failure;
use crate::secret::hash_of;
use crate::store::Key;
use crate::store::Page;
use crate::store::Record;
use crate::store::Txn;

/// How many servers that tried in vain are remembered with an invite, and how many mails: whoever has its code must not
/// fill the disk (T-37).
pub(super) const KEPT: usize = 20;
const ROWS: usize = 1000;

/// A server that tried to accept a sent invite and was refused.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RefusedTry {
    pub invite: String,
    /// Who it said to be; whoever is refused by the trust rules is not asked to prove it.
    pub host: Provider,
    pub times: u32,
    /// Why, for the eyes of the inviter, and when last.
    pub last: Failure,
}

impl Record for RefusedTry {
    const KIND: &'static str = "invite-refused";

    fn key(&self) -> Key {
        Key::of([&self.invite, &self.host.to_string()])
    }
}

impl RefusedTry {
    /// Whether an admin could change that by allowing the server.
    pub fn is_for_want_of_trust(&self) -> bool {
        self.last.code == Reason::WeRefuseThem.code()
    }
}

/// What happened to an invite, each in the order of time.
#[derive(Clone, Debug, Default)]
pub struct History {
    pub accepted: Vec<Acceptance>,
    pub refused: Vec<RefusedTry>,
    pub mailed: Vec<Mailed>,
}

impl Invites {
    /// An invite of this user, and what happened to it.
    ///
    /// # Errors
    ///
    /// [`Reason::NotFound`], also for somebody else's.
    pub async fn get(&self, user: &str, id: &str) -> Result<(SentInvite, History)> {
        self.store
            .read(async |txn| {
                let invite = own_invite(txn, user, id).await?;
                let mut history = History {
                    accepted: txn.list([id], &Page::first(ROWS)).await?.items,
                    refused: txn.list([id], &Page::first(ROWS)).await?.items,
                    mailed: txn.list([id], &Page::first(ROWS)).await?.items,
                };
                history.accepted.sort_by_key(|acceptance| acceptance.at);
                history.refused.sort_by_key(|refused| refused.last.at);
                history.mailed.sort_by_key(|mailed| mailed.at);
                Ok((invite, history))
            })
            .await
    }

    /// Notes that a server was refused which showed the token of an invite of ours; of others nothing is kept. That
    /// must not change the answer, so what goes wrong here goes to the log.
    pub async fn note_refused(&self, token: &InviteToken, host: &Provider, why: &Error, now: Timestamp) {
        // Our own trouble is no news of theirs.
        if matches!(why.kind(), Kind::Busy | Kind::Internal | Kind::Operator) {
            return;
        }
        let hash = hash_of(token.expose());
        let noted = self.store.run(async |txn| note(txn, &hash, host, why, now).await).await;
        if let Err(error) = noted {
            tracing::warn!(peer = %host, causes = error.causes(), "A refused acceptance was not noted: {error}");
        }
    }
}

async fn note(txn: &mut Txn, token_hash: &str, host: &Provider, why: &Error, now: Timestamp) -> Result<()> {
    let Some(invite) = txn.find_one::<SentInvite>("token", [token_hash]).await? else {
        return Ok(());
    };
    let known = txn.list::<RefusedTry>([&invite.id], &Page::first(KEPT)).await?.items;
    let before = known.iter().find(|known| known.host == *host);
    let oldest = known.iter().min_by_key(|known| known.last.at);
    if let Some(oldest) = oldest.filter(|_| before.is_none() && known.len() >= KEPT) {
        txn.delete::<RefusedTry>(oldest.key()).await?;
    }
    let refused = RefusedTry {
        invite: invite.id.clone(),
        host: host.clone(),
        times: before.map_or(0, |before| before.times).saturating_add(1),
        last: Failure {
            code: why.reason().code().to_owned(),
            message: shown(&in_our_words(why, invite.state(now))),
            at: now,
        },
    };
    txn.put(&refused).await
}

/// What the inviter may know and the stranger may not.
fn in_our_words(why: &Error, state: InviteState) -> String {
    let told = match (why.reason(), state) {
        (Reason::InviteUnknown, InviteState::Revoked) => "The invitation had been cancelled.",
        (Reason::InviteUnknown, _) => "The invitation had expired.",
        (Reason::InviteUsed, _) => "The invitation had been used up.",
        (Reason::SenderNotTrusted, _) => "The invitation is for another server only.",
        (Reason::WeRefuseThem, _) => "This server does not deal with that one.",
        _ => why.message(),
    };
    told.to_owned()
}
