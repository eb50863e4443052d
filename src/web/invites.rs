//! Invitations: made and handed over, followed, cancelled.

use std::time::Duration;

use actix_web::web::Data;
use actix_web::web::Path;
use actix_web::web::Query;
use askama::Template;
use serde::Deserialize;

use crate::error::Error;
use crate::invites::Acceptance;
use crate::invites::InviteState;
use crate::invites::NewInvite;
use crate::invites::SentInvite;
use crate::site::Site;
use crate::users::Session;
use crate::web::filters;
use crate::web::page;
use crate::web::page::After;
use crate::web::page::Answer;
use crate::web::page::Fault;
use crate::web::page::Page;
use crate::web::page::escaped;
use crate::web::session::Form;
use crate::web::session::NoFields;
use crate::web::words;
use crate::web::words::Badge;

#[derive(Template)]
#[template(path = "invites.html")]
struct List {
    page: Page,
    invites: Vec<SentInvite>,
    more: Option<String>,
}

impl List {
    fn badge(&self, invite: &SentInvite) -> Badge {
        badge(invite.state(self.page.now))
    }
}

fn badge(state: InviteState) -> Badge {
    match state {
        InviteState::Open => Badge::info("Open"),
        InviteState::Used => Badge::ok("Accepted"),
        InviteState::Revoked => Badge::quiet("Cancelled"),
        InviteState::Expired => Badge::quiet("Expired"),
    }
}

pub async fn list(site: Data<Site>, session: Session, after: Query<After>) -> Answer {
    let listing = site.invites.list(&session.user.name, &after.rows()).await?;
    let (invites, more) = page::newest_first(listing);
    page::show(&List {
        page: Page::of(&site, &session, "invites", "Invitations"),
        invites,
        more,
    })
}

/// For how long an invitation may be valid, as the form offers it; those that the operator does not allow are left out.
const LASTING: [(&str, &str, u64); 4] = [
    ("1h", "1 hour", 3_600),
    ("1d", "1 day", 86_400),
    ("7d", "7 days", 7 * 86_400),
    ("30d", "30 days", 30 * 86_400),
];

#[derive(Template)]
#[template(path = "invite_new.html")]
struct New {
    page: Page,
    fault: Option<Fault>,
    note: String,
    uses: String,
    lasting: Vec<Choice>,
    most_uses: u32,
}

struct Choice {
    value: &'static str,
    label: &'static str,
    chosen: bool,
}

pub async fn new(site: Data<Site>, session: Session) -> Answer {
    page::show(&form(&site, &session, NewForm::default(), None))
}

#[derive(Default, Deserialize)]
pub struct NewForm {
    #[serde(rename = "for")]
    note: String,
    #[serde(default)]
    expires: String,
    #[serde(default)]
    uses: String,
}

fn form(site: &Site, session: &Session, filled: NewForm, fault: Option<Fault>) -> New {
    let settings = &site.config.invites;
    let allowed = LASTING
        .iter()
        .filter(|(.., seconds)| *seconds <= settings.max_expires.0.as_secs());
    let preset = |seconds: u64| filled.expires.is_empty() && seconds == settings.expires.0.as_secs();
    New {
        page: Page::of(site, session, "invites", "Invite someone"),
        lasting: allowed
            .map(|(value, label, seconds)| Choice {
                value,
                label,
                chosen: filled.expires == *value || preset(*seconds),
            })
            .collect(),
        note: filled.note,
        uses: if filled.uses.is_empty() {
            "1".to_owned()
        } else {
            filled.uses
        },
        most_uses: settings.max_uses,
        fault,
    }
}

impl NewForm {
    fn read(&self) -> Result<NewInvite, Error> {
        let chosen = LASTING.iter().find(|(value, ..)| *value == self.expires);
        let uses = match self.uses.trim() {
            "" => None,
            text => Some(
                text.parse()
                    .map_err(|_| Error::invalid("uses", "This is no number of people."))?,
            ),
        };
        Ok(NewInvite {
            expires: chosen.map(|(.., seconds)| Duration::from_secs(*seconds)),
            uses,
            note: self.note.clone(),
        })
    }
}

pub async fn create(site: Data<Site>, form: Form<NewForm>) -> Answer {
    let outcome = match form.fields.read() {
        Ok(new) => site.invites.create(&form.session.user, new, site.clock.now()).await,
        Err(error) => Err(error),
    };
    match outcome {
        Ok(invite) => Ok(page::go(format!("/invites/{}", invite.id))),
        Err(error) => {
            let again = self::form(&site, &form.session, form.fields, Some(Fault::of(error)?));
            page::show_again(&again.fault, &again)
        }
    }
}

#[derive(Template)]
#[template(path = "invite.html")]
struct Show {
    page: Page,
    invite: SentInvite,
    badge: Badge,
    open: bool,
    link: String,
    string: String,
    message: String,
    mailto: String,
    accepted: Vec<Acceptance>,
}

pub async fn show(site: Data<Site>, session: Session, id: Path<String>) -> Answer {
    let (invite, accepted) = site.invites.get(&session.user.name, &id).await?;
    let state = invite.state(site.clock.now());
    let title = match invite.note.as_str() {
        "" => "Invitation".to_owned(),
        note => format!("Invitation for {note}"),
    };
    let link = site.invites.link(&invite);
    let string = site.invites.string(&invite)?;
    let message = message(&site, &session, &invite, &link, &string);
    page::show(&Show {
        page: Page::of(&site, &session, "invites", title),
        badge: badge(state),
        open: state == InviteState::Open,
        mailto: mailto(&session.user.display_name, &message),
        invite,
        link,
        string,
        message,
        accepted,
    })
}

/// What to write to the one who is invited.
fn message(site: &Site, session: &Session, invite: &SentInvite, link: &str, string: &str) -> String {
    let (name, user) = (&session.user.display_name, &session.user.name);
    let host = site.config.server.public_url.provider();
    let until = words::when(&invite.expires);
    format!(
        "{name} ({user}@{host}) invites you to connect, so that you two can share files although your accounts are on \
         different servers.\n\nOpen this link and say where your account is:\n{link}\n\nIf your server asks for an \
         invitation code instead, copy this:\n{string}\n\nThe invitation is valid until {until}."
    )
}

/// The message as a link that opens a mail program (RFC 6068: lines end in CR LF, everything escaped).
fn mailto(name: &str, message: &str) -> String {
    let subject = escaped(&format!("{name} invites you to share files"));
    format!(
        "mailto:?subject={subject}&body={}",
        escaped(&message.replace('\n', "\r\n"))
    )
}

pub async fn revoke(site: Data<Site>, id: Path<String>, form: Form<NoFields>) -> Answer {
    let invite = site.invites.revoke(&form.session.user.name, &id).await?;
    Ok(page::go(format!("/invites/{}", invite.id)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_survives_the_way_to_a_mail_program() {
        let link = mailto("Ada & Co", "one\ntwo?");
        assert_eq!(
            link,
            "mailto:?subject=Ada%20%26%20Co%20invites%20you%20to%20share%20files&body=one%0D%0Atwo%3F"
        );
    }
}
