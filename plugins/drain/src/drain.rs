//! The policy.

use portolan_plugin::{
    Policy,
    migration::{
        Board, Budget, Description, Draft, Error, Hold, Metric, Plan, Share, Snapshot, Trigger,
        Why, apportion, spread,
    },
};
use serde::Deserialize;

/// The shard that is emptied first has this priority, the next one less.
const FIRST_PRIORITY: u32 = 1000;
/// Of the slots that may not move, so many ranges are shown per shard.
const MOST_SHOWN: usize = 5;

/// The policy's settings.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The ids of the shards to empty, instead of those marked as draining.
    pub shards: Option<Vec<u64>>,
}

/// Empties shards.
pub struct Drain {
    settings: Settings,
}

impl Policy for Drain {
    type Settings = Settings;

    fn describe() -> Description {
        Description {
            summary: "Empties shards that are to be taken away, and spreads their slots over the \
                      others by weight."
                .to_owned(),
            score: "The slots that stand on the shards to be emptied, in percent of all slots."
                .to_owned(),
            triggers: vec![Trigger::Drain, Trigger::Manual],
            metrics: vec![Metric::Bytes, Metric::Keys],
        }
    }

    fn new(settings: Settings) -> Result<Self, Error> {
        if settings.shards.as_ref().is_some_and(Vec::is_empty) {
            return Err(Error::Invalid(
                "`shards` is empty: name shards by their ids, or leave it out".to_owned(),
            ));
        }
        Ok(Self { settings })
    }

    fn propose(&self, snapshot: &Snapshot, budget: &Budget) -> Result<Plan, Error> {
        let mut board = Board::new(snapshot)?;
        let mut draft = Draft::new(&board, budget);
        let mut leaving = self.leaving(&board)?;
        let mut reasons = Vec::new();
        if leaving.is_empty() {
            reasons.push("no shard is marked as draining".to_owned());
        }
        let before = standing(&board, &leaving);
        if before == 0 && !leaving.is_empty() {
            reasons.push(format!("{} has no slots any more", names(&board, &leaving)));
        }

        if reasons.is_empty() {
            // The one with the fewest slots first: so the first shard is free soonest.
            leaving.sort_by_key(|&shard| (board.owned(shard), shard));
            let goals = apportion(&shares(&board, &leaving));
            spread(
                &mut board,
                &mut draft,
                &goals,
                &leaving,
                |board, range, from, to| {
                    let [giver, taker] = [from, to].map(|shard| board.shards()[shard].index);
                    let rank = leaving.iter().position(|&shard| shard == from);
                    let rank = u32::try_from(rank.unwrap_or_default()).unwrap_or(FIRST_PRIORITY);
                    Why {
                        priority: FIRST_PRIORITY.saturating_sub(rank),
                        code: "drain",
                        text: format!(
                            "shard {giver} is emptied and has {} slots left; {} of them go to shard \
                         {taker}, which has {} and shall have {}",
                            board.owned(from),
                            range.count(),
                            board.owned(to),
                            goals[to]
                        ),
                        gain: percent(range.count(), board),
                    }
                },
            );
            for &shard in &leaving {
                tell_what_stays(&board, &mut draft, shard, &leaving);
            }
        }
        let after = standing(&board, &leaving);
        let (before, after) = (percent(before, &board), percent(after, &board));
        Ok(draft.finish(before, after, reasons))
    }
}

impl Drain {
    /// The positions of the shards to empty.
    fn leaving(&self, board: &Board) -> Result<Vec<usize>, Error> {
        let shards = board.shards();
        let Some(named) = &self.settings.shards else {
            let draining = (0..shards.len()).filter(|&shard| shards[shard].draining);
            return Ok(draining.collect());
        };
        let mut leaving = Vec::new();
        for id in named {
            let Some(position) = shards.iter().position(|shard| shard.id == *id) else {
                let known: Vec<String> = shards.iter().map(|shard| shard.id.to_string()).collect();
                return Err(Error::Invalid(format!(
                    "`shards` names {id}, and the cluster has {}",
                    known.join(", ")
                )));
            };
            if !leaving.contains(&position) {
                leaving.push(position);
            }
        }
        Ok(leaving)
    }
}

/// Those that leave give all they can; nobody else gives anything.
fn shares(board: &Board, leaving: &[usize]) -> Vec<Share> {
    let shards = board.shards().iter().enumerate();
    shards
        .map(|(position, shard)| {
            let have = board.owned(position);
            let leaves = leaving.contains(&position);
            let movable = if leaves && board.can_give(position).is_ok() {
                board
                    .movable(position)
                    .iter()
                    .map(|range| range.count())
                    .sum()
            } else {
                0
            };
            let weight = if leaves { 0.0 } else { f64::from(shard.weight) };
            Share {
                weight,
                have,
                keep: have - movable,
                takes: weight > 0.0 && board.can_take(position).is_ok(),
            }
        })
        .collect()
}

/// Shows what stays on a shard that shall be empty, and why.
fn tell_what_stays(board: &Board, draft: &mut Draft, shard: usize, leaving: &[usize]) {
    let index = board.shards()[shard].index;
    for (hold, code, what) in [
        (Hold::Excluded, "excluded", "excluded from moving"),
        (Hold::CoolingDown, "cooling-down", "resting after a move"),
        (Hold::Active, "arriving", "on their way to it"),
    ] {
        for range in board.held(shard, hold).into_iter().take(MOST_SHOWN) {
            let text = format!("slots {range} stay on shard {index}: they are {what}");
            draft.reject(board, range, shard, None, code, text);
        }
    }
    let Some(range) = board.movable(shard).first().copied() else {
        return;
    };
    if let Err(obstacle) = board.can_give(shard) {
        let text = format!("{}, so its slots stay", obstacle.text);
        draft.reject(board, range, shard, None, obstacle.code, text);
        return;
    }
    let others = || (0..board.shards().len()).filter(|other| !leaving.contains(other));
    if others().next().is_none() {
        let text = "there is no other shard to take the slots".to_owned();
        draft.reject(board, range, shard, None, "no-target", text);
    }
    for other in others() {
        let taker = &board.shards()[other];
        if let Err(obstacle) = board.can_take(other) {
            let text = format!("{}, so it takes nothing in", obstacle.text);
            draft.reject(board, range, shard, Some(other), obstacle.code, text);
        } else if taker.weight == 0 {
            let text = format!(
                "shard {} has the weight 0, so it takes nothing in",
                taker.index
            );
            draft.reject(board, range, shard, Some(other), "no-weight", text);
        }
    }
}

/// How many slots stand on these shards.
fn standing(board: &Board, shards: &[usize]) -> usize {
    shards.iter().map(|&shard| board.owned(shard)).sum()
}

fn names(board: &Board, shards: &[usize]) -> String {
    let names = shards
        .iter()
        .map(|&shard| format!("shard {}", board.shards()[shard].index));
    names.collect::<Vec<_>>().join(", ")
}

fn percent(slots: usize, board: &Board) -> f64 {
    slots as f64 * 100.0 / board.assigned().max(1) as f64
}
