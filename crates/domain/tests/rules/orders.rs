//! Orders: placing, choosing locations, cancelling.

use holdfast_domain::command::{Line, Lines};
use holdfast_domain::{OrderStatus, Quantity, Rejection};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::shop::{Shop, customer, service, short, sku, staff};

fn of(sku: &str, quantity: i64) -> Value {
    json!({"lines": [{"sku": sku, "quantity": quantity}]})
}

fn wrong_state(status: &str) -> Rejection {
    Rejection::WrongState { status: status.into() }
}

#[test]
fn an_order_takes_its_units_and_fixes_price_places_and_total() {
    let mut shop = Shop::new().with("X", &[("DEL", 5), ("BOM", 9)]).with("Y", &[("BOM", 1)]);
    let lines = json!([{"sku": "X", "quantity": 6}, {"sku": "Y", "quantity": 1}]);
    let done = shop.accepts(&service(), "order.place", json!({"lines": lines, "customer": "bob"}));
    let price = json!({"amount": 10_000, "currency": "INR"});
    assert_eq!(
        done.events,
        [json!({"order.accepted": {
            "order_id": done.id,
            "customer": "bob",
            "lines": [
                {"sku": "X", "quantity": 6, "unit_price": price, "allocations": [
                    {"location": "DEL", "quantity": 5}, {"location": "BOM", "quantity": 1}]},
                {"sku": "Y", "quantity": 1, "unit_price": price, "allocations": [
                    {"location": "BOM", "quantity": 1}]},
            ],
            "total": {"amount": 70_000, "currency": "INR"},
        }})]
    );
    assert_eq!(shop.counters("X", "DEL"), [5, 0, 5, 0, 0]);
    assert_eq!(shop.counters("X", "BOM"), [9, 0, 1, 0, 8]);
    assert_eq!(shop.counters("Y", "BOM"), [1, 0, 1, 0, 0]);
    let order = done.order();
    assert_eq!(order.status, OrderStatus::Accepted);
    assert_eq!(order.placed_at, shop.at(0));
    assert_eq!(order.position, shop.head());
    assert_eq!((order.progress.ordered, order.progress.fulfilled, order.progress.returned), (7, 0, 0));
}

#[test]
fn an_order_gets_all_its_lines_or_none() {
    let mut shop = Shop::new().with("X", &[("DEL", 5), ("BOM", 2)]).with("Y", &[("BOM", 1)]).with("Z", &[]);
    let lines =
        json!([{"sku": "X", "quantity": 8}, {"sku": "Y", "quantity": 1}, {"sku": "Z", "quantity": 3}]);
    let order_id = Some(shop.next_id());
    let rejection = shop.refuses(&service(), "order.place", json!({"lines": lines}));
    let shortages = vec![short("X", 8, 7), short("Z", 3, 0)];
    assert_eq!(rejection, Rejection::InsufficientStock { shortages, order_id });
}

#[test]
fn a_partial_order_takes_what_there_is_and_says_what_is_missing() {
    let mut shop = Shop::new().with("X", &[("DEL", 5), ("BOM", 2)]).with("Y", &[("BOM", 1)]).with("Z", &[]);
    let lines =
        json!([{"sku": "X", "quantity": 8}, {"sku": "Z", "quantity": 3}, {"sku": "Y", "quantity": 1}]);
    let done = shop.accepts(&service(), "order.place", json!({"lines": lines, "allow_partial": true}));
    let order = done.order();
    let taken: Vec<_> = order.lines.iter().map(|line| (line.sku.as_str(), line.quantity)).collect();
    assert_eq!(taken, [("X", 7), ("Y", 1)]);
    assert_eq!(order.shortages, [short("X", 8, 7), short("Z", 3, 0)]);
    assert_eq!(order.total.expect("an accepted order has a total").amount, 80_000);
    assert_eq!(order.progress.ordered, 8);

    let order_id = Some(shop.next_id());
    let mut nothing = of("X", 1);
    nothing["allow_partial"] = json!(true);
    let rejection = shop.refuses(&service(), "order.place", nothing);
    assert_eq!(rejection, Rejection::InsufficientStock { shortages: vec![short("X", 1, 0)], order_id });
}

#[test]
fn what_is_held_allocated_unavailable_or_safety_stock_is_not_promised() {
    let mut shop = Shop::new().with("X", &[("DEL", 10)]);
    shop.accepts(
        &service(),
        "hold.place",
        json!({"lines": [{"sku": "X", "quantity": 1}], "ttl_seconds": 60}),
    );
    shop.accepts(&service(), "order.place", of("X", 2));
    let scratched = json!({"sku": "X", "location": "DEL", "delta": 3, "reason": "scratched"});
    shop.accepts(&staff(), "stock.unavailable", scratched);
    let levels = json!({"sku": "X", "location": "DEL", "safety_stock": 1, "reorder_point": 0});
    shop.accepts(&staff(), "stock.levels", levels);
    let incoming = json!({"sku": "X", "location": "DEL", "delta": 100});
    shop.accepts(&staff(), "stock.incoming", incoming);

    let order_id = Some(shop.next_id());
    let rejection = shop.refuses(&service(), "order.place", of("X", 4));
    assert_eq!(rejection, Rejection::InsufficientStock { shortages: vec![short("X", 4, 3)], order_id });
    shop.accepts(&service(), "order.place", of("X", 3));
    assert_eq!(shop.counters("X", "DEL"), [10, 1, 5, 3, 0]);
}

#[test]
fn a_shortage_at_one_location_takes_nothing_from_another() {
    let mut shop = Shop::new().with("X", &[("DEL", 5), ("BOM", 2)]);
    shop.accepts(&service(), "order.place", of("X", 5));
    shop.accepts(&staff(), "stock.count", json!({"sku": "X", "location": "DEL", "counted": 1}));
    let done = shop.accepts(&service(), "order.place", of("X", 2));
    assert_eq!(done.order().lines[0].allocations[0].location.as_str(), "BOM");
}

#[test]
fn orders_that_cannot_be_are_rejected_with_the_reason() {
    let mut shop = Shop::new().with("X", &[("DEL", 5)]).with("OLD", &[("DEL", 5)]);
    shop.accepts(&staff(), "item.remove", json!({"sku": "OLD"}));
    shop.add(json!({"sku": "FEW", "max_per_order": 2}), &[("DEL", 9)]);
    shop.add(json!({"sku": "USD", "price": {"amount": 1, "currency": "USD"}}), &[("DEL", 9)]);
    let line = |sku: &str, quantity: i64| json!({"sku": sku, "quantity": quantity});
    for (lines, rejection) in [
        (
            json!([line("NO", 1), line("X", 1), line("NIX", 1)]),
            Rejection::UnknownSku { skus: vec![sku("NO"), sku("NIX")] },
        ),
        (json!([line("X", 1), line("OLD", 1)]), Rejection::ItemArchived { skus: vec![sku("OLD")] }),
        (json!([line("FEW", 3), line("X", 1)]), Rejection::MaxPerOrder { excess: vec![short("FEW", 3, 2)] }),
        (
            json!([line("FEW", 2), line("X", 1), line("FEW", 1)]),
            Rejection::MaxPerOrder { excess: vec![short("FEW", 3, 2)] },
        ),
        (json!([line("X", 1), line("USD", 1)]), Rejection::MixedCurrencies),
        // What does not exist is said before what is archived, that before what is too much or too little.
        (json!([line("OLD", 1), line("NO", 1)]), Rejection::UnknownSku { skus: vec![sku("NO")] }),
        (json!([line("FEW", 3), line("OLD", 1)]), Rejection::ItemArchived { skus: vec![sku("OLD")] }),
        (json!([line("X", 99), line("FEW", 3)]), Rejection::MaxPerOrder { excess: vec![short("FEW", 3, 2)] }),
    ] {
        let place = json!({"lines": lines, "allow_partial": true});
        assert_eq!(shop.refuses(&service(), "order.place", place), rejection);
        let hold = json!({"lines": lines, "ttl_seconds": 60});
        assert_eq!(shop.refuses(&service(), "hold.place", hold), rejection, "a hold is refused alike");
    }
}

#[test]
fn a_total_beyond_what_money_can_count_is_refused() {
    let mut shop = Shop::new();
    let dear = json!({"amount": 1_000_000_000_000_i64, "currency": "INR"});
    let mut lines = Vec::new();
    for n in 0..10 {
        shop.add(json!({"sku": format!("D{n}"), "price": dear}), &[("DEL", 1_000_000)]);
        lines.push(json!({"sku": format!("D{n}"), "quantity": 1_000_000}));
    }
    let all = json!({"lines": lines});
    assert_eq!(shop.refuses(&service(), "order.place", all), Rejection::TotalTooLarge);
    let nine = json!({"lines": lines[..9]});
    let done = shop.accepts(&service(), "order.place", nine);
    assert_eq!(done.order().total.expect("a total").amount, 9_000_000_000_000_000_000);
}

#[test]
fn lines_are_1_to_200_and_repeated_skus_are_summed_up_to_the_most() {
    let line = |sku: &str, units| Line {
        sku: crate::shop::sku(sku),
        quantity: Quantity::new(units).expect("the test's quantity is one"),
    };
    assert!(Lines::new(Vec::new()).is_err());
    let numbered = |n: usize| (0..n).map(|n| line(&format!("S{n}"), 1)).collect();
    assert_eq!(Lines::new(numbered(200)).expect("200 fit").len(), 200);
    assert!(Lines::new(numbered(201)).is_err());
    assert!(Lines::new(vec![line("A", 1); 201]).is_err(), "lines are counted before they are summed");
    let summed = Lines::new(vec![line("A", 999_999), line("B", 1), line("A", 1)]).expect("a million fits");
    assert_eq!(summed.iter().map(|l| l.quantity.get()).collect::<Vec<_>>(), [1_000_000, 1]);
    let error = Lines::new(vec![line("A", 999_999), line("A", 2)]).expect_err("too many").to_string();
    assert!(error.contains("A sum up to more than 1000000"), "{error}");
}

#[test]
fn locations_are_chosen_by_priority_or_nearness_with_the_fewest_splits() {
    type Point = Option<(f64, f64)>;
    // Code, priority, where it is, units.
    type Place<'a> = (&'a str, i32, Point, i64);
    // What is shown, the places, the units ordered and where to, what is taken where.
    type Choice<'a> = (&'a str, &'a [Place<'a>], i64, Point, &'a [(&'a str, i64)]);
    let somewhere = None;
    let delhi = Some((28.6, 77.2));
    let mumbai = Some((19.1, 72.9));
    let table: [Choice<'_>; 12] = [
        (
            "the earlier priority first, even if it splits",
            &[("A", 2, somewhere, 9), ("B", 1, somewhere, 4)],
            6,
            None,
            &[("B", 4), ("A", 2)],
        ),
        (
            "negative priorities are the earliest",
            &[("A", 0, somewhere, 9), ("B", -1, somewhere, 9)],
            6,
            None,
            &[("B", 6)],
        ),
        (
            "between equals, the one that covers with the least to spare",
            &[("A", 1, somewhere, 9), ("B", 1, somewhere, 6), ("C", 1, somewhere, 5)],
            6,
            None,
            &[("B", 6)],
        ),
        (
            "between equals of which none covers, the fullest, then the one that just covers the rest",
            &[("A", 1, somewhere, 2), ("B", 1, somewhere, 5), ("C", 1, somewhere, 3)],
            7,
            None,
            &[("B", 5), ("A", 2)],
        ),
        (
            "between equals of one size, the first by code",
            &[("B", 1, somewhere, 5), ("A", 1, somewhere, 5)],
            5,
            None,
            &[("A", 5)],
        ),
        (
            "empty places are passed over",
            &[("A", 1, somewhere, 0), ("B", 2, somewhere, 5)],
            5,
            None,
            &[("B", 5)],
        ),
        ("all there is", &[("A", 1, somewhere, 1), ("B", 2, somewhere, 5)], 6, None, &[("A", 1), ("B", 5)]),
        (
            "the nearest first, whatever the priority",
            &[("DEL", 1, delhi, 9), ("BOM", 2, mumbai, 4)],
            6,
            mumbai,
            &[("BOM", 4), ("DEL", 2)],
        ),
        (
            "priority between places of one distance",
            &[("A", 2, delhi, 9), ("B", 1, delhi, 9)],
            6,
            mumbai,
            &[("B", 6)],
        ),
        (
            "a place that nobody knows is farther than any other",
            &[("A", 1, somewhere, 9), ("BOM", 2, mumbai, 9)],
            6,
            Some((-28.6, -102.8)),
            &[("BOM", 6)],
        ),
        (
            "without an address, places are just priorities",
            &[("DEL", 2, delhi, 9), ("BOM", 1, mumbai, 9)],
            6,
            None,
            &[("BOM", 6)],
        ),
        (
            "distances go round the Earth",
            &[("E", 1, Some((0.0, 179.0)), 9), ("W", 2, Some((0.0, -175.0)), 9)],
            6,
            Some((0.0, -179.0)),
            &[("E", 6)],
        ),
    ];
    for (what, places, quantity, ship_to, expected) in table {
        let mut shop = Shop::new();
        let mut stock = Vec::new();
        for (code, priority, point, units) in places {
            let (latitude, longitude) = (point.map(|p| p.0), point.map(|p| p.1));
            let put = json!({"code": code, "name": "n", "priority": priority,
                "latitude": latitude, "longitude": longitude});
            shop.accepts(&staff(), "location.put", put);
            stock.push((*code, *units));
        }
        shop.add(json!({"sku": "X"}), &stock);
        let mut place = of("X", quantity);
        if let Some((latitude, longitude)) = ship_to {
            place["ship_to"] = json!({"latitude": latitude, "longitude": longitude});
        }
        let done = shop.accepts(&service(), "order.place", place);
        let line = &done.order().lines[0];
        let chosen: Vec<_> = line.allocations.iter().map(|a| (a.location.as_str(), a.quantity)).collect();
        assert_eq!(chosen, expected, "{what}");
    }
}

#[test]
fn cancelling_gives_the_units_back_to_the_very_places_they_came_from() {
    let mut shop = Shop::new().with("X", &[("DEL", 5), ("BOM", 9)]);
    let before = (shop.row("X", "DEL"), shop.row("X", "BOM"));
    let order = shop.accepts(&service(), "order.place", of("X", 6)).id;
    let done = shop.accepts(&service(), "order.cancel", json!({"order_id": order}));
    assert_eq!(
        done.events,
        [json!({"order.cancelled": {"order_id": order, "parts": [
            {"sku": "X", "location": "DEL", "quantity": 5}, {"sku": "X", "location": "BOM", "quantity": 1}]}})]
    );
    assert_eq!((shop.row("X", "DEL"), shop.row("X", "BOM")), before);
    assert_eq!(done.order().status, OrderStatus::Cancelled);
}

#[test]
fn the_json_of_an_order_that_changed_is_written_anew() {
    let mut shop = Shop::new().with("X", &[("DEL", 5)]);
    let order = shop.accepts(&service(), "order.place", of("X", 1)).id;
    let json =
        |shop: &Shop| shop.ledger().order(order).expect("it is there").to_json().expect("JSON").to_owned();
    let placed = json(&shop);
    assert_eq!(json(&shop), placed);
    // The ledger alone has it by now: it is changed in its place.
    shop.accepts(&service(), "order.cancel", json!({"order_id": order}));
    let cancelled = json(&shop);
    assert_eq!(placed.replace("\"accepted\"", "\"cancelled\""), cancelled);
    let read: holdfast_domain::Order = serde_json::from_str(&cancelled).expect("it is an order");
    assert_eq!(read.status, OrderStatus::Cancelled);
}

#[test]
fn cancelling_twice_gives_the_units_back_once() {
    let mut shop = Shop::new().with("X", &[("DEL", 5)]);
    let first = shop.accepts(&customer("ann"), "order.place", of("X", 2)).id;
    shop.accepts(&service(), "order.place", of("X", 2));
    shop.accepts(&customer("ann"), "order.cancel", json!({"order_id": first}));
    let again = shop.refuses(&customer("ann"), "order.cancel", json!({"order_id": first}));
    assert_eq!(again, wrong_state("cancelled"));
    assert_eq!(shop.counters("X", "DEL"), [5, 0, 2, 0, 3]);
}

#[test]
fn each_command_on_an_order_needs_the_state_it_is_for() {
    // Per state: what cancel, fulfil and return say; `None` is accepted.
    for (state, cancel, fulfil, back) in [
        ("accepted", None, None, Some("accepted")),
        ("partly_fulfilled", Some("partly_fulfilled"), None, Some("partly_fulfilled")),
        ("fulfilled", Some("fulfilled"), Some("fulfilled"), None),
        ("partly_returned", Some("fulfilled"), Some("fulfilled"), None),
        ("returned", Some("returned"), Some("returned"), Some("returned")),
        ("cancelled", Some("cancelled"), Some("cancelled"), Some("cancelled")),
        ("rejected", Some("rejected"), Some("rejected"), Some("rejected")),
    ] {
        for (kind, expected) in [("order.cancel", cancel), ("order.fulfil", fulfil), ("order.return", back)] {
            let mut shop = Shop::new().with("X", &[("DEL", 5)]);
            let order = shop.next_id();
            if state == "rejected" {
                shop.refuses(&service(), "order.place", of("X", 6));
            } else {
                shop.accepts(&service(), "order.place", of("X", 3));
            }
            let some = json!([{"sku": "X", "quantity": 1}]);
            if state == "cancelled" {
                shop.accepts(&staff(), "order.cancel", json!({"order_id": order}));
            }
            if state == "partly_fulfilled" {
                shop.accepts(&staff(), "order.fulfil", json!({"order_id": order, "lines": some}));
            }
            if matches!(state, "fulfilled" | "partly_returned" | "returned") {
                shop.accepts(&staff(), "order.fulfil", json!({"order_id": order}));
            }
            if state == "partly_returned" {
                let part = json!({"order_id": order, "lines": some, "disposition": "restock"});
                shop.accepts(&staff(), "order.return", part);
            }
            if state == "returned" {
                shop.accepts(&staff(), "order.return", json!({"order_id": order, "disposition": "restock"}));
            }
            let mut fields = json!({"order_id": order});
            if kind == "order.return" {
                fields["disposition"] = json!("restock");
            }
            match expected {
                None => drop(shop.accepts(&staff(), kind, fields)),
                Some(status) => {
                    assert_eq!(
                        shop.refuses(&staff(), kind, fields),
                        wrong_state(status),
                        "{kind} of one {state}"
                    );
                }
            }
        }
    }
}

#[test]
fn an_order_that_does_not_exist_is_not_found() {
    let mut shop = Shop::new();
    let nowhere = Uuid::from_u128(900);
    for (kind, fields) in [
        ("order.cancel", json!({"order_id": nowhere})),
        ("order.fulfil", json!({"order_id": nowhere})),
        ("order.return", json!({"order_id": nowhere, "disposition": "restock"})),
    ] {
        assert_eq!(shop.refuses(&staff(), kind, fields), Rejection::NotFound, "{kind}");
    }
}

#[test]
fn the_first_answer_is_the_order_as_it_was_decided_whatever_became_of_it() {
    let mut shop = Shop::new().with("X", &[("DEL", 5)]);
    let cancelled = shop.accepts(&service(), "order.place", of("X", 1));
    shop.accepts(&service(), "order.cancel", json!({"order_id": cancelled.id}));
    let returned = shop.accepts(&service(), "order.place", of("X", 3));
    shop.accepts(&staff(), "order.fulfil", json!({"order_id": returned.id}));
    shop.accepts(&staff(), "order.return", json!({"order_id": returned.id, "disposition": "restock"}));
    for done in [cancelled, returned] {
        assert_ne!(shop.order(done.id), done.order());
        assert_eq!(&shop.order(done.id).first_answer(), done.order());
    }
    let rejected = shop.next_id();
    shop.refuses(&service(), "order.place", of("X", 99));
    assert_eq!(shop.order(rejected).first_answer(), *shop.order(rejected));
}
