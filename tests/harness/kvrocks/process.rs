//! One node: what a SIGKILL takes from it, and what its disk keeps.

use std::collections::HashSet;

use tokio::{task::JoinHandle, time::Instant};

use super::{
    migration::{Import, Migration},
    replication::Upstream,
    store::Store,
    topology::{Listed, Topology},
};

/// How a node is configured.
#[derive(Debug, Clone)]
pub struct KvrocksOptions {
    /// A port of 127.0.0.1 instead of a reserved one.
    pub port: Option<u16>,
    /// Its `requirepass` and its `masterauth`; empty for none.
    pub password: String,
    /// `persist-cluster-nodes-enabled`: does `nodes.conf` outlive the process?
    pub persist: bool,
    /// `use-rsid-psync`: does a replica compare histories before it continues one? Without, trap 4.
    pub rsid_psync: bool,
}

impl Default for KvrocksOptions {
    /// What Kvrocks itself defaults to, without a password.
    fn default() -> Self {
        Self {
            port: None,
            password: String::new(),
            persist: true,
            rsid_psync: false,
        }
    }
}

/// A node as the registry of its network holds it.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) port: u16,
    pub(super) options: KvrocksOptions,
    /// The disk.
    pub(super) store: Store,
    pub(super) nodes_conf: Option<NodesConf>,
    /// What ends with the process. After a kill it shows the last state until the restart.
    pub(super) memory: Memory,
    pub(super) running: bool,
    /// Counts starts: connections of an earlier one get nothing more.
    pub(super) generation: u64,
    pub(super) crashes: u32,
    pub(super) faults: Faults,
    /// Accepts connections while the node runs and does not refuse them.
    pub(super) server: Option<JoinHandle<()>>,
    /// What was received, arguments joined by spaces, over all starts.
    pub(super) commands: Vec<String>,
}

#[derive(Debug, Default)]
pub(super) struct Memory {
    pub(super) requirepass: String,
    pub(super) masterauth: String,
    pub(super) topology: Topology,
    /// Set on a replica.
    pub(super) upstream: Option<Upstream>,
    pub(super) migration: Migration,
    pub(super) import: Import,
    pub(super) pause: Option<Pause>,
}

/// CLIENT PAUSE.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pause {
    pub(super) until: Instant,
    pub(super) writes_only: bool,
}

/// What a test has switched on.
#[derive(Debug, Default)]
pub(super) struct Faults {
    pub(super) hung: bool,
    pub(super) loading: bool,
    pub(super) refusing: bool,
    pub(super) drop_setnodes_reply: bool,
    /// Clients, by the name that they give themselves, whose connections are closed.
    pub(super) hidden_from: HashSet<String>,
}

/// The remembered cluster.
#[derive(Debug)]
pub(super) struct NodesConf {
    version: i64,
    id: String,
    nodes: String,
}

impl Process {
    pub(super) fn new(port: u16, options: KvrocksOptions) -> Self {
        Self {
            port,
            options,
            store: Store::default(),
            nodes_conf: None,
            memory: Memory::default(),
            running: false,
            generation: 0,
            crashes: 0,
            faults: Faults::default(),
            server: None,
            commands: Vec::new(),
        }
    }

    /// Starts with the memory that the disk and the configuration give.
    pub(super) fn boot(&mut self) {
        self.running = true;
        self.generation += 1;
        self.memory = Memory {
            requirepass: self.options.password.clone(),
            masterauth: self.options.password.clone(),
            ..Memory::default()
        };
        if let Some(conf) = &self.nodes_conf {
            let topology = &mut self.memory.topology;
            topology.id = conf.id.clone();
            if conf.version >= 0 {
                let listed = Listed::parse(&conf.nodes).expect("nodes.conf as it was written");
                topology.replace(listed, conf.version, false, self.port);
            }
            self.follow_topology();
        }
    }

    /// Ends at once, as by SIGKILL.
    pub(super) fn kill(&mut self) {
        self.running = false;
        if let Some(server) = &self.server {
            server.abort();
        }
    }

    /// Trap 1.
    pub(super) fn crash(&mut self) {
        self.crashes += 1;
        self.kill();
    }

    pub(super) fn persist_topology(&mut self) {
        let topology = &self.memory.topology;
        self.nodes_conf = self.options.persist.then(|| NodesConf {
            version: topology.version,
            id: topology.id.clone(),
            nodes: topology.dump(),
        });
    }

    /// Can it act on its own, for others and for itself?
    pub(super) fn acts(&self) -> bool {
        self.running && !self.faults.hung
    }

    /// Can it neither take writes nor migrate?
    pub(super) fn is_not_master(&self) -> bool {
        let me = self.memory.topology.me.as_ref();
        me.is_none_or(|me| me.master.is_some()) || self.memory.upstream.is_some()
    }
}
