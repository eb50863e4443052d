//! Telling admins and people that something happened, by mail and webhook.
//!
//! What is told is kept in the same commit as what happened, and sent by a worker: a mail server that is down loses nothing,
//! and a server that is killed tells it after its next start. Nobody is flooded: of the same thing the same is told once a
//! day, and of one kind so many a day to one place one by one; what comes after that is summed up.

mod kept;
mod sending;
mod webhook;
mod words;

use std::sync::Arc;
use std::sync::Mutex;

use crate::client::Client;
use crate::clock::Clock;
use crate::clock::Timestamp;
use crate::config::AdminTopic;
use crate::config::Config;
use crate::config::PublicUrl;
use crate::config::UserTopic;
use crate::error::Result;
use crate::files::Left;
use crate::files::Room;
use crate::lang::Lang;
use crate::mail::Mail;
use crate::mail::Recipient;
use crate::random;
use crate::store::Key;
use crate::store::Listing;
use crate::store::Page;
use crate::store::Store;
use crate::store::Txn;
use crate::store::every;
use crate::users::User;

use self::webhook::Hook;

pub use self::kept::GATHERED_FOR;
pub use self::kept::ONE_BY_ONE;
pub use self::kept::Telling;
pub use self::kept::Way;
pub use self::sending::Tested;
pub use self::sending::Tried;
pub use self::words::admin_topic;
pub use self::words::short_name;
pub use self::words::user_topic;

/// Something that happened, for whoever it may concern.
#[derive(Clone, Debug)]
pub struct Notice {
    pub topic: AdminTopic,
    /// What it is about, such as a server’s name: of the same topic about the same thing, each sentence is told once a day.
    pub about: String,
    /// The sentence in English, as the catalogues know it.
    pub sentence: &'static str,
    /// What is put into its places. A value called `why` is a sentence of an error, and a moment as RFC 3339 is said in
    /// the language of whoever reads.
    pub values: Vec<(&'static str, String)>,
}

/// Something that happened to somebody here.
#[derive(Clone, Debug)]
pub struct News {
    pub topic: UserTopic,
    /// Which one: of the same topic about the same thing, each sentence is told once a day.
    pub about: String,
    /// The page where they see it.
    pub page: String,
    pub sentence: &'static str,
    /// As those of a [`Notice`]; what a stranger chose goes through [`short_name`].
    pub values: Vec<(&'static str, String)>,
}

/// What can be told, and what has not been told yet.
#[derive(Clone, Debug)]
pub struct Standing {
    /// Whether there is a mail server: without one, no mail is ever queued.
    pub can_mail: bool,
    pub admin_mail: Vec<String>,
    /// The hosts of the webhooks.
    pub webhooks: Vec<String>,
    pub waiting: usize,
    pub given_up: usize,
}

/// What is to be told, and the ways to do it. Clones are the same.
#[derive(Clone)]
pub struct Notices {
    store: Store,
    clock: Clock,
    mail: Mail,
    client: Client,
    admin_mail: Arc<[Recipient]>,
    admin_on: Arc<[AdminTopic]>,
    user_on: Arc<[UserTopic]>,
    hooks: Arc<[Hook]>,
    /// Of admins, and of people who chose none.
    lang: Lang,
    server: PublicUrl,
    wake: Arc<tokio::sync::Notify>,
    tested: Arc<Mutex<Option<Tested>>>,
}

/// Whether admins could be told with these settings.
///
/// # Errors
///
/// As [`Notices::new`].
pub fn check(config: &Config) -> Result<()> {
    for to in &config.notify.admin_mail {
        Recipient::parse(to)?;
    }
    Hook::all(config).map(drop)
}

impl Notices {
    /// # Errors
    ///
    /// [`Reason::ConfigInvalid`](crate::error::Reason::ConfigInvalid) for the secret of a webhook that can't be read;
    /// [`Reason::Invalid`](crate::error::Reason::Invalid) for an address in `notify.admin_mail` that is none.
    pub fn new(config: &Config, store: Store, mail: Mail, client: Client, clock: Clock) -> Result<Self> {
        let settings = &config.notify;
        let admin_mail = settings.admin_mail.iter().map(|to| Recipient::parse(to));
        Ok(Self {
            store,
            clock,
            mail,
            client,
            admin_mail: admin_mail.collect::<Result<_>>()?,
            admin_on: settings.admin_on.as_slice().into(),
            user_on: settings.user_on.as_slice().into(),
            hooks: Hook::all(config)?.into(),
            lang: config.ui.language.unwrap_or_default(),
            server: config.server.public_url.clone(),
            wake: Arc::default(),
            tested: Arc::default(),
        })
    }

    /// With what the one before it has in mind: other settings make a test before them no less true.
    pub fn remembering(mut self, before: &Self) -> Self {
        self.tested = Arc::clone(&before.tested);
        self
    }

    /// Has admins told; returns when that is on disk.
    pub async fn admins(&self, notice: Notice) -> Result<()> {
        let now = self.clock.now();
        self.store
            .run(async |txn| self.admins_in(txn, &notice, now).await)
            .await?;
        self.wake.notify_one();
        Ok(())
    }

    /// The same, in the commit of what happened.
    pub async fn admins_in(&self, txn: &mut Txn, notice: &Notice, now: Timestamp) -> Result<()> {
        let topic = notice.topic.as_str();
        if !kept::is_news(txn, &["admins", topic, &notice.about, notice.sentence], now).await? {
            return Ok(());
        }
        let (said, about) = (words::logged(notice), notice.about.clone());
        let person = notice.values.iter().find(|(name, _)| *name == words::PERSON);
        let person = person.map(|(_, person)| person.clone());
        txn.afterwards(move || tracing::warn!(topic, about, person, "{said}"));
        let told = Told {
            topic,
            about: &notice.about,
            page: page_of(notice.topic, &notice.about),
            sentence: notice.sentence,
            values: &notice.values,
        };
        let event = random::number();
        for way in self.ways(notice.topic) {
            kept::put(txn, told.by(way, &event, now), now).await?;
        }
        Ok(())
    }

    /// Has somebody told, in the commit of what happened: if they want to hear it, and there is a way.
    pub async fn user_in(&self, txn: &mut Txn, user: &User, news: &News, now: Timestamp) -> Result<()> {
        let topic = news.topic.as_str();
        if self.address_of(user, topic).is_none() {
            return Ok(());
        }
        if !kept::is_news(txn, &["user", &user.name, topic, &news.about, news.sentence], now).await? {
            return Ok(());
        }
        let told = Told {
            topic,
            about: &news.about,
            page: news.page.clone(),
            sentence: news.sentence,
            values: &news.values,
        };
        let way = Way::UserMail(user.name.clone());
        kept::put(txn, told.by(way, &random::number(), now), now).await
    }

    /// As [`Self::user_in`], for the account of this name.
    pub async fn user_named_in(&self, txn: &mut Txn, user: &str, news: &News, now: Timestamp) -> Result<()> {
        match txn.get::<User>([user]).await? {
            Some(user) => self.user_in(txn, &user, news, now).await,
            None => Ok(()),
        }
    }

    /// Tells admins once the disk that this server keeps everything on is nearly full.
    pub async fn look_at_disk(&self, room: Room) -> Result<()> {
        match disk_notice(room, self.server.provider().to_string()) {
            Some(notice) => self.admins(notice).await,
            None => Ok(()),
        }
    }

    /// What somebody hears about: as they chose, else as the operator did.
    pub fn wanted_by<'a>(&'a self, user: &'a User) -> &'a [UserTopic] {
        user.notify.as_deref().unwrap_or(&self.user_on)
    }

    /// Whether the operator has a mail server: without one, nobody hears anything by mail.
    pub fn can_mail(&self) -> bool {
        self.mail.can_send()
    }

    pub async fn standing(&self) -> Result<Standing> {
        let all = every(async |page| self.list(&page).await).await?;
        let given_up = all.iter().filter(|telling| telling.given_up).count();
        Ok(Standing {
            can_mail: self.can_mail(),
            admin_mail: self.admin_mail.iter().map(|to| to.as_str().to_owned()).collect(),
            webhooks: self.hooks.iter().map(|hook| host_of(&hook.name)).collect(),
            waiting: all.len() - given_up,
            given_up,
        })
    }

    /// What has not been told yet.
    pub async fn list(&self, page: &Page) -> Result<Listing<Telling>> {
        self.store
            .read(async |txn| txn.list::<Telling>(Key::ALL, page).await)
            .await
    }

    /// Makes all that waits or was given up due now; gives how many that are.
    pub async fn retry(&self, now: Timestamp) -> Result<usize> {
        let all = every(async |page| self.list(&page).await).await?;
        for telling in &all {
            self.store
                .run(async |txn| {
                    let Some(mut telling) = txn.get::<Telling>([&telling.id]).await? else {
                        return Ok(());
                    };
                    telling.again(now);
                    txn.put(&telling).await
                })
                .await?;
        }
        self.wake.notify_one();
        Ok(all.len())
    }

    /// The places that admins are told at of this topic.
    fn ways(&self, topic: AdminTopic) -> Vec<Way> {
        let by_mail = self.mail.can_send() && self.admin_on.contains(&topic);
        let mails = self.admin_mail.iter().filter(|_| by_mail);
        let hooks = self.hooks.iter().filter(|hook| hook.on.contains(&topic));
        mails
            .map(|to| Way::AdminMail(to.as_str().to_owned()))
            .chain(hooks.map(|hook| Way::Webhook(hook.name.clone())))
            .collect()
    }

    /// Where somebody is written to about this; none where they can't be, or don't want it.
    fn address_of(&self, user: &User, topic: &str) -> Option<Recipient> {
        let wanted = self.wanted_by(user).iter().any(|wanted| wanted.as_str() == topic);
        let reached = self.mail.can_send() && user.is_active();
        Recipient::parse(&user.mail).ok().filter(|_| wanted && reached)
    }
}

/// What is told, whatever the way.
struct Told<'a> {
    topic: &'a str,
    about: &'a str,
    page: String,
    sentence: &'a str,
    values: &'a [(&'static str, String)],
}

impl Told<'_> {
    fn by(&self, way: Way, event: &str, now: Timestamp) -> Telling {
        let value = |(name, value): &(&'static str, String)| ((*name).to_owned(), words::line(value));
        Telling {
            id: random::number(),
            event: event.to_owned(),
            way,
            topic: self.topic.to_owned(),
            about: words::line(self.about),
            page: self.page.clone(),
            sentence: self.sentence.to_owned(),
            values: self.values.iter().map(value).collect(),
            more: 0,
            happened: now,
            given_up: false,
            due: now,
            tries: 0,
            last_error: None,
        }
    }
}

/// Where admins see more.
fn page_of(topic: AdminTopic, about: &str) -> String {
    match topic {
        AdminTopic::Tls => "/admin/tls".to_owned(),
        AdminTopic::Backup => "/admin/backups".to_owned(),
        AdminTopic::Disk => "/admin/diagnostics".to_owned(),
        AdminTopic::PeerDown | AdminTopic::PeerKeyChanged | AdminTopic::NewServer => format!("/admin/servers/{about}"),
    }
}

fn disk_notice(room: Room, server: String) -> Option<Notice> {
    let is_short = matches!(room.left(), Left::Little | Left::Nothing);
    is_short.then(|| Notice {
        topic: AdminTopic::Disk,
        about: server,
        sentence: "The disk is nearly full: {free} MiB of {all} MiB are free. When nothing is free, this server takes no \
                   changes. Make room, or give it a larger disk.",
        values: vec![
            ("free", (room.bytes >> 20).to_string()),
            ("all", (room.whole >> 20).to_string()),
        ],
    })
}

/// The host of a webhook: the rest of its address may be a secret (T-44).
fn host_of(url: &str) -> String {
    let host = url::Url::parse(url)
        .ok()
        .and_then(|url| url.host_str().map(str::to_owned));
    host.unwrap_or_default()
}

impl Way {
    /// Where it goes, as it may be shown.
    pub fn shown(&self) -> String {
        match self {
            Self::AdminMail(to) | Self::UserMail(to) => to.clone(),
            Self::Webhook(url) => host_of(url),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_is_nearly_full_is_told_of_in_mebibytes() {
        let notice = |bytes: u64| {
            let (whole, files) = (20 << 30, None);
            disk_notice(Room { bytes, whole, files }, "a.example".to_owned())
        };
        assert!(notice(2 << 30).is_none());
        for free in [512 << 20, 1 << 20] {
            let told = notice(free).unwrap().values;
            assert_eq!(told, [("free", (free >> 20).to_string()), ("all", "20480".to_owned())]);
        }
    }

    #[test]
    fn t44_of_a_webhook_only_the_host_is_shown() {
        let way = Way::Webhook("https://hooks.example.org/services/canary?key=canary".to_owned());
        assert_eq!(way.shown(), "hooks.example.org");
    }
}
