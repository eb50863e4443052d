//! The federation mode with what each would mean, the switches beside it, and what other servers are told of all that.

use actix_web::web::Data;
use askama::Template;
use serde::Deserialize;
use serde_json::Value;

use crate::api::dealings;
use crate::api::dealings::CutOff;
use crate::config::Mode;
use crate::error::Error;
use crate::error::Result;
use crate::http::discovery;
use crate::ocm::discovery::Capability;
use crate::ocm::discovery::Criterion;
use crate::peers::policy::ChosenMode;
use crate::site::Site;
use crate::users::Session;
use crate::web::admin::rule::Consequences;
use crate::web::filters;
use crate::web::page;
use crate::web::page::Answer;
use crate::web::page::Fault;
use crate::web::page::Page;
use crate::web::reader::said;
use crate::web::session::Admin;
use crate::web::session::Form;

/// One of the modes, and whom it would cut off.
struct Card {
    mode: Mode,
    title: &'static str,
    words: &'static str,
    chosen: bool,
    cut: Vec<CutOff>,
}

impl Card {
    /// The servers that it would cut off; of many only the first.
    fn names(&self) -> String {
        let mut names: Vec<_> = self.cut.iter().take(5).map(|cut| cut.host.to_string()).collect();
        if self.cut.len() > names.len() {
            names.push("…".to_owned());
        }
        names.join(", ")
    }
}

/// A switch of the configuration.
struct Switch {
    setting: &'static str,
    on: bool,
    words: &'static str,
    from: String,
}

/// A field of our discovery document.
struct Field {
    name: String,
    value: String,
    words: &'static str,
}

#[derive(Template)]
#[template(path = "admin_policy.html")]
struct Policy {
    page: Page,
    fault: Option<Fault>,
    cards: Vec<Card>,
    /// Where the mode is set, if it can't be changed here.
    from: Option<String>,
    chosen: Option<ChosenMode>,
    switches: Vec<Switch>,
    fields: Vec<Field>,
    words: Vec<(&'static str, &'static str)>,
    raw: String,
}

pub async fn show(site: Data<Site>, Admin(session): Admin) -> Answer {
    page::show(&policy(&site, &session, None).await?)
}

fn title(mode: Mode) -> (&'static str, &'static str) {
    match mode {
        Mode::Invite => (
            "Invitation only",
            "A server is admitted when one of your people trades an invitation with it.",
        ),
        Mode::Allowlist => (
            "Trust list only",
            "Only servers that are allowed by name are admitted, and those of a directory that lets them in.",
        ),
        Mode::Open => ("Open", "Every server that is not denied is admitted."),
    }
}

async fn policy(site: &Site, session: &Session, fault: Option<Fault>) -> Result<Policy> {
    let now = site.peers.mode().await?;
    let mut cards = Vec::new();
    for mode in Mode::ALL {
        let (title, words) = title(mode);
        cards.push(Card {
            mode,
            title,
            words,
            chosen: mode == now,
            cut: dealings::cut_off_by_mode(site, mode).await?,
        });
    }
    let document = discovery::seen_by_peers(site, now)?;
    let from = site.peers.mode_from();
    Ok(Policy {
        page: Page::of(site, session, "policy", "Federation policy"),
        fault,
        cards,
        from: from.is_set().then(|| from.to_string()),
        chosen: site.peers.chosen_mode().await?,
        switches: switches(site),
        fields: fields(&document),
        words: words(&document),
        raw: serde_json::to_string_pretty(&document).map_err(Error::internal)?,
    })
}

fn switches(site: &Site) -> Vec<Switch> {
    let settings = &site.config.federation;
    let all = [
        (
            "federation.require_signatures",
            settings.require_signatures,
            "Nothing is taken from a server that does not sign what it sends.",
            "A server that signs must go on signing. One that can't may go without, once an invitation or an admin has \
             made it known.",
        ),
        (
            "federation.draft_cavage",
            settings.draft_cavage,
            "Servers that sign in the older way are dealt with, too.",
            "Signatures of the older way are neither made nor taken.",
        ),
        (
            "federation.require_token_exchange",
            settings.require_token_exchange,
            "Nothing is shared that could be read with the secret of the share alone.",
            "Short-lived tokens are used wherever the other server can; where it can’t, the secret of a share opens it.",
        ),
    ];
    let switch = |(setting, on, yes, no)| Switch {
        setting,
        on,
        words: if on { yes } else { no },
        from: site.config.origin(setting).to_string(),
    };
    all.map(switch).into()
}

fn fields(document: &Value) -> Vec<Field> {
    let of = |(name, value): (&String, &Value)| Field {
        words: explain(name),
        value: match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        },
        name: name.clone(),
    };
    document.as_object().into_iter().flatten().map(of).collect()
}

/// What a field of the document tells.
fn explain(field: &str) -> &'static str {
    match field {
        "enabled" => "This server takes part in Open Cloud Mesh.",
        "apiVersion" => "The version of the protocol that it speaks.",
        "endPoint" => "Where other servers send their messages.",
        "provider" => "What this server calls itself.",
        "resourceTypes" => "What can be shared with people here, and where shared files are read.",
        "capabilities" => "What this server can do; each word is explained below.",
        "criteria" => "What it demands before it takes a share; each word is explained below.",
        "tokenEndPoint" => "Where the secret of a share is exchanged for a short-lived token.",
        "jwksUri" => "Where its public keys are, with which others check its signatures.",
        "inviteAcceptDialog" => "The page on which people here accept an invitation.",
        _ => "",
    }
}

/// The words in the document, each explained.
fn words(document: &Value) -> Vec<(&'static str, &'static str)> {
    let said = |field: &str, word: &str| {
        let words = document[field].as_array().into_iter().flatten();
        words.into_iter().any(|said| said.as_str() == Some(word))
    };
    let capabilities = Capability::ALL
        .iter()
        .filter(|it| said("capabilities", it.as_str()))
        .map(|it| (it.as_str(), capability(*it)));
    let criteria = Criterion::ALL
        .iter()
        .filter(|it| said("criteria", it.as_str()))
        .map(|it| (it.as_str(), criterion(*it)));
    capabilities.chain(criteria).collect()
}

/// What a server can do that says this.
pub(super) fn capability(word: Capability) -> &'static str {
    match word {
        Capability::EnforceMfa => "It asks for a second factor where a share demands one.",
        Capability::ExchangeToken => "It exchanges the secrets of shares for short-lived tokens.",
        Capability::HttpSig => "It signs what it sends, and checks signatures.",
        Capability::Invites => "Its people can accept invitations.",
        Capability::InviteWayf => "It has a page on which invited people choose their server.",
        Capability::Notifications => "It can be told what became of a share.",
        Capability::ProtocolObject => "It reads shares in the form of today.",
    }
}

/// What a server demands that says this.
pub(super) fn criterion(word: Criterion) -> &'static str {
    match word {
        Criterion::MustUseHttpSig => "It takes nothing that is not signed.",
        Criterion::MustExchangeToken => "It takes only shares that are read with short-lived tokens.",
        Criterion::Denylist => "It refuses servers that are on its list of denied ones.",
        Criterion::Allowlist => "It takes shares only from servers that are on its list.",
        Criterion::MustInvite => "It takes shares only between people who have traded an invitation.",
    }
}

#[derive(Deserialize)]
pub struct Chosen {
    #[serde(default)]
    mode: String,
    #[serde(default)]
    confirmed: String,
}

/// Has another mode count; one that cuts somebody off is asked about first.
pub async fn choose(site: Data<Site>, _: Admin, form: Form<Chosen>) -> Answer {
    let Form { session, fields } = form;
    let outcome = match Mode::from_word(&fields.mode) {
        None => Err(Error::invalid("mode", "Choose one of the three.")),
        Some(mode) => {
            let cut = dealings::cut_off_by_mode(&site, mode).await?;
            if !cut.is_empty() && fields.confirmed.is_empty() && !site.peers.mode_from().is_set() {
                return page::show(&consequences(&site, &session, mode, cut));
            }
            site.peers.choose_mode(mode, &session.user.name).await
        }
    };
    match outcome {
        Ok(()) => Ok(page::go("/admin/policy")),
        Err(error) => {
            let again = policy(&site, &session, Some(Fault::of(error)?)).await?;
            page::show_again(&again.fault, &again)
        }
    }
}

fn consequences(site: &Site, session: &Session, mode: Mode, cut: Vec<CutOff>) -> Consequences {
    let name = said(title(mode).0, &[]);
    Consequences {
        page: Page::of(site, session, "policy", said("Change to “{mode}”?", &[("mode", &name)])),
        wide: false,
        cut,
        action: "/admin/policy",
        fields: vec![("mode", mode.as_str().to_owned()), ("confirmed", "yes".to_owned())],
        button: "Change the mode",
        hook: "change-mode",
        back: "/admin/policy".to_owned(),
    }
}
