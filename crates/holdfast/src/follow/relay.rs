//! The relay: publishes the log to the broker, in order, and saves its cursor after the confirm. Killed between the
//! two it publishes some events again: at least once, in log order per SKU.

use std::sync::Arc;
use std::time::{Duration, Instant};

use holdfast_bus::amqp::{EventMessage, Events};
use holdfast_store::{Committed, Reads, Store};
use tokio::sync::{broadcast, watch};

use super::rest::Rest;
use super::tail::{Tail, patiently, pause};
use crate::gateway::events::cloud_event;

/// The name of its cursor.
pub const CURSOR: &str = "relay";
/// Events that are published between two saves of the cursor, about.
const EVENTS_PER_SAVE: usize = 2_000;
/// The same while orders rush in: commands wait in the broker behind what it has taken from here.
const RUSH_EVENTS_PER_SAVE: usize = 200;
/// The longest pause while the broker takes nothing.
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(5);

/// Publishes until it is told to stop.
pub async fn run(
    mut events: Events,
    store: Arc<dyn Store>,
    reads: Arc<dyn Reads>,
    wake: broadcast::Receiver<Arc<Committed>>,
    rest: Rest,
    mut shutdown: watch::Receiver<bool>,
) {
    let what = "the relay";
    let Some(cursor) = patiently(what, &mut shutdown, || store.cursor(CURSOR)).await else { return };
    let mut tail = Tail::new(what, cursor, reads, wake, shutdown.clone());
    while let Some(first) = tail.next().await {
        let started = Instant::now();
        let mut messages = messages(&first);
        let mut last = first;
        let events_max = if tail.is_rush() { RUSH_EVENTS_PER_SAVE } else { EVENTS_PER_SAVE };
        while let Some(next) = tail.ready(events_max.saturating_sub(messages.len())) {
            messages.extend(self::messages(&next));
            last = next;
        }
        let mut wait = Duration::from_millis(100);
        while let Err(why) = events.publish(&messages).await {
            tracing::warn!(why, "events cannot be published; trying again");
            if !pause(wait, &mut shutdown).await {
                return;
            }
            wait = (wait * 2).min(RETRY_PAUSE_MAX);
        }
        if patiently(what, &mut shutdown, || store.save_cursor(CURSOR, last.last)).await.is_none() {
            return;
        }
        if !tail.rest(rest.after(started.elapsed(), last.decided_at)).await {
            return;
        }
    }
}

fn messages(committed: &Committed) -> Vec<EventMessage> {
    let message = |(index, recorded): (usize, &holdfast_domain::Recorded)| {
        let position = holdfast_domain::Position(committed.first.0 + index as u64);
        let event = cloud_event(recorded, position, committed.decided_at);
        EventMessage {
            id: position.to_string(),
            routing_key: recorded.event.kind().to_owned(),
            sequence: position.to_string(),
            body: serde_json::to_vec(&event).expect("an event is plain data"),
        }
    };
    committed.events.iter().enumerate().map(message).collect()
}
