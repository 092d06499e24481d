//! A write of 12 KB that is seen onto the disk, now and then: what the commit of one order takes at least.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::ensure;

/// As many pages as SQLite writes for an order of one.
const WRITE: [u8; 12 << 10] = [b'w'; 12 << 10];
/// The file has its length before the first write, as the write-ahead log has: to lengthen it would take another one.
const FILE: u64 = 4 << 20;

/// The median of `rate` writes a second to a new file of this folder, in milliseconds.
pub async fn p50(folder: &Path, rate: u64, duration: Duration) -> anyhow::Result<f64> {
    let file = folder.join("synced");
    tokio::task::spawn_blocking(move || {
        measure(&file, Duration::from_secs(1) / u32::try_from(rate)?, duration)
    })
    .await?
}

fn measure(path: &Path, every: Duration, duration: Duration) -> anyhow::Result<f64> {
    let file = File::create(path)?;
    file.write_all_at(&vec![0; FILE as usize], 0)?;
    file.sync_all()?;
    let mut times = Vec::new();
    let begun = Instant::now();
    let mut at = 0;
    while begun.elapsed() < duration {
        thread::sleep(every);
        let from = Instant::now();
        file.write_all_at(&WRITE, at)?;
        file.sync_data()?;
        times.push(from.elapsed());
        at = (at + WRITE.len() as u64) % (FILE - WRITE.len() as u64);
    }
    std::fs::remove_file(path)?;
    times.sort_unstable();
    ensure!(!times.is_empty(), "{duration:?} is too short to measure a write");
    Ok(times[times.len() / 2].as_secs_f64() * 1_000.0)
}
