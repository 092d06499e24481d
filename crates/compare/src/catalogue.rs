//! A catalogue of any size, the same in each run: items as a shop has them, with words to search for.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::Context;
use holdfast_compare::fixture::Dice;

/// Every item's SKU is this, a hyphen and seven digits: what `holdfast bench --existing` expects.
pub const PREFIX: &str = "item";
/// The one location.
pub const LOCATION: &str = "main";
/// Of every item: never sold out.
const UNITS: u64 = 1_000_000_000;
const BRANDS: usize = 40;
const WORDS: usize = 2_000;
const DESCRIPTION_WORDS: usize = 8;

const SYLLABLES: [&str; 24] = [
    "ba", "ce", "di", "fo", "gu", "ha", "je", "ki", "lo", "mu", "na", "pe", "qui", "ro", "su", "ta", "ve",
    "wi", "xo", "yu", "za", "bre", "cli", "dro",
];

/// A made-up word of three or four syllables; the same number gives the same word.
fn word(number: usize) -> String {
    let mut dice = Dice::new(number as u64);
    (0..3 + number % 2).map(|_| *dice.pick(&SYLLABLES)).collect()
}

fn brand(number: usize) -> String {
    let word = word(WORDS + number);
    word[..1].to_uppercase() + &word[1..]
}

/// Few words are frequent, most are rare, as in any language.
fn any_word(dice: &mut Dice) -> String {
    let range = dice.below(WORDS) + 1;
    word(dice.below(range))
}

/// Writes the items as CSV.
pub fn write(file: &Path, items: usize) -> anyhow::Result<()> {
    let out = File::create(file).with_context(|| format!("{} cannot be written", file.display()))?;
    let mut out = BufWriter::new(out);
    writeln!(out, "sku,brand,model,description,price,currency,location,quantity")?;
    let mut dice = Dice::new(42);
    for number in 0..items {
        let description: Vec<String> = (0..DESCRIPTION_WORDS).map(|_| any_word(&mut dice)).collect();
        writeln!(
            out,
            "{PREFIX}-{number:07},{},{} {},{},{}.00,INR,{LOCATION},{UNITS}",
            brand(dice.below(BRANDS)),
            any_word(&mut dice),
            dice.below(10_000),
            description.join(" "),
            100 + dice.below(100_000),
        )?;
    }
    out.flush()?;
    Ok(())
}

/// Paths of searches as visitors make them: one or two words, some unfinished, some with a typo, some with filters.
pub fn searches(count: usize) -> Vec<String> {
    let mut dice = Dice::new(43);
    (0..count).map(|number| search(&mut dice, number)).collect()
}

fn search(dice: &mut Dice, number: usize) -> String {
    let mut path = "/v1/items?limit=50&query=".to_owned();
    let mut first = any_word(dice);
    match number % 4 {
        // Mistyped and unfinished.
        0 => drop(first.remove(2)),
        1 => first.truncate(4),
        _ => {}
    }
    path += &first;
    if dice.below(2) == 0 {
        path += "%20";
        path += &any_word(dice);
    }
    if number.is_multiple_of(3) {
        path += "&brand=";
        path += &brand(dice.below(BRANDS));
    }
    if number.is_multiple_of(5) {
        path += "&min_price=100000&max_price=5000000";
    }
    if number.is_multiple_of(2) {
        path += "&in_stock=true";
    }
    path
}

#[cfg(test)]
mod tests {
    use super::{searches, write};

    #[test]
    fn the_catalogue_is_the_same_each_time_and_has_a_row_an_item() {
        let folder = tempfile::tempdir().expect("a folder");
        let text = |name: &str| {
            let file = folder.path().join(name);
            write(&file, 100).expect("it is written");
            std::fs::read_to_string(file).expect("it is read")
        };
        let first = text("first.csv");
        assert_eq!(first, text("second.csv"));
        assert_eq!(first.lines().count(), 101);
        assert!(first.lines().skip(1).all(|line| line.split(',').count() == 8));
    }

    #[test]
    fn searches_are_paths_of_many_kinds() {
        let paths = searches(60);
        assert!(paths.iter().all(|path| path.starts_with("/v1/items?") && !path.contains(' ')));
        for part in ["&brand=", "&in_stock=true", "&min_price=", "%20"] {
            assert!(paths.iter().any(|path| path.contains(part)), "{part}");
        }
    }
}
