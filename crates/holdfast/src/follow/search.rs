//! Search over the catalogue, in memory: words, filters, order, pages and facets.
//!
//! All words of a query must match; the last one may be unfinished. One typo a word is forgiven where the word that
//! was meant has four letters or more: a letter inserted, dropped, replaced, or two neighbours swapped.
//! Better matches come first: exact, then unfinished, then mistyped; in brand, model or SKU before elsewhere.

use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use foldhash::HashMap;
use holdfast_domain::{Item, Sku, ValueError};
use serde::Serialize;
use smol_str::{SmolStr, StrExt};

pub use super::paging::is_cursor;
use super::paging::{Best, Key, Rough, start_of};
use super::words::{DOCUMENT_MAX, Field, Words, beside, words_of};

/// Words of a query that are looked at.
const QUERY_WORDS_MAX: usize = 12;
/// Brands that facets name, the most frequent ones.
const BRAND_FACETS_MAX: usize = 100;
/// Price ranges that facets name.
const PRICE_FACETS_MAX: usize = 6;

/// What to order by. Without one: sold-out last, best match first, then by brand and model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    Price,
    Brand,
    Model,
    Available,
    Sku,
}

/// An order and its direction: `price` or `-price`, as the API writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SortBy {
    pub sort: Sort,
    pub descending: bool,
}

impl FromStr for SortBy {
    type Err = ValueError;
    fn from_str(text: &str) -> Result<Self, ValueError> {
        let (word, descending) = text.strip_prefix('-').map_or((text, false), |word| (word, true));
        let sort = match word {
            "price" => Sort::Price,
            "brand" => Sort::Brand,
            "model" => Sort::Model,
            "available" => Sort::Available,
            "sku" => Sort::Sku,
            _ => {
                let message =
                    "sort must be price, brand, model, available or sku, with a - before it for descending";
                return Err(ValueError(message.to_owned()));
            }
        };
        Ok(Self { sort, descending })
    }
}

/// What to look for.
#[derive(Debug, Clone, Default)]
pub struct ItemQuery {
    pub query: Option<String>,
    /// Any of these, in any case; empty: all.
    pub brands: Vec<String>,
    /// Minor units, inclusive.
    pub min_price: Option<i64>,
    /// Minor units, inclusive; exclusive when both ends are those of a price range in the facets.
    pub max_price: Option<i64>,
    /// Only what is in stock.
    pub in_stock: bool,
    pub sort: Option<SortBy>,
    pub limit: usize,
    /// The `next_cursor` of the page before, of the same query.
    pub cursor: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FacetValue {
    pub value: String,
    pub count: usize,
}

/// Minor units: `from` inclusive, `to` exclusive, `null`: no upper end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct FacetRange {
    pub from: i64,
    pub to: Option<i64>,
    pub count: usize,
}

/// How many matches there are by brand (without regard to the brand filter) and price (likewise).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Facets {
    pub brand: Vec<FacetValue>,
    pub price: Vec<FacetRange>,
}

#[derive(Debug, Default)]
pub struct Found {
    pub skus: Vec<Sku>,
    pub total: usize,
    pub facets: Facets,
    pub next_cursor: Option<String>,
}

/// What every search looks at, close together: one row a document, by its number.
struct Row {
    /// Changes with every order; all else needs the index's write lock.
    available: AtomicI64,
    price: i64,
    /// [`start_of`] the model.
    model_start: u64,
    /// [`FREE`]: nobody has this number.
    brand: u32,
    price_step: u8,
}

const FREE: u32 = u32::MAX;

/// What a search looks at where it comes to it.
struct Document {
    item: Arc<Item>,
    sku: Sku,
    /// In small letters.
    model: SmolStr,
}

struct Brand {
    name: SmolStr,
    lower: SmolStr,
    start: u64,
}

/// The different words of an item, each with the best field that it is in.
pub struct ItemWords(Vec<(SmolStr, Field)>);

impl ItemWords {
    pub fn of(item: &Item) -> Self {
        let names = [item.brand.as_str(), item.model.as_str(), item.sku.as_str()];
        let names = names.into_iter().flat_map(words_of).map(|word| (word, Field::Name));
        let attributes = item.attributes.iter().flat_map(|(name, value)| [name, value]);
        let texts = attributes.chain([item.description.as_str()]);
        let texts = texts.flat_map(words_of).map(|word| (word, Field::Text));
        let mut words: Vec<(SmolStr, Field)> = names.chain(texts).collect();
        words.sort_unstable();
        words.dedup_by(|later, first| later.0 == first.0);
        Self(words)
    }
}

#[derive(Default)]
pub struct SearchIndex {
    rows: Vec<Row>,
    documents: Vec<Option<Document>>,
    free: Vec<u32>,
    words: Words,
    brands: Vec<Brand>,
    brand_numbers: HashMap<SmolStr, u32>,
}

impl SearchIndex {
    /// An index of many items at once, each with what is available; they get the numbers 0, 1, 2, …
    pub fn load(items: &[(Arc<Item>, i64)]) -> Self {
        let (words, mut index) = beside(
            || Words::load(items, |(item, _)| ItemWords::of(item).0),
            || {
                let mut index = Self::default();
                index.rows.reserve_exact(items.len());
                index.documents.reserve_exact(items.len());
                for (item, available) in items {
                    let number = index.number();
                    index.put(number, item, *available);
                }
                index
            },
        );
        index.words = words;
        index
    }

    /// Adds an item with its [`ItemWords`] and says the number that it is changed by.
    pub fn add(&mut self, item: &Arc<Item>, words: ItemWords, available: i64) -> u32 {
        let number = self.number();
        for (word, field) in words.0 {
            self.words.add(&word, number, field);
        }
        self.put(number, item, available);
        number
    }

    pub fn update(&mut self, number: u32, item: &Arc<Item>, words: ItemWords, available: i64) {
        let old = ItemWords::of(&self.document(number).item);
        if old.0 != words.0 {
            for (word, _) in old.0 {
                self.words.remove(&word, number);
            }
            for (word, field) in words.0 {
                self.words.add(&word, number, field);
            }
        }
        self.put(number, item, available);
    }

    pub fn remove(&mut self, number: u32) {
        let document = self.documents[number as usize].take().expect("an indexed item has a document");
        for (word, _) in ItemWords::of(&document.item).0 {
            self.words.remove(&word, number);
        }
        self.rows[number as usize].brand = FREE;
        self.free.push(number);
    }

    pub fn set_available(&self, number: u32, available: i64) {
        self.rows[number as usize].available.store(available, Relaxed);
    }

    /// How many numbers a search goes through.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// A number that nobody has.
    fn number(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            let number = u32::try_from(self.rows.len()).ok().filter(|number| *number <= DOCUMENT_MAX);
            let available = AtomicI64::new(0);
            self.rows.push(Row { available, price: 0, model_start: 0, brand: FREE, price_step: 0 });
            self.documents.push(None);
            number.expect("a catalogue has fewer than 2^31 items")
        })
    }

    fn put(&mut self, number: u32, item: &Arc<Item>, available: i64) {
        let price = item.price.0.amount;
        let model = item.model.as_str().to_lowercase_smolstr();
        self.rows[number as usize] = Row {
            available: AtomicI64::new(available),
            price,
            model_start: start_of(&model),
            brand: self.brand(item.brand.as_str()),
            price_step: price_step(price),
        };
        self.documents[number as usize] = Some(Document { item: item.clone(), sku: item.sku.clone(), model });
    }

    fn document(&self, number: u32) -> &Document {
        self.documents[number as usize].as_ref().expect("an indexed item has a document")
    }

    fn brand(&mut self, name: &str) -> u32 {
        let lower = name.to_lowercase_smolstr();
        if let Some(number) = self.brand_numbers.get(&lower) {
            return *number;
        }
        let number = u32::try_from(self.brands.len()).expect("there are fewer brands than items");
        self.brands.push(Brand { name: name.into(), lower: lower.clone(), start: start_of(&lower) });
        self.brand_numbers.insert(lower, number);
        number
    }

    pub fn search(&self, query: &ItemQuery) -> Found {
        let Ok(mut best) = Best::new(query) else { return Found::default() };
        let scores = match query.query.as_deref().map(str::trim) {
            None | Some("") => None,
            Some(text) => Some(self.scores(text)),
        };
        let scores = scores.as_deref();
        let wanted_brands = self.wanted_brands(&query.brands);
        let wanted_brands = wanted_brands.as_deref();
        let max_price = self.last_price(query, scores, wanted_brands).unwrap_or(i64::MAX);
        let min_price = query.min_price.unwrap_or(i64::MIN);
        let mut found = Found::default();
        let mut brand_counts = vec![0_usize; self.brands.len()];
        let mut price_counts = [0_usize; PRICE_STEPS];
        // Most items have numbers in the order of their SKUs: that way the best come first, and the others are not kept.
        let backwards = query.sort == Some(SortBy { sort: Sort::Sku, descending: true });
        for (number, row, score) in self.matches(query.in_stock, scores, backwards) {
            let brand_fits = wanted_brands.is_none_or(|wanted| wanted[row.brand as usize]);
            let price_fits = (min_price..=max_price).contains(&row.price);
            if price_fits {
                brand_counts[row.brand as usize] += 1;
            }
            if brand_fits {
                price_counts[usize::from(row.price_step)] += 1;
            }
            if brand_fits && price_fits {
                found.total += 1;
                let rough = self.rough(query.sort, number, row, score);
                if best.may_take(&rough) {
                    best.offer(self.key(query.sort, number, rough));
                }
            }
        }
        (found.skus, found.next_cursor) = best.finish();
        found.facets = Facets { brand: self.brand_facets(&brand_counts), price: price_ranges(&price_counts) };
        found
    }

    /// The highest price that fits: the end of a price range of the facets is not in that range.
    fn last_price(
        &self,
        query: &ItemQuery,
        scores: Option<&[u16]>,
        wanted_brands: Option<&[bool]>,
    ) -> Option<i64> {
        let max = query.max_price?;
        // Ranges end where steps begin, and few prices that people think of do.
        if step_start(usize::from(price_step(max))) != max {
            return Some(max);
        }
        let mut counts = [0; PRICE_STEPS];
        for (_, row, _) in self.matches(query.in_stock, scores, false) {
            if wanted_brands.is_none_or(|wanted| wanted[row.brand as usize]) {
                counts[usize::from(row.price_step)] += 1;
            }
        }
        let from = query.min_price.unwrap_or(0);
        let is_range = price_ranges(&counts).iter().any(|range| range.from == from && range.to == Some(max));
        Some(if is_range { max - 1 } else { max })
    }

    /// What fits words and stock, with how well; `backwards`: from the highest number down.
    fn matches<'a>(
        &'a self,
        in_stock: bool,
        scores: Option<&'a [u16]>,
        backwards: bool,
    ) -> impl Iterator<Item = (usize, &'a Row, u16)> {
        let last = self.rows.len().wrapping_sub(1);
        (0..self.rows.len()).filter_map(move |count| {
            let number = if backwards { last - count } else { count };
            let row = &self.rows[number];
            let score = scores.map_or(1, |scores| scores[number]);
            let fits = row.brand != FREE && score > 0 && (!in_stock || row.available.load(Relaxed) > 0);
            fits.then_some((number, row, score))
        })
    }

    /// Where a match belongs, as far as its row tells.
    fn rough(&self, sort: Option<SortBy>, number: usize, row: &Row, score: u16) -> Rough {
        let brand = || self.brands[row.brand as usize].start;
        let available = row.available.load(Relaxed);
        let rough = |group, number, first| Rough { group, number, first };
        let Some(by) = sort else {
            return rough(u8::from(available <= 0), -i64::from(score), brand());
        };
        let signed = |number: i64| if by.descending { -number } else { number };
        match by.sort {
            Sort::Price => rough(0, signed(row.price), 0),
            Sort::Available => rough(0, signed(available), 0),
            Sort::Brand => rough(0, 0, brand()),
            Sort::Model => rough(0, 0, row.model_start),
            Sort::Sku => rough(0, 0, start_of(self.sku(number))),
        }
    }

    fn sku(&self, number: usize) -> &str {
        self.documents[number].as_ref().map_or("", |document| document.sku.as_str())
    }

    fn key(&self, sort: Option<SortBy>, number: usize, rough: Rough) -> Key<'_> {
        let document = self.documents[number].as_ref().expect("a row that is not free has a document");
        let brand = self.brands[self.rows[number].brand as usize].lower.as_str();
        let (model, sku) = (document.model.as_str(), document.sku.as_str());
        let (first, second) = match sort.map(|by| by.sort) {
            None | Some(Sort::Brand) => (brand, model),
            Some(Sort::Price | Sort::Available) => ("", ""),
            Some(Sort::Model) => (model, brand),
            Some(Sort::Sku) => (sku, ""),
        };
        Key { rough, first, second, sku }
    }

    /// By document: 0, or how well all words match.
    fn scores(&self, text: &str) -> Vec<u16> {
        let mut words: Vec<SmolStr> = words_of(text).collect();
        words.truncate(QUERY_WORDS_MAX);
        let mut total = vec![0_u16; self.rows.len()];
        let mut one = vec![0_u8; self.rows.len()];
        for (index, word) in words.iter().enumerate() {
            one.fill(0);
            self.words.score(word, index + 1 == words.len(), &mut one);
            for (total, one) in total.iter_mut().zip(&one) {
                let before = std::mem::take(total);
                if *one > 0 && (index == 0 || before > 0) {
                    *total = before + u16::from(*one);
                }
            }
        }
        total
    }

    /// By brand number, whether it is asked for; `None`: all are.
    fn wanted_brands(&self, names: &[String]) -> Option<Vec<bool>> {
        let names: Vec<&str> = names.iter().map(|name| name.trim()).filter(|name| !name.is_empty()).collect();
        if names.is_empty() {
            return None;
        }
        let mut wanted = vec![false; self.brands.len()];
        for name in names {
            if let Some(number) = self.brand_numbers.get(name.to_lowercase().as_str()) {
                wanted[*number as usize] = true;
            }
        }
        Some(wanted)
    }

    fn brand_facets(&self, counts: &[usize]) -> Vec<FacetValue> {
        let mut there: Vec<(&Brand, usize)> =
            self.brands.iter().zip(counts.iter().copied()).filter(|(_, count)| *count > 0).collect();
        there.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.lower.cmp(&b.0.lower)));
        there.truncate(BRAND_FACETS_MAX);
        there.into_iter().map(|(brand, count)| FacetValue { value: brand.name.to_string(), count }).collect()
    }
}

// Price ranges begin and end at round numbers: 10, 15, 20, 30, 50, 75, 100, … minor units.

const ROUND: [i64; 6] = [10, 15, 20, 30, 50, 75];
/// Up to 10^12 and beyond, one below 10.
const PRICE_STEPS: usize = 6 * 12 + 1;

fn step_start(step: usize) -> i64 {
    match step.checked_sub(1) {
        None => 0,
        Some(step) => {
            let decade = u32::try_from(step / ROUND.len()).expect("there are few decades");
            ROUND[step % ROUND.len()] * 10_i64.pow(decade)
        }
    }
}

fn price_step(price: i64) -> u8 {
    let above = (1..PRICE_STEPS).find(|step| step_start(*step) > price);
    u8::try_from(above.unwrap_or(PRICE_STEPS) - 1).expect("there are fewer than 256 steps")
}

/// A few ranges that divide what there is about evenly. Without gaps; the first starts at 0, the last is open.
fn price_ranges(counts: &[usize]) -> Vec<FacetRange> {
    let mut ranges: Vec<FacetRange> = Vec::new();
    for (step, count) in counts.iter().copied().enumerate().filter(|(_, count)| *count > 0) {
        ranges.push(FacetRange { from: step_start(step), to: Some(step_start(step + 1)), count });
    }
    while ranges.len() > PRICE_FACETS_MAX {
        let smallest = (1..ranges.len())
            .min_by_key(|index| ranges[index - 1].count + ranges[*index].count)
            .expect("there are several ranges");
        let upper = ranges.remove(smallest);
        ranges[smallest - 1].to = upper.to;
        ranges[smallest - 1].count += upper.count;
    }
    let starts: Vec<i64> = ranges.iter().skip(1).map(|range| range.from).collect();
    for (range, next) in ranges.iter_mut().zip(starts) {
        range.to = Some(next);
    }
    if let [first, .., last] = ranges.as_mut_slice() {
        first.from = 0;
        last.to = None;
    }
    ranges
}

/// For tests of memory: words that the index knows.
#[cfg(test)]
impl SearchIndex {
    pub fn vocabulary(&self) -> std::collections::BTreeSet<SmolStr> {
        self.words.all()
    }
}

#[cfg(test)]
#[path = "search_tests.rs"]
mod tests;
