//! One's own account.

use actix_web::web::Data;
use askama::Template;
use serde::Deserialize;

use crate::audit::Event;
use crate::error::Error;
use crate::lang::Lang;
use crate::secret::Secret;
use crate::site::Site;
use crate::users::Session;
use crate::users::User;
use crate::web::auth;
use crate::web::filters;
use crate::web::page;
use crate::web::page::Answer;
use crate::web::page::Fault;
use crate::web::page::Page;
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
    page::show(&account(&site, &session, None))
}

fn account(site: &Site, session: &Session, fault: Option<Fault>) -> Account {
    Account {
        page: Page::of(site, session, "account", "Account"),
        fault,
        user: session.user.clone(),
        host: site.config.server.public_url.provider().to_string(),
        least: site.config.accounts.min_password,
    }
}

#[derive(Deserialize)]
pub struct Language {
    /// A tag of ours; anything else is "as the browser asks".
    lang: String,
    #[serde(default)]
    next: String,
}

/// Keeps a choice of language in this browser; for those who are not signed in too.
pub async fn choose_language(site: Data<Site>, form: OpenForm<Language>) -> Answer {
    let mut answer = page::go(session::way_back(&form.0.next));
    answer
        .add_cookie(&reader::language_cookie(&site, Lang::from_code(&form.0.lang)))
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
pub async fn change_password(site: Data<Site>, form: Form<Passwords>) -> Answer {
    let Form { session, by, fields } = form;
    let name = &session.user.name;
    match site.users.change_password(name, fields.old, fields.password).await {
        Ok(()) => {
            site.audit.note(&by, Event::new("password.change").of(name)).await?;
            let token = site.users.open_session(name, site.clock.now()).await?;
            Ok(auth::go_with_session(&site, "/account", &token))
        }
        Err(error) => {
            let again = account(&site, &session, Some(Fault::of(error)?));
            page::show_again(&again.fault, &again)
        }
    }
}
