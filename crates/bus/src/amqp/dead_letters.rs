//! The dead letters, one by one: the queue keeps them, until a person tries one again or drops it.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use lapin::message::Delivery as Message;
use lapin::options::{
    BasicAckOptions, BasicGetOptions, BasicNackOptions, BasicPublishOptions, QueueDeclareOptions,
    QueueDeleteOptions,
};
use lapin::types::{FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Confirmation};
use serde::Serialize;
use tokio::sync::OwnedMutexGuard;
use tokio::time::timeout;
use uuid::Uuid;

use super::morgue::{COMMAND_ID, ERROR, ROUTING_KEY, USER, header};
use super::publish::confirming;
use super::trouble::{is_locked, plain};
use super::{CLOSED, Shared};
use crate::topology::{COMMANDS, DEAD, DEAD_TURN};

/// Dead letters that one listing shows at most.
pub const LISTED_MAX: usize = 1_000;
/// Bytes of a body that a listing shows at most.
const SHOWN_BYTES_MAX: usize = 16 << 10;

/// A command that could not be read, or that no worker survived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeadLetter {
    pub id: String,
    /// Why it is dead.
    pub error: String,
    /// The routing key that it came with.
    pub routing_key: String,
    /// The broker's user that sent it, if one was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The id that it goes by without one of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command_id: Option<Uuid>,
    /// When it was put aside, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_seconds: Option<u64>,
    /// The beginning of its text, at most 16 KiB.
    pub body: String,
}

/// How long looking through the queue may take.
const LOOK_WAIT_MAX: Duration = Duration::from_secs(20);
const SILENT: &str = "the broker does not answer";

/// How long to wait before asking again whether another process has finished.
const TURN_WAIT: Duration = Duration::from_millis(50);

/// Lists, retries and drops dead letters.
#[derive(Clone)]
pub struct DeadLetters {
    shared: Arc<Shared>,
}

/// The right to look through the queue: two at once would hide messages from each other. Among processes, whoever has
/// the exclusive queue [`DEAD_TURN`] has the turn; it ends with the connection at the latest.
struct Turn(Option<(OwnedMutexGuard<()>, Channel)>);

impl Drop for Turn {
    fn drop(&mut self) {
        let Some((own, channel)) = self.0.take() else { return };
        tokio::spawn(async move {
            // If that fails, so did the connection, and the queue is gone with it.
            drop(channel.queue_delete(DEAD_TURN.into(), QueueDeleteOptions::default()).await);
            close(&channel).await;
            drop(own);
        });
    }
}

/// What to do with the dead letter that was asked for.
enum Then {
    Retry,
    Drop,
}

impl DeadLetters {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// The oldest dead letters, at most [`LISTED_MAX`].
    ///
    /// # Errors
    /// Says why the broker cannot be asked.
    pub async fn list(&self) -> Result<Vec<DeadLetter>, String> {
        timeout(LOOK_WAIT_MAX, self.look()).await.unwrap_or_else(|_elapsed| Err(SILENT.to_owned()))
    }

    async fn look(&self) -> Result<Vec<DeadLetter>, String> {
        let _turn = self.turn().await?;
        let channel = self.channel().await?;
        let mut letters = Vec::new();
        let mut ids = HashSet::new();
        while letters.len() < LISTED_MAX
            && let Some(message) = get(&channel).await?
        {
            let letter = letter(&message);
            // Its envelope came again before it was acknowledged: one command, put aside twice.
            if ids.insert(letter.id.clone()) {
                letters.push(letter);
            }
        }
        put_back(&channel).await;
        Ok(letters)
    }

    /// Sends a dead letter to its queue again, as whoever sent it first; `false`: there is none with this id. Only a
    /// gateway can: the broker vouches for its word about the sender.
    ///
    /// # Errors
    /// Says why the broker does not take it; it is still dead then.
    pub async fn retry(&self, id: &str) -> Result<bool, String> {
        self.within_time(id, Then::Retry).await
    }

    /// Drops a dead letter for good; `false`: there is none with this id.
    ///
    /// # Errors
    /// Says why the broker cannot be asked; it is still there then.
    pub async fn remove(&self, id: &str) -> Result<bool, String> {
        self.within_time(id, Then::Drop).await
    }

    async fn within_time(&self, id: &str, then: Then) -> Result<bool, String> {
        timeout(LOOK_WAIT_MAX, self.take(id, then)).await.unwrap_or_else(|_elapsed| Err(SILENT.to_owned()))
    }

    async fn take(&self, id: &str, then: Then) -> Result<bool, String> {
        let _turn = self.turn().await?;
        let channel = self.channel().await?;
        let taken = self.take_over(&channel, id, then).await;
        put_back(&channel).await;
        taken
    }

    /// Goes through the whole queue: the same command may have been put aside twice, and then is dead twice.
    async fn take_over(&self, channel: &Channel, id: &str, then: Then) -> Result<bool, String> {
        let mut found = Vec::new();
        while let Some(message) = get(channel).await? {
            if message.properties.message_id().as_ref().is_some_and(|own| own.as_str() == id) {
                found.push(message);
            }
        }
        let Some(first) = found.first() else { return Ok(false) };
        match then {
            Then::Retry => self.send_again(first).await?,
            Then::Drop => {}
        }
        for message in found {
            message.acker.ack(BasicAckOptions::default()).await.map_err(|error| plain(&error))?;
        }
        Ok(true)
    }

    async fn send_again(&self, message: &Message) -> Result<(), String> {
        let line = self.shared.publishing.line().await.ok_or("the connection is closed")?;
        let channel = confirming(&line).await.map_err(|error| plain(&error))?;
        let letter = letter(message);
        let mut properties = BasicProperties::default()
            .with_content_type("application/json".into())
            .with_delivery_mode(2)
            .with_user_id(self.shared.settings.user_id());
        if let Some(headers) = message.properties.headers() {
            properties = properties.with_headers(headers.clone());
        }
        if let Some(id) = letter.command_id {
            properties = properties.with_message_id(id.to_string().into());
        }
        let key = ShortString::try_new(letter.routing_key).map_err(|error| error.to_string())?;
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let publishing =
            channel.basic_publish(COMMANDS.into(), key.clone(), options, &message.data, properties);
        let said = async { publishing.await?.await }.await;
        close(&channel).await;
        match said {
            Ok(Confirmation::Ack(None) | Confirmation::NotRequested) => Ok(()),
            Ok(Confirmation::Ack(Some(_)) | Confirmation::Nack(Some(_))) => {
                Err(format!("no queue takes the routing key {key:?} that it came with"))
            }
            Ok(Confirmation::Nack(None)) => Err("its queue is full".to_owned()),
            Err(error) => Err(plain(&error)),
        }
    }

    async fn turn(&self) -> Result<Turn, String> {
        let own = self.shared.morgue.turn.clone().lock_owned().await;
        loop {
            let channel = self.channel().await?;
            let options = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
            match channel.queue_declare(DEAD_TURN.into(), options, FieldTable::default()).await {
                Ok(_queue) => return Ok(Turn(Some((own, channel)))),
                Err(error) if is_locked(&error) => tokio::time::sleep(TURN_WAIT).await,
                Err(error) => return Err(plain(&error)),
            }
        }
    }

    async fn channel(&self) -> Result<Channel, String> {
        let line = self.shared.consuming.line().await.ok_or("the connection is closed")?;
        line.connection.create_channel().await.map_err(|error| plain(&error))
    }
}

/// Gives back what was looked at and not acknowledged. Closing the channel does that too, but some time afterwards, and
/// who looks in between sees less.
async fn put_back(channel: &Channel) {
    let all = BasicNackOptions { multiple: true, requeue: true };
    if let Err(error) = channel.basic_nack(0, all).await {
        tracing::debug!(error = plain(&error), "dead letters go back with their channel");
    }
    close(channel).await;
}

async fn close(channel: &Channel) {
    // If that fails, so did the connection, and the broker puts back what was not acknowledged all the same.
    drop(channel.close(CLOSED, "looked at".into()).await);
}

async fn get(channel: &Channel) -> Result<Option<Message>, String> {
    let got = channel.basic_get(DEAD.into(), BasicGetOptions::default()).await;
    got.map(|got| got.map(|got| got.delivery)).map_err(|error| plain(&error))
}

fn letter(message: &Message) -> DeadLetter {
    let properties = &message.properties;
    let shown = &message.data[..message.data.len().min(SHOWN_BYTES_MAX)];
    DeadLetter {
        id: properties.message_id().as_ref().map(ToString::to_string).unwrap_or_default(),
        error: header(properties, ERROR).unwrap_or_default(),
        routing_key: header(properties, ROUTING_KEY).unwrap_or_default(),
        user: header(properties, USER),
        command_id: header(properties, COMMAND_ID).and_then(|id| id.parse().ok()),
        at_seconds: *properties.timestamp(),
        body: String::from_utf8_lossy(shown).into_owned(),
    }
}
