//! One's own account.

use actix_web::HttpRequest;
use actix_web::web::Data;
use askama::Template;
use serde::Deserialize;

use crate::audit::Event;
use crate::config::UserTopic;
use crate::error::Error;
use crate::error::Result;
use crate::lang::Lang;
use crate::notify;
use crate::secret::Secret;
use crate::site::Site;
use crate::users::OpenSession;
use crate::users::Profile;
use crate::users::Session;
use crate::users::User;
use crate::web::auth;
use crate::web::filters;
use crate::web::page;
use crate::web::page::Answer;
use crate::web::page::Fault;
use crate::web::page::Page;
use crate::web::page::Problem;
use crate::web::reader;
use crate::web::reader::Theme;
use crate::web::session;
use crate::web::session::Form;
use crate::web::session::OpenForm;

#[derive(Template)]
#[template(path = "account.html")]
struct Account {
    page: Page,
    fault: Option<Fault>,
    user: User,
    host: String,
    least: usize,
    sessions: Vec<OpenSession>,
    /// What can be heard about by mail, in words, and whether it is wanted.
    topics: Vec<(UserTopic, &'static str, bool)>,
    can_mail: bool,
}

impl Account {
    fn themes(&self) -> [(Theme, &'static str); 3] {
        [
            (Theme::Auto, "As the system has it"),
            (Theme::Light, "Light"),
            (Theme::Dark, "Dark"),
        ]
    }
}

pub async fn show(site: Data<Site>, session: Session) -> Answer {
    page::show(&account(&site, &session, None).await?)
}

async fn account(site: &Site, session: &Session, fault: Option<Fault>) -> Result<Account> {
    Ok(Account {
        page: Page::of(site, session, "account", "Account"),
        fault,
        user: session.user.clone(),
        host: site.config.server.public_url.provider().to_string(),
        least: site.config.accounts.min_password,
        sessions: site.users.sessions(session, site.clock.now()).await?,
        topics: UserTopic::ALL
            .into_iter()
            .map(|topic| {
                let wanted = site.notices.wanted_by(&session.user).contains(&topic);
                (topic, notify::user_topic(topic), wanted)
            })
            .collect(),
        can_mail: site.notices.can_mail(),
    })
}

#[derive(Deserialize)]
pub struct About {
    #[serde(default)]
    display_name: String,
    #[serde(default)]
    mail: String,
    /// A tag of ours; anything else is "as the browser asks".
    #[serde(default)]
    lang: String,
    accept_from_contacts: Option<String>,
}

/// Changes what the account says of its owner, and what is done for them unasked.
pub async fn change(site: Data<Site>, form: Form<About>) -> Answer {
    let Form {
        mut session,
        by,
        fields,
    } = form;
    let lang = Lang::from_code(&fields.lang);
    let profile = Profile {
        display_name: Some(fields.display_name.clone()),
        mail: Some(fields.mail.clone()),
        language: Some(lang),
        accept_from_contacts: Some(fields.accept_from_contacts.is_some()),
        ..Profile::default()
    };
    match site.users.change(&session.user.name, profile).await {
        Ok(user) => {
            site.audit.note(&by, Event::new("user.change").of(&user.name)).await?;
            let mut answer = page::go("/account");
            answer
                .add_cookie(&reader::language_cookie(&site, lang))
                .map_err(Error::internal)?;
            Ok(answer)
        }
        Err(error) => {
            // What was typed stays in the form.
            session.user.display_name = fields.display_name;
            session.user.mail = fields.mail;
            let again = account(&site, &session, Some(Fault::of(error)?)).await?;
            page::show_again(&again.fault, &again)
        }
    }
}

/// The boxes that are ticked: their names are those of the topics.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Wanted {
    share_received: Option<String>,
    invite_accepted: Option<String>,
    share_failed: Option<String>,
}

/// Chooses what one hears about by mail.
pub async fn choose_notices(site: Data<Site>, form: Form<Wanted>) -> Answer {
    let Form { session, by, fields } = form;
    let ticked = |topic: &UserTopic| match topic {
        UserTopic::ShareReceived => fields.share_received.is_some(),
        UserTopic::InviteAccepted => fields.invite_accepted.is_some(),
        UserTopic::ShareFailed => fields.share_failed.is_some(),
    };
    let profile = Profile {
        notify: Some(UserTopic::ALL.into_iter().filter(ticked).collect()),
        ..Profile::default()
    };
    let user = site.users.change(&session.user.name, profile).await?;
    site.audit.note(&by, Event::new("user.change").of(&user.name)).await?;
    Ok(page::go("/account#notices"))
}

#[derive(Deserialize)]
pub struct Ended {
    /// Which session; all others where it is left out.
    session: Option<String>,
}

/// Ends a session of this account, or all but this one (T-72).
pub async fn end_sessions(site: Data<Site>, form: Form<Ended>) -> Answer {
    let back = Problem::back_to("/account");
    let ended = site.users.end_sessions(&form.session, form.fields.session.as_deref());
    ended.await.map_err(back)?;
    let event = Event::new("session.end").of(&form.session.user.name);
    site.audit.note(&form.by, event).await?;
    Ok(page::go("/account"))
}

#[derive(Deserialize)]
pub struct Language {
    /// A tag of ours; anything else is "as the browser asks".
    lang: String,
    #[serde(default)]
    next: String,
}

/// Keeps a choice of language in this browser, and in the account of whoever is signed in.
pub async fn choose_language(site: Data<Site>, session: Option<Session>, form: OpenForm<Language>) -> Answer {
    let lang = Lang::from_code(&form.0.lang);
    if let Some(session) = session {
        let profile = Profile {
            language: Some(lang),
            ..Profile::default()
        };
        site.users.change(&session.user.name, profile).await?;
    }
    let mut answer = page::go(session::way_back(&form.0.next));
    answer
        .add_cookie(&reader::language_cookie(&site, lang))
        .map_err(Error::internal)?;
    Ok(answer)
}

#[derive(Deserialize)]
pub struct Look {
    theme: String,
}

/// Keeps a choice of light or dark in this browser.
pub async fn choose_theme(site: Data<Site>, form: Form<Look>) -> Answer {
    let theme = Theme::parse(&form.fields.theme).unwrap_or_default();
    let mut answer = page::go("/account");
    answer
        .add_cookie(&reader::theme_cookie(&site, theme))
        .map_err(Error::internal)?;
    Ok(answer)
}

#[derive(Deserialize)]
pub struct Passwords {
    old: Secret,
    password: Secret,
}

/// Changes the password. Every session ends with the old one, so this browser gets a new one (T-72).
pub async fn change_password(site: Data<Site>, request: HttpRequest, form: Form<Passwords>) -> Answer {
    let Form { session, by, fields } = form;
    let name = &session.user.name;
    match site.users.change_password(name, fields.old, fields.password).await {
        Ok(()) => {
            site.audit.note(&by, Event::new("password.change").of(name)).await?;
            let visitor = session::visitor(&request, &site);
            let token = site.users.open_session_for(name, visitor, site.clock.now()).await?;
            Ok(auth::go_with_session(&site, "/account", &token))
        }
        Err(error) => {
            let again = account(&site, &session, Some(Fault::of(error)?)).await?;
            page::show_again(&again.fault, &again)
        }
    }
}
