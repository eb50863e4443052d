//! What others wrote is shown as they wrote it, and is nothing else: in every field that another server fills, on every page
//! that a link leads to (T-68). A browser is the judge of that.

use std::collections::BTreeSet;
use std::collections::VecDeque;

use ocmesh::api::Call;
use ocmesh::config::Directory;
use ocmesh::config::DocumentUrl;
use ocmesh::config::Verify;
use serde_json::Value;
use serde_json::json;

use super::Look;
use super::Tab;
use crate::harness::Reply;
use crate::harness::Rogue;
use crate::harness::TestServer;

/// Each would do something in a page that is careless in one way. What it does is seen: a dialog, a request, an error.
const PAYLOADS: [&str; 30] = [
    "<script>alert(1)</script>",
    "</title><script>alert(1)</script>",
    "</textarea><script>alert(1)</script>",
    "</option></select><img src=x onerror=alert(1)>",
    "<img src=x onerror=alert(1)>",
    "\"><img src=x onerror=alert(1)>",
    "'><img src=x onerror=alert(1)>",
    "\" autofocus onfocus=alert(1) x=\"",
    "' onmouseover='alert(1)",
    "<svg onload=alert(1)>",
    "<svg><animate onbegin=alert(1) attributeName=x dur=1s>",
    "<math><mtext></p><img src=x onerror=alert(1)>",
    "<iframe srcdoc=\"<script>parent.alert(1)</script>\"></iframe>",
    "<object data=\"data:text/html,<script>alert(1)</script>\"></object>",
    "<style>@import 'http://evil.example/a.css';*{display:none}</style>",
    "<link rel=stylesheet href=http://evil.example/a.css>",
    "<base href=http://evil.example/>",
    "<meta http-equiv=refresh content=\"0;url=http://evil.example/\">",
    "<form action=http://evil.example/><button id=continue>Go on</button></form>",
    "<script src=/static/icon.svg></script>",
    "<script src=\"data:text/javascript,alert(1)\"></script>",
    "javascript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "//evil.example/%2e%2e",
    "{{7*7}}${7*7}#{7*7}<%= 7*7 %>",
    "{name} {who} {what} {address} {n} {host}",
    "\u{202e}gpj.exe\u{202c}\u{2066}abc",
    "&lt;b&gt; &#60;script&#62; &amp;amp;",
    "a|b `c` \\\" \\' \\u003cscript\\u003e --><!--",
    "x\u{200b}\u{feff}\u{0301}\u{1f600}\u{1f469}\u{200d}\u{1f52c}<b>",
];

fn long(payload: &str) -> String {
    payload.repeat(1 + 240 / payload.len())
}

/// A server that is called rubbish, lists rubbish, and sends nothing else.
async fn furnish(server: &TestServer, rogue: &Rogue) {
    let mut discovery = rogue.discovery();
    discovery["provider"] = json!(PAYLOADS[0]);
    rogue.reply("GET", "/.well-known/ocm", Reply::json(200, discovery));
    rogue.befriend(server, "ada").await;
    for (at, payload) in PAYLOADS.iter().enumerate() {
        acquaint(server, rogue, payload, &format!("eve{at}")).await;
        send(server, rogue, payload, at).await;
        refuse(server, rogue, payload, at).await;
        let rule = Call::PeerRule {
            host: format!("rule{at}.example"),
            allow: at % 2 == 0,
            reason: (*payload).to_owned(),
            note: long(payload).chars().take(200).collect(),
            until: None,
            by: "a test".to_owned(),
        };
        // Some of them are refused, which is as good.
        let _ = server.call(rule).await;
    }
    let listed: Vec<_> = PAYLOADS
        .iter()
        .enumerate()
        .map(|(at, payload)| json!({ "url": format!("https://s{at}.example"), "displayName": payload }))
        .collect();
    let list = json!({ "federation": PAYLOADS[5], "servers": listed });
    rogue.reply("GET", "/directory", Reply::json(200, list));
    // Nothing was thrown away for what it is called, but for what can't be the name of a file.
    let received = server.received("ada").await;
    assert_eq!(received.len(), PAYLOADS.len());
    let named = received
        .iter()
        .filter(|share| PAYLOADS.iter().any(|payload| share["name"] == *payload));
    assert!(named.count() > 10);
    assert_eq!(server.contacts("ada").await.len(), PAYLOADS.len() + 1);
    assert!(server.sent("ada").await.len() > 20);
    let url = format!("http://{}/directory", rogue.provider);
    server.call(Call::DirectoryRefresh { url: Some(url) }).await.unwrap();
}

async fn acquaint(server: &TestServer, rogue: &Rogue, payload: &str, user: &str) {
    let invite = server.invite("ada").await;
    let acceptance = |user: &str, name: &str| {
        json!({
            "recipientProvider": rogue.provider.to_string(),
            "token": invite["token"],
            "userID": user,
            "email": format!("{payload}@evil.example"),
            "name": name
        })
    };
    // A name that is no name of a user may be refused; then the same person comes with one.
    let mut answer = rogue
        .post(server, "/ocm/invite-accepted", &acceptance(payload, payload))
        .await;
    for name in [payload, "Eve"] {
        if answer.status() != 200 {
            answer = rogue
                .post(server, "/ocm/invite-accepted", &acceptance(user, name))
                .await;
        }
    }
    if answer.status() != 200 {
        let mut plain = acceptance(user, "Eve");
        plain["email"] = json!("");
        answer = rogue.post(server, "/ocm/invite-accepted", &plain).await;
    }
    assert_eq!(answer.status(), 200, "{payload}");
}

async fn send(server: &TestServer, rogue: &Rogue, payload: &str, at: usize) {
    let mut share = rogue.share_for(server, "ada", &format!("rubbish-{at}"));
    let whole = share.clone();
    for field in ["name", "description", "senderDisplayName", "ownerDisplayName"] {
        share[field] = json!(payload);
    }
    // A name may be none; the rest of it is to be seen all the same.
    for share in [&share, &without(&share, &whole, "name"), &whole] {
        if rogue.post(server, "/ocm/shares", share).await.status() == 201 {
            break;
        }
    }
    let mut note = json!({
        "notificationType": "REQUEST_RESHARE",
        "resourceType": "file",
        "providerId": "none",
        "notification": { "message": payload, "sharedSecret": payload }
    });
    rogue.post(server, "/ocm/notifications", &note).await;
    note["notificationType"] = json!(payload);
    rogue.post(server, "/ocm/notifications", &note).await;
}

fn without(share: &Value, whole: &Value, field: &str) -> Value {
    let mut other = share.clone();
    other[field] = whole[field].clone();
    other
}

/// Something of Ada's goes there, and the refusal is rubbish too.
async fn refuse(server: &TestServer, rogue: &Rogue, payload: &str, at: usize) {
    let mut body = json!({ "message": payload, "error": payload });
    body["validationErrors"] = json!([{ "name": payload, "message": payload }]);
    rogue.reply("POST", "/ocm/shares", Reply::json(400, body));
    let to = rogue.address(&format!("eve{at}"));
    let _ = server.share("ada", "a.txt", &to, false).await;
    server.deliver().await;
}

/// What must not be in a page, whoever wrote it.
const PLANTED: &str = "[onerror], [onload], [onfocus], [onmouseover], [onbegin], script:not([src^='/static/app.']), iframe, object, \
                       embed, style, base, meta[http-equiv], math, animate, form[action^='http'], a[href^='javascript'], \
                       a[href^='data'], link[href^='http'], img[src^='http'], img[src=x]";

/// Opens a page and every page that it leads to; gives all that they say.
async fn crawl(tab: &mut Tab, server: &TestServer, from: &[&str]) -> String {
    let own = server.url("");
    let mut seen: BTreeSet<String> = from.iter().map(|path| (*path).to_owned()).collect();
    let mut next: VecDeque<String> = seen.iter().cloned().collect();
    let mut all = String::new();
    while let Some(path) = next.pop_front() {
        tab.forget();
        tab.goto(&server.url(&path)).await;
        let page = tab
            .eval(&format!(
                "({{
                    text: document.title + '\\n' + document.body.innerText + '\\n'
                        + [...document.querySelectorAll('input, textarea')].map(it => it.value).join('\\n'),
                    links: [...document.querySelectorAll('a[href]')].map(it => it.href),
                    planted: [...document.querySelectorAll({PLANTED:?})].map(it => it.outerHTML),
                    hidden: getComputedStyle(document.body).display === 'none'
                }})"
            ))
            .await;
        tab.check_quiet(&[&own]).await;
        assert_eq!(page["planted"], json!([]), "{path}");
        assert_eq!(page["hidden"], false, "{path}");
        assert!(tab.url().await.starts_with(&own), "{path} led elsewhere");
        all.push_str(page["text"].as_str().unwrap());
        for link in page["links"].as_array().unwrap() {
            let link = link.as_str().unwrap().split('#').next().unwrap();
            let Some(path) = link.strip_prefix(&own) else {
                assert!(link.starts_with("mailto:"), "{path} leads to {link}");
                continue;
            };
            let kept = ["/shares/get/", "format=", "/zip", "/export", ".txt"];
            let download = kept.iter().any(|part| path.contains(part));
            if !download && seen.len() < 400 && seen.insert(path.to_owned()) {
                next.push_back(path.to_owned());
            }
        }
    }
    assert!(seen.len() > 40, "{seen:?}");
    all
}

#[actix_web::test]
async fn t68_nothing_that_others_wrote_ever_runs_and_all_of_it_can_be_read() {
    let rogue = Rogue::start().await;
    let directory = Directory {
        url: DocumentUrl::parse(&format!("http://{}/directory", rogue.provider)).unwrap(),
        key: None,
        key_file: None,
        verify: Verify::Off,
        admits: false,
    };
    let server = TestServer::start_with(|config| config.federation.directory.push(directory)).await;
    server.user("ada").await;
    server.admin("root").await;
    let Some(mut ada) = Tab::signed_in(Look::WIDE, &server, "ada").await else {
        return;
    };
    let mut root = Tab::signed_in(Look::WIDE, &server, "root").await.unwrap();
    server.put_file("ada", "a.txt", "a").await;
    furnish(&server, &rogue).await;
    let invite = server.invite("ada").await;
    let wayf = format!("/wayf?token={}", invite["token"].as_str().unwrap());
    let mut all = crawl(&mut ada, &server, &["/home", &wayf]).await;
    let host = format!("/admin/servers/{}", rogue.provider);
    all += &crawl(&mut root, &server, &["/home", "/admin/servers", &host]).await;
    let unseen: Vec<_> = PAYLOADS.iter().filter(|payload| !all.contains(**payload)).collect();
    assert!(unseen.is_empty(), "nowhere to be read: {unseen:#?}");
}
