//! `make bench`: three members of Portolan against three members of etcd, in one run.
//!
//! Both groups run side by side on loopback and on the same disk, hold the same keys, and take the
//! same requests (JSON over keep-alive HTTP/1.1, sent to the leader) from the same load generator, in
//! alternating turns. What is printed are medians over the rounds.
//!
//! Beside that: how many nodes of sharded clusters one core probes in a second, how DNS steering does with
//! many zones, how fast it moves a line, and how many requests its providers make of their services.
//! `--operations steer` measures one of them alone.

#![forbid(unsafe_code)]
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a benchmark that cannot go on says why and stops"
)]

mod disk;
mod failover;
mod moves;
mod probe;
mod report;
mod restart;
mod rounds;
mod steer;
mod system;
mod targets;
mod vendors;

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use crate::report::{Memory, Report};
use crate::system::{Name, Operation, System};

/// Compares Portolan with etcd and says which targets are met.
#[derive(Parser)]
#[command(name = "bench")]
struct Arguments {
    /// Rounds per workload; their median counts.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Measured seconds per round and workload, after a warm-up.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Numbers of clients.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 16, 64, 256])]
    clients: Vec<usize>,
    /// Keys that both groups hold while they are measured.
    #[arg(long, default_value_t = 100_000)]
    keys: u64,
    /// How often each group's leader is killed.
    #[arg(long, default_value_t = 5)]
    failovers: usize,
    /// Keys that a member of Portolan restarts with; 0 leaves the restart out.
    #[arg(long, default_value_t = 1_000_000)]
    restart_keys: u64,
    /// A first look: one short round, few keys, one failover.
    #[arg(long)]
    quick: bool,
    /// What is measured; ratios need both.
    #[arg(long, value_delimiter = ',', default_values = ["etcd", "portolan"])]
    systems: Vec<Name>,
    /// What the clients do; `probe`, `steer`, `move` and `vendor` are none of theirs.
    #[arg(
        long, value_delimiter = ',',
        default_values = ["write", "read", "probe", "steer", "move", "vendor"],
    )]
    operations: Vec<Operation>,
    /// Where data and the results go.
    #[arg(long, default_value = "target/bench")]
    output: PathBuf,
}

impl Arguments {
    fn parsed() -> Self {
        let mut arguments = Self::parse();
        if arguments.quick {
            arguments.rounds = 1;
            arguments.seconds = 2.0;
            arguments.keys = 10_000;
            arguments.failovers = 1;
            arguments.restart_keys = 100_000;
        }
        arguments
    }

    /// The operations that clients of a group do.
    fn workloads(&self) -> impl Iterator<Item = Operation> {
        let operations = self.operations.iter().copied();
        operations.filter(|operation| matches!(operation, Operation::Write | Operation::Read))
    }
}

/// Lets background work (checkpoints, compactions) finish before something else is measured.
const SETTLE: Duration = Duration::from_secs(3);

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    if cfg!(debug_assertions) {
        eprintln!("note: this is a debug build; its numbers mean nothing. Use `make bench`.");
    }
    let arguments = Arguments::parsed();
    fs::create_dir_all(&arguments.output).expect("create the output directory");
    let directory = arguments
        .output
        .canonicalize()
        .expect("the output directory's path");

    progress("measuring the disk");
    let disk = disk::measure(&directory);

    let probe = if arguments.operations.contains(&Operation::Probe) {
        progress("probing twins");
        Some(probe::measure(&directory).await)
    } else {
        None
    };

    let steer = if arguments.operations.contains(&Operation::Steer) {
        progress("steering many zones");
        steer::measure(&directory).await
    } else {
        vec![]
    };

    let moves = if arguments.operations.contains(&Operation::Move) {
        progress("moving lines");
        moves::measure(&directory).await
    } else {
        vec![]
    };

    let vendors = if arguments.operations.contains(&Operation::Vendor) {
        vendors::measure(&directory).await
    } else {
        vec![]
    };

    let mut systems = vec![];
    if arguments.workloads().next().is_some() {
        progress("starting the groups");
        for name in &arguments.systems {
            systems.push(System::start(*name, &directory).await);
        }
    }

    let mut memory = vec![];
    for system in &systems {
        progress(&format!(
            "loading {} keys into {}",
            arguments.keys,
            system.name()
        ));
        system.load(0..arguments.keys).await;
        tokio::time::sleep(SETTLE).await;
        memory.push(Memory {
            system: system.name(),
            loaded: system.resident_bytes(),
            after: 0,
        });
    }

    let rows = rounds::run(&systems, &arguments).await;
    for (memory, system) in memory.iter_mut().zip(&systems) {
        memory.after = system.resident_bytes();
    }

    let mut failovers = vec![];
    for system in &mut systems {
        progress(&format!("killing the leader of {}", system.name()));
        failovers.push(failover::measure(system, arguments.failovers).await);
    }

    let restart = match systems.pop() {
        Some(System::Portolan(cluster)) if arguments.restart_keys > 0 => {
            progress(&format!(
                "restarting a member with {} keys",
                arguments.restart_keys
            ));
            let missing = arguments.keys..arguments.restart_keys.max(arguments.keys);
            Some(restart::measure(cluster, missing).await)
        }
        _ => None,
    };

    let report = Report {
        disk,
        rows,
        memory,
        failovers,
        restart,
        probe,
        steer,
        moves,
        vendors,
        keys: arguments.keys,
    };
    report.print();
    let file = directory.join("etcd.json");
    fs::write(&file, report.to_json()).expect("write the results");
    println!("\nwritten to {}", file.display());
}

/// A line on stderr, so that stdout holds the tables alone.
fn progress(doing: &str) {
    eprintln!("… {doing}");
}

/// The middle one of the values.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        count if count % 2 == 1 => values[count / 2],
        count => f64::midpoint(values[count / 2 - 1], values[count / 2]),
    }
}
