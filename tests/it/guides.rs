//! The guides are true: their commands are run where they can be, and parsed where not; their settings are settings; and
//! what `docs/federation.md` says of our messages is what we send.

mod federation;

use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::sync::Mutex;

use clap::Parser;
use ocmesh::cli::Arguments;
use ocmesh::config::Config;

use crate::harness::free_port;
use crate::harness::skipped;

const ADMIN: &str = include_str!("../../docs/admin.md");
const README: &str = include_str!("../../README.md");

/// A fenced block: its language, the words behind it, and its text.
#[derive(Debug)]
pub struct Block {
    words: Vec<String>,
    pub text: String,
    /// Where it begins.
    line: usize,
}

impl Block {
    /// Whether one of the words behind the language is this one.
    pub fn about(&self, word: &str) -> bool {
        self.words[1..].iter().any(|other| other == word)
    }
}

/// The blocks in one language.
pub fn blocks(guide: &str, language: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut open: Option<Block> = None;
    for (number, line) in guide.lines().enumerate() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(_), Some(_)) => found.extend(open.take()),
            (Some(info), None) => {
                open = Some(Block {
                    words: info.split_whitespace().map(str::to_owned).collect(),
                    text: String::new(),
                    line: number + 1,
                });
            }
            (None, Some(block)) => block.text.push_str(&format!("{line}\n")),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block that never ends: {open:?}");
    found.retain(|block| block.words.first().is_some_and(|word| word == language));
    found
}

/// The commands in a block, without the prompt.
fn commands(block: &Block) -> Vec<&str> {
    let line = |line| str::strip_prefix(line, "$ ").unwrap_or_else(|| panic!("line {}: {line}", block.line));
    block.text.lines().map(line).collect()
}

/// The words of a command line, with quotes taken off; a comment ends it.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in line.chars() {
        match (c, quote) {
            ('#', None) if word.is_none() => break,
            ('\'' | '"', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (c, Some(open)) if c == open => quote = None,
            (' ', None) => words.extend(word.take()),
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    assert!(quote.is_none(), "a quote that never ends: {line}");
    words.extend(word);
    words
}

/// Each call of `ocmesh` in a command line, however it is reached.
fn calls(line: &str) -> Vec<Vec<String>> {
    let mut calls: Vec<Vec<String>> = Vec::new();
    let mut call: Option<Vec<String>> = None;
    for word in words(line) {
        match word.as_str() {
            "&&" | "|" | ">" | "&" | ";" => calls.extend(call.take()),
            "ocmesh" | "./ocmesh" | "/ocmesh" if call.as_ref().is_none_or(|call| call.len() == 1) => {
                call = Some(vec!["ocmesh".to_owned()]);
            }
            _ => {
                if let Some(call) = &mut call {
                    call.push(word);
                }
            }
        }
    }
    calls.extend(call);
    // The name alone is that of the service, or of the container.
    calls.retain(|call| call.len() > 1 && !matches!(call[1].as_str(), "..." | "--since" | "-n"));
    calls
}

#[test]
fn commands_are_found_in_lines() {
    let check = |line: &str, expected: &[&str]| {
        let found: Vec<_> = calls(line).iter().map(|call| call.join(" ")).collect();
        assert_eq!(found, expected, "{line}");
    };
    check("ocmesh serve   # prints a link", &["ocmesh serve"]);
    check("sudo -u ocm ocmesh queue list", &["ocmesh queue list"]);
    check("docker exec ocmesh /ocmesh status --ready", &["ocmesh status --ready"]);
    check(
        "ocmesh share accept ID && ocmesh share ls ID",
        &["ocmesh share accept ID", "ocmesh share ls ID"],
    );
    check(
        "ocmesh user add ada --display-name \"Ada L\"",
        &["ocmesh user add ada --display-name Ada L"],
    );
    check("journalctl -u ocmesh --since today", &[]);
    check("sudo systemctl restart ocmesh", &[]);
    assert_eq!(words("a 'b c' \"\" d#e"), ["a", "b c", "", "d#e"]);
}

/// What is wrong with a command line, if anything.
fn refused(call: &[String]) -> Option<String> {
    use clap::error::ErrorKind;
    match Arguments::try_parse_from(call).err() {
        Some(error) if !matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            Some(format!("{}: {error}", call.join(" ")))
        }
        _ => None,
    }
}

#[test]
fn each_command_in_the_guides_is_one_with_these_options() {
    let mut wrong = Vec::new();
    for block in blocks(ADMIN, "console") {
        for line in commands(&block) {
            wrong.extend(calls(line).iter().filter_map(|call| refused(call)));
        }
    }
    for block in blocks(README, "sh").iter().chain(&blocks(README, "console")) {
        for line in block.text.lines() {
            let line = line.strip_prefix("$ ").unwrap_or(line);
            wrong.extend(calls(line).iter().filter_map(|call| refused(call)));
        }
    }
    // And those in the middle of a sentence, as far as they are whole.
    for guide in [
        ADMIN,
        README,
        include_str!("../../docs/federation.md"),
        include_str!("../../docs/compatibility.md"),
    ] {
        for quoted in guide
            .split('`')
            .skip(1)
            .step_by(2)
            .filter(|text| text.starts_with("ocmesh "))
        {
            let line = quoted
                .replace('\n', " ")
                .replace("HOST", "cloud.b.example")
                .replace(" ...", "");
            wrong.extend(calls(&line).iter().filter_map(|call| refused(call)));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn each_file_of_settings_in_the_guide_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ocm.toml");
    for name in ["smtp-password", "webhook-secret"] {
        fs::write(dir.path().join(name), "secret").unwrap();
    }
    let mut checked = 0;
    for block in blocks(ADMIN, "toml").iter().filter(|block| !block.about("traefik")) {
        fs::write(&file, &block.text).unwrap();
        if let Err(error) = Config::load(Some(&file)) {
            panic!("line {}: {error}", block.line);
        }
        checked += 1;
    }
    assert!(checked > 3);
}

#[test]
fn each_setting_in_the_guides_is_one() {
    let settings = ocmesh::config::settings::in_force(&Config::default());
    let known: Vec<&str> = settings.iter().map(|setting| setting.key).collect();
    let sections: Vec<_> = known
        .iter()
        .filter_map(|key| key.split_once('.'))
        .map(|(section, _)| section)
        .collect();
    let (mut wrong, mut variables, mut keys) = (Vec::new(), 0, 0);
    for guide in [ADMIN, include_str!("../../docs/federation.md")] {
        // As variables of the environment.
        for (at, _) in guide.match_indices("OCM_") {
            let name: String = guide[at..]
                .chars()
                .take_while(|c| c.is_ascii_uppercase() || *c == '_')
                .collect();
            let path = name.strip_prefix("OCM_").unwrap().to_lowercase().replacen('_', ".", 1);
            variables += 1;
            if !path.is_empty() && path != "." && !known.contains(&path.as_str()) {
                wrong.push(name);
            }
        }
        // In the middle of a sentence.
        for quoted in guide.split('`').skip(1).step_by(2) {
            let key = quoted.split(" = ").next().unwrap();
            let is_key = key.split_once('.').is_some_and(|(section, rest)| {
                sections.contains(&section) && rest.chars().all(|c| c.is_ascii_lowercase() || c == '_')
            });
            keys += usize::from(is_key);
            if is_key && !known.contains(&key) {
                wrong.push(key.to_owned());
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:?}");
    assert!(variables > 0 && keys > 20, "{variables} {keys}");
}

#[test]
fn the_table_of_exit_codes_is_whole() {
    for code in ["0", "1", "2", "3", "4", "5", "6", "7", "75", "78"] {
        assert!(ADMIN.contains(&format!("\n| {code} | ")), "{code}");
    }
}

#[test]
fn what_the_guides_lead_to_is_there() {
    let mut links = 0;
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    for guide in [ADMIN, include_str!("../../docs/federation.md")] {
        for link in guide.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            links += 1;
            if !link.starts_with("https://") {
                assert!(docs.join(link).exists(), "{link}");
            }
        }
    }
    assert!(links > 1, "{links}");
}

/// A server of the guide, in a process and directory of its own.
struct Trial {
    dir: tempfile::TempDir,
    port: u16,
    child: Mutex<Option<Child>>,
}

impl Trial {
    fn set_up() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let port = free_port();
        let config = format!(
            "[server]\npublic_url = \"http://127.0.0.1:{port}\"\nlisten = \"127.0.0.1:{port}\"\ndata_dir = \"data\"\n\
             [metrics]\nlisten = \"off\"\n[backup]\nevery = \"off\"\n"
        );
        fs::write(dir.path().join("ocm.toml"), config).unwrap();
        let bin = dir.path().join("bin");
        fs::create_dir(&bin).unwrap();
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_ocmesh"), bin.join("ocmesh")).unwrap();
        Self {
            dir,
            port,
            child: Mutex::default(),
        }
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.dir.path()).stdin(Stdio::null());
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("OCM_") || name == "RUST_LOG") {
            command.env_remove(name);
        }
        let bin = self.dir.path().join("bin");
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}:{path}", bin.display()));
        command
    }

    fn start(&self) {
        let mut child = self
            .command("ocmesh")
            .arg("serve")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        assert!(
            lines.any(|line| line.unwrap().starts_with("Address ")),
            "it did not start"
        );
        std::thread::spawn(move || lines.for_each(drop));
        *self.child.lock().unwrap() = Some(child);
    }

    fn stop(&self) {
        if let Some(mut child) = self.child.lock().unwrap().take() {
            let id = child.id().to_string();
            let _ = Command::new("kill").args(["-TERM", &id]).status();
            let _ = child.wait();
        }
    }

    /// What went wrong, if anything did.
    fn run(&self, line: &str) -> Option<String> {
        let here = line.replace("127.0.0.1:8080", &format!("127.0.0.1:{}", self.port));
        let output = self.command("sh").args(["-c", &here]).output().unwrap();
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let why = format!(
            "{line}\n{}: {}{}",
            output.status,
            said(&output.stdout),
            said(&output.stderr)
        );
        (!output.status.success()).then_some(why)
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        if let Some(child) = self.child.get_mut().unwrap() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn has(program: &str) -> bool {
    let path = std::env::var("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir: PathBuf| dir.join(program).is_file())
}

#[test]
fn the_commands_of_the_guide_do_what_they_should_in_the_order_in_which_they_stand_there() {
    let trial = Trial::set_up();
    trial.start();
    let (mut ran, mut wrong) = (0, Vec::new());
    for block in blocks(ADMIN, "console") {
        if block.about("elsewhere") {
            continue;
        }
        if block.about("stopped") {
            trial.stop();
        }
        for line in commands(&block) {
            if line.starts_with("curl ") && !has("curl") {
                skipped(&format!("{line}: curl is not here"));
                continue;
            }
            ran += 1;
            wrong.extend(trial.run(line).filter(|_| !block.about("exit-any")));
        }
        if block.about("stopped") {
            trial.start();
        }
    }
    trial.stop();
    assert!(ran > 20, "{ran}");
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n\n"));
}
