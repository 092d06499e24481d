//! Accounts, sessions and API keys in SQLite.

use async_trait::async_trait;
use holdfast_domain::{Role, Timestamp};
use rusqlite::{Connection, Row, params};
use uuid::Uuid;

use super::write::End;
use super::{Sqlite, all, bytes, damaged, first, id, text, timestamp};
use crate::accounts::{Account, Accounts, Answered, ApiKey, Change, Principal, PrincipalKind, Session};
use crate::{OUTCOME_HOURS, Result};

/// Rows that one transaction of [`Accounts::prune_accounts`] deletes per table.
const PRUNE_ROWS_MAX: i64 = 1_000;

const ACCOUNT: &str = "SELECT id, username, role, disabled, password_hash, created_at FROM accounts";
const API_KEY: &str = "SELECT id, name, role, hash, created_at FROM api_keys";

impl Sqlite {
    /// Runs a change that an `Idempotency-Key` may guard: a known key gets its first answer, a new one is recorded
    /// together with what it did.
    async fn change<T: Send + 'static>(
        &self,
        answered: Option<Answered>,
        body: impl FnOnce(&Connection) -> Result<Change<T>> + Send + 'static,
    ) -> Result<Change<T>> {
        self.write(move |writer| {
            writer.transaction(|connection| {
                if let Some(answered) = &answered
                    && let Some(earlier) = find_answered(connection, answered.key)?
                {
                    return Ok((End::Nothing, Change::Replayed(earlier)));
                }
                let change = body(connection)?;
                let Change::Done(_) = &change else { return Ok((End::Nothing, change)) };
                if let Some(answered) = &answered {
                    connection
                        .prepare_cached(
                            "INSERT INTO answered (key, fingerprint, status, body, at) VALUES (?1, ?2, ?3, ?4, ?5)",
                        )?
                        .execute(params![
                            answered.key.as_bytes(),
                            answered.fingerprint,
                            answered.status,
                            answered.body,
                            answered.at.0,
                        ])?;
                }
                Ok((End::Commit, change))
            })
        })
        .await
    }
}

#[async_trait]
impl Accounts for Sqlite {
    async fn add_account(&self, account: Account, answered: Option<Answered>) -> Result<Change<()>> {
        self.change(answered, move |connection| {
            let sql = "INSERT INTO accounts (id, username, role, disabled, password_hash, created_at) \
                       VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (username) DO NOTHING";
            let added = connection.prepare_cached(sql)?.execute(params![
                account.id.as_bytes(),
                account.username,
                account.role.as_str(),
                account.disabled,
                account.password_hash,
                account.created_at.0,
            ])?;
            Ok(if added == 1 { Change::Done(()) } else { Change::NameTaken })
        })
        .await
    }

    async fn account_by_name(&self, username: &str) -> Result<Option<Account>> {
        let username = username.to_owned();
        self.read(move |connection| {
            first(connection, &format!("{ACCOUNT} WHERE username = ?1"), [username], account_of)
        })
        .await
    }

    async fn account(&self, id: Uuid) -> Result<Option<Account>> {
        self.read(move |connection| find_account(connection, id)).await
    }

    async fn accounts(&self, after: Option<&str>, limit: usize) -> Result<Vec<Account>> {
        let after = after.unwrap_or_default().to_owned();
        self.read(move |connection| {
            let sql = format!("{ACCOUNT} WHERE username > ?1 ORDER BY username LIMIT ?2");
            all(connection, &sql, params![after, limit as i64], account_of)
        })
        .await
    }

    async fn update_account(
        &self,
        id: Uuid,
        role: Option<Role>,
        disabled: Option<bool>,
        answered: Option<Answered>,
    ) -> Result<Change<Account>> {
        self.change(answered, move |connection| {
            let sql = "UPDATE accounts SET role = coalesce(?2, role), disabled = coalesce(?3, disabled) WHERE id = ?1";
            connection.prepare_cached(sql)?.execute(params![id.as_bytes(), role.map(Role::as_str), disabled])?;
            let Some(account) = find_account(connection, id)? else { return Ok(Change::NotFound) };
            if account.disabled {
                end_sessions(connection, id, None)?;
            }
            Ok(Change::Done(account))
        })
        .await
    }

    async fn set_password(
        &self,
        id: Uuid,
        hash: String,
        keep: Option<[u8; 32]>,
        answered: Option<Answered>,
    ) -> Result<Change<()>> {
        self.change(answered, move |connection| {
            let sql = "UPDATE accounts SET password_hash = ?2 WHERE id = ?1";
            if connection.prepare_cached(sql)?.execute(params![id.as_bytes(), hash])? == 0 {
                return Ok(Change::NotFound);
            }
            end_sessions(connection, id, keep)?;
            Ok(Change::Done(()))
        })
        .await
    }

    async fn add_session(&self, session: Session) -> Result<()> {
        self.write(move |writer| {
            writer.transaction(|connection| {
                let sql =
                    "INSERT INTO sessions (hash, account, created_at, expires_at) VALUES (?1, ?2, ?3, ?4)";
                connection.prepare_cached(sql)?.execute(params![
                    session.hash,
                    session.account.as_bytes(),
                    session.created_at.0,
                    session.expires_at.0,
                ])?;
                Ok((End::Commit, ()))
            })
        })
        .await
    }

    async fn end_session(&self, hash: [u8; 32]) -> Result<()> {
        self.write(move |writer| {
            writer.transaction(|connection| {
                connection.prepare_cached("DELETE FROM sessions WHERE hash = ?1")?.execute([hash])?;
                Ok((End::Commit, ()))
            })
        })
        .await
    }

    async fn add_api_key(&self, key: ApiKey, answered: Option<Answered>) -> Result<Change<()>> {
        self.change(answered, move |connection| {
            let sql = "INSERT INTO api_keys (id, name, role, hash, created_at) VALUES (?1, ?2, ?3, ?4, ?5) \
                       ON CONFLICT (name) DO NOTHING";
            let added = connection.prepare_cached(sql)?.execute(params![
                key.id.as_bytes(),
                key.name,
                key.role.as_str(),
                key.hash,
                key.created_at.0,
            ])?;
            Ok(if added == 1 { Change::Done(()) } else { Change::NameTaken })
        })
        .await
    }

    async fn api_keys(&self, after: Option<&str>, limit: usize) -> Result<Vec<ApiKey>> {
        let after = after.unwrap_or_default().to_owned();
        self.read(move |connection| {
            let sql = format!("{API_KEY} WHERE name > ?1 ORDER BY name LIMIT ?2");
            all(connection, &sql, params![after, limit as i64], api_key_of)
        })
        .await
    }

    async fn delete_api_key(&self, id: Uuid, answered: Option<Answered>) -> Result<Change<()>> {
        self.change(answered, move |connection| {
            let gone =
                connection.prepare_cached("DELETE FROM api_keys WHERE id = ?1")?.execute([id.as_bytes()])?;
            Ok(if gone == 1 { Change::Done(()) } else { Change::NotFound })
        })
        .await
    }

    async fn principal(&self, hash: [u8; 32], now: Timestamp) -> Result<Option<Principal>> {
        self.read(move |connection| {
            let sql = "SELECT accounts.id, username, role, expires_at FROM sessions \
                       JOIN accounts ON accounts.id = sessions.account \
                       WHERE sessions.hash = ?1 AND expires_at > ?2 AND disabled = 0";
            let session = first(connection, sql, params![hash, now.0], |row| {
                principal_of(row, PrincipalKind::Session { expires_at: timestamp(row, 3)? })
            })?;
            if session.is_some() {
                return Ok(session);
            }
            let sql = "SELECT id, name, role FROM api_keys WHERE hash = ?1";
            first(connection, sql, [hash], |row| principal_of(row, PrincipalKind::ApiKey))
        })
        .await
    }

    async fn answered(&self, key: Uuid) -> Result<Option<Answered>> {
        self.read(move |connection| find_answered(connection, key)).await
    }

    async fn record(&self, answered: Answered) -> Result<Option<Answered>> {
        Ok(self.change(Some(answered), |_| Ok(Change::Done(()))).await?.replayed())
    }

    async fn prune_accounts(&self, now: Timestamp) -> Result<()> {
        let old = now.plus_seconds(-OUTCOME_HOURS * 3_600);
        let sessions = "DELETE FROM sessions WHERE hash IN \
                        (SELECT hash FROM sessions WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)";
        let answers = "DELETE FROM answered WHERE key IN \
                       (SELECT key FROM answered WHERE at < ?1 ORDER BY at LIMIT ?2)";
        for (sql, before) in [(sessions, now), (answers, old)] {
            // A transaction for each step, so that orders are decided in between.
            let mut gone = PRUNE_ROWS_MAX;
            while gone == PRUNE_ROWS_MAX {
                gone = self
                    .write(move |writer| {
                        writer.transaction(|connection| {
                            let gone =
                                connection.prepare_cached(sql)?.execute(params![before.0, PRUNE_ROWS_MAX])?;
                            Ok((if gone == 0 { End::Nothing } else { End::Commit }, gone as i64))
                        })
                    })
                    .await?;
            }
        }
        Ok(())
    }
}

fn find_account(connection: &Connection, id: Uuid) -> Result<Option<Account>> {
    first(connection, &format!("{ACCOUNT} WHERE id = ?1"), [id.as_bytes()], account_of)
}

fn find_answered(connection: &Connection, key: Uuid) -> Result<Option<Answered>> {
    let sql = "SELECT key, fingerprint, status, body, at FROM answered WHERE key = ?1";
    first(connection, sql, [key.as_bytes()], |row| {
        Ok(Answered {
            key: id(row, 0)?,
            fingerprint: bytes(row, 1)?,
            status: row.get(2)?,
            body: row.get(3)?,
            at: timestamp(row, 4)?,
        })
    })
}

fn end_sessions(connection: &Connection, account: Uuid, keep: Option<[u8; 32]>) -> Result<()> {
    let sql = "DELETE FROM sessions WHERE account = ?1 AND (?2 IS NULL OR hash <> ?2)";
    connection.prepare_cached(sql)?.execute(params![account.as_bytes(), keep])?;
    Ok(())
}

fn role(row: &Row<'_>, column: usize) -> Result<Role> {
    text(row, column)?.parse().map_err(|error| damaged("a role", error))
}

fn account_of(row: &Row<'_>) -> Result<Account> {
    Ok(Account {
        id: id(row, 0)?,
        username: row.get(1)?,
        role: role(row, 2)?,
        disabled: row.get(3)?,
        password_hash: row.get(4)?,
        created_at: timestamp(row, 5)?,
    })
}

fn api_key_of(row: &Row<'_>) -> Result<ApiKey> {
    Ok(ApiKey {
        id: id(row, 0)?,
        name: row.get(1)?,
        role: role(row, 2)?,
        hash: bytes(row, 3)?,
        created_at: timestamp(row, 4)?,
    })
}

/// From the columns `id, name, role`.
fn principal_of(row: &Row<'_>, kind: PrincipalKind) -> Result<Principal> {
    Ok(Principal { id: id(row, 0)?, name: row.get(1)?, role: role(row, 2)?, kind })
}
