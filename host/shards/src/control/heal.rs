//! Giving nodes the topology that they do not have.

use futures_util::future::join_all;

use super::health::{Health, Seen};
use crate::engine::{Member, Topology};
use crate::events::EventKind;
use crate::model::{Cluster, Node};
use crate::service::{Shards, topology_of};

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

impl Shards {
    pub(super) async fn heal(&self, cluster: &Cluster, seen: &[Seen], health: &mut Health) {
        let topology = topology_of(cluster);
        let compare = health.rounds.is_multiple_of(COMPARE_EVERY);
        let steps = cluster.nodes().zip(seen).map(|((_, node), seen)| {
            let need = need(cluster, node, seen, compare);
            self.mend(node, need, seen, &topology)
        });
        for told in join_all(steps).await.into_iter().flatten() {
            match told {
                Told::Mended(text) => health.tell(EventKind::TopologyPushed, text),
                Told::Conflict(text) => health.tell_once(EventKind::Conflict, text),
            }
        }
    }

    async fn mend(
        &self,
        node: &Node,
        need: Need,
        seen: &Seen,
        topology: &Topology,
    ) -> Option<Told> {
        let access = self.secrets.access(node).ok()?;
        let was = match seen.as_ref().ok()?.version {
            Some(version) => format!("at version {version}"),
            None => "in no cluster".into(),
        };
        let (force, why) = match need {
            Need::Nothing => return None,
            Need::Explain => {
                return Some(Told::Conflict(format!(
                    "{} is {was}, ahead of the version {} here: somebody else told it something; \
                     overwrite it with POST …/sync?force=true",
                    node.addr, topology.version
                )));
            }
            Need::Push => (false, was),
            Need::Compare => {
                let theirs = self.engine.topology(&access).await.ok()??;
                if same(&theirs, topology) {
                    return None;
                }
                (true, format!("{was} with another content"))
            }
        };
        match self.engine.push(&access, &node.id, topology, force).await {
            Ok(()) => Some(Told::Mended(format!(
                "{} was {why} and has version {} now",
                node.addr, topology.version
            ))),
            Err(error) => Some(Told::Conflict(format!(
                "{} is {why} and does not take version {}: {error}",
                node.addr, topology.version
            ))),
        }
    }
}

enum Told {
    Mended(String),
    Conflict(String),
}

fn need(cluster: &Cluster, node: &Node, seen: &Seen, compare: bool) -> Need {
    let Ok(probe) = seen else {
        return Need::Nothing;
    };
    match probe.version {
        None => Need::Push,
        Some(version) if version < cluster.version => Need::Push,
        Some(version) if version > cluster.version => Need::Explain,
        // In the probe's view of the world it already is what it should be, or is just changing.
        Some(_) if compare || probe.id.as_ref() != Some(&node.id) || probe.role != node.role => {
            Need::Compare
        }
        Some(_) => Need::Nothing,
    }
}

/// Whether two topologies say the same, in whatever order.
fn same(one: &Topology, other: &Topology) -> bool {
    let sorted = |topology: &Topology| -> Vec<Member> {
        let mut members = topology.members.clone();
        members.sort_by(|a, b| a.id.cmp(&b.id));
        members
    };
    sorted(one) == sorted(other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{NodeError, Probe};
    use crate::model::Role;
    use crate::model::samples::cluster;

    #[test]
    fn who_is_behind_is_pushed_and_who_is_ahead_is_not() {
        let mut cluster = cluster(1, 1);
        cluster.version = 7;
        let node = cluster.shards[0].nodes[0].clone();
        let probe = |version, role| {
            let id = Some(node.id.clone());
            Ok(Probe {
                id,
                version,
                role,
                sequence: 0,
            })
        };
        let need_of = |seen: &Seen| need(&cluster, &node, seen, false);
        assert_eq!(need_of(&probe(None, Role::Master)), Need::Push);
        assert_eq!(need_of(&probe(Some(6), Role::Master)), Need::Push);
        assert_eq!(need_of(&probe(Some(8), Role::Master)), Need::Explain);
        assert_eq!(need_of(&probe(Some(7), Role::Master)), Need::Nothing);
        assert_eq!(need_of(&probe(Some(7), Role::Slave)), Need::Compare);
        assert_eq!(need_of(&Err(NodeError::Loading)), Need::Nothing);
        assert_eq!(
            need(&cluster, &node, &probe(Some(7), Role::Master), true),
            Need::Compare
        );
    }
}
