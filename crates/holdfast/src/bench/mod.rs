//! `holdfast bench`: loads a running server over HTTP, and then holds it to its own books: what was accepted is what is
//! gone, none oversold, none lost.

mod books;
mod client;
mod load;
mod orders;
mod report;
mod settle;
mod shop;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use books::Shelf;
use client::{Connection, Target};
use hyper::header::HeaderValue;
use load::{Live, Mode, Pace, Plan, SAMPLE_MAX, Tally};
use orders::Wish;
use report::Report;
use serde_json::json;
use shop::Shop;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// How to load a server.
#[derive(Debug, clap::Args)]
pub struct BenchArgs {
    #[arg(value_enum)]
    mode: Mode,
    /// The server
    #[arg(long, default_value = "http://127.0.0.1:8080")]
    url: String,
    /// An API key of the role admin
    #[arg(long, env = "HOLDFAST_API_KEY", hide_env_values = true)]
    api_key: String,
    /// Connections, each with one request at a time
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    connections: u16,
    /// How long: 500ms, 10s, 2m
    #[arg(long, default_value = "10s", value_parser = parse_duration)]
    duration: Duration,
    /// Orders a request, through the batch call
    #[arg(long, value_name = "ORDERS", value_parser = clap::value_parser!(u16).range(1..=1_000))]
    batch: Option<u16>,
    /// Open loop: requests begin at this rate a second, and their latency counts from when they were due
    #[arg(long, value_name = "PER_SECOND", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    rate: Option<u32>,
    /// Items to make and to spread the load over
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=9_999_999))]
    skus: u32,
    /// Use the items PREFIX-0000000, PREFIX-0000001 … that are there already, instead of making new ones
    #[arg(long, value_name = "PREFIX")]
    existing: Option<String>,
    /// `reads`: the lines of this file are the paths to read, instead of items
    #[arg(long, value_name = "FILE", conflicts_with = "existing")]
    paths: Option<PathBuf>,
    /// Put all the load on one of them
    #[arg(long)]
    hot: bool,
    /// The server keeps no books (a bare one to compare with): leave them alone
    #[arg(long, hide = true)]
    no_books: bool,
    /// Lines an order, of one unit each
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=200))]
    lines: u16,
    /// Units of every item; with few, it sells out
    #[arg(long, default_value_t = 1_000_000_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000_000))]
    stock: u64,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// `500ms`, `10s`, `2m`, or seconds without a unit; more than nothing, a day at most.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let number: u64 = number.parse().map_err(|_| format!("{text:?} is not a duration such as 10s or 2m"))?;
    let millis = match unit {
        "ms" => Some(number),
        "" | "s" => number.checked_mul(1_000),
        "m" => number.checked_mul(60_000),
        _ => return Err(format!("{unit:?} is not a unit of time: ms, s or m")),
    };
    match millis {
        Some(millis @ 1..=86_400_000) => Ok(Duration::from_millis(millis)),
        Some(_) | None => Err(format!("{text:?} must be more than nothing and a day at most")),
    }
}

/// Loads the server and checks its books; an error if they are wrong, or if nothing could be measured.
pub async fn run(args: BenchArgs) -> anyhow::Result<()> {
    let target = Target::new(&args.url, &args.api_key)?;
    let connections = usize::from(args.connections);
    let skus = usize::try_from(args.skus).context("--skus")?;
    let (shop, before) = shop_of(&args, &target, skus).await?;
    let skus = shop.choices();

    let mut ready = Vec::with_capacity(connections);
    for _ in 0..connections {
        let mut connection = Connection::new(target.clone());
        connection.connect().await.context("--connections")?;
        ready.push(connection);
    }
    let duration = args.duration;
    let start = Instant::now();
    let plan = Arc::new(Plan {
        mode: args.mode,
        shop: shop.clone(),
        wish: Wish { skus: if args.hot { 1 } else { skus }, lines: usize::from(args.lines) },
        batch: args.batch.map(usize::from),
        sample: SAMPLE_MAX.div_ceil(connections),
        pace: Pace::new(start, duration, args.rate.map(f64::from)),
        live: Live::new(skus),
    });
    let (mut tally, seconds) = load(&plan, ready).await?;

    let mut report = Report {
        settings: json!({
            "mode": format!("{:?}", args.mode).to_lowercase(), "url": args.url, "connections": connections,
            "duration_s": duration.as_secs_f64(), "batch": args.batch, "rate": args.rate, "skus": skus,
            "hot": args.hot, "lines": args.lines, "stock": args.stock,
        }),
        seconds,
        settled: (0, 0),
        books: books::Books::default(),
        sample: 0,
        wrong: Vec::new(),
        tally: Tally::new(),
    };
    let measured = !tally.orders.is_empty() || !tally.reads.is_empty();
    let (doubts, mut sample) = (std::mem::take(&mut tally.doubts), std::mem::take(&mut tally.sample));
    sample.truncate(SAMPLE_MAX);
    report.tally = tally;

    if args.no_books {
        return tell(&args, &report, measured);
    }
    let settled = settle::doubts(&target, &plan, doubts, connections).await?;
    report.settled = (settled.accepted, settled.rejected);
    report.wrong.extend(settled.lost.iter().map(|(id, why)| format!("order {id} is LOST: {why}")));
    let position: Option<HeaderValue> = match args.mode {
        Mode::Orders | Mode::Mixed => settle::marker(&target, &plan).await?,
        Mode::Reads => None,
    };
    let after = shop::stock(&target, &shop, position.as_ref()).await?;
    let units: Vec<i64> = plan.live.units.iter().map(|units| units.load(Ordering::Relaxed)).collect();
    let (books, differences) = books::check(&before, &after, &units);
    report.books = books;
    report.wrong.extend(differences.iter().map(ToString::to_string));
    let lost = settle::read_back(&target, &sample, position.as_ref()).await;
    report.wrong.extend(lost.iter().map(|(id, why)| format!("order {id} is LOST: {why}")));
    report.sample = sample.len();
    tell(&args, &report, measured)
}

/// Prints the result; an error if it is none, or not a good one.
fn tell(args: &BenchArgs, report: &Report, measured: bool) -> anyhow::Result<()> {
    if args.json {
        println!("{:#}", report.json());
    } else {
        println!("{report}");
    }
    ensure!(measured, "no request was answered well: nothing was measured");
    if let Some(first) = report.wrong.first() {
        bail!("the server's books are wrong ({} differences), first: {first}", report.wrong.len());
    }
    Ok(())
}

/// The items to load and their stock before it; none where there are no books to check.
async fn shop_of(
    args: &BenchArgs,
    target: &Arc<Target>,
    skus: usize,
) -> anyhow::Result<(Arc<Shop>, Vec<Shelf>)> {
    if let Some(file) = &args.paths {
        ensure!(args.mode == Mode::Reads, "--paths: only for reads");
        let text = std::fs::read_to_string(file).with_context(|| format!("--paths: {}", file.display()))?;
        return Ok((Arc::new(Shop::of_paths(&text).context("--paths")?), Vec::new()));
    }
    if let Some(prefix) = &args.existing {
        let shop = Arc::new(Shop::named(prefix, skus)?);
        let before = if args.no_books { Vec::new() } else { shop::stock(target, &shop, None).await? };
        ensure!(
            args.no_books || before.len() == skus,
            "--existing: {} is not there",
            shop.skus[before.len()]
        );
        return Ok((shop, before));
    }
    eprintln!("making {skus} items at {} ...", args.url);
    shop::set_up(target, skus, args.stock, usize::from(args.connections)).await
}

/// Runs all connections to the end; answers with what they saw together and the seconds that it took.
async fn load(plan: &Arc<Plan>, ready: Vec<Connection>) -> anyhow::Result<(Tally, f64)> {
    let start = Instant::now();
    let pacer = {
        let plan = plan.clone();
        tokio::task::spawn_blocking(move || plan.pace.run())
    };
    let live = tokio::spawn(show(plan.clone()));
    let mut tasks = JoinSet::new();
    for connection in ready {
        tasks.spawn(load::drive(connection, plan.clone()));
    }
    let mut sum = Tally::new();
    while let Some(ended) = tasks.join_next().await {
        sum.add(ended.context("a connection's task")?);
    }
    let seconds = start.elapsed().as_secs_f64();
    live.abort();
    sum.never_sent(plan.mode, &pacer.await.context("the pacer")?);
    Ok((sum, seconds))
}

/// A line a second on standard error.
async fn show(plan: Arc<Plan>) {
    let mut ticks = interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    let (mut second, mut last) = (0_u64, [0_u64; 3]);
    loop {
        ticks.tick().await;
        second += 1;
        let live = &plan.live;
        let now = [&live.requests, &live.accepted, &live.errors].map(|count| count.load(Ordering::Relaxed));
        let [requests, accepted, errors] = [0, 1, 2].map(|index: usize| now[index] - last[index]);
        eprintln!(
            "{second:>4} s  {requests:>8} requests/s  {accepted:>8} orders accepted/s  {errors:>6} errors/s"
        );
        last = now;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::{Args, Command, FromArgMatches};

    use super::{BenchArgs, Mode, parse_duration};

    fn args(line: &str) -> Result<BenchArgs, clap::Error> {
        let matches = BenchArgs::augment_args(Command::new("bench")).try_get_matches_from(line.split(' '))?;
        BenchArgs::from_arg_matches(&matches)
    }

    #[test]
    fn durations_have_a_unit_or_are_seconds() {
        let cases = [("500ms", 500), ("10s", 10_000), ("10", 10_000), ("2m", 120_000)];
        for (text, millis) in cases {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused_with_a_sentence() {
        for text in
            ["", "s", "-1s", "1.5s", "10h", "0s", "99999999999999999999s", "18446744073709551615m", "2d"]
        {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_command_line_of_the_contract_is_understood() {
        let line = "bench mixed --url http://h:1 --api-key k --connections 8 --duration 2m --batch 500 --rate 100 --skus 10 --hot --json";
        let args = args(line).expect("a good line");
        assert_eq!(args.mode, Mode::Mixed);
        assert_eq!((args.connections, args.batch, args.rate, args.skus), (8, Some(500), Some(100), 10));
        assert!(args.hot && args.json);
    }

    #[test]
    fn defaults_are_those_of_the_contract() {
        let args = args("bench orders --api-key k").expect("a good line");
        assert_eq!((args.connections, args.duration, args.skus), (64, Duration::from_secs(10), 10_000));
        assert_eq!((args.batch, args.rate, args.hot, args.json), (None, None, false, false));
    }

    #[test]
    fn values_out_of_bounds_are_refused() {
        let bad = [
            "--connections 0",
            "--batch 1001",
            "--batch 0",
            "--rate 0",
            "--skus 0",
            "--lines 201",
            "--stock 0",
            "--existing a --paths b",
        ];
        for wrong in bad {
            assert!(args(&format!("bench orders --api-key k {wrong}")).is_err(), "{wrong}");
        }
        assert!(args("bench writes --api-key k").is_err());
    }
}
