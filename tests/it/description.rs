//! The description of the API (`src/http/openapi.json`) is served, and is of what is served.

use reqwest::Method;
use serde_json::Value;

use crate::harness::TestServer;
use crate::harness::everything;
use crate::harness::http;

/// What is not for programs of other servers, or is described by the standard for WebDAV.
const NOT_DESCRIBED: [&str; 13] = [
    "/dav/ocm{below:(/.*)?}",
    "/livez",
    "/readyz",
    "/healthz",
    // What only deployed servers ask for, in the words of an older interface.
    "/public.php/webdav{below:(/.*)?}",
    "/status.php",
    "/index.php/apps/files_sharing/shareinfo",
    "/ocm-provider{slash:/?}",
    "/ocs-provider{slash:/?}",
    "/ocs/v{version:[12]}.php/cloud/shares/{id}/{verb}",
    "/ocs/v{version:[12]}.php/cloud/shared-secret",
    "/remote.php/dav/addressbooks/system/system/system{slash:/?}",
    "/ocs/v{version:[12]}.php{path:(/.*)?}",
];

fn description() -> Value {
    serde_json::from_str(include_str!("../../src/http/openapi.json")).unwrap()
}

#[actix_web::test]
async fn the_description_is_served_to_everyone() {
    let server = TestServer::start().await;
    let answer = http().get(server.url("/ocm/openapi.json")).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "application/json");
    let served: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    assert_eq!(served, description());
}

#[test]
fn each_route_is_described_and_nothing_else() {
    let names = [
        ("JWKS", ocmesh::http::JWKS),
        ("SIGNATURE_PROBE", ocmesh::http::SIGNATURE_PROBE),
        ("TOKEN_END_POINT", ocmesh::http::TOKEN_END_POINT),
    ];
    let mut routes: Vec<String> = include_str!("../../src/http/mod.rs")
        .lines()
        .filter_map(|line| {
            let line = line.trim();
            let rest = [".service(get(", ".service(post(", ".route("]
                .iter()
                .find_map(|start| line.strip_prefix(start))?;
            let first = rest.split(',').next()?;
            let named = names.iter().find(|(name, _)| *name == first);
            Some(named.map_or_else(|| first.trim_matches('"').to_owned(), |(_, path)| (*path).to_owned()))
        })
        .filter(|path| path.starts_with('/') && !NOT_DESCRIBED.contains(&path.as_str()))
        .collect();
    let mut described: Vec<String> = description()["paths"].as_object().unwrap().keys().cloned().collect();
    routes.sort_unstable();
    described.sort_unstable();
    assert_eq!(routes, described);
}

#[actix_web::test]
async fn what_is_not_described_of_a_path_gets_405_and_the_methods_there_are() {
    let server = TestServer::start().await;
    for (path, item) in description()["paths"].as_object().unwrap() {
        let allowed = if item.get("get").is_some() { "GET, HEAD" } else { "POST" };
        for method in [
            "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND",
        ] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let answer = http().request(method.clone(), server.url(path)).send().await.unwrap();
            if allowed.split(", ").any(|allowed| allowed == method.as_str()) {
                assert!(!matches!(answer.status().as_u16(), 404 | 405), "{method} {path}");
                continue;
            }
            assert_eq!(answer.status(), 405, "{method} {path}");
            assert_eq!(answer.headers()["allow"], allowed, "{method} {path}");
            let said = everything(answer).await;
            assert!(
                said.ends_with("{\"message\":\"METHOD_NOT_ALLOWED\"}") || method == Method::HEAD,
                "{said}"
            );
        }
    }
}
