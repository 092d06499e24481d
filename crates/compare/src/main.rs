//! `holdfast-compare`: measures Holdfast beside the limits of the machine that it runs on, in turns, and writes down both.
//!
//! `table` runs every row of the comparison and writes `bench/RESULTS.md`; `instructions` counts what one fixed workload
//! takes. Everything that is started lives in temporary folders on loopback and ends with this process.

mod bare;
mod catalogue;
mod instructions;
mod load;
mod machine;
mod quiet;
mod reference;
mod results;
mod rows;
mod stand;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The product's own: the bare server shall not lose by its allocator.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[derive(Parser)]
#[command(version, about = "Measures Holdfast against the limits of its machine")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the comparison and write it down
    Table(table::Args),
    /// Count the instructions of one fixed workload, and compare them with those recorded
    Instructions(instructions::Args),
    /// The bare HTTP server that gateways are compared with
    #[command(hide = true)]
    Bare {
        #[arg(long)]
        port: u16,
    },
    /// The catalogue that the comparison uses, as CSV
    #[command(hide = true)]
    Catalogue { items: usize, file: PathBuf },
}

fn main() -> ExitCode {
    // As `holdfast` starts its own.
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("holdfast-compare: the runtime cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let done = runtime.block_on(async {
        match Cli::parse().command {
            // Ends well when it is asked to: everything it started ends with it.
            Command::Table(args) => tokio::select! {
                done = table::run(args) => done,
                asked = asked_to_end() => asked.and(Err(anyhow::anyhow!("stopped"))),
            },
            Command::Instructions(args) => instructions::run(&args),
            Command::Bare { port } => bare::serve(port).await,
            Command::Catalogue { items, file } => catalogue::write(&file, items),
        }
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("holdfast-compare: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Returns at Ctrl-C or SIGTERM.
async fn asked_to_end() -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}
