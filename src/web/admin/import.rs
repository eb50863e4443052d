//! Importing a list of servers: pasted or as a file, looked through line by line, and undone again if need be.

use actix_multipart::Multipart;
use actix_multipart::MultipartError;
use actix_web::FromRequest;
use actix_web::HttpMessage;
use actix_web::HttpRequest;
use actix_web::dev::Payload;
use actix_web::web::Data;
use actix_web::web::Path;
use actix_web::web::Query;
use askama::Template;
use futures_util::TryStreamExt;
use futures_util::future::LocalBoxFuture;
use serde::Deserialize;

use crate::audit::Event;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Reason;
use crate::error::Result;
use crate::peers::batch::Batch;
use crate::peers::batch::Changed;
use crate::peers::import::Incoming;
use crate::peers::import::Judged;
use crate::peers::import::Pick;
use crate::peers::import::Review;
use crate::peers::import::Standing;
use crate::peers::lists;
use crate::peers::lists::Format;
use crate::peers::trust::TrustRule;
use crate::peers::trust::Verdict;
use crate::site::Site;
use crate::users::Session;
use crate::web::filters;
use crate::web::page;
use crate::web::page::Answer;
use crate::web::page::Fault;
use crate::web::page::Page;
use crate::web::page::Problem;
use crate::web::session;
use crate::web::session::Admin;
use crate::web::session::Form;
use crate::web::session::NoFields;
use crate::web::words::Badge;

/// How many lines of a list, or changes of a batch, a page shows.
const SHOWN: usize = 50;

#[derive(Template)]
#[template(path = "admin_import.html")]
struct Begin {
    page: Page,
    fault: Option<Fault>,
    format: Option<Format>,
    verdict: Option<Verdict>,
    reviews: Vec<Review>,
    batches: Vec<Batch>,
}

impl Begin {
    fn badge(&self, batch: &Batch) -> Badge {
        state(batch)
    }
}

fn state(batch: &Batch) -> Badge {
    match batch.undone {
        Some(_) => Badge::quiet("Undone"),
        None => Badge::ok("In force"),
    }
}

pub async fn new(site: Data<Site>, Admin(session): Admin) -> Answer {
    page::show(&begin(&site, &session, None, None, None).await?)
}

async fn begin(
    site: &Site,
    session: &Session,
    format: Option<Format>,
    verdict: Option<Verdict>,
    fault: Option<Fault>,
) -> Result<Begin> {
    let mut batches = site.peers.batches().await?;
    batches.truncate(SHOWN);
    Ok(Begin {
        page: Page::of(site, session, "servers", "Import a list"),
        fault,
        format,
        verdict,
        reviews: site.peers.reviews().await?,
        batches,
    })
}

/// A list that an admin sent from our page, pasted or as a file (T-70).
pub struct Sent {
    session: Session,
    incoming: Incoming,
}

/// The fields of the form; of a file only so much that it is known to be too long.
#[derive(Default)]
struct Fields {
    form_token: String,
    text: String,
    file: String,
    name: String,
    format: String,
    verdict: String,
}

impl FromRequest for Sent {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, mut payload) = (request.clone(), payload.take());
        Box::pin(async move {
            session::check_origin(&request)?;
            if request.content_type() == "application/x-www-form-urlencoded" {
                let form = Form::<Vec<(String, String)>>::from_request(&request, &mut payload).await?;
                let mut fields = Fields::default();
                for (name, value) in form.fields {
                    fields.put(&name, value);
                }
                return Ok(fields.sent(form.session));
            }
            let session = session::of(&request).await?;
            let fields = Fields::read(Multipart::new(request.headers(), payload), &session).await?;
            Ok(fields.sent(session))
        })
    }
}

impl Fields {
    /// Reads the form; without a good token before the list, that is as far as it gets.
    async fn read(mut parts: Multipart, session: &Session) -> Result<Self> {
        let mut fields = Self::default();
        while let Some(mut part) = parts.try_next().await.map_err(broken)? {
            let name = part.name().unwrap_or_default().to_owned();
            let file = part.content_disposition().and_then(|said| said.get_filename());
            if let Some(file) = file.filter(|file| !file.is_empty()) {
                fields.name = file.rsplit(['/', '\\']).next().unwrap_or_default().to_owned();
            }
            if name != "form_token" {
                session::check_token(session, &fields.form_token)?;
            }
            let bytes = part.bytes(lists::MAX_INPUT).await.map_err(|_| lists::too_long())?;
            let value = String::from_utf8_lossy(&bytes.map_err(broken)?).into_owned();
            fields.put(&name, value);
        }
        session::check_token(session, &fields.form_token)?;
        Ok(fields)
    }

    fn put(&mut self, name: &str, value: String) {
        match name {
            "form_token" => self.form_token = value,
            "text" => self.text = value,
            "file" => self.file = value,
            "format" => self.format = value,
            "as" => self.verdict = value,
            _ => {}
        }
    }

    fn sent(self, session: Session) -> Sent {
        Sent {
            incoming: Incoming {
                format: Format::from_word(&self.format),
                verdict: match self.verdict.as_str() {
                    "allow" => Some(Verdict::Allow),
                    "deny" => Some(Verdict::Deny),
                    _ => None,
                },
                name: self.name,
                text: if self.file.trim().is_empty() {
                    self.text
                } else {
                    self.file
                },
            },
            session,
        }
    }
}

fn broken(cause: MultipartError) -> Error {
    Error::new(Reason::Invalid, "The list did not arrive whole. Nothing was imported.").caused_by(cause.to_string())
}

/// Reads a list, and shows it to be looked through; nothing of it counts yet.
pub async fn read(site: Data<Site>, _: Admin, sent: Sent) -> Answer {
    let Sent { session, incoming } = sent;
    let (format, verdict) = (incoming.format, incoming.verdict);
    match site.peers.begin_import(incoming, &session.user.name).await {
        Ok(review) => Ok(page::go(format!("/admin/servers/import/{}", review.id))),
        Err(error) => {
            let again = begin(&site, &session, format, verdict, Some(Fault::of(error)?)).await?;
            page::show_again(&again.fault, &again)
        }
    }
}

/// Which part of a list or a batch is wanted.
#[derive(Deserialize)]
pub struct Part {
    #[serde(default)]
    show: String,
    #[serde(default)]
    from: usize,
}

#[derive(Template)]
#[template(path = "admin_import_review.html")]
struct Looking {
    page: Page,
    fault: Option<Fault>,
    review: Review,
    tabs: Vec<(Standing, usize)>,
    shown: Standing,
    lines: Vec<Judged>,
    from: usize,
    next: Option<usize>,
    ticked: usize,
}

impl Looking {
    fn label(&self, standing: &Standing) -> &'static str {
        match standing {
            Standing::New => "New",
            Standing::Same => "The same",
            Standing::Conflict => "Says something else",
            Standing::Invalid => "Can’t be imported",
        }
    }

    fn may_be_ticked(&self) -> bool {
        matches!(self.shown, Standing::New | Standing::Conflict)
    }
}

#[derive(Template)]
#[template(path = "admin_batch.html")]
struct Show {
    page: Page,
    batch: Batch,
    badge: Badge,
    changes: Vec<(Changed, Now)>,
    next: Option<usize>,
    /// Rules that were changed since.
    kept: Vec<String>,
}

/// How a rule that a batch changed stands now.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Now {
    InForce,
    AsBefore,
    ChangedSince,
}

/// A list that is being looked through, or what has become of it.
pub async fn show(site: Data<Site>, Admin(session): Admin, id: Path<String>, part: Query<Part>) -> Answer {
    match site.peers.batch(&id).await {
        Ok((batch, changes)) => page::show(&batch_page(&site, &session, batch, changes, part.from).await?),
        Err(error) if error.kind() == Kind::NotFound => page::show(&looking(&site, &session, &id, &part, None).await?),
        Err(error) => Err(error.into()),
    }
}

async fn looking(site: &Site, session: &Session, id: &str, part: &Part, fault: Option<Fault>) -> Result<Looking> {
    let (review, lines) = site.peers.review(id).await?;
    let count = |standing| lines.iter().filter(|line| line.standing == standing).count();
    let tabs = Standing::ALL.map(|standing| (standing, count(standing)));
    let first = tabs
        .iter()
        .find(|(_, number)| *number > 0)
        .map(|(standing, _)| *standing);
    let shown = Standing::from_word(&part.show).or(first).unwrap_or(Standing::New);
    let ticked = lines.iter().filter(|line| line.is_ticked()).count();
    let mut lines: Vec<_> = lines
        .into_iter()
        .filter(|line| line.standing == shown)
        .skip(part.from)
        .collect();
    let more = lines.len() > SHOWN;
    lines.truncate(SHOWN);
    Ok(Looking {
        page: Page::of(site, session, "servers", "Look through the list"),
        fault,
        review,
        tabs: tabs.to_vec(),
        shown,
        lines,
        from: part.from,
        next: more.then(|| part.from.saturating_add(SHOWN)),
        ticked,
    })
}

async fn batch_page(site: &Site, session: &Session, batch: Batch, changes: Vec<Changed>, from: usize) -> Result<Show> {
    let stand = async |txn: &mut crate::store::Txn| {
        let mut all = Vec::with_capacity(changes.len());
        for change in &changes {
            let is = txn.get::<TrustRule>(change.pattern.key()).await?;
            all.push(match (&is, change.verdict) {
                (Some(rule), Some(_)) if rule.batch.as_deref() == Some(&batch.id) => Now::InForce,
                (None, None) if batch.undone.is_none() => Now::InForce,
                _ if is == change.before => Now::AsBefore,
                _ => Now::ChangedSince,
            });
        }
        Ok(all)
    };
    let all = site.store.read(stand).await?;
    let kept = changes.iter().zip(&all).filter(|(_, now)| **now == Now::ChangedSince);
    let kept: Vec<_> = kept
        .map(|(change, _)| change.pattern.as_str().to_owned())
        .take(SHOWN)
        .collect();
    let more = changes.len() > from.saturating_add(SHOWN);
    Ok(Show {
        page: Page::of(site, session, "servers", "A change of the trust list"),
        badge: state(&batch),
        next: more.then(|| from.saturating_add(SHOWN)),
        changes: changes.into_iter().zip(all).skip(from).take(SHOWN).collect(),
        batch,
        kept,
    })
}

/// Notes what was ticked on this page, and then does what the button says.
pub async fn go_on(site: Data<Site>, _: Admin, id: Path<String>, form: Form<Vec<(String, String)>>) -> Answer {
    let Form { session, by, fields } = form;
    let all = |name: &str| -> Vec<&str> {
        let named = fields.iter().filter(|(field, _)| field == name);
        named.map(|(_, value)| value.as_str()).collect()
    };
    let first = |name: &str| all(name).first().copied().unwrap_or_default().to_owned();
    let ticked = all("tick");
    let picks: Vec<Pick> = all("row")
        .into_iter()
        .filter_map(|at| {
            let reason = fields.iter().find(|(name, _)| *name == format!("reason-{at}"));
            Some(Pick {
                at: at.parse().ok()?,
                tick: ticked.contains(&at),
                reason: reason.map(|(_, reason)| reason.clone()),
            })
        })
        .collect();
    if !picks.is_empty() {
        site.peers.pick(&id, &picks).await?;
    }
    let part = Part {
        show: first("show"),
        from: first("from").parse().unwrap_or(0),
    };
    let here = |from: usize| {
        format!(
            "/admin/servers/import/{id}?show={}&from={from}",
            page::escaped(&part.show)
        )
    };
    let standing = Standing::from_word(&part.show).unwrap_or(Standing::New);
    match first("do").as_str() {
        "all" => site.peers.pick_all(&id, standing, true).await?,
        "none" => site.peers.pick_all(&id, standing, false).await?,
        "next" => return Ok(page::go(here(part.from.saturating_add(SHOWN)))),
        "import" => {
            return match site.peers.import(&id, &session.user.name).await {
                Ok(batch) => {
                    site.audit.note(&by, Event::new("server.import").of(&batch.id)).await?;
                    Ok(page::go(format!("/admin/servers/import/{}", batch.id)))
                }
                Err(error) => {
                    let again = looking(&site, &session, &id, &part, Some(Fault::of(error)?)).await?;
                    page::show_again(&again.fault, &again)
                }
            };
        }
        _ => {}
    }
    Ok(page::go(here(part.from)))
}

/// Throws a list away that was looked through.
pub async fn discard(site: Data<Site>, _: Admin, id: Path<String>, _: Form<NoFields>) -> Answer {
    site.peers.discard_import(&id).await?;
    Ok(page::go("/admin/servers/import"))
}
