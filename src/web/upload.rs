//! Files on their way in. By a plain form, the token stands before them, and is checked before a byte of them is kept;
//! by the script, in parts, each with the token in its head.

use actix_multipart::Field;
use actix_multipart::Multipart;
use actix_multipart::MultipartError;
use actix_web::FromRequest;
use actix_web::HttpRequest;
use actix_web::HttpResponse;
use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::rt;
use actix_web::web;
use actix_web::web::Data;
use actix_web::web::Path;
use actix_web::web::Query;
use bytes::Bytes;
use futures_util::Stream;
use futures_util::StreamExt;
use futures_util::TryStreamExt;
use futures_util::future::LocalBoxFuture;
use futures_util::stream;
use serde::Deserialize;
use serde_json::Value;
use serde_json::json;
use tokio::sync::mpsc;

use crate::client::ByteStream;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;
use crate::files::Announced;
use crate::files::Replace;
use crate::files::Tree;
use crate::files::TreePath;
use crate::http::answer;
use crate::site::Site;
use crate::users::Session;
use crate::web::page::Answer;
use crate::web::page::Problem;
use crate::web::reader::said;
use crate::web::session;
use crate::web::session::Scripted;

/// The longest field that is not a file, in bytes.
const LONGEST_FIELD: usize = 1024;

/// What is to be done with a file whose name is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Taken {
    /// Nothing is stored, and whoever uploads is asked.
    #[default]
    Ask,
    /// The new one gets a number.
    Both,
    Replace,
    /// The old one stays.
    Skip,
}

impl Taken {
    fn parse(text: &str) -> Self {
        match text {
            "both" => Self::Both,
            "replace" => Self::Replace,
            "skip" => Self::Skip,
            _ => Self::Ask,
        }
    }

    /// Where a file goes that would go to `path`, and what it may take the place of; none for nowhere.
    pub async fn place(self, tree: &Tree, path: TreePath) -> Result<Option<(TreePath, Replace)>> {
        Ok(match self {
            Self::Ask => Some((path, Replace::Never)),
            Self::Both => Some((tree.free_name(&path).await?, Replace::Never)),
            Self::Replace => Some((path, Replace::Always)),
            Self::Skip => match tree.stat(&path).await {
                Ok(_) => None,
                Err(error) if error.reason() == Reason::NotFound => Some((path, Replace::Never)),
                Err(error) => return Err(error),
            },
        })
    }
}

/// A form with files that a signed-in person sent from one of our pages (T-70).
pub struct FileForm {
    pub session: Session,
    /// What is to be done where a name is taken.
    pub taken: Taken,
    parts: Multipart,
    first: Option<Field>,
}

impl FromRequest for FileForm {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, payload) = (request.clone(), payload.take());
        Box::pin(async move {
            session::check_origin(&request)?;
            let session = session::of(&request).await?;
            Ok(Self::open(session, Multipart::new(request.headers(), payload)).await?)
        })
    }
}

impl FileForm {
    /// Reads on to the first file; without a good token before it, that is as far as it gets.
    async fn open(session: Session, mut parts: Multipart) -> Result<Self> {
        let (mut token, mut taken) = (String::new(), Taken::default());
        let first = loop {
            let Some(field) = parts.try_next().await.map_err(broken)? else {
                break None;
            };
            match field.name() {
                Some("form_token") => token = text(field).await?,
                Some("taken") => taken = Taken::parse(&text(field).await?),
                Some("file") => break Some(field),
                _ => {}
            }
        };
        session::check_token(&session, &token)?;
        Ok(Self {
            session,
            taken,
            parts,
            first,
        })
    }

    /// The next file, by its name without any folders; read it to its end before asking for another.
    pub async fn next(&mut self) -> Result<Option<(String, ByteStream)>> {
        loop {
            let field = match self.first.take() {
                Some(field) => field,
                None => match self.parts.try_next().await.map_err(broken)? {
                    Some(field) => field,
                    None => return Ok(None),
                },
            };
            let disposition = field.content_disposition();
            let name = disposition.and_then(|said| said.get_filename()).unwrap_or_default();
            // Some browsers send the path on their own machine; all write a quote mark in a name as %22.
            let name = name.rsplit(['/', '\\']).next().unwrap_or_default().replace("%22", "\"");
            // A form that was sent without choosing a file has one without a name.
            if field.name() == Some("file") && !name.is_empty() {
                return Ok(Some((name, content(field))));
            }
        }
    }
}

/// A file's content as a stream that may be handed to other tasks: the field itself stays on this thread.
fn content(field: Field) -> ByteStream {
    relayed(field.map(|chunk| chunk.map_err(broken)))
}

fn relayed(mut source: impl Stream<Item = Result<Bytes>> + Unpin + 'static) -> ByteStream {
    let (sender, receiver) = mpsc::channel(4);
    rt::spawn(async move {
        while let Some(chunk) = source.next().await {
            if sender.send(chunk).await.is_err() {
                return;
            }
        }
    });
    Box::pin(stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|chunk| (chunk, receiver))
    }))
}

async fn text(mut field: Field) -> Result<String> {
    let bytes = field
        .bytes(LONGEST_FIELD)
        .await
        .map_err(|cause| Error::new(Reason::TooLarge, "A field of this form is too long.").caused_by(cause))?
        .map_err(broken)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A file that the script announces.
#[derive(Deserialize)]
pub struct Coming {
    /// The folder that it goes to.
    folder: String,
    name: String,
    /// In bytes.
    size: u64,
    #[serde(default)]
    taken: Taken,
}

/// Begins an upload in parts; the answer names it.
pub async fn begin(site: Data<Site>, session: Scripted, request: HttpRequest) -> Answer {
    let coming = Query::<Coming>::from_query(request.query_string())
        .map_err(|cause| Error::invalid("size", "This upload can't be read.").caused_by(cause.to_string()));
    Ok(match coming {
        Ok(coming) => told(begun(&site, &session.0, coming.into_inner()).await),
        Err(error) => told(Err(error)),
    })
}

async fn begun(site: &Site, session: &Session, coming: Coming) -> Result<Value> {
    let user = &session.user.name;
    let tree = site.homes.of(user).await?;
    let path = TreePath::parse(&coming.folder)?.join(&coming.name)?;
    let Some((path, replace)) = coming.taken.place(&tree, path).await? else {
        return Ok(json!({ "skipped": true }));
    };
    let file = Announced {
        path,
        size: coming.size,
        most: site.config.files.max_upload.0,
        replace,
    };
    let now = site.clock.now();
    let id = site.homes.arrivals().begin(user, &tree, file, now).await?;
    Ok(json!({ "id": id, "here": 0 }))
}

#[derive(Deserialize)]
pub struct Part {
    /// Where it begins; left out to ask how far the file has come.
    offset: Option<u64>,
}

/// Takes the next part of an upload. The answer says how far it has come, and whether it is done.
pub async fn part(
    site: Data<Site>,
    session: Scripted,
    id: Path<String>,
    part: Query<Part>,
    payload: web::Payload,
) -> Answer {
    let content = relayed(payload.map(|chunk| chunk.map_err(|cause| cut_off().caused_by(cause.to_string()))));
    // On a task of its own: where a connection breaks, what had come through it is kept all the same.
    let work = rt::spawn(async move {
        let (user, now) = (&session.0.user.name, site.clock.now());
        let arrivals = site.homes.arrivals();
        let arrived = arrivals.add(user, &id, part.offset, content, now).await?;
        Ok(json!({ "here": arrived.here, "done": arrived.done.is_some() }))
    });
    Ok(told(work.await.map_err(Error::internal)?))
}

pub async fn cancel(site: Data<Site>, session: Scripted, id: Path<String>) -> Answer {
    let cancelled = site.homes.arrivals().cancel(&session.0.user.name, &id);
    Ok(told(cancelled.map(|()| json!({}))))
}

/// An answer for the script. A refusal has its sentence in the reader's language.
pub fn told(outcome: Result<Value>) -> HttpResponse {
    match outcome {
        Ok(value) => HttpResponse::Ok().json(value),
        Err(error) => {
            answer::log(&error);
            let message = said(error.message(), &[]);
            HttpResponse::build(answer::status(&error))
                .json(json!({ "code": error.reason().code(), "message": message }))
        }
    }
}

/// Whether it is the script that asks.
pub fn is_scripted(request: &HttpRequest) -> bool {
    let accept = request.headers().get(header::ACCEPT);
    accept.is_some_and(|accept| accept.as_bytes() == b"application/json")
}

fn cut_off() -> Error {
    Error::new(Reason::Invalid, "The connection broke in the middle of this.")
}

fn broken(cause: MultipartError) -> Error {
    Error::new(
        Reason::Invalid,
        "The upload did not arrive whole. Nothing of its last file was kept.",
    )
    .caused_by(cause.to_string())
}
