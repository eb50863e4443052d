//! `docs/federation.md`: each message in it is one that two servers really traded, with names and secrets replaced.
//!
//! With `UPDATE_GUIDES=1` the guide is written anew from what was seen.

use std::fs;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ocmesh::api::Call;
use ocmesh::config::Mode;
use ocmesh::ocm::dialect;
use ocmesh::ocm::dialect::Folders;
use ocmesh::ocm::dialect::Notifications;
use ocmesh::ocm::dialect::Spelling;
use ocmesh::ocm::jwks::Jwk;
use ocmesh::ocm::share::ShareCreationNotification;
use serde_json::Value;
use serde_json::json;

use crate::harness::Kind;
use crate::harness::Recorded;
use crate::harness::Reply;
use crate::harness::Rogue;
use crate::harness::Standin;
use crate::harness::TestServer;
use crate::harness::http;
use crate::harness::mode;

/// The headers that mean something to the protocol, in the order in which they are shown.
const HEADERS: [&str; 12] = [
    "host",
    "authorization",
    "depth",
    "content-type",
    "cache-control",
    "www-authenticate",
    "content-length",
    "content-digest",
    "digest",
    "date",
    "signature-input",
    "signature",
];

/// The names under which something stands that is another each time.
const VARYING: [(&str, &str); 9] = [
    ("sharedSecret", "<secret>"),
    ("access_token", "<access token>"),
    ("token", "<invite token>"),
    ("providerId", "1234567890"),
    ("x", "<public key>"),
    ("userID", "<user id>"),
    ("publicKeyPem", "<public key>"),
    ("keyId", "https://cloud.a.example/ocm#signature"),
    ("recipientDisplayName", "ada"),
];

/// What was seen, as it stands in the guide.
struct Seen {
    ours: String,
    theirs: String,
    /// The name of our key, which ends in letters that are others each time.
    kid: String,
    blocks: Vec<(&'static str, String)>,
}

impl Seen {
    fn new(server: &TestServer, rogue: &Rogue) -> Self {
        Self {
            ours: server.provider().to_string(),
            theirs: rogue.provider.to_string(),
            kid: server.site().keys.active().kid().to_owned(),
            blocks: Vec::new(),
        }
    }

    fn named(&self, text: &str) -> String {
        let (kid, _) = self.kid.rsplit_once('-').unwrap();
        let mut text = text.replace(&self.kid, &format!("{kid}-DPSZbn3p"));
        text = text.replace("ADA of the tests", "Ada Lovelace");
        for (host, name) in [(&self.ours, "cloud.a.example"), (&self.theirs, "cloud.b.example")] {
            text = text.replace(&format!("http://{host}"), &format!("https://{name}"));
            text = text.replace(&host.replace(':', "%3A"), name).replace(host, name);
        }
        text
    }

    fn json(&self, body: &Value) -> String {
        let mut body = body.clone();
        settle(&mut body);
        self.named(&format!("{body:#}\n"))
    }

    fn keep_json(&mut self, name: &'static str, body: &Value) {
        let text = self.json(body);
        self.blocks.push((name, text));
    }

    fn head(&self, first: &str, header: &dyn Fn(&str) -> Option<String>) -> String {
        let mut text = format!("{first}\n");
        for name in HEADERS {
            if let Some(value) = header(name) {
                let value = match name {
                    "content-length" => "<length>".to_owned(),
                    "content-digest" => "sha-256=:<digest>:".to_owned(),
                    "digest" => "SHA-256=<digest>".to_owned(),
                    "signature" => match value.split_once("signature=\"") {
                        Some((before, _)) => format!("{before}signature=\"<signature>\""),
                        None => "ocm=:<signature>:".to_owned(),
                    },
                    "authorization" => "Bearer <access token>".to_owned(),
                    _ => value,
                };
                text.push_str(&format!("{name}: {value}\n"));
            }
        }
        self.named(&text)
    }

    /// What we sent.
    fn keep_request(&mut self, name: &'static str, request: &Recorded) {
        let path = settled_path(&request.path);
        let first = format!("{} {path} HTTP/1.1", request.method);
        let head = self.head(&first, &|name| request.headers.get(name).cloned());
        let body = match serde_json::from_slice::<Value>(&request.body) {
            Ok(body) => self.json(&body),
            Err(_) if request.body.is_empty() => String::new(),
            Err(_) => format!("{}\n", self.form(&String::from_utf8_lossy(&request.body))),
        };
        self.keep(name, &head, &body);
    }

    /// What we answered.
    async fn keep_answer(&mut self, name: &'static str, answer: reqwest::Response) {
        let first = format!("HTTP/1.1 {}", answer.status());
        let headers = answer.headers().clone();
        let only = |name: &str| matches!(name, "content-type" | "cache-control" | "www-authenticate");
        let head = self.head(&first, &|name| {
            let lines = headers.get_all(name).iter().map(|value| value.to_str().unwrap());
            let lines: Vec<_> = lines.filter(|_| only(name)).collect();
            (!lines.is_empty()).then(|| lines.join(&format!("\n{name}: ")))
        });
        let body = answer.text().await.unwrap();
        let body = serde_json::from_str::<Value>(&body).map_or(body, |body| self.json(&body));
        self.keep(name, &head, &body);
    }

    fn keep(&mut self, name: &'static str, head: &str, body: &str) {
        let between = if body.is_empty() { "" } else { "\n" };
        self.blocks.push((name, format!("{head}{between}{body}")));
    }

    /// A form has its secret last.
    fn form(&self, form: &str) -> String {
        let (before, _) = form.split_once("code=").unwrap_or((form, ""));
        let code = if form.contains("code=") { "code=<secret>" } else { "" };
        self.named(&format!("{before}{code}"))
    }
}

fn settle(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(settle),
        Value::Object(fields) => {
            for (name, value) in fields {
                let varying = VARYING.iter().find(|(varying, _)| varying == name);
                match (varying, &value) {
                    (Some((_, settled)), Value::String(_)) => *value = json!(settled),
                    _ if matches!(name.as_str(), "uri" | "url") => {
                        *value = json!(settled_path(value.as_str().unwrap_or_default()));
                    }
                    _ => settle(value),
                }
            }
        }
        _ => {}
    }
}

/// A path that ends in the number of a share ends in one that is always the same.
fn settled_path(path: &str) -> String {
    let end = path.rsplit('/').next().unwrap_or_default();
    match !end.is_empty() && end.bytes().all(|byte| byte.is_ascii_digit()) {
        true => format!("{}1234567890", &path[..path.len() - end.len()]),
        false => path.to_owned(),
    }
}

/// The text that is signed, made from what arrived as RFC 9421 says and not by our own code; and that our published key
/// verifies it.
fn signature_base(request: &Recorded, rogue: &Rogue, keys: &Value) -> String {
    let input = &request.headers["signature-input"];
    let parameters = input.strip_prefix("ocm=").unwrap();
    let components = parameters[1..].split(')').next().unwrap();
    let mut base = String::new();
    for component in components.split(' ').map(|quoted| quoted.trim_matches('"')) {
        let value = match component {
            "@method" => request.method.clone(),
            "@target-uri" => format!("http://{}{}", rogue.provider, request.path),
            header => request.headers[header].clone(),
        };
        base.push_str(&format!("\"{component}\": {value}\n"));
    }
    base.push_str(&format!("\"@signature-params\": {parameters}"));
    let signature = request.headers["signature"].strip_prefix("ocm=:").unwrap();
    let signature = STANDARD.decode(signature.trim_end_matches(':')).unwrap();
    let key: Jwk = serde_json::from_value(keys["keys"][0].clone()).unwrap();
    assert!(key.verify(base.as_bytes(), &signature), "{base}");
    assert!(!key.verify(base.replace("POST", "PUT").as_bytes(), &signature));
    let length = &request.headers["content-length"];
    let digest = &request.headers["content-digest"];
    base.replace(&format!("\"content-length\": {length}"), "\"content-length\": <length>")
        .replace(digest, "sha-256=:<digest>:")
        + "\n"
}

async fn document(server: &TestServer, path: &str) -> Value {
    let answer = http().get(server.url(path)).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
}

/// We invite, share, request, are told and tell: the whole story, both ways.
async fn story() -> Seen {
    let server = TestServer::start_with(mode(Mode::Open)).await;
    server.user("ada").await;
    server.put_file("ada", "/report.pdf", "hello").await;
    let rogue = Rogue::start().await;
    let mut seen = Seen::new(&server, &rogue);
    let keys = document(&server, "/.well-known/jwks.json").await;
    seen.keep_json("jwks", &keys);
    seen.keep_json("discovery", &document(&server, "/.well-known/ocm").await);
    seen.keep_json("legacy-discovery", &document(&server, "/ocm-provider").await);
    Box::pin(invites(&server, &rogue, &mut seen)).await;
    Box::pin(we_share(&server, &rogue, &keys, &mut seen)).await;
    Box::pin(they_share(&server, &rogue, &mut seen)).await;
    Box::pin(refusals(&server, &rogue, &mut seen)).await;
    seen
}

async fn invites(server: &TestServer, rogue: &Rogue, seen: &mut Seen) {
    let invite = server.invite("ada").await;
    let body = json!({
        "recipientProvider": rogue.provider.to_string(),
        "token": invite["token"],
        "userID": "eve",
        "email": "eve@rogue.example",
        "name": "Eve"
    });
    let answer = rogue.post(server, "/ocm/invite-accepted", &body).await;
    seen.keep_answer("invite-accepted-answer", answer).await;
    // A signature counts once.
    server.clock.step(Duration::from_secs(1));
    let again = rogue.post(server, "/ocm/invite-accepted", &body).await;
    assert_eq!(again.status(), 409);
    // And the other way round.
    let theirs = json!({ "userID": "eve", "email": "eve@rogue.example", "name": "Eve" });
    rogue.reply("POST", "/ocm/invite-accepted", Reply::json(200, theirs));
    let code = STANDARD.encode(format!("atokenoftheirsthatnobodyguesses@{}", rogue.provider));
    Box::pin(server.accept_invite("ada", &code)).await.unwrap();
    seen.keep_request("invite-accepted", &rogue.seen_at("/ocm/invite-accepted")[0]);
}

async fn we_share(server: &TestServer, rogue: &Rogue, keys: &Value, seen: &mut Seen) {
    let sent = server
        .share("ada", "/report.pdf", &rogue.address("eve"), false)
        .await
        .unwrap();
    server.deliver().await;
    let request = rogue.seen_at("/ocm/shares")[0].clone();
    let base = signature_base(&request, rogue, keys);
    seen.blocks.push(("signature-base", seen.named(&base)));
    seen.keep_request("share", &request);
    let share = ShareCreationNotification::parse(&request.body).unwrap();
    // They fetch it.
    let secret = share.webdav.shared_secret.expose().to_owned();
    let client = rogue.provider.to_string().replace(':', "%3A");
    let form = format!("grant_type=authorization_code&client_id={client}&code={secret}");
    let kind = "application/x-www-form-urlencoded";
    let answer = rogue.post_bytes(server, "/ocm/token", kind, form.into_bytes(), &rogue.key);
    seen.keep_answer("token-answer", answer.await).await;
    let wrong = format!("grant_type=authorization_code&client_id={client}&code=wrong");
    let answer = rogue.post_bytes(server, "/ocm/token", kind, wrong.into_bytes(), &rogue.key);
    seen.keep_answer("token-refusal", answer.await).await;
    let raw = http().get(server.url(&format!("/dav/ocm/{}", share.provider_id)));
    let raw = raw.bearer_auth(&secret).send().await.unwrap();
    seen.keep_answer("webdav-refusal", raw).await;
    // They take it, and we end it.
    let id = &sent["provider_id"];
    let accepted = json!({ "notificationType": "SHARE_ACCEPTED", "providerId": id, "resourceType": "file" });
    let answer = rogue.post(server, "/ocm/notifications", &accepted).await;
    seen.keep_answer("notification-answer", answer).await;
    let id = sent["id"].as_str().or(sent["provider_id"].as_str()).unwrap().to_owned();
    server.call(Call::ShareStop { user: None, id }).await.unwrap();
    server.deliver().await;
    seen.keep_request("notification", rogue.seen_at("/ocm/notifications").last().unwrap());
}

async fn they_share(server: &TestServer, rogue: &Rogue, seen: &mut Seen) {
    let body = rogue.share_for(server, "ada", "77");
    let answer = rogue.post(server, "/ocm/shares", &body).await;
    seen.keep_answer("share-answer", answer).await;
    let token = json!({ "access_token": "atoken", "token_type": "Bearer", "expires_in": 300 });
    rogue.reply("POST", "/ocm/token", Reply::json(200, token));
    rogue.reply(
        "GET",
        "/dav/77",
        Reply {
            status: 200,
            headers: Vec::new(),
            body: b"hello".to_vec(),
        },
    );
    let id = server.received("ada").await[0]["id"].as_str().unwrap().to_owned();
    server
        .call(Call::ShareAccept {
            user: None,
            id: id.clone(),
        })
        .await
        .unwrap();
    server.deliver().await;
    let get = Call::ShareGet {
        id: id.clone(),
        path: String::new(),
    };
    assert_eq!(server.call(get).await.unwrap(), "hello");
    let _ = server
        .call(Call::ShareLs {
            id,
            path: String::new(),
        })
        .await;
    seen.keep_request("token", &rogue.seen_at("/ocm/token")[0]);
    let asked = rogue.seen_at("/dav/77");
    let of = |method: &str| asked.iter().find(|request| request.method == method).unwrap().clone();
    seen.keep_request("read", &of("GET"));
    seen.keep_request("listing", &of("PROPFIND"));
    let call = Call::RequestSend {
        user: None,
        owner: rogue.address("eve"),
        what: "the report".to_owned(),
    };
    server.call(call).await.unwrap();
    server.deliver().await;
    seen.keep_request("request-share", &rogue.seen_at("/ocm/request-share")[0]);
}

async fn refusals(server: &TestServer, rogue: &Rogue, seen: &mut Seen) {
    let url = server.url("/ocm/shares");
    let unsigned = http().post(&url).header("content-type", "application/json").body("{}");
    seen.keep_answer("unsigned-refusal", unsigned.send().await.unwrap())
        .await;
    let mut incomplete = rogue.share_for(server, "ada", "78");
    incomplete.as_object_mut().unwrap().remove("name");
    let answer = rogue.post(server, "/ocm/shares", &incomplete).await;
    seen.keep_answer("incomplete-refusal", answer).await;
    let mut group = rogue.share_for(server, "ada", "79");
    group["shareType"] = json!("group");
    let answer = rogue.post(server, "/ocm/shares", &group).await;
    seen.keep_answer("unsupported-refusal", answer).await;
}

/// A share as this product gets it.
async fn product(name: &'static str, kind: Kind) -> (&'static str, String) {
    let server = TestServer::start().await;
    server.user("ada").await;
    server.put_file("ada", "/report.pdf", "hello").await;
    let standin = Standin::start(kind).await;
    server.rule(&standin.provider().to_string(), true).await;
    server
        .share("ada", "/report.pdf", &standin.address(), false)
        .await
        .unwrap();
    server.deliver().await;
    let mut seen = Seen::new(&server, &standin.rogue);
    let posted = standin
        .rogue
        .seen()
        .into_iter()
        .find(|request| request.path.ends_with("/shares"));
    seen.keep_request(name, &posted.unwrap());
    seen.blocks.remove(0)
}

/// What is written differently, product by product.
fn dialects() -> String {
    let mut table = "| Known as | `protocol` in a share | Folder is sent as | In notifications | Waits at most |\n\
                     | --- | --- | --- | --- | --- |\n"
        .to_owned();
    for dialect in dialect::ALL {
        let spelling = match dialect.spelling {
            Spelling::Multi => "`multi`",
            Spelling::Options => "`webdav` with `options`",
            Spelling::BothAddresses => "`multi` with `uri` and `url`",
        };
        let folders = match dialect.folders {
            Folders::AsListed => "`folder`, if listed",
            Folders::Always => "`folder`",
            Folders::AsFiles => "`file`",
        };
        let notifications = match dialect.notifications {
            Notifications::Plain => "nothing more",
            Notifications::WithSecret => "`sharedSecret`",
            Notifications::WithSecretAndGrantee => "`sharedSecret`, `grantee`",
        };
        let waits = match dialect.patience.as_secs() {
            0 => "`limits.peer_timeout`".to_owned(),
            seconds => format!("{seconds} s"),
        };
        table.push_str(&format!(
            "| `{}` ({}) | {spelling} | {folders} | {notifications} | {waits} |\n",
            dialect.id, dialect.name
        ));
    }
    table
}

/// The guide with each named block replaced by what was seen, and the names that were found.
fn rewritten(guide: &str, seen: &[(&'static str, String)]) -> (String, Vec<String>) {
    let (mut text, mut found) = (String::new(), Vec::new());
    let mut skipping = false;
    for line in guide.lines() {
        if skipping {
            if matches!(line, "```" | "<!-- end -->") {
                skipping = false;
            } else {
                continue;
            }
        }
        text.push_str(&format!("{line}\n"));
        let name = match line.strip_prefix("```") {
            Some(info) => info.split_whitespace().nth(1),
            None => line
                .strip_prefix("<!-- table ")
                .and_then(|rest| rest.strip_suffix(" -->")),
        };
        let Some(name) = name else { continue };
        let (_, block) = seen
            .iter()
            .find(|(seen, _)| *seen == name)
            .unwrap_or_else(|| panic!("nothing like {name:?} was seen"));
        text.push_str(block);
        found.push(name.to_owned());
        skipping = true;
    }
    assert!(!skipping, "a block that never ends");
    (text, found)
}

#[actix_web::test]
async fn each_message_in_the_guide_for_implementers_is_one_that_was_really_traded() {
    let mut seen = Box::pin(story()).await.blocks;
    seen.push(("dialects", dialects()));
    seen.push(Box::pin(product("share-to-nextcloud", Kind::Nextcloud34)).await);
    seen.push(Box::pin(product("share-to-opencloud", Kind::Opencloud2026)).await);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/federation.md");
    let guide = fs::read_to_string(&path).unwrap();
    let (fresh, found) = rewritten(&guide, &seen);
    if std::env::var_os("UPDATE_GUIDES").is_some() {
        fs::write(&path, &fresh).unwrap();
        return;
    }
    for (ours, theirs) in fresh.lines().zip(guide.lines()) {
        assert_eq!(
            ours, theirs,
            "docs/federation.md is not what was seen (UPDATE_GUIDES=1 writes it anew)"
        );
    }
    assert_eq!(fresh.lines().count(), guide.lines().count());
    let unused: Vec<_> = seen
        .iter()
        .filter(|(name, _)| !found.iter().any(|found| found == name))
        .collect();
    assert!(unused.is_empty(), "not shown in the guide: {unused:?}");
}
