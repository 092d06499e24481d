//! Putting items at hand before anybody orders them. A process that takes orders and has just started, or whose memory
//! began anew because somebody else wrote, would look each item up when it is first wanted: a second round trip while a
//! buyer waits.
//!
//! Once there is memory to add to, which the first batch begins, pieces of the catalogue are read beside the writer, in the
//! order of their SKUs. They count under the rule for all that is looked up there ([`planner`](crate::planner)): if they were
//! read at a state that what is known has passed.

use std::sync::Weak;

use holdfast_domain::Sku;

use super::connection::{ask, state_of};
use super::write::{BEGIN_READING, Lane, STATE, skus_of};
use crate::planner::Found;
use crate::{Result, WarmUp};

/// Read at once, and put in under the planner's lock, which a batch then waits for.
const ITEMS_AT_ONCE: usize = 500;

const NEXT_ITEMS: &str = "SELECT body FROM items WHERE sku > $1 ORDER BY sku LIMIT $2";
const THEIR_STOCK: &str = "SELECT sku, location, on_hand, held, allocated, unavailable, safety_stock, incoming, \
    reorder_point FROM stock WHERE sku > $1 AND sku <= (SELECT max(sku) FROM \
    (SELECT sku FROM items WHERE sku > $1 ORDER BY sku LIMIT $2) AS next) ORDER BY sku, location";

/// How far the catalogue is at hand.
#[derive(Debug, Default)]
pub(super) struct Warmth {
    /// The ledger that it was put into.
    ledger: Weak<()>,
    /// The last SKU of the last piece.
    up_to: Option<Sku>,
    is_whole: bool,
}

impl Lane {
    /// One step of it, see [`crate::Store::warm_up`].
    pub(super) async fn warm_up(&self, warmth: &mut Warmth) -> Result<WarmUp> {
        let (at_hand, room) = {
            let planner = self.planner.lock().await;
            (planner.at_hand(), planner.cached_max)
        };
        let Some((ledger, size)) = at_hand else { return Ok(WarmUp::Rest) };
        if !ledger.ptr_eq(&warmth.ledger) {
            let was_for_nothing = warmth.up_to.is_some();
            *warmth = Warmth { ledger, ..Warmth::default() };
            if was_for_nothing {
                return Ok(WarmUp::Anew);
            }
        }
        // The rest is for what is ordered: beyond its bound memory would begin anew, with nothing.
        if warmth.is_whole || size >= room / 4 * 3 {
            return Ok(WarmUp::Rest);
        }
        let found = self.next_items(warmth.up_to.clone()).await?;
        let (count, last) = (found.skus.len(), found.skus.last().map(|(sku, _)| sku.clone()));
        let mut planner = self.planner.lock().await;
        let is_same = planner.at_hand().is_some_and(|(ledger, _)| ledger.ptr_eq(&warmth.ledger));
        if !is_same || !planner.add(found) {
            return Ok(WarmUp::Rest);
        }
        warmth.up_to = last.or(warmth.up_to.take());
        warmth.is_whole = count < ITEMS_AT_ONCE;
        Ok(WarmUp::More)
    }

    /// The items that follow `after`, and the stamp that they are true at.
    async fn next_items(&self, after: Option<Sku>) -> Result<Found> {
        let read = self.pool.run(async move |connection| {
            let after = after.as_ref().map_or("", Sku::as_str);
            let limit = ITEMS_AT_ONCE as i64;
            let asks = [ask!(STATE), ask!(NEXT_ITEMS, after, limit), ask!(THEIR_STOCK, after, limit)];
            let mut answers = connection.pipeline(BEGIN_READING, &asks, "COMMIT").await?.into_iter();
            let stamp = state_of(&answers.next().expect("the head was asked for"))?.stamp;
            let skus = skus_of(&mut answers)?.into_iter();
            Ok(Found { stamp, skus: skus.map(|state| (state.item.sku.clone(), Some(state))).collect() })
        });
        read.await
    }
}
