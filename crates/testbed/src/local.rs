//! `cluster`: the whole cluster for people, supervised until Ctrl-C.

use std::time::{Duration, Instant};

use anyhow::Result;
use holdfast_testbed::{BrokerUser, Cluster, Plan, Process};

const SUPERVISION_PERIOD: Duration = Duration::from_millis(500);

/// `restart_after`: `None` leaves dead roles dead.
pub async fn run(plan: &Plan, restart_after: Option<Duration>) -> Result<()> {
    let cluster = tokio::select! {
        cluster = Cluster::start(plan) => cluster?,
        // What has been started ends with the future that held it.
        asked = crate::asked_to_end() => return asked,
    };
    introduce(&cluster);
    tokio::select! {
        () = supervise(&cluster, restart_after) => {}
        asked = crate::asked_to_end() => asked?,
    }
    eprintln!("stopping");
    Ok(cluster.stop().await?)
}

fn introduce(cluster: &Cluster) {
    println!("\nHoldfast runs at {}", cluster.url());
    println!("  sign in as {} with the password {}", Cluster::ADMIN, Cluster::ADMIN_PASSWORD);
    println!("  database   {}", cluster.database_url());
    println!("  management {}", cluster.rabbit().management_url());
    println!("  producers  {}", cluster.broker_url(BrokerUser::Producer));
    println!("  listeners  {}", cluster.broker_url(BrokerUser::Listener));
    println!("  logs       {}", cluster.logs().display());
    for process in cluster.processes() {
        println!("  {:<10} pid {}", process.name(), process.pid().unwrap_or_default());
    }
    println!("All data is thrown away at the end. Ctrl-C stops everything.");
}

/// Says which role has ended, and starts it again after a while, as any supervisor would.
async fn supervise(cluster: &Cluster, restart_after: Option<Duration>) {
    let processes: Vec<&Process> = cluster.processes().collect();
    let mut down_since: Vec<Option<Instant>> = vec![None; processes.len()];
    loop {
        tokio::time::sleep(SUPERVISION_PERIOD).await;
        for (process, down_since) in processes.iter().zip(&mut down_since) {
            let name = process.name();
            match (*down_since, process.is_running()) {
                (None, true) => {}
                (None, false) => {
                    *down_since = Some(Instant::now());
                    match restart_after {
                        Some(wait) => eprintln!("{name} has ended; starting it again in {wait:?}"),
                        None => eprintln!("{name} has ended"),
                    }
                }
                (Some(_), true) => *down_since = None,
                (Some(since), false) if restart_after.is_some_and(|wait| since.elapsed() >= wait) => {
                    *down_since = None;
                    match process.restart().await {
                        Ok(()) => eprintln!("{name} runs again, pid {}", process.pid().unwrap_or_default()),
                        Err(trouble) => eprintln!("{trouble}"),
                    }
                }
                (Some(_), false) => {}
            }
        }
    }
}
