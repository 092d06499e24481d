use rusqlite::Connection;
use uuid::Uuid;

use super::super::testing::{Shop, item, order};
use super::*;

/// Runs the audit until `done` says so.
async fn audited(shop: &Shop, done: impl Fn(&AuditReport) -> bool) -> AuditReport {
    let audit = Arc::new(Audit::default());
    let wake = broadcast::Sender::new(4);
    let (stop, stopped) = watch::channel(false);
    let running = tokio::spawn(run(audit.clone(), shop.database.reads.clone(), wake.subscribe(), stopped));
    let found = tokio::time::timeout(Duration::from_secs(10), async {
        while !done(&audit.report()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        audit.report()
    });
    let report = found.await.expect("the audit gets there");
    stop.send_replace(true);
    running.await.expect("it stops");
    report
}

async fn shop() -> Shop {
    let shop = Shop::open().await;
    shop.run([item("A", "Titan", "Edge", 1000, 5)]).await;
    shop.run([order(Uuid::now_v7(), "A", 4)]).await;
    shop
}

#[tokio::test]
async fn a_whole_log_is_verified_to_its_end_and_dated() {
    let shop = shop().await;
    let report = audited(&shop, |report| report.verified_at.is_some()).await;
    let head = shop.database.store.head().await.expect("a head");
    assert_eq!((report.verified_position, report.oversold, report.finding), (head.position, 0, None));
}

#[tokio::test]
async fn damage_is_told_and_stops_the_audit() {
    let shop = shop().await;
    let connection = Connection::open(&shop.path).expect("the file opens");
    let sql = "UPDATE log SET decided_at = decided_at + 1 WHERE last_position = (SELECT max(last_position) FROM log)";
    assert_eq!(connection.execute(sql, []).expect("damaged"), 1);
    let report = audited(&shop, |report| report.finding.is_some()).await;
    assert!(report.finding.expect("told").contains("hash chain breaks"));
    assert!(report.verified_position < shop.database.store.head().await.expect("a head").position);
    assert_eq!(report.verified_at, None);
}

#[tokio::test]
async fn an_oversell_is_counted_and_the_audit_goes_on() {
    let shop = shop().await;
    // One unit was left: an order that takes two of it, with the right hashes.
    for quantity in [2, 1] {
        let event = serde_json::json!({"order.accepted": {"order_id": Uuid::now_v7(), "lines": [{"sku": "A", "quantity": quantity,
            "unit_price": {"amount": 1000, "currency": "INR"}, "allocations": [{"location": "NORTH", "quantity": quantity}]}],
            "total": {"amount": 1000 * quantity, "currency": "INR"}, "fingerprint": vec![0; 16]}});
        crate::verify::tests::forge(&shop, event).await;
    }
    let report = audited(&shop, |report| report.verified_at.is_some()).await;
    assert_eq!(report.oversold, 2);
    assert_eq!(report.verified_position, shop.database.store.head().await.expect("a head").position);
    assert!(report.finding.expect("told").contains("takes 2 of A at NORTH, where 1 were available"));
}
