//! A plan in the making.

use super::{Board, Budget, Move, Plan, Rejected, SlotRange};

/// As many as a plan may show.
const MOST_REJECTED: usize = 100;

/// Collects moves and keeps them within the budget.
pub struct Draft {
    moves_left: usize,
    slots_left: usize,
    bytes_left: Option<u64>,
    slots_per_move: usize,
    moves: Vec<Move>,
    rejected: Vec<Rejected>,
}

/// Why a move is proposed.
pub struct Why {
    /// The higher goes first.
    pub priority: u32,
    /// A reason code.
    pub code: &'static str,
    /// The sentence to it, with numbers.
    pub text: String,
    /// By how much the move lowers the score.
    pub gain: f64,
}

impl Draft {
    /// An empty plan.
    pub fn new(board: &Board, budget: &Budget) -> Self {
        let per_move = board.snapshot().limits.max_slots_per_move;
        Self {
            moves_left: budget.max_moves as usize,
            slots_left: budget.max_slots as usize,
            bytes_left: budget.max_bytes,
            slots_per_move: per_move.map_or(usize::MAX, |most| most as usize),
            moves: Vec::new(),
            rejected: Vec::new(),
        }
    }

    /// The most slots that the next move may take: 0 where the budget is used up.
    pub fn room(&self) -> usize {
        if self.moves_left == 0 {
            return 0;
        }
        self.slots_left.min(self.slots_per_move)
    }

    /// Does the budget of bytes allow moving this range?
    pub fn affords(&self, board: &Board, range: SlotRange) -> bool {
        match (self.bytes_left, board.bytes(range)) {
            (Some(left), Some(bytes)) => bytes <= left,
            _ => true,
        }
    }

    /// Proposes a move, which the board then shows as made. It must fit: see [`Draft::room`] and
    /// [`Draft::affords`].
    pub fn propose(
        &mut self,
        board: &mut Board,
        range: SlotRange,
        from: usize,
        to: usize,
        why: Why,
    ) {
        let bytes = board.bytes(range);
        self.moves_left = self.moves_left.saturating_sub(1);
        self.slots_left = self.slots_left.saturating_sub(range.count());
        self.bytes_left = self
            .bytes_left
            .map(|left| left.saturating_sub(bytes.unwrap_or_default()));
        self.moves.push(Move {
            range,
            from_shard: board.shards()[from].id,
            to_shard: board.shards()[to].id,
            priority: why.priority,
            reason: why.code.to_owned(),
            text: why.text,
            expected_gain: why.gain,
            estimated_bytes: bytes,
        });
        board.relocate(range, to);
    }

    /// Tells of a move that was turned down. Tell the most telling first: only so many are shown.
    pub fn reject(
        &mut self,
        board: &Board,
        range: SlotRange,
        from: usize,
        to: Option<usize>,
        code: &'static str,
        text: String,
    ) {
        let rejected = Rejected {
            range,
            from_shard: board.shards()[from].id,
            to_shard: to.map(|to| board.shards()[to].id),
            reason: code.to_owned(),
            text,
        };
        if self.rejected.len() < MOST_REJECTED && !self.rejected.contains(&rejected) {
            self.rejected.push(rejected);
        }
    }

    /// Tells that the budget keeps this range from moving.
    pub fn reject_over_budget(&mut self, board: &Board, range: SlotRange, from: usize, to: usize) {
        let text = if self.moves_left == 0 {
            "the plan's budget of moves is used up".to_owned()
        } else if self.slots_left == 0 {
            "the plan's budget of slots is used up".to_owned()
        } else if self.slots_per_move == 0 {
            "no move may take any slots".to_owned()
        } else {
            format!(
                "slots {range} hold {} bytes, and {} are left in the plan's budget",
                board.bytes(range).unwrap_or_default(),
                self.bytes_left.unwrap_or_default()
            )
        };
        self.reject(board, range, from, Some(to), "over-budget", text);
    }

    /// Has nothing been proposed?
    pub fn is_empty(&self) -> bool {
        self.moves.is_empty()
    }

    /// The plan. `reasons` say why nothing is to be moved where nothing is; where there are none, the
    /// rejected moves have to do.
    pub fn finish(self, score_before: f64, score_after: f64, reasons: Vec<String>) -> Plan {
        let mut nothing_to_do = Vec::new();
        if self.moves.is_empty() {
            nothing_to_do = reasons;
            if nothing_to_do.is_empty() {
                for rejected in &self.rejected {
                    if !nothing_to_do.contains(&rejected.text) && nothing_to_do.len() < 10 {
                        nothing_to_do.push(rejected.text.clone());
                    }
                }
            }
            if nothing_to_do.is_empty() {
                nothing_to_do.push("no move would help".to_owned());
            }
        }
        Plan {
            moves: self.moves,
            score_before,
            score_after,
            nothing_to_do,
            rejected: self.rejected,
        }
    }
}
