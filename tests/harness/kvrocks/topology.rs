//! What a node knows of its cluster, and the text in which SETNODES brings it.

use std::{collections::BTreeMap, fmt::Write, sync::Arc};

use super::slots::{SLOTS, SlotRange};

pub(super) const ID_LENGTH: usize = 40;

/// A node as the topology lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Peer {
    pub(super) id: String,
    pub(super) host: String,
    pub(super) port: u16,
    /// The id of its master; `None` for a master.
    pub(super) master: Option<String>,
}

/// A node's view.
#[derive(Debug)]
pub(super) struct Topology {
    /// `-1` before the first SETNODES.
    pub(super) version: i64,
    /// Empty while the node does not know its own.
    pub(super) id: String,
    pub(super) peers: BTreeMap<String, Arc<Peer>>,
    /// By slot. An owner that is no longer among the peers can stay here: trap 2.
    pub(super) owners: Vec<Option<Arc<Peer>>>,
    /// The entry of this node itself.
    pub(super) me: Option<Arc<Peer>>,
    /// Trap 1: an unknown id was looked up and left an entry without a node.
    pub(super) poisoned: bool,
}

impl Default for Topology {
    fn default() -> Self {
        Self {
            version: -1,
            id: String::new(),
            peers: BTreeMap::new(),
            owners: vec![None; SLOTS],
            me: None,
            poisoned: false,
        }
    }
}

/// A parsed SETNODES text.
#[derive(Default)]
pub(super) struct Listed {
    peers: BTreeMap<String, Arc<Peer>>,
    owners: BTreeMap<u16, Arc<Peer>>,
}

impl Peer {
    pub(super) fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Is it the stand-in on this port?
    pub(super) fn listens_at(&self, port: u16) -> bool {
        self.port == port && is_loopback(&self.host)
    }
}

/// Stand-ins listen on 127.0.0.1 only; a topology may write that as a hostname.
pub(super) fn is_loopback(host: &str) -> bool {
    ["127.0.0.1", "localhost"].contains(&host)
}

impl Topology {
    pub(super) fn owner(&self, slot: u16) -> Option<&Arc<Peer>> {
        self.owners[usize::from(slot)].as_ref()
    }

    /// Does the topology give this slot to this node, where the node is in the topology at all?
    pub(super) fn is_mine(&self, slot: u16) -> bool {
        let me = self.me.as_ref().map(|me| &me.id);
        me.is_some() && self.owner(slot).map(|owner| &owner.id) == me
    }

    /// Takes a parsed topology. Slots that it does not mention keep their owner: trap 2.
    pub(super) fn replace(&mut self, listed: Listed, version: i64, force: bool, port: u16) {
        self.version = version;
        self.peers = listed.peers;
        self.poisoned = false;
        for (slot, owner) in listed.owners {
            self.owners[usize::from(slot)] = Some(owner);
        }
        if self.id.is_empty() || force {
            let found = self.peers.values().find(|peer| peer.listens_at(port));
            if let Some(peer) = found {
                self.id = peer.id.clone();
            }
        }
        self.find_me();
    }

    pub(super) fn find_me(&mut self) {
        self.me = self.peers.get(&self.id).cloned();
    }

    /// Ranges of adjacent slots with one owner.
    pub(super) fn ranges(&self) -> Vec<(SlotRange, Arc<Peer>)> {
        let mut ranges: Vec<(SlotRange, Arc<Peer>)> = Vec::new();
        for (slot, owner) in (0..).zip(&self.owners) {
            let Some(owner) = owner else { continue };
            match ranges.last_mut() {
                Some((range, last)) if range.last + 1 == slot && last.id == owner.id => {
                    range.last = slot;
                }
                _ => ranges.push((
                    SlotRange {
                        first: slot,
                        last: slot,
                    },
                    owner.clone(),
                )),
            }
        }
        ranges
    }

    /// The slots of one node, each range after a space.
    pub(super) fn slots_of(&self, id: &str) -> String {
        let mut text = String::new();
        for (range, owner) in self.ranges() {
            if owner.id == id {
                let _ = write!(text, " {range}");
            }
        }
        text
    }

    /// The text of nodes.conf, which is what SETNODES would take.
    pub(super) fn dump(&self) -> String {
        let mut text = String::new();
        for peer in self.peers.values() {
            let Peer { id, host, port, .. } = peer.as_ref();
            let _ = match &peer.master {
                Some(master) => writeln!(text, "{id} {host} {port} slave {master}"),
                None => writeln!(text, "{id} {host} {port} master -{}", self.slots_of(id)),
            };
        }
        text
    }
}

impl Listed {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut listed = Self::default();
        let mut lines = text.split('\n').filter(|line| !line.is_empty()).peekable();
        if lines.peek().is_none() {
            return refuse("Invalid cluster nodes info");
        }
        for line in lines {
            listed.add(line)?;
        }
        Ok(listed)
    }

    fn add(&mut self, line: &str) -> Result<(), String> {
        let fields: Vec<&str> = line.split(' ').filter(|field| !field.is_empty()).collect();
        let [id, host, port, role, master, slots @ ..] = fields.as_slice() else {
            return refuse("Invalid cluster nodes info");
        };
        if id.len() != ID_LENGTH {
            return refuse("Invalid cluster node id");
        }
        let Ok(port) = port.parse() else {
            return refuse("Invalid cluster node port");
        };
        let master = match role.to_ascii_lowercase().as_str() {
            "master" if *master == "-" => None,
            "slave" | "replica" if master.len() == ID_LENGTH => Some((*master).to_owned()),
            "master" | "slave" | "replica" => return refuse("Invalid cluster node id"),
            _ => return refuse("Invalid cluster node role"),
        };
        if master.is_some() && !slots.is_empty() {
            return refuse("Invalid cluster nodes info");
        }
        let peer = Arc::new(Peer {
            id: (*id).to_owned(),
            host: (*host).to_owned(),
            port,
            master,
        });
        for slot in slots {
            self.own(slot, &peer)?;
        }
        self.peers.insert(peer.id.clone(), peer);
        Ok(())
    }

    fn own(&mut self, field: &str, peer: &Arc<Peer>) -> Result<(), String> {
        if field.len() == ID_LENGTH {
            return refuse("Invalid nodes definition: Missing newline between node entries.");
        }
        let slot = |text: &str| text.parse::<u16>().ok().filter(|slot| *slot < SLOTS as u16);
        let ends = match field.split_once('-') {
            None => slot(field).map(|slot| (slot, slot)),
            // One slot must be written as one: `10-10` is refused.
            Some((first, last)) => slot(first)
                .zip(slot(last))
                .filter(|(first, last)| first < last),
        };
        let Some((first, last)) = ends else {
            return refuse("Slot is out of range");
        };
        for slot in first..=last {
            if self.owners.insert(slot, peer.clone()).is_some() {
                return refuse("Slot distribution is overlapped");
            }
        }
        Ok(())
    }
}

fn refuse<T>(sentence: &str) -> Result<T, String> {
    Err(format!("ERR {sentence}"))
}
