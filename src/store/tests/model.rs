//! Lists and indexes against a map that does the same.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    Put(u8, u8, Option<u8>, Option<i8>),
    Delete(u8),
    /// The first steps of a piece of work that is refused at its end.
    Refuse(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..6_u8, 0..3_u8, any::<Option<bool>>(), any::<Option<i8>>())
            .prop_map(|(name, owner, mail, due)| Step::Put(name, owner, mail.map(u8::from), due)),
        2 => (0..6_u8).prop_map(Step::Delete),
        1 => (0..6_u8).prop_map(Step::Refuse),
    ]
}

fn built(name: u8, owner: u8, mail: Option<u8>, due: Option<i8>) -> Item {
    Item {
        name: format!("n/{name}"),
        owner: format!("o{owner}"),
        mail: mail.map(|mail| format!("m{mail}")),
        due: due.map(|due| Timestamp(due.into())),
        count: 0,
    }
}

/// Does the steps of one piece of work to the model; nothing if it must be refused.
fn model(before: &BTreeMap<String, Item>, steps: &[Step]) -> Option<BTreeMap<String, Item>> {
    let mut after = before.clone();
    for step in steps {
        match *step {
            Step::Put(name, owner, mail, due) => {
                let new = built(name, owner, mail, due);
                let taken = |old: &Item| old.name != new.name && old.mail.is_some() && old.mail == new.mail;
                if after.values().any(taken) {
                    return None;
                }
                after.insert(new.name.clone(), new);
            }
            Step::Delete(name) => drop(after.remove(&format!("n/{name}"))),
            Step::Refuse(_) => return None,
        }
    }
    Some(after)
}

async fn work(txn: &mut Txn, steps: &[Step]) -> Result<()> {
    for step in steps {
        match *step {
            Step::Put(name, owner, mail, due) => txn.put(&built(name, owner, mail, due)).await?,
            Step::Delete(name) => drop(txn.delete::<Item>(format!("n/{name}")).await?),
            Step::Refuse(name) => {
                txn.delete::<Item>(format!("n/{name}")).await?;
                return Err(Error::not_found("refused"));
            }
        }
    }
    Ok(())
}

async fn check_against(txn: &mut Txn, model: &BTreeMap<String, Item>) -> Result<()> {
    let all = Page::first(MAX_PAGE);
    let listed = txn.list::<Item>(Key::ALL, &all).await?.items;
    assert_eq!(listed, model.values().cloned().collect::<Vec<_>>());
    let (mut paged, mut page) = (Vec::new(), Page::first(2));
    while let Some(next) = {
        let listing = txn.list::<Item>(Key::ALL, &page).await?;
        assert!(listing.items.len() <= 2);
        paged.extend(listing.items);
        listing.next
    } {
        page = Page::after(next, 2);
    }
    assert_eq!(paged, listed);
    for owner in 0..3_u8 {
        let owner = format!("o{owner}");
        let found = txn.find::<Item>("owner", &owner, &all).await?.items;
        let expected: Vec<_> = model.values().filter(|item| item.owner == owner).cloned().collect();
        assert_eq!(found, expected);
    }
    for mail in 0..2_u8 {
        let mail = Some(format!("m{mail}"));
        let found = txn.find_one::<Item>("mail", mail.as_ref().unwrap()).await?;
        assert_eq!(found.as_ref(), model.values().find(|item| item.mail == mail));
    }
    let mut expected: Vec<_> = model
        .values()
        .filter(|item| item.due <= Some(Timestamp(9)))
        .cloned()
        .collect();
    expected.retain(|item| item.due.is_some());
    expected.sort_by_key(|item| (item.due, item.name.clone()));
    assert_eq!(txn.find_until::<Item>("due", Timestamp(9), MAX_PAGE).await?, expected);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]
    #[test]
    fn lists_and_indexes_are_those_of_the_model_whatever_is_done(works in vec(vec(step(), 1..5), 1..12)) {
        let (dir, store) = new();
        block_on(async {
            let mut kept = BTreeMap::new();
            for steps in &works {
                let expected = model(&kept, steps);
                let outcome = store
                    .run_early(async |txn| {
                        work(txn, steps).await?;
                        // Before it is committed already.
                        check_against(txn, expected.as_ref().unwrap()).await
                    })
                    .await;
                assert_eq!(outcome.is_ok(), expected.is_some());
                kept = expected.unwrap_or(kept);
                store.read(async |txn| check_against(txn, &kept).await).await.unwrap();
            }
            store.close().unwrap();
            let store = open(dir.path());
            store.read(async |txn| check_against(txn, &kept).await).await.unwrap();
        });
    }
}
