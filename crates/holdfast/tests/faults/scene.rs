//! One scenario: goods of its own, clients, a fault, and the reckoning.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use holdfast_testbed::eventually;
use serde_json::{Value, json};

use crate::load::{Load, Placer};
use crate::shop::{LOCATION, Shop};
use crate::table::{Row, patience};

const PLENTY: i64 = 1_000_000;
const SCARCE: i64 = 40;
/// Load before the fault, and after the recovery.
const CALM: Duration = Duration::from_millis(1_000);
/// So many are decided before the fault comes, in this time.
const CALM_ORDERS: usize = 10;
const FLOW_MAX: Duration = Duration::from_secs(15);
/// A service that is back decides an order within this.
const PROMPT: Duration = Duration::from_secs(1);
/// So many prompt decisions in a row are a service that is back.
const PROMPT_STREAK: usize = 5;
const PROBE_PAUSE: Duration = Duration::from_millis(50);
/// Answered orders that are placed once more at the end.
const REPEATED: usize = 10;

pub struct Scene {
    pub shop: Arc<Shop>,
    fault: String,
    load: Load,
    recovery: Option<(&'static str, Duration, Duration)>,
    /// Units of the plentiful item that others than the clients bought, or brought.
    besides: Besides,
}

#[derive(Default, Clone, Copy)]
struct Besides {
    sold: i64,
    received: i64,
}

impl Scene {
    /// Goods and clients; returns when they have been at it for a moment.
    pub async fn begin(shop: &Arc<Shop>, fault: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(1);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let (plenty, scarce) = (format!("PLENTY-{number}"), format!("SCARCE-{number}"));
        for (sku, quantity) in [(&plenty, PLENTY), (&scarce, SCARCE)] {
            let item = json!({
                "sku": sku, "brand": "Acme", "model": sku,
                "price": {"amount": 1_000, "currency": "INR"},
                "stock": [{"location": LOCATION, "quantity": quantity}],
            });
            let added = shop.post("staff", "/v1/items").json(&item).send().await.expect("it answers");
            assert_eq!(added.status(), 201, "{:?}", added.text().await);
        }
        let load = Load::start(shop, &format!("scene-{number}"), &plenty, &scarce);
        let scene = Self {
            shop: Arc::clone(shop),
            fault: fault.to_owned(),
            load,
            recovery: None,
            besides: Besides::default(),
        };
        tokio::time::sleep(CALM).await;
        let flow = || async { scene.load.placer().told().decided.len() > CALM_ORDERS };
        eventually("orders to flow before the fault", patience(FLOW_MAX), flow).await.expect("they do");
        scene
    }

    /// Waits until new orders are decided promptly again. `from`: when the fault came, or went; `since` says which.
    pub async fn serves_again(&mut self, from: Instant, since: &'static str, max: Duration) {
        let (max, prompt) = (patience(max), patience(PROMPT));
        let mut streak = 0;
        let mut back = None;
        while streak < PROMPT_STREAK {
            let decided = tokio::time::timeout(prompt, self.load.probe()).await;
            if matches!(decided, Ok(Ok(()))) {
                back.get_or_insert_with(Instant::now);
                streak += 1;
            } else {
                (streak, back) = (0, None);
            }
            let waited = from.elapsed();
            assert!(waited < max + prompt * 2, "no service {waited:?} after {since}");
            tokio::time::sleep(PROBE_PAUSE).await;
        }
        let recovery = back.expect("a streak has a first one").duration_since(from);
        assert!(recovery <= max, "service is back {recovery:?} after {since}, later than {max:?}");
        self.recovery = Some((since, recovery, max));
    }

    /// The item of which there is enough.
    pub fn plenty(&self) -> &str {
        &self.load.placer().plenty
    }

    /// The scenario itself has bought so many units of the plentiful item.
    pub fn sold_besides(&mut self, units: i64) {
        self.besides.sold += units;
    }

    /// The scenario itself has booked in so many units of the plentiful item.
    pub fn received_besides(&mut self, units: i64) {
        self.besides.received += units;
    }

    /// Ends the load and holds what the clients were told against the books.
    pub async fn end(self) -> Row {
        let Self { shop, fault, load, recovery, besides } = self;
        tokio::time::sleep(CALM).await;
        let placer = load.end().await;
        let position = position(&shop).await;
        let listed = listed(&shop, &placer.customer, &position).await;
        reckon(&shop, &placer, &listed, &position, besides).await;
        repeat_some(&shop, &placer).await;
        shop.everybody_is_up().await;
        shop.verify().await;
        let (since, recovery, recovery_max) = recovery.expect("every scenario waits for the service");
        let told = placer.told();
        Row {
            fault,
            outage: told.gap,
            refused: told.refused,
            in_doubt: told.in_doubt,
            pending: told.pending,
            unanswered: told.unanswered,
            decided: told.decided.len(),
            since,
            recovery,
            recovery_max,
        }
    }
}

/// Where the log ends: refusals say it too.
pub async fn position(shop: &Shop) -> String {
    let path = format!("/v1/orders/{}/cancel", uuid::Uuid::now_v7());
    let refused = shop.post("service", &path).send().await.expect("it answers");
    assert_eq!(refused.status(), 404);
    let position = refused.headers().get("holdfast-position").expect("it says its position");
    position.to_str().expect("ASCII").to_owned()
}

/// All orders of a customer, as the API lists them.
pub async fn listed(shop: &Shop, customer: &str, position: &str) -> BTreeMap<String, Value> {
    let mut orders = BTreeMap::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/v1/orders?customer={customer}&limit=200{cursor}");
        let answer = shop.get("service", &path).header("Holdfast-At-Least", position).send().await;
        let answer = answer.expect("it answers");
        assert_eq!(answer.status(), 200);
        let page: Value = answer.json().await.expect("JSON");
        for order in page["items"].as_array().expect("items") {
            let id = order["id"].as_str().expect("an id").to_owned();
            assert!(orders.insert(id.clone(), order.clone()).is_none(), "{id} is listed twice");
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return orders,
        }
    }
}

/// Every answered order is there as it was answered, no other one is, and the stock says the same.
async fn reckon(
    shop: &Shop,
    placer: &Placer,
    listed: &BTreeMap<String, Value>,
    position: &str,
    besides: Besides,
) {
    let decided = {
        let told = placer.told();
        assert!(told.strange.is_empty(), "strange answers: {:#?}", told.strange);
        told.decided.clone()
    };
    let mut allocated: BTreeMap<String, i64> = BTreeMap::new();
    for (id, answer) in &decided {
        let order = listed.get(id).unwrap_or_else(|| panic!("the answered order {id} is lost: {answer}"));
        if answer["code"] == "insufficient_stock" {
            assert_eq!((&answer["order_id"], &order["status"]), (&json!(id), &json!("rejected")), "{order}");
            continue;
        }
        for member in ["id", "status", "customer", "lines", "total", "placed_at", "position"] {
            assert_eq!(answer[member], order[member], "{member} of {id} is not as it was answered");
        }
        assert_eq!(answer["status"], "accepted", "{answer}");
        for line in answer["lines"].as_array().expect("lines") {
            let sku = line["sku"].as_str().expect("a SKU").to_owned();
            *allocated.entry(sku).or_default() += line["quantity"].as_i64().expect("a quantity");
        }
    }
    let unknown: Vec<&String> = listed.keys().filter(|id| !decided.contains_key(*id)).collect();
    assert!(unknown.is_empty(), "orders that no client was told of: {unknown:?}");
    *allocated.entry(placer.plenty.clone()).or_default() += besides.sold;
    for (sku, on_hand) in [(&placer.plenty, PLENTY + besides.received), (&placer.scarce, SCARCE)] {
        let path = format!("/v1/stock/{sku}");
        let answer = shop.get("staff", &path).header("Holdfast-At-Least", position).send().await;
        let stock: Value = answer.expect("it answers").json().await.expect("JSON");
        let sold = allocated.get(sku).copied().unwrap_or(0);
        assert_eq!((&stock["on_hand"], &stock["allocated"]), (&json!(on_hand), &json!(sold)), "{stock}");
        assert!(sold <= on_hand, "{sku} is oversold: {stock}");
        assert_eq!((&stock["shortage"], &stock["available"]), (&json!(0), &json!(on_hand - sold)), "{stock}");
    }
}

/// A client that asks once more is told the same, and nothing happens.
async fn repeat_some(shop: &Shop, placer: &Placer) {
    let accepted: Vec<Value> = {
        let told = placer.told();
        told.decided.values().filter(|order| order["status"] == "accepted").take(REPEATED).cloned().collect()
    };
    for order in accepted {
        let line = &order["lines"][0];
        let again = json!({
            "id": order["id"], "customer": placer.customer,
            "lines": [{"sku": line["sku"], "quantity": line["quantity"]}],
        });
        let answer = shop.post("service", "/v1/orders").json(&again).send().await.expect("it answers");
        assert_eq!(answer.status(), 201);
        assert_eq!(
            answer.json::<Value>().await.expect("JSON"),
            order,
            "the repeated order has another answer"
        );
    }
}
