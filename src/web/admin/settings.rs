//! Every setting: the value in force, the default, and who decides it.

use actix_web::web::Data;
use askama::Template;

use crate::config::Origin;
use crate::config::settings;
use crate::config::settings::InForce;
use crate::site::Site;
use crate::web::filters;
use crate::web::page;
use crate::web::page::Answer;
use crate::web::page::Page;
use crate::web::session::Admin;
use crate::web::words::Badge;

/// What each section of the file is about.
const SECTIONS: &[(&str, &str)] = &[
    ("server", "This server"),
    ("tls", "Encryption on the way"),
    ("federation", "Other servers"),
    ("invites", "Invitations"),
    ("shares", "Shares"),
    ("keys", "Signing keys"),
    ("files", "Files"),
    ("accounts", "Accounts"),
    ("limits", "Limits"),
    ("mail", "Mail"),
    ("notify", "Notices"),
    ("ui", "Pages"),
    ("log", "Log"),
];

/// The one setting that can be changed on a page.
const MODE: &str = "federation.mode";

#[derive(Template)]
#[template(path = "admin_settings.html")]
struct Settings {
    page: Page,
    mode_chosen: bool,
    sections: Vec<Section>,
}

struct Section {
    name: &'static str,
    title: &'static str,
    settings: Vec<InForce>,
}

impl Settings {
    fn badge(&self, setting: &InForce) -> Badge {
        match setting.origin {
            _ if self.is_chosen(setting) => Badge::ok("A page"),
            Origin::Default => Badge::quiet("Default"),
            Origin::File { .. } => Badge::info("File"),
            Origin::Environment(_) => Badge::warn("Environment"),
            Origin::Flag(_) => Badge::warn("Command line"),
        }
    }

    /// Whether an admin chose the value on a page.
    fn is_chosen(&self, setting: &InForce) -> bool {
        setting.key == MODE && self.mode_chosen
    }

    /// The last part of a key: its section stands above.
    fn short<'a>(&self, setting: &'a InForce) -> &'a str {
        setting.key.split_once('.').map_or(setting.key, |(_, key)| key)
    }

    /// The page on which a value can be changed, of the few that can.
    fn changed_at(&self, setting: &InForce) -> Option<&'static str> {
        (setting.key == MODE && !setting.origin.is_set()).then_some("/admin/policy")
    }
}

pub async fn show(site: Data<Site>, Admin(session): Admin) -> Answer {
    let mut sections: Vec<Section> = Vec::new();
    let mode = site.peers.mode().await?;
    for mut setting in settings::in_force(&site.config) {
        if setting.key == MODE {
            setting.value = mode.as_str().to_owned();
        }
        let name = setting.key.split('.').next().unwrap_or_default();
        match sections.last_mut().filter(|section| section.name == name) {
            Some(section) => section.settings.push(setting),
            None => sections.push(Section {
                name,
                title: title_of(name),
                settings: vec![setting],
            }),
        }
    }
    page::show(&Settings {
        page: Page::of(&site, &session, "settings", "Settings"),
        mode_chosen: site.peers.chosen_mode().await?.is_some(),
        sections,
    })
}

fn title_of(section: &'static str) -> &'static str {
    let known = SECTIONS.iter().find(|(name, _)| *name == section);
    known.map_or(section, |(_, title)| title)
}
