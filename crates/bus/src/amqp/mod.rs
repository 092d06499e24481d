//! The bus over RabbitMQ (AMQP 0-9-1): the only place that knows the client library, reconnecting, declaring, prefetch,
//! confirms, returns, blocked connections and dead letters. CONTRACT section 4 is what other programs see of it.
//!
//! Publishing and consuming have connections of their own: a broker that is short of memory blocks those that publish,
//! and only the others can then empty its queues.

mod consume;
mod dead_letters;
mod declare;
mod envelope;
mod events;
mod link;
pub mod measure;
mod morgue;
mod publish;
mod replies;
mod room;
mod settings;
mod settle;
mod trouble;
mod wakeups;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use holdfast_domain::{CommandQueue, Position};
use lapin::types::ShortString;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

pub use consume::Held;
pub use dead_letters::{DeadLetter, DeadLetters};
pub use events::{EventMessage, Events};
pub use publish::AmqpPublisher;
pub use settings::Settings;
pub use trouble::Trouble;
pub use wakeups::Announcer;

use crate::{Consumer, Publisher};
use link::Link;
use morgue::Morgue;
use replies::Waiters;
use room::Room;

/// AMQP's reply code for an orderly end.
const CLOSED: u16 = 200;
/// The pause before a channel that failed is opened again.
const RETRY_WAIT: Duration = Duration::from_millis(200);
/// How long closing may take: for what is on its way, and then for the connections.
const DRAIN_WAIT_MAX: Duration = Duration::from_secs(5);
const CLOSE_WAIT_MAX: Duration = Duration::from_secs(3);

/// What the parts of the bus share.
struct Shared {
    settings: Arc<Settings>,
    publishing: Link,
    consuming: Link,
    waiters: Waiters,
    reply_address: watch::Receiver<Option<ShortString>>,
    morgue: Morgue,
    users: Tasks,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// Counts tasks, so that closing can wait for them.
#[derive(Clone)]
struct Tasks(watch::Sender<usize>);

/// One task, as long as it lives.
struct Alive(Tasks);

impl Tasks {
    fn new() -> Self {
        Self(watch::Sender::new(0))
    }

    fn alive(&self) -> Alive {
        self.0.send_modify(|count| *count += 1);
        Alive(self.clone())
    }

    async fn ended(&self) {
        // The sender is `self`: it cannot be gone.
        drop(self.0.subscribe().wait_for(|count| *count == 0).await);
    }
}

/// Returns when it is time to end.
async fn told(closing: &mut watch::Receiver<bool>) {
    // An error means that whoever would say so is gone.
    drop(closing.wait_for(|closing| *closing).await);
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.0.send_modify(|count| *count -= 1);
    }
}

/// This process's place on the broker.
pub struct Bus {
    shared: Arc<Shared>,
    reply_address: watch::Sender<Option<ShortString>>,
    receives_replies: AtomicBool,
    keepers: Tasks,
    closing_users: watch::Sender<bool>,
    closing_links: watch::Sender<bool>,
}

impl Bus {
    /// Connects, and declares what is not there yet. From then on the connections are kept: lost ones are made again.
    ///
    /// # Errors
    /// [`Trouble::Fatal`] names the setting that is wrong; after [`Trouble::MayHeal`] it is worth trying again.
    pub async fn connect(settings: Settings) -> Result<Self, Trouble> {
        let settings = Arc::new(settings);
        let (publishing, consuming) = ("publishing", "consuming");
        let first = link::connect(&settings, publishing).await?;
        let second = link::connect(&settings, consuming).await?;
        let keepers = Tasks::new();
        let (closing_users, _) = watch::channel(false);
        let (closing_links, closing) = watch::channel(false);
        let keep =
            |purpose, first| Link::keep(settings.clone(), purpose, first, closing.clone(), keepers.alive());
        let (reply_address, reply_address_seen) = watch::channel(None);
        let shared = Arc::new(Shared {
            publishing: keep(publishing, first),
            consuming: keep(consuming, second),
            settings: settings.clone(),
            waiters: Waiters::default(),
            reply_address: reply_address_seen,
            morgue: Morgue::default(),
            users: Tasks::new(),
        });
        let receives_replies = AtomicBool::new(false);
        Ok(Self { shared, reply_address, receives_replies, keepers, closing_users, closing_links })
    }

    /// The sending end of a queue; to be made once, and cloned.
    pub fn publisher(&self, queue: CommandQueue) -> Publisher {
        if !self.receives_replies.swap(true, Ordering::Relaxed) {
            let (shared, closing) = (self.shared.clone(), self.closing_links.subscribe());
            tokio::spawn(replies::run(shared, self.reply_address.clone(), closing, self.keepers.alive()));
        }
        let room = Arc::new(Room::new());
        let (shared, closing) = (self.shared.clone(), self.closing_users.subscribe());
        tokio::spawn(publish::run(shared, queue, room.clone(), closing, self.shared.users.alive()));
        Publisher::Amqp(AmqpPublisher { room })
    }

    /// The receiving end of a queue. Of all consumers of a queue one is active, the others stand by.
    pub fn consumer(&self, queue: CommandQueue) -> Consumer {
        // Never more than the broker hands out without an acknowledgement.
        let (sender, receiver) = mpsc::channel(usize::from(self.shared.settings.prefetch).max(1));
        tokio::spawn(consume::run(self.shared.clone(), queue, sender, self.shared.users.alive()));
        Consumer::new(receiver)
    }

    /// Where the relay publishes events.
    pub fn events(&self) -> Events {
        Events::new(self.shared.clone())
    }

    /// Tells other processes what was committed.
    pub fn announcer(&self) -> Announcer {
        Announcer::start(&self.shared, &self.closing_links.subscribe(), self.keepers.alive())
    }

    /// How far the log has come, whoever committed: changes with every announcement, and after a lost connection, when
    /// some may have been missed.
    pub fn heard(&self) -> watch::Receiver<Position> {
        wakeups::hear(&self.shared, &self.closing_links.subscribe(), self.keepers.alive())
    }

    pub fn dead_letters(&self) -> DeadLetters {
        DeadLetters::new(self.shared.clone())
    }

    /// Why the broker takes no messages now, for readiness and the health board.
    pub fn trouble(&self) -> Option<String> {
        let of = |link: &Link| link.state.borrow().trouble.as_ref().map(ToString::to_string);
        of(&self.shared.publishing).or_else(|| of(&self.shared.consuming))
    }

    /// Sends what has gathered, settles what the workers have settled, and closes the connections; a few seconds at
    /// most. Workers end first: a consumer that is still open is waited for in vain.
    pub async fn close(&self) {
        self.closing_users.send_replace(true);
        if timeout(DRAIN_WAIT_MAX, self.shared.users.ended()).await.is_err() {
            tracing::warn!("the broker did not take everything in time; what is left is given out again");
        }
        self.closing_links.send_replace(true);
        drop(timeout(CLOSE_WAIT_MAX, self.keepers.ended()).await);
    }
}
