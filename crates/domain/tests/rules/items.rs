//! Items and locations.

use holdfast_domain::command::Name;
use holdfast_domain::item::sku_candidates;
use holdfast_domain::wire::parse_body;
use holdfast_domain::{Answer, ItemStatus, Rejection};
use serde_json::{Value, json};

use crate::shop::{Done, Shop, location, service, sku, staff};

fn price() -> Value {
    json!({"amount": 10_000, "currency": "INR"})
}

fn added(done: &Done) -> (&holdfast_domain::Item, i64) {
    let Answer::Item { item, available } = &done.answer else { panic!("not an item: {:?}", done.answer) };
    (item, *available)
}

#[test]
fn an_added_item_has_its_first_stock_and_levels() {
    let mut shop = Shop::new();
    let done = shop.accepts(
        &staff(),
        "item.add",
        json!({
            "sku": "X", "brand": "Titan", "model": "Edge", "description": "Thin.", "price": price(),
            "image_url": "/i/x.svg", "attributes": {"case": "steel"}, "max_per_order": 3,
            "stock": [
                {"location": "DEL", "quantity": 5},
                {"location": "BOM", "quantity": 4, "safety_stock": 1, "reorder_point": 2},
                {"location": "OLD", "quantity": 0},
            ],
        }),
    );
    let received = |location: &str, quantity: i64| {
        json!({"stock.received":
            {"sku": "X", "location": location, "quantity": quantity, "on_hand_after": quantity}})
    };
    let levels = |location: &str, safety_stock: i64, reorder_point: i64| {
        json!({"stock.levels": {"sku": "X", "location": location, "safety_stock": safety_stock,
            "reorder_point": reorder_point, "on_hand_after": 0}})
    };
    assert_eq!(
        done.events,
        [
            json!({"item.added": {"item": {
                "sku": "X", "brand": "Titan", "model": "Edge", "description": "Thin.",
                "image_url": "/i/x.svg", "price": price(), "attributes": {"case": "steel"},
                "status": "active", "max_per_order": 3, "version": 1}}}),
            received("DEL", 5),
            levels("BOM", 1, 2),
            received("BOM", 4),
            levels("OLD", 0, 0),
        ]
    );
    let (item, available) = added(&done);
    assert_eq!((item.version, available), (1, 8));
    assert_eq!(shop.counters("X", "BOM"), [4, 0, 0, 0, 3]);
    let rows = &shop.ledger().sku(&sku("X")).expect("it was added").stock;
    let codes: Vec<_> = rows.iter().map(|row| row.location.as_str()).collect();
    assert_eq!(codes, ["BOM", "DEL", "OLD"], "rows are sorted by location code");
}

#[test]
fn an_item_without_a_sku_gets_one_from_brand_and_model() {
    let mut shop = Shop::new();
    for (brand, model, expected) in [
        ("Titan", "Edge", "TITAN-EDGE"),
        ("Titan", "Edge", "TITAN-EDGE-2"),
        ("titan", "EDGE", "TITAN-EDGE-3"),
        ("  H & M ", "«No. 1»", "H-M-NO.-1"),
        ("時計", "☆", "ITEM"),
        ("Titan", "Edge", "TITAN-EDGE-4"),
        ("Titan", "Edge", "TITAN-EDGE-5"),
        ("Titan", "Edge", "TITAN-EDGE-6"),
    ] {
        let done =
            shop.accepts(&staff(), "item.add", json!({"brand": brand, "model": model, "price": price()}));
        assert_eq!(added(&done).0.sku, sku(expected));
    }
    // From here on the digits come from the command's id; the ninth and later items find a place too.
    for _ in 0..3 {
        let done =
            shop.accepts(&staff(), "item.add", json!({"brand": "Titan", "model": "Edge", "price": price()}));
        let made = added(&done).0.sku.to_string();
        assert!(made.starts_with("TITAN-EDGE-0000"), "{made}");
    }
}

#[test]
fn made_up_skus_are_valid_and_differ_however_odd_the_names() {
    let name = |text: &str| Name::new(text).expect("the test's name is one");
    for (brand, model) in
        [("a", "b"), ("-", "-"), ("é", "ß"), (&*"x".repeat(200), "y"), (&*"- ".repeat(100), "z")]
    {
        let candidates = sku_candidates(&name(brand), &name(model), 0xFEDC_BA98_7654_3210);
        let mut distinct = candidates.clone();
        distinct.sort();
        distinct.dedup();
        assert_eq!(distinct.len(), candidates.len(), "{candidates:?}");
        assert_eq!(candidates, sku_candidates(&name(brand), &name(model), 0xFEDC_BA98_7654_3210));
    }
}

#[test]
fn items_that_cannot_be_added_are_refused() {
    let mut shop = Shop::new().with("X", &[("DEL", 5)]);
    for n in 0..6 {
        let done = shop.add(json!({"brand": "Full", "model": "House"}), &[]);
        assert!(added(&done).0.sku.as_str().starts_with("FULL-HOUSE"), "item {n}");
    }
    let add = |sku: &str, stock: Value| json!({"sku": sku, "brand": "B", "model": "M", "price": price(), "stock": stock});
    let at = |location: &str| json!({"location": location, "quantity": 1});
    for (fields, rejection) in [
        (add("X", json!([])), Rejection::SkuExists { sku: sku("X") }),
        (add("N", json!([at("DEL"), at("MOON")])), Rejection::UnknownLocation { location: location("MOON") }),
        (
            add("N", json!([at("DEL"), at("BOM"), at("DEL")])),
            Rejection::DuplicateLocation { location: location("DEL") },
        ),
    ] {
        assert_eq!(shop.refuses(&staff(), "item.add", fields), rejection);
    }
    // Every candidate is taken: the two that are made from the id of the command to come, too.
    let id = shop.next_id().as_u128() + 2;
    for salted in [id, id >> 1] {
        shop.add(json!({"sku": format!("FULL-HOUSE-{salted:08X}")}), &[]);
    }
    let rejection =
        shop.refuses(&staff(), "item.add", json!({"brand": "Full", "model": "House", "price": price()}));
    let detail = "no free SKU could be made from brand and model".to_owned();
    assert_eq!(rejection, Rejection::NotProcessable { detail });
}

#[test]
fn an_update_changes_what_it_names_and_nothing_else() {
    for (change, field, value) in [
        (json!({"brand": "Timex"}), "brand", json!("Timex")),
        (json!({"model": "Easy Reader"}), "model", json!("Easy Reader")),
        (json!({"description": ""}), "description", json!("")),
        (
            json!({"price": {"amount": 0, "currency": "USD"}}),
            "price",
            json!({"amount": 0, "currency": "USD"}),
        ),
        (json!({"image_url": "https://a/b.png"}), "image_url", json!("https://a/b.png")),
        (json!({"image_url": null}), "image_url", Value::Null),
        (json!({"attributes": {}}), "attributes", json!({})),
        (json!({"max_per_order": 9}), "max_per_order", json!(9)),
        (json!({"max_per_order": null}), "max_per_order", Value::Null),
        (json!({"status": "archived"}), "status", json!("archived")),
    ] {
        let mut shop = Shop::new();
        let full = json!({"sku": "X", "description": "Thin.", "image_url": "/i/x.svg",
            "attributes": {"case": "steel"}, "max_per_order": 3});
        let before = shop.add(full, &[("DEL", 5)]);
        let mut expected = serde_json::to_value(added(&before).0).expect("an item is plain data");
        expected[field] = value;
        if expected["max_per_order"].is_null() {
            expected.as_object_mut().map(|item| item.remove("max_per_order"));
        }
        expected["version"] = json!(2);
        let mut fields = change.clone();
        fields["sku"] = json!("X");
        fields["if_match"] = json!(1);
        let done = shop.accepts(&staff(), "item.update", fields);
        assert_eq!(done.events, [json!({"item.updated": {"item": expected}})], "{change}");
        assert_eq!(added(&done).1, 5);
    }
}

#[test]
fn an_update_that_changes_nothing_is_no_event_and_no_version() {
    let mut shop = Shop::new().with("X", &[]);
    for fields in
        [json!({"sku": "X"}), json!({"sku": "X", "brand": "Titan", "price": price(), "status": "active"})]
    {
        let done = shop.accepts(&staff(), "item.update", fields);
        assert_eq!(done.events, Vec::<Value>::new());
        assert_eq!(added(&done).0.version, 1);
    }
}

#[test]
fn an_archived_item_keeps_its_stock_and_can_come_back() {
    let mut shop = Shop::new().with("X", &[("DEL", 5)]);
    let done = shop.accepts(&staff(), "item.remove", json!({"sku": "X", "if_match": 1}));
    assert_eq!(done.events, [json!({"item.archived": {"sku": "X"}})]);
    assert_eq!(done.answer, Answer::Removed);
    let item = shop.ledger().sku(&sku("X")).expect("archived items stay").item.clone();
    assert_eq!((item.status, item.version), (ItemStatus::Archived, 2));

    let again = shop.accepts(&staff(), "item.remove", json!({"sku": "X"}));
    assert_eq!(again.events, Vec::<Value>::new(), "archiving twice is as good as once");
    shop.accepts(&staff(), "stock.receive", json!({"sku": "X", "location": "DEL", "quantity": 1}));

    let back = shop.accepts(&staff(), "item.update", json!({"sku": "X", "status": "active"}));
    assert_eq!((added(&back).0.status, added(&back).0.version, added(&back).1), (ItemStatus::Active, 3, 6));
    shop.accepts(&service(), "order.place", json!({"lines": [{"sku": "X", "quantity": 6}]}));
}

#[test]
fn an_item_is_not_archived_while_units_of_it_are_promised() {
    let archive = |shop: &mut Shop, held: i64, allocated: i64| {
        let in_use = Rejection::ItemInUse { held, allocated };
        assert_eq!(shop.refuses(&staff(), "item.remove", json!({"sku": "X"})), in_use);
        let update = json!({"sku": "X", "status": "archived", "brand": "Timex"});
        assert_eq!(shop.refuses(&staff(), "item.update", update), in_use);
    };
    let mut shop = Shop::new().with("X", &[("DEL", 5), ("BOM", 5)]);
    let lines = json!([{"sku": "X", "quantity": 6}]);
    let hold = shop.accepts(&service(), "hold.place", json!({"lines": lines, "ttl_seconds": 60})).id;
    archive(&mut shop, 6, 0);
    shop.accepts(&service(), "hold.confirm", json!({"hold_id": hold}));
    archive(&mut shop, 0, 6);
    shop.accepts(&staff(), "order.fulfil", json!({"order_id": hold}));
    shop.accepts(&staff(), "item.remove", json!({"sku": "X"}));
    // What comes back of an archived item is booked in all the same.
    shop.accepts(&staff(), "order.return", json!({"order_id": hold, "disposition": "restock"}));
    assert_eq!(shop.counters("X", "DEL"), [5, 0, 0, 0, 5]);
}

#[test]
fn what_changed_since_it_was_seen_is_a_stale_version() {
    let mut shop = Shop::new().with("X", &[]);
    shop.accepts(&staff(), "item.update", json!({"sku": "X", "brand": "Timex"}));
    for seen in [0, 1, 3] {
        for kind in ["item.update", "item.remove"] {
            let rejection = shop.refuses(&staff(), kind, json!({"sku": "X", "if_match": seen}));
            assert_eq!(rejection, Rejection::StaleVersion { current: 2 }, "{kind} of {seen}");
        }
    }
    let moved = json!({"code": "DEL", "name": "New Delhi", "priority": 1});
    shop.accepts(&staff(), "location.put", moved.clone());
    for (code, seen, current) in [("DEL", 1, 2), ("DEL", 3, 2), ("NEW", 1, 0)] {
        let put = json!({"code": code, "name": "n", "priority": 1, "if_match": seen});
        let rejection = shop.refuses(&staff(), "location.put", put);
        assert_eq!(rejection, Rejection::StaleVersion { current }, "{code} of {seen}");
    }
}

#[test]
fn an_item_that_does_not_exist_is_not_found() {
    let mut shop = Shop::new();
    for kind in ["item.update", "item.remove"] {
        assert_eq!(shop.refuses(&staff(), kind, json!({"sku": "NO"})), Rejection::NotFound, "{kind}");
    }
}

#[test]
fn a_location_is_made_once_and_then_replaced() {
    let mut shop = Shop::new();
    let put = json!({"code": "NEW", "name": "New", "priority": -2, "latitude": 1.5, "longitude": 2.5});
    let mut create = put.clone();
    create["create"] = json!(true);
    let done = shop.accepts(&staff(), "location.put", create.clone());
    let mut expected = put.clone();
    expected["version"] = json!(1);
    assert_eq!(done.events, [json!({"location.put": {"location": expected}})]);
    let rejection = shop.refuses(&staff(), "location.put", create);
    assert_eq!(rejection, Rejection::LocationExists { location: location("NEW") });

    let same = shop.accepts(&staff(), "location.put", put);
    assert_eq!(same.events, Vec::<Value>::new(), "the same again is no change");

    let moved = json!({"code": "NEW", "name": "New", "priority": 7, "if_match": 1});
    let done = shop.accepts(&staff(), "location.put", moved);
    let expected = json!({"code": "NEW", "name": "New", "priority": 7, "version": 2});
    assert_eq!(done.events, [json!({"location.put": {"location": expected}})]);
    let Answer::Location(answer) = done.answer else { panic!("not a location: {:?}", done.answer) };
    assert_eq!(answer.point(), None);
    assert_eq!(answer.version, 2);
}

#[test]
fn what_is_no_item_or_location_is_named_by_field() {
    let item = |field: &str, value: Value| {
        let mut item = json!({"brand": "B", "model": "M", "price": price()});
        item[field] = value;
        item
    };
    let place = |field: &str, value: Value| {
        let mut place = json!({"code": "C", "name": "N", "priority": 1});
        place[field] = value;
        place
    };
    let many: serde_json::Map<_, _> = (0..51).map(|n| (format!("a{n}"), json!(""))).collect();
    for (kind, fields, field) in [
        ("item.add", item("sku", json!("a b")), "sku"),
        ("item.add", item("brand", json!("  ")), "brand"),
        ("item.add", item("brand", json!("")), "brand"),
        ("item.add", item("model", json!("x".repeat(201))), "model"),
        ("item.add", item("model", json!("a\nb")), "model"),
        ("item.add", item("description", json!("x".repeat(5_001))), "description"),
        ("item.add", item("description", json!("a\0b")), "description"),
        ("item.add", item("price", json!({"amount": -1, "currency": "INR"})), "price"),
        ("item.add", item("price", json!({"amount": 1_000_000_000_001_i64, "currency": "INR"})), "price"),
        ("item.add", item("price", json!({"amount": 1, "currency": "inr"})), "price.currency"),
        ("item.add", item("price", json!({"amount": 1.5, "currency": "INR"})), "price.amount"),
        ("item.add", item("image_url", json!("javascript:alert(1)")), "image_url"),
        ("item.add", item("image_url", json!("//elsewhere/x.png")), "image_url"),
        ("item.add", item("image_url", json!(format!("/{}", "x".repeat(20_000)))), "image_url"),
        ("item.add", item("attributes", Value::Object(many)), "attributes"),
        ("item.add", item("attributes", json!({"": "x"})), "attributes"),
        ("item.add", item("attributes", json!({"x": "y".repeat(201)})), "attributes"),
        ("item.add", item("max_per_order", json!(0)), "max_per_order"),
        ("item.add", item("stock", json!([{"location": "DEL", "quantity": -1}])), "stock[0].quantity"),
        ("item.add", item("colour", json!("red")), "colour"),
        ("location.put", place("code", json!("a/b")), "code"),
        ("location.put", place("name", json!("")), "name"),
        ("location.put", place("priority", json!(2_147_483_648_i64)), "priority"),
        ("location.put", place("latitude", json!(90.1)), "latitude"),
        ("location.put", place("latitude", json!(-91)), "latitude"),
        ("location.put", place("longitude", json!(180.1)), "longitude"),
        ("location.put", place("longitude", json!("east")), "longitude"),
    ] {
        let Value::Object(map) = fields else { unreachable!("the table has objects") };
        let error = parse_body(kind, map.clone()).expect_err(&format!("{kind} {map:?} was taken"));
        assert_eq!(error.field, field, "{error}");
    }
}
