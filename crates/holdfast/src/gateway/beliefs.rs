//! What the database said of credentials, believed for a while. However many callers come with one credential, one question
//! about it is under way, and another only once that is as old as an answer may be: thousands of requests that each ask
//! because an answer has just become too old would have the next answer too old again before the last of them is told.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use tokio::time::Instant;

use super::problem::Problem;

/// How long an answer is believed, from when the database was asked. A revocation on another gateway must hold within 2 s.
const BELIEVED: Duration = Duration::from_secs(1);
/// After this the database is asked again while the last answer still serves, so that nobody waits for a credential in use.
const FRESH: Duration = Duration::from_millis(500);
/// Credentials that are believed, or asked about, at the same time.
const ENTRIES_MAX: usize = 65_536;

/// The SHA-256 of a token or key.
pub type Hash = [u8; 32];
type Said<V> = Result<Option<V>, Problem>;

struct Belief<V> {
    value: V,
    since: Instant,
}

struct Question<V> {
    number: u64,
    since: Instant,
    said: Shared<BoxFuture<'static, Said<V>>>,
}

struct Entry<V> {
    belief: Option<Belief<V>>,
    question: Option<Question<V>>,
}

impl<V> Entry<V> {
    fn belief(&self, now: Instant) -> Option<&Belief<V>> {
        self.belief.as_ref().filter(|belief| now.saturating_duration_since(belief.since) < BELIEVED)
    }

    /// What is under way and may be joined: the database was asked no longer ago than where an answer is believed.
    fn question(&self, now: Instant) -> Option<&Question<V>> {
        self.question.as_ref().filter(|question| now.saturating_duration_since(question.since) < BELIEVED)
    }
}

struct All<V> {
    entries: HashMap<Hash, Entry<V>>,
    questions: u64,
}

type Shelf<V> = Mutex<All<V>>;

fn locked<V>(all: &Shelf<V>) -> MutexGuard<'_, All<V>> {
    all.lock().unwrap_or_else(PoisonError::into_inner)
}

pub struct Beliefs<V> {
    all: Arc<Shelf<V>>,
}

impl<V: Clone + Send + Sync + 'static> Beliefs<V> {
    pub fn new() -> Self {
        Self { all: Arc::new(Mutex::new(All { entries: HashMap::new(), questions: 0 })) }
    }

    /// What is believed of a credential, or what the database says; `None`: nobody stands behind it, which is never
    /// believed. `ask` is called, under a lock, if the database has to be asked; what it returns runs to its end whoever still
    /// waits for it.
    pub async fn of<F>(&self, hash: Hash, ask: impl FnOnce() -> F) -> Said<V>
    where
        F: Future<Output = Said<V>> + Send + 'static,
    {
        let said = {
            let now = Instant::now();
            let mut all = locked(&self.all);
            let known = all.entries.get(&hash);
            let belief = known.and_then(|entry| entry.belief(now));
            let value = belief.map(|belief| belief.value.clone());
            if belief.is_some_and(|belief| now.saturating_duration_since(belief.since) < FRESH) {
                return Ok(value);
            }
            let under_way = known.and_then(|entry| entry.question(now));
            let said = match under_way {
                Some(question) => question.said.clone(),
                None => all.begin(hash, now, ask(), Arc::downgrade(&self.all)),
            };
            if value.is_some() {
                return Ok(value);
            }
            said
        };
        said.await
    }

    /// Ends the belief in one credential at once. What is under way about it tells its callers, and is not believed.
    pub fn forget(&self, hash: &Hash) {
        locked(&self.all).entries.remove(hash);
    }

    /// The same for all of which that is so, and for those of which it is not known yet.
    pub fn forget_all(&self, which: impl Fn(&V) -> bool) {
        let stays = |entry: &Entry<V>| entry.belief.as_ref().is_some_and(|belief| !which(&belief.value));
        locked(&self.all).entries.retain(|_, entry| stays(entry));
    }
}

impl<V: Clone + Send + Sync + 'static> All<V> {
    /// Asks, in a task of its own: a caller that goes away does not take the question of others along.
    fn begin(
        &mut self,
        hash: Hash,
        now: Instant,
        asking: impl Future<Output = Said<V>> + Send + 'static,
        home: Weak<Shelf<V>>,
    ) -> Shared<BoxFuture<'static, Said<V>>> {
        self.make_room(hash, now);
        self.questions += 1;
        let number = self.questions;
        let said = async move {
            let said = AssertUnwindSafe(asking).catch_unwind().await.unwrap_or_else(|_panic| {
                tracing::error!("asking who stands behind a credential panicked");
                Err(Problem::internal())
            });
            if let Some(home) = home.upgrade() {
                locked(&home).note(hash, number, now, &said);
            }
            said
        };
        let said = said.boxed().shared();
        let entry = self.entries.entry(hash).or_insert(Entry { belief: None, question: None });
        entry.question = Some(Question { number, since: now, said: said.clone() });
        tokio::spawn(said.clone());
        said
    }

    /// Where there is none, questions without a belief go first: anybody can have any number of those asked.
    fn make_room(&mut self, hash: Hash, now: Instant) {
        if self.entries.len() < ENTRIES_MAX || self.entries.contains_key(&hash) {
            return;
        }
        self.entries.retain(|_, entry| entry.belief(now).is_some());
        if self.entries.len() >= ENTRIES_MAX {
            self.entries.clear();
        }
    }

    /// Keeps an answer, unless its credential was forgotten meanwhile, or another question about it has begun.
    fn note(&mut self, hash: Hash, number: u64, since: Instant, said: &Said<V>) {
        let Some(entry) = self.entries.get_mut(&hash) else { return };
        if entry.question.as_ref().is_none_or(|question| question.number != number) {
            return;
        }
        entry.question = None;
        match said {
            Ok(Some(value)) => entry.belief = Some(Belief { value: value.clone(), since }),
            Ok(None) => entry.belief = None,
            // The belief of before lasts to the end of its time.
            Err(_) => {}
        }
        if entry.belief.is_none() {
            self.entries.remove(&hash);
        }
    }
}

#[cfg(test)]
#[path = "beliefs_tests.rs"]
mod tests;
