//! What is known of the nodes' data, and kept in the store for whoever leads next.
//!
//! A replica counts once it was seen to have what its master had: one that was added while the master
//! was down already has nothing, and looks like one of an empty master.
//!
//! A former master may have writes which its successor does not have. A Kvrocks node that becomes a
//! replica goes on from the sequence number that it is at. Where its last writes are not its new
//! master's, it keeps them, misses the master's under the same numbers, and reports that all is well
//! (unless it compares histories: `use-rsid-psync`). So it is looked at before it is told that it is a
//! replica.

use portolan_consensus::documents::Stored;

use super::failover::is_following;
use super::health::{Health, Seen};
use crate::engine::Standing;
use crate::events::EventKind;
use crate::model::{Cluster, Node, Role};
use crate::names::NodeId;
use crate::service::{Place, Shards};

/// What a round of probes says about a node's data.
#[derive(Debug, PartialEq, Eq)]
enum Finding {
    /// It has all that its master had a moment ago.
    CaughtUp,
    /// It was a master and has this many writes more than its successor had.
    Ahead(u64),
    /// It has no data any more, and starts anew.
    Fresh,
}

impl Shards {
    /// Notes what the probes say, before anybody is told anything. Answers the cluster as it is then.
    pub(super) async fn note_data(
        &self,
        place: &Place,
        stored: Stored<Cluster>,
        seen: &[Seen],
        health: &Health,
    ) -> Stored<Cluster> {
        let cluster = &stored.document;
        let before = |id: &NodeId| health.sequence_before(id);
        let (mut after, mut events) = (cluster.clone(), vec![]);
        for (node, finding) in findings(cluster, seen, before) {
            match finding {
                Finding::CaughtUp => after.change_node(&node.id, |node| node.has_synced = true),
                Finding::Fresh => after.change_node(&node.id, |node| {
                    (node.has_synced, node.needs_resync) = (false, false);
                }),
                Finding::Ahead(writes) => {
                    if let Some((needs_resync, text)) = self.diverged(cluster, node, writes).await {
                        after.change_node(&node.id, |node| node.needs_resync = needs_resync);
                        events.push((EventKind::NeedsResync, text));
                    }
                }
            }
        }
        if after == *cluster && events.is_empty() {
            return stored;
        }
        match self.amend(place, &stored, after, &events).await {
            Ok(after) => after,
            Err(error) => {
                tracing::warn!(%error, cluster = %place.1, "what is known of nodes' data was not stored");
                stored
            }
        }
    }

    async fn diverged(
        &self,
        cluster: &Cluster,
        node: &Node,
        writes: u64,
    ) -> Option<(bool, String)> {
        let access = self.secrets.access(node).ok()?;
        let drops_them = self
            .engines
            .of(cluster.engine)
            .compares_histories(&access)
            .await
            .ok()?;
        let what = format!(
            "{} was a master and has {writes} writes that its successor does not have",
            node.addr
        );
        let text = if drops_them {
            format!("{what}: it drops them as it becomes a replica")
        } else {
            format!(
                "{what}, and would keep them: it is not trusted as a master until it was resynchronised; \
                 stop it, empty its data directory, set `use-rsid-psync yes` and start it again"
            )
        };
        Some((!drops_them, text))
    }
}

/// The nodes of which the probes say something new. `before` is how far a node's data went one probe ago.
fn findings<'a>(
    cluster: &'a Cluster,
    seen: &[Seen],
    before: impl Fn(&NodeId) -> Option<u64>,
) -> Vec<(&'a Node, Finding)> {
    let now = |id: &NodeId| {
        let mut nodes = cluster.nodes().zip(seen);
        let (_, seen) = nodes.find(|((_, node), _)| node.id == *id)?;
        Some(seen.as_ref().ok()?.sequence)
    };
    let nodes = cluster.nodes().zip(seen);
    let about = nodes.filter_map(|((index, node), seen)| {
        let probe = seen.as_ref().ok()?;
        if probe.standing == Standing::Outside && probe.sequence == 0 {
            let is_news = node.needs_resync || node.has_synced;
            return is_news.then_some((node, Finding::Fresh));
        }
        if !node.has_synced && node.role == Role::Slave && is_following(cluster, probe) {
            let master = cluster.shards[index].master()?;
            let at = now(&master.id)?;
            let goal = before(&master.id).unwrap_or(at).min(at);
            return (probe.is_linked && probe.sequence >= goal)
                .then_some((node, Finding::CaughtUp));
        }
        if node.needs_resync {
            return None;
        }
        let forked_at = cluster.shards[index].forked_at?;
        // It still says that it is a master: it has come back, and has not been told yet.
        let was_master = node.role == Role::Slave && probe.role == Role::Master;
        let more = probe
            .sequence
            .checked_sub(forked_at)
            .filter(|more| *more > 0)?;
        (was_master && matches!(probe.standing, Standing::At(_)))
            .then_some((node, Finding::Ahead(more)))
    });
    about.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{NodeError, Probe};
    use crate::model::samples::cluster;

    fn says(standing: Standing, role: Role, sequence: u64) -> Seen {
        Ok(Probe {
            id: None,
            standing,
            role,
            is_linked: role == Role::Slave,
            sequence,
        })
    }

    #[test]
    fn a_former_master_that_goes_further_than_its_successor_did_has_diverged() {
        let mut cluster = cluster(1, 2);
        let replica = cluster.shards[0].nodes[1].id.clone();
        cluster.promote(0, &replica, Some(100)).unwrap();
        let successor = || says(Standing::At(2), Role::Master, 150);
        let found = |cluster: &Cluster, old: Seen| {
            let found = findings(cluster, &[old, successor()], |_| None);
            found.into_iter().next().map(|(_, finding)| finding)
        };
        let back = |sequence| says(Standing::At(1), Role::Master, sequence);
        assert_eq!(found(&cluster, back(100)), None);
        assert_eq!(found(&cluster, back(103)), Some(Finding::Ahead(3)));
        let replica = says(Standing::At(2), Role::Slave, 150);
        assert_eq!(
            found(&cluster, replica),
            Some(Finding::CaughtUp),
            "it follows"
        );
        let gone = Err(NodeError::Unreachable("gone".into()));
        assert_eq!(found(&cluster, gone), None);

        let id = cluster.shards[0].nodes[0].id.clone();
        cluster.change_node(&id, |node| node.needs_resync = true);
        assert_eq!(found(&cluster, back(103)), None, "that is known");
        let emptied = says(Standing::Outside, Role::Master, 0);
        assert_eq!(found(&cluster, emptied), Some(Finding::Fresh));
    }

    #[test]
    fn without_a_failover_nobody_has_diverged() {
        let cluster = cluster(1, 2);
        let seen = [
            says(Standing::At(1), Role::Master, 9),
            says(Standing::At(1), Role::Master, 99),
        ];
        assert!(findings(&cluster, &seen, |_| None).is_empty());
    }

    #[test]
    fn a_replica_counts_once_it_had_what_its_master_had() {
        let mut cluster = cluster(1, 2);
        cluster.shards[0].nodes[1].has_synced = false;
        let seen = |sequence| {
            [
                says(Standing::At(1), Role::Master, 100),
                says(Standing::At(1), Role::Slave, sequence),
            ]
        };
        let found = |seen: &[Seen], before: Option<u64>| findings(&cluster, seen, |_| before).len();
        assert_eq!(found(&seen(90), Some(90)), 1);
        assert_eq!(found(&seen(89), Some(90)), 0);
        assert_eq!(found(&seen(0), Some(0)), 1, "there is nothing to have");
        assert_eq!(found(&seen(99), None), 0);
        assert_eq!(found(&seen(100), None), 1, "as much as it has now");
        let alone = [
            Err(NodeError::Unreachable("gone".into())),
            says(Standing::At(1), Role::Slave, 100),
        ];
        assert_eq!(found(&alone, None), 0, "nobody knows what the master had");
        let elsewhere = [
            says(Standing::At(1), Role::Master, 100),
            says(Standing::Outside, Role::Master, 100),
        ];
        assert_eq!(found(&elsewhere, Some(90)), 0);
    }
}
