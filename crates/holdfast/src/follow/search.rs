//! Search over the catalogue, in memory: words, filters, order, pages and facets.
//!
//! All words of a query must match; the last one may be unfinished. One typo a word is forgiven where the word that
//! was meant has four letters or more: a letter inserted, dropped, replaced, or two neighbours swapped.
//! Better matches come first: exact, then unfinished, then mistyped; in brand, model or SKU before elsewhere.

use std::collections::{BTreeMap, HashMap};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use holdfast_domain::{Item, Sku, ValueError};
use serde::Serialize;
use smol_str::SmolStr;

pub use super::paging::is_cursor;
use super::paging::{Best, Key};
use super::words::{Field, Words, words_of};

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

struct Document {
    item: Arc<Item>,
    brand: usize,
    model: SmolStr,
    price: i64,
    price_step: usize,
    /// Changes with every order; all else needs the index's write lock.
    available: AtomicI64,
}

struct Brand {
    name: SmolStr,
    lower: SmolStr,
}

#[derive(Default)]
pub struct SearchIndex {
    documents: Vec<Option<Document>>,
    free: Vec<u32>,
    words: Words,
    brands: Vec<Brand>,
    brand_numbers: HashMap<SmolStr, usize>,
}

impl SearchIndex {
    /// Adds an item and says the number that it is changed by.
    pub fn add(&mut self, item: &Arc<Item>, available: i64) -> u32 {
        let number = self.free.pop().unwrap_or_else(|| {
            self.documents.push(None);
            u32::try_from(self.documents.len() - 1).expect("a catalogue has fewer than 2^32 items")
        });
        for (word, field) in words(item) {
            self.words.add(&word, number, field);
        }
        self.put(number, item, available);
        number
    }

    pub fn update(&mut self, number: u32, item: &Arc<Item>, available: i64) {
        let before = self.documents[number as usize].take().expect("an indexed item has a document");
        let (old, new) = (words(&before.item), words(item));
        if old != new {
            for (word, _) in old {
                self.words.remove(&word, number);
            }
            for (word, field) in new {
                self.words.add(&word, number, field);
            }
        }
        self.put(number, item, available);
    }

    pub fn remove(&mut self, number: u32) {
        let document = self.documents[number as usize].take().expect("an indexed item has a document");
        for (word, _) in words(&document.item) {
            self.words.remove(&word, number);
        }
        self.free.push(number);
    }

    pub fn set_available(&self, number: u32, available: i64) {
        let document = self.documents[number as usize].as_ref().expect("an indexed item has a document");
        document.available.store(available, Relaxed);
    }

    fn put(&mut self, number: u32, item: &Arc<Item>, available: i64) {
        let price = item.price.0.amount;
        self.documents[number as usize] = Some(Document {
            item: item.clone(),
            brand: self.brand(item.brand.as_str()),
            model: item.model.as_str().to_lowercase().into(),
            price,
            price_step: price_step(price),
            available: AtomicI64::new(available),
        });
    }

    fn brand(&mut self, name: &str) -> usize {
        let lower: SmolStr = name.to_lowercase().into();
        *self.brand_numbers.entry(lower.clone()).or_insert_with(|| {
            self.brands.push(Brand { name: name.into(), lower });
            self.brands.len() - 1
        })
    }

    pub fn search(&self, query: &ItemQuery) -> Found {
        let Ok(mut best) = Best::new(query) else { return Found::default() };
        let scores = match query.query.as_deref().map(str::trim) {
            None | Some("") => None,
            Some(text) => Some(self.scores(text)),
        };
        let wanted_brands = self.wanted_brands(&query.brands);
        let mut max_price = query.max_price;
        if let Some(max) = query.max_price
            && let steps = self.price_counts(query, scores.as_deref(), wanted_brands.as_deref())
            && price_ranges(&steps)
                .iter()
                .any(|range| range.from == query.min_price.unwrap_or(0) && range.to == Some(max))
        {
            max_price = Some(max - 1);
        }
        let mut found = Found::default();
        let mut brand_counts = vec![0_usize; self.brands.len()];
        let mut price_counts = [0_usize; PRICE_STEPS];
        for (document, score) in self.matches(query, scores.as_deref()) {
            let brand_fits = wanted_brands.as_ref().is_none_or(|wanted| wanted[document.brand]);
            let price_fits = query.min_price.is_none_or(|min| document.price >= min)
                && max_price.is_none_or(|max| document.price <= max);
            if price_fits {
                brand_counts[document.brand] += 1;
            }
            if brand_fits {
                price_counts[document.price_step] += 1;
            }
            if brand_fits && price_fits {
                found.total += 1;
                best.offer(self.key(query, document, score));
            }
        }
        (found.skus, found.next_cursor) = best.finish();
        found.facets = Facets { brand: self.brand_facets(&brand_counts), price: price_ranges(&price_counts) };
        found
    }

    /// What fits words and stock, with how well.
    fn matches<'a>(
        &'a self,
        query: &'a ItemQuery,
        scores: Option<&'a [u16]>,
    ) -> impl Iterator<Item = (&'a Document, u16)> {
        self.documents.iter().enumerate().filter_map(move |(number, document)| {
            let score = scores.map_or(1, |scores| scores[number]);
            let document = document.as_ref()?;
            let fits = score > 0 && (!query.in_stock || document.available.load(Relaxed) > 0);
            fits.then_some((document, score))
        })
    }

    fn price_counts(
        &self,
        query: &ItemQuery,
        scores: Option<&[u16]>,
        wanted_brands: Option<&[bool]>,
    ) -> [usize; PRICE_STEPS] {
        let mut counts = [0; PRICE_STEPS];
        for (document, _) in self.matches(query, scores) {
            if wanted_brands.is_none_or(|wanted| wanted[document.brand]) {
                counts[document.price_step] += 1;
            }
        }
        counts
    }

    fn key<'a>(&'a self, query: &ItemQuery, document: &'a Document, score: u16) -> Key<'a> {
        let brand = self.brands[document.brand].lower.as_str();
        let (model, sku) = (document.model.as_str(), document.item.sku.as_str());
        let available = document.available.load(Relaxed);
        let key = |group, number, first, second| Key { group, number, first, second, sku };
        let Some(by) = query.sort else {
            return key(u8::from(available <= 0), -i64::from(score), brand, model);
        };
        let signed = |number: i64| if by.descending { -number } else { number };
        match by.sort {
            Sort::Price => key(0, signed(document.price), "", ""),
            Sort::Available => key(0, signed(available), "", ""),
            Sort::Brand => key(0, 0, brand, model),
            Sort::Model => key(0, 0, model, brand),
            Sort::Sku => key(0, 0, sku, ""),
        }
    }

    /// By document: 0, or how well all words match.
    fn scores(&self, text: &str) -> Vec<u16> {
        let mut words: Vec<SmolStr> = words_of(text).collect();
        words.truncate(QUERY_WORDS_MAX);
        let mut total = vec![0_u16; self.documents.len()];
        let mut one = vec![0_u8; self.documents.len()];
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
                wanted[*number] = true;
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

/// The different words of an item, each with the best field that it is in.
fn words(item: &Item) -> BTreeMap<SmolStr, Field> {
    let mut words = BTreeMap::new();
    for text in [item.brand.as_str(), item.model.as_str(), item.sku.as_str()] {
        words.extend(words_of(text).map(|word| (word, Field::Name)));
    }
    let attributes = item.attributes.iter().flat_map(|(name, value)| [name, value]);
    for text in attributes.chain([item.description.as_str()]) {
        for word in words_of(text) {
            words.entry(word).or_insert(Field::Text);
        }
    }
    words
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

fn price_step(price: i64) -> usize {
    let above = (1..PRICE_STEPS).find(|step| step_start(*step) > price);
    above.unwrap_or(PRICE_STEPS) - 1
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
