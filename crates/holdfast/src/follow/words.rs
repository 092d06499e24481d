//! The words of the catalogue and which items have them, found exactly, by their beginning, or with one typo.

use std::collections::BTreeSet;
use std::ops::Bound::{Included, Unbounded};
use std::thread;

use foldhash::{HashMap, HashMapExt};
use smol_str::{SmolStr, StrExt};

/// Letters that a word must have before a typo in it is forgiven.
const TYPO_LETTERS_MIN: usize = 4;

/// Documents that are worth a thread when many are loaded.
const LOAD_SHARE_MIN: usize = 2_000;

/// Where a word stands in an item; a match in its name counts more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Field {
    /// Brand, model or SKU.
    Name,
    Text,
}

/// How well a word matches; more is better.
#[derive(Debug, Clone, Copy)]
enum Closeness {
    Typo = 2,
    Beginning = 4,
    Exact = 6,
}

fn score(closeness: Closeness, field: Field) -> u8 {
    closeness as u8 + u8::from(field == Field::Name)
}

/// Lower-cased runs of letters and digits.
pub fn words_of(text: &str) -> impl Iterator<Item = SmolStr> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(|word| word.to_lowercase_smolstr())
}

/// Documents have numbers up to this one.
pub const DOCUMENT_MAX: u32 = u32::MAX >> 1;

/// A document that has a word, and where: the number with the field in the lowest bit.
#[derive(Debug, Clone, Copy)]
struct Posting(u32);

impl Posting {
    fn new(document: u32, field: Field) -> Self {
        Self(document << 1 | u32::from(field == Field::Name))
    }

    fn document(self) -> u32 {
        self.0 >> 1
    }

    fn field(self) -> Field {
        if self.0 & 1 == 1 { Field::Name } else { Field::Text }
    }
}

/// Sorted by document. Most words of a large catalogue are in one item only: parts of its SKU.
#[derive(Debug)]
enum Postings {
    One(Posting),
    Many(Vec<Posting>),
}

impl Postings {
    fn all(&self) -> &[Posting] {
        match self {
            Postings::One(posting) => std::slice::from_ref(posting),
            Postings::Many(postings) => postings,
        }
    }

    fn put(&mut self, posting: Posting) {
        match self.all().binary_search_by_key(&posting.document(), |posting| posting.document()) {
            Ok(index) => match self {
                Postings::One(one) => *one = posting,
                Postings::Many(postings) => postings[index] = posting,
            },
            Err(index) => self.many().insert(index, posting),
        }
    }

    /// Says whether anything is left.
    fn remove(&mut self, document: u32) -> bool {
        if let Ok(index) = self.all().binary_search_by_key(&document, |posting| posting.document()) {
            self.many().remove(index);
        }
        !self.all().is_empty()
    }

    fn many(&mut self) -> &mut Vec<Posting> {
        if let Postings::One(posting) = self {
            *self = Postings::Many(vec![*posting]);
        }
        match self {
            Postings::Many(postings) => postings,
            Postings::One(_) => unreachable!("it was just made many"),
        }
    }
}

type Gathered = HashMap<SmolStr, Postings>;

/// The words of documents, the first of which has the number `first`.
fn gather<T>(first: usize, documents: &[T], words: impl Fn(&T) -> Vec<(SmolStr, Field)>) -> Gathered {
    let mut all = Gathered::new();
    for (number, document) in documents.iter().enumerate() {
        let number = u32::try_from(first + number).expect("there are fewer than 2^32 documents");
        for (word, field) in words(document) {
            let posting = Posting::new(number, field);
            match all.get_mut(&word) {
                Some(known) => known.many().push(posting),
                None => drop(all.insert(word, Postings::One(posting))),
            }
        }
    }
    all
}

/// Both at the same time.
pub fn beside<A: Send, B>(a: impl FnOnce() -> A + Send, b: impl FnOnce() -> B) -> (A, B) {
    thread::scope(|scope| {
        let a = scope.spawn(a);
        let b = b();
        (a.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), b)
    })
}

#[derive(Default)]
pub struct Words {
    postings: Gathered,
    /// In the order of the alphabet, for finding words by their beginning.
    sorted: BTreeSet<SmolStr>,
    /// Backwards, those in which typos are forgiven: for finding words by their end.
    backwards: BTreeSet<SmolStr>,
}

impl Words {
    /// The words of many documents at once, which get the numbers 0, 1, 2, …; on all cores.
    pub fn load<T: Sync>(documents: &[T], words: impl Fn(&T) -> Vec<(SmolStr, Field)> + Sync) -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let share = documents.len().div_ceil(cores).max(LOAD_SHARE_MIN);
        let words = &words;
        let mut parts = thread::scope(|scope| {
            let shares = documents.chunks(share).enumerate();
            let threads: Vec<_> =
                shares.map(|(index, some)| scope.spawn(move || gather(index * share, some, words))).collect();
            let parts = threads.into_iter().map(|thread| thread.join());
            let parts: Result<Vec<Gathered>, _> = parts.collect();
            parts.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
        .into_iter();
        let mut all = parts.next().unwrap_or_default();
        for (word, postings) in parts.flatten() {
            match all.get_mut(&word) {
                Some(before) => before.many().extend_from_slice(postings.all()),
                None => drop(all.insert(word, postings)),
            }
        }
        for postings in all.values_mut() {
            if let Postings::Many(postings) = postings {
                postings.shrink_to_fit();
            }
        }
        let (sorted, backwards) = beside(
            || all.keys().cloned().collect(),
            || all.keys().filter(|word| forgives(word)).map(|word| backwards(word)).collect(),
        );
        Self { postings: all, sorted, backwards }
    }

    pub fn add(&mut self, word: &SmolStr, document: u32, field: Field) {
        let posting = Posting::new(document, field);
        match self.postings.get_mut(word) {
            Some(known) => known.put(posting),
            None => {
                self.postings.insert(word.clone(), Postings::One(posting));
                self.sorted.insert(word.clone());
                if forgives(word) {
                    self.backwards.insert(backwards(word));
                }
            }
        }
    }

    pub fn remove(&mut self, word: &SmolStr, document: u32) {
        let Some(postings) = self.postings.get_mut(word) else { return };
        if !postings.remove(document) {
            self.postings.remove(word);
            self.sorted.remove(word);
            self.backwards.remove(&backwards(word));
        }
    }

    /// Raises `best`, by document, to how well `word` matches.
    pub fn score(&self, word: &str, unfinished: bool, best: &mut [u8]) {
        let mut raise = |postings: &Postings, closeness| {
            for posting in postings.all() {
                let best = &mut best[posting.document() as usize];
                *best = (*best).max(score(closeness, posting.field()));
            }
        };
        if let Some(postings) = self.postings.get(word) {
            raise(postings, Closeness::Exact);
        }
        if unfinished {
            for word in beginning_with(&self.sorted, word) {
                raise(&self.postings[word], Closeness::Beginning);
            }
        }
        for meant in self.with_a_typo(word) {
            raise(&self.postings[&meant], Closeness::Typo);
        }
    }

    /// The words that `word` may be, mistyped. One typo leaves the first or the second half of a word whole, or
    /// swaps the neighbours in its middle.
    fn with_a_typo(&self, word: &str) -> BTreeSet<SmolStr> {
        let letters: Vec<char> = word.chars().collect();
        let mut meant = BTreeSet::new();
        if letters.len() + 1 < TYPO_LETTERS_MIN || !letters.iter().any(|c| c.is_alphabetic()) {
            return meant;
        }
        let middle = letters.len() / 2;
        let first: String = letters[..middle].iter().collect();
        for candidate in beginning_with(&self.sorted, &first) {
            if forgives(candidate) && is_one_typo(word, candidate) {
                meant.insert(candidate.clone());
            }
        }
        let second: String = letters[middle..].iter().rev().collect();
        let whole = backwards(word);
        for candidate in self.backwards.range::<str, _>((Included(second.as_str()), Unbounded)) {
            if !candidate.starts_with(second.as_str()) {
                break;
            }
            if is_one_typo(&whole, candidate) {
                meant.insert(backwards(candidate));
            }
        }
        if middle > 0 {
            let mut swapped = letters;
            swapped.swap(middle - 1, middle);
            let swapped: SmolStr = swapped.into_iter().collect();
            if swapped != word && forgives(&swapped) && self.postings.contains_key(&swapped) {
                meant.insert(swapped);
            }
        }
        meant
    }

    #[cfg(test)]
    pub fn all(&self) -> BTreeSet<SmolStr> {
        self.sorted.clone()
    }
}

fn beginning_with<'a>(sorted: &'a BTreeSet<SmolStr>, start: &'a str) -> impl Iterator<Item = &'a SmolStr> {
    sorted.range::<str, _>((Included(start), Unbounded)).take_while(move |word| word.starts_with(start))
}

/// Numbers mean what they say: 4711 is not 4712, mistyped.
fn forgives(word: &str) -> bool {
    word.chars().nth(TYPO_LETTERS_MIN - 1).is_some() && word.chars().any(char::is_alphabetic)
}

fn backwards(word: &str) -> SmolStr {
    word.chars().rev().collect()
}

/// Whether two words differ by one letter inserted, dropped or replaced, or by two neighbours swapped.
fn is_one_typo(a: &str, b: &str) -> bool {
    if a.is_ascii() && b.is_ascii() {
        return differ_once(a.as_bytes(), b.as_bytes());
    }
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    differ_once(&a, &b)
}

fn differ_once<T: PartialEq>(a: &[T], b: &[T]) -> bool {
    let (long, short) = if a.len() >= b.len() { (a, b) } else { (b, a) };
    if long.len() > short.len() + 1 {
        return false;
    }
    let Some(at) = (0..short.len()).find(|at| long[*at] != short[*at]) else {
        return long.len() == short.len() + 1;
    };
    if long.len() > short.len() {
        return long[at + 1..] == short[at..];
    }
    let replaced = long[at + 1..] == short[at + 1..];
    let swapped = at + 1 < long.len()
        && long[at] == short[at + 1]
        && long[at + 1] == short[at]
        && long[at + 2..] == short[at + 2..];
    replaced || swapped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_letter_inserted_dropped_replaced_or_swapped_is_one_typo_and_nothing_else_is() {
        for wrong in [
            "ttitan", "titann", "tiitan", "itan", "tita", "tian", "xitan", "titax", "tixan", "ittan", "titna",
        ] {
            assert!(is_one_typo(wrong, "titan"), "{wrong}");
            assert!(is_one_typo("titan", wrong), "{wrong}");
        }
        for other in ["titan", "tit", "tnati", "atitn", "xitax", "titanic", "ittna", ""] {
            assert!(!is_one_typo(other, "titan"), "{other}");
        }
    }

    /// Every typo of every word, against trying all words of the vocabulary.
    #[test]
    fn halves_find_the_same_words_as_trying_them_all() {
        let vocabulary = [
            "edge", "titan", "titen", "tit", "4711", "a4711", "größe", "skmei", "skmie", "raga", "ragas",
            "abcabc",
        ];
        let mut words = Words::default();
        for (number, word) in vocabulary.iter().enumerate() {
            words.add(&SmolStr::new(word), number as u32, Field::Text);
        }
        let mut typed: BTreeSet<String> = BTreeSet::new();
        for word in vocabulary {
            let letters: Vec<char> = word.chars().collect();
            for at in 0..=letters.len() {
                for letter in ['a', 'e', 't', 'ö', '7'] {
                    let mut inserted = letters.clone();
                    inserted.insert(at, letter);
                    typed.insert(inserted.iter().collect());
                    if at < letters.len() {
                        let mut replaced = letters.clone();
                        replaced[at] = letter;
                        typed.insert(replaced.iter().collect());
                    }
                }
                if at < letters.len() {
                    let mut dropped = letters.clone();
                    dropped.remove(at);
                    typed.insert(dropped.iter().collect());
                }
                if at + 1 < letters.len() {
                    let mut swapped = letters.clone();
                    swapped.swap(at, at + 1);
                    typed.insert(swapped.iter().collect());
                }
            }
        }
        assert!(typed.len() > 300, "{} words typed", typed.len());
        for typed in typed.iter().filter(|typed| typed.chars().any(char::is_alphabetic)) {
            let all: BTreeSet<SmolStr> = vocabulary
                .iter()
                .filter(|word| forgives(word) && is_one_typo(typed, word))
                .map(SmolStr::new)
                .collect();
            assert_eq!(words.with_a_typo(typed), all, "{typed:?}");
        }
    }

    #[test]
    fn a_word_nobody_has_any_more_is_forgotten() {
        let mut words = Words::default();
        let word = SmolStr::new("titan");
        words.add(&word, 1, Field::Name);
        words.add(&word, 2, Field::Text);
        words.remove(&word, 1);
        let mut best = [0; 3];
        words.score("titan", false, &mut best);
        assert_eq!(best, [0, 0, Closeness::Exact as u8]);
        words.remove(&word, 2);
        assert!(words.postings.is_empty() && words.sorted.is_empty() && words.backwards.is_empty());
    }
}
