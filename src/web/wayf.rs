//! "Where is your account?": the page that an invitation's link leads to, for someone who has no account here.

use std::time::Duration;

use actix_web::web::Data;
use actix_web::web::Query;
use askama::Template;
use serde::Deserialize;
use url::Url;

use crate::directories::Listed;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;
use crate::invites::SentInvite;
use crate::ocm::address::Provider;
use crate::peers::trust::Purpose;
use crate::site::Site;
use crate::users::User;
use crate::web::filters;
use crate::web::page;
use crate::web::page::Answer;
use crate::web::page::Fault;
use crate::web::page::Page;
use crate::web::session::OpenForm;

/// How long a visitor waits for the server that he names.
const PATIENCE: Duration = Duration::from_secs(3);

#[derive(Template)]
#[template(path = "wayf.html")]
struct Ask {
    page: Page,
    fault: Option<Fault>,
    inviter: String,
    host: String,
    invite: SentInvite,
    string: String,
    server: String,
    listed: Vec<Listed>,
    /// Whether the directories list more servers than are shown.
    cut: bool,
}

#[derive(Template)]
#[template(path = "wayf_found.html")]
struct Found {
    page: Page,
    inviter: String,
    name: String,
    host: Provider,
    /// Their page that accepts invitations, with this one; none where they have no such page.
    link: Option<String>,
    string: String,
    own_host: String,
}

#[derive(Deserialize)]
pub struct Invited {
    #[serde(default)]
    token: String,
}

/// Says who invites and asks for the server of the invited. Looking spends nothing.
pub async fn ask(site: Data<Site>, invited: Query<Invited>) -> Answer {
    let found = site.invites.peek(&invited.token, site.clock.now()).await?;
    page::show(&question(&site, found, String::new(), None).await?)
}

async fn question(
    site: &Site,
    (invite, user): (SentInvite, User),
    server: String,
    fault: Option<Fault>,
) -> Result<Ask> {
    let mut listed = choices(site).await?;
    let cut = listed.len() > page::ROWS;
    listed.truncate(page::ROWS);
    Ok(Ask {
        listed,
        cut,
        page: Page::public(site, format!("{} invites you", user.display_name)),
        fault,
        inviter: user.display_name,
        host: site.config.server.public_url.provider().to_string(),
        string: site.invites.string(&invite)?,
        invite,
        server,
    })
}

/// The servers of the directories (INV-4), without this one and those that would be refused anyway; one more than are
/// shown, where there are so many.
async fn choices(site: &Site) -> Result<Vec<Listed>> {
    let own = site.config.server.public_url.provider();
    let mut choices = Vec::new();
    for server in site.directories.servers().await? {
        if server.provider != *own && site.peers.explain(&server.provider, Purpose::Invite).await?.allowed {
            choices.push(server);
        }
        if choices.len() > page::ROWS {
            break;
        }
    }
    Ok(choices)
}

#[derive(Deserialize)]
pub struct Account {
    token: String,
    server: String,
}

/// Looks the server of the invited up and links to its page. Only who holds an open invite can make us ask other servers,
/// and it is a plain link that leads there, so that nobody is sent anywhere unseen (T-69).
pub async fn look_up(site: Data<Site>, form: OpenForm<Account>) -> Answer {
    let Account { token, server } = form.0;
    let found = site.invites.peek(&token, site.clock.now()).await?;
    match find(&site, &found, &server).await {
        Ok(found) => page::show(&found),
        Err(error) => {
            let again = question(&site, found, server, Some(Fault::of(error)?)).await?;
            page::show_again(&again.fault, &again)
        }
    }
}

async fn find(site: &Site, (invite, user): &(SentInvite, User), server: &str) -> Result<Found> {
    let host = read_server(server)?;
    let own = site.config.server.public_url.provider();
    if host == *own {
        return Err(Error::new(
            Reason::OwnServer,
            "That is the server the invitation comes from. If your account is here, you two are already neighbours.",
        )
        .in_field("server"));
    }
    let discovery = site
        .peers
        .discover_within(&host, Purpose::Invite, PATIENCE)
        .await
        .map_err(|error| error.in_field("server"))?;
    let own = own.to_string();
    let name = discovery.name().map_or_else(|| host.to_string(), str::to_owned);
    Ok(Found {
        page: Page::public(site, format!("Continue to {host}")),
        inviter: user.display_name.clone(),
        link: discovery
            .invite_accept_dialog()
            .map(|dialog| link(dialog, invite.token.expose(), &own)),
        string: site.invites.string(invite)?,
        own_host: own,
        name,
        host,
    })
}

fn link(dialog: &Url, token: &str, own: &str) -> String {
    let mut link = dialog.clone();
    link.query_pairs_mut()
        .append_pair("token", token)
        .append_pair("providerDomain", own);
    link.into()
}

/// Reads the server out of what people know of their account: a host, the address of any page there, or `name@host`.
fn read_server(text: &str) -> Result<Provider> {
    let text = text.trim();
    let host = match text.split_once("://") {
        Some((_, rest)) => rest.split(['/', '?', '#']).next().unwrap_or_default(),
        None => text.split('/').next().unwrap_or_default(),
    };
    let host = host.rsplit('@').next().unwrap_or_default();
    let host = host.strip_suffix('.').unwrap_or(host);
    Provider::parse(host).map_err(|invalid| Error::from(invalid).in_field("server"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_found_in_whatever_people_know_of_their_account() {
        let check = |text: &str, expected: &str| assert_eq!(read_server(text).unwrap().to_string(), expected, "{text}");
        check("cloud.b.org", "cloud.b.org");
        check(" Cloud.B.org. ", "cloud.b.org");
        check("https://cloud.b.org/index.php/apps/files?dir=/", "cloud.b.org");
        check("cloud.b.org/login", "cloud.b.org");
        check("bob@cloud.b.org", "cloud.b.org");
        check("bob@b.org@cloud.b.org:8443", "cloud.b.org:8443");
        check("http://127.0.0.1:9001", "127.0.0.1:9001");
        for bad in ["", "@", "bob@", "cloud b.org", "javascript:alert(1)", "https://"] {
            assert_eq!(read_server(bad).unwrap_err().field(), Some("server"), "{bad}");
        }
    }

    #[test]
    fn the_link_keeps_the_query_of_the_dialog_and_escapes_ours() {
        let dialog = Url::parse("https://b.org/apps/accept?lang=de").unwrap();
        assert_eq!(
            link(&dialog, "a&b", "a.org:8443"),
            "https://b.org/apps/accept?lang=de&token=a%26b&providerDomain=a.org%3A8443"
        );
    }
}
