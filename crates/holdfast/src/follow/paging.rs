//! The first so many of a search, and where the next page begins: a cursor names the last key of its page, so pages
//! stay where they are while items come and go.

use std::borrow::Cow;
use std::cmp::Ordering;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use holdfast_domain::Sku;
use serde::{Deserialize, Serialize};

use super::search::{ItemQuery, Sort, SortBy};

/// The beginning of a [`Key`], in numbers: enough to tell most matches from those of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rough {
    pub group: u8,
    pub number: i64,
    /// The first bytes of the key's `first`, in the order of the alphabet.
    pub first: u64,
}

/// What a match is ordered by, most important first; `sku` makes it unique.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key<'a> {
    pub rough: Rough,
    pub first: &'a str,
    pub second: &'a str,
    pub sku: &'a str,
}

#[derive(Serialize, Deserialize)]
struct Cursor<'a> {
    /// Of the query: a cursor belongs to one.
    q: u64,
    g: u8,
    n: i64,
    f: Cow<'a, str>,
    s: Cow<'a, str>,
    k: Cow<'a, str>,
}

impl Cursor<'_> {
    fn rough(&self) -> Rough {
        Rough { group: self.g, number: self.n, first: start_of(&self.f) }
    }
}

/// The first eight bytes as a number: what is less is first in the alphabet, what is equal may be either.
pub fn start_of(text: &str) -> u64 {
    let mut start = [0; 8];
    let length = text.len().min(start.len());
    start[..length].copy_from_slice(&text.as_bytes()[..length]);
    u64::from_be_bytes(start)
}

fn decode(text: &str) -> Option<Cursor<'static>> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}

/// Whether a search ever gave this out.
pub fn is_cursor(text: &str) -> bool {
    decode(text).is_some()
}

pub struct NotThisCursor;

/// Keeps the best of many.
pub struct Best<'a> {
    limit: usize,
    /// By text, from Z to A.
    reversed: bool,
    query: u64,
    after: Option<Cursor<'static>>,
    kept: Vec<Key<'a>>,
    /// Once more than enough were seen: the last one that can still be among them.
    bar: Option<Key<'a>>,
}

impl<'a> Best<'a> {
    pub fn new(query: &ItemQuery) -> Result<Self, NotThisCursor> {
        let number = query_number(query);
        let after = match &query.cursor {
            None => None,
            Some(text) => Some(decode(text).filter(|cursor| cursor.q == number).ok_or(NotThisCursor)?),
        };
        let reversed = match query.sort {
            Some(SortBy { sort: Sort::Brand | Sort::Model | Sort::Sku, descending }) => descending,
            Some(SortBy { sort: Sort::Price | Sort::Available, .. }) | None => false,
        };
        let limit = query.limit.max(1);
        Ok(Self { limit, reversed, query: number, after, kept: Vec::with_capacity(2 * limit + 2), bar: None })
    }

    /// Whether a match that begins like this can be on the page; if not, it need not be offered.
    pub fn may_take(&self, rough: &Rough) -> bool {
        self.after.as_ref().is_none_or(|after| self.roughly(rough, &after.rough()) != Ordering::Less)
            && self.bar.as_ref().is_none_or(|bar| self.roughly(rough, &bar.rough) != Ordering::Greater)
    }

    fn roughly(&self, a: &Rough, b: &Rough) -> Ordering {
        let by_text = a.first.cmp(&b.first);
        let by_text = if self.reversed { by_text.reverse() } else { by_text };
        (a.group, a.number).cmp(&(b.group, b.number)).then(by_text)
    }

    pub fn offer(&mut self, key: Key<'a>) {
        if let Some(after) = &self.after {
            let after = Key { rough: after.rough(), first: &after.f, second: &after.s, sku: &after.k };
            if compare(&key, &after, self.reversed) != Ordering::Greater {
                return;
            }
        }
        if self.bar.as_ref().is_some_and(|bar| compare(&key, bar, self.reversed) != Ordering::Less) {
            return;
        }
        self.kept.push(key);
        // One more than the page, to know whether there is a next one.
        let enough = self.limit + 1;
        if self.kept.len() >= 2 * enough {
            let reversed = self.reversed;
            self.kept.select_nth_unstable_by(enough - 1, |a, b| compare(a, b, reversed));
            self.kept.truncate(enough);
            self.bar = self.kept.last().cloned();
        }
    }

    /// The page in its order, and the cursor of the next one.
    pub fn finish(mut self) -> (Vec<Sku>, Option<String>) {
        let reversed = self.reversed;
        self.kept.sort_unstable_by(|a, b| compare(a, b, reversed));
        let more = self.kept.len() > self.limit;
        self.kept.truncate(self.limit);
        let next = self.kept.last().filter(|_| more).map(|last| {
            let cursor = Cursor {
                q: self.query,
                g: last.rough.group,
                n: last.rough.number,
                f: last.first.into(),
                s: last.second.into(),
                k: last.sku.into(),
            };
            URL_SAFE_NO_PAD.encode(serde_json::to_vec(&cursor).expect("a cursor is plain data"))
        });
        let sku = |key: &Key<'_>| Sku::new(key.sku).expect("keys are made of SKUs");
        (self.kept.iter().map(sku).collect(), next)
    }
}

fn compare(a: &Key<'_>, b: &Key<'_>, reversed: bool) -> Ordering {
    let by_text = a.first.cmp(b.first);
    let by_text = if reversed { by_text.reverse() } else { by_text };
    (a.rough.group, a.rough.number)
        .cmp(&(b.rough.group, b.rough.number))
        .then(by_text)
        .then_with(|| a.second.cmp(b.second))
        .then_with(|| a.sku.cmp(b.sku))
}

/// FNV-1a over everything but the page: the same in every process.
fn query_number(query: &ItemQuery) -> u64 {
    let ItemQuery { query, brands, min_price, max_price, in_stock, sort, limit: _, cursor: _ } = query;
    let text = format!("{:?}", (query, brands, min_price, max_price, in_stock, sort));
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
