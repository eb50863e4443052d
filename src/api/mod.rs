//! The edge for programs: every command as a value, and what carries it out. The command line sends these over the
//! admin socket, or runs them itself while no server does.

mod backups;
mod contacts;
pub mod dealings;
mod directories;
pub mod doctor;
mod files;
mod invites;
mod keys;
pub mod lists;
mod noted;
mod notices;
pub mod people;
pub mod recipes;
pub mod records;
mod requests;
pub mod servers;
mod shares;
pub mod socket;
pub mod status;
pub mod tls;

pub use noted::rotation;
use records::Format;

use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;
use serde_json::Value;

use crate::audit::By;
use crate::audit::Filter;
use crate::client::ByteStream;
use crate::contacts::Change;
use crate::error::Error;
use crate::error::Result;
use crate::invites::NewInvite;
use crate::invites::Standing;
use crate::keys::Rotation;
use crate::lang::Lang;
use crate::logbook;
use crate::secret::Secret;
use crate::shares::Parting;
use crate::site::Site;
use crate::store::Page;

/// Something an operator wants done. `user` may be left out where an id tells, or where there is one user only.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "call", rename_all = "kebab-case")]
pub enum Call {
    SetupLink,
    UserAdd {
        name: String,
        display_name: String,
        mail: String,
        /// Empty for a sign-in link in its place.
        password: Secret,
        admin: bool,
    },
    UserList,
    UserShow {
        user: Option<String>,
    },
    UserDisable {
        name: String,
    },
    UserEnable {
        name: String,
    },
    /// A new sign-in link.
    UserLink {
        name: String,
    },
    UserDelete {
        name: String,
    },
    /// What is none stays as it is.
    UserSet {
        user: Option<String>,
        change: people::UserChange,
    },
    /// Ends every session of a user.
    UserSignOut {
        user: Option<String>,
    },
    AuditList {
        filter: Filter,
        /// None for all.
        limit: Option<usize>,
    },
    AuditExport {
        filter: Filter,
        format: Format,
    },
    ConfigShow,
    /// Has the running server read its settings again.
    ConfigReload,
    /// How the running server is.
    Status,
    InviteCreate {
        user: Option<String>,
        new: NewInvite,
        /// Where to mail it.
        mail: Option<String>,
    },
    InviteList {
        user: Option<String>,
        standing: Option<Standing>,
    },
    InviteShow {
        id: String,
        lang: Option<Lang>,
    },
    InviteMail {
        id: String,
        to: String,
        lang: Option<Lang>,
    },
    InviteExtend {
        id: String,
        by: Duration,
    },
    InviteRevoke {
        id: String,
    },
    /// Where the invitation in a text is from, and what is known of that server; nothing is sent.
    InviteRead {
        user: Option<String>,
        text: String,
    },
    InviteAccept {
        user: Option<String>,
        text: String,
        /// Keep the user's mail address from the other server.
        #[serde(default)]
        no_mail: bool,
    },
    ContactList {
        user: Option<String>,
    },
    ContactShow {
        user: Option<String>,
        address: String,
    },
    ContactChange {
        user: Option<String>,
        address: String,
        #[serde(flatten)]
        change: Change,
    },
    ContactRemove {
        user: Option<String>,
        address: String,
        #[serde(default)]
        parting: Parting,
    },
    /// One, or all where none is named; `form` is `vcard` or `jscontact`.
    ContactExport {
        user: Option<String>,
        address: Option<String>,
        form: String,
    },
    /// The content follows the call.
    FilePut {
        user: Option<String>,
        path: String,
    },
    FileList {
        user: Option<String>,
        path: String,
    },
    FileGet {
        user: Option<String>,
        path: String,
    },
    FileMkdir {
        user: Option<String>,
        path: String,
    },
    /// To another name or folder; what is shared stays shared.
    FileMove {
        user: Option<String>,
        from: String,
        to: String,
    },
    /// Ends the shares of it, too.
    FileRemove {
        user: Option<String>,
        path: String,
    },
    /// A folder as one file.
    FileZip {
        user: Option<String>,
        path: String,
    },
    ShareCreate {
        user: Option<String>,
        path: String,
        to: String,
        write: bool,
        until: Option<String>,
    },
    ShareList {
        user: Option<String>,
        received: bool,
    },
    ShareAccept {
        user: Option<String>,
        id: String,
    },
    ShareDecline {
        user: Option<String>,
        id: String,
    },
    ShareStop {
        user: Option<String>,
        id: String,
    },
    ShareLeave {
        user: Option<String>,
        id: String,
    },
    /// Tries whether a share of somebody else can be opened.
    ShareCheck {
        user: Option<String>,
        id: String,
    },
    ShareLs {
        id: String,
        path: String,
    },
    ShareGet {
        id: String,
        path: String,
    },
    /// The content follows the call.
    SharePut {
        id: String,
        path: String,
    },
    RequestSend {
        user: Option<String>,
        owner: String,
        what: String,
    },
    RequestList {
        user: Option<String>,
        sent: bool,
    },
    RequestGrant {
        user: Option<String>,
        id: String,
        path: String,
        write: bool,
        until: Option<String>,
    },
    RequestDecline {
        user: Option<String>,
        id: String,
    },
    RequestClose {
        user: Option<String>,
        id: String,
    },
    PeerRule {
        host: String,
        allow: bool,
        reason: String,
        note: String,
        until: Option<String>,
        by: String,
    },
    PeerRemove {
        host: String,
    },
    PeerList,
    /// The list follows the call.
    PeerImport {
        name: String,
        format: Option<String>,
        verdict: Option<String>,
        replace: bool,
        dry_run: bool,
        by: String,
    },
    PeerExport {
        format: String,
        which: String,
    },
    PeerBatches,
    PeerUndo {
        batch: String,
    },
    /// The mode in force, or another one from now on.
    PeerMode {
        mode: Option<String>,
        by: String,
    },
    PeerTrustKey {
        host: String,
    },
    PeerRetry {
        host: String,
    },
    /// What is known of a server, without asking it.
    PeerShow {
        host: String,
    },
    /// Sets what differs for one server; what is `None` is as for all others.
    PeerSet {
        host: String,
        signatures: Option<String>,
        dialect: Option<String>,
        by: String,
    },
    /// The same, asked for now.
    PeerRefresh {
        host: String,
    },
    PeerExplain {
        host: String,
    },
    /// A user of ours asks the admins to allow a server.
    PeerAsk {
        user: Option<String>,
        host: String,
    },
    PeerAsked,
    /// Answers that wish with no; a rule that allows the server is the yes.
    PeerDismiss {
        host: String,
    },
    /// For a product or a server that is known; all products where none is named.
    PeerRecipe {
        name: Option<String>,
    },
    DirectoryList,
    /// All of them where none is named.
    DirectoryRefresh {
        url: Option<String>,
    },
    DirectoryAccept {
        url: String,
    },
    PeerProbe {
        host: String,
    },
    PeerHandshake {
        host: String,
    },
    QueueList,
    QueueRetry {
        id: String,
    },
    QueueDrop {
        id: String,
    },
    /// Where notices go, and what has not been told yet.
    NoticeList,
    /// Sends a test to every place that admins are told at.
    NoticeTest,
    /// Makes all that was not told due now.
    NoticeRetry,
    KeyList,
    KeyRotate {
        how: Rotation,
    },
    KeyCancel,
    Metrics,
    /// The last lines of the log of the running server, the oldest first.
    LogTail {
        lines: usize,
    },
    TlsStatus,
    /// Knocks at our own doors.
    TlsPreflight,
    TlsRenew,
    /// The certificate of the lab authority.
    TlsCa,
    /// Looks at everything, from outside, too.
    Doctor,
    SupportBundle,
    /// In the folder for backups, or to a file as this process sees it.
    BackupCreate {
        file: Option<PathBuf>,
        include_files: bool,
    },
    /// Made, read back, and handed over; nothing of it stays here.
    BackupHandOver {
        include_files: bool,
    },
    BackupList,
    BackupPrune,
    /// What waits to be confirmed since a restore.
    BackupReview,
    /// All that waits where none is named.
    BackupConfirm {
        id: Option<String>,
    },
}

impl Call {
    /// Whether it is about a server that runs, and makes no sense without one.
    pub fn needs_server(&self) -> bool {
        matches!(self, Self::ConfigReload | Self::Status | Self::LogTail { .. })
    }

    /// Whether it may be the first thing that is done on a new server.
    pub fn may_begin(&self) -> bool {
        matches!(self, Self::UserAdd { .. } | Self::SetupLink)
    }

    /// Whether it can only be done by a server that others can reach.
    pub fn asks_another_server(&self) -> bool {
        matches!(
            self,
            Self::InviteAccept { .. }
                | Self::ShareCheck { .. }
                | Self::ShareLs { .. }
                | Self::ShareGet { .. }
                | Self::SharePut { .. }
                | Self::PeerProbe { .. }
                | Self::TlsPreflight
                | Self::TlsRenew
                | Self::NoticeTest
        )
    }
}

/// What came of it.
pub enum Answer {
    Json(Value),
    /// A file's content.
    Content(ByteStream),
}

/// Carries a call out, and notes who wanted it. `content` is what follows it, for the calls that take a file.
///
/// # Errors
///
/// As whatever the call leads to; never with half of it done.
pub async fn carry_out(site: &Site, by: &By, call: Call, content: ByteStream) -> Result<Answer> {
    let event = noted::event(&call);
    let answer = answer_to(site, call, content).await?;
    if let Some(event) = event {
        let event = match &answer {
            Answer::Json(value) => noted::completed(event, value, site.config.server.public_url.provider()),
            Answer::Content(_) => event,
        };
        site.audit.note(by, event).await?;
    }
    Ok(answer)
}

/// Makes a call's future on the heap, in a frame of its own: with all of them in one function, its frame would be larger
/// than a thread's stack where nothing is optimised.
#[inline(never)]
fn later<'a, T>(make: impl FnOnce() -> T) -> Pin<Box<dyn Future<Output = T::Output> + 'a>>
where
    T: Future + 'a,
{
    Box::pin(make())
}

async fn answer_to(site: &Site, call: Call, content: ByteStream) -> Result<Answer> {
    Ok(Answer::Json(match call {
        Call::SetupLink => serde_json::json!({ "link": site.setup_link().await? }),
        Call::UserAdd {
            name,
            display_name,
            mail,
            password,
            admin,
        } => later(|| people::add_user(site, name, display_name, mail, password, admin)).await?,
        Call::UserList => later(|| people::users(site)).await?,
        Call::UserShow { user } => later(|| people::show_user(site, user)).await?,
        Call::UserDisable { name } => later(|| people::disable_user(site, &name, true)).await?,
        Call::UserEnable { name } => later(|| people::disable_user(site, &name, false)).await?,
        Call::UserLink { name } => later(|| people::link_user(site, &name)).await?,
        Call::UserDelete { name } => later(|| people::delete_user(site, &name)).await?,
        Call::UserSet { user, change } => later(|| people::set_user(site, user, change)).await?,
        Call::UserSignOut { user } => later(|| people::sign_out(site, user)).await?,
        Call::AuditList { filter, limit } => later(|| records::list(site, &filter, limit)).await?,
        Call::AuditExport { filter, format } => return Ok(Answer::Content(records::export(site, filter, format))),
        Call::ConfigShow => records::settings(&site.config),
        Call::ConfigReload => later(|| status::reread(site)).await?,
        Call::Status => later(|| status::status(site)).await?,
        Call::InviteCreate { user, new, mail } => later(|| invites::create(site, user, new, mail)).await?,
        Call::InviteList { user, standing } => later(|| invites::list(site, user, standing)).await?,
        Call::InviteShow { id, lang } => later(|| invites::show(site, &id, lang)).await?,
        Call::InviteMail { id, to, lang } => later(|| invites::mail(site, &id, &to, lang)).await?,
        Call::InviteExtend { id, by } => later(|| invites::extend(site, &id, by)).await?,
        Call::InviteRevoke { id } => later(|| invites::revoke(site, &id)).await?,
        Call::InviteRead { user, text } => later(|| contacts::read_invite(site, user, &text)).await?,
        Call::InviteAccept { user, text, no_mail } => {
            later(|| contacts::accept_invite(site, user, &text, no_mail)).await?
        }
        Call::ContactList { user } => later(|| contacts::list(site, user)).await?,
        Call::ContactShow { user, address } => later(|| contacts::show(site, user, &address)).await?,
        Call::ContactChange { user, address, change } => {
            later(|| contacts::change(site, user, &address, &change)).await?
        }
        Call::ContactRemove { user, address, parting } => {
            later(|| contacts::remove(site, user, &address, parting)).await?
        }
        Call::ContactExport { user, address, form } => {
            later(|| contacts::export(site, user, address.as_deref(), &form)).await?
        }
        Call::FilePut { user, path } => later(|| files::put(site, user, &path, content)).await?,
        Call::FileList { user, path } => later(|| files::list(site, user, &path)).await?,
        Call::FileGet { user, path } => return later(|| files::get(site, user, &path)).await.map(Answer::Content),
        Call::FileMkdir { user, path } => later(|| files::make_folder(site, user, &path)).await?,
        Call::FileMove { user, from, to } => later(|| files::rename(site, user, &from, &to)).await?,
        Call::FileRemove { user, path } => later(|| files::remove(site, user, &path)).await?,
        Call::FileZip { user, path } => return later(|| files::zip(site, user, &path)).await.map(Answer::Content),
        Call::ShareCreate {
            user,
            path,
            to,
            write,
            until,
        } => later(|| shares::create(site, user, &path, &to, write, until)).await?,
        Call::ShareList { user, received: false } => later(|| shares::sent(site, user)).await?,
        Call::ShareList { user, received: true } => later(|| shares::received(site, user)).await?,
        Call::ShareAccept { user, id } => later(|| shares::accept(site, user, &id)).await?,
        Call::ShareDecline { user, id } => later(|| shares::decline(site, user, &id)).await?,
        Call::ShareStop { user, id } => later(|| shares::stop(site, user, &id)).await?,
        Call::ShareLeave { user, id } => later(|| shares::leave(site, user, &id)).await?,
        Call::ShareCheck { user, id } => later(|| shares::check(site, user, &id)).await?,
        Call::ShareLs { id, path } => later(|| shares::ls(site, &id, &path)).await?,
        Call::ShareGet { id, path } => return later(|| shares::get(site, &id, &path)).await.map(Answer::Content),
        Call::SharePut { id, path } => later(|| shares::put(site, &id, &path, content)).await?,
        Call::RequestSend { user, owner, what } => later(|| requests::send(site, user, &owner, &what)).await?,
        Call::RequestList { user, sent: true } => later(|| requests::sent(site, user)).await?,
        Call::RequestList { user, sent: false } => later(|| requests::received(site, user)).await?,
        Call::RequestGrant {
            user,
            id,
            path,
            write,
            until,
        } => later(|| requests::grant(site, user, &id, &path, write, until)).await?,
        Call::RequestDecline { user, id } => later(|| requests::decline(site, user, &id)).await?,
        Call::RequestClose { user, id } => later(|| requests::close(site, user, &id)).await?,
        Call::PeerRule {
            host,
            allow,
            reason,
            note,
            until,
            by,
        } => later(|| servers::rule(site, &host, allow, reason, note, until, by)).await?,
        Call::PeerRemove { host } => later(|| servers::remove(site, &host)).await?,
        Call::PeerList => later(|| servers::list(site)).await?,
        Call::PeerImport {
            name,
            format,
            verdict,
            replace,
            dry_run,
            by,
        } => {
            let wanted = lists::Wanted {
                name,
                format,
                verdict,
                replace,
                dry_run,
                by,
            };
            lists::import(site, wanted, content).await?
        }
        Call::PeerExport { format, which } => {
            return lists::export(site, &format, &which).await.map(Answer::Content);
        }
        Call::PeerBatches => later(|| lists::batches(site)).await?,
        Call::PeerUndo { batch } => later(|| lists::undo(site, &batch)).await?,
        Call::PeerMode { mode, by } => later(|| servers::mode(site, mode.as_deref(), &by)).await?,
        Call::PeerTrustKey { host } => later(|| servers::trust_keys(site, &host)).await?,
        Call::PeerRetry { host } => later(|| servers::retry_for(site, &host)).await?,
        Call::PeerShow { host } => later(|| servers::show(site, &host)).await?,
        Call::PeerSet {
            host,
            signatures,
            dialect,
            by,
        } => later(|| servers::set(site, &host, signatures.as_deref(), dialect, by)).await?,
        Call::PeerRefresh { host } => later(|| servers::refresh(site, &host)).await?,
        Call::PeerExplain { host } => later(|| servers::explain(site, &host)).await?,
        Call::PeerAsk { user, host } => later(|| contacts::ask(site, user, &host)).await?,
        Call::PeerAsked => later(|| contacts::asked(site)).await?,
        Call::PeerDismiss { host } => later(|| contacts::dismiss(site, &host)).await?,
        Call::PeerRecipe { name: None } => recipes::list(site)?,
        Call::PeerRecipe { name: Some(name) } => later(|| recipes::show(site, &name)).await?,
        Call::DirectoryList => later(|| directories::list(site)).await?,
        Call::DirectoryRefresh { url: None } => later(|| directories::refresh_all(site)).await?,
        Call::DirectoryRefresh { url: Some(url) } => later(|| directories::refresh(site, &url)).await?,
        Call::DirectoryAccept { url } => later(|| directories::accept(site, &url)).await?,
        Call::PeerProbe { host } => later(|| servers::probe(site, &host)).await?,
        Call::PeerHandshake { host } => later(|| servers::handshake(site, &host)).await?,
        Call::QueueList => later(|| servers::queue(site)).await?,
        Call::QueueRetry { id } => later(|| servers::retry(site, &id)).await?,
        Call::QueueDrop { id } => later(|| servers::drop(site, &id)).await?,
        Call::NoticeList => later(|| notices::list(site)).await?,
        Call::NoticeTest => later(|| notices::test(site)).await?,
        Call::NoticeRetry => later(|| notices::retry(site)).await?,
        Call::KeyList => keys::list(site),
        Call::KeyRotate { how } => later(|| keys::rotate(site, how)).await?,
        Call::KeyCancel => later(|| keys::cancel(site)).await?,
        Call::LogTail { lines } => serde_json::json!({ "lines": logbook::last(lines) }),
        Call::Metrics => serde_json::json!({ "text": later(|| site.numbers()).await? }),
        Call::TlsStatus => tls::status(site),
        Call::TlsPreflight => later(|| tls::preflight(site)).await?,
        Call::TlsRenew => later(|| tls::renew(site)).await?,
        Call::TlsCa => tls::authority(site)?,
        Call::Doctor => later(|| doctor::check_up(site)).await?,
        Call::SupportBundle => return Ok(Answer::Content(later(|| doctor::support_bundle(site)).await?)),
        Call::BackupCreate { file, include_files } => later(|| backups::create(site, file, include_files)).await?,
        Call::BackupHandOver { include_files } => {
            return later(|| backups::hand_over(site, include_files))
                .await
                .map(Answer::Content);
        }
        Call::BackupList => later(|| backups::list(site)).await?,
        Call::BackupPrune => later(|| backups::prune(site)).await?,
        Call::BackupReview => later(|| backups::review(site)).await?,
        Call::BackupConfirm { id } => later(|| backups::confirm(site, id.as_deref())).await?,
    }))
}

/// The rows of a list as JSON.
fn rows<T>(items: Vec<T>, row: impl Fn(T) -> Value) -> Value {
    Value::Array(items.into_iter().map(row).collect())
}

/// The user that is meant: the one named, or the only one there is.
async fn the_user(site: &Site, named: Option<String>) -> Result<crate::users::User> {
    if let Some(name) = named {
        return site.users.get(&name).await;
    }
    let mut all = site.users.list(Page::first(2)).await?.items;
    match (all.pop(), all.is_empty()) {
        (Some(only), true) => Ok(only),
        (None, _) => Err(Error::not_found("There are no users yet: ocmesh user add NAME").in_field("user")),
        _ => Err(Error::invalid(
            "user",
            "There are several users; say which with --user.",
        )),
    }
}

/// A time that someone typed.
fn moment(field: &'static str, text: Option<String>) -> Result<Option<crate::clock::Timestamp>> {
    text.map(|text| {
        crate::clock::Timestamp::parse(&text)
            .ok_or_else(|| Error::invalid(field, "This is no time such as 2026-12-31 or 2026-12-31T18:00:00Z."))
    })
    .transpose()
}
