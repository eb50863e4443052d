//! The decision table of [`preflight`].

use serde_json::Value;
use serde_json::json;

use super::*;
use crate::ocm::address::OcmAddress;
use crate::ocm::address::Provider;
use crate::ocm::dialect;
use crate::ocm::share::OtherProtocols;
use crate::ocm::share::Permissions;
use crate::ocm::share::ProviderId;
use crate::ocm::share::WebdavOffer;
use crate::ocm::share::WebdavUri;
use crate::secret::Secret;

/// A peer by what it says: words that are capabilities or criteria, `v1.0` for its version, and what it receives.
fn peer(words: &str) -> Discovery {
    let mut capabilities = vec![];
    let mut criteria = vec![];
    let mut version = "1.4.0";
    let mut types = vec![entry("file", json!({"webdav": "/dav/"}))];
    for word in words.split_whitespace() {
        match word {
            "folder" => types.push(entry("folder", json!({"webdav": "/dav/"}))),
            "group" => types[0]["shareTypes"] = json!(["user", "group"]),
            "receives-relative" => types[0]["protocols"]["webdav-receive"] = json!({"uri": "relative"}),
            "receives-absolute" => types[0]["protocols"]["webdav-receive"] = json!({"uri": "absolute"}),
            "receives-webapp-only" => types[0]["protocols"] = json!({"webapp-receive": {"targets": ["blank"]}}),
            "nothing" => types.clear(),
            "v1.0" => version = "1.0-proposal1",
            "v1.1" => version = "1.1",
            "odd-demand" | "must-exchange-token" | "must-invite" | "allowlist" | "denylist" | "must-use-http-sig" => {
                criteria.push(word);
            }
            capability => capabilities.push(capability),
        }
    }
    let document = json!({
        "enabled": true, "apiVersion": version, "endPoint": "https://b.example/ocm",
        "capabilities": capabilities, "criteria": criteria, "resourceTypes": types,
    });
    Discovery::parse(
        document.to_string().as_bytes(),
        &Provider::parse("b.example").unwrap(),
        false,
    )
    .unwrap()
}

fn decide(ours: Abilities, words: &str, wish: Wish) -> Result<Terms, Obstacle> {
    let peer = peer(words);
    preflight(ours, &peer, dialect::of(&peer), wish)
}

fn entry(name: &str, protocols: Value) -> Value {
    json!({"name": name, "shareTypes": ["user"], "protocols": protocols})
}

const CAN: Abilities = Abilities {
    exchange_token: true,
    insists_on_exchange: false,
};
const INSISTS: Abilities = Abilities {
    exchange_token: true,
    insists_on_exchange: true,
};
const CANNOT: Abilities = Abilities {
    exchange_token: false,
    insists_on_exchange: false,
};
const FILE: Wish = Wish {
    resource_type: ResourceType::File,
    share_type: ShareType::User,
    write: false,
    second_factor: false,
};
const FOLDER: Wish = Wish {
    resource_type: ResourceType::Folder,
    ..FILE
};
const WITH_MFA: Wish = Wish {
    second_factor: true,
    ..FILE
};
const FOR_GROUP: Wish = Wish {
    share_type: ShareType::Group,
    ..FILE
};

/// The terms in short: what is required, how it is spelt, how the `uri` is written.
fn short(terms: &Terms) -> String {
    let mut text = String::new();
    let Requirements {
        must_exchange_token,
        must_use_mfa,
    } = terms.requirements;
    for (is, word) in [
        (must_exchange_token, "exchange "),
        (must_use_mfa, "mfa "),
        (terms.spelling == Spelling::Multi, "multi"),
        (terms.spelling == Spelling::Options, "options"),
        (terms.uri == UriForm::Absolute, " absolute"),
    ] {
        if is {
            text.push_str(word);
        }
    }
    text
}

#[test]
fn shr_2_shr_2a_shr_3_shr_8_shr_11_the_decision_table() {
    use Obstacle::*;
    let rows: &[(Abilities, &str, Wish, Result<&str, Obstacle>)] = &[
        // What the peer can do is what is required of it (DIA-01, DIA-07).
        (CAN, "protocol-object", FILE, Ok("multi")),
        (CAN, "protocol-object exchange-token", FILE, Ok("exchange multi")),
        (CAN, "exchange-token must-exchange-token", FILE, Ok("exchange multi")),
        // It demands what it does not list: the demand counts (SHR-2, DIA-02).
        (CAN, "must-exchange-token", FILE, Ok("exchange multi")),
        // The word of an earlier version (DIA-05).
        (CAN, "token-exchange", FILE, Ok("exchange multi")),
        // Our operator's own policy (DIA-07).
        (INSISTS, "exchange-token", FILE, Ok("exchange multi")),
        (INSISTS, "protocol-object", FILE, Err(TheyCannotExchange)),
        (INSISTS, "v1.0", FILE, Err(TheyCannotExchange)),
        // Without an endpoint of our own (SHR-2, DIA-03).
        (CANNOT, "exchange-token", FILE, Ok("multi")),
        (
            CANNOT,
            "exchange-token must-exchange-token",
            FILE,
            Err(WeCannotExchange),
        ),
        (CANNOT, "must-exchange-token", FILE, Err(WeCannotExchange)),
        // The spelling (SHR-5); one that forbids the plain secret never takes the old one.
        (CAN, "v1.0", FILE, Ok("options")),
        (CAN, "v1.1", FILE, Ok("multi")),
        (CAN, "v1.0 protocol-object", FILE, Ok("multi")),
        (CAN, "v1.0 exchange-token", FILE, Ok("exchange multi")),
        (CAN, "v1.0 must-exchange-token", FILE, Ok("exchange multi")),
        // The last gate is what it receives; a file for a user may always be tried (SHR-2a, DIA-08).
        (CAN, "nothing", FILE, Ok("multi")),
        (CAN, "receives-webapp-only", FILE, Ok("multi")),
        (CAN, "nothing", FOLDER, Err(TheyTakeNo(ResourceType::Folder))),
        (CAN, "", FOLDER, Err(TheyTakeNo(ResourceType::Folder))),
        (CAN, "folder", FOLDER, Ok("multi")),
        // Who names what it receives at all receives nothing else (DIS-6).
        (
            CAN,
            "folder receives-relative",
            FOLDER,
            Err(TheyTakeNo(ResourceType::Folder)),
        ),
        (CAN, "", FOR_GROUP, Err(TheyTakeNoneFor(ShareType::Group))),
        (CAN, "group", FOR_GROUP, Ok("multi")),
        // The form of the `uri` (DIS-6).
        (CAN, "receives-relative", FILE, Ok("multi")),
        (CAN, "receives-absolute", FILE, Ok("multi absolute")),
        (
            CAN,
            "receives-absolute exchange-token",
            FILE,
            Ok("exchange multi absolute"),
        ),
        // A second factor is demanded only of who keeps that (SHR-11), and next to what else is required (SHR-8).
        (CAN, "", WITH_MFA, Err(NoSecondFactor)),
        (CAN, "enforce-mfa", WITH_MFA, Ok("mfa multi")),
        (CAN, "enforce-mfa exchange-token", WITH_MFA, Ok("exchange mfa multi")),
        (CAN, "enforce-mfa v1.0", WITH_MFA, Ok("mfa multi")),
        (CAN, "enforce-mfa", FILE, Ok("multi")),
        // What stands in the way first is named: the kind, then the exchange, then the factor.
        (INSISTS, "", FOLDER, Err(TheyTakeNo(ResourceType::Folder))),
        (INSISTS, "", WITH_MFA, Err(TheyCannotExchange)),
    ];
    for (ours, words, wish, expected) in rows {
        let outcome = decide(*ours, words, *wish);
        assert_eq!(
            outcome.as_ref().map(short),
            expected.as_ref().map(|text| (*text).to_owned()),
            "{ours:?} {words:?} {wish:?}"
        );
    }
}

#[test]
fn dis_8_what_only_the_peer_can_judge_is_no_obstacle_but_is_remembered() {
    let doubts = |words: &str| decide(CAN, words, FILE).unwrap().doubts;
    assert_eq!(doubts("denylist must-use-http-sig http-sig"), []);
    assert_eq!(
        doubts("must-invite allowlist odd-demand"),
        [
            Doubt::MustInvite,
            Doubt::Allowlist,
            Doubt::Unknown("odd-demand".to_owned())
        ]
    );
}

#[test]
fn each_obstacle_says_what_can_be_done() {
    for obstacle in [
        Obstacle::TheyCannotExchange,
        Obstacle::WeCannotExchange,
        Obstacle::TheyTakeNo(ResourceType::Folder),
        Obstacle::TheyTakeNoneFor(ShareType::Group),
        Obstacle::TheyOnlyRead,
        Obstacle::NoSecondFactor,
    ] {
        let text = obstacle.to_string();
        assert!(text.starts_with("That server") && text.ends_with('.'), "{text}");
    }
}

#[test]
fn shr_5_the_payload_follows_the_terms() {
    let address = OcmAddress::parse("ada@a.example").unwrap();
    let share = ShareCreationNotification {
        share_with: OcmAddress::parse("bob@b.example").unwrap(),
        name: "a.txt".to_owned(),
        description: None,
        provider_id: ProviderId::new("7").unwrap(),
        owner: address.clone(),
        sender: address,
        owner_display_name: None,
        sender_display_name: None,
        share_type: ShareType::User,
        resource_type: ResourceType::File,
        expiration: None,
        webdav: WebdavOffer {
            uri: Some(WebdavUri::parse("7").unwrap()),
            shared_secret: Secret::new("s3cret"),
            permissions: Permissions::READ,
            requirements: Requirements::default(),
            size: None,
        },
        others: OtherProtocols::default(),
    };
    let payload = |words: &str| decide(CAN, words, FILE).unwrap().payload(&share);
    assert_eq!(payload("")["protocol"]["name"], "multi");
    assert!(payload("")["protocol"].get("options").is_none());
    let old = payload("v1.0");
    assert_eq!(old["protocol"]["name"], "webdav");
    assert_eq!(old["protocol"]["options"]["sharedSecret"], "s3cret");
    assert_eq!(old["protocol"]["webdav"]["sharedSecret"], "s3cret");
}
