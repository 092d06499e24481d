//! Notes in SQLite.

use async_trait::async_trait;
use holdfast_domain::Timestamp;
use rusqlite::{Row, params};

use super::write::End;
use super::{Sqlite, all, first};
use crate::Result;
use crate::notes::{Note, Notes};

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

    async fn notes(&self, prefix: &str, after: Option<&str>, limit: usize) -> Result<Vec<Note>> {
        // Names are compared byte by byte, and no byte of UTF-8 is above 0xFF: the prefix's range ends there.
        let (from, to) = (after.unwrap_or_default().max(prefix).to_owned(), format!("{prefix}\u{10FFFF}"));
        let exclusive = after.is_some_and(|after| after >= prefix);
        self.read(move |connection| {
            let sql = "SELECT name, body, at FROM notes WHERE name >= ?1 AND name < ?2 AND (name > ?1 OR NOT ?3) \
                       ORDER BY name LIMIT ?4";
            all(connection, sql, params![from, to, exclusive, limit as i64], note_of)
        })
        .await
    }
}
