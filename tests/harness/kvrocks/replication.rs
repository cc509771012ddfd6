//! Replication: a replica follows its master's log, from where its own log ends.
//!
//! Without `use-rsid-psync` the replica's position is all that is compared: trap 4. A demoted master
//! whose log is no longer than the new master's continues there, although their histories differ.

use tokio::time::Instant;

use super::{process::Process, topology::is_loopback, world::World};

/// The master that a replica follows.
#[derive(Debug, Clone)]
pub(super) struct Upstream {
    pub(super) host: String,
    pub(super) port: u16,
    /// `master_link_status`.
    pub(super) up: bool,
    /// When something last came from it.
    pub(super) last_io: Instant,
}

impl Process {
    /// Follows or leaves a master as the topology says. A node that the topology does not list keeps on
    /// doing what it did: trap 5.
    pub(super) fn follow_topology(&mut self) {
        let topology = &self.memory.topology;
        let Some(me) = &topology.me else { return };
        let Some(master) = &me.master else {
            self.memory.upstream = None;
            return;
        };
        let Some(master) = topology.peers.get(master) else {
            return;
        };
        let current = self.memory.upstream.as_ref();
        if current.is_some_and(|up| up.host == master.host && up.port == master.port) {
            return;
        }
        self.memory.upstream = Some(Upstream {
            host: master.host.clone(),
            port: master.port,
            up: false,
            last_io: Instant::now(),
        });
    }
}

impl World {
    /// One step of the replica on `port`.
    pub(super) fn replicate(&mut self, port: u16, now: Instant) {
        let replica = &self.nodes[&port];
        let Some(upstream) = replica.memory.upstream.clone().filter(|_| replica.acts()) else {
            return;
        };
        let master = self.nodes.get(&upstream.port).filter(|master| {
            master.running
                && is_loopback(&upstream.host)
                && !self.is_cut(port, upstream.port)
                && master.memory.requirepass == replica.memory.masterauth
        });
        let Some(master) = master else {
            return self.set_link(port, false);
        };
        // A stopped master keeps its connections, and says nothing.
        if master.faults.hung {
            return;
        }
        let held = self.held.contains(&port);
        let position = replica.store.sequence();
        let ahead = position > master.store.sequence();
        let diverged = replica.options.rsid_psync && !master.store.continues(&replica.store);
        if ahead || (diverged && !upstream.up) {
            if !held {
                self.copy_all(port, upstream.port, now);
            }
            return;
        }
        let missing = master.store.since(position).to_vec();
        let replica = self.nodes.get_mut(&port).expect("the replica looked at");
        if !held {
            missing
                .into_iter()
                .for_each(|entry| replica.store.apply(entry));
        }
        let upstream = replica.memory.upstream.as_mut().expect("it is a replica");
        upstream.up = true;
        upstream.last_io = now;
    }

    /// A full synchronisation. Whoever follows the replica has to connect anew.
    fn copy_all(&mut self, port: u16, master: u16, now: Instant) {
        let store = self.nodes[&master].store.clone();
        let replica = self.nodes.get_mut(&port).expect("a replica in the network");
        replica.store = store;
        if let Some(upstream) = &mut replica.memory.upstream {
            upstream.up = true;
            upstream.last_io = now;
        }
        for other in self.nodes.values_mut() {
            if let Some(upstream) = &mut other.memory.upstream
                && upstream.port == port
            {
                upstream.up = false;
            }
        }
    }

    fn set_link(&mut self, port: u16, up: bool) {
        if let Some(process) = self.nodes.get_mut(&port)
            && let Some(upstream) = &mut process.memory.upstream
        {
            upstream.up = up;
        }
    }

    /// The nodes connected to this one as their master, with their positions.
    pub(super) fn replicas_of(&self, port: u16) -> Vec<(u16, usize)> {
        let connected = |process: &&Process| {
            let upstream = process.memory.upstream.as_ref();
            process.running && upstream.is_some_and(|up| up.up && up.port == port)
        };
        let replicas = self.nodes.values().filter(connected);
        replicas.map(|r| (r.port, r.store.sequence())).collect()
    }
}
