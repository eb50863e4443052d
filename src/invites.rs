//! Invites: how people on two servers become each other's contacts (_Invite Flow_), in both roles.

mod accepted;
mod handed;
mod history;
pub mod qr;
mod received;
mod sent;

use crate::client::Client;
use crate::clock::Timestamp;
use crate::config::AdminTopic;
use crate::config::Config;
use crate::config::Invites as Settings;
use crate::config::PublicUrl;
use crate::contacts;
use crate::contacts::Contact;
use crate::error::Error;
use crate::error::Result;
use crate::files::Homes;
use crate::mail::Mail;
use crate::notify::Notice;
use crate::notify::Notices;
use crate::ocm::address::Provider;
use crate::outbox::Outbox;
use crate::peers::Peers;
use crate::shares::Shares;
use crate::store::Store;
use crate::store::Txn;

pub use self::accepted::Acceptance;
pub use self::accepted::Enclosure;
pub use self::accepted::Redeemed;
pub use self::handed::Mailed;
pub use self::handed::Message;
pub use self::history::History;
pub use self::history::RefusedTry;
pub use self::received::ReceivedInvite;
pub use self::sent::Attachment;
pub use self::sent::InviteState;
pub use self::sent::NewInvite;
pub use self::sent::SentInvite;
pub use self::sent::Standing;

/// The invites of this server.
#[derive(Clone)]
pub struct Invites {
    store: Store,
    client: Client,
    peers: Peers,
    shares: Shares,
    outbox: Outbox,
    homes: Homes,
    mail: Mail,
    notices: Notices,
    settings: Settings,
    own: Provider,
    public_url: PublicUrl,
}

impl Invites {
    pub fn new(
        config: &Config,
        (store, client, peers): (Store, Client, Peers),
        (shares, outbox, homes): (Shares, Outbox, Homes),
        (mail, notices): (Mail, Notices),
    ) -> Self {
        Self {
            store,
            client,
            peers,
            shares,
            outbox,
            homes,
            mail,
            notices,
            settings: config.invites.clone(),
            own: config.server.public_url.provider().clone(),
            public_url: config.server.public_url.clone(),
        }
    }
}

impl Invites {
    /// Adds a contact; admins hear of it where that lets in a server which was not known here.
    async fn add_contact(&self, txn: &mut Txn, contact: &Contact, now: Timestamp) -> Result<()> {
        if !contacts::add(txn, contact).await? {
            return Ok(());
        }
        let server = contact.address.provider.to_string();
        let notice = Notice {
            topic: AdminTopic::NewServer,
            about: server.clone(),
            sentence: "{user} has traded an invitation with somebody at {server}, where nobody here had a contact before.",
            values: vec![("user", contact.user.clone()), ("server", server)],
        };
        self.notices.admins_in(txn, &notice, now).await
    }
}

async fn own_invite(txn: &mut Txn, user: &str, id: &str) -> Result<SentInvite> {
    txn.get::<SentInvite>([id])
        .await?
        .filter(|invite| invite.user == user)
        .ok_or_else(no_such_invite)
}

fn no_such_invite() -> Error {
    Error::not_found("There is no such invitation.").in_field("id")
}

/// A remote name or mail address as it is kept: cut, and without what could disturb a line of text.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(255).collect()
}
