//! The accounts of this server.

use actix_web::web::Data;
use actix_web::web::Query;
use askama::Template;
use serde::Deserialize;

use crate::audit::Event;
use crate::error::Result;
use crate::secret::Secret;
use crate::site::Site;
use crate::store::Page as Rows;
use crate::users::NewUser;
use crate::users::Session;
use crate::users::User;
use crate::web::filters;
use crate::web::page;
use crate::web::page::After;
use crate::web::page::Answer;
use crate::web::page::Fault;
use crate::web::page::Page;
use crate::web::page::escaped;
use crate::web::session::Admin;
use crate::web::session::Form;

#[derive(Template)]
#[template(path = "admin_users.html")]
struct Users {
    page: Page,
    fault: Option<Fault>,
    users: Vec<User>,
    more: Option<String>,
    host: String,
    least: usize,
    filled: Account,
}

pub async fn list(site: Data<Site>, Admin(session): Admin, after: Query<After>) -> Answer {
    page::show(&users(&site, &session, after.rows(), Account::default(), None).await?)
}

async fn users(site: &Site, session: &Session, rows: Rows, filled: Account, fault: Option<Fault>) -> Result<Users> {
    let listing = site.users.list(rows).await?;
    Ok(Users {
        page: Page::of(site, session, "users", "People"),
        fault,
        users: listing.items,
        more: listing.next.map(|next| escaped(&next)),
        host: site.config.server.public_url.provider().to_string(),
        least: site.config.accounts.min_password,
        filled,
    })
}

#[derive(Default, Deserialize)]
pub struct Account {
    name: String,
    display_name: String,
    mail: String,
    password: String,
    admin: Option<String>,
}

pub async fn add(site: Data<Site>, _: Admin, form: Form<Account>) -> Answer {
    let Form { session, by, fields } = form;
    let new = NewUser {
        name: fields.name.clone(),
        display_name: fields.display_name.clone(),
        mail: fields.mail.clone(),
        password: Secret::new(&*fields.password),
        admin: fields.admin.is_some(),
    };
    match site.users.create(new, site.clock.now()).await {
        Ok(user) => {
            site.audit.note(&by, Event::new("user.add").of(&user.name)).await?;
            Ok(page::go("/admin/users"))
        }
        Err(error) => {
            let fault = Some(Fault::of(error)?);
            let again = users(&site, &session, Rows::first(page::ROWS), fields, fault).await?;
            page::show_again(&again.fault, &again)
        }
    }
}
