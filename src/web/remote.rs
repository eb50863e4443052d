//! What is shared with one, opened where it is: on the other server.

use actix_web::HttpRequest;
use actix_web::web::Data;
use actix_web::web::Path;
use askama::Template;

use crate::audit::Event;
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
use crate::web::upload::FileForm;

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
}

/// The page of a received share.
fn root(share: &ReceivedShare) -> String {
    format!("/shares/from/{}", share.id)
}

pub async fn browse(site: Data<Site>, session: Session, path: Path<(String, String)>, request: HttpRequest) -> Answer {
    let share = site.shares.received_share(&session.user.name, &path.0).await?;
    let path = files::below(&request, &root(&share))?;
    let entries = site.remote.list(&share, &path).await?;
    // Opening it may have told that it is a folder.
    let share = site.shares.received_share(&session.user.name, &share.id).await?;
    page::show(&List {
        page: Page::of(&site, &session, "received", path.name().unwrap_or(&share.name)),
        crumbs: files::crumbs(&share.name, &root(&share), &path),
        here: format!("{}/{}", root(&share), path.to_url()),
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
    sent.map_err(Problem::back_to(&*here))?;
    Ok(page::go(here))
}

async fn pass_on(site: &Site, share: &ReceivedShare, folder: &TreePath, form: &mut FileForm) -> Result<()> {
    let mut sent = 0;
    while let Some((name, content)) = form.next().await? {
        let place = if share.is_folder() {
            folder.join(&name)?
        } else {
            TreePath::root()
        };
        site.remote.put(share, &place, content, None).await?;
        let event = Event::new("share.write").of(&share.id).with(&share.sender.provider);
        site.audit.note(&form.by, event.file(&place)).await?;
        sent += 1;
    }
    if sent == 0 {
        Err(files::nothing_chosen())
    } else {
        Ok(())
    }
}
