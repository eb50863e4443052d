//! Secrets stand in files of their own, and never in the configuration or the environment, where others get to see them.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::Component;
use std::path::Path;
use std::path::PathBuf;

use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;
use crate::secret::Secret;

/// Where a service manager puts what it was told to hand over (`LoadCredential=` of systemd).
const HANDED_OVER: &str = "CREDENTIALS_DIRECTORY";
/// Whoever is neither the owner nor in the group.
const OTHERS_READ: u32 = 0o004;

/// Reads what stands in a file that `setting` names, without the line break at its end.
///
/// # Errors
///
/// [`Reason::ConfigInvalid`] naming the setting and the file, if it can't be read or is empty.
pub fn secret_file(setting: &str, file: &Path) -> Result<Secret> {
    let wrong = |why: String| Error::new(Reason::ConfigInvalid, format!("{setting}: {}: {why}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|cause| wrong(cause.to_string()))?;
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Err(wrong("there is nothing in it".to_owned()));
    }
    if std::fs::metadata(file).is_ok_and(|about| about.permissions().mode() & OTHERS_READ != 0) {
        tracing::warn!(
            setting,
            "Every user of this machine can read {}, in which there is a secret. Mend it: chmod o-r {}",
            file.display(),
            file.display()
        );
    }
    Ok(Secret::new(text))
}

/// Where a file is that the configuration in `base` names: a name alone is looked for among what the service manager
/// handed over.
pub(super) fn place(base: &Path, named: &Path) -> PathBuf {
    place_of(base, named, std::env::var_os(HANDED_OVER).as_deref())
}

fn place_of(base: &Path, named: &Path, handed_over: Option<&OsStr>) -> PathBuf {
    let mut parts = named.components();
    let alone = matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None));
    handed_over
        .filter(|_| alone)
        .map(|folder| Path::new(folder).join(named))
        .filter(|there| there.is_file())
        .unwrap_or_else(|| base.join(named))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_alone_is_looked_for_where_the_service_manager_puts_secrets() {
        let dir = tempfile::tempdir().unwrap();
        let handed_over = dir.path().join("credentials");
        std::fs::create_dir(&handed_over).unwrap();
        std::fs::write(handed_over.join("smtp-password"), "x").unwrap();
        let check = |named: &str, expected: &Path| {
            let found = place_of(Path::new("/etc/ocm"), Path::new(named), Some(handed_over.as_os_str()));
            assert_eq!(found, expected, "{named}");
        };
        check("smtp-password", &handed_over.join("smtp-password"));
        check("another", Path::new("/etc/ocm/another"));
        check("./smtp-password", Path::new("/etc/ocm/./smtp-password"));
        check("../smtp-password", Path::new("/etc/ocm/../smtp-password"));
        check("/run/smtp-password", Path::new("/run/smtp-password"));
        let without = place_of(Path::new("/etc/ocm"), Path::new("smtp-password"), None);
        assert_eq!(without, Path::new("/etc/ocm/smtp-password"));
    }

    #[test]
    fn a_secret_is_what_stands_in_its_file_and_an_empty_one_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("secret");
        std::fs::write(&file, " canary secret \r\n").unwrap();
        assert_eq!(
            secret_file("mail.password_file", &file).unwrap().expose(),
            " canary secret "
        );
        std::fs::write(&file, "\n").unwrap();
        for (file, why) in [(file, "nothing in it"), (dir.path().join("none"), "No such file")] {
            let error = secret_file("mail.password_file", &file).unwrap_err();
            assert_eq!(error.reason(), Reason::ConfigInvalid);
            let said = error.to_string();
            assert!(
                said.starts_with("mail.password_file: /") && said.contains(why),
                "{said}"
            );
        }
    }
}
