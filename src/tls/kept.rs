//! What is kept of certificates in `data_dir/tls`: files that only the server reads, replaced whole or not at all.

use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Error;
use crate::error::Result;

/// One folder of it.
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

impl Folder {
    pub fn of(path: PathBuf) -> Self {
        Self(path)
    }

    pub fn within(&self, name: &str) -> Self {
        Self(self.0.join(name))
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// What stands in a file; nothing where there is none.
    pub fn read(&self, name: &str) -> Result<Option<String>> {
        match fs::read_to_string(self.0.join(name)) {
            Ok(text) => Ok(Some(text)),
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(None),
            // Rubbish is what a file is that holds no text; whoever asked makes it anew.
            Err(cause) if cause.kind() == std::io::ErrorKind::InvalidData => Ok(Some(String::new())),
            Err(cause) => Err(self.trouble(name, cause)),
        }
    }

    /// Puts a file in place of the one before. When this returns, a power cut loses neither.
    pub fn write(&self, name: &str, content: &str) -> Result<()> {
        let write = || {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.0)?;
            let fresh = self.0.join(format!("{name}.new"));
            let mut file = OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&fresh)?;
            file.write_all(content.as_bytes())?;
            file.sync_all()?;
            fs::rename(&fresh, self.0.join(name))?;
            File::open(&self.0)?.sync_all()
        };
        write().map_err(|cause| self.trouble(name, cause))
    }

    /// What was kept as JSON; the default where there is nothing, or nothing that can be read.
    pub fn json<T: DeserializeOwned + Default>(&self, name: &str) -> T {
        let text = self.read(name).ok().flatten().unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    pub fn write_json(&self, name: &str, value: &impl Serialize) -> Result<()> {
        self.write(name, &serde_json::to_string_pretty(value).map_err(Error::internal)?)
    }

    /// Keeps a file under another name, for whoever wants to look at it.
    pub fn set_aside(&self, name: &str) {
        let _ = fs::rename(self.0.join(name), self.0.join(format!("{name}.old")));
    }

    fn trouble(&self, name: &str, cause: std::io::Error) -> Error {
        tracing::error!(%cause, "{} can't be read or written", self.0.join(name).display());
        Error::from(cause)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn t84_what_is_kept_is_for_the_server_alone_and_rubbish_is_as_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::of(dir.path().join("tls")).within("authority");
        assert_eq!(folder.read("key").unwrap(), None);
        folder.write("key", "secret").unwrap();
        folder.write("key", "other").unwrap();
        assert_eq!(folder.read("key").unwrap().as_deref(), Some("other"));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&folder.path().join("key")), 0o600);
        assert_eq!(mode(folder.path()), 0o700);
        assert!(!folder.path().join("key.new").exists());
        fs::write(folder.path().join("list"), [0xff, 0xfe]).unwrap();
        assert_eq!(folder.json::<Vec<u8>>("list"), Vec::<u8>::new());
        folder.write_json("list", &[1, 2]).unwrap();
        assert_eq!(folder.json::<Vec<u8>>("list"), [1, 2]);
    }
}
