//! What a call leaves in the audit log.

use serde_json::Value;

use crate::api::Call;
use crate::audit::Event;
use crate::contacts::Change;
use crate::keys::Rotation;
use crate::ocm::address::Provider;

/// What it does, or nothing for one that only looks. No arm for "all others": whoever adds a call decides here.
pub fn event(call: &Call) -> Option<Event> {
    let did = |verb, object: &str| Some(Event::new(verb).of(object));
    // Its id is in the answer.
    let made = |verb| Some(Event::new(verb));
    let whose = |user: &Option<String>| user.clone().unwrap_or_default();
    match call {
        Call::SetupLink => made("user.setup-link"),
        Call::UserAdd { name, .. } => did("user.add", name),
        Call::UserDisable { name } => did("user.disable", name),
        Call::UserEnable { name } => did("user.enable", name),
        Call::UserLink { name } => did("user.link", name),
        Call::UserDelete { name } => did("user.delete", name),
        Call::UserSet { user, change } => did(
            match change.admin {
                Some(true) => "user.promote",
                Some(false) => "user.demote",
                None => "user.change",
            },
            &whose(user),
        ),
        Call::UserSignOut { user } => did("session.end", &whose(user)),
        Call::InviteCreate { .. } => made("invite.create"),
        Call::InviteMail { id, .. } => did("invite.mail", id),
        Call::InviteExtend { id, .. } => did("invite.extend", id),
        Call::InviteRevoke { id } => did("invite.revoke", id),
        Call::InviteAccept { .. } => made("invite.accept"),
        Call::ContactChange { address, change, .. } => did(
            match change {
                Change::Block => "contact.block",
                Change::Unblock => "contact.unblock",
                _ => "contact.change",
            },
            address,
        ),
        Call::ContactExport { .. } => made("contact.export"),
        Call::ContactRemove { address, .. } => did("contact.remove", address),
        Call::FilePut { user, path } => Some(Event::new("file.store").of(whose(user)).file(path)),
        Call::FileMkdir { user, path } => Some(Event::new("file.folder").of(whose(user)).file(path)),
        Call::FileMove { user, from, .. } => Some(Event::new("file.move").of(whose(user)).file(from)),
        Call::FileRemove { user, path } => Some(Event::new("file.delete").of(whose(user)).file(path)),
        Call::FileZip { user, path } => Some(Event::new("file.read").of(whose(user)).file(path)),
        Call::FileGet { user, path } => Some(Event::new("file.read").of(whose(user)).file(path)),
        Call::ShareCreate { path, .. } => Some(Event::new("share.create").file(path)),
        Call::ShareAccept { id, .. } => did("share.accept", id),
        Call::ShareDecline { id, .. } => did("share.decline", id),
        Call::ShareStop { id, .. } => did("share.stop", id),
        Call::ShareLeave { id, .. } => did("share.leave", id),
        Call::ShareGet { id, path } => Some(Event::new("share.read").of(id).file(path)),
        Call::SharePut { id, path } => Some(Event::new("share.write").of(id).file(path)),
        Call::RequestSend { .. } => made("request.send"),
        Call::RequestGrant { id, path, .. } => Some(Event::new("request.grant").of(id).file(path)),
        Call::RequestDecline { id, .. } => did("request.decline", id),
        Call::RequestClose { id, .. } => did("request.close", id),
        Call::PeerRule { host, allow, .. } => {
            let verb = if *allow { "server.allow" } else { "server.deny" };
            Some(Event::new(verb).of(host).with(host))
        }
        Call::PeerRemove { host } => Some(Event::new("server.forget").of(host).with(host)),
        Call::PeerAsk { host, .. } => Some(Event::new("server.ask").of(host).with(host)),
        Call::PeerDismiss { host } => Some(Event::new("server.dismiss").of(host).with(host)),
        Call::PeerImport { dry_run: false, .. } => made("server.import"),
        Call::PeerUndo { batch } => did("server.undo", batch),
        Call::PeerMode { mode: Some(mode), .. } => did("policy.mode", mode),
        Call::PeerTrustKey { host } => Some(Event::new("server.trust-key").of(host).with(host)),
        Call::PeerRetry { host } => Some(Event::new("delivery.retry").of(host).with(host)),
        Call::PeerSet { host, .. } => Some(Event::new("server.set").of(host).with(host)),
        Call::PeerRefresh { host } => Some(Event::new("server.refresh").of(host).with(host)),
        Call::PeerProbe { host } => Some(Event::new("server.probe").of(host).with(host)),
        Call::PeerHandshake { host } => Some(Event::new("server.introduce").of(host).with(host)),
        Call::DirectoryRefresh { url } => Some(Event::new("directory.refresh").of(whose(url))),
        Call::DirectoryAccept { url } => did("directory.accept", url),
        Call::QueueRetry { id } => did("delivery.retry", id),
        Call::QueueDrop { id } => did("delivery.drop", id),
        Call::NoticeTest => made("notice.test"),
        Call::NoticeRetry => made("notice.retry"),
        Call::KeyRotate { how } => made(rotation(*how)),
        Call::KeyCancel => made("key.cancel"),
        Call::ConfigReload => made("settings.reread"),
        Call::TlsRenew => made("tls.renew"),
        Call::SupportBundle => made("support.bundle"),
        Call::BackupCreate { .. } | Call::BackupHandOver { .. } => made("backup.create"),
        Call::BackupPrune => made("backup.prune"),
        Call::BackupConfirm { id } => did("backup.confirm", id.as_deref().unwrap_or("all")),
        Call::InviteRead { .. }
        | Call::ContactShow { .. }
        | Call::PeerAsked
        | Call::UserList
        | Call::UserShow { .. }
        | Call::AuditList { .. }
        | Call::AuditExport { .. }
        | Call::ConfigShow
        | Call::Status
        | Call::InviteList { .. }
        | Call::InviteShow { .. }
        | Call::ContactList { .. }
        | Call::FileList { .. }
        | Call::ShareList { .. }
        | Call::ShareCheck { .. }
        | Call::ShareLs { .. }
        | Call::RequestList { .. }
        | Call::PeerList
        | Call::PeerImport { dry_run: true, .. }
        | Call::PeerExport { .. }
        | Call::PeerBatches
        | Call::PeerMode { mode: None, .. }
        | Call::PeerShow { .. }
        | Call::PeerExplain { .. }
        | Call::PeerRecipe { .. }
        | Call::DirectoryList
        | Call::QueueList
        | Call::KeyList
        | Call::Metrics
        | Call::LogTail { .. }
        | Call::TlsStatus
        | Call::TlsPreflight
        | Call::TlsCa
        | Call::NoticeList
        | Call::Doctor
        | Call::BackupList
        | Call::BackupReview => None,
    }
}

/// The verb for a way of replacing the key.
pub fn rotation(how: Rotation) -> &'static str {
    match how {
        Rotation::Planned => "key.rotate",
        Rotation::Now => "key.rotate-now",
        Rotation::Stolen => "key.stolen",
    }
}

/// With what only the answer tells: the id of what was made, and the server that it concerns, which `own` is not.
pub fn completed(event: Event, answer: &Value, own: &Provider) -> Event {
    let text = |name: &str| answer[name].as_str();
    let id = text("id")
        .or_else(|| text("kid"))
        .or_else(|| text("batch"))
        .or_else(|| answer["contact"]["address"].as_str());
    let address = ["share_with", "sender", "owner", "from", "address", "to"]
        .into_iter()
        .find_map(text)
        .or_else(|| answer["contact"]["address"].as_str());
    let host = address.and_then(|address| address.rsplit('@').next());
    let host = host.filter(|host| *host != own.to_string());
    event.or_of(id).or_with(host)
}
