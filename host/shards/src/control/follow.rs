//! Where the nodes of a cluster can replace a master by themselves (Redis, Valkey), the store follows
//! them: undoing it would cost what was written since.

use portolan_consensus::documents::Stored;

use super::health::Seen;
use crate::engine::Standing;
use crate::events::{EventKind, NewEvent};
use crate::model::{Cluster, Role};
use crate::service::{Place, Shards};

impl Shards {
    /// Takes over what the nodes have decided among themselves. Answers the cluster as it is then.
    pub(super) async fn follow_nodes(
        &self,
        place: &Place,
        stored: Stored<Cluster>,
        seen: &[Seen],
    ) -> Stored<Cluster> {
        let Some((after, events)) = followed(&stored.document, seen) else {
            return stored;
        };
        match self.amend(place, &stored, after, &events).await {
            Ok(after) => after,
            Err(error) => {
                tracing::warn!(%error, cluster = %place.1, "what the nodes decided was not stored");
                stored
            }
        }
    }
}

/// The cluster after what its nodes have decided; none where that changes nothing. A master that was
/// appointed here and has not taken over yet is not given up for the one that it replaces.
fn followed(cluster: &Cluster, seen: &[Seen]) -> Option<(Cluster, Vec<NewEvent>)> {
    let mut after = cluster.clone();
    let (mut events, mut is_changed) = (vec![], false);
    for index in 0..cluster.shards.len() {
        let nodes = cluster.nodes().zip(seen);
        let ours = nodes.filter(|((shard, _), _)| *shard == index);
        let says = ours.filter_map(|((_, node), seen)| {
            let probe = seen.as_ref().ok()?;
            (probe.standing == Standing::Gossip).then_some((node, probe.role))
        });
        let says: Vec<_> = says.collect();
        let masters: Vec<_> = says
            .iter()
            .filter(|(_, role)| *role == Role::Master)
            .map(|(node, _)| *node)
            .collect();
        let [master] = masters[..] else {
            continue;
        };
        let shard = &cluster.shards[index];
        if master.role == Role::Master {
            is_changed |= std::mem::take(&mut after.shards[index].is_switching);
            continue;
        }
        let stepped_back = says.iter().find(|(node, _)| node.role == Role::Master);
        if let Some((old, _)) = stepped_back
            && !shard.is_switching
            && after.promote(index, &master.id, None).is_ok()
        {
            after.shards[index].is_switching = false;
            is_changed = true;
            let text = format!(
                "{} has taken over shard {index} from {}, as the nodes decided among themselves",
                master.addr, old.addr
            );
            events.push((EventKind::Failover, text));
        }
    }
    is_changed.then_some((after, events))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{NodeError, Probe};
    use crate::model::samples::cluster;

    fn says(role: Role) -> Seen {
        Ok(Probe {
            id: None,
            standing: Standing::Gossip,
            role,
            is_linked: role == Role::Slave,
            sequence: 1,
        })
    }

    fn gone() -> Seen {
        Err(NodeError::Unreachable("gone".into()))
    }

    #[test]
    fn a_replica_that_took_over_by_itself_is_the_master() {
        let cluster = cluster(1, 2);
        let swapped = [says(Role::Slave), says(Role::Master)];
        let (after, events) = followed(&cluster, &swapped).unwrap();
        assert_eq!(after.shards[0].master().unwrap().addr.port(), 2);
        assert_eq!((after.version, events.len()), (2, 1));
        assert!(followed(&after, &swapped).is_none(), "and that is all");
        after.check().unwrap();

        let usual = [says(Role::Master), says(Role::Slave)];
        assert!(followed(&cluster, &usual).is_none());
        let unclear = [says(Role::Master), says(Role::Master)];
        assert!(followed(&cluster, &unclear).is_none());
        let silent = [gone(), says(Role::Master)];
        assert!(
            followed(&cluster, &silent).is_none(),
            "whether the old one has stepped back is not known"
        );
    }

    #[test]
    fn who_was_appointed_here_is_waited_for() {
        let mut cluster = cluster(1, 2);
        let replica = cluster.shards[0].nodes[1].id.clone();
        cluster.promote(0, &replica, Some(1)).unwrap();
        let not_yet = [says(Role::Master), says(Role::Slave)];
        assert!(followed(&cluster, &not_yet).is_none());
        let there = [says(Role::Slave), says(Role::Master)];
        let (after, events) = followed(&cluster, &there).unwrap();
        assert!(!after.shards[0].is_switching && events.is_empty());
        assert_eq!(
            after.version, cluster.version,
            "the nodes need not hear of it"
        );
        assert!(
            followed(&after, &not_yet).is_some(),
            "from now on they decide"
        );
    }
}
