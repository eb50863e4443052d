//! "Where is your account?": the page that an invitation's link leads to, for someone who has no account here.

use std::collections::BTreeSet;
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::HttpResponse;
use actix_web::cookie::Cookie;
use actix_web::web::Data;
use actix_web::web::Query;
use askama::Template;
use serde::Deserialize;
use url::Url;

use crate::directories::Listed;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;
use crate::http::asker;
use crate::invites::SentInvite;
use crate::ocm::address::Provider;
use crate::peers::trust::Purpose;
use crate::peers::trust::Verdict;
use crate::site::Site;
use crate::store::MAX_PAGE;
use crate::store::Page as Rows;
use crate::users::User;
use crate::web::filters;
use crate::web::page;
use crate::web::page::Answer;
use crate::web::page::Fault;
use crate::web::page::Page;
use crate::web::page::escaped;
use crate::web::reader;
use crate::web::reader::said;
use crate::web::session::OpenForm;

/// How long a visitor waits for the server that he names.
const PATIENCE: Duration = Duration::from_secs(3);

#[derive(Template)]
#[template(path = "wayf.html")]
struct Ask {
    page: Page,
    fault: Option<Fault>,
    /// None where the operator does not want it shown.
    inviter: Option<String>,
    host: String,
    invite: SentInvite,
    string: String,
    server: String,
    /// What this device has used before.
    remembered: Option<Provider>,
    /// The servers to choose from, by where they are listed.
    groups: Vec<Group>,
    /// What is looked for among them; empty where all are shown.
    wanted: String,
    /// Whether there are any, looked for or not.
    listed: bool,
    /// Whether there are more than are shown.
    cut: bool,
}

/// The servers of one list.
struct Group {
    /// None for the trust list of this server.
    federation: Option<String>,
    servers: Vec<Choice>,
}

struct Choice {
    provider: Provider,
    name: String,
}

#[derive(Template)]
#[template(path = "wayf_found.html")]
struct Found {
    page: Page,
    inviter: Option<String>,
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
    #[serde(default)]
    q: String,
}

/// Says who invites and asks for the server of the invited. Looking spends nothing.
pub async fn ask(site: Data<Site>, request: HttpRequest, invited: Query<Invited>) -> Answer {
    let found = site.invites.peek(&invited.token, site.clock.now()).await?;
    let shown = Ask {
        remembered: remembered(&site, &request).await?,
        ..question(&site, &found, &invited.q).await?
    };
    page::show(&shown)
}

async fn question(site: &Site, (invite, user): &(SentInvite, User), wanted: &str) -> Result<Ask> {
    let inviter = inviter(site, user);
    let title = match &inviter {
        Some(name) => said("{name} invites you", &[("name", name)]),
        None => said("You are invited", &[]),
    };
    let (groups, listed, cut) = choices(site, wanted).await?;
    Ok(Ask {
        page: Page::public(site, title).at(href(invite.token.expose())),
        fault: None,
        inviter,
        host: site.config.server.public_url.provider().to_string(),
        string: site.invites.string(invite)?,
        invite: invite.clone(),
        server: String::new(),
        remembered: None,
        groups,
        wanted: wanted.to_owned(),
        listed,
        cut,
    })
}

fn inviter(site: &Site, user: &User) -> Option<String> {
    let shown = site.config.invites.wayf_show_inviter;
    shown.then(|| user.display_name.clone())
}

fn href(token: &str) -> String {
    format!("/wayf?token={}", escaped(token))
}

/// The servers that admins here allow by name, and those of the directories (INV-4), each in the first list that has it;
/// without this one and those that would be refused anyway. Tells also whether there are any without looking for them,
/// and whether some are left out.
async fn choices(site: &Site, wanted: &str) -> Result<(Vec<Group>, bool, bool)> {
    let wanted = wanted.trim().to_lowercase();
    let (mut seen, mut groups) = (BTreeSet::new(), Vec::<Group>::new());
    let (mut shown, mut listed) = (0, false);
    seen.insert(site.config.server.public_url.provider().clone());
    for (federation, choice) in all_choices(site).await? {
        if !seen.insert(choice.provider.clone())
            || !site.peers.explain(&choice.provider, Purpose::Invite).await?.allowed
        {
            continue;
        }
        listed = true;
        let host = choice.provider.to_string();
        if !choice.name.to_lowercase().contains(&wanted) && !host.contains(&wanted) {
            continue;
        }
        if shown == page::ROWS {
            return Ok((groups, true, true));
        }
        shown += 1;
        match groups.iter_mut().find(|group| group.federation == federation) {
            Some(group) => group.servers.push(choice),
            None => groups.push(Group {
                federation,
                servers: vec![choice],
            }),
        }
    }
    Ok((groups, listed, false))
}

async fn all_choices(site: &Site) -> Result<Vec<(Option<String>, Choice)>> {
    let now = site.clock.now();
    let mut choices = Vec::new();
    let rules = site.peers.rules(&Rows::first(MAX_PAGE)).await?.items;
    for rule in rules
        .iter()
        .filter(|rule| rule.verdict == Verdict::Allow && rule.in_force(now))
    {
        // A rule for all names below a domain names no server.
        let Ok(provider) = Provider::parse(rule.pattern.as_str()) else {
            continue;
        };
        let known = site.peers.account(&provider).await?.discovery;
        let name = known.and_then(|(discovery, _)| discovery.name().map(str::to_owned));
        let name = name.unwrap_or_else(|| provider.to_string());
        choices.push((None, Choice { provider, name }));
    }
    for Listed {
        provider,
        name,
        federations,
    } in site.directories.servers().await?
    {
        choices.push((federations.into_iter().next(), Choice { provider, name }));
    }
    Ok(choices)
}

#[derive(Deserialize)]
pub struct Account {
    token: String,
    #[serde(default)]
    server: String,
    remember: Option<String>,
    /// Whether what this device remembers is to be forgotten.
    forget: Option<String>,
}

/// Looks the server of the invited up and links to its page. Only who holds an open invite can make us ask other servers,
/// and not often (DIA-14); and it is a plain link that leads there, so that nobody is sent anywhere unseen (T-69).
pub async fn look_up(site: Data<Site>, request: HttpRequest, form: OpenForm<Account>) -> Answer {
    let Account {
        token,
        server,
        remember,
        forget,
    } = form.0;
    let found = site.invites.peek(&token, site.clock.now()).await?;
    if forget.is_some() {
        let mut answer = page::go(href(&token));
        keep(&mut answer, reader::server_cookie(&site, None))?;
        return Ok(answer);
    }
    match find(&site, &request, &found, &server).await {
        Ok(found) => {
            let mut answer = page::show(&found)?;
            if remember.is_some() {
                keep(&mut answer, reader::server_cookie(&site, Some(&found.host)))?;
            }
            Ok(answer)
        }
        Err(error) => {
            let again = Ask {
                fault: Some(Fault::of(error)?),
                server,
                ..question(&site, &found, "").await?
            };
            page::show_again(&again.fault, &again)
        }
    }
}

fn keep(answer: &mut HttpResponse, cookie: Cookie<'static>) -> Result<()> {
    answer.add_cookie(&cookie).map_err(Error::internal)
}

/// The server that somebody chose before on this device, if it may still be chosen.
async fn remembered(site: &Site, request: &HttpRequest) -> Result<Option<Provider>> {
    let Some(host) = reader::remembered_server(request) else {
        return Ok(None);
    };
    let own = *site.config.server.public_url.provider() == host;
    let allowed = !own && site.peers.explain(&host, Purpose::Invite).await?.allowed;
    Ok(allowed.then_some(host))
}

async fn find(site: &Site, request: &HttpRequest, (invite, user): &(SentInvite, User), server: &str) -> Result<Found> {
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
        .discover_for_visitor(&host, &asker::asker(request, site), PATIENCE)
        .await
        .map_err(|error| error.in_field("server"))?;
    let own = own.to_string();
    let name = discovery.name().map_or_else(|| host.to_string(), str::to_owned);
    let title = said("Continue to {host}", &[("host", &host.to_string())]);
    Ok(Found {
        page: Page::public(site, title).at(href(invite.token.expose())),
        inviter: inviter(site, user),
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
    // Browsers read a backslash as the end of a host; here it is nothing that an address has.
    if text.contains(|c: char| c == '\\' || c.is_control() || c.is_whitespace()) {
        return Err(Error::invalid("server", "This is not the name of a server."));
    }
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
        for bad in [
            "",
            "@",
            "bob@",
            "cloud b.org",
            "javascript:alert(1)",
            "https://",
            "b.org\r\nHost: evil.example",
            "b.org\\@evil.example/",
            "0177.0.0.1",
            "2130706433",
        ] {
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
