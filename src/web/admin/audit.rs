//! Who did what on this server: looked through, filtered, taken along as a file.

use actix_web::HttpResponse;
use actix_web::web::Data;
use actix_web::web::Query;
use askama::Template;
use serde::Deserialize;

use crate::api::records;
use crate::api::records::Format;
use crate::audit::Entry;
use crate::audit::Filter;
use crate::audit::KINDS;
use crate::audit::Who;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::error::Result;
use crate::site::Site;
use crate::web::files;
use crate::web::filters;
use crate::web::page;
use crate::web::page::Answer;
use crate::web::page::Fault;
use crate::web::page::Page;
use crate::web::page::escaped;
use crate::web::session::Admin;
use crate::web::words;

/// How many entries a page shows.
const ROWS: usize = 50;

#[derive(Template)]
#[template(path = "admin_audit.html")]
struct Log {
    page: Page,
    fault: Option<Fault>,
    wanted: Wanted,
    entries: Vec<Entry>,
    /// Where the next page begins.
    next: Option<String>,
    /// For how many days entries are kept.
    kept: String,
    names: bool,
}

impl Log {
    /// This list, with a word more in its query.
    fn with(&self, more: &str) -> String {
        format!("/admin/audit?{}{more}", self.wanted.query())
    }

    fn is_peer(&self, entry: &Entry) -> bool {
        matches!(entry.who, Who::Peer(_))
    }

    fn is_stranger(&self, entry: &Entry) -> bool {
        entry.who == Who::Stranger
    }

    fn command_line<'a>(&self, entry: &'a Entry) -> Option<&'a str> {
        match &entry.who {
            Who::CommandLine(user) => Some(user),
            _ => None,
        }
    }
}

/// What somebody looks for, as the form and the links have it.
#[derive(Clone, Default, Deserialize)]
pub struct Wanted {
    #[serde(default)]
    who: String,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    server: String,
    #[serde(default)]
    since: String,
    #[serde(default)]
    until: String,
    #[serde(default)]
    format: String,
    after: Option<String>,
}

impl Wanted {
    fn filter(&self) -> Result<Filter> {
        let since = match self.since.trim() {
            "" => None,
            text => Some(
                Timestamp::parse(text).ok_or_else(|| Error::invalid("since", "This is no day such as 2026-12-31."))?,
            ),
        };
        Ok(Filter {
            who: self.who.trim().to_owned(),
            kind: self.kind.trim().to_owned(),
            server: self.server.trim().to_owned(),
            since,
            until: words::end_of_day("until", &self.until)?,
        })
    }

    fn is_filtered(&self) -> bool {
        !self.query().is_empty()
    }

    fn query(&self) -> String {
        let fields = [
            ("who", &self.who),
            ("kind", &self.kind),
            ("server", &self.server),
            ("since", &self.since),
            ("until", &self.until),
        ];
        let said = fields.into_iter().filter(|(_, value)| !value.trim().is_empty());
        said.map(|(name, value)| format!("{name}={}&", escaped(value.trim())))
            .collect()
    }
}

/// The list as a page, or, with `format`, as a file of everything that is wanted.
pub async fn list(site: Data<Site>, Admin(session): Admin, wanted: Query<Wanted>) -> Answer {
    let wanted = wanted.into_inner();
    let (filter, fault) = match wanted.filter() {
        Ok(filter) => (filter, None),
        Err(error) => (Filter::default(), Some(Fault::of(error)?)),
    };
    if let Some(format) = Format::parse(&wanted.format).filter(|_| fault.is_none()) {
        return Ok(download(&site, filter, format));
    }
    let after = wanted.after.as_deref();
    let found = site.audit.list(&filter, after, ROWS).await?;
    let shown = Log {
        page: Page::of(&site, &session, "audit", "Audit log"),
        fault,
        entries: found.entries,
        next: found.next.map(|next| escaped(&next)),
        kept: words::span(site.config.log.audit_keep.0),
        names: site.config.log.audit_file_names,
        wanted,
    };
    page::show_again(&shown.fault, &shown)
}

fn download(site: &Site, filter: Filter, format: Format) -> HttpResponse {
    files::attachment(format.file_name(), None, records::export(site, filter, format))
}
