//! Replacing masters: by the leader when one is down, and by hand.

use std::time::Duration;

use portolan_consensus::documents::{Stored, encode};
use portolan_consensus::{Space, Txn};
use tokio::time::{Instant, sleep};

use super::health::{Health, Seen};
use crate::engine::{Probe, Standing};
use crate::error::ShardsError;
use crate::events::EventKind;
use crate::keys;
use crate::migration::Job;
use crate::model::{Cluster, Node, Role};
use crate::names::NodeId;
use crate::service::{Place, Push, Shards};

/// Clusters up to this size have no safe mode: a share of so few says nothing.
const SAFE_MODE_ABOVE: usize = 10;
/// How long a master's writes are held back at most while a replica takes over by hand.
const PAUSE: Duration = Duration::from_secs(5);
/// How long the replica may take to catch up with a master whose writes are held back.
const CATCH_UP: Duration = Duration::from_secs(1);
const LOOK_AGAIN: Duration = Duration::from_millis(10);

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
        let after = self
            .switch(place, stored, index, &replica.id, Some(sequence), text)
            .await
            .map_err(|error| Refusal(error.to_string()))?;
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
        let (_, queue) = self.queue(&place.0, &place.1).await?;
        let mut jobs = queue.jobs.iter().filter(|job| job.state.is_under_way());
        let concerns = |job: &&Job| {
            let from = stored.document.owner(job.slots);
            from == Some(index) || stored.document.index_of(job.target) == Some(index)
        };
        if let Some(job) = jobs.find(concerns).filter(|_| !force) {
            return Err(ShardsError::Conflict(format!(
                "migration {} from or to shard {index} is under way: wait for it, or say \"force\": true",
                job.id
            )));
        }
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
            None => most_advanced(&stored.document, index, &seen, Some(0))
                .or_else(|refusal| {
                    // It will have to catch up with the master anyway.
                    let answers = |id: &NodeId| at(id).is_some_and(|at| seen[at].is_ok());
                    let mut nodes = shard.nodes.iter();
                    nodes
                        .find(|node| {
                            node.role == Role::Slave && !node.needs_resync && answers(&node.id)
                        })
                        .filter(|_| answers(&master.id))
                        .map(|node| (node, 0))
                        .ok_or(refusal)
                })
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
            let sequence = at(&replica.id).and_then(|at| Some(seen[at].as_ref().ok()?.sequence));
            let after = self
                .switch(&place, &stored, index, &replica.id, sequence, text)
                .await?;
            return Ok((
                replica.id,
                self.push_to_all(&place, &after.document, false).await,
            ));
        }
        if stored.document.engine.hands_over() {
            self.caught_up(&stored.document, &master, &replica).await?;
            let after = self
                .switch(&place, &stored, index, &replica.id, None, text)
                .await?;
            return Ok((
                replica.id,
                self.push_to_all(&place, &after.document, false).await,
            ));
        }
        let access = self.secrets.access(&master)?;
        let engine = self.engines.of(stored.document.engine);
        engine
            .pause(&access, PAUSE)
            .await
            .map_err(ShardsError::node(&master.addr))?;
        let switched = async {
            self.caught_up(&stored.document, &master, &replica).await?;
            // It has all that the master had.
            let after = self
                .switch(&place, &stored, index, &replica.id, None, text)
                .await?;
            Ok::<_, ShardsError>(self.push_to_all(&place, &after.document, false).await)
        }
        .await;
        if let Err(error) = engine.resume(&access).await {
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
        if node.needs_resync {
            let text = format!(
                "{} keeps writes that its master does not have: it has to be resynchronised first",
                node.addr
            );
            return Err(ShardsError::invalid(at, text));
        }
        Ok(node.clone())
    }

    /// Waits until a replica has all that its master, whose writes are held back, has.
    async fn caught_up(
        &self,
        cluster: &Cluster,
        master: &Node,
        replica: &Node,
    ) -> Result<(), ShardsError> {
        let deadline = Instant::now() + CATCH_UP;
        let ask = async |node: &Node| {
            let seen = self.probe(cluster, node).await;
            seen.map_err(ShardsError::node(&node.addr))
        };
        loop {
            let goal = ask(master).await?.sequence;
            let probe = ask(replica).await?;
            if !is_following(cluster, &probe) {
                return Err(ShardsError::Conflict(format!(
                    "{} has not heard yet that it is a replica of {}, so how far its data goes says \
                     nothing; nothing was changed",
                    replica.addr, master.addr
                )));
            }
            let has = probe.sequence;
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
        sequence: Option<u64>,
        text: String,
    ) -> Result<Stored<Cluster>, ShardsError> {
        let mut after = stored.document.clone();
        after.promote(index, to, sequence)?;
        let key = keys::cluster(&place.0, &place.1);
        let txn = Txn::new()
            .guard(Space::Shards, key.as_str(), stored.modified)
            .put(Space::Shards, key, encode(&after));
        let modified = self
            .commit_with(place, txn, &[(EventKind::Failover, text)])
            .await?;
        Ok(Stored {
            document: after,
            created: stored.created,
            modified,
        })
    }
}

/// Why a master is not replaced.
#[derive(Debug)]
struct Refusal(String);

/// Whether a node follows the master that it has in this version of the cluster: only then its sequence
/// can be compared with the master's. One that was a master itself may have a history of its own.
pub(super) fn is_following(cluster: &Cluster, probe: &Probe) -> bool {
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
fn most_advanced<'a>(
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
