//! Giving nodes the topology that they do not have.

use std::collections::HashSet;
use std::sync::Arc;

use portolan_consensus::documents::Stored;
use tokio::task::JoinSet;

use super::health::{Health, Seen};
use crate::engine::{Member, Pushed, Standing, Topology};
use crate::events::EventKind;
use crate::model::{Cluster, EngineKind, Node};
use crate::names::NodeId;
use crate::service::{Place, Shards};

/// Nodes at the right version are compared in full each time after so many rounds.
const COMPARE_EVERY: u64 = 10;

/// What a node needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    /// It is behind.
    Push,
    /// Its version is right: its content is to be compared.
    Compare,
    /// It is ahead: somebody else told it something.
    Explain,
    Nothing,
}

/// What became of a node that needed something.
#[derive(Debug)]
enum Told {
    /// It is as it should be, and was told something for that, or not.
    Mended(Option<String>),
    /// It has another content at the version that is stored. Nodes do not look at a version that they
    /// have, so the same has to be said again at the next one. Forcing this version upon the node could
    /// undo a failover: when that arrives, the node may have a newer one, and writes of its own.
    Differs(String),
    Conflict(String),
}

/// Nodes that are being mended, each by a task of its own: one that is slow keeps nobody else waiting.
#[derive(Default)]
pub(super) struct Mending {
    busy: HashSet<NodeId>,
    tasks: JoinSet<(NodeId, u64, Told)>,
}

impl Shards {
    /// Collects what became of nodes that were being mended, and begins to mend those that need it.
    pub(super) async fn heal(
        self: &Arc<Self>,
        place: &Place,
        stored: &Stored<Cluster>,
        seen: &[Seen],
        health: &mut Health,
        mending: &mut Mending,
    ) {
        let cluster = &stored.document;
        let mut different = vec![];
        while let Some(done) = mending.tasks.try_join_next() {
            // A task that panicked has no name: its node stays busy until the next leader.
            let Ok((id, version, told)) = done else {
                continue;
            };
            mending.busy.remove(&id);
            match told {
                Told::Mended(text) => {
                    health.told(&id, version);
                    if let Some(text) = text {
                        health.tell(EventKind::TopologyPushed, text);
                    }
                }
                // What is about a version that is past is settled by the one that is stored.
                _ if version != cluster.version => {}
                Told::Differs(text) => different.push((EventKind::TopologyPushed, text)),
                Told::Conflict(text) => health.tell_once(EventKind::Conflict, text),
            }
        }
        if !different.is_empty() {
            let mut again = cluster.clone();
            again.say_again();
            if let Err(error) = self.amend(place, stored, again, &different).await {
                tracing::warn!(%error, cluster = %place.1, "a node that differs is looked at again");
            }
            return;
        }
        let compare = health.rounds.is_multiple_of(COMPARE_EVERY);
        let needy: Vec<_> = cluster
            .nodes()
            .zip(seen)
            .filter_map(|((_, node), seen)| {
                let was_told = health.was_told(&node.id, cluster.version);
                let need = need(cluster, node, seen, compare, was_told);
                let probe = seen.as_ref().ok()?;
                (need != Need::Nothing).then(|| (node.clone(), need, probe.standing))
            })
            .filter(|(node, ..)| !mending.busy.contains(&node.id))
            .collect();
        if needy.is_empty() {
            return;
        }
        let topology = Arc::new(self.topology(place, cluster).await);
        for (node, need, standing) in needy {
            mending.busy.insert(node.id.clone());
            let (shards, topology, kind) = (self.clone(), topology.clone(), cluster.engine);
            mending.tasks.spawn(async move {
                let told = shards.mend(kind, &node, need, standing, &topology).await;
                (node.id, topology.version, told)
            });
        }
    }

    async fn mend(
        &self,
        kind: EngineKind,
        node: &Node,
        need: Need,
        standing: Standing,
        topology: &Topology,
    ) -> Told {
        let engine = self.engines.of(kind);
        let access = match self.secrets.access(node) {
            Ok(access) => access,
            Err(error) => return Told::Conflict(format!("{}: {error}", node.addr)),
        };
        let was = match standing {
            Standing::At(version) => format!("at version {version}"),
            Standing::Outside => "in no cluster".into(),
            Standing::Gossip => "not as it should be".into(),
        };
        match need {
            Need::Nothing => return Told::Mended(None),
            Need::Explain => {
                return Told::Conflict(format!(
                    "{} is {was}, ahead of the version {} here: somebody else told it something; take \
                     that over with POST …/sync?adopt=true, or overwrite it with POST …/sync?force=true",
                    node.addr, topology.version
                ));
            }
            Need::Push => {}
            Need::Compare => {
                return match engine.topology(&access).await {
                    Ok(Some(theirs)) if differs(&theirs, topology) => Told::Differs(format!(
                        "{} is {was} with another content; version {} says it again",
                        node.addr,
                        topology.version + 1
                    )),
                    // As it should be, or it will be asked again.
                    Ok(_) | Err(_) => Told::Mended(None),
                };
            }
        }
        match engine.push(&access, &node.id, topology, false).await {
            Ok(Pushed::Unchanged) => Told::Mended(None),
            Ok(Pushed::Changed) => Told::Mended(Some(format!(
                "{} was {was} and has version {} now",
                node.addr, topology.version
            ))),
            Err(error) => Told::Conflict(format!(
                "{} is {was} and does not take version {}: {error}",
                node.addr, topology.version
            )),
        }
    }
}

fn need(cluster: &Cluster, node: &Node, seen: &Seen, compare: bool, was_told: bool) -> Need {
    let Ok(probe) = seen else {
        return Need::Nothing;
    };
    // In the probe's view of the world it is not what it should be, or is just changing.
    let is_odd = probe.id.as_ref() != Some(&node.id) || probe.role != node.role;
    match probe.standing {
        Standing::Outside => Need::Push,
        Standing::At(version) if version < cluster.version => Need::Push,
        Standing::At(version) if version > cluster.version => Need::Explain,
        Standing::At(_) if compare || is_odd => Need::Compare,
        Standing::Gossip if compare || is_odd || !was_told => Need::Push,
        Standing::At(_) | Standing::Gossip => Need::Nothing,
    }
}

/// Whether two topologies of one version say different things, in whatever order. A node that has
/// another version by now was told something meanwhile: the next probe shows it.
fn differs(theirs: &Topology, ours: &Topology) -> bool {
    let sorted = |topology: &Topology| -> Vec<Member> {
        let mut members = topology.members.clone();
        members.sort_by(|a, b| a.id.cmp(&b.id));
        members
    };
    theirs.version == ours.version && sorted(theirs) != sorted(ours)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{NodeError, Probe};
    use crate::model::Role;
    use crate::model::samples::cluster;
    use crate::slots::SlotSet;

    #[test]
    fn who_is_behind_is_pushed_and_who_is_ahead_is_not() {
        let mut cluster = cluster(1, 1);
        cluster.version = 7;
        let node = cluster.shards[0].nodes[0].clone();
        let probe = |standing, role| {
            let id = Some(node.id.clone());
            Ok(Probe {
                id,
                standing,
                role,
                is_linked: role == Role::Slave,
                sequence: 0,
            })
        };
        let need_of = |seen: &Seen| need(&cluster, &node, seen, false, true);
        let at = |version, role| probe(Standing::At(version), role);
        assert_eq!(need_of(&probe(Standing::Outside, Role::Master)), Need::Push);
        assert_eq!(need_of(&at(6, Role::Master)), Need::Push);
        assert_eq!(need_of(&at(8, Role::Master)), Need::Explain);
        assert_eq!(need_of(&at(7, Role::Master)), Need::Nothing);
        assert_eq!(need_of(&at(7, Role::Slave)), Need::Compare);
        assert_eq!(need_of(&Err(NodeError::Loading)), Need::Nothing);
        assert_eq!(
            need(&cluster, &node, &at(7, Role::Master), true, true),
            Need::Compare
        );

        let gossip = probe(Standing::Gossip, Role::Master);
        assert_eq!(need_of(&gossip), Need::Nothing);
        assert_eq!(
            need(&cluster, &node, &gossip, false, false),
            Need::Push,
            "it was not told this version"
        );
        assert_eq!(need(&cluster, &node, &gossip, true, true), Need::Push);
        assert_eq!(need_of(&probe(Standing::Gossip, Role::Slave)), Need::Push);
    }

    #[test]
    fn a_node_that_has_heard_of_a_newer_version_does_not_differ_from_an_older_one() {
        let id = |digit: &str| digit.repeat(40).parse::<NodeId>().unwrap();
        let member = |digit: &str, role| Member {
            id: id(digit),
            addr: "10.0.0.1:6666".parse().unwrap(),
            role,
            master: None,
            slots: SlotSet::default(),
        };
        let topology = |version, roles: [Role; 2]| Topology {
            version,
            members: vec![member("a", roles[0]), member("b", roles[1])],
            removed: vec![],
            in_motion: SlotSet::default(),
            appointed: vec![],
        };
        let ours = topology(7, [Role::Master, Role::Slave]);
        let mut turned = ours.clone();
        turned.members.reverse();
        assert!(!differs(&turned, &ours), "order says nothing");
        let swapped = [Role::Slave, Role::Master];
        assert!(differs(&topology(7, swapped), &ours));
        assert!(!differs(&topology(8, swapped), &ours), "a failover since");
    }
}
