//! Accounts, sessions and API keys: who may speak. Secrets are stored only as hashes made by the caller
//! (Argon2id for passwords, SHA-256 for tokens and keys).
//!
//! These are ordinary tables beside the log. An `Idempotency-Key` on one of these calls is recorded in the same
//! transaction as the change; what a call that changes nothing here was answered, a refusal above all, is recorded by
//! itself.

use async_trait::async_trait;
use holdfast_domain::{Role, Timestamp};
use uuid::Uuid;

use crate::Result;

#[derive(Debug, Clone, PartialEq)]
pub struct Account {
    pub id: Uuid,
    pub username: String,
    pub role: Role,
    pub disabled: bool,
    /// PHC string of Argon2id.
    pub password_hash: String,
    pub created_at: Timestamp,
}

#[derive(Debug, Clone, PartialEq)]
pub struct ApiKey {
    pub id: Uuid,
    pub name: String,
    pub role: Role,
    /// SHA-256 of the key.
    pub hash: [u8; 32],
    pub created_at: Timestamp,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Session {
    /// SHA-256 of the token.
    pub hash: [u8; 32],
    pub account: Uuid,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
}

/// Who stands behind a token or key right now (disabled accounts and expired sessions stand behind nothing).
#[derive(Debug, Clone, PartialEq)]
pub struct Principal {
    /// The account's or API key's id.
    pub id: Uuid,
    /// The username or the key's name.
    pub name: String,
    pub role: Role,
    pub kind: PrincipalKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrincipalKind {
    Session { expires_at: Timestamp },
    ApiKey,
}

/// What an idempotent call outside the log was answered with.
#[derive(Debug, Clone, PartialEq)]
pub struct Answered {
    /// UUIDv5 of account, method, path and key.
    pub key: Uuid,
    pub fingerprint: [u8; 16],
    pub status: u16,
    /// The body without secrets.
    pub body: String,
    pub at: Timestamp,
}

/// What came of a change that an `Idempotency-Key` may guard.
#[derive(Debug, Clone, PartialEq)]
pub enum Change<T> {
    Done(T),
    /// The name is taken (usernames and key names are unique; usernames without regard to case).
    NameTaken,
    NotFound,
    /// The key was used before; compare the fingerprint.
    Replayed(Answered),
}

impl<T> Change<T> {
    /// The answer that the key was given before, if it was.
    pub(crate) fn replayed(self) -> Option<Answered> {
        match self {
            Change::Replayed(earlier) => Some(earlier),
            Change::Done(_) | Change::NameTaken | Change::NotFound => None,
        }
    }
}

#[async_trait]
pub trait Accounts: Send + Sync {
    async fn add_account(&self, account: Account, answered: Option<Answered>) -> Result<Change<()>>;
    async fn account_by_name(&self, username: &str) -> Result<Option<Account>>;
    async fn account(&self, id: Uuid) -> Result<Option<Account>>;
    /// By username, after `after`.
    async fn accounts(&self, after: Option<&str>, limit: usize) -> Result<Vec<Account>>;
    /// Changes role or disabled state; disabling ends the sessions.
    async fn update_account(
        &self,
        id: Uuid,
        role: Option<Role>,
        disabled: Option<bool>,
        answered: Option<Answered>,
    ) -> Result<Change<Account>>;
    /// Sets the password and ends all sessions but `keep`.
    async fn set_password(
        &self,
        id: Uuid,
        hash: String,
        keep: Option<[u8; 32]>,
        answered: Option<Answered>,
    ) -> Result<Change<()>>;

    async fn add_session(&self, session: Session) -> Result<()>;
    async fn end_session(&self, hash: [u8; 32]) -> Result<()>;

    async fn add_api_key(&self, key: ApiKey, answered: Option<Answered>) -> Result<Change<()>>;
    async fn api_keys(&self, after: Option<&str>, limit: usize) -> Result<Vec<ApiKey>>;
    async fn delete_api_key(&self, id: Uuid, answered: Option<Answered>) -> Result<Change<()>>;

    /// Who stands behind the SHA-256 of a session token or API key at `now`.
    async fn principal(&self, hash: [u8; 32], now: Timestamp) -> Result<Option<Principal>>;

    async fn answered(&self, key: Uuid) -> Result<Option<Answered>>;
    /// Records what a call that changes nothing here was answered. If its key was used before, that answer stays, and
    /// is returned.
    async fn record(&self, answered: Answered) -> Result<Option<Answered>>;

    /// Deletes expired sessions and answers older than 24 h, in small batches.
    async fn prune_accounts(&self, now: Timestamp) -> Result<()>;
}
