//! The results, as tables and as JSON.

use serde::Serialize;
use serde_json::json;

use crate::disk::Disk;
use crate::failover::Failover;
use crate::moves::Move;
use crate::probe::Probe;
use crate::restart::Restart;
use crate::rounds::Row;
use crate::steer::Steer;
use crate::targets::{PROBES, judge, rate_goal};
use crate::vendors::{Effort, Manners};

const MEBIBYTE: f64 = 1_048_576.0;

/// Resident memory of a group's three members.
#[derive(Debug, Serialize)]
pub(crate) struct Memory {
    pub(crate) system: &'static str,
    /// Bytes right after the keys were loaded.
    pub(crate) loaded: u64,
    /// Bytes after all rounds.
    pub(crate) after: u64,
}

/// Everything that was measured.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) keys: u64,
    pub(crate) disk: Disk,
    pub(crate) rows: Vec<Row>,
    pub(crate) memory: Vec<Memory>,
    pub(crate) failovers: Vec<Failover>,
    pub(crate) restart: Option<Restart>,
    pub(crate) probe: Option<Probe>,
    pub(crate) steer: Vec<Steer>,
    pub(crate) moves: Vec<Move>,
    pub(crate) vendors: Vec<Manners>,
}

impl Report {
    pub(crate) fn to_json(&self) -> String {
        let whole = json!({"measured": self, "targets": judge(self)});
        format!("{whole:#}\n")
    }

    pub(crate) fn print(&self) {
        let Disk { per_second, p50_ms } = self.disk;
        println!(
            "disk: {per_second:.0} appends of 512 B with fdatasync per second, p50 {p50_ms:.3} ms"
        );
        if !self.rows.is_empty() {
            self.print_rows();
        }
        println!();
        for Memory {
            system,
            loaded,
            after,
        } in &self.memory
        {
            let (loaded, after) = (*loaded as f64 / MEBIBYTE, *after as f64 / MEBIBYTE);
            println!(
                "memory of three members, {system}: {loaded:.0} MiB with {} keys, \
                 {after:.0} MiB after all rounds",
                self.keys
            );
        }
        for Failover {
            system,
            median_ms,
            all_ms,
        } in &self.failovers
        {
            let all: Vec<String> = all_ms.iter().map(|ms| format!("{ms:.0}")).collect();
            println!(
                "failover, {system}: {median_ms:.0} ms (of {})",
                all.join(", ")
            );
        }
        if let Some(Restart {
            keys,
            stopped_ms,
            killed_ms,
            resident_bytes,
        }) = &self.restart
        {
            let memory = *resident_bytes as f64 / MEBIBYTE;
            println!(
                "restart with {keys} keys: {stopped_ms:.0} ms after SIGTERM, {killed_ms:.0} ms \
                 after kill -9; memory of three members {memory:.0} MiB"
            );
        }
        if let Some(Probe { nodes, per_second }) = &self.probe {
            println!("probe: {per_second:.0} nodes/s per core (goal {PROBES}), of {nodes} nodes");
        }
        self.steer.iter().for_each(print_steer);
        self.moves.iter().for_each(print_move);
        self.print_vendors();
        self.print_verdicts();
    }

    fn print_rows(&self) {
        println!("\nper system: operations/s (p50/p99 ms; CPU seconds per 10,000 operations)");
        for row in &self.rows {
            print!(
                "{:<6}{:>4}",
                format!("{:?}", row.operation).to_lowercase(),
                row.clients
            );
            for numbers in &row.systems {
                let cell = format!(
                    "{:.0} ({:.2}/{:.2}; {:.2})",
                    numbers.per_second, numbers.p50_ms, numbers.p99_ms, numbers.cpu_per_10k
                );
                print!("   {} {cell:<30}", numbers.system);
            }
            if let [etcd, portolan] = &row.systems[..] {
                print!("   × {:.2}", portolan.per_second / etcd.per_second);
                if let Some(goal) = rate_goal(row.operation, row.clients) {
                    print!(" (goal {goal})");
                }
            }
            println!();
        }
    }

    fn print_vendors(&self) {
        let Some(Manners {
            record_sets,
            changes,
            ..
        }) = self.vendors.first()
        else {
            return;
        };
        println!(
            "\nper provider, {changes} of {record_sets} record sets changed: requests (× the fewest \
             that its API allows), KiB sent and received, µs in the sandbox per set or change"
        );
        for manners in &self.vendors {
            let (plan, apply) = (cell(&manners.plan), cell(&manners.apply));
            println!("  {:<18} plan {plan}   apply {apply}", manners.provider);
        }
    }

    fn print_verdicts(&self) {
        let verdicts = judge(self);
        if verdicts.is_empty() {
            return;
        }
        println!("\ntargets");
        for verdict in verdicts {
            let mark = if verdict.met { "met   " } else { "MISSED" };
            println!(
                "  {mark} {:<34} {:>8.2}   goal {}",
                verdict.what, verdict.measured, verdict.goal
            );
        }
    }
}

fn cell(effort: &Effort) -> String {
    const KIBIBYTE: f64 = 1_024.0;
    let times = effort.requests as f64 / effort.fewest_requests as f64;
    let [sent, received] = [effort.sent, effort.received].map(|bytes| bytes as f64 / KIBIBYTE);
    format!(
        "{:>5} (× {times:.1}) {sent:>6.0} and {received:>6.0} KiB {:>6.1} µs",
        effort.requests, effort.compute_us_each
    )
}

fn print_move(moved: &Move) {
    let all: Vec<String> = moved.all_ms.iter().map(|ms| format!("{ms:.0}")).collect();
    println!(
        "move, {}: min {:.0} ms, median {:.0} ms, max {:.0} ms (of {})",
        moved.what,
        moved.min_ms(),
        moved.median_ms,
        moved.max_ms(),
        all.join(", ")
    );
}

fn print_steer(steer: &Steer) {
    let [empty, loaded, after] = steer.resident_bytes.map(|bytes| bytes as f64 / MEBIBYTE);
    println!(
        "steering, {}: plan of {} record sets p50 {:.0} ms, max {:.0} ms; first apply {:.0} ms; \
         {} rounds without a write; memory {empty:.0} MiB, with them {loaded:.0} MiB, after plans \
         and rounds {after:.0} MiB",
        steer.provider,
        steer.record_sets,
        steer.plan_p50_ms,
        steer.plan_max_ms,
        steer.first_apply_ms,
        steer.quiet_rounds,
    );
    match steer.bare_read_p50_ms {
        Some(read_ms) => println!(
            "  a bare read of the same zones: p50 {read_ms:.0} ms; plan ÷ read × {:.2}",
            steer.plan_p50_ms / read_ms
        ),
        None => println!("  its zones are in the store: there is nothing to compare a plan with"),
    }
}
