//! The stories of the two sites, with faults at every moment in turn.

use super::simulation::setup::{INTERVAL, Setup};
use super::simulation::world::{Link, World};
use super::{LineRule, Plan, PlanError, Timing};

const BJ: usize = 0;
const SH: usize = 1;

fn two(seed: u64) -> World {
    let mut world = World::new(seed, Some(Setup::of_two()), None);
    world.run_until(6 * INTERVAL);
    assert_eq!(owners(&world), [BJ, SH]);
    world
}

/// Where the line of each site points.
fn owners(world: &World) -> Vec<usize> {
    world.provider.records.iter().map(|it| *it.now()).collect()
}

fn cut(world: &mut World) {
    world.sites[SH].side = 1;
}

fn pass(world: &mut World, intervals: u64) {
    let end = world.now + intervals * INTERVAL;
    world.run_until(end);
    world.judge.verdict().unwrap();
}

#[test]
fn two_sites_that_lose_one_another_keep_their_own_lines() {
    let mut world = two(1);
    cut(&mut world);
    pass(&mut world, 40);
    assert_eq!(owners(&world), [BJ, SH]);
    assert_eq!(world.judge.takeovers, 0);
    assert!(world.holds(BJ, 0) && world.holds(SH, 1));
}

#[test]
fn when_one_of_them_dies_its_lines_move_and_come_home_with_it() {
    let mut world = two(2);
    cut(&mut world);
    pass(&mut world, 5);
    world.kill(BJ);
    pass(&mut world, 12);
    assert_eq!(owners(&world), [SH, SH]);
    world.revive(BJ);
    pass(&mut world, 12);
    assert_eq!(owners(&world), [BJ, SH]);
    assert_eq!((world.judge.takeovers, world.judge.returns), (1, 1));
}

#[test]
fn a_site_that_cannot_reach_the_provider_takes_nothing_and_one_that_serves_loses_nothing() {
    let mut world = two(3);
    world.sites[SH].link = Link::Cut;
    world.kill(BJ);
    pass(&mut world, 20);
    assert_eq!(owners(&world), [BJ, SH]);
    // Both daemons live and see one another's service; the quorum alone is gone.
    let mut world = two(4);
    world.stop(BJ);
    pass(&mut world, 20);
    assert_eq!(owners(&world), [BJ, SH]);
}

#[test]
fn whenever_it_heals_each_line_has_one_owner_and_there_is_one_history() {
    for step in 0..120 {
        let mut world = two(100 + step);
        cut(&mut world);
        pass(&mut world, 2);
        world.kill(BJ);
        let healed = world.now + step * INTERVAL / 10;
        world.run_until(healed);
        world.revive(BJ);
        if step % 2 == 0 {
            world.heal();
        }
        pass(&mut world, 14);
        world.heal();
        pass(&mut world, 14);
        assert_eq!(owners(&world), [BJ, SH], "step {step}");
        assert!(world.judge.takeovers <= 1, "step {step}");
        assert_eq!(world.judge.takeovers, world.judge.returns, "step {step}");
        let pointed = world
            .history
            .iter()
            .filter(|deed| deed.site.as_str() == "sh");
        let pointed = pointed.filter(|deed| matches!(deed.what, super::What::Pointed { .. }));
        assert_eq!(pointed.count(), world.judge.takeovers, "step {step}");
    }
}

#[test]
fn a_group_that_was_whole_all_along_never_writes_into_the_zone() {
    let mut world = World::new(5, Some(Setup::of_two()), None);
    pass(&mut world, 30);
    assert!(world.recorded.is_empty());
}

#[test]
fn a_plan_that_cannot_work_says_what_to_change() {
    let setup = Setup::of_two();
    let zone = setup.plan(0).zone.clone();
    let timing = Timing {
        interval: std::time::Duration::from_secs(10),
        quorum_delay: std::time::Duration::ZERO,
        settle: std::time::Duration::from_secs(3),
        flight: std::time::Duration::from_secs(1),
    };
    let plan = |lines: Vec<LineRule>, timing| Plan::new(zone.clone(), 1, 0, lines, timing);
    let error = plan(setup.lines.clone(), timing).unwrap_err().to_string();
    assert!(error.contains("set the interval to 12s or more"), "{error}");
    let timing = Timing {
        settle: std::time::Duration::from_secs(2),
        ..timing
    };
    assert!(plan(setup.lines.clone(), timing).is_ok());
    let twice = [setup.lines.clone(), setup.lines.clone()].concat();
    assert!(matches!(plan(twice, timing), Err(PlanError::Twice { .. })));
}
