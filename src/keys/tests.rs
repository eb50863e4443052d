use std::collections::BTreeSet;
use std::time::Duration;

use tempfile::TempDir;

use super::*;
use crate::error::Reason;
use crate::store::Options;

const NOW: Timestamp = Timestamp(1_790_000_000);
const DAY: Duration = Duration::from_secs(86_400);

async fn keys() -> (TempDir, Arc<Keys>) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), Options::default()).unwrap();
    let keys = Keys::load(&Config::default(), store, NOW).await.unwrap();
    (dir, Arc::new(keys))
}

/// What is kept is what is used, one key signs, and it is published.
async fn check(keys: &Keys) {
    let shown = |keys: &Keys| {
        let key = |key: PublishedKey| (key.jwk.kid().to_owned(), key.state, key.since, key.until);
        (keys.list().into_iter().map(key).collect::<Vec<_>>(), keys.jwk_set())
    };
    let kept = Keys::load(&Config::default(), keys.store.clone(), NOW).await.unwrap();
    assert_eq!(shown(&kept), shown(keys));
    assert_eq!(kept.active().jwk(), keys.active().jwk());
    let listed = keys.list();
    let count = |state: State| listed.iter().filter(|key| key.state == state).count();
    assert_eq!(count(State::Active), 1);
    assert!(count(State::Pending) <= 1);
    assert_eq!(listed[0].jwk, keys.active().jwk());
    assert_eq!(listed[0].state, State::Active);
    assert_eq!(
        listed.iter().map(|key| key.jwk.clone()).collect::<Vec<_>>(),
        keys.published()
    );
    assert!(listed.len() <= ring::PUBLISHED_MAX);
}

#[tokio::test]
async fn one_key_signs_and_is_published_whatever_is_done_in_whatever_order() {
    let (_dir, keys) = keys().await;
    let mut now = NOW;
    let mut kids = BTreeSet::new();
    // A walk that goes everywhere, and the same way each time.
    let mut dice: u32 = 1;
    for _ in 0..150 {
        dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let replacing = keys.active();
        let outcome = match dice >> 29 {
            0 => keys.rotate(Rotation::Planned, replacing.kid(), now).await.map(drop),
            1 | 2 => keys.rotate(Rotation::Now, replacing.kid(), now).await.map(drop),
            3 if dice & 0x1000 != 0 => keys.rotate(Rotation::Stolen, replacing.kid(), now).await.map(drop),
            4 => keys.cancel().await,
            _ => {
                now = now.plus(DAY / 2);
                keys.advance(now).await
            }
        };
        assert!(outcome.is_ok() || matches!(dice >> 29, 0 | 1 | 2 | 4));
        check(&keys).await;
        kids.extend(keys.published().iter().map(|key| key.kid().to_owned()));
    }
    assert!(kids.len() > 40, "the walk went nowhere: {}", kids.len());
}

#[tokio::test]
async fn keys_made_in_one_second_have_names_of_their_own() {
    let (_dir, keys) = keys().await;
    let mut kids = BTreeSet::new();
    for _ in 0..20 {
        let replacing = keys.active();
        assert!(kids.insert(replacing.kid().to_owned()));
        assert!(replacing.kid().starts_with("http://127.0.0.1:8080/ocm#ed25519-"));
        keys.rotate(Rotation::Stolen, replacing.kid(), NOW).await.unwrap();
    }
}

#[tokio::test]
async fn whoever_rotates_a_key_that_signs_no_more_is_told_so() {
    let (_dir, keys) = keys().await;
    let seen = keys.active();
    keys.rotate(Rotation::Now, seen.kid(), NOW).await.unwrap();
    for how in [Rotation::Planned, Rotation::Now, Rotation::Stolen] {
        let refused = keys.rotate(how, seen.kid(), NOW).await.unwrap_err();
        assert_eq!(refused.reason(), Reason::Conflict);
        check(&keys).await;
    }
    assert_eq!(keys.list().len(), 2);
}

#[tokio::test]
async fn whoever_hangs_up_leaves_nothing_half_done() {
    let (_dir, keys) = keys().await;
    for turn in 0..20 {
        let seen = keys.active();
        let rotation = keys.rotate(Rotation::Stolen, seen.kid(), NOW);
        tokio::select! {
            biased;
            // It was faster; in the first turns it can't be.
            _ = rotation => assert!(turn > 0, "it did not wait for the disk"),
            // Other work gets its turn so often, and then whoever asked is gone.
            () = async { for _ in 0..turn { tokio::task::yield_now().await; } } => {}
        }
        // The next step waits for its turn.
        keys.cancel().await.unwrap_err();
        assert_ne!(keys.active().kid(), seen.kid());
        check(&keys).await;
    }
}

#[tokio::test]
async fn the_private_half_goes_when_a_key_ceases_to_sign() {
    let (_dir, keys) = keys().await;
    let old = keys.active();
    keys.rotate(Rotation::Now, old.kid(), NOW).await.unwrap();
    let ring = keys.store.read(Ring::read).await.unwrap().unwrap();
    let kept = serde_json::to_value(&ring.retiring[0]).unwrap();
    assert_eq!(kept["jwk"], serde_json::to_value(old.jwk()).unwrap());
    let names: Vec<_> = kept.as_object().unwrap().keys().collect();
    assert_eq!(names, ["jwk", "since", "until"]);
}

#[tokio::test]
async fn a_clock_that_is_set_back_changes_nothing() {
    let (_dir, keys) = keys().await;
    keys.rotate(Rotation::Now, keys.active().kid(), NOW).await.unwrap();
    keys.rotate(Rotation::Planned, keys.active().kid(), NOW).await.unwrap();
    let before = keys.jwk_set();
    keys.advance(NOW.minus(DAY * 1000)).await.unwrap();
    assert_eq!(keys.jwk_set(), before);
    check(&keys).await;
}

#[tokio::test]
async fn the_kept_key_is_never_shown() {
    let (_dir, keys) = keys().await;
    let ring = keys.store.read(Ring::read).await.unwrap().unwrap();
    let kept = serde_json::to_value(&ring.active).unwrap();
    let private = kept["pkcs8"].as_str().unwrap();
    assert!(private.len() > 60);
    for shown in [
        format!("{:?}", keys.active()),
        format!("{:?}", keys.list()),
        String::from_utf8(keys.jwk_set().to_vec()).unwrap(),
    ] {
        assert!(!shown.contains(private) && !shown.contains("pkcs8"), "{shown}");
        assert!(!shown.contains("\"d\""), "{shown}");
    }
}

#[tokio::test]
async fn t24_the_rsa_key_is_one_for_ever_even_if_two_were_made_at_once() {
    let (_dir, keys) = keys().await;
    // What a request that was hung up left under way is as another one: it does not know of this one's key.
    let other = Keys::load(&Config::default(), keys.store.clone(), NOW).await.unwrap();
    let (ours, others) = tokio::join!(keys.rsa(), other.rsa());
    let kept = Keys::load(&Config::default(), keys.store.clone(), NOW).await.unwrap();
    let kept = kept.rsa().await.unwrap().public_pem();
    assert_eq!(ours.unwrap().public_pem(), kept);
    assert_eq!(others.unwrap().public_pem(), kept);
}
