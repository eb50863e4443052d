//! The trust list: which servers may federate with this one, and why.

use std::collections::BTreeMap;

use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::web::Data;
use actix_web::web::Query;
use askama::Template;
use serde::Deserialize;

use crate::api::dealings;
use crate::api::lists;
use crate::api::servers::every_rule;
use crate::clock::Timestamp;
use crate::config::Mode;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::ocm::address::Provider;
use crate::peers::batch::Batch;
use crate::peers::batch::Occasion;
use crate::peers::probe::Finding;
use crate::peers::probe::Probed;
use crate::peers::trust;
use crate::peers::trust::Decision;
use crate::peers::trust::Pattern;
use crate::peers::trust::Purpose;
use crate::peers::trust::TrustRule;
use crate::peers::trust::Verdict;
use crate::site::Site;
use crate::users::Session;
use crate::web::filters;
use crate::web::page;
use crate::web::page::Answer;
use crate::web::page::Fault;
use crate::web::page::Page;
use crate::web::page::escaped;
use crate::web::session::Admin;
use crate::web::session::Form;
use crate::web::words::Badge;

/// How many servers a page of the list shows.
const SHOWN: usize = 50;

/// Which servers are listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Tab {
    Allowed,
    Denied,
    /// Met, and decided upon without a rule.
    Seen,
    #[default]
    All,
}

impl Tab {
    const ALL: [Self; 4] = [Self::Allowed, Self::Denied, Self::Seen, Self::All];

    fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Denied => "denied",
            Self::Seen => "seen",
            Self::All => "all",
        }
    }

    fn label(self) -> &'static str {
        match self {
            Self::Allowed => "Allowed",
            Self::Denied => "Denied",
            Self::Seen => "Seen",
            Self::All => "All",
        }
    }

    fn has(self, rule: Option<&TrustRule>) -> bool {
        match self {
            Self::All => true,
            Self::Seen => rule.is_none(),
            Self::Allowed => rule.is_some_and(|rule| rule.verdict == Verdict::Allow),
            Self::Denied => rule.is_some_and(|rule| rule.verdict == Verdict::Deny),
        }
    }
}

/// One server, or one wildcard.
struct Row {
    name: String,
    server: Option<Provider>,
    rule: Option<TrustRule>,
    badge: Badge,
    because: String,
    contacts: usize,
    last: Option<Timestamp>,
}

#[derive(Template)]
#[template(path = "admin_servers.html")]
struct Servers {
    page: Page,
    fault: Option<Fault>,
    mode: Mode,
    tab: Tab,
    tabs: Vec<(Tab, usize)>,
    search: String,
    rows: Vec<Row>,
    next: Option<String>,
    done: Option<Batch>,
    asked: String,
    decision: Option<Decision>,
    probed: Option<Probed>,
}

/// What of the list is wanted, and the server that somebody wonders about.
#[derive(Default, Deserialize)]
pub struct Asked {
    #[serde(default)]
    why: String,
    #[serde(default)]
    show: Tab,
    #[serde(default)]
    q: String,
    after: Option<String>,
    /// The change that was just made.
    done: Option<String>,
}

pub async fn list(site: Data<Site>, Admin(session): Admin, asked: Query<Asked>) -> Answer {
    let (decision, fault) = match explain(&site, &asked.why).await {
        Ok(decision) => (decision, None),
        Err(error) => (None, Some(Fault::of(error)?)),
    };
    let shown = Servers {
        decision,
        ..servers(&site, &session, asked.into_inner(), fault).await?
    };
    page::show_again(&shown.fault, &shown)
}

async fn explain(site: &Site, asked: &str) -> Result<Option<Decision>> {
    if asked.trim().is_empty() {
        return Ok(None);
    }
    let decision = site.peers.explain(&typed(asked)?, Purpose::Federate).await?;
    Ok(Some(decision))
}

fn typed(asked: &str) -> Result<Provider> {
    let asked = asked.trim();
    Provider::parse_lenient(asked.strip_suffix('.').unwrap_or(asked))
        .map_err(|invalid| Error::from(invalid).in_field("why"))
}

/// The server that somebody wants to be asked.
#[derive(Deserialize)]
pub struct Probe {
    why: String,
}

/// Asks the server that somebody wonders about whether it can verify our signatures.
pub async fn probe(site: Data<Site>, _: Admin, form: Form<Probe>) -> Answer {
    let why = form.fields.why;
    let outcome = match typed(&why) {
        Ok(host) => site.peers.probe(&host).await,
        Err(error) => Err(error),
    };
    let (probed, fault) = match outcome {
        Ok(probed) => (Some(probed), None),
        Err(error) => (None, Some(Fault::of(error)?)),
    };
    let decision = explain(&site, &why).await.unwrap_or_default();
    let asked = Asked {
        why,
        ..Asked::default()
    };
    let shown = Servers {
        decision,
        probed,
        ..servers(&site, &form.session, asked, fault).await?
    };
    page::show_again(&shown.fault, &shown)
}

async fn servers(site: &Site, session: &Session, asked: Asked, fault: Option<Fault>) -> Result<Servers> {
    let all = named(site).await?;
    let tabs = Tab::ALL.map(|tab| (tab, all.values().filter(|rule| tab.has(rule.as_ref())).count()));
    let search = asked.q.trim().to_lowercase();
    let found = |name: &String, rule: &Option<TrustRule>| {
        let texts = rule.iter().flat_map(|rule| [&rule.reason, &rule.note, &rule.by]);
        let said = name.contains(&search) || texts.into_iter().any(|text| text.to_lowercase().contains(&search));
        asked.show.has(rule.as_ref()) && said && asked.after.as_ref().is_none_or(|after| name > after)
    };
    let mut chosen: Vec<_> = all.into_iter().filter(|(name, rule)| found(name, rule)).collect();
    let more = chosen.len() > SHOWN;
    chosen.truncate(SHOWN);
    let next = chosen.last().filter(|_| more).map(|(name, _)| escaped(name));
    Ok(Servers {
        page: Page::of(site, session, "servers", "Trust list"),
        fault,
        mode: site.peers.mode().await?,
        tab: asked.show,
        tabs: tabs.to_vec(),
        search: asked.q,
        rows: rows(site, chosen).await?,
        next,
        done: match asked.done {
            Some(id) => done(site, &id).await?,
            None => None,
        },
        asked: asked.why,
        decision: None,
        probed: None,
    })
}

/// What was done just now; what is too long ago is not worth an error.
async fn done(site: &Site, id: &str) -> Result<Option<Batch>> {
    match site.peers.batch(id).await {
        Ok((batch, _)) => Ok(Some(batch)),
        Err(error) if error.kind() == Kind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// All servers there is a rule for, and those that were met and no rule decides about.
async fn named(site: &Site) -> Result<BTreeMap<String, Option<TrustRule>>> {
    let mut all: BTreeMap<_, _> = every_rule(site)
        .await?
        .into_iter()
        .map(|rule| (rule.pattern.as_str().to_owned(), Some(rule)))
        .collect();
    for host in site.peers.met().await? {
        let name = host.to_string();
        if !all.contains_key(&name) && !site.peers.explain(&host, Purpose::Federate).await?.by_rule {
            all.insert(name, None);
        }
    }
    Ok(all)
}

async fn rows(site: &Site, chosen: Vec<(String, Option<TrustRule>)>) -> Result<Vec<Row>> {
    let mut contacts: BTreeMap<Provider, usize> = BTreeMap::new();
    for contact in dealings::every_contact(site).await? {
        *contacts.entry(contact.address.provider).or_default() += 1;
    }
    let now = site.clock.now();
    let mut rows = Vec::with_capacity(chosen.len());
    for (name, rule) in chosen {
        let server = Provider::parse(&name).ok();
        let decision = match &server {
            Some(host) => Some(site.peers.explain(host, Purpose::Federate).await?),
            None => None,
        };
        let over = rule.as_ref().is_some_and(|rule| !rule.in_force(now));
        let allowed = match (&decision, &rule) {
            (Some(decision), _) => decision.allowed,
            (None, rule) => rule.as_ref().is_some_and(|rule| rule.verdict == Verdict::Allow),
        };
        let because = match (decision, &rule) {
            (Some(decision), _) => decision.because,
            (None, Some(rule)) => trust::describe(rule),
            (None, None) => String::new(),
        };
        let last = match &server {
            Some(host) => last_contact(site, host).await?,
            None => None,
        };
        rows.push(Row {
            badge: match allowed {
                _ if over => Badge::quiet("Ended"),
                true => Badge::ok("Allowed"),
                false => Badge::bad("Denied"),
            },
            contacts: server
                .as_ref()
                .and_then(|host| contacts.get(host))
                .copied()
                .unwrap_or(0),
            because,
            last,
            name,
            server,
            rule,
        });
    }
    Ok(rows)
}

/// When there was something between us last, as far as is known.
async fn last_contact(site: &Site, host: &Provider) -> Result<Option<Timestamp>> {
    let asked = site.peers.account(host).await?.discovery;
    let asked = asked.map(|(_, fetched)| fetched).filter(|at| *at > Timestamp(0));
    Ok(site.peers.traffic().last(host).max(asked))
}

#[derive(Deserialize)]
pub struct Named {
    host: String,
}

pub async fn remove(site: Data<Site>, _: Admin, form: Form<Named>) -> Answer {
    let pattern = Pattern::parse(&form.fields.host)?;
    let (_, batch) = site.peers.remove_rule(&pattern, &form.session.user.name).await?;
    Ok(page::go(format!("/admin/servers?done={}", batch.id)))
}

#[derive(Deserialize)]
pub struct Which {
    batch: String,
}

/// Puts back what was there before a change.
pub async fn undo(site: Data<Site>, _: Admin, form: Form<Which>) -> Answer {
    let undone = site.peers.undo(&form.fields.batch).await?;
    let id = undone.batch.id;
    Ok(page::go(match undone.batch.occasion {
        Occasion::ByHand => format!("/admin/servers?done={id}"),
        Occasion::Ticked | Occasion::Import => format!("/admin/servers/import/{id}"),
    }))
}

#[derive(Deserialize)]
pub struct Export {
    format: String,
    #[serde(default)]
    which: String,
}

/// The list as a file to keep.
pub async fn export(site: Data<Site>, _: Admin, wanted: Query<Export>) -> Answer {
    let (content_type, ending, text) = lists::exported(&site, &wanted.format, &wanted.which).await?;
    let which = match wanted.which.as_str() {
        "allow" => "allowed",
        _ if ending == "json" => "all",
        _ => "denied",
    };
    let name = format!("trust-list-{which}.{ending}");
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, content_type))
        .insert_header((header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")))
        .body(text))
}
