//! What each product makes of what it gets, and what it answers.

use std::sync::atomic::Ordering;
use std::time::UNIX_EPOCH;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ocmesh::clock::Timestamp;
use ocmesh::ocm::dialect::cavage;
use ocmesh::ocm::dialect::cavage::PublicKeyPem;
use ocmesh::ocm::jwks::JwkSet;
use ocmesh::ocm::signature;
use ocmesh::ocm::signature::Window;
use reqwest::Method;
use serde_json::Value;
use serde_json::json;

use super::Form;
use super::Judged;
use super::Kind;
use super::State;
use super::words;
use crate::harness::Recorded;
use crate::harness::Reply;
use crate::harness::http;

/// A refusal, or what it answers and what will go wrong all the same.
type Verdict = Result<(u16, Value, Vec<String>), (u16, String)>;

pub async fn judge(state: &State, what: &str, request: &Recorded) -> Reply {
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let verdict = match check_signature(state, request).await {
        Ok(signer) => match what {
            "shares" => shares(state, &body, signer.as_deref(), request).await,
            "notifications" => notifications(state, &body),
            _ => invite_accepted(state, &body),
        },
        Err(refusal) => Err(refusal),
    };
    let (status, answer, flaws) = match verdict {
        Ok(good) => good,
        Err((status, why)) => (status, json!({ "message": why, "validationErrors": [] }), vec![why]),
    };
    state.judged.lock().unwrap().push(Judged {
        what: what.to_owned(),
        status,
        flaws,
        body,
    });
    if matches!(state.kind, Kind::Opencloud2025 | Kind::Opencloud2026 | Kind::Ocis) && status == 200 {
        return Reply {
            status,
            headers: vec![("content-type".to_owned(), "text/plain; charset=utf-8".to_owned())],
            body: answer.to_string().into_bytes(),
        };
    }
    Reply::json(status, answer)
}

/// The server that signed; none where nobody has to.
async fn check_signature(state: &State, request: &Recorded) -> Result<Option<String>, (u16, String)> {
    let headers = &request.headers;
    let (new, old) = (
        headers.contains_key("signature-input"),
        headers.contains_key("signature"),
    );
    let bad = |why: &str| Err((400, format!("Invalid signature: {why}")));
    let lines: Vec<(String, Vec<u8>)> = headers
        .iter()
        .map(|(name, value)| (name.clone(), value.clone().into_bytes()))
        .collect();
    let url = format!("http://{}{}", state.provider, request.path);
    let received = signature::Request {
        method: &request.method,
        target_uri: &url,
        headers: &lines,
        body: &request.body,
    };
    match state.kind.form() {
        // Nothing is looked at; but a server that can't know what it is for is sent none.
        Form::Unsigned if old || new => bad("nobody asked for one"),
        Form::Unsigned => Ok(None),
        Form::Cavage if new || headers.contains_key("content-digest") => bad("two forms at once"),
        Form::Cavage if !old && state.pinned.load(Ordering::SeqCst) => {
            Err((400, "instance is supposed to sign its request".to_owned()))
        }
        Form::Cavage if !old => Ok(None),
        Form::Cavage => {
            let text = &headers["signature"];
            let shape =
                "\",algorithm=\"rsa-sha512\",headers=\"(request-target) content-length date digest host\",signature=\"";
            if !text.starts_with("keyId=\"http") || !text.contains(shape) || text.contains(", ") {
                return bad(text);
            }
            let unverified = match cavage::Unverified::read(&received) {
                Ok(Some(unverified)) => unverified,
                other => return bad(&format!("{other:?}")),
            };
            let signer = unverified.signer().to_string();
            let document = document(&signer, "/ocm-provider/").await?;
            let key = &document["publicKey"];
            if key["keyId"] != unverified.keyid() || document["apiVersion"] != "1.0-proposal1" {
                return bad("keyId from signatory not related to the one from request");
            }
            let pem = key["publicKeyPem"].as_str().unwrap();
            let key = PublicKeyPem::read(unverified.keyid(), pem).unwrap();
            let now = unverified.date();
            match unverified.check(&received, now, &Window::default(), &key) {
                Ok(_) => {
                    state.pinned.store(true, Ordering::SeqCst);
                    Ok(Some(signer))
                }
                Err(error) => bad(&error.to_string()),
            }
        }
        Form::Rfc9421 if !new => Err((401, "signature required".to_owned())),
        Form::Rfc9421 if headers.contains_key("digest") => bad("two forms at once"),
        Form::Rfc9421 => {
            let unverified = match signature::Unverified::read(&received) {
                Ok(Some(unverified)) => unverified,
                other => return Err((401, format!("signature required: {other:?}"))),
            };
            let signer = unverified.signer().unwrap().to_string();
            let discovery = document(&signer, "/.well-known/ocm").await?;
            let at = discovery["jwksUri"]
                .as_str()
                .expect("it signs, so it says where its keys are");
            let keys = http().get(at).send().await.unwrap().bytes().await.unwrap();
            let keys = JwkSet::parse(&keys).unwrap();
            let Some(key) = keys.find(unverified.keyid()) else {
                return Err((401, "signature key not found".to_owned()));
            };
            let now = unverified.created();
            match unverified.check(&received, now, &Window::default(), key) {
                Ok(_) => Ok(Some(signer)),
                Err(error) => Err((401, format!("signature verification failed: {error}"))),
            }
        }
    }
}

async fn document(host: &str, path: &str) -> Result<Value, (u16, String)> {
    let answer = http().get(format!("http://{host}{path}")).send().await;
    let answer = answer.map_err(|error| (400, error.to_string()))?;
    let body = answer.bytes().await.map_err(|error| (400, error.to_string()))?;
    serde_json::from_slice(&body).map_err(|error| (400, error.to_string()))
}

/// What Nextcloud 35 does with the secret of a share before it says that it took it.
pub async fn nextcloud_token(state: &State, at: &str, secret: &str, now: Timestamp) -> Result<String, String> {
    let form = format!(
        "grant_type=authorization_code&client_id={}&code={secret}",
        state.provider
    );
    let mut request = http()
        .post(at)
        .header("content-type", "application/x-www-form-urlencoded");
    for (name, value) in state.sign_es256(at, form.as_bytes(), now) {
        request = request.header(name, value);
    }
    let answer = request.body(form).send().await.map_err(|error| error.to_string())?;
    let answer = answer.text().await.map_err(|error| error.to_string())?;
    let token: Value = serde_json::from_str(&answer).map_err(|error| error.to_string())?;
    token["access_token"].as_str().map(str::to_owned).ok_or(answer)
}

fn text<'a>(body: &'a Value, field: &str) -> &'a str {
    body[field].as_str().unwrap_or_default()
}

async fn shares(state: &State, body: &Value, signer: Option<&str>, request: &Recorded) -> Verdict {
    let (kind, protocol) = (state.kind, &body["protocol"]);
    let refuse = |status: u16, why: &str| Err((status, why.to_owned()));
    if request.headers.get("content-type").map(String::as_str) != Some("application/json") {
        return refuse(400, "content type");
    }
    let with = text(body, "shareWith");
    let Some((recipient, _)) = with.rsplit_once('@') else {
        return refuse(if kind == Kind::Owncloud10 { 400 } else { 500 }, "bare shareWith");
    };
    let known = |recipient: &str| words::recipient(kind, &state.provider).iter().any(|id| id == recipient);
    let mut flaws = Vec::new();
    let mut flaw = |is: bool, what: &str| {
        if is {
            flaws.push(what.to_owned());
        }
    };
    let sender_host = |field: &str| {
        let address = text(body, field);
        let host = address.rsplit_once('@').map_or("", |(_, host)| host);
        host.rsplit("://").next().unwrap_or_default().to_owned()
    };
    if kind.is_php() {
        let multi = text(protocol, "name") == "multi";
        let options = &protocol["options"];
        if !(kind == Kind::Nextcloud35 && multi) {
            for missing in ["shareWith", "name", "providerId", "owner", "resourceType", "shareType"] {
                if body[missing].is_null() {
                    return refuse(400, "Missing arguments");
                }
            }
            if options["sharedSecret"].as_str().is_none() {
                return refuse(400, "Missing arguments");
            }
            if text(protocol, "name") != "webdav" {
                return refuse(501, "Unsupported protocol for data exchange.");
            }
        }
        let kinds: &[&str] = if kind >= Kind::Nextcloud34 && kind.is_nextcloud() {
            &["file", "folder"]
        } else {
            &["file"]
        };
        if !kinds.contains(&text(body, "resourceType")) {
            return refuse(501, "Server doesn't support sharing of this kind of resource.");
        }
        if text(body, "shareType") != "user" || text(body, "name").contains('/') {
            return refuse(501, "not supported");
        }
        if !text(body, "owner").contains('@') {
            return refuse(400, "owner");
        }
        if signer.is_some_and(|signer| signer != sender_host("owner")) {
            return refuse(400, "share initiation from different instance");
        }
        let secret = [options, &protocol["webdav"]]
            .iter()
            .find_map(|at| at["sharedSecret"].as_str())
            .unwrap_or_default();
        flaw(
            secret.len() > 64 || !secret.bytes().all(|b| b.is_ascii_alphanumeric()),
            "sharedSecret",
        );
        flaw(text(body, "ownerDisplayName").chars().count() > 64, "ownerDisplayName");
        flaw(
            text(body, "providerId").parse::<u64>().is_err(),
            "providerId is no number",
        );
        flaw(!body["description"].is_string(), "description");
        flaw(text(body, "sender").is_empty(), "sender");
        flaw(!multi && text(body, "sharedBy").is_empty(), "sharedBy");
        if kind == Kind::Seafile {
            return seafile(state, body, flaws).await;
        }
        if !known(&recipient.to_lowercase()) {
            return Err((
                400,
                format!("User \"{recipient}\" does not exists at {}", state.provider),
            ));
        }
        let from = document(&sender_host("owner"), "/.well-known/ocm").await?;
        let exchanges = from["capabilities"]
            .as_array()
            .unwrap()
            .contains(&json!("exchange-token"));
        if kind == Kind::Nextcloud35 && exchanges {
            let at = from["tokenEndPoint"].as_str().unwrap();
            // By its clock, which is right: the time of the message.
            let date = httpdate::parse_http_date(&request.headers["date"]).unwrap();
            let now = date.duration_since(UNIX_EPOCH).unwrap().as_secs();
            let token = nextcloud_token(state, at, secret, Timestamp(i64::try_from(now).unwrap())).await;
            if let Err(why) = token {
                return Err((400, format!("no token for it: {why}")));
            }
        }
        return Ok(match kind {
            Kind::Owncloud10 => (201, json!([]), flaws),
            _ => (
                201,
                json!({ "recipientDisplayName": "alice", "recipientUserId": "alice" }),
                flaws,
            ),
        });
    }
    let required = [
        "shareWith",
        "name",
        "providerId",
        "owner",
        "sender",
        "shareType",
        "resourceType",
    ];
    if required.iter().any(|field| text(body, field).is_empty()) || !protocol.is_object() {
        return refuse(400, "MISSING_REQUIRED_FIELDS");
    }
    let strange = |key: &str| !matches!(key, "name" | "options" | "webdav" | "webapp" | "embedded");
    let options = protocol["options"]
        .as_object()
        .is_some_and(|options| !options.is_empty());
    if options || protocol.as_object().unwrap().keys().any(|key| strange(key)) {
        return refuse(
            if kind == Kind::OpencloudmeshGo { 501 } else { 400 },
            "protocol not recognised",
        );
    }
    let webdav = &protocol["webdav"];
    let permissions = webdav["permissions"].as_array().cloned().unwrap_or_default();
    let ours = ["read", "write", "share"];
    if text(webdav, "sharedSecret").is_empty()
        || permissions.is_empty()
        || permissions
            .iter()
            .any(|word| !ours.contains(&word.as_str().unwrap_or_default()))
    {
        return refuse(400, "webdav");
    }
    if text(body, "shareType") != "user" || !matches!(text(body, "resourceType"), "file" | "folder") {
        return refuse(if kind == Kind::OpencloudmeshGo { 501 } else { 400 }, "kind");
    }
    let from = sender_host("sender");
    let requirements = webdav["requirements"].as_array().cloned().unwrap_or_default();
    let absolute = |field: &str| text(webdav, field).starts_with(&format!("http://{from}/"));
    let friend = state.friends.lock().unwrap().contains(&from);
    match kind {
        Kind::OpencloudmeshGo => {
            if from != sender_host("owner") || signer != Some(&from) {
                return refuse(403, "UNTRUSTED_PROVIDER");
            }
            if !friend {
                return refuse(403, "SENDER_NOT_TRUSTED");
            }
            if text(body, "resourceType") != "file" {
                return refuse(501, "RESOURCE_TYPE_NOT_SUPPORTED");
            }
            if permissions != [json!("read")] || requirements != [json!("must-exchange-token")] {
                return refuse(501, "PROTOCOL_NOT_SUPPORTED");
            }
            let uri = text(webdav, "uri");
            flaw(
                uri.is_empty() || uri.starts_with('/') || uri.contains("://"),
                "uri is not relative",
            );
        }
        Kind::Reva => {
            if requirements.iter().any(|word| word != "must-exchange-token") {
                return refuse(400, "requirements");
            }
            let document = document(&from, "/.well-known/ocm").await?;
            let entries = document["resourceTypes"].as_array().unwrap();
            let named = entries.iter().find(|entry| entry["name"] == body["resourceType"]);
            if named.is_none_or(|entry| !entry["protocols"]["webdav"].is_string()) {
                return refuse(400, "the sender does not list this resource type");
            }
            if !friend {
                return refuse(401, "not an accepted contact");
            }
            flaw(!absolute("uri"), "uri");
        }
        Kind::Ocis => {
            if !friend {
                return refuse(401, "no accepted invite for this sender");
            }
            if !absolute("uri") {
                return refuse(400, "uri");
            }
        }
        Kind::Opencloud2025 => flaw(!absolute("url"), "url: never shown"),
        _ => flaw(!absolute("uri") && !absolute("url"), "uri"),
    }
    if !known(recipient) {
        return refuse(404, "user not found");
    }
    Ok(match kind {
        Kind::OpencloudmeshGo => (201, json!({ "recipientDisplayName": "Eve" }), flaws),
        Kind::Reva => (201, json!({}), flaws),
        _ => (200, json!({}), flaws),
    })
}

/// It looks at the share before it answers; what it can't open is a failure, although it has kept it.
async fn seafile(state: &State, body: &Value, flaws: Vec<String>) -> Verdict {
    let with = text(body, "shareWith");
    let options = &body["protocol"]["options"];
    if !with.contains("https://") {
        return Err((404, "user not found".to_owned()));
    }
    let user = with.split("http").next().unwrap_or_default().trim_end_matches('@');
    if user != words::user_id(state.kind, &state.provider) {
        return Err((404, "user not found".to_owned()));
    }
    if text(options, "permissions").is_empty() {
        return Err((500, "permissions cannot be null".to_owned()));
    }
    let shared_by = text(body, "sharedBy");
    let host = shared_by.rsplit_once('@').map_or("", |(_, host)| host);
    let document = document(host, "/ocm-provider/").await?;
    let first = &document["resourceTypes"][0];
    let root = first["protocols"]["webdav"].as_str().unwrap_or_default();
    let url = format!("http://{host}/{}", root.trim_start_matches('/'));
    let secret = text(options, "sharedSecret");
    let padded = format!("{secret}{}", ":".repeat(4 - secret.len() % 4));
    let answer = http()
        .request(Method::from_bytes(b"PROPFIND").unwrap(), url)
        .header("authorization", format!("Basic {}", STANDARD.encode(padded)))
        .send()
        .await
        .map_err(|error| (501, error.to_string()))?;
    let status = answer.status();
    let listing = answer.text().await.unwrap();
    let dated = listing.matches("getlastmodified>").count() >= 2 * listing.matches("<d:response>").count();
    if first["name"] != "file" || status != 207 || !dated {
        return Err((501, format!("the share can't be opened: {status} {listing}")));
    }
    Ok((201, json!({ "recipientDisplayName": "Erin" }), flaws))
}

fn notifications(state: &State, body: &Value) -> Verdict {
    let (kind, inner) = (state.kind, &body["notification"]);
    let (what, id, secret) = (
        text(body, "notificationType"),
        text(body, "providerId"),
        text(inner, "sharedSecret"),
    );
    let refuse = |status: u16, why: &str| Err((status, why.to_owned()));
    let given = state.given.lock().unwrap().clone();
    let is_theirs = |by_secret: bool| {
        given
            .iter()
            .any(|given| given.provider_id == id && (!by_secret || given.secret == secret))
    };
    let judged = state.judged.lock().unwrap();
    let taken = judged
        .iter()
        .filter(|judged| judged.what == "shares" && judged.status < 300);
    let is_ours = |by_secret: bool| {
        let holds = |body: &Value| {
            let protocol = &body["protocol"];
            ["options", "webdav"]
                .iter()
                .any(|at| protocol[at]["sharedSecret"] == secret)
        };
        taken
            .clone()
            .any(|judged| judged.body["providerId"] == id && (!by_secret || holds(&judged.body)))
    };
    match kind {
        Kind::Seafile => match what {
            "SHARE_UNSHARED" if is_ours(true) => Ok((201, json!({}), Vec::new())),
            "SHARE_ACCEPTED" | "SHARE_DECLINED" if is_theirs(true) => Ok((201, json!({}), Vec::new())),
            _ => refuse(400, "no such share"),
        },
        Kind::Reva | Kind::Opencloud2025 | Kind::Opencloud2026 => Ok((201, json!({}), Vec::new())),
        Kind::Ocis => {
            if !inner.is_object() {
                return refuse(500, "panic");
            }
            let grantee = words::user_id(kind, &state.provider);
            match what {
                "SHARE_UNSHARED" if text(inner, "grantee") == grantee => Ok((201, json!({}), Vec::new())),
                _ => refuse(400, "not supported"),
            }
        }
        Kind::OpencloudmeshGo => {
            let unknown = match what {
                "SHARE_ACCEPTED" | "SHARE_DECLINED" => !is_theirs(false),
                "SHARE_UNSHARED" => !is_ours(false) && !is_theirs(false),
                _ => return refuse(400, "INVALID_NOTIFICATION_REQUEST"),
            };
            if unknown {
                return refuse(404, "SHARE_NOT_FOUND");
            }
            let leaks = !text(inner, "sharedSecret").is_empty();
            let flaws = leaks.then(|| "a secret that nobody asked for".to_owned());
            Ok((200, json!({ "status": "ok" }), flaws.into_iter().collect()))
        }
        _ => {
            if !inner.is_object() {
                return refuse(400, "Missing arguments");
            }
            if inner["sharedSecret"].is_null() {
                return refuse(if kind <= Kind::Nextcloud28 { 500 } else { 503 }, "sharedSecret");
            }
            let kinds: &[&str] = if kind >= Kind::Nextcloud34 && kind.is_nextcloud() {
                &["file", "folder"]
            } else {
                &["file"]
            };
            if !kinds.contains(&text(body, "resourceType")) {
                return refuse(400, "resourceType NOT_FOUND");
            }
            match what {
                "SHARE_ACCEPTED" | "SHARE_DECLINED" if is_theirs(true) => {}
                "SHARE_UNSHARED" if is_ours(true) => {}
                "SHARE_ACCEPTED" | "SHARE_DECLINED" | "SHARE_UNSHARED" => {
                    return refuse(400, "entry  does not contain @");
                }
                _ if kind == Kind::Owncloud10 => return refuse(501, "not supported"),
                _ => return refuse(400, "NOT_FOUND"),
            }
            Ok((201, json!([]), Vec::new()))
        }
    }
}

fn invite_accepted(state: &State, body: &Value) -> Verdict {
    let (kind, host) = (state.kind, &state.provider);
    let refuse = |status: u16, why: &str| Err((status, why.to_owned()));
    let user_id = if kind == Kind::Nextcloud32 { "userId" } else { "userID" };
    let required = match kind {
        Kind::Nextcloud32 | Kind::Nextcloud34 | Kind::OpencloudmeshGo => {
            &["recipientProvider", "token", user_id, "email", "name"][..]
        }
        _ => &["recipientProvider", "token", user_id],
    };
    if required.iter().any(|field| !body[field].is_string()) {
        return refuse(if kind <= Kind::Nextcloud35 { 500 } else { 400 }, "a field is missing");
    }
    if !kind.invites() {
        return refuse(404, "no such route");
    }
    if text(body, "token") != words::TOKEN {
        let opencloud = matches!(kind, Kind::Opencloud2025 | Kind::Opencloud2026 | Kind::Ocis);
        return refuse(if opencloud { 404 } else { 400 }, "TOKEN_INVALID");
    }
    let identity = json!({
        "userID": words::user_id(kind, host), "email": "someone@mail.example", "name": "Someone There",
    });
    let again = state.invite_used.swap(true, Ordering::SeqCst);
    let by = text(body, "recipientProvider").to_owned();
    state.friends.lock().unwrap().push(by);
    match kind {
        _ if !again => Ok((200, identity, Vec::new())),
        Kind::Nextcloud32 | Kind::Nextcloud34 | Kind::Reva => refuse(409, "INVITE_ALREADY_ACCEPTED"),
        Kind::OpencloudmeshGo => Ok((409, identity, Vec::new())),
        _ => Ok((200, identity, Vec::new())),
    }
}
