//! The whole table: which rows, in which order, and what they share.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use crate::reference::BareServer;
use crate::results::Results;
use crate::stand::{Mode, Servers, Stand};
use crate::{load, machine, quiet, rows};

#[derive(clap::Args)]
pub struct Args {
    /// The holdfast binary
    #[arg(long, default_value = "target/release/holdfast")]
    bin: PathBuf,
    /// Where to write the results; written again after every row
    #[arg(long, default_value = "bench/RESULTS.md")]
    out: PathBuf,
    /// Short runs and a small growth: five minutes in all, figures only roughly right
    #[arg(long)]
    quick: bool,
    /// Only these rows
    #[arg(long, value_enum, value_delimiter = ',')]
    rows: Vec<Row>,
    /// Only these modes
    #[arg(long, value_enum, value_delimiter = ',')]
    modes: Vec<Mode>,
    /// Measure everything so often; medians count
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// Length of one run in seconds [default: 8, quick: 2]
    #[arg(long)]
    seconds: Option<u64>,
}

/// What can be measured on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Row {
    Orders,
    Batches,
    Light,
    Reads,
    Overload,
    Search,
    Import,
    Growth,
}

impl Row {
    fn name(self) -> &'static str {
        match self {
            Row::Orders => "orders",
            Row::Batches => "batches",
            Row::Light => "light load",
            Row::Reads => "reads",
            Row::Overload => "overload",
            Row::Search => "search",
            Row::Import => "import",
            Row::Growth => "growth",
        }
    }
}

/// Items in the shop of most rows.
pub const SKUS: usize = 10_000;

/// What every row gets: how to measure, and where to write it down.
pub struct Table {
    pub bin: PathBuf,
    pub quick: bool,
    pub runs: usize,
    pub duration: Duration,
    pub results: Results,
    pub bare: BareServer,
    servers: Option<Arc<Servers>>,
    out: PathBuf,
    begun: Instant,
}

impl Table {
    /// Says what comes, and waits until the machine is idle.
    pub async fn turn(&mut self, what: &str) {
        let wait_max = Duration::from_secs(if self.quick { 3 } else { 20 });
        if let Some(busy) = quiet::wait(wait_max).await {
            self.results.unquiet(what, busy);
        }
        let seconds = self.begun.elapsed().as_secs();
        eprintln!("{:>3}:{:02}  {what}", seconds / 60, seconds % 60);
    }

    /// As [`Table::turn`], with nothing left to publish: a relay that is late works beside the orders instead of resting, and
    /// beside whatever is measured next.
    pub async fn turn_after(&mut self, stands: &[&Stand], what: &str) -> anyhow::Result<()> {
        for stand in stands {
            stand.until_published().await?;
        }
        self.turn(what).await;
        Ok(())
    }

    /// RabbitMQ and PostgreSQL, started when they are first needed.
    pub async fn servers(&mut self) -> anyhow::Result<Arc<Servers>> {
        if let Some(servers) = &self.servers {
            return Ok(servers.clone());
        }
        let servers = Servers::start().await?;
        let [postgres, rabbit] = servers.versions().await?;
        self.results.facts.extend([("PostgreSQL", postgres), ("RabbitMQ", rabbit)]);
        self.servers = Some(servers.clone());
        Ok(servers)
    }

    /// Holdfast with so many items.
    pub async fn stand(&mut self, mode: Mode, items: usize) -> anyhow::Result<Stand> {
        eprintln!("  {} with {items} items", mode.name());
        let servers = match mode {
            Mode::Embedded => None,
            Mode::Distributed => Some(self.servers().await?),
        };
        Stand::start(&self.bin, items, servers.as_ref()).await
    }

    fn save(&self) -> anyhow::Result<()> {
        if let Some(folder) = self.out.parent() {
            std::fs::create_dir_all(folder).with_context(|| format!("--out {}", self.out.display()))?;
        }
        std::fs::write(&self.out, self.results.markdown())
            .with_context(|| format!("--out {}", self.out.display()))
    }
}

/// Runs the wanted rows and writes them down. A row that fails does not keep the others from running.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let wants = |row| args.rows.is_empty() || args.rows.contains(&row);
    let modes: Vec<Mode> = [Mode::Embedded, Mode::Distributed]
        .into_iter()
        .filter(|mode| args.modes.is_empty() || args.modes.contains(mode))
        .collect();
    let runs = args.runs.max(1);
    let seconds = args.seconds.unwrap_or(if args.quick { 2 } else { 8 }).max(1);
    let scaled = "; QUICK: growth is scaled down by ten, import and growth are embedded only, and figures are only roughly right";
    let how = format!(
        "Medians of {runs} runs of {seconds} s, taken in turns with their references, on the machine that also runs the \
         client{}. Every order is durable and decided before its answer.",
        if args.quick { scaled } else { "" },
    );
    let mut table = Table {
        bin: load::binary(&args.bin)?,
        quick: args.quick,
        runs,
        duration: Duration::from_secs(seconds),
        results: Results::new(machine::facts(), how),
        bare: BareServer::start(SKUS).await?,
        servers: None,
        out: args.out,
        begun: Instant::now(),
    };
    // A large shop on two servers more takes its time: in a quick run only when asked for.
    let own_modes = if args.quick && args.modes.is_empty() { &modes[..1] } else { &modes[..] };
    for mode in &modes {
        shared_stand(&mut table, *mode, &wants).await?;
    }
    if wants(Row::Search) {
        let done = rows::search::run(&mut table).await;
        ended(&mut table, Row::Search, "", done)?;
    }
    if wants(Row::Import) {
        for mode in own_modes {
            let done = rows::import::run(&mut table, *mode).await;
            ended(&mut table, Row::Import, mode.name(), done)?;
        }
    }
    if wants(Row::Growth) {
        for mode in own_modes {
            let done = rows::growth::run(&mut table, *mode).await;
            ended(&mut table, Row::Growth, mode.name(), done)?;
        }
    }
    table.results.end();
    table.save()?;
    let (met, missed) = table.results.score();
    eprintln!("{} has it all: {met} targets met, {missed} missed", table.out.display());
    ensure!(table.results.failures() == 0, "{} rows could not be measured", table.results.failures());
    Ok(())
}

/// The rows that a shop of the usual size can serve one after the other.
async fn shared_stand(table: &mut Table, mode: Mode, wants: &impl Fn(Row) -> bool) -> anyhow::Result<()> {
    let all = [Row::Light, Row::Reads, Row::Orders, Row::Batches, Row::Overload];
    let wanted: Vec<Row> = all.into_iter().filter(|row| wants(*row)).collect();
    if wanted.is_empty() {
        return Ok(());
    }
    let mut stand = match table.stand(mode, SKUS).await {
        Ok(stand) => stand,
        Err(why) => {
            table.results.fail(mode.name(), &why);
            return table.save();
        }
    };
    for row in wanted {
        let done = match row {
            Row::Light => rows::light::run(table, mode, &stand).await,
            Row::Reads => rows::reads::run(table, mode, &stand).await,
            Row::Orders => rows::orders::run(table, mode, &stand).await,
            Row::Batches => rows::batches::run(table, mode, &stand).await,
            Row::Overload => rows::overload::run(table, mode, &mut stand).await,
            Row::Search | Row::Import | Row::Growth => unreachable!("these have shops of their own"),
        };
        ended(table, row, mode.name(), done)?;
    }
    Ok(())
}

/// Notes a failure, and saves what there is.
fn ended(table: &mut Table, row: Row, mode: &str, done: anyhow::Result<()>) -> anyhow::Result<()> {
    if let Err(why) = done {
        table.results.fail(format!("{} {mode}", row.name()).trim(), &why);
    }
    table.save()
}
