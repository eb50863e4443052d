//! Invitations from elsewhere: read out of whatever was pasted, looked at, and accepted.

use std::time::Duration;

use actix_web::web::Data;
use actix_web::web::Query;
use askama::Template;
use serde::Deserialize;

use crate::audit::Event;
use crate::contacts;
use crate::contacts::Contact;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;
use crate::http::INVITE_ACCEPT_DIALOG;
use crate::ocm::address::Provider;
use crate::ocm::discovery::Capability;
use crate::ocm::invite::InviteString;
use crate::ocm::invite::InviteToken;
use crate::peers::trust::Decision;
use crate::peers::trust::Purpose;
use crate::site::Site;
use crate::store::Page as Rows;
use crate::users::Session;
use crate::web::contacts::href;
use crate::web::filters;
use crate::web::page;
use crate::web::page::Answer;
use crate::web::page::Fault;
use crate::web::page::Page;
use crate::web::page::Problem;
use crate::web::page::ROWS;
use crate::web::page::escaped;
use crate::web::reader::said;
use crate::web::session::Admin;
use crate::web::session::Form;
use crate::web::words;

/// How long somebody waits who wants to know more of a server before accepting.
const PATIENCE: Duration = Duration::from_secs(3);

/// What other servers send people to our page with (_Invite Flow_, DIS-10).
#[derive(Deserialize)]
pub struct Offered {
    token: Option<String>,
    #[serde(rename = "providerDomain", alias = "provider")]
    provider: Option<String>,
}

#[derive(Template)]
#[template(path = "accept.html")]
struct Paste {
    page: Page,
    fault: Option<Fault>,
    text: String,
}

/// An invitation before anything was sent.
#[derive(Template)]
#[template(path = "accept_card.html")]
struct Card {
    page: Page,
    /// Why a try to accept it failed.
    fault: Option<Fault>,
    /// What helps against that.
    next: Option<&'static str>,
    /// What to send to the admin of a server that refuses this one.
    for_their_admin: Option<String>,
    host: Provider,
    /// The host as it reads with its own letters, where that is another spelling (T-77).
    in_letters: Option<String>,
    resembles: Option<Provider>,
    token: String,
    decision: Decision,
    known: Option<Portrait>,
    /// Why it could not be asked when that was last tried.
    failed: Option<String>,
    /// Who is a contact at that server already.
    neighbours: Vec<Contact>,
    /// The contact that this very invitation brought.
    connected: Option<Contact>,
    /// Whether the admins were asked to allow the server.
    asked: bool,
    name: String,
    mail: String,
    tell_mail: bool,
}

/// What a server says of itself, as far as it matters here.
struct Portrait {
    name: String,
    signs: bool,
    takes_invites: bool,
}

/// Shows the invitation that a link brought, or a box to paste one. It spends nothing and asks nobody: who followed a
/// link has agreed to nothing yet (T-70, INC-07).
pub async fn dialog(site: Data<Site>, session: Session, offered: Query<Offered>) -> Answer {
    let Offered { token, provider } = offered.into_inner();
    let (Some(token), Some(provider)) = (token, provider) else {
        return page::show(&paste(&site, &session, String::new(), None));
    };
    let invite = read_parts(&site, &token, &provider)?;
    page::show(&card(&site, &session, &invite).await?)
}

fn paste(site: &Site, session: &Session, text: String, fault: Option<Fault>) -> Paste {
    Paste {
        page: Page::of(site, session, "invites", "I was invited").at(INVITE_ACCEPT_DIALOG.to_owned()),
        fault,
        text,
    }
}

fn read_parts(site: &Site, token: &str, provider: &str) -> Result<InviteString> {
    let unreadable = |cause| {
        Error::new(
            Reason::CodeUnreadable,
            "This link is not an invitation; perhaps part of it is missing.",
        )
        .caused_by(cause)
    };
    let invite = InviteString {
        token: InviteToken::new(token).map_err(unreadable)?,
        provider: Provider::parse_lenient(provider).map_err(unreadable)?,
    };
    site.invites.read(&invite.encode())
}

async fn card(site: &Site, session: &Session, invite: &InviteString) -> Result<Card> {
    let (user, host) = (&session.user, &invite.provider);
    let account = site.peers.account(host).await?;
    let rows = Rows::first(ROWS);
    let mut neighbours = site
        .store
        .read(async |txn| contacts::list(txn, &user.name, &rows).await)
        .await?
        .items;
    neighbours.retain(|contact| contact.address.provider == *host);
    let wishes = site.peers.wishes_of(&user.name).await?;
    let own = path(invite);
    let in_letters = words::host_in_letters(host);
    Ok(Card {
        page: Page::of(site, session, "invites", "Accept this invitation?").at(own),
        fault: None,
        next: None,
        for_their_admin: None,
        resembles: site.peers.lookalike(&user.name, host).await?,
        decision: site.peers.explain(host, Purpose::Invite).await?,
        known: account.discovery.map(|(discovery, _)| Portrait {
            name: discovery.name().unwrap_or_default().to_owned(),
            signs: discovery.has(Capability::HttpSig) || discovery.public_key().is_some(),
            takes_invites: discovery.has(Capability::Invites),
        }),
        failed: account.failed.map(|(error, _)| error.message().to_owned()),
        connected: site.invites.accepted_before(&user.name, invite).await?,
        asked: wishes.iter().any(|(wish, _)| wish.host == *host),
        neighbours,
        token: invite.token.expose().to_owned(),
        host: host.clone(),
        in_letters,
        name: user.display_name.clone(),
        mail: user.mail.clone(),
        tell_mail: true,
    })
}

/// The address of our page for an invitation.
fn path(invite: &InviteString) -> String {
    let (token, provider) = (escaped(invite.token.expose()), escaped(&invite.provider.to_string()));
    format!("{INVITE_ACCEPT_DIALOG}?token={token}&providerDomain={provider}")
}

#[derive(Deserialize)]
pub struct Pasted {
    text: String,
}

/// Finds the invitation in what was pasted and shows it.
pub async fn read(site: Data<Site>, form: Form<Pasted>) -> Answer {
    match site.invites.read(&form.fields.text) {
        Ok(invite) => Ok(page::go(path(&invite))),
        Err(error) => {
            let again = paste(&site, &form.session, form.fields.text, Some(Fault::of(error)?));
            page::show_again(&again.fault, &again)
        }
    }
}

#[derive(Deserialize)]
pub struct Agreed {
    token: String,
    provider: String,
    /// `yes` or `no`; a form that does not ask tells it.
    #[serde(default)]
    mail: String,
}

impl Agreed {
    fn invite(&self, site: &Site) -> Result<InviteString> {
        read_parts(site, &self.token, &self.provider)
    }

    fn tell_mail(&self) -> bool {
        self.mail != "no"
    }
}

/// Looks the server up, for somebody who wants to know more of it before they accept.
pub async fn look(site: Data<Site>, form: Form<Agreed>) -> Answer {
    let invite = form.fields.invite(&site)?;
    let found = site
        .peers
        .discover_within(&invite.provider, Purpose::Invite, PATIENCE)
        .await;
    match found {
        Ok(_) => Ok(page::go(path(&invite))),
        Err(error) => show_failed(&site, &form, &invite, error).await,
    }
}

pub async fn accept(site: Data<Site>, form: Form<Agreed>) -> Answer {
    let invite = form.fields.invite(&site)?;
    finish(&site, &form, &invite).await
}

/// Allows the server and accepts: for admins, who would otherwise go to the trust list and come back.
pub async fn allow_and_accept(site: Data<Site>, _: Admin, form: Form<Agreed>) -> Answer {
    let invite = form.fields.invite(&site)?;
    let (by, now) = (&form.session.user.name, site.clock.now());
    site.peers
        .allow(&invite.provider, by, now)
        .await
        .map_err(Problem::back_to(path(&invite)))?;
    let event = Event::new("server.allow").of(&invite.provider).with(&invite.provider);
    site.audit.note(&form.by, event).await?;
    finish(&site, &form, &invite).await
}

async fn finish(site: &Site, form: &Form<Agreed>, invite: &InviteString) -> Answer {
    let user = &form.session.user;
    let outcome = site
        .invites
        .accept(user, invite, form.fields.tell_mail(), site.clock.now())
        .await;
    match outcome {
        Ok(contact) => {
            let event = Event::new("invite.accept").of(&contact.address);
            let event = event.with(&contact.address.provider);
            site.audit.note(&form.by, event).await?;
            site.peers.unwish(&user.name, &invite.provider).await?;
            Ok(page::go(format!("{}?met=now", href(&contact.address))))
        }
        Err(error) => show_failed(site, form, invite, error).await,
    }
}

/// Asks the admins to allow the server that the invitation is from.
pub async fn ask_admin(site: Data<Site>, form: Form<Agreed>) -> Answer {
    let invite = form.fields.invite(&site)?;
    let (user, now) = (&form.session.user.name, site.clock.now());
    site.peers
        .wish(user, &invite.provider, now)
        .await
        .map_err(Problem::back_to(path(&invite)))?;
    let event = Event::new("server.ask").of(&invite.provider).with(&invite.provider);
    site.audit.note(&form.by, event).await?;
    Ok(page::go(path(&invite)))
}

/// The card again, with why it did not work and what helps.
async fn show_failed(site: &Site, form: &Form<Agreed>, invite: &InviteString, error: Error) -> Answer {
    let reason = error.reason();
    let refused = matches!(reason, Reason::TheyRefuseUs | Reason::SignatureRejected);
    let shown = Card {
        next: what_helps(reason),
        for_their_admin: refused.then(|| for_their_admin(site, &invite.provider)),
        fault: Some(Fault::of(error)?),
        tell_mail: form.fields.tell_mail(),
        ..card(site, &form.session, invite).await?
    };
    page::show_again(&shown.fault, &shown)
}

/// Whom to turn to, and with what.
fn what_helps(reason: Reason) -> Option<&'static str> {
    Some(match reason {
        Reason::InviteUnknown | Reason::InviteExpired => "Ask whoever invited you for a new one.",
        Reason::InviteUsedElsewhere => "An invitation for one person works once. Ask for a new one.",
        Reason::TheyRefuseUs => "The invitation is not spent. Send their admin the text below, and try again then.",
        Reason::SignatureRejected => {
            "The invitation is not spent. Try again in a minute; if that does not help, send their admin the text below."
        }
        Reason::NoAnswer | Reason::PeerBusy | Reason::Busy => {
            "The invitation is not spent. Try again in a few minutes."
        }
        Reason::NameNotFound | Reason::NotOcm | Reason::OcmDisabled => {
            "Ask whoever invited you whether the invitation is whole, and for the name of their server."
        }
        Reason::TlsFailed => "Nothing was sent. Tell whoever invited you; the admin of their server can mend this.",
        Reason::PrivateAddress | Reason::TooOld => "An admin of this server can change that.",
        _ => return None,
    })
}

fn for_their_admin(site: &Site, host: &Provider) -> String {
    let own = site.config.server.public_url.provider().to_string();
    said(
        "Someone at {own} was invited by someone at {host}, but {host} refused the answer of {own}. Please let {own} \
         in. It signs with the key {key}; that was on {time}.",
        &[
            ("own", &own),
            ("host", &host.to_string()),
            ("key", site.keys.active().kid()),
            ("time", &words::when(&site.clock.now())),
        ],
    )
}
