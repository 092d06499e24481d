//! Stock commands: what they do to the counters, the movements they answer, what they refuse.

use holdfast_domain::values::UNITS_MAX;
use holdfast_domain::{Answer, Movement, MovementKind, Position, Rejection, StockRow, movements_of};
use serde_json::{Value, json};

use crate::shop::{Done, NO_FINGERPRINT, Shop, location, service, short, sku, staff};

fn movements(done: &Done) -> &[Movement] {
    let Answer::Movements(movements) = &done.answer else { panic!("not movements: {:?}", done.answer) };
    movements
}

/// Kind, location, delta, quantity, on hand after, reason.
type Short<'a> = (MovementKind, &'a str, i64, i64, i64, Option<&'a str>);

fn short_form(movement: &Movement) -> Short<'_> {
    let at = movement.location.as_str();
    let Movement { kind, delta, quantity, on_hand_after, reason, .. } = movement;
    (*kind, at, *delta, *quantity, *on_hand_after, reason.as_deref())
}

#[test]
fn each_change_of_stock_is_recorded_and_answered() {
    let x = |rest: Value| {
        let mut fields = json!({"sku": "X", "location": "DEL"});
        fields.as_object_mut().expect("an object").extend(rest.as_object().expect("an object").clone());
        fields
    };
    // Kind, fields, event, movements, and the counters at DEL after: on hand, held, allocated, unavailable, available.
    type Change<'a> = (&'a str, Value, Value, &'a [Short<'a>], [i64; 5]);
    let table: [Change<'_>; 12] = [
        (
            "stock.receive",
            x(json!({"quantity": 5, "reference": "PO-7"})),
            json!({"stock.received": x(json!({"quantity": 5, "on_hand_after": 15, "reference": "PO-7"}))}),
            &[(MovementKind::Receipt, "DEL", 5, 5, 15, Some("PO-7"))],
            [15, 0, 0, 0, 15],
        ),
        (
            "stock.adjust",
            x(json!({"delta": -3, "reason": "damage", "note": "fell"})),
            json!({"stock.adjusted":
                x(json!({"delta": -3, "on_hand_after": 7, "reason": "damage", "note": "fell"}))}),
            &[(MovementKind::Adjustment, "DEL", -3, 3, 7, Some("damage: fell"))],
            [7, 0, 0, 0, 7],
        ),
        (
            "stock.adjust",
            x(json!({"delta": 2, "reason": "found"})),
            json!({"stock.adjusted": x(json!({"delta": 2, "on_hand_after": 12, "reason": "found"}))}),
            &[(MovementKind::Adjustment, "DEL", 2, 2, 12, Some("found"))],
            [12, 0, 0, 0, 12],
        ),
        (
            "stock.adjust",
            x(json!({"delta": -10, "reason": "loss"})),
            json!({"stock.adjusted": x(json!({"delta": -10, "on_hand_after": 0, "reason": "loss"}))}),
            &[(MovementKind::Adjustment, "DEL", -10, 10, 0, Some("loss"))],
            [0, 0, 0, 0, 0],
        ),
        (
            "stock.count",
            x(json!({"counted": 8})),
            json!({"stock.counted": x(json!({"counted": 8, "delta": -2}))}),
            &[(MovementKind::Count, "DEL", -2, 8, 8, None)],
            [8, 0, 0, 0, 8],
        ),
        (
            "stock.count",
            x(json!({"counted": 10})),
            json!({"stock.counted": x(json!({"counted": 10, "delta": 0}))}),
            &[(MovementKind::Count, "DEL", 0, 10, 10, None)],
            [10, 0, 0, 0, 10],
        ),
        (
            "stock.transfer",
            json!({"sku": "X", "from": "DEL", "to": "BOM", "quantity": 10}),
            json!({"stock.transferred": {"sku": "X", "from": "DEL", "to": "BOM", "quantity": 10,
                "from_on_hand_after": 0, "to_on_hand_after": 14}}),
            &[
                (MovementKind::TransferOut, "DEL", -10, 10, 0, None),
                (MovementKind::TransferIn, "BOM", 10, 10, 14, None),
            ],
            [0, 0, 0, 0, 0],
        ),
        (
            "stock.unavailable",
            x(json!({"delta": 10, "reason": "quarantine"})),
            json!({"stock.unavailable": x(json!({"delta": 10, "on_hand_after": 10, "reason": "quarantine"}))}),
            &[(MovementKind::Unavailable, "DEL", 0, 10, 10, Some("quarantine"))],
            [10, 0, 0, 10, 0],
        ),
        (
            "stock.incoming",
            x(json!({"delta": 4})),
            json!({"stock.incoming": x(json!({"delta": 4, "on_hand_after": 10}))}),
            &[(MovementKind::Incoming, "DEL", 0, 4, 10, None)],
            [10, 0, 0, 0, 10],
        ),
        (
            "stock.incoming",
            x(json!({"delta": 4, "expected_at": "2026-02-01T01:00:00+01:00"})),
            json!({"stock.incoming": x(json!({"delta": 4, "on_hand_after": 10,
                "expected_at": "2026-02-01T00:00:00.000000Z"}))}),
            &[(MovementKind::Incoming, "DEL", 0, 4, 10, Some("expected 2026-02-01T00:00:00.000000Z"))],
            [10, 0, 0, 0, 10],
        ),
        (
            // A place where the item has never been.
            "stock.receive",
            json!({"sku": "X", "location": "OLD", "quantity": 1_000_000}),
            json!({"stock.received":
                {"sku": "X", "location": "OLD", "quantity": 1_000_000, "on_hand_after": 1_000_000}}),
            &[(MovementKind::Receipt, "OLD", 1_000_000, 1_000_000, 1_000_000, None)],
            [10, 0, 0, 0, 10],
        ),
        (
            "stock.count",
            json!({"sku": "X", "location": "OLD", "counted": 3}),
            json!({"stock.counted": {"sku": "X", "location": "OLD", "counted": 3, "delta": 3}}),
            &[(MovementKind::Count, "OLD", 3, 3, 3, None)],
            [10, 0, 0, 0, 10],
        ),
    ];
    for (kind, fields, event, expected, counters) in table {
        let mut shop = Shop::new().with("X", &[("DEL", 10), ("BOM", 4)]);
        let done = shop.accepts(&staff(), kind, fields);
        assert_eq!(done.events, [event]);
        let answered = movements(&done);
        assert_eq!(answered.iter().map(short_form).collect::<Vec<_>>(), expected);
        for movement in answered {
            assert_eq!((movement.position, movement.at), (shop.head(), shop.at(0)));
            assert_eq!((movement.sku.as_str(), movement.actor.as_str()), ("X", "sam"));
        }
        assert_eq!(shop.counters("X", "DEL"), counters, "after {kind}");
    }
}

#[test]
fn levels_are_set_and_answered_with_the_row() {
    let mut shop = Shop::new().with("X", &[("DEL", 10)]);
    let fields = json!({"sku": "X", "location": "DEL", "safety_stock": 3, "reorder_point": 8});
    let done = shop.accepts(&staff(), "stock.levels", fields);
    let event =
        json!({"sku": "X", "location": "DEL", "safety_stock": 3, "reorder_point": 8, "on_hand_after": 10});
    assert_eq!(done.events, [json!({"stock.levels": event})]);
    assert_eq!(done.answer, Answer::Levels(shop.row("X", "DEL")));
    assert_eq!((shop.row("X", "DEL").available(), shop.row("X", "DEL").is_low()), (7, true));
    let fields = json!({"sku": "X", "location": "OLD", "safety_stock": 0, "reorder_point": 0});
    let done = shop.accepts(&staff(), "stock.levels", fields);
    assert_eq!(done.answer, Answer::Levels(StockRow::empty(location("OLD"))));
}

#[test]
fn available_shortage_and_low_follow_from_the_counters() {
    // On hand, held, allocated, unavailable, safety stock, reorder point → available, shortage, low.
    for ([on_hand, held, allocated, unavailable, safety_stock, reorder_point], expected) in [
        ([0, 0, 0, 0, 0, 0], (0, 0, false)),
        ([10, 1, 2, 3, 1, 0], (3, 0, false)),
        ([10, 1, 2, 3, 4, 0], (0, 0, false)),
        ([10, 1, 2, 3, 5, 0], (0, 1, false)),
        ([3, 0, 5, 0, 0, 0], (0, 2, false)),
        ([10, 0, 0, 0, 0, 9], (10, 0, false)),
        ([10, 0, 0, 0, 0, 10], (10, 0, true)),
        ([0, 0, 0, 0, 0, 1], (0, 0, true)),
    ] {
        let empty = StockRow::empty(location("DEL"));
        let row = StockRow { on_hand, held, allocated, unavailable, safety_stock, reorder_point, ..empty };
        assert_eq!((row.available(), row.shortage(), row.is_low()), expected, "{row:?}");
    }
}

#[test]
fn a_count_may_leave_less_than_is_promised_and_the_shortage_shows() {
    let mut shop = Shop::new().with("X", &[("DEL", 10)]);
    shop.accepts(&service(), "order.place", json!({"lines": [{"sku": "X", "quantity": 9}]}));
    shop.accepts(&staff(), "stock.count", json!({"sku": "X", "location": "DEL", "counted": 5}));
    assert_eq!(shop.counters("X", "DEL"), [5, 0, 9, 0, 0]);
    assert_eq!(shop.row("X", "DEL").shortage(), 4);
    let loss = json!({"sku": "X", "location": "DEL", "delta": -5, "reason": "loss"});
    shop.accepts(&staff(), "stock.adjust", loss);
    assert_eq!(shop.row("X", "DEL").shortage(), 9);
    shop.accepts(&staff(), "stock.receive", json!({"sku": "X", "location": "DEL", "quantity": 10}));
    assert_eq!((shop.row("X", "DEL").available(), shop.row("X", "DEL").shortage()), (1, 0));
}

#[test]
fn what_the_counters_cannot_bear_is_refused() {
    let full = UNITS_MAX - 5;
    let x = |rest: Value| {
        let mut fields = json!({"sku": "X", "location": "DEL"});
        fields.as_object_mut().expect("an object").extend(rest.as_object().expect("an object").clone());
        fields
    };
    let limit = || Rejection::StockLimit { maximum: UNITS_MAX };
    let negative = |there, wanted| Rejection::NegativeStock { there, wanted };
    for (kind, fields, rejection) in [
        ("stock.adjust", x(json!({"delta": -11, "reason": "loss"})), negative(10, 11)),
        ("stock.unavailable", x(json!({"delta": 8, "reason": "q"})), negative(7, 8)),
        ("stock.unavailable", x(json!({"delta": -4, "reason": "q"})), negative(3, 4)),
        ("stock.incoming", x(json!({"delta": -3})), negative(2, 3)),
        ("stock.incoming", x(json!({"delta": UNITS_MAX - 1})), limit()),
        ("stock.receive", json!({"sku": "X", "location": "BOM", "quantity": 6}), limit()),
        ("stock.adjust", json!({"sku": "X", "location": "BOM", "delta": 6, "reason": "found"}), limit()),
        ("stock.transfer", json!({"sku": "X", "from": "DEL", "to": "BOM", "quantity": 6}), limit()),
        (
            "stock.transfer",
            json!({"sku": "X", "from": "DEL", "to": "OLD", "quantity": 7}),
            Rejection::InsufficientStock { shortages: vec![short("X", 7, 6)], order_id: None },
        ),
        (
            "stock.transfer",
            json!({"sku": "X", "from": "OLD", "to": "DEL", "quantity": 1}),
            Rejection::InsufficientStock { shortages: vec![short("X", 1, 0)], order_id: None },
        ),
        (
            "stock.transfer",
            json!({"sku": "X", "from": "DEL", "to": "DEL", "quantity": 1}),
            Rejection::SameLocation,
        ),
    ] {
        let mut shop = Shop::new().with("X", &[("DEL", 10), ("BOM", full)]);
        shop.accepts(&staff(), "stock.unavailable", x(json!({"delta": 3, "reason": "q"})));
        shop.accepts(&staff(), "stock.levels", x(json!({"safety_stock": 1, "reorder_point": 0})));
        shop.accepts(&staff(), "stock.incoming", x(json!({"delta": 2})));
        assert_eq!(shop.refuses(&staff(), kind, fields.clone()), rejection, "{kind} {fields}");
    }
}

#[test]
fn an_unknown_sku_or_location_is_refused_by_every_stock_command() {
    let mut shop = Shop::new().with("X", &[("DEL", 10)]);
    for (kind, rest) in [
        ("stock.receive", json!({"quantity": 1})),
        ("stock.adjust", json!({"delta": 1, "reason": "found"})),
        ("stock.count", json!({"counted": 1})),
        ("stock.unavailable", json!({"delta": 1, "reason": "q"})),
        ("stock.incoming", json!({"delta": 1})),
        ("stock.levels", json!({"safety_stock": 1, "reorder_point": 1})),
    ] {
        for (sku_, at, rejection) in [
            ("NO", "DEL", Rejection::UnknownSku { skus: vec![sku("NO")] }),
            ("X", "MOON", Rejection::UnknownLocation { location: location("MOON") }),
        ] {
            let mut fields = rest.clone();
            fields["sku"] = json!(sku_);
            fields["location"] = json!(at);
            assert_eq!(shop.refuses(&staff(), kind, fields), rejection, "{kind}");
        }
    }
    for (sku_, from, to, rejection) in [
        ("NO", "DEL", "BOM", Rejection::UnknownSku { skus: vec![sku("NO")] }),
        ("X", "MOON", "BOM", Rejection::UnknownLocation { location: location("MOON") }),
        ("X", "DEL", "MOON", Rejection::UnknownLocation { location: location("MOON") }),
    ] {
        let fields = json!({"sku": sku_, "from": from, "to": to, "quantity": 1});
        assert_eq!(shop.refuses(&staff(), "stock.transfer", fields), rejection);
    }
}

#[test]
fn orders_leave_movements_at_each_place_they_touch() {
    use holdfast_domain::{Event, Recorded};
    let mut shop = Shop::new().with("X", &[("DEL", 5), ("BOM", 9)]);
    let lines = json!([{"sku": "X", "quantity": 6}]);
    let first = shop.accepts(&service(), "order.place", json!({"lines": lines}));
    let second = shop.accepts(&service(), "order.cancel", json!({"order_id": first.id}));
    let other = shop.accepts(&service(), "order.place", json!({"lines": lines}));
    let gone = shop.accepts(&staff(), "order.fulfil", json!({"order_id": other.id}));
    let back = json!({"order_id": other.id, "disposition": "unavailable"});
    let back = shop.accepts(&staff(), "order.return", back);
    for (done, order, expected) in [
        (
            &first,
            first.id,
            [
                (MovementKind::Allocation, "DEL", 0, 5, 71, None),
                (MovementKind::Allocation, "BOM", 0, 1, 71, None),
            ],
        ),
        (
            &second,
            first.id,
            [
                (MovementKind::Cancellation, "DEL", 0, 5, 71, None),
                (MovementKind::Cancellation, "BOM", 0, 1, 71, None),
            ],
        ),
        (
            &gone,
            other.id,
            [
                (MovementKind::Fulfilment, "DEL", -5, 5, 0, None),
                (MovementKind::Fulfilment, "BOM", -1, 1, 8, None),
            ],
        ),
        (
            &back,
            other.id,
            [
                (MovementKind::Return, "DEL", 5, 5, 5, Some("unavailable")),
                (MovementKind::Return, "BOM", 1, 1, 9, Some("unavailable")),
            ],
        ),
    ] {
        let mut event = done.events[0].clone();
        for fields in event.as_object_mut().expect("an event is an object").values_mut() {
            fields["fingerprint"] = json!(NO_FINGERPRINT);
        }
        let event: Event = serde_json::from_value(event).expect("the log's event");
        let recorded = Recorded { event, actor: "sam".into(), command: None };
        // The follower says what is on hand where the event does not: 71 here, to be recognised.
        let moved = movements_of(&recorded, Position(9), shop.at(0), |_, _| 71);
        assert_eq!(moved.iter().map(short_form).collect::<Vec<_>>(), expected);
        assert!(moved.iter().all(|movement| movement.order_id == Some(order)));
    }
}
