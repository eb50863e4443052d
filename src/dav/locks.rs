//! LOCK and UNLOCK, and what locks forbid others (RFC 4918, sections 6 and 7).

use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::Payload;

use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;
use crate::files::Replace;
use crate::files::TreePath;

use super::Call;
use super::Depth;
use super::Mount;
use super::ifheader::IfHeader;
use super::ifheader::List;
use super::ifheader::State;
use super::ledger;
use super::ledger::Lock;
use super::place;
use super::refusal::Outcome;
use super::refusal::Refusal;
use super::small_body;
use super::xml;
use super::xml::Element;

/// A client that wants a lock for longer refreshes it. A forgotten one is in the way no longer than this (T-60).
const LONGEST: Duration = Duration::from_secs(3600);
/// How many locks one holder may have at a time (T-60).
const MOST: usize = 10;
/// What a client may say about who it is, in bytes.
const LONGEST_OWNER: usize = 2048;

/// A place that a request is about to change.
pub(super) struct Need {
    path: TreePath,
    /// Whether all beneath it is changed too.
    all: bool,
}

impl Need {
    pub(super) fn of(path: &TreePath) -> Self {
        Self {
            path: path.clone(),
            all: false,
        }
    }

    /// The place and all beneath it.
    pub(super) fn of_all(path: &TreePath) -> Self {
        Self {
            path: path.clone(),
            all: true,
        }
    }

    /// The folder that something comes into or goes from: even a lock of depth 0 keeps who is in it.
    pub(super) fn of_parent(path: &TreePath) -> Self {
        Self::of(&path.parent().unwrap_or_default())
    }

    fn is_met_by(&self, lock: &Lock) -> bool {
        lock.covers(&self.path) || (self.all && lock.path.is_within(&self.path))
    }
}

impl Call<'_> {
    /// Checks the `If` header, and that nobody else's lock is on what the request needs.
    ///
    /// # Errors
    ///
    /// 412 if no list of the header holds; 423 if a lock is in the way whose token was not sent, or is not this holder's.
    pub(super) async fn guard(&self, needs: &[Need]) -> Outcome<()> {
        let locks = self.ledger.locks(&self.mount.realm, self.now).await?;
        let header = match self.header("If") {
            Some(header) => IfHeader::parse(header)?,
            None => IfHeader::default(),
        };
        self.check_lists(&header, &locks).await?;
        let holds = |lock: &&Lock| lock.holder == self.mount.holder && header.tokens().any(|token| token == lock.token);
        // Who holds one of several shared locks on a place may write there; of an exclusive one there is only one.
        let open: BTreeSet<_> = locks.iter().filter(holds).map(|lock| &lock.path).collect();
        let in_the_way = |lock: &&Lock| needs.iter().any(|need| need.is_met_by(lock)) && !open.contains(&lock.path);
        match locks.iter().find(in_the_way) {
            Some(lock) => Err(locked(self.mount, &lock.path)),
            None => Ok(()),
        }
    }

    async fn check_lists(&self, header: &IfHeader, locks: &[Lock]) -> Outcome<()> {
        if header.lists.is_empty() {
            return Ok(());
        }
        for list in &header.lists {
            if self.holds(list, locks).await? {
                return Ok(());
            }
        }
        Err(Refusal::precondition_failed())
    }

    async fn holds(&self, list: &List, locks: &[Lock]) -> Outcome<bool> {
        let path = match &list.resource {
            None => Some(self.place.path.clone()),
            // A place that isn't ours has no state that we know, so that no condition on it holds.
            Some(uri) => place::of_uri(self.mount, &self.root, self.request, uri)
                .ok()
                .map(|place| place.path),
        };
        let etag = match &path {
            Some(path) => self.entry_at(path).await?.map(|entry| entry.etag),
            None => None,
        };
        Ok(list.conditions.iter().all(|condition| {
            let holds = match &condition.state {
                State::Etag(wanted) => etag.as_ref() == Some(wanted),
                State::Token(token) => locks.iter().any(|lock| {
                    lock.token == *token
                        && lock.holder == self.mount.holder
                        && path.as_ref().is_some_and(|path| lock.covers(path))
                }),
            };
            holds != condition.negated
        }))
    }

    /// How long a lock may last that is asked for now.
    fn lock_time(&self) -> Duration {
        let asked = self.header("Timeout").and_then(|header| {
            let mut choices = header.split(',').map(str::trim);
            choices.find_map(|choice| choice.strip_prefix("Second-")?.parse().ok())
        });
        Duration::from_secs(asked.unwrap_or(LONGEST.as_secs()).clamp(1, LONGEST.as_secs()))
    }
}

pub(super) async fn lock(call: &Call<'_>, payload: Payload) -> Outcome<HttpResponse> {
    match xml::read(&small_body(payload).await?)? {
        None => refresh(call).await,
        Some(info) => create(call, &info).await,
    }
}

async fn create(call: &Call<'_>, info: &Element) -> Outcome<HttpResponse> {
    let path = &call.place.path;
    let lock = wanted(call, info)?;
    let there = call.entry().await?;
    match there {
        Some(_) => call.guard(&[]).await?,
        // Something new comes into the folder, which a lock on that may forbid.
        None => call.guard(&[Need::of_parent(path)]).await?,
    }
    let (realm, new) = (&call.mount.realm, lock.clone());
    let kept = call
        .ledger
        .put_lock(realm, lock.clone(), call.now, move |others| admit(&new, others));
    kept.await.map_err(|error| match error.reason() {
        Reason::Conflict => Refusal::condition(StatusCode::LOCKED, "<d:no-conflicting-lock/>"),
        _ => error.into(),
    })?;
    let status = match there {
        Some(_) => StatusCode::OK,
        None => match create_empty(call, path).await {
            Ok(status) => status,
            Err(refusal) => {
                call.ledger.remove_lock(realm, &lock.token).await?;
                return Err(refusal);
            }
        },
    };
    Ok(HttpResponse::build(status)
        .insert_header(("Lock-Token", format!("<{}>", lock.token)))
        .content_type(xml::CONTENT_TYPE)
        .body(described(call, &lock)))
}

/// The lock that a request asks for, with a token of its own.
fn wanted(call: &Call<'_>, info: &Element) -> Outcome<Lock> {
    let (exclusive, owner) = read_info(info)?;
    let deep = match call.depth()? {
        None | Some(Depth::Infinity) => true,
        Some(Depth::Zero) => false,
        Some(Depth::One) => return Err(Refusal::bad_request("A lock is on a place or on all beneath it.")),
    };
    let lock = Lock {
        token: new_token()?,
        path: call.place.path.clone(),
        deep,
        exclusive,
        holder: call.mount.holder.clone(),
        owner,
        expires: call.now.plus(call.lock_time()),
    };
    match ledger::fits(&lock) {
        true => Ok(lock),
        false => Err(Refusal::no_room()),
    }
}

/// A lock where nothing is makes an empty file there (RFC 4918, section 7.3).
async fn create_empty(call: &Call<'_>, path: &TreePath) -> Outcome<StatusCode> {
    let upload = call.mount.tree.write(path).await?;
    match upload.finish(Replace::Never).await {
        Ok(_) => Ok(StatusCode::CREATED),
        Err(error) if error.reason() == Reason::AlreadyExists => Ok(StatusCode::OK),
        Err(error) => Err(error.into()),
    }
}

/// A LOCK without a body asks for more time for the lock its `If` header names.
async fn refresh(call: &Call<'_>) -> Outcome<HttpResponse> {
    let header = call
        .header("If")
        .ok_or_else(|| Refusal::bad_request("A lock is refreshed by naming its token in an If header."))?;
    let header = IfHeader::parse(header)?;
    call.guard(&[]).await?;
    let locks = call.ledger.locks(&call.mount.realm, call.now).await?;
    let mut lock = locks
        .into_iter()
        .find(|lock| {
            lock.holder == call.mount.holder
                && lock.covers(&call.place.path)
                && header.tokens().any(|token| token == lock.token)
        })
        .ok_or_else(Refusal::precondition_failed)?;
    lock.expires = call.now.plus(call.lock_time());
    call.ledger
        .put_lock(&call.mount.realm, lock.clone(), call.now, |_| Ok(()))
        .await?;
    Ok(HttpResponse::Ok()
        .content_type(xml::CONTENT_TYPE)
        .body(described(call, &lock)))
}

pub(super) async fn unlock(call: &Call<'_>) -> Outcome<HttpResponse> {
    let locks = call.ledger.locks(&call.mount.realm, call.now).await?;
    let token = call.header("Lock-Token");
    // reva's client writes `<>` where it holds no lock: where there is none, that is so.
    if token == Some("<>") && !locks.iter().any(|lock| lock.covers(&call.place.path)) {
        return Ok(HttpResponse::NoContent().finish());
    }
    let token = token
        .and_then(|token| token.strip_prefix('<')?.strip_suffix('>'))
        .filter(|token| !token.is_empty())
        .ok_or_else(|| Refusal::bad_request("A lock is taken off by naming its token in a Lock-Token header."))?;
    let lock = locks
        .iter()
        .find(|lock| lock.token == token && lock.covers(&call.place.path))
        .ok_or_else(|| Refusal::condition(StatusCode::CONFLICT, "<d:lock-token-matches-request-uri/>"))?;
    if lock.holder != call.mount.holder {
        return Err(Refusal::new(StatusCode::FORBIDDEN, "This lock is someone else's."));
    }
    call.ledger.remove_lock(&call.mount.realm, token).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Whether a new lock can be beside the others.
///
/// # Errors
///
/// [`Reason::Conflict`] if one of them or the new one would have the place for itself; [`Reason::NotAllowed`] if its
/// holder has enough.
fn admit(new: &Lock, others: &[Lock]) -> Result<()> {
    let meets = |other: &&Lock| other.covers(&new.path) || (new.deep && other.path.is_within(&new.path));
    if others
        .iter()
        .filter(meets)
        .any(|other| other.exclusive || new.exclusive)
    {
        return Err(Error::new(Reason::Conflict, "This is locked already."));
    }
    if others.iter().filter(|other| other.holder == new.holder).count() >= MOST {
        return Err(Error::new(
            Reason::NotAllowed,
            "There are too many locks through this share.",
        ));
    }
    Ok(())
}

/// What a `lockinfo` asks for: whether the lock is exclusive, and the client's own words about itself.
fn read_info(info: &Element) -> Outcome<(bool, String)> {
    let malformed = || Refusal::bad_request("The body of this request doesn't say which lock it wants.");
    let scope = info.child("lockscope").ok_or_else(malformed)?;
    let exclusive = scope.child("exclusive").is_some();
    let write = info.child("locktype").is_some_and(|kind| kind.child("write").is_some());
    if !info.name.is_dav("lockinfo") || !write || exclusive == scope.child("shared").is_some() {
        return Err(malformed());
    }
    let owner = match info.child("owner") {
        None => String::new(),
        Some(owner) => owner.content(LONGEST_OWNER).ok_or_else(|| {
            Refusal::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "The owner of this lock is too long a text.",
            )
        })?,
    };
    Ok((exclusive, owner))
}

fn new_token() -> Result<String> {
    let mut random = [0; 16];
    aws_lc_rs::rand::fill(&mut random).map_err(Error::internal)?;
    // The bits of a version 4 UUID (RFC 9562, section 5.4).
    random[6] = random[6] & 0x0f | 0x40;
    random[8] = random[8] & 0x3f | 0x80;
    let hex = format!("{:032x}", u128::from_be_bytes(random));
    Ok(format!(
        "urn:uuid:{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    ))
}

fn described(call: &Call<'_>, lock: &Lock) -> String {
    let mut out = format!("{}<d:prop xmlns:d=\"DAV:\"><d:lockdiscovery>", xml::DECLARATION);
    describe(&mut out, call.mount, lock, call.now.until(lock.expires));
    out.push_str("</d:lockdiscovery></d:prop>");
    out
}

/// Appends an `activelock`. Its token is for its holder only (T-60).
pub(super) fn describe(out: &mut String, mount: &Mount, lock: &Lock, left: Duration) {
    let scope = if lock.exclusive { "exclusive" } else { "shared" };
    let depth = if lock.deep { "infinity" } else { "0" };
    let mine = lock.holder == mount.holder;
    let seconds = left.as_secs();
    // A String takes all that is written to it.
    let _ = write!(
        out,
        "<d:activelock><d:locktype><d:write/></d:locktype><d:lockscope><d:{scope}/></d:lockscope>\
         <d:depth>{depth}</d:depth>"
    );
    xml::element(out, xml::DAV, "owner", None, &lock.owner);
    let _ = write!(out, "<d:timeout>Second-{seconds}</d:timeout>");
    if mine {
        let _ = write!(out, "<d:locktoken><d:href>{}</d:href></d:locktoken>", lock.token);
    }
    let _ = write!(
        out,
        "<d:lockroot><d:href>{}</d:href></d:lockroot>",
        lock_root(mount, &lock.path)
    );
    out.push_str("</d:activelock>");
}

fn lock_root(mount: &Mount, path: &TreePath) -> String {
    let mut escaped = String::new();
    xml::escape(&mut escaped, &place::href_of(mount, path, false));
    escaped
}

fn locked(mount: &Mount, path: &TreePath) -> Refusal {
    let root = lock_root(mount, path);
    Refusal::condition(
        StatusCode::LOCKED,
        format!("<d:lock-token-submitted><d:href>{root}</d:href></d:lock-token-submitted>"),
    )
}
