//! What stands where, and what may move.

use std::collections::BTreeSet;

use super::{Error, Metric, Node, Role, SLOTS, Shard, SlotRange, Snapshot, runs};

/// A snapshot, slot by slot, as if the moves under way had ended well. Shards are spoken of by their
/// position in [`Snapshot::shards`].
pub struct Board<'a> {
    snapshot: &'a Snapshot,
    owners: Vec<Option<usize>>,
    holds: Vec<Option<Hold>>,
    bytes: Sums,
    keys: Sums,
}

/// Why a slot may not move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// The operator does not want it.
    Excluded,
    /// It is on its way.
    Active,
    /// It moved not long ago.
    CoolingDown,
    /// This plan moves it already.
    Planned,
}

/// Why a shard may not give or take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Obstacle {
    /// A reason code.
    pub code: &'static str,
    /// The sentence to it.
    pub text: String,
}

impl<'a> Board<'a> {
    /// Lays the snapshot out, or says where it contradicts itself.
    pub fn new(snapshot: &'a Snapshot) -> Result<Self, Error> {
        let mut board = Self {
            snapshot,
            owners: vec![None; SLOTS],
            holds: vec![None; SLOTS],
            bytes: Sums::of(&per_slot(snapshot, Metric::Bytes)),
            keys: Sums::of(&per_slot(snapshot, Metric::Keys)),
        };
        let unusable = |text: String| Err(Error::Unusable(text));
        let mut ids = BTreeSet::new();
        for (position, shard) in snapshot.shards.iter().enumerate() {
            if !ids.insert(shard.id) {
                return unusable(format!("two shards have the id {}", shard.id));
            }
            for range in &shard.slots {
                let Some(slots) = board.owners.get_mut(range.indices()) else {
                    return unusable(format!("{range} is no range of slots"));
                };
                if slots.iter().any(Option::is_some) {
                    return unusable(format!("two shards own a slot of {range}"));
                }
                slots.fill(Some(position));
            }
        }

        let now = snapshot
            .sampled_at_ms
            .saturating_add(snapshot.sample_age_ms);
        for recent in &snapshot.recent {
            let until = recent
                .ended_at_ms
                .saturating_add(snapshot.limits.cool_down_ms);
            if now < until {
                board.hold(recent.range, Hold::CoolingDown);
            }
        }
        for range in &snapshot.excluded {
            board.hold(*range, Hold::Excluded);
        }
        for active in &snapshot.active {
            let target = snapshot
                .shards
                .iter()
                .position(|shard| shard.id == active.to_shard);
            let Some(target) = target else {
                let (range, to) = (active.range, active.to_shard);
                return unusable(format!(
                    "{range} is on its way to shard {to}, which is unknown"
                ));
            };
            board.give(active.range, target);
            board.hold(active.range, Hold::Active);
        }
        Ok(board)
    }

    fn hold(&mut self, range: SlotRange, hold: Hold) {
        if let Some(slots) = self.holds.get_mut(range.indices()) {
            slots.fill(Some(hold));
        }
    }

    fn give(&mut self, range: SlotRange, to: usize) {
        if let Some(slots) = self.owners.get_mut(range.indices()) {
            slots.fill(Some(to));
        }
    }

    /// Moves a range, for good: it is not moved again.
    pub(super) fn relocate(&mut self, range: SlotRange, to: usize) {
        self.give(range, to);
        self.hold(range, Hold::Planned);
    }

    /// What the board was made from.
    pub fn snapshot(&self) -> &'a Snapshot {
        self.snapshot
    }

    /// The shards, in the order of their positions.
    pub fn shards(&self) -> &'a [Shard] {
        &self.snapshot.shards
    }

    /// The shard that owns a slot.
    pub fn owner(&self, slot: usize) -> Option<usize> {
        self.owners.get(slot).copied().flatten()
    }

    /// Why a slot may not move; none where it may.
    pub fn hold_of(&self, slot: usize) -> Option<Hold> {
        self.holds.get(slot).copied().flatten()
    }

    /// How many slots a shard owns.
    pub fn owned(&self, shard: usize) -> usize {
        let mine = |owner: &&Option<usize>| **owner == Some(shard);
        self.owners.iter().filter(mine).count()
    }

    /// How many slots all shards own.
    pub fn assigned(&self) -> usize {
        self.owners.iter().flatten().count()
    }

    /// The slots of a shard that may move.
    pub fn movable(&self, shard: usize) -> Vec<SlotRange> {
        runs(|slot| self.owners[slot] == Some(shard) && self.holds[slot].is_none())
    }

    /// The slots of a shard that may not move because of `hold`.
    pub fn held(&self, shard: usize, hold: Hold) -> Vec<SlotRange> {
        runs(|slot| self.owners[slot] == Some(shard) && self.holds[slot] == Some(hold))
    }

    /// How much data a range holds; none where the statistics do not tell of each of its slots.
    pub fn bytes(&self, range: SlotRange) -> Option<u64> {
        self.bytes.over(range).map(|bytes| bytes.round() as u64)
    }

    /// How dear it is to move a range, to compare ranges of equal length: bytes where they are known,
    /// keys otherwise.
    pub fn cost(&self, range: SlotRange) -> f64 {
        let bytes = self.bytes.over(range);
        bytes.or_else(|| self.keys.over(range)).unwrap_or_default()
    }

    /// Can slots be moved away from a shard?
    pub fn can_give(&self, shard: usize) -> Result<(), Obstacle> {
        self.reachable_master(shard).map(drop)
    }

    /// Can slots be moved to a shard?
    pub fn can_take(&self, shard: usize) -> Result<(), Obstacle> {
        let index = self.shards()[shard].index;
        if self.shards()[shard].draining {
            return Err(Obstacle {
                code: "target-draining",
                text: format!("shard {index} is being drained"),
            });
        }
        let master = self.reachable_master(shard)?;
        let Some(most) = self.snapshot.limits.max_fill_percent else {
            return Ok(());
        };
        for (what, used, total) in [
            ("disk", master.disk_used, master.disk_total),
            ("memory", master.memory_used, master.memory_total),
        ] {
            let (Some(used), Some(total @ 1..)) = (used, total) else {
                continue;
            };
            let percent = u128::from(used) * 100 / u128::from(total);
            if percent >= u128::from(most) {
                return Err(Obstacle {
                    code: "target-full",
                    text: format!(
                        "the {what} of shard {index}'s master is {percent} % full, and the limit is \
                         {most} %"
                    ),
                });
            }
        }
        Ok(())
    }

    fn reachable_master(&self, shard: usize) -> Result<&'a Node, Obstacle> {
        let index = self.shards()[shard].index;
        let masters = self.snapshot.nodes.iter();
        let mut masters =
            masters.filter(|node| node.shard == index && matches!(node.role, Role::Master));
        masters.find(|node| node.reachable).ok_or_else(|| Obstacle {
            code: "unreachable",
            text: format!("the master of shard {index} cannot be reached"),
        })
    }
}

/// A metric slot by slot, where a range's number is spread evenly over its slots.
pub fn per_slot(snapshot: &Snapshot, metric: Metric) -> Vec<Option<f64>> {
    let mut slots = vec![None; SLOTS];
    for statistics in &snapshot.statistics {
        let number = match metric {
            Metric::Keys => statistics.keys.map(|keys| keys as f64),
            Metric::Bytes => statistics.bytes.map(|bytes| bytes as f64),
            Metric::Ops => statistics.ops_per_second,
            Metric::Cpu => statistics.cpu_usec_per_second,
            Metric::Network => statistics.network_bytes_per_second,
        };
        let number = number.filter(|number| number.is_finite() && *number >= 0.0);
        if let (Some(number), Some(slots)) = (number, slots.get_mut(statistics.range.indices())) {
            let count = slots.len().max(1) as f64;
            slots.fill(Some(number / count));
        }
    }
    slots
}

/// For the sum over any range: of all slots before each slot, the sum, and how many have no number.
struct Sums(Vec<(f64, usize)>);

impl Sums {
    fn of(numbers: &[Option<f64>]) -> Self {
        let mut sums = vec![(0.0, 0)];
        let (mut sum, mut missing) = (0.0, 0);
        for number in numbers {
            sum += number.unwrap_or_default();
            missing += usize::from(number.is_none());
            sums.push((sum, missing));
        }
        Self(sums)
    }

    /// The sum; none where a number is missing.
    fn over(&self, range: SlotRange) -> Option<f64> {
        let (before, unknown) = self.0.get(usize::from(range.first))?;
        let (sum, missing) = self.0.get(usize::from(range.last) + 1)?;
        (missing == unknown).then(|| (sum - before).max(0.0))
    }
}
