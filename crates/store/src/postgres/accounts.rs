//! Accounts, sessions and API keys in PostgreSQL.

use std::sync::Arc;

use async_trait::async_trait;
use holdfast_domain::{Role, Timestamp};
use tokio_postgres::Row;
use uuid::Uuid;

use super::Postgres;
use super::connection::{Connection, ask, bytes, damaged, get, parsed, timestamp};
use super::write::BEGIN;
use crate::accounts::{Account, Accounts, Answered, ApiKey, Change, Principal, PrincipalKind, Session};
use crate::{OUTCOME_HOURS, Result, StoreError};

/// Rows that one transaction of [`Accounts::prune_accounts`] deletes per table.
const PRUNE_ROWS_MAX: i64 = 1_000;

const ACCOUNT: &str = "SELECT id, username, role, disabled, password_hash, created_at FROM accounts";
const API_KEY: &str = "SELECT id, name, role, hash, created_at FROM api_keys";

impl Postgres {
    /// Runs a change that an `Idempotency-Key` may guard: a known key gets its first answer, a new one is recorded
    /// together with what it did. The key is claimed first, so that two who use it at once take turns.
    async fn change<T, F>(
        &self,
        answered: Option<Answered>,
        body: impl FnOnce(Arc<Connection>) -> F + Send + 'static,
    ) -> Result<Change<T>>
    where
        T: Send + 'static,
        F: Future<Output = Result<Change<T>>> + Send + 'static,
    {
        self.pool
            .run(move |connection| async move {
                connection.simple(BEGIN).await?;
                if let Some(answered) = answered
                    && !claim(&connection, &answered).await?
                {
                    let earlier = find_answered(&connection, answered.key).await?;
                    connection.simple("ROLLBACK").await?;
                    // Pruned between the two looks; the caller's next try will find it free.
                    let gone = || StoreError::Transient("an earlier answer has just gone".to_owned());
                    return earlier.map(Change::Replayed).ok_or_else(gone);
                }
                let change = body(Arc::clone(&connection)).await?;
                let is_done = matches!(change, Change::Done(_));
                connection.simple(if is_done { "COMMIT" } else { "ROLLBACK" }).await?;
                Ok(change)
            })
            .await
    }

    async fn account_where(&self, condition: &'static str, value: impl Into<Key>) -> Result<Option<Account>> {
        let value = value.into();
        self.pool
            .run(move |connection| async move {
                let sql = format!("{ACCOUNT} WHERE {condition}");
                let row = match value {
                    Key::Name(name) => connection.first(ask!(&sql, name)).await?,
                    Key::Id(id) => connection.first(ask!(&sql, id)).await?,
                };
                row.as_ref().map(account_of).transpose()
            })
            .await
    }
}

enum Key {
    Name(String),
    Id(Uuid),
}

impl From<&str> for Key {
    fn from(name: &str) -> Self {
        Key::Name(name.to_owned())
    }
}

impl From<Uuid> for Key {
    fn from(id: Uuid) -> Self {
        Key::Id(id)
    }
}

#[async_trait]
impl Accounts for Postgres {
    async fn add_account(&self, account: Account, answered: Option<Answered>) -> Result<Change<()>> {
        let sql = "INSERT INTO accounts (id, username, role, disabled, password_hash, created_at) \
                   VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT ((lower(username))) DO NOTHING";
        self.change(answered, move |connection| async move {
            let Account { id, username, role, disabled, password_hash, created_at } = account;
            let ask = ask!(sql, id, username, role.as_str(), disabled, password_hash, created_at.0);
            Ok(if connection.count(ask).await? == 1 { Change::Done(()) } else { Change::NameTaken })
        })
        .await
    }

    async fn account_by_name(&self, username: &str) -> Result<Option<Account>> {
        self.account_where("lower(username) = lower($1 COLLATE \"C\")", username).await
    }

    async fn account(&self, id: Uuid) -> Result<Option<Account>> {
        self.account_where("id = $1", id).await
    }

    async fn accounts(&self, after: Option<&str>, limit: usize) -> Result<Vec<Account>> {
        let after = after.unwrap_or_default().to_owned();
        self.pool
            .run(move |connection| {
                async move {
                    let sql = format!(
                        "{ACCOUNT} WHERE lower(username) > lower($1 COLLATE \"C\") ORDER BY lower(username) LIMIT $2"
                    );
                    let rows = connection.rows(ask!(&sql, after, limit as i64)).await?;
                    rows.iter().map(account_of).collect()
                }
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
        let sql = "UPDATE accounts SET role = coalesce($2, role), disabled = coalesce($3, disabled) WHERE id = $1 \
                   RETURNING id, username, role, disabled, password_hash, created_at";
        self.change(answered, move |connection| async move {
            let ask = ask!(sql, id, role.map(Role::as_str), disabled);
            let Some(row) = connection.first(ask).await? else { return Ok(Change::NotFound) };
            let account = account_of(&row)?;
            if account.disabled {
                end_sessions(&connection, id, None).await?;
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
        let sql = "UPDATE accounts SET password_hash = $2 WHERE id = $1";
        self.change(answered, move |connection| async move {
            if connection.count(ask!(sql, id, hash)).await? == 0 {
                return Ok(Change::NotFound);
            }
            end_sessions(&connection, id, keep).await?;
            Ok(Change::Done(()))
        })
        .await
    }

    async fn add_session(&self, session: Session) -> Result<()> {
        let sql = "INSERT INTO sessions (hash, account, created_at, expires_at) VALUES ($1, $2, $3, $4)";
        self.pool
            .run(move |connection| async move {
                let Session { hash, account, created_at, expires_at } = session;
                let ask = ask!(sql, &hash[..], account, created_at.0, expires_at.0);
                connection.count(ask).await.map(drop)
            })
            .await
    }

    async fn end_session(&self, hash: [u8; 32]) -> Result<()> {
        let sql = "DELETE FROM sessions WHERE hash = $1";
        self.pool
            .run(move |connection| async move { connection.count(ask!(sql, &hash[..])).await.map(drop) })
            .await
    }

    async fn add_api_key(&self, key: ApiKey, answered: Option<Answered>) -> Result<Change<()>> {
        let sql = "INSERT INTO api_keys (id, name, role, hash, created_at) VALUES ($1, $2, $3, $4, $5) \
                   ON CONFLICT (name) DO NOTHING";
        self.change(answered, move |connection| async move {
            let ApiKey { id, name, role, hash, created_at } = key;
            let ask = ask!(sql, id, name, role.as_str(), &hash[..], created_at.0);
            Ok(if connection.count(ask).await? == 1 { Change::Done(()) } else { Change::NameTaken })
        })
        .await
    }

    async fn api_keys(&self, after: Option<&str>, limit: usize) -> Result<Vec<ApiKey>> {
        let after = after.unwrap_or_default().to_owned();
        self.pool
            .run(move |connection| async move {
                let sql = format!("{API_KEY} WHERE name > $1 ORDER BY name LIMIT $2");
                let rows = connection.rows(ask!(&sql, after, limit as i64)).await?;
                rows.iter().map(api_key_of).collect()
            })
            .await
    }

    async fn delete_api_key(&self, id: Uuid, answered: Option<Answered>) -> Result<Change<()>> {
        self.change(answered, move |connection| async move {
            let gone = connection.count(ask!("DELETE FROM api_keys WHERE id = $1", id)).await?;
            Ok(if gone == 1 { Change::Done(()) } else { Change::NotFound })
        })
        .await
    }

    async fn principal(&self, hash: [u8; 32], now: Timestamp) -> Result<Option<Principal>> {
        let session = "SELECT accounts.id, username, role, expires_at FROM sessions \
                       JOIN accounts ON accounts.id = sessions.account \
                       WHERE sessions.hash = $1 AND expires_at > $2 AND NOT disabled";
        let key = "SELECT id, name, role FROM api_keys WHERE hash = $1";
        self.pool
            .run(move |connection| async move {
                let asks = [ask!(session, &hash[..], now.0), ask!(key, &hash[..])];
                let answers = connection.pipeline("", &asks, "").await?;
                if let Some(row) = answers[0].first() {
                    let kind = PrincipalKind::Session { expires_at: timestamp(row, 3)? };
                    return principal_of(row, kind).map(Some);
                }
                answers[1].first().map(|row| principal_of(row, PrincipalKind::ApiKey)).transpose()
            })
            .await
    }

    async fn answered(&self, key: Uuid) -> Result<Option<Answered>> {
        self.pool.run(move |connection| async move { find_answered(&connection, key).await }).await
    }

    async fn record(&self, answered: Answered) -> Result<Option<Answered>> {
        Ok(self.change(Some(answered), |_| async { Ok(Change::Done(())) }).await?.replayed())
    }

    async fn prune_accounts(&self, now: Timestamp) -> Result<()> {
        let old = now.plus_seconds(-OUTCOME_HOURS * 3_600);
        let sessions = "DELETE FROM sessions WHERE hash IN \
                        (SELECT hash FROM sessions WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2 \
                        FOR UPDATE SKIP LOCKED)";
        let answers = "DELETE FROM answered WHERE key IN \
                       (SELECT key FROM answered WHERE at < $1 ORDER BY at LIMIT $2 FOR UPDATE SKIP LOCKED)";
        for (sql, before) in [(sessions, now), (answers, old)] {
            let mut gone = PRUNE_ROWS_MAX as u64;
            while gone == PRUNE_ROWS_MAX as u64 {
                gone = self
                    .pool
                    .run(move |connection| async move {
                        connection.count(ask!(sql, before.0, PRUNE_ROWS_MAX)).await
                    })
                    .await?;
            }
        }
        Ok(())
    }
}

/// Records an answer; `false` if its key was used before. Waits for whoever is using it now.
async fn claim(connection: &Connection, answered: &Answered) -> Result<bool> {
    let sql = "INSERT INTO answered (key, fingerprint, status, body, at) VALUES ($1, $2, $3, $4, $5) \
               ON CONFLICT (key) DO NOTHING";
    let Answered { key, fingerprint, status, body, at } = answered;
    let ask = ask!(sql, key, &fingerprint[..], i32::from(*status), body, at.0);
    Ok(connection.count(ask).await? == 1)
}

async fn find_answered(connection: &Connection, key: Uuid) -> Result<Option<Answered>> {
    let sql = "SELECT key, fingerprint, status, body, at FROM answered WHERE key = $1";
    let Some(row) = connection.first(ask!(sql, key)).await? else { return Ok(None) };
    let status = u16::try_from(get::<i32>(&row, 2)?).map_err(|error| damaged("a status", error))?;
    Ok(Some(Answered {
        key: get(&row, 0)?,
        fingerprint: bytes(&row, 1)?,
        status,
        body: get(&row, 3)?,
        at: timestamp(&row, 4)?,
    }))
}

async fn end_sessions(connection: &Connection, account: Uuid, keep: Option<[u8; 32]>) -> Result<()> {
    let sql = "DELETE FROM sessions WHERE account = $1 AND ($2::bytea IS NULL OR hash <> $2)";
    connection.count(ask!(sql, account, keep.as_ref().map(|hash| &hash[..]))).await.map(drop)
}

fn account_of(row: &Row) -> Result<Account> {
    Ok(Account {
        id: get(row, 0)?,
        username: get(row, 1)?,
        role: parsed("a role", row, 2)?,
        disabled: get(row, 3)?,
        password_hash: get(row, 4)?,
        created_at: timestamp(row, 5)?,
    })
}

fn api_key_of(row: &Row) -> Result<ApiKey> {
    Ok(ApiKey {
        id: get(row, 0)?,
        name: get(row, 1)?,
        role: parsed("a role", row, 2)?,
        hash: bytes(row, 3)?,
        created_at: timestamp(row, 4)?,
    })
}

/// From the columns `id, name, role`.
fn principal_of(row: &Row, kind: PrincipalKind) -> Result<Principal> {
    Ok(Principal { id: get(row, 0)?, name: get(row, 1)?, role: parsed("a role", row, 2)?, kind })
}
