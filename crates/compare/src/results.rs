//! What was measured, and how it is written down.

use std::fmt::Write;

use crate::machine::Facts;

/// What a number counts, and so how it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    PerSecond,
    Millis,
    Seconds,
    Bytes,
    Percent,
    /// Of the reference.
    Share,
}

impl Unit {
    fn write(self, value: f64) -> String {
        match self {
            Unit::PerSecond => format!("{}/s", thousands(value)),
            Unit::Millis if value < 10.0 => format!("{value:.2} ms"),
            Unit::Millis => format!("{value:.1} ms"),
            Unit::Seconds => format!("{value:.2} s"),
            Unit::Bytes => format!("{} B", thousands(value)),
            Unit::Percent => format!("{value:+.1} %"),
            Unit::Share => format!("{value:.2}"),
        }
    }
}

fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) && digits.as_bytes()[index - 1] != b'-' {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The same thing, measured several times.
#[derive(Debug, Clone)]
pub struct Runs {
    pub unit: Unit,
    pub values: Vec<f64>,
}

impl Runs {
    pub fn new(unit: Unit) -> Self {
        Self { unit, values: Vec::new() }
    }

    pub fn push(&mut self, value: f64) {
        self.values.push(value);
    }

    /// 0 of nothing.
    pub fn median(&self) -> f64 {
        let mut sorted = self.values.clone();
        sorted.sort_by(f64::total_cmp);
        match sorted.len() {
            0 => 0.0,
            odd if odd % 2 == 1 => sorted[odd / 2],
            even => f64::midpoint(sorted[even / 2 - 1], sorted[even / 2]),
        }
    }

    fn written(&self) -> String {
        if self.values.is_empty() {
            return "–".to_owned();
        }
        self.unit.write(self.median())
    }

    fn all(&self) -> String {
        self.values.iter().map(|value| self.unit.write(*value)).collect::<Vec<_>>().join(" · ")
    }
}

/// What is wanted.
#[derive(Debug, Clone, Copy)]
pub enum Target {
    /// Of the reference's median.
    ShareAtLeast(f64),
    AtLeast(f64),
    AtMost(f64),
}

/// A line of the table.
#[derive(Debug, Clone)]
pub struct Entry {
    work: String,
    runs: Runs,
    reference: Option<(String, Runs)>,
    target: Option<Target>,
    note: String,
}

impl Entry {
    pub fn new(work: impl Into<String>, runs: Runs) -> Self {
        Self { work: work.into(), runs, reference: None, target: None, note: String::new() }
    }

    /// Measured in the same turns.
    pub fn against(mut self, name: impl Into<String>, runs: &Runs) -> Self {
        self.reference = Some((name.into(), runs.clone()));
        self
    }

    pub fn target(mut self, target: Target) -> Self {
        self.target = Some(target);
        self
    }

    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.note = note.into();
        self
    }

    fn share(&self) -> Option<f64> {
        let reference = self.reference.as_ref()?.1.median();
        (reference > 0.0).then(|| self.runs.median() / reference)
    }

    fn is_met(&self) -> Option<bool> {
        let target = self.target?;
        if self.runs.values.is_empty() {
            return Some(false);
        }
        Some(match target {
            Target::ShareAtLeast(least) => self.share()? >= least,
            Target::AtLeast(least) => self.runs.median() >= least,
            Target::AtMost(most) => self.runs.median() <= most,
        })
    }

    fn wanted(&self) -> String {
        match self.target {
            None => String::new(),
            Some(Target::ShareAtLeast(least)) => format!("ratio ≥ {}", Unit::Share.write(least)),
            Some(Target::AtLeast(least)) => format!("≥ {}", self.runs.unit.write(least)),
            Some(Target::AtMost(most)) => format!("≤ {}", self.runs.unit.write(most).trim_start_matches('+')),
        }
    }

    /// One line, for people who watch.
    pub fn line(&self) -> String {
        let mut line = format!("{}: {}", self.work, self.runs.written());
        if let (Some((name, runs)), Some(share)) = (&self.reference, self.share()) {
            write!(line, " = {share:.2} of {name} ({})", runs.written()).expect("a string takes all");
        }
        if let Some(met) = self.is_met() {
            write!(line, ", {}: {}", self.wanted(), if met { "met" } else { "MISSED" })
                .expect("a string takes all");
        }
        line
    }
}

/// Everything that a run of the table found.
#[derive(Debug, Default)]
pub struct Results {
    pub facts: Facts,
    /// How long and how often, in a sentence.
    how: String,
    entries: Vec<Entry>,
    /// Rows that could not be measured, and why.
    failures: Vec<(String, String)>,
    /// Times when the machine was not idle before a measurement.
    unquiet: Vec<String>,
    /// Nothing is to come.
    ended: bool,
}

impl Results {
    pub fn new(facts: Facts, how: String) -> Self {
        Self { facts, how, ..Self::default() }
    }

    pub fn add(&mut self, entry: Entry) {
        eprintln!("  = {}", entry.line());
        self.entries.push(entry);
    }

    pub fn fail(&mut self, row: &str, why: &anyhow::Error) {
        eprintln!("  ! {row}: {why:#}");
        self.failures.push((row.to_owned(), format!("{why:#}")));
    }

    pub fn unquiet(&mut self, what: &str, busy: f64) {
        self.unquiet.push(format!("{what} ({:.0} %)", busy * 100.0));
    }

    pub fn end(&mut self) {
        self.ended = true;
    }

    pub fn failures(&self) -> usize {
        self.failures.len()
    }

    /// Met and missed targets.
    pub fn score(&self) -> (usize, usize) {
        let met = |wanted| self.entries.iter().filter(|entry| entry.is_met() == Some(wanted)).count();
        (met(true), met(false))
    }

    pub fn markdown(&self) -> String {
        let mut text =
            String::from("# Results\n\nWritten by `make bench`; nothing here is edited by hand.\n\n");
        text += &self.how;
        text += "\n\n| | |\n|---|---|\n";
        for (name, fact) in &self.facts {
            text += &format!("| {name} | {fact} |\n");
        }
        let (met, missed) = self.score();
        text += &format!("\n{met} targets met, {missed} missed.\n\n");
        if !self.ended {
            text +=
                "**Unfinished**: this is what there was when the run was stopped, or is still going on.\n\n";
        }
        text += "| work | measured | reference | ratio | target | met |\n|---|---|---|---|---|---|\n";
        for entry in &self.entries {
            let reference = entry
                .reference
                .as_ref()
                .map_or_else(String::new, |(name, runs)| format!("{name}: {}", runs.written()));
            let share = entry.share().map_or_else(String::new, |share| Unit::Share.write(share));
            let met = match entry.is_met() {
                None => "",
                Some(true) => "yes",
                Some(false) => "**no**",
            };
            let (work, runs, wanted) = (&entry.work, entry.runs.written(), entry.wanted());
            text += &format!("| {work} | {runs} | {reference} | {share} | {wanted} | {met} |\n");
        }
        text += "\n## Every run\n\n| work | runs | reference | notes |\n|---|---|---|---|\n";
        for entry in &self.entries {
            let reference = entry.reference.as_ref().map_or_else(String::new, |(_, runs)| runs.all());
            text += &format!("| {} | {} | {reference} | {} |\n", entry.work, entry.runs.all(), entry.note);
        }
        if !self.failures.is_empty() {
            text += "\n## Not measured\n\n";
            self.failures.iter().for_each(|(row, why)| text += &format!("- {row}: {why}\n"));
        }
        if !self.unquiet.is_empty() {
            text += "\n## Not quiet\n\nThe machine was busy with something else right before these:\n\n";
            self.unquiet.iter().for_each(|what| text += &format!("- {what}\n"));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::{Entry, Results, Runs, Target, Unit, thousands};

    fn runs(values: &[f64]) -> Runs {
        Runs { unit: Unit::PerSecond, values: values.to_vec() }
    }

    #[test]
    fn a_target_is_judged_by_the_medians() {
        let entry =
            Entry::new("orders", runs(&[10.0, 50.0, 40.0])).against("bare", &runs(&[100.0, 1.0, 90.0]));
        assert!(entry.clone().target(Target::ShareAtLeast(0.44)).line().ends_with(": met"));
        assert!(entry.clone().target(Target::ShareAtLeast(0.45)).line().ends_with(": MISSED"));
        assert!(entry.clone().target(Target::AtMost(40.0)).line().ends_with(": met"));
        assert!(entry.target(Target::AtLeast(41.0)).line().ends_with(": MISSED"));
    }

    #[test]
    fn what_could_not_be_measured_is_written_and_never_met() {
        let mut results = Results::default();
        results.add(Entry::new("orders", runs(&[])).target(Target::AtMost(1.0)));
        results.fail("reads", &anyhow::anyhow!("no server"));
        let text = results.markdown();
        assert!(text.contains("- reads: no server") && text.contains("| **no** |"), "{text}");
    }

    #[test]
    fn a_run_that_did_not_end_is_called_unfinished() {
        let mut results = Results::default();
        results.add(Entry::new("orders", runs(&[1.0])));
        assert!(results.markdown().contains("**Unfinished**"));
        results.end();
        assert!(!results.markdown().contains("Unfinished"));
    }

    #[test]
    fn large_numbers_have_commas() {
        let cases = [
            (0.4, "0"),
            (999.0, "999"),
            (1_000.0, "1,000"),
            (1_234_567.0, "1,234,567"),
            (-123_456.0, "-123,456"),
        ];
        for (value, text) in cases {
            assert_eq!(thousands(value), text);
        }
    }
}
