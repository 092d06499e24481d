//! Notes in PostgreSQL.

use std::collections::BTreeMap;

use async_trait::async_trait;
use holdfast_domain::Timestamp;
use tokio_postgres::Row;

use super::Postgres;
use super::connection::{ask, get, timestamp};
use super::write::BEGIN_REPEATABLE;
use crate::Result;
use crate::notes::{Note, Notes, end_of};

fn note_of(row: &Row) -> Result<Note> {
    Ok(Note { name: get(row, 0)?, body: get(row, 1)?, at: timestamp(row, 2)? })
}

#[async_trait]
impl Notes for Postgres {
    async fn put_notes(&self, notes: Vec<Note>) -> Result<()> {
        let sql = "INSERT INTO notes (name, body, at) SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[]) \
                   ON CONFLICT (name) DO UPDATE SET body = excluded.body, at = excluded.at";
        // One statement may write a row once; and by name, so that two who write the same cannot wait for each other.
        let notes: BTreeMap<String, Note> = notes.into_iter().map(|note| (note.name.clone(), note)).collect();
        self.pool
            .run(move |connection| async move {
                let names: Vec<&str> = notes.keys().map(String::as_str).collect();
                let bodies: Vec<&str> = notes.values().map(|note| note.body.as_str()).collect();
                let times: Vec<i64> = notes.values().map(|note| note.at.0).collect();
                let put = [ask!(sql, names, bodies, times)];
                connection.pipeline(BEGIN_REPEATABLE, &put, "COMMIT").await.map(drop)
            })
            .await
    }

    async fn replace_note(&self, note: Note, was: Option<&str>) -> Result<bool> {
        let was = was.map(str::to_owned);
        self.pool
            .run(move |connection| async move {
                let Note { name, body, at } = note;
                let ask = match was {
                    None => ask!(
                        "INSERT INTO notes (name, body, at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
                        name,
                        body,
                        at.0
                    ),
                    Some(was) => ask!(
                        "UPDATE notes SET body = $2, at = $3 WHERE name = $1 AND body = $4",
                        name,
                        body,
                        at.0,
                        was
                    ),
                };
                Ok(connection.count(ask).await? > 0)
            })
            .await
    }

    async fn delete_note(&self, name: &str) -> Result<bool> {
        let name = name.to_owned();
        self.pool
            .run(move |connection| async move {
                Ok(connection.count(ask!("DELETE FROM notes WHERE name = $1", name)).await? > 0)
            })
            .await
    }

    async fn note(&self, name: &str) -> Result<Option<Note>> {
        let name = name.to_owned();
        let sql = "SELECT name, body, at FROM notes WHERE name = $1";
        self.pool
            .run(move |connection| async move {
                connection.first(ask!(sql, name)).await?.as_ref().map(note_of).transpose()
            })
            .await
    }

    async fn prune_notes(&self, prefix: &str, before: Timestamp) -> Result<()> {
        let (prefix, end) = (prefix.to_owned(), end_of(prefix));
        let sql = "DELETE FROM notes WHERE name >= $1 AND name < $2 AND at < $3";
        self.pool
            .run(move |connection| async move {
                connection.count(ask!(sql, prefix, end, before.0)).await.map(drop)
            })
            .await
    }

    async fn notes(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<Note>> {
        let (prefix, end) = (prefix.to_owned(), end_of(prefix));
        let after = after.unwrap_or_default().to_owned();
        let sql = "SELECT name, body, at FROM notes WHERE name >= $1 AND name < $2 AND name > $3 \
                   ORDER BY name LIMIT $4";
        self.pool
            .run(move |connection| async move {
                let rows = connection.rows(ask!(sql, prefix, end, after, limit as i64)).await?;
                rows.iter().map(note_of).collect()
            })
            .await
    }
}
