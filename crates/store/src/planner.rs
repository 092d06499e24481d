//! Planning before the turn comes: what the last batch left in memory, and what can be decided on it without asking.
//!
//! Nearly every batch is orders with new ids, of items at hand, while nothing else writes. Such a batch is planned in
//! memory alone, also while the one before it is still being written, and then goes to PostgreSQL in one round trip
//! that begins with a proof: the log's head is where the plan begins, and nobody knows any of the ids that are not surely new
//! there ([`KnownIds`]). Where the proof fails, nothing has happened, and the batch is decided with everything looked up first.
//!
//! Items that are not at hand are looked up beside the writer, also while it writes ([`Found`]). What is not in memory has
//! not changed since what is there was true, or the batch that changed it would have left it there; so it may be read at
//! any head that was passed on the way from there, and at no other. Rows of stock that were recent then ([`RecentStock`]) are
//! put right: those that still are, and those that have got into their table since.
//!
//! What is recent is known without the items too: where a batch was planned and not written, its step is taken back. It is
//! read again where somebody else has written, or nobody knows whether a batch was.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use holdfast_domain::{Command, CommandBody, HoldStatus, Ledger, Sku, SkuState, StockRow, Timestamp};
use uuid::Uuid;

use super::connection::{Ask, State};
use super::touched::{
    append, changed_stock, move_head_from, nothing_known, push_remembered, push_step, push_touched,
};
use crate::ids::KnownIds;
use crate::plan::{self, Kept, Plan};
use crate::recent::{RecentStock, Undo};
use crate::{Executed, Head, LogBatch, Place, Result};

/// After a plan that did not hold, so many batches are decided with everything looked up first: ids that come again
/// seldom come alone.
const CAREFUL_BATCHES: u32 = 8;
/// Heads that are remembered as passed. What is looked up is read at the last one written or, while a batch is on its way,
/// the one before.
const PASSED_MAX: usize = 8;

/// Items and stock as they were read at one state of the tables.
pub(super) struct Found {
    pub(super) stamp: Uuid,
    /// `None` where there is no such item.
    pub(super) skus: Vec<(Sku, Option<SkuState>)>,
}

/// What the last batch left in memory; true as long as the tables are as it left them, which their stamp says. The log's
/// position would not: another writer may have written as many events. Nor would its hash: of two servers that went on from
/// one backup, each may have other rows of stock in their table at the same hash.
pub(super) struct Known {
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
    pub(super) fn new(
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

    /// The ledger for a batch that begins at `head` with the tables as `stamp` says, and what is recent there, as far as they
    /// are true.
    pub(super) fn at(
        self,
        head: &Head,
        stamp: Uuid,
        now: Timestamp,
    ) -> (Option<Ledger>, Option<RecentStock>) {
        if self.state.stamp != stamp || self.state.head != *head {
            return (None, None);
        }
        (self.kept.and_then(|kept| kept.at(head, now)), Some(self.recent))
    }

    /// What is still known when the batch that begins at `from`, and those planned after it, will not be written. What does
    /// not count with that batch stays as it is.
    fn without(mut self, from: Uuid) -> Self {
        if !self.planned.iter().any(|planned| planned.from.stamp == from) {
            return self;
        }
        while let Some(Planned { from: began, undo }) = self.planned.pop_back() {
            self.recent.undo(undo);
            if began.stamp == from {
                return Self::only_recent(began, self.recent, self.ids);
            }
        }
        self
    }

    pub(super) fn has_ledger(&self) -> bool {
        self.kept.is_some()
    }

    pub(super) fn has_sku(&self, sku: &Sku) -> bool {
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

/// A batch that is planned and not written.
pub(super) struct Foreseen {
    commands: Arc<Vec<Command>>,
    /// The stamp where it begins.
    pub(super) from: Uuid,
    /// Everything between BEGIN and COMMIT.
    pub(super) asks: Vec<Ask<'static>>,
    pub(super) executed: Executed,
}

/// Owner of what is known. Whoever holds it may plan; it is taken before the writer.
#[derive(Default)]
pub(super) struct Planner {
    known: Option<Known>,
    foreseen: Option<Foreseen>,
    careful: u32,
}

impl Planner {
    /// The items of these that are not at hand, if they are all that is missing for planning them.
    pub(super) fn missing(&self, clock: Timestamp, commands: &[Command]) -> Vec<Sku> {
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

    /// Puts what was missing at hand, if it was read at a state that was passed on the way to what is known.
    pub(super) fn add(&mut self, found: Found) {
        let Some(known) = self.known.as_mut().filter(|known| known.passed.contains(&found.stamp)) else {
            return;
        };
        let Known { kept: Some(kept), recent, planned, .. } = known else { return };
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
    }

    /// Plans a batch that will follow all that were taken, if that can be.
    pub(super) fn foresee(&mut self, clock: Timestamp, commands: &Arc<Vec<Command>>) {
        if self.foreseen.is_none() && self.careful == 0 {
            // What is wrong with it shows when its turn comes.
            self.foreseen = self.plan(clock, commands).unwrap_or_default();
        }
    }

    /// The plan of a batch whose turn it is, if it could be made.
    pub(super) fn take(
        &mut self,
        clock: Timestamp,
        commands: &Arc<Vec<Command>>,
    ) -> Result<Option<Foreseen>> {
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
    pub(super) fn take_known(&mut self) -> Option<Known> {
        self.known.take()
    }

    pub(super) fn put_back(&mut self, known: Known) {
        self.known = Some(known);
    }

    /// A batch that was planned to begin at `from` was not written: nothing that counts with it is known any more, but what was
    /// recent before it.
    pub(super) fn forget(&mut self, from: Uuid) {
        self.foreseen = None;
        self.known = self.known.take().map(|known| known.without(from));
    }

    /// The turn of the batch that was planned last, if it was not taken yet, will not come.
    pub(super) fn drop_foreseen(&mut self) {
        if let Some(foreseen) = self.foreseen.take() {
            self.forget(foreseen.from);
        }
    }

    #[cfg(test)]
    pub(super) fn has_foreseen(&self) -> bool {
        self.foreseen.is_some()
    }

    /// How much is known to be recent.
    #[cfg(test)]
    pub(super) fn recent_rows(&self) -> Option<usize> {
        self.known.as_ref().map(|known| known.recent.rows().count())
    }

    /// A plan did not hold.
    pub(super) fn be_careful(&mut self) {
        self.careful = CAREFUL_BATCHES;
    }

    fn plan(&mut self, clock: Timestamp, commands: &Arc<Vec<Command>>) -> Result<Option<Foreseen>> {
        let Some(mut known) = self.known.take() else { return Ok(None) };
        let now = clock.max(known.state.head.decided_at);
        let keys = plan::keys(commands);
        if !known.suffices(now, commands) || !keys.skus.iter().all(|sku| known.has_sku(sku)) {
            self.known = Some(known);
            return Ok(None);
        }
        let from = known.state.clone();
        let Some(mut ledger) = known.kept.take().and_then(|kept| kept.at(&from.head, now)) else {
            // Too large. What is recent is still known.
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
        let ids: Vec<Uuid> = commands.iter().map(|command| command.id).collect();
        let of_holds = ids.iter().copied().filter(|id| !known.ids.is_new(*id)).collect();
        let of_outcomes =
            plan::outcome_keys(commands).into_iter().filter(|key| !known.ids.is_new(*key)).collect();
        known.ids.add(plan::outcome_keys(commands));
        let state = State::after(&batch);
        let mut asks = vec![
            move_head_from(&from, &batch, state.stamp),
            nothing_known(state.stamp, ids, of_holds, of_outcomes),
        ];
        push_touched(&mut asks, &ledger)?;
        let mut undo = known.recent.change_undoably(changed_stock(&ledger)?, batch.last, events.len())?;
        push_step(&mut asks, undo.step(), batch.last);
        push_remembered(&mut asks, now, &remember)?;
        let executed = Executed { outcomes, committed: Some(batch.committed(events)) };
        asks.push(append(batch));
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
        self.known = Some(known);
        Ok(Some(Foreseen { commands: Arc::clone(commands), from: begins, asks, executed }))
    }
}
