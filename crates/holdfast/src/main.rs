//! `holdfast`: one binary, from a laptop's embedded shop to a fleet of services. This file is the command line.

mod admin;
mod answers;
mod bench;
mod clock;
mod config;
mod connect;
mod demo;
mod follow;
mod gateway;
mod import;
mod instance;
mod lifecycle;
mod lock;
mod monitor;
mod queues;
mod role;
mod verify;
mod worker;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use config::{DataArgs, ServeArgs};
use holdfast_domain::Role;

/// How long threads that block may go on at the end.
const BLOCKED_MAX: Duration = Duration::from_millis(200);

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Keeps the truth about a shop's stock and takes its orders.
#[derive(Debug, Parser)]
#[command(name = "holdfast", version)]
struct Cli {
    #[command(flatten)]
    data: DataArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the shop
    Serve(ServeArgs),
    /// Prove from the log that the books are right; exit 1 with the first difference
    Verify {
        /// Compare with a head noted earlier
        #[arg(long, value_name = "POSITION:HASH")]
        expect: Option<String>,
    },
    /// Load items with stock from a CSV file (- for standard input)
    Import {
        file: PathBuf,
        /// Check everything, change nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Write items with stock as CSV to standard output
    Export,
    /// Copy the database into a new file, beside a running server
    Backup { file: PathBuf },
    /// Put a backup in place of a database that does not exist yet, and verify it
    Restore { file: PathBuf },
    /// Bring the database to this version
    Migrate,
    /// Manage accounts
    #[command(subcommand)]
    Accounts(AccountsCommand),
    /// Manage API keys
    #[command(subcommand)]
    ApiKeys(ApiKeysCommand),
    /// Load a running server, and check its books
    Bench(bench::BenchArgs),
    /// Print the OpenAPI document
    Openapi,
}

#[derive(Debug, Subcommand)]
enum AccountsCommand {
    /// Add an account; the password comes from the terminal, HOLDFAST_PASSWORD or standard input
    Add {
        name: String,
        #[arg(long)]
        role: Role,
    },
}

#[derive(Debug, Subcommand)]
enum ApiKeysCommand {
    /// Add an API key and print it, once
    Add {
        name: String,
        #[arg(long)]
        role: Role,
    },
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("holdfast: the runtime cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let ended = runtime.block_on(run(cli));
    // Whatever blocks a thread of its now, such as looking up a name, is not worth waiting for.
    runtime.shutdown_timeout(BLOCKED_MAX);
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("holdfast: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        Command::Serve(args) => {
            let settings = args.settings(&cli.data)?;
            start_log(&settings.data)?;
            role::serve(settings).await
        }
        Command::Bench(args) => bench::run(args).await,
        Command::Openapi => {
            println!("{}", gateway::openapi::document());
            Ok(())
        }
        Command::Verify { expect } => admin::verify(&cli.data.settings()?, expect.as_deref()).await,
        Command::Import { file, dry_run } => admin::import(&cli.data.settings()?, &file, dry_run).await,
        Command::Export => admin::export(&cli.data.settings()?).await,
        Command::Backup { file } => admin::backup(&cli.data.settings()?, &file).await,
        Command::Restore { file } => admin::restore(&cli.data.settings()?, &file).await,
        Command::Migrate => admin::migrate(&cli.data.settings()?).await,
        Command::Accounts(AccountsCommand::Add { name, role }) => {
            admin::add_account(&cli.data.settings()?, &name, role).await
        }
        Command::ApiKeys(ApiKeysCommand::Add { name, role }) => {
            admin::add_api_key(&cli.data.settings()?, &name, role).await
        }
    }
}

fn start_log(settings: &config::DataSettings) -> anyhow::Result<()> {
    use std::io::IsTerminal;
    // The broker's client says in its own words what we say in ours, also where it is expected.
    let filter = tracing_subscriber::EnvFilter::try_new(format!("lapin=off,{}", settings.log))
        .map_err(|error| anyhow::anyhow!("log: {:?} is not a filter: {error}", settings.log))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    if settings.log_json {
        builder.json().init()
    } else {
        builder.init()
    }
    Ok(())
}
