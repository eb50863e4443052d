//! How this server is: one verdict, what needs somebody, and the numbers behind it. It waits for nobody.

use std::collections::BTreeSet;

use actix_web::web::Data;
use askama::Template;

use crate::clock::Timestamp;
use crate::config::Mode;
use crate::config::TlsMode;
use crate::contacts::Admission;
use crate::error::Result;
use crate::outbox::Delivery;
use crate::outbox::Progress;
use crate::site::Site;
use crate::store::Key;
use crate::store::Page as Rows;
use crate::users::User;
use crate::web::filters;
use crate::web::page;
use crate::web::page::Answer;
use crate::web::page::Page;
use crate::web::page::ROWS;
use crate::web::reader;
use crate::web::session::Admin;
use crate::web::words;

/// With less free than this, uploads will soon be refused.
const LITTLE: u64 = 1 << 30;

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
    tls: TlsMode,
    https: bool,
    version: &'static str,
    steps: Vec<Step>,
}

/// Something that needs an admin.
struct Task {
    sentence: String,
    href: &'static str,
    label: &'static str,
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
    let free = site.homes.free_space()?;
    let public_url = &site.config.server.public_url;
    let can_sign_in = |user: &&User| user.admin && user.is_active() && user.has_password();
    let admins = people.items.iter().filter(can_sign_in).count();
    let met = !admitted.items.is_empty() || !rules.items.is_empty();
    page::show(&Overview {
        page: Page::of(&site, &session, "overview", "Overview"),
        tasks: tasks(&site, &queue, free).await?,
        mode: site.peers.mode().await?,
        admitted: counted(admitted.items.len(), admitted.next.is_some()),
        rules: counted(rules.items.len(), rules.next.is_some()),
        database: site.store.size_on_disk()?,
        free,
        waited_for: people.items.iter().filter(|user| !user.has_password()).count(),
        people: counted(people.items.len(), people.next.is_some()),
        admins,
        tls: site.config.tls_mode(),
        https: public_url.is_https(),
        version: env!("CARGO_PKG_VERSION"),
        steps: steps(
            public_url.is_https(),
            met,
            admins > 1,
            !site.config.ui.support.is_none(),
        ),
        queue,
    })
}

fn counted(number: usize, more: bool) -> Count {
    Count { number, more }
}

async fn tasks(site: &Site, queue: &Queue, free: u64) -> Result<Vec<Task>> {
    let mut tasks = Vec::new();
    if !site.store.healthy() {
        tasks.push(Task {
            sentence: reader::said("The store takes no changes; the log says why.", &[]),
            href: "/admin/about",
            label: "About",
        });
    }
    if free < LITTLE {
        let left = words::size(&free);
        tasks.push(Task {
            sentence: reader::said("The disk is nearly full: {size} are left.", &[("size", &left)]),
            href: "/admin/users",
            label: "People",
        });
    }
    if queue.given_up > 0 {
        let number = u64::try_from(queue.given_up).unwrap_or(u64::MAX);
        tasks.push(Task {
            sentence: reader::reader().lang.count(
                "{n} message could not be delivered|{n} messages could not be delivered",
                number,
            ),
            href: "/admin/queue",
            label: "Deliveries",
        });
    }
    for directory in site.directories.list().await? {
        let host = directory.url.host_str().unwrap_or_default();
        let sentence = match (&directory.held, &directory.failure) {
            (Some(_), _) => "The directory at {host} has changed so much that somebody has to look at it.",
            (None, Some(_)) => "The directory at {host} could not be fetched or verified; the last good list stays.",
            (None, None) => continue,
        };
        tasks.push(Task {
            sentence: reader::said(sentence, &[("host", host)]),
            href: "/admin/directories",
            label: "Directories",
        });
    }
    Ok(tasks)
}

fn steps(https: bool, met: bool, second: bool, help: bool) -> Vec<Step> {
    vec![
        Step {
            done: https,
            title: "An address with https",
            sentence: "Most servers deal with no other; server.public_url and tls.mode say it.",
        },
        Step {
            done: met,
            title: "A first server",
            sentence: "Trade an invitation with somebody there, or allow it on the trust list.",
        },
        Step {
            done: second,
            title: "A second admin",
            sentence: "For the day on which you forget your password.",
        },
        Step {
            done: help,
            title: "A way to ask for help",
            sentence: "The setting ui.support puts a link at the foot of each page.",
        },
    ]
}
