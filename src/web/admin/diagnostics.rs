//! Whether all is well: what was found the last time, looking again, and the file for those who are asked for help.

use std::sync::Arc;

use actix_web::web::Data;
use askama::Template;
use futures_util::stream;

use crate::audit::Event;
use crate::doctor;
use crate::doctor::Finding;
use crate::doctor::Report;
use crate::doctor::State;
use crate::doctor::bundle;
use crate::site::Site;
use crate::web::files;
use crate::web::filters;
use crate::web::page;
use crate::web::page::Answer;
use crate::web::page::Page;
use crate::web::page::Problem;
use crate::web::session::Admin;
use crate::web::session::Form;
use crate::web::session::NoFields;
use crate::web::words::Badge;

const HERE: &str = "/admin/diagnostics";

/// The checks, what people call them, and the page on which what they find is mended; this one where there is no other.
const CHECKS: &[(&str, &str, &str)] = &[
    ("config", "Settings", "/admin/settings"),
    ("permissions", "Rights", HERE),
    ("secrets", "Secrets", HERE),
    ("disk", "Disk", HERE),
    ("clock", "Clock", HERE),
    ("store", "Database", HERE),
    ("keys", "Signing keys", "/admin/keys"),
    ("certificate", "Certificate", "/admin/tls"),
    ("backup", "Backups", "/admin/backups"),
    ("backup-place", "Backups", "/admin/backups"),
    ("backup-review", "Backups", "/admin/backups"),
    ("queue", "Deliveries", "/admin/queue"),
    ("directories", "Directories", "/admin/directories"),
    ("peers", "Trust list", "/admin/servers"),
    ("clocks", "Clock", HERE),
    ("ports", "Ports", HERE),
    ("dns", "Names", HERE),
    ("discovery", "Discovery", "/admin/policy"),
    ("published-keys", "Published keys", "/admin/keys"),
    ("mail", "Mail", HERE),
];

/// What people call a check, and where what it found is mended.
pub fn title_and_page(check: &str) -> (&'static str, &'static str) {
    let known = CHECKS.iter().find(|(word, ..)| *word == check);
    known.map_or(("Diagnostics", HERE), |(_, title, page)| (title, page))
}

/// A state in a word.
pub fn badge(state: State) -> Badge {
    match state {
        State::Ok => Badge::ok("Good"),
        State::Unknown => Badge::quiet("Not known"),
        State::Warn => Badge::warn("To do"),
        State::Bad => Badge::bad("Wrong"),
    }
}

#[derive(Template)]
#[template(path = "admin_diagnostics.html")]
struct Diagnostics {
    page: Page,
    report: Arc<Report>,
    /// Whether everything was looked at, or only what can be seen without asking anybody.
    whole: bool,
}

impl Diagnostics {
    fn needing(&self) -> Vec<&Finding> {
        self.sorted(|finding| finding.needs_somebody())
    }

    fn others(&self) -> Vec<&Finding> {
        self.sorted(|finding| !finding.needs_somebody())
    }

    /// The worst first.
    fn sorted(&self, which: impl Fn(&Finding) -> bool) -> Vec<&Finding> {
        let mut found: Vec<_> = self.report.findings.iter().filter(|finding| which(finding)).collect();
        found.sort_by_key(|finding| std::cmp::Reverse(finding.state));
        found
    }

    fn verdict(&self) -> Badge {
        badge(self.report.verdict())
    }

    fn badge(&self, finding: &Finding) -> Badge {
        badge(finding.state)
    }

    fn title(&self, finding: &Finding) -> &'static str {
        title_and_page(finding.check).0
    }

    /// The page on which it is mended, if that is another one.
    fn elsewhere(&self, finding: &Finding) -> Option<&'static str> {
        let (_, page) = title_and_page(finding.check);
        (page != HERE).then_some(page)
    }
}

/// What was found the last time. It asks nobody.
pub async fn show(site: Data<Site>, Admin(session): Admin) -> Answer {
    let last = site.last_findings.get();
    let whole = last.is_some();
    let report = match last {
        Some(report) => report,
        None => Arc::new(Report {
            at: site.clock.now(),
            findings: doctor::examine(&site, false).await?,
        }),
    };
    page::show(&Diagnostics {
        page: Page::of(&site, &session, "diagnostics", "Diagnostics"),
        report,
        whole,
    })
}

pub async fn run(site: Data<Site>, _: Admin, _form: Form<NoFields>) -> Answer {
    doctor::check_up(&site).await.map_err(Problem::back_to(HERE))?;
    Ok(page::go(HERE))
}

pub async fn bundle(site: Data<Site>, _: Admin, form: Form<NoFields>) -> Answer {
    let zip = bundle::make(&site).await.map_err(Problem::back_to(HERE))?;
    site.audit.note(&form.by, Event::new("support.bundle")).await?;
    let size = u64::try_from(zip.len()).ok();
    let content = Box::pin(stream::iter([Ok(zip.into())]));
    Ok(files::attachment(&bundle::file_name(site.clock.now()), size, content))
}
