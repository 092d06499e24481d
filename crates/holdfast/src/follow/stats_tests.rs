use uuid::Uuid;

use super::super::testing::{Shop, item, order};
use super::*;

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn orders_are_counted_when_they_were_decided() {
    let shop = Shop::open().await;
    let stats = Stats::default();
    stats.apply(&shop.run([item("A", "Titan", "Edge", 1000, 10), item("B", "Casio", "G", 500, 10)]).await);
    stats.apply(&shop.run([order(Uuid::now_v7(), "A", 2), order(Uuid::now_v7(), "B", 5)]).await);
    let refused = shop.execute([order(Uuid::now_v7(), "B", 100)]).await;
    stats.apply(&refused.committed.expect("a rejected order is in the log"));
    let early = shop.now();
    shop.pass_seconds(600);
    stats.apply(&shop.run([order(Uuid::now_v7(), "A", 4)]).await);

    let report = stats.report(15 * MINUTE, shop.now());
    assert_eq!((report.orders, report.rejected, report.units, report.window_seconds), (3, 1, 11, 900));
    assert!((report.orders_per_second - 3.0 / 900.0).abs() < 1e-9);
    let hot: Vec<(&str, u64, u64)> =
        report.hottest.iter().map(|hot| (hot.sku.as_str(), hot.units, hot.orders)).collect();
    assert_eq!(hot, [("A", 6, 2), ("B", 5, 1)]);
    // The series adds up to the figures, for windows of seconds and of minutes.
    for window in [15 * MINUTE, 60 * MINUTE, 24 * 60 * MINUTE] {
        let report = stats.report(window, shop.now());
        assert_eq!(report.orders, 3, "{window:?}");
        assert!((2..=96).contains(&report.series.len()), "{} points", report.series.len());
        let unit = if window > 60 * MINUTE { 60_000_000 } else { 1_000_000 };
        let end = (shop.now().0 / unit + 1) * unit;
        let ends = report.series.iter().skip(1).map(|point| point.at.0).chain([end]);
        let spans = report.series.iter().zip(ends);
        let units: f64 =
            spans.map(|(point, end)| point.units_per_second * (end - point.at.0) as f64 / 1e6).sum();
        assert!((units - 11.0).abs() < 1e-6, "{window:?}: {units}");
    }
    assert_eq!(stats.report(MINUTE, shop.now()).orders, 1);
    assert_eq!(stats.report(MINUTE, early).units, 7);
    shop.pass_seconds(2 * 24 * 3600);
    assert_eq!(stats.report(24 * 60 * MINUTE, shop.now()).orders, 0);
}

#[test]
fn latencies_are_quantiles_of_their_minutes() {
    let stats = Stats::default();
    let now = Timestamp(1_800_000_000_000_000);
    assert_eq!(stats.report(MINUTE, now).latency, Latency::default());
    for millis in 1..=100 {
        stats.record_latency_at(Duration::from_millis(millis), now);
    }
    stats.record_latency_at(Duration::from_secs(3600), Timestamp(now.0 - 7_200_000_000));
    let latency = stats.report(15 * MINUTE, now).latency;
    for (value, wanted) in
        [(latency.p50_ms, 50.0), (latency.p90_ms, 90.0), (latency.p99_ms, 99.0), (latency.max_ms, 100.0)]
    {
        assert!((value - wanted).abs() <= wanted / 100.0, "{value} instead of {wanted}");
    }
    let report = stats.report(15 * MINUTE, now);
    assert!(report.series.last().expect("points").p50_ms.is_some());
    assert_eq!(report.series[0].p50_ms, None);
    assert!(
        stats.report(3 * 60 * MINUTE, now).latency.max_ms >= 60_000.0,
        "counted as the longest that is kept"
    );
}

#[test]
fn a_slot_is_used_again_only_for_what_is_later() {
    let mut ring: Ring<u32> = Ring::new(3);
    *ring.at_mut(1).expect("free") = 7;
    *ring.at_mut(4).expect("later") += 1;
    assert!(ring.at_mut(1).is_none());
    assert_eq!((ring.at(1), ring.at(4), ring.at(7)), (None, Some(&1), None));
}
