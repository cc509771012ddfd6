//! How much load each slot carries, and which range carries a wanted amount.

use portolan_plugin::migration::{Board, SlotRange, per_slot, runs};

use crate::Load;

/// A range that carries this much of what is wanted is good enough: the shortest such range is taken,
/// since every slot that moves has a price.
const GOOD_ENOUGH: f64 = 0.8;

/// The load slot by slot.
pub(crate) struct Loads(Vec<Option<f64>>);

impl Loads {
    pub(crate) fn of(board: &Board, load: Load) -> Self {
        Self(per_slot(board.snapshot(), load.metric()))
    }

    /// The load of all slots of which `counts` holds. In the order of slots, so that the same slots
    /// give the same sum to the last bit.
    pub(crate) fn sum(&self, counts: impl Fn(usize) -> bool) -> f64 {
        let slots = self.0.iter().enumerate();
        let numbers = slots.filter_map(|(slot, load)| load.filter(|_| counts(slot)));
        numbers.fold(0.0, |sum, load| sum + load)
    }

    pub(crate) fn get(&self, slot: usize) -> Option<f64> {
        self.0[slot]
    }

    pub(crate) fn is_known(&self, slot: usize) -> bool {
        self.0[slot].is_some()
    }

    /// The slot of a shard that carries the most; none where it has none that may move.
    pub(crate) fn hottest(&self, board: &Board, shard: usize) -> Option<(SlotRange, f64)> {
        let slots = board
            .movable(shard)
            .into_iter()
            .flat_map(SlotRange::indices);
        let loads = slots.filter_map(|slot| Some((slot, self.0[slot]?)));
        let (slot, load) =
            loads.max_by(|(a, one), (b, other)| one.total_cmp(other).then(b.cmp(a)))?;
        let slot = u16::try_from(slot).ok()?;
        let range = SlotRange {
            first: slot,
            last: slot,
        };
        Some((range, load))
    }

    /// The range of a shard to move that carries at least `least` and at most `most`: the shortest
    /// that carries nearly `most`; where there is none, the one that carries the most. It has at most
    /// `slots` slots, and `affordable` holds for it.
    pub(crate) fn pick(
        &self,
        board: &Board,
        shard: usize,
        (least, most): (f64, f64),
        slots: usize,
        affordable: impl Fn(SlotRange) -> bool,
    ) -> Option<(SlotRange, f64)> {
        let movable = |slot| {
            board.owner(slot) == Some(shard) && board.hold_of(slot).is_none() && self.is_known(slot)
        };
        let nearly = least.max(most * GOOD_ENOUGH);
        let mut shortest: Option<(SlotRange, f64)> = None;
        let mut fullest: Option<(SlotRange, f64)> = None;
        for run in runs(movable) {
            let window = Window::of(&self.0, run);
            for (range, load) in window.shortest(nearly) {
                let is_shorter = shortest.is_none_or(|(best, _)| range.count() < best.count());
                if is_shorter && load <= most && range.count() <= slots && affordable(range) {
                    shortest = Some((range, load));
                }
            }
            for (range, load) in window.fullest(most, slots) {
                let is_fuller = fullest.is_none_or(|(_, best)| load > best);
                if is_fuller && load >= least && affordable(range) {
                    fullest = Some((range, load));
                }
            }
        }
        shortest.or(fullest)
    }
}

/// A run of slots to look for ranges in.
struct Window {
    run: SlotRange,
    /// The load of the run's slots before each.
    before: Vec<f64>,
}

impl Window {
    fn of(loads: &[Option<f64>], run: SlotRange) -> Self {
        let mut before = vec![0.0];
        let mut sum = 0.0;
        for slot in run.indices() {
            sum += loads[slot].unwrap_or_default();
            before.push(sum);
        }
        Self { run, before }
    }

    /// From the `first` slot of the run up to, not including, the slot `end`.
    fn range(&self, first: usize, end: usize) -> Option<(SlotRange, f64)> {
        let range = self.run.head(end)?.tail(end.checked_sub(first)?)?;
        Some((range, self.before[end] - self.before[first]))
    }

    /// For every slot, the shortest range that ends there and carries at least `least`.
    fn shortest(&self, least: f64) -> Vec<(SlotRange, f64)> {
        let mut ranges = Vec::new();
        let mut first = 0;
        for end in 1..self.before.len() {
            while first + 1 < end && self.before[end] - self.before[first + 1] >= least {
                first += 1;
            }
            if self.before[end] - self.before[first] >= least {
                ranges.extend(self.range(first, end));
            }
        }
        ranges
    }

    /// For every slot, the longest range that ends there, carries at most `most` and has at most
    /// `slots` slots; without idle slots at its ends.
    fn fullest(&self, most: f64, slots: usize) -> Vec<(SlotRange, f64)> {
        let mut ranges = Vec::new();
        let mut first = 0;
        for end in 1..self.before.len() {
            while first < end
                && (self.before[end] - self.before[first] > most || end - first > slots)
            {
                first += 1;
            }
            let is_idle = |slot: usize| self.before[slot + 1] <= self.before[slot];
            let busy = (first..end).find(|&slot| !is_idle(slot));
            if let Some(busy) = busy.filter(|_| !is_idle(end - 1)) {
                ranges.extend(self.range(busy, end));
            }
        }
        ranges
    }
}
