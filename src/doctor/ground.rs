//! What can be looked at without a server: settings, files, disks, the clock, ports.

use std::fs;
use std::fs::File;
use std::fs::TryLockError;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;

use crate::clock::Timestamp;
use crate::clock::WRITTEN;
use crate::config;
use crate::config::Config;
use crate::config::Listen;
use crate::config::Size;
use crate::config::TlsMode;
use crate::doctor::inside;
use crate::error::Error;
use crate::error::Reason;
use crate::files::Left;
use crate::files::Room;
use crate::findings::Finding;
use crate::store;
use crate::tls;

/// All of it, for whoever has no server to ask.
pub fn without_server(config: &Config, now: Timestamp) -> Vec<Finding> {
    let mut all = vec![lock(config)];
    all.extend(settings(config));
    all.extend(permissions(config));
    all.push(store(config));
    all.extend(secrets(config));
    all.push(certificate(config, now));
    all.extend(disk(config));
    all.push(clock(now));
    all.extend(free_ports(config));
    all
}

/// What can be looked at by who may not ask the server that seems to run, as `refused` says: what is taken or closed is so
/// for good reason then.
pub fn from_aside(config: &Config, refused: &Error, now: Timestamp) -> Vec<Finding> {
    let mut all = vec![Finding::bad(
        "server",
        format!("Most could not be looked at. {}", refused.message()),
        "Look again as somebody who may: sudo ocmesh doctor",
    )];
    all.extend(settings(config));
    all.extend(disk(config));
    all.push(clock(now));
    all
}

/// The name of a user of this machine; the number of one that has none, as in a container.
pub fn user_name(id: u32) -> String {
    named(id).unwrap_or_else(|| format!("user {id}"))
}

/// A user of this machine as commands take one.
fn for_commands(id: u32) -> String {
    named(id).unwrap_or_else(|| id.to_string())
}

fn named(id: u32) -> Option<String> {
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(id)).then(|| name.to_owned())
    })
}

fn lock(config: &Config) -> Finding {
    let data = &config.server.data_dir;
    let socket = config.server.admin_socket.display();
    let held = File::open(data.join("lock")).is_ok_and(|lock| matches!(lock.try_lock(), Err(TryLockError::WouldBlock)));
    if !held {
        let mut finding = Finding::unknown(
            "server",
            format!("No server answers at {socket}, so only settings and files were looked at."),
        );
        finding.remedy = Some("Start the server and ask again: ocmesh serve".to_owned());
        return finding;
    }
    let holder = fs::read_to_string(data.join("lock")).unwrap_or_default();
    let process = holder.trim();
    let data = data.display();
    Finding::bad(
        "server",
        format!("Process {process} has the data in {data}, but nothing answers at {socket}."),
        "Look at its log. Where it hangs, stop it and start it again; where it has other settings, say --config FILE.",
    )
}

/// What a start bears with, and is likely to be a mistake.
pub fn doubts(config: &Config) -> Vec<Finding> {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let mut found: Vec<_> = config::ignored_variables(names)
        .into_iter()
        .map(|name| {
            Finding::warn(
                "config",
                format!("The environment variable {name} sets nothing: there is no such setting."),
                "Write it as OCM_SECTION_KEY, such as OCM_SERVER_NAME, or take it away.",
            )
        })
        .collect();
    let server = &config.server;
    if config.tls_mode() != TlsMode::Proxy {
        return found;
    }
    if let Some(network) = server.trusted_proxies.iter().find(|net| net.prefix_len() == 0) {
        found.push(Finding::warn(
            "config",
            format!("Everybody is believed about who asks: server.trusted_proxies has {network}."),
            "Name only the addresses of your proxies in server.trusted_proxies.",
        ));
    }
    if !server.public_url.is_https() {
        let address = server.public_url.origin();
        found.push(Finding::warn(
            "config",
            format!(
                "{address} is an address without TLS, though tls.mode is \"proxy\": people are sent there unencrypted."
            ),
            "Write https:// in server.public_url if the proxy has a certificate; if it has none, tls.mode is \"off\".",
        ));
    }
    found
}

/// Where settings are read from, and what in them is likely to be a mistake.
pub(super) fn settings(config: &Config) -> Vec<Finding> {
    let mut found = doubts(config);
    if let Some(file) = config.file()
        && fs::metadata(file).is_ok_and(|about| about.mode() & 0o002 != 0)
    {
        let file = file.display();
        found.push(Finding::bad(
            "config",
            format!("Other users of this machine can change {file}."),
            format!("Take that right away: chmod go-w {file}"),
        ));
    }
    if found.is_empty() {
        found.push(match config.file() {
            Some(file) => {
                let file = file.display();
                Finding::ok("config", format!("The settings are read from {file}."))
            }
            None => Finding::ok("config", "There is no file of settings; the defaults are in force."),
        });
    }
    found
}

/// Whose the data is, and who else may look at it.
pub(super) fn permissions(config: &Config) -> Vec<Finding> {
    let data = &config.server.data_dir;
    let shown = data.display();
    let about = match fs::metadata(data) {
        Ok(about) if about.is_dir() => about,
        Ok(_) => {
            return vec![Finding::bad(
                "permissions",
                format!("{shown} is no folder, so no data can be kept there."),
                "Name a folder in server.data_dir.",
            )];
        }
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {
            return vec![Finding::ok(
                "permissions",
                format!("There is no {shown} yet; the first start makes it."),
            )];
        }
        Err(cause) => {
            return vec![Finding::bad(
                "permissions",
                format!("{shown} can’t be looked at: {cause}."),
                "Run this as the user that the server runs as, or as root.",
            )];
        }
    };
    let mut found = Vec::new();
    for path in kept_in(data) {
        let Ok(inner) = fs::symlink_metadata(&path) else {
            continue;
        };
        if inner.uid() != about.uid() {
            let (path, owner, ours) = (path.display(), user_name(inner.uid()), user_name(about.uid()));
            let account = for_commands(about.uid());
            found.push(Finding::bad(
                "permissions",
                format!("{path} belongs to {owner}, and the folder of data to {ours}: one of them can’t use it."),
                format!("Stop the server and give all of it to {ours}: chown -R {account} {shown}"),
            ));
            break;
        }
    }
    let own = fs::metadata("/proc/self").map_or(about.uid(), |process| process.uid());
    if own != 0 && own != about.uid() {
        let (owner, ours, account) = (user_name(about.uid()), user_name(own), for_commands(own));
        found.push(Finding::bad(
            "permissions",
            format!("{shown} belongs to {owner}, and this runs as {ours}."),
            format!("Run it as {owner}, or give the data to {ours}: chown -R {account} {shown}"),
        ));
    }
    // What is inside a folder that nobody else may enter is closed, too.
    if about.mode() & 0o007 != 0 {
        found.push(Finding::bad(
            "permissions",
            format!("Other users of this machine can get at {shown}: keys, password hashes and files are there."),
            format!("Close it: chmod o-rwx {shown}"),
        ));
    }
    if found.is_empty() {
        let owner = user_name(about.uid());
        let fine = format!("The data in {shown} belongs to {owner} and to nobody else.");
        found.push(Finding::ok("permissions", fine));
    }
    found
}

/// Whether a start would find its database. All of it is read only then, for to open it changes it.
fn store(config: &Config) -> Finding {
    let data = config.server.data_dir.display();
    match store::look(&config.server.data_dir) {
        Ok(true) => Finding::ok(
            "store",
            format!("There is a database in {data}; a start reads all of it."),
        ),
        Ok(false) => Finding::ok(
            "store",
            format!("There is no database in {data} yet; the first start makes it."),
        ),
        Err(error) if error.reason() == Reason::DataDamaged => Finding::bad(
            "store",
            format!("No server can start: {error}"),
            "Put a backup in its place: ocmesh restore FILE",
        ),
        Err(error) => Finding::bad(
            "store",
            format!("No server can start: {error}"),
            "Let the user that the server runs as read it.",
        ),
    }
}

/// The certificate that a start would show, or what it needs to order one.
fn certificate(config: &Config, now: Timestamp) -> Finding {
    const CHECK: &str = "certificate";
    match tls::foreseen(config) {
        Err(error) => Finding::bad(
            CHECK,
            format!("No server can start with these settings: {error}"),
            "Mend what is named there, and look again.",
        ),
        Ok(status) if status.mode.is_here() && status.certificate.is_none() => match status.trouble {
            Some(why) => Finding::warn(
                CHECK,
                why.to_string(),
                "Add the port to server.listen or server.listen_http.",
            ),
            None => Finding::ok(CHECK, "The server gets or makes its certificate itself once it runs."),
        },
        Ok(status) => inside::judge_certificate(config, &status, now),
    }
}

/// What lies in the folder of data, without people's files: there may be many.
fn kept_in(data: &Path) -> Vec<PathBuf> {
    let below = |folder: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).take(1_000).collect()
    };
    let mut all = below(data);
    for folder in ["db", "tls"] {
        all.extend(below(&data.join(folder)));
    }
    all.sort();
    all
}

/// Files with secrets: that they are there, and for nobody else to read.
pub(super) fn secrets(config: &Config) -> Vec<Finding> {
    let mut named = vec![
        ("tls.key_file", config.tls.key_file.as_ref()),
        ("mail.password_file", config.mail.password_file.as_ref()),
        ("metrics.token_file", config.metrics.token_file.as_ref()),
    ];
    let webhooks = config.notify.webhook.iter().map(|hook| &hook.secret_file);
    named.extend(webhooks.map(|file| ("notify.webhook.secret_file", Some(file))));
    let mut found = Vec::new();
    let mut fine = 0;
    for (setting, file) in named {
        let Some(file) = file else {
            continue;
        };
        let shown = file.display();
        match File::open(file).and_then(|open| open.metadata()) {
            Ok(about) if about.mode() & 0o007 != 0 => found.push(Finding::bad(
                "secrets",
                format!("Every user of this machine can read {shown} ({setting})."),
                format!("Close it: chmod 600 {shown}"),
            )),
            Ok(about) if about.len() == 0 => found.push(Finding::bad(
                "secrets",
                format!("{shown} ({setting}) is empty."),
                "Write the secret into it.",
            )),
            Ok(_) => fine += 1,
            Err(cause) => found.push(Finding::bad(
                "secrets",
                format!("{shown} ({setting}) can’t be read: {cause}."),
                "Mend the setting, or let the user that the server runs as read the file.",
            )),
        }
    }
    if found.is_empty() {
        found.push(match fine {
            0 => Finding::ok("secrets", "No setting names a file with a secret."),
            _ => Finding::ok(
                "secrets",
                "The files with secrets are there, and for nobody else to read.",
            ),
        });
    }
    found
}

/// Room for data, files and backups.
pub(super) fn disk(config: &Config) -> Vec<Finding> {
    let data = &config.server.data_dir;
    let mut looked: Vec<(u64, Finding)> = Vec::new();
    for path in [data, &data.join("files"), &config.backup.dir] {
        let there = nearest(path);
        let shown = there.display();
        let Ok(about) = fs::metadata(&there) else { continue };
        if looked.iter().any(|(device, _)| *device == about.dev()) {
            continue;
        }
        let finding = match Room::at(&there) {
            Ok(room) => judge(&there, room),
            Err(cause) => Finding::unknown("disk", format!("The disk of {shown} can’t be looked at: {cause}.")),
        };
        looked.push((about.dev(), finding));
    }
    looked.into_iter().map(|(_, finding)| finding).collect()
}

fn judge(path: &Path, room: Room) -> Finding {
    let (shown, left) = (path.display(), Size(room.bytes));
    match room.left() {
        Left::Nothing => Finding::bad(
            "disk",
            format!("The disk of {shown} is full: {left} are left. Nothing can be changed any more."),
            "Make room on it, or move the data to a larger one.",
        ),
        Left::Little => Finding::warn(
            "disk",
            format!("The disk of {shown} is nearly full: {left} are left."),
            "Make room on it, or move the data to a larger one.",
        ),
        Left::FewFiles(files) => Finding::warn(
            "disk",
            format!("The disk of {shown} can take only {files} more files, however small (inodes)."),
            "Delete files that nobody needs, or move the data to a file system with more inodes.",
        ),
        Left::Enough => Finding::ok("disk", format!("{left} are free on the disk of {shown}.")),
    }
}

/// The path, or what there is of it.
pub(super) fn nearest(path: &Path) -> PathBuf {
    let there = path
        .ancestors()
        .find(|part| part.exists() && !part.as_os_str().is_empty());
    there.unwrap_or(Path::new(".")).to_owned()
}

/// Whether two paths are on the same disk; nothing where that can't be told.
pub(super) fn same_disk(one: &Path, other: &Path) -> Option<bool> {
    let device = |path: &Path| fs::metadata(nearest(path)).ok().map(|about| about.dev());
    Some(device(one)? == device(other)?)
}

/// Whether the clock can be right at all.
pub(super) fn clock(now: Timestamp) -> Finding {
    if now < WRITTEN {
        return Finding::bad(
            "clock",
            format!("The clock says {now}, which is before this program was written. Other servers refuse signatures."),
            "Set the clock, and have it kept right (NTP): timedatectl set-ntp true",
        );
    }
    Finding::ok("clock", format!("The clock says {now}."))
}

/// Whether a server could listen where it is to.
fn free_ports(config: &Config) -> Vec<Finding> {
    let mut found: Vec<_> = addresses(config)
        .filter_map(|(setting, address)| taken(setting, address))
        .collect();
    if found.is_empty() {
        found.push(Finding::ok("ports", "The ports that the server listens on are free."));
    }
    found
}

/// Where a server listens, each with the setting that says so. Port 0 is any that is free.
pub(super) fn addresses(config: &Config) -> impl Iterator<Item = (&'static str, SocketAddr)> {
    let server = &config.server;
    let all = server.listen.0.iter().map(|address| ("server.listen", *address));
    let plain = server.listen_http.0.iter().filter(|_| config.tls_mode().is_here());
    all.chain(plain.map(|address| ("server.listen_http", *address)))
        .chain(config.metrics.listen.0.map(|address| ("metrics.listen", address)))
        .filter(|(_, address)| address.port() != 0)
}

fn taken(setting: &str, address: SocketAddr) -> Option<Finding> {
    use std::io::ErrorKind;
    let refused = |address: SocketAddr| TcpListener::bind(address).err();
    let cause = refused(address)?;
    let cause = match Listen::instead(address, &cause) {
        Some(instead) => refused(instead)?,
        None => cause,
    };
    let (sentence, remedy) = match cause.kind() {
        ErrorKind::AddrInUse => (
            format!("Another program listens at {address}."),
            format!("Stop it, or choose another port in {setting}."),
        ),
        ErrorKind::PermissionDenied => (
            format!("This user may not listen at {address}: ports below 1024 need a right of their own."),
            "Run it as a service (ocmesh service install), or: setcap cap_net_bind_service=+ep /path/to/ocmesh"
                .to_owned(),
        ),
        ErrorKind::AddrNotAvailable => (
            format!("This machine has no address {address} to listen at."),
            format!("Mend {setting}: an address of this machine, or [::] for all of them."),
        ),
        _ => (
            format!("Nothing can listen at {address}: {cause}."),
            format!("Mend {setting}."),
        ),
    };
    Some(Finding::bad("ports", sentence, remedy))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::State;

    #[test]
    fn what_is_said_of_a_disk_has_what_is_left_of_it() {
        let check = |bytes: u64, files: Option<u64>, state: State, part: &str| {
            let whole = 20 << 30;
            let found = judge(Path::new("/var/lib/ocm"), Room { bytes, whole, files });
            assert_eq!(found.state, state, "{found:?}");
            assert!(found.sentence.contains(part), "{found:?}");
            assert_eq!(found.remedy.is_some(), state != State::Ok);
        };
        check(5 << 30, None, State::Ok, "5.0 GiB are free");
        check(500 << 20, None, State::Warn, "nearly full: 500.0 MiB");
        check(0, None, State::Bad, "is full: 0 B");
        check(5 << 30, Some(12), State::Warn, "only 12 more files");
    }

    #[test]
    fn t83_a_clock_before_this_program_is_called_wrong() {
        assert_eq!(clock(Timestamp(0)).state, State::Bad);
        assert!(clock(Timestamp(0)).sentence.contains("1970"));
        assert_eq!(clock(WRITTEN).state, State::Ok);
    }
}
