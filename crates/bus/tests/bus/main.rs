//! The bus against a real RabbitMQ; and one suite for both buses where they promise the same.

mod both;

mod stand;
