//! Builds the movements: the history of each SKU, a projection of the log. It may lag under a peak and can always be
//! built anew.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use holdfast_domain::{Event, Movement, Position, movements_of};
use holdfast_store::{Committed, Place, Reads, Store, StoreError};
use tokio::sync::{broadcast, watch};
use tokio::time::{Instant, sleep};

use super::rest::Rest;
use super::tail::{Tail, patiently, pause};

/// Events that go into one transaction, unless a single batch has more.
const EVENTS_MAX: usize = 5_000;
/// Between two transactions, so that orders have the disk to themselves and each of these finds more to do.
const PAUSE: Duration = Duration::from_millis(20);
/// From so many events on, orders come in numbers: this long is what movements lag behind them then.
const BUSY_EVENTS: usize = 64;
const BUSY_PAUSE: Duration = Duration::from_millis(100);
/// Units on hand that are remembered between transactions.
const REMEMBERED_MAX: usize = 200_000;
const WAIT_STEP: Duration = Duration::from_millis(20);

/// Builds movements from where they stand until `shutdown` becomes true. While orders come in numbers, they
/// rest.
pub async fn run(
    store: Arc<dyn Store>,
    reads: Arc<dyn Reads>,
    wake: broadcast::Receiver<Arc<Committed>>,
    rest: Rest,
    mut shutdown: watch::Receiver<bool>,
) {
    let what = "the projection of movements";
    let Some(cursor) = patiently(what, &mut shutdown, || reads.movements_cursor()).await else { return };
    let mut tail = Tail::new(what, cursor, reads.clone(), wake, shutdown.clone());
    let mut on_hand = OnHand::default();
    while let Some(first) = tail.next().await {
        let mut slice = vec![first];
        let mut events = slice[0].events.len();
        while events < EVENTS_MAX
            && let Some(more) = tail.ready(EVENTS_MAX - events)
        {
            events += more.events.len();
            slice.push(more);
        }
        let started = Instant::now();
        let Committed { last, decided_at, .. } = *slice[slice.len() - 1].as_ref();
        let learned = patiently(what, &mut shutdown, || learn(&*reads, &slice, &on_hand)).await;
        let Some(learned) = learned else { return };
        on_hand.remember(learned);
        let movements = movements(&slice, &mut on_hand);
        let applying = Instant::now();
        let applied = patiently(what, &mut shutdown, || store.apply_movements(movements.clone(), last)).await;
        let (least, worked) = (least_pause(events, applying.elapsed()), started.elapsed());
        if applied.is_none()
            || !pause(least, &mut shutdown).await
            || !tail.rest(rest.after(worked, decided_at)).await
        {
            return;
        }
        on_hand.forget_if_many();
    }
}

/// How long to let the orders go first, after a transaction that took so long.
fn least_pause(events: usize, took: Duration) -> Duration {
    match events {
        // More than can be taken at once: at most half of the database's time, until it is caught up with.
        EVENTS_MAX.. => took.clamp(PAUSE, BUSY_PAUSE),
        BUSY_EVENTS.. => BUSY_PAUSE,
        _few => PAUSE,
    }
}

/// Waits until the movements up to `position` are there; false when that takes longer than `patience`.
pub async fn wait_for(reads: &dyn Reads, position: Position, patience: Duration) -> Result<bool, StoreError> {
    let until = Instant::now() + patience;
    while reads.movements_cursor().await? < position {
        if Instant::now() + WAIT_STEP > until {
            return Ok(false);
        }
        sleep(WAIT_STEP).await;
    }
    Ok(true)
}

/// Units on hand as the movements last recorded them.
#[derive(Default)]
struct OnHand(HashMap<Place, i64>);

impl OnHand {
    fn remember(&mut self, learned: Vec<(Place, i64)>) {
        self.0.extend(learned);
    }

    fn forget_if_many(&mut self) {
        if self.0.len() > REMEMBERED_MAX {
            self.0.clear();
        }
    }
}

/// Looks up what the events need and nobody remembers: what was on hand before the slice.
async fn learn(
    reads: &dyn Reads,
    slice: &[Arc<Committed>],
    known: &OnHand,
) -> Result<Vec<(Place, i64)>, StoreError> {
    let mut wanted: BTreeSet<Place> = BTreeSet::new();
    for recorded in slice.iter().flat_map(|committed| committed.events.iter()) {
        if matches!(recorded.event, Event::OrderAccepted { .. } | Event::OrderCancelled { .. }) {
            recorded.event.each_counter_delta(|sku, location, _| {
                let place = (sku.clone(), location.clone());
                if !known.0.contains_key(&place) {
                    wanted.insert(place);
                }
            });
        }
    }
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    // Without a movement nothing ever came there; a later event of this slice may change that.
    let mut learned: Vec<(Place, i64)> = wanted.iter().map(|place| (place.clone(), 0)).collect();
    learned.extend(reads.last_on_hand(wanted.into_iter().collect()).await?);
    Ok(learned)
}

fn movements(slice: &[Arc<Committed>], on_hand: &mut OnHand) -> Vec<Movement> {
    let mut all = Vec::new();
    for committed in slice {
        for (index, recorded) in committed.events.iter().enumerate() {
            let position = Position(committed.first.0 + index as u64);
            let made = movements_of(recorded, position, committed.decided_at, |sku, location| {
                *on_hand.0.get(&(sku.clone(), location.clone())).expect("it was looked up or recorded before")
            });
            for movement in &made {
                let place = (movement.sku.clone(), movement.location.clone());
                on_hand.0.insert(place, movement.on_hand_after);
            }
            all.extend(made);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use uuid::Uuid;

    use holdfast_domain::Sku;

    use super::super::testing::{Shop, item, order};
    use super::*;

    /// Projects everything there is, as a fresh process would.
    async fn project(shop: &Shop) {
        let wake = broadcast::Sender::new(4);
        let (stop, stopped) = watch::channel(false);
        let database = &shop.database;
        let running = tokio::spawn(run(
            database.store.clone(),
            database.reads.clone(),
            wake.subscribe(),
            Rest::new(Duration::from_secs(15)),
            stopped,
        ));
        let head = database.store.head().await.expect("a head").position;
        let there = wait_for(&*database.reads, head, Duration::from_secs(10)).await.expect("readable");
        assert!(there, "the movements are there");
        stop.send_replace(true);
        running.await.expect("it stops");
    }

    #[tokio::test]
    async fn movements_tell_what_is_on_hand_even_after_a_restart() {
        let shop = Shop::open().await;
        let id = Uuid::now_v7();
        shop.run([item("A", "Titan", "Edge", 1000, 5)]).await;
        shop.run([json!({"kind": "stock.receive", "sku": "A", "location": "NORTH", "quantity": 2})]).await;
        project(&shop).await;
        // The next process remembers nothing: what is on hand must come from the database, then from the slice.
        shop.run([order(id, "A", 3)]).await;
        shop.run([json!({"kind": "order.fulfil", "order_id": id})]).await;
        shop.run([order(Uuid::now_v7(), "A", 1)]).await;
        project(&shop).await;
        let sku = Sku::new("A").expect("a SKU");
        let movements = shop.database.reads.movements(&sku, None, 10).await.expect("readable");
        let told: Vec<(i64, i64)> = movements.iter().rev().map(|(_, m)| (m.delta, m.on_hand_after)).collect();
        assert_eq!(told, [(5, 5), (2, 7), (0, 7), (-3, 4), (0, 4)]);
    }

    #[tokio::test]
    async fn waiting_for_movements_ends_after_the_patience() {
        let shop = Shop::open().await;
        let head = shop.database.store.head().await.expect("a head").position;
        let there = wait_for(&*shop.database.reads, head, Duration::from_millis(50)).await;
        assert!(!there.expect("readable"));
    }
}
