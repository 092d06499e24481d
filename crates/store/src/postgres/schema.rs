//! The schema's versions: each migration runs once, in order, and never changes after its release.

use super::connection::{Connection, ask, get};
use crate::{Result, StoreError};

const MIGRATIONS: [&str; 3] = [
    include_str!("../../migrations/postgres/0001_core.sql"),
    include_str!("../../migrations/postgres/0002_movements.sql"),
    include_str!("../../migrations/postgres/0003_recent_stock.sql"),
];

/// The newest schema version that this Holdfast knows.
pub const VERSION: i64 = MIGRATIONS.len() as i64;

/// The oldest PostgreSQL that is tested, as `server_version_num` counts.
const SERVER_MIN: i32 = 140_000;

/// Processes that start at once wait for each other here: before the transaction, which only then knows the tables
/// that the one before it made. The number is `holdfast` in ASCII.
const LOCK: &str = "SELECT pg_advisory_lock(7525352680829580148)";
const UNLOCK: &str = "SELECT pg_advisory_unlock(7525352680829580148)";

/// Refuses a database of an earlier version; a new one has none.
pub(super) async fn check(connection: &Connection) -> Result<()> {
    match version(connection).await? {
        found if (1..VERSION).contains(&found) => Err(StoreError::Older { found, needed: VERSION }),
        _new_or_current => Ok(()),
    }
}

/// Checks the server, and brings the database to [`VERSION`], in one transaction.
pub(super) async fn migrate(connection: &Connection) -> Result<()> {
    let server = connection.row(ask!("SELECT current_setting('server_version_num')::int")).await?;
    check_server(get(&server, 0)?)?;
    // Looked at first, because a user who may not create tables may use those that are there.
    if version(connection).await? < VERSION {
        check_may_create(connection).await?;
        connection.rows(ask!(LOCK)).await?;
        connection.simple("BEGIN").await?;
        let found = version(connection).await?;
        if found == 0 {
            connection.simple("CREATE TABLE schema_version (version bigint PRIMARY KEY)").await?;
        }
        for (version, migration) in (1..).zip(MIGRATIONS) {
            if version > found {
                connection.simple(migration).await?;
                connection.rows(ask!("INSERT INTO schema_version (version) VALUES ($1)", version)).await?;
            }
        }
        connection.simple("COMMIT").await?;
        connection.rows(ask!(UNLOCK)).await?;
    }
    check_rights(connection).await
}

/// `number` as PostgreSQL counts: the major version times 10,000.
fn check_server(number: i32) -> Result<()> {
    if number >= SERVER_MIN {
        return Ok(());
    }
    let (major, minimum) = (number / 10_000, SERVER_MIN / 10_000);
    Err(StoreError::Other(format!(
        "PostgreSQL {major} is too old: Holdfast needs version {minimum} or newer"
    )))
}

async fn check_may_create(connection: &Connection) -> Result<()> {
    let sql =
        "SELECT current_schema()::text, coalesce(has_schema_privilege(current_schema(), 'CREATE'), false)";
    let row = connection.row(ask!(sql)).await?;
    if get(&row, 1)? {
        return Ok(());
    }
    let schema = get::<Option<&str>>(&row, 0)?.unwrap_or("public");
    Err(StoreError::Other(format!(
        "the user may not create tables: run GRANT CREATE ON SCHEMA {schema} TO it, or let the database's owner open it \
         once"
    )))
}

/// 0 for a new database.
async fn version(connection: &Connection) -> Result<i64> {
    let sql = "SELECT name IS NOT NULL, coalesce(has_table_privilege(name, 'SELECT'), true) \
               FROM to_regclass('schema_version') AS name";
    let there = connection.row(ask!(sql)).await?;
    if !get::<bool>(&there, 0)? {
        return Ok(0);
    }
    if !get::<bool>(&there, 1)? {
        return Err(StoreError::Other("the user may not read the table schema_version".to_owned()));
    }
    let row = connection.row(ask!("SELECT coalesce(max(version), 0) FROM schema_version")).await?;
    let found = get(&row, 0)?;
    if found > VERSION {
        return Err(StoreError::Newer { found, known: VERSION });
    }
    Ok(found)
}

/// Better refused now than at the first order.
async fn check_rights(connection: &Connection) -> Result<()> {
    let sql = "SELECT string_agg(name, ', ') FROM unnest(ARRAY['log_head', 'log', 'items', 'stock', 'stock_recent', \
               'locations', 'orders', 'holds', 'outcomes', 'pending', 'movements', 'movement_ends', 'cursors', 'accounts', \
               'sessions', 'api_keys', 'answered', 'notes']) AS name, \
               unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS needed \
               WHERE NOT has_table_privilege(name, needed)";
    let row = connection.row(ask!(sql)).await?;
    match get::<Option<String>>(&row, 0)? {
        None => Ok(()),
        Some(tables) => Err(StoreError::Other(format!(
            "the user needs SELECT, INSERT, UPDATE and DELETE on all of Holdfast's tables, and lacks some on: {tables}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_server_is_refused_with_both_versions() {
        assert!(check_server(140_000).is_ok() && check_server(180_001).is_ok());
        let refused = check_server(130_022).expect_err("too old").to_string();
        assert!(refused.contains("PostgreSQL 13") && refused.contains("version 14"), "{refused}");
    }
}
