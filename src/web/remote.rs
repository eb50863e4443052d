//! What is shared with one, opened where it is: on the other server.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use actix_web::HttpRequest;
use actix_web::web::Data;
use actix_web::web::Path;
use actix_web::web::Query;
use askama::Template;
use futures_util::StreamExt;
use serde::Deserialize;
use serde_json::json;

use crate::client::ByteStream;
use crate::error::Result;
use crate::files::TreePath;
use crate::remote::RemoteEntry;
use crate::shares::ReceivedShare;
use crate::site::Site;
use crate::users::Session;
use crate::web::files;
use crate::web::files::Crumb;
use crate::web::filters;
use crate::web::page;
use crate::web::page::Answer;
use crate::web::page::Page;
use crate::web::page::Problem;
use crate::web::page::escaped;
use crate::web::reader::said;
use crate::web::upload::FileForm;
use crate::web::upload::is_scripted;
use crate::web::upload::told;
use crate::web::words;

struct Row {
    entry: RemoteEntry,
    /// None for a name that could lead elsewhere: it is shown, and can't be opened.
    href: Option<String>,
}

#[derive(Template)]
#[template(path = "remote.html")]
struct List {
    page: Page,
    share: ReceivedShare,
    crumbs: Vec<Crumb>,
    here: String,
    rows: Vec<Row>,
    /// What was just stored there, as their server lists it now.
    stored: Option<RemoteEntry>,
}

#[derive(Deserialize)]
pub struct After {
    stored: Option<String>,
}

/// The page of a received share.
fn root(share: &ReceivedShare) -> String {
    format!("/shares/from/{}", share.id)
}

pub async fn browse(
    site: Data<Site>,
    session: Session,
    path: Path<(String, String)>,
    after: Query<After>,
    request: HttpRequest,
) -> Answer {
    let share = site.shares.received_share(&session.user.name, &path.0).await?;
    let path = files::below(&request, &root(&share))?;
    let entries = site.remote.list(&share, &path).await?;
    // Opening it may have told that it is a folder.
    let share = site.shares.received_share(&session.user.name, &share.id).await?;
    page::show(&List {
        page: Page::of(&site, &session, "received", path.name().unwrap_or(&share.name)),
        crumbs: files::crumbs(&share.name, &root(&share), &path),
        here: format!("{}/{}", root(&share), path.to_url()),
        // Only what is there is said to be: anybody can make a link.
        stored: entries
            .iter()
            .find(|entry| !entry.folder && Some(&entry.name) == after.stored.as_ref())
            .cloned(),
        rows: entries.into_iter().map(|entry| row(&share, &path, entry)).collect(),
        share,
    })
}

fn row(share: &ReceivedShare, folder: &TreePath, entry: RemoteEntry) -> Row {
    // A shared file is itself the root of its share, whatever it is called.
    let path = if share.is_folder() {
        folder.join(&entry.name).ok()
    } else {
        Some(TreePath::root())
    };
    let verb = if entry.folder { "from" } else { "get" };
    Row {
        href: path.map(|path| format!("/shares/{verb}/{}/{}", share.id, path.to_url())),
        entry,
    }
}

pub async fn download(
    site: Data<Site>,
    session: Session,
    path: Path<(String, String)>,
    request: HttpRequest,
) -> Answer {
    let share = site.shares.received_share(&session.user.name, &path.0).await?;
    let path = files::below(&request, &format!("/shares/get/{}", share.id))?;
    let found = site.remote.get(&share, &path, None).await?;
    let size = found
        .answer
        .header("content-length")
        .and_then(|length| length.parse().ok());
    Ok(files::attachment(path.name().unwrap_or(&share.name), size, found.body))
}

/// Hands the files of a form on to the other server as they arrive; done when that server says so.
pub async fn upload(
    site: Data<Site>,
    path: Path<(String, String)>,
    request: HttpRequest,
    mut form: FileForm,
) -> Answer {
    let share = site.shares.received_share(&form.session.user.name, &path.0).await?;
    let folder = files::below(&request, &root(&share))?;
    let here = format!("{}/{}", root(&share), folder.to_url());
    let sent = pass_on(&site, &share, &folder, &mut form).await;
    if is_scripted(&request) {
        return Ok(told(
            sent.map(|sent| json!({ "done": true, "message": stored(&site, &share, &sent) })),
        ));
    }
    let sent = sent.map_err(Problem::back_to(&*here))?;
    Ok(page::go(format!("{here}?stored={}", escaped(&sent.last))))
}

/// What their server has taken and said so.
struct Sent {
    last: String,
    bytes: u64,
}

fn stored(site: &Site, share: &ReceivedShare, sent: &Sent) -> String {
    said(
        "Stored on {host}: {size}, {time}.",
        &[
            ("host", &share.sender.provider.to_string()),
            ("size", &words::size(&sent.bytes)),
            ("time", &words::when(&site.clock.now())),
        ],
    )
}

async fn pass_on(site: &Site, share: &ReceivedShare, folder: &TreePath, form: &mut FileForm) -> Result<Sent> {
    let mut sent = None;
    while let Some((name, content)) = form.next().await? {
        let place = if share.is_folder() {
            folder.join(&name)?
        } else {
            TreePath::root()
        };
        let (content, bytes) = counted(content);
        site.remote.put(share, &place, content, None).await?;
        sent = Some(Sent {
            last: place.name().unwrap_or(&share.name).to_owned(),
            bytes: bytes.load(Ordering::Relaxed),
        });
    }
    sent.ok_or_else(files::nothing_chosen)
}

/// A stream, and how many bytes went through it.
fn counted(content: ByteStream) -> (ByteStream, Arc<AtomicU64>) {
    let bytes = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&bytes);
    let content = content.inspect(move |chunk| {
        if let Ok(chunk) = chunk {
            count.fetch_add(chunk.len() as u64, Ordering::Relaxed);
        }
    });
    (Box::pin(content), bytes)
}
