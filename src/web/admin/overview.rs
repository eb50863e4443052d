//! How this server is: one verdict, what needs somebody, and the numbers behind it. It waits for nobody.

use std::collections::BTreeSet;

use actix_web::web::Data;
use askama::Template;

use crate::clock::Timestamp;
use crate::config::Mode;
use crate::contacts::Admission;
use crate::doctor;
use crate::doctor::Finding;
use crate::doctor::State;
use crate::outbox::Delivery;
use crate::outbox::Progress;
use crate::site::Site;
use crate::store::Key;
use crate::store::Page as Rows;
use crate::users::User;
use crate::web::admin::diagnostics;
use crate::web::filters;
use crate::web::page;
use crate::web::page::Answer;
use crate::web::page::Page;
use crate::web::page::ROWS;
use crate::web::reader;
use crate::web::session::Admin;
use crate::web::words::Badge;

#[derive(Template)]
#[template(path = "admin.html")]
struct Overview {
    page: Page,
    tasks: Vec<Task>,
    mode: Mode,
    admitted: Count,
    rules: Count,
    queue: Queue,
    database: u64,
    free: u64,
    people: Count,
    admins: usize,
    waited_for: usize,
    certificate: Card,
    ends: Option<Timestamp>,
    renewal: Option<Timestamp>,
    https: bool,
    backup: Card,
    same_disk: bool,
    version: &'static str,
    steps: Vec<Step>,
}

/// Something that needs an admin.
struct Task {
    badge: Badge,
    sentence: String,
    href: &'static str,
    label: &'static str,
}

/// What was found of one thing.
struct Card {
    badge: Badge,
    sentence: String,
}

impl Card {
    fn of(findings: &[Finding], check: &str) -> Self {
        let found = found(findings, check);
        Self {
            badge: diagnostics::badge(found.map_or(State::Unknown, |finding| finding.state)),
            sentence: found.map_or_else(String::new, |finding| reader::said(&finding.sentence, &[])),
        }
    }
}

/// A step of beginning with a server.
struct Step {
    done: bool,
    title: &'static str,
    sentence: &'static str,
}

/// A number of rows; there may be more than were counted.
struct Count {
    number: usize,
    more: bool,
}

impl std::fmt::Display for Count {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}", self.number, if self.more { "+" } else { "" })
    }
}

struct Queue {
    waiting: Count,
    given_up: usize,
    /// Came back with a backup.
    held: usize,
    /// Servers that something did not reach for good.
    failing: usize,
    oldest: Option<Timestamp>,
}

impl Queue {
    fn of(deliveries: &[Delivery], more: bool) -> Self {
        let given_up = deliveries.iter().filter(|one| one.progress == Progress::GivenUp);
        let waiting = deliveries.iter().filter(|one| one.progress == Progress::Waiting);
        Self {
            failing: given_up.clone().map(|one| &one.to).collect::<BTreeSet<_>>().len(),
            given_up: given_up.count(),
            held: deliveries.iter().filter(|one| one.progress == Progress::Held).count(),
            oldest: waiting.clone().map(|one| one.created).min(),
            waiting: Count {
                number: waiting.count(),
                more,
            },
        }
    }
}

impl Overview {
    fn is_new(&self) -> bool {
        self.steps.iter().any(|step| !step.done)
    }
}

pub async fn show(site: Data<Site>, Admin(session): Admin) -> Answer {
    let all = Rows::first(ROWS);
    let deliveries = site.outbox.list(&all).await?;
    let queue = Queue::of(&deliveries.items, deliveries.next.is_some());
    let people = site.users.list(all.clone()).await?;
    let rules = site.peers.rules(&all).await?;
    let admitted = site
        .store
        .read(async |txn| txn.list::<Admission>(Key::ALL, &all).await)
        .await?;
    let free = site.homes.room()?.bytes;
    let public_url = &site.config.server.public_url;
    let can_sign_in = |user: &&User| user.admin && user.is_active() && user.has_password();
    let admins = people.items.iter().filter(can_sign_in).count();
    let findings = doctor::examine(&site, false).await?;
    let is_fine = |check: &str| found(&findings, check).is_none_or(|finding| !finding.needs_somebody());
    let status = site.certificates.status();
    let same_disk = found(&findings, "backup-place").is_some();
    let begun = Begun {
        certificate: public_url.is_https() && is_fine("certificate"),
        backup: is_fine("backup") && !same_disk,
        mail: site.mail.can_send(),
        met: !admitted.items.is_empty() || !rules.items.is_empty(),
        second: admins > 1,
        help: !site.config.ui.support.is_none(),
    };
    page::show(&Overview {
        page: Page::of(&site, &session, "overview", "Overview"),
        tasks: tasks(&findings),
        mode: site.peers.mode().await?,
        admitted: counted(admitted.items.len(), admitted.next.is_some()),
        rules: counted(rules.items.len(), rules.next.is_some()),
        database: site.store.size_on_disk()?,
        free,
        waited_for: people.items.iter().filter(|user| !user.has_password()).count(),
        people: counted(people.items.len(), people.next.is_some()),
        admins,
        certificate: Card::of(&findings, "certificate"),
        ends: status.certificate.map(|certificate| certificate.not_after),
        renewal: status.renewal,
        https: public_url.is_https(),
        backup: Card::of(&findings, "backup"),
        same_disk,
        version: env!("CARGO_PKG_VERSION"),
        steps: steps(&begun),
        queue,
    })
}

fn counted(number: usize, more: bool) -> Count {
    Count { number, more }
}

/// What needs an admin. Where backups are kept is a step of beginning, and said on its card.
fn tasks(findings: &[Finding]) -> Vec<Task> {
    let needing = findings.iter().filter(|finding| finding.needs_somebody());
    needing
        .filter(|finding| finding.check != "backup-place")
        .map(|finding| {
            let (label, href) = diagnostics::title_and_page(finding.check);
            Task {
                badge: diagnostics::badge(finding.state),
                sentence: reader::said(&finding.sentence, &[]),
                href,
                label,
            }
        })
        .collect()
}

/// What is already done of beginning with a server.
struct Begun {
    certificate: bool,
    backup: bool,
    mail: bool,
    met: bool,
    second: bool,
    help: bool,
}

fn steps(begun: &Begun) -> Vec<Step> {
    vec![
        Step {
            done: begun.certificate,
            title: "An address with https",
            sentence: "Most servers deal with no other; server.public_url and tls.mode say it.",
        },
        Step {
            done: begun.backup,
            title: "Backups elsewhere",
            sentence: "A backup on the disk of the data is lost with it; backup.dir names another place.",
        },
        Step {
            done: begun.mail,
            title: "Mail",
            sentence: "For invitations and alarms; mail.smtp_url and mail.from say how to send it.",
        },
        Step {
            done: begun.met,
            title: "A first server",
            sentence: "Trade an invitation with somebody there, or allow it on the trust list.",
        },
        Step {
            done: begun.second,
            title: "A second admin",
            sentence: "For the day on which you forget your password.",
        },
        Step {
            done: begun.help,
            title: "A way to ask for help",
            sentence: "The setting ui.support puts a link at the foot of each page.",
        },
    ]
}

fn found<'a>(findings: &'a [Finding], check: &str) -> Option<&'a Finding> {
    findings.iter().find(|finding| finding.check == check)
}
