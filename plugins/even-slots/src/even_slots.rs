//! The policy.

use std::collections::BTreeMap;

use portolan_plugin::{
    Policy,
    migration::{
        Board, Budget, Description, Draft, Error, Hold, Metric, Plan, Share, Snapshot, Trigger,
        Why, apportion, spread,
    },
};
use serde::Deserialize;

/// Rounding leaves shards a slot beside their share, and that is never worth a move.
const SLACK: usize = 1;
/// Of the slots that may not move, so many ranges are shown per shard.
const MOST_SHOWN: usize = 5;

/// The policy's settings.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// How far a shard may be from its share, in percent of it, before anything moves.
    pub threshold_percent: f64,
    /// Weights by shard id, instead of the shards' own.
    pub weights: BTreeMap<u64, f64>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            threshold_percent: 2.0,
            weights: BTreeMap::new(),
        }
    }
}

/// Levels the numbers of slots.
pub struct EvenSlots {
    settings: Settings,
}

impl Policy for EvenSlots {
    type Settings = Settings;

    fn describe() -> Description {
        Description {
            summary:
                "Gives every shard the number of slots that its weight calls for, moving as few \
                      slots as possible."
                    .to_owned(),
            score: "The slots that stand on a shard that has too many, in percent of all slots."
                .to_owned(),
            triggers: vec![Trigger::Manual, Trigger::ScaleOut, Trigger::Periodic],
            metrics: vec![Metric::Bytes, Metric::Keys],
        }
    }

    fn new(settings: Settings) -> Result<Self, Error> {
        let threshold = settings.threshold_percent;
        if !(0.0..=100.0).contains(&threshold) {
            return Err(Error::Invalid(format!(
                "`threshold_percent` is {threshold}; it is a percentage from 0 to 100"
            )));
        }
        for (shard, weight) in &settings.weights {
            if !weight.is_finite() || *weight < 0.0 {
                return Err(Error::Invalid(format!(
                    "`weights.{shard}` is {weight}; a weight is 0 or more"
                )));
            }
        }
        Ok(Self { settings })
    }

    fn propose(&self, snapshot: &Snapshot, budget: &Budget) -> Result<Plan, Error> {
        let mut board = Board::new(snapshot)?;
        let mut draft = Draft::new(&board, budget);
        let shares = self.shares(&board);
        let goals = apportion(&shares);
        let all = board.assigned();
        let before = astray(&board, &goals);

        let mut reasons = Vec::new();
        if all == 0 {
            reasons.push("no shard owns any slots".to_owned());
        } else if !self.is_uneven(&shares, &goals) {
            reasons.push(format!(
                "every shard is within {} % of its share, as far as slots may move",
                self.settings.threshold_percent
            ));
        }
        if reasons.is_empty() {
            let mut givers: Vec<usize> = (0..shares.len()).collect();
            givers.sort_by_key(|&shard| {
                let share = shares[shard];
                let surplus = share.have.saturating_sub(goals[shard]);
                (share.weight > 0.0, usize::MAX - surplus, shard)
            });
            spread(
                &mut board,
                &mut draft,
                &goals,
                &givers,
                |board, range, from, to| {
                    let [giver, taker] = [from, to].map(|shard| board.shards()[shard].index);
                    let (has, due) = (board.owned(from), goals[from]);
                    let (lacks, share) = (goals[to] - board.owned(to), goals[to]);
                    let surplus = percent(has.saturating_sub(due), all);
                    Why {
                        // Emptying comes first, then the shard that has the most to give.
                        priority: if shares[from].weight > 0.0 { 0 } else { 1000 }
                            + surplus.round() as u32,
                        code: if shares[from].weight > 0.0 {
                            "above-share"
                        } else {
                            "shall-be-empty"
                        },
                        text: format!(
                            "shard {giver} has {has} slots and is due {due}; shard {taker} is due {share} \
                         and lacks {lacks}; {} slots go there",
                            range.count()
                        ),
                        gain: percent(range.count(), all),
                    }
                },
            );
        }
        self.tell_what_is_stuck(&board, &mut draft, &shares);
        let after = astray(&board, &goals);
        Ok(draft.finish(percent(before, all), percent(after, all), reasons))
    }
}

impl EvenSlots {
    fn shares(&self, board: &Board) -> Vec<Share> {
        let shards = board.shards().iter().enumerate();
        shards
            .map(|(position, shard)| {
                let own = || f64::from(shard.weight);
                let given = self.settings.weights.get(&shard.id).copied();
                let weight = if shard.draining {
                    0.0
                } else {
                    given.unwrap_or_else(own)
                };
                let have = board.owned(position);
                let movable: usize = board
                    .movable(position)
                    .iter()
                    .map(|range| range.count())
                    .sum();
                Share {
                    weight,
                    have,
                    keep: match board.can_give(position) {
                        Ok(()) => have - movable,
                        Err(_) => have,
                    },
                    takes: weight > 0.0 && board.can_take(position).is_ok(),
                }
            })
            .collect()
    }

    fn is_uneven(&self, shares: &[Share], goals: &[usize]) -> bool {
        shares.iter().zip(goals).any(|(share, &goal)| {
            let off = share.have.abs_diff(goal);
            let shall_be_empty = share.weight <= 0.0;
            off > 0 && (shall_be_empty || self.is_far(off, goal))
        })
    }

    fn is_far(&self, off: usize, due: usize) -> bool {
        off > SLACK && percent(off, due) > self.settings.threshold_percent
    }

    /// Shows what would move if it could.
    fn tell_what_is_stuck(&self, board: &Board, draft: &mut Draft, shares: &[Share]) {
        let weights: f64 = shares.iter().map(|share| share.weight).sum();
        if weights <= 0.0 {
            return;
        }
        let all = board.assigned() as f64;
        let due = |share: &Share| (all * share.weight / weights) as usize;
        let richest =
            (0..shares.len()).max_by_key(|&shard| (shares[shard].have, usize::MAX - shard));
        for (shard, share) in shares.iter().enumerate() {
            let due = due(share);
            if !self.is_far(share.have.abs_diff(due), due) {
                continue;
            }
            let index = board.shards()[shard].index;
            if share.have > due {
                if let Err(obstacle) = board.can_give(shard)
                    && let Some(range) = board.movable(shard).first()
                {
                    let text = format!("{}, so its slots stay", obstacle.text);
                    draft.reject(board, *range, shard, None, obstacle.code, text);
                }
                if share.keep > due {
                    for (hold, code, what) in [
                        (Hold::Excluded, "excluded", "excluded from moving"),
                        (Hold::CoolingDown, "cooling-down", "resting after a move"),
                    ] {
                        for range in board.held(shard, hold).into_iter().take(MOST_SHOWN) {
                            let text = format!(
                                "slots {range} of shard {index}, which is due {due}, are {what}"
                            );
                            draft.reject(board, range, shard, None, code, text);
                        }
                    }
                }
            } else if let Err(obstacle) = board.can_take(shard)
                && let Some(from) = richest.filter(|&richest| richest != shard)
                && let Some(range) = board
                    .movable(from)
                    .first()
                    .and_then(|r| r.head(due - share.have))
            {
                let text = format!("{}, so it takes nothing in", obstacle.text);
                draft.reject(board, range, from, Some(shard), obstacle.code, text);
            }
        }
    }
}

/// How many slots stand on a shard that has too many.
fn astray(board: &Board, goals: &[usize]) -> usize {
    let shards = goals.iter().enumerate();
    shards
        .map(|(shard, &goal)| board.owned(shard).saturating_sub(goal))
        .sum()
}

fn percent(part: usize, whole: usize) -> f64 {
    part as f64 * 100.0 / whole.max(1) as f64
}
