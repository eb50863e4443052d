//! Who asks: the session behind a cookie, and forms that only our own pages can have made.

use actix_web::FromRequest;
use actix_web::HttpMessage;
use actix_web::HttpRequest;
use actix_web::cookie::Cookie;
use actix_web::cookie::SameSite;
use actix_web::cookie::time::Duration as CookieAge;
use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::web::Bytes;
use actix_web::web::Data;
use actix_web::web::Query;
use futures_util::future::LocalBoxFuture;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::audit::By;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;
use crate::http::asker;
use crate::http::traced::Asked;
use crate::secret::Secret;
use crate::site::Site;
use crate::users::Session;
use crate::users::Visitor;
use crate::web::page::Problem;

pub use crate::http::asker::asker;

/// The longest form, in bytes: a pasted mail of the length that is looked through, with every byte escaped.
pub const LONGEST_FORM: usize = 1 << 20;

/// Proof that the one who asks is an admin of this server.
pub struct Admin(pub Session);

/// A form that a signed-in person sent from one of our pages (T-70): its token is that of their session.
pub struct Form<T> {
    pub session: Session,
    /// Who sent it, for the audit log.
    pub by: By,
    pub fields: T,
}

/// A form from one of our pages by someone who has no session yet, and so no token.
pub struct OpenForm<T>(pub T);

/// A request that the script of one of our pages sent for a signed-in person: what is asked of a [`Form`] is asked of it,
/// the token being in a header (T-70).
pub struct Scripted {
    pub session: Session,
    pub by: By,
}

/// The header for it.
const FORM_TOKEN: &str = "x-ocm-form-token";

/// What a form holds that is but a button.
#[derive(Deserialize)]
pub struct NoFields {}

#[derive(Deserialize)]
struct Sealed {
    #[serde(default)]
    form_token: String,
}

type Extracting<T> = LocalBoxFuture<'static, Result<T, Problem>>;

impl FromRequest for Session {
    type Error = Problem;
    type Future = Extracting<Self>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move { Ok(of(&request).await?) })
    }
}

impl FromRequest for Admin {
    type Error = Problem;
    type Future = Extracting<Self>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let session = of(&request).await?;
            if !session.user.admin {
                return Err(Error::new(Reason::NotAllowed, "This page is for the admins of this server.").into());
            }
            Ok(Self(session))
        })
    }
}

impl<T: DeserializeOwned> FromRequest for Form<T> {
    type Error = Problem;
    type Future = Extracting<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, mut payload) = (request.clone(), payload.take());
        Box::pin(async move {
            check_origin(&request)?;
            let session = of(&request).await?;
            let body = urlencoded(&request, &mut payload).await?;
            check_token(&session, &read::<Sealed>(&body)?.form_token)?;
            Ok(Self {
                fields: read(&body)?,
                by: by(&request, &session)?,
                session,
            })
        })
    }
}

impl FromRequest for Scripted {
    type Error = Problem;
    type Future = Extracting<Self>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            check_origin(&request)?;
            let session = of(&request).await?;
            let token = request.headers().get(FORM_TOKEN);
            check_token(
                &session,
                token.and_then(|token| token.to_str().ok()).unwrap_or_default(),
            )?;
            Ok(Self {
                by: by(&request, &session)?,
                session,
            })
        })
    }
}

impl<T: DeserializeOwned> FromRequest for OpenForm<T> {
    type Error = Problem;
    type Future = Extracting<Self>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, mut payload) = (request.clone(), payload.take());
        Box::pin(async move {
            check_origin(&request)?;
            Ok(Self(read(&urlencoded(&request, &mut payload).await?)?))
        })
    }
}

/// The server that a request reached.
pub fn site_of(request: &HttpRequest) -> Result<&Site> {
    request
        .app_data::<Data<Site>>()
        .map(|site| site.get_ref())
        .ok_or_else(|| Error::internal("pages without a site"))
}

/// The session of a request.
///
/// # Errors
///
/// [`Reason::SignInNeeded`].
pub async fn of(request: &HttpRequest) -> Result<Session> {
    let site = site_of(request)?;
    let cookie = request.cookie(&cookie_name(site));
    let token = Secret::new(cookie.as_ref().map_or("", |cookie| cookie.value()));
    let session = site.users.session(&token, site.clock.now()).await?;
    request.extensions_mut().insert(Asked(session.user.name.clone()));
    Ok(session)
}

/// Who is signed in and asks, for the audit log.
pub fn by(request: &HttpRequest, session: &Session) -> Result<By> {
    Ok(asker::stranger(request, site_of(request)?).person(&session.user.name))
}

/// The cookie for a session that was just opened. `Lax`, because the link to the page that accepts an invite is on
/// another site; the browser itself keeps a `__Host-` cookie to this very host (T-72).
pub fn cookie(site: &Site, token: &Secret) -> Cookie<'static> {
    let age = i64::try_from(site.config.accounts.session_max.0.as_secs()).unwrap_or(i64::MAX);
    baked(site, token.expose().to_owned(), CookieAge::seconds(age))
}

/// The cookie that takes the session's place when it has ended.
pub fn no_cookie(site: &Site) -> Cookie<'static> {
    baked(site, String::new(), CookieAge::ZERO)
}

fn baked(site: &Site, value: String, age: CookieAge) -> Cookie<'static> {
    Cookie::build(cookie_name(site), value)
        .path("/")
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(site.config.server.public_url.is_https())
        .max_age(age)
        .finish()
}

/// With the port in it, if there is one: browsers keep the cookies of all ports of a host together, and two servers on one
/// machine would sign each other's people out.
fn cookie_name(site: &Site) -> String {
    let public_url = &site.config.server.public_url;
    let prefix = if public_url.is_https() {
        "__Host-ocmesh"
    } else {
        "ocmesh"
    };
    match public_url.provider().port() {
        Some(port) => format!("{prefix}-{port}"),
        None => prefix.to_owned(),
    }
}

/// A form's token is the session's: another site can't know it (T-70).
///
/// # Errors
///
/// [`Reason::FormForged`].
pub fn check_token(session: &Session, given: &str) -> Result<()> {
    if session.form_token != Secret::new(given) {
        return Err(Error::new(
            Reason::FormForged,
            "This form is not one of yours, or it is from before you signed in. Nothing was done.",
        ));
    }
    Ok(())
}

/// What the browser says of where a form stood: our own page, or it is refused (T-70). Programs that say nothing are no
/// danger to anyone, since they carry nobody's cookies.
///
/// # Errors
///
/// [`Reason::FormForged`].
pub fn check_origin(request: &HttpRequest) -> Result<()> {
    let own = site_of(request)?.config.server.public_url.origin();
    let said = |name: &str| {
        request
            .headers()
            .get(name)
            .map(|value| value.to_str().unwrap_or_default())
    };
    let ours = match (said("origin"), said("sec-fetch-site")) {
        (Some(origin), _) => origin == own,
        (None, Some(site)) => matches!(site, "same-origin" | "none"),
        (None, None) => true,
    };
    if !ours {
        return Err(Error::new(
            Reason::FormForged,
            format!("This form was not sent from a page of {own}. Open that address and try again."),
        ));
    }
    Ok(())
}

/// Who opens a session, as their browser tells.
pub fn visitor(request: &HttpRequest, site: &Site) -> Visitor {
    let agent = request.headers().get(header::USER_AGENT);
    Visitor {
        from: asker(request, site),
        browser: browser(agent.and_then(|agent| agent.to_str().ok()).unwrap_or_default()),
    }
}

/// A browser in a few words, such as `Firefox, Linux`; empty for one that nobody would know by its name. Each claims to be
/// the ones that came before it, so the later names are looked for first.
fn browser(agent: &str) -> String {
    let named = |known: &[(&str, &'static str)]| {
        let found = known.iter().find(|(mark, _)| agent.contains(mark));
        found.map_or("", |(_, name)| *name)
    };
    let program = named(&[
        ("Edg", "Edge"),
        ("OPR/", "Opera"),
        ("Firefox/", "Firefox"),
        ("FxiOS/", "Firefox"),
        ("Chrome/", "Chrome"),
        ("CriOS/", "Chrome"),
        ("Safari/", "Safari"),
        ("curl/", "curl"),
    ]);
    let system = named(&[
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Windows", "Windows"),
        ("Mac OS X", "macOS"),
        ("CrOS", "ChromeOS"),
        ("Linux", "Linux"),
    ]);
    match (program, system) {
        ("", system) => system.to_owned(),
        (program, "") => program.to_owned(),
        (program, system) => format!("{program}, {system}"),
    }
}

/// Where a sign-in may lead back to: a path on this server, or home. Browsers read `//host` and `/\host` as other
/// servers, and leave out tabs and line breaks before they look (T-69).
pub fn way_back(next: &str) -> &str {
    let path = next
        .strip_prefix('/')
        .is_some_and(|rest| !rest.starts_with(['/', '\\']));
    if path && !next.chars().any(char::is_control) {
        next
    } else {
        "/home"
    }
}

async fn urlencoded(request: &HttpRequest, payload: &mut Payload) -> Result<String> {
    if request.content_type() != "application/x-www-form-urlencoded" {
        return Err(unreadable());
    }
    let body = Bytes::from_request(request, payload).await.map_err(|cause| {
        Error::new(Reason::TooLarge, "This form is too long, or did not arrive whole.").caused_by(cause.to_string())
    })?;
    String::from_utf8(body.into()).map_err(|cause| unreadable().caused_by(cause))
}

fn read<T: DeserializeOwned>(body: &str) -> Result<T> {
    // A form's body and a query are written alike.
    Query::<T>::from_query(body)
        .map(Query::into_inner)
        .map_err(|cause| unreadable().caused_by(cause.to_string()))
}

fn unreadable() -> Error {
    Error::new(Reason::Invalid, "This form can't be read; a field of it is missing.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t72_a_browser_is_known_by_a_few_words_of_ours_never_by_its_own() {
        let check = |agent: &str, expected: &str| assert_eq!(browser(agent), expected, "{agent}");
        check(
            "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
            "Firefox, Linux",
        );
        check(
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 \
             Edg/140.0.0.0",
            "Edge, Windows",
        );
        check(
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Version/18.0 Mobile/15E148 \
             Safari/604.1",
            "Safari, iPhone",
        );
        check("curl/8.0", "curl");
        check("<script>alert(1)</script>", "");
        check("", "");
    }

    #[test]
    fn t69_signing_in_never_leads_to_another_server() {
        for good in [
            "/",
            "/home",
            "/invites/accept?token=a&providerDomain=b.example",
            "/files/a%2Fb",
        ] {
            assert_eq!(way_back(good), good);
        }
        for bad in [
            "",
            "home",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "javascript:alert(1)",
            "/\t/evil.example",
            "\n//evil.example",
            "\\\\evil.example",
            "/a\r\nSet-Cookie: x",
        ] {
            assert_eq!(way_back(bad), "/home", "{bad:?}");
        }
    }
}
