//! Clusters to plan for: a few words to describe one, generators for property tests, and what holds for
//! every plan of every policy.

use proptest::{collection::vec, option, prelude::*, sample::select};

use crate::migration::{
    ActiveMove, Budget, Limits, MoveOutcome, Node, Plan, RecentMove, Role, SLOTS, Shard, SlotRange,
    SlotStatistics, Snapshot, Trigger, runs,
};

/// When the statistics of a [`cluster`] were taken: some day in 2023.
pub const SAMPLED_AT_MS: u64 = 1_700_000_000_000;

/// A budget that stands in nobody's way.
pub const AMPLE: Budget = Budget {
    max_moves: u32::MAX,
    max_slots: u32::MAX,
    max_bytes: None,
};

/// The slots from `first` to `last`.
pub fn range(first: u16, last: u16) -> SlotRange {
    SlotRange { first, last }
}

/// A healthy cluster whose shards own these slots. The shard at place `n` has the id `100 + n`, weight
/// 100 and one reachable master.
pub fn cluster(slots: &[&[SlotRange]]) -> Snapshot {
    let shards = slots.iter().zip(0..).map(|(slots, index)| Shard {
        id: 100 + u64::from(index),
        index,
        slots: slots.to_vec(),
        weight: 100,
        zone: None,
        labels: Vec::new(),
        draining: false,
    });
    let shards: Vec<Shard> = shards.collect();
    let nodes = shards.iter().map(|shard| master(shard.index)).collect();
    Snapshot {
        cluster: "orders".to_owned(),
        namespace: "shop".to_owned(),
        version: 7,
        sampled_at_ms: SAMPLED_AT_MS,
        sample_age_ms: 5_000,
        shards,
        nodes,
        statistics: Vec::new(),
        active: Vec::new(),
        recent: Vec::new(),
        limits: Limits {
            cool_down_ms: 600_000,
            max_slots_per_move: None,
            max_fill_percent: None,
        },
        excluded: Vec::new(),
        trigger: Trigger::Manual,
        seed: 7,
    }
}

/// The reachable master of the shard at place `index`.
pub fn master(index: u32) -> Node {
    Node {
        id: format!("node-{index}"),
        shard: index,
        role: Role::Master,
        reachable: true,
        lag: None,
        disk_used: None,
        disk_total: None,
        memory_used: None,
        memory_total: None,
    }
}

/// Statistics of a range of which nothing is known.
pub fn unknown(range: SlotRange) -> SlotStatistics {
    SlotStatistics {
        range,
        keys: None,
        bytes: None,
        ops_per_second: None,
        cpu_usec_per_second: None,
        network_bytes_per_second: None,
    }
}

/// The cluster once all moves are made.
pub fn apply(snapshot: &Snapshot, plan: &Plan) -> Snapshot {
    let mut owners = owners(snapshot);
    for proposed in &plan.moves {
        owners[proposed.range.indices()].fill(Some(proposed.to_shard));
    }
    let mut after = snapshot.clone();
    after.version += 1;
    for shard in &mut after.shards {
        shard.slots = runs(|slot| owners[slot] == Some(shard.id));
    }
    after
}

fn owners(snapshot: &Snapshot) -> Vec<Option<u64>> {
    let mut owners = vec![None; SLOTS];
    for shard in &snapshot.shards {
        for range in &shard.slots {
            owners[range.indices()].fill(Some(shard.id));
        }
    }
    owners
}

/// What holds for every plan: no slot is lost, moved twice, taken from a shard that does not own it,
/// moved although it is excluded, on its way or cooling down; no shard takes that is draining or whose
/// master cannot be reached; the budget and the limits are kept; the scores agree with the moves.
pub fn sound(snapshot: &Snapshot, budget: &Budget, plan: &Plan) -> Result<(), String> {
    let mut owners = owners(snapshot);
    let now = snapshot.sampled_at_ms + snapshot.sample_age_ms;
    let cooling = snapshot
        .recent
        .iter()
        .filter(|recent| now < recent.ended_at_ms + snapshot.limits.cool_down_ms)
        .map(|recent| recent.range);
    let active = snapshot.active.iter().map(|active| active.range);
    let kept = cooling
        .chain(active)
        .chain(snapshot.excluded.iter().copied());
    for range in kept {
        owners[range.indices()].fill(None);
    }

    let per_move = snapshot.limits.max_slots_per_move.unwrap_or(u32::MAX) as usize;
    let (mut slots, mut bytes, mut gain) = (0, 0, 0.0);
    for proposed in &plan.moves {
        let range = proposed.range;
        let fail = |what: String| Err(format!("{range}: {what}"));
        if range.first > range.last || usize::from(range.last) >= SLOTS {
            return fail("no range".to_owned());
        }
        if range.count() > per_move {
            return fail(format!("more than {per_move} slots"));
        }
        for slot in range.indices() {
            if owners[slot].take() != Some(proposed.from_shard) {
                return fail(format!("slot {slot} is not the giver's to give"));
            }
        }
        let target = snapshot.shards.iter().find(|s| s.id == proposed.to_shard);
        let Some(target) = target.filter(|_| proposed.to_shard != proposed.from_shard) else {
            return fail("no other shard".to_owned());
        };
        if target.draining {
            return fail("goes to a draining shard".to_owned());
        }
        for shard in [proposed.from_shard, proposed.to_shard] {
            let index = snapshot
                .shards
                .iter()
                .find(|s| s.id == shard)
                .map(|s| s.index);
            let reachable = snapshot.nodes.iter().any(|node| {
                Some(node.shard) == index && matches!(node.role, Role::Master) && node.reachable
            });
            if !reachable {
                return fail(format!("the master of shard {shard} cannot be reached"));
            }
        }
        if proposed.text.is_empty() || proposed.reason.is_empty() {
            return fail("no reason".to_owned());
        }
        if proposed.expected_gain.is_nan() || proposed.expected_gain <= 0.0 {
            return fail(format!("gains {}", proposed.expected_gain));
        }
        slots += range.count();
        bytes += proposed.estimated_bytes.unwrap_or_default();
        gain += proposed.expected_gain;
    }

    if plan.moves.len() > budget.max_moves as usize || slots > budget.max_slots as usize {
        return Err(format!(
            "over budget: {} moves, {slots} slots",
            plan.moves.len()
        ));
    }
    if budget.max_bytes.is_some_and(|most| bytes > most) {
        return Err(format!("over budget: {bytes} bytes"));
    }
    let (before, after) = (plan.score_before, plan.score_after);
    if !before.is_finite() || !after.is_finite() || after < 0.0 || after > before + 1e-9 {
        return Err(format!("the score goes from {before} to {after}"));
    }
    if (before - gain - after).abs() > 1e-6 {
        return Err(format!("{before} less the gain of {gain} is not {after}"));
    }
    if plan.moves.is_empty() == plan.nothing_to_do.is_empty() || plan.rejected.len() > 100 {
        return Err("moves, or reasons for none, and few rejected ones".to_owned());
    }
    Ok(())
}

/// For property tests in a crate's `tests`: what fails is printed, not kept in a file.
pub fn config() -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

/// Any budget, from nothing at all to more than enough.
pub fn budgets() -> impl Strategy<Value = Budget> {
    let budget = (0..12_u32, 0..9_000_u32, option::of(0..4_000_000_u64));
    let budget = budget.prop_map(|(max_moves, max_slots, max_bytes)| Budget {
        max_moves,
        max_slots,
        max_bytes,
    });
    prop_oneof![1 => Just(AMPLE), 3 => budget]
}

/// Any cluster: up to six shards of any weight, some draining, unreachable or full; slots in few or
/// many pieces, some unassigned; statistics of any coverage; moves under way and done, excluded slots.
pub fn snapshots() -> impl Strategy<Value = Snapshot> {
    (1..7_usize).prop_flat_map(|count| {
        let shard = (
            select(vec![100_u32, 100, 100, 0, 37, 250]),
            prop::bool::weighted(0.15),
            prop::bool::weighted(0.85),
            option::weighted(0.3, 0..101_u64),
        );
        let pieces = prop_oneof![
            vec((0..SLOTS as u16, 0..=count), 0..8),
            vec((0..SLOTS as u16, 0..=count), 0..60),
        ];
        let statistics = vec((0..SLOTS as u16, statistics()), 0..40);
        let marks = (
            vec(ranges(), 0..3),
            vec((ranges(), 0..count), 0..3),
            vec((ranges(), 0..1_000_000_u64, outcomes()), 0..3),
        );
        let limits = (
            prop_oneof![Just(0), Just(600_000_u64)],
            option::weighted(0.3, 1..3_000_u32),
            option::weighted(0.3, 50..101_u32),
        );
        (vec(shard, count), pieces, statistics, marks, limits).prop_map(assemble)
    })
}

fn ranges() -> impl Strategy<Value = SlotRange> {
    (0..SLOTS as u16, 0..500_u16)
        .prop_map(|(first, more)| range(first, (first + more).min(SLOTS as u16 - 1)))
}

fn outcomes() -> impl Strategy<Value = MoveOutcome> {
    select(vec![
        MoveOutcome::Done,
        MoveOutcome::Failed,
        MoveOutcome::Cancelled,
    ])
}

fn statistics() -> impl Strategy<Value = SlotStatistics> {
    let number = || option::weighted(0.9, prop_oneof![Just(0_u64), 0..1_000_000_u64]);
    (number(), number(), number(), number(), number()).prop_map(
        |(keys, bytes, ops, cpu, network)| SlotStatistics {
            keys,
            bytes,
            ops_per_second: ops.map(|ops| ops as f64 / 3.0),
            cpu_usec_per_second: cpu.map(|cpu| cpu as f64),
            network_bytes_per_second: network.map(|network| network as f64),
            ..unknown(range(0, 0))
        },
    )
}

/// Weight, draining, reachable, and how full.
type AnyShard = (u32, bool, bool, Option<u64>);
/// What begins at which slot.
type Pieces<T> = Vec<(u16, T)>;
type Marks = (
    Vec<SlotRange>,
    Vec<(SlotRange, usize)>,
    Vec<(SlotRange, u64, MoveOutcome)>,
);
type AnyLimits = (u64, Option<u32>, Option<u32>);

fn assemble(
    (shards, pieces, statistics, (excluded, active, recent), limits): (
        Vec<AnyShard>,
        Pieces<usize>,
        Pieces<SlotStatistics>,
        Marks,
        AnyLimits,
    ),
) -> Snapshot {
    let count = shards.len();
    let mut owners: Vec<Option<usize>> = vec![Some(0); SLOTS];
    for (range, owner) in laid_out(pieces) {
        // One more than there are shards: nobody's.
        owners[range.indices()].fill((owner < count).then_some(owner));
    }
    let slots: Vec<Vec<SlotRange>> = (0..count)
        .map(|shard| runs(|slot| owners[slot] == Some(shard)))
        .collect();
    let slots: Vec<&[SlotRange]> = slots.iter().map(Vec::as_slice).collect();
    let mut snapshot = cluster(&slots);
    for (index, (weight, draining, reachable, fill)) in shards.into_iter().enumerate() {
        snapshot.shards[index].weight = weight;
        snapshot.shards[index].draining = draining;
        let node = &mut snapshot.nodes[index];
        node.reachable = reachable;
        node.disk_used = fill;
        node.disk_total = fill.map(|_| 100);
    }
    let statistics = laid_out(statistics).into_iter();
    snapshot.statistics = statistics
        .map(|(range, numbers)| SlotStatistics { range, ..numbers })
        .collect();
    snapshot.excluded = excluded;
    for (range, to) in active {
        let Some(from) = owners[usize::from(range.first)].filter(|&from| from != to) else {
            continue;
        };
        let mine = range.indices().all(|slot| owners[slot] == Some(from));
        let taken =
            |other: &ActiveMove| other.range.first <= range.last && range.first <= other.range.last;
        if mine && !snapshot.active.iter().any(taken) {
            snapshot.active.push(ActiveMove {
                range,
                from_shard: snapshot.shards[from].id,
                to_shard: snapshot.shards[to].id,
                started_at_ms: SAMPLED_AT_MS,
            });
        }
    }
    let id = |index: usize| snapshot.shards[index % count].id;
    let recent = recent.into_iter().map(|(range, ago, outcome)| RecentMove {
        range,
        from_shard: id(0),
        to_shard: id(1),
        outcome,
        ended_at_ms: SAMPLED_AT_MS - ago,
    });
    snapshot.recent = recent.collect();
    let (cool_down_ms, max_slots_per_move, max_fill_percent) = limits;
    snapshot.limits = Limits {
        cool_down_ms,
        max_slots_per_move,
        max_fill_percent,
    };
    snapshot
}

/// Each piece from where it begins to where the next one does.
fn laid_out<T>(mut pieces: Pieces<T>) -> Vec<(SlotRange, T)> {
    pieces.sort_by_key(|(first, _)| *first);
    pieces.dedup_by_key(|(first, _)| *first);
    let mut ends: Vec<u16> = pieces.iter().skip(1).map(|(first, _)| first - 1).collect();
    ends.push(SLOTS as u16 - 1);
    let pieces = pieces.into_iter().zip(ends);
    pieces
        .map(|((first, piece), last)| (range(first, last), piece))
        .collect()
}
