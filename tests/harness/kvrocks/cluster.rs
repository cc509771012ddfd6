//! CLUSTER: what a node shows of its topology.

use std::fmt::Write;

use super::{
    commands::{Reply, Step, err},
    process::Process,
    resp::Resp,
    slots::hash_slot,
    topology::{ID_LENGTH, Peer, Topology},
};

const USAGE: &str = "CLUSTER command, CLUSTER INFO|NODES|SLOTS|KEYSLOT|RESET|REPLICAS";

/// What a node adds to its port for a bus that it does not have.
const BUS_OFFSET: u32 = 10_000;

impl Process {
    pub(super) fn cluster(&mut self, arguments: &[String]) -> Step {
        let Some((subcommand, arguments)) = arguments.split_first() else {
            return err("wrong number of arguments").into();
        };
        let subcommand = subcommand.to_ascii_lowercase();
        let shows = ["info", "nodes", "slots", "replicas"].contains(&subcommand.as_str());
        if shows && self.memory.topology.version < 0 {
            return Err("CLUSTERDOWN The cluster is not initialized".to_owned()).into();
        }
        match (subcommand.as_str(), arguments) {
            ("info", []) => Resp::bulk(self.cluster_info()).into(),
            ("nodes", []) if self.memory.topology.poisoned => {
                self.crash();
                Step::Close
            }
            ("nodes", []) => {
                let peers = self.memory.topology.peers.values();
                let lines: String = peers.map(|peer| self.node_line(peer)).collect();
                Resp::bulk(lines).into()
            }
            ("slots", []) => self.memory.topology.slot_map().into(),
            ("replicas", [id]) => self.replica_lines(id).into(),
            ("keyslot", [key]) => Resp::Integer(hash_slot(key).into()).into(),
            ("reset", [] | [_]) => self.reset().into(),
            _ => err(USAGE).into(),
        }
    }

    fn cluster_info(&self) -> String {
        let topology = &self.memory.topology;
        let assigned = topology.owners.iter().flatten().count();
        let mut serving: Vec<&str> = topology.owners.iter().flatten().map(|o| &*o.id).collect();
        serving.sort_unstable();
        serving.dedup();
        serving.retain(|id| topology.peers.contains_key(*id));
        let mut text = format!(
            "cluster_state:ok\r\ncluster_slots_assigned:{assigned}\r\ncluster_slots_ok:{assigned}\r\n\
             cluster_slots_pfail:0\r\ncluster_slots_fail:0\r\ncluster_known_nodes:{}\r\n\
             cluster_size:{}\r\ncluster_current_epoch:{version}\r\ncluster_my_epoch:{version}\r\n",
            topology.peers.len(),
            serving.len(),
            version = topology.version,
        );
        if self.is_not_master() {
            return text;
        }
        if let Some(shown) = &self.memory.migration.shown {
            let _ = write!(
                text,
                "migrating_slot(s): {}\r\ndestination_node: {}\r\nmigrating_state: {}\r\n",
                shown.range, shown.destination, shown.state
            );
        }
        if let Some(last) = &self.memory.import.last {
            let _ = write!(
                text,
                "importing_slot(s): {}\r\nimport_state: {}\r\n",
                last.range, last.state
            );
        }
        text
    }

    fn node_line(&self, peer: &Peer) -> String {
        let topology = &self.memory.topology;
        let Peer { id, host, port, .. } = peer;
        let bus = u32::from(*port) + BUS_OFFSET;
        let myself = if *id == topology.id { "myself," } else { "" };
        let role = match &peer.master {
            Some(master) => format!("slave {master}"),
            None => "master -".to_owned(),
        };
        let version = topology.version;
        let slots = topology.slots_of(id);
        let mut line = format!(
            "{id} {host}:{port}@{bus} {myself}{role} 1700000000000 1700000000001 {version} connected{slots}"
        );
        if *id == topology.id {
            if let Some(job) = &self.memory.migration.job {
                let _ = write!(line, " [{}->-{}]", job.range, job.destination.id);
            }
            if let Some(range) = self.memory.import.running()
                && let Some(source) = topology.owner(range.first)
            {
                let _ = write!(line, " [{range}-<-{}]", source.id);
            }
        }
        line.push('\n');
        line
    }

    fn replica_lines(&self, id: &str) -> Reply {
        let peers = &self.memory.topology.peers;
        if id.len() != ID_LENGTH || !peers.contains_key(id) {
            return err("Invalid cluster node id");
        }
        if peers[id].master.is_some() {
            return err("The node isn't a master");
        }
        let replicas = peers
            .values()
            .filter(|peer| peer.master.as_deref() == Some(id));
        Ok(Resp::bulk(
            replicas
                .map(|peer| self.node_line(peer))
                .collect::<String>(),
        ))
    }

    fn reset(&mut self) -> Reply {
        if self.memory.migration.job.is_some() {
            return err("Can't reset cluster while migrating slot");
        }
        if self.memory.import.running().is_some() {
            return err("Can't reset cluster while importing slot");
        }
        if self.store.len() > 0 {
            return err("Can't reset cluster while database is not empty");
        }
        self.memory.topology = Topology::default();
        self.memory.upstream = None;
        self.nodes_conf = None;
        Ok(Resp::ok())
    }
}

impl Topology {
    fn slot_map(&self) -> Resp {
        let node = |peer: &Peer| {
            Resp::Array(vec![
                Resp::bulk(&*peer.host),
                Resp::Integer(peer.port.into()),
                Resp::bulk(&*peer.id),
            ])
        };
        let ranges = self.ranges().into_iter().map(|(range, owner)| {
            let mut entry = vec![
                Resp::Integer(range.first.into()),
                Resp::Integer(range.last.into()),
                node(&owner),
            ];
            let replicas = self.peers.values();
            let replicas = replicas.filter(|peer| peer.master.as_ref() == Some(&owner.id));
            entry.extend(replicas.map(|peer| node(peer)));
            Resp::Array(entry)
        });
        Resp::Array(ranges.collect())
    }
}
