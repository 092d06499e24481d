//! Two gateways, one shop: what was written through one holds at the other.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use holdfast_testbed::eventually;
use serde_json::{Value, json};

use crate::client::{Reply, new_id, text};
use crate::stand::{HERE, MAIN, PASSWORD, THERE, lines, shared, unique};

const TWO_SECONDS: Duration = Duration::from_secs(2);

#[tokio::test]
async fn what_is_written_here_is_read_there_at_its_position() {
    let stand = shared().await;
    let sku = stand.item(200).await;
    for ordered in 1..=30 {
        let reply = stand.service(HERE).post("/v1/orders").json(&lines(&sku, 1)).send().await;
        let order = reply.written(201);
        let at = reply.position();
        let there = stand.service(THERE);
        let path = format!("/v1/orders/{}", text(&order, "id"));
        let seen = there.get(&path).at_least(&at).send().await.expect(200);
        assert_eq!(seen["status"], "accepted");
        let item = there.get(&format!("/v1/items/{sku}")).at_least(&at).send().await.expect(200);
        assert_eq!(item["available"], 200 - ordered);
    }
}

#[tokio::test]
async fn a_key_counts_once_whichever_gateway_hears_it() {
    let stand = shared().await;
    let sku = stand.item(100).await;
    let key = new_id();
    let first = stand.service(HERE).post("/v1/orders").key(&key).json(&lines(&sku, 2)).send().await;
    let order = first.written(201);
    assert!(!first.replayed());
    let again = stand.service(THERE).post("/v1/orders").key(&key).json(&lines(&sku, 2)).send().await;
    assert_eq!(again.written(201), order);
    assert!(again.replayed() && again.position() == first.position(), "{again:?}");
    let other = stand.service(THERE).post("/v1/orders").key(&key).json(&lines(&sku, 3)).send().await;
    other.problem(422, "idempotency_key_reused");

    // At the same moment, through both.
    let key = new_id();
    let calls = (0..40).map(|number| {
        let call = stand.service(number % 2).post("/v1/orders").key(&key).json(&lines(&sku, 5));
        tokio::spawn(call.send())
    });
    let mut replies: Vec<Reply> = Vec::new();
    for call in calls.collect::<Vec<_>>() {
        replies.push(call.await.expect("no panic"));
    }
    let order = replies[0].written(201);
    assert!(replies.iter().all(|reply| reply.written(201) == order));
    assert_eq!(replies.iter().filter(|reply| !reply.replayed()).count(), 1);
    assert_eq!(stand.stock(&sku).await["allocated"], 7);
}

#[tokio::test]
async fn an_id_is_taken_at_every_gateway() {
    let stand = shared().await;
    let sku = stand.item(10).await;
    let mut body = lines(&sku, 1);
    body["id"] = json!(new_id());
    let first = stand.service(HERE).post("/v1/orders").json(&body).send().await.written(201);
    let again = stand.service(THERE).post("/v1/orders").key(&new_id()).json(&body).send().await;
    assert_eq!(again.written(201), first);
    let mut customer_body = body.clone();
    customer_body["id"] = body["id"].clone();
    let customer = sign_in(&stand, HERE, &stand.account("customer")).await;
    let theirs = stand.with(THERE, Some(&customer)).post("/v1/orders").json(&customer_body).send().await;
    theirs.problem(409, "id_taken");
    assert_eq!(stand.stock(&sku).await["allocated"], 1);
}

#[tokio::test]
async fn an_import_is_shown_and_counts_once_at_every_gateway() {
    let stand = shared().await;
    let (sku, key) = (unique("CSV"), new_id());
    let file =
        |units: i64| format!("sku,brand,model,price,location,quantity\n{sku},Acme,One,1.00,{MAIN},{units}\n");
    let send = |gateway: usize, units: i64| {
        stand.staff(gateway).post("/v1/imports").key(&key).body("text/csv", file(units)).send()
    };
    let job = send(HERE, 7).await.written(202);
    let path = format!("/v1/imports/{}", text(&job, "id"));
    let done = || async { stand.staff(THERE).get(&path).send().await.expect(200)["status"] == "done" };
    eventually("the import is done, as seen there", Duration::from_secs(30), done).await.expect("it is");
    let receipt = json!({ "sku": sku, "location": MAIN, "quantity": 5 });
    stand.staff(HERE).post("/v1/stock/receipts").json(&receipt).send().await.written(201);
    for gateway in [THERE, HERE] {
        let again = send(gateway, 7).await;
        assert!(again.replayed(), "{again:?}");
        assert_eq!(again.written(202), job);
        send(gateway, 8).await.problem(422, "idempotency_key_reused");
    }
    assert_eq!(stand.stock(&sku).await["on_hand"], 12);
}

async fn sign_in(stand: &crate::stand::Stand, gateway: usize, username: &str) -> String {
    let body = json!({ "username": username, "password": PASSWORD });
    let session = stand.with(gateway, None).post("/v1/sessions").json(&body).send().await.expect(201);
    text(&session, "token")
}

#[tokio::test]
async fn what_is_ended_here_is_over_there_within_two_seconds() {
    let stand = shared().await;
    // A session that signs out.
    let token = sign_in(&stand, HERE, &stand.account("staff")).await;
    let there = stand.with(THERE, Some(&token));
    there.get("/v1/me").send().await.expect(200);
    stand.with(HERE, Some(&token)).delete("/v1/sessions/current").send().await.expect(204);
    let ended = || async { there.get("/v1/me").send().await.status == 401 };
    eventually("the session ends there", TWO_SECONDS, ended).await.expect("within 2 s");

    // A key that is revoked.
    let made = stand.admin(HERE).post("/v1/api-keys");
    let made = made.json(&json!({ "name": unique("key"), "role": "staff" })).send().await.expect(201);
    let there = stand.with(THERE, Some(&text(&made, "key")));
    there.get("/v1/stock").send().await.expect(200);
    stand.admin(HERE).delete(&format!("/v1/api-keys/{}", text(&made, "id"))).send().await.expect(204);
    let ended = || async { there.get("/v1/stock").send().await.status == 401 };
    eventually("the key ends there", TWO_SECONDS, ended).await.expect("within 2 s");

    // A role that is taken away, and an account that is disabled.
    let username = stand.account("staff");
    let token = sign_in(&stand, THERE, &username).await;
    let there = stand.with(THERE, Some(&token));
    let id = text(&there.get("/v1/me").send().await.expect(200), "id");
    let account = format!("/v1/accounts/{id}");
    there.get("/v1/stock").send().await.expect(200);
    stand.admin(HERE).patch(&account).json(&json!({ "role": "customer" })).send().await.expect(200);
    let demoted = || async { there.get("/v1/stock").send().await.status == 403 };
    eventually("the role ends there", TWO_SECONDS, demoted).await.expect("within 2 s");
    stand.admin(HERE).patch(&account).json(&json!({ "disabled": true })).send().await.expect(200);
    let disabled = || async { there.get("/v1/me").send().await.status == 401 };
    eventually("the account ends there", TWO_SECONDS, disabled).await.expect("within 2 s");
}

#[tokio::test]
async fn a_hold_that_nobody_confirms_gives_its_units_back_within_a_second() {
    let stand = shared().await;
    let sku = stand.item(10).await;
    let mut body = lines(&sku, 4);
    body["ttl_seconds"] = json!(5);
    let started = Instant::now();
    let hold = stand.service(HERE).post("/v1/holds").json(&body).send().await.written(201);
    assert_eq!(stand.stock(&sku).await["available"], 6);
    let path = format!("/v1/items/{sku}");
    let back = || async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        stand.with(THERE, None).get(&path).send().await.expect(200)["available"] == 10
    };
    eventually("the units are available there", Duration::from_secs(10), back).await.expect("they are");
    let took = started.elapsed();
    // Five seconds of the hold, one until it is noticed; the rest is a machine that does other things too.
    assert!(took > Duration::from_millis(4_800) && took < Duration::from_millis(7_000), "{took:?}");
    let late = stand.service(THERE).post(&format!("/v1/holds/{}/confirm", text(&hold, "id"))).send().await;
    late.problem(410, "hold_expired");
}

const BUYERS: usize = 1_000;
const UNITS: i64 = 100;

#[tokio::test]
async fn a_thousand_buyers_at_two_gateways_get_exactly_the_hundred_units_there_are() {
    let stand = shared().await;
    let sku = stand.item(UNITS).await;
    let together = Arc::new(tokio::sync::Barrier::new(BUYERS));
    let clients = [stand.service(HERE), stand.service(THERE)];
    let buyers: Vec<_> = (0..BUYERS)
        .map(|number| {
            let (client, together) = (clients[number % 2].clone(), together.clone());
            let mut body = lines(&sku, 1);
            body["customer"] = json!(unique("buyer"));
            tokio::spawn(async move {
                together.wait().await;
                let reply = client.post("/v1/orders").json(&body).send().await;
                match reply.status {
                    201 => (text(&reply.written(201), "id"), "accepted"),
                    // Not decided within 5 s on a busy machine: it will be.
                    202 => (text(&reply.json(), "id"), "pending"),
                    _ => (text(&reply.problem(409, "insufficient_stock"), "order_id"), "rejected"),
                }
            })
        })
        .collect();
    let mut ends: BTreeMap<String, usize> = BTreeMap::new();
    for buyer in buyers {
        let (id, answered) = buyer.await.expect("no panic");
        let there = stand.service(THERE);
        let path = format!("/v1/orders/{id}");
        let decided = || async { there.get(&path).send().await.expect(200)["status"] != "pending" };
        eventually("the order is decided there", Duration::from_secs(30), decided).await.expect("it is");
        let status = text(&there.get(&path).send().await.expect(200), "status");
        assert!(answered == "pending" || answered == status, "answered {answered}, is {status}");
        *ends.entry(status).or_default() += 1;
    }
    assert_eq!(ends, BTreeMap::from([("accepted".to_owned(), 100), ("rejected".to_owned(), 900)]));
    let stock = stand.stock(&sku).await;
    assert_eq!(
        (&stock["allocated"], &stock["available"], &stock["shortage"]),
        (&json!(100), &json!(0), &json!(0))
    );
    stand.verify();
}

#[tokio::test]
async fn the_balancer_leads_to_both_gateways() {
    let stand = shared().await;
    let client = crate::client::Client::new(stand.cluster.url(), None);
    for _ in 0..6 {
        let page: Value = client.get("/v1/items").send().await.expect(200);
        assert!(page["items"].is_array());
    }
}
