//! The schema's versions: each migration runs once, in order, and never changes after its release.

use rusqlite::{Connection, TransactionBehavior};

use crate::{Result, StoreError};

const MIGRATIONS: [&str; 2] = [
    include_str!("../../migrations/sqlite/0001_core.sql"),
    include_str!("../../migrations/sqlite/0002_recent_stock.sql"),
];

/// The newest schema version that this Holdfast knows.
pub const VERSION: i64 = MIGRATIONS.len() as i64;

/// Refuses a database of an earlier version; a new one has none.
pub(super) fn check(connection: &Connection) -> Result<()> {
    let sql = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'schema_version')";
    if !connection.query_row(sql, [], |row| row.get(0))? {
        return Ok(());
    }
    match found(connection)? {
        found if (1..VERSION).contains(&found) => Err(StoreError::Older { found, needed: VERSION }),
        _new_or_current => Ok(()),
    }
}

fn found(connection: &Connection) -> Result<i64> {
    let sql = "SELECT coalesce(max(version), 0) FROM schema_version";
    Ok(connection.query_row(sql, [], |row| row.get(0))?)
}

/// Brings the database to [`VERSION`], in one transaction.
pub(super) fn migrate(connection: &mut Connection) -> Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction
        .execute_batch("CREATE TABLE IF NOT EXISTS schema_version (version INTEGER PRIMARY KEY) STRICT")?;
    let found = found(&transaction)?;
    if found > VERSION {
        return Err(StoreError::Newer { found, known: VERSION });
    }
    for (version, migration) in (1..).zip(MIGRATIONS) {
        if version > found {
            transaction.execute_batch(migration)?;
            transaction.execute("INSERT INTO schema_version (version) VALUES (?1)", [version])?;
        }
    }
    transaction.commit()?;
    Ok(())
}
