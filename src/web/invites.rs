//! Invitations that come from elsewhere: pasted or followed, looked at, accepted.

use actix_web::web::Data;
use actix_web::web::Query;
use askama::Template;
use serde::Deserialize;

use crate::audit::Event;
use crate::error::Error;
use crate::error::Reason;
use crate::http::INVITE_ACCEPT_DIALOG;
use crate::ocm::address::Provider;
use crate::ocm::invite::InviteString;
use crate::ocm::invite::InviteToken;
use crate::peers::trust::Decision;
use crate::peers::trust::Purpose;
use crate::site::Site;
use crate::users::Session;
use crate::web::filters;
use crate::web::page;
use crate::web::page::Answer;
use crate::web::page::Fault;
use crate::web::page::Page;
use crate::web::page::Problem;
use crate::web::page::escaped;
use crate::web::session::Form;

/// What other servers send people to our page with (_Invite Flow_, DIS-10).
#[derive(Deserialize)]
pub struct Offered {
    token: Option<String>,
    #[serde(rename = "providerDomain")]
    provider: Option<String>,
}

#[derive(Template)]
#[template(path = "accept.html")]
struct Paste {
    page: Page,
    fault: Option<Fault>,
    text: String,
}

#[derive(Template)]
#[template(path = "accept_card.html")]
struct Card {
    page: Page,
    host: Provider,
    token: String,
    decision: Decision,
    name: String,
    mail: String,
}

/// Shows the invitation that a link brought, or a box to paste one. It spends nothing and asks nobody: who followed a
/// link has agreed to nothing yet (T-70, INC-07).
pub async fn accept_dialog(site: Data<Site>, session: Session, offered: Query<Offered>) -> Answer {
    let Offered { token, provider } = offered.into_inner();
    let (Some(token), Some(provider)) = (token, provider) else {
        return page::show(&paste(&site, &session, String::new(), None));
    };
    let invite = read_parts(&site, &token, &provider)?;
    page::show(&Card {
        page: Page::of(&site, &session, "invites", "Accept this invitation?"),
        decision: site.peers.explain(&invite.provider, Purpose::Invite).await?,
        token: invite.token.expose().to_owned(),
        host: invite.provider,
        name: session.user.display_name.clone(),
        mail: session.user.mail.clone(),
    })
}

fn paste(site: &Site, session: &Session, text: String, fault: Option<Fault>) -> Paste {
    Paste {
        page: Page::of(site, session, "invites", "I was invited"),
        fault,
        text,
    }
}

fn read_parts(site: &Site, token: &str, provider: &str) -> Result<InviteString, Error> {
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

#[derive(Deserialize)]
pub struct Pasted {
    text: String,
}

/// Finds the invitation in what was pasted and shows it.
pub async fn read(site: Data<Site>, form: Form<Pasted>) -> Answer {
    match site.invites.read(&form.fields.text) {
        Ok(invite) => Ok(page::go(dialog(invite.token.expose(), &invite.provider.to_string()))),
        Err(error) => {
            let again = paste(&site, &form.session, form.fields.text, Some(Fault::of(error)?));
            page::show_again(&again.fault, &again)
        }
    }
}

/// The address of our page for an invitation.
fn dialog(token: &str, provider: &str) -> String {
    let (token, provider) = (escaped(token), escaped(provider));
    format!("{INVITE_ACCEPT_DIALOG}?token={token}&providerDomain={provider}")
}

#[derive(Deserialize)]
pub struct Agreed {
    token: String,
    provider: String,
}

pub async fn accept(site: Data<Site>, form: Form<Agreed>) -> Answer {
    let Agreed { token, provider } = &form.fields;
    let invite = read_parts(&site, token, provider)?;
    let contact = site
        .invites
        .accept(&form.session.user, &invite, site.clock.now())
        .await
        .map_err(Problem::back_to(dialog(token, provider)))?;
    let event = Event::new("invite.accept")
        .of(&contact.address)
        .with(&contact.address.provider);
    site.audit.note(&form.by, event).await?;
    Ok(page::go(format!("/contacts/{}", escaped(&contact.address.to_string()))))
}
