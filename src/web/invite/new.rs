//! The form for a new invitation.

use std::time::Duration;

use actix_web::web::Data;
use actix_web::web::Query;
use askama::Template;
use serde::Deserialize;
use url::form_urlencoded;

use crate::audit::Event;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::error::Result;
use crate::files::TreePath;
use crate::invites::Attachment;
use crate::invites::NewInvite;
use crate::invites::SentInvite;
use crate::lang::Lang;
use crate::ocm::address::Provider;
use crate::site::Site;
use crate::users::Session;
use crate::web::filters;
use crate::web::page;
use crate::web::page::Answer;
use crate::web::page::Fault;
use crate::web::page::Page;
use crate::web::reader::reader;
use crate::web::session::Form;
use crate::web::words;

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
    filled: NewForm,
    lasting: Vec<Choice>,
    most_uses: u32,
    /// Of the message around the invitation.
    lang: Lang,
    /// Whether what is folded away has been touched.
    unfolded: bool,
    /// Whom to ask, where this person may not invite anyone.
    reserved: Option<String>,
}

struct Choice {
    value: &'static str,
    label: &'static str,
    chosen: bool,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct NewForm {
    #[serde(rename = "for")]
    note: String,
    expires: String,
    /// A day; it wins over `expires`.
    until: String,
    uses: String,
    server: String,
    /// Paths, one on each line.
    share: String,
    /// A path that a link to the form names.
    path: String,
    write: Option<String>,
    lang: String,
}

/// The address of the form, filled in as for an invitation that there was.
pub fn like(invite: &SentInvite) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query
        .append_pair("for", &invite.note)
        .append_pair("uses", &invite.uses.to_string())
        .append_pair("lang", invite.lang.code());
    if let Some(server) = &invite.only_for {
        query.append_pair("server", &server.to_string());
    }
    if !invite.attached.is_empty() {
        let paths: Vec<_> = invite.attached.iter().map(|one| one.path.as_str()).collect();
        query.append_pair("share", &paths.join("\n"));
    }
    if invite.attached.iter().any(|one| one.write) {
        query.append_pair("write", "yes");
    }
    format!("/invites/new?{}", query.finish())
}

pub async fn ask(site: Data<Site>, session: Session, filled: Query<NewForm>) -> Answer {
    let mut filled = filled.into_inner();
    if !filled.path.is_empty() && filled.share.is_empty() {
        filled.share = std::mem::take(&mut filled.path);
    }
    page::show(&form(&site, &session, filled, None).await?)
}

async fn form(site: &Site, session: &Session, filled: NewForm, fault: Option<Fault>) -> Result<New> {
    let settings = &site.config.invites;
    let allowed = LASTING
        .iter()
        .filter(|(.., seconds)| *seconds <= settings.max_expires.0.as_secs());
    let preset = |seconds: u64| filled.expires.is_empty() && seconds == settings.expires.0.as_secs();
    Ok(New {
        page: Page::of(site, session, "invites", "Invite someone"),
        lasting: allowed
            .map(|(value, label, seconds)| Choice {
                value,
                label,
                chosen: filled.expires == *value || preset(*seconds),
            })
            .collect(),
        lang: Lang::from_code(&filled.lang).unwrap_or(reader().lang),
        unfolded: filled.is_unusual() || fault.as_ref().is_some_and(|fault| !fault.is_at("for")),
        reserved: site.invites.whom_to_ask(&session.user).await?,
        filled: NewForm {
            uses: if filled.uses.is_empty() {
                "1".to_owned()
            } else {
                filled.uses
            },
            ..filled
        },
        most_uses: settings.max_uses,
        fault,
    })
}

impl NewForm {
    fn is_unusual(&self) -> bool {
        let said = [&self.until, &self.server, &self.share];
        said.into_iter().any(|field| !field.is_empty()) || !matches!(self.uses.as_str(), "" | "1")
    }

    fn read(&self, now: Timestamp) -> Result<NewInvite> {
        let chosen = LASTING.iter().find(|(value, ..)| *value == self.expires);
        let lasting = chosen.map(|(.., seconds)| Duration::from_secs(*seconds));
        let uses = match self.uses.trim() {
            "" => None,
            text => Some(
                text.parse()
                    .map_err(|_| Error::invalid("uses", "This is no number of people."))?,
            ),
        };
        let server = match self.server.trim() {
            "" => None,
            text => Some(Provider::parse_lenient(text).map_err(|invalid| Error::from(invalid).in_field("server"))?),
        };
        Ok(NewInvite {
            expires: match words::end_of_day("until", &self.until)? {
                Some(end) => Some(now.until(end)),
                None => lasting,
            },
            uses,
            note: self.note.clone(),
            only_for: server,
            lang: Lang::from_code(&self.lang).unwrap_or(reader().lang),
            attached: self.attached()?,
        })
    }

    fn attached(&self) -> Result<Vec<Attachment>> {
        let lines = self.share.lines().map(str::trim).filter(|line| !line.is_empty());
        lines
            .map(|line| {
                Ok(Attachment {
                    path: TreePath::parse(line).map_err(|error| error.in_field("share"))?,
                    write: self.write.is_some(),
                })
            })
            .collect()
    }
}

pub async fn create(site: Data<Site>, form: Form<NewForm>) -> Answer {
    let (user, now) = (&form.session.user, site.clock.now());
    let outcome = match form.fields.read(now) {
        Ok(new) => site.invites.create(user, new, now).await,
        Err(error) => Err(error),
    };
    match outcome {
        Ok(invite) => {
            let event = Event::new("invite.create").of(&invite.id);
            site.audit.note(&form.by, event).await?;
            Ok(page::go(format!("/invites/{}", invite.id)))
        }
        Err(error) => {
            // A day that was typed is what is too far away, or over.
            let by_day = error.field() == Some("expires") && !form.fields.until.trim().is_empty();
            let error = if by_day { error.in_field("until") } else { error };
            let again = self::form(&site, &form.session, form.fields, Some(Fault::of(error)?)).await?;
            page::show_again(&again.fault, &again)
        }
    }
}
