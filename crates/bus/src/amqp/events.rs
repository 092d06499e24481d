//! Where the relay publishes the log: in order, confirmed, many on their way at once.

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use lapin::options::BasicPublishOptions;
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Confirmation};
use tokio::time::timeout;

use super::Shared;
use super::declare::text;
use super::publish::{begun, confirming};
use super::trouble::plain;
use crate::topology::EVENTS;

/// Events without a confirm at most.
const UNCONFIRMED_MAX: usize = 512;
/// How long a confirm may take before the broker counts as gone.
const CONFIRM_WAIT_MAX: Duration = Duration::from_secs(30);

/// One CloudEvent on its way to `holdfast.events`.
#[derive(Debug, Clone)]
pub struct EventMessage {
    /// The event's id: `message_id` there.
    pub id: String,
    /// The type without its prefix: `order.accepted`.
    pub routing_key: String,
    /// Its place in the log: the header `sequence`.
    pub sequence: String,
    /// The CloudEvent in JSON.
    pub body: Vec<u8>,
}

/// Publishes events. One relay has one of these: their order is kept within it.
pub struct Events {
    shared: Arc<Shared>,
    channel: Option<(u64, Channel)>,
}

impl Events {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, channel: None }
    }

    /// Publishes events in their order and returns when the broker has all of them.
    ///
    /// # Errors
    /// Says why not. Any of them may have arrived then: all of them are to be published again.
    pub async fn publish(&mut self, events: &[EventMessage]) -> Result<(), String> {
        if let Some(trouble) = self.shared.publishing.state.borrow().trouble.as_ref() {
            return Err(trouble.to_string());
        }
        let (number, channel) = self.channel().await?;
        let mut unconfirmed = FuturesOrdered::new();
        for event in events {
            if unconfirmed.len() >= UNCONFIRMED_MAX
                && let Some(confirmed) = confirmed(unconfirmed.next()).await?
            {
                confirmed?;
            }
            let mut sent = Box::pin(send(&channel, event));
            // Polled once here, so that events leave in their order.
            match begun(&mut sent).await {
                Poll::Pending => unconfirmed.push_back(sent),
                Poll::Ready(confirmed) => confirmed?,
            }
        }
        while let Some(confirmed) = confirmed(unconfirmed.next()).await? {
            confirmed?;
        }
        drop(unconfirmed);
        self.channel = Some((number, channel));
        Ok(())
    }

    /// The channel of the last time, if it still serves. It is given back only when everything on it was confirmed.
    async fn channel(&mut self) -> Result<(u64, Channel), String> {
        let line = self.shared.publishing.line().await.ok_or("the connection is closed")?;
        let usable = self
            .channel
            .take()
            .filter(|(number, channel)| *number == line.number && channel.status().connected());
        match usable {
            Some(usable) => Ok(usable),
            None => {
                let opened = self.shared.publishing.over(&line, confirming(&line)).await;
                let opened = opened.ok_or("the connection is lost")?.map_err(|error| plain(&error))?;
                Ok((line.number, opened))
            }
        }
    }
}

async fn confirmed<T>(next: impl Future<Output = T>) -> Result<T, String> {
    timeout(CONFIRM_WAIT_MAX, next).await.map_err(|_elapsed| "the broker does not confirm".to_owned())
}

async fn send(channel: &Channel, event: &EventMessage) -> Result<(), String> {
    let mut headers = FieldTable::default();
    headers.insert("sequence".into(), text(&event.sequence));
    let properties = BasicProperties::default()
        .with_content_type("application/cloudevents+json".into())
        .with_delivery_mode(2)
        .with_message_id(event.id.as_str().into())
        .with_headers(headers);
    let options = BasicPublishOptions::default();
    let publishing = channel.basic_publish(
        EVENTS.into(),
        event.routing_key.as_str().into(),
        options,
        &event.body,
        properties,
    );
    match async { publishing.await?.await }.await {
        Ok(Confirmation::Ack(_) | Confirmation::NotRequested) => Ok(()),
        Ok(Confirmation::Nack(_)) => {
            Err("the broker refuses events: a queue that is bound to them is full".to_owned())
        }
        Err(error) => Err(plain(&error)),
    }
}
