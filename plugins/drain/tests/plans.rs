//! Plans for clusters of all kinds, and the promises that hold for every one of them.

#![allow(clippy::unwrap_used, reason = "a test that fails says so")]

use portolan_drain::Drain;
use portolan_plugin::{
    Policy,
    migration::{ActiveMove, Budget, Error, Plan, Shard, Snapshot},
    policy,
    testing::clusters::{AMPLE, apply, budgets, cluster, config, range, snapshots, sound},
};
use proptest::prelude::*;

fn plan(settings: &str, snapshot: &Snapshot, budget: &Budget) -> Result<Plan, Error> {
    let policy: Drain = policy(settings).unwrap();
    policy.propose(snapshot, budget)
}

fn counts(snapshot: &Snapshot) -> Vec<usize> {
    let count = |shard: &Shard| shard.slots.iter().map(|range| range.count()).sum();
    snapshot.shards.iter().map(count).collect()
}

/// Four even shards.
fn even() -> Snapshot {
    cluster(&[
        &[range(0, 4_095)],
        &[range(4_096, 8_191)],
        &[range(8_192, 12_287)],
        &[range(12_288, 16_383)],
    ])
}

#[test]
fn a_draining_shard_is_emptied_over_the_others_by_weight() {
    let mut snapshot = even();
    snapshot.shards[3].draining = true;
    let plan = plan("{}", &snapshot, &AMPLE).unwrap();
    assert_eq!(plan.moves.len(), 3);
    let mut after = counts(&apply(&snapshot, &plan));
    after.sort_unstable();
    assert_eq!(after, [0, 5461, 5461, 5462]);
    assert_eq!((plan.score_before, plan.score_after), (25.0, 0.0));
    assert_eq!(
        plan.moves[0].text,
        "shard 3 is emptied and has 4096 slots left; 1366 of them go to shard 0, which has 4096 and \
         shall have 5462"
    );

    snapshot.shards[0].weight = 200;
    snapshot.shards[1].weight = 0;
    let plan = self::plan("{}", &snapshot, &AMPLE).unwrap();
    assert_eq!(counts(&apply(&snapshot, &plan)), [8192, 4096, 4096, 0]);
}

#[test]
fn settings_name_shards_to_empty_and_the_smallest_goes_first() {
    let mut snapshot = even();
    snapshot.shards[0].draining = true;
    snapshot.shards[1].slots = vec![range(4_096, 8_000)];
    let plan = plan(r#"{ "shards": [103, 101] }"#, &snapshot, &AMPLE).unwrap();
    let to: Vec<u64> = plan
        .moves
        .iter()
        .map(|proposed| proposed.to_shard)
        .collect();
    assert_eq!(
        to,
        [102, 102],
        "neither to the other one nor to the draining one"
    );
    let first = &plan.moves[0];
    assert_eq!((first.from_shard, first.priority), (101, 1000));
    assert_eq!(plan.moves[1].priority, 999);

    let error = self::plan(r#"{ "shards": [9] }"#, &snapshot, &AMPLE).unwrap_err();
    assert_eq!(
        error,
        Error::Invalid("`shards` names 9, and the cluster has 100, 101, 102, 103".to_owned())
    );
}

#[test]
fn what_stays_is_said() {
    let mut snapshot = even();
    snapshot.shards[0].draining = true;
    snapshot.excluded = vec![range(0, 9)];
    snapshot.active = vec![ActiveMove {
        range: range(100, 199),
        from_shard: 100,
        to_shard: 101,
        started_at_ms: 0,
    }];
    let some = plan("{}", &snapshot, &AMPLE).unwrap();
    assert_eq!(counts(&apply(&snapshot, &some))[0], 110);
    let rejected = &some.rejected[0];
    assert_eq!(
        (rejected.range, rejected.reason.as_str()),
        (range(0, 9), "excluded")
    );

    for node in &mut snapshot.nodes[1..] {
        node.reachable = false;
    }
    let none = plan("{}", &snapshot, &AMPLE).unwrap();
    assert_eq!(none.moves, []);
    assert_eq!(
        none.nothing_to_do[1],
        "the master of shard 1 cannot be reached, so it takes nothing in"
    );
}

#[test]
fn an_empty_or_unmarked_cluster_has_nothing_to_do() {
    let mut snapshot = even();
    let unmarked = plan("{}", &snapshot, &AMPLE).unwrap();
    assert_eq!(unmarked.nothing_to_do, ["no shard is marked as draining"]);
    snapshot.shards[2].draining = true;
    snapshot.shards[2].slots.clear();
    let done = plan("{}", &snapshot, &AMPLE).unwrap();
    assert_eq!(done.nothing_to_do, ["shard 2 has no slots any more"]);
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn every_plan_is_sound_and_the_same_again(snapshot in snapshots(), budget in budgets()) {
        let first = plan("{}", &snapshot, &budget).unwrap();
        prop_assert_eq!(sound(&snapshot, &budget, &first), Ok(()));
        prop_assert_eq!(&first, &plan("{}", &snapshot, &budget).unwrap());
        for proposed in &first.moves {
            let from = snapshot.shards.iter().find(|shard| shard.id == proposed.from_shard).unwrap();
            prop_assert!(from.draining, "only what shall be empty gives");
        }
    }

    #[test]
    fn once_carried_out_there_is_nothing_left_to_do(
        snapshot in snapshots(),
        budget in budgets(),
        named in 100..104_u64,
    ) {
        let named = if snapshot.shards.iter().any(|shard| shard.id == named) {
            format!(r#"{{ "shards": [{named}] }}"#)
        } else {
            "{}".to_owned()
        };
        let part = plan(&named, &snapshot, &budget).unwrap();
        prop_assert_eq!(sound(&snapshot, &budget, &part), Ok(()));
        let between = apply(&snapshot, &part);
        let rest = plan(&named, &between, &AMPLE).unwrap();
        prop_assert!((rest.score_before - part.score_after).abs() < 1e-9);
        let last = plan(&named, &apply(&between, &rest), &AMPLE).unwrap();
        prop_assert_eq!(&last.moves, &[]);
        prop_assert!((last.score_before - rest.score_after).abs() < 1e-9);
    }
}
