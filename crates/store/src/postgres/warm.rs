//! Putting items at hand before anybody orders them. A process that takes orders and has just started, or whose memory began
//! anew because somebody else wrote, would look each item up when it is first wanted: a second round trip while a buyer waits.
//!
//! Pieces of the catalogue are read beside the writer, in the order of their SKUs, and count under the rule for all that is looked
//! up there ([`planner`](crate::planner)): if they were read at a state that what is known has passed.

use holdfast_domain::{Ledger, Sku, Timestamp};

use super::connection::{ask, state_of, timestamp};
use super::write::{
    BEGIN_READING, HIGHEST_IDS, LOCATIONS, Lane, NEXT_DUE, RECENT, STATE, known_ids, put_locations,
    recent_of, skus_of,
};
use crate::ids::KnownIds;
use crate::planner::{Found, Known};
use crate::{Result, WarmUp};

/// Read at once, and put in under the planner's lock in about a millisecond.
const ITEMS_AT_ONCE: usize = 500;

const NEXT_ITEMS: &str = "SELECT body FROM items WHERE sku > $1 ORDER BY sku LIMIT $2";
const THEIR_STOCK: &str = "SELECT sku, location, on_hand, held, allocated, unavailable, safety_stock, incoming, \
    reorder_point FROM stock WHERE sku > $1 AND sku <= (SELECT max(sku) FROM \
    (SELECT sku FROM items WHERE sku > $1 ORDER BY sku LIMIT $2) AS next) ORDER BY sku, location";

/// How far the catalogue is at hand.
#[derive(Debug, Default)]
pub(super) struct Warmth {
    /// The last SKU of the last piece.
    up_to: Option<Sku>,
    is_whole: bool,
    /// As much as was at hand then; less means that it began anew.
    at_hand: usize,
}

impl Lane {
    /// One step of it, see [`crate::Store::warm_up`].
    pub(super) async fn warm_up(&self, clock: Timestamp, warmth: &mut Warmth) -> Result<WarmUp> {
        let (is_blank, at_hand, room) = {
            let planner = self.planner.lock().await;
            (planner.is_blank(), planner.at_hand(), planner.cached_max)
        };
        if is_blank {
            *warmth = Warmth::default();
            self.begin(clock).await?;
            return Ok(WarmUp::More);
        }
        // Without a ledger there is nothing to add to before the next batch has made one.
        let Some(at_hand) = at_hand else { return Ok(WarmUp::Rest) };
        if at_hand < warmth.at_hand {
            *warmth = Warmth::default();
            return Ok(WarmUp::Rest);
        }
        // Beyond its bound memory would begin anew, with nothing.
        if warmth.is_whole || at_hand + 2 * ITEMS_AT_ONCE > room {
            return Ok(WarmUp::Rest);
        }
        let found = self.next_items(warmth.up_to.clone()).await?;
        let (count, last) = (found.skus.len(), found.skus.last().map(|(sku, _)| sku.clone()));
        let mut planner = self.planner.lock().await;
        if !planner.add(found) {
            return Ok(WarmUp::Rest);
        }
        warmth.at_hand = planner.at_hand().unwrap_or_default();
        warmth.up_to = last.or(warmth.up_to.take());
        warmth.is_whole = count < ITEMS_AT_ONCE;
        Ok(WarmUp::More)
    }

    /// Knows what there is to know before the first batch, but for items.
    async fn begin(&self, clock: Timestamp) -> Result<()> {
        let known = self.pool.run(async move |connection| {
            let asks = [
                ask!(STATE),
                ask!(RECENT),
                ask!(NEXT_DUE),
                ask!(HIGHEST_IDS, KnownIds::ceiling(clock)),
                ask!(LOCATIONS),
            ];
            let answers = connection.pipeline(BEGIN_READING, &asks, "COMMIT").await?;
            let [state, recent, next_due, highest, locations] = answers.as_slice() else {
                unreachable!("each ask has its answer")
            };
            let state = state_of(state)?;
            let recent = recent_of(&state.head, recent)?;
            let next_due = next_due.first().map(|row| timestamp(row, 0)).transpose()?;
            let mut ledger = Ledger::new(clock.max(state.head.decided_at));
            put_locations(&mut ledger, locations)?;
            Ok(Known::new(state, ledger, recent, next_due, known_ids(clock, highest)?))
        });
        let known = known.await?;
        let mut planner = self.planner.lock().await;
        // A batch may have been quicker.
        if planner.is_blank() {
            planner.put_back(known);
        }
        Ok(())
    }

    /// The items that follow `after`, and the stamp that they are true at.
    async fn next_items(&self, after: Option<Sku>) -> Result<Found> {
        let read = self.pool.run(async move |connection| {
            let after = after.as_ref().map_or("", Sku::as_str);
            let limit = ITEMS_AT_ONCE as i64;
            let asks = [ask!(STATE), ask!(NEXT_ITEMS, after, limit), ask!(THEIR_STOCK, after, limit)];
            let mut answers = connection.pipeline(BEGIN_READING, &asks, "COMMIT").await?.into_iter();
            let stamp = state_of(&answers.next().expect("the head was asked for"))?.stamp;
            let skus = skus_of(&mut answers)?;
            Ok(Found {
                stamp,
                skus: skus.into_iter().map(|state| (state.item.sku.clone(), Some(state))).collect(),
            })
        });
        read.await
    }
}
