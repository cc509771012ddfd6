//! Clients that write, read back, and remember what they were told.
//!
//! Every write has a key of its own and ends in one of two ways: *acknowledged* (it must be there from
//! then on, on every member) or *unknown* (no answer, or an error: it may be there or not). What was
//! never attempted must not be there.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;

use crate::client::Client;
use crate::load::Rng;
use crate::wait::eventually;

/// After an error a client tries another member, but not at once: a group without a leader answers
/// errors fast.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(20);

/// What the clients of a [`Workload`] were told.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// Keys and values of acknowledged writes.
    pub acknowledged: BTreeMap<String, String>,
    /// Keys and values of writes whose outcome is open.
    pub unknown: BTreeMap<String, String>,
    /// Linearizable reads that did not show the acknowledged write before them.
    pub stale_reads: Vec<String>,
}

impl History {
    /// Adds what other clients were told, about other keys.
    pub fn add(&mut self, other: History) {
        self.acknowledged.extend(other.acknowledged);
        self.unknown.extend(other.unknown);
        self.stale_reads.extend(other.stale_reads);
    }

    /// Panics unless `contents`, as read from `whom`, is what this history allows.
    pub fn check(&self, whom: &str, contents: &BTreeMap<String, String>) {
        assert!(
            self.stale_reads.is_empty(),
            "stale reads: {:#?}",
            self.stale_reads
        );
        for (key, value) in &self.acknowledged {
            let found = contents.get(key);
            assert_eq!(
                found,
                Some(value),
                "{whom} lost the acknowledged write of {key:?}"
            );
        }
        for (key, value) in contents {
            let written = self.acknowledged.get(key).or_else(|| self.unknown.get(key));
            assert_eq!(
                written,
                Some(value),
                "{whom} shows {key:?}, which nobody wrote like this"
            );
        }
    }
}

/// Clients that write through all members for as long as they are let.
#[derive(Debug)]
pub struct Workload {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
    clients: JoinSet<History>,
}

impl Workload {
    /// Starts `clients` clients of the members at `addresses`. Workloads of different names write
    /// different keys.
    pub fn start(name: &str, clients: u64, addresses: &[String]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let acknowledged = Arc::new(AtomicU64::new(0));
        let members: Vec<Client> = addresses.iter().map(Client::new).collect();
        let mut tasks = JoinSet::new();
        for number in 0..clients {
            let writer = Writer {
                name: format!("{name}-{number}"),
                seed: number + 1,
                members: members.clone(),
                stop: stop.clone(),
                acknowledged: acknowledged.clone(),
            };
            tasks.spawn(writer.run());
        }
        Self {
            stop,
            acknowledged,
            clients: tasks,
        }
    }

    /// Waits until `count` more writes are acknowledged.
    pub async fn goes_on_for(&self, count: u64) {
        let goal = self.acknowledged.load(Ordering::Relaxed) + count;
        eventually(
            &format!("{count} more writes are acknowledged"),
            async || {
                let acknowledged = self.acknowledged.load(Ordering::Relaxed);
                match acknowledged >= goal {
                    true => Ok(()),
                    false => Err(format!("{} are missing", goal - acknowledged)),
                }
            },
        )
        .await;
    }

    /// Stops the clients and returns what they were told.
    pub async fn stop(mut self) -> History {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = History::default();
        while let Some(history) = self.clients.join_next().await {
            all.add(history.expect("a client panicked"));
        }
        all
    }
}

/// One client: writes to one member until it errs, and reads each acknowledged write back through any.
struct Writer {
    name: String,
    seed: u64,
    members: Vec<Client>,
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
}

impl Writer {
    async fn run(self) -> History {
        let mut history = History::default();
        let mut rng = Rng::new(self.seed);
        let mut any = |members: &[Client]| rng.below(members.len() as u64) as usize;
        let mut favourite = any(&self.members);

        for sequence in 0.. {
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
            let key = format!("{}/{sequence:06}", self.name);
            let value = format!("{key} was written through member {}", favourite + 1);
            if self.members[favourite].write(&key, &value).await.is_err() {
                history.unknown.insert(key, value);
                favourite = any(&self.members);
                tokio::time::sleep(PAUSE_AFTER_ERROR).await;
                continue;
            }
            self.acknowledged.fetch_add(1, Ordering::Relaxed);

            let reader = any(&self.members);
            // A read may fail while a member is down or without a leader; it must not show the past.
            if let Ok(read) = self.members[reader].read(&key).await
                && read != value
            {
                let member = reader + 1;
                history
                    .stale_reads
                    .push(format!("member {member} read {key:?} as {read:?}"));
            }
            history.acknowledged.insert(key, value);
        }
        history
    }
}
