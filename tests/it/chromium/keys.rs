//! With keys alone: each stop is in sight and shows that it has the focus.

use super::Look;
use super::Tab;
use crate::harness::PASSWORD;
use crate::harness::TestServer;

/// Presses Tab until the focus is on such an element.
async fn tab_to(tab: &mut Tab, selector: &str) {
    for _ in 0..60 {
        tab.press("Tab").await;
        let stop = tab
            .eval(&format!(
                "(() => {{
                    const it = document.activeElement;
                    if (!it || it === document.body) return null;
                    const box = it.getBoundingClientRect(), style = getComputedStyle(it);
                    return {{
                        there: it.matches({selector:?}),
                        shown: it.matches(':focus-visible') && style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2,
                        inside: box.width > 0 && box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth,
                        what: it.outerHTML.slice(0, 120)
                    }};
                }})()"
            ))
            .await;
        if stop.is_null() {
            continue;
        }
        if stop["shown"] != true || stop["inside"] != true {
            tab.fail(&format!("the focus is not to be seen: {stop}")).await;
        }
        if stop["there"] == true {
            return;
        }
    }
    tab.fail(&format!("Tab never comes to {selector}")).await;
}

async fn sign_in_and_invite(look: Look) {
    let server = TestServer::start().await;
    server.user("ada").await;
    let Some(mut tab) = Tab::open(look).await else {
        return;
    };
    tab.goto(&server.url("/login")).await;
    tab_to(&mut tab, ".skip").await;
    tab_to(&mut tab, "#name").await;
    tab.type_text("ada").await;
    tab_to(&mut tab, "#password").await;
    tab.type_text(PASSWORD).await;
    tab.follow_key("Enter").await;

    // The first stop of a page jumps over what all pages have.
    tab_to(&mut tab, ".skip").await;
    tab.press("Enter").await;
    tab_to(&mut tab, "main a").await;
    tab_to(&mut tab, "main [data-ocm-action=accept]").await;
    tab.goto(&server.url("/home")).await;
    tab_to(&mut tab, "main [data-ocm-action=invite]").await;
    tab.follow_key("Enter").await;
    tab_to(&mut tab, "#for").await;
    tab.type_text("Bob").await;
    tab_to(&mut tab, "[data-ocm-action=create-invite]").await;
    tab.follow_key("Enter").await;
    assert!(tab.value("#invite-link").await.starts_with(&server.url("/wayf?token=")));
    tab.check_quiet(&[&server.url("")]).await;
}

#[actix_web::test]
async fn who_has_only_keys_signs_in_and_invites_somebody() {
    sign_in_and_invite(Look::WIDE).await;
}

#[actix_web::test]
async fn who_has_only_keys_and_a_narrow_window_signs_in_and_invites_somebody() {
    sign_in_and_invite(Look::NARROW.dark()).await;
}
