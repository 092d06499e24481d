//! Envelopes and replies on the broker, written and read.

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use holdfast_bus::amqp::measure;
use holdfast_compare::fixture;

const SKUS: usize = 1_000;

fn envelopes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("envelope");
    for size in [1, 100, 1_000] {
        let commands = fixture::orders(3, size, 1, SKUS);
        let envelope = measure::encode(&commands);
        let (_, outcomes, _) = fixture::decided(SKUS, &commands);
        let reply = measure::encode_reply(outcomes.clone());
        group.throughput(Throughput::Elements(size as u64));
        group.bench_function(BenchmarkId::new("encode", size), |bencher| {
            bencher.iter(|| measure::encode(&commands));
        });
        group.bench_function(BenchmarkId::new("decode", size), |bencher| {
            bencher.iter(|| measure::decode(&envelope));
        });
        group.bench_function(BenchmarkId::new("encode_reply", size), |bencher| {
            bencher.iter_batched(|| outcomes.clone(), measure::encode_reply, BatchSize::SmallInput);
        });
        group.bench_function(BenchmarkId::new("decode_reply", size), |bencher| {
            bencher.iter(|| measure::decode_reply(&reply));
        });
    }
    group.finish();
}

criterion_group!(benches, envelopes);
criterion_main!(benches);
