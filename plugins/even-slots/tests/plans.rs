//! Plans for clusters of all kinds, and the promises that hold for every one of them.

#![allow(clippy::unwrap_used, reason = "a test that fails says so")]

use portolan_even_slots::EvenSlots;
use portolan_plugin::{
    Policy,
    migration::{Budget, Plan, Shard, SlotStatistics, Snapshot},
    policy,
    testing::clusters::{AMPLE, apply, budgets, cluster, config, range, snapshots, sound, unknown},
};
use proptest::prelude::*;

fn plan(settings: &str, snapshot: &Snapshot, budget: &Budget) -> Plan {
    let policy: EvenSlots = policy(settings).unwrap();
    policy.propose(snapshot, budget).unwrap()
}

fn counts(snapshot: &Snapshot) -> Vec<usize> {
    let count = |shard: &Shard| shard.slots.iter().map(|range| range.count()).sum();
    snapshot.shards.iter().map(count).collect()
}

/// Three shards that share all slots, and one that was just added.
fn scaled_out() -> Snapshot {
    cluster(&[
        &[range(0, 5461)],
        &[range(5462, 10_922)],
        &[range(10_923, 16_383)],
        &[],
    ])
}

#[test]
fn a_new_shard_gets_its_share_in_one_piece_from_each_of_the_others() {
    let plan = plan("{}", &scaled_out(), &AMPLE);
    assert_eq!(plan.moves.len(), 3);
    assert_eq!(counts(&apply(&scaled_out(), &plan)), [4096; 4]);
    let first = &plan.moves[0];
    assert_eq!(
        (first.from_shard, first.to_shard, first.range),
        (100, 103, range(0, 1365))
    );
    assert_eq!(
        first.text,
        "shard 0 has 5462 slots and is due 4096; shard 3 is due 4096 and lacks 4096; 1366 slots go there"
    );
    assert_eq!((plan.score_before, plan.score_after), (25.0, 0.0));
}

#[test]
fn small_differences_are_left_alone() {
    let snapshot = cluster(&[&[range(0, 8_300)], &[range(8_301, 16_383)]]);
    let lazy = plan("{}", &snapshot, &AMPLE);
    assert_eq!(lazy.moves, []);
    assert_eq!(
        lazy.nothing_to_do,
        ["every shard is within 2 % of its share, as far as slots may move"]
    );
    let strict = plan(r#"{ "threshold_percent": 0.5 }"#, &snapshot, &AMPLE);
    assert_eq!(counts(&apply(&snapshot, &strict)), [8192, 8192]);
}

#[test]
fn weights_come_from_the_shards_unless_the_settings_say_otherwise() {
    let mut snapshot = scaled_out();
    snapshot.shards[0].weight = 300;
    snapshot.shards[1].weight = 0;
    let own = plan("{}", &snapshot, &AMPLE);
    assert_eq!(counts(&apply(&snapshot, &own)), [9830, 0, 3277, 3277]);
    assert_eq!(own.moves[0].reason, "shall-be-empty");
    let given = plan(
        r#"{ "weights": { "100": 100, "101": 100 } }"#,
        &snapshot,
        &AMPLE,
    );
    assert_eq!(counts(&apply(&snapshot, &given)), [4096; 4]);
}

#[test]
fn the_cheaper_end_goes() {
    let snapshot = Snapshot {
        statistics: vec![
            SlotStatistics {
                bytes: Some(1 << 30),
                ..unknown(range(0, 4_000))
            },
            SlotStatistics {
                bytes: Some(1 << 20),
                ..unknown(range(4_001, 8_191))
            },
        ],
        ..cluster(&[&[range(0, 8_191)], &[]])
    };
    let plan = plan("{}", &snapshot, &AMPLE);
    assert_eq!(plan.moves.len(), 1);
    assert_eq!(plan.moves[0].range, range(4_096, 8_191));
    assert!(plan.moves[0].estimated_bytes.unwrap() < 2 << 20);
}

#[test]
fn what_cannot_be_reached_is_said() {
    let mut snapshot = scaled_out();
    snapshot.nodes[3].reachable = false;
    let plan = plan("{}", &snapshot, &AMPLE);
    assert_eq!(plan.moves, []);
    let rejected = &plan.rejected[0];
    assert_eq!(
        (rejected.reason.as_str(), rejected.to_shard),
        ("unreachable", Some(103))
    );
    assert_eq!(
        rejected.text,
        "the master of shard 3 cannot be reached, so it takes nothing in"
    );
}

#[test]
fn the_host_may_want_small_moves_and_few_of_them() {
    let mut snapshot = scaled_out();
    snapshot.limits.max_slots_per_move = Some(500);
    let budget = Budget {
        max_moves: 4,
        max_slots: 1_600,
        max_bytes: None,
    };
    let plan = plan("{}", &snapshot, &budget);
    let sizes: Vec<usize> = plan
        .moves
        .iter()
        .map(|proposed| proposed.range.count())
        .collect();
    assert_eq!(sizes, [500, 500, 366, 234]);
    assert!(
        plan.rejected
            .iter()
            .any(|rejected| rejected.reason == "over-budget")
    );
}

#[test]
fn wrong_settings_are_named() {
    for (settings, expected) in [
        (
            r#"{ "threshold_percent": -1 }"#,
            "`threshold_percent` is -1",
        ),
        (r#"{ "weights": { "100": -5 } }"#, "`weights.100` is -5"),
        (r#"{ "treshold": 1 }"#, "unknown field `treshold`"),
    ] {
        let error = policy::<EvenSlots>(settings).err().unwrap();
        assert!(format!("{error:?}").contains(expected), "{error:?}");
    }
}

fn settings() -> impl Strategy<Value = String> {
    let threshold = prop_oneof![Just(0.0), Just(2.0), 0.0..100.0_f64];
    threshold.prop_map(|threshold| format!(r#"{{ "threshold_percent": {threshold} }}"#))
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn every_plan_is_sound_and_the_same_again(
        snapshot in snapshots(),
        budget in budgets(),
        settings in settings(),
    ) {
        let first = plan(&settings, &snapshot, &budget);
        prop_assert_eq!(sound(&snapshot, &budget, &first), Ok(()));
        prop_assert_eq!(&first, &plan(&settings, &snapshot, &budget));
    }

    #[test]
    fn once_carried_out_there_is_nothing_left_to_do(
        snapshot in snapshots(),
        settings in settings(),
    ) {
        let first = plan(&settings, &snapshot, &AMPLE);
        let second = plan(&settings, &apply(&snapshot, &first), &AMPLE);
        prop_assert_eq!(&second.moves, &[], "after {:?}", first.moves);
        prop_assert!((second.score_before - first.score_after).abs() < 1e-9);
    }

    #[test]
    fn a_part_of_the_way_leads_on_to_the_same_end(
        snapshot in snapshots(),
        budget in budgets(),
        settings in settings(),
    ) {
        let part = plan(&settings, &snapshot, &budget);
        let between = apply(&snapshot, &part);
        let rest = plan(&settings, &between, &AMPLE);
        prop_assert!((rest.score_before - part.score_after).abs() < 1e-9);
        if !rest.moves.is_empty() {
            let whole = plan(&settings, &snapshot, &AMPLE);
            let ends = [apply(&snapshot, &whole), apply(&between, &rest)];
            prop_assert_eq!(counts(&ends[0]), counts(&ends[1]));
        }
    }
}
