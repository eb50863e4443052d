//! What the stand-ins say: the fixtures, with the names of the servers that are really there.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ocmesh::ocm::address::Provider;
use ocmesh::ocm::dialect::cavage::RsaSigningKey;
use serde_json::Value;
use serde_json::json;

use super::Kind;

/// The one invite that each of them has.
pub const TOKEN: &str = "a55a966e-15c1-4cb9-a39d-4e4c54399baf";
/// Of the person at OpenCloud.
const UUID: &str = "4c510ada-c86b-4815-8820-42cdf82c3d51";

/// A fixture in the name of `theirs` instead of the name that stands in it.
pub fn fixture(name: &str, theirs: &Provider, ours: Option<&Provider>) -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    let mut text = fs::read_to_string(file).unwrap().replace(".org:8434", ".org");
    let people = [
        (
            STANDARD.encode(format!("{UUID}@https://oc.example.org")),
            STANDARD.encode(format!("{UUID}@https://{theirs}")),
        ),
        (
            URL_SAFE_NO_PAD.encode("0198f1c0@go.example.org"),
            URL_SAFE_NO_PAD.encode(format!("0198f1c0@{theirs}")),
        ),
    ];
    for (from, to) in people {
        text = text.replace(&from, &to);
    }
    for host in ["cloud", "oc", "seafile", "cernbox", "ocis", "go"] {
        let host = format!("{host}.example.org");
        // What is followed is http here; what only names somebody stays as it is.
        text = text.replace(&format!("\"https://{host}/"), &format!("\"http://{theirs}/"));
        text = text.replace(&host, &theirs.to_string());
    }
    if let Some(ours) = ours {
        text = text.replace("our.example.org", &ours.to_string());
    }
    serde_json::from_str(&text).unwrap()
}

/// The id of its user, as it calls her towards others.
pub fn user_id(kind: Kind, host: &Provider) -> String {
    match kind {
        Kind::Owncloud10 => "carol".to_owned(),
        Kind::Seafile => "erin".to_owned(),
        Kind::Reva => "einstein".to_owned(),
        Kind::Opencloud2025 => STANDARD.encode(format!("{UUID}@https://{host}")),
        Kind::Opencloud2026 => format!("{UUID}@https://{host}"),
        Kind::Ocis => format!("058bff95@{host}"),
        Kind::OpencloudmeshGo => URL_SAFE_NO_PAD.encode(format!("0198f1c0@{host}")),
        _ => "alice".to_owned(),
    }
}

/// Her address, as it stands in an address book here.
pub fn address(kind: Kind, host: &Provider) -> String {
    let id = user_id(kind, host);
    let id = id.split('@').next().unwrap();
    format!("{id}@{host}")
}

/// Her id as it must stand before the last `@` of `shareWith`.
pub fn recipient(kind: Kind, host: &Provider) -> Vec<String> {
    match kind {
        // It does not find her by the form that it sends.
        Kind::Opencloud2025 => vec![UUID.to_owned(), format!("{UUID}@https://{host}")],
        Kind::Opencloud2026 => vec![UUID.to_owned(), format!("{UUID}@https://{host}")],
        Kind::Ocis => vec!["058bff95".to_owned(), format!("058bff95@{host}")],
        _ => vec![user_id(kind, host)],
    }
}

pub fn invite(kind: Kind) -> &'static str {
    match kind {
        Kind::Reva => "reva/invite-3.12.json",
        Kind::Opencloud2025 => "opencloud/invite-2025.json",
        Kind::Opencloud2026 => "opencloud/invite-2026.json",
        Kind::Ocis => "ocis/invite-7.json",
        Kind::OpencloudmeshGo => "opencloudmesh-go/invite-1.2.json",
        Kind::Nextcloud34 | Kind::Nextcloud35 => "nextcloud/invite-34.json",
        _ => "nextcloud/invite-32.json",
    }
}

/// A share as it sends one. What Nextcloud and its kin call a file may well be a folder.
pub fn share(kind: Kind, theirs: &Provider, ours: &Provider, user: &str, folder: bool) -> Value {
    let name = match kind {
        Kind::Nextcloud20 | Kind::Nextcloud28 => "nextcloud/share-20.json",
        Kind::Nextcloud31 => "nextcloud/share-31.json",
        Kind::Nextcloud32 | Kind::Nextcloud34 => "nextcloud/share-34.json",
        Kind::Nextcloud35 => "nextcloud/share-35-token.json",
        Kind::Owncloud10 => "owncloud/share-10.json",
        Kind::Seafile => "seafile/share-webdav.json",
        Kind::Reva => "reva/share-3.12.json",
        Kind::Opencloud2025 => "opencloud/share-2025.json",
        Kind::Opencloud2026 => "opencloud/share-2026.json",
        Kind::Ocis => "ocis/share-7.json",
        Kind::OpencloudmeshGo => "opencloudmesh-go/share-1.2.json",
    };
    let mut share = fixture(name, theirs, Some(ours));
    let with = share["shareWith"].as_str().unwrap();
    share["shareWith"] = json!(with.replacen("bob@", &format!("{user}@"), 1));
    // Nobody passes on what is another's.
    for field in ["sharedBy", "sender"] {
        if share[field].is_string() {
            share[field] = share["owner"].clone();
        }
    }
    share["name"] = json!(if folder { "Proj" } else { "hello.txt" });
    share["resourceType"] = json!(if folder && !kind.is_php() { "folder" } else { "file" });
    let number = if folder { 41 } else { 40 };
    let was = share["providerId"].clone();
    let id = match &was {
        Value::Number(_) => json!(number),
        Value::String(text) if text.parse::<u32>().is_ok() => json!(number.to_string()),
        text => json!(format!("{}-{number}", text.as_str().unwrap())),
    };
    let webdav = &mut share["protocol"]["webdav"];
    for key in ["uri", "url"] {
        if let (Some(old), Some(new), Some(uri)) = (was.as_str(), id.as_str(), webdav[key].as_str().map(str::to_owned))
        {
            // Only at its end, where the id stands: the same digits may be part of a port.
            webdav[key] = json!(uri.strip_suffix(old).map_or(uri.clone(), |root| format!("{root}{new}")));
        }
    }
    if webdav.is_null() {
        share["protocol"].as_object_mut().unwrap().remove("webdav");
    } else {
        webdav.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    }
    // Each share has a secret of its own.
    let mark = if folder { "Folder" } else { "File" };
    for at in ["options", "webdav"] {
        if let Some(secret) = share["protocol"][at]["sharedSecret"].as_str() {
            let secret = format!("{mark}{secret}");
            share["protocol"][at]["sharedSecret"] = json!(secret);
        }
    }
    share["providerId"] = id;
    share
}

/// The documents of Nextcloud; each version says a little more.
pub fn nextcloud_document(kind: Kind, host: &Provider, rsa: &RsaSigningKey) -> Value {
    let mut document = json!({
        "enabled": true,
        "apiVersion": "1.0-proposal1",
        "endPoint": format!("http://{host}{}", kind.api()),
        "resourceTypes": [
            { "name": "file", "shareTypes": ["user", "group"], "protocols": { "webdav": "/public.php/webdav/" } }
        ],
    });
    if kind >= Kind::Nextcloud31 {
        document["version"] = json!("1.1.0");
        document["publicKey"] = json!({ "keyId": rsa.key_id(), "publicKeyPem": rsa.public_pem() });
    }
    match kind {
        Kind::Nextcloud32 => document["capabilities"] = json!(["/invite-accepted", "/notifications", "/shares"]),
        Kind::Nextcloud34 => {
            document["provider"] = json!("Nextcloud 34.0.1.2");
            document["capabilities"] = json!(["invite-accepted", "notifications", "shares"]);
        }
        Kind::Nextcloud35 => {
            document["provider"] = json!("Nextcloud 35.0.0.1");
            document["version"] = json!("1.1.2");
            document["capabilities"] = json!(["notifications", "shares", "exchange-token", "http-sig"]);
            document["tokenEndPoint"] = json!(format!("http://{host}/apps/cloud_federation_api/api/v1/access-token"));
        }
        _ => {}
    }
    document
}
