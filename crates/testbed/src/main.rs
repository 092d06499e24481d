//! `holdfast-testbed`: the local cluster, made of real servers and one process per role, without containers.

mod bare;
mod local;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(
    version,
    about = "Real servers and a whole Holdfast cluster on this machine, gone without a trace when it ends"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start RabbitMQ, PostgreSQL, and HAProxy in front of two gateways, two `orders`, one each of `items`, `stock`,
    /// `relay` and `monitor`, each its own process; until Ctrl-C.
    Cluster(ClusterArgs),
}

#[derive(clap::Args)]
struct ClusterArgs {
    /// The holdfast binary.
    #[arg(long, env = "HOLDFAST_BIN", required_unless_present = "bare")]
    bin: Option<PathBuf>,
    /// The port to open in the browser; 0 takes a free one.
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Where each process writes its log; earlier logs there are replaced.
    #[arg(long, default_value = "target/cluster-logs")]
    logs: PathBuf,
    /// Seconds until a role that died is started again; 0 leaves it dead.
    #[arg(long, default_value_t = 15)]
    restart_after: u64,
    /// Start only the servers, print their addresses as JSON lines (the last one is `{"ready":true}`), and run until
    /// standard input closes or SIGTERM: for scripts in any language.
    #[arg(long)]
    bare: bool,
    /// The servers of `--bare`.
    #[arg(long, value_delimiter = ',', default_value = "rabbitmq,postgres,redis", requires = "bare")]
    servers: Vec<bare::Server>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Cli { command: Command::Cluster(args) } = Cli::parse();
    match run(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => {
            eprintln!("holdfast-testbed: {trouble:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: ClusterArgs) -> Result<()> {
    if args.bare {
        return bare::run(&args.servers).await;
    }
    let bin = args.bin.expect("clap asks for --bin without --bare");
    let restart_after = (args.restart_after > 0).then(|| std::time::Duration::from_secs(args.restart_after));
    let plan = holdfast_testbed::Plan { bin, port: args.port, logs: args.logs };
    local::run(&plan, restart_after).await
}

/// Returns at Ctrl-C or SIGTERM.
async fn asked_to_end() -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}
