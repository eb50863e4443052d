//! The real program in a process of its own, with a directory and a port: for what only a process can show.

use std::fs;
use std::fs::File;
use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Output;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use tempfile::TempDir;

use super::free_port;
use super::skipped;

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A configuration of its own, and the server on it while it runs.
pub struct Process {
    dir: TempDir,
    pub port: u16,
    server: Option<Child>,
}

impl Process {
    /// `settings` follow those of its address and data.
    pub fn new(settings: &str) -> Self {
        let process = Self {
            dir: tempfile::tempdir().unwrap(),
            port: free_port(),
            server: None,
        };
        process.configure(settings);
        process
    }

    pub fn configure(&self, settings: &str) {
        let port = self.port;
        let text = format!(
            "[server]\npublic_url = \"http://127.0.0.1:{port}\"\nlisten = [\"127.0.0.1:{port}\"]\ndata_dir = \"data\"\n\
             admin_socket = \"../admin.sock\"\n[metrics]\nlisten = \"off\"\n[backup]\nevery = \"off\"\n{settings}"
        );
        fs::write(self.path("ocm.toml"), text).unwrap();
    }

    /// With one of the lines of the configuration in the place of another.
    pub fn reconfigure(&self, old: &str, new: &str) {
        let text = fs::read_to_string(self.path("ocm.toml")).unwrap();
        assert!(text.contains(old), "{text}");
        fs::write(self.path("ocm.toml"), text.replace(old, new)).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// `ocmesh` with these arguments, in its directory.
    pub fn command(&self, arguments: &[&str]) -> Command {
        self.around(env!("CARGO_BIN_EXE_ocmesh"), arguments)
    }

    /// A program that may start `ocmesh`, in its directory and without the settings of whoever runs the tests.
    pub fn around(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.dir.path())
            .args(arguments)
            .stdin(Stdio::null());
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("OCM_") || name == "RUST_LOG") {
            command.env_remove(name);
        }
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Exit code, and what was said on either way.
    pub fn code(&self, arguments: &[&str]) -> (Option<i32>, String) {
        told(self.run(arguments))
    }

    pub fn start(&mut self) {
        self.start_with(&[]);
    }

    pub fn start_with(&mut self, options: &[&str]) {
        let command = self.command(&[&["serve"], options].concat());
        self.start_as(command);
    }

    /// Starts a server by another command, and waits until it answers.
    pub fn start_as(&mut self, mut command: Command) {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.path("log"))
            .unwrap();
        let child = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        self.server = Some(child);
        self.wait_for("it to be ready", |it| it.status("/readyz") == Some(200));
    }

    pub fn wait_for(&mut self, what: &str, mut is_so: impl FnMut(&Self) -> bool) {
        let began = Instant::now();
        while !is_so(self) {
            let ended = self.server.as_mut().and_then(|server| server.try_wait().unwrap());
            assert!(ended.is_none(), "it ended, waiting for {what}: {}", self.log());
            assert!(began.elapsed() < PATIENCE, "waited for {what}: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn id(&self) -> u32 {
        self.server.as_ref().expect("a server runs").id()
    }

    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill")
            .args([format!("-{name}"), self.id().to_string()])
            .status();
        assert!(sent.unwrap().success());
    }

    /// Waits for its end.
    pub fn ended(&mut self) -> ExitStatus {
        let mut server = self.server.take().expect("a server runs");
        let began = Instant::now();
        loop {
            if let Some(status) = server.try_wait().unwrap() {
                return status;
            }
            if began.elapsed() > PATIENCE {
                let _ = server.kill();
                panic!("it does not stop: {}", self.log());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn stop(&mut self) -> Option<i32> {
        self.signal("TERM");
        self.ended().code()
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// All that is answered to a request for `path`; nothing where nobody answers.
    pub fn get(&self, path: &str) -> Option<String> {
        get(self.port, path)
    }

    pub fn status(&self, path: &str) -> Option<u16> {
        status(&self.get(path)?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

pub fn told(output: Output) -> (Option<i32>, String) {
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

pub fn get(port: u16, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n"
    )
    .ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

/// Of an answer that is whole.
pub fn status(answer: &str) -> Option<u16> {
    answer.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()
}

/// Whether this user may have mounts of its own, which nobody else sees; says so where not.
pub fn may_mount() -> bool {
    let tried = Command::new("unshare")
        .args(namespace())
        .args(["mount", "-t", "tmpfs", "none", "/mnt"])
        .output();
    let may = tried.is_ok_and(|output| output.status.success());
    if !may {
        skipped("unshare can't make a mount of its own here");
    }
    may
}

/// The options of `unshare` for one's own mounts.
pub fn namespace() -> &'static [&'static str] {
    match is_root() {
        true => &["--mount"],
        false => &["--mount", "--map-root-user"],
    }
}

pub fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(Path::new("/proc/self")).is_ok_and(|own| own.uid() == 0)
}
