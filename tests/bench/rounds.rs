//! Throughput, latency and CPU of each workload, in alternating turns.

use std::time::Duration;

use portolan_tests::{Load, Measured};
use serde::Serialize;

use crate::system::{Operation, System};
use crate::{Arguments, median, progress};

const WARM_UP: Duration = Duration::from_secs(1);

/// Between two turns, so that one group's background work does not fall into the other's turn.
const PAUSE: Duration = Duration::from_millis(1_500);

/// One workload's medians.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) operation: Operation,
    pub(crate) clients: usize,
    /// By system, in the order in which they were started.
    pub(crate) systems: Vec<Numbers>,
}

/// What one system did.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Numbers {
    pub(crate) system: &'static str,
    pub(crate) per_second: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    /// CPU seconds of all members per 10,000 operations.
    pub(crate) cpu_per_10k: f64,
    /// Operations per second of each round.
    pub(crate) rounds: Vec<f64>,
}

pub(crate) async fn run(systems: &[System], arguments: &Arguments) -> Vec<Row> {
    let mut rows = vec![];
    for operation in arguments.workloads() {
        for &clients in &arguments.clients {
            progress(&format!("{operation:?} with {clients} clients"));
            let mut measured: Vec<Vec<Measured>> = systems.iter().map(|_| vec![]).collect();
            for round in 0..arguments.rounds {
                let mut turns: Vec<usize> = (0..systems.len()).collect();
                turns.rotate_left(round % systems.len());
                for turn in turns {
                    measured[turn].push(one(&systems[turn], operation, clients, arguments).await);
                    tokio::time::sleep(PAUSE).await;
                }
            }
            let systems = systems
                .iter()
                .zip(measured)
                .map(|(system, rounds)| summarise(system.name(), &rounds))
                .collect();
            rows.push(Row {
                operation,
                clients,
                systems,
            });
        }
    }
    rows
}

async fn one(
    system: &System,
    operation: Operation,
    clients: usize,
    arguments: &Arguments,
) -> Measured {
    let address = system.address(system.leader().await);
    let make = system.requests(operation, &address);
    let keys = arguments.keys;
    let load = Load::new(&address, clients, move |rng| make(rng.below(keys)));
    let time = Duration::from_secs_f64(arguments.seconds);
    let measured = load.measure(WARM_UP, time, || system.cpu_seconds());
    assert_eq!(
        measured.refused,
        0,
        "{} refused requests: the rate means nothing",
        system.name()
    );
    measured
}

fn summarise(system: &'static str, rounds: &[Measured]) -> Numbers {
    let rate = |round: &Measured| round.answered as f64 / round.elapsed.as_secs_f64();
    let over_rounds = |value: &dyn Fn(&Measured) -> f64| median(rounds.iter().map(value).collect());
    Numbers {
        system,
        per_second: over_rounds(&rate),
        p50_ms: over_rounds(&|round| round.latency.value_at_quantile(0.50) as f64 / 1e3),
        p99_ms: over_rounds(&|round| round.latency.value_at_quantile(0.99) as f64 / 1e3),
        cpu_per_10k: over_rounds(&|round| round.cpu_seconds * 1e4 / round.answered as f64),
        rounds: rounds.iter().map(rate).collect(),
    }
}
