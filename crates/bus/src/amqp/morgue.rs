//! Puts commands aside that cannot be read: alone, with the reason, confirmed.

use std::sync::Arc;

use lapin::options::BasicPublishOptions;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Confirmation};
use tokio::sync::Mutex;
use uuid::Uuid;

use super::declare::text;
use super::link::{Line, Link};
use super::publish::confirming;
use super::trouble::plain;
use crate::topology::DEAD;

/// Why it cannot be read.
pub(super) const ERROR: &str = "x-holdfast-error";
/// The routing key that it came with.
pub(super) const ROUTING_KEY: &str = "x-holdfast-routing-key";
/// Who sent it, as the broker vouched for then; without, nobody was named.
pub(super) const USER: &str = "x-holdfast-user";
/// The id that stands in for a missing one, should it be tried again.
pub(super) const COMMAND_ID: &str = "x-holdfast-command-id";

/// Characters of an error that are kept; a header has to fit into a frame.
const ERROR_CHARS_MAX: usize = 2_000;

#[derive(Debug)]
pub(super) struct Corpse<'a> {
    pub body: &'a [u8],
    pub error: &'a str,
    pub routing_key: &'a str,
    pub user: Option<&'a str>,
    pub command_id: Option<Uuid>,
}

impl Corpse<'_> {
    /// The same command put aside twice has the same id: its envelope came again before it was acknowledged.
    fn id(&self) -> Uuid {
        let mut name = self.command_id.map(Uuid::into_bytes).unwrap_or_default().to_vec();
        name.extend_from_slice(self.routing_key.as_bytes());
        name.push(0);
        name.extend_from_slice(self.body);
        Uuid::new_v5(&Uuid::NAMESPACE_OID, &name)
    }

    fn properties(&self) -> BasicProperties {
        let error: String = self.error.chars().take(ERROR_CHARS_MAX).collect();
        let mut headers = FieldTable::default();
        headers.insert(ERROR.into(), text(&error));
        headers.insert(ROUTING_KEY.into(), text(self.routing_key));
        if let Some(user) = self.user {
            headers.insert(USER.into(), text(user));
        }
        if let Some(id) = self.command_id {
            headers.insert(COMMAND_ID.into(), text(&id.to_string()));
        }
        BasicProperties::default()
            .with_content_type("application/json".into())
            .with_delivery_mode(2)
            .with_message_id(self.id().to_string().into())
            .with_timestamp(now_seconds())
            .with_headers(headers)
    }
}

/// AMQP counts seconds since 1970.
fn now_seconds() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// A header as text.
pub(super) fn header(properties: &BasicProperties, name: &str) -> Option<String> {
    match properties.headers().as_ref()?.inner().get(name)? {
        AMQPValue::LongString(text) => Some(String::from_utf8_lossy(text.as_bytes()).into_owned()),
        AMQPValue::ShortString(text) => Some(text.to_string()),
        _ => None,
    }
}

#[derive(Default)]
pub(super) struct Morgue {
    channel: Mutex<Option<(u64, Channel)>>,
    /// One at a time looks through what is there.
    pub turn: Arc<Mutex<()>>,
}

impl Morgue {
    /// Returns when the broker has it.
    ///
    /// # Errors
    /// Says why it has not; then it may or may not be there, and its envelope must not be acknowledged.
    pub async fn bury(&self, link: &Link, corpse: Corpse<'_>) -> Result<(), String> {
        let line = link.line().await.ok_or("the connection is closed")?;
        let buried = link.over(&line, self.bury_over(&line, corpse)).await;
        buried.unwrap_or_else(|| Err("the connection was lost".to_owned()))
    }

    async fn bury_over(&self, line: &Line, corpse: Corpse<'_>) -> Result<(), String> {
        let mut place = self.channel.lock().await;
        let usable =
            place.take().filter(|(number, channel)| *number == line.number && channel.status().connected());
        let channel = match usable {
            Some((_, channel)) => channel,
            None => confirming(line).await.map_err(|error| plain(&error))?,
        };
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let publishing = channel.basic_publish(
            ShortString::default(),
            DEAD.into(),
            options,
            corpse.body,
            corpse.properties(),
        );
        let confirmed = async { publishing.await?.await }.await.map_err(|error| plain(&error))?;
        // One that refuses may go on doing so for as long as it lives.
        if confirmed != Confirmation::Nack(None) {
            *place = Some((line.number, channel));
        }
        match confirmed {
            Confirmation::Ack(None) | Confirmation::NotRequested => Ok(()),
            Confirmation::Ack(Some(_)) | Confirmation::Nack(Some(_)) => {
                Err(format!("the queue {DEAD} is missing"))
            }
            Confirmation::Nack(None) => Err(format!("the queue {DEAD} is full")),
        }
    }
}
