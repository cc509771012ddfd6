//! All nodes, and what goes from one to another.

use std::collections::{HashMap, VecDeque};
use std::net::Ipv4Addr;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::Lost;
use super::node::{Mood, Node};
use crate::engine::{Access, NodeError, Pushed, Topology};
use crate::names::{NodeAddr, NodeId};

/// How many keys a step of a migration carries unless a test says so.
const PACE: usize = 100;
/// How many topologies are kept to be shared by the nodes that are pushed the same.
const SHARED: usize = 8;
/// The network of the nodes' addresses, 10.0.0.0/8, and their port.
const NETWORK: u32 = 0x0a00_0000;
const PORT: u16 = 6_666;

pub(super) struct World {
    pub(super) nodes: HashMap<NodeAddr, Node>,
    pub(super) pace: usize,
    /// Counts the nodes and the beginnings of their histories.
    numbers: u64,
    recent: VecDeque<Arc<Topology>>,
}

impl Default for World {
    fn default() -> Self {
        Self {
            nodes: HashMap::new(),
            pace: PACE,
            numbers: 0,
            recent: VecDeque::new(),
        }
    }
}

impl World {
    pub(super) fn add(&mut self, password: Option<Zeroizing<String>>) -> NodeAddr {
        loop {
            let number = self.number();
            let ip = Ipv4Addr::from(NETWORK | (number as u32 & 0x00ff_ffff));
            // An IPv4 address with a port is always one.
            if let Ok(addr) = format!("{ip}:{PORT}").parse::<NodeAddr>()
                && !self.nodes.contains_key(&addr)
            {
                self.nodes.insert(addr.clone(), Node::new(password));
                return addr;
            }
        }
    }

    pub(super) fn node_mut(&mut self, addr: &NodeAddr) -> Option<&mut Node> {
        self.nodes.get_mut(addr)
    }

    /// The node that is asked, if it answers now; none while it hangs.
    pub(super) fn asked(&mut self, access: &Access) -> Result<Option<&mut Node>, NodeError> {
        let node = self.nodes.get_mut(&access.addr);
        let node = node.ok_or_else(|| NodeError::Unreachable("no route to host".into()))?;
        Ok(node.answers(access)?.then_some(node))
    }

    /// Gives a replica what is due from its master.
    pub(super) fn catch_up(&mut self, addr: &NodeAddr) {
        let link = self.nodes.get(addr).and_then(|node| node.run.link.clone());
        let Some(link) = link else {
            return;
        };
        let [replica, master] = self.nodes.get_disjoint_mut([addr, &link.master]);
        if let (Some(replica), Some(master)) = (replica, master)
            && replica.mood == Mood::Up
            && master.mood == Mood::Up
        {
            let lag = replica.lag;
            replica.data.follow(&master.data, lag, link.since);
        }
    }

    /// Gives all who follow a node what is due from it.
    pub(super) fn deliver_from(&mut self, addr: &NodeAddr) {
        let follows = |node: &Node| node.run.link.as_ref().is_some_and(|l| l.master == *addr);
        let followers = self.nodes.iter().filter(|(_, node)| follows(node));
        let followers: Vec<NodeAddr> = followers.map(|(addr, _)| addr.clone()).collect();
        for follower in followers {
            self.catch_up(&follower);
        }
    }

    pub(super) fn push(
        &mut self,
        addr: &NodeAddr,
        id: &NodeId,
        topology: &Topology,
        force: bool,
    ) -> Result<Pushed, NodeError> {
        let unreachable = || NodeError::Unreachable("the connection broke".into());
        let node = self.nodes.get_mut(addr).ok_or_else(unreachable)?;
        let lost = node.losses.pop_front();
        if lost == Some(Lost::Request) {
            return Err(unreachable());
        }
        let pushed = node.considers(id, topology, force)?;
        if pushed == Pushed::Changed {
            self.catch_up(addr);
            self.deliver_from(addr);
            let topology = self.shared(topology);
            let history = self.number();
            if let Some(node) = self.nodes.get_mut(addr) {
                node.take_over(id, topology, history);
            }
        }
        match lost {
            Some(Lost::Answer) => Err(unreachable()),
            _ => Ok(pushed),
        }
    }

    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    /// One copy for all nodes that have the same.
    fn shared(&mut self, topology: &Topology) -> Arc<Topology> {
        if let Some(known) = self.recent.iter().find(|known| ***known == *topology) {
            return known.clone();
        }
        let shared = Arc::new(topology.clone());
        self.recent.push_front(shared.clone());
        self.recent.truncate(SHARED);
        shared
    }
}
