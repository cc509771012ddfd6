//! Random operations and random faults on clusters of twins, under the real control loop; then all
//! faults are healed, and everything has to come right.
//!
//! One seed is one cluster with a store and a control loop of its own. `PORTOLAN_SEED=17` runs that one
//! alone and prints what happened, `PORTOLAN_SEEDS=1000` runs more than the usual ones. The seed decides what is done in which order; how far the control
//! loop gets in between is up to the machine, so a seed that fails once may have to be run several times.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail like tests"
)]

mod driver;
mod end;
mod history;
mod stage;
mod trace;
mod writer;

use futures_util::{StreamExt, stream};

const SEEDS: u64 = 100;
/// Seeds that run side by side: most of their time they wait.
const AT_ONCE: usize = 12;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_happens_clusters_come_right_and_lose_nothing() {
    let only = from_environment("PORTOLAN_SEED");
    let count = from_environment("PORTOLAN_SEEDS").unwrap_or(SEEDS);
    let seeds = only.map_or(0..count, |seed| seed..seed + 1);
    let runs = stream::iter(seeds).map(|seed| tokio::spawn(driver::run(seed)));
    let runs: Vec<_> = runs.buffer_unordered(AT_ONCE).collect().await;
    let (mut failures, mut sum) = (vec![], driver::Done::default());
    for run in runs {
        match run.expect("a run panicked") {
            Ok(done) => sum.add(&done),
            Err(failure) => failures.push(failure),
        }
    }
    println!("{sum:?}");
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    if only.is_none() {
        let idle = sum.failovers == 0 || sum.migrations == 0 || sum.written == 0;
        assert!(!idle, "nothing much happened: {sum:?}");
    }
}

fn from_environment(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().expect("seeds are numbers"))
}
