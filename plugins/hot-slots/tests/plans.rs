//! Plans for clusters of all kinds, and the promises that hold for every one of them.

#![allow(clippy::unwrap_used, reason = "a test that fails says so")]

use portolan_hot_slots::HotSlots;
use portolan_plugin::{
    Policy,
    migration::{Budget, MoveOutcome, Plan, RecentMove, SlotRange, SlotStatistics, Snapshot},
    policy,
    testing::clusters::{
        AMPLE, SAMPLED_AT_MS, apply, budgets, cluster, config, range, snapshots, sound, unknown,
    },
};
use proptest::prelude::*;

fn plan(settings: &str, snapshot: &Snapshot, budget: &Budget) -> Plan {
    let policy: HotSlots = policy(settings).unwrap();
    policy.propose(snapshot, budget).unwrap()
}

fn ops(range: SlotRange, ops: f64) -> SlotStatistics {
    SlotStatistics {
        ops_per_second: Some(ops),
        ..unknown(range)
    }
}

/// Three shards; slots 100-109 of the first carry a lot.
fn hot() -> Snapshot {
    Snapshot {
        statistics: vec![
            ops(range(0, 99), 1_000.0),
            ops(range(100, 109), 9_000.0),
            ops(range(110, 5_461), 5_200.0),
            ops(range(5_462, 10_922), 6_100.0),
            ops(range(10_923, 16_383), 3_300.0),
        ],
        ..cluster(&[
            &[range(0, 5_461)],
            &[range(5_462, 10_922)],
            &[range(10_923, 16_383)],
        ])
    }
}

#[test]
fn the_hot_slots_go_to_the_idlest_shard() {
    let plan = plan("{}", &hot(), &AMPLE);
    let moves: Vec<_> = plan
        .moves
        .iter()
        .map(|m| (m.range, m.from_shard, m.to_shard))
        .collect();
    // At least 80 % of the room for 4900 on the third shard, then of that for 2100 on the second.
    assert_eq!(
        moves,
        [(range(100, 104), 100, 102), (range(105, 106), 100, 101)]
    );
    assert_eq!(
        plan.moves[0].text,
        "shard 0 carries 15200 commands/s, 85 % above its share of 8200 commands/s; slots 100-104 carry \
         4500 commands/s of it, and shard 2 has room for 4900 commands/s"
    );
    assert!(plan.moves[0].priority > plan.moves[1].priority);
}

#[test]
fn it_rather_does_nothing() {
    let calm = |settings: &str, snapshot: &Snapshot| {
        let plan = plan(settings, snapshot, &AMPLE);
        assert_eq!(plan.moves, []);
        plan.nothing_to_do[0].clone()
    };
    assert_eq!(
        calm(r#"{ "threshold_percent": 90 }"#, &hot()),
        "the busiest shard, 0, carries 15200 commands/s where its share is 8200 commands/s, and up to \
         90 % more is fine"
    );
    assert_eq!(
        calm(r#"{ "min_load": 20000 }"#, &hot()),
        "shard 0 is 85 % above its share, but carries just 15200 commands/s, and less than 20000 \
         commands/s does not matter"
    );
    assert_eq!(
        calm(r#"{ "metric": "cpu" }"#, &hot()),
        "the statistics say too little of `cpu` on shards 0, 1, 2"
    );
    let old = Snapshot {
        sample_age_ms: 400_000,
        ..hot()
    };
    assert_eq!(
        calm("{}", &old),
        "the statistics are 400 s old, and more than 300 s is too old"
    );
}

#[test]
fn a_slot_too_hot_for_anyone_stays_where_it_is() {
    let mut snapshot = hot();
    snapshot.statistics = vec![
        ops(range(0, 99), 100.0),
        ops(range(100, 100), 9_000.0),
        ops(range(101, 5_461), 200.0),
        ops(range(5_462, 10_922), 3_000.0),
        ops(range(10_923, 16_383), 2_700.0),
    ];
    let stuck = plan("{}", &snapshot, &AMPLE);
    assert_eq!(stuck.moves, []);
    let rejected = &stuck.rejected[0];
    assert_eq!(
        (rejected.range, rejected.reason.as_str()),
        (range(100, 100), "too-hot")
    );
    assert_eq!(
        stuck.nothing_to_do,
        [
            "shard 0 carries 9300 commands/s, 86 % above its share of 5000 commands/s; slot 100 alone \
          carries 9000 commands/s, which would only make shard 2 hot, and the rest is not worth a move"
        ]
    );
    let picky = plan(r#"{ "min_gain_percent": 62 }"#, &snapshot, &AMPLE);
    assert_eq!(picky.moves, []);
    assert_eq!(picky.rejected[0].reason, "small-gain");
}

#[test]
fn what_moved_a_moment_ago_rests() {
    let mut snapshot = hot();
    snapshot.recent = vec![RecentMove {
        range: range(100, 109),
        from_shard: 102,
        to_shard: 100,
        outcome: MoveOutcome::Done,
        ended_at_ms: SAMPLED_AT_MS - 60_000,
    }];
    let resting = plan("{}", &snapshot, &AMPLE);
    assert!(
        resting
            .moves
            .iter()
            .all(|m| m.range.last < 100 || m.range.first > 109)
    );
    snapshot.limits.cool_down_ms = 60_000;
    assert_eq!(
        plan("{}", &snapshot, &AMPLE).moves[0].range,
        range(100, 104)
    );
}

#[test]
fn wrong_settings_are_named() {
    for (settings, expected) in [
        (r#"{ "metric": "heat" }"#, "unknown variant `heat`"),
        (
            r#"{ "threshold_percent": 0 }"#,
            "`threshold_percent` is 0; it is from 1 to 1000",
        ),
        (r#"{ "min_load": -1 }"#, "`min_load` is -1; it is 0 or more"),
    ] {
        let error = policy::<HotSlots>(settings).err().unwrap();
        assert!(format!("{error:?}").contains(expected), "{error:?}");
    }
}

fn settings() -> impl Strategy<Value = String> {
    let metric = prop::sample::select(vec!["ops", "cpu", "network", "bytes", "keys"]);
    let min_load = prop_oneof![3 => Just(0_u32), 1 => 0..2_000_000_u32];
    let settings = (metric, min_load, 1..100_u32, 1..50_u32);
    settings.prop_map(|(metric, min_load, threshold, gain)| {
        format!(
            r#"{{ "metric": "{metric}", "min_load": {min_load}, "threshold_percent": {threshold},
                  "min_gain_percent": {} }}"#,
            f64::from(gain) / 4.0
        )
    })
}

/// Clusters of which nearly everything is known, and with enough healthy shards to have something to
/// do.
fn busy() -> impl Strategy<Value = Snapshot> {
    snapshots().prop_map(|mut snapshot| {
        let first = snapshot
            .statistics
            .first()
            .map(|statistics| statistics.range.first);
        if let Some(first) = first.filter(|first| *first > 0) {
            snapshot
                .statistics
                .insert(0, ops(range(0, first - 1), 1_000.0));
        }
        for statistics in &mut snapshot.statistics {
            let known = statistics.bytes.unwrap_or(500);
            statistics.keys.get_or_insert(known);
            statistics.bytes.get_or_insert(known);
            statistics.ops_per_second.get_or_insert(0.0);
            statistics.cpu_usec_per_second.get_or_insert(known as f64);
            statistics
                .network_bytes_per_second
                .get_or_insert(known as f64);
        }
        for shard in snapshot.shards.iter_mut().step_by(2) {
            shard.draining = false;
            shard.weight = shard.weight.max(1);
        }
        for node in snapshot.nodes.iter_mut().step_by(2) {
            node.reachable = true;
        }
        snapshot
    })
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn every_plan_is_sound_and_the_same_again(
        snapshot in prop_oneof![1 => snapshots(), 3 => busy()],
        budget in budgets(),
        settings in settings(),
    ) {
        let first = plan(&settings, &snapshot, &budget);
        prop_assert_eq!(sound(&snapshot, &budget, &first), Ok(()));
        prop_assert_eq!(&first, &plan(&settings, &snapshot, &budget));
    }

    #[test]
    fn once_carried_out_there_is_nothing_left_to_do(
        snapshot in busy(),
        budget in budgets(),
        settings in settings(),
    ) {
        let part = plan(&settings, &snapshot, &budget);
        let between = apply(&snapshot, &part);
        let rest = plan(&settings, &between, &AMPLE);
        prop_assert!((rest.score_before - part.score_after).abs() < 1e-6);
        let last = plan(&settings, &apply(&between, &rest), &AMPLE);
        prop_assert_eq!(&last.moves, &[], "after {:?}", rest.moves);
        prop_assert!((last.score_before - rest.score_after).abs() < 1e-6);
    }
}
