//! What a run says: for people, or as JSON.

use std::fmt::{self, Display, Write};

use serde::Serialize;
use serde_json::{Value, json};

use super::books::Books;
use super::load::{Latencies, Tally};

/// Quantiles of a latency, in microseconds.
#[derive(Debug, Clone, Serialize)]
pub struct Quantiles {
    pub count: u64,
    pub p50_us: u64,
    pub p90_us: u64,
    pub p99_us: u64,
    pub p999_us: u64,
    pub max_us: u64,
}

impl Quantiles {
    /// `None` if nothing was measured.
    pub fn of(latencies: &Latencies) -> Option<Self> {
        let at = |quantile| latencies.value_at_quantile(quantile);
        (!latencies.is_empty()).then(|| Self {
            count: latencies.len(),
            p50_us: at(0.5),
            p90_us: at(0.9),
            p99_us: at(0.99),
            p999_us: at(0.999),
            max_us: latencies.max(),
        })
    }
}

/// Everything about a run.
pub struct Report {
    pub settings: Value,
    pub seconds: f64,
    pub tally: Tally,
    /// Orders in doubt that turned out accepted and rejected.
    pub settled: (u64, u64),
    pub books: Books,
    pub sample: usize,
    /// What is wrong, in sentences; empty if the books are right.
    pub wrong: Vec<String>,
}

impl Report {
    fn per_second(&self, count: u64) -> f64 {
        count as f64 / self.seconds
    }

    pub fn json(&self) -> Value {
        let tally = &self.tally;
        json!({
            "settings": self.settings,
            "seconds": self.seconds,
            "requests": tally.requests,
            "requests_per_second": self.per_second(tally.requests),
            "orders_accepted": tally.accepted,
            "orders_accepted_per_second": self.per_second(tally.accepted),
            "orders_rejected": tally.rejected,
            "orders_decided_per_second": self.per_second(tally.accepted + tally.rejected),
            "unsent": tally.unsent,
            "latency": {
                "orders": Quantiles::of(&tally.orders),
                "reads": Quantiles::of(&tally.reads),
                "refused": Quantiles::of(&tally.refused),
                "refusing": Quantiles::of(&tally.refusing),
            },
            "codes": tally.codes,
            "doubts": {"accepted": self.settled.0, "rejected": self.settled.1},
            "books": {
                "ok": self.wrong.is_empty(), "figures": self.books, "read_back": self.sample, "wrong": self.wrong,
            },
        })
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tally = &self.tally;
        writeln!(
            f,
            "{:<12}{:>12.0} /s  {:>12} in {:.1} s",
            "requests",
            self.per_second(tally.requests),
            tally.requests,
            self.seconds
        )?;
        if tally.accepted + tally.rejected > 0 {
            let (accepted, rejected) = (tally.accepted, tally.rejected);
            let rate = self.per_second(accepted + rejected);
            writeln!(f, "{:<12}{rate:>12.0} /s  {accepted:>12} accepted, {rejected} rejected", "orders")?;
        }
        for (name, latencies) in
            [("orders", &tally.orders), ("reads", &tally.reads), ("refused", &tally.refused)]
        {
            if let Some(took) = Quantiles::of(latencies) {
                writeln!(
                    f,
                    "{name:<12}p50 {}  p90 {}  p99 {}  p99.9 {}  max {}",
                    millis(took.p50_us),
                    millis(took.p90_us),
                    millis(took.p99_us),
                    millis(took.p999_us),
                    millis(took.max_us)
                )?;
            }
        }
        if tally.unsent > 0 {
            writeln!(
                f,
                "{:<12}{} requests were due and found no free connection (their waiting is counted)",
                "unsent", tally.unsent
            )?;
        }
        if tally.codes.is_empty() {
            writeln!(f, "{:<12}none", "errors")?;
        }
        for (code, times) in &tally.codes {
            writeln!(f, "{:<12}{times:>12} x {code}", "answers")?;
        }
        if self.settled != (0, 0) {
            let (accepted, rejected) = self.settled;
            writeln!(f, "{:<12}{accepted} turned out accepted, {rejected} rejected", "doubts")?;
        }
        let books = &self.books;
        if self.wrong.is_empty() {
            write!(
                f,
                "{:<12}right: {} units accepted = {} gone = {} allocated, over {} SKUs; 0 oversold; {} orders read back, none \
                 lost",
                "books",
                books.units_accepted,
                books.units_gone,
                books.units_allocated,
                books.skus,
                self.sample
            )
        } else {
            write!(f, "{:<12}WRONG", "books")?;
            self.wrong.iter().take(WRONG_SHOWN_MAX).try_for_each(|wrong| write!(f, "\n  {wrong}"))
        }
    }
}

/// Differences that are printed; the JSON has all of them.
const WRONG_SHOWN_MAX: usize = 20;

fn millis(micros: u64) -> String {
    let mut text = String::new();
    write!(text, "{:.2} ms", micros as f64 / 1000.0).expect("a string takes every write");
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Books, Report, Tally};

    fn report(wrong: &[&str]) -> Report {
        let mut tally = Tally::new();
        tally.requests = 100;
        tally.accepted = 90;
        tally.rejected = 10;
        for micros in 1..=100 {
            tally.orders.record(micros * 1_000).expect("it grows");
        }
        tally.codes.insert("409 insufficient_stock".to_owned(), 10);
        Report {
            settings: json!({"mode": "orders"}),
            seconds: 2.0,
            tally,
            settled: (0, 0),
            books: Books {
                skus: 1,
                units_accepted: 90,
                units_allocated: 90,
                units_gone: 90,
                oversold_skus: 0,
            },
            sample: 90,
            wrong: wrong.iter().map(|wrong| (*wrong).to_owned()).collect(),
        }
    }

    #[test]
    fn rates_are_of_the_time_that_was_measured() {
        let json = report(&[]).json();
        assert_eq!(json["requests_per_second"], 50.0);
        assert_eq!(json["orders_accepted_per_second"], 45.0);
        assert_eq!(json["books"]["ok"], true);
        let p50 = json["latency"]["orders"]["p50_us"].as_u64().expect("microseconds");
        assert!((49_500..=50_600).contains(&p50), "{p50}");
        assert_eq!(json["latency"]["reads"], json!(null));
    }

    #[test]
    fn a_difference_is_never_called_right() {
        let right = report(&[]).to_string();
        assert!(right.contains("right: 90 units accepted = 90 gone = 90 allocated"), "{right}");
        let wrong = report(&["a is OVERSOLD"]);
        assert!(
            wrong.to_string().contains("WRONG\n  a is OVERSOLD") && !wrong.to_string().contains("right:")
        );
        assert_eq!(wrong.json()["books"]["ok"], false);
    }
}
