//! The system that a service is made on: its files, below a root, and its programs.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;
use crate::random;

/// What a program said, and whether it was content.
pub struct Said {
    pub well: bool,
    pub text: String,
}

/// Starts a program of the system and waits for its end.
pub type Runner = Box<dyn Fn(&str, &[&str]) -> Said>;

pub struct System {
    root: PathBuf,
    /// None for a tree that is only prepared: nothing is started, and no user made.
    runner: Option<Runner>,
}

impl System {
    /// The machine itself, or with `root` a tree that another one is made of.
    ///
    /// # Errors
    ///
    /// [`Reason::NotAllowed`] for anybody but root, on the machine itself; [`Reason::Unsupported`] where systemd does not run.
    pub fn of(root: Option<PathBuf>) -> Result<Self> {
        let Some(root) = root else {
            let own = fs::metadata("/proc/self").map(|own| own.uid());
            if own.ok() != Some(0) {
                return Err(Error::new(
                    Reason::NotAllowed,
                    "Services belong to root. Say it again with sudo, or see what it would do: ocmesh service print",
                ));
            }
            if !Path::new("/run/systemd/system").is_dir() {
                return Err(Error::new(
                    Reason::Unsupported,
                    "systemd does not run here, and nothing was done.",
                ));
            }
            return Ok(Self::with(PathBuf::from("/"), Some(Box::new(run))));
        };
        if !root.is_dir() {
            return Err(Error::new(Reason::Invalid, format!("{} is no folder.", root.display())));
        }
        Ok(Self::with(root, None))
    }

    pub fn with(root: PathBuf, runner: Option<Runner>) -> Self {
        Self { root, runner }
    }

    /// Whether it runs, and is not only a tree.
    pub fn is_live(&self) -> bool {
        self.runner.is_some()
    }

    /// Where an absolute path of it stands.
    pub fn at(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    pub fn has(&self, path: &str) -> bool {
        fs::symlink_metadata(self.at(path)).is_ok()
    }

    /// The text of a file; none if there is no such file.
    ///
    /// # Errors
    ///
    /// If there is one that cannot be read.
    pub fn read(&self, path: &str) -> Result<Option<String>> {
        match fs::read_to_string(self.at(path)) {
            Ok(text) => Ok(Some(text)),
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(failed(path, &cause)),
        }
    }

    /// Puts a file in place, whole or not at all, also over a program that runs. Says whether it was another one before.
    ///
    /// # Errors
    ///
    /// If it cannot be written, with the path.
    pub fn put(&self, path: &str, content: &[u8], mode: u32) -> Result<bool> {
        let target = self.at(path);
        let same = fs::read(&target).is_ok_and(|there| there == content);
        if same && fs::metadata(&target).is_ok_and(|there| there.mode() & 0o777 == mode) {
            return Ok(false);
        }
        let write = || {
            let folder = target.parent().unwrap_or(&self.root);
            fs::create_dir_all(folder)?;
            let partial = folder.join(format!(".ocmesh-{}.part", random::number()));
            let outcome = (|| {
                let mut file = fs::OpenOptions::new()
                    .write(true)
                    .create_new(true)
                    .mode(0o600)
                    .open(&partial)?;
                std::io::Write::write_all(&mut file, content)?;
                file.set_permissions(fs::Permissions::from_mode(mode))?;
                file.sync_all()?;
                fs::rename(&partial, &target)
            })();
            if outcome.is_err() {
                let _ = fs::remove_file(&partial);
            }
            outcome
        };
        write().map_err(|cause: std::io::Error| failed(path, &cause))?;
        Ok(true)
    }

    /// Takes away a file, or a folder with all that is in it; says whether there was one. A link is taken away, and never
    /// what it leads to.
    ///
    /// # Errors
    ///
    /// If it stays, with the path.
    pub fn remove(&self, path: &str) -> Result<bool> {
        let target = self.at(path);
        let Ok(there) = fs::symlink_metadata(&target) else {
            return Ok(false);
        };
        let outcome = if there.is_dir() {
            fs::remove_dir_all(&target)
        } else {
            fs::remove_file(&target)
        };
        outcome.map(|()| true).map_err(|cause| failed(path, &cause))
    }

    /// Has a program do something; `remedy` is the sentence for whoever must look after it if it does not.
    ///
    /// # Errors
    ///
    /// If the program is missing or not content, with what it said.
    pub fn must(&self, program: &str, arguments: &[&str], remedy: &str) -> Result<String> {
        let said = self.ask(program, arguments);
        if said.well {
            return Ok(said.text);
        }
        let command = format!("{program} {}", arguments.join(" "));
        let text = said.text.trim();
        Err(Error::new(
            Reason::Conflict,
            format!("{command} failed: {text}\n{remedy}"),
        ))
    }

    /// What a program says; nothing in a tree that is only prepared.
    pub fn ask(&self, program: &str, arguments: &[&str]) -> Said {
        match &self.runner {
            Some(runner) => runner(program, arguments),
            None => Said {
                well: true,
                text: String::new(),
            },
        }
    }
}

fn failed(path: &str, cause: &std::io::Error) -> Error {
    Error::new(
        Reason::Conflict,
        format!("{path}: {cause}. Mend that and say the same again: what is done already is kept."),
    )
}

fn run(program: &str, arguments: &[&str]) -> Said {
    match Command::new(program).args(arguments).output() {
        Ok(output) => {
            let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
            if !output.status.success() {
                text.push_str(&String::from_utf8_lossy(&output.stderr));
            }
            Said {
                well: output.status.success(),
                text,
            }
        }
        Err(cause) => Said {
            well: false,
            text: cause.to_string(),
        },
    }
}
