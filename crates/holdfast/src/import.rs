//! Items with stock as CSV: import and export.
//!
//! One row is one item at one location. The header names the columns, in any order and case ([`Column`]); only `sku`
//! must be there. Further rows of a SKU add further locations; their catalogue cells are blank or agree with the
//! SKU's first row in the file, and no row names a location again. What a row does:
//!
//! - A new SKU becomes an item (`brand`, `model` and `price` are needed) with its first stock.
//! - Of a known SKU, the catalogue fields that differ are updated. A blank cell leaves the field as it is.
//! - On hand at the location is **set** to `quantity` by a count, whatever it was: a file is what somebody counted,
//!   and the difference is in the movements. A blank quantity leaves it as it is; a place without a row gets one.
//! - `safety_stock` and `reorder_point` are set where given; a blank one stays as it is.
//! - Archived items stay archived.
//!
//! A row is checked wholly before any of it is sent. Then the command that the rules may refuse goes first (the
//! count, which alone depends on the location), and the rest only when it was accepted: no row is half applied.
//!
//! Command ids are made from import id, line and step, so that the same import again has no further effect. What it had
//! decided before stays so: an item that it added itself counts as new in it however often it comes, and is not counted
//! again.

mod command_line;
mod export;
mod plan;
mod records;
mod row;

use std::collections::HashSet;
use std::future::Future;
use std::io::Read;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, ensure};
use holdfast_domain::command::AddItem;
use holdfast_domain::{Actor, Command, Currency, LocationCode, Outcome, Rejection, Sku, SkuState};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};
use uuid::Uuid;

pub use command_line::from_command_line;
pub use export::export;
use plan::{Planned, Planner};
use records::{ReadError, Record, Records};
pub use row::{Column, RowError};
use row::{Header, Row};

/// Bad rows that are told one by one; the others are counted.
pub const ERRORS_MAX: usize = 1_000;
/// Batches read ahead of the one being planned.
const BATCHES_AHEAD: usize = 2;

/// How to import.
#[derive(Debug, Clone)]
pub struct Options {
    /// Check everything and change nothing.
    pub dry_run: bool,
    /// In whose name.
    pub actor: Actor,
    /// Names this import: repeated under the same id, it has no further effect.
    pub import_id: Uuid,
    /// The locations that exist. A row that names another one is refused before anything is sent.
    pub locations: Vec<LocationCode>,
    /// Rows that are planned together, and the most commands in one call of `execute`: the more, the fewer times the
    /// database writes the same page.
    pub rows_at_once: usize,
}

/// How far an import is. Rows are those below the header, blank ones left out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Progress {
    /// Of the file, for a progress bar.
    pub bytes_read: u64,
    pub rows_read: u64,
    /// In a dry run: rows that would be applied, as far as one can know before.
    pub rows_applied: u64,
    pub rows_failed: u64,
    pub items_added: u64,
    pub items_updated: u64,
    /// The first [`ERRORS_MAX`] bad rows, by line within each batch, and why reading stopped, if it did.
    pub errors: Vec<RowError>,
    /// Bad rows beyond those.
    pub errors_left_out: u64,
    /// The file was not read to its end: its header is unusable, a quote is never closed, or it has too many SKUs.
    /// The last errors say which.
    pub stopped: bool,
}

impl Progress {
    fn fail(&mut self, mut errors: Vec<RowError>) {
        errors.sort_by_key(|error| error.line);
        self.rows_failed += errors.len() as u64;
        let room = ERRORS_MAX.saturating_sub(self.errors.len());
        self.errors_left_out += errors.len().saturating_sub(room) as u64;
        self.errors.extend(errors.into_iter().take(room));
    }
}

/// Imports a file. `execute` decides commands and answers in their order; what belongs on the items queue and what
/// on the stock queue never comes in one call. `known` is the current state of a SKU. `decided` says which of these
/// commands were decided before, which only an import that comes again has ([`nothing_decided`]). `progress` is kept up
/// to date and is the result at the end.
///
/// Errors: trouble with reading or executing. Bad rows are no errors; they are in the progress, and everything that
/// the progress counts as applied is.
pub async fn import<R, E, F, K, D, G>(
    reader: R,
    options: Options,
    execute: E,
    known: K,
    decided: D,
    progress: &watch::Sender<Progress>,
) -> anyhow::Result<Progress>
where
    R: Read + Send + 'static,
    E: Fn(Vec<Command>) -> F,
    F: Future<Output = anyhow::Result<Vec<Outcome>>>,
    K: Fn(&Sku) -> Option<SkuState>,
    D: Fn(Vec<Uuid>) -> G,
    G: Future<Output = anyhow::Result<HashSet<Uuid>>>,
{
    let (dry_run, rows_at_once) = (options.dry_run, options.rows_at_once.max(1));
    let planner = Mutex::new(Planner::new(options, known));
    let (sender, mut batches) = mpsc::channel(BATCHES_AHEAD);
    // Ends by itself when the receiver is gone.
    let reading = tokio::task::spawn_blocking(move || read_batches(reader, rows_at_once, &sender));
    let mut next = PlannedBatch::next(&mut batches, &planner, &decided).await?;
    while let Some(batch) = next {
        let PlannedBatch { rows, planned, mut errors, mut stop, bytes_read } = batch;
        let applying = async {
            if dry_run {
                Ok(planned)
            } else {
                apply(planned, rows_at_once, &planner, &execute, &mut errors).await
            }
        };
        // While a batch is executed, the next one is planned. What is refused meanwhile is found out when that one
        // is applied.
        let following = async {
            if stop.is_empty() {
                PlannedBatch::next(&mut batches, &planner, &decided).await
            } else {
                Ok(None)
            }
        };
        let (applied, following) = tokio::join!(applying, following);
        let applied = applied?;
        progress.send_modify(|progress| {
            progress.bytes_read = bytes_read;
            progress.rows_read += rows as u64;
            progress.rows_applied += applied.len() as u64;
            progress.items_added += applied.iter().filter(|row| row.adds).count() as u64;
            progress.items_updated += applied.iter().filter(|row| row.updates).count() as u64;
            progress.fail(errors);
            progress.stopped = !stop.is_empty();
            progress.errors.append(&mut stop);
        });
        next = following?;
    }
    drop(batches);
    reading.await.context("the reader of the import ended early")??;
    Ok(progress.borrow().clone())
}

/// For an import that has not come before.
pub async fn nothing_decided(_commands: Vec<Uuid>) -> anyhow::Result<HashSet<Uuid>> {
    Ok(HashSet::new())
}

/// Nobody panics while planning; if somebody does, the import ends.
fn locked<K>(planner: &Mutex<Planner<K>>) -> MutexGuard<'_, Planner<K>> {
    planner.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A batch, ready to be applied.
struct PlannedBatch {
    rows: usize,
    planned: Vec<Planned>,
    errors: Vec<RowError>,
    stop: Vec<RowError>,
    bytes_read: u64,
}

impl PlannedBatch {
    /// The next one that is read, if there is one.
    async fn next<K, D, G>(
        batches: &mut mpsc::Receiver<Batch>,
        planner: &Mutex<Planner<K>>,
        decided: &D,
    ) -> anyhow::Result<Option<Self>>
    where
        K: Fn(&Sku) -> Option<SkuState>,
        D: Fn(Vec<Uuid>) -> G,
        G: Future<Output = anyhow::Result<HashSet<Uuid>>>,
    {
        let Some(batch) = batches.recv().await else { return Ok(None) };
        // In this order: an item that is known because this import added it has an outcome already.
        let known = locked(planner).known(&batch.rows);
        let added = added_before(&batch.rows, &known, planner, decided).await?;
        Ok(Some(Self::of(batch, known, &added, &mut locked(planner))))
    }

    /// `known` is the state of each row's SKU, `added` are the SKUs that this import has added when it came before.
    fn of<K: Fn(&Sku) -> Option<SkuState>>(
        batch: Batch,
        known: Vec<Option<SkuState>>,
        added: &HashSet<Sku>,
        planner: &mut Planner<K>,
    ) -> Self {
        let Batch { rows, mut errors, mut stop, last_line, bytes_read } = batch;
        let count = errors.len() + rows.len();
        let mut planned = Vec::with_capacity(rows.len());
        for (row, known) in rows.into_iter().zip(known) {
            let known = known.filter(|_| !added.contains(&row.sku));
            match planner.plan(row, known) {
                Ok(row) => planned.push(row),
                Err(error) => errors.push(error),
            }
        }
        if planner.is_full() {
            stop.push(RowError::new(last_line, None, plan::TOO_MANY_SKUS));
        }
        Self { rows: count, planned, errors, stop, bytes_read }
    }
}

/// The known SKUs whose addition by one of these rows was decided before: to this import they are as new as they were
/// then, or they would be counted although units were sold since.
async fn added_before<K, D, G>(
    rows: &[Row],
    known: &[Option<SkuState>],
    planner: &Mutex<Planner<K>>,
    decided: &D,
) -> anyhow::Result<HashSet<Sku>>
where
    K: Fn(&Sku) -> Option<SkuState>,
    D: Fn(Vec<Uuid>) -> G,
    G: Future<Output = anyhow::Result<HashSet<Uuid>>>,
{
    let adds: Vec<(Uuid, &Sku)> = {
        let planner = locked(planner);
        let of_known = rows.iter().zip(known).filter(|(_, known)| known.is_some());
        of_known.map(|(row, _)| (planner.id_of_add(row), &row.sku)).collect()
    };
    if adds.is_empty() {
        return Ok(HashSet::new());
    }
    let decided = decided(adds.iter().map(|(id, _)| *id).collect()).await?;
    Ok(adds.into_iter().filter(|(id, _)| decided.contains(id)).map(|(_, sku)| sku.clone()).collect())
}

/// The items of a file that describes nothing but new ones, such as the demo's: all rows of a SKU as one.
///
/// Errors: the first bad row.
pub fn items_of(text: &str) -> Result<Vec<AddItem>, RowError> {
    let unreadable = |error: ReadError| RowError::new(0, None, error);
    let mut record = Record::default();
    let mut records = Records::new(text.as_bytes()).map_err(unreadable)?;
    records.read(&mut record).map_err(unreadable)?;
    let header = Header::parse(&record).map_err(|mut errors| errors.remove(0))?;
    let mut items: Vec<AddItem> = Vec::new();
    while records.read(&mut record).map_err(unreadable)? {
        let row = Row::parse(&header, &record)?;
        match items.last_mut().filter(|item| item.sku.as_ref() == Some(&row.sku)) {
            Some(item) => item.stock.extend(plan::initial_stock(&row)),
            None => {
                items.push(plan::new_item(&row, plan::price(&row, row.currency.unwrap_or(Currency::INR))?)?)
            }
        }
    }
    Ok(items)
}

/// Rows, as the reading thread hands them over.
#[derive(Default)]
struct Batch {
    rows: Vec<Row>,
    /// One for each row that is wrong in itself.
    errors: Vec<RowError>,
    /// Why reading ends with this batch, if not because the file does.
    stop: Vec<RowError>,
    last_line: u64,
    bytes_read: u64,
}

fn read_batches(reader: impl Read, rows_at_once: usize, sender: &mpsc::Sender<Batch>) -> anyhow::Result<()> {
    // A receiver that is gone wants no more: the import has failed already, and says why itself.
    let stop = |errors| drop(sender.blocking_send(Batch { stop: errors, ..Batch::default() }));
    let mut record = Record::default();
    let mut records = match Records::new(reader) {
        Ok(records) => records,
        Err(error) => {
            stop(vec![stopping(error)?]);
            return Ok(());
        }
    };
    match records.read(&mut record) {
        Ok(true) => {}
        Ok(false) => {
            stop(vec![RowError::new(1, None, "the file is empty; its first row must name the columns")]);
            return Ok(());
        }
        Err(error) => {
            stop(vec![stopping(error)?]);
            return Ok(());
        }
    }
    let header = match Header::parse(&record) {
        Ok(header) => header,
        Err(errors) => {
            stop(errors);
            return Ok(());
        }
    };
    loop {
        let mut batch = Batch::default();
        let mut more = true;
        while more && batch.rows.len() + batch.errors.len() < rows_at_once {
            match records.read(&mut record) {
                Ok(true) if record.is_blank() => {}
                Ok(true) => {
                    batch.last_line = record.line;
                    match Row::parse(&header, &record) {
                        Ok(row) => batch.rows.push(row),
                        Err(error) => batch.errors.push(error),
                    }
                }
                Ok(false) => more = false,
                Err(error) => {
                    batch.stop.push(stopping(error)?);
                    more = false;
                }
            }
        }
        batch.bytes_read = records.bytes_read();
        if sender.blocking_send(batch).is_err() || !more {
            return Ok(());
        }
    }
}

/// The line for people about what ends the reading; trouble with the file itself is passed on.
fn stopping(error: ReadError) -> anyhow::Result<RowError> {
    let line = match &error {
        ReadError::UnclosedQuote { line } | ReadError::TooLong { line } => *line,
        ReadError::Utf16 => 1,
        ReadError::Io(_) => return Err(anyhow::Error::new(error).context("the file cannot be read")),
    };
    Ok(RowError::new(line, None, error))
}

/// Sends the commands of rows in three steps, each after the answers to the one before: new items (another queue has
/// them, and further rows of the same SKU need them), then the first command of the other rows, then what is left of
/// rows whose first was accepted. Returns the rows that are applied.
async fn apply<E, F, K>(
    planned: Vec<Planned>,
    rows_at_once: usize,
    planner: &Mutex<Planner<K>>,
    execute: &E,
    errors: &mut Vec<RowError>,
) -> anyhow::Result<Vec<Planned>>
where
    E: Fn(Vec<Command>) -> F,
    F: Future<Output = anyhow::Result<Vec<Outcome>>>,
    K: Fn(&Sku) -> Option<SkuState>,
{
    let (adding, others): (Vec<Planned>, Vec<Planned>) = planned.into_iter().partition(|row| row.adds);
    let mut applied = Vec::with_capacity(adding.len() + others.len());
    for (row, refusal) in first_step(adding, execute).await? {
        match refusal {
            None => applied.push(row),
            Some(rejection) => {
                errors.push(refused(&row, &rejection, ""));
                locked(planner).forget(&row.sku);
            }
        }
    }
    let (ready, orphaned): (Vec<Planned>, Vec<Planned>) = {
        let planner = locked(planner);
        others.into_iter().partition(|row| !planner.is_forgotten(&row.sku))
    };
    errors.extend(
        orphaned
            .iter()
            .map(|row| RowError::new(row.line, Some(Column::Sku), "the row that adds this item was refused")),
    );
    let mut accepted = Vec::with_capacity(ready.len());
    for (row, refusal) in first_step(ready, execute).await? {
        match refusal {
            None => accepted.push(row),
            Some(rejection) => errors.push(refused(&row, &rejection, "")),
        }
    }
    let mut rest: Vec<(usize, Command)> = Vec::new();
    for (index, row) in accepted.iter_mut().enumerate() {
        rest.extend(row.rest.drain(..).map(|command| (index, command)));
    }
    let mut failed = vec![false; accepted.len()];
    for part in rest.chunks(rows_at_once) {
        let outcomes = send(execute, part.iter().map(|(_, command)| command.clone()).collect()).await?;
        for ((index, _), outcome) in part.iter().zip(outcomes) {
            if let Some(rejection) = refusal(outcome)
                && !std::mem::replace(&mut failed[*index], true)
            {
                // Only where somebody else changed the same item between the two steps.
                errors.push(refused(
                    &accepted[*index],
                    &rejection,
                    "a part of this row is applied, the rest is not: ",
                ));
            }
        }
    }
    applied.extend(accepted.into_iter().zip(failed).filter_map(|(row, failed)| (!failed).then_some(row)));
    Ok(applied)
}

/// Sends the first command of each row that has one; answers each row with why it was refused, if it was.
async fn first_step<E, F>(
    mut rows: Vec<Planned>,
    execute: &E,
) -> anyhow::Result<Vec<(Planned, Option<Rejection>)>>
where
    E: Fn(Vec<Command>) -> F,
    F: Future<Output = anyhow::Result<Vec<Outcome>>>,
{
    let mut commands = Vec::with_capacity(rows.len());
    let senders: Vec<bool> =
        rows.iter_mut().map(|row| row.first.take().map(|command| commands.push(command)).is_some()).collect();
    let mut outcomes = send(execute, commands).await?.into_iter();
    let mut answer = |sends: bool| {
        let outcome = if sends { outcomes.next() } else { None };
        outcome.and_then(refusal)
    };
    Ok(rows.into_iter().zip(senders).map(|(row, sends)| (row, answer(sends))).collect())
}

async fn send<E, F>(execute: &E, commands: Vec<Command>) -> anyhow::Result<Vec<Outcome>>
where
    E: Fn(Vec<Command>) -> F,
    F: Future<Output = anyhow::Result<Vec<Outcome>>>,
{
    if commands.is_empty() {
        return Ok(Vec::new());
    }
    let sent = commands.len();
    let outcomes = execute(commands).await?;
    ensure!(outcomes.len() == sent, "{sent} commands were answered with {} outcomes", outcomes.len());
    Ok(outcomes)
}

/// Why a command was refused, if it was. Nobody else uses an import's ids: one that is known with another content is of
/// the same row when the import came before, planned from what was so then. That decision stays.
fn refusal(outcome: Outcome) -> Option<Rejection> {
    outcome.result.err().filter(|rejection| !matches!(rejection, Rejection::CommandIdReused))
}

fn refused(row: &Planned, rejection: &Rejection, before: &str) -> RowError {
    let column = match rejection {
        Rejection::UnknownLocation { .. } | Rejection::DuplicateLocation { .. } => Some(Column::Location),
        Rejection::UnknownSku { .. } | Rejection::SkuExists { .. } | Rejection::NotFound => Some(Column::Sku),
        Rejection::StockLimit { .. } | Rejection::NegativeStock { .. } => Some(Column::Quantity),
        Rejection::InsufficientStock { .. }
        | Rejection::ItemArchived { .. }
        | Rejection::SameLocation
        | Rejection::MixedCurrencies
        | Rejection::MaxPerOrder { .. }
        | Rejection::TotalTooLarge
        | Rejection::WrongState { .. }
        | Rejection::InvalidParts { .. }
        | Rejection::HoldExpired
        | Rejection::HoldTooLong
        | Rejection::LocationExists { .. }
        | Rejection::ItemInUse { .. }
        | Rejection::StaleVersion { .. }
        | Rejection::IdTaken
        | Rejection::CommandIdReused
        | Rejection::Forbidden
        | Rejection::NotProcessable { .. } => None,
    };
    RowError::new(row.line, column, format!("{before}{}", rejection.detail()))
}

#[cfg(test)]
#[path = "import/import_tests.rs"]
mod tests;
