//! The page that a sign-in link opens: somebody chooses their password.

use actix_web::HttpRequest;
use actix_web::web::Data;
use actix_web::web::Query;
use askama::Template;
use serde::Deserialize;

use crate::audit::Event;
use crate::http::asker;
use crate::secret::Secret;
use crate::site::Site;
use crate::users::User;
use crate::web::auth;
use crate::web::filters;
use crate::web::page;
use crate::web::page::Answer;
use crate::web::page::Fault;
use crate::web::page::Page;
use crate::web::session::OpenForm;

#[derive(Template)]
#[template(path = "welcome.html")]
struct Welcome {
    page: Page,
    fault: Option<Fault>,
    code: String,
    name: String,
    user: String,
    host: String,
    least: usize,
}

#[derive(Deserialize)]
pub struct Code {
    #[serde(default)]
    code: String,
}

/// Looking spends nothing: programs that check the links in a mail look, too.
pub async fn show(site: Data<Site>, query: Query<Code>) -> Answer {
    let code = query.into_inner().code;
    let user = site.users.check_link(&Secret::new(&*code), site.clock.now()).await?;
    page::show(&welcome(&site, user, code, None))
}

fn welcome(site: &Site, user: User, code: String, fault: Option<Fault>) -> Welcome {
    Welcome {
        page: Page::public(site, "Choose a password"),
        fault,
        code,
        name: user.display_name,
        user: user.name,
        host: site.config.server.public_url.provider().to_string(),
        least: site.config.accounts.min_password,
    }
}

#[derive(Deserialize)]
pub struct Chosen {
    code: String,
    password: Secret,
}

pub async fn set(site: Data<Site>, request: HttpRequest, form: OpenForm<Chosen>) -> Answer {
    let Chosen { code, password } = form.0;
    let (secret, now) = (Secret::new(&*code), site.clock.now());
    // A link that is over is no fault in the form: no correction of it will help.
    let user = site.users.check_link(&secret, now).await?;
    match site.users.use_link(&secret, password, now).await {
        Ok(user) => {
            let by = asker::stranger(&request, &site).person(&user.name);
            site.audit.note(&by, Event::new("password.set").of(&user.name)).await?;
            let token = site.users.open_session(&user.name, now).await?;
            Ok(auth::go_with_session(&site, "/home", &token))
        }
        Err(error) => {
            let again = welcome(&site, user, code, Some(Fault::of(error)?));
            page::show_again(&again.fault, &again)
        }
    }
}
