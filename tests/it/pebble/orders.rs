//! Orders, from the first to the one that renews it, and those that come to nothing.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use futures_util::future::Either;
use futures_util::future::select;
use ocmesh::api::Call;
use ocmesh::client::Lookup;
use ocmesh::clock::Timestamp;
use ocmesh::config::Config;
use ocmesh::config::Listen;
use ocmesh::error::Reason;
use ocmesh::tls::Ports;
use ocmesh::tls::Status;
use ocmesh::tls::Way;

use super::Place;
use super::is_missing;
use crate::certificates::believed_with;
use crate::certificates::shown;
use crate::harness::TestServer;
use crate::harness::free_port;
use crate::harness::names;
use crate::web::Browser;

const MINUTE: Duration = Duration::from_secs(60);

/// The authority goes by the real time, so these tests do, too, until they step their clock.
fn today() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp(i64::try_from(since.as_secs()).unwrap())
}

fn here() -> Lookup {
    names(&[("localhost", &["127.0.0.1"]), ("cloud.example.org", &["127.0.0.1"])])
}

/// A server that orders from this place.
async fn server(place: &Place, change: impl Fn(&mut Config)) -> TestServer {
    let server = Box::pin(TestServer::start_in(here(), |config| {
        place.settings(config);
        change(config);
    }))
    .await;
    server.clock.set(today());
    knock(&server);
    server
}

fn port(server: &TestServer) -> u16 {
    server.provider().port().unwrap()
}

fn knock(server: &TestServer) {
    let https = port(server);
    let http = server
        .config
        .server
        .listen_http
        .0
        .first()
        .map_or(1, |address| address.port());
    server.site().certificates.knock_at(Ports { http, https });
}

async fn advance(server: &TestServer) -> Status {
    Box::pin(server.site().certificates.advance()).await.unwrap();
    server.site().certificates.status()
}

fn code(status: &Status) -> &'static str {
    status.trouble.as_ref().map_or("", |trouble| trouble.reason().code())
}

#[actix_web::test]
async fn t84_a_certificate_is_had_kept_over_a_restart_and_renewed_before_its_end() {
    if is_missing() {
        return;
    }
    let place = Place::new();
    let server = server(&place, |_| {}).await;
    let pebble = place.open(1, port(&server), "127.0.0.1").await;
    // There is an answer before there is a certificate.
    let stand_in = shown(&server).await;
    assert!(server.site().certificates.status().certificate.is_none());

    let status = advance(&server).await;
    assert!(status.trouble.is_none(), "{status:?} {}", pebble.log());
    let certificate = status.certificate.unwrap();
    assert_eq!(certificate.names, ["localhost"]);
    assert!(certificate.issuer.contains("Pebble"), "{certificate:?}");
    assert_eq!(status.authority.unwrap().1, Way::TlsAlpn01);
    assert_eq!(status.renewal, Some(certificate.renewal()));
    let first = shown(&server).await;
    assert_ne!(first, stand_in);
    assert!(believed_with(&server, pebble.root()).await);
    let steps: Vec<_> = status.steps.iter().map(|step| step.sentence.as_str()).collect();
    assert!(
        steps.contains(&"The authority looks whether {what} leads here."),
        "{steps:?}"
    );
    only_for_the_server(&server);

    advance(&server).await;
    let server = server.restart().await;
    knock(&server);
    assert_eq!(shown(&server).await, first);
    advance(&server).await;
    assert_eq!(pebble.orders(), 1, "{}", pebble.log());

    server.clock.set(certificate.renewal().minus(MINUTE));
    advance(&server).await;
    assert_eq!(pebble.orders(), 1);
    server.clock.set(certificate.renewal());
    let status = advance(&server).await;
    assert_eq!(pebble.orders(), 2, "{status:?}");
    assert_ne!(shown(&server).await, first);
    assert!(status.trouble.is_none(), "{status:?}");
}

/// Keys and all that is kept are read by nobody else.
fn only_for_the_server(server: &TestServer) {
    let folder = fs::read_dir(server.data.join("tls")).unwrap().next().unwrap().unwrap();
    assert!(folder.file_name().to_str().unwrap().starts_with("localhost-"));
    let mut files = 0;
    for file in fs::read_dir(folder.path()).unwrap() {
        let file = file.unwrap();
        let mode = file.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", file.file_name());
        files += 1;
    }
    assert_eq!(files, 4, "account key, account, certificate, progress");
}

#[actix_web::test]
async fn t84_while_the_authority_is_down_the_server_answers_waits_longer_and_longer_and_says_why() {
    if is_missing() {
        return;
    }
    let place = Place::new();
    let server = server(&place, |_| {}).await;
    let status = advance(&server).await;
    assert_eq!(code(&status), "tls-authority", "{status:?}");
    assert!(status.trouble.unwrap().message().contains("tried again by itself"));
    assert_eq!(status.next_try, Some(server.clock.now().plus(5 * MINUTE)));
    shown(&server).await;

    // A server that is started over and over asks no more often.
    let server = server.restart().await;
    knock(&server);
    let status = advance(&server).await;
    assert_eq!(status.next_try, Some(server.clock.now().plus(5 * MINUTE)));
    server.clock.step(5 * MINUTE);
    let status = advance(&server).await;
    assert_eq!(status.next_try, Some(server.clock.now().plus(10 * MINUTE)));

    let pebble = place.open(1, port(&server), "127.0.0.1").await;
    assert!(advance(&server).await.certificate.is_none());
    server.clock.step(10 * MINUTE);
    let status = advance(&server).await;
    assert!(status.trouble.is_none() && status.next_try.is_none(), "{status:?}");
    assert!(believed_with(&server, pebble.root()).await);

    // Down again until the end and beyond it: the old certificate is shown all that time.
    let certificate = status.certificate.unwrap();
    let before = shown(&server).await;
    drop(pebble);
    for moment in [certificate.renewal(), certificate.not_after.plus(MINUTE)] {
        server.clock.set(moment);
        let status = advance(&server).await;
        assert_eq!(code(&status), "tls-authority", "{status:?}");
        assert_eq!(shown(&server).await, before);
    }
}

#[actix_web::test]
async fn t84_a_name_that_leads_elsewhere_is_told_and_nobody_can_make_it_be_tried_without_end() {
    if is_missing() {
        return;
    }
    let place = Place::new();
    let server = server(&place, |_| {}).await;
    // Nobody listens at this address.
    let pebble = place.open(1, port(&server), "127.0.0.99").await;
    let status = advance(&server).await;
    assert_eq!(code(&status), "tls-port-443", "{status:?} {}", pebble.log());
    assert!(
        status.raw.unwrap().contains("ailed to connect"),
        "the authority’s own words"
    );
    assert_eq!(status.next_try, Some(server.clock.now().plus(5 * MINUTE)));
    advance(&server).await;
    assert_eq!(pebble.orders(), 1);

    server.admin("root").await;
    let mut browser = Browser::signed_in(&server, "root").await;
    let page = browser.get("/admin/tls").await;
    page.expect("tls-port-443")
        .expect("Usually a firewall is in between")
        .expect("What the authority said")
        .expect("There is no certificate yet")
        .expect("in 5 minutes");
    for asked in 2..=4 {
        assert_eq!(browser.post("/admin/tls/renew", &[]).await.location(), "/admin/tls");
        advance(&server).await;
        assert_eq!(pebble.orders(), asked);
    }
    let refused = browser.post("/admin/tls/renew", &[]).await;
    refused.expect("authorities count");
    let refused = server.call(Call::TlsRenew).await.unwrap_err();
    assert_eq!(refused.reason(), Reason::Busy);
    advance(&server).await;
    assert_eq!(pebble.orders(), 4);
}

#[actix_web::test]
async fn t84_what_the_authority_refuses_is_a_sentence() {
    if is_missing() {
        return;
    }
    let place = Place::new();
    let server = server(&place, |config| {
        config.tls.names = vec!["blocked.example.org".to_owned()];
        config.tls.acme_preflight = false;
    })
    .await;
    let pebble = place.open(1, port(&server), "").await;
    let status = advance(&server).await;
    assert_eq!(code(&status), "tls-refused", "{status:?} {}", pebble.log());
    let trouble = status.trouble.unwrap();
    assert!(trouble.message().contains("blocked.example.org"), "{trouble}");

    // With a look before it, a name that leads nowhere costs no order at all.
    let server = self::server(&place, |config| config.tls.names = vec!["lost.example.org".to_owned()]).await;
    let orders = pebble.orders();
    let status = advance(&server).await;
    assert_eq!(code(&status), "tls-dns", "{status:?}");
    assert!(status.trouble.unwrap().message().contains("A or AAAA"));
    assert_eq!(pebble.orders(), orders);
}

#[actix_web::test]
async fn two_names_are_shown_to_lead_here_on_port_80() {
    if is_missing() {
        return;
    }
    let place = Place::new();
    let http = free_port();
    let server = server(&place, |config| {
        config.tls.names = vec!["cloud.example.org".to_owned()];
        config.server.listen_http = Listen(vec![format!("127.0.0.1:{http}").parse().unwrap()]);
    })
    .await;
    let pebble = place.open(http, 1, "127.0.0.1").await;
    let looks = server.site().certificates.preflight().await;
    assert!(
        looks.iter().all(|look| look.found == ocmesh::tls::Found::Ok),
        "{looks:?}"
    );
    let status = advance(&server).await;
    assert_eq!(status.authority.as_ref().unwrap().1, Way::Http01);
    assert!(status.trouble.is_none(), "{status:?} {}", pebble.log());
    let certificate = status.certificate.unwrap();
    assert!(certificate.is_for("localhost") && certificate.is_for("cloud.example.org"));
    assert!(!certificate.is_for("blocked.example.org"));
    assert!(believed_with(&server, pebble.root()).await);
    let asked = server.call(Call::TlsStatus).await.unwrap();
    assert_eq!(
        (asked["way"].as_str(), asked["under_way"].as_bool()),
        (Some("http-01"), Some(false))
    );
}

#[actix_web::test]
async fn t84_where_port_443_leads_elsewhere_the_next_try_goes_by_port_80_and_so_do_those_after_it() {
    if is_missing() {
        return;
    }
    let place = Place::new();
    let http = free_port();
    let server = server(&place, |config| {
        // Another socket than this one is listened on; what is asked is whether the setting names the port.
        config.server.listen = Listen(vec!["127.0.0.1:443".parse().unwrap()]);
        config.server.listen_http = Listen(vec![format!("127.0.0.1:{http}").parse().unwrap()]);
    })
    .await;
    let pebble = place.open(http, 1, "127.0.0.1").await;
    let status = advance(&server).await;
    assert_eq!(code(&status), "tls-port-443", "{status:?}");
    assert!(
        status
            .trouble
            .unwrap()
            .message()
            .contains("next try goes by way of port 80")
    );
    assert_eq!(status.authority.unwrap().1, Way::Http01);
    server.clock.step(5 * MINUTE);
    let status = advance(&server).await;
    assert!(status.trouble.is_none(), "{status:?} {}", pebble.log());
    let server = server.restart().await;
    let status = server.site().certificates.status();
    assert_eq!(status.authority.unwrap().1, Way::Http01, "what worked is kept");
}

#[actix_web::test]
async fn t84_an_account_that_the_authority_does_not_know_or_nobody_can_read_is_made_anew() {
    if is_missing() {
        return;
    }
    let place = Place::new();
    let server = server(&place, |_| {}).await;
    let pebble = place.open(1, port(&server), "127.0.0.1").await;
    let certificate = advance(&server).await.certificate.unwrap();
    drop(pebble);
    // An authority that has lost all its accounts.
    let pebble = place.open(1, port(&server), "127.0.0.1").await;
    server.clock.set(certificate.renewal());
    let status = advance(&server).await;
    assert!(status.trouble.is_none(), "{status:?}");
    assert!(believed_with(&server, pebble.root()).await);

    let folder = fs::read_dir(server.data.join("tls"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    fs::write(folder.join("account.key"), "rubbish").unwrap();
    server.site().certificates.renew().await.unwrap();
    let status = advance(&server).await;
    assert!(status.trouble.is_none(), "{status:?}");
    assert_eq!(fs::read_to_string(folder.join("account.key.old")).unwrap(), "rubbish");
    assert_eq!(pebble.orders(), 2);

    // A certificate that can't be read is ordered anew, and a log of tries that can't is as none.
    fs::write(folder.join("certificate.pem"), "rubbish").unwrap();
    fs::write(folder.join("progress.json"), "{").unwrap();
    let server = server.restart().await;
    knock(&server);
    assert!(server.site().certificates.status().certificate.is_none());
    assert!(advance(&server).await.certificate.is_some());
}

#[actix_web::test]
async fn t84_an_order_is_tried_out_first_where_there_is_a_place_for_it_and_only_once() {
    if is_missing() {
        return;
    }
    let (place, staging) = (Place::new(), Place::new());
    let server = server(&place, |config| {
        config.tls.extra_ca_file = Some(both(&[&place, &staging]))
    })
    .await;
    server.site().certificates.rehearse_at(staging.directory());
    let real = place.open(1, port(&server), "127.0.0.1").await;
    let rehearsal = staging.open(1, port(&server), "127.0.0.99").await;
    let status = advance(&server).await;
    assert_eq!(code(&status), "tls-port-443", "{status:?}");
    assert_eq!(
        (rehearsal.orders(), real.orders()),
        (1, 0),
        "the real one was not bothered"
    );
    drop(rehearsal);

    let rehearsal = staging.open(1, port(&server), "127.0.0.1").await;
    server.clock.step(5 * MINUTE);
    let status = advance(&server).await;
    assert!(status.trouble.is_none(), "{status:?}");
    assert_eq!((rehearsal.orders(), real.orders()), (1, 1));
    assert!(believed_with(&server, real.root()).await);
    assert!(!believed_with(&server, rehearsal.root()).await);

    server.clock.set(status.renewal.unwrap());
    advance(&server).await;
    assert_eq!((rehearsal.orders(), real.orders()), (1, 2));
}

/// One file with the certificates of both.
fn both(places: &[&Place]) -> std::path::PathBuf {
    let all: String = places
        .iter()
        .map(|place| fs::read_to_string(place.file("ca.pem")).unwrap())
        .collect();
    let file = places[0].file("both.pem");
    fs::write(&file, all).unwrap();
    file
}

#[actix_web::test]
async fn t84_an_order_that_is_cut_off_leaves_nothing_behind_and_waits_its_time() {
    if is_missing() {
        return;
    }
    let place = Place::new();
    let server = server(&place, |_| {}).await;
    let pebble = place.open(1, port(&server), "127.0.0.1").await;
    let certificates = server.site().certificates.clone();
    let work = Box::pin(certificates.work());
    // As a reload does it: in the middle of the order.
    let order = async {
        while pebble.orders() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    select(work, Box::pin(order)).await;
    let status = certificates.status();
    assert!(status.certificate.is_none() && !status.under_way, "{status:?}");
    assert_eq!(status.next_try, Some(server.clock.now().plus(5 * MINUTE)));
    advance(&server).await;
    assert_eq!(pebble.orders(), 1);
    server.clock.step(5 * MINUTE);
    assert!(advance(&server).await.certificate.is_some());
    assert_eq!(pebble.orders(), 2);
}

#[actix_web::test]
async fn settings_are_read_again_while_an_order_waits_for_an_authority_that_says_nothing() {
    let place = Place::new();
    let _silent = TcpListener::bind(("127.0.0.1", place.port)).unwrap();
    let mut server = server(&place, |_| {}).await;
    let certificates = server.site().certificates.clone();
    let mut work = Box::pin(certificates.work());
    while !certificates.status().under_way {
        let moment = tokio::time::sleep(Duration::from_millis(5));
        select(work.as_mut(), Box::pin(moment)).await;
    }
    let mut config = (*server.config).clone();
    config.server.name = "After".to_owned();
    let reload = Box::pin(server.running.reload(config));
    let Either::Right((reread, _work)) = select(work, reload).await else {
        panic!("it never ends by itself");
    };
    assert_eq!(reread.unwrap().changed, ["server.name"]);
    assert!(certificates.status().under_way, "the order is not given up for that");
}

#[actix_web::test]
async fn t83_nothing_is_ordered_by_a_clock_that_is_wrong() {
    if is_missing() {
        return;
    }
    let place = Place::new();
    let server = server(&place, |_| {}).await;
    let pebble = place.open(1, port(&server), "127.0.0.1").await;
    server.clock.set(Timestamp(0));
    let status = advance(&server).await;
    assert_eq!(code(&status), "clock-wrong", "{status:?}");
    server.clock.set(today());
    let status = advance(&server).await;
    assert!(status.trouble.is_none(), "{status:?} {}", pebble.log());
    let certificate = status.certificate.unwrap();
    server.clock.set(certificate.not_before.minus(120 * MINUTE));
    assert_eq!(code(&advance(&server).await), "clock-wrong");
    assert_eq!(pebble.orders(), 1);
    // Years ahead, and back: one order more, not one with each look.
    server.clock.set(certificate.not_after.plus(60 * MINUTE));
    for _ in 0..5 {
        advance(&server).await;
        server.clock.step(MINUTE);
    }
    assert_eq!(pebble.orders(), 2);
    server.clock.set(today());
    assert!(advance(&server).await.trouble.is_none());
    assert_eq!(pebble.orders(), 2);
}
