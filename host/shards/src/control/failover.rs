//! Replacing masters that are down.

use portolan_consensus::documents::Stored;

use super::health::{Health, Seen};
use crate::engine::{Probe, Standing};
use crate::error::ShardsError;
use crate::events::EventKind;
use crate::model::{Cluster, Node, Role};
use crate::names::NodeId;
use crate::service::{Place, Shards};

/// Clusters up to this size have no safe mode: a share of so few says nothing.
const SAFE_MODE_ABOVE: usize = 10;
impl Shards {
    /// Replaces the masters that are down and that a majority does not reach. Answers the cluster as it
    /// is then; its nodes have not been told yet.
    pub(super) async fn replace_masters(
        &self,
        place: &Place,
        mut stored: Stored<Cluster>,
        seen: &[Seen],
        health: &mut Health,
    ) -> Stored<Cluster> {
        for index in 0..stored.document.shards.len() {
            let Some(master) = stored.document.shards[index].master().cloned() else {
                continue;
            };
            if !health.is_down(&master.id) {
                continue;
            }
            match self
                .replace_master(place, &stored, index, &master, seen, health)
                .await
            {
                Ok(after) => stored = after,
                Err(Refusal(reason)) => {
                    let text = format!(
                        "{}, the master of shard {index}, is down and is not replaced: {reason}",
                        master.addr
                    );
                    health.tell_once(EventKind::FailoverRefused, text);
                }
            }
        }
        stored
    }

    async fn replace_master(
        &self,
        place: &Place,
        stored: &Stored<Cluster>,
        index: usize,
        master: &Node,
        seen: &[Seen],
        health: &Health,
    ) -> Result<Stored<Cluster>, Refusal> {
        let cluster = &stored.document;
        let (all, down) = (cluster.nodes().count(), health.down());
        let options = self.options.with(&cluster.settings);
        if !options.automatic_failover {
            return Err(Refusal(
                "automatic failover is switched off; replace it with POST …/failover".into(),
            ));
        }
        let allowed = all * options.safe_mode_percent as usize / 100;
        if all > SAFE_MODE_ABOVE && down > allowed {
            return Err(Refusal(format!(
                "{down} of {all} nodes do not answer, which is rather the network (safe mode)"
            )));
        }
        let (replica, sequence) =
            most_advanced(cluster, index, seen, health.last_sequence(&master.id))?;
        let votes = self.votes(place, &master.id).await;
        if !votes.is_majority() {
            return Err(Refusal(format!(
                "only {} of {} voters cannot reach it",
                votes.down, votes.voters
            )));
        }
        let had = match health.last_sequence(&master.id) {
            Some(had) => format!("the old master's went to {had} when it last answered"),
            None => "how far the old master's went is not known here".to_owned(),
        };
        let text = format!(
            "{} takes over shard {index} from {}, which {} of {} voters cannot reach; its data goes to \
             sequence {sequence}, {had}",
            replica.addr, master.addr, votes.down, votes.voters,
        );
        self.switch(place, stored, index, &replica.id, Some(sequence), text)
            .await
            .map_err(|error| Refusal(error.to_string()))
    }

    /// Commits that a replica is the master, and the event with it, if the cluster is still the one that
    /// this was decided on.
    pub(crate) async fn switch(
        &self,
        place: &Place,
        stored: &Stored<Cluster>,
        index: usize,
        to: &NodeId,
        sequence: Option<u64>,
        text: String,
    ) -> Result<Stored<Cluster>, ShardsError> {
        let mut after = stored.document.clone();
        after.promote(index, to, sequence)?;
        let event = (EventKind::Failover, text);
        self.amend(place, stored, after, &[event]).await
    }
}

/// Why a master is not replaced.
#[derive(Debug)]
pub(crate) struct Refusal(pub(crate) String);

/// Whether a node follows the master that it has in this version of the cluster: only then its sequence
/// can be compared with the master's. One that was a master itself may have a history of its own.
pub(crate) fn is_following(cluster: &Cluster, probe: &Probe) -> bool {
    let is_told = match probe.standing {
        Standing::Outside => false,
        Standing::At(version) => version >= cluster.version,
        Standing::Gossip => true,
    };
    is_told && probe.role == Role::Slave
}

/// The replica of a shard whose data goes furthest, among those that answer, follow the master and once
/// had what it had, and how far it goes. One without data is no master where the old one is known to have
/// had some (`master_had`).
pub(crate) fn most_advanced<'a>(
    cluster: &'a Cluster,
    index: usize,
    seen: &[Seen],
    master_had: Option<u64>,
) -> Result<(&'a Node, u64), Refusal> {
    let replicas = cluster
        .nodes()
        .zip(seen)
        .filter(|((shard, node), _)| *shard == index && node.role == Role::Slave);
    let (mut any, mut best) = (false, None);
    for ((_, node), seen) in replicas {
        any = true;
        let Ok(probe) = seen else {
            continue;
        };
        // The nodes have decided already.
        if probe.standing == Standing::Gossip && probe.role == Role::Master {
            return Ok((node, probe.sequence));
        }
        if node.has_synced
            && !node.needs_resync
            && is_following(cluster, probe)
            && (probe.sequence > 0 || master_had.unwrap_or(0) == 0)
            && best.is_none_or(|(_, sequence)| probe.sequence > sequence)
        {
            best = Some((node, probe.sequence));
        }
    }
    best.ok_or_else(|| {
        Refusal(if any {
            format!(
                "no replica of shard {index} answers, follows it and was ever seen with its data"
            )
        } else {
            format!("shard {index} has no replica: add one")
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::NodeError;
    use crate::model::samples::cluster;

    fn at(sequence: u64) -> Seen {
        Ok(Probe {
            id: None,
            standing: Standing::At(1),
            role: Role::Slave,
            is_linked: true,
            sequence,
        })
    }

    fn gone() -> Seen {
        Err(NodeError::Unreachable("gone".into()))
    }

    #[test]
    fn the_replica_that_goes_furthest_takes_over_and_never_one_of_another_shard() {
        let cluster = cluster(2, 3);
        let chosen = |seen: &[Seen], had: u64| {
            most_advanced(&cluster, 0, seen, Some(had)).map(|(node, _)| node.addr.port())
        };
        let others = || [at(99), at(99), at(99)];
        let with = |a, b| [vec![gone(), a, b], others().into()].concat();
        assert_eq!(chosen(&with(at(5), at(7)), 7).unwrap(), 3);
        assert_eq!(
            chosen(&with(at(7), at(7)), 9).unwrap(),
            2,
            "the first of equals"
        );
        assert_eq!(chosen(&with(at(5), gone()), 9).unwrap(), 2);
        assert!(chosen(&with(gone(), gone()), 9).is_err());
        assert!(chosen(&with(at(0), at(0)), 9).is_err(), "without any data");
        assert_eq!(
            chosen(&with(at(0), at(0)), 0).unwrap(),
            2,
            "there never was any"
        );
        let unknown = most_advanced(&cluster, 0, &with(at(0), at(0)), None);
        assert!(unknown.is_ok(), "both had what the master had");
        let mut cluster = cluster.clone();
        for index in [1, 2] {
            cluster.shards[0].nodes[index].has_synced = false;
        }
        let new = most_advanced(&cluster, 0, &with(at(9), at(9)), Some(9));
        assert!(new.is_err(), "nobody knows what they have");
    }

    #[test]
    fn only_who_follows_the_master_can_be_compared_with_it() {
        let mut cluster = cluster(1, 3);
        cluster.version = 4;
        let says = |standing, role, sequence| -> Seen {
            Ok(Probe {
                id: None,
                standing,
                role,
                is_linked: role == Role::Slave,
                sequence,
            })
        };
        let chosen = |other: Seen| {
            let good = says(Standing::At(4), Role::Slave, 5);
            let seen = [gone(), other, good];
            let (node, _) = most_advanced(&cluster, 0, &seen, Some(5)).unwrap();
            node.addr.port()
        };
        assert_eq!(chosen(says(Standing::At(4), Role::Slave, 9)), 2);
        assert_eq!(chosen(says(Standing::At(4), Role::Master, 9)), 3);
        assert_eq!(chosen(says(Standing::At(3), Role::Slave, 9)), 3);
        assert_eq!(chosen(says(Standing::Outside, Role::Master, 9)), 3);
        assert_eq!(
            chosen(says(Standing::Gossip, Role::Master, 1)),
            2,
            "where nodes decide among themselves, they have"
        );
    }
}
