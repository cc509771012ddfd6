//! From numbers of slots to moves.

use super::{Board, Draft, SlotRange, Why};

/// Proposes the moves after which every shard has as many slots as `goals` says, as far as the budget
/// goes. `givers` are the shards that have too many, the most urgent first.
///
/// A giver's slots go to whoever lacks the most, in the longest ranges that fit. Where there is a
/// choice, ranges are not torn apart, and the cheapest goes.
pub fn spread(
    board: &mut Board,
    draft: &mut Draft,
    goals: &[usize],
    givers: &[usize],
    why: impl Fn(&Board, SlotRange, usize, usize) -> Why,
) {
    let mut lacks: Vec<usize> = (0..goals.len())
        .map(|shard| goals[shard].saturating_sub(board.owned(shard)))
        .collect();
    for &giver in givers {
        let mut surplus = board.owned(giver).saturating_sub(goals[giver]);
        while surplus > 0 {
            let neediest = (0..lacks.len())
                .filter(|&shard| lacks[shard] > 0)
                .max_by_key(|&shard| (lacks[shard], usize::MAX - shard));
            let Some(taker) = neediest else {
                break;
            };
            let wanted = surplus.min(lacks[taker]);
            let Some(range) = pick(board, draft, giver, taker, wanted.min(draft.room())) else {
                if let Some(range) = board
                    .movable(giver)
                    .first()
                    .and_then(|range| range.head(wanted))
                {
                    draft.reject_over_budget(board, range, giver, taker);
                }
                break;
            };
            let why = why(board, range, giver, taker);
            draft.propose(board, range, giver, taker, why);
            surplus -= range.count();
            lacks[taker] -= range.count();
        }
    }
}

/// The range of at most `count` slots that it is best to move; none where the budget allows none.
fn pick(
    board: &Board,
    draft: &Draft,
    giver: usize,
    taker: usize,
    count: usize,
) -> Option<SlotRange> {
    if count == 0 {
        return None;
    }
    let movable = board.movable(giver);
    let longest = movable.iter().map(|range| range.count()).max()?;
    let count = count.min(longest);
    let mut best: Option<(Rank, SlotRange)> = None;
    for range in movable {
        // Both ends, since a hole in the middle would tear the giver's range apart.
        let ends = [SlotRange::head, SlotRange::tail];
        for end in ends {
            let Some(range) = largest(board, draft, range, count, end) else {
                continue;
            };
            let rank = Rank::of(board, range, giver, taker);
            if best
                .as_ref()
                .is_none_or(|(least, _)| rank.is_better_than(least))
            {
                best = Some((rank, range));
            }
        }
    }
    best.map(|(_, range)| range)
}

/// The largest piece of up to `count` slots, from one end, that the budget of bytes allows.
fn largest(
    board: &Board,
    draft: &Draft,
    range: SlotRange,
    count: usize,
    end: fn(SlotRange, usize) -> Option<SlotRange>,
) -> Option<SlotRange> {
    let affordable =
        |count: &usize| end(range, *count).is_some_and(|piece| draft.affords(board, piece));
    let most = count.min(range.count());
    if affordable(&most) {
        return end(range, most);
    }
    // A longer piece is never cheaper, except where a slot without statistics makes its size unknown.
    let (mut fits, mut too_many) = (0, most);
    while fits + 1 < too_many {
        let middle = usize::midpoint(fits, too_many);
        if affordable(&middle) {
            fits = middle;
        } else {
            too_many = middle;
        }
    }
    end(range, fits)
}

/// How good a range is to move.
struct Rank {
    slots: usize,
    /// By how many both shards' ranges grow in number.
    torn: i32,
    cost: f64,
}

impl Rank {
    fn of(board: &Board, range: SlotRange, giver: usize, taker: usize) -> Self {
        let before = usize::from(range.first).checked_sub(1);
        let around = [before, Some(usize::from(range.last) + 1)];
        let owners = around.map(|slot| slot.and_then(|slot| board.owner(slot)));
        let count = |shard| {
            let own = owners.iter().filter(|owner| **owner == Some(shard));
            i32::try_from(own.count()).unwrap_or_default()
        };
        Self {
            slots: range.count(),
            torn: (count(giver) - 1) + (1 - count(taker)),
            cost: board.cost(range),
        }
    }

    fn is_better_than(&self, other: &Self) -> bool {
        let longer = other.slots.cmp(&self.slots);
        let torn = self.torn.cmp(&other.torn);
        let order = longer.then(torn).then(self.cost.total_cmp(&other.cost));
        order.is_lt()
    }
}
