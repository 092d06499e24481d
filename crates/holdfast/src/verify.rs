//! `holdfast verify`: replays the log with arithmetic of its own and compares every counter, order and hold with it.
//!
//! Nothing here uses the rules' own code: facts are parsed from the recorded JSON ([`facts`]), counters are sums
//! ([`books`]), orders and holds are followed from their first event on ([`claims`]). It works beside a running
//! server: what changes while it looks is looked at again.

pub mod books;
pub mod chain;
pub mod claims;
pub mod facts;

use std::fmt;
use std::time::Instant;

use holdfast_domain::Position;
use holdfast_store::{Database, Reads};
use uuid::Uuid;

use chain::{Chain, NO_HASH, hex};
use claims::Claims;

/// Bytes of the log that are in memory at once.
const SLICE_BYTES_MAX: usize = 8 << 20;
/// Orders or holds that are compared at once.
const PAGE: usize = 1_000;
/// How often something that keeps changing is looked at again before that is called strange.
const LOOKS_MAX: usize = 100;

/// The first thing that is not as the log says: one sentence that names place and values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Difference(pub String);

/// What was proved.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    pub events: u64,
    pub batches: u64,
    pub orders: u64,
    pub holds: u64,
    pub skus: u64,
    /// On hand, everywhere.
    pub units: i64,
    pub seconds: f64,
    /// Where the log ended; with `hash`, what a later `--expect` may name.
    pub position: Position,
    pub hash: [u8; 32],
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { events, batches, orders, holds, skus, units, seconds, position, hash } = self;
        writeln!(
            f,
            "{events} events in {batches} batches, {orders} orders, {holds} holds, {skus} SKUs, {units} units on hand:"
        )?;
        writeln!(f, "all counters, orders and holds equal the log, nothing was oversold ({seconds:.1} s).")?;
        write!(f, "Head: {position}:{}", hex(hash))
    }
}

/// Proves that the tables say what the log says, or says the first [`Difference`] (as the error's type). With
/// `expect`, the log must also have had this hash at this position.
pub async fn verify(database: &Database, expect: Option<(Position, [u8; 32])>) -> anyhow::Result<Report> {
    let started = Instant::now();
    let reads = &*database.reads;
    let snapshot = reads.snapshot().await?;
    let mut replay = Replay { reads, chain: Chain::new(), claims: Claims::default(), expect };
    replay.up_to(snapshot.position).await?;
    replay.chain.books.compare(&snapshot)?;
    drop(snapshot);
    replay.compare_orders().await?;
    replay.compare_holds().await?;
    replay.up_to_head().await?;
    if let Some((position, _)) = expect
        && position > replay.chain.position()
    {
        let end = replay.chain.position();
        return Err(Difference(format!(
            "The log ends at position {end}, before the expected position {position}."
        ))
        .into());
    }
    let Chain { batches, books, .. } = &replay.chain;
    let head = replay.chain.head();
    Ok(Report {
        events: head.position.0,
        batches: *batches,
        orders: replay.claims.orders.len() as u64,
        holds: replay.claims.holds.len() as u64,
        skus: books.item_count() as u64,
        units: books.units(),
        seconds: started.elapsed().as_secs_f64(),
        position: head.position,
        hash: head.hash,
    })
}

struct Replay<'a> {
    reads: &'a dyn Reads,
    chain: Chain,
    claims: Claims,
    expect: Option<(Position, [u8; 32])>,
}

impl Replay<'_> {
    /// Replays to exactly `target`, which is the end of a batch.
    async fn up_to(&mut self, target: Position) -> anyhow::Result<()> {
        if let Some((Position(0), hash)) = self.expect
            && hash != NO_HASH
        {
            return Err(
                Difference(format!("Before its first batch a log has the hash {}.", hex(&NO_HASH))).into()
            );
        }
        while self.chain.position() < target {
            let batches = self.reads.log(self.chain.position(), SLICE_BYTES_MAX).await?;
            if batches.is_empty() {
                let end = self.chain.position();
                return Err(Difference(format!(
                    "The log ends at position {end}, but the tables are at {target}."
                ))
                .into());
            }
            for batch in batches {
                if self.chain.position() >= target {
                    break;
                }
                if batch.first <= target && target < batch.last {
                    let (first, last) = (batch.first, batch.last);
                    let why =
                        format!("The tables are at position {target}, within the batch {first} to {last}.");
                    return Err(Difference(why).into());
                }
                let claims = &mut self.claims;
                self.chain.check(&batch, |entry, position, books| {
                    claims.enter(entry, position, batch.decided_at, books)
                })?;
                if let Some(oversold) = self.chain.books.first_oversold() {
                    return Err(Difference(oversold.to_owned()).into());
                }
                self.check_expected(batch.first, batch.last, &batch.hash)?;
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }

    fn check_expected(&self, first: Position, last: Position, hash: &[u8; 32]) -> Result<(), Difference> {
        match self.expect {
            Some((position, expected)) if position == last && expected != *hash => Err(Difference(format!(
                "At position {position} the log has the hash {}, not the expected {}.",
                hex(hash),
                hex(&expected)
            ))),
            Some((position, _)) if (first..last).contains(&position) => Err(Difference(format!(
                "The expected position {position} is within the batch {first} to {last}: this is another log."
            ))),
            Some(_) | None => Ok(()),
        }
    }

    /// Replays to the head of the log and compares the two.
    async fn up_to_head(&mut self) -> anyhow::Result<()> {
        let head = self.reads.head_of_reads().await?;
        let before = self.chain.position();
        if head.position < before {
            let position = head.position;
            return Err(Difference(format!(
                "The head of the log is at position {position}, the log goes on to {before}."
            ))
            .into());
        }
        self.up_to(head.position).await?;
        let own = self.chain.head();
        if head.hash != own.hash {
            return Err(Difference(format!(
                "The head of the log at position {} has the hash {}, its last batch {}.",
                head.position,
                hex(&head.hash),
                hex(&own.hash)
            ))
            .into());
        }
        if own.position.0 > 0 && head.decided_at != own.decided_at {
            let (position, head, own) = (head.position, head.decided_at, own.decided_at);
            return Err(Difference(format!(
                "The head of the log at position {position} is dated {head}, its last batch {own}."
            ))
            .into());
        }
        Ok(())
    }

    async fn compare_orders(&mut self) -> anyhow::Result<()> {
        let mut after = None;
        let mut doubtful = Vec::new();
        loop {
            let page = self.reads.orders_after(after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            let strange =
                page.iter().filter(|order| self.claims.order_difference(order, &self.chain.books).is_some());
            doubtful.extend(strange.map(|order| order.id).collect::<Vec<_>>());
            page.iter().for_each(|order| self.claims.saw_order(order.id));
        }
        doubtful.extend(self.claims.unseen_orders());
        for id in doubtful {
            self.look_again(id, Kind::Order).await?;
        }
        Ok(())
    }

    async fn compare_holds(&mut self) -> anyhow::Result<()> {
        let mut after = None;
        let mut doubtful = Vec::new();
        loop {
            let page = self.reads.holds_after(after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            let strange =
                page.iter().filter(|hold| self.claims.hold_difference(hold, &self.chain.books).is_some());
            doubtful.extend(strange.map(|hold| hold.id).collect::<Vec<_>>());
            page.iter().for_each(|hold| self.claims.saw_hold(hold.id));
        }
        doubtful.extend(self.claims.unseen_holds());
        for id in doubtful {
            self.look_again(id, Kind::Hold).await?;
        }
        Ok(())
    }

    /// A row that is not as the log says may only have changed since the log was read. So: replay to the head, read
    /// the row, replay to the head again. When the log did not touch it in between, row and log must agree.
    async fn look_again(&mut self, id: Uuid, kind: Kind) -> anyhow::Result<()> {
        for _ in 0..LOOKS_MAX {
            self.up_to_head().await?;
            let before = self.chain.position();
            let difference = match kind {
                Kind::Order => {
                    let order = self.reads.order(id).await?;
                    self.up_to_head().await?;
                    self.claims.order_row_difference(id, order.as_ref(), &self.chain.books)
                }
                Kind::Hold => {
                    let hold = self.reads.hold(id).await?;
                    self.up_to_head().await?;
                    self.claims.hold_row_difference(id, hold.as_ref(), &self.chain.books)
                }
            };
            let Some(difference) = difference else { return Ok(()) };
            let touched = match kind {
                Kind::Order => self.claims.order_changed(id),
                Kind::Hold => self.claims.hold_changed(id),
            };
            if touched <= before {
                return Err(difference.into());
            }
        }
        anyhow::bail!(
            "{id} changed {LOOKS_MAX} times while it was looked at; verify again when there is less to do"
        )
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Order,
    Hold,
}

#[cfg(test)]
#[path = "verify/verify_tests.rs"]
pub(crate) mod tests;
