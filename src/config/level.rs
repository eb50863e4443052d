//! What is worth a line in the log: a level, or one for each part of the program.

use serde::Deserialize;
use serde::Deserializer;
use serde::de::Error as _;

const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];

/// Reads `info`, or `warn,ocmesh::courier=debug`. A word that is no level would be taken for the name of a part, and silence
/// all others.
pub(super) fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    for directive in text.split(',') {
        let (part, level) = directive.rsplit_once('=').unwrap_or(("ocmesh", directive));
        let level = level.trim();
        if !LEVELS.iter().any(|known| known.eq_ignore_ascii_case(level)) {
            return Err(D::Error::unknown_variant(level, &LEVELS));
        }
        if part.trim().is_empty() {
            let why = format!("{directive:?} names no part of the program, as ocmesh::courier=debug does");
            return Err(D::Error::custom(why));
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    #[test]
    fn a_level_is_one_that_there_is_and_a_slip_does_not_silence_the_log() {
        let read = |text: &str| Config::parse(&format!("[log]\nlevel = \"{text}\""), "x");
        for right in [
            "info",
            "WARN",
            "off",
            "info,ocmesh::courier=debug",
            "warn, ocmesh=trace",
            "ocmesh=debug",
        ] {
            assert_eq!(read(right).unwrap().log.level, right);
        }
        for (wrong, hint) in [
            ("inof", "Did you mean info?"),
            ("ocmesh", "`error`"),
            ("", "`error`"),
            ("info,", "`error`"),
            ("ocmesh=debg", "Did you mean debug?"),
            ("info,ocmesh::courier", "`error`"),
            ("=info", "names no part"),
        ] {
            let said = read(wrong).unwrap_err().to_string();
            assert!(said.starts_with("x:2: log.level: ") && said.contains(hint), "{said}");
        }
    }
}
