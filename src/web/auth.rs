//! Signing in and out, and the page that makes the first admin.

use actix_web::HttpRequest;
use actix_web::HttpResponse;
use actix_web::cookie::Cookie;
use actix_web::http::header;
use actix_web::web::Data;
use actix_web::web::Query;
use askama::Template;
use serde::Deserialize;

use crate::error::Error;
use crate::http::INVITE_ACCEPT_DIALOG;
use crate::lang::Lang;
use crate::secret::Secret;
use crate::site::Site;
use crate::users::NewUser;
use crate::users::Session;
use crate::web::filters;
use crate::web::page;
use crate::web::page::Answer;
use crate::web::page::Fault;
use crate::web::page::Page;
use crate::web::page::escaped;
use crate::web::reader;
use crate::web::session;
use crate::web::session::Form;
use crate::web::session::NoFields;
use crate::web::session::OpenForm;

#[derive(Template)]
#[template(path = "login.html")]
struct Login {
    page: Page,
    fault: Option<Fault>,
    next: String,
    name: String,
    /// Whether it is an invitation that waits behind.
    invited: bool,
}

#[derive(Deserialize)]
pub struct Wanted {
    #[serde(default)]
    next: String,
}

pub async fn login(site: Data<Site>, session: Option<Session>, wanted: Query<Wanted>) -> Answer {
    if session.is_some() {
        return Ok(page::go(session::way_back(&wanted.next)));
    }
    page::show(&login_page(&site, wanted.into_inner().next, String::new(), None))
}

/// Whatever is done on it, a wrong password or another language, it still leads to where somebody wanted to go.
fn login_page(site: &Site, next: String, name: String, fault: Option<Fault>) -> Login {
    Login {
        page: Page::public(site, "Sign in").at(format!("/login?next={}", escaped(&next))),
        fault,
        invited: next.starts_with(INVITE_ACCEPT_DIALOG),
        next,
        name,
    }
}

#[derive(Deserialize)]
pub struct Credentials {
    name: String,
    password: Secret,
    #[serde(default)]
    next: String,
}

pub async fn sign_in(site: Data<Site>, request: HttpRequest, form: OpenForm<Credentials>) -> Answer {
    let Credentials { name, password, next } = form.0;
    let visitor = session::visitor(&request, &site);
    match site.users.sign_in(&name, password, visitor, site.clock.now()).await {
        Ok(token) => {
            let mut answer = go_with_session(&site, session::way_back(&next), &token);
            // What was chosen in another browser holds in this one, too.
            if let Some(lang) = site.users.get(name.trim()).await?.language {
                answer
                    .add_cookie(&reader::language_cookie(&site, Some(lang)))
                    .map_err(Error::internal)?;
            }
            Ok(answer)
        }
        Err(error) => {
            let again = login_page(&site, next, name, Some(Fault::of(error)?));
            page::show_again(&again.fault, &again)
        }
    }
}

pub async fn sign_out(site: Data<Site>, form: Form<NoFields>) -> Answer {
    site.users.sign_out(&form.session).await?;
    Ok(go_with(session::no_cookie(&site), "/"))
}

#[derive(Template)]
#[template(path = "setup.html")]
struct Setup {
    page: Page,
    fault: Option<Fault>,
    code: String,
    host: String,
    least: usize,
    name: String,
    display_name: String,
    mail: String,
    language: String,
}

#[derive(Deserialize)]
pub struct Code {
    #[serde(default)]
    code: String,
}

pub async fn setup(site: Data<Site>, query: Query<Code>) -> Answer {
    let code = query.into_inner().code;
    site.users
        .check_setup_code(&Secret::new(&*code), site.clock.now())
        .await?;
    let blank = FirstAdmin {
        code,
        ..FirstAdmin::default()
    };
    page::show(&setup_page(&site, blank, None))
}

#[derive(Default, Deserialize)]
pub struct FirstAdmin {
    code: String,
    name: String,
    display_name: String,
    mail: String,
    password: String,
    /// A tag of ours; anything else is "as the browser asks".
    #[serde(default)]
    language: String,
}

pub async fn set_up(site: Data<Site>, request: HttpRequest, form: OpenForm<FirstAdmin>) -> Answer {
    let (form, now) = (form.0, site.clock.now());
    let code = Secret::new(&*form.code);
    // A link that is over is no fault in the form: no correction of it will help.
    site.users.check_setup_code(&code, now).await?;
    let new = NewUser {
        name: form.name.clone(),
        display_name: form.display_name.clone(),
        mail: form.mail.clone(),
        password: Secret::new(&*form.password),
        admin: true,
    };
    match site.users.create_first_admin(&code, new, now).await {
        Ok(user) => {
            let visitor = session::visitor(&request, &site);
            let token = site.users.open_session_for(&user.name, visitor, now).await?;
            let mut answer = go_with_session(&site, "/home", &token);
            if let Some(lang) = Lang::from_code(&form.language) {
                answer
                    .add_cookie(&reader::language_cookie(&site, Some(lang)))
                    .map_err(Error::internal)?;
            }
            Ok(answer)
        }
        Err(error) => {
            let again = setup_page(&site, form, Some(Fault::of(error)?));
            page::show_again(&again.fault, &again)
        }
    }
}

fn setup_page(site: &Site, form: FirstAdmin, fault: Option<Fault>) -> Setup {
    Setup {
        page: Page::public(site, "Set up this server").at(format!("/setup?code={}", escaped(&form.code))),
        fault,
        code: form.code,
        host: site.config.server.public_url.provider().to_string(),
        least: site.config.accounts.min_password,
        name: form.name,
        display_name: form.display_name,
        mail: form.mail,
        language: form.language,
    }
}

/// Sends the browser on with a session of its own, in place of whatever it came with (T-72).
pub fn go_with_session(site: &Site, path: &str, token: &Secret) -> HttpResponse {
    go_with(session::cookie(site, token), path)
}

fn go_with(cookie: Cookie<'static>, path: &str) -> HttpResponse {
    HttpResponse::SeeOther()
        .insert_header((header::LOCATION, path))
        .cookie(cookie)
        .finish()
}
