//! Every exchange, queue and binding, named once.

use holdfast_domain::CommandQueue;

/// Topic exchange that commands are published to.
pub const COMMANDS: &str = "holdfast.commands";
/// Topic exchange that events are published to.
pub const EVENTS: &str = "holdfast.events";
/// Stream that keeps the latest events for replay; bound to [`EVENTS`] with `#`.
pub const EVENTS_LOG: &str = "holdfast.events.log";
/// Fanout exchange that tells every process the last committed position.
pub const COMMITTED: &str = "holdfast.committed";
/// Where commands wait that cannot be read.
pub const DEAD: &str = "holdfast.dead";
/// What the names of a process's own queue for replies begin with; it lives as long as its connection.
pub const REPLY_PREFIX: &str = "holdfast.reply.";
/// Exclusive queue, always empty, of the process that looks through the dead letters now.
pub const DEAD_TURN: &str = "holdfast.reply.dead-letters";
/// What the names of a process's own queue for wake-ups begin with.
pub const COMMITTED_PREFIX: &str = "holdfast.committed.";

/// Messages that wait in one command queue at most; beyond that the broker refuses more.
pub const QUEUE_MESSAGES_MAX: i64 = 100_000;
/// Dead letters that are kept at most; beyond that, envelopes with a bad command wait on their queue.
pub const DEAD_MESSAGES_MAX: i64 = 1_000_000;
/// Bytes of events that the stream keeps for replay.
pub const EVENTS_LOG_BYTES_MAX: i64 = 1_000_000_000;
/// RabbitMQ 4 drops a message after 20 deliveries unless told otherwise; here a person or the worker decides.
pub const DELIVERIES_MAX: i64 = 1_000_000_000;

/// The queue's name on the broker.
pub fn queue_name(queue: CommandQueue) -> &'static str {
    match queue {
        CommandQueue::Orders => "holdfast.orders",
        CommandQueue::Items => "holdfast.items",
        CommandQueue::Stock => "holdfast.stock",
    }
}

/// The routing keys bound to it.
pub fn bindings(queue: CommandQueue) -> &'static [&'static str] {
    match queue {
        CommandQueue::Orders => &["order.*", "hold.*"],
        CommandQueue::Items => &["item.add"],
        CommandQueue::Stock => &["item.update", "item.remove", "stock.*", "location.*"],
    }
}
