//! What is in memory between two batches, and planning the next one with it while the one before is written.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread;

use holdfast_domain::{Command, Order, Position, Sku, SkuState, Timestamp};
use uuid::Uuid;

use crate::columns::order_json;
use crate::plan::Remembered;
use crate::planner::{Decided, Foreseen, Form, Planner, State, Unsure};
use crate::recent::Step;
use crate::{Image, LogBatch, Result, StoreError};

/// From so many items on that are not at hand.
const BESIDE_ITEMS_MIN: usize = 256;
/// From so many orders on a batch is planned by whoever brings it and written on the writer's thread: what it takes to hand it
/// over is little beside what is won.
const AHEAD_COMMANDS_MIN: usize = 256;

/// Items at hand before a worker begins anew; those that are not are in the image, which is in memory too.
const CACHED_MAX: usize = 400_000;

/// What the last batch left in memory, and what the next one is planned with.
pub(super) struct Mind {
    pub(super) planner: Planner<Batch>,
    /// Commands of a batch that is planned, at least.
    pub(super) ahead_min: usize,
    /// Where the log ended when the ledger that is kept was new: whatever changed since is in that ledger.
    pub(super) began: Position,
    image: Option<Arc<dyn Image>>,
}

/// A planned batch: everything between BEGIN and COMMIT.
pub(super) struct Batch {
    pub(super) from: State,
    /// What it leaves.
    pub(super) stamp: Uuid,
    pub(super) unsure: Unsure,
    pub(super) orders: Vec<Arc<Order>>,
    pub(super) step: Step,
    pub(super) remember: Vec<Remembered>,
    pub(super) log: LogBatch,
}

impl Default for Mind {
    fn default() -> Self {
        Self {
            planner: Planner::new(CACHED_MAX),
            ahead_min: AHEAD_COMMANDS_MIN,
            began: Position(0),
            image: None,
        }
    }
}

impl Mind {
    /// Whether whoever brings these plans them.
    pub(super) fn plans(&self, commands: &[Command]) -> bool {
        commands.len() >= self.ahead_min
    }

    pub(super) fn look_up_in(&mut self, image: Arc<dyn Image>) {
        self.image = Some(image);
    }

    /// Something was written outside of a batch.
    pub(super) fn forget(&mut self) {
        self.planner.drop_foreseen();
        drop(self.planner.take_known());
    }

    /// The plan of a batch whose turn it is, if it is large and could be made.
    pub(super) fn take_plan(
        &mut self,
        clock: Timestamp,
        commands: &Arc<Vec<Command>>,
    ) -> Result<Option<Foreseen<Batch>>> {
        if !self.plans(commands) {
            return Ok(None);
        }
        self.look_up(clock, commands);
        self.planner.take(clock, commands)
    }

    /// Plans a batch that will follow all that were begun, if it is large and that can be.
    pub(super) fn foresee(&mut self, clock: Timestamp, commands: &Arc<Vec<Command>>) {
        if self.plans(commands) {
            self.look_up(clock, commands);
            self.planner.foresee(clock, commands);
        }
    }

    /// Puts at hand what is missing for planning these, as far as the image has it.
    fn look_up(&mut self, clock: Timestamp, commands: &[Command]) {
        let missing = self.planner.missing(clock, commands);
        if let Some(image) = self.true_image() {
            let found = look_at(image, &missing.iter().collect::<Vec<_>>());
            let found = missing.into_iter().zip(found).filter_map(|(sku, state)| Some((sku, state?)));
            self.planner.put(found.collect::<Vec<_>>());
        }
    }

    /// The image, if it is true of all that is not in the ledger.
    pub(super) fn true_image(&self) -> Option<&dyn Image> {
        self.image.as_deref().filter(|image| image.position() >= self.began)
    }
}

impl Form for Batch {
    fn of(decided: Decided<'_>) -> Result<Self> {
        let Decided { from, stamp, ledger, unsure, step, remember, batch } = decided;
        if !ledger.touched().is_of_orders() {
            return Err(StoreError::Other("a batch that was planned changes more than orders do".to_owned()));
        }
        let orders: Vec<Arc<Order>> = ledger.new_orders().collect();
        for order in &orders {
            order_json(order)?;
        }
        let step = Step { piece: step.piece.take(), rows: step.rows.clone(), gone: step.gone.clone() };
        Ok(Self { from: from.clone(), stamp, unsure, orders, step, remember, log: batch })
    }
}

/// What an image says of these: it is not in any cache, and of many one half is waited for on another thread.
pub(super) fn look_at(image: &dyn Image, skus: &[&Sku]) -> Vec<Option<SkuState>> {
    let look = |skus: &[&Sku]| skus.iter().map(|sku| image.sku(sku)).collect::<Vec<_>>();
    if skus.len() < BESIDE_ITEMS_MIN {
        return look(skus);
    }
    let (here, there) = skus.split_at(skus.len() / 2);
    thread::scope(|scope| {
        let there = scope.spawn(|| look(there));
        let mut found = look(here);
        found.extend(there.join().unwrap_or_else(|panic| resume_unwind(panic)));
        found
    })
}
