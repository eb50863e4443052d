//! The people of this server: brought in by a link, shut out, made admins, deleted.

use actix_web::web::Data;
use actix_web::web::Path;
use actix_web::web::Query;
use askama::Template;
use serde::Deserialize;

use crate::audit::Event;
use crate::clock::Timestamp;
use crate::contacts;
use crate::error::Error;
use crate::error::Result;
use crate::files::TreePath;
use crate::secret::Secret;
use crate::shares::received::ReceivedState;
use crate::shares::sent::SentState;
use crate::site::Site;
use crate::store::Page as Rows;
use crate::users::NewUser;
use crate::users::SIGN_IN_LINK_LASTS;
use crate::users::Session;
use crate::users::User;
use crate::web::filters;
use crate::web::page;
use crate::web::page::After;
use crate::web::page::Answer;
use crate::web::page::Fault;
use crate::web::page::Page;
use crate::web::page::Problem;
use crate::web::page::ROWS;
use crate::web::page::escaped;
use crate::web::session::Admin;
use crate::web::session::Form;
use crate::web::session::NoFields;
use crate::web::words::Badge;

#[derive(Template)]
#[template(path = "admin_users.html")]
struct Users {
    page: Page,
    users: Vec<User>,
    more: Option<String>,
    host: String,
    alone: bool,
}

impl Users {
    fn badge(&self, user: &User) -> Badge {
        badge(user)
    }
}

/// Where somebody stands, in a word.
fn badge(user: &User) -> Badge {
    match user {
        user if !user.is_active() => Badge::bad("Disabled"),
        user if !user.has_password() => Badge::info("Invited"),
        _ => Badge::ok("Active"),
    }
}

pub async fn list(site: Data<Site>, Admin(session): Admin, after: Query<After>) -> Answer {
    let first = after.rows().after.is_none();
    let listing = site.users.list(after.rows()).await?;
    page::show(&Users {
        page: Page::of(&site, &session, "users", "People"),
        alone: first && listing.items.len() == 1,
        users: listing.items,
        more: listing.next.map(|next| escaped(&next)),
        host: host(&site),
    })
}

fn host(site: &Site) -> String {
    site.config.server.public_url.provider().to_string()
}

/// The page of somebody.
fn href(name: &str) -> String {
    format!("/admin/users/{}", escaped(name))
}

#[derive(Template)]
#[template(path = "admin_user_new.html")]
struct New {
    page: Page,
    fault: Option<Fault>,
    host: String,
    filled: Account,
}

#[derive(Default, Deserialize)]
pub struct Account {
    name: String,
    display_name: String,
    mail: String,
    admin: Option<String>,
}

pub async fn new(site: Data<Site>, Admin(session): Admin) -> Answer {
    page::show(&form(&site, &session, Account::default(), None))
}

fn form(site: &Site, session: &Session, filled: Account, fault: Option<Fault>) -> New {
    New {
        page: Page::of(site, session, "users", "Add someone"),
        fault,
        host: host(site),
        filled,
    }
}

/// Adds somebody, and shows their link, which is kept nowhere: this answer is the only place where it stands.
pub async fn add(site: Data<Site>, _: Admin, form: Form<Account>) -> Answer {
    let Form { session, by, fields } = form;
    let new = NewUser {
        name: fields.name.clone(),
        display_name: fields.display_name.clone(),
        mail: fields.mail.clone(),
        password: Secret::new(""),
        admin: fields.admin.is_some(),
    };
    match site.users.invite(&new, site.clock.now()).await {
        Ok((user, code)) => {
            site.audit.note(&by, Event::new("user.add").of(&user.name)).await?;
            page::show(&handed(&site, &session, user, &code))
        }
        Err(error) => {
            let again = self::form(&site, &session, fields, Some(Fault::of(error)?));
            page::show_again(&again.fault, &again)
        }
    }
}

#[derive(Template)]
#[template(path = "admin_user_link.html")]
struct Handed {
    page: Page,
    user: User,
    host: String,
    link: String,
    until: Timestamp,
    back: String,
}

fn handed(site: &Site, session: &Session, user: User, code: &Secret) -> Handed {
    Handed {
        page: Page::of(site, session, "users", "Sign-in link"),
        host: host(site),
        link: site.sign_in_link(code),
        until: site.clock.now().plus(SIGN_IN_LINK_LASTS),
        back: href(&user.name),
        user,
    }
}

pub async fn link(site: Data<Site>, _: Admin, name: Path<String>, form: Form<NoFields>) -> Answer {
    let (user, code) = site
        .users
        .issue_link(&name, site.clock.now())
        .await
        .map_err(Problem::back_to(href(&name)))?;
    site.audit
        .note(&form.by, Event::new("user.link").of(&user.name))
        .await?;
    page::show(&handed(&site, &form.session, user, &code))
}

#[derive(Template)]
#[template(path = "admin_user.html")]
struct Show {
    page: Page,
    badge: Badge,
    host: String,
    storage: u64,
    link_until: Option<Timestamp>,
    has: Has,
    own: bool,
    href: String,
    user: User,
}

/// How much somebody has to do with others.
struct Has {
    contacts: usize,
    sent: usize,
    received: usize,
}

pub async fn show(site: Data<Site>, Admin(session): Admin, name: Path<String>) -> Answer {
    let user = find(&site, &name).await?;
    page::show(&Show {
        page: Page::of(&site, &session, "users", &user.display_name),
        badge: badge(&user),
        host: host(&site),
        storage: storage(&site, &user).await?,
        link_until: site.users.link_until(&user.name, site.clock.now()).await?,
        has: has(&site, &user).await?,
        own: user.name == session.user.name,
        href: href(&user.name),
        user,
    })
}

async fn find(site: &Site, name: &str) -> Result<User> {
    let none = || Error::not_found("There is nobody of this name on this server.");
    site.users.find(name).await?.ok_or_else(none)
}

async fn storage(site: &Site, user: &User) -> Result<u64> {
    site.homes.of(&user.name).await?.usage(&TreePath::root()).await
}

async fn has(site: &Site, user: &User) -> Result<Has> {
    let (name, all) = (user.name.as_str(), Rows::first(ROWS));
    let known = site
        .store
        .read(async |txn| contacts::list(txn, name, &all).await)
        .await?;
    let now = site.clock.now();
    let sent = site.shares.sent(name, &all).await?.items;
    let received = site.shares.received(name, &all).await?.items;
    let goes_on = |state: &SentState| matches!(state, SentState::Pending | SentState::Accepted);
    let is_there = |state: &ReceivedState| matches!(state, ReceivedState::Pending | ReceivedState::Accepted);
    Ok(Has {
        contacts: known.items.len(),
        sent: sent
            .iter()
            .filter(|share| goes_on(&share.state) && !share.expired(now))
            .count(),
        received: received
            .iter()
            .filter(|share| is_there(&share.state) && !share.expired(now))
            .count(),
    })
}

pub async fn disable(site: Data<Site>, _: Admin, name: Path<String>, form: Form<NoFields>) -> Answer {
    let user = site
        .users
        .set_disabled(&name, true, site.clock.now())
        .await
        .map_err(Problem::back_to(href(&name)))?;
    let event = Event::new("user.disable").of(&user.name);
    site.audit.note(&form.by, event).await?;
    Ok(page::go(href(&user.name)))
}

pub async fn enable(site: Data<Site>, _: Admin, name: Path<String>, form: Form<NoFields>) -> Answer {
    let user = site
        .users
        .set_disabled(&name, false, site.clock.now())
        .await
        .map_err(Problem::back_to(href(&name)))?;
    let event = Event::new("user.enable").of(&user.name);
    site.audit.note(&form.by, event).await?;
    Ok(page::go(href(&user.name)))
}

#[derive(Deserialize)]
pub struct Role {
    role: String,
}

pub async fn set_role(site: Data<Site>, _: Admin, name: Path<String>, form: Form<Role>) -> Answer {
    let (admin, verb) = match form.fields.role.as_str() {
        "admin" => (true, "user.promote"),
        "member" => (false, "user.demote"),
        _ => return Err(Error::invalid("role", "A role is admin or member.").into()),
    };
    let user = site
        .users
        .set_admin(&name, admin)
        .await
        .map_err(Problem::back_to(href(&name)))?;
    site.audit.note(&form.by, Event::new(verb).of(&user.name)).await?;
    Ok(page::go(href(&user.name)))
}

#[derive(Template)]
#[template(path = "admin_user_delete.html")]
struct Delete {
    page: Page,
    host: String,
    storage: u64,
    has: Has,
    href: String,
    user: User,
}

pub async fn ask_delete(site: Data<Site>, Admin(session): Admin, name: Path<String>) -> Answer {
    let user = find(&site, &name).await?;
    page::show(&Delete {
        page: Page::of(&site, &session, "users", format!("Delete {}?", user.name)),
        host: host(&site),
        storage: storage(&site, &user).await?,
        has: has(&site, &user).await?,
        href: href(&user.name),
        user,
    })
}

pub async fn delete(site: Data<Site>, _: Admin, name: Path<String>, form: Form<NoFields>) -> Answer {
    let user = site
        .delete_person(&name, site.clock.now())
        .await
        .map_err(Problem::back_to(href(&name)))?;
    let event = Event::new("user.delete").of(&user.name);
    site.audit.note(&form.by, event).await?;
    Ok(page::go("/admin/users"))
}
