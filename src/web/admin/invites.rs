//! All invitations of this server, whoever made them; never what opens them, nor for whom they are.

use actix_web::web::Data;
use actix_web::web::Path;
use actix_web::web::Query;
use askama::Template;

use crate::audit::Event;
use crate::invites::InviteState;
use crate::invites::SentInvite;
use crate::site::Site;
use crate::web::filters;
use crate::web::invite;
use crate::web::invite::Cancel;
use crate::web::page;
use crate::web::page::After;
use crate::web::page::Answer;
use crate::web::page::Page;
use crate::web::page::escaped;
use crate::web::session::Admin;
use crate::web::session::Form;
use crate::web::session::NoFields;
use crate::web::words::Badge;

#[derive(Template)]
#[template(path = "admin_invites.html")]
struct All {
    page: Page,
    invites: Vec<SentInvite>,
    more: Option<String>,
}

impl All {
    fn badge(&self, invite: &SentInvite) -> Badge {
        invite::badge(invite.state(self.page.now))
    }

    fn is_open(&self, invite: &SentInvite) -> bool {
        matches!(invite.state(self.page.now), InviteState::Open | InviteState::Held)
    }
}

pub async fn list(site: Data<Site>, Admin(session): Admin, after: Query<After>) -> Answer {
    let mut listing = site.invites.all(&after.rows()).await?;
    listing.items.sort_by_key(|invite| std::cmp::Reverse(invite.created));
    page::show(&All {
        page: Page::of(&site, &session, "all-invites", "All invitations"),
        invites: listing.items,
        more: listing.next.map(|next| escaped(&next)),
    })
}

pub async fn ask_revoke(site: Data<Site>, Admin(session): Admin, id: Path<String>) -> Answer {
    page::show(&Cancel {
        page: Page::of(&site, &session, "all-invites", "Cancel this invitation?"),
        invite: site.invites.any(&id).await?,
        back: "/admin/invites".to_owned(),
        action: format!("/admin/invites/{id}/revoke"),
        anothers: true,
    })
}

pub async fn revoke(site: Data<Site>, _: Admin, id: Path<String>, form: Form<NoFields>) -> Answer {
    let user = site.invites.any(&id).await?.user;
    let invite = site.invites.revoke(&user, &id).await?;
    let event = Event::new("invite.revoke").of(&invite.id);
    site.audit.note(&form.by, event).await?;
    Ok(page::go("/admin/invites"))
}
