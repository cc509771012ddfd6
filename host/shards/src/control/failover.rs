//! Replacing masters: by the leader when one is down, and by hand.

use std::time::Duration;

use portolan_consensus::documents::{Stored, encode, until_settled};
use portolan_consensus::{Consistency, Revision, Space, Txn};
use tokio::time::{Instant, sleep};

use super::Place;
use super::health::{Health, NewEvent, Seen};
use crate::error::ShardsError;
use crate::events::{EventKind, Events};
use crate::keys;
use crate::model::{Cluster, Node, Role};
use crate::names::NodeId;
use crate::service::{Push, Shards};

/// Clusters up to this size have no safe mode: a share of so few says nothing.
const SAFE_MODE_ABOVE: usize = 10;
/// How long a master's writes are held back at most while a replica takes over by hand.
const PAUSE: Duration = Duration::from_secs(5);
/// How long the replica may take to catch up with a master whose writes are held back.
const CATCH_UP: Duration = Duration::from_secs(1);
const LOOK_AGAIN: Duration = Duration::from_millis(10);

impl Shards {
    /// Replaces the masters that are down and that a majority does not reach. Answers the cluster as it
    /// is then.
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
                    tracing::warn!(cluster = %place.1, "{text}");
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
        let allowed = all * self.options.safe_mode_percent as usize / 100;
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
        let text = format!(
            "{} takes over shard {index} from {}, which {} of {} voters cannot reach; its data goes to \
             sequence {sequence}, the old master's went to {} when it last answered",
            replica.addr,
            master.addr,
            votes.down,
            votes.voters,
            health.last_sequence(&master.id)
        );
        let after = self
            .switch(place, stored, index, &replica.id, text)
            .await
            .map_err(|error| Refusal(error.to_string()))?;
        self.push_to_all(&after.document, false).await;
        Ok(after)
    }

    /// Makes a replica the master by hand: the master's writes are held back until the replica has all
    /// of them. Answers the new master's id.
    ///
    /// With `force` a master that does not answer is replaced too; what the replica does not have is
    /// lost then.
    ///
    /// # Errors
    /// [`ShardsError`]; the master has not changed then.
    pub async fn fail_over(
        &self,
        namespace: &str,
        name: &str,
        index: usize,
        preferred: Option<&str>,
        force: bool,
    ) -> Result<(NodeId, Push), ShardsError> {
        let (namespace, name, stored) = self.find(namespace, name).await?;
        let place = (namespace, name);
        let shard = stored.document.shard(index)?;
        let master = shard
            .master()
            .cloned()
            .ok_or_else(|| ShardsError::Conflict(format!("shard {index} has no master")))?;
        let preferred = preferred
            .map(|id| self.preferred(&stored.document, index, id))
            .transpose()?;
        let seen = self.probe_all(&stored.document).await;
        let at = |id: &NodeId| {
            let mut nodes = stored.document.nodes();
            nodes.position(|(_, node)| node.id == *id)
        };
        let replica = match preferred {
            Some(node) => {
                if let Some(Err(error)) = at(&node.id).and_then(|at| seen.get(at)) {
                    return Err(ShardsError::node(&node.addr)(error.clone()));
                }
                node
            }
            None => most_advanced(&stored.document, index, &seen, 0)
                .map_err(|Refusal(reason)| ShardsError::Conflict(reason))?
                .0
                .clone(),
        };
        let master_answers = at(&master.id).is_some_and(|at| seen[at].is_ok());
        if !master_answers && !force {
            return Err(ShardsError::Conflict(format!(
                "the master {} does not answer, so nobody can tell whether {} has all that it \
                 acknowledged: wait for the automatic failover, or say \"force\": true",
                master.addr, replica.addr
            )));
        }
        let text = format!(
            "{} takes over shard {index} from {}, as asked for",
            replica.addr, master.addr
        );
        if !master_answers {
            let after = self
                .switch(&place, &stored, index, &replica.id, text)
                .await?;
            return Ok((replica.id, self.push_to_all(&after.document, false).await));
        }
        let access = self.secrets.access(&master)?;
        self.engine
            .pause(&access, PAUSE)
            .await
            .map_err(ShardsError::node(&master.addr))?;
        let switched = async {
            self.caught_up(&master, &replica).await?;
            let after = self
                .switch(&place, &stored, index, &replica.id, text)
                .await?;
            Ok::<_, ShardsError>(self.push_to_all(&after.document, false).await)
        }
        .await;
        if let Err(error) = self.engine.resume(&access).await {
            tracing::warn!(addr = %master.addr, %error, "writes were not released; they go on after {PAUSE:?}");
        }
        Ok((replica.id, switched?))
    }

    /// The node that was asked for by its id, where it may become the master.
    fn preferred(&self, cluster: &Cluster, index: usize, id: &str) -> Result<Node, ShardsError> {
        let at = "preferred_node_id";
        let id: NodeId = id.parse().map_err(ShardsError::bad_name(at))?;
        let node = cluster
            .shard(index)?
            .nodes
            .iter()
            .find(|node| node.id == id)
            .ok_or_else(|| {
                ShardsError::invalid(at, format!("no node of shard {index} has the id {id}"))
            })?;
        if node.role == Role::Master {
            let text = format!("{} is the master already", node.addr);
            return Err(ShardsError::invalid(at, text));
        }
        Ok(node.clone())
    }

    /// Waits until a replica has all that its master, whose writes are held back, has.
    async fn caught_up(&self, master: &Node, replica: &Node) -> Result<(), ShardsError> {
        let deadline = Instant::now() + CATCH_UP;
        let sequence = |node: &Node, seen: Seen| match seen {
            Ok(probe) => Ok(probe.sequence),
            Err(error) => Err(ShardsError::node(&node.addr)(error)),
        };
        loop {
            let goal = sequence(master, self.probe(master).await)?;
            let has = sequence(replica, self.probe(replica).await)?;
            if has >= goal {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(ShardsError::Conflict(format!(
                    "{} is {} writes behind {} and did not catch up within {} ms; nothing was changed",
                    replica.addr,
                    goal - has,
                    master.addr,
                    CATCH_UP.as_millis()
                )));
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    /// Commits that a replica is the master, and the event with it, if the cluster is still the one that
    /// this was decided on.
    async fn switch(
        &self,
        place: &Place,
        stored: &Stored<Cluster>,
        index: usize,
        to: &NodeId,
        text: String,
    ) -> Result<Stored<Cluster>, ShardsError> {
        let mut after = stored.document.clone();
        after.promote(index, to)?;
        tracing::info!(cluster = %place.1, "{text}");
        let key = keys::cluster(&place.0, &place.1);
        let txn = Txn::new()
            .guard(Space::Shards, key.as_str(), stored.modified)
            .put(Space::Shards, key, encode(&after));
        let txn = self
            .with_events(txn, place, &[(EventKind::Failover, text)])
            .await?;
        let modified = self.documents.commit(txn).await?;
        Ok(Stored {
            document: after,
            created: stored.created,
            modified,
        })
    }

    /// Stores events.
    pub(super) async fn record(
        &self,
        place: &Place,
        events: &[NewEvent],
    ) -> Result<(), ShardsError> {
        until_settled(|| async {
            let txn = self.with_events(Txn::new(), place, events).await?;
            Ok(self.documents.commit(txn).await.map(drop)?)
        })
        .await
    }

    pub(super) async fn with_events(
        &self,
        txn: Txn,
        place: &Place,
        events: &[NewEvent],
    ) -> Result<Txn, ShardsError> {
        let key = keys::events(&place.0, &place.1);
        let stored: Option<Stored<Events>> =
            self.documents.load(&key, Consistency::Linearizable).await?;
        let revision = stored.as_ref().map_or(Revision::ZERO, |s| s.modified);
        let mut document = stored.map(|s| s.document).unwrap_or_default();
        for (kind, text) in events {
            document.push(*kind, text.clone());
        }
        Ok(txn.guard(Space::Shards, key.as_str(), revision).put(
            Space::Shards,
            key,
            encode(&document),
        ))
    }
}

/// Why a master is not replaced.
#[derive(Debug)]
struct Refusal(String);

/// The replica of a shard whose data goes furthest, among those that answer, and how far it goes. One
/// without data is no master while the old one (had `master_had`) had some.
fn most_advanced<'a>(
    cluster: &'a Cluster,
    index: usize,
    seen: &[Seen],
    master_had: u64,
) -> Result<(&'a Node, u64), Refusal> {
    let replicas = cluster
        .nodes()
        .zip(seen)
        .filter(|((shard, node), _)| *shard == index && node.role == Role::Slave);
    let (mut any, mut best) = (false, None);
    for ((_, node), seen) in replicas {
        any = true;
        if let Ok(probe) = seen
            && (probe.sequence > 0 || master_had == 0)
            && best.is_none_or(|(_, sequence)| probe.sequence > sequence)
        {
            best = Some((node, probe.sequence));
        }
    }
    best.ok_or_else(|| {
        Refusal(if any {
            format!("no replica of shard {index} answers and has data")
        } else {
            format!("shard {index} has no replica: add one")
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{NodeError, Probe};
    use crate::model::samples::cluster;

    fn at(sequence: u64) -> Seen {
        Ok(Probe {
            id: None,
            version: Some(1),
            role: Role::Slave,
            sequence,
        })
    }

    fn gone() -> Seen {
        Err(NodeError::Unreachable("gone".into()))
    }

    #[test]
    fn the_replica_that_goes_furthest_takes_over_and_never_one_of_another_shard() {
        let cluster = cluster(2, 3);
        let chosen = |seen: &[Seen], had| {
            most_advanced(&cluster, 0, seen, had).map(|(node, _)| node.addr.port())
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
    }
}
