//! The bus against a real RabbitMQ; and one suite for both buses where they promise the same.

mod authority;
mod both;
mod envelopes;
mod faults;
mod followers;
mod permissions;
mod refusals;
mod stand;
