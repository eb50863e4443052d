//! The command line: one file per noun; thin: makes a call, prints its answer as a table or as JSON.

mod audit;
mod backup;
mod completions;
mod config;
mod connection;
mod contact;
mod demo;
mod directory;
mod doctor;
mod domain;
mod file;
mod init;
mod invite;
mod key;
pub mod log;
mod notify;
mod peer;
mod queue;
mod request;
mod restore;
mod serve;
mod service;
mod share;
mod status;
mod table;
mod tls;
mod user;

use std::borrow::Cow;
use std::io::IsTerminal;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::LazyLock;

use clap::Parser;
use clap::Subcommand;

use crate::api::Call;
use crate::config::Config;
use crate::config::Flags;
use crate::config::SEARCHED;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Reason;
use crate::error::Result;
use crate::invites::qr;
use crate::ocm;
use crate::peers;

/// The field of errors that are about how a command was said, and not about any one thing in it.
const USAGE: &str = "command-line";

/// What most people begin with.
const EXAMPLES: &str = "\
Examples:
  ocmesh serve                       a server for a trial on this machine
  ocmesh serve cloud.example.org     a public one, with a certificate had by itself
  ocmesh invite create --for Bob     a link for somebody on another server
  ocmesh doctor                      whether all is well, and what to do where it is not

The settings: ocmesh config default. The manual: ocmesh man | man -l -";

/// With what helpers ask for besides.
fn long_version() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        format!(
            "{}\ntarget       {}-{}\nOCM          draft-ietf-ocm-open-cloud-mesh-05 and -07, API {}\nlicence      {}",
            env!("CARGO_PKG_VERSION"),
            std::env::consts::ARCH,
            std::env::consts::OS,
            ocm::discovery::API_VERSION,
            env!("CARGO_PKG_LICENSE")
        )
    });
    &TEXT
}

/// An Open Cloud Mesh server in one binary: invite people on other servers, share files with them.
#[derive(Debug, Parser)]
#[command(name = "ocmesh", version, long_version = long_version(), max_term_width = 100, after_help = EXAMPLES)]
pub struct Arguments {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Args)]
pub struct Global {
    /// The configuration [default: ./ocm.toml, then /etc/ocm/ocm.toml, then built-in defaults]
    #[arg(short, long, value_name = "FILE", global = true, env = "OCM_CONFIG")]
    config: Option<PathBuf>,
    /// Where the data is, in place of what the settings say (server.data_dir)
    #[arg(long, value_name = "DIR", global = true)]
    data_dir: Option<PathBuf>,
    /// The socket of the running server, in place of what the settings say (server.admin_socket)
    #[arg(long, value_name = "PATH", global = true)]
    socket: Option<PathBuf>,
    /// Print JSON on stdout
    #[arg(long, global = true)]
    json: bool,
    /// Do not ask before something is lost
    #[arg(short, long, global = true)]
    yes: bool,
}

impl Global {
    /// The settings, with what is said here and by `more` over the file and the environment.
    ///
    /// # Errors
    ///
    /// As [`Config::load_with`].
    fn load(&self, more: Flags) -> Result<Config> {
        Config::load_with(self.config.as_deref(), &self.over(more)?)
    }

    /// The same for a command beside a server.
    ///
    /// # Errors
    ///
    /// As [`Config::load_beside`].
    fn load_beside(&self) -> Result<Config> {
        Config::load_beside(self.config.as_deref(), &self.over(Flags::default())?)
    }

    fn over(&self, mut more: Flags) -> Result<Flags> {
        for (name, setting, path) in [
            ("--data-dir", "server.data_dir", &self.data_dir),
            ("--socket", "server.admin_socket", &self.socket),
        ] {
            if let Some(path) = path {
                // What is typed is meant from here, and what stands in a file from there.
                let path = std::path::absolute(path)?;
                let path = path
                    .to_str()
                    .ok_or_else(|| misused(format!("{name}: {}: no UTF-8", path.display())))?;
                more.set(name, setting, path);
            }
        }
        Ok(more)
    }

    fn is_somewhere(&self) -> bool {
        self.config.is_some() || self.data_dir.is_some() || self.socket.is_some()
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server in the foreground
    Serve(serve::Wishes),
    /// Write a configuration file to begin with
    Init(init::Wishes),
    /// How the running server is, on one screen
    Status {
        /// Exit 0 when it is ready to answer, 1 when it is not, 4 when it does not run
        #[arg(long)]
        ready: bool,
    },
    /// Two throw-away servers on this machine, Ada and Bob, with a finished invite and a share
    Demo {
        /// Run the whole story, say how each step went, and exit 0 or 1
        #[arg(long)]
        check: bool,
    },
    /// Look whether all is well, and say what to do where it is not
    Doctor(doctor::Doctor),
    /// Write what helpers need to know into one file: versions, settings, findings, the last of the log; no secrets
    SupportBundle {
        /// Where to; `-` is stdout [default: ocmesh-support-DATE.zip]
        file: Option<PathBuf>,
    },
    /// A new one-time link for making the first admin
    SetupLink,
    /// Accounts on this server
    #[command(subcommand)]
    User(user::Verb),
    /// Invites: how people on other servers become contacts
    #[command(subcommand)]
    Invite(invite::Verb),
    /// People on other servers
    #[command(subcommand)]
    Contact(contact::Verb),
    /// Files of users on this server
    #[command(subcommand)]
    File(file::Verb),
    /// Shares with, and from, people on other servers
    #[command(subcommand)]
    Share(share::Verb),
    /// Asking people on other servers for a share, and answering who asks
    #[command(subcommand)]
    Request(request::Verb),
    /// Which servers may federate with this one
    #[command(subcommand)]
    Peer(peer::Verb),
    /// Signed lists of servers, in which invited people find theirs
    #[command(subcommand)]
    Directory(directory::Verb),
    /// What is on its way to other servers
    #[command(subcommand)]
    Queue(queue::Verb),
    /// Who is told what happens on this server, and whether that works
    #[command(subcommand)]
    Notify(notify::Verb),
    /// The keys that this server signs with
    #[command(subcommand)]
    Key(key::Verb),
    /// The certificate of this server
    #[command(subcommand)]
    Tls(tls::Verb),
    /// Who did what on this server
    #[command(subcommand)]
    Audit(audit::Verb),
    /// Copies of all that this server keeps
    #[command(subcommand)]
    Backup(backup::Verb),
    /// Put a backup in the place of what is there, while the server is stopped
    Restore(restore::Restore),
    /// The settings
    #[command(subcommand)]
    Config(config::Verb),
    /// The last lines that the running server wrote to its log, a thousand at most
    Log {
        /// How many
        #[arg(short = 'n', long, value_name = "NUMBER", default_value_t = 50)]
        lines: usize,
    },
    /// Print the numbers that Prometheus reads, once
    Metrics,
    /// This server as a service of the system
    #[command(subcommand)]
    Service(service::Verb),
    /// Print what completes this command in a shell
    Completions { shell: clap_complete::Shell },
    /// Print the manual, or write it and a page for each command into a folder
    Man { dir: Option<PathBuf> },
}

/// A call, what follows it, and how its answer is shown to a person.
struct Request {
    call: Call,
    /// A file to send along.
    upload: Option<PathBuf>,
    /// Where to put the file that comes back; `-` is stdout.
    download: Option<PathBuf>,
    /// What to say once that file is there.
    written: Option<String>,
    show: fn(&serde_json::Value) -> String,
    /// What would be lost, asked about first on a terminal.
    danger: Option<String>,
    /// What will be done, asked about first on a terminal, and there only.
    question: Option<String>,
    /// Whether what was looked at is well; its error comes after the answer.
    verdict: fn(&serde_json::Value) -> Result<()>,
}

impl Request {
    fn new(call: Call, show: fn(&serde_json::Value) -> String) -> Self {
        Self {
            call,
            upload: None,
            download: None,
            written: None,
            show,
            danger: None,
            question: None,
            verdict: |_| Ok(()),
        }
    }

    fn verdict(mut self, verdict: fn(&serde_json::Value) -> Result<()>) -> Self {
        self.verdict = verdict;
        self
    }

    fn upload(mut self, file: PathBuf) -> Self {
        self.upload = Some(file);
        self
    }

    fn download(mut self, file: PathBuf) -> Self {
        self.download = Some(file);
        self
    }

    fn written(mut self, what: String) -> Self {
        self.written = Some(what);
        self
    }

    fn question(mut self, what: String) -> Self {
        self.question = Some(what);
        self
    }

    fn danger(mut self, what: String) -> Self {
        self.danger = Some(what);
        self
    }
}

/// Does what the arguments say; the exit code tells how that went.
pub fn run(arguments: Arguments) -> ExitCode {
    let json = arguments.global.json;
    if let Command::Doctor(doctor) = &arguments.command {
        return doctor.run(&arguments.global);
    }
    if let Some(outcome) = without_settings(&arguments).transpose() {
        return told(outcome, json);
    }
    let global = &arguments.global;
    let loaded = match &arguments.command {
        Command::Serve(wishes) => wishes.load(global),
        _ => global.load_beside(),
    };
    let outcome = loaded.and_then(|config| {
        let served = matches!(arguments.command, Command::Serve(_));
        let needs_none = matches!(
            arguments.command,
            Command::Demo { .. } | Command::Backup(backup::Verb::Verify { .. })
        );
        if !served && !needs_none {
            there_is_a_server(arguments.global.is_somewhere(), &config)?;
        }
        log::start(&config, served);
        actix_web::rt::System::new().block_on(execute(arguments, config))
    });
    told(outcome, json)
}

/// What is about this program or machine: no settings have to be there, or right. Nothing for all else.
fn without_settings(arguments: &Arguments) -> Result<Option<()>> {
    let Global { config, json, yes, .. } = &arguments.global;
    let text = match &arguments.command {
        Command::Config(verb) => match verb.here(config.as_deref(), *json)? {
            Some(said) => said,
            None => return Ok(None),
        },
        Command::Init(wishes) => return wishes.write(config.as_deref()).map(Some),
        Command::Service(verb) => return service::run(verb.clone(), *yes, *json).map(Some),
        Command::Completions { shell } => completions::completions(*shell)?,
        Command::Man { dir } => match completions::manual(dir.as_deref())? {
            Some(page) => page,
            None => return Ok(Some(())),
        },
        _ => return Ok(None),
    };
    print(text.trim_end()).map(Some)
}

fn told(outcome: Result<()>, json: bool) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error, json);
            ExitCode::from(exit_code(&error))
        }
    }
}

/// A command in the wrong directory must not begin a new installation there.
fn there_is_a_server(named: bool, config: &Config) -> Result<()> {
    let configured = named || SEARCHED.iter().any(|file| Path::new(file).is_file());
    let data = &config.server.data_dir;
    if configured || data.exists() || std::env::var_os("OCM_SERVER_DATA_DIR").is_some() {
        return Ok(());
    }
    Err(Error::new(
        Reason::ConfigInvalid,
        format!(
            "There is no server here: neither {} nor data in {}. Say --config FILE.",
            SEARCHED.join(" nor "),
            data.display()
        ),
    ))
}

async fn execute(arguments: Arguments, config: Config) -> Result<()> {
    let global = arguments.global;
    let request = match arguments.command {
        Command::Serve(wishes) => return serve::run(config, &global, wishes).await,
        Command::Status { ready: true } => Request::new(Call::Status, status::ready).verdict(status::must_be_ready),
        Command::Status { ready: false } => Request::new(Call::Status, status::screen),
        Command::Demo { check } => return demo::run(check).await,
        Command::SupportBundle { file } => doctor::support_bundle(file)?,
        Command::SetupLink => Request::new(Call::SetupLink, setup_link),
        Command::User(verb) => verb.request()?,
        Command::Invite(verb) => verb.request()?,
        Command::Contact(verb) => verb.request()?,
        Command::File(verb) => verb.request()?,
        Command::Share(verb) => verb.request()?,
        Command::Request(verb) => verb.request()?,
        Command::Peer(verb) => verb.request()?,
        Command::Directory(verb) => verb.request()?,
        Command::Queue(verb) => verb.request()?,
        Command::Notify(verb) => verb.request(),
        Command::Key(verb) => verb.request(),
        Command::Tls(verb) => verb.request(),
        Command::Audit(verb) => verb.request()?,
        Command::Backup(backup::Verb::Verify { file }) => return tell(backup::verify(&config, &file)?, global.json),
        Command::Backup(backup::Verb::Create {
            file: Some(file),
            include_files,
        }) => return tell(backup::create_at(config, &file, include_files).await?, global.json),
        Command::Backup(verb) => verb.request()?,
        Command::Restore(restore) => {
            if let Some(code) = restore.by_owner(&config, global.yes, global.json)? {
                std::process::exit(code);
            }
            let (text, value, outcome) = Box::pin(restore.run(&config, global.yes)).await?;
            tell((text, value), global.json)?;
            return outcome;
        }
        Command::Config(verb) => verb.request(),
        Command::Log { lines } => Request::new(Call::LogTail { lines }, logged),
        Command::Metrics => Request::new(Call::Metrics, |answer| {
            table::field(answer, "text").trim_end().to_owned()
        }),
        // They need no settings, and were done before.
        Command::Init(_)
        | Command::Doctor(_)
        | Command::Service(_)
        | Command::Completions { .. }
        | Command::Man { .. } => return Ok(()),
    };
    confirm(request.danger.as_deref(), global.yes)?;
    if std::io::stdin().is_terminal() {
        confirm(request.question.as_deref(), global.yes)?;
    }
    let (show, verdict, written) = (request.show, request.verdict, request.written.clone());
    let Some(answer) = connection::send(config, request).await? else {
        if let Some(written) = written {
            eprintln!("{written}");
        }
        return Ok(());
    };
    let text = if global.json {
        serde_json::to_string_pretty(&answer).map_err(Error::internal)?
    } else {
        show(&answer)
    };
    print(&text)?;
    verdict(&answer)
}

fn logged(answer: &serde_json::Value) -> String {
    let lines = answer["lines"].as_array().map_or(&[] as &[_], Vec::as_slice);
    let lines = lines.iter().filter_map(serde_json::Value::as_str);
    lines.map(table::clean).collect::<Vec<_>>().join("\n")
}

/// The link alone for who puts it somewhere, and for people also something to point a telephone at.
fn setup_link(answer: &serde_json::Value) -> String {
    let link = table::field(answer, "link");
    match std::io::stdout().is_terminal() {
        true => format!("{link}{}", drawn(&link)),
        false => link,
    }
}

/// A link as a QR code, for a terminal.
fn drawn(link: &str) -> String {
    qr::in_half_blocks(link).map_or_else(|_| String::new(), |drawing| format!("\n\n{drawing}"))
}

/// Prints what was found, for people or for programs.
fn tell((text, value): (String, serde_json::Value), json: bool) -> Result<()> {
    match json {
        true => print(&serde_json::to_string_pretty(&value).map_err(Error::internal)?),
        false => print(&text),
    }
}

/// Prints what was asked for; a reader that has seen enough (`| head`) is no error.
fn print(text: &str) -> Result<()> {
    match writeln!(std::io::stdout(), "{text}") {
        Err(cause) if cause.kind() != std::io::ErrorKind::BrokenPipe => Err(cause.into()),
        _ => Ok(()),
    }
}

/// On a terminal, asks; elsewhere, wants `--yes`.
fn confirm(danger: Option<&str>, yes: bool) -> Result<()> {
    let Some(danger) = danger.filter(|_| !yes) else {
        return Ok(());
    };
    if !std::io::stdin().is_terminal() {
        return Err(misused(format!("{danger} Say --yes if that is meant.")));
    }
    eprint!("{danger} Go on? [y/N] ");
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        return Ok(());
    }
    Err(Error::new(Reason::NotAllowed, "Nothing was done."))
}

/// What clap would have said, had it known.
fn misused(message: impl Into<Cow<'static, str>>) -> Error {
    Error::invalid(USAGE, message)
}

/// A file that was asked for and can't be written where it was to be.
fn unwritable(file: &Path, cause: std::io::Error) -> Error {
    let reason = match cause.kind() {
        std::io::ErrorKind::PermissionDenied => Reason::NotAllowed,
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Reason::DiskFull,
        _ => Reason::Invalid,
    };
    Error::new(reason, format!("{}: {cause}", file.display()))
}

fn is_misuse(error: &Error) -> bool {
    error.reason() == Reason::Invalid && error.field() == Some(USAGE)
}

fn complain(error: &Error, json: bool) {
    if json {
        eprintln!("{}", crate::api::socket::error_body(error));
    } else if matches!(error.field(), Some(USAGE | "file")) {
        // The sentence itself says which option or file it is about.
        eprintln!("ocmesh: {}", error.message());
    } else {
        eprintln!("ocmesh: {error}");
    }
    let causes = error.causes();
    if !causes.is_empty() {
        tracing::debug!(causes, "The cause");
    }
}

/// What scripts and service managers go by.
fn exit_code(error: &Error) -> u8 {
    match (error.reason(), error.kind()) {
        (Reason::Invalid, _) if is_misuse(error) => 2,
        (Reason::WeRefuseThem, _) => 6,
        (Reason::DataLocked | Reason::ServerUnreachable, _) => 4,
        // They may be over soon; whoever starts services tries again.
        (Reason::DiskFull | Reason::ClockWrong | Reason::AddressTaken, _) => 75,
        (_, Kind::NotFound) => 3,
        (_, Kind::Forbidden | Kind::Unauthenticated) => 5,
        (_, Kind::Peer) if peers::worth_retrying(error) => 75,
        (_, Kind::Peer) => 7,
        (_, Kind::Operator) => 78,
        _ => 1,
    }
}
