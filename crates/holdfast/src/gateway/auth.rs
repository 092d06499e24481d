//! Who stands behind a credential; passwords, tokens and keys. Secrets are stored only as hashes: Argon2id for what
//! people choose (OWASP's 19 MiB, 2 passes, 1 lane), SHA-256 for what is 256 random bits.

use std::sync::Arc;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use holdfast_domain::Actor;
use holdfast_store::Accounts;
use sha2::{Digest, Sha256};
use tokio::sync::{Semaphore, TryAcquireError};
use uuid::Uuid;

use super::beliefs::{Beliefs, Hash};
use super::caller::{SignedIn, bearer, header_text};
use super::problem::Problem;
use crate::clock;

/// The session cookie.
pub const COOKIE: &str = "holdfast_session";
/// Passwords that are hashed at the same time, so that sign-ins never starve orders.
const HASHED_AT_ONCE: usize = 2;
/// Passwords that are hashed or wait for it; beyond that, sign-ins are told to come back.
const HASHES_WAITING_MAX: usize = 64;
const PASSWORD_CHARACTERS_MIN: usize = 12;
const PASSWORD_CHARACTERS_MAX: usize = 128;
const NAME_CHARACTERS_MAX: usize = 64;
const SECRET_BYTES: usize = 32;
const API_KEY_PREFIX: &str = "hf_";
const ARGON2_KIB: u32 = 19 * 1024;
const ARGON2_PASSES: u32 = 2;
const ARGON2_LANES: u32 = 1;
/// What a password is compared with when there is no such account: the same work, and it never fits.
const NOBODYS_HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5IGlzIGhlcmUuLg$\
                            AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// A session token or API key as it came, and whether a browser added it by itself.
#[derive(Clone)]
pub struct Credential {
    pub secret: String,
    pub from_cookie: bool,
}

/// What a request is signed in with: the bearer token first, the session cookie else.
pub fn credential(headers: &HeaderMap) -> Option<Credential> {
    if headers.contains_key(header::AUTHORIZATION) {
        // A header that is no bearer token is a credential that nobody stands behind.
        let secret = bearer(headers).unwrap_or_default().to_owned();
        return Some(Credential { secret, from_cookie: false });
    }
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let secret = cookies
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find_map(|(name, value)| (name == COOKIE && !value.is_empty()).then(|| value.to_owned()))?;
    Some(Credential { secret, from_cookie: true })
}

/// Whether a browser says that one of this site's own pages sent this, or that a person did.
pub fn same_site(headers: &HeaderMap) -> bool {
    if let Some(site) = header_text(headers, "sec-fetch-site") {
        return matches!(site, "same-origin" | "none");
    }
    let Some(origin) = header_text(headers, "origin") else { return false };
    let Some((_scheme, authority)) = origin.split_once("://") else { return false };
    header_text(headers, "host").is_some_and(|host| host.eq_ignore_ascii_case(authority))
}

/// Whether a browser says that a page of another site sent this. Programs say nothing of the kind.
pub fn cross_site(headers: &HeaderMap) -> bool {
    let from_browser = headers.contains_key("sec-fetch-site") || headers.contains_key(header::ORIGIN);
    from_browser && !same_site(headers)
}

/// Usernames and names of API keys: `[A-Za-z0-9._-]{1,64}`. The error says what is wrong.
pub fn check_username(name: &str) -> Result<(), &'static str> {
    let fits = (1..=NAME_CHARACTERS_MAX).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    if fits { Ok(()) } else { Err("must be 1 to 64 letters, digits, dots, underscores or hyphens") }
}

/// Whether a password is good enough. The error says why not.
pub fn check_password(password: &str, username: &str) -> Result<(), &'static str> {
    let characters = password.chars().count();
    if characters < PASSWORD_CHARACTERS_MIN {
        return Err("a password has at least 12 characters");
    }
    if characters > PASSWORD_CHARACTERS_MAX {
        return Err("a password has at most 128 characters");
    }
    if password.to_lowercase() == username.to_lowercase() {
        return Err("a password is not the username");
    }
    Ok(())
}

/// A new session token: 256 random bits.
pub fn new_token() -> String {
    let mut bytes = [0; SECRET_BYTES];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A new API key: `hf_` and 256 random bits.
pub fn new_api_key() -> String {
    format!("{API_KEY_PREFIX}{}", new_token())
}

/// What of a token or key is stored and looked up: its SHA-256.
pub fn hash_secret(secret: &str) -> Hash {
    Sha256::digest(secret.as_bytes()).into()
}

fn argon2() -> Argon2<'static> {
    let params =
        Params::new(ARGON2_KIB, ARGON2_PASSES, ARGON2_LANES, None).expect("the parameters are in range");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

/// Hashes a password into a PHC string, off the async threads.
pub async fn hash_password(password: String) -> anyhow::Result<String> {
    let hash = tokio::task::spawn_blocking(move || {
        let hash: Result<PasswordHash, _> = argon2().hash_password(password.as_bytes());
        hash.map(|hash| hash.to_string())
    });
    hash.await?.map_err(|error| anyhow::anyhow!("the password cannot be hashed: {error}"))
}

fn verify(password: &str, phc: &str) -> bool {
    match PasswordHash::new(phc) {
        Ok(hash) => argon2().verify_password(password.as_bytes(), &hash).is_ok(),
        Err(error) => {
            tracing::error!(%error, "a stored password hash cannot be read");
            false
        }
    }
}

/// Finds out who calls.
pub struct Auth {
    accounts: Arc<dyn Accounts>,
    beliefs: Beliefs<Arc<SignedIn>>,
    hashing: Semaphore,
    waiting: Semaphore,
    /// Held while the last admin could change: two admins must not demote each other at the same time.
    pub admins: tokio::sync::Mutex<()>,
}

impl Auth {
    pub fn new(accounts: Arc<dyn Accounts>) -> Self {
        Self {
            accounts,
            beliefs: Beliefs::new(),
            hashing: Semaphore::new(HASHED_AT_ONCE),
            waiting: Semaphore::new(HASHES_WAITING_MAX),
            admins: tokio::sync::Mutex::default(),
        }
    }

    /// Who stands behind a token or key; `None`: nobody (any more).
    pub async fn identify(&self, secret: &str) -> Result<Option<Arc<SignedIn>>, Problem> {
        let hash = hash_secret(secret);
        let accounts = &self.accounts;
        self.beliefs.of(hash, || ask(accounts.clone(), hash)).await
    }

    /// Ends the belief in one token or key, at once on this gateway.
    pub fn forget(&self, hash: &Hash) {
        self.beliefs.forget(hash);
    }

    /// Ends the belief in everything that an account or API key is signed in with, at once on this gateway.
    pub fn forget_all_of(&self, id: Uuid) {
        self.beliefs.forget_all(|who| who.id == id);
    }

    /// Runs one of the expensive hashes when it is its turn; 503 when too many wait.
    async fn in_turn<T>(&self, work: impl Future<Output = T>) -> Result<T, Problem> {
        let _waiting = self.waiting.try_acquire().map_err(|error| match error {
            TryAcquireError::NoPermits => Problem::unavailable("overloaded", "Too many are signing in."),
            TryAcquireError::Closed => Problem::unavailable("stopping", "This server is stopping."),
        })?;
        let _turn = self.hashing.acquire().await;
        Ok(work.await)
    }

    /// The PHC string of a password.
    pub async fn hash_password(&self, password: String) -> Result<String, Problem> {
        self.in_turn(hash_password(password)).await?.map_err(|error| failed(&error))
    }

    /// Whether a password fits a PHC string; without one (no such account) it takes the same time and says no.
    pub async fn verify_password(&self, password: String, phc: Option<String>) -> Result<bool, Problem> {
        let checked = tokio::task::spawn_blocking(move || match phc {
            Some(phc) => verify(&password, &phc),
            None => {
                // The work must be done, whatever the compiler thinks of its use.
                std::hint::black_box(verify(&password, NOBODYS_HASH));
                false
            }
        });
        self.in_turn(checked).await?.map_err(|error| failed(&error))
    }

    /// The fingerprint of content with a password in it: as slow to guess from as the password's own hash.
    pub async fn fingerprint(&self, key: Uuid, content: String) -> Result<[u8; 16], Problem> {
        let hashed = tokio::task::spawn_blocking(move || {
            let mut fingerprint = [0; 16];
            argon2()
                .hash_password_into(content.as_bytes(), key.as_bytes(), &mut fingerprint)
                .map(|()| fingerprint)
        });
        let hashed = self.in_turn(hashed).await?.map_err(|error| failed(&error))?;
        hashed.map_err(|error| failed(&error))
    }
}

/// Asks the database who stands behind a token or key.
async fn ask(accounts: Arc<dyn Accounts>, hash: Hash) -> Result<Option<Arc<SignedIn>>, Problem> {
    let principal = accounts.principal(hash, clock::now()).await?;
    Ok(principal.map(|principal| {
        Arc::new(SignedIn {
            id: principal.id,
            name: principal.name,
            role: principal.role,
            kind: principal.kind,
            hash,
            actor: Actor::new(principal.id.to_string(), principal.role),
        })
    }))
}

fn failed(error: &dyn std::fmt::Display) -> Problem {
    tracing::error!(%error, "a password could not be hashed");
    Problem::internal()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value")))
            .collect()
    }

    #[test]
    fn a_bearer_token_goes_before_the_cookie() {
        let both = headers(&[("authorization", "bearer abc"), ("cookie", "a=b; holdfast_session=xyz")]);
        let found = credential(&both).expect("there is one");
        assert_eq!((found.secret.as_str(), found.from_cookie), ("abc", false));
        let cookie = headers(&[("cookie", "a=b; holdfast_session=xyz")]);
        let found = credential(&cookie).expect("there is one");
        assert_eq!((found.secret.as_str(), found.from_cookie), ("xyz", true));
        let basic = credential(&headers(&[("authorization", "Basic abc")])).expect("a useless one");
        assert_eq!((basic.secret.as_str(), basic.from_cookie), ("", false));
        assert!(credential(&headers(&[("cookie", "holdfast_session=")])).is_none());
    }

    #[test]
    fn only_this_site_s_own_pages_count_as_same_site() {
        for (pairs, same, cross) in [
            (&[("sec-fetch-site", "same-origin")][..], true, false),
            (&[("sec-fetch-site", "none")], true, false),
            (&[("sec-fetch-site", "same-site")], false, true),
            (&[("sec-fetch-site", "cross-site"), ("origin", "http://h"), ("host", "h")], false, true),
            (&[("origin", "http://h:1"), ("host", "h:1")], true, false),
            (&[("origin", "http://h:2"), ("host", "h:1")], false, true),
            (&[("origin", "null"), ("host", "null")], false, true),
            (&[], false, false),
        ] {
            let headers = headers(pairs);
            assert_eq!((same_site(&headers), cross_site(&headers)), (same, cross), "{pairs:?}");
        }
    }

    #[test]
    fn names_and_passwords_are_checked() {
        for good in ["a", "A.b_c-9", &"x".repeat(64)] {
            assert_eq!(check_username(good), Ok(()), "{good}");
        }
        for bad in ["", "a b", "ä", "a/b", &"x".repeat(65)] {
            assert!(check_username(bad).is_err(), "{bad}");
        }
        assert_eq!(check_password("twelve chars", "somebody"), Ok(()));
        assert_eq!(check_password(&"ü".repeat(128), "somebody"), Ok(()));
        for bad in ["eleven char", &"x".repeat(129), "Name-Of-Somebody"] {
            assert!(check_password(bad, "name-of-somebody").is_err(), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_password_fits_its_own_hash_only_and_nobody_s_fits_none() {
        let hash = hash_password("correct horse battery".to_owned()).await.expect("hashed");
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert!(verify("correct horse battery", &hash));
        assert!(!verify("correct horse batterz", &hash));
        let nobody = PasswordHash::new(NOBODYS_HASH).expect("it is a hash like all others");
        assert_eq!(nobody.params.to_string(), PasswordHash::new(&hash).expect("a hash").params.to_string());
        assert_eq!(nobody.hash.expect("an output").len(), 32);
        assert!(!verify("anything", NOBODYS_HASH));
    }

    #[test]
    fn secrets_are_long_and_differ() {
        assert_eq!(new_token().len(), 43);
        assert_ne!(new_token(), new_token());
        assert!(new_api_key().starts_with("hf_"));
    }
}
