//! Failover by hand: the replica has all that its master acknowledged, or nothing changes.

use std::time::Duration;

use portolan_consensus::documents::Stored;
use tokio::time::{Instant, sleep};

use super::{Place, Push, Shards};
use crate::control::{Refusal, Seen, is_following, most_advanced};
use crate::error::ShardsError;
use crate::migration::Job;
use crate::model::{Cluster, Node, Role};
use crate::names::NodeId;

/// How long a master's writes are held back at most while a replica takes over by hand.
const PAUSE: Duration = Duration::from_secs(5);
/// How long the replica may take to catch up with a master whose writes are held back.
const CATCH_UP: Duration = Duration::from_secs(1);
const LOOK_AGAIN: Duration = Duration::from_millis(10);

impl Shards {
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
        if !force {
            self.nothing_moves(&place, &stored.document, index).await?;
        }
        let probes = self.probe_all(&stored.document).await;
        let replica = match preferred {
            Some(id) => self.preferred(&stored.document, index, id, &probes)?,
            None => chosen(&stored.document, index, &master, &probes)?,
        };
        let master_answers = seen(&stored.document, &probes, &master.id).is_some_and(Result::is_ok);
        if !master_answers && !force {
            return Err(ShardsError::Conflict(format!(
                "the master {} does not answer, so nobody can tell whether {} has all that it \
                 acknowledged: wait for the automatic failover, or say \"force\": true",
                master.addr, replica.addr
            )));
        }
        let change = Change {
            place: &place,
            stored: &stored,
            index,
            master: &master,
            replica: &replica,
        };
        let pushed = if !master_answers {
            let probe = seen(&stored.document, &probes, &replica.id);
            let sequence = probe.and_then(|seen| Some(seen.as_ref().ok()?.sequence));
            self.carry_out(&change, sequence).await?
        } else if stored.document.engine.hands_over() {
            self.catch_up_and_carry_out(&change).await?
        } else {
            self.hold_back_and_carry_out(&change).await?
        };
        Ok((replica.id, pushed))
    }

    /// Refuses while slots go to or from a shard.
    async fn nothing_moves(
        &self,
        place: &Place,
        cluster: &Cluster,
        index: usize,
    ) -> Result<(), ShardsError> {
        let (_, queue) = self.queue(&place.0, &place.1).await?;
        let mut jobs = queue.jobs.iter().filter(|job| job.state.is_under_way());
        let concerns = |job: &&Job| {
            let from = cluster.owner(job.slots);
            from == Some(index) || cluster.index_of(job.target) == Some(index)
        };
        match jobs.find(concerns) {
            Some(job) => Err(ShardsError::Conflict(format!(
                "migration {} from or to shard {index} is under way: wait for it, or say \"force\": true",
                job.id
            ))),
            None => Ok(()),
        }
    }

    /// Holds the master's writes back until its replica has its place.
    async fn hold_back_and_carry_out(&self, change: &Change<'_>) -> Result<Push, ShardsError> {
        let master = change.master;
        let access = self.secrets.access(master)?;
        let engine = self.engines.of(change.stored.document.engine);
        engine
            .pause(&access, PAUSE)
            .await
            .map_err(ShardsError::node(&master.addr))?;
        let pushed = self.catch_up_and_carry_out(change).await;
        if let Err(error) = engine.resume(&access).await {
            tracing::warn!(addr = %master.addr, %error, "writes were not released; they go on after {PAUSE:?}");
        }
        pushed
    }

    async fn catch_up_and_carry_out(&self, change: &Change<'_>) -> Result<Push, ShardsError> {
        let cluster = &change.stored.document;
        let sequence = self
            .caught_up(cluster, change.master, change.replica)
            .await?;
        self.carry_out(change, Some(sequence)).await
    }

    /// `sequence` is how far the replica's data goes.
    async fn carry_out(
        &self,
        change: &Change<'_>,
        sequence: Option<u64>,
    ) -> Result<Push, ShardsError> {
        let Change {
            place,
            stored,
            index,
            master,
            replica,
        } = *change;
        let text = format!(
            "{} takes over shard {index} from {}, as asked for",
            replica.addr, master.addr
        );
        let after = self
            .switch(place, stored, index, &replica.id, sequence, text)
            .await?;
        Ok(self.push_to_all(place, &after.document, false).await)
    }

    /// The node that was asked for by its id, where it may become the master.
    fn preferred(
        &self,
        cluster: &Cluster,
        index: usize,
        id: &str,
        probes: &[Seen],
    ) -> Result<Node, ShardsError> {
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
        if let Some(Err(error)) = seen(cluster, probes, &node.id) {
            return Err(ShardsError::node(&node.addr)(error.clone()));
        }
        Ok(node.clone())
    }

    /// Waits until a replica has all that its master has, and answers how far that goes.
    async fn caught_up(
        &self,
        cluster: &Cluster,
        master: &Node,
        replica: &Node,
    ) -> Result<u64, ShardsError> {
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
                return Ok(has);
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
}

/// Who takes over from whom, decided on the cluster as it was stored.
struct Change<'a> {
    place: &'a Place,
    stored: &'a Stored<Cluster>,
    index: usize,
    master: &'a Node,
    replica: &'a Node,
}

/// What the probe of a node came to; `probes` are in the order of [`Cluster::nodes`].
fn seen<'a>(cluster: &Cluster, probes: &'a [Seen], id: &NodeId) -> Option<&'a Seen> {
    let at = cluster.nodes().position(|(_, node)| node.id == *id)?;
    probes.get(at)
}

/// The replica that takes over where none is preferred. While the master answers, it may be one that was
/// never seen with its data: it has to catch up anyway.
fn chosen(
    cluster: &Cluster,
    index: usize,
    master: &Node,
    probes: &[Seen],
) -> Result<Node, ShardsError> {
    let answers = |node: &Node| seen(cluster, probes, &node.id).is_some_and(Result::is_ok);
    match most_advanced(cluster, index, probes, Some(0)) {
        Ok((node, _)) => Ok(node.clone()),
        Err(Refusal(reason)) => {
            let mut nodes = cluster.shards[index].nodes.iter();
            nodes
                .find(|node| node.role == Role::Slave && !node.needs_resync && answers(node))
                .filter(|_| answers(master))
                .cloned()
                .ok_or(ShardsError::Conflict(reason))
        }
    }
}
