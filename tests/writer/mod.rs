//! A writer that says what it was promised, to be killed at any moment, and the check that every promise was kept.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::env;
use std::fmt;
use std::hash::BuildHasher;
use std::hash::RandomState;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use ocmesh::error::Result;
use ocmesh::store::Index;
use ocmesh::store::Key;
use ocmesh::store::Options;
use ocmesh::store::Page;
use ocmesh::store::Record;
use ocmesh::store::Store;
use serde::Deserialize;
use serde::Serialize;

/// Where the child finds its store. Only with it the writer test does anything.
const WRITER_DIR: &str = "WRITER_DIR";

const TASKS: u64 = 8;
/// Older notes of a task are deleted, in the same commit that writes a new one.
const KEPT: u64 = 40;
const ACCOUNTS: u64 = 4;

/// How many notes a task has written.
#[derive(Serialize, Deserialize)]
struct Counter {
    task: u64,
    count: u64,
}

impl Record for Counter {
    const KIND: &'static str = "counter";

    fn key(&self) -> Key {
        Key::number(self.task)
    }
}

#[derive(Serialize, Deserialize)]
struct Note {
    task: u64,
    number: u64,
    text: String,
}

impl Record for Note {
    const KIND: &'static str = "note";

    fn key(&self) -> Key {
        Key::number(self.task).and(self.number)
    }

    fn index(&self) -> Vec<Index> {
        vec![
            Index::new("length", self.text.len() as u64),
            Index::unique("serial", format!("{}/{}", self.number, self.task)),
        ]
    }
}

/// Written early before each note, as a mark against replay is before a request is answered.
#[derive(Serialize, Deserialize)]
struct Mark {
    task: u64,
    number: u64,
}

impl Record for Mark {
    const KIND: &'static str = "mark";

    fn key(&self) -> Key {
        Key::number(self.task).and(self.number)
    }
}

/// The sum of all balances is zero, whatever is moved, and together they moved once for every note.
#[derive(Serialize, Deserialize)]
struct Account {
    number: u64,
    balance: i64,
    moves: u64,
}

impl Record for Account {
    const KIND: &'static str = "account";

    fn key(&self) -> Key {
        Key::number(self.number)
    }
}

/// Lengths from a few bytes to nearly the most that is taken.
fn text(task: u64, number: u64) -> String {
    let length = match (number * 31 + task * 7) % 50 {
        0 => 5900,
        some => some * 17,
    };
    format!("{task}.{number} ").repeat(1 + length as usize / 8)
}

/// What the child does: writes from several threads until it is killed. Call it from a test of its own; in any other
/// process than that of [`start`] it returns at once.
pub fn write_until_killed() {
    let Some(dir) = env::var_os(WRITER_DIR) else {
        return;
    };
    let store = Store::open(Path::new(&dir), Options::default()).unwrap();
    thread::scope(|scope| {
        for task in 0..TASKS {
            let store = store.clone();
            scope.spawn(move || block_on(write(&store, task)));
        }
    });
}

async fn write(store: &Store, task: u64) {
    loop {
        let count = store
            .read(async |txn| Ok(txn.get::<Counter>(task).await?.map_or(0, |counter| counter.count)))
            .await
            .unwrap();
        let number = count + 1;
        store
            .run_early(async |txn| txn.put(&Mark { task, number }).await)
            .await
            .unwrap();
        store
            .run(async |txn| {
                let text = text(task, number);
                txn.put(&Counter { task, count: number }).await?;
                txn.put(&Note { task, number, text }).await?;
                if let Some(old) = number.checked_sub(KEPT) {
                    txn.delete::<Note>(Key::number(task).and(old)).await?;
                    txn.delete::<Mark>(Key::number(task).and(old)).await?;
                }
                move_some(txn, (task + number) % ACCOUNTS, number % ACCOUNTS, 7).await
            })
            .await
            .unwrap();
        writeln!(std::io::stdout().lock(), "ack {task} {number}").unwrap();
    }
}

async fn move_some(txn: &mut ocmesh::store::Txn, from: u64, to: u64, amount: i64) -> Result<()> {
    for (number, change, moves) in [(from, -amount, 0), (to, amount, 1)] {
        let mut account = txn.get::<Account>(number).await?.unwrap_or(Account {
            number,
            balance: 0,
            moves: 0,
        });
        account.balance += change;
        account.moves += moves;
        txn.put(&account).await?;
    }
    Ok(())
}

/// Starts this test binary once more, as the writer only.
pub fn start(test: &str, dir: &Path, environment: &[(&str, &Path)]) -> Child {
    Command::new(env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env(WRITER_DIR, dir)
        .envs(environment.iter().copied())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Kills the writer (SIGKILL) at a random moment; what it was promised by then: the last number of each task.
pub fn kill(mut writer: Child, earliest: u64, latest: u64) -> Promised {
    let output = BufReader::new(writer.stdout.take().unwrap());
    let reader = thread::spawn(move || {
        let mut promised = Promised::default();
        // A last line without an end was cut by the kill, and may lack digits.
        for line in output
            .split(b'\n')
            .map(|line| String::from_utf8(line.unwrap()).unwrap())
        {
            let mut words = line.split(' ');
            // `test writer ... ` of the harness stands before the first.
            let Some(task) = words.find(|word| *word == "ack").and_then(|_| words.next()) else {
                continue;
            };
            if let (Ok(task), Some(Ok(number))) = (task.parse(), words.next().map(str::parse::<u64>)) {
                let last = promised.last.entry(task).or_default();
                *last = number.max(*last);
                promised.count += 1;
            }
        }
        promised
    });
    thread::sleep(Duration::from_millis(
        earliest + RandomState::new().hash_one(0) % (latest - earliest),
    ));
    assert!(writer.try_wait().unwrap().is_none(), "the writer ended by itself");
    writer.kill().unwrap();
    writer.wait().unwrap();
    reader.join().unwrap()
}

#[derive(Default)]
pub struct Promised {
    pub count: u64,
    last: HashMap<u64, u64>,
}

/// What is not as was promised, one sentence each.
#[derive(Default)]
pub struct Lost(pub Vec<String>);

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} promises broken: {}", self.0.len(), self.0.join("; "))
    }
}

/// Opens what the killed writer left and compares.
pub fn check(dir: &Path, promised: &Promised) -> Lost {
    let store = match Store::open(dir, Options::default()) {
        Ok(store) => store,
        Err(error) => return Lost(vec![format!("it does not open: {error} ({})", error.causes())]),
    };
    let lost = block_on(store.read(async |txn| {
        let mut lost = Lost::default();
        let mut written = 0;
        for task in 0..TASKS {
            written += check_task(txn, task, promised, &mut lost).await?;
        }
        let (mut balance, mut moves) = (0, 0);
        for account in all::<Account>(txn, Key::ALL).await? {
            balance += account.balance;
            moves += account.moves;
        }
        if balance != 0 || moves != written {
            lost.0
                .push(format!("{moves} moves for {written} notes leave {balance}"));
        }
        Ok(lost)
    }))
    .unwrap();
    store.close().unwrap();
    lost
}

async fn check_task(txn: &mut ocmesh::store::Txn, task: u64, promised: &Promised, lost: &mut Lost) -> Result<u64> {
    let last = promised.last.get(&task).copied().unwrap_or(0);
    let count = txn.get::<Counter>(task).await?.map_or(0, |counter| counter.count);
    if count < last {
        lost.0
            .push(format!("task {task} was promised note {last} and has {count}"));
    }
    let expected: BTreeMap<u64, String> = (count.saturating_sub(KEPT - 1).max(1)..=count)
        .map(|number| (number, text(task, number)))
        .collect();
    let notes: BTreeMap<u64, String> = all::<Note>(txn, Key::number(task))
        .await?
        .into_iter()
        .map(|note| (note.number, note.text))
        .collect();
    if notes != expected {
        lost.0
            .push(format!("task {task} has notes {:?} of {count}", notes.keys()));
    }
    for (number, text) in &expected {
        let serial = txn.find_one::<Note>("serial", format!("{number}/{task}")).await?;
        let same_length = txn
            .find::<Note>("length", text.len() as u64, &Page::first(1000))
            .await?
            .items;
        let found = |note: &Note| (note.task, note.number) == (task, *number);
        if !serial.as_ref().is_some_and(found) || !same_length.iter().any(found) {
            lost.0
                .push(format!("task {task}'s note {number} is not in its indexes"));
        }
    }
    let marks = all::<Mark>(txn, Key::number(task)).await?;
    if !expected
        .keys()
        .all(|number| marks.iter().any(|mark| mark.number == *number))
    {
        lost.0.push(format!("task {task} has notes without marks"));
    }
    Ok(count)
}

async fn all<R: Record>(txn: &mut ocmesh::store::Txn, prefix: Key) -> Result<Vec<R>> {
    Ok(txn.list(prefix, &Page::first(1000)).await?.items)
}

fn block_on<F: Future>(work: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(work)
}
