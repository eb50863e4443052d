use base64::engine::general_purpose::STANDARD;
use base64::engine::general_purpose::URL_SAFE;
use proptest::prelude::*;

use super::*;

const TOKEN: &str = "a55a966e-15c1-4cb9-a39d-4e4c54399baf";
const CODE: &str = "YTU1YTk2NmUtMTVjMS00Y2I5LWEzOWQtNGU0YzU0Mzk5YmFmQGNsb3VkLmV4YW1wbGUub3Jn";

fn provider(text: &str) -> Provider {
    Provider::parse(text).unwrap()
}

/// What is found: `token@server`, or the reason why nothing is.
fn read(text: &str) -> Result<String, String> {
    InviteString::read_anything(text)
        .map(|found| format!("{}@{}", found.token.expose(), found.provider))
        .map_err(|error| error.why().to_owned())
}

fn finds(text: &str, expected: &str) {
    assert_eq!(read(text).as_deref(), Ok(expected), "{text}");
}

/// The one invitation that most shapes here stand for.
fn finds_it(text: &str) {
    finds(text, &format!("{TOKEN}@cloud.example.org"));
}

#[test]
fn inv_2_the_code_of_an_invitation_is_base64_of_token_and_server() {
    let invite = InviteString {
        token: InviteToken::new(TOKEN).unwrap(),
        provider: provider("cloud.example.org"),
    };
    assert_eq!(invite.encode(), CODE);
    assert_eq!(InviteString::read_anything(CODE), Ok(invite));
}

#[test]
fn inv_2_our_codes_are_the_same_in_every_kind_of_base64() {
    for host in [
        "a.org",
        "cloud.example.org",
        "cloud.example.org:8443",
        "ab.org",
        "abc.org",
    ] {
        let provider = provider(host);
        for min in 22..30 {
            let length = InviteString::token_length_for(&provider, min);
            assert!((min..min + 3).contains(&length));
            let text = format!("{}@{host}", "xY7".repeat(11)[..length].to_owned());
            let invite = InviteString {
                token: InviteToken::new(&text[..length]).unwrap(),
                provider: provider.clone(),
            };
            assert_eq!(invite.encode(), STANDARD.encode(&text));
            assert_eq!(invite.encode(), URL_SAFE.encode(&text));
        }
    }
}

#[test]
fn a_code_is_read_in_every_kind_of_base64() {
    finds_it(CODE);
    finds_it(&format!("  {CODE}\r\n"));
    finds_it(&STANDARD.encode(format!("{TOKEN}@cloud.example.org\n")));
    finds_it(&STANDARD.encode(format!("{TOKEN}@https://cloud.example.org/")));
    finds_it(&format!("{}\n{}\n{}", &CODE[..20], &CODE[20..50], &CODE[50..]));
    finds_it(&format!("{} {}", &CODE[..33], &CODE[33..]));
    // Padded and not, with and without the letters that differ between the alphabets
    for token in ["a", "ab", "abc", "??>>~~", "ü-ÿ¿¾"] {
        let text = format!("{token}@cloud.example.org");
        let padded = STANDARD.encode(&text);
        finds(&padded, &text);
        finds(padded.trim_end_matches('='), &text);
        finds(&URL_SAFE.encode(&text), &text);
        finds(&URL_SAFE_NO_PAD.encode(&text), &text);
    }
}

#[test]
fn inv_2_the_text_is_split_at_the_last_at_sign() {
    finds("a@b@cloud.example.org", "a@b@cloud.example.org");
    let found = InviteString::read_anything(&STANDARD.encode("a@b@c@cloud.example.org")).unwrap();
    assert_eq!(found.token.expose(), "a@b@c");
}

#[test]
fn servers_with_ports_and_odd_names_are_read() {
    for host in [
        "cloud.example.org:8443",
        "localhost:9101",
        "192.0.2.1",
        "[2001:db8::1]:8443",
        "xn--exmple-cua.org",
    ] {
        let text = format!("{TOKEN}@{host}");
        finds(&text, &text);
        finds(&STANDARD.encode(&text), &text);
    }
    finds(&format!("{TOKEN}@exämple.org"), &format!("{TOKEN}@xn--exmple-cua.org"));
    finds(
        &format!("{TOKEN}@https://Cloud.Example.org/"),
        &format!("{TOKEN}@cloud.example.org"),
    );
}

#[test]
fn links_to_accept_and_choose_pages_are_read() {
    for link in [
        "https://drive.example.net/open-cloud-mesh/accept-invite?token={T}&providerDomain=cloud.example.org",
        "https://drive.example.net/invites/accept?providerDomain=cloud.example.org&token={T}",
        "https://drive.example.net/accept?token={T}&provider=cloud.example.org",
        "https://drive.example.net/accept?token={T}&providerDomain=https%3A%2F%2Fcloud.example.org",
        "https://drive.example.net/#/accept?token={T}&providerDomain=cloud.example.org",
        "https://drive.example.net/accept?lang=de&amp;token={T}&amp;providerDomain=cloud.example.org",
        "http://drive.example.net:8080/accept?token={T}&providerDomain=cloud.example.org#top",
        // No server is named: the page belongs to the inviter's.
        "https://cloud.example.org/wayf?token={T}",
        "https://cloud.example.org/index.php/apps/contacts/wayf?token={T}",
        "https://cloud.example.org/ui/wayf?token={T}&providerDomain=",
        "ocm-invite://cloud.example.org?token={T}",
        "ocm-invite://accept?token={T}&providerDomain=cloud.example.org",
        "ocm-invite:?token={T}&provider=cloud.example.org",
        "ocm-invite://{T}@cloud.example.org",
        "ocm-invite:{T}@cloud.example.org",
        "web+ocm-invite://cloud.example.org/?token={T}",
        "ocm-invite://{C}",
        "ocm-invite:{C}",
        "https://drive.example.net/accept?token={C}",
    ] {
        let link = link.replace("{T}", TOKEN).replace("{C}", CODE);
        finds_it(&link);
        finds_it(&format!(
            "Hello,\n\nplease click <{link}>.\n\nMarie <marie@example.org>"
        ));
        finds_it(&format!(
            "Take this: {link}, or write to marie-2026-longer-than-that@example.org!"
        ));
        finds_it(&format!("<p><a href=\"{link}\">accept</a></p>"));
    }
}

#[test]
fn whole_mails_are_read() {
    finds_it(&format!(
        "From: Marie Curie <marie@example.org>\nTo: pierre@example.com\nSubject: Invitation\n\n\
         Hi Pierre,\nhere is my code:\n\n    {CODE}\n\nBest\nMarie\n-- \nmarie@example.org | https://example.org/\n"
    ));
    finds_it(&format!(
        "On Monday Marie wrote:\n> Your code: {CODE}.\n>\n> Regards\nThanks!"
    ));
    finds_it(&format!("> > {}\n> > {}\n> >\n> > Marie", &CODE[..60], &CODE[60..]));
    finds_it(&format!("code: {}\n{}\n\nmarie@example.org", &CODE[..40], &CODE[40..]));
    finds_it(&format!("Your invitation is \u{201c}{CODE}\u{201d}."));
    finds_it(&format!("*{CODE}*\n_marie@example.org_"));
    finds_it(&format!("Use {TOKEN}@cloud.example.org, says marie@cloud.example.org."));
}

#[test]
fn links_that_mail_has_wrapped_are_put_together_again() {
    let link = |gap: &str| {
        format!(
            "https://drive.example.net/open-cloud-mesh/accept-invite?token={TOKEN}{gap}&providerDomain=cloud.example.org"
        )
    };
    finds_it(
        &link("=\n")
            .replacen("?token=", "?token=3D", 1)
            .replacen("Domain=", "Domain=3D", 1),
    );
    finds_it(&format!("See\n{}\nMarie", link("\n")));
    finds_it(&format!("> See\n> {}\n> Marie", link("\n> ")));
    finds_it(&format!("See <{}>\nMarie", link("\n   ")));
    finds_it(&format!(
        "https://cloud.example.org/wayf?token={TOKEN}\nMarie\nmarie@example.org"
    ));
}

#[test]
fn where_there_is_no_invitation_none_is_found() {
    for text in [
        "",
        " ",
        "hello",
        "@",
        "token@",
        "@cloud.example.org",
        "Write to marie@example.org",
        "Dear Pierre, my address is marie.curie.the.second@example.org, write soon",
        "https://cloud.example.org/",
        "https://cloud.example.org/?token=",
        "https://cloud.example.org/?token=a%20b",
        "ocm-invite:",
        "ocm-invite://cloud.example.org",
        "QUJDREVGR0g=",
        "dG9rZW5AaG9zdC8vcGF0aA==", // token@host//path
        "\0\0\0",
    ] {
        assert!(read(text).is_err(), "{text}: {:?}", read(text));
    }
    assert!(read(&"x".repeat(300_000)).is_err());
    let two = format!("{TOKEN}@a.example.org or {TOKEN}@b.example.org");
    assert!(read(&two).unwrap_err().contains("several"));
}

/// Shapes in which invitations arrive, one a line: what is pasted, with `{T}` for the token, `{C}` for the code of
/// `{T}@cloud.example.org` and `\\n` for a line break, and behind the bar the server that is to be found.
const CORPUS: &str = include_str!("../../../tests/fixtures/invitations.txt");

#[test]
fn inv_2_inv_3_every_shape_of_the_corpus_is_read() {
    let (mut shapes, mut wrong) = (0, Vec::new());
    for line in CORPUS.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (shape, host) = line.rsplit_once(" || ").expect("a shape and a server");
        let short = &CODE[..40];
        let text = shape
            .replace("{T}", TOKEN)
            .replace("{C}", CODE)
            .replace("{C1}", short)
            .replace("{C2}", &CODE[40..])
            .replace("{P}", &STANDARD.encode(format!("{TOKEN}@cloud.example.org:8443")))
            .replace("{6}", &STANDARD.encode(format!("{TOKEN}@[2001:db8::7]:8443")))
            .replace("{@}", &STANDARD.encode(format!("a@b@{TOKEN}@cloud.example.org")))
            .replace("\\r", "\r")
            .replace("\\n", "\n");
        let token = if shape.contains("{@}") {
            format!("a@b@{TOKEN}")
        } else {
            TOKEN.to_owned()
        };
        let found = read(&text);
        let right = match host {
            "nothing" => found.is_err(),
            host => found.as_deref() == Ok(&*format!("{token}@{host}")),
        };
        if !right {
            wrong.push(format!("{shape}: {found:?}"));
        }
        shapes += 1;
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(shapes >= 60, "{shapes}");
}

#[test]
fn a_token_is_not_taken_for_an_escape_of_mail() {
    finds(
        "https://cloud.example.org/wayf?token=3Dabc4567890",
        "3Dabc4567890@cloud.example.org",
    );
    finds(
        "https://b.example/accept?token=3Dabc4567890&providerDomain=cloud.example.org",
        "3Dabc4567890@cloud.example.org",
    );
    // 61 letters and one sign of padding: no line that was broken.
    let long = STANDARD.encode(format!("{}@cloud.example.org", "a1b2c3d4".repeat(4)));
    let padded = format!("{}=\nBest wishes", long.trim_end_matches('='));
    finds(&padded, &format!("{}@cloud.example.org", "a1b2c3d4".repeat(4)));
}

#[test]
fn t29_a_long_text_is_read_in_one_go() {
    let size = 250_000;
    for part in [
        "<http://",
        "http://",
        "https://a?",
        "YTU1YTk2NmUtMTVjMS00Y2I5\n",
        "=3D",
        "a@b ",
        "ocm-invite:",
        "?token=",
        "<",
    ] {
        let text = part.repeat(size / part.len());
        let begun = std::time::Instant::now();
        let _ = InviteString::read_anything(&text);
        let _ = InviteString::read_anything(&format!("{text}>"));
        assert!(begun.elapsed().as_secs() < 10, "{part}: {:?}", begun.elapsed());
    }
}

#[test]
fn inc_07_the_example_of_draft_05_names_the_server_it_encodes() {
    let text = STANDARD.encode(format!("{TOKEN}@my-cloud-storage.org"));
    finds(&text, &format!("{TOKEN}@my-cloud-storage.org"));
}

#[test]
fn t44_a_token_is_never_printed() {
    let invite = InviteString::read_anything(CODE).unwrap();
    assert!(!format!("{invite:?}").contains("a55a"));
}

#[test]
fn inv_5_an_acceptance_is_read_as_servers_write_it() {
    let own = InviteAcceptanceRequest {
        recipient_provider: provider("receiver.example.org"),
        token: InviteToken::new(TOKEN).unwrap(),
        user_id: "marie".to_owned(),
        email: "marie@receiver.example.org".to_owned(),
        name: "Marie Curie".to_owned(),
    };
    let body = format!(
        r#"{{"recipientProvider":"receiver.example.org","token":"{TOKEN}","userID":"marie","email":"marie@receiver.example.org","name":"Marie Curie"}}"#
    );
    assert_eq!(InviteAcceptanceRequest::parse(body.as_bytes()), Ok(own.clone()));
    assert_eq!(own.to_json(), serde_json::from_str::<Value>(&body).unwrap());
    // Nextcloud up to 32; nulls; no mail address; a scheme; a number
    for body in [
        r#"{"recipientProvider":"https://receiver.example.org/","token":"t","userId":"7","email":null}"#,
        r#"{"recipientProvider":"RECEIVER.example.org","token":"t","userID":7,"more":[1]}"#,
    ] {
        let read = InviteAcceptanceRequest::parse(body.as_bytes()).unwrap();
        assert_eq!(read.address().unwrap().to_string(), "7@receiver.example.org");
        assert_eq!((read.email.as_str(), read.name.as_str()), ("", ""));
    }
}

#[test]
fn inv_5_an_acceptance_that_lacks_something_is_refused_by_name() {
    let good = json!({"recipientProvider": "r.example.org", "token": "t", "userID": "marie", "email": "", "name": ""});
    assert!(InviteAcceptanceRequest::parse(good.to_string().as_bytes()).is_ok());
    for (field, value, missing) in [
        ("recipientProvider", Value::Null, true),
        ("token", json!(""), true),
        ("userID", Value::Null, true),
        ("recipientProvider", json!("r.example.org/ocm"), false),
        ("recipientProvider", json!(["r.example.org"]), false),
        ("token", json!("a b"), false),
        ("token", json!("t".repeat(513)), false),
        ("userID", json!("a\u{0}"), false),
        ("userID", json!("a".repeat(256)), false),
        ("name", json!("a".repeat(256)), false),
        ("email", json!({"a": 1}), false),
    ] {
        let mut body = good.clone();
        body[field] = value;
        let error = InviteAcceptanceRequest::parse(body.to_string().as_bytes()).unwrap_err();
        assert_eq!((error.field(), error.missing()), (field, missing), "{body}");
    }
}

#[test]
fn inv_6_the_answer_says_who_the_inviter_is() {
    let own = InviteAcceptanceResponse {
        user_id: "einstein".to_owned(),
        email: String::new(),
        name: "Albert Einstein".to_owned(),
    };
    assert_eq!(
        InviteAcceptanceResponse::parse(own.to_json().to_string().as_bytes()),
        Ok(own)
    );
    let from = provider("cloud.example.org");
    // OpenCloud
    let body = r#"{"userID":"f7fb@https://cloud.example.org","email":"a@b.c","name":"Albert"}"#;
    let read = InviteAcceptanceResponse::parse(body.as_bytes()).unwrap();
    assert_eq!(read.user_id, "f7fb@https://cloud.example.org");
    assert_eq!(read.address(&from).unwrap().to_string(), "f7fb@cloud.example.org");
    let body = r#"{"message":"INVITE_ACCEPTED"}"#;
    assert!(InviteAcceptanceResponse::parse(body.as_bytes()).unwrap_err().missing());
}

proptest! {
    #[test]
    fn whatever_is_pasted_nothing_breaks(text in "[\\PC\\n=>@:/.?&<]{0,200}") {
        let _ = InviteString::read_anything(&text);
    }

    #[test]
    fn whatever_is_put_together_nothing_breaks(parts in proptest::collection::vec(
        proptest::sample::select(vec![
            "https://", "<", ">", "\n", "=\n", "=3D", "=", "?", "&", "token=", "providerDomain=", "@", "%", "%E2%82",
            "YTU1YTk2NmUtMTVj", "cloud.example.org", "ocm-invite:", "web+ocm:", "é", "\u{200b}", ":", "//", "[", "]",
        ]), 0..40)) {
        let _ = InviteString::read_anything(&parts.concat());
    }

    #[test]
    fn a_code_is_found_again(token in "[A-Za-z0-9]{22,40}", host in "[a-z]{1,9}(\\.[a-z]{1,9}){1,3}") {
        let invite = InviteString {
            token: InviteToken::new(token).unwrap(),
            provider: Provider::parse(&host).unwrap(),
        };
        prop_assert_eq!(InviteString::read_anything(&invite.encode()), Ok(invite));
    }
}
