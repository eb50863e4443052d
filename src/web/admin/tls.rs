//! The certificate of this server: what is shown to everybody, until when, and what an admin can do about it.

use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::web::Data;
use askama::Template;

use crate::audit::Event;
use crate::config::TlsMode;
use crate::site::Site;
use crate::tls::Certificate;
use crate::tls::Found;
use crate::tls::Look;
use crate::tls::Status;
use crate::tls::Way;
use crate::web::filters;
use crate::web::page;
use crate::web::page::Answer;
use crate::web::page::Page;
use crate::web::page::Problem;
use crate::web::session::Admin;
use crate::web::session::Form;
use crate::web::session::NoFields;
use crate::web::words::Badge;

const HERE: &str = "/admin/tls";
/// What stands in the guide for a proxy in front, with the name and the place that are put in for those of this server.
const PROXIES: [(&str, &str); 3] = [
    ("Caddy", include_str!("../../../contrib/proxy/Caddyfile")),
    ("nginx", include_str!("../../../contrib/proxy/nginx.conf")),
    (
        "Traefik",
        concat!(
            include_str!("../../../contrib/proxy/traefik.toml"),
            "\n# In a file of its own: what may change while Traefik runs.\n",
            include_str!("../../../contrib/proxy/traefik-dynamic.toml")
        ),
    ),
];
const NAME: &str = "cloud.example.org";
const PLACE: &str = "127.0.0.1:8080";

#[derive(Template)]
#[template(path = "admin_tls.html")]
struct Shown {
    page: Page,
    status: Status,
    host: String,
    /// Where a proxy finds this server.
    inside: String,
}

impl Shown {
    fn way(&self) -> &'static str {
        match self.status.mode {
            TlsMode::Acme => "This server orders a certificate, keeps it, and renews it by itself.",
            TlsMode::Files => "The certificate is in files that others renew. They are looked at every half minute.",
            TlsMode::SelfSigned => {
                "A lab authority of this server’s own signs. Only those who trust it believe the certificate."
            }
            TlsMode::Proxy => "A proxy in front of this server encrypts, and has the certificate.",
            TlsMode::Auto | TlsMode::Off => {
                "Nothing is encrypted on the way: for a trial on one machine, or a closed lab."
            }
        }
    }

    fn days(&self, certificate: &Certificate) -> u64 {
        self.page.now.until(certificate.not_after).as_secs() / 86_400
    }

    fn badge(&self, certificate: &Certificate) -> Badge {
        let now = self.page.now;
        if now >= certificate.not_after {
            Badge::bad("Ended")
        } else if now < certificate.not_before {
            Badge::warn("Not yet valid")
        } else if now >= certificate.renewal() && self.status.trouble.is_some() {
            Badge::warn("Ends soon")
        } else {
            Badge::ok("Valid")
        }
    }

    /// Names that are wanted and not in the certificate.
    fn missing(&self, certificate: &Certificate) -> Vec<&str> {
        let wanted = self.status.names.iter();
        wanted
            .filter(|name| !certificate.is_for(name))
            .map(String::as_str)
            .collect()
    }

    /// What to paste into what stands in front.
    fn recipes(&self) -> [(&'static str, String); 3] {
        PROXIES.map(|(proxy, text)| (proxy, text.replace(NAME, &self.host).replace(PLACE, &self.inside)))
    }

    fn renewable(&self) -> bool {
        self.status.mode.is_here()
    }
}

pub async fn show(site: Data<Site>, Admin(session): Admin) -> Answer {
    let url = &site.config.server.public_url;
    let listen = site.config.server.listen.0.first();
    page::show(&Shown {
        page: Page::of(&site, &session, "tls", "Certificate"),
        status: site.certificates.status(),
        host: url.provider().host().to_owned(),
        inside: listen.map_or_else(String::new, ToString::to_string),
    })
}

pub async fn renew(site: Data<Site>, _: Admin, form: Form<NoFields>) -> Answer {
    site.certificates.renew().await.map_err(Problem::back_to(HERE))?;
    site.audit.note(&form.by, Event::new("tls.renew")).await?;
    Ok(page::go(HERE))
}

#[derive(Template)]
#[template(path = "admin_tls_looks.html")]
struct Looks {
    page: Page,
    looks: Vec<Look>,
}

impl Looks {
    fn badge(&self, look: &Look) -> Badge {
        match look.found {
            Found::Ok => Badge::ok("Good"),
            Found::Unsure => Badge::warn("Unsure"),
            Found::Bad => Badge::bad("Wrong"),
        }
    }
}

/// The answer to a form, for it knocks at doors; it changes nothing.
pub async fn look(site: Data<Site>, Admin(session): Admin, _form: Form<NoFields>) -> Answer {
    let page = Page::of(&site, &session, "tls", "Names and ports").at(HERE.to_owned());
    let looks = Box::pin(site.certificates.preflight()).await;
    page::show(&Looks { page, looks })
}

/// The certificate of the lab authority, as a file to hand to peers.
pub async fn authority(site: Data<Site>, _: Admin) -> Answer {
    let pem = site.certificates.authority().map_err(Problem::back_to(HERE))?;
    Ok(HttpResponse::Ok()
        .content_type("application/x-pem-file")
        .insert_header((
            header::CONTENT_DISPOSITION,
            "attachment; filename=\"ocmesh-lab-ca.pem\"",
        ))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .body(pem))
}
