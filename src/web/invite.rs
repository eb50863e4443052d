//! Invitations of one's own: listed, handed over, followed, extended, cancelled.

pub mod new;

use std::time::Duration;

use actix_web::web::Data;
use actix_web::web::Path;
use actix_web::web::Query;
use askama::Template;
use serde::Deserialize;

use crate::audit::Event;
use crate::error::Result;
use crate::files::TreePath;
use crate::invites::History;
use crate::invites::InviteState;
use crate::invites::Mailed;
use crate::invites::Message;
use crate::invites::SentInvite;
use crate::invites::Standing;
use crate::invites::qr::Qr;
use crate::lang::Lang;
use crate::ocm::address::OcmAddress;
use crate::site::Site;
use crate::users::Session;
use crate::web::filters;
use crate::web::page;
use crate::web::page::After;
use crate::web::page::Answer;
use crate::web::page::Fault;
use crate::web::page::Page;
use crate::web::page::Problem;
use crate::web::page::escaped;
use crate::web::reader::said;
use crate::web::session::Form;
use crate::web::session::NoFields;
use crate::web::words::Badge;

/// By how much a press of the button extends.
const EXTENSION: Duration = Duration::from_secs(7 * 86_400);

/// The tabs: a name for the address, words for people.
const TABS: [(&str, &str, Standing); 3] = [
    ("open", "Open", Standing::Open),
    ("accepted", "Accepted", Standing::Accepted),
    ("ended", "Ended", Standing::Ended),
];

#[derive(Template)]
#[template(path = "invites.html")]
struct List {
    page: Page,
    tabs: Vec<Tab>,
    tab: &'static str,
    invites: Vec<SentInvite>,
    /// Whether there are any at all.
    none: bool,
    /// Whom to ask, where this person may not invite anyone.
    reserved: Option<String>,
    more: Option<String>,
}

struct Tab {
    name: &'static str,
    label: &'static str,
    count: usize,
}

impl List {
    fn badge(&self, invite: &SentInvite) -> Badge {
        badge(invite.state(self.page.now))
    }

    fn may_last_longer(&self, invite: &SentInvite) -> bool {
        self.reserved.is_none() && may_last_longer(invite.state(self.page.now))
    }

    fn is_open(&self, invite: &SentInvite) -> bool {
        matches!(invite.state(self.page.now), InviteState::Open | InviteState::Held)
    }
}

/// Where an invitation stands, in a word.
pub fn badge(state: InviteState) -> Badge {
    match state {
        InviteState::Open => Badge::info("Open"),
        InviteState::Used => Badge::ok("Accepted"),
        InviteState::Revoked => Badge::quiet("Cancelled"),
        InviteState::Expired => Badge::quiet("Expired"),
        InviteState::Held => Badge::warn("Held"),
    }
}

fn may_last_longer(state: InviteState) -> bool {
    matches!(state, InviteState::Open | InviteState::Expired)
}

#[derive(Deserialize)]
pub struct Wanted {
    state: Option<String>,
}

pub async fn list(site: Data<Site>, session: Session, wanted: Query<Wanted>, after: Query<After>) -> Answer {
    let listing = site.invites.list(&session.user.name, &after.rows()).await?;
    let (mut invites, more) = page::newest_first(listing);
    let now = site.clock.now();
    let tabs = TABS.map(|(name, label, standing)| Tab {
        name,
        label,
        count: invites.iter().filter(|invite| invite.standing(now) == standing).count(),
    });
    let asked = TABS.iter().find(|(name, ..)| Some(*name) == wanted.state.as_deref());
    // Without a word, the first that has something in it.
    let first = || {
        TABS.iter()
            .zip(&tabs)
            .find(|(_, tab)| tab.count > 0)
            .map(|(one, _)| one)
    };
    let (tab, _, standing) = *asked.or_else(first).unwrap_or(&TABS[0]);
    let none = invites.is_empty();
    invites.retain(|invite| invite.standing(now) == standing);
    page::show(&List {
        page: Page::of(&site, &session, "invites", "Invitations"),
        tabs: tabs.into(),
        tab,
        invites,
        none,
        reserved: site.invites.whom_to_ask(&session.user).await?,
        more,
    })
}

#[derive(Template)]
#[template(path = "invite.html")]
struct Show {
    page: Page,
    fault: Option<Fault>,
    badge: Badge,
    open: bool,
    may_last_longer: bool,
    link: String,
    string: String,
    qr: Qr,
    message: Message,
    /// Of the message.
    lang: Lang,
    mailto: String,
    can_mail: bool,
    /// Where to mail it, as it was typed.
    to: String,
    /// The mail that was sent just now.
    mailed: Option<Mailed>,
    history: History,
    /// The form for one like it.
    again: String,
    invite: SentInvite,
}

impl Show {
    fn nothing_happened(&self) -> bool {
        let History {
            accepted,
            refused,
            mailed,
        } = &self.history;
        accepted.is_empty() && refused.is_empty() && mailed.is_empty()
    }

    /// The form that shares something with somebody who accepted.
    fn share_with(&self, address: &OcmAddress) -> String {
        format!("/shares/new?contact={}", escaped(&address.to_string()))
    }

    fn share_path_with(&self, path: &TreePath, address: &OcmAddress) -> String {
        format!("{}&path={}", self.share_with(address), escaped(path.as_str()))
    }
}

#[derive(Default, Deserialize)]
pub struct Asked {
    /// The language of the message.
    #[serde(default)]
    lang: String,
    /// To whom it was mailed just now.
    #[serde(default)]
    mailed: String,
}

pub async fn show(site: Data<Site>, session: Session, id: Path<String>, asked: Query<Asked>) -> Answer {
    page::show(&look(&site, &session, &id, &asked, None, String::new()).await?)
}

async fn look(
    site: &Site,
    session: &Session,
    id: &str,
    asked: &Asked,
    fault: Option<Fault>,
    to: String,
) -> Result<Show> {
    let (invite, history) = site.invites.get(&session.user.name, id).await?;
    let state = invite.state(site.clock.now());
    let lang = Lang::from_code(&asked.lang).unwrap_or(invite.lang);
    let (link, message) = (
        site.invites.link(&invite),
        site.invites.message(&session.user, &invite, lang)?,
    );
    let mailed = history.mailed.iter().find(|mailed| mailed.to == asked.mailed);
    Ok(Show {
        page: Page::of(site, session, "invites", title(&invite)),
        fault,
        badge: badge(state),
        open: state == InviteState::Open,
        may_last_longer: may_last_longer(state) && site.invites.whom_to_ask(&session.user).await?.is_none(),
        qr: Qr::of(&link)?,
        string: site.invites.string(&invite)?,
        mailto: mailto(&message),
        can_mail: site.invites.can_mail(),
        again: new::like(&invite),
        mailed: mailed.cloned(),
        link,
        message,
        lang,
        to,
        history,
        invite,
    })
}

fn title(invite: &SentInvite) -> String {
    match invite.note.as_str() {
        "" => said("Invitation", &[]),
        note => said("Invitation for {note}", &[("note", note)]),
    }
}

/// The message as a link that opens a mail program (RFC 6068: lines end in CR LF, everything escaped).
fn mailto(message: &Message) -> String {
    format!(
        "mailto:?subject={}&body={}",
        escaped(&message.subject),
        escaped(&message.body.replace('\n', "\r\n"))
    )
}

#[derive(Deserialize)]
pub struct Post {
    #[serde(default)]
    to: String,
    #[serde(default)]
    lang: String,
}

/// Has the message mailed. It waits for the mail server, whose answer is what the page then says.
pub async fn mail(site: Data<Site>, id: Path<String>, form: Form<Post>) -> Answer {
    let (user, Post { to, lang }) = (&form.session.user, form.fields);
    let chosen = Lang::from_code(&lang);
    match site.invites.mail(user, &id, &to, chosen, site.clock.now()).await {
        Ok(mailed) => {
            let event = Event::new("invite.mail").of(id.as_str());
            site.audit.note(&form.by, event).await?;
            let to = escaped(&mailed.to);
            Ok(page::go(format!("/invites/{id}?lang={}&mailed={to}", escaped(&lang))))
        }
        Err(error) => {
            let asked = Asked {
                lang,
                ..Asked::default()
            };
            let again = look(&site, &form.session, &id, &asked, Some(Fault::of(error)?), to).await?;
            page::show_again(&again.fault, &again)
        }
    }
}

pub async fn extend(site: Data<Site>, id: Path<String>, form: Form<NoFields>) -> Answer {
    let page = format!("/invites/{id}");
    let user = &form.session.user;
    site.invites
        .extend(user, &id, EXTENSION, site.clock.now())
        .await
        .map_err(Problem::back_to(&*page))?;
    let event = Event::new("invite.extend").of(id.as_str());
    site.audit.note(&form.by, event).await?;
    Ok(page::go(page))
}

#[derive(Template)]
#[template(path = "invite_cancel.html")]
pub struct Cancel {
    pub page: Page,
    pub invite: SentInvite,
    /// Where the invitations are that one came from.
    pub back: String,
    /// Where the form goes.
    pub action: String,
    /// Whether it is somebody else's.
    pub anothers: bool,
}

pub async fn ask_revoke(site: Data<Site>, session: Session, id: Path<String>) -> Answer {
    let (invite, _) = site.invites.get(&session.user.name, &id).await?;
    page::show(&Cancel {
        page: Page::of(&site, &session, "invites", "Cancel this invitation?"),
        back: format!("/invites/{id}"),
        action: format!("/invites/{id}/revoke"),
        anothers: false,
        invite,
    })
}

pub async fn revoke(site: Data<Site>, id: Path<String>, form: Form<NoFields>) -> Answer {
    let invite = site.invites.revoke(&form.session.user.name, &id).await?;
    let event = Event::new("invite.revoke").of(&invite.id);
    site.audit.note(&form.by, event).await?;
    Ok(page::go(format!("/invites/{}", invite.id)))
}

/// A page to print and hand round. It is in the language of the message: those who get it are not those who print it.
#[derive(Template)]
#[template(path = "invite_sheet.html")]
struct Sheet {
    page: Page,
    lang: Lang,
    heading: String,
    link: String,
    steps: Vec<String>,
    code_hint: String,
    string: String,
    until: String,
    qr: Qr,
    invite: SentInvite,
}

pub async fn sheet(site: Data<Site>, session: Session, id: Path<String>) -> Answer {
    let (invite, _) = site.invites.get(&session.user.name, &id).await?;
    let state = invite.state(site.clock.now());
    if state != InviteState::Open {
        // There is nothing to hand round any more; the page says why.
        return Ok(page::go(format!("/invites/{id}")));
    }
    let (lang, link) = (invite.lang, site.invites.link(&invite));
    let name = session.user.display_name.as_str();
    let mut steps = vec![
        lang.fill("Scan the square with your phone, or open the address below it.", &[]),
        lang.fill("Say on which server your account is, and continue there.", &[]),
        lang.fill("Sign in as always, and accept the invitation.", &[]),
    ];
    if !invite.attached.is_empty() {
        let names: Vec<_> = invite.attached.iter().filter_map(|one| one.path.name()).collect();
        steps.push(lang.fill(
            "You find what is shared with you on your own server: {what}",
            &[("what", &names.join(", "))],
        ));
    }
    page::show(&Sheet {
        page: Page::of(&site, &session, "invites", "Invitation to print"),
        heading: lang.fill("{name} invites you to share files", &[("name", name)]),
        code_hint: lang.fill("If your server asks for an invitation code, it is this one:", &[]),
        until: lang.fill(
            "The invitation is valid until {until}.",
            &[("until", &lang.when(invite.expires))],
        ),
        string: site.invites.string(&invite)?,
        qr: Qr::of(&link)?,
        lang,
        link,
        steps,
        invite,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_survives_the_way_to_a_mail_program() {
        let link = mailto(&Message {
            subject: "Ada & Co invites you".to_owned(),
            body: "one\ntwo?".to_owned(),
        });
        assert_eq!(
            link,
            "mailto:?subject=Ada%20%26%20Co%20invites%20you&body=one%0D%0Atwo%3F"
        );
    }
}
