//! Notes in SQLite.

use async_trait::async_trait;
use holdfast_domain::Timestamp;
use rusqlite::{Row, params};

use super::write::End;
use super::{Sqlite, all, first};
use crate::Result;
use crate::notes::{Note, Notes, end_of};

fn note_of(row: &Row<'_>) -> Result<Note> {
    Ok(Note { name: row.get(0)?, body: row.get(1)?, at: Timestamp(row.get(2)?) })
}

#[async_trait]
impl Notes for Sqlite {
    async fn put_notes(&self, notes: Vec<Note>) -> Result<()> {
        self.write(move |writer| {
            writer.transaction(|connection| {
                let mut put = connection
                    .prepare_cached("INSERT OR REPLACE INTO notes (name, body, at) VALUES (?1, ?2, ?3)")?;
                for note in &notes {
                    put.execute(params![note.name, note.body, note.at.0])?;
                }
                Ok((End::Commit, ()))
            })
        })
        .await
    }

    async fn replace_note(&self, note: Note, was: Option<&str>) -> Result<bool> {
        let was = was.map(str::to_owned);
        self.write(move |writer| {
            writer.transaction(|connection| {
                let Note { name, body, at } = &note;
                let written = match &was {
                    None => connection
                        .prepare_cached(
                            "INSERT INTO notes (name, body, at) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
                        )?
                        .execute(params![name, body, at.0])?,
                    Some(was) => connection
                        .prepare_cached("UPDATE notes SET body = ?2, at = ?3 WHERE name = ?1 AND body = ?4")?
                        .execute(params![name, body, at.0, was])?,
                };
                Ok((if written > 0 { End::Commit } else { End::Nothing }, written > 0))
            })
        })
        .await
    }

    async fn delete_note(&self, name: &str) -> Result<bool> {
        let name = name.to_owned();
        self.write(move |writer| {
            writer.transaction(|connection| {
                let gone =
                    connection.prepare_cached("DELETE FROM notes WHERE name = ?1")?.execute([&name])?;
                Ok((if gone > 0 { End::Commit } else { End::Nothing }, gone > 0))
            })
        })
        .await
    }

    async fn note(&self, name: &str) -> Result<Option<Note>> {
        let name = name.to_owned();
        self.read(move |connection| {
            first(connection, "SELECT name, body, at FROM notes WHERE name = ?1", [&name], note_of)
        })
        .await
    }

    async fn prune_notes(&self, prefix: &str, before: Timestamp) -> Result<()> {
        let (from, to) = (prefix.to_owned(), end_of(prefix));
        self.write(move |writer| {
            writer.transaction(|connection| {
                let gone = connection
                    .prepare_cached("DELETE FROM notes WHERE name >= ?1 AND name < ?2 AND at < ?3")?
                    .execute(params![from, to, before.0])?;
                Ok((if gone > 0 { End::Commit } else { End::Nothing }, ()))
            })
        })
        .await
    }

    async fn notes(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<Note>> {
        let (from, to) = (after.unwrap_or_default().max(prefix).to_owned(), end_of(prefix));
        let exclusive = after.is_some_and(|after| after >= prefix);
        self.read(move |connection| {
            let sql = "SELECT name, body, at FROM notes WHERE name >= ?1 AND name < ?2 AND (name > ?1 OR NOT ?3) \
                       ORDER BY name LIMIT ?4";
            all(connection, sql, params![from, to, exclusive, limit as i64], note_of)
        })
        .await
    }
}
