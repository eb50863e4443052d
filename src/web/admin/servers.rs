//! The trust list: which servers may federate with this one, and why.

use actix_web::web::Data;
use actix_web::web::Query;
use askama::Template;
use serde::Deserialize;

use crate::audit::Event;
use crate::config::Mode;
use crate::error::Error;
use crate::error::Result;
use crate::ocm::address::Provider;
use crate::peers::probe::Finding;
use crate::peers::probe::Probed;
use crate::peers::trust::Decision;
use crate::peers::trust::Pattern;
use crate::peers::trust::Purpose;
use crate::peers::trust::TrustRule;
use crate::peers::trust::Verdict;
use crate::site::Site;
use crate::store::Page as Rows;
use crate::users::Session;
use crate::web::filters;
use crate::web::page;
use crate::web::page::Answer;
use crate::web::page::Fault;
use crate::web::page::Page;
use crate::web::page::ROWS;
use crate::web::session::Admin;
use crate::web::session::Form;
use crate::web::words;
use crate::web::words::Badge;

#[derive(Template)]
#[template(path = "admin_servers.html")]
struct Servers {
    page: Page,
    fault: Option<Fault>,
    mode: Mode,
    rules: Vec<TrustRule>,
    /// Whether there are more rules than are shown.
    cut: bool,
    asked: String,
    decision: Option<Decision>,
    probed: Option<Probed>,
    filled: NewRule,
}

impl Servers {
    fn badge(&self, rule: &TrustRule) -> Badge {
        match rule.verdict {
            _ if rule.expires.is_some_and(|end| self.page.now >= end) => Badge::quiet("Ended"),
            Verdict::Allow => Badge::ok("Allowed"),
            Verdict::Deny => Badge::bad("Denied"),
        }
    }
}

/// The server that somebody wonders about.
#[derive(Deserialize)]
pub struct Asked {
    #[serde(default)]
    why: String,
}

pub async fn list(site: Data<Site>, Admin(session): Admin, asked: Query<Asked>) -> Answer {
    let asked = asked.into_inner().why;
    let outcome = explain(&site, &asked).await;
    let (decision, fault) = match outcome {
        Ok(decision) => (decision, None),
        Err(error) => (None, Some(Fault::of(error)?)),
    };
    let shown = Servers {
        decision,
        asked,
        ..servers(&site, &session, NewRule::default(), fault).await?
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

/// Asks the server that somebody wonders about whether it can verify our signatures.
pub async fn probe(site: Data<Site>, _: Admin, form: Form<Asked>) -> Answer {
    let asked = form.fields.why;
    let outcome = match typed(&asked) {
        Ok(host) => {
            let event = Event::new("server.probe").of(&host).with(&host);
            site.audit.note(&form.by, event).await?;
            site.peers.probe(&host).await
        }
        Err(error) => Err(error),
    };
    let (probed, fault) = match outcome {
        Ok(probed) => (Some(probed), None),
        Err(error) => (None, Some(Fault::of(error)?)),
    };
    let shown = Servers {
        decision: explain(&site, &asked).await.unwrap_or_default(),
        probed,
        asked,
        ..servers(&site, &form.session, NewRule::default(), fault).await?
    };
    page::show_again(&shown.fault, &shown)
}

async fn servers(site: &Site, session: &Session, filled: NewRule, fault: Option<Fault>) -> Result<Servers> {
    let rules = site.peers.rules(&Rows::first(ROWS)).await?;
    Ok(Servers {
        page: Page::of(site, session, "servers", "Trust list"),
        fault,
        mode: site.config.federation.mode,
        rules: rules.items,
        cut: rules.next.is_some(),
        asked: String::new(),
        decision: None,
        probed: None,
        filled,
    })
}

#[derive(Default, Deserialize)]
pub struct NewRule {
    host: String,
    #[serde(default)]
    verdict: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    note: String,
    #[serde(default)]
    until: String,
}

impl NewRule {
    fn read(&self, site: &Site, by: &str) -> Result<TrustRule> {
        let verdict = match self.verdict.as_str() {
            "allow" => Verdict::Allow,
            "deny" => Verdict::Deny,
            _ => {
                return Err(Error::invalid(
                    "verdict",
                    "Say whether this server is allowed or denied.",
                ));
            }
        };
        Ok(TrustRule {
            pattern: Pattern::parse(&self.host)?,
            verdict,
            reason: self.reason.trim().to_owned(),
            note: self.note.trim().to_owned(),
            expires: words::end_of_day("until", &self.until)?,
            by: by.to_owned(),
            since: site.clock.now(),
        })
    }
}

pub async fn set(site: Data<Site>, _: Admin, form: Form<NewRule>) -> Answer {
    let outcome = match form.fields.read(&site, &form.session.user.name) {
        Ok(rule) => site.peers.set_rule(&rule).await.map(|()| rule),
        Err(error) => Err(error),
    };
    match outcome {
        Ok(rule) => {
            let verb = match rule.verdict {
                Verdict::Allow => "server.allow",
                Verdict::Deny => "server.deny",
            };
            let host = rule.pattern.as_str();
            site.audit
                .note(&form.by, Event::new(verb).of(&host).with(&host))
                .await?;
            Ok(page::go("/admin/servers"))
        }
        Err(error) => {
            let again = servers(&site, &form.session, form.fields, Some(Fault::of(error)?)).await?;
            page::show_again(&again.fault, &again)
        }
    }
}

#[derive(Deserialize)]
pub struct Named {
    host: String,
}

pub async fn remove(site: Data<Site>, _: Admin, form: Form<Named>) -> Answer {
    let rule = site.peers.remove_rule(&Pattern::parse(&form.fields.host)?).await?;
    let host = rule.pattern.as_str();
    site.audit
        .note(&form.by, Event::new("server.forget").of(host).with(host))
        .await?;
    Ok(page::go("/admin/servers"))
}
