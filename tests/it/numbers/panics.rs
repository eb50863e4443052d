//! A fault of ours under one request is an answer with a number to it, and nothing to anybody else.

use std::cell::Cell;
use std::future::ready;
use std::time::Duration;

use actix_web::App;
use actix_web::HttpResponse;
use actix_web::HttpServer;
use actix_web::dev::ServerHandle;
use actix_web::middleware::from_fn;
use actix_web::web;
use actix_web::web::Data;
use ocmesh::site::Site;

use super::counted;
use super::scrape;
use crate::harness::TestServer;
use crate::harness::http;
use crate::harness::listener;

/// Routes that panic, below what stands before each of ours: bare as those for servers, and among the pages.
pub fn planted(site: &Site) -> (String, ServerHandle) {
    let listener = listener();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let site = Data::new(site.clone());
    let server = HttpServer::new(move || {
        let page = web::resource("/planted/page")
            .wrap(from_fn(ocmesh::web::finish))
            .to(panics);
        App::new()
            .app_data(site.clone())
            .wrap(from_fn(ocmesh::http::guard))
            .route("/planted", web::to(panics))
            .service(page)
            .configure(ocmesh::http::configure)
            .configure(ocmesh::web::configure)
    })
    .workers(1)
    .disable_signals()
    .listen(listener)
    .unwrap()
    .run();
    let handle = server.handle();
    actix_web::rt::spawn(server);
    (address, handle)
}

thread_local! {
    static UNFINISHED: Cell<u32> = const { Cell::new(0) };
}

async fn panics() -> HttpResponse {
    UNFINISHED.with(|count| count.set(count.get() + 1));
    ready(()).await;
    panic!("canary-of-a-panic: {}", UNFINISHED.with(Cell::get))
}

#[actix_web::test]
async fn t89_a_thousand_panics_are_a_thousand_answers_and_everybody_else_is_served() {
    let server = TestServer::start_with(counted).await;
    let (planted, handle) = planted(server.site());
    let mut numbers = std::collections::HashSet::new();
    for round in 0..500 {
        let page = http().get(format!("{planted}/planted/page")).send();
        let bare = http().get(format!("{planted}/planted")).send();
        let other = http().get(format!("{planted}/login")).send();
        let (page, bare, other) = tokio::join!(page, bare, other);
        assert_eq!(other.unwrap().status(), 200);
        for (answer, is_page) in [(page.unwrap(), true), (bare.unwrap(), false)] {
            assert_eq!(answer.status(), 500);
            let headers = answer.headers().clone();
            let number = headers["x-request-id"].to_str().unwrap().to_owned();
            assert_eq!(headers["x-content-type-options"], "nosniff");
            assert!(
                headers["content-security-policy"]
                    .to_str()
                    .unwrap()
                    .contains("frame-ancestors 'none'")
            );
            let text = answer.text().await.unwrap();
            assert!(!text.contains("canary"), "{text}");
            if is_page && round % 100 == 0 {
                for part in ["<h1>This server has a problem</h1>", &number, "internal", "</html>"] {
                    assert!(text.contains(part), "{part}: {text}");
                }
            }
            assert!(numbers.insert(number), "a number that was given before");
        }
    }
    let after = scrape(&server).await;
    assert_eq!(after.of("ocm_panics_total"), 1000.0);
    assert_eq!(
        after.of("ocm_http_requests_total{route=\"/login\",method=\"GET\",code=\"200\"}"),
        500.0
    );
    assert_eq!(
        after.of("ocm_http_requests_total{route=\"other\",method=\"GET\",code=\"500\"}"),
        1000.0
    );
    // No lock of ours was left in a bad way.
    server.user("ada").await;
    server.put_file("ada", "f.txt", "x").await;
    assert_eq!(server.site().users.get("ada").await.unwrap().name, "ada");
    let stopped = tokio::time::timeout(Duration::from_secs(20), handle.stop(true)).await;
    assert!(stopped.is_ok(), "a request is still under way");
}
