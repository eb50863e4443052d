//! Somebody leaves this server: what they had to do with other servers ends before their account does.

use crate::clock::Timestamp;
use crate::contacts;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;
use crate::files::TreePath;
use crate::invites::InviteState;
use crate::shares::received::ReceivedState;
use crate::site::Site;
use crate::store::every;
use crate::users::User;

impl Site {
    /// Deletes somebody's account, and ends what they share, what is shared with them, their invitations, requests and
    /// contacts; other servers are told. Their files stay on the disk. Cut off half-way, it is finished by doing it
    /// again: they are shut out first and deleted last.
    ///
    /// # Errors
    ///
    /// As [`Users::delete`](crate::users::Users::delete).
    pub async fn delete_person(&self, name: &str, now: Timestamp) -> Result<User> {
        let user = self.users.set_disabled(name, true, now).await?;
        let name = user.name.as_str();
        self.shares.stop_below(name, &TreePath::root(), now).await?;
        for share in every(async |page| self.shares.received(name, &page).await).await? {
            let ended = match share.state {
                ReceivedState::Pending => self.shares.decline(name, &share.id, now).await,
                ReceivedState::Accepted => self.shares.leave(name, &share.id, now).await,
                _ => continue,
            };
            over_anyway(ended)?;
        }
        for invite in every(async |page| self.invites.list(name, &page).await).await? {
            if matches!(invite.state(now), InviteState::Open | InviteState::Held) {
                self.invites.revoke(name, &invite.id).await?;
            }
        }
        for request in every(async |page| self.requests.sent(name, &page).await).await? {
            over_anyway(self.requests.close(name, &request.id).await)?;
        }
        let known = every(async |page| {
            self.store
                .read(async |txn| contacts::list(txn, name, &page).await)
                .await
        });
        for contact in known.await? {
            let gone = self
                .store
                .run(async |txn| contacts::remove(txn, name, &contact.address).await);
            over_anyway(gone.await)?;
        }
        for (wish, _) in self.peers.wishes_of(name).await? {
            self.peers.unwish(name, &wish.host).await?;
        }
        self.users.delete(name, now).await
    }
}

/// What ended by itself meanwhile need not be ended.
fn over_anyway<T>(outcome: Result<T>) -> Result<()> {
    let over = |error: &Error| matches!(error.reason(), Reason::Conflict | Reason::NotFound);
    match outcome {
        Err(error) if !over(&error) => Err(error),
        _ => Ok(()),
    }
}
