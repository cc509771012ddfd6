//! Who carries how much, and who should.

use portolan_plugin::migration::{Board, SLOTS};

use crate::{Load, load::Loads};

/// A shard may have this many slots without statistics, in percent of the slots of an average shard.
const MOST_UNKNOWN_PERCENT: usize = 10;

/// The load of the shards among which load can be shifted.
pub(crate) struct Balance {
    pub(crate) loads: Loads,
    /// Each shard's share of the load; none for shards that are left out.
    dues: Vec<Option<f64>>,
    /// What each shard carries now.
    carried: Vec<f64>,
    /// The load of all who take part.
    all: f64,
}

impl Balance {
    /// Finds out who takes part: shards with a weight, with statistics, and with a master that can be
    /// reached. An error says why nobody does.
    pub(crate) fn new(board: &Board, metric: Load) -> Result<Self, String> {
        let loads = Loads::of(board, metric);
        let shards = board.shards();
        let average = board.assigned() / shards.len().max(1);
        let allowed = average * MOST_UNKNOWN_PERCENT / 100;
        let mut unknown = vec![0; shards.len()];
        for slot in (0..SLOTS).filter(|&slot| !loads.is_known(slot)) {
            if let Some(owner) = board.owner(slot) {
                unknown[owner] += 1;
            }
        }
        let takes_part: Vec<bool> = (0..shards.len())
            .map(|shard| {
                let stays = shards[shard].weight > 0 && !shards[shard].draining;
                stays && unknown[shard] <= allowed && board.can_give(shard).is_ok()
            })
            .collect();
        let weights = shards.iter().zip(&takes_part);
        let weights =
            weights.map(|(shard, takes_part)| takes_part.then_some(f64::from(shard.weight)));
        let weights: Vec<Option<f64>> = weights.collect();

        let name = metric.name();
        if weights.iter().flatten().count() < 2 {
            let blind: Vec<String> = (0..shards.len())
                .filter(|&shard| unknown[shard] > allowed)
                .map(|shard| shards[shard].index.to_string())
                .collect();
            return Err(match blind.is_empty() {
                true => {
                    "load can only be shifted between two shards that are healthy and not draining"
                        .to_owned()
                }
                false => {
                    let blind = blind.join(", ");
                    format!("the statistics say too little of `{name}` on shards {blind}")
                }
            });
        }
        let all = loads.sum(|slot| board.owner(slot).is_some_and(|owner| takes_part[owner]));
        if all <= 0.0 {
            return Err(format!("no shard carries any load (`{name}`)"));
        }
        let sum: f64 = weights.iter().flatten().sum();
        let mut balance = Self {
            dues: weights
                .iter()
                .map(|weight| weight.map(|weight| all * weight / sum))
                .collect(),
            carried: Vec::new(),
            loads,
            all,
        };
        balance.recount(board);
        Ok(balance)
    }

    /// Counts anew what each shard carries. In the order of slots, so that a shard with the same slots
    /// carries the same to the last bit, however it came by them.
    pub(crate) fn recount(&mut self, board: &Board) {
        self.carried = vec![0.0; self.dues.len()];
        for slot in 0..SLOTS {
            if let (Some(owner), Some(load)) = (board.owner(slot), self.loads.get(slot)) {
                self.carried[owner] += load;
            }
        }
    }

    /// The shards that take part.
    pub(crate) fn shards(&self) -> impl Iterator<Item = usize> {
        (0..self.dues.len()).filter(|&shard| self.dues[shard].is_some())
    }

    pub(crate) fn due(&self, shard: usize) -> f64 {
        self.dues[shard].unwrap_or_default()
    }

    pub(crate) fn load(&self, shard: usize) -> f64 {
        self.carried[shard]
    }

    /// How far a shard's load is above its share, in percent of it; below 0 where it is not.
    pub(crate) fn excess_percent(&self, shard: usize) -> f64 {
        let due = self.due(shard);
        (self.load(shard) - due) * 100.0 / due
    }

    /// The one of these that is the farthest above its share.
    pub(crate) fn hottest(&self, shards: &[usize]) -> Option<usize> {
        shards.iter().copied().max_by(|&one, &other| {
            let [a, b] = [one, other].map(|shard| self.excess_percent(shard));
            a.total_cmp(&b).then(other.cmp(&one))
        })
    }

    /// The one of the others that can take the most until it has its share.
    pub(crate) fn idlest(&self, board: &Board, but: usize) -> Option<usize> {
        let takers = self
            .shards()
            .filter(|&shard| shard != but && board.can_take(shard).is_ok());
        takers.max_by(|&one, &other| {
            let [a, b] = [one, other].map(|shard| self.due(shard) - self.load(shard));
            a.total_cmp(&b).then(other.cmp(&one))
        })
    }

    /// The load above the shards' shares, in percent of all load.
    pub(crate) fn score(&self) -> f64 {
        let excess = self
            .shards()
            .map(|shard| (self.load(shard) - self.due(shard)).max(0.0));
        self.percent(excess.sum())
    }

    /// This much load in percent of all load.
    pub(crate) fn percent(&self, load: f64) -> f64 {
        load * 100.0 / self.all
    }
}
