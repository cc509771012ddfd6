//! A cluster as one of its nodes sees it: `CLUSTER NODES`.

use std::net::IpAddr;

use crate::engine::{Member, Topology};
use crate::model::Role;
use crate::names::{NodeAddr, NodeId};
use crate::slots::{SlotRange, SlotSet};

/// What a node says of itself or of another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) id: NodeId,
    /// None where the node has lost it.
    pub(super) addr: Option<NodeAddr>,
    pub(super) role: Role,
    /// Whether the node suspects that this one is down, or knows that most masters do.
    pub(super) is_failing: bool,
    pub(super) master: Option<NodeId>,
    /// Its claim on its slots, compared with other claims: the higher one counts.
    pub(super) epoch: u64,
    pub(super) slots: SlotSet,
    /// Slots that it is about to give to another node.
    pub(super) migrating: SlotSet,
    /// Slots that it is about to get from another node.
    pub(super) importing: SlotSet,
    is_self: bool,
}

/// A cluster as one of its nodes sees it. Nodes that it is just getting to know are left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct View {
    pub(super) entries: Vec<Entry>,
    me: usize,
}

impl View {
    /// Reads `CLUSTER NODES`:
    /// `<id> <ip:port@bus[,host][,...]> <flags> <master> <ping> <pong> <epoch> <link> <slot>...`.
    ///
    /// # Errors
    /// The line that makes no sense.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut entries = Vec::new();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let fields: Vec<&str> = line.split_ascii_whitespace().collect();
            if fields.get(2).is_some_and(|flags| is(flags, "handshake")) {
                continue;
            }
            entries.push(entry(&fields).ok_or_else(|| format!("CLUSTER NODES: {line:?}"))?);
        }
        let me = entries
            .iter()
            .position(|entry| entry.is_self)
            .ok_or("CLUSTER NODES: no line says myself")?;
        Ok(Self { entries, me })
    }

    /// What the node says of itself.
    pub(super) fn me(&self) -> &Entry {
        &self.entries[self.me]
    }

    /// Whether it knows other nodes, or serves slots.
    pub(super) fn is_in_cluster(&self) -> bool {
        self.entries.len() > 1 || !self.me().slots.is_empty()
    }

    /// What it says of a node.
    pub(super) fn get(&self, id: &NodeId) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.id == *id)
    }

    /// The slots that some node has, as this one sees it.
    pub(super) fn served(&self) -> SlotSet {
        let ranges = self.entries.iter().flat_map(|entry| entry.slots.ranges());
        ranges.copied().collect::<Vec<_>>().into()
    }

    /// Who has a slot, as this node sees it.
    pub(super) fn owner(&self, slot: u16) -> Option<&NodeId> {
        let range = SlotRange::single(slot)?;
        let mut entries = self.entries.iter();
        Some(&entries.find(|entry| entry.slots.contains(range))?.id)
    }

    /// The same as a topology.
    pub(super) fn topology(&self) -> Topology {
        let members = self.entries.iter().filter_map(|entry| {
            Some(Member {
                id: entry.id.clone(),
                addr: entry.addr.clone()?,
                role: entry.role,
                master: entry.master.clone(),
                slots: entry.slots.clone(),
            })
        });
        Topology {
            version: 1,
            members: members.collect(),
            removed: vec![],
            in_motion: SlotSet::default(),
            appointed: vec![],
        }
    }
}

fn is(flags: &str, wanted: &str) -> bool {
    flags.split(',').any(|flag| flag == wanted)
}

fn entry(fields: &[&str]) -> Option<Entry> {
    let [id, addr, flags, master, _, _, epoch, _, rest @ ..] = fields else {
        return None;
    };
    let mut entry = Entry {
        id: id.parse().ok()?,
        addr: address(addr),
        role: if is(flags, "slave") {
            Role::Slave
        } else {
            Role::Master
        },
        is_failing: is(flags, "fail") || is(flags, "fail?"),
        master: master.parse().ok(),
        epoch: epoch.parse().ok()?,
        slots: SlotSet::default(),
        migrating: SlotSet::default(),
        importing: SlotSet::default(),
        is_self: is(flags, "myself"),
    };
    for word in rest {
        let open = word.strip_prefix('[').and_then(|w| w.strip_suffix(']'));
        match open {
            None => entry.slots.insert(word.parse().ok()?),
            // `5->-<id>` and `5-<-<id>`.
            Some(open) => match (open.split_once("->-"), open.split_once("-<-")) {
                (Some((slots, _)), _) => entry.migrating.insert(slots.parse().ok()?),
                (_, Some((slots, _))) => entry.importing.insert(slots.parse().ok()?),
                _ => return None,
            },
        }
    }
    Some(entry)
}

/// `127.0.0.1:7000@17000,host`; an IPv6 address stands there without brackets, a lost one as nothing.
fn address(text: &str) -> Option<NodeAddr> {
    let text = text.split('@').next()?;
    let (host, port) = text.rsplit_once(':')?;
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V6(host)) => format!("[{host}]:{port}").parse().ok(),
        _ => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "07c37dfeb235213a872192d90877d0cd55635b91";
    const B: &str = "67ed2db8d677e59ec4a4cefb06858cf2a1a89fa1";
    const C: &str = "292f8b365bb7edb5e285caf0b7e6ddc7265d2f4f";

    #[test]
    fn a_view_has_what_the_nodes_claim_and_what_is_on_its_way() {
        let text = format!(
            "{A} 127.0.0.1:30004@31004,db-a slave {B} 0 1426238317239 4 connected\n\
             {B} 127.0.0.1:30002@31002,,shard-id=5 myself,master - 0 1426238316232 2 connected \
             5461-10922 3 [93-<-{A}] [77->-{A}]\n\
             {C} ::1:30003@31003 master,fail? - 0 1426238318243 3 disconnected 10923-16383\n\
             {} :0@0 master,noaddr - 1 1 0 disconnected\n\
             {} 127.0.0.1:30009@31009 handshake - 1 0 0 connected\n",
            A.replace('0', "1"),
            A.replace('0', "2"),
        );
        let view = View::parse(&text).unwrap();
        assert_eq!(view.entries.len(), 4, "a handshake is nobody yet");
        let me = view.me();
        assert_eq!((me.id.as_str(), me.role, me.epoch), (B, Role::Master, 2));
        assert_eq!(me.slots.to_string(), "3,5461-10922");
        assert_eq!(me.importing.to_string(), "93");
        assert_eq!(me.migrating.to_string(), "77");
        let slave = view.get(&A.parse().unwrap()).unwrap();
        assert_eq!(slave.role, Role::Slave);
        assert_eq!(slave.master.as_ref().unwrap().as_str(), B);
        assert_eq!(
            view.entries[2].addr.as_ref().unwrap().as_str(),
            "[::1]:30003"
        );
        assert_eq!(view.entries[3].addr, None);
        let failing: Vec<bool> = view.entries.iter().map(|entry| entry.is_failing).collect();
        assert_eq!(failing, [false, false, true, false]);
        assert_eq!(view.served().to_string(), "3,5461-16383");
        assert_eq!(view.owner(3).unwrap().as_str(), B);
        assert_eq!(view.owner(4), None);
        assert_eq!(
            view.topology().members.len(),
            3,
            "without an address it is no member"
        );
    }

    #[test]
    fn what_is_no_view_says_so() {
        assert!(View::parse("").is_err());
        assert!(View::parse("one two").is_err());
        assert!(View::parse(&format!("{A} 127.0.0.1:1@2 master - 0 0 1 connected")).is_err());
        let open = format!("{A} 127.0.0.1:1@2 myself,master - 0 0 1 connected [5");
        assert!(View::parse(&open).is_err());
    }
}
