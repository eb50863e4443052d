//! What a promise costs: changes that are on disk when they are answered, one alone and many at once.

use std::hint::black_box;

use criterion::Criterion;
use criterion::Throughput;
use criterion::criterion_group;
use criterion::criterion_main;
use futures_util::future::try_join_all;
use ocmesh::store::Index;
use ocmesh::store::Key;
use ocmesh::store::Options;
use ocmesh::store::Record;
use ocmesh::store::Store;
use serde::Deserialize;
use serde::Serialize;

/// About as long as a share, with as many indexes.
#[derive(Serialize, Deserialize)]
struct Share {
    id: u64,
    owner: String,
    text: String,
}

impl Record for Share {
    const KIND: &'static str = "share";

    fn key(&self) -> Key {
        Key::number(self.id)
    }

    fn index(&self) -> Vec<Index> {
        vec![Index::new("owner", &self.owner)]
    }
}

fn share(id: u64) -> Share {
    Share {
        id: id % 10_000,
        owner: format!("user{}", id % 100),
        text: "x".repeat(512),
    }
}

fn commits(criterion: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let store = Store::open(dir.path(), Options::default()).expect("a new store");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let mut next = 0_u64;
    let mut group = criterion.benchmark_group("durable commits");
    for at_once in [1, 64] {
        group.throughput(Throughput::Elements(at_once));
        group.bench_function(format!("{at_once} at once"), |bencher| {
            bencher.iter(|| {
                let shares: Vec<_> = (next..next + at_once).map(share).collect();
                next += at_once;
                let all = shares
                    .iter()
                    .map(|share| store.run(async move |txn| txn.put(share).await));
                runtime.block_on(try_join_all(all)).expect("a disk with room")
            });
        });
    }
    group.throughput(Throughput::Elements(1));
    group.bench_function("read one", |bencher| {
        let read = async |id: u64| store.read(async |txn| txn.get::<Share>(id % 64).await).await;
        bencher.iter(|| {
            next += 1;
            black_box(runtime.block_on(read(next)).expect("a store that reads"))
        });
    });
    group.finish();
}

criterion_group!(benches, commits);
criterion_main!(benches);
