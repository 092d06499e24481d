//! Tells the other processes how far the log has come. Only a hint that it is worth looking: the log is the truth, and
//! whoever misses one looks by itself a second later.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use holdfast_domain::Position;
use lapin::BasicProperties;
use lapin::options::{BasicConsumeOptions, BasicPublishOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use tokio::sync::watch;

use super::link::Line;
use super::trouble::plain;
use super::{Alive, RETRY_WAIT, Shared, told};
use crate::topology::{COMMITTED, COMMITTED_PREFIX};

/// After telling of so many events it pauses so long: whoever hears it reads all that is there by then, and one reading of
/// many costs everybody less than many of few.
const MANY_EVENTS: u64 = 20;
const PAUSE: Duration = Duration::from_millis(20);

/// Tells others what this process committed.
#[derive(Clone)]
pub struct Announcer {
    announced: watch::Sender<Position>,
}

impl Announcer {
    pub(super) fn start(shared: &Arc<Shared>, closing: &watch::Receiver<bool>, alive: Alive) -> Self {
        let (announced, to_tell) = watch::channel(Position(0));
        tokio::spawn(tell(shared.clone(), to_tell, closing.clone(), alive));
        Self { announced }
    }

    /// Announces a committed position. Of several in a row only the last may be told.
    pub fn announce(&self, position: Position) {
        self.announced.send_replace(position);
    }
}

/// Changes when some process has committed, this one too, and after a lost connection, when something may have been missed.
pub(super) fn hear(
    shared: &Arc<Shared>,
    closing: &watch::Receiver<bool>,
    alive: Alive,
) -> watch::Receiver<Position> {
    let (sender, heard) = watch::channel(Position(0));
    tokio::spawn(listen(shared.clone(), sender, closing.clone(), alive));
    heard
}

async fn tell(
    shared: Arc<Shared>,
    mut announced: watch::Receiver<Position>,
    mut closing: watch::Receiver<bool>,
    _alive: Alive,
) {
    loop {
        let line = tokio::select! {
            line = shared.publishing.line() => line,
            () = told(&mut closing) => return,
        };
        let Some(line) = line else { return };
        let ended = tokio::select! {
            ended = tell_over(&shared, &line, &mut announced) => ended,
            () = shared.publishing.lost(&line) => Ok(()),
            () = told(&mut closing) => return,
        };
        match ended {
            Ok(()) => {}
            Err(Ended::Dropped) => return,
            Err(Ended::Trouble(why)) => {
                tracing::warn!(why, "commits cannot be announced");
                tokio::time::sleep(RETRY_WAIT).await;
            }
        }
    }
}

enum Ended {
    /// Nobody announces anything any more.
    Dropped,
    Trouble(String),
}

impl From<lapin::Error> for Ended {
    fn from(error: lapin::Error) -> Self {
        Ended::Trouble(plain(&error))
    }
}

async fn tell_over(
    shared: &Shared,
    line: &Line,
    announced: &mut watch::Receiver<Position>,
) -> Result<(), Ended> {
    let channel = line.connection.create_channel().await?;
    let mut told_up_to = Position(0);
    loop {
        announced.changed().await.map_err(|_| Ended::Dropped)?;
        let position = *announced.borrow_and_update();
        if shared.publishing.state.borrow().trouble.is_some() {
            continue;
        }
        let options = BasicPublishOptions::default();
        let text = position.to_string();
        let properties = BasicProperties::default();
        channel
            .basic_publish(COMMITTED.into(), ShortString::default(), options, text.as_bytes(), properties)
            .await?;
        if position.0.saturating_sub(told_up_to.0) >= MANY_EVENTS {
            tokio::time::sleep(PAUSE).await;
        }
        told_up_to = position;
    }
}

async fn listen(
    shared: Arc<Shared>,
    heard: watch::Sender<Position>,
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
        let name = format!("{COMMITTED_PREFIX}{}.{attempt}", shared.settings.unique_name);
        let ended = tokio::select! {
            ended = listen_over(&line, name.into(), &heard) => ended,
            () = shared.consuming.lost(&line) => Ok(()),
            () = told(&mut closing) => return,
        };
        if let Err(error) = ended {
            tracing::warn!(error = plain(&error), "commits of other processes cannot be heard");
            tokio::time::sleep(RETRY_WAIT).await;
        }
    }
}

async fn listen_over(line: &Line, name: ShortString, heard: &watch::Sender<Position>) -> lapin::Result<()> {
    let channel = line.connection.create_channel().await?;
    let options =
        QueueDeclareOptions { exclusive: true, auto_delete: true, ..QueueDeclareOptions::default() };
    let mut arguments = FieldTable::default();
    // Only the last position is of interest.
    arguments.insert("x-max-length".into(), AMQPValue::LongLongInt(1));
    channel.queue_declare(name.clone(), options, arguments).await?;
    let none = ShortString::default();
    channel
        .queue_bind(
            name.clone(),
            COMMITTED.into(),
            none.clone(),
            QueueBindOptions::default(),
            FieldTable::default(),
        )
        .await?;
    let options = BasicConsumeOptions { no_ack: true, exclusive: true, ..BasicConsumeOptions::default() };
    let mut messages = channel.basic_consume(name, none, options, FieldTable::default()).await?;
    // Something may have been missed before.
    heard.send_modify(|_| {});
    while let Some(message) = messages.next().await {
        let message = message?;
        let text = std::str::from_utf8(&message.data).ok();
        if let Some(position) = text.and_then(|text| text.parse::<Position>().ok()) {
            heard.send_modify(|last| *last = (*last).max(position));
        }
    }
    Ok(())
}
