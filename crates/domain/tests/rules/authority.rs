//! Who may command what.

use holdfast_domain::command::KINDS;
use holdfast_domain::wire::parse_body;
use holdfast_domain::{Actor, Command, CommandBody, CommandQueue, Rejection, Role};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::shop::{Shop, customer, service, staff};

/// A command of each kind that can be read; what it is about need not exist.
fn example(kind: &str) -> CommandBody {
    let id = Uuid::from_u128(900);
    let lines = json!([{"sku": "X", "quantity": 1}]);
    let fields = match kind {
        "order.place" => json!({"lines": lines}),
        "order.cancel" | "order.fulfil" => json!({"order_id": id}),
        "order.return" => json!({"order_id": id, "disposition": "restock"}),
        "hold.place" => json!({"lines": lines, "ttl_seconds": 60}),
        "hold.confirm" | "hold.release" => json!({"hold_id": id}),
        "hold.extend" => json!({"hold_id": id, "ttl_seconds": 60}),
        "item.add" => {
            json!({"sku": "N", "brand": "B", "model": "M", "price": {"amount": 1, "currency": "INR"}})
        }
        "item.update" | "item.remove" => json!({"sku": "X"}),
        "location.put" => json!({"code": "NEW", "name": "New", "priority": 1}),
        "stock.receive" => json!({"sku": "X", "location": "DEL", "quantity": 1}),
        "stock.adjust" => json!({"sku": "X", "location": "DEL", "delta": 1, "reason": "found"}),
        "stock.count" => json!({"sku": "X", "location": "DEL", "counted": 1}),
        "stock.transfer" => json!({"sku": "X", "from": "DEL", "to": "BOM", "quantity": 1}),
        "stock.unavailable" => json!({"sku": "X", "location": "DEL", "delta": 1, "reason": "scratched"}),
        "stock.incoming" => json!({"sku": "X", "location": "DEL", "delta": 1}),
        "stock.levels" => json!({"sku": "X", "location": "DEL", "safety_stock": 0, "reorder_point": 0}),
        other => panic!("{other} has no example"),
    };
    let Value::Object(fields) = fields else { unreachable!("the examples are objects") };
    parse_body(kind, fields).unwrap_or_else(|error| panic!("{kind}: {error}"))
}

#[test]
fn each_role_may_command_what_its_work_needs_and_nothing_else() {
    let buyers = "customer service admin";
    let anybody = "customer service staff admin";
    for kind in KINDS {
        let may = match kind {
            "order.place" | "hold.place" | "hold.confirm" | "hold.extend" | "hold.release" => buyers,
            "order.cancel" => anybody,
            _ => "staff admin",
        };
        for role in Role::ALL {
            let allowed = Actor::new("a", role).may_command(&example(kind)).is_ok();
            assert_eq!(allowed, may.split(' ').any(|r| r == role.as_str()), "{} {kind}", role.as_str());
        }
    }
    for role in Role::ALL {
        let allowed = Actor::new("a", role).may_command(&CommandBody::Sweep).is_ok();
        assert_eq!(allowed, role == Role::Admin, "{} sweep", role.as_str());
    }
}

#[test]
fn what_a_role_may_not_command_is_forbidden_and_leaves_nothing() {
    for (actor, kind, fields) in [
        (staff(), "order.place", json!({"lines": [{"sku": "X", "quantity": 1}]})),
        (service(), "stock.receive", json!({"sku": "X", "location": "DEL", "quantity": 1})),
        (customer("ann"), "order.fulfil", json!({"order_id": Uuid::from_u128(4)})),
        (customer("ann"), "item.remove", json!({"sku": "X"})),
    ] {
        let mut shop = Shop::new().with("X", &[("DEL", 5)]);
        assert_eq!(shop.refuses(&actor, kind, fields), Rejection::Forbidden, "{kind}");
    }
}

#[test]
fn a_customer_orders_for_itself_and_a_service_for_whom_it_names() {
    let mut shop = Shop::new().with("X", &[("DEL", 50)]);
    for (actor, named, customer) in [
        (customer("ann"), None, Some("ann")),
        (customer("ann"), Some("bob"), Some("ann")),
        (service(), Some("bob"), Some("bob")),
        (service(), None, None),
    ] {
        let lines = json!([{"sku": "X", "quantity": 1}]);
        let order = shop.accepts(&actor, "order.place", json!({"lines": lines, "customer": named}));
        assert_eq!(order.order().customer.as_ref().map(|c| c.as_str()), customer);
        assert_eq!(order.order().placed_by, actor.name);
        let hold =
            shop.accepts(&actor, "hold.place", json!({"lines": lines, "customer": named, "ttl_seconds": 60}));
        assert_eq!(hold.hold().customer.as_ref().map(|c| c.as_str()), customer);
    }
}

#[test]
fn what_belongs_to_another_customer_is_not_found() {
    let mut shop = Shop::new().with("X", &[("DEL", 50)]);
    let lines = json!([{"sku": "X", "quantity": 1}]);
    for owner in [customer("ann"), service()] {
        let order = shop.accepts(&owner, "order.place", json!({"lines": lines})).id;
        let hold = shop.accepts(&owner, "hold.place", json!({"lines": lines, "ttl_seconds": 60})).id;
        for (kind, fields) in [
            ("order.cancel", json!({"order_id": order})),
            ("hold.confirm", json!({"hold_id": hold})),
            ("hold.extend", json!({"hold_id": hold, "ttl_seconds": 60})),
            ("hold.release", json!({"hold_id": hold})),
        ] {
            assert_eq!(shop.refuses(&customer("eve"), kind, fields), Rejection::NotFound, "{kind}");
        }
        shop.accepts(&service(), "order.cancel", json!({"order_id": order}));
        shop.accepts(&service(), "hold.release", json!({"hold_id": hold}));
    }
}

#[test]
fn every_kind_has_its_name_and_its_queue() {
    for kind in KINDS {
        let body = example(kind);
        assert_eq!(body.kind(), kind);
        let queue = match kind.split_once('.').expect("a kind has two words") {
            ("order" | "hold", _) => CommandQueue::Orders,
            ("item", "add") => CommandQueue::Items,
            ("item" | "stock" | "location", _) => CommandQueue::Stock,
            other => panic!("{other:?} has no queue"),
        };
        assert_eq!(body.queue(), queue, "{kind}");
        assert_eq!(CommandBody::queue_of(kind), Some(queue), "{kind}");
        let json = serde_json::to_value(&body).expect("a command is plain data");
        assert_eq!(json["kind"], kind);
        assert_eq!(serde_json::from_value::<CommandBody>(json).expect("it reads itself"), body);
    }
    for unknown in ["sweep", "order.eat", "stock.", "order", ""] {
        assert_eq!(CommandBody::queue_of(unknown), None, "{unknown:?}");
    }
}

#[test]
fn the_same_content_has_the_same_fingerprint_and_other_content_another() {
    let fingerprint = |kind: &str, fields: Value| {
        let command: Command = crate::shop::command(1, &service(), kind, fields);
        command.body.fingerprint()
    };
    let one = json!({"lines": [{"sku": "X", "quantity": 2}]});
    let summed =
        json!({"lines": [{"quantity": 1, "sku": "X"}, {"sku": "X", "quantity": 1}], "allow_partial": false});
    assert_eq!(fingerprint("order.place", one.clone()), fingerprint("order.place", summed));
    for other in [
        json!({"lines": [{"sku": "X", "quantity": 3}]}),
        json!({"lines": [{"sku": "Y", "quantity": 2}]}),
        json!({"lines": [{"sku": "X", "quantity": 2}], "customer": "bob"}),
        json!({"lines": [{"sku": "X", "quantity": 2}], "allow_partial": true}),
    ] {
        assert_ne!(fingerprint("order.place", one.clone()), fingerprint("order.place", other));
    }
    let id = Uuid::from_u128(7);
    let cancel = fingerprint("order.cancel", json!({"order_id": id}));
    assert_ne!(cancel, fingerprint("order.fulfil", json!({"order_id": id})), "the kind counts");
    assert_ne!(
        fingerprint("item.update", json!({"sku": "X"})),
        fingerprint("item.update", json!({"sku": "X", "image_url": null})),
        "leaving a field alone is not taking it away"
    );
}
