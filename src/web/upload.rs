//! Files on their way in by a plain form: the token stands before them, and is checked before a byte of them is kept.

use actix_multipart::Field;
use actix_multipart::Multipart;
use actix_multipart::MultipartError;
use actix_web::FromRequest;
use actix_web::HttpRequest;
use actix_web::dev::Payload;
use actix_web::rt;
use futures_util::StreamExt;
use futures_util::TryStreamExt;
use futures_util::future::LocalBoxFuture;
use futures_util::stream;
use tokio::sync::mpsc;

use crate::audit::By;
use crate::client::ByteStream;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;
use crate::users::Session;
use crate::web::page::Problem;
use crate::web::session;

/// The longest field that is not a file, in bytes.
const LONGEST_FIELD: usize = 1024;

/// A form with files that a signed-in person sent from one of our pages (T-70).
pub struct FileForm {
    pub session: Session,
    /// Who sent it, for the audit log.
    pub by: By,
    /// Whether files of the same name are to be replaced.
    pub replace: bool,
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
            let by = session::by(&request, &session)?;
            Ok(Self::open(session, by, Multipart::new(request.headers(), payload)).await?)
        })
    }
}

impl FileForm {
    /// Reads on to the first file; without a good token before it, that is as far as it gets.
    async fn open(session: Session, by: By, mut parts: Multipart) -> Result<Self> {
        let (mut token, mut replace) = (String::new(), false);
        let first = loop {
            let Some(field) = parts.try_next().await.map_err(broken)? else {
                break None;
            };
            match field.name() {
                Some("form_token") => token = text(field).await?,
                Some("replace") => replace = true,
                Some("file") => break Some(field),
                _ => {}
            }
        };
        session::check_token(&session, &token)?;
        Ok(Self {
            session,
            by,
            replace,
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
fn content(mut field: Field) -> ByteStream {
    let (sender, receiver) = mpsc::channel::<Result<bytes::Bytes>>(4);
    rt::spawn(async move {
        while let Some(chunk) = field.next().await {
            if sender.send(chunk.map_err(broken)).await.is_err() {
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

fn broken(cause: MultipartError) -> Error {
    Error::new(
        Reason::Invalid,
        "The upload did not arrive whole. Nothing of its last file was kept.",
    )
    .caused_by(cause.to_string())
}
