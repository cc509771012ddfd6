//! What is to be reached. Ratios compare with etcd in the same run.

use serde::Serialize;

use crate::report::Report;
use crate::rounds::{Numbers, Row};
use crate::system::Operation;

/// Clients, and how many times etcd's writes per second.
const WRITES: [(usize, f64); 4] = [(1, 1.5), (16, 2.5), (64, 3.5), (256, 4.0)];
/// Clients, and how many times etcd's linearizable reads per second.
const READS: [(usize, f64); 4] = [(1, 2.5), (16, 6.0), (64, 8.0), (256, 9.0)];
/// CPU per operation, as a share of etcd's, from this many clients on.
const CPU: (usize, f64) = (16, 0.25);
/// The 99th percentile, as a share of etcd's, at this many clients.
const P99: (usize, f64) = (64, 0.5);
/// One write at one client, in `fdatasync`s of the same disk: two fsyncs and two hops are in it.
const WRITE_IN_SYNCS: f64 = 4.0;
/// Median failover in milliseconds, and how many times faster than etcd's.
const FAILOVER: (f64, f64) = (800.0, 1.5);
/// Memory of three members, as a share of etcd's.
const MEMORY: f64 = 1.0;
/// Milliseconds until a member with a million keys is ready.
const RESTART_MS: f64 = 3_000.0;
/// Nodes that one core probes in a second.
pub(crate) const PROBES: f64 = 10_000.0;
/// Milliseconds of the slowest plan over all zones.
const PLAN_MS: f64 = 1_000.0;
/// Milliseconds until all members answer with another site once one is dead that is checked each second.
pub(crate) const SITE_MOVES_MS: f64 = 10_000.0;
/// Milliseconds until all members answer with a shard's new master once the store has it.
pub(crate) const MASTER_MOVES_MS: f64 = 2_000.0;

/// Whether one target was reached.
#[derive(Debug, Serialize)]
pub(crate) struct Verdict {
    pub(crate) what: String,
    pub(crate) goal: String,
    pub(crate) measured: f64,
    pub(crate) met: bool,
}

fn at_least(what: String, goal: f64, measured: f64) -> Verdict {
    Verdict {
        what,
        goal: format!("≥ {goal}"),
        measured,
        met: measured >= goal,
    }
}

fn at_most(what: String, goal: f64, measured: f64) -> Verdict {
    Verdict {
        what,
        goal: format!("≤ {goal}"),
        measured,
        met: measured <= goal,
    }
}

/// The goal for a workload's rate, as a ratio to etcd's.
pub(crate) fn rate_goal(operation: Operation, clients: usize) -> Option<f64> {
    let goals = match operation {
        Operation::Write => WRITES,
        Operation::Read => READS,
        Operation::Probe | Operation::Steer | Operation::Move | Operation::Vendor => return None,
    };
    goals
        .into_iter()
        .find(|(at, _)| *at == clients)
        .map(|(_, goal)| goal)
}

/// Compares a report with every target that it has numbers for.
pub(crate) fn judge(report: &Report) -> Vec<Verdict> {
    let mut verdicts = vec![];
    for row in &report.rows {
        if let [etcd, portolan] = &row.systems[..] {
            judge_row(row, etcd, portolan, &mut verdicts);
            if row.operation == Operation::Write && row.clients == 1 {
                let syncs = portolan.p50_ms / report.disk.p50_ms;
                verdicts.push(at_most(
                    "one write, in fdatasyncs".into(),
                    WRITE_IN_SYNCS,
                    syncs,
                ));
            }
        }
    }
    if let [etcd, portolan] = &report.memory[..] {
        let share = portolan.loaded as f64 / etcd.loaded as f64;
        let what = format!("memory with {} keys ÷ etcd's", report.keys);
        verdicts.push(at_most(what, MEMORY, share));
    }
    if let [etcd, portolan] = &report.failovers[..] {
        let (goal_ms, goal_ratio) = FAILOVER;
        verdicts.push(at_most("failover, ms".into(), goal_ms, portolan.median_ms));
        let ratio = etcd.median_ms / portolan.median_ms;
        verdicts.push(at_least("etcd's failover ÷ ours".into(), goal_ratio, ratio));
    }
    if let Some(restart) = &report.restart {
        let what = format!("ready with {} keys, ms", restart.keys);
        verdicts.push(at_most(
            what,
            RESTART_MS,
            restart.killed_ms.max(restart.stopped_ms),
        ));
    }
    if let Some(probe) = &report.probe {
        let what = "probe: nodes/s per core".into();
        verdicts.push(at_least(what, PROBES, probe.per_second));
    }
    for steer in &report.steer {
        let what = format!("slowest plan, {}, ms", steer.provider);
        verdicts.push(at_most(what, PLAN_MS, steer.plan_max_ms));
    }
    for moved in &report.moves {
        let what = format!("slowest move, {}, ms", moved.what);
        verdicts.push(at_most(what, moved.goal_ms, moved.max_ms()));
    }
    verdicts
}

fn judge_row(row: &Row, etcd: &Numbers, portolan: &Numbers, verdicts: &mut Vec<Verdict>) {
    let name = format!("{:?} × {}", row.operation, row.clients).to_lowercase();
    if let Some(goal) = rate_goal(row.operation, row.clients) {
        let ratio = portolan.per_second / etcd.per_second;
        verdicts.push(at_least(format!("{name}: rate ÷ etcd's"), goal, ratio));
    }
    let (from_clients, share) = CPU;
    if row.clients >= from_clients {
        let measured = portolan.cpu_per_10k / etcd.cpu_per_10k;
        verdicts.push(at_most(format!("{name}: CPU ÷ etcd's"), share, measured));
    }
    let (at_clients, share) = P99;
    if row.clients == at_clients {
        let measured = portolan.p99_ms / etcd.p99_ms;
        verdicts.push(at_most(format!("{name}: p99 ÷ etcd's"), share, measured));
    }
}
