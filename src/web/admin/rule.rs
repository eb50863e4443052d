//! Allowing and denying servers: one by its form, or several that are ticked, and what that would cut off.

use actix_web::web::Data;
use actix_web::web::Path;
use actix_web::web::Query;
use askama::Template;
use serde::Deserialize;

use crate::api::dealings;
use crate::api::dealings::CutOff;
use crate::error::Error;
use crate::error::Result;
use crate::peers::batch::Batch;
use crate::peers::batch::Change;
use crate::peers::batch::Occasion;
use crate::peers::trust::Pattern;
use crate::peers::trust::TrustRule;
use crate::peers::trust::Verdict;
use crate::site::Site;
use crate::users::Session;
use crate::web::filters;
use crate::web::page;
use crate::web::page::Answer;
use crate::web::page::Fault;
use crate::web::page::Page;
use crate::web::reader::said;
use crate::web::session::Admin;
use crate::web::session::Form;
use crate::web::words;

#[derive(Template)]
#[template(path = "admin_rule_new.html")]
struct New {
    page: Page,
    fault: Option<Fault>,
    filled: NewRule,
}

#[derive(Default, Deserialize)]
pub struct NewRule {
    #[serde(default)]
    host: String,
    #[serde(default)]
    verdict: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    note: String,
    #[serde(default)]
    until: String,
    /// Whether all names under it are meant, too.
    #[serde(default)]
    below: String,
    #[serde(default)]
    confirmed: String,
}

impl NewRule {
    fn read(&self, site: &Site, by: &str) -> Result<Vec<TrustRule>> {
        let verdict = read_verdict(&self.verdict)?;
        let pattern = Pattern::parse(&self.host)?;
        let mut patterns = vec![pattern];
        if !self.below.is_empty() && patterns[0].server().is_some() {
            let below = patterns[0].below().ok_or_else(|| {
                Error::invalid(
                    "host",
                    "There can be no names under this one; untick “all names under it”.",
                )
            })?;
            patterns.push(below);
        }
        let expires = words::end_of_day("until", &self.until)?;
        let rule = |pattern| TrustRule {
            pattern,
            verdict,
            reason: self.reason.trim().to_owned(),
            note: self.note.trim().to_owned(),
            expires,
            by: by.to_owned(),
            since: site.clock.now(),
            batch: None,
        };
        Ok(patterns.into_iter().map(rule).collect())
    }

    fn fields(&self) -> Vec<(&'static str, String)> {
        let all = [
            ("host", &self.host),
            ("verdict", &self.verdict),
            ("reason", &self.reason),
            ("note", &self.note),
            ("until", &self.until),
            ("below", &self.below),
        ];
        all.map(|(name, value)| (name, value.clone())).to_vec()
    }
}

fn read_verdict(word: &str) -> Result<Verdict> {
    match word {
        "allow" => Ok(Verdict::Allow),
        "deny" => Ok(Verdict::Deny),
        _ => Err(Error::invalid(
            "verdict",
            "Say whether this server is allowed or denied.",
        )),
    }
}

/// What will happen, and the form that has it happen.
#[derive(Template)]
#[template(path = "admin_consequences.html")]
pub(super) struct Consequences {
    pub page: Page,
    /// Whether a wildcard is for the names of unrelated people.
    pub wide: bool,
    pub cut: Vec<CutOff>,
    pub action: &'static str,
    pub fields: Vec<(&'static str, String)>,
    pub button: &'static str,
    pub hook: &'static str,
    pub back: String,
}

/// A rule that may be there already, to be changed.
#[derive(Deserialize)]
pub struct Prefill {
    #[serde(default)]
    host: String,
    #[serde(default)]
    verdict: String,
}

pub async fn new(site: Data<Site>, Admin(session): Admin, about: Query<Prefill>) -> Answer {
    let Prefill { host, verdict } = about.into_inner();
    let there = match Pattern::parse(&host) {
        Ok(pattern) => rule_for(&site, &pattern).await?,
        Err(_) => None,
    };
    let filled = match there {
        Some(rule) => NewRule {
            verdict: match (verdict.as_str(), rule.verdict) {
                ("", Verdict::Allow) => "allow".to_owned(),
                ("", Verdict::Deny) => "deny".to_owned(),
                _ => verdict,
            },
            reason: rule.reason,
            note: rule.note,
            until: rule
                .expires
                .map_or_else(String::new, |end| end.to_string()[..10].to_owned()),
            host,
            ..NewRule::default()
        },
        None => NewRule {
            host,
            verdict,
            ..NewRule::default()
        },
    };
    page::show(&blank(&site, &session, filled, None))
}

fn blank(site: &Site, session: &Session, filled: NewRule, fault: Option<Fault>) -> New {
    New {
        page: Page::of(site, session, "servers", "Allow or deny a server"),
        fault,
        filled,
    }
}

async fn rule_for(site: &Site, pattern: &Pattern) -> Result<Option<TrustRule>> {
    site.store
        .read(async |txn| txn.get::<TrustRule>(pattern.key()).await)
        .await
}

/// Writes the rule; a denial, and a wildcard for the names of unrelated people, is asked about first.
pub async fn create(site: Data<Site>, _: Admin, form: Form<NewRule>) -> Answer {
    let Form { session, fields } = form;
    let outcome = match fields.read(&site, &session.user.name) {
        Ok(rules) if fields.confirmed.is_empty() => match consequences(&site, &session, &fields, &rules).await? {
            Some(asked) => return page::show(&asked),
            None => write(&site, &session, rules).await,
        },
        Ok(rules) => write(&site, &session, rules).await,
        Err(error) => Err(error),
    };
    written(&site, &session, fields, outcome)
}

/// Writes the rule without a word of what it cuts off.
pub async fn set(site: Data<Site>, _: Admin, form: Form<NewRule>) -> Answer {
    let Form { session, fields } = form;
    let outcome = match fields.read(&site, &session.user.name) {
        Ok(rules) => write(&site, &session, rules).await,
        Err(error) => Err(error),
    };
    written(&site, &session, fields, outcome)
}

async fn write(site: &Site, session: &Session, rules: Vec<TrustRule>) -> Result<Batch> {
    let name = rules.first().map_or("", |rule| rule.pattern.as_str()).to_owned();
    let changes = rules.into_iter().map(Change::Put).collect();
    site.peers
        .change_rules(Occasion::ByHand, &name, &session.user.name, changes)
        .await
}

fn written(site: &Site, session: &Session, fields: NewRule, outcome: Result<Batch>) -> Answer {
    match outcome {
        Ok(batch) => Ok(page::go(format!("/admin/servers?done={}", batch.id))),
        Err(error) => {
            let again = blank(site, session, fields, Some(Fault::of(error)?));
            page::show_again(&again.fault, &again)
        }
    }
}

async fn consequences(
    site: &Site,
    session: &Session,
    fields: &NewRule,
    rules: &[TrustRule],
) -> Result<Option<Consequences>> {
    let patterns: Vec<_> = rules.iter().map(|rule| rule.pattern.clone()).collect();
    let wide = patterns.iter().any(Pattern::is_wide);
    let denies = rules.iter().any(|rule| rule.verdict == Verdict::Deny);
    if !denies && !wide {
        return Ok(None);
    }
    let host = patterns.first().map_or("", Pattern::as_str);
    let (title, button) = if denies {
        (said("Deny {host}?", &[("host", host)]), "Deny")
    } else {
        (said("Allow {host}?", &[("host", host)]), "Allow")
    };
    Ok(Some(Consequences {
        page: Page::of(site, session, "servers", title),
        wide,
        cut: if denies {
            dealings::cut_off_by_denying(site, &patterns).await?
        } else {
            Vec::new()
        },
        action: "/admin/servers/new",
        fields: confirmed(fields.fields()),
        button,
        hook: if denies { "deny-server" } else { "allow-server" },
        back: "/admin/servers".to_owned(),
    }))
}

fn confirmed(mut fields: Vec<(&'static str, String)>) -> Vec<(&'static str, String)> {
    fields.push(("confirmed", "yes".to_owned()));
    fields
}

/// What changes of several servers are called.
const TICKED: &str = "Ticked in the trust list";

/// What would be without a rule.
pub async fn ask_remove(site: Data<Site>, Admin(session): Admin, host: Path<String>) -> Answer {
    let pattern = Pattern::parse(&host)?;
    let title = said("Remove the rule for {host}?", &[("host", pattern.as_str())]);
    page::show(&Consequences {
        page: Page::of(&site, &session, "servers", title),
        wide: false,
        cut: dealings::cut_off_by_removing(&site, std::slice::from_ref(&pattern)).await?,
        action: "/admin/servers/remove",
        fields: vec![("host", pattern.as_str().to_owned())],
        button: "Remove the rule",
        hook: "remove-rule",
        back: "/admin/servers".to_owned(),
    })
}

/// Does one thing to all servers that are ticked: `do` is `allow`, `deny` or `remove`, `pick` each server.
pub async fn bulk(site: Data<Site>, _: Admin, form: Form<Vec<(String, String)>>) -> Answer {
    let Form { session, fields } = form;
    let first = |name: &str| {
        let found = fields.iter().find(|(field, _)| field == name);
        found.map_or("", |(_, value)| value.as_str())
    };
    let picked = fields.iter().filter(|(name, _)| name == "pick");
    let patterns: Vec<Pattern> = picked.map(|(_, host)| Pattern::parse(host)).collect::<Result<_>>()?;
    if patterns.is_empty() {
        return Err(Error::invalid("pick", "No server is ticked.").into());
    }
    let wanted = first("do");
    let verdict = match wanted {
        "remove" => None,
        word => Some(read_verdict(word)?),
    };
    if verdict != Some(Verdict::Allow) && first("confirmed").is_empty() {
        let asked = bulk_consequences(&site, &session, verdict, &patterns).await?;
        return page::show(&asked);
    }
    let mut changes = Vec::new();
    for pattern in patterns {
        changes.push(match verdict {
            None => Change::Remove(pattern),
            Some(verdict) => Change::Put(TrustRule {
                verdict,
                by: session.user.name.clone(),
                since: site.clock.now(),
                ..rule_for(&site, &pattern).await?.unwrap_or_else(|| empty(pattern))
            }),
        });
    }
    let by = &session.user.name;
    let batch = site.peers.change_rules(Occasion::Ticked, TICKED, by, changes).await?;
    Ok(page::go(format!("/admin/servers?done={}", batch.id)))
}

fn empty(pattern: Pattern) -> TrustRule {
    TrustRule {
        pattern,
        verdict: Verdict::Deny,
        reason: String::new(),
        note: String::new(),
        expires: None,
        by: String::new(),
        since: crate::clock::Timestamp(0),
        batch: None,
    }
}

async fn bulk_consequences(
    site: &Site,
    session: &Session,
    verdict: Option<Verdict>,
    patterns: &[Pattern],
) -> Result<Consequences> {
    let (sentence, button, hook, word) = match verdict {
        Some(_) => ("Deny {n} server?|Deny {n} servers?", "Deny", "deny-servers", "deny"),
        None => ("Remove {n} rule?|Remove {n} rules?", "Remove", "remove-rules", "remove"),
    };
    let number = u64::try_from(patterns.len()).unwrap_or(u64::MAX);
    let mut fields = vec![("do", word.to_owned())];
    fields.extend(patterns.iter().map(|pattern| ("pick", pattern.as_str().to_owned())));
    Ok(Consequences {
        page: Page::of(
            site,
            session,
            "servers",
            crate::web::reader::reader().lang.count(sentence, number),
        ),
        wide: false,
        cut: match verdict {
            Some(_) => dealings::cut_off_by_denying(site, patterns).await?,
            None => dealings::cut_off_by_removing(site, patterns).await?,
        },
        action: "/admin/servers/bulk",
        fields: confirmed(fields),
        button,
        hook,
        back: "/admin/servers".to_owned(),
    })
}
