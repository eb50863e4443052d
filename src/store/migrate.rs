//! Data of an earlier format made into this one's: saved first, written anew beside it, put in its place at once (T-87).

use std::fmt;
use std::sync::Arc;

use super::Line;
use super::Options;
use super::SCHEMA;
use super::dir::DataDir;
use super::exchange;
use super::exchange::Plan;
use super::sled::load::Loader;
use super::sled::start;
use super::txn::Entry;
use crate::error::Result;

/// How data of one format becomes data of the next.
struct Step {
    from: u32,
    /// What an entry becomes; nothing where it goes.
    change: fn(Entry) -> Option<Entry>,
    /// What there was not before.
    add: fn() -> Vec<Entry>,
}

/// Each begins where the one before it ends; the last ends at [`SCHEMA`].
const STEPS: &[Step] = &[
    // 2: shares and invitations may be held after a restore, which an earlier ocmesh would not see, and an epoch counts
    // the restores.
    Step {
        from: 1,
        change: Some,
        add: || {
            vec![(
                start::EPOCH_KEY.to_owned(),
                super::Epoch::default().to_string().into_bytes(),
            )]
        },
    },
];

type Save = dyn Fn(u32, &mut dyn Iterator<Item = Result<Line>>) -> Result<()> + Send + Sync;

/// Saves all records of an earlier format, which is its first argument.
#[derive(Clone, Default)]
pub struct Saver(Option<Arc<Save>>);

impl Saver {
    pub fn new(
        save: impl Fn(u32, &mut dyn Iterator<Item = Result<Line>>) -> Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self(Some(Arc::new(save)))
    }
}

impl fmt::Debug for Saver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Saver" } else { "None" })
    }
}

/// All entries of a database, as often as they are asked for.
type Entries<'e> = &'e dyn Fn() -> Box<dyn Iterator<Item = Result<Entry>> + 'e>;

/// Saves `entries`, which are of the format `from`, and makes a database of this format of them, beside the one in use.
pub(super) fn make(dir: &DataDir, entries: Entries<'_>, from: u32, options: &Options) -> Result<()> {
    if let Some(save) = &options.before_migration.0 {
        save(
            from,
            &mut entries().map(|entry| entry.and_then(|entry| Line::of(&entry))),
        )?;
    }
    tracing::info!(
        from,
        to = SCHEMA,
        "The data is brought from format {from} to format {SCHEMA}"
    );
    let path = dir.path().join(exchange::INCOMING).join("db");
    build(Loader::new(&path, options)?, entries(), from, STEPS, SCHEMA)
}

/// Puts what was made in the place of what it was made of.
pub(super) fn put_in_place(dir: &DataDir) -> Result<()> {
    let plan = Plan {
        aside: format!("before-format-{SCHEMA}"),
        take_in: vec!["db".to_owned()],
        put_aside: Vec::new(),
        keep: false,
    };
    exchange::begin(dir.path(), &plan)
}

fn build(
    mut loader: Loader,
    entries: impl Iterator<Item = Result<Entry>>,
    from: u32,
    steps: &[Step],
    to: u32,
) -> Result<()> {
    let steps: Vec<_> = steps.iter().filter(|step| step.from >= from).collect();
    let through = |entry, first: usize| {
        steps[first..]
            .iter()
            .try_fold(entry, |entry, step| (step.change)(entry))
    };
    for entry in entries {
        let entry = entry?;
        if entry.0 != start::SCHEMA_KEY
            && let Some(entry) = through(entry, 0)
        {
            loader.put(entry)?;
        }
    }
    for (at, step) in steps.iter().enumerate() {
        for entry in (step.add)() {
            if let Some(entry) = through(entry, at + 1) {
                loader.put(entry)?;
            }
        }
    }
    loader.put((start::SCHEMA_KEY.to_owned(), to.to_string().into_bytes()))?;
    loader.finish()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::store::sled::load;

    fn entry(name: &str, value: &str) -> Entry {
        (name.to_owned(), value.as_bytes().to_vec())
    }

    #[test]
    fn t87_each_step_sees_what_the_one_before_it_made() {
        let steps = [
            Step {
                from: 3,
                change: |(name, value)| Some((name.replace("old/", "new/"), value)),
                add: || vec![entry("new/c", "added at 3")],
            },
            Step {
                from: 4,
                change: |(name, mut value)| {
                    value.extend(b", seen at 4");
                    (name != "new/gone").then_some((name, value))
                },
                add: || vec![entry("last/d", "added at 4")],
            },
        ];
        let made_of = |from: u32| {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("db");
            let loader = Loader::new(&path, &Options::default()).unwrap();
            let before = [entry("meta/schema", "3"), entry("old/a", "a"), entry("old/gone", "b")];
            build(loader, before.into_iter().map(Ok), from, &steps, 5).unwrap();
            load::tests::read(&path)
        };
        let expected = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect()
        };
        let all = [
            ("last/d", "added at 4"),
            ("meta/schema", "5"),
            ("new/a", "a, seen at 4"),
            ("new/c", "added at 3, seen at 4"),
        ];
        assert_eq!(made_of(3), expected(&all));
        let later = [
            ("last/d", "added at 4"),
            ("meta/schema", "5"),
            ("old/a", "a, seen at 4"),
            ("old/gone", "b, seen at 4"),
        ];
        assert_eq!(made_of(4), expected(&later));
    }

    #[test]
    fn t87_the_steps_lead_to_this_format_without_a_gap() {
        let ends: Vec<_> = STEPS.iter().map(|step| step.from + 1).collect();
        assert_eq!(ends, (2..=SCHEMA).collect::<Vec<_>>());
    }
}
