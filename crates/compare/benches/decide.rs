//! `decide_batch`: the rules alone, by size of the batch, spread over many SKUs and on one.

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use holdfast_compare::fixture;
use holdfast_domain::decide_batch;

const SHOP_SKUS: usize = 10_000;

fn decide(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decide_batch");
    let (shop, head) = fixture::shop(SHOP_SKUS);
    for (name, skus) in [("spread", SHOP_SKUS), ("hot", 1)] {
        for size in [1, 100, 1_000] {
            let commands = fixture::orders(3, size, 1, skus);
            group.throughput(Throughput::Elements(size as u64));
            group.bench_with_input(BenchmarkId::new(name, size), &commands, |bencher, commands| {
                let fresh = || {
                    let mut ledger = shop.clone();
                    fixture::load(&mut ledger, commands);
                    ledger
                };
                // Cloning the shop and dropping it is not timed.
                let decided = |ledger: &mut _| decide_batch(ledger, head, commands);
                bencher.iter_batched_ref(fresh, decided, BatchSize::LargeInput);
            });
        }
    }
    group.finish();
}

criterion_group!(benches, decide);
criterion_main!(benches);
