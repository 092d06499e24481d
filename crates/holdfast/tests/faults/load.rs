//! Clients that place orders at a steady pace and repeat each one, with its id, until it is decided; and what they
//! were told.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::shop::Shop;
use crate::table::patience;

const CLIENTS: usize = 12;
/// Each client places an order this often: 40 a second in all.
const PACE: Duration = Duration::from_millis(300);
/// Between two attempts at the same order.
const RETRY_PAUSE: Duration = Duration::from_millis(250);
/// How long a client waits for an answer.
const ANSWER_MAX: Duration = Duration::from_secs(8);
/// No order is undecided for longer, whatever the fault.
const DECIDED_MAX: Duration = Duration::from_secs(90);
/// A 503 comes at once where the gateway knows that something is down, and never later than the 202 that an order
/// without a decision gets after 5 s.
const REFUSED_MAX: Duration = Duration::from_secs(6);
/// Every so many orders want the item of which there is little.
const SCARCE_EVERY: usize = 4;

/// What the clients of one scenario were told.
#[derive(Default)]
pub struct Told {
    /// Id → the decision, as it was answered.
    pub decided: BTreeMap<String, Value>,
    pub refused: usize,
    pub in_doubt: usize,
    pub pending: usize,
    pub unanswered: usize,
    /// The longest time without a decision, and when the last one came.
    pub gap: Duration,
    last: Option<Instant>,
    /// Answers that no fault excuses.
    pub strange: Vec<String>,
}

impl Told {
    fn decide(&mut self, id: &str, order: Value) {
        self.decided.insert(id.to_owned(), order);
        let now = Instant::now();
        self.gap = self.gap.max(self.last.replace(now).map_or(Duration::ZERO, |last| now - last));
    }
}

/// The clients of one scenario; they end when it is dropped.
pub struct Load {
    clients: JoinSet<()>,
    placer: Arc<Placer>,
}

pub struct Placer {
    shop: Arc<Shop>,
    pub customer: String,
    /// Enough for everybody.
    pub plenty: String,
    /// Soon sold out.
    pub scarce: String,
    ended: AtomicBool,
    told: Mutex<Told>,
}

impl Load {
    pub fn start(shop: &Arc<Shop>, customer: &str, plenty: &str, scarce: &str) -> Self {
        let placer = Arc::new(Placer {
            shop: Arc::clone(shop),
            customer: customer.to_owned(),
            plenty: plenty.to_owned(),
            scarce: scarce.to_owned(),
            ended: AtomicBool::new(false),
            told: Mutex::default(),
        });
        let mut clients = JoinSet::new();
        for number in 0..CLIENTS {
            let placer = Arc::clone(&placer);
            clients.spawn(async move {
                tokio::time::sleep(PACE * u32::try_from(number).expect("a few") / CLIENTS as u32).await;
                let mut pace = tokio::time::interval(PACE);
                pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
                let mut count = number;
                while !placer.ended.load(Ordering::Relaxed) {
                    pace.tick().await;
                    count += 1;
                    let sku = if count % SCARCE_EVERY == 0 { &placer.scarce } else { &placer.plenty };
                    placer.place(sku, 1 + (count % 3) as i64).await;
                }
            });
        }
        Self { clients, placer }
    }

    pub fn placer(&self) -> &Arc<Placer> {
        &self.placer
    }

    /// One more order, until it is decided, whoever waits for that.
    pub fn probe(&mut self) -> tokio::sync::oneshot::Receiver<()> {
        let (decided, wait) = tokio::sync::oneshot::channel();
        let placer = Arc::clone(&self.placer);
        self.clients.spawn(async move {
            placer.place(&placer.plenty, 1).await;
            // Nobody waits for it any more when it took too long.
            let _ = decided.send(());
        });
        wait
    }

    /// Lets every client have its last order decided.
    pub async fn end(mut self) -> Arc<Placer> {
        self.placer.ended.store(true, Ordering::Relaxed);
        while let Some(ended) = self.clients.join_next().await {
            ended.expect("no client panics");
        }
        self.placer
    }
}

impl Placer {
    pub fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn place(&self, sku: &str, quantity: i64) {
        let id = uuid::Uuid::now_v7().to_string();
        let order = json!({
            "id": id, "customer": self.customer, "lines": [{"sku": sku, "quantity": quantity}],
        });
        let began = Instant::now();
        while !self.attempt(&id, &order).await {
            if began.elapsed() > patience(DECIDED_MAX) {
                self.told().strange.push(format!("{id} is undecided after {DECIDED_MAX:?}"));
                return;
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }

    /// Whether the order is decided now.
    async fn attempt(&self, id: &str, order: &Value) -> bool {
        let asked = Instant::now();
        let request = self.shop.post("service", "/v1/orders").json(order).timeout(ANSWER_MAX);
        let Ok(answer) = request.send().await else {
            self.told().unanswered += 1;
            return false;
        };
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let Ok(text) = answer.text().await else {
            self.told().unanswered += 1;
            return false;
        };
        let took = asked.elapsed();
        let body: Value = serde_json::from_str(&text).unwrap_or_default();
        let mut told = self.told();
        match (status, body["code"].as_str()) {
            (201, _) => {
                told.decide(id, body);
                return true;
            }
            (409, Some("insufficient_stock")) => {
                told.decide(id, body);
                return true;
            }
            (202, _) => told.pending += 1,
            // The balancer's own, when it has no gateway.
            (502..=504, None) => told.unanswered += 1,
            (503, Some(_)) => {
                told.refused += 1;
                if headers.get("retry-after").is_none() {
                    told.strange.push(format!("a 503 without Retry-After: {text}"));
                }
                if took > patience(REFUSED_MAX) {
                    told.strange.push(format!("a 503 after {took:?}: {text}"));
                }
            }
            (504, Some("outcome_unknown")) => told.in_doubt += 1,
            _ => told.strange.push(format!("{status}: {text}")),
        }
        false
    }
}
