//! Writers that keep a cluster busy and remember what they were told.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::sleep_until;

use super::report::written;
use super::{ClusterClient, KeyHistory, LoadReport, SetError};
use crate::wait::eventually;

/// How many keys, in slots all over the cluster, a writer writes in turn.
const LANES: usize = 16;

/// Loads of one test write different keys.
static LOADS: AtomicU64 = AtomicU64::new(0);

/// Writers in the background, each on keys of its own, for as long as they are let.
#[derive(Debug)]
pub struct ClusterLoad {
    shared: Arc<Shared>,
    writers: JoinSet<LoadReport>,
}

#[derive(Debug)]
struct Shared {
    stop: AtomicBool,
    acknowledged: AtomicU64,
    unknown: AtomicU64,
    gap: Mutex<Gap>,
}

/// The longest time between two acknowledged writes.
#[derive(Debug)]
struct Gap {
    last: Instant,
    longest: Duration,
}

impl Gap {
    fn new() -> Self {
        Self {
            last: Instant::now(),
            longest: Duration::ZERO,
        }
    }

    fn close(&mut self) {
        self.longest = self.longest.max(self.last.elapsed());
        self.last = Instant::now();
    }
}

impl ClusterLoad {
    /// Starts `writers` that write as fast as they are answered.
    pub fn start(seeds: &[String], password: Option<&str>, writers: usize) -> Self {
        Self::start_every(seeds, password, writers, Duration::ZERO)
    }

    /// Starts `writers` that each write once in every `interval`, or slower where answers take longer.
    pub fn start_every(
        seeds: &[String],
        password: Option<&str>,
        writers: usize,
        interval: Duration,
    ) -> Self {
        let load = LOADS.fetch_add(1, Ordering::Relaxed);
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            acknowledged: AtomicU64::new(0),
            unknown: AtomicU64::new(0),
            gap: Mutex::new(Gap::new()),
        });
        let mut tasks = JoinSet::new();
        for number in 0..writers {
            let writer = Writer {
                name: format!("load-{load}-{number}"),
                client: ClusterClient::new(seeds, password),
                shared: shared.clone(),
                interval,
            };
            tasks.spawn(writer.run());
        }
        Self {
            shared,
            writers: tasks,
        }
    }

    /// How many writes are acknowledged so far.
    pub fn acknowledged(&self) -> u64 {
        self.shared.acknowledged.load(Ordering::Relaxed)
    }

    /// How many writes got no answer so far.
    pub fn unknown(&self) -> u64 {
        self.shared.unknown.load(Ordering::Relaxed)
    }

    /// Waits until `count` more writes are acknowledged.
    pub async fn goes_on_for(&self, count: u64) {
        let goal = self.acknowledged() + count;
        eventually(
            &format!("{count} more writes are acknowledged"),
            async || match self.acknowledged() {
                enough if enough >= goal => Ok(()),
                few => Err(format!("{} are missing", goal - few)),
            },
        )
        .await;
    }

    /// Stops the writers and returns what they were told.
    pub async fn stop(mut self) -> LoadReport {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.shared.gap.lock().expect("no writer panicked").close();
        let mut all = LoadReport::default();
        let mut longest_slot_gap = Duration::ZERO;
        while let Some(report) = self.writers.join_next().await {
            let report = report.expect("a writer panicked");
            longest_slot_gap = longest_slot_gap.max(report.longest_slot_gap);
            all.add(report);
        }
        all.longest_slot_gap = longest_slot_gap;
        all.longest_gap = self.shared.gap.lock().expect("no writer panicked").longest;
        all
    }
}

struct Writer {
    name: String,
    client: ClusterClient,
    shared: Arc<Shared>,
    interval: Duration,
}

/// One of a writer's slots.
struct Lane {
    tag: String,
    /// Counts the keys that were given up.
    generation: u32,
    next: u64,
    gap: Gap,
}

impl Writer {
    async fn run(mut self) -> LoadReport {
        let mut report = LoadReport::default();
        let mut lanes: Vec<Lane> = (0..LANES)
            .map(|lane| Lane {
                tag: format!("{}-{lane}", self.name),
                generation: 0,
                next: 1,
                gap: Gap::new(),
            })
            .collect();
        let mut due = Instant::now();
        for turn in 0.. {
            if self.shared.stop.load(Ordering::Relaxed) {
                break;
            }
            self.write(&mut lanes[turn % LANES], &mut report).await;
            due = Instant::now().max(due + self.interval);
            sleep_until(due.into()).await;
        }
        for lane in &mut lanes {
            lane.gap.close();
            report.longest_slot_gap = report.longest_slot_gap.max(lane.gap.longest);
        }
        report
    }

    async fn write(&mut self, lane: &mut Lane, report: &mut LoadReport) {
        let key = format!("{{{}}}/{}", lane.tag, lane.generation);
        let number = lane.next;
        lane.next += 1;
        let outcome = self.client.set(&key, &written(&key, number)).await;
        let history: &mut KeyHistory = report.keys.entry(key).or_default();
        match outcome {
            Ok(()) => {
                history.acknowledged = Some(number);
                report.acknowledged += 1;
                self.shared.acknowledged.fetch_add(1, Ordering::Relaxed);
                self.shared.gap.lock().expect("no writer panicked").close();
                lane.gap.close();
            }
            Err(SetError::Unknown(_)) => {
                history.unknown = Some(number);
                report.unknown += 1;
                self.shared.unknown.fetch_add(1, Ordering::Relaxed);
                // The slot stays, the key does not: see `KeyHistory::unknown`.
                lane.generation += 1;
                lane.next = 1;
            }
            Err(SetError::Refused(reason)) => *report.errors.entry(reason).or_default() += 1,
        }
    }
}
