//! Holds: placing, extending, and the three ways they end.

use holdfast_domain::command::TtlSeconds;
use holdfast_domain::{Actor, HoldStatus, OrderStatus, Rejection, decide_batch};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::shop::{Shop, command, customer, load, service, short, staff};

fn of(sku: &str, quantity: i64, ttl_seconds: i64) -> Value {
    json!({"lines": [{"sku": sku, "quantity": quantity}], "ttl_seconds": ttl_seconds})
}

fn wrong_state(status: &str) -> Rejection {
    Rejection::WrongState { status: status.into() }
}

#[test]
fn a_hold_keeps_its_units_from_others() {
    let mut shop = Shop::new().with("X", &[("DEL", 5), ("BOM", 9)]);
    let done = shop.accepts(&customer("ann"), "hold.place", of("X", 6, 60));
    assert_eq!(
        done.events,
        [json!({"hold.placed": {
            "hold_id": done.id,
            "customer": "ann",
            "lines": [{"sku": "X", "quantity": 6, "unit_price": {"amount": 10_000, "currency": "INR"},
                "allocations": [{"location": "DEL", "quantity": 5}, {"location": "BOM", "quantity": 1}]}],
            "total": {"amount": 60_000, "currency": "INR"},
            "expires_at": "2026-01-31T12:01:00.000000Z",
        }})]
    );
    assert_eq!(shop.counters("X", "DEL"), [5, 5, 0, 0, 0]);
    assert_eq!(shop.counters("X", "BOM"), [9, 1, 0, 0, 8]);
    assert_eq!(done.hold().status, HoldStatus::Held);
    let rejection = shop.refuses(&service(), "hold.place", of("X", 9, 60));
    let shortages = vec![short("X", 9, 8)];
    assert_eq!(rejection, Rejection::InsufficientStock { shortages, order_id: None });
}

#[test]
fn a_confirmed_hold_becomes_an_order_with_its_id_places_and_prices() {
    let mut shop = Shop::new().with("X", &[("DEL", 5), ("BOM", 9)]);
    let held = shop.accepts(&customer("ann"), "hold.place", of("X", 6, 60));
    let dearer = json!({"sku": "X", "price": {"amount": 99_999, "currency": "INR"}, "max_per_order": 1});
    shop.accepts(&staff(), "item.update", dearer);
    let levels = json!({"sku": "X", "location": "DEL", "safety_stock": 5, "reorder_point": 0});
    shop.accepts(&staff(), "stock.levels", levels);
    let done = shop.accepts(&service(), "hold.confirm", json!({"hold_id": held.id}));
    assert_eq!(
        done.events,
        [
            json!({"hold.confirmed": {"hold_id": held.id, "parts": [
                {"sku": "X", "location": "DEL", "quantity": 5},
                {"sku": "X", "location": "BOM", "quantity": 1}]}}),
            json!({"order.accepted": {
                "order_id": held.id,
                "customer": "ann",
                "lines": [{"sku": "X", "quantity": 6, "unit_price": {"amount": 10_000, "currency": "INR"},
                    "allocations": [
                        {"location": "DEL", "quantity": 5}, {"location": "BOM", "quantity": 1}]}],
                "total": {"amount": 60_000, "currency": "INR"},
            }}),
        ]
    );
    assert_eq!(shop.counters("X", "DEL"), [5, 0, 5, 0, 0]);
    assert_eq!(shop.hold(held.id).status, HoldStatus::Confirmed);
    assert_eq!(done.order().id, held.id);
    assert_eq!(done.order().status, OrderStatus::Accepted);
    shop.accepts(&customer("ann"), "order.cancel", json!({"order_id": held.id}));
    assert_eq!(shop.counters("X", "DEL"), [5, 0, 0, 0, 0]);
    assert_eq!(shop.row("X", "BOM").available(), 9);
}

#[test]
fn a_released_hold_gives_its_units_back() {
    let mut shop = Shop::new().with("X", &[("DEL", 5)]);
    let hold = shop.accepts(&customer("ann"), "hold.place", of("X", 4, 60)).id;
    let done = shop.accepts(&customer("ann"), "hold.release", json!({"hold_id": hold}));
    let parts = json!([{"sku": "X", "location": "DEL", "quantity": 4}]);
    assert_eq!(done.events, [json!({"hold.released": {"hold_id": hold, "parts": parts}})]);
    assert_eq!(shop.counters("X", "DEL"), [5, 0, 0, 0, 5]);
    assert_eq!(done.hold().status, HoldStatus::Released);
}

#[test]
fn an_expired_hold_gives_its_units_back_at_its_very_time() {
    let mut shop = Shop::new().with("X", &[("DEL", 5)]);
    let hold = shop.accepts(&customer("ann"), "hold.place", of("X", 4, 60)).id;
    shop.later(59);
    assert_eq!(shop.accepts(&Actor::system(), "sweep", json!({})).events, Vec::<Value>::new());
    assert_eq!(shop.hold(hold).status, HoldStatus::Held);
    shop.later(1);
    let done = shop.accepts(&Actor::system(), "sweep", json!({}));
    let parts = json!([{"sku": "X", "location": "DEL", "quantity": 4}]);
    assert_eq!(done.events, [json!({"hold.expired": {"hold_id": hold, "parts": parts}})]);
    assert_eq!(shop.counters("X", "DEL"), [5, 0, 0, 0, 5]);
    assert_eq!(shop.hold(hold).status, HoldStatus::Expired);
    assert_eq!(shop.accepts(&Actor::system(), "sweep", json!({})).events, Vec::<Value>::new());
}

#[test]
fn what_is_due_ends_before_anything_else_of_the_batch_and_the_oldest_first() {
    let mut shop = Shop::new().with("X", &[("DEL", 4)]);
    let long = shop.accepts(&service(), "hold.place", of("X", 1, 90)).id;
    let short = shop.accepts(&service(), "hold.place", of("X", 1, 30)).id;
    let longest = shop.accepts(&service(), "hold.place", of("X", 1, 91)).id;
    let same = shop.accepts(&service(), "hold.place", of("X", 1, 90)).id;
    shop.later(90);
    let done = shop.accepts(&service(), "order.place", json!({"lines": [{"sku": "X", "quantity": 3}]}));
    let expired: Vec<_> = done.events.iter().map(|event| event["hold.expired"]["hold_id"].clone()).collect();
    assert_eq!(expired, [json!(short), json!(long), json!(same), Value::Null]);
    assert_eq!(done.order().position.0, shop.head().0);
    assert_eq!(shop.hold(longest).status, HoldStatus::Held);
}

#[test]
fn expiry_is_holdfasts_own_doing_and_no_commands() {
    let mut shop = Shop::new().with("X", &[("DEL", 4)]);
    shop.accepts(&service(), "hold.place", of("X", 1, 30));
    let mut ledger = shop.ledger().clone();
    ledger.now = shop.at(30);
    let order = command(77, &service(), "order.place", json!({"lines": [{"sku": "X", "quantity": 4}]}));
    load(&mut ledger, &order);
    let decided = decide_batch(&mut ledger, shop.head(), &[order]);
    let by: Vec<_> = decided.events.iter().map(|event| (event.actor.as_str(), event.command)).collect();
    assert_eq!(by, [("system", None), ("till", Some(Uuid::from_u128(77)))]);
}

#[test]
fn a_hold_ends_once_and_says_how() {
    for (end, expected) in [
        ("hold.confirm", wrong_state("confirmed")),
        ("hold.release", wrong_state("released")),
        ("time", Rejection::HoldExpired),
    ] {
        for (kind, ttl) in [("hold.confirm", None), ("hold.release", None), ("hold.extend", Some(60))] {
            let mut shop = Shop::new().with("X", &[("DEL", 5)]);
            let hold = shop.accepts(&customer("ann"), "hold.place", of("X", 4, 60)).id;
            if end == "time" {
                shop.later(60);
                shop.accepts(&Actor::system(), "sweep", json!({}));
            } else {
                shop.accepts(&customer("ann"), end, json!({"hold_id": hold}));
            }
            let mut fields = json!({"hold_id": hold});
            if let Some(ttl) = ttl {
                fields["ttl_seconds"] = json!(ttl);
            }
            assert_eq!(shop.refuses(&customer("ann"), kind, fields), expected, "{kind} after {end}");
        }
    }
}

#[test]
fn a_hold_that_nobody_has_expired_yet_is_expired_all_the_same() {
    // `decide` alone, without the expiry that `decide_batch` begins with: the rule does not lean on it.
    let mut shop = Shop::new().with("X", &[("DEL", 5)]);
    let hold = shop.accepts(&service(), "hold.place", of("X", 4, 60)).id;
    let confirm = command(99, &service(), "hold.confirm", json!({"hold_id": hold}));
    let mut ledger = shop.ledger().clone();
    ledger.now = shop.at(59);
    assert!(ledger.decide(&confirm, confirm.body.fingerprint()).is_ok());
    ledger.now = shop.at(60);
    assert_eq!(ledger.decide(&confirm, confirm.body.fingerprint()), Err(Rejection::HoldExpired));
}

#[test]
fn a_hold_that_does_not_exist_is_not_found() {
    let mut shop = Shop::new();
    let nowhere = Uuid::from_u128(900);
    for (kind, fields) in [
        ("hold.confirm", json!({"hold_id": nowhere})),
        ("hold.release", json!({"hold_id": nowhere})),
        ("hold.extend", json!({"hold_id": nowhere, "ttl_seconds": 60})),
    ] {
        assert_eq!(shop.refuses(&service(), kind, fields), Rejection::NotFound, "{kind}");
    }
}

#[test]
fn extending_counts_from_the_decision() {
    let mut shop = Shop::new().with("X", &[("DEL", 5)]);
    let hold = shop.accepts(&service(), "hold.place", of("X", 4, 60)).id;
    shop.later(40);
    let extend = json!({"hold_id": hold, "ttl_seconds": 60});
    let done = shop.accepts(&service(), "hold.extend", extend);
    assert_eq!(
        done.events,
        [json!({"hold.extended": {"hold_id": hold, "expires_at": "2026-01-31T12:01:40.000000Z"}})]
    );
    assert_eq!(done.hold().expires_at, shop.at(60));
    assert_eq!(shop.counters("X", "DEL"), [5, 4, 0, 0, 1]);
    shop.later(59);
    shop.accepts(&service(), "hold.confirm", json!({"hold_id": hold}));
}

#[test]
fn a_customers_hold_lives_15_minutes_in_all_and_a_services_a_day() {
    let mut shop = Shop::new().with("X", &[("DEL", 50)]);
    for (actor, seconds, taken) in [
        (customer("ann"), 900, true),
        (customer("ann"), 901, false),
        (service(), 901, true),
        (service(), 86_400, true),
    ] {
        if taken {
            let done = shop.accepts(&actor, "hold.place", of("X", 1, seconds));
            assert_eq!(done.hold().expires_at, shop.at(seconds));
        } else {
            assert_eq!(shop.refuses(&actor, "hold.place", of("X", 1, seconds)), Rejection::HoldTooLong);
        }
    }
    let hold = shop.accepts(&customer("ann"), "hold.place", of("X", 1, 600)).id;
    shop.later(599);
    let extend = |seconds: i64| json!({"hold_id": hold, "ttl_seconds": seconds});
    let rejection = shop.refuses(&customer("ann"), "hold.extend", extend(302));
    assert_eq!(rejection, Rejection::HoldTooLong);
    shop.accepts(&customer("ann"), "hold.extend", extend(301));
    shop.accepts(&service(), "hold.extend", extend(86_400));
}

#[test]
fn a_hold_is_asked_for_5_seconds_to_a_day() {
    for (seconds, good) in [(4, false), (5, true), (86_400, true), (86_401, false), (-5, false)] {
        assert_eq!(TtlSeconds::new(seconds).is_ok(), good, "{seconds}");
    }
    for bad in ["5.5", "\"60\"", "null", "9223372036854775808"] {
        assert!(serde_json::from_str::<TtlSeconds>(bad).is_err(), "{bad}");
    }
}

#[test]
fn the_first_answer_is_the_hold_as_it_was_placed() {
    let mut shop = Shop::new().with("X", &[("DEL", 5)]);
    let done = shop.accepts(&service(), "hold.place", of("X", 4, 60));
    shop.accepts(&service(), "hold.extend", json!({"hold_id": done.id, "ttl_seconds": 600}));
    shop.accepts(&service(), "hold.release", json!({"hold_id": done.id}));
    assert_ne!(shop.hold(done.id), done.hold());
    assert_eq!(&shop.hold(done.id).first_answer(), done.hold());
}
