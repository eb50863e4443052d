//! What all pages have in common: their frame, their headers, and the page that says why something could not be done.

use std::fmt;

use actix_web::HttpRequest;
use actix_web::HttpResponse;
use actix_web::ResponseError;
use actix_web::body::BoxBody;
use actix_web::body::MessageBody;
use actix_web::dev::ServiceRequest;
use actix_web::dev::ServiceResponse;
use actix_web::error::InternalError;
use actix_web::http::Method;
use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::http::header::HeaderMap;
use actix_web::http::header::HeaderName;
use actix_web::http::header::HeaderValue;
use actix_web::middleware::Next;
use actix_web::web::Data;
use askama::Template;
use percent_encoding::NON_ALPHANUMERIC;
use percent_encoding::utf8_percent_encode;
use serde::Deserialize;

use crate::clock::Timestamp;
use crate::config::Ui;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Reason;
use crate::http::INVITE_ACCEPT_DIALOG;
use crate::http::answer;
use crate::http::traced;
use crate::lang::Lang;
use crate::site::Site;
use crate::store::Listing;
use crate::store::Page as Rows;
use crate::users::Session;
use crate::web::assets;
use crate::web::filters;
use crate::web::reader::Reader;
use crate::web::reader::Theme;
use crate::web::reader::reader;
use crate::web::reader::said;
use crate::web::session;

/// What a handler of a page ends in.
pub type Answer = Result<HttpResponse, Problem>;

/// How many rows a page shows at most.
pub const ROWS: usize = 1000;

/// Our own script and style, nothing from elsewhere, and in nobody's frame (T-68, T-71).
const CONTENT_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                              connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// What a page has if it does not say otherwise. Addresses of pages carry invite codes, so no other site may learn them.
/// That would be `no-referrer`, but with it browsers send `Origin: null` for our own forms too, and the check of where a
/// form stood would have nothing to go by.
const HEADERS: [(HeaderName, &str); 4] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_POLICY),
    (header::REFERRER_POLICY, "same-origin"),
    (header::CACHE_CONTROL, "no-store"),
    (header::CROSS_ORIGIN_OPENER_POLICY, "same-origin"),
];

/// The frame of a page.
pub struct Page {
    pub title: String,
    /// Which entry of the navigation it belongs to.
    pub section: &'static str,
    pub server: String,
    pub person: Option<Person>,
    pub now: Timestamp,
    ui: Ui,
    /// Where it can be looked at again, if that is not where the form was sent that it answers.
    at: Option<String>,
}

/// The one who is signed in.
pub struct Person {
    pub name: String,
    pub host: String,
    pub admin: bool,
    pub form_token: String,
}

impl Page {
    /// A page for someone who is signed in. A title that a catalogue has is said in the reader's language.
    pub fn of(site: &Site, session: &Session, section: &'static str, title: impl AsRef<str>) -> Self {
        Self {
            section,
            person: Some(Person {
                name: session.user.name.clone(),
                host: site.config.server.public_url.provider().to_string(),
                admin: session.user.admin,
                form_token: session.form_token.expose().to_owned(),
            }),
            ..Self::public(site, title)
        }
    }

    /// A page for anyone.
    pub fn public(site: &Site, title: impl AsRef<str>) -> Self {
        Self {
            title: said(title.as_ref(), &[]),
            section: "",
            server: site.config.server.name.clone(),
            person: None,
            now: site.clock.now(),
            ui: site.config.ui.clone(),
            at: None,
        }
    }

    /// The same page as the answer to a form, which can be looked at again at `path`.
    pub fn at(mut self, path: String) -> Self {
        self.at = Some(path);
        self
    }

    pub fn style(&self) -> &'static str {
        assets::style_path()
    }

    pub fn script(&self) -> &'static str {
        assets::script_path()
    }

    /// The language it is in.
    pub fn lang(&self) -> Lang {
        reader().lang
    }

    pub fn theme(&self) -> Theme {
        reader().theme
    }

    /// Where a choice made in its foot leads back to.
    pub fn here(&self) -> String {
        self.at.clone().unwrap_or_else(|| reader().here)
    }

    /// What the foot of each page points to: label and address.
    pub fn foot(&self) -> Vec<(&'static str, &str)> {
        let links = [
            ("Help", &self.ui.support),
            ("Imprint", &self.ui.imprint_url),
            ("Privacy", &self.ui.privacy_url),
        ];
        links
            .into_iter()
            .filter(|(_, link)| !link.is_none())
            .map(|(label, link)| (label, link.as_str()))
            .collect()
    }

    /// Whether whoever reads it is an admin.
    pub fn is_admins(&self) -> bool {
        self.person.as_ref().is_some_and(|person| person.admin)
    }

    /// What the forms of this page carry.
    pub fn form_token(&self) -> &str {
        self.person.as_ref().map_or("", |person| &person.form_token)
    }
}

/// Where to go on in a list.
#[derive(Deserialize)]
pub struct After {
    after: Option<String>,
}

impl After {
    pub fn rows(&self) -> Rows {
        match &self.after {
            Some(next) => Rows::after(next, ROWS),
            None => Rows::first(ROWS),
        }
    }
}

/// Why a form is shown again: in its summary, and at the field.
pub struct Fault {
    pub message: String,
    pub code: &'static str,
    field: String,
    status: StatusCode,
}

impl Fault {
    /// # Errors
    ///
    /// What is not the fault of whoever filled in the form is no matter for the form.
    pub fn of(error: Error) -> Result<Self, Problem> {
        if matches!(error.kind(), Kind::Internal | Kind::Operator) {
            return Err(error.into());
        }
        answer::log(&error);
        Ok(Self {
            message: error.message().to_owned(),
            code: error.reason().code(),
            field: error.field().unwrap_or_default().to_owned(),
            status: answer::status(&error),
        })
    }

    pub fn field(&self) -> &str {
        &self.field
    }

    pub fn is_at(&self, field: &str) -> bool {
        self.field == field
    }
}

/// An [`Error`] on its way to a page that says so; `finish` makes it.
#[derive(Clone, Debug)]
pub struct Problem {
    error: Error,
    back: Option<String>,
}

impl Problem {
    /// As the `?` of a POST: the page offers the way back to where the form stood.
    pub fn back_to(path: impl Into<String>) -> impl FnOnce(Error) -> Self {
        move |error| Self {
            error,
            back: Some(path.into()),
        }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self { error, back: None }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        answer::status(&self.error)
    }

    fn error_response(&self) -> HttpResponse {
        HttpResponse::new(self.status_code())
    }
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    page: Page,
    sentence: String,
    advice: &'static str,
    code: &'static str,
    /// What the log calls the request; empty where nobody named it.
    request: String,
    steps: Vec<Step>,
}

/// Somewhere to go from an error.
struct Step {
    label: &'static str,
    href: String,
}

/// Answers with a page.
pub fn show(template: &impl Template) -> Answer {
    show_as(StatusCode::OK, template)
}

/// Answers with a form as it was filled in, and what is wrong with it.
pub fn show_again(fault: &Option<Fault>, template: &impl Template) -> Answer {
    show_as(fault.as_ref().map_or(StatusCode::OK, |fault| fault.status), template)
}

fn show_as(status: StatusCode, template: &impl Template) -> Answer {
    let html = template.render().map_err(Error::internal)?;
    Ok(HttpResponse::build(status)
        .content_type("text/html; charset=utf-8")
        .body(html))
}

/// Sends the browser on to a page of ours with a GET.
pub fn go(path: impl AsRef<str>) -> HttpResponse {
    HttpResponse::SeeOther()
        .insert_header((header::LOCATION, path.as_ref()))
        .finish()
}

/// Text as the value of a query or as one segment of a path.
pub fn escaped(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// What a list holds, the newest first, and where it goes on.
pub fn newest_first<T>(mut listing: Listing<T>) -> (Vec<T>, Option<String>) {
    listing.items.reverse();
    (listing.items, listing.next.map(|next| escaped(&next)))
}

/// What holds for every page: its headers, and that an error is a page too.
pub async fn finish(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let site = request.app_data::<Data<Site>>().cloned();
    let reader = Reader::of(request.request(), site.as_ref().map(|site| site.get_ref()));
    let id = traced::id_of(request.request());
    let answer = async {
        let called = match &site {
            Some(site) => match traced::unharmed(&site.metrics, next.call(request)).await {
                Ok(called) => called,
                Err(panicked) => return Err(broken(site, panicked, id)),
            },
            None => next.call(request).await,
        };
        let mut response = called?.map_into_boxed_body();
        if let Some(problem) = problem_in(&response) {
            let page = explain(response.request(), &problem).await;
            response = response.into_response(page);
        }
        Ok::<_, actix_web::Error>(response)
    };
    let mut response = reader.answer(answer).await?;
    dress(response.headers_mut());
    Ok(response)
}

fn dress(headers: &mut HeaderMap) {
    for (name, value) in HEADERS {
        if !headers.contains_key(&name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
}

/// The page for a fault of ours, which has taken all that was known of the request with it.
fn broken(site: &Site, panicked: Error, request: String) -> actix_web::Error {
    answer::log(&panicked);
    let (title, advice) = words_for(panicked.kind());
    let page = Page::public(site, title);
    let shown = ErrorPage {
        sentence: panicked.message().to_owned(),
        advice,
        code: panicked.reason().code(),
        request,
        steps: vec![Step::new("Home", "/")],
        page,
    };
    let status = answer::status(&panicked);
    let mut response = show_as(status, &shown).unwrap_or_else(|_| HttpResponse::new(status));
    dress(response.headers_mut());
    InternalError::from_response(panicked, response).into()
}

fn problem_in(response: &ServiceResponse<BoxBody>) -> Option<Problem> {
    let error = response.response().error()?;
    if let Some(problem) = error.as_error::<Problem>() {
        return Some(problem.clone());
    }
    let error = match response.status() {
        status if status.is_server_error() => Error::internal(error.to_string()),
        _ => Error::new(Reason::Invalid, "This address can't be read; a part of it is missing.")
            .caused_by(error.to_string()),
    };
    Some(error.into())
}

async fn explain(request: &HttpRequest, problem: &Problem) -> HttpResponse {
    let error = &problem.error;
    let looks = matches!(*request.method(), Method::GET | Method::HEAD);
    let here = request.uri().path_and_query().map_or("/", |here| here.as_str());
    if error.reason() == Reason::SignInNeeded && looks {
        return go(format!("/login?next={}", escaped(here)));
    }
    answer::log(error);
    let status = problem.status_code();
    let Ok(site) = session::site_of(request) else {
        return HttpResponse::new(status);
    };
    let (title, advice) = words_for(error.kind());
    let page = match session::of(request).await {
        Ok(session) => Page::of(site, &session, "", title),
        Err(_) => Page::public(site, title),
    };
    let mut steps = Vec::new();
    if let Some(back) = &problem.back {
        steps.push(Step::new("Back", back));
    } else if looks && matches!(error.kind(), Kind::Peer | Kind::Busy) {
        steps.push(Step::new("Try again", here));
    }
    steps.push(next_step(error.reason(), page.person.as_ref()));
    let shown = ErrorPage {
        page,
        sentence: error.message().to_owned(),
        advice,
        code: error.reason().code(),
        request: traced::id_of(request),
        steps,
    };
    show_as(status, &shown).unwrap_or_else(|_| HttpResponse::new(status))
}

impl Step {
    fn new(label: &'static str, href: &str) -> Self {
        Self {
            label,
            href: href.to_owned(),
        }
    }
}

/// The heading of an error, and who can do what about it.
fn words_for(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::Invalid => ("This does not work", "Go back, correct it, and send it again."),
        Kind::Unauthenticated => ("Please sign in", "Your session has ended, or you were not signed in."),
        Kind::Forbidden => (
            "This is not allowed",
            "If you think it should be, ask an admin of this server.",
        ),
        Kind::NotFound => (
            "There is nothing here",
            "It may have been removed, or its address is misspelt.",
        ),
        Kind::Conflict => (
            "This can't be done now",
            "Something changed in the meantime, or was done before.",
        ),
        Kind::TooLarge => ("This is too large", "Send something smaller, or in parts."),
        Kind::Unsupported => ("This is not possible here", "This server does not know how to do that."),
        Kind::Busy => ("Not just now", "Nothing is lost. Try again in a moment."),
        Kind::Peer => (
            "The other server did not do this",
            "Nothing is lost. Try again later, or tell its admin this sentence.",
        ),
        Kind::Operator | Kind::Internal => (
            "This server has a problem",
            "Tell its admin what you did and when; the log says more.",
        ),
    }
}

fn next_step(reason: Reason, person: Option<&Person>) -> Step {
    let Some(person) = person else {
        return match reason {
            Reason::InviteUnknown
            | Reason::InviteUsed
            | Reason::InviteExpired
            | Reason::InviteRevoked
            | Reason::NotFound
            | Reason::Invalid => Step::new("What is this server?", "/"),
            _ => Step::new("Sign in", "/login"),
        };
    };
    match reason {
        Reason::CodeUnreadable | Reason::InviteUnknown | Reason::InviteExpired | Reason::InviteUsedElsewhere => {
            Step::new("Paste another invitation", INVITE_ACCEPT_DIALOG)
        }
        Reason::WeRefuseThem if person.admin => Step::new("Open the trust list", "/admin/servers"),
        Reason::OwnServer => Step::new("My contacts", "/contacts"),
        Reason::ShareGone => Step::new("What is shared with me", "/shares/received"),
        _ => Step::new("Home", "/home"),
    }
}
