//! Where a process gets the outcomes of the envelopes that it sent: a queue of its own, as long as its connection
//! lives. A reply that is lost with the connection is no harm: whoever waits gives up and reads by id.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use futures_util::StreamExt;
use holdfast_domain::{Outcome, Position, Rejection, ToldOutcome};
use lapin::options::{BasicConsumeOptions, QueueDeclareOptions};
use lapin::types::{FieldTable, ShortString};
use serde_json::Value;
use tokio::sync::{oneshot, watch};
use uuid::Uuid;

use super::link::Line;
use super::room::UnderWay;
use super::trouble::plain;
use super::{Alive, RETRY_WAIT, Shared, told};
use crate::topology::REPLY_PREFIX;
use crate::{Reply, Undecided};

/// Those whose commands travel in one envelope, with the number of each one's commands.
pub(super) type Parts = Vec<(usize, oneshot::Sender<Reply>)>;

/// How many envelopes are remembered before those that nobody waits for any more are looked for.
const FORGET_EVERY: u64 = 1_024;

/// Whoever waits for the outcomes of an envelope, by its correlation id.
#[derive(Default)]
pub(super) struct Waiters {
    next: AtomicU64,
    waiting: Mutex<HashMap<u64, Waiting>>,
}

/// One envelope on its way, and those who wait for it.
struct Waiting {
    parts: Parts,
    /// Gives its commands' place in the room to others when it is dropped.
    _under_way: UnderWay,
}

impl Waiters {
    pub fn add(&self, parts: Parts, under_way: UnderWay) -> u64 {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let mut waiting = self.lock();
        if id.is_multiple_of(FORGET_EVERY) {
            waiting.retain(|_, waiting| waiting.parts.iter().any(|(_, waiter)| !waiter.is_closed()));
        }
        waiting.insert(id, Waiting { parts, _under_way: under_way });
        id
    }

    /// Tells all of an envelope that there will be no outcomes, unless they came already.
    pub fn refuse(&self, id: u64, why: &Undecided) {
        let waiting = self.lock().remove(&id);
        refuse(waiting.map(|waiting| waiting.parts).unwrap_or_default(), why);
    }

    fn answer(&self, id: u64, outcomes: Vec<Outcome>) {
        let Some(Waiting { parts, _under_way }) = self.lock().remove(&id) else { return };
        let wanted: usize = parts.iter().map(|(count, _)| count).sum();
        if wanted != outcomes.len() {
            tracing::error!(wanted, got = outcomes.len(), "a reply does not fit its envelope");
            return;
        }
        let mut outcomes = outcomes.into_iter();
        for (count, waiter) in parts {
            // Nobody may be waiting any more.
            drop(waiter.send(Ok(outcomes.by_ref().take(count).collect())));
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, Waiting>> {
        self.waiting.lock().expect("nobody panics while holding it")
    }
}

pub(super) fn refuse(parts: Parts, why: &Undecided) {
    for (_, waiter) in parts {
        drop(waiter.send(Err(why.clone())));
    }
}

/// Keeps the queue for replies until `closing`, and tells its name while there is one.
pub(super) async fn run(
    shared: Arc<Shared>,
    address: watch::Sender<Option<ShortString>>,
    mut closing: watch::Receiver<bool>,
    _alive: Alive,
) {
    let mut attempt = 0_u64;
    loop {
        let line = tokio::select! {
            line = shared.consuming.line() => line,
            () = told(&mut closing) => return,
        };
        let Some(line) = line else { return };
        attempt += 1;
        // A new name each time: the broker may not have noticed yet that the last connection is gone.
        let name = format!("{REPLY_PREFIX}{}.{attempt}", shared.settings.unique_name);
        let ended = tokio::select! {
            ended = receive(&shared, &line, name.into(), &address) => ended,
            () = shared.consuming.lost(&line) => Ok(()),
            () = told(&mut closing) => return,
        };
        address.send_replace(None);
        if let Err(error) = ended {
            tracing::warn!(error = plain(&error), "replies cannot be received");
            tokio::time::sleep(RETRY_WAIT).await;
        }
    }
}

async fn receive(
    shared: &Shared,
    line: &Line,
    name: ShortString,
    address: &watch::Sender<Option<ShortString>>,
) -> lapin::Result<()> {
    let channel = line.connection.create_channel().await?;
    let options =
        QueueDeclareOptions { exclusive: true, auto_delete: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(name.clone(), options, FieldTable::default()).await?;
    let options = BasicConsumeOptions { no_ack: true, exclusive: true, ..BasicConsumeOptions::default() };
    let mut messages =
        channel.basic_consume(name.clone(), ShortString::default(), options, FieldTable::default()).await?;
    address.send_replace(Some(name));
    while let Some(message) = messages.next().await {
        let message = message?;
        let correlation = message.properties.correlation_id().as_ref();
        let Some(id) = correlation.and_then(|id| id.as_str().parse().ok()) else { continue };
        match read(&message.data) {
            Some(outcomes) => shared.waiters.answer(id, outcomes),
            None => tracing::error!("a reply is not an array of outcomes"),
        }
    }
    Ok(())
}

/// Outcomes in their order. What a worker could not even read is an outcome here: it will never be decided.
pub(super) fn read(body: &[u8]) -> Option<Vec<Outcome>> {
    if let Ok(told) = serde_json::from_slice::<Vec<ToldOutcome>>(body) {
        return Some(told.into_iter().map(|told| told.0).collect());
    }
    let values: Vec<Value> = serde_json::from_slice(body).ok()?;
    Some(values.into_iter().map(outcome).collect())
}

fn outcome(value: Value) -> Outcome {
    let word = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    let id = word("id").and_then(|id| id.parse().ok()).unwrap_or(Uuid::nil());
    let detail = word("detail").unwrap_or_else(|| "its worker could not read it".to_owned());
    serde_json::from_value(value).unwrap_or(Outcome {
        id,
        position: Position(0),
        replayed: false,
        result: Err(Rejection::NotProcessable { detail }),
    })
}
