//! The edge for programs: every command as a value, and what carries it out. The command line sends these over the
//! admin socket, or runs them itself while no server does.

mod contacts;
pub mod dealings;
mod directories;
mod files;
mod keys;
pub mod lists;
mod people;
pub mod recipes;
mod requests;
pub mod servers;
mod shares;
pub mod socket;

use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;
use serde_json::Value;

use crate::client::ByteStream;
use crate::contacts::Change;
use crate::error::Error;
use crate::error::Result;
use crate::keys::Rotation;
use crate::secret::Secret;
use crate::shares::Parting;
use crate::site::Site;
use crate::store::Listing;
use crate::store::Page;

/// How many rows are asked for at once.
const ROWS: usize = 1000;

/// Something an operator wants done. `user` may be left out where an id tells, or where there is one user only.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "call", rename_all = "kebab-case")]
pub enum Call {
    SetupLink,
    UserAdd {
        name: String,
        display_name: String,
        mail: String,
        password: Secret,
        admin: bool,
    },
    UserList,
    UserShow {
        user: Option<String>,
    },
    /// What is none stays as it is; a language of none of ours is as the browser asks.
    UserSet {
        user: Option<String>,
        display_name: Option<String>,
        mail: Option<String>,
        language: Option<String>,
        accept_from_contacts: Option<bool>,
    },
    /// Ends every session of a user.
    UserSignOut {
        user: Option<String>,
    },
    InviteCreate {
        user: Option<String>,
        expires: Option<Duration>,
        uses: Option<u32>,
        note: String,
    },
    InviteList {
        user: Option<String>,
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
    KeyList,
    KeyRotate {
        how: Rotation,
    },
    KeyCancel,
}

impl Call {
    /// Whether it can only be done by a server that others can ask in turn.
    pub fn asks_another_server(&self) -> bool {
        matches!(
            self,
            Self::InviteAccept { .. }
                | Self::ShareCheck { .. }
                | Self::ShareLs { .. }
                | Self::ShareGet { .. }
                | Self::SharePut { .. }
                | Self::PeerProbe { .. }
        )
    }
}

/// What came of it.
pub enum Answer {
    Json(Value),
    /// A file's content.
    Content(ByteStream),
}

/// Carries a call out. `content` is what follows it, for the calls that take a file.
///
/// # Errors
///
/// As whatever the call leads to; never with half of it done.
pub async fn carry_out(site: &Site, call: Call, content: ByteStream) -> Result<Answer> {
    Ok(Answer::Json(match call {
        Call::SetupLink => serde_json::json!({ "link": site.setup_link().await? }),
        Call::UserAdd {
            name,
            display_name,
            mail,
            password,
            admin,
        } => people::add_user(site, name, display_name, mail, password, admin).await?,
        Call::UserList => people::users(site).await?,
        Call::UserShow { user } => people::user(site, user).await?,
        Call::UserSet {
            user,
            display_name,
            mail,
            language,
            accept_from_contacts,
        } => people::set_user(site, user, display_name, mail, language, accept_from_contacts).await?,
        Call::UserSignOut { user } => people::sign_out(site, user).await?,
        Call::InviteCreate {
            user,
            expires,
            uses,
            note,
        } => people::create_invite(site, user, expires, uses, note).await?,
        Call::InviteList { user } => people::invites(site, user).await?,
        Call::InviteRevoke { id } => people::revoke_invite(site, &id).await?,
        Call::InviteRead { user, text } => contacts::read_invite(site, user, &text).await?,
        Call::InviteAccept { user, text, no_mail } => contacts::accept_invite(site, user, &text, no_mail).await?,
        Call::ContactList { user } => contacts::list(site, user).await?,
        Call::ContactShow { user, address } => contacts::show(site, user, &address).await?,
        Call::ContactChange { user, address, change } => contacts::change(site, user, &address, &change).await?,
        Call::ContactRemove { user, address, parting } => contacts::remove(site, user, &address, parting).await?,
        Call::ContactExport { user, address, form } => contacts::export(site, user, address.as_deref(), &form).await?,
        Call::FilePut { user, path } => files::put(site, user, &path, content).await?,
        Call::FileList { user, path } => files::list(site, user, &path).await?,
        Call::FileGet { user, path } => return files::get(site, user, &path).await.map(Answer::Content),
        Call::FileMkdir { user, path } => files::make_folder(site, user, &path).await?,
        Call::FileMove { user, from, to } => files::rename(site, user, &from, &to).await?,
        Call::FileRemove { user, path } => files::remove(site, user, &path).await?,
        Call::FileZip { user, path } => return files::zip(site, user, &path).await.map(Answer::Content),
        Call::ShareCreate {
            user,
            path,
            to,
            write,
            until,
        } => shares::create(site, user, &path, &to, write, until).await?,
        Call::ShareList { user, received: false } => shares::sent(site, user).await?,
        Call::ShareList { user, received: true } => shares::received(site, user).await?,
        Call::ShareAccept { user, id } => shares::accept(site, user, &id).await?,
        Call::ShareDecline { user, id } => shares::decline(site, user, &id).await?,
        Call::ShareStop { user, id } => shares::stop(site, user, &id).await?,
        Call::ShareLeave { user, id } => shares::leave(site, user, &id).await?,
        Call::ShareCheck { user, id } => shares::check(site, user, &id).await?,
        Call::ShareLs { id, path } => shares::ls(site, &id, &path).await?,
        Call::ShareGet { id, path } => return shares::get(site, &id, &path).await.map(Answer::Content),
        Call::SharePut { id, path } => shares::put(site, &id, &path, content).await?,
        Call::RequestSend { user, owner, what } => requests::send(site, user, &owner, &what).await?,
        Call::RequestList { user, sent: true } => requests::sent(site, user).await?,
        Call::RequestList { user, sent: false } => requests::received(site, user).await?,
        Call::RequestGrant {
            user,
            id,
            path,
            write,
            until,
        } => requests::grant(site, user, &id, &path, write, until).await?,
        Call::RequestDecline { user, id } => requests::decline(site, user, &id).await?,
        Call::RequestClose { user, id } => requests::close(site, user, &id).await?,
        Call::PeerRule {
            host,
            allow,
            reason,
            note,
            until,
            by,
        } => servers::rule(site, &host, allow, reason, note, until, by).await?,
        Call::PeerRemove { host } => servers::remove(site, &host).await?,
        Call::PeerList => servers::list(site).await?,
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
        Call::PeerBatches => lists::batches(site).await?,
        Call::PeerUndo { batch } => lists::undo(site, &batch).await?,
        Call::PeerMode { mode, by } => servers::mode(site, mode.as_deref(), &by).await?,
        Call::PeerTrustKey { host } => servers::trust_keys(site, &host).await?,
        Call::PeerRetry { host } => servers::retry_for(site, &host).await?,
        Call::PeerShow { host } => servers::show(site, &host).await?,
        Call::PeerSet {
            host,
            signatures,
            dialect,
            by,
        } => servers::set(site, &host, signatures.as_deref(), dialect, by).await?,
        Call::PeerRefresh { host } => servers::refresh(site, &host).await?,
        Call::PeerExplain { host } => servers::explain(site, &host).await?,
        Call::PeerAsk { user, host } => contacts::ask(site, user, &host).await?,
        Call::PeerAsked => contacts::asked(site).await?,
        Call::PeerDismiss { host } => contacts::dismiss(site, &host).await?,
        Call::PeerRecipe { name: None } => recipes::list(site)?,
        Call::PeerRecipe { name: Some(name) } => recipes::show(site, &name).await?,
        Call::DirectoryList => directories::list(site).await?,
        Call::DirectoryRefresh { url: None } => directories::refresh_all(site).await?,
        Call::DirectoryRefresh { url: Some(url) } => directories::refresh(site, &url).await?,
        Call::DirectoryAccept { url } => directories::accept(site, &url).await?,
        Call::PeerProbe { host } => servers::probe(site, &host).await?,
        Call::PeerHandshake { host } => servers::handshake(site, &host).await?,
        Call::QueueList => servers::queue(site).await?,
        Call::QueueRetry { id } => servers::retry(site, &id).await?,
        Call::QueueDrop { id } => servers::drop(site, &id).await?,
        Call::KeyList => keys::list(site),
        Call::KeyRotate { how } => keys::rotate(site, how).await?,
        Call::KeyCancel => keys::cancel(site).await?,
    }))
}

/// The rows of a list as JSON.
fn rows<T>(items: Vec<T>, row: impl Fn(T) -> Value) -> Value {
    Value::Array(items.into_iter().map(row).collect())
}

/// All that is listed, page by page.
async fn every<T>(list: impl AsyncFn(Page) -> Result<Listing<T>>) -> Result<Vec<T>> {
    let mut all = Vec::new();
    let mut page = Page::first(ROWS);
    loop {
        let some = list(page).await?;
        all.extend(some.items);
        match some.next {
            Some(next) => page = Page::after(next, ROWS),
            None => return Ok(all),
        }
    }
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
