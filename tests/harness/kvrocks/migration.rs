//! Slot migration: the source's jobs, and what the destination knows of them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use tokio::time::Instant;

use super::{
    process::Process,
    slots::{SlotRange, hash_slot},
    store::Change,
    topology::{Peer, is_loopback},
    world::World,
};

/// The source's side.
#[derive(Debug, Default)]
pub(super) struct Migration {
    pub(super) job: Option<Job>,
    /// The lines of CLUSTER INFO: sticky until the next job.
    pub(super) shown: Option<Shown>,
    /// No writes here since the end of the last successful job. Survives SETNODES: abandoned success.
    pub(super) forbidden: Option<SlotRange>,
    /// The address of the destination that serves a slot which the topology still gives to this node.
    pub(super) migrated: BTreeMap<u16, String>,
    /// Why the last job failed, for whoever waits for it.
    pub(super) failure: Option<String>,
}

#[derive(Debug)]
pub(super) struct Shown {
    pub(super) range: SlotRange,
    pub(super) destination: String,
    /// `start`, `success` or `fail`.
    pub(super) state: &'static str,
}

#[derive(Debug)]
pub(super) struct Job {
    pub(super) range: SlotRange,
    pub(super) destination: Peer,
    /// The start of the destination that the job is connected to.
    connected: Option<u64>,
    /// Keys of the snapshot that are still to be sent.
    keys: VecDeque<Vec<u8>>,
    /// Writes of the source up to here are sent or in the snapshot.
    sent: usize,
    next_step: Instant,
}

/// The destination's side.
#[derive(Debug, Default)]
pub(super) struct Import {
    /// The job being received, or the last one: its lines in CLUSTER INFO are sticky too.
    pub(super) last: Option<Incoming>,
    /// Slots served although the topology gives them to another node.
    pub(super) imported: BTreeSet<u16>,
}

#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) range: SlotRange,
    /// `start`, `success` or `error`.
    pub(super) state: &'static str,
    source: u16,
    source_generation: u64,
}

impl Import {
    /// The range being received now.
    pub(super) fn running(&self) -> Option<SlotRange> {
        let running = self.last.as_ref().filter(|last| last.state == "start");
        running.map(|last| last.range)
    }
}

impl Process {
    /// Begins a job, which the network's clock then moves.
    pub(super) fn begin_migration(&mut self, range: SlotRange, destination: Peer) {
        let migration = &mut self.memory.migration;
        migration.failure = None;
        migration.shown = Some(Shown {
            range,
            destination: destination.id.clone(),
            state: "start",
        });
        migration.job = Some(Job {
            range,
            destination,
            connected: None,
            keys: VecDeque::new(),
            sent: 0,
            next_step: Instant::now(),
        });
    }

    fn end_migration(&mut self, state: &'static str) {
        self.memory.migration.job = None;
        if let Some(shown) = &mut self.memory.migration.shown {
            shown.state = state;
        }
    }

    /// Ends an import that brought nothing, and its data with it.
    fn abandon_import(&mut self) {
        if let Some(last) = &mut self.memory.import.last {
            last.state = "error";
            self.store.clear(last.range);
        }
    }
}

impl World {
    /// Notices a source that is gone.
    pub(super) fn watch_import(&mut self, port: u16) {
        let process = &self.nodes[&port];
        let import = process.memory.import.last.as_ref();
        let Some(import) = import.filter(|last| last.state == "start" && process.acts()) else {
            return;
        };
        let alive = self.nodes.get(&import.source).is_some_and(|source| {
            source.running
                && source.generation == import.source_generation
                && !self.is_cut(port, import.source)
        });
        if !alive && let Some(process) = self.nodes.get_mut(&port) {
            process.abandon_import();
        }
    }

    /// One step of the job of the node on `port`, where it has one and the time has come.
    pub(super) fn migrate(&mut self, port: u16, now: Instant) {
        let pace = self.pace;
        let Some(source) = self.nodes.get_mut(&port).filter(|source| source.acts()) else {
            return;
        };
        let due = |job: &mut Job| job.next_step <= now;
        let Some(mut job) = source.memory.migration.job.take_if(due) else {
            return;
        };
        job.next_step = now + pace.step;
        let outcome = self.step(port, &mut job, pace.keys, pace.held);
        let source = self.nodes.get_mut(&port).expect("the source looked at");
        match outcome {
            Ok(true) => source.end_migration("success"),
            Ok(false) => source.memory.migration.job = Some(job),
            Err(reason) => {
                source.end_migration("fail");
                source.memory.migration.forbidden = None;
                source.memory.migration.failure = Some(format!("ERR {reason}"));
                let destination = self.nodes.get_mut(&job.destination.port);
                let connected = |d: &&mut Process| d.running && job.connected == Some(d.generation);
                if let Some(destination) = destination.filter(connected) {
                    destination.abandon_import();
                }
            }
        }
    }

    /// Answers whether the job is done.
    fn step(&mut self, port: u16, job: &mut Job, keys: usize, held: bool) -> Result<bool, String> {
        let source = &self.nodes[&port];
        if source.is_not_master() {
            return Err("key migration stopped due to a task cancellation".to_owned());
        }
        let Some(generation) = self.reach(port, job)? else {
            return Ok(false);
        };
        if job.connected != Some(generation) {
            return self.connect(port, job, generation).map(|()| false);
        }
        if held {
            return Ok(false);
        }
        let store = &self.nodes[&port].store;
        let sent: Vec<Vec<u8>> = job.keys.drain(..keys.min(job.keys.len())).collect();
        let mut changes: Vec<Change> = Vec::new();
        for key in sent {
            // A key that has gone meanwhile comes as a deletion with the tail of the log.
            if let Some(value) = store.get(&key) {
                changes.push(Change::Set(key, value.clone()));
            }
        }
        let finished = job.keys.is_empty();
        if finished {
            let tail = store.since(job.sent).iter().map(|entry| &entry.change);
            let tail = tail.filter(|change| job.range.contains(hash_slot(change.key())));
            changes.extend(tail.cloned());
        }
        let destination = self.nodes.get_mut(&job.destination.port);
        let destination = destination.expect("the destination reached");
        changes
            .into_iter()
            .for_each(|change| destination.store.write(change));
        if finished {
            self.hand_over(port, job);
        }
        Ok(finished)
    }

    /// The start of the destination that answers; `None` while it hangs.
    fn reach(&self, port: u16, job: &Job) -> Result<Option<u64>, String> {
        let destination = &job.destination;
        let found = self.nodes.get(&destination.port).filter(|found| {
            found.running
                && is_loopback(&destination.host)
                && !self.is_cut(port, destination.port)
                && (job.connected.is_some() || !found.faults.refusing)
        });
        let Some(found) = found else {
            return Err("failed to connect to the destination node: Connection refused".to_owned());
        };
        if job.connected.is_some_and(|start| start != found.generation) {
            return Err("failed to send commands to restore a key".to_owned());
        }
        Ok(found.acts().then_some(found.generation))
    }

    fn connect(&mut self, port: u16, job: &mut Job, generation: u64) -> Result<(), String> {
        let source = &self.nodes[&port];
        // The source sends its own password, also where it has none.
        let password = source.memory.requirepass.clone();
        let source_generation = source.generation;
        job.keys = source.store.keys_in(job.range).into();
        job.sent = source.store.sequence();
        let destination = self.nodes.get_mut(&job.destination.port);
        let destination = destination.expect("the destination reached");
        if destination.memory.requirepass != password {
            return Err("failed to authenticate on destination node".to_owned());
        }
        let busy = destination.memory.import.running().is_some();
        if destination.is_not_master() || destination.faults.loading || busy {
            return Err("failed to set import status on destination node".to_owned());
        }
        destination.store.clear(job.range);
        let forbidden = &mut destination.memory.migration.forbidden;
        forbidden.take_if(|forbidden| forbidden.overlaps(job.range));
        destination.memory.import.last = Some(Incoming {
            range: job.range,
            state: "start",
            source: port,
            source_generation,
        });
        job.connected = Some(generation);
        Ok(())
    }

    /// The end of a success: the destination serves, the source answers MOVED and takes no writes.
    fn hand_over(&mut self, port: u16, job: &Job) {
        if let Some(destination) = self.nodes.get_mut(&job.destination.port) {
            let import = &mut destination.memory.import;
            import.imported.extend(job.range.iter());
            if let Some(last) = &mut import.last {
                last.state = "success";
            }
        }
        if let Some(source) = self.nodes.get_mut(&port) {
            let migration = &mut source.memory.migration;
            migration.forbidden = Some(job.range);
            let address = job.destination.address();
            let slots = job.range.iter().map(|slot| (slot, address.clone()));
            migration.migrated.extend(slots);
        }
    }
}
