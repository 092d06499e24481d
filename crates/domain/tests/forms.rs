//! The JSON forms that last: outcomes as other programs read them, events as the log keeps them, fingerprints as
//! they are remembered.

use std::collections::BTreeSet;
use std::sync::Arc;

use holdfast_domain::command::{Fingerprint, Name, Price};
use holdfast_domain::hold::HoldStatus;
use holdfast_domain::order::{Json, Progress, RejectionCode, Written};
use holdfast_domain::wire::parse_body;
use holdfast_domain::{
    Allocation, Answer, Currency, Customer, Event, Hold, Item, ItemStatus, Location, LocationCode, Money,
    Movement, MovementKind, Order, OrderLine, OrderStatus, Outcome, Position, Recorded, Rejection, Shortage,
    Sku, StockRow, Timestamp, ToldOutcome,
};
use serde_json::{Value, json};
use uuid::Uuid;

/// Every event as the log has kept it since the first release, one a line. Never change a line; when an event gets
/// a field, leave it out while it has its default, and add a line with it.
const LOG: &str = include_str!("golden/events.jsonl");

fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

fn sku() -> Sku {
    Sku::new("X").expect("a SKU")
}

fn location() -> LocationCode {
    LocationCode::new("DEL").expect("a location code")
}

fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

fn inr(amount: i64) -> Money {
    Money { amount, currency: Currency::INR }
}

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).expect("a time")
}

fn short() -> Shortage {
    Shortage { sku: sku(), requested: 3, available: 1 }
}

fn lines() -> Vec<OrderLine> {
    let allocation = Allocation { location: location(), quantity: 2, fulfilled: 1, returned: 0 };
    vec![OrderLine { sku: sku(), quantity: 2, unit_price: Some(inr(129_900)), allocations: vec![allocation] }]
}

fn order() -> Order {
    Order {
        id: id(1),
        status: OrderStatus::Accepted,
        customer: Some(Customer::new("bob").expect("a customer")),
        lines: lines(),
        // More than a price may be, as a total may.
        total: Some(inr(9_000_000_000_000_000_000)),
        placed_at: at("2026-01-31T12:00:00.000001Z"),
        position: Position(41),
        placed_by: "till".into(),
        progress: Progress { ordered: 2, fulfilled: 1, returned: 0 },
        shortages: vec![short()],
        code: None,
        fingerprint: Fingerprint([0; 16]),
        json: Json::default(),
    }
}

fn rejected() -> Order {
    Order {
        status: OrderStatus::Rejected,
        customer: None,
        total: None,
        code: Some(RejectionCode("insufficient_stock".into())),
        ..order()
    }
}

fn hold() -> Hold {
    Hold {
        id: id(1),
        status: HoldStatus::Held,
        customer: None,
        lines: lines(),
        total: inr(259_800),
        placed_at: at("2026-01-31T12:00:00Z"),
        expires_at: at("2026-01-31T12:05:00Z"),
        position: Position(41),
        placed_by: "till".into(),
        first_expires_at: at("2026-01-31T12:01:00Z"),
        fingerprint: Fingerprint([0; 16]),
    }
}

fn item() -> Item {
    Item {
        sku: sku(),
        brand: name("Titan"),
        model: name("Edge"),
        description: Default::default(),
        image_url: None,
        price: Price(inr(129_900)),
        attributes: Default::default(),
        status: ItemStatus::Active,
        max_per_order: None,
        version: 1,
    }
}

fn movement(reason: Option<&str>, order_id: Option<Uuid>) -> Movement {
    Movement {
        position: Position(41),
        at: at("2026-01-31T12:00:00Z"),
        kind: MovementKind::TransferOut,
        sku: sku(),
        location: location(),
        delta: -5,
        quantity: 5,
        on_hand_after: 0,
        actor: "sam".into(),
        reason: reason.map(str::to_owned),
        order_id,
    }
}

/// At least one of every answer; [`answer_kind`] does not compile when one is missing there.
fn answers() -> Vec<Answer> {
    let place = |latitude: Option<f64>| Location {
        code: location(),
        name: name("Delhi"),
        priority: -1,
        latitude,
        longitude: latitude,
        version: 2,
    };
    vec![
        Answer::Order(Arc::new(order())),
        Answer::Order(Arc::new(rejected())),
        Answer::Hold(Arc::new(hold())),
        Answer::Item { item: Arc::new(item()), available: 7 },
        Answer::Removed,
        Answer::Location(place(Some(28.6139))),
        Answer::Location(place(None)),
        Answer::Movements(vec![movement(None, None)]),
        Answer::Movements(vec![movement(Some("PO-7"), Some(id(2))), movement(None, None)]),
        Answer::Levels(StockRow { safety_stock: 3, ..StockRow::empty(location()) }),
        Answer::Swept,
    ]
}

const ANSWERS: usize = 8;

fn answer_kind(answer: &Answer) -> usize {
    match answer {
        Answer::Order(_) | Answer::OrderText(_) => 0,
        Answer::Hold(_) => 1,
        Answer::Item { .. } => 2,
        Answer::Removed => 3,
        Answer::Location(_) => 4,
        Answer::Movements(_) => 5,
        Answer::Levels(_) => 6,
        Answer::Swept => 7,
    }
}

/// At least one of every rejection; [`rejection_kind`] does not compile when one is missing there.
fn rejections() -> Vec<Rejection> {
    let detail = || "2 of X: 1 more than the order has left".to_owned();
    vec![
        Rejection::InsufficientStock { shortages: vec![short()], order_id: Some(id(1)) },
        Rejection::InsufficientStock { shortages: vec![short(), short()], order_id: None },
        Rejection::UnknownSku { skus: vec![sku()] },
        Rejection::ItemArchived { skus: vec![sku(), sku()] },
        Rejection::UnknownLocation { location: location() },
        Rejection::DuplicateLocation { location: location() },
        Rejection::SameLocation,
        Rejection::MixedCurrencies,
        Rejection::MaxPerOrder { excess: vec![short()] },
        Rejection::TotalTooLarge,
        Rejection::NegativeStock { there: 1, wanted: 2 },
        Rejection::StockLimit { maximum: 1_000_000_000_000 },
        Rejection::WrongState { status: "partly_fulfilled".into() },
        Rejection::InvalidParts { detail: detail() },
        Rejection::HoldExpired,
        Rejection::HoldTooLong,
        Rejection::SkuExists { sku: sku() },
        Rejection::LocationExists { location: location() },
        Rejection::ItemInUse { held: 1, allocated: 2 },
        Rejection::StaleVersion { current: 3 },
        Rejection::NotFound,
        Rejection::IdTaken,
        Rejection::CommandIdReused,
        Rejection::Forbidden,
        Rejection::NotProcessable { detail: detail() },
    ]
}

const REJECTIONS: usize = 24;

fn rejection_kind(rejection: &Rejection) -> usize {
    match rejection {
        Rejection::InsufficientStock { .. } => 0,
        Rejection::UnknownSku { .. } => 1,
        Rejection::ItemArchived { .. } => 2,
        Rejection::UnknownLocation { .. } => 3,
        Rejection::DuplicateLocation { .. } => 4,
        Rejection::SameLocation => 5,
        Rejection::MixedCurrencies => 6,
        Rejection::MaxPerOrder { .. } => 7,
        Rejection::TotalTooLarge => 8,
        Rejection::NegativeStock { .. } => 9,
        Rejection::StockLimit { .. } => 10,
        Rejection::WrongState { .. } => 11,
        Rejection::InvalidParts { .. } => 12,
        Rejection::HoldExpired => 13,
        Rejection::HoldTooLong => 14,
        Rejection::SkuExists { .. } => 15,
        Rejection::LocationExists { .. } => 16,
        Rejection::ItemInUse { .. } => 17,
        Rejection::StaleVersion { .. } => 18,
        Rejection::NotFound => 19,
        Rejection::IdTaken => 20,
        Rejection::CommandIdReused => 21,
        Rejection::Forbidden => 22,
        Rejection::NotProcessable { .. } => 23,
    }
}

fn outcome(result: Result<Answer, Rejection>) -> Outcome {
    Outcome { id: id(9), position: Position(18_446_744_073_709_551_615), replayed: false, result }
}

fn json_of(outcome: &Outcome) -> Value {
    serde_json::to_value(outcome).unwrap_or_else(|error| panic!("{outcome:?}: {error}"))
}

#[test]
fn every_outcome_is_read_back_as_it_was_written() {
    let answers = answers();
    let kinds: BTreeSet<_> = answers.iter().map(answer_kind).collect();
    assert_eq!(kinds, (0..ANSWERS).collect(), "an answer of every kind");
    let rejections = rejections();
    let kinds: BTreeSet<_> = rejections.iter().map(rejection_kind).collect();
    assert_eq!(kinds, (0..REJECTIONS).collect(), "a rejection of every kind");
    for result in answers.into_iter().map(Ok).chain(rejections.into_iter().map(Err)) {
        for replayed in [false, true] {
            let written = Outcome { replayed, ..outcome(result.clone()) };
            let text = serde_json::to_string(&written).unwrap_or_else(|error| panic!("{result:?}: {error}"));
            let read: Outcome = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(read, written, "{text}");
            let value: Outcome = serde_json::from_value(json_of(&written)).expect("the same as a value");
            assert_eq!(value, written);
        }
    }
}

#[test]
fn an_outcome_says_whether_where_and_why() {
    for answer in answers() {
        let json = json_of(&outcome(Ok(answer)));
        assert_eq!(json["ok"], true);
        assert_eq!(json["id"], json!(id(9)));
        assert_eq!(json["position"], "18446744073709551615", "positions are opaque strings");
        assert!(json.get("code").is_none() && json.get("detail").is_none(), "{json}");
    }
    let mut codes = BTreeSet::new();
    for rejection in rejections() {
        let json = json_of(&outcome(Err(rejection.clone())));
        assert_eq!(json["ok"], false);
        assert_eq!(json["code"], rejection.code(), "the word is the serde tag");
        assert_eq!(json["detail"], rejection.detail());
        assert!(rejection.detail().ends_with('.'), "{}", rejection.detail());
        codes.insert(rejection.code());
    }
    assert_eq!(codes.len(), REJECTIONS, "each has a word of its own");
}

#[test]
fn only_what_was_decided_is_remembered() {
    for rejection in rejections() {
        let not_decided =
            matches!(rejection, Rejection::IdTaken | Rejection::CommandIdReused | Rejection::Forbidden);
        assert_eq!(rejection.is_remembered(), !not_decided, "{rejection:?}");
    }
}

#[test]
fn outcomes_have_the_shape_that_other_programs_read() {
    let (first, ninth) = (id(1), id(9));
    let position = "18446744073709551615";
    let line = json!({"sku": "X", "quantity": 2, "unit_price": {"amount": 129_900, "currency": "INR"},
        "allocations": [{"location": "DEL", "quantity": 2, "fulfilled": 1}]});
    for (result, expected) in [
        (
            Ok(Answer::Order(Arc::new(order()))),
            json!({"id": ninth, "ok": true, "position": position, "order": {
                "id": first, "status": "accepted", "customer": "bob", "lines": [line],
                "total": {"amount": 9_000_000_000_000_000_000_i64, "currency": "INR"},
                "placed_at": "2026-01-31T12:00:00.000001Z", "position": "41", "placed_by": "till",
                "progress": {"ordered": 2, "fulfilled": 1, "returned": 0},
                "shortages": [{"sku": "X", "requested": 3, "available": 1}]}}),
        ),
        (
            Ok(Answer::Hold(Arc::new(hold()))),
            json!({"id": ninth, "ok": true, "position": position, "hold": {
                "id": first, "status": "held", "customer": null, "lines": [line],
                "total": {"amount": 259_800, "currency": "INR"},
                "placed_at": "2026-01-31T12:00:00.000000Z", "expires_at": "2026-01-31T12:05:00.000000Z",
                "position": "41", "placed_by": "till", "first_expires_at": "2026-01-31T12:01:00.000000Z"}}),
        ),
        (
            Ok(Answer::Movements(vec![movement(Some("PO-7"), Some(first))])),
            json!({"id": ninth, "ok": true, "position": position, "movements": [{
                "position": "41", "at": "2026-01-31T12:00:00.000000Z", "kind": "transfer_out", "sku": "X",
                "location": "DEL", "delta": -5, "quantity": 5, "on_hand_after": 0, "actor": "sam",
                "reason": "PO-7", "order_id": first}]}),
        ),
        (
            Err(Rejection::InsufficientStock { shortages: vec![short()], order_id: Some(first) }),
            json!({"id": ninth, "ok": false, "position": position, "code": "insufficient_stock",
                "detail": "There is not enough stock: X: 3 requested, 1 available.", "order_id": first,
                "shortages": [{"sku": "X", "requested": 3, "available": 1}]}),
        ),
        (
            Err(Rejection::InvalidParts { detail: "none".to_owned() }),
            json!({"id": ninth, "ok": false, "position": position, "code": "invalid_parts",
                "detail": "The order does not have these units: none.", "why": "none"}),
        ),
    ] {
        assert_eq!(json_of(&outcome(result)), expected);
    }
}

#[test]
fn what_another_process_says_is_passed_on_as_it_was_said() {
    for answer in answers() {
        let said = serde_json::to_string(&outcome(Ok(answer.clone()))).expect("plain data");
        let ToldOutcome(told) = serde_json::from_str(&said).expect("it was written a moment ago");
        assert_eq!(serde_json::to_string(&told).expect("plain data"), said);
        match (&answer, &told.result) {
            (Answer::Order(order), Ok(Answer::OrderText(text))) => {
                let parts = text.total_and_shortages().expect("it is an order");
                assert_eq!(parts, (order.total, order.shortages.clone()));
            }
            (_, result) => assert_eq!(result.as_ref(), Ok(&answer)),
        }
    }
    let refused =
        outcome(Err(Rejection::InsufficientStock { shortages: vec![short()], order_id: Some(id(1)) }));
    let said = serde_json::to_string(&refused).expect("plain data");
    let ToldOutcome(told) = serde_json::from_str(&said).expect("it was written a moment ago");
    assert_eq!(told, refused);
}

#[test]
fn an_order_is_said_the_same_whether_it_was_written_before_or_not() {
    for order in [order(), rejected()] {
        let plain = serde_json::to_string(&order).expect("plain data");
        assert_eq!(serde_json::to_string(&Written(&order)).expect("plain data"), plain);
        assert_eq!(order.to_json().expect("plain data"), plain);
        assert_eq!(serde_json::to_string(&Written(&order)).expect("plain data"), plain);
        let changed = Order { position: Position(42), ..order.clone() };
        assert_ne!(changed.to_json().expect("plain data"), plain, "a copy begins without");
        let said = outcome(Ok(Answer::Order(Arc::new(order))));
        let order: serde_json::Value = serde_json::from_str(&plain).expect("it is JSON");
        assert_eq!(json_of(&said)["order"], order);
    }
}

#[test]
fn a_fingerprint_is_nobodys_business() {
    let with = Order { fingerprint: Fingerprint([7; 16]), ..order() };
    let json = json_of(&outcome(Ok(Answer::Order(Arc::new(with)))));
    assert!(!json.to_string().contains("fingerprint"), "{json}");
}

/// The name of an event in the log; does not compile when a kind is missing here.
fn log_name(event: &Event) -> &'static str {
    match event {
        Event::ItemAdded { .. } => "item.added",
        Event::ItemUpdated { .. } => "item.updated",
        Event::ItemArchived { .. } => "item.archived",
        Event::LocationPut { .. } => "location.put",
        Event::StockReceived { .. } => "stock.received",
        Event::StockAdjusted { .. } => "stock.adjusted",
        Event::StockCounted { .. } => "stock.counted",
        Event::StockTransferred { .. } => "stock.transferred",
        Event::StockUnavailable { .. } => "stock.unavailable",
        Event::StockIncoming { .. } => "stock.incoming",
        Event::StockLevels { .. } => "stock.levels",
        Event::OrderAccepted { .. } => "order.accepted",
        Event::OrderRejected { .. } => "order.rejected",
        Event::OrderCancelled { .. } => "order.cancelled",
        Event::OrderFulfilled { .. } => "order.fulfilled",
        Event::OrderReturned { .. } => "order.returned",
        Event::HoldPlaced { .. } => "hold.placed",
        Event::HoldExtended { .. } => "hold.extended",
        Event::HoldConfirmed { .. } => "hold.confirmed",
        Event::HoldReleased { .. } => "hold.released",
        Event::HoldExpired { .. } => "hold.expired",
    }
}

const EVENTS: usize = 21;

#[test]
fn every_event_that_the_log_ever_kept_is_readable_and_written_the_same() {
    let mut seen = BTreeSet::new();
    for line in LOG.lines() {
        let recorded: Recorded = serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        let kept: Value = serde_json::from_str(line).expect("the line was just read");
        assert_eq!(serde_json::to_value(&recorded).expect("an event is plain data"), kept);
        let event = &recorded.event;
        assert!(kept["event"].get(log_name(event)).is_some(), "{line}");
        seen.insert(log_name(event));

        // What the log calls an event, its followers do too; changes of stock have one name for all.
        let stock = log_name(event).starts_with("stock.");
        assert_eq!(event.kind(), if stock { "stock.changed" } else { log_name(event) });
        let subject = match event.claim_id() {
            Some(claim) => claim.to_string(),
            None if log_name(event) == "location.put" => "DEL".to_owned(),
            None => "X".to_owned(),
        };
        assert_eq!(event.subject(), subject, "{line}");
        let mut skus = BTreeSet::new();
        event.each_sku(|sku| {
            skus.insert(sku.to_string());
        });
        let named = line.contains(r#""sku":"X""#);
        assert_eq!(skus.contains("X"), named, "{line}");
    }
    assert_eq!(seen.len(), EVENTS, "an event of every kind, not only {seen:?}");
}

#[test]
fn a_fingerprint_stays_the_same_from_release_to_release() {
    // Remembered for ever beside orders and holds: another value would refuse a repeated command as another one.
    for (kind, fields, expected) in FINGERPRINTS {
        let fields = serde_json::from_str(fields).expect("the fields are an object");
        let body = parse_body(kind, fields).unwrap_or_else(|error| panic!("{kind}: {error}"));
        let hex: String = body.fingerprint().0.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, *expected, "{kind}");
    }
}

const FINGERPRINTS: &[(&str, &str, &str)] = &[
    ("order.place", r#"{"lines": [{"sku": "X", "quantity": 1}]}"#, "498f03008595178d96b82d49c66ef5d3"),
    (
        "order.place",
        r#"{"lines": [{"sku": "X", "quantity": 1}, {"sku": "Y", "quantity": 2}], "customer": "bob",
            "ship_to": {"latitude": 28.6, "longitude": -77.2}, "allow_partial": true}"#,
        "6358fdd3e27f1496b8f9880da269d3e7",
    ),
    (
        "hold.place",
        r#"{"lines": [{"sku": "X", "quantity": 1}], "ttl_seconds": 60}"#,
        "81606a60f1416e1c304c16f654314989",
    ),
    (
        "stock.receive",
        r#"{"sku": "X", "location": "DEL", "quantity": 5}"#,
        "28a8b5ad3458c55454e4161c1551774e",
    ),
    ("item.update", r#"{"sku": "X", "image_url": null}"#, "faf8f7c3a572d8a647b313dc04e85b84"),
];
