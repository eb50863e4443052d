//! One's own files: looked through, uploaded, downloaded.

use actix_web::HttpRequest;
use actix_web::HttpResponse;
use actix_web::body::BodyStream;
use actix_web::body::SizedStream;
use actix_web::http::header;
use actix_web::web::Data;
use askama::Template;
use futures_util::StreamExt;
use percent_encoding::AsciiSet;
use percent_encoding::NON_ALPHANUMERIC;
use percent_encoding::utf8_percent_encode;
use serde::Deserialize;
use tokio_util::io::ReaderStream;

use crate::client::ByteStream;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;
use crate::files::Entry;
use crate::files::Tree;
use crate::files::TreePath;
use crate::shares::SentShare;
use crate::site::Site;
use crate::users::Session;
use crate::web::filters;
use crate::web::page;
use crate::web::page::Answer;
use crate::web::page::Page;
use crate::web::page::Problem;
use crate::web::page::ROWS;
use crate::web::page::escaped;
use crate::web::session::Form;
use crate::web::upload::FileForm;

/// What may stand unescaped in the extended form of a file name (RFC 8187).
const FILE_NAME: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_');

/// A folder on the way to what is shown.
pub struct Crumb {
    pub name: String,
    pub href: String,
}

/// A row of a folder.
struct Row {
    name: String,
    folder: bool,
    size: u64,
    modified: Timestamp,
    href: String,
    /// Its path as the value of a query.
    path: String,
    /// Who may get at it by a share of its own.
    shares: Vec<SentShare>,
}

#[derive(Template)]
#[template(path = "files.html")]
struct List {
    page: Page,
    crumbs: Vec<Crumb>,
    here: String,
    /// The folder as the forms name it.
    path: String,
    /// Where all of it is to be had as one file; none for what is nobody's need.
    zip: Option<String>,
    rows: Vec<Row>,
    cut: bool,
    most: u64,
}

/// A folder as a page, a file as a download.
pub async fn open(site: Data<Site>, session: Session, request: HttpRequest) -> Answer {
    let path = below(&request, "/files")?;
    let tree = site.homes.of(&session.user.name).await?;
    if !tree.stat(&path).await?.is_folder() {
        return download(&tree, &path).await;
    }
    let entries = tree.list(&path, ROWS).await?;
    let cut = entries.len() == ROWS;
    let shares = site
        .shares
        .open_below(&session.user.name, &path, site.clock.now())
        .await?;
    let rows: Result<Vec<_>> = entries.into_iter().map(|entry| row(&path, entry, &shares)).collect();
    let mut rows = rows?;
    rows.sort_by(|a, b| b.folder.cmp(&a.folder).then_with(|| a.name.cmp(&b.name)));
    page::show(&List {
        page: Page::of(&site, &session, "files", path.name().unwrap_or("Files")),
        crumbs: crumbs("Files", "/files", &path),
        here: href(&path),
        path: path.to_string(),
        zip: (!rows.is_empty() && !path.is_root()).then(|| format!("/zip/{}", path.to_url())),
        rows,
        cut,
        most: site.config.files.max_upload.0,
    })
}

fn row(folder: &TreePath, entry: Entry, shares: &[SentShare]) -> Result<Row> {
    let path = folder.join(&entry.name)?;
    Ok(Row {
        shares: shares.iter().filter(|share| share.path == path).cloned().collect(),
        folder: entry.is_folder(),
        size: entry.size,
        modified: entry.modified,
        href: href(&path),
        path: escaped(path.as_str()),
        name: entry.name,
    })
}

/// The page of a folder of one's own.
pub fn href(path: &TreePath) -> String {
    format!("/files/{}", path.to_url())
}

/// The way from the top of a tree at `root` to a folder in it, and the folder itself.
pub fn crumbs(top: &str, root: &str, path: &TreePath) -> Vec<Crumb> {
    let mut crumbs = vec![Crumb {
        name: top.to_owned(),
        href: format!("{root}/"),
    }];
    let mut way = TreePath::root();
    for name in path.segments() {
        // Each step of a good path is a good path.
        let Ok(next) = way.join(name) else { break };
        way = next;
        crumbs.push(Crumb {
            name: name.to_owned(),
            href: format!("{root}/{}", way.to_url()),
        });
    }
    crumbs
}

/// The path in a tree that a request names, below `prefix`.
pub fn below(request: &HttpRequest, prefix: &str) -> Result<TreePath> {
    TreePath::from_url(request.uri().path().strip_prefix(prefix).unwrap_or_default())
}

async fn download(tree: &Tree, path: &TreePath) -> Answer {
    let (entry, file) = tree.read(path).await?;
    let content = ReaderStream::new(tokio::fs::File::from_std(file)).map(|chunk| chunk.map_err(Error::from));
    Ok(attachment(&entry.name, Some(entry.size), Box::pin(content)))
}

/// A folder as one file to keep.
pub async fn zip(site: Data<Site>, session: Session, request: HttpRequest) -> Answer {
    let path = below(&request, "/zip")?;
    let content = site.homes.of(&session.user.name).await?.zip(&path).await?;
    let name = format!("{}.zip", path.name().unwrap_or("files"));
    Ok(attachment(&name, None, content))
}

/// A file as something to keep: whatever is in it, it never runs as a page of ours (T-64).
pub fn attachment(name: &str, size: Option<u64>, content: ByteStream) -> HttpResponse {
    let content = content.map(|chunk| chunk.map_err(|error| Box::<dyn std::error::Error>::from(error.to_string())));
    let mut response = HttpResponse::Ok();
    response
        .content_type("application/octet-stream")
        .insert_header((header::CONTENT_DISPOSITION, disposition(name)))
        .insert_header((header::CONTENT_SECURITY_POLICY, "sandbox; default-src 'none'"));
    match size {
        Some(size) => response.body(SizedStream::new(size, content)),
        None => response.body(BodyStream::new(content)),
    }
}

/// The name for old programs, and the true one for all others (RFC 6266).
fn disposition(name: &str) -> String {
    let plain: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || " .-_()".contains(c) {
                c
            } else {
                '_'
            }
        })
        .collect();
    format!(
        "attachment; filename=\"{plain}\"; filename*=UTF-8''{}",
        utf8_percent_encode(name, FILE_NAME)
    )
}

/// Stores the files of a form in a folder, each whole or not at all.
pub async fn upload(site: Data<Site>, request: HttpRequest, mut form: FileForm) -> Answer {
    let path = below(&request, "/files")?;
    let tree = site.homes.of(&form.session.user.name).await?;
    let most = site.config.files.max_upload.0;
    let back = || Problem::back_to(href(&path));
    let mut chosen = 0;
    while let Some((name, mut content)) = form.next().await.map_err(back())? {
        chosen += 1;
        let place = path.join(&name).map_err(back())?;
        match form.taken.place(&tree, place.clone()).await.map_err(back())? {
            Some((place, replace)) => tree
                .store(&place, content, most, replace)
                .await
                .map(drop)
                .map_err(|error| back()(name_taken(error, &place)))?,
            // The next file comes after this one, whether anybody wants it or not.
            None => while content.next().await.transpose().map_err(back())?.is_some() {},
        }
    }
    if chosen == 0 {
        return Err(back()(nothing_chosen()));
    }
    Ok(page::go(href(&path)))
}

pub fn nothing_chosen() -> Error {
    Error::invalid("file", "Choose a file first; nothing was uploaded.")
}

fn name_taken(error: Error, path: &TreePath) -> Error {
    if error.reason() != Reason::AlreadyExists {
        return error;
    }
    let name = path.name().unwrap_or_default();
    Error::new(
        Reason::AlreadyExists,
        format!(
            "There is already something called {name} here. Say whether to keep both, to replace it, or to skip the new one."
        ),
    )
}

#[derive(Deserialize)]
pub struct NewFolder {
    path: String,
    name: String,
}

pub async fn make_folder(site: Data<Site>, form: Form<NewFolder>) -> Answer {
    let folder = TreePath::parse(&form.fields.path)?;
    let tree = site.homes.of(&form.session.user.name).await?;
    let made = async {
        let path = folder.join(form.fields.name.trim())?;
        tree.make_folder(&path).await
    };
    made.await.map_err(Problem::back_to(href(&folder)))?;
    Ok(page::go(href(&folder)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t64_a_file_name_can_add_nothing_to_its_header() {
        assert_eq!(
            disposition("a.txt"),
            "attachment; filename=\"a.txt\"; filename*=UTF-8''a.txt"
        );
        assert_eq!(
            disposition("Grüße \"x\";\r\n.html"),
            "attachment; filename=\"Gr__e _x____.html\"; filename*=UTF-8''Gr%C3%BC%C3%9Fe%20%22x%22%3B%0D%0A.html"
        );
    }
}
