//! The rules of stock and orders, and nothing else.
//!
//! Everything here is pure and synchronous: no clock, no randomness, no SQL, no HTTP. A [`Command`] is decided
//! against a [`Ledger`] (the rows it touches) and yields [`Event`]s or a [`Rejection`]; [`evolve`](Ledger::evolve)
//! applies events to a ledger. Whoever replays the same events gets the same ledger.
//!
//! One file holds one aggregate: its state, what decides about it, what changes it. The rules are tabled in
//! `tests/rules`, thrown random commands at in `tests/properties`; the forms that last are in `tests/forms.rs`.

pub mod actor;
pub mod command;
pub mod event;
pub mod hold;
pub mod item;
pub mod ledger;
pub mod objects;
pub mod order;
pub mod outcome;
pub mod stock;
pub mod values;
pub mod wire;

pub use actor::{Actor, Role};
pub use command::{Command, CommandBody, CommandQueue};
pub use event::{Event, Recorded};
pub use hold::{Hold, HoldStatus};
pub use item::{Item, ItemStatus, Location};
pub use ledger::{Decided, Keys, Ledger, SkuState, Touched, decide_batch};
pub use order::{Allocation, Order, OrderLine, OrderStatus};
pub use outcome::{Answer, OrderText, Outcome, Rejection, Shortage, ToldOutcome};
pub use stock::{Movement, MovementKind, StockRow, movements_of};
pub use values::{
    Currency, Customer, Delta, GeoPoint, LocationCode, Money, Position, Quantity, Sku, Timestamp, Units,
    ValueError,
};
