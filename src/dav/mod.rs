//! WebDAV itself (RFC 4918, classes 1 and 2): what may be done to a tree of files, and doing it.
//!
//! A request is answered in this order: where it leads (`place`), whether that may be done there at all (`rights`),
//! whether its conditions hold (`conditions`, `ifheader`), whether a lock is in the way (`locks`); then it is done.

mod conditions;
mod ifheader;
pub mod ledger;
mod live;
mod locks;
mod place;
mod propfind;
mod proppatch;
mod read;
mod refusal;
mod rights;
#[cfg(test)]
mod tests;
mod transfer;
mod write;
mod xml;

use actix_web::HttpRequest;
use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::http::header::HeaderValue;
use actix_web::web::Bytes;
use actix_web::web::BytesMut;
use actix_web::web::Payload;
use futures_util::StreamExt;

use crate::clock::Timestamp;
use crate::error::Reason;
use crate::error::Result;
use crate::files::Entry;
use crate::files::Tree;
use crate::files::TreePath;

pub use ledger::Ledger;
pub use live::media_type;
pub use live::permission_bits;
pub use rights::Rights;

use place::Place;
use refusal::Outcome;
use refusal::Refusal;
use rights::Method;

/// A shared file or folder at a URL.
#[derive(Clone, Debug)]
pub struct Mount {
    pub tree: Tree,
    /// The shared file or folder; the top of the tree for all of it. Nothing outside is reachable.
    pub root: TreePath,
    /// The path of the URL at which it is, as in requests: percent-encoded, with a slash at the beginning and none at the
    /// end.
    pub href: String,
    /// Other paths, in the same form, at which the same is. Of several that a URL begins with, the longest counts; an
    /// answer names things by the one that was asked at.
    pub also: Vec<String>,
    pub rights: Rights,
    /// Names the tree in the [`Ledger`]: the same for all mounts of one tree. Their roots are paths from its top.
    pub realm: String,
    /// Who asks, as locks know them: the same for all requests with one secret.
    pub holder: String,
    /// How many bytes one request may add. More is answered with 507.
    pub max_upload: Option<u64>,
    /// Where this server is besides the address that was asked, such as `https://cloud.example.org`: a `Destination` may
    /// name these too.
    pub origins: Vec<String>,
}

/// Removes a file or folder of a tree, and with it what the ledger keeps for it: for the edges that are not WebDAV.
pub async fn remove(tree: &Tree, ledger: &Ledger, realm: &str, path: &TreePath) -> Result<()> {
    tree.remove(path).await?;
    ledger.forget(realm, path).await
}

/// Answers one request, whoever sent it: the caller has authenticated them and chosen the mount.
pub async fn serve(
    mount: &Mount,
    ledger: &Ledger,
    request: &HttpRequest,
    payload: Payload,
    now: Timestamp,
) -> HttpResponse {
    let mut response = answer(mount, ledger, request, payload, now)
        .await
        .unwrap_or_else(Refusal::respond);
    // What is stored here comes from strangers, and must not run on this origin if a browser is led here (T-64).
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("sandbox; default-src 'none'"),
    );
    response
}

async fn answer(
    mount: &Mount,
    ledger: &Ledger,
    request: &HttpRequest,
    payload: Payload,
    now: Timestamp,
) -> Outcome<HttpResponse> {
    let root = mount.tree.stat(&mount.root).await?;
    let nothing = || Refusal::new(StatusCode::NOT_FOUND, "There is no such file.");
    let path = request.uri().path();
    let mount = &place::as_asked(mount, path)?.ok_or_else(nothing)?;
    let place = place::of_path(mount, &root, path)?.ok_or_else(nothing)?;
    let call = Call {
        mount,
        ledger,
        request,
        now,
        root,
        place,
    };
    let method = Method::parse(request.method().as_str()).ok_or_else(|| call.not_here())?;
    match method {
        Method::Move | Method::Copy => {
            let to = transfer::destination(&call)?;
            rights::authorise(method, mount.rights, call.place.spot, Some(to.spot))?;
            transfer::serve(&call, method == Method::Move, &to).await
        }
        other => {
            rights::authorise(other, mount.rights, call.place.spot, None)?;
            call.serve_here(other, payload).await
        }
    }
}

/// One request and all that is known about it before anything is done.
struct Call<'a> {
    mount: &'a Mount,
    ledger: &'a Ledger,
    request: &'a HttpRequest,
    now: Timestamp,
    /// What is shared.
    root: Entry,
    /// Where the URL leads.
    place: Place,
}

impl Call<'_> {
    async fn serve_here(&self, method: Method, payload: Payload) -> Outcome<HttpResponse> {
        match method {
            Method::Options => Ok(self.options()),
            Method::Propfind => propfind::serve(self, payload).await,
            Method::Proppatch => proppatch::serve(self, payload).await,
            Method::Get => read::serve(self, false).await,
            Method::Head => read::serve(self, true).await,
            Method::Put => write::put(self, payload).await,
            Method::Mkcol => write::make_folder(self, payload).await,
            Method::Delete => write::remove(self).await,
            Method::Lock => locks::lock(self, payload).await,
            Method::Unlock => locks::unlock(self).await,
            // Both have a destination and were served before; without one there is nothing they could mean.
            Method::Move | Method::Copy => Err(Refusal::bad_request("This request has no destination.")),
        }
    }

    fn options(&self) -> HttpResponse {
        HttpResponse::Ok()
            .insert_header((header::ALLOW, rights::allowed(self.mount.rights, self.place.spot)))
            .insert_header(("DAV", "1, 2"))
            .insert_header(("MS-Author-Via", "DAV"))
            .finish()
    }

    /// 405, with what would have been possible.
    fn not_here(&self) -> Refusal {
        Refusal::not_here(rights::allowed(self.mount.rights, self.place.spot))
    }

    /// What the URL names, if there is anything.
    async fn entry(&self) -> Outcome<Option<Entry>> {
        self.entry_at(&self.place.path).await
    }

    async fn entry_at(&self, path: &TreePath) -> Outcome<Option<Entry>> {
        match self.mount.tree.stat(path).await {
            Ok(entry) => Ok(Some(entry)),
            Err(error) if error.reason() == Reason::NotFound => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn existing(&self) -> Outcome<Entry> {
        Ok(self.mount.tree.stat(&self.place.path).await?)
    }

    /// A header's value; none if it isn't there or isn't text.
    fn header(&self, name: &str) -> Option<&str> {
        self.request.headers().get(name)?.to_str().ok().map(str::trim)
    }

    fn depth(&self) -> Outcome<Option<Depth>> {
        match self.header("Depth") {
            None => Ok(None),
            Some("0") => Ok(Some(Depth::Zero)),
            Some("1") => Ok(Some(Depth::One)),
            Some(word) if word.eq_ignore_ascii_case("infinity") => Ok(Some(Depth::Infinity)),
            Some(_) => Err(Refusal::bad_request("The depth must be 0, 1 or infinity.")),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Depth {
    Zero,
    One,
    Infinity,
}

/// A body that is held as a whole.
async fn small_body(mut payload: Payload) -> Outcome<Bytes> {
    let mut body = BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| cut_short())?;
        if body.len() + chunk.len() > xml::LARGEST {
            return Err(Refusal::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "The body of this request is too large.",
            ));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

fn cut_short() -> Refusal {
    Refusal::bad_request("The body of this request has not arrived whole.")
}
