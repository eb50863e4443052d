//! What whoever is asked for help needs to know, as one file that may be sent to them: facts and findings, no secrets, no
//! people.

use std::fmt::Write as _;
use std::fs;
use std::io::Cursor;
use std::io::Write as _;

use ::zip::ZipWriter;
use ::zip::write::SimpleFileOptions;

use crate::clock::Timestamp;
use crate::config::settings;
use crate::doctor;
use crate::error::Error;
use crate::error::Result;
use crate::findings::Finding;
use crate::logbook;
use crate::site::Site;
use crate::store::MAX_PAGE;
use crate::store::Page;
use crate::store::SCHEMA;

/// The files in it, and what each says.
pub const CONTENTS: [(&str, &str); 6] = [
    ("versions.txt", "Which version runs, on which system, and for how long"),
    (
        "settings.txt",
        "The settings in force and who decides them; of a secret only the name of its file",
    ),
    ("findings.txt", "What was found when everything was looked at"),
    ("metrics.txt", "The numbers that are counted"),
    ("counts.txt", "How many entries, messages and directories there are"),
    ("log.txt", "The last lines of the log, a thousand at most"),
];

/// What ends a secret in a line.
const ENDS: [char; 11] = [' ', '&', '"', '\'', ',', ';', '<', '>', ')', '}', '#'];
/// What a secret stands behind, whoever wrote it there; and the name of a person, as our own log has it.
const BEFORE_SECRETS: [&str; 10] = [
    "person=",
    "token=",
    "code=",
    "password=",
    "secret=",
    "key=",
    "bearer ",
    "basic ",
    "form_token=",
    "cookie: ",
];

/// The whole as a zip.
pub async fn make(site: &Site) -> Result<Vec<u8>> {
    let texts = [
        versions(site),
        in_force(site),
        findings(site).await?,
        site.numbers().await?,
        counts(site).await?,
        logbook::lines().join("\n"),
    ];
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for ((name, _), text) in CONTENTS.iter().zip(texts) {
        zip.start_file(*name, SimpleFileOptions::default())
            .map_err(Error::internal)?;
        zip.write_all(masked(&text).as_bytes())?;
        zip.write_all(b"\n")?;
    }
    Ok(zip.finish().map_err(Error::internal)?.into_inner())
}

/// What it is called on a disk.
pub fn file_name(now: Timestamp) -> String {
    format!("ocmesh-support-{}.zip", now.day())
}

fn versions(site: &Site) -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let system = read("/etc/os-release");
    let system = system.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    let memory = read("/proc/meminfo");
    let memory = memory.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let own = read("/proc/self/status");
    let used = own.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let facts = [
        ("ocmesh", env!("CARGO_PKG_VERSION").to_owned()),
        ("format of the data", SCHEMA.to_string()),
        ("now", site.clock.now().to_string()),
        ("running since", site.peers.traffic().since().to_string()),
        ("system", system.unwrap_or("unknown").trim_matches('"').to_owned()),
        ("kernel", read("/proc/sys/kernel/osrelease").trim().to_owned()),
        ("processor", format!("{} with {cores} cores", std::env::consts::ARCH)),
        ("memory", memory.unwrap_or("unknown").trim().to_owned()),
        ("memory of the server", used.unwrap_or("unknown").trim().to_owned()),
    ];
    facts.map(|(name, fact)| format!("{name}: {fact}")).join("\n")
}

fn in_force(site: &Site) -> String {
    let mut text = String::new();
    for setting in settings::in_force(&site.config) {
        let origin = match setting.origin.to_string() {
            origin if origin.is_empty() => "default".to_owned(),
            origin => origin,
        };
        let value = bare(&setting.value);
        let _ = writeln!(text, "{} = {value}    ({origin})", setting.key);
    }
    text
}

async fn findings(site: &Site) -> Result<String> {
    let mut text = format!("now, {}, without asking anybody:\n", site.clock.now());
    text.push_str(&table(&doctor::examine(site, false).await?));
    if let Some(last) = site.last_findings.get() {
        let _ = write!(text, "\nThe last time that everything was looked at ({}):\n", last.at);
        text.push_str(&table(&last.findings));
    }
    Ok(text)
}

fn table(findings: &[Finding]) -> String {
    let line = |finding: &Finding| {
        let remedy = finding.remedy.as_deref().unwrap_or_default();
        let state = finding.state.as_str();
        format!("{state:<7} {:<14} {}   {remedy}", finding.check, finding.sentence)
    };
    findings.iter().map(|finding| line(finding) + "\n").collect()
}

async fn counts(site: &Site) -> Result<String> {
    let waiting = site.outbox.list(&Page::first(MAX_PAGE)).await?;
    let more = if waiting.next.is_some() { " or more" } else { "" };
    let counts = [
        ("audit log, entries written", site.audit.written().to_string()),
        ("deliveries", format!("{}{more}", waiting.items.len())),
        ("directories", site.config.federation.directory.len().to_string()),
        (
            "servers heard of since the start",
            site.peers.traffic().hosts().len().to_string(),
        ),
        ("database, bytes", site.store.size_on_disk()?.to_string()),
    ];
    Ok(counts.map(|(name, count)| format!("{name}: {count}")).join("\n"))
}

/// A setting without what may open something: the path and query of an address, as those of webhooks are.
fn bare(value: &str) -> String {
    let parts = value.split(", ").map(|part| {
        let Some((scheme, rest)) = part.split_once("://") else {
            return part.to_owned();
        };
        match rest.find(['/', '?', '#']) {
            Some(at) if rest.len() > at + 1 => format!("{scheme}://{}/…", &rest[..at]),
            _ => part.to_owned(),
        }
    });
    parts.collect::<Vec<_>>().join(", ")
}

/// A text without people and secrets: of an OCM or mail address, the server stays; the same for the user in a URL.
fn masked(text: &str) -> String {
    let lines: Vec<_> = text
        .lines()
        .map(|line| without_people(&without_files(&without_secrets(line))))
        .collect();
    lines.join("\n")
}

fn without_secrets(line: &str) -> String {
    // Letters other than ASCII may have another length in lower case.
    let lower = line.to_ascii_lowercase();
    let mut masked = String::with_capacity(line.len());
    let mut from = 0;
    while let Some((at, word)) = BEFORE_SECRETS
        .iter()
        .filter_map(|word| lower[from..].find(word).map(|at| (from + at, *word)))
        .min_by_key(|(at, word)| (*at, usize::MAX - word.len()))
    {
        let mut begins = at + word.len();
        // Of what stands in quotes, all up to the one that ends it. Codes of errors do, too, and help.
        let length = match lower[begins..].strip_prefix('"') {
            Some(quoted) if *word != *"code=" => {
                begins += 1;
                closing_quote(quoted)
            }
            _ => lower[begins..].find(ENDS),
        };
        let ends = length.map_or(lower.len(), |length| begins + length);
        masked.push_str(&line[from..begins]);
        if ends > begins {
            masked.push('…');
        }
        from = ends;
    }
    masked.push_str(&line[from..]);
    masked
}

/// Where what was begun by a quote ends. One behind a backslash belongs to the text.
fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.find(|c| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    })
}

/// People's files are called after people and what they do.
fn without_files(line: &str) -> String {
    const FILES: &str = "files/";
    let mut masked = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find(FILES) {
        let (before, path) = rest.split_at(at + FILES.len());
        masked.push_str(before);
        let ends = [": ", " can't ", " can’t ", " is ", "\"", ", "];
        let end = ends.iter().filter_map(|end| path.find(end)).min().unwrap_or(path.len());
        if end > 0 {
            masked.push('…');
        }
        rest = &path[end..];
    }
    masked.push_str(rest);
    masked
}

fn without_people(line: &str) -> String {
    let in_name = |c: char| c.is_alphanumeric() || "._%+-!#$&*=^`|~:".contains(c);
    let mut masked = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find('@') {
        let before = rest[..at].trim_end_matches(in_name);
        // What stands before the user of a URL is its scheme.
        masked.push_str(before);
        if before.len() < at {
            masked.push('…');
        }
        masked.push('@');
        rest = &rest[at + 1..];
    }
    masked.push_str(rest);
    masked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t44_people_and_secrets_are_masked_and_servers_stay() {
        let check = |text: &str, expected: &str| assert_eq!(masked(text), expected);
        check(
            "No backup could be made: data/files/ada/secret plans.txt can't be read: denied",
            "No backup could be made: data/files/… can't be read: denied",
        );
        check("Delivery to bob@b.example failed", "Delivery to …@b.example failed");
        check("to=\"ada.l+x@a.example:8080\", again", "to=\"…@a.example:8080\", again");
        check("smtps://ocm%40x@mail.example:465", "smtps://…@mail.example:465");
        check("https://user:canary@host.example/x", "https://…@host.example/x");
        check("GET /setup?code=canary&x=1", "GET /setup?code=…&x=1");
        check("Authorization: Bearer canary, next", "Authorization: Bearer …, next");
        check("TOKEN=canary form_token=canary", "TOKEN=… form_token=…");
        check("ünïcödé token=canary", "ünïcödé token=…");
        check("alone @ here, and none", "alone @ here, and none");
        check("two a@b c@d", "two …@b …@d");
        check("token=\"canary\" secret=\"ca nary\" x", "token=\"…\" secret=\"…\" x");
        check("secret=\"ca \\\"n\\\"ary\" x", "secret=\"…\" x");
        check("secret=\"ca nary", "secret=\"…");
        check("Refused code=\"invite-unknown\"", "Refused code=\"invite-unknown\"");
        check(
            "Answered GET ms=3 person=\"ada\" id=7",
            "Answered GET ms=3 person=\"…\" id=7",
        );
        check(
            "Answered GET person=\"ada.lovelace\" id=7",
            "Answered GET person=\"…\" id=7",
        );
        check("Answered GET person=ada", "Answered GET person=…");
        check(
            "Answered GET peer=\"b.example\" id=7",
            "Answered GET peer=\"b.example\" id=7",
        );
        check("Answered GET person=\"\" id=7", "Answered GET person=\"\" id=7");
    }

    #[test]
    fn t44_the_path_of_an_address_is_left_out_for_it_may_open_something() {
        let check = |value: &str, expected: &str| assert_eq!(bare(value), expected);
        check("https://hooks.example/services/T0/canary", "https://hooks.example/…");
        check(
            "https://a.example/?canary, https://b.example/",
            "https://a.example/…, https://b.example/",
        );
        check("/var/lib/ocm", "/var/lib/ocm");
    }
}
