//! Where a call goes: to the running server over its admin socket, or, while none runs, to the data directory itself.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream;
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio_util::io::ReaderStream;

use crate::api;
use crate::api::Answer;
use crate::api::Call;
use crate::cli::Request;
use crate::cli::unwritable;
use crate::client::ByteStream;
use crate::client::admin::AdminClient;
use crate::config::Config;
use crate::doctor;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;
use crate::random;
use crate::site::Site;
use crate::site::World;
use crate::store;

/// Has a call carried out; gives its answer, or none where the answer was a file and has been written.
pub async fn send(config: Config, request: Request) -> Result<Option<Value>> {
    let content = match &request.upload {
        Some(file) => read(file).await?,
        None => Box::pin(stream::empty()),
    };
    let answer = match running(&config).await? {
        Some(server) => over_socket(&server, &request, content).await?,
        None => return without_server(config, request, content).await,
    };
    finish(answer, request.download.as_deref()).await
}

/// The server that runs; nothing where none does.
///
/// # Errors
///
/// [`Reason::NotAllowed`] where one may run, and this user may not ask it.
async fn running(config: &Config) -> Result<Option<AdminClient>> {
    let socket = &config.server.admin_socket;
    match AdminClient::connect(socket).await {
        Ok(server) => Ok(Some(server)),
        Err(error) if error.reason() == Reason::NotAllowed => {
            let (who, how) = match owner_of(socket) {
                // As this user, it is right also where no server runs.
                Some(owner) if owner != "root" => (format!("{owner} and root"), format!("sudo -u {owner} ocmesh ...")),
                _ => ("root".to_owned(), "sudo ocmesh ...".to_owned()),
            };
            let message = format!("Only {who} may ask the server at {}: {how}", socket.display());
            Err(Error::new(Reason::NotAllowed, message).caused_by(error))
        }
        Err(_) => Ok(None),
    }
}

/// A path that can be read without knowing where the command was said.
pub fn shown(path: &Path) -> String {
    std::path::absolute(path).map_or_else(|_| path.display().to_string(), |path| path.display().to_string())
}

/// Whose a path is, as far as can be told from here: what keeps others out belongs to the same user as what is within.
fn owner_of(path: &Path) -> Option<String> {
    let there = path.ancestors().find_map(|path| std::fs::symlink_metadata(path).ok());
    there.map(|there| doctor::user_name(there.uid()))
}

/// The same for what only a running server can answer; nothing where none runs.
///
/// # Errors
///
/// [`Reason::NotAllowed`] where one may run, and this user may not ask it.
pub async fn ask_server(config: &Config, call: Call) -> Result<Option<Value>> {
    let Some(server) = running(config).await? else {
        return Ok(None);
    };
    let request = Request::new(call, |_| String::new());
    match over_socket(&server, &request, Box::pin(stream::empty())).await? {
        Answer::Json(value) => Ok(Some(value)),
        Answer::Content(_) => Err(Error::internal("a file came where an answer was expected")),
    }
}

/// The file that a running server hands over; nothing where none runs.
pub async fn fetch(config: &Config, call: Call) -> Result<Option<ByteStream>> {
    let Ok(server) = AdminClient::connect(&config.server.admin_socket).await else {
        return Ok(None);
    };
    let request = Request::new(call, |_| String::new());
    match over_socket(&server, &request, Box::pin(stream::empty())).await? {
        Answer::Content(content) => Ok(Some(content)),
        Answer::Json(_) => Err(Error::internal("an answer came where a file was expected")),
    }
}

async fn over_socket(server: &AdminClient, request: &Request, content: ByteStream) -> Result<Answer> {
    let mut head = serde_json::to_vec(&request.call).map_err(Error::internal)?;
    head.push(b'\n');
    let head = stream::iter([Ok(Bytes::from(head))]);
    let (status, content_type, body) = server.call(api::socket::PATH, Box::pin(head.chain(content))).await?;
    if status == 200 && !content_type.starts_with("application/json") {
        return Ok(Answer::Content(body));
    }
    let body = collect(body).await?;
    let value: Value = serde_json::from_slice(&body).map_err(Error::internal)?;
    if status == 200 {
        return Ok(Answer::Json(value));
    }
    Err(error_of(&value))
}

/// No server runs: this process has the data for as long as the call takes. What it leads to is delivered by the next
/// server that runs, which is also there to be asked for its key.
async fn without_server(config: Config, request: Request, content: ByteStream) -> Result<Option<Value>> {
    if request.call.needs_server() {
        let socket = config.server.admin_socket.display();
        return Err(Error::new(
            Reason::ServerUnreachable,
            format!("No server runs at {socket}. Start it: ocmesh serve, or systemctl start ocmesh"),
        ));
    }
    if request.call.asks_another_server() {
        return Err(Error::new(
            Reason::ServerUnreachable,
            format!(
                "No server runs at {}: start it first. This needs one that others can reach.",
                config.server.admin_socket.display()
            ),
        ));
    }
    let socket = config.server.admin_socket.clone();
    if matches!(request.call, Call::ConfigShow) {
        return Ok(Some(api::records::settings(&config)));
    }
    // Whatever looks at a server must not make one: the disk with the data may not be there today.
    if !request.call.may_begin() && !store::has_data(&config.server.data_dir) {
        return Err(Error::new(
            Reason::ServerUnreachable,
            format!(
                "There is no data in {}, and no server runs at {}. If the data is on another disk, look whether that is \
                 mounted; a new server begins with: ocmesh serve",
                shown(&config.server.data_dir),
                shown(&socket)
            ),
        ));
    }
    let site = Site::open(config, World::default())
        .await
        .map_err(|error| match error.reason() {
            Reason::DataLocked => Error::new(
                Reason::DataLocked,
                format!(
                    "{} But nothing answers on its admin socket {}.",
                    error.message(),
                    socket.display()
                ),
            ),
            _ => error,
        })?;
    let outcome = async {
        let answer = api::carry_out(&site, &api::socket::this_user(), request.call, content).await?;
        let answer = finish(answer, request.download.as_deref()).await?;
        Ok(answer)
    }
    .await;
    site.store.close()?;
    outcome
}

async fn finish(answer: Answer, download: Option<&Path>) -> Result<Option<Value>> {
    match answer {
        Answer::Json(value) => Ok(Some(value)),
        Answer::Content(stream) => {
            write(download.unwrap_or(Path::new("-")), stream).await?;
            Ok(None)
        }
    }
}

async fn read(file: &Path) -> Result<ByteStream> {
    if file == Path::new("-") {
        let stdin = ReaderStream::new(tokio::io::stdin());
        return Ok(Box::pin(stdin.map(|chunk| chunk.map_err(Error::from))));
    }
    let opened = tokio::fs::File::open(file)
        .await
        .map_err(|cause| Error::new(Reason::Invalid, format!("{}: {cause}", file.display())))?;
    if opened.metadata().await.is_ok_and(|there| there.is_dir()) {
        let why = format!("{} is a folder; put its files one by one", file.display());
        return Err(Error::new(Reason::Invalid, why));
    }
    Ok(Box::pin(
        ReaderStream::new(opened).map(|chunk| chunk.map_err(Error::from)),
    ))
}

/// Writes what arrives to a file of its own first, so that half an answer never stands where a whole one is expected.
async fn write(target: &Path, mut content: ByteStream) -> Result<()> {
    if target == Path::new("-") {
        let mut stdout = tokio::io::stdout();
        while let Some(chunk) = content.next().await {
            stdout.write_all(&chunk?).await?;
        }
        return Ok(stdout.flush().await?);
    }
    let wrong = |cause: std::io::Error| unwritable(target, cause);
    if target.is_dir() {
        return Err(Error::new(
            Reason::Invalid,
            format!("{} is a folder; name the file", target.display()),
        ));
    }
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", random::number()));
    let partial: PathBuf = target.with_file_name(name);
    let outcome = async {
        let mut file = tokio::fs::File::create_new(&partial).await.map_err(wrong)?;
        while let Some(chunk) = content.next().await {
            file.write_all(&chunk?).await.map_err(wrong)?;
        }
        file.sync_all().await.map_err(wrong)?;
        tokio::fs::rename(&partial, target).await.map_err(wrong)
    }
    .await;
    if outcome.is_err() {
        let _ = tokio::fs::remove_file(&partial).await;
    }
    outcome
}

async fn collect(mut body: ByteStream) -> Result<Vec<u8>> {
    let mut whole = Vec::new();
    while let Some(chunk) = body.next().await {
        whole.extend_from_slice(&chunk?);
    }
    Ok(whole)
}

fn error_of(value: &Value) -> Error {
    let text = |key: &str| value["error"][key].as_str().unwrap_or_default().to_owned();
    let reason = Reason::from_code(&text("code")).unwrap_or(Reason::Internal);
    let error = Error::new(reason, text("message"));
    match text("field") {
        field if field.is_empty() => error,
        field => error.in_field(field),
    }
}
