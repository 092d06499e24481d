//! Which ids are surely new, so that no table has to be asked. Nearly every id is a UUIDv7 of this second: it lies above
//! all that the tables had a while ago, and what came since is remembered here.

use foldhash::HashSet;
use holdfast_domain::Timestamp;
use uuid::Uuid;

/// So many ids are remembered; then what is below the highest of them is asked for again.
const SEEN_MAX: usize = 100_000;
/// Ids of a time that far ahead are always asked for, so that one client whose clock is wrong does not stand above all others.
const AHEAD_SECONDS_MAX: i64 = 24 * 3_600;
/// Then the ceiling moves on with the time.
const CEILING_SECONDS_MAX: i64 = 3_600;

/// The ids that tables know within a span: true as long as nobody else writes into them.
#[derive(Debug)]
pub(crate) struct KnownIds {
    since: Timestamp,
    /// Of ids up to here, and from the ceiling on, nothing is known.
    floor: Uuid,
    ceiling: Uuid,
    seen: HashSet<Uuid>,
}

impl KnownIds {
    /// The lowest id that is too far ahead at `now`.
    pub(crate) fn ceiling(now: Timestamp) -> Uuid {
        let milliseconds = now.plus_seconds(AHEAD_SECONDS_MAX).0 / 1_000;
        Uuid::from_u128(u128::try_from(milliseconds).unwrap_or_default() << 80)
    }

    /// `highest`: what the tables know below [`KnownIds::ceiling`].
    pub(crate) fn new(now: Timestamp, highest: impl IntoIterator<Item = Uuid>) -> Self {
        let floor = highest.into_iter().max().unwrap_or_default();
        Self { since: now, floor, ceiling: Self::ceiling(now), seen: HashSet::default() }
    }

    /// Whether it is time to look for the highest id again.
    pub(crate) fn is_old(&self, now: Timestamp) -> bool {
        self.seen.len() >= SEEN_MAX || now > self.since.plus_seconds(CEILING_SECONDS_MAX)
    }

    /// Whether surely no table knows this id.
    pub(crate) fn is_new(&self, id: Uuid) -> bool {
        self.spans(id) && !self.seen.contains(&id)
    }

    /// From now on tables may know these.
    pub(crate) fn add(&mut self, ids: impl IntoIterator<Item = Uuid>) {
        for id in ids {
            if self.spans(id) {
                self.seen.insert(id);
            }
        }
    }

    fn spans(&self, id: Uuid) -> bool {
        self.floor < id && id < self.ceiling
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Timestamp = Timestamp(1_700_000_000_000_000);

    fn id(seconds: i64, number: u16) -> Uuid {
        let milliseconds = NOW.plus_seconds(seconds).0 / 1_000;
        Uuid::from_u128(u128::try_from(milliseconds).expect("after 1970") << 80 | u128::from(number))
    }

    #[test]
    fn of_what_is_below_or_far_ahead_nothing_is_known() {
        let known = KnownIds::new(NOW, [id(-9, 0), id(-5, 0)]);
        let day = 24 * 3_600;
        let is_new =
            [id(-7, 0), id(-5, 0), id(-5, 1), id(0, 0), id(day - 1, 0), id(day, 0), Uuid::max(), Uuid::nil()]
                .map(|id| known.is_new(id));
        assert_eq!(is_new, [false, false, true, true, true, false, false, false]);
        assert!(KnownIds::new(NOW, []).is_new(id(-1_000_000, 0)), "empty tables know nothing");
    }

    #[test]
    fn it_grows_old() {
        let mut known = KnownIds::new(NOW, []);
        assert!(!known.is_old(NOW.plus_seconds(3_600)));
        assert!(known.is_old(NOW.plus_seconds(3_601)));
        known.add((0..SEEN_MAX as u128 - 1).map(|number| Uuid::from_u128(1 << 80 | number)));
        assert!(!known.is_old(NOW));
        known.add([id(0, 0), Uuid::max()]);
        assert!(known.is_old(NOW));
    }

    proptest! {
        /// Whatever a table knows is never called new, whenever the span is begun anew.
        #[test]
        fn what_a_table_knows_is_never_new(
            steps in prop::collection::vec((-100_000_i64..100_000, 0_u16..4, any::<bool>()), 1..100),
        ) {
            let mut table = std::collections::BTreeSet::new();
            let mut known = KnownIds::new(NOW, []);
            for (seconds, number, begins) in steps {
                if begins {
                    known = KnownIds::new(NOW, table.range(..KnownIds::ceiling(NOW)).next_back().copied());
                }
                let id = id(seconds, number);
                prop_assert!(!(known.is_new(id) && table.contains(&id)));
                known.add([id]);
                table.insert(id);
                for id in &table {
                    prop_assert!(!known.is_new(*id));
                }
            }
        }
    }
}
