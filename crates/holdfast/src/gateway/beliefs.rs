//! What the database said of credentials, believed for a while. However many callers come with one credential, its
//! question is under way once: thousands of requests that ask because an answer has just become too old would have the
//! next answer too old again before the last of them is told.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use tokio::time::Instant;

use super::problem::Problem;

/// How long an answer is believed, from when the database was asked. A revocation on another gateway must hold within 2 s.
const BELIEVED: Duration = Duration::from_secs(1);
/// After this the database is asked again, while the last answer still serves: nobody waits.
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

    /// What is under way and may be joined: its answer is no older than one that is believed.
    fn question(&self, now: Instant) -> Option<&Question<V>> {
        self.question.as_ref().filter(|question| now.saturating_duration_since(question.since) < BELIEVED)
    }
}

type Entries<V> = Arc<Mutex<HashMap<Hash, Entry<V>>>>;

fn locked<V>(entries: &Entries<V>) -> MutexGuard<'_, HashMap<Hash, Entry<V>>> {
    entries.lock().unwrap_or_else(PoisonError::into_inner)
}

pub struct Beliefs<V> {
    entries: Entries<V>,
}

impl<V: Clone + Send + Sync + 'static> Beliefs<V> {
    pub fn new() -> Self {
        Self { entries: Arc::default() }
    }

    /// What is believed of a credential, or what the database says; `None`: nobody stands behind it. `ask` is called
    /// if that has to be asked anew, and runs to its end whoever still waits for it. That there is nobody is not believed.
    pub async fn of<F>(&self, hash: Hash, ask: impl FnOnce() -> F) -> Said<V>
    where
        F: Future<Output = Said<V>> + Send + 'static,
    {
        let said = {
            let now = Instant::now();
            let mut entries = locked(&self.entries);
            let known = entries.get(&hash);
            let belief = known.and_then(|entry| entry.belief(now));
            let value = belief.map(|belief| belief.value.clone());
            if belief.is_some_and(|belief| now.saturating_duration_since(belief.since) < FRESH) {
                return Ok(value);
            }
            let under_way = known.and_then(|entry| entry.question(now));
            let said = match under_way {
                Some(question) => question.said.clone(),
                None => self.begin(&mut entries, hash, now, ask()),
            };
            if value.is_some() {
                return Ok(value);
            }
            said
        };
        said.await
    }

    fn begin(
        &self,
        entries: &mut HashMap<Hash, Entry<V>>,
        hash: Hash,
        now: Instant,
        asking: impl Future<Output = Said<V>> + Send + 'static,
    ) -> Shared<BoxFuture<'static, Said<V>>> {
        if entries.len() >= ENTRIES_MAX && !entries.contains_key(&hash) {
            entries.retain(|_, entry| entry.belief(now).is_some() || entry.question(now).is_some());
            if entries.len() >= ENTRIES_MAX {
                entries.clear();
            }
        }
        let all = self.entries.clone();
        let said = async move {
            let said = asking.await;
            note(&mut locked(&all), hash, now, &said);
            said
        };
        let said = said.boxed().shared();
        let entry = entries.entry(hash).or_insert(Entry { belief: None, question: None });
        entry.question = Some(Question { since: now, said: said.clone() });
        tokio::spawn(said.clone());
        said
    }

    /// Ends the belief in one credential at once. What is under way about it tells its callers, and is not believed.
    pub fn forget(&self, hash: &Hash) {
        locked(&self.entries).remove(hash);
    }

    /// The same for all of which that is so, and for those of which it is not known yet.
    pub fn forget_all(&self, which: impl Fn(&V) -> bool) {
        let stays = |entry: &Entry<V>| entry.belief.as_ref().is_some_and(|belief| !which(&belief.value));
        locked(&self.entries).retain(|_, entry| stays(entry));
    }
}

/// Keeps an answer, unless its credential was forgotten or asked about anew meanwhile.
fn note<V: Clone>(entries: &mut HashMap<Hash, Entry<V>>, hash: Hash, since: Instant, said: &Said<V>) {
    let Some(entry) = entries.get_mut(&hash) else { return };
    if entry.question.as_ref().is_none_or(|question| question.since != since) {
        return;
    }
    entry.question = None;
    match said {
        Ok(Some(value)) => entry.belief = Some(Belief { value: value.clone(), since }),
        Ok(None) => entry.belief = None,
        // What was believed is, to the end of its time.
        Err(_) => {}
    }
    if entry.belief.is_none() {
        entries.remove(&hash);
    }
}

#[cfg(test)]
#[path = "beliefs_tests.rs"]
mod tests;
