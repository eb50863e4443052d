//! Who reads: the language and the look that a request asks for. They hold while its answer is made, so that a word,
//! a date or an error need not be told them one by one.

use std::borrow::Cow;

use actix_web::HttpRequest;
use actix_web::cookie::Cookie;
use actix_web::cookie::SameSite;
use actix_web::cookie::time::Duration as CookieAge;
use actix_web::http::Method;
use actix_web::http::header;

use crate::lang::Lang;
use crate::ocm::address::Provider;
use crate::site::Site;

/// The cookie that keeps the language for those who chose one.
const LANGUAGE: &str = "ocmesh-language";
/// The cookie that keeps light or dark for those who chose.
const THEME: &str = "ocmesh-theme";

/// The cookie that keeps the server that an invited person named.
const SERVER: &str = "ocmesh-server";

/// How pages look: as the system has it, or as somebody chose.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Theme {
    #[default]
    Auto,
    Light,
    Dark,
}

impl Theme {
    pub const ALL: [Self; 3] = [Self::Auto, Self::Light, Self::Dark];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Light => "light",
            Self::Dark => "dark",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|theme| theme.as_str() == text)
    }
}

/// What the answer to a request is made for.
#[derive(Clone, Debug, Default)]
pub struct Reader {
    pub lang: Lang,
    pub theme: Theme,
    /// The page that is being looked at, with its query; empty where a form was sent.
    pub here: String,
}

tokio::task_local! {
    static READER: Reader;
}

impl Reader {
    /// Cookie before browser before configuration.
    pub fn of(request: &HttpRequest, site: Option<&Site>) -> Self {
        let chosen = |name: &str| request.cookie(name).map(|cookie| cookie.value().to_owned());
        let accepted = request.headers().get(header::ACCEPT_LANGUAGE);
        let lang = chosen(LANGUAGE)
            .and_then(|code| Lang::from_code(&code))
            .or_else(|| Lang::preferred(accepted?.to_str().ok()?))
            .or_else(|| site.and_then(|site| site.config.ui.language))
            .unwrap_or_default();
        let theme = chosen(THEME).and_then(|theme| Theme::parse(&theme)).unwrap_or_default();
        let here = match *request.method() {
            Method::GET => request.uri().path_and_query().map_or("", |here| here.as_str()),
            _ => "",
        };
        Self {
            lang,
            theme,
            here: here.to_owned(),
        }
    }

    /// Answers with this reader in mind.
    pub async fn answer<F: Future>(self, answer: F) -> F::Output {
        READER.scope(self, answer).await
    }
}

/// Whoever reads the answer that is being made; English where nobody does.
pub fn reader() -> Reader {
    READER.try_with(Reader::clone).unwrap_or_default()
}

/// What keeps a choice of language in this browser.
pub fn language_cookie(site: &Site, lang: Option<Lang>) -> Cookie<'static> {
    kept(site, LANGUAGE, lang.map(Lang::code))
}

/// What keeps a choice of look in this browser.
pub fn theme_cookie(site: &Site, theme: Theme) -> Cookie<'static> {
    kept(site, THEME, (theme != Theme::Auto).then(|| theme.as_str()))
}

/// What keeps the server of an invited person in this browser, for the next invitation.
pub fn server_cookie(site: &Site, host: Option<&Provider>) -> Cookie<'static> {
    kept(site, SERVER, host.map(Provider::to_string))
}

/// The server that was kept, if it is one: anybody may have written there.
pub fn remembered_server(request: &HttpRequest) -> Option<Provider> {
    Provider::parse(request.cookie(SERVER)?.value()).ok()
}

fn kept(site: &Site, name: &'static str, value: Option<impl Into<Cow<'static, str>>>) -> Cookie<'static> {
    let kept = value.is_some();
    Cookie::build(name, value.map_or(Cow::Borrowed(""), Into::into))
        .path("/")
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(site.config.server.public_url.is_https())
        .max_age(if kept { CookieAge::days(365) } else { CookieAge::ZERO })
        .finish()
}

/// A sentence for whoever reads, with its places filled.
pub fn said(sentence: &str, values: &[(&str, &str)]) -> String {
    reader().lang.fill(sentence, values)
}
