//! Every setting with a sentence about it, its value in force, and who decides it: for the settings page and
//! `ocmesh config show`.

use std::path::PathBuf;

use crate::config::Config;
use crate::config::Every;
use crate::config::Origin;
use crate::config::Span;
use crate::config::Who;

/// A setting as it is in force.
#[derive(Clone, Debug)]
pub struct InForce {
    /// `section.key`.
    pub key: &'static str,
    pub about: &'static str,
    pub value: String,
    pub default: String,
    pub origin: Origin,
}

struct Setting {
    key: &'static str,
    about: &'static str,
    /// The value as the file would have it. What is secret says only whether it is there.
    value: fn(&Config) -> String,
}

/// All settings with their values, in the order of `ocm.example.toml`.
pub fn in_force(config: &Config) -> Vec<InForce> {
    // Paths are settled against the file that names them, and the defaults must not look changed by that.
    let defaults = Config::default();
    let row = |setting: &Setting| {
        let origin = config.origin(setting.key);
        InForce {
            key: setting.key,
            about: setting.about,
            value: (setting.value)(config),
            default: (setting.value)(&defaults),
            origin,
        }
    };
    SETTINGS.iter().map(row).collect()
}

const SETTINGS: &[Setting] = &[
    Setting {
        key: "server.public_url",
        about: "The address that people and servers see. Addresses of people end in its host.",
        value: |config| config.server.public_url.to_string(),
    },
    Setting {
        key: "server.name",
        about: "What other servers and invited people see as the name of this one.",
        value: |config| config.server.name.clone(),
    },
    Setting {
        key: "server.listen",
        about: "Where it listens.",
        value: |config| list(&config.server.listen.0),
    },
    Setting {
        key: "server.listen_http",
        about: "Where it answers plain http besides: with a redirect, and to certificate authorities.",
        value: |config| list(&config.server.listen_http.0),
    },
    Setting {
        key: "server.data_dir",
        about: "Database, signing keys and people’s files.",
        value: |config| config.server.data_dir.display().to_string(),
    },
    Setting {
        key: "server.admin_socket",
        about: "What the command line talks to.",
        value: |config| config.server.admin_socket.display().to_string(),
    },
    Setting {
        key: "server.trusted_proxies",
        about: "Which proxies in front are believed about who asks.",
        value: |config| list(&config.server.trusted_proxies),
    },
    Setting {
        key: "server.shutdown_grace",
        about: "How long requests under way may take when the server stops.",
        value: |config| span(config.server.shutdown_grace),
    },
    Setting {
        key: "tls.mode",
        about: "Who encrypts: this server, a proxy in front, or nobody; and where the certificate is from.",
        value: |config| config.tls.mode.as_str().to_owned(),
    },
    Setting {
        key: "tls.cert_file",
        about: "The certificate.",
        value: |config| path(config.tls.cert_file.as_ref()),
    },
    Setting {
        key: "tls.key_file",
        about: "Where its key is. The key itself is never shown.",
        value: |config| path(config.tls.key_file.as_ref()),
    },
    Setting {
        key: "tls.names",
        about: "More names for the certificate.",
        value: |config| list(&config.tls.names),
    },
    Setting {
        key: "tls.acme_directory",
        about: "The authority that certificates are ordered from.",
        value: |config| config.tls.acme_directory.to_string(),
    },
    Setting {
        key: "tls.acme_email",
        about: "Whom the authority may write to.",
        value: |config| config.tls.acme_email.clone().unwrap_or_default(),
    },
    Setting {
        key: "tls.acme_agree_tos",
        about: "Whether you agree to the terms of the authority.",
        value: |config| config.tls.acme_agree_tos.to_string(),
    },
    Setting {
        key: "tls.acme_preflight",
        about: "Whether names and ports are checked before an order.",
        value: |config| config.tls.acme_preflight.to_string(),
    },
    Setting {
        key: "tls.warn_before",
        about: "How long before its end a certificate is warned about.",
        value: |config| span(config.tls.warn_before),
    },
    Setting {
        key: "tls.extra_ca_file",
        about: "Certificate authorities to trust besides the known ones.",
        value: |config| path(config.tls.extra_ca_file.as_ref()),
    },
    Setting {
        key: "federation.mode",
        about: "Which servers may federate with this one.",
        value: |config| config.federation.mode.as_str().to_owned(),
    },
    Setting {
        key: "federation.require_signatures",
        about: "Whether servers that cannot sign are refused.",
        value: |config| config.federation.require_signatures.to_string(),
    },
    Setting {
        key: "federation.draft_cavage",
        about: "Whether servers that read nothing newer get an older kind of signature.",
        value: |config| config.federation.draft_cavage.to_string(),
    },
    Setting {
        key: "federation.require_token_exchange",
        about: "Whether only servers that exchange secrets for short-lived ones are shared with.",
        value: |config| config.federation.require_token_exchange.to_string(),
    },
    Setting {
        key: "federation.signature_max_age",
        about: "How old a signature may be.",
        value: |config| span(config.federation.signature_max_age),
    },
    Setting {
        key: "federation.clock_skew",
        about: "How far ahead the clock of another server may run.",
        value: |config| span(config.federation.clock_skew),
    },
    Setting {
        key: "federation.discovery_cache",
        about: "How long it is believed what a server says of itself.",
        value: |config| span(config.federation.discovery_cache),
    },
    Setting {
        key: "federation.directory_refresh",
        about: "How often directories are fetched again.",
        value: |config| span(config.federation.directory_refresh),
    },
    Setting {
        key: "federation.private_network",
        about: "Addresses that are not public and may be called all the same.",
        value: |config| {
            let networks = config.federation.private_network.iter();
            list(&networks.map(|network| network.cidr.to_string()).collect::<Vec<_>>())
        },
    },
    Setting {
        key: "federation.directory",
        about: "Signed lists of servers that are followed.",
        value: |config| {
            let directories = config.federation.directory.iter();
            list(
                &directories
                    .map(|directory| directory.url.to_string())
                    .collect::<Vec<_>>(),
            )
        },
    },
    Setting {
        key: "invites.expires",
        about: "How long an invitation lasts if its maker says nothing.",
        value: |config| span(config.invites.expires),
    },
    Setting {
        key: "invites.max_expires",
        about: "How long an invitation may last at most.",
        value: |config| span(config.invites.max_expires),
    },
    Setting {
        key: "invites.max_uses",
        about: "How many people one invitation may admit at most.",
        value: |config| config.invites.max_uses.to_string(),
    },
    Setting {
        key: "invites.who",
        about: "Whose invitations people may accept.",
        value: |config| match config.invites.who {
            Who::Everyone => "everyone".to_owned(),
            Who::Admins => "admins".to_owned(),
        },
    },
    Setting {
        key: "invites.wayf_show_inviter",
        about: "Whether the page of an invitation says who invites.",
        value: |config| config.invites.wayf_show_inviter.to_string(),
    },
    Setting {
        key: "shares.token_lifetime",
        about: "How long a share stays open to another server before it must ask anew.",
        value: |config| span(config.shares.token_lifetime),
    },
    Setting {
        key: "shares.delivery_retry",
        about: "The waits between tries to deliver something.",
        value: |config| {
            let waits = config.shares.delivery_retry.iter();
            list(&waits.map(|wait| span(*wait)).collect::<Vec<_>>())
        },
    },
    Setting {
        key: "keys.publish_before_use",
        about: "How long a new key is published before it signs.",
        value: |config| span(config.keys.publish_before_use),
    },
    Setting {
        key: "keys.publish_after_use",
        about: "How long an old key stays published.",
        value: |config| span(config.keys.publish_after_use),
    },
    Setting {
        key: "keys.rotate_every",
        about: "How often the key is replaced by itself.",
        value: |config| every(config.keys.rotate_every),
    },
    Setting {
        key: "files.max_upload",
        about: "The largest file that may be uploaded.",
        value: |config| config.files.max_upload.to_string(),
    },
    Setting {
        key: "accounts.session_idle",
        about: "A session ends after this long without a click.",
        value: |config| span(config.accounts.session_idle),
    },
    Setting {
        key: "accounts.session_max",
        about: "A session ends after this long in any case.",
        value: |config| span(config.accounts.session_max),
    },
    Setting {
        key: "accounts.min_password",
        about: "The shortest password that is taken, in characters.",
        value: |config| config.accounts.min_password.to_string(),
    },
    Setting {
        key: "limits.max_body",
        about: "The largest message of another server that is read.",
        value: |config| config.limits.max_body.to_string(),
    },
    Setting {
        key: "limits.peer_timeout",
        about: "How long another server may take to answer.",
        value: |config| span(config.limits.peer_timeout),
    },
    Setting {
        key: "limits.client_timeout",
        about: "How long whoever asks may take to say what.",
        value: |config| span(config.limits.client_timeout),
    },
    Setting {
        key: "mail.smtp_url",
        about: "The mail server that this one sends through. Without one, people send invitations themselves.",
        value: |config| {
            config
                .mail
                .smtp_url
                .as_ref()
                .map_or_else(String::new, ToString::to_string)
        },
    },
    Setting {
        key: "mail.password_file",
        about: "Where the password for the mail server is. The password itself is never shown.",
        value: |config| path(config.mail.password_file.as_ref()),
    },
    Setting {
        key: "mail.from",
        about: "Who mails are from.",
        value: |config| {
            config
                .mail
                .from
                .as_ref()
                .map_or_else(String::new, |from| from.0.to_string())
        },
    },
    Setting {
        key: "notify.admin_mail",
        about: "Who gets mail about this server.",
        value: |config| list(&config.notify.admin_mail),
    },
    Setting {
        key: "notify.admin_on",
        about: "What admins hear about.",
        value: |config| {
            list(
                &config
                    .notify
                    .admin_on
                    .iter()
                    .map(|topic| topic.as_str())
                    .collect::<Vec<_>>(),
            )
        },
    },
    Setting {
        key: "notify.user_on",
        about: "What people hear about, unless they choose otherwise.",
        value: |config| {
            list(
                &config
                    .notify
                    .user_on
                    .iter()
                    .map(|topic| topic.as_str())
                    .collect::<Vec<_>>(),
            )
        },
    },
    Setting {
        key: "notify.webhook",
        about: "Who is told over HTTP what admins hear about.",
        value: |config| {
            list(
                &config
                    .notify
                    .webhook
                    .iter()
                    .map(|hook| hook.url.to_string())
                    .collect::<Vec<_>>(),
            )
        },
    },
    Setting {
        key: "backup.every",
        about: "How often a backup is made by itself.",
        value: |config| every(config.backup.every),
    },
    Setting {
        key: "backup.dir",
        about: "Where backups are put.",
        value: |config| config.backup.dir.display().to_string(),
    },
    Setting {
        key: "backup.keep",
        about: "How many backups are kept.",
        value: |config| {
            let keep = config.backup.keep;
            format!(
                "daily = {}, weekly = {}, monthly = {}",
                keep.daily, keep.weekly, keep.monthly
            )
        },
    },
    Setting {
        key: "backup.include_files",
        about: "Whether people’s files are in a backup.",
        value: |config| config.backup.include_files.to_string(),
    },
    Setting {
        key: "ui.language",
        about: "The language of pages for whoever chose none.",
        value: |config| config.ui.language.map_or("auto", |lang| lang.code()).to_owned(),
    },
    Setting {
        key: "ui.support",
        about: "Where the Help link leads.",
        value: |config| config.ui.support.as_str().to_owned(),
    },
    Setting {
        key: "ui.imprint_url",
        about: "Where the Imprint link leads.",
        value: |config| config.ui.imprint_url.as_str().to_owned(),
    },
    Setting {
        key: "ui.privacy_url",
        about: "Where the Privacy link leads.",
        value: |config| config.ui.privacy_url.as_str().to_owned(),
    },
    Setting {
        key: "log.level",
        about: "How much is logged.",
        value: |config| config.log.level.clone(),
    },
    Setting {
        key: "log.format",
        about: "Whether the log is for people or for programs.",
        value: |config| word(&config.log.format),
    },
    Setting {
        key: "log.audit_keep",
        about: "How long it is kept who did what.",
        value: |config| span(config.log.audit_keep),
    },
    Setting {
        key: "log.audit_file_names",
        about: "Whether the audit log may name files.",
        value: |config| config.log.audit_file_names.to_string(),
    },
    Setting {
        key: "metrics.listen",
        about: "Where numbers for Prometheus are read.",
        value: |config| config.metrics.listen.to_string(),
    },
    Setting {
        key: "metrics.token_file",
        about: "Where the token is that opens them. The token itself is never shown.",
        value: |config| path(config.metrics.token_file.as_ref()),
    },
];

/// A value that is one word, as the file spells it.
fn word(value: &impl std::fmt::Debug) -> String {
    let mut word = String::new();
    for (at, letter) in format!("{value:?}").char_indices() {
        if letter.is_uppercase() && at > 0 {
            word.push('-');
        }
        word.extend(letter.to_lowercase());
    }
    word
}

fn path(path: Option<&PathBuf>) -> String {
    path.map(|path| path.display().to_string()).unwrap_or_default()
}

fn list(items: &[impl ToString]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn span(length: Span) -> String {
    let seconds = length.0.as_secs();
    let units = [(86_400, 'd'), (3_600, 'h'), (60, 'm')];
    // Up to two days in hours, as people write it.
    let fits =
        |(unit, _): &(u64, char)| seconds > 0 && seconds.is_multiple_of(*unit) && (*unit < 86_400 || seconds > *unit);
    match units.into_iter().find(fits) {
        Some((unit, letter)) => format!("{}{letter}", seconds / unit),
        None => format!("{seconds}s"),
    }
}

fn every(often: Every) -> String {
    often.0.map_or_else(|| "off".to_owned(), |length| span(Span(length)))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::config::EXAMPLE;

    /// What a table may hold, as the complaint about a wrong key lists it.
    fn fields(text: &str) -> Vec<String> {
        let complaint = Config::parse(text, "x").unwrap_err().to_string();
        let (_, listed) = complaint.split_once("expected").unwrap();
        let listed = listed.split(" Did you mean").next().unwrap();
        listed.split('`').skip(1).step_by(2).map(str::to_owned).collect()
    }

    #[test]
    fn the_table_has_every_setting_there_is_and_no_other() {
        let mut there = BTreeSet::new();
        for section in fields("[no_such_section]\n") {
            let keys = fields(&format!("[{section}]\nno_such_key = 1\n"));
            there.extend(keys.into_iter().map(|key| format!("{section}.{key}")));
        }
        let listed: BTreeSet<_> = SETTINGS.iter().map(|setting| setting.key.to_owned()).collect();
        assert_eq!(
            listed, there,
            "src/config/settings.rs lists what the structs of src/config.rs have"
        );
        assert_eq!(listed.len(), SETTINGS.len());
    }

    #[test]
    fn the_table_goes_in_the_order_of_the_example_file() {
        let (mut section, mut shown) = ("", Vec::new());
        for line in EXAMPLE.lines() {
            let bare = line.strip_prefix("# ").unwrap_or(line);
            if let Some(table) = bare.strip_prefix("[[") {
                shown.push(table.trim_end_matches(']').to_owned());
            } else if let Some(name) = line.strip_prefix('[') {
                section = name.trim_end_matches(']');
            } else if let Some((key, _)) = bare.split_once(" = ")
                && key.chars().all(|c| c.is_ascii_lowercase() || c == '_')
            {
                shown.push(format!("{section}.{key}"));
            }
        }
        let listed: Vec<_> = SETTINGS.iter().map(|setting| setting.key.to_owned()).collect();
        assert_eq!(listed, shown);
    }

    #[test]
    fn values_are_shown_as_the_file_would_have_them() {
        let config = Config::parse("[federation]\nmode = \"open\"\n[keys]\nrotate_every = \"365d\"", "x").unwrap();
        let value = |key: &str| in_force(&config).into_iter().find(|row| row.key == key).unwrap();
        assert_eq!(value("federation.mode").value, "open");
        assert_eq!(value("federation.mode").default, "invite");
        assert_eq!(value("keys.rotate_every").value, "365d");
        assert_eq!(value("keys.publish_before_use").value, "24h");
        assert_eq!(value("shares.delivery_retry").value, "10s, 1m, 10m, 1h, 6h, 24h");
        assert_eq!(value("files.max_upload").value, "10.0 GiB");
        assert_eq!(value("log.audit_keep").value, "400d");
    }
}
