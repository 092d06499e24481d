//! `plan`: what a transaction does between its two round trips, and the log's encoding.

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use holdfast_compare::fixture;
use holdfast_store::{decode_events, encode_events, plan};

const SHOP_SKUS: usize = 10_000;

fn plans(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("plan");
    let (shop, head) = fixture::shop(SHOP_SKUS);
    for size in [1, 100, 1_000] {
        let commands = fixture::orders(3, size, 1, SHOP_SKUS);
        group.throughput(Throughput::Elements(size as u64));
        group.bench_with_input(BenchmarkId::new("orders", size), &commands, |bencher, commands| {
            let fresh = || {
                let mut ledger = shop.clone();
                fixture::load(&mut ledger, commands);
                ledger
            };
            let planned = |ledger: &mut _| {
                let keys = (plan::keys(commands), plan::outcome_keys(commands));
                (keys, plan::plan(ledger, head, commands, Vec::new()))
            };
            bencher.iter_batched_ref(fresh, planned, BatchSize::LargeInput);
        });
    }
    group.finish();
}

fn log(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("log");
    let size = 1_000;
    let (events, _, _) = fixture::decided(1_000, &fixture::orders(3, size, 1, 1_000));
    let payload = encode_events(&events);
    group.throughput(Throughput::Elements(size as u64));
    group.bench_function("encode", |bencher| bencher.iter(|| encode_events(&events)));
    group.bench_function("decode", |bencher| bencher.iter(|| decode_events(&payload)));
    group.finish();
}

criterion_group!(benches, plans, log);
criterion_main!(benches);
