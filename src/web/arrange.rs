//! One's own files put elsewhere: renamed, moved, deleted. Each is asked for on a page of its own that says what follows.

use actix_web::web::Data;
use actix_web::web::Query;
use askama::Template;
use serde::Deserialize;

use crate::audit::By;
use crate::audit::Event;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;
use crate::files::Entry;
use crate::files::Tree;
use crate::files::TreePath;
use crate::shares::SentShare;
use crate::site::Site;
use crate::users::Session;
use crate::web::files;
use crate::web::files::Crumb;
use crate::web::filters;
use crate::web::page;
use crate::web::page::Answer;
use crate::web::page::Fault;
use crate::web::page::Page;
use crate::web::page::ROWS;
use crate::web::page::escaped;
use crate::web::reader::said;
use crate::web::session::Form;

#[derive(Deserialize)]
pub struct Place {
    #[serde(default)]
    path: String,
}

#[derive(Template)]
#[template(path = "rename.html")]
struct Rename {
    page: Page,
    fault: Option<Fault>,
    path: String,
    name: String,
    back: String,
    shares: Vec<SentShare>,
}

pub async fn ask_rename(site: Data<Site>, session: Session, place: Query<Place>) -> Answer {
    let path = TreePath::parse(&place.path)?;
    let entry = site.homes.of(&session.user.name).await?.stat(&path).await?;
    page::show(&rename_page(&site, &session, &path, entry.name, None).await?)
}

async fn rename_page(
    site: &Site,
    session: &Session,
    path: &TreePath,
    name: String,
    fault: Option<Fault>,
) -> Result<Rename> {
    let old = path.name().unwrap_or_default();
    Ok(Rename {
        page: Page::of(site, session, "files", said("Rename {name}", &[("name", old)])),
        fault,
        name,
        back: files::href(&path.parent().unwrap_or_default()),
        shares: shares_of(site, session, path).await?,
        path: path.to_string(),
    })
}

async fn shares_of(site: &Site, session: &Session, path: &TreePath) -> Result<Vec<SentShare>> {
    let now = site.clock.now();
    site.shares.open_below(&session.user.name, path, now).await
}

#[derive(Deserialize)]
pub struct NewName {
    path: String,
    name: String,
}

pub async fn rename(site: Data<Site>, form: Form<NewName>) -> Answer {
    let Form { session, by, fields } = form;
    let path = TreePath::parse(&fields.path)?;
    let folder = path.parent().unwrap_or_default();
    let renamed = async {
        let to = folder.join(fields.name.trim())?;
        put_at(&site, (&session, &by), &path, &to).await
    };
    match renamed.await {
        Ok(()) => Ok(page::go(files::href(&folder))),
        Err(error) => {
            let fault = Fault::of(error.in_field("name"))?;
            let again = rename_page(&site, &session, &path, fields.name, Some(fault)).await?;
            page::show_again(&again.fault, &again)
        }
    }
}

/// Moves a file or folder; what it is shared as goes on where it is then.
async fn put_at(site: &Site, (session, by): (&Session, &By), from: &TreePath, to: &TreePath) -> Result<()> {
    if from == to {
        return Ok(());
    }
    let user = &session.user.name;
    site.move_file(user, from, to).await?;
    site.audit.note(by, Event::new("file.move").of(user).file(from)).await
}

#[derive(Template)]
#[template(path = "move.html")]
struct Move {
    page: Page,
    path: String,
    name: String,
    /// The folder that is looked at, and where it would go.
    to: String,
    crumbs: Vec<Crumb>,
    folders: Vec<Crumb>,
    /// Whether it may be put here: not where it is already.
    possible: bool,
    back: String,
    shares: Vec<SentShare>,
}

#[derive(Deserialize)]
pub struct Way {
    path: String,
    /// The folder that is looked at; left out for the one that it is in.
    to: Option<String>,
}

/// The folders that something may be moved to, one level at a time.
pub async fn ask_move(site: Data<Site>, session: Session, way: Query<Way>) -> Answer {
    let path = TreePath::parse(&way.path)?;
    let home = path.parent().unwrap_or_default();
    let to = way.to.as_deref().map_or_else(|| Ok(home.clone()), TreePath::parse)?;
    let tree = site.homes.of(&session.user.name).await?;
    let entry = tree.stat(&path).await?;
    let link = |to: &TreePath| format!("?path={}&to={}", escaped(path.as_str()), escaped(to.as_str()));
    let mut crumbs = files::crumbs(&said("Files", &[]), "/files", &to);
    for (crumb, place) in crumbs.iter_mut().zip(ways(&to)) {
        crumb.href = link(&place);
    }
    let folders = folders_in(&tree, &to, &path).await?;
    page::show(&Move {
        page: Page::of(&site, &session, "files", said("Move {name}", &[("name", &entry.name)])),
        name: entry.name,
        crumbs,
        folders: folders
            .into_iter()
            .map(|place| Crumb {
                name: place.name().unwrap_or_default().to_owned(),
                href: link(&place),
            })
            .collect(),
        possible: to != home,
        back: files::href(&home),
        shares: shares_of(&site, &session, &path).await?,
        path: path.to_string(),
        to: to.to_string(),
    })
}

/// The top, and every folder on the way to `path`.
fn ways(path: &TreePath) -> Vec<TreePath> {
    let mut ways = vec![path.clone()];
    let mut next = path.parent();
    while let Some(way) = next {
        next = way.parent();
        ways.push(way);
    }
    ways.reverse();
    ways
}

/// The folders in a folder, without the one that is to be moved.
async fn folders_in(tree: &Tree, folder: &TreePath, moved: &TreePath) -> Result<Vec<TreePath>> {
    let entries = tree.list(folder, ROWS).await?;
    let folders = entries.into_iter().filter(Entry::is_folder);
    let places: Result<Vec<_>> = folders.map(|entry| folder.join(&entry.name)).collect();
    Ok(places?.into_iter().filter(|place| place != moved).collect())
}

#[derive(Deserialize)]
pub struct NewPlace {
    path: String,
    to: String,
}

pub async fn move_there(site: Data<Site>, form: Form<NewPlace>) -> Answer {
    let Form { session, by, fields } = form;
    let (path, folder) = (TreePath::parse(&fields.path)?, TreePath::parse(&fields.to)?);
    let name = path.name().ok_or_else(|| Error::not_found("There is no such file."))?;
    let back = format!("/move?path={}&to={}", escaped(&fields.path), escaped(&fields.to));
    let moved = put_at(&site, (&session, &by), &path, &folder.join(name)?).await;
    moved
        .map_err(|error| match error.reason() {
            Reason::AlreadyExists => Error::new(
                Reason::AlreadyExists,
                format!("There is already something called {name} in that folder. Rename one of them first."),
            ),
            _ => error,
        })
        .map_err(page::Problem::back_to(back))?;
    Ok(page::go(files::href(&folder)))
}

#[derive(Template)]
#[template(path = "delete.html")]
struct Delete {
    page: Page,
    entry: Entry,
    path: String,
    usage: u64,
    back: String,
    shares: Vec<SentShare>,
}

pub async fn ask_delete(site: Data<Site>, session: Session, place: Query<Place>) -> Answer {
    let path = TreePath::parse(&place.path)?;
    let tree = site.homes.of(&session.user.name).await?;
    let entry = tree.stat(&path).await?;
    page::show(&Delete {
        page: Page::of(
            &site,
            &session,
            "files",
            said("Delete {name}?", &[("name", &entry.name)]),
        ),
        usage: tree.usage(&path).await?,
        shares: shares_of(&site, &session, &path).await?,
        path: path.to_string(),
        back: files::href(&path.parent().unwrap_or_default()),
        entry,
    })
}

pub async fn delete(site: Data<Site>, form: Form<Place>) -> Answer {
    let path = TreePath::parse(&form.fields.path)?;
    let user = &form.session.user.name;
    site.remove_file(user, &path).await?;
    site.audit
        .note(&form.by, Event::new("file.delete").of(user).file(&path))
        .await?;
    Ok(page::go(files::href(&path.parent().unwrap_or_default())))
}
