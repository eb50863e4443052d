//! All that is wrong with a configuration at once, so that it need not be found out one start after another.

use std::path::Path;

use toml::de::DeTable;

use crate::config::Config;
use crate::config::Flags;
use crate::config::sought;
use crate::error::Result;

/// Whoever has more of them mends these first.
const MOST: usize = 50;

/// What is wrong with a file and the environment, each with file and line, in the order of the lines. Nothing for settings
/// that fit together; the files that they name are not looked at.
///
/// # Errors
///
/// As [`Config::load`] for a file that can't be read.
pub fn problems(file: Option<&Path>) -> Result<Vec<String>> {
    let (text, origin, there) = sought(file)?;
    Ok(all(&text, &origin, there.as_deref()))
}

fn all(text: &str, origin: &str, there: Option<&Path>) -> Vec<String> {
    let mut found = in_text(text, origin);
    // Whether the rest fits together can't be told while a part of it is missing.
    if found.is_empty() {
        let complaints = match Config::examine(text, origin, there, &Flags::default()) {
            Ok((_, complaints)) => complaints,
            Err(error) => vec![error.to_string()],
        };
        let placed = |what: String| (line_in(&what, origin).unwrap_or(0), what);
        found = complaints.into_iter().map(placed).collect();
    }
    found.sort_by_key(|(line, _)| *line);
    found.into_iter().map(|(_, what)| what).collect()
}

/// What was found wrong is taken out, and the rest read again, for as long as it still is TOML.
fn in_text(text: &str, origin: &str) -> Vec<(usize, String)> {
    let mut left = text.to_owned();
    let mut found = Vec::new();
    while found.len() < MOST {
        let Err(error) = Config::parse(&left, origin) else {
            break;
        };
        let what = error.to_string();
        let line = line_in(&what, origin);
        found.push((line.unwrap_or(0), what));
        let Some(line) = line else { break };
        take_out(&mut left, line);
        if DeTable::parse(&left).is_err() {
            break;
        }
    }
    found
}

/// The number in `ocm.toml:7: ...`.
fn line_in(what: &str, origin: &str) -> Option<usize> {
    let rest = what.strip_prefix(origin)?.strip_prefix(':')?;
    rest.split(':').next()?.parse().ok()
}

/// Empties a line, and where it begins a table the whole of that: the numbers of all others stay as they are.
fn take_out(text: &mut String, number: usize) {
    let mut taken = false;
    let lines: Vec<_> = text
        .lines()
        .enumerate()
        .map(|(at, line)| {
            let begins = line.trim_start().starts_with('[');
            if at + 1 == number {
                taken = begins;
                return "";
            }
            taken = taken && !begins;
            if taken { "" } else { line }
        })
        .collect();
    *text = lines.join("\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_wrong_is_said_at_once() {
        let check = |text: &str, expected: &[(usize, &str)]| {
            let found = all(text, "x.toml", Some(Path::new("x.toml")));
            assert_eq!(found.len(), expected.len(), "{found:?}");
            for (what, (line, part)) in found.iter().zip(expected) {
                assert!(what.contains(part), "{what}");
                assert!(what.starts_with(&format!("x.toml:{line}: ")), "{what}");
            }
        };
        check("", &[]);
        check(
            "[federation]\nmode = \"invites\"\nclock_skew = \"9s\"\n[tls]\nemial = 1\nmode = \"acne\"\n",
            &[(2, "Did you mean invite?"), (5, "emial"), (6, "Did you mean acme?")],
        );
        check(
            "[unheard]\nof = 1\n[log]\nlevel = 7\n",
            &[(1, "unheard"), (4, "string")],
        );
        check(
            "[shares]\ndelivery_retry = []\n[tls]\nmode = \"files\"\n",
            &[(2, "At least one wait"), (4, "cert_file")],
        );
        check("[server\nname = 7\n", &[(1, "")]);
        // One of them would not be there without the other.
        check(
            "[server]\npublic_ulr = \"https://a.example\"\nlisten = \"127.0.0.1:9000\"\n",
            &[(2, "Did you mean public_url?")],
        );
        check(
            "[server]\npublic_url = \"http://127.0.0.1:8080\"\nlisten = \"127.0.0.1:9000\"\n",
            &[],
        );
        check("[server]\nlisten = \"127.0.0.1:9000\"\n", &[(2, "server.public_url")]);
    }
}
