use serde_json::json;
use uuid::Uuid;

use super::super::testing::{Shop, item, order};
use super::*;

fn sku(text: &str) -> Sku {
    Sku::new(text).expect("a SKU")
}

async fn loaded(shop: &Shop) -> Arc<ReadModel> {
    let model = ReadModel::new();
    model.load(shop.database.reads.snapshot().await.expect("a snapshot"));
    model
}

/// Items, orders, holds, counts, archiving: batch by batch, in the order of the log.
async fn history(shop: &Shop) -> Vec<Committed> {
    let hold = Uuid::now_v7();
    let sold = Uuid::now_v7();
    vec![
        shop.run([item("A", "Titan", "Edge", 1000, 5), item("B", "Casio", "G-Shock", 500, 1)]).await,
        shop.run([
            json!({"kind": "stock.levels", "sku": "A", "location": "NORTH", "safety_stock": 1, "reorder_point": 2}),
            json!({"kind": "stock.transfer", "sku": "A", "from": "NORTH", "to": "SOUTH", "quantity": 2}),
        ])
        .await,
        shop.run([order(sold, "A", 3), order(Uuid::now_v7(), "B", 1)]).await,
        shop.run([json!({"kind": "order.fulfil", "order_id": sold})]).await,
        shop.run([json!({"kind": "stock.count", "sku": "B", "location": "NORTH", "counted": 0})]).await,
        shop.run([json!({"kind": "hold.place", "id": hold, "lines": [{"sku": "A", "quantity": 1}], "ttl_seconds": 60})]).await,
        shop.run([json!({"kind": "item.update", "sku": "A", "model": "Edge Ceramic"}), item("C", "Fossil", "Grant", 700, 0)]).await,
        shop.run([json!({"kind": "item.remove", "sku": "C"})]).await,
        shop.run([json!({"kind": "item.update", "sku": "C", "status": "active"})]).await,
    ]
}

#[tokio::test]
async fn applied_batches_and_a_snapshot_give_the_same_model() {
    let shop = Shop::open().await;
    let followed = loaded(&shop).await;
    for committed in history(&shop).await {
        followed.apply(&committed);
        let fresh = ReadModel::new();
        if committed.last == shop.database.store.head().await.expect("a head").position {
            fresh.load(shop.database.reads.snapshot().await.expect("a snapshot"));
            for code in ["A", "B", "C"] {
                assert_eq!(
                    followed.stock(&sku(code)).map(|s| s.0),
                    fresh.stock(&sku(code)).map(|s| s.0),
                    "{code}"
                );
                assert_eq!(followed.item(&sku(code)), fresh.item(&sku(code)));
            }
            assert_eq!(followed.summary(), fresh.summary());
            assert_eq!(followed.locations(), fresh.locations());
            assert_eq!(followed.position(), fresh.position());
            let all = ItemQuery { limit: 10, ..ItemQuery::default() };
            assert_eq!(followed.search(&all).items, fresh.search(&all).items);
            assert_eq!(followed.search(&all).facets, fresh.search(&all).facets);
        }
    }
    // A: 1 on hand beyond its safety stock, held: low and sold out. B: promised, but not there. C: back again.
    assert_eq!(followed.summary(), Summary { items: 3, low: 1, sold_out: 3, shortages: 1 });
}

#[tokio::test]
async fn archived_items_are_not_found_but_still_shown() {
    let shop = Shop::open().await;
    shop.run([item("A", "Titan", "Edge", 1000, 5)]).await;
    let model = loaded(&shop).await;
    assert!(model.item(&sku("A")).expect("it is there").in_stock());
    model.apply(&shop.run([json!({"kind": "item.remove", "sku": "A"})]).await);
    let view = model.item(&sku("A")).expect("it is still shown");
    assert_eq!((view.item.status, view.item.version, view.in_stock()), (ItemStatus::Archived, 2, false));
    assert_eq!(model.search(&ItemQuery { limit: 10, ..ItemQuery::default() }).total, 0);
    assert_eq!(model.summary(), Summary::default());
    // Units of it are still on hand.
    assert_eq!(model.stock_list(&StockQuery { limit: 10, ..StockQuery::default() }).0.len(), 1);
}

#[tokio::test]
async fn search_sees_what_orders_left() {
    let shop = Shop::open().await;
    shop.run([item("A", "Titan", "Edge", 1000, 1)]).await;
    let model = loaded(&shop).await;
    let in_stock = ItemQuery { limit: 10, in_stock: true, ..ItemQuery::default() };
    assert_eq!(model.search(&in_stock).total, 1);
    model.apply(&shop.run([order(Uuid::now_v7(), "A", 1)]).await);
    assert_eq!(model.search(&in_stock).total, 0);
    assert_eq!(model.item(&sku("A")).expect("it is there").available, 0);
}

#[tokio::test]
async fn stock_is_listed_by_sku_in_pages_and_filtered() {
    let shop = Shop::open().await;
    let model = loaded(&shop).await;
    for committed in history(&shop).await {
        model.apply(&committed);
    }
    let list = |query: StockQuery| {
        let (page, next) = model.stock_list(&query);
        (page.into_iter().map(|(sku, _)| sku.to_string()).collect::<Vec<_>>(), next)
    };
    let query = StockQuery { limit: 2, ..StockQuery::default() };
    let (page, next) = list(query.clone());
    assert_eq!((page, next.as_deref()), (vec!["A".to_owned(), "B".to_owned()], Some("B")));
    assert_eq!(list(StockQuery { cursor: next, ..query.clone() }), (vec!["C".to_owned()], None));
    assert_eq!(list(StockQuery { low: true, ..query.clone() }).0, ["A"]);
    assert_eq!(list(StockQuery { shortage: true, ..query.clone() }).0, ["B"]);
    assert_eq!(list(StockQuery { low: true, shortage: true, ..query.clone() }).0, Vec::<String>::new());
    let at = |code: &str| Some(LocationCode::new(code).expect("a location"));
    assert_eq!(list(StockQuery { location: at("SOUTH"), ..query.clone() }).0, ["A"]);
    assert_eq!(
        list(StockQuery { location: at("SOUTH"), low: true, ..query.clone() }).0,
        Vec::<String>::new()
    );
    assert_eq!(list(StockQuery { query: Some("SHOCK".into()), ..query }).0, ["B"]);
}

#[tokio::test]
async fn listeners_hear_each_event_and_each_changed_sku_once_a_batch() {
    let shop = Shop::open().await;
    shop.run([item("A", "Titan", "Edge", 1000, 5)]).await;
    let model = loaded(&shop).await;
    let mut changes = model.changes();
    let committed = shop.run([order(Uuid::now_v7(), "A", 1), order(Uuid::now_v7(), "A", 2)]).await;
    model.apply(&committed);
    match &*changes.try_recv().expect("stock") {
        Change::Stock { sku, available, in_stock } => {
            assert_eq!((sku.as_str(), *available, *in_stock), ("A", 2, true))
        }
        Change::Event { .. } => panic!("stock comes first"),
    }
    for position in [committed.first, committed.last] {
        match &*changes.try_recv().expect("an event") {
            Change::Event { position: told, recorded, .. } => {
                assert_eq!((*told, recorded.event.kind()), (position, "order.accepted"));
            }
            Change::Stock { .. } => panic!("one SKU is told once"),
        }
    }
    assert!(changes.try_recv().is_err());
}

#[tokio::test]
async fn a_reader_waits_for_its_write_and_no_longer() {
    let shop = Shop::open().await;
    let model = loaded(&shop).await;
    let committed = shop.run([item("A", "Titan", "Edge", 1000, 5)]).await;
    assert!(!model.wait_for(committed.last, Duration::from_millis(20)).await);
    let waiting = tokio::spawn({
        let (model, last) = (model.clone(), committed.last);
        async move { model.wait_for(last, Duration::from_secs(10)).await }
    });
    model.apply(&committed);
    assert!(waiting.await.expect("the wait ends"));
}

#[tokio::test]
#[should_panic(expected = "right after the one before it")]
async fn a_gap_is_never_applied() {
    let shop = Shop::open().await;
    let model = loaded(&shop).await;
    shop.run([item("A", "Titan", "Edge", 1000, 5)]).await;
    model.apply(&shop.run([item("B", "Titan", "Edge", 1000, 5)]).await);
}

#[tokio::test]
async fn the_follower_loads_hears_and_catches_up_after_a_gap() {
    let shop = Shop::open().await;
    shop.run([item("A", "Titan", "Edge", 1000, 50)]).await;
    let model = ReadModel::new();
    let wake = broadcast::Sender::new(4);
    let (stop, stopped) = watch::channel(false);
    let following = tokio::spawn(super::super::follower::run(
        model.clone(),
        shop.database.reads.clone(),
        wake.subscribe(),
        stopped,
    ));
    let head = async || shop.database.store.head().await.expect("a head").position;
    let patience = Duration::from_secs(10);
    assert!(model.wait_for(head().await, patience).await, "loaded");
    let told = shop.run([order(Uuid::now_v7(), "A", 1)]).await;
    wake.send(Arc::new(told)).expect("the follower listens");
    assert!(model.wait_for(head().await, patience).await, "told");
    shop.run([order(Uuid::now_v7(), "A", 1)]).await;
    wake.send(Arc::new(shop.run([order(Uuid::now_v7(), "A", 1)]).await)).expect("the follower listens");
    assert!(model.wait_for(head().await, patience).await, "after a gap");
    shop.run([order(Uuid::now_v7(), "A", 1)]).await;
    assert!(model.wait_for(head().await, patience).await, "untold");
    assert_eq!(model.item(&sku("A")).expect("it is there").available, 46);
    stop.send_replace(true);
    following.await.expect("it stops");
}

#[tokio::test]
async fn a_large_catalogue_is_searched_beside_the_other_reads() {
    let shop = Shop::open().await;
    let count = SEARCHED_IN_PLACE + 1;
    let items = (0..count).map(|n| item(&format!("S-{n:05}"), "Titan", &format!("Edge {n}"), 1000, 5));
    shop.run(items.collect::<Vec<_>>()).await;
    let model = loaded(&shop).await;
    let query = ItemQuery { limit: 2, query: Some("edge".to_owned()), ..ItemQuery::default() };
    let found = model.find(query.clone()).await;
    assert_eq!((found.total, found.items.len()), (count, 2));
    assert_eq!(found.items, model.search(&query).items);
}
