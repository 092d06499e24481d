//! Planning before the turn comes: what the last batch left in memory, and what can be decided on it without asking.
//!
//! Shared by both databases. Nearly every batch is orders with new ids, of items at hand, while nothing else writes. Such a
//! batch is planned in memory alone, also while the one before it is still being written, and is then written in one go
//! ([`Form`]) that begins with a proof: the tables are as the plan knows them, and nobody knows any of the ids that are not
//! surely new there ([`KnownIds`]). Where the proof fails, nothing has happened, and the batch is decided with everything
//! looked up first.
//!
//! In PostgreSQL items that are not at hand are looked up beside the writer, also while it writes ([`Found`]); over SQLite they
//! are taken from an image ([`Planner::put`]). What is not in memory has not changed since what is there was true, or the batch
//! that changed it would have left it there; so it may be read at any head that was passed on the way from there, and at no
//! other. Rows of stock that were recent then ([`RecentStock`]) are put right: those that still are, and those that have got
//! into their table since.
//!
//! What is recent is known without the items too: where a batch was planned and not written, its step is taken back. It is
//! read again where somebody else has written, or nobody knows whether a batch was.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Weak};
use std::thread;

use holdfast_domain::{Command, CommandBody, HoldStatus, Ledger, Sku, SkuState, StockRow, Timestamp};
use uuid::Uuid;

use crate::ids::KnownIds;
use crate::plan::{self, Kept, Plan, Remembered};
use crate::recent::{RecentStock, Step, Undo, changed_stock};
use crate::{Executed, Head, LogBatch, Place, Result};

/// After a plan that did not hold, so many batches are decided with everything looked up first: ids that come again
/// seldom come alone.
const CAREFUL_BATCHES: u32 = 8;
/// Heads that are remembered as passed. What is looked up is read at the last one written or, while a batch is on its way,
/// the one before.
const PASSED_MAX: usize = 8;

/// So many items are given back sooner than a thread is started for them.
const LET_GO_HERE_MAX: usize = 1_000;

/// The tables as one transaction left them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct State {
    pub(crate) head: Head,
    /// Each transaction that changes the log, adds an outcome, or changes which rows of stock are in their table, leaves
    /// another one.
    pub(crate) stamp: Uuid,
}

impl State {
    /// After a batch that will be written.
    pub(crate) fn after(batch: &LogBatch) -> Self {
        let head = Head { position: batch.last, decided_at: batch.decided_at, hash: batch.hash };
        Self { head, stamp: Uuid::new_v4() }
    }
}

/// A planned batch in the form in which a database writes it.
pub(crate) trait Form: Sized {
    fn of(decided: Decided<'_>) -> Result<Self>;
}

/// What a batch of orders that was planned writes.
pub(crate) struct Decided<'a> {
    /// Where it begins.
    pub(crate) from: &'a State,
    /// What it leaves.
    pub(crate) stamp: Uuid,
    /// Only orders are new in it, and only rows of stock changed that were there before.
    pub(crate) ledger: &'a Ledger,
    pub(crate) unsure: Unsure,
    /// What is taken out of it is missing there; it is still needed for the way back, but for the piece.
    pub(crate) step: &'a mut Step,
    pub(crate) remember: Vec<Remembered>,
    pub(crate) batch: LogBatch,
}

/// The ids that have to be asked for, lest one of them is known.
pub(crate) struct Unsure {
    /// Commands that may be pending: all of them.
    pub(crate) pending: Vec<Uuid>,
    /// Keys that may be those of orders. That an order's own id is not taken its table says by itself.
    pub(crate) orders: Vec<Uuid>,
    /// What may be a hold, or have an outcome.
    pub(crate) others: Vec<Uuid>,
}

/// Items and stock as they were read at one state of the tables.
pub(crate) struct Found {
    pub(crate) stamp: Uuid,
    /// `None` where there is no such item.
    pub(crate) skus: Vec<(Sku, Option<SkuState>)>,
}

/// What the last batch left in memory; true as long as the tables are as it left them, which their stamp says. The log's
/// position would not: another writer may have written as many events. Nor would its hash: of two servers that went on from
/// one backup, each may have other rows of stock in their table at the same hash.
pub(crate) struct Known {
    state: State,
    /// `None` if only what is recent is known.
    kept: Option<Kept>,
    recent: RecentStock,
    /// The stamps of this state and of those before it, as far back as where the ledger was begun.
    passed: VecDeque<Uuid>,
    /// The batches planned since the last one that was decided on what was looked up, as many as states are remembered.
    planned: VecDeque<Planned>,
    /// No hold is due before this time.
    quiet_until: Option<Timestamp>,
    /// Of orders, holds and outcomes. Those of batches that were planned and not written may be among them.
    ids: KnownIds,
}

/// What a planned batch did to what is recent.
struct Planned {
    /// Where it begins.
    from: State,
    undo: Undo,
}

impl Known {
    /// After a batch that was decided on `ledger` and left the tables in `state`. `next_due`: when the first hold was due
    /// before it.
    pub(crate) fn new(
        state: State,
        ledger: Ledger,
        recent: RecentStock,
        next_due: Option<Timestamp>,
        ids: KnownIds,
    ) -> Self {
        let of_batch =
            ledger.holds().filter(|hold| hold.status == HoldStatus::Held).map(|hold| hold.expires_at);
        let quiet_until = of_batch.chain(next_due).min();
        let kept = Some(Kept { head: state.head.position, ledger });
        Self { kept, quiet_until, ..Self::only_recent(state, recent, ids) }
    }

    fn only_recent(state: State, recent: RecentStock, ids: KnownIds) -> Self {
        let passed = VecDeque::from([state.stamp]);
        Self { state, kept: None, recent, passed, planned: VecDeque::new(), quiet_until: None, ids }
    }

    /// What is true for a batch that begins with the tables in `state`.
    pub(crate) fn at(self, state: &State, now: Timestamp) -> Base {
        if self.state != *state {
            let_go(self.kept);
            return Base::default();
        }
        Base {
            ledger: self.kept.and_then(|kept| kept.at(&state.head, now)),
            recent: Some(self.recent),
            ids: Some(self.ids),
        }
    }

    /// Begins anew with the next batch if more is at hand than this; what is recent is still known then.
    fn forget_beyond(&mut self, cached_max: usize) {
        let_go(self.kept.take_if(|kept| kept.ledger.size() > cached_max));
    }

    /// What is still known when the batch that begins at `from`, and those planned after it, will not be written. What does
    /// not count with that batch stays as it is.
    fn without(mut self, from: Uuid) -> Self {
        if !self.planned.iter().any(|planned| planned.from.stamp == from) {
            return self;
        }
        let_go(self.kept.take());
        while let Some(Planned { from: began, undo }) = self.planned.pop_back() {
            self.recent.undo(undo);
            if began.stamp == from {
                return Self::only_recent(began, self.recent, self.ids);
            }
        }
        self
    }

    pub(crate) fn stamp(&self) -> Uuid {
        self.state.stamp
    }

    pub(crate) fn has_ledger(&self) -> bool {
        self.kept.is_some()
    }

    pub(crate) fn has_sku(&self, sku: &Sku) -> bool {
        self.kept.as_ref().is_some_and(|kept| kept.ledger.has_sku(sku))
    }

    /// Whether these can be decided on what is in memory once their items are, if nobody knows their ids.
    fn suffices(&self, now: Timestamp, commands: &[Command]) -> bool {
        self.has_ledger()
            && !self.ids.is_old(now)
            && self.quiet_until.is_none_or(|due| now < due)
            && commands.iter().all(|command| matches!(command.body, CommandBody::PlaceOrder(_)))
    }
}

/// Gives back what is true no longer, while others wait: a million items are not given back in a moment. Where there is no
/// thread for it, it happens here.
fn let_go(kept: Option<Kept>) {
    if kept.as_ref().is_some_and(|kept| kept.ledger.size() > LET_GO_HERE_MAX) {
        drop(thread::Builder::new().name("forget".to_owned()).spawn(move || drop(kept)));
    }
}

/// What a batch may be decided on, as far as it is true.
#[derive(Default)]
pub(crate) struct Base {
    pub(crate) ledger: Option<Ledger>,
    pub(crate) recent: Option<RecentStock>,
    pub(crate) ids: Option<KnownIds>,
}

/// A batch that is planned and not written.
pub(crate) struct Foreseen<F> {
    commands: Arc<Vec<Command>>,
    /// The stamp where it begins.
    pub(crate) from: Uuid,
    /// Everything between BEGIN and COMMIT.
    pub(crate) to_write: F,
    pub(crate) executed: Executed,
}

/// Owner of what is known. Whoever holds it may plan; it is taken before the writer.
pub(crate) struct Planner<F> {
    known: Option<Known>,
    foreseen: Option<Foreseen<F>>,
    careful: u32,
    /// As [`Ledger::size`] counts.
    pub(crate) cached_max: usize,
}

impl<F: Form> Planner<F> {
    /// One that begins anew once it has more items than these at hand.
    pub(crate) fn new(cached_max: usize) -> Self {
        Self { known: None, foreseen: None, careful: 0, cached_max }
    }

    /// The items of these that are not at hand, if they are all that is missing for planning them.
    pub(crate) fn missing(&self, clock: Timestamp, commands: &[Command]) -> Vec<Sku> {
        let may_plan = self.foreseen.is_none() && self.careful == 0;
        let suffices = |known: &&Known| known.suffices(clock.max(known.state.head.decided_at), commands);
        let Some(known) = self.known.as_ref().filter(suffices).filter(|_| may_plan) else {
            return Vec::new();
        };
        let orders = commands.iter().filter_map(|command| match &command.body {
            CommandBody::PlaceOrder(order) => Some(order),
            _other_commands => None,
        });
        let skus = orders.flat_map(|order| order.lines.iter()).map(|line| &line.sku);
        let missing: HashSet<&Sku> = skus.filter(|sku| !known.has_sku(sku)).collect();
        missing.into_iter().cloned().collect()
    }

    /// Puts what was missing at hand, if it was read at a state that was passed on the way to what is known; says whether it was.
    pub(crate) fn add(&mut self, found: Found) -> bool {
        let Some(known) = self.known.as_mut().filter(|known| known.passed.contains(&found.stamp)) else {
            return false;
        };
        let Known { kept: Some(kept), recent, planned, .. } = known else { return false };
        // In the table by now, but perhaps not yet when it was read.
        let since = planned.iter().skip_while(|planned| planned.from.stamp != found.stamp);
        let written: HashMap<&Place, &StockRow> =
            since.flat_map(|planned| planned.undo.written()).map(|(place, row)| (place, row)).collect();
        for (sku, mut state) in found.skus {
            if kept.ledger.has_sku(&sku) {
                continue;
            }
            if let Some(state) = &mut state {
                for row in &mut state.stock {
                    if let Some(written) = written.get(&(sku.clone(), row.location.clone())) {
                        *row = (*written).clone();
                    }
                }
                recent.correct(&sku, &mut state.stock);
            }
            kept.ledger.put_sku(sku, state);
        }
        true
    }

    /// The ledger that items can be put into, and how much is at hand in it, as [`Ledger::size`] counts.
    pub(crate) fn at_hand(&self) -> Option<(Weak<()>, usize)> {
        let ledger = &self.known.as_ref()?.kept.as_ref()?.ledger;
        Some((ledger.life(), ledger.size()))
    }

    /// Puts items at hand as an image has them that is true of all that is not. It may be further than what is known, if
    /// somebody else writes, too: then the proof fails, but the rules first want to know all locations.
    pub(crate) fn put(&mut self, found: impl IntoIterator<Item = (Sku, SkuState)>) {
        let Some(Known { kept: Some(kept), .. }) = &mut self.known else { return };
        for (sku, state) in found {
            let is_of_here = state.stock.iter().all(|row| kept.ledger.location(&row.location).is_some());
            if is_of_here && !kept.ledger.has_sku(&sku) {
                kept.ledger.put_sku(sku, Some(state));
            }
        }
    }

    /// Plans a batch that will follow all that were taken, if that can be.
    pub(crate) fn foresee(&mut self, clock: Timestamp, commands: &Arc<Vec<Command>>) {
        if self.foreseen.is_none() && self.careful == 0 {
            // What is wrong with it shows when its turn comes.
            self.foreseen = self.plan(clock, commands).unwrap_or_default();
        }
    }

    /// The plan of a batch whose turn it is, if it could be made.
    pub(crate) fn take(
        &mut self,
        clock: Timestamp,
        commands: &Arc<Vec<Command>>,
    ) -> Result<Option<Foreseen<F>>> {
        if let Some(foreseen) = self.foreseen.take() {
            if Arc::ptr_eq(&foreseen.commands, commands) {
                return Ok(Some(foreseen));
            }
            // What is known counts with a batch that was not written.
            self.forget(foreseen.from);
            return Ok(None);
        }
        if self.careful > 0 {
            self.careful -= 1;
            return Ok(None);
        }
        self.plan(clock, commands)
    }

    /// What is known, to decide with everything looked up first; it has to be put back.
    pub(crate) fn take_known(&mut self) -> Option<Known> {
        self.known.take()
    }

    pub(crate) fn put_back(&mut self, mut known: Known) {
        known.forget_beyond(self.cached_max);
        self.known = Some(known);
    }

    /// A batch that was planned to begin at `from` was not written: nothing that counts with it is known any more, but what was
    /// recent before it.
    pub(crate) fn forget(&mut self, from: Uuid) {
        self.foreseen = None;
        self.known = self.known.take().map(|known| known.without(from));
    }

    /// The turn of the batch that was planned last, if it was not taken yet, will not come.
    pub(crate) fn drop_foreseen(&mut self) {
        if let Some(foreseen) = self.foreseen.take() {
            self.forget(foreseen.from);
        }
    }

    #[cfg(test)]
    pub(crate) fn has_foreseen(&self) -> bool {
        self.foreseen.is_some()
    }

    /// How much is known to be recent.
    #[cfg(test)]
    pub(crate) fn recent_rows(&self) -> Option<usize> {
        self.known.as_ref().map(|known| known.recent.rows().count())
    }

    /// A plan did not hold.
    pub(crate) fn be_careful(&mut self) {
        self.careful = CAREFUL_BATCHES;
    }

    fn plan(&mut self, clock: Timestamp, commands: &Arc<Vec<Command>>) -> Result<Option<Foreseen<F>>> {
        let Some(mut known) = self.known.take() else { return Ok(None) };
        let now = clock.max(known.state.head.decided_at);
        let keys = plan::keys(commands);
        if !known.suffices(now, commands) || !keys.skus.iter().all(|sku| known.has_sku(sku)) {
            self.known = Some(known);
            return Ok(None);
        }
        let from = known.state.clone();
        let Some(mut ledger) = known.kept.take().and_then(|kept| kept.at(&from.head, now)) else {
            // Not true any more. What is recent is still known.
            self.known = Some(known);
            return Ok(None);
        };
        for id in &keys.claims {
            ledger.put_order(*id, None);
            ledger.put_hold(*id, None);
        }
        let Plan { events, outcomes, remember } =
            plan::plan(&mut ledger, from.head.position, commands, Vec::new());
        let Some(batch) = LogBatch::after(&from.head, now, &events) else {
            known.kept = Some(Kept { head: from.head.position, ledger });
            self.known = Some(known);
            return Ok(None);
        };
        let is_unsure = |id: &Uuid| !known.ids.is_new(*id);
        let unsure = Unsure {
            pending: commands.iter().map(|command| command.id).collect(),
            orders: commands.iter().filter_map(|command| command.key).filter(is_unsure).collect(),
            others: plan::outcome_keys(commands).into_iter().filter(is_unsure).collect(),
        };
        known.ids.add(plan::outcome_keys(commands));
        let state = State::after(&batch);
        let mut undo = known.recent.change_undoably(changed_stock(&ledger)?, batch.last, events.len())?;
        let executed = Executed { outcomes, committed: Some(batch.committed(events)) };
        let to_write = F::of(Decided {
            from: &from,
            stamp: state.stamp,
            ledger: &ledger,
            unsure,
            step: undo.step(),
            remember,
            batch,
        })?;
        let begins = from.stamp;
        known.planned.push_back(Planned { from, undo });
        known.passed.push_back(state.stamp);
        if known.passed.len() > PASSED_MAX {
            known.passed.pop_front();
        }
        if known.planned.len() > PASSED_MAX {
            known.planned.pop_front();
        }
        known.kept = Some(Kept { head: state.head.position, ledger });
        known.state = state;
        self.put_back(known);
        Ok(Some(Foreseen { commands: Arc::clone(commands), from: begins, to_write, executed }))
    }
}
