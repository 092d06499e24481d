//! One connection to PostgreSQL: statements prepared once, asked one by one or pipelined, and what its errors mean.
//!
//! A connection that met an error is not used again: what it does next might be part of a transaction that is gone,
//! and PostgreSQL has rolled back whatever it had begun.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, try_join_all};
use holdfast_domain::{Position, Timestamp};
use tokio_postgres::types::{FromSql, ToSql};
use tokio_postgres::{Client, Row, RowStream, Statement};

use crate::planner::State;
use crate::{Head, Result, StoreError};

/// Asks of one pipeline. `try_join_all` sends them in their order only up to 30; see [`Connection::pipeline`].
const PIPELINE_MAX: usize = 24;

/// The size of most rows' JSON is below.
const JSON_BYTES: usize = 512;

/// With PostgreSQL's own word of what went wrong.
type Said<T> = std::result::Result<T, tokio_postgres::Error>;

pub(super) type Value<'a> = Box<dyn ToSql + Sync + Send + 'a>;

/// One statement with its values.
pub(super) struct Ask<'a> {
    pub(super) sql: &'a str,
    pub(super) values: Vec<Value<'a>>,
}

/// `ask!(sql, value, …)`: an [`Ask`].
macro_rules! ask {
    ($sql:expr $(, $value:expr)* $(,)?) => {
        $crate::postgres::connection::Ask { sql: $sql, values: vec![$(Box::new($value)),*] }
    };
}
pub(super) use ask;

pub(super) struct Connection {
    client: Client,
    statements: Mutex<HashMap<String, Statement>>,
}

impl Connection {
    pub(super) fn new(client: Client) -> Self {
        Self { client, statements: Mutex::default() }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// Statements without values or answers, several of them if separated by semicolons.
    pub(super) async fn simple(&self, sql: &str) -> Result<()> {
        Ok(self.client.batch_execute(sql).await?)
    }

    pub(super) async fn rows(&self, ask: Ask<'_>) -> Result<Vec<Row>> {
        let statement = self.statement(ask.sql).await?;
        Ok(self.client.query(&statement, &values(&ask)).await?)
    }

    pub(super) async fn first(&self, ask: Ask<'_>) -> Result<Option<Row>> {
        Ok(self.rows(ask).await?.into_iter().next())
    }

    /// The row of a question that always has one.
    pub(super) async fn row(&self, ask: Ask<'_>) -> Result<Row> {
        let sql = ask.sql;
        self.first(ask).await?.ok_or_else(|| StoreError::Damaged(format!("there is no row: {sql}")))
    }

    /// How many rows a statement wrote.
    pub(super) async fn count(&self, ask: Ask<'_>) -> Result<u64> {
        let statement = self.statement(ask.sql).await?;
        Ok(self.client.execute(&statement, &values(&ask)).await?)
    }

    /// Row by row, for answers too large to be held twice.
    pub(super) async fn stream(&self, ask: Ask<'_>) -> Result<RowStream> {
        let statement = self.statement(ask.sql).await?;
        Ok(self.client.query_raw(&statement, values(&ask)).await?)
    }

    /// Sends `before`, all asks and `after` one behind the other without waiting for answers in between: one round
    /// trip for all. The server works through them in this order; after the first error in a transaction it refuses
    /// the rest, and a COMMIT at the end rolls back.
    pub(super) async fn pipeline(
        &self,
        before: &str,
        asks: &[Ask<'_>],
        after: &str,
    ) -> Result<Vec<Vec<Row>>> {
        Ok(self.try_pipeline(before, asks, after).await?)
    }

    /// The same, with PostgreSQL's own word of what went wrong. After that the connection is still in step: all was sent.
    pub(super) async fn try_pipeline(
        &self,
        before: &str,
        asks: &[Ask<'_>],
        after: &str,
    ) -> Said<Vec<Vec<Row>>> {
        assert!(asks.len() <= PIPELINE_MAX, "a pipeline is sent in its order up to {PIPELINE_MAX} asks");
        self.prepare(asks.iter().map(|ask| ask.sql)).await?;
        // A future of the client sends when it is first polled, and these are polled in their order.
        let mut steps: Vec<BoxFuture<'_, Said<Vec<Row>>>> = Vec::with_capacity(asks.len() + 2);
        steps.push(self.edge(before).boxed());
        for ask in asks {
            let statement = self.prepared(ask.sql).expect("it was prepared above");
            let values = values(ask);
            steps.push(async move { self.client.query(&statement, &values).await }.boxed());
        }
        steps.push(self.edge(after).boxed());
        let mut answers = try_join_all(steps).await?;
        answers.pop();
        answers.remove(0);
        Ok(answers)
    }

    /// What a pipeline begins or ends with, if anything.
    async fn edge(&self, sql: &str) -> Said<Vec<Row>> {
        if !sql.is_empty() {
            self.client.batch_execute(sql).await?;
        }
        Ok(Vec::new())
    }

    /// Prepares what is not prepared yet, in one round trip.
    pub(super) async fn prepare<'a>(&self, statements: impl Iterator<Item = &'a str>) -> Said<()> {
        let missing = statements.filter(|sql| self.prepared(sql).is_none());
        try_join_all(missing.map(|sql| self.statement(sql))).await.map(drop)
    }

    fn prepared(&self, sql: &str) -> Option<Statement> {
        self.statements.lock().unwrap_or_else(PoisonError::into_inner).get(sql).cloned()
    }

    async fn statement(&self, sql: &str) -> Said<Statement> {
        if let Some(statement) = self.prepared(sql) {
            return Ok(statement);
        }
        let statement = self.client.prepare(sql).await?;
        let mut statements = self.statements.lock().unwrap_or_else(PoisonError::into_inner);
        statements.insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }
}

fn values<'a>(ask: &'a Ask<'_>) -> Vec<&'a (dyn ToSql + Sync)> {
    ask.values.iter().map(|value| &**value as &(dyn ToSql + Sync)).collect()
}

/// Waits `wait_max` at most for an answer.
pub(super) async fn within<T>(wait_max: Duration, work: impl Future<Output = Result<T>>) -> Result<T> {
    let late = |_| StoreError::InDoubt(format!("PostgreSQL did not answer within {wait_max:?}"));
    tokio::time::timeout(wait_max, work).await.map_err(late)?
}

impl From<tokio_postgres::Error> for StoreError {
    fn from(error: tokio_postgres::Error) -> Self {
        let text = describe(&error);
        let Some(state) = error.code() else {
            let source = std::error::Error::source(&error);
            let is_defect = source.is_some_and(|source| source.is::<tokio_postgres::types::WrongType>());
            return if is_defect { StoreError::Other(text) } else { StoreError::InDoubt(text) };
        };
        match state.code() {
            "53100" => StoreError::Full(text),
            // Rights can be given back, a standby promoted, a server restarted; nothing of it is a command's fault.
            "25006" | "25P02" | "25P03" | "26000" | "0A000" | "42501" => StoreError::Transient(text),
            "XX001" | "XX002" => StoreError::Damaged(text),
            code => match &code[..2] {
                // What is written violates a check or a key: the tables and what was decided do not fit together.
                "23" => StoreError::Damaged(text),
                // A server that stops while it waits for its standby has committed already.
                _ if code.starts_with("57P") => StoreError::InDoubt(text),
                // Connections, logins, missing databases, deadlocks and time limits, resources, operators, disks.
                "08" | "28" | "3D" | "40" | "53" | "55" | "57" | "58" => StoreError::Transient(text),
                _other_classes => StoreError::Other(text),
            },
        }
    }
}

/// What an error says, in one line. Without details, for they may quote data.
pub(super) fn describe(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(refused) => format!("{} (SQLSTATE {})", refused.message(), refused.code().code()),
        None => match std::error::Error::source(error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        },
    }
}

/// What a column holds cannot be what was once written there.
pub(super) fn damaged(what: &str, error: impl std::fmt::Display) -> StoreError {
    StoreError::Damaged(format!("{what} cannot be read: {error}"))
}

pub(super) fn get<'row, T: FromSql<'row>>(row: &'row Row, column: usize) -> Result<T> {
    row.try_get(column).map_err(|error| damaged("a column", describe(&error)))
}

pub(super) fn from_json<T: serde::de::DeserializeOwned>(what: &str, row: &Row, column: usize) -> Result<T> {
    serde_json::from_str(get(row, column)?).map_err(|error| damaged(what, error))
}

pub(super) fn json(value: &impl serde::Serialize) -> Result<String> {
    let mut text = Vec::with_capacity(JSON_BYTES);
    serde_json::to_writer(&mut text, value)
        .map_err(|error| StoreError::Other(format!("a row cannot be written as JSON: {error}")))?;
    Ok(String::from_utf8(text).expect("JSON is UTF-8"))
}

pub(super) fn bytes<const N: usize>(row: &Row, column: usize) -> Result<[u8; N]> {
    get::<&[u8]>(row, column)?.try_into().map_err(|error| damaged("a binary column", error))
}

/// A word or name that its type parses.
pub(super) fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(
    what: &str,
    row: &Row,
    column: usize,
) -> Result<T> {
    get::<&str>(row, column)?.parse().map_err(|error| damaged(what, error))
}

pub(super) fn position(row: &Row, column: usize) -> Result<Position> {
    let number: i64 = get(row, column)?;
    Ok(Position(u64::try_from(number).map_err(|error| damaged("a position", error))?))
}

pub(super) fn timestamp(row: &Row, column: usize) -> Result<Timestamp> {
    Ok(Timestamp(get(row, column)?))
}

/// PostgreSQL counts in 63 bits; no log gets there.
pub(super) fn number(position: Position) -> i64 {
    i64::try_from(position.0).unwrap_or(i64::MAX)
}

/// From the columns `position, decided_at, hash, stamp`.
pub(super) fn state_of(rows: &[Row]) -> Result<State> {
    let head = head_of(rows)?;
    Ok(State { head, stamp: get(&rows[0], 3)? })
}

/// From the columns `position, decided_at, hash`.
pub(super) fn head_of(rows: &[Row]) -> Result<Head> {
    let row = rows.first().ok_or_else(|| StoreError::Damaged("the log has no head".to_owned()))?;
    Ok(Head { position: position(row, 0)?, decided_at: timestamp(row, 1)?, hash: bytes(row, 2)? })
}
