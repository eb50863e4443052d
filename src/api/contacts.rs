//! Invites that are accepted, the contacts they bring, and the servers that users ask for, as programs see them.

use serde_json::Value;
use serde_json::json;

use crate::api::rows;
use crate::api::the_user;
use crate::contacts;
use crate::contacts::Change;
use crate::contacts::Contact;
use crate::contacts::card::Format;
use crate::error::Error;
use crate::error::Result;
use crate::ocm::address::OcmAddress;
use crate::ocm::address::Provider;
use crate::peers::trust::Purpose;
use crate::peers::wishes::Wish;
use crate::shares::Parting;
use crate::site::Site;
use crate::store::Page;
use crate::store::every;
use crate::users::User;

pub async fn read_invite(site: &Site, user: Option<String>, text: &str) -> Result<Value> {
    let user = the_user(site, user).await?;
    let invite = site.invites.read(text)?;
    let host = &invite.provider;
    let account = site.peers.account(host).await?;
    let decision = site.peers.explain(host, Purpose::Invite).await?;
    let known = site.invites.accepted_before(&user.name, &invite).await?;
    Ok(json!({
        "provider": host.to_string(),
        "name": account.discovery.as_ref().and_then(|(discovery, _)| discovery.name()),
        "decision": decision.decision,
        "because": decision.because,
        "looks_like": site.peers.lookalike(&user.name, host).await?.map(|known| known.to_string()),
        "told": { "name": user.display_name, "address": format!("{}@{}", user.name, own(site)), "email": user.mail },
        "contact": known.map(contact_row),
    }))
}

pub async fn accept_invite(site: &Site, user: Option<String>, text: &str, no_mail: bool) -> Result<Value> {
    let user = the_user(site, user).await?;
    let invite = site.invites.read(text)?;
    let contact = site.invites.accept(&user, &invite, !no_mail, site.clock.now()).await?;
    Ok(json!({ "contact": contact_row(contact) }))
}

pub async fn list(site: &Site, user: Option<String>) -> Result<Value> {
    let user = the_user(site, user).await?;
    Ok(rows(all(site, &user).await?, contact_row))
}

async fn all(site: &Site, user: &User) -> Result<Vec<Contact>> {
    every(async |page: Page| {
        site.store
            .read(async |txn| contacts::list(txn, &user.name, &page).await)
            .await
    })
    .await
}

async fn one(site: &Site, user: &User, address: &str) -> Result<Contact> {
    let address = OcmAddress::parse(address)?;
    let found = site
        .store
        .read(async |txn| contacts::get(txn, &user.name, &address).await)
        .await?;
    found.ok_or_else(contacts::no_such_contact)
}

pub async fn show(site: &Site, user: Option<String>, address: &str) -> Result<Value> {
    let user = the_user(site, user).await?;
    let contact = one(site, &user, address).await?;
    let (mut sent, mut received) = site.shares.between(&user.name, &contact.address).await?;
    sent.retain(|share| share.goes_on(site.clock.now()));
    received.retain(|share| share.goes_on(site.clock.now()));
    let mut row = contact_row(contact);
    row["shared_with_them"] = rows(sent, |share| json!({ "id": share.id, "name": share.name }));
    row["shared_by_them"] = rows(received, |share| json!({ "id": share.id, "name": share.name }));
    Ok(row)
}

pub async fn change(site: &Site, user: Option<String>, address: &str, change: &Change) -> Result<Value> {
    let user = the_user(site, user).await?;
    let (address, now) = (OcmAddress::parse(address)?, site.clock.now());
    let contact = site
        .store
        .run(async |txn| contacts::change(txn, &user.name, &address, change, now).await)
        .await?;
    Ok(contact_row(contact))
}

pub async fn remove(site: &Site, user: Option<String>, address: &str, parting: Parting) -> Result<Value> {
    let user = the_user(site, user).await?;
    let address = OcmAddress::parse(address)?;
    let contact = site
        .shares
        .part(&user.name, &address, parting, site.clock.now())
        .await?;
    Ok(contact_row(contact))
}

pub async fn export(site: &Site, user: Option<String>, address: Option<&str>, form: &str) -> Result<Value> {
    let form = Format::parse(form)?;
    let user = the_user(site, user).await?;
    let contacts = match address {
        Some(address) => vec![one(site, &user, address).await?],
        None => all(site, &user).await?,
    };
    Ok(Value::String(form.write(&contacts)))
}

fn contact_row(contact: Contact) -> Value {
    json!({
        "address": contact.address.to_string(),
        "shown_name": contact.shown_name(),
        "name": contact.name,
        "email": contact.email,
        "provider": contact.address.provider.to_string(),
        "since": contact.since.to_string(),
        "via": contact.via,
        "our_name": contact.ours.name,
        "note": contact.ours.note,
        "blocked": contact.ours.blocked.map(|since| since.to_string()),
        "told_email": contact.ours.told_mail,
    })
}

pub async fn ask(site: &Site, user: Option<String>, host: &str) -> Result<Value> {
    let user = the_user(site, user).await?;
    let host = read(host)?;
    let wish = site.peers.wish(&user.name, &host, site.clock.now()).await?;
    Ok(wish_row(wish))
}

pub async fn asked(site: &Site) -> Result<Value> {
    Ok(rows(site.peers.wishes().await?, wish_row))
}

pub async fn dismiss(site: &Site, host: &str) -> Result<Value> {
    let host = read(host)?;
    site.peers.dismiss(&host).await?;
    Ok(json!({ "host": host }))
}

fn wish_row(wish: Wish) -> Value {
    json!({ "host": wish.host, "user": wish.user, "since": wish.since.to_string() })
}

fn read(host: &str) -> Result<Provider> {
    Provider::parse_lenient(host).map_err(|invalid| Error::from(invalid).in_field("host"))
}

fn own(site: &Site) -> &Provider {
    site.config.server.public_url.provider()
}
