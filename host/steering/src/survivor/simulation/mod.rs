//! Sites, their members and a provider, under random faults; everything in one thread and by the
//! seed alone, so a seed that fails once fails always.
//!
//! `PORTOLAN_SEED=17` runs that one alone and prints what happened; `PORTOLAN_SEEDS=100000` runs more
//! than the usual ones.

mod faults;
mod judge;
pub(super) mod provider;
pub(super) mod setup;
pub(super) mod world;

use std::sync::atomic::{AtomicU64, Ordering};

use self::world::World;
use super::flaw::Flaw;

const SEEDS: u64 = 2_000;

#[derive(Debug, Default)]
struct Done {
    takeovers: usize,
    returns: usize,
    group_moves: usize,
    longest_wait: u64,
}

impl Done {
    fn add(&mut self, other: &Self) {
        self.takeovers += other.takeovers;
        self.returns += other.returns;
        self.group_moves += other.group_moves;
        self.longest_wait = self.longest_wait.max(other.longest_wait);
    }
}

fn run(seed: u64, flaw: Option<Flaw>, overdue: u64) -> Result<Done, String> {
    let mut world = World::new(seed, None, flaw);
    world.overdue = overdue;
    world.run();
    let judge = &world.judge;
    judge
        .verdict()
        .map_err(|what| format!("seed {seed}: {what}"))?;
    Ok(Done {
        takeovers: judge.takeovers,
        returns: judge.returns,
        group_moves: judge.group_moves,
        longest_wait: judge.longest_wait,
    })
}

/// Runs seeds on all processors; answers what was done and what failed, by seed.
fn run_all(seeds: std::ops::Range<u64>, overdue: u64) -> (Done, Vec<String>) {
    let next = AtomicU64::new(seeds.start);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let work = || {
        let (mut sum, mut failures) = (Done::default(), vec![]);
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return (sum, failures);
            }
            match run(seed, None, overdue) {
                Ok(done) => sum.add(&done),
                Err(failure) => failures.push(failure),
            }
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let (mut sum, mut failures) = (Done::default(), vec![]);
        for thread in threads {
            let (done, failed) = thread.join().expect("a run panicked");
            sum.add(&done);
            failures.extend(failed);
        }
        (sum, failures)
    })
}

fn seeds(usual: u64) -> std::ops::Range<u64> {
    let only = from_environment("PORTOLAN_SEED");
    let count = from_environment("PORTOLAN_SEEDS").unwrap_or(usual);
    only.map_or(0..count, |seed| seed..seed + 1)
}

fn from_environment(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().expect("seeds are numbers"))
}

fn assert_none(failures: &[String]) {
    let shown = failures.len().min(20);
    let shown = failures[..shown].join("\n");
    assert!(failures.is_empty(), "{} fail\n{shown}", failures.len());
}

#[test]
fn whatever_happens_lines_have_one_owner_and_come_home() {
    let seeds = seeds(SEEDS);
    let many = seeds.end - seeds.start > 100;
    let (sum, failures) = run_all(seeds, 1);
    println!("{sum:?}");
    assert_none(&failures);
    let idle = sum.takeovers == 0 || sum.returns == 0 || sum.group_moves == 0;
    assert!(!many || !idle, "nothing much happened: {sum:?}");
}

/// A provider that breaks its promises can have two sites believe in one line for a while. It must
/// come right once promises are kept again.
#[test]
fn calls_that_take_longer_than_promised_do_no_lasting_harm() {
    let (_, failures) = run_all(seeds(SEEDS / 10), 6);
    assert_none(&failures);
}

/// The same runs fail as soon as the machine makes a mistake: or they would prove nothing.
fn finds(flaw: Flaw) {
    let found = (0..SEEDS).find_map(|seed| run(seed, Some(flaw), 1).err());
    println!("{flaw:?}: {found:?}");
    assert!(found.is_some(), "{flaw:?} was not found");
}

#[test]
fn a_claim_that_is_not_read_back_is_found() {
    finds(Flaw::SkipsReadBack);
}

#[test]
fn trust_in_checks_alone_is_found() {
    finds(Flaw::TrustsChecksAlone);
}

#[test]
fn trust_in_values_alone_is_found() {
    finds(Flaw::TrustsValuesAlone);
}

#[test]
fn trust_in_clocks_is_found() {
    finds(Flaw::TrustsClocks);
}

#[test]
fn forged_values_that_count_are_found() {
    finds(Flaw::IgnoresSignatures);
}

#[test]
fn replayed_values_that_count_are_found() {
    finds(Flaw::TakesReplaysForChanges);
}

#[test]
fn a_claim_that_is_ignored_is_found() {
    finds(Flaw::IgnoresClaims);
}

#[test]
fn a_line_that_is_kept_from_its_home_is_found() {
    finds(Flaw::NeverReleases);
}

#[test]
fn a_hold_that_outlives_its_value_is_found() {
    finds(Flaw::NeverLapses);
}

#[test]
fn a_sequence_that_begins_anew_is_found() {
    finds(Flaw::ForgetsSequence);
}

#[test]
fn writes_that_overtake_one_another_are_found() {
    finds(Flaw::WritesWithoutWaiting);
}

#[test]
fn a_minority_that_takes_lines_from_the_group_is_found() {
    finds(Flaw::IgnoresTheGroup);
}
