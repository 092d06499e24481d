//! The read model: applying what was committed, reading an item, searching with facets.

use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use holdfast_compare::fixture::{self, Dice};
use holdfast_compare::read_side::read_model::ReadModel;

const SKUS: usize = 10_000;
const ITEMS_SEARCHED: usize = 100_000;

fn apply(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("read_model");
    for size in [1, 1_000] {
        let (events, _, head) = fixture::decided(SKUS, &fixture::orders(3, size, 1, SKUS));
        let model = ReadModel::new();
        model.load(fixture::snapshot(SKUS));
        group.throughput(Throughput::Elements(size as u64));
        group.bench_function(BenchmarkId::new("apply", size), |bencher| {
            // Each batch follows the one before it: the model only goes forward.
            bencher.iter_custom(|times| {
                let mut took = Duration::ZERO;
                for _ in 0..times {
                    let batch = fixture::committed(model.position().max(head), events.clone());
                    let begun = Instant::now();
                    model.apply(&batch);
                    took += begun.elapsed();
                }
                took
            });
        });
    }
    group.finish();
}

fn read(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("read_model");
    let model = ReadModel::new();
    model.load(fixture::snapshot(ITEMS_SEARCHED));
    let mut dice = Dice::new(5);
    let skus: Vec<_> = (0..1_000).map(|_| fixture::sku(dice.below(ITEMS_SEARCHED))).collect();
    let mut next = (0..skus.len()).cycle();
    group.bench_function("item", |bencher| {
        bencher.iter(|| model.item(&skus[next.next().expect("a cycle has no end")]));
    });
    let queries = fixture::queries(11, 64);
    let mut next = (0..queries.len()).cycle();
    group.bench_function("search of 100,000 items", |bencher| {
        bencher.iter(|| model.search(&queries[next.next().expect("a cycle has no end")]));
    });
    group.finish();
}

criterion_group!(benches, apply, read);
criterion_main!(benches);
