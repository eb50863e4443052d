//! The edge for people: every URL of the pages on one screen. A handler takes, calls and answers; the domain decides.

mod accept;
mod account;
mod admin;
mod arrange;
mod assets;
mod auth;
mod contacts;
mod files;
mod filters;
mod help;
mod home;
mod invite;
mod page;
mod reader;
mod received;
mod remote;
mod requests;
mod sent;
mod session;
mod upload;
mod wayf;
mod welcome;
mod words;

use actix_web::HttpRequest;
use actix_web::HttpResponse;
use actix_web::Route;
use actix_web::guard;
use actix_web::middleware::from_fn;
use actix_web::web;
use actix_web::web::PayloadConfig;
use actix_web::web::ServiceConfig;
use actix_web::web::post;

pub use page::Problem;
pub use page::finish;

use crate::error::Error;
use crate::http::INVITE_ACCEPT_DIALOG;

/// What a GET shows never changes anything (T-70, INC-07); what changes something is a POST with a form token.
pub fn configure(service: &mut ServiceConfig) {
    let pages = web::scope("")
        .app_data(PayloadConfig::new(session::LONGEST_FORM))
        // For everyone
        .route("/", get().to(home::index))
        .route("/static/{file}", get().to(assets::file))
        .route("/setup", get().to(auth::setup))
        .route("/setup", post().to(auth::set_up))
        .route("/welcome", get().to(welcome::show))
        .route("/welcome", post().to(welcome::set))
        .route("/login", get().to(auth::login))
        .route("/login", post().to(auth::sign_in))
        .route("/logout", post().to(auth::sign_out))
        .route("/language", post().to(account::choose_language))
        .route("/help/errors", get().to(help::errors))
        .route("/wayf", get().to(wayf::ask))
        .route("/wayf", post().to(wayf::look_up))
        // Mine
        .route("/home", get().to(home::home))
        .route("/home/wish", post().to(home::drop_wish))
        .route("/invites", get().to(invite::list))
        .route("/invites/new", get().to(invite::new::ask))
        .route("/invites/new", post().to(invite::new::create))
        .route(INVITE_ACCEPT_DIALOG, get().to(accept::dialog))
        .route(INVITE_ACCEPT_DIALOG, post().to(accept::read))
        .route("/invites/accept/look", post().to(accept::look))
        .route("/invites/accept/confirm", post().to(accept::accept))
        .route("/invites/accept/ask", post().to(accept::ask_admin))
        .route("/admin/wishes/accept", post().to(accept::allow_and_accept))
        .route(r"/invites/{id:\d+}", get().to(invite::show))
        .route(r"/invites/{id:\d+}/sheet", get().to(invite::sheet))
        .route(r"/invites/{id:\d+}/mail", post().to(invite::mail))
        .route(r"/invites/{id:\d+}/extend", post().to(invite::extend))
        .route(r"/invites/{id:\d+}/revoke", get().to(invite::ask_revoke))
        .route(r"/invites/{id:\d+}/revoke", post().to(invite::revoke))
        .route("/contacts", get().to(contacts::list))
        .route("/contacts/export", get().to(contacts::export_all))
        .route("/contacts/{address}", get().to(contacts::show))
        .route("/contacts/{address}/export", get().to(contacts::export))
        .route("/contacts/{address}/name", post().to(contacts::rename))
        .route("/contacts/{address}/note", post().to(contacts::note))
        .route("/contacts/{address}/block", post().to(contacts::block))
        .route("/contacts/{address}/remove", get().to(contacts::ask_remove))
        .route("/contacts/{address}/remove", post().to(contacts::remove))
        .route("/files{path:(/.*)?}", get().to(files::open))
        .route("/files{path:(/.*)?}", post().to(files::upload))
        .route("/new-folder", post().to(files::make_folder))
        .route("/zip{path:(/.*)?}", get().to(files::zip))
        .route("/uploads", post().to(upload::begin))
        .route("/uploads/{upload}", post().to(upload::part))
        .route("/uploads/{upload}/cancel", post().to(upload::cancel))
        .route("/rename", get().to(arrange::ask_rename))
        .route("/rename", post().to(arrange::rename))
        .route("/move", get().to(arrange::ask_move))
        .route("/move", post().to(arrange::move_there))
        .route("/delete", get().to(arrange::ask_delete))
        .route("/delete", post().to(arrange::delete))
        .route("/shares/new", get().to(sent::new))
        .route("/shares/new", post().to(sent::create))
        .route("/shares/sent", get().to(sent::list))
        .route(r"/shares/sent/{id:\d+}", get().to(sent::show))
        .route(r"/shares/sent/{id:\d+}/stop", get().to(sent::ask_stop))
        .route(r"/shares/sent/{id:\d+}/stop", post().to(sent::stop))
        .route(r"/shares/sent/{id:\d+}/retry", post().to(sent::retry))
        .route("/shares/received", get().to(received::list))
        .route("/shares/received/decide", post().to(received::decide_all))
        .route(r"/shares/received/{id:\d+}", get().to(received::show))
        .route(r"/shares/received/{id:\d+}/check", post().to(received::check))
        .route(r"/shares/received/{id:\d+}/{verb}", post().to(received::decide))
        .route(r"/shares/from/{id:\d+}{path:(/.*)?}", get().to(remote::browse))
        .route(r"/shares/from/{id:\d+}{path:(/.*)?}", post().to(remote::upload))
        .route(r"/shares/get/{id:\d+}{path:(/.*)?}", get().to(remote::download))
        .route("/requests", get().to(requests::inbox))
        .route("/requests/new", get().to(requests::new))
        .route("/requests/new", post().to(requests::create))
        .route(r"/requests/{id:\d+}/decline", post().to(requests::decline))
        .route("/requests/sent", get().to(requests::sent))
        .route(r"/requests/sent/{id:\d+}/close", post().to(requests::close))
        .route(r"/requests/sent/{id:\d+}/retry", post().to(requests::retry))
        .route("/account", get().to(account::show))
        .route("/account", post().to(account::change))
        .route("/account/notices", post().to(account::choose_notices))
        .route("/account/theme", post().to(account::choose_theme))
        .route("/account/password", post().to(account::change_password))
        .route("/account/sessions/end", post().to(account::end_sessions))
        // For admins
        .route("/admin", get().to(admin::overview::show))
        .route("/admin/servers", get().to(admin::servers::list))
        .route("/admin/servers", post().to(admin::rule::set))
        .route("/admin/servers/new", get().to(admin::rule::new))
        .route("/admin/servers/new", post().to(admin::rule::create))
        .route("/admin/servers/bulk", post().to(admin::rule::bulk))
        .route("/admin/servers/probe", post().to(admin::servers::probe))
        .route("/admin/servers/remove", post().to(admin::servers::remove))
        .route("/admin/servers/undo", post().to(admin::servers::undo))
        .route("/admin/servers/export", get().to(admin::servers::export))
        .route("/admin/servers/import", get().to(admin::import::new))
        .route("/admin/servers/import", post().to(admin::import::read))
        .route(r"/admin/servers/import/{id:\d+}", get().to(admin::import::show))
        .route(r"/admin/servers/import/{id:\d+}", post().to(admin::import::go_on))
        .route(
            r"/admin/servers/import/{id:\d+}/discard",
            post().to(admin::import::discard),
        )
        .route("/admin/policy", get().to(admin::policy::show))
        .route("/admin/policy", post().to(admin::policy::choose))
        .route("/admin/servers/{host}", get().to(admin::peer::show))
        .route("/admin/servers/{host}", post().to(admin::peer::set))
        .route("/admin/servers/{host}/remove", get().to(admin::rule::ask_remove))
        .route("/admin/servers/{host}/keys", post().to(admin::peer::trust_keys))
        .route("/admin/servers/{host}/retry", post().to(admin::peer::retry))
        .route("/admin/servers/{host}/refresh", post().to(admin::peer::refresh))
        .route("/admin/connect", get().to(admin::connect::show))
        .route("/admin/servers/{host}/handshake", post().to(admin::peer::handshake))
        .route("/admin/wishes/allow", post().to(home::allow_wish))
        .route("/admin/wishes/dismiss", post().to(home::dismiss_wish))
        .route("/admin/directories", get().to(admin::directories::list))
        .route("/admin/directories/refresh", post().to(admin::directories::refresh))
        .route("/admin/directories/accept", post().to(admin::directories::accept))
        .route("/admin/users", get().to(admin::users::list))
        .route("/admin/users", post().to(admin::users::add))
        .route("/admin/invites", get().to(admin::invites::list))
        .route(r"/admin/invites/{id:\d+}/revoke", get().to(admin::invites::ask_revoke))
        .route(r"/admin/invites/{id:\d+}/revoke", post().to(admin::invites::revoke))
        .route("/admin/users/new", get().to(admin::users::new))
        .route("/admin/users/{name}", get().to(admin::users::show))
        .route("/admin/users/{name}/link", post().to(admin::users::link))
        .route("/admin/users/{name}/role", post().to(admin::users::set_role))
        .route("/admin/users/{name}/disable", post().to(admin::users::disable))
        .route("/admin/users/{name}/enable", post().to(admin::users::enable))
        .route("/admin/users/{name}/delete", get().to(admin::users::ask_delete))
        .route("/admin/users/{name}/delete", post().to(admin::users::delete))
        .route("/admin/queue", get().to(admin::queue::list))
        .route(r"/admin/queue/{id:\d+}/retry", post().to(admin::queue::retry))
        .route(r"/admin/queue/{id:\d+}/drop", post().to(admin::queue::drop))
        .route("/admin/notices", get().to(admin::notices::show))
        .route("/admin/notices/test", post().to(admin::notices::test))
        .route("/admin/notices/retry", post().to(admin::notices::retry))
        .route("/admin/keys", get().to(admin::keys::list))
        .route("/admin/keys/rotate", post().to(admin::keys::rotate))
        .route("/admin/keys/stolen", get().to(admin::keys::ask_stolen))
        .route("/admin/keys/cancel", post().to(admin::keys::cancel))
        .route("/admin/tls", get().to(admin::tls::show))
        .route("/admin/tls/renew", post().to(admin::tls::renew))
        .route("/admin/tls/look", post().to(admin::tls::look))
        .route("/admin/tls/ca.pem", get().to(admin::tls::authority))
        .route("/admin/diagnostics", get().to(admin::diagnostics::show))
        .route("/admin/diagnostics", post().to(admin::diagnostics::run))
        .route("/admin/diagnostics/bundle", post().to(admin::diagnostics::bundle))
        .route("/admin/backups", get().to(admin::backups::list))
        .route("/admin/backups/make", post().to(admin::backups::make))
        .route("/admin/backups/check", post().to(admin::backups::check))
        .route("/admin/backups/download", post().to(admin::backups::download))
        .route("/admin/backups/confirm", post().to(admin::backups::confirm))
        .route("/admin/backups/end", post().to(admin::backups::end))
        .route("/admin/audit", get().to(admin::audit::list))
        .route("/admin/settings", get().to(admin::settings::show))
        .route("/admin/about", get().to(admin::about::show))
        .default_service(web::to(not_found))
        .wrap(from_fn(page::finish));
    service.service(pages);
}

/// The answer where there is no page.
///
/// # Errors
///
/// Always: the page that says so.
pub async fn not_found(_request: HttpRequest) -> Result<HttpResponse, Problem> {
    Err(Error::not_found("There is no such page here.").into())
}

/// Link checkers of mail programs send HEAD; they get what a GET would, without its body.
fn get() -> Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}
