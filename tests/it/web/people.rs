//! People of this server: brought in by a link, shut out, deleted (T-72, T-74).

use std::time::Duration;

use ocmesh::api::Call;
use ocmesh::api::people::UserChange;
use ocmesh::audit::Filter;
use ocmesh::secret::Secret;

use super::browser::Browser;
use super::browser::Seen;
use crate::harness::PASSWORD;
use crate::harness::Pair;
use crate::harness::TestServer;

fn person(name: &str) -> Vec<(&str, &str)> {
    vec![("name", name), ("display_name", "Cy <C>"), ("mail", "")]
}

/// The link on the page that hands it out, without the address of the server.
fn link_on(seen: &Seen) -> String {
    let link = seen.between("id=\"sign-in-link\" value=\"", "\"");
    link[link.find("/welcome").unwrap()..].to_owned()
}

fn code_in(link: &str) -> &str {
    link.split_once("code=").unwrap().1
}

#[actix_web::test]
async fn t72_somebody_new_gets_a_link_that_works_once_and_chooses_the_password() {
    let server = TestServer::start().await;
    server.admin("root").await;
    let mut root = Browser::signed_in(&server, "root").await;
    root.get("/admin/users").await.expect("Only you");
    root.post("/admin/users", &person("Cy Cy"))
        .await
        .expect_status(400)
        .expect("Cy &#60;C&#62;");
    let made = root.post("/admin/users", &person("cy")).await;
    made.expect_status(200).expect("works once");
    root.post("/admin/users", &person("cy")).await.expect_status(409);
    root.get("/admin/users")
        .await
        .expect("Cy &#60;C&#62;")
        .expect("Invited");
    let link = link_on(&made);

    // Before it is used no password opens the account, not even none.
    let mut cy = Browser::new(&server);
    for password in ["", "x", PASSWORD] {
        assert_ne!(cy.sign_in("cy", password).await.status, 303, "{password:?}");
    }
    // Looking spends nothing.
    cy.get(&link).await.expect_status(200).expect("Cy &#60;C&#62;");
    cy.get(&link).await.expect_status(200);
    let chosen = |password| [("code", code_in(&link)), ("password", password)];
    cy.post("/welcome", &chosen("short"))
        .await
        .expect_status(400)
        .expect("aria-invalid");
    let set = cy.post("/welcome", &chosen(PASSWORD)).await;
    assert_eq!(set.location(), "/home");
    cy.get("/home").await.expect_status(200);
    let mut other = Browser::new(&server);
    other.get(&link).await.expect_status(403).expect("setup-link-invalid");
    other
        .post("/welcome", &chosen("another password"))
        .await
        .expect_status(403);
    Browser::signed_in(&server, "cy")
        .await
        .get("/admin/users")
        .await
        .expect_status(403);
}

#[actix_web::test]
async fn t72_a_sign_in_link_ends_after_seven_days_and_with_a_newer_one_and_is_kept_as_a_hash() {
    let server = TestServer::start().await;
    server.admin("root").await;
    let mut root = Browser::signed_in(&server, "root").await;
    let first = link_on(&root.post("/admin/users", &person("cy")).await);
    let second = link_on(&root.post("/admin/users/cy/link", &[]).await);
    let mut cy = Browser::new(&server);
    cy.get(&first).await.expect_status(403);
    cy.get(&second).await.expect_status(200);
    cy.get("/welcome?code=").await.expect_status(403);
    cy.get("/welcome?code=guess").await.expect_status(403);
    root.get("/admin/users/cy").await.expect("Open sign-in link");
    server.clock.step(Duration::from_secs(7 * 86_400));
    cy.get(&second).await.expect_status(403);
    let fields = [("code", code_in(&second)), ("password", PASSWORD)];
    cy.post("/welcome", &fields).await.expect_status(403);

    let data = server.data.clone();
    let codes = [code_in(&first).to_owned(), code_in(&second).to_owned()];
    let _keep = server.restart().await;
    for file in std::fs::read_dir(&data)
        .unwrap()
        .flatten()
        .filter(|file| file.path().is_file())
    {
        let bytes = std::fs::read(file.path()).unwrap();
        for code in &codes {
            let found = bytes.windows(code.len()).any(|part| part == code.as_bytes());
            assert!(!found, "{:?} holds a sign-in code", file.path());
        }
    }
}

#[actix_web::test]
async fn t72_whoever_is_disabled_is_signed_out_at_once_and_what_they_share_goes_on() {
    let pair = Pair::acquainted().await;
    pair.a.admin("root").await;
    pair.a.put_file("ada", "a.txt", "hello").await;
    let (_, received) = pair.shared("a.txt", false).await;
    let invite = pair.a.invite("ada").await;
    let mut ada = Browser::signed_in(&pair.a, "ada").await;
    let mut root = Browser::signed_in(&pair.a, "root").await;
    root.get("/admin/users/ada")
        .await
        .expect("What they share goes on")
        .expect("1 to others, 0 from others");
    root.post("/admin/users/ada/disable", &[]).await.expect_status(303);
    root.get("/admin/users/ada").await.expect("Disabled");
    assert_eq!(ada.get("/home").await.status, 303);
    ada.post("/invites/new", &[("for", "x")]).await.expect_status(401);
    // The reason is told to whoever knows the password, and to nobody else (T-36).
    ada.sign_in("ada", PASSWORD).await.expect_status(403).expect("disabled");
    let wrong = ada.sign_in("ada", "a wrong password").await;
    wrong.expect_status(401);
    assert!(!wrong.has("disabled"));
    root.post("/admin/users/ada/link", &[]).await.expect_status(409);
    let string = invite["string"].as_str().unwrap();
    pair.b.user("eve").await;
    assert!(pair.b.accept_invite("eve", string).await.is_err());
    let read = Call::ShareGet {
        id: received,
        path: String::new(),
    };
    assert_eq!(pair.b.call(read).await.unwrap(), "hello");

    root.post("/admin/users/ada/enable", &[]).await.expect_status(303);
    ada.sign_in("ada", PASSWORD).await.expect_status(303);
    ada.get("/home").await.expect_status(200);
}

#[actix_web::test]
async fn the_last_admin_who_can_sign_in_stays_one() {
    let server = TestServer::start().await;
    server.admin("root").await;
    let mut root = Browser::signed_in(&server, "root").await;
    let mut invited = person("cy");
    invited.push(("admin", "yes"));
    // An admin who has never set a password is of no help.
    root.post("/admin/users", &invited).await.expect_status(200);
    for (path, fields) in [
        ("/admin/users/root/disable", &[][..]),
        ("/admin/users/root/role", &[("role", "member")]),
        ("/admin/users/root/delete", &[]),
    ] {
        root.post(path, fields)
            .await
            .expect_status(409)
            .expect("last admin")
            .expect("href=\"/admin/users/root\"");
    }
    root.get("/admin").await.expect_status(200);
    server.user("dora").await;
    root.post("/admin/users/dora/role", &[("role", "admin")])
        .await
        .expect_status(303);
    root.post("/admin/users/root/role", &[("role", "member")])
        .await
        .expect_status(303);
    root.get("/admin").await.expect_status(403);
    Browser::signed_in(&server, "dora")
        .await
        .get("/admin/users/root")
        .await
        .expect("Member");
}

#[actix_web::test]
async fn whoever_is_deleted_leaves_nothing_open_and_the_name_is_never_given_out_again() {
    let pair = Pair::acquainted().await;
    pair.a.admin("root").await;
    pair.a.put_file("ada", "a.txt", "hello").await;
    let (sent, received) = pair.shared("a.txt", false).await;
    pair.b.put_file("bob", "b.txt", "hi").await;
    pair.b
        .share("bob", "b.txt", &pair.a.address("ada"), false)
        .await
        .unwrap();
    pair.b.deliver().await;
    let invite = pair.a.invite("ada").await;
    let mut root = Browser::signed_in(&pair.a, "root").await;
    root.get("/admin/users/ada/delete")
        .await
        .expect("1 share of theirs ends")
        .expect("1 share from somebody else")
        .expect("files/ada")
        .expect("Nobody will ever have the name");
    root.post("/admin/users/ada/delete", &[]).await.expect_status(303);
    pair.a.deliver().await;
    root.get("/admin/users/ada").await.expect_status(404);
    let read = Call::ShareGet {
        id: received,
        path: String::new(),
    };
    assert!(pair.b.call(read).await.is_err());
    let there = pair.b.received("bob").await;
    assert_eq!(there[0]["state"], "gone", "{there:?}");
    assert_eq!(there[0]["provider_id"], *sent);
    assert_eq!(pair.b.sent("bob").await[0]["state"], "declined");
    pair.b.user("eve").await;
    let string = invite["string"].as_str().unwrap();
    assert!(pair.b.accept_invite("eve", string).await.is_err());
    root.post("/admin/users", &person("ada"))
        .await
        .expect_status(409)
        .expect("never given out again");
    let home = pair.a.data.join("files/ada/a.txt");
    assert_eq!(std::fs::read_to_string(home).unwrap(), "hello");
    assert_eq!(
        Browser::new(&pair.a).sign_in("ada", PASSWORD).await.status,
        401,
        "as if there had never been one"
    );
}

#[actix_web::test]
async fn what_the_pages_do_with_people_commands_do() {
    let server = TestServer::start().await;
    server.admin("root").await;
    let add = Call::UserAdd {
        name: "cy".to_owned(),
        display_name: String::new(),
        mail: String::new(),
        password: Secret::new(""),
        admin: false,
    };
    let name = || "cy".to_owned();
    let added = server.call(add).await.unwrap();
    assert!(added["link"].as_str().unwrap().contains("/welcome?code="));
    let linked = server.call(Call::UserLink { name: name() }).await.unwrap();
    assert_ne!(added["link"], linked["link"]);
    let disabled = server.call(Call::UserDisable { name: name() }).await.unwrap();
    assert_eq!(disabled["state"], "disabled");
    server.call(Call::UserEnable { name: name() }).await.unwrap();
    let set = Call::UserSet {
        user: Some(name()),
        change: UserChange {
            admin: Some(true),
            ..UserChange::default()
        },
    };
    assert_eq!(server.call(set).await.unwrap()["admin"], true);
    let shown = server.call(Call::UserShow { user: Some(name()) }).await.unwrap();
    assert_eq!((&shown["contacts"], &shown["has_password"]), (&0.into(), &false.into()));
    server.call(Call::UserDelete { name: name() }).await.unwrap();
    let all = Call::AuditList {
        filter: Filter::default(),
        limit: Some(1),
    };
    let noted = server.call(all).await.unwrap()[0].clone();
    assert_eq!((&noted["did"], &noted["to"]), (&"user.delete".into(), &"cy".into()));
    assert!(noted["server"].is_null(), "this server is no other server");
    assert!(server.call(Call::UserShow { user: Some(name()) }).await.is_err());
    let last = Call::UserDelete {
        name: "root".to_owned(),
    };
    assert!(server.call(last).await.is_err());
}

#[actix_web::test]
async fn t72_a_sign_in_link_is_void_once_its_owner_has_a_new_password_or_may_do_more() {
    let server = TestServer::start().await;
    server.admin("root").await;
    server.user("ada").await;
    let link = async || {
        let made = server.call(Call::UserLink { name: "ada".to_owned() }).await.unwrap();
        let link = made["link"].as_str().unwrap().to_owned();
        link[link.find("/welcome").unwrap()..].to_owned()
    };
    let first = link().await;
    Browser::new(&server).get(&first).await.expect_status(200);
    let mut ada = Browser::signed_in(&server, "ada").await;
    let fields = [("old", PASSWORD), ("password", "another long enough one")];
    ada.post("/account/password", &fields).await.expect_status(303);
    Browser::new(&server).get(&first).await.expect_status(403);
    let second = link().await;
    let change = UserChange {
        admin: Some(true),
        ..UserChange::default()
    };
    let user = Some("ada".to_owned());
    server.call(Call::UserSet { user, change }).await.unwrap();
    Browser::new(&server).get(&second).await.expect_status(403);
}
