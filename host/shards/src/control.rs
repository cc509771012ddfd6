//! What the leader does by itself: probes every node, replaces masters that are down, and gives nodes
//! the topology that they do not have.

mod failover;
mod heal;
mod health;
mod migrate;
mod reach;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use portolan_consensus::Consistency;
use portolan_consensus::documents::Stored;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use self::health::Health;
use crate::engine::NodeError;
use crate::error::ShardsError;
use crate::keys;
use crate::model::{Cluster, Node};
use crate::names::Name;
use crate::service::Shards;

/// How often the store is asked for clusters that are new.
const LOOK_FOR_CLUSTERS: Duration = Duration::from_millis(500);
/// How long what runs may take to end when leadership or the daemon does.
const WIND_UP: Duration = Duration::from_secs(3);

/// A namespace and a cluster in it.
pub(crate) type Place = (Name, Name);

impl Shards {
    /// Answers other members' questions, and keeps the clusters whenever this member leads, until
    /// `shutdown`.
    pub async fn run(self: Arc<Self>, shutdown: CancellationToken) {
        self.answer_reach();
        let work = |term| Arc::clone(&self).control(term);
        let member = self.member.clone();
        member
            .while_leading("sharded clusters", shutdown, work)
            .await;
    }

    async fn control(self: Arc<Self>, term: CancellationToken) {
        let mut watched: HashMap<Place, AbortHandle> = HashMap::new();
        let mut tasks = JoinSet::new();
        while !term.is_cancelled() {
            match self.places().await {
                Ok(places) => {
                    watched.retain(|_, task| !task.is_finished());
                    for place in places {
                        watched.entry(place).or_insert_with_key(|place| {
                            let (shards, place, term) = (self.clone(), place.clone(), term.clone());
                            tasks.spawn(async move { shards.watch(place, term).await })
                        });
                    }
                }
                Err(error) => tracing::warn!(%error, "the clusters could not be read"),
            }
            // Tasks of clusters that are gone.
            while tasks.try_join_next().is_some() {}
            tokio::select! {
                () = term.cancelled() => break,
                () = sleep(LOOK_FOR_CLUSTERS) => {}
            }
        }
        let ended = async { while tasks.join_next().await.is_some() {} };
        if timeout(WIND_UP, ended).await.is_err() {
            tracing::warn!("a step on a cluster was cut off; the next leader takes it up");
        }
    }

    async fn places(&self) -> Result<Vec<Place>, ShardsError> {
        // Twice a second: what this member has is enough, and asks nobody.
        let (names, _) = self
            .documents
            .names(keys::CLUSTERS, Consistency::Stale)
            .await?;
        let places = names.iter().filter_map(|key| {
            let (namespace, cluster) = key.split_once('/')?;
            Some((namespace.parse().ok()?, cluster.parse().ok()?))
        });
        Ok(places.collect())
    }

    /// Tends one cluster until it is gone or this member leads no more.
    async fn watch(&self, place: Place, term: CancellationToken) {
        let mut health = Health::default();
        let interval = self.options.probe_interval();
        while !term.is_cancelled() {
            match self.here(&place).await {
                Ok(Some(stored)) => self.tend(&place, stored, &mut health).await,
                Ok(None) => return,
                Err(error) => {
                    tracing::warn!(%error, cluster = %place.1, "the cluster cannot be read")
                }
            }
            // Not all clusters at the same moment.
            let jitter = interval.mul_f64(rand::random_range(-0.1..0.1_f64).abs());
            tokio::select! {
                () = term.cancelled() => return,
                () = sleep(interval - jitter) => {}
            }
        }
    }

    /// A cluster as this member has it. On the leader that is never behind what a node was told.
    pub(crate) async fn here(&self, place: &Place) -> Result<Option<Stored<Cluster>>, ShardsError> {
        let key = keys::cluster(&place.0, &place.1);
        Ok(self.documents.load(&key, Consistency::Stale).await?)
    }

    async fn tend(&self, place: &Place, stored: Stored<Cluster>, health: &mut Health) {
        let seen = self.probe_all(&stored.document).await;
        let changed = match self.here(place).await {
            Ok(now) => now.is_none_or(|now| now.modified != stored.modified),
            Err(_) => true,
        };
        if changed {
            // The nodes may have been told meanwhile: what they said is to be compared with that.
            return;
        }
        health.notice(&stored.document, &seen, self.options.failover_after);
        let stored = self.replace_masters(place, stored, &seen, health).await;
        self.heal(&stored.document, &seen, health).await;
        let events = health.take_events();
        if !events.is_empty()
            && let Err(error) = self.record(place, &events).await
        {
            tracing::warn!(%error, cluster = %place.1, "events could not be stored");
            health.give_back(events);
        }
        self.migrate(place, stored).await;
    }

    /// Probes all nodes at once; answers in the order of [`Cluster::nodes`].
    async fn probe_all(&self, cluster: &Cluster) -> Vec<health::Seen> {
        let probes = cluster.nodes().map(|(_, node)| self.probe(node));
        futures_util::future::join_all(probes).await
    }

    pub(crate) async fn probe(&self, node: &Node) -> health::Seen {
        let access = self
            .secrets
            .access(node)
            .map_err(|error| NodeError::Password(error.to_string()))?;
        match timeout(self.options.probe_timeout(), self.engine.probe(&access)).await {
            Ok(answer) => answer,
            Err(_) => Err(NodeError::Unreachable(format!(
                "no answer within {} ms",
                self.options.probe_timeout().as_millis()
            ))),
        }
    }
}
