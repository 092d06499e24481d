//! `holdfast import`: a file or standard input into a database, with a bar and one line per bad row.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use holdfast_domain::{Actor, Sku, SkuState};
use holdfast_store::Database;
use indicatif::{HumanCount, ProgressBar, ProgressStyle};
use tokio::sync::watch;
use uuid::Uuid;

use super::{Options, Progress, import, nothing_decided};
use crate::clock;

/// Rows in one transaction: nobody else waits for this database.
const ROWS_AT_ONCE: usize = 10_000;

/// Imports `file` (`-`: standard input). Bad rows are lines on standard error, the result is one on standard output.
///
/// Errors: trouble, or that some rows were not imported.
pub async fn from_command_line(
    database: &Database,
    file: &Path,
    dry_run: bool,
    actor: Actor,
) -> anyhow::Result<()> {
    let (reader, size): (Box<dyn Read + Send>, Option<u64>) = if file == Path::new("-") {
        (Box::new(std::io::stdin()), None)
    } else {
        let opened = File::open(file).with_context(|| format!("{} cannot be read", file.display()))?;
        let size =
            opened.metadata().ok().filter(|metadata| metadata.is_file()).map(|metadata| metadata.len());
        (Box::new(opened), size)
    };
    let snapshot = database.reads.snapshot().await?;
    let known: HashMap<Sku, SkuState> =
        snapshot.skus.into_iter().map(|state| (state.item.sku.clone(), state)).collect();
    let options = Options {
        dry_run,
        actor,
        import_id: Uuid::now_v7(),
        locations: snapshot.locations.into_iter().map(|location| location.code).collect(),
        rows_at_once: ROWS_AT_ONCE,
    };
    let execute = |commands| {
        let store = database.store.clone();
        async move { Ok(store.execute(clock::now(), Arc::new(commands)).await?.outcomes) }
    };

    let (progress, watched) = watch::channel(Progress::default());
    let bar = bar(size);
    let showing = tokio::spawn(show(bar.clone(), watched));
    let known = |sku: &Sku| known.get(sku).cloned();
    let result = import(reader, options, execute, known, nothing_decided, &progress).await;
    drop(progress);
    showing.await.context("the progress bar broke")?;
    bar.finish_and_clear();
    report(&result.context("the import stopped early; what was told as done is done")?, dry_run)
}

fn bar(size: Option<u64>) -> ProgressBar {
    let (bar, template) = match size {
        Some(size) => (ProgressBar::new(size), "{bar:30} {bytes}/{total_bytes} {msg} {eta}"),
        None => (ProgressBar::new_spinner(), "{spinner} {bytes} {msg}"),
    };
    bar.with_style(ProgressStyle::with_template(template).expect("the template is a constant that parses"))
}

/// Follows the progress until the import ends.
async fn show(bar: ProgressBar, mut watched: watch::Receiver<Progress>) {
    let mut told = 0;
    loop {
        // Looked at before the wait, so that the last state is shown too.
        let ended = watched.changed().await.is_err();
        let (bytes, rows, failed, errors) = {
            let progress = watched.borrow_and_update();
            let new: Vec<String> = progress.errors[told..].iter().map(ToString::to_string).collect();
            (progress.bytes_read, progress.rows_read, progress.rows_failed, new)
        };
        told += errors.len();
        bar.set_position(bytes);
        bar.set_message(format!("{} rows, {} bad", HumanCount(rows), HumanCount(failed)));
        for error in errors {
            bar.suspend(|| eprintln!("{error}"));
        }
        if ended {
            return;
        }
    }
}

fn report(progress: &Progress, dry_run: bool) -> anyhow::Result<()> {
    if progress.errors_left_out > 0 {
        eprintln!("and {} more bad rows", progress.errors_left_out);
    }
    let Progress { rows_read, rows_applied, items_added, items_updated, rows_failed, .. } = progress;
    let would = if dry_run { "would be " } else { "" };
    println!(
        "{rows_applied} of {rows_read} rows {would}imported, {items_added} items {would}added, {items_updated} {would}updated"
    );
    match (progress.stopped, rows_failed) {
        (true, _) => bail!("the file was not read to its end"),
        (false, 0) => Ok(()),
        (false, failed) => bail!("{failed} rows are bad"),
    }
}
