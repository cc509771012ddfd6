//! Can this answer be true? A policy is as little trusted as any plugin.

use super::{Budget, Description, Move, Plan, SlotRange, Snapshot};

/// How many slots a cluster has.
const SLOTS: usize = 16_384;

/// What a person can read. The WIT promises the same of rejected moves.
const MOST_REJECTED: usize = 100;
const MOST_REASONS: usize = 100;
const LONGEST_TEXT: usize = 2_000;
const LONGEST_CODE: usize = 64;

/// Of adding up numbers in another order.
const ROUNDING: f64 = 1e-6;

/// Checks a policy's description of itself.
pub(super) fn description(description: &Description) -> Result<(), String> {
    text("`summary`", &description.summary)?;
    text("`score`", &description.score)
}

/// Checks a plan against the snapshot and the budget that it was made from.
pub(super) fn plan(plan: &Plan, snapshot: &Snapshot, budget: &Budget) -> Result<(), String> {
    within("moves", plan.moves.len(), budget.max_moves as usize)?;
    within("rejected moves", plan.rejected.len(), MOST_REJECTED)?;
    within("reasons", plan.nothing_to_do.len(), MOST_REASONS)?;
    if plan.moves.is_empty() == plan.nothing_to_do.is_empty() {
        let moves = plan.moves.len();
        let reasons = plan.nothing_to_do.len();
        return Err(format!("{moves} moves and {reasons} reasons for none"));
    }
    for reason in &plan.nothing_to_do {
        text("a reason for no moves", reason)?;
    }

    let mut owners = Owners::of(snapshot);
    for proposed in &plan.moves {
        let at = format!("the move of {}", proposed.range);
        owners
            .take(proposed, snapshot)
            .map_err(|reason| format!("{at}: {reason}"))?;
        code(&at, &proposed.reason)?;
        text(&at, &proposed.text)?;
        finite(&format!("{at}: `expected-gain`"), proposed.expected_gain)?;
    }
    let slots = plan.moves.iter().map(|proposed| count(proposed.range));
    within("moved slots", slots.sum(), budget.max_slots as usize)?;
    if let Some(most) = budget.max_bytes {
        let sizes = plan
            .moves
            .iter()
            .filter_map(|proposed| proposed.estimated_bytes);
        let bytes = sizes.fold(0, u64::saturating_add);
        if bytes > most {
            return Err(format!("{bytes} moved bytes, and the budget is {most}"));
        }
    }

    for rejected in &plan.rejected {
        let at = format!("the rejected move of {}", rejected.range);
        valid(rejected.range).map_err(|reason| format!("{at}: {reason}"))?;
        for shard in [Some(rejected.from_shard), rejected.to_shard]
            .into_iter()
            .flatten()
        {
            known(shard, snapshot).map_err(|reason| format!("{at}: {reason}"))?;
        }
        code(&at, &rejected.reason)?;
        text(&at, &rejected.text)?;
    }

    let (before, after) = (plan.score_before, plan.score_after);
    for (name, score) in [("`score-before`", before), ("`score-after`", after)] {
        finite(name, score)?;
        if score < 0.0 {
            return Err(format!("{name} is {score}, below 0"));
        }
    }
    if after > before + ROUNDING * before.max(1.0) {
        return Err(format!(
            "it makes the score worse: from {before} to {after}"
        ));
    }
    Ok(())
}

/// Which shard may give a slot away; none where no shard may.
struct Owners(Vec<Option<u64>>);

impl Owners {
    fn of(snapshot: &Snapshot) -> Self {
        let mut owners = Self(vec![None; SLOTS]);
        for shard in &snapshot.shards {
            for range in &shard.slots {
                owners.put(*range, Some(shard.id));
            }
        }
        for range in &snapshot.excluded {
            owners.put(*range, None);
        }
        for active in &snapshot.active {
            owners.put(active.range, None);
        }
        owners
    }

    fn put(&mut self, range: SlotRange, owner: Option<u64>) {
        if let Some(slots) = self
            .0
            .get_mut(usize::from(range.first)..=usize::from(range.last))
        {
            slots.fill(owner);
        }
    }

    /// Takes the range from its owner for good: no slot moves twice.
    fn take(&mut self, proposed: &Move, snapshot: &Snapshot) -> Result<(), String> {
        valid(proposed.range)?;
        let (from, to) = (proposed.from_shard, proposed.to_shard);
        known(from, snapshot)?;
        known(to, snapshot)?;
        if from == to {
            return Err(format!("from shard {from} to itself"));
        }
        let (first, last) = (proposed.range.first, proposed.range.last);
        let mine = |slot: &u16| self.0[usize::from(*slot)] == Some(from);
        if let Some(slot) = (first..=last).find(|slot| !mine(slot)) {
            return Err(format!(
                "slot {slot} is not shard {from}'s to give: another owns it, it is moved already, or it \
                 is excluded"
            ));
        }
        self.put(proposed.range, None);
        Ok(())
    }
}

fn valid(range: SlotRange) -> Result<(), String> {
    if range.first <= range.last && usize::from(range.last) < SLOTS {
        return Ok(());
    }
    let SlotRange { first, last } = range;
    Err(format!(
        "{first}-{last} is no range within 0 to {}",
        SLOTS - 1
    ))
}

fn count(range: SlotRange) -> usize {
    usize::from(range.last.saturating_sub(range.first)) + 1
}

fn known(shard: u64, snapshot: &Snapshot) -> Result<(), String> {
    if snapshot.shards.iter().any(|known| known.id == shard) {
        return Ok(());
    }
    Err(format!("the cluster has no shard {shard}"))
}

fn within(what: &str, count: usize, most: usize) -> Result<(), String> {
    if count <= most {
        return Ok(());
    }
    Err(format!("{count} {what}, and at most {most} are allowed"))
}

fn finite(what: &str, number: f64) -> Result<(), String> {
    if number.is_finite() {
        return Ok(());
    }
    Err(format!("{what} is {number}"))
}

fn code(at: &str, code: &str) -> Result<(), String> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if !code.is_empty() && code.len() <= LONGEST_CODE && code.chars().all(plain) {
        return Ok(());
    }
    let shown: String = code.chars().take(LONGEST_CODE).collect();
    Err(format!("{at}: `{shown}` is no reason code"))
}

fn text(at: &str, text: &str) -> Result<(), String> {
    match text.len() {
        0 => Err(format!("{at}: it has no text")),
        1..=LONGEST_TEXT => Ok(()),
        length => Err(format!(
            "{at}: its text has {length} bytes, and at most {LONGEST_TEXT} are allowed"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migration::{ActiveMove, Limits, Rejected, Shard, Trigger};

    fn range(first: u16, last: u16) -> SlotRange {
        SlotRange { first, last }
    }

    /// Shard 7 owns 0-99, shard 8 owns 100-199; 10-19 is excluded and 20-29 under way.
    fn snapshot() -> Snapshot {
        let shard = |id, index, slots| Shard {
            id,
            index,
            slots: vec![slots],
            weight: 100,
            zone: None,
            labels: Vec::new(),
            draining: false,
        };
        Snapshot {
            cluster: "c".into(),
            namespace: "n".into(),
            version: 1,
            sampled_at_ms: 0,
            sample_age_ms: 0,
            shards: vec![shard(7, 0, range(0, 99)), shard(8, 1, range(100, 199))],
            nodes: Vec::new(),
            statistics: Vec::new(),
            active: vec![ActiveMove {
                range: range(20, 29),
                from_shard: 7,
                to_shard: 8,
                started_at_ms: 0,
            }],
            recent: Vec::new(),
            limits: Limits {
                cool_down_ms: 0,
                max_slots_per_move: None,
                max_fill_percent: None,
            },
            excluded: vec![range(10, 19)],
            trigger: Trigger::Manual,
            seed: 0,
        }
    }

    fn moved(first: u16, last: u16) -> Move {
        Move {
            range: range(first, last),
            from_shard: 7,
            to_shard: 8,
            priority: 0,
            reason: "above-share".into(),
            text: "because".into(),
            expected_gain: 1.0,
            estimated_bytes: Some(10),
        }
    }

    fn good() -> Plan {
        Plan {
            moves: vec![moved(0, 4), moved(5, 9)],
            score_before: 2.0,
            score_after: 0.0,
            nothing_to_do: Vec::new(),
            rejected: vec![Rejected {
                range: range(30, 30),
                from_shard: 7,
                to_shard: None,
                reason: "no-target".into(),
                text: "nowhere to go".into(),
            }],
        }
    }

    const BUDGET: Budget = Budget {
        max_moves: 2,
        max_slots: 10,
        max_bytes: Some(20),
    };

    #[test]
    fn a_plan_that_can_be_true_passes() {
        assert_eq!(plan(&good(), &snapshot(), &BUDGET), Ok(()));
        let nothing = Plan {
            moves: Vec::new(),
            nothing_to_do: vec!["all is well".into()],
            ..good()
        };
        assert_eq!(plan(&nothing, &snapshot(), &BUDGET), Ok(()));
    }

    #[test]
    fn a_plan_that_cannot_be_true_says_why() {
        type Change = fn(&mut Plan);
        let cases: [(Change, &str); 21] = [
            (|p| p.moves.push(moved(40, 40)), "3 moves, and at most 2"),
            (|p| p.moves[1] = moved(5, 10), "slot 10 is not shard 7's"),
            (|p| p.moves[1] = moved(29, 30), "slot 29 is not shard 7's"),
            (|p| p.moves[1] = moved(4, 8), "slot 4 is not shard 7's"),
            (|p| p.moves[1] = moved(99, 100), "slot 100 is not shard 7's"),
            (|p| p.moves[1] = moved(300, 300), "slot 300 is not"),
            (|p| p.moves[1] = moved(9, 5), "9-5 is no range"),
            (|p| p.moves[1] = moved(0, 16_384), "0-16384 is no range"),
            (|p| p.moves[1].to_shard = 7, "to itself"),
            (|p| p.moves[1].to_shard = 9, "no shard 9"),
            (|p| p.moves[1] = moved(30, 35), "11 moved slots"),
            (
                |p| p.moves[1].estimated_bytes = Some(u64::MAX),
                "moved bytes, and the budget is 20",
            ),
            (
                |p| p.moves[1].expected_gain = f64::NAN,
                "`expected-gain` is NaN",
            ),
            (
                |p| p.moves[1].reason = "Too Hot".into(),
                "`Too Hot` is no reason code",
            ),
            (|p| p.moves[1].text.clear(), "it has no text"),
            (|p| p.moves[1].text = "x".repeat(2_001), "2001 bytes"),
            (|p| p.score_after = f64::INFINITY, "`score-after` is inf"),
            (|p| p.score_after = 2.1, "worse: from 2 to 2.1"),
            (|p| p.moves.clear(), "0 moves and 0 reasons for none"),
            (|p| p.rejected[0].to_shard = Some(1), "no shard 1"),
            (
                |p| p.rejected = vec![p.rejected[0].clone(); 101],
                "101 rejected moves",
            ),
        ];
        for (change, expected) in cases {
            let mut bad = good();
            change(&mut bad);
            let error = plan(&bad, &snapshot(), &BUDGET).unwrap_err();
            assert!(error.contains(expected), "{expected}: {error}");
        }
    }
}
