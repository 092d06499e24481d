//! The schema's versions: each migration runs once, in order, and never changes after its release.

use super::connection::{Connection, ask, get};
use crate::{Result, StoreError};

const MIGRATIONS: [&str; 1] = [include_str!("../../migrations/postgres/0001_core.sql")];

/// The newest schema version that this Holdfast knows.
pub const VERSION: i64 = MIGRATIONS.len() as i64;

/// The oldest PostgreSQL that is tested, as `server_version_num` counts.
const SERVER_MIN: i32 = 140_000;

/// Processes that start at once wait for each other here. The number is `holdfast` in ASCII.
const LOCK: &str = "SELECT pg_advisory_xact_lock(7525352680829580148)";

/// Checks the server, and brings the database to [`VERSION`], in one transaction.
pub(super) async fn migrate(connection: &Connection) -> Result<()> {
    let server = connection.row(ask!("SELECT current_setting('server_version_num')::int")).await?;
    let server: i32 = get(&server, 0)?;
    if server < SERVER_MIN {
        let (major, minimum) = (server / 10_000, SERVER_MIN / 10_000);
        let line = format!("PostgreSQL {major} is too old: Holdfast needs version {minimum} or newer");
        return Err(StoreError::Other(line));
    }
    // Looked at first, because a user who may not create tables may use those that are there.
    if version(connection).await? < VERSION {
        connection.simple("BEGIN").await?;
        connection.rows(ask!(LOCK)).await?;
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
    }
    check_rights(connection).await
}

/// 0 for a new database.
async fn version(connection: &Connection) -> Result<i64> {
    let there = connection.row(ask!("SELECT to_regclass('schema_version') IS NOT NULL")).await?;
    if !get::<bool>(&there, 0)? {
        return Ok(0);
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
    let sql = "SELECT string_agg(name, ', ') FROM unnest(ARRAY['log_head', 'log', 'items', 'stock', 'locations', \
               'orders', 'holds', 'outcomes', 'pending', 'movements', 'movement_ends', 'cursors', 'accounts', \
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
