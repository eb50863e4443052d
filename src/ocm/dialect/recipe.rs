//! What the admin of another server has to enter so that it federates with this one: by product, with our values filled
//! in, ready to paste.

use serde::Serialize;
use serde_json::Value;
use serde_json::json;
use url::Url;

use crate::ocm::address::Provider;
use crate::ocm::discovery::API_VERSION;

/// What others have to know of this server.
#[derive(Clone, Copy, Debug)]
pub struct Own<'a> {
    /// `https://cloud.example.org`, without a slash at the end.
    pub origin: &'a str,
    pub provider: &'a Provider,
    /// The server's name, for people.
    pub name: &'a str,
    pub end_point: &'a Url,
    /// With a slash at both ends.
    pub webdav_path: &'a str,
}

/// What to do at a server of one product, and then here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Recipe {
    pub id: &'static str,
    /// The product's name, for people.
    pub product: &'static str,
    /// What about this server itself stands in the way.
    pub warnings: Vec<String>,
    /// The last one is to be done here, all others there.
    pub steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// A sentence or a few.
    pub text: String,
    /// Where the text to paste belongs, if that is a file.
    pub file: Option<&'static str>,
    /// Complete and verbatim, one line or several.
    pub paste: Option<String>,
}

impl Step {
    fn say(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            file: None,
            paste: None,
        }
    }

    fn paste(self, paste: impl Into<String>) -> Self {
        Self {
            paste: Some(paste.into()),
            ..self
        }
    }

    fn in_file(self, file: &'static str) -> Self {
        Self {
            file: Some(file),
            ..self
        }
    }
}

/// One for each product, and the last for whatever follows the draft.
pub fn recipes(own: &Own) -> Vec<Recipe> {
    vec![
        nextcloud(own),
        opencloud(own),
        reva(own),
        owncloud(own),
        seafile(own),
        opencloudmesh_go(own),
        draft(own),
    ]
}

/// The recipe that somebody means by this word.
pub fn named(word: &str) -> Option<&'static str> {
    Some(match word.to_ascii_lowercase().as_str() {
        "nextcloud" => "nextcloud",
        "opencloud" | "ocis" => "opencloud",
        "reva" | "cernbox" => "reva",
        "owncloud" => "owncloud",
        "seafile" => "seafile",
        "opencloudmesh-go" => "opencloudmesh-go",
        "draft" => "draft",
        _ => return None,
    })
}

/// The recipe for servers of this [`Dialect`](super::Dialect), by its id, which may name a version too: `nextcloud-31`.
pub fn for_dialect(id: &str) -> &'static str {
    let families = ["nextcloud", "owncloud"];
    let family = families.into_iter().find(|family| id.starts_with(family));
    family.or_else(|| named(id)).unwrap_or("draft")
}

fn nextcloud(own: &Own) -> Recipe {
    let Own { origin, provider, .. } = own;
    Recipe {
        id: "nextcloud",
        product: "Nextcloud",
        warnings: plain_http(own),
        steps: vec![
            Step::say(format!(
                "Under Administration settings, Sharing, Federated Cloud Sharing, let people send shares to other \
                 servers and receive them. Nothing else has to be entered: who wants to share types the address of a \
                 person here, which ends in @{provider}, into the search field for people."
            )),
            Step::say(
                "See whether that server reaches this one, from its own command line. To its people Nextcloud says \
                 \"could not find … maybe the server is currently unreachable or uses a self-signed certificate\" \
                 whatever went wrong.",
            )
            .paste(format!("curl -fsS {origin}/.well-known/ocm")),
            Step::say(
                "If this server's certificate comes from a private authority, add that to the authorities of the \
                 operating system there. Importing it with occ security:certificates:import is not enough: Nextcloud 32 \
                 was seen to use those for its questions, and not for the shares it sends.",
            ),
            Step::say(
                "Only if this server has an address of a private network, or of the same machine: Nextcloud refuses to \
                 call those until it is told otherwise.",
            )
            .paste("occ config:system:set allow_local_remote_servers --value=true --type=boolean"),
            Step::say(
                "Not needed, but possible: add this server under Trusted servers. Nextcloud can then accept its shares \
                 by itself, and Nextcloud 35 does not limit how many come. The mark beside it stays yellow, because \
                 this server does not hand out its address book.",
            )
            .paste(*origin),
            here(
                "Nextcloud up to 30 never signs, so federation.require_signatures must not be on for it; 31 and later \
                 sign. Its people can exchange invites only where its Contacts app does; elsewhere an allow rule it is.",
            ),
        ],
    }
}

fn opencloud(own: &Own) -> Recipe {
    let mut warnings = plain_http(own);
    if own.provider.ip().is_some() || own.provider.port().is_some() {
        warnings.push(format!(
            "Give this server a name without a port before you connect the two: a domain such as {} is taken at the \
             invite, and afterwards every share may fail with status 500, because OpenCloud cannot read its own note of \
             it. An IP address with a port always does that.",
            own.provider
        ));
    }
    let entry = entry(
        own,
        &format!("{}:{}", own.provider.host(), port(own)),
        json!({
            "type": {"name": "OCM"},
            "name": format!("{} - OCM API", own.provider),
            "path": with_slash(own.end_point),
        }),
    );
    Recipe {
        id: "opencloud",
        product: "OpenCloud and oCIS",
        warnings,
        steps: vec![
            Step::say(
                "OpenCloud: switch OCM on in its environment, and the app \"ocm\" in the configuration of the web \
                 interface. Older releases do not start the service without the last of these lines.",
            )
            .paste("OC_ENABLE_OCM=true\nGRAPH_INCLUDE_OCM_SHAREES=true\nOC_ADD_RUN_SERVICES=ocm"),
            Step::say(
                "For oCIS (ownCloud Infinite Scale), switch OCM on in its environment. To share with others, its setting \
                 enable_user_sharing must be on too.",
            )
            .paste("OCIS_ENABLE_OCM=true\nOCIS_ADD_RUN_SERVICES=ocm"),
            Step::say(
                "Add this entry to the list of servers that it deals with: a file in its configuration directory, or \
                 where OCM_OCM_PROVIDER_AUTHORIZER_PROVIDERS_FILE says. The file is one JSON list, and that server must \
                 stand in it as well, with an entry of the same form for itself.",
            )
            .in_file("ocmproviders.json")
            .paste(pretty(&entry)),
            Step::say(
                "Restart it: the file is read at the start only. If it still answers this server with 401 or 403, see \
                 whether VERIFY_REQUEST_HOSTNAME of its provider authorizer is on. That has to be off, unless this \
                 server's requests leave from an address that its name has.",
            ),
            here(
                "Neither ever signs, so federation.require_signatures must not be on. Their people find yours among \
                 accepted contacts only, so the way to begin is an invite; it lasts there for 24 hours.",
            ),
        ],
    }
}

fn reva(own: &Own) -> Recipe {
    let entry = entry(
        own,
        own.provider.host(),
        json!({
            "type": {"name": "OCM"},
            "name": format!("{} - OCM API", own.provider),
            "path": with_slash(own.end_point),
            "is_monitored": false,
        }),
    );
    Recipe {
        id: "reva",
        product: "reva (CERNBox)",
        warnings: plain_http(own),
        steps: vec![
            Step::say(
                "With the driver \"json\" of ocmproviderauthorizer, add this entry to its list of servers: one JSON \
                 list, in which that server must stand as well. With \"mentix\" the list comes from a URL: give the entry to \
                 whoever keeps it. With \"open\" there is nothing to enter.",
            )
            .in_file("ocm-providers.json")
            .paste(pretty(&entry)),
            Step::say(format!(
                "With verify_request_hostname = true, reva looks up the addresses of {} once, and answers 401 to \
                 whatever comes from any other. So this server's requests must leave from an address that its name has, \
                 over IPv4 and IPv6 alike; where they do not (NAT, an outbound proxy), switch that off. The host in the \
                 entry has no port, because reva looks it up as it stands.",
                own.provider.host()
            )),
            Step::say("Restart revad, so that it reads the list and forgets the addresses that it has looked up."),
            here(
                "reva never signs, so federation.require_signatures must not be on. It takes shares from accepted \
                 contacts only, so one of your people and one of theirs have to exchange an invite, unless its \
                 auto_accept_providers names this server.",
            ),
        ],
    }
}

fn owncloud(own: &Own) -> Recipe {
    let Own { origin, provider, .. } = own;
    Recipe {
        id: "owncloud",
        product: "ownCloud 10 and 11",
        warnings: plain_http(own),
        steps: vec![
            Step::say(format!(
                "Under Settings, Admin, Sharing, Federated Cloud Sharing, let people send shares to other servers and \
                 receive them. Who wants to share types the address of a person here, which ends in @{provider}, \
                 without a scheme."
            )),
            Step::say(
                "Not needed, but possible: add this server to the trusted servers, there or on the command line, so \
                 that ownCloud can accept its shares by itself. The mark beside it stays yellow, because this server \
                 does not hand out its address book.",
            )
            .paste(format!("occ federation:trusted-servers:add {origin}")),
            Step::say(
                "Only if this server is reached over plain http, for a trial: ownCloud tries https alone until it is \
                 told otherwise.",
            )
            .paste("occ config:system:set sharing.federation.allowHttpFallback --value=true --type=boolean"),
            here_by_rule(""),
        ],
    }
}

fn seafile(own: &Own) -> Recipe {
    let servers = json!([{"server_name": own.name, "server_url": format!("{}/", own.origin)}]);
    Recipe {
        id: "seafile",
        product: "Seafile",
        warnings: plain_http(own),
        steps: vec![
            Step::say(
                "Switch on sharing over WebDAV, and restart Seahub. The other OCM of Seafile (ENABLE_OCM) is for \
                 libraries between Seafile servers and does not concern this one.",
            )
            .in_file("seahub_settings.py")
            .paste("ENABLE_OCM_VIA_WEBDAV = True"),
            Step::say(
                "Only to share from there: list this server, or add it to the list that is there already. In the \
                 sources that we read, that direction was a prototype with host names of its makers in it; do not count \
                 on it.",
            )
            .in_file("seahub_settings.py")
            .paste(format!("OCM_VIA_WEBDAV_REMOTE_SERVERS = {}", pretty(&servers))),
            Step::say(format!(
                "Seafile asks {} back while it is being shared with, always over https, so it must reach this server \
                 and trust its certificate.",
                own.provider
            ))
            .paste(format!("curl -fsS {}/.well-known/ocm", own.origin)),
            here_by_rule(" Its people can read what is shared with them, and not write."),
        ],
    }
}

fn opencloudmesh_go(own: &Own) -> Recipe {
    Recipe {
        id: "opencloudmesh-go",
        product: "opencloudmesh-go",
        warnings: plain_http(own),
        steps: vec![
            Step::say(
                "Only if [peer_trust] is enabled there: add this to its allow_list, letter by letter, or have this \
                 server listed by a Directory Service that it follows.",
            )
            .paste(own.provider.to_string()),
            Step::say(
                "This server must have a public address and a certificate that is valid there. For a closed network, \
                 [outbound_http] needs a route policy with the suffix of its host name, its addresses and its port.",
            ),
            Step::say(
                "Exchange an invite first: it takes shares from the person who accepted it, and from nobody else on the \
                 same server.",
            ),
            here(
                "It signs always and demands the same, so signatures may be required of it. Share single files, for \
                 reading: folders and writing are refused there.",
            ),
        ],
    }
}

fn draft(own: &Own) -> Recipe {
    let Own { origin, provider, .. } = own;
    Recipe {
        id: "draft",
        product: "Any other server of the draft",
        warnings: plain_http(own),
        steps: vec![
            Step::say(
                "Nothing has to be entered where servers find each other by discovery. If there is a list of allowed \
                 servers, this is the name to put there.",
            )
            .paste(provider.to_string()),
            Step::say("Where an address is asked for instead, it is the one of the discovery document.")
                .paste(format!("{origin}/.well-known/ocm")),
            Step::say(format!(
                "It says everything else: that the API is at {} and shared files are at {}, and which keys this server \
                 signs with.",
                own.end_point,
                format_args!("{origin}{}", own.webdav_path)
            )),
            here(
                "A server that announces http-sig is held to it. For one that never signs, federation.require_signatures \
                 must not be on.",
            ),
        ],
    }
}

/// What is to be done at this server, which is much the same for all.
fn here(more: &str) -> Step {
    Step::say(format!(
        "Here: allow it by its host name (ocmesh peer allow, or the trust list), or let one of your people exchange an \
         invite with one of theirs. Signatures: if advertised. {more}"
    ))
}

/// The same for products without invites, which never sign either.
fn here_by_rule(more: &str) -> Step {
    Step::say(format!(
        "Here: allow it by its host name (ocmesh peer allow, or the trust list); it knows no invites. Signatures: if \
         advertised. It never signs, so federation.require_signatures must not be on.{more}"
    ))
}

fn plain_http(own: &Own) -> Vec<String> {
    if own.origin.starts_with("https://") {
        return Vec::new();
    }
    vec![format!(
        "{} is not https, which does for a trial on one machine: nearly all servers ask others over https only.",
        own.origin
    )]
}

/// An entry of the lists that reva and its descendants keep.
fn entry(own: &Own, host: &str, end_point: Value) -> Value {
    json!({
        "name": own.provider.to_string(),
        "full_name": own.name,
        "organization": own.name,
        "domain": own.provider.to_string(),
        "homepage": own.origin,
        "description": format!("Open Cloud Mesh at {}", own.provider),
        "services": [{"endpoint": end_point, "api_version": API_VERSION, "host": host}],
    })
}

fn port(own: &Own) -> u16 {
    own.end_point.port_or_known_default().unwrap_or(443)
}

/// They append to it as it is.
fn with_slash(url: &Url) -> String {
    format!("{}/", url.as_str().trim_end_matches('/'))
}

fn pretty(value: &Value) -> String {
    format!("{value:#}")
}
