//! Every exchange, queue and binding, named once.

use holdfast_domain::CommandQueue;

/// Topic exchange that commands are published to.
pub const COMMANDS: &str = "holdfast.commands";
/// Topic exchange that events are published to.
pub const EVENTS: &str = "holdfast.events";
/// Where commands wait that cannot be read.
pub const DEAD: &str = "holdfast.dead";

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
