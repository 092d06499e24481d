//! A connection that is kept: watched, and made again with a back-off when it is lost. The client library's own
//! recovery stays off: it would publish again what we have already answered for.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use lapin::{Connection, ConnectionProperties, Event};
use tokio::sync::watch;
use tokio::time::{interval, sleep, timeout};

use super::trouble::{Trouble, plain};
use super::{Alive, CLOSED, Settings, declare, told};

/// How long one attempt to connect may take.
const CONNECT_WAIT_MAX: Duration = Duration::from_secs(10);
/// The first wait between attempts; it doubles up to the last.
const RETRY_WAIT_MIN: Duration = Duration::from_millis(100);
const RETRY_WAIT_MAX: Duration = Duration::from_secs(2);
/// How often the connection's own state is looked at, should an event be missed.
const LOOK_EVERY: Duration = Duration::from_millis(500);
const CLOSE_WAIT_MAX: Duration = Duration::from_secs(2);

/// One connection, until it is lost.
#[derive(Clone)]
pub(super) struct Line {
    pub connection: Arc<Connection>,
    /// Counts the connections of this link, from 1.
    pub number: u64,
}

/// What is known of a link now.
#[derive(Clone)]
pub(super) struct LinkState {
    pub line: Option<Line>,
    /// Why the broker takes no messages from it: none is connected, or it is out of memory or disk.
    pub trouble: Option<Arc<str>>,
}

impl LinkState {
    /// Whether this very connection is still the current one.
    pub fn is_on(&self, line: &Line) -> bool {
        self.line.as_ref().is_some_and(|current| current.number == line.number)
    }
}

/// Where the state of a kept connection can be seen.
#[derive(Clone)]
pub(super) struct Link {
    pub state: watch::Receiver<LinkState>,
}

impl Link {
    /// Keeps a connection that has just been made, until `closing`.
    pub fn keep(
        settings: Arc<Settings>,
        purpose: &'static str,
        first: Connection,
        closing: watch::Receiver<bool>,
        alive: Alive,
    ) -> Self {
        let line = Line { connection: Arc::new(first), number: 1 };
        let (sender, state) = watch::channel(LinkState { line: Some(line.clone()), trouble: None });
        tokio::spawn(keep(settings, purpose, line, sender, closing, alive));
        Self { state }
    }

    /// The current connection, or the next one; `None` when the link was closed.
    pub async fn line(&self) -> Option<Line> {
        let mut state = self.state.clone();
        let up = state.wait_for(|state| state.line.is_some()).await.ok()?;
        up.line.clone()
    }

    /// Does something over one connection; `None` when that is lost before. The client library may wait for ever for an
    /// answer on a connection that has ended.
    pub async fn over<F: Future>(&self, line: &Line, work: F) -> Option<F::Output> {
        tokio::select! {
            done = work => Some(done),
            () = self.lost(line) => None,
        }
    }

    /// Returns when this connection is no longer the current one.
    pub async fn lost(&self, line: &Line) {
        // An error means that the link was closed.
        drop(self.state.clone().wait_for(|state| !state.is_on(line)).await);
    }
}

/// Connects once and declares the topology.
pub(super) async fn connect(settings: &Settings, purpose: &str) -> Result<Connection, Trouble> {
    let name = format!("holdfast {} {purpose}", settings.instance);
    let properties = ConnectionProperties::default()
        .with_connection_name(name.into())
        .with_client_property("product".into(), "Holdfast".into())
        .with_client_property("version".into(), env!("CARGO_PKG_VERSION").into());
    let attempt = async {
        let connection = Connection::connect_uri(settings.uri.clone(), properties)
            .await
            .map_err(|error| Trouble::connecting(settings, &error))?;
        declare::all(settings, &connection).await?;
        Ok(connection)
    };
    let silent = || Trouble::MayHeal(format!("broker: {} does not answer", settings.place()));
    timeout(CONNECT_WAIT_MAX, attempt).await.unwrap_or_else(|_elapsed| Err(silent()))
}

async fn keep(
    settings: Arc<Settings>,
    purpose: &'static str,
    mut line: Line,
    sender: watch::Sender<LinkState>,
    mut closing: watch::Receiver<bool>,
    alive: Alive,
) {
    loop {
        let Some(why) = watch_over(&line.connection, &sender, &mut closing).await else { break };
        tracing::warn!(purpose, why, "the connection to the broker is lost");
        sender.send_replace(LinkState {
            line: None,
            trouble: Some(format!("there is no connection to the broker: {why}").into()),
        });
        let connection = tokio::select! {
            connection = again(&settings, purpose) => connection,
            () = told(&mut closing) => return,
        };
        line = Line { connection: Arc::new(connection), number: line.number + 1 };
        tracing::info!(purpose, "connected to the broker again");
        sender.send_replace(LinkState { line: Some(line.clone()), trouble: None });
    }
    let close = line.connection.close(CLOSED, "the process stops".into());
    drop(timeout(CLOSE_WAIT_MAX, close).await);
    drop(alive);
}

/// Follows one connection to its end and says why it ended; `None`: it is to be closed.
async fn watch_over(
    connection: &Connection,
    sender: &watch::Sender<LinkState>,
    closing: &mut watch::Receiver<bool>,
) -> Option<String> {
    let mut events = Box::pin(connection.events_listener());
    let mut looks = interval(LOOK_EVERY);
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(Event::ConnectionBlocked(reason)) => {
                    tracing::warn!(reason, "the broker takes no messages now");
                    let why = format!("the broker takes no messages now: {reason}");
                    sender.send_modify(|state| state.trouble = Some(why.into()));
                }
                Some(Event::ConnectionUnblocked) => {
                    tracing::info!("the broker takes messages again");
                    sender.send_modify(|state| state.trouble = None);
                }
                // An error of a channel is its user's; one of the connection shows in its status.
                Some(Event::Error(error)) if !connection.status().connected() => return Some(plain(&error)),
                Some(_) => {}
                None => return Some("it was closed".to_owned()),
            },
            _ = looks.tick() => {
                if !connection.status().connected() {
                    return Some("it was closed".to_owned());
                }
            }
            () = told(closing) => return None,
        }
    }
}

/// Connects, however often it takes; says what is in the way once, and again when it changes.
async fn again(settings: &Settings, purpose: &str) -> Connection {
    let mut wait = RETRY_WAIT_MIN;
    let mut said = None;
    loop {
        match connect(settings, purpose).await {
            Ok(connection) => return connection,
            Err(trouble) => {
                if said.as_ref() != Some(&trouble) {
                    tracing::warn!(purpose, %trouble, "the broker cannot be used yet");
                    said = Some(trouble);
                }
            }
        }
        sleep(wait).await;
        wait = (wait * 2).min(RETRY_WAIT_MAX);
    }
}
