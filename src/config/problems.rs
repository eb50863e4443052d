//! All that is wrong with a configuration at once, so that it need not be found out one start after another.

use std::path::Path;

use toml::de::DeTable;

use crate::config::Config;
use crate::config::Flags;
use crate::config::line_of;
use crate::config::sought;
use crate::error::Result;

/// Whoever has more of them mends these first.
const MOST: usize = 50;

/// What is wrong with a file and the environment, each with file and line, in the order of the lines. Nothing for what a
/// server would start with.
///
/// # Errors
///
/// As [`Config::load`] for a file that can't be read.
pub fn problems(file: Option<&Path>) -> Result<Vec<String>> {
    let (text, origin, _) = sought(file)?;
    let mut found = in_text(&text, &origin);
    if found.is_empty()
        && let Err(error) = Config::load_with(file, &Flags::default())
    {
        found.push((0, error.to_string()));
    }
    found.sort_by_key(|(line, _)| *line);
    Ok(found.into_iter().map(|(_, what)| what).collect())
}

/// What was found wrong is taken out, and the rest read again, for as long as it still is TOML.
fn in_text(text: &str, origin: &str) -> Vec<(usize, String)> {
    let mut left = text.to_owned();
    let mut found = Vec::new();
    while found.len() < MOST {
        let (line, what) = match Config::parse(&left, origin) {
            Err(error) => {
                let what = error.to_string();
                (line_in(&what, origin), what)
            }
            Ok(config) => match config.check() {
                Err(error) => {
                    let place = line_of(&left, error.field().unwrap_or_default());
                    let what = format!("{origin}{place}: {error}");
                    (line_in(&what, origin), what)
                }
                Ok(()) => break,
            },
        };
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
            let mut found = in_text(text, "x.toml");
            found.sort_by_key(|(line, _)| *line);
            let lines: Vec<_> = found.iter().map(|(line, _)| *line).collect();
            let wanted: Vec<_> = expected.iter().map(|(line, _)| *line).collect();
            assert_eq!(lines, wanted, "{found:?}");
            for ((_, what), (line, part)) in found.iter().zip(expected) {
                assert!(what.contains(part), "{what}");
                assert!(*line == 0 || what.starts_with(&format!("x.toml:{line}: ")), "{what}");
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
    }
}
