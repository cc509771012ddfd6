//! What the leader does by itself: probes every node, replaces masters that are down, and gives nodes
//! the topology that they do not have.

mod data;
mod failover;
mod follow;
mod goodbye;
mod heal;
mod health;
mod migrate;
mod reach;
mod rebalance;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use portolan_consensus::Consistency;
use portolan_consensus::documents::Stored;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

pub(crate) use self::failover::{Refusal, is_following, most_advanced};
use self::heal::Mending;
use self::health::Health;
pub(crate) use self::health::Seen;
use crate::engine::NodeError;
use crate::error::ShardsError;
use crate::keys;
use crate::model::{Cluster, Node};
use crate::names::NodeId;
use crate::service::{Place, Shards};

/// How often the store is asked for clusters that are new.
const LOOK_FOR_CLUSTERS: Duration = Duration::from_millis(500);
/// How long what runs may take to end when leadership or the daemon does.
const WIND_UP: Duration = Duration::from_secs(3);

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
            term.run_until_cancelled(sleep(LOOK_FOR_CLUSTERS)).await;
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
    async fn watch(self: Arc<Self>, place: Place, term: CancellationToken) {
        let ended = term.child_token();
        let migrations = self.carry_migrations(&place, ended.clone());
        let balance = self.balance(&place, ended.clone());
        let goodbyes = self.say_goodbye(&place, ended.clone());
        let nodes = async {
            self.watch_nodes(&place, &term).await;
            ended.cancel();
        };
        tokio::join!(nodes, migrations, balance, goodbyes);
        self.meter.forget(&place);
    }

    async fn watch_nodes(self: &Arc<Self>, place: &Place, term: &CancellationToken) {
        let (mut health, mut mending) = (Health::default(), Mending::default());
        let mut interval = self.options.probe_interval();
        while !term.is_cancelled() {
            match self.here(place).await {
                Ok(Some(stored)) => {
                    interval = self
                        .options
                        .with(&stored.document.settings)
                        .probe_interval();
                    self.tend(place, stored, &mut health, &mut mending).await;
                }
                Ok(None) => return,
                Err(error) => {
                    tracing::warn!(%error, cluster = %place.1, "the cluster cannot be read")
                }
            }
            // Not all clusters at the same moment.
            let jitter = interval.mul_f64(rand::random_range(-0.1..0.1_f64).abs());
            term.run_until_cancelled(sleep(interval - jitter)).await;
        }
    }

    /// A cluster as this member has it. On the leader that is never behind what a node was told.
    pub(crate) async fn here(&self, place: &Place) -> Result<Option<Stored<Cluster>>, ShardsError> {
        let key = keys::cluster(&place.0, &place.1);
        Ok(self.documents.load(&key, Consistency::Stale).await?)
    }

    async fn tend(
        self: &Arc<Self>,
        place: &Place,
        stored: Stored<Cluster>,
        health: &mut Health,
        mending: &mut Mending,
    ) {
        let seen = self.probe_all(&stored.document).await;
        let probed = stored;
        let Ok(Some(stored)) = self.here(place).await else {
            return;
        };
        let ids = |cluster: &Cluster| -> Vec<NodeId> {
            cluster.nodes().map(|(_, node)| node.id.clone()).collect()
        };
        if ids(&probed.document) != ids(&stored.document) {
            return;
        }
        let current = stored.modified;
        // Otherwise nodes may have been told meanwhile, and what they said was true before that.
        let is_settled = current == probed.modified;
        let options = self.options.with(&stored.document.settings);
        health.notice(&stored.document, &seen, options.failover_after);
        let up = seen.iter().filter(|seen| seen.is_ok()).count();
        self.meter.probed(place, up, seen.len() - up);
        let stored = self.follow_nodes(place, stored, &seen).await;
        let stored = self.note_data(place, stored, &seen, health).await;
        let stored = self.replace_masters(place, stored, &seen, health).await;
        if is_settled || stored.modified != current {
            self.heal(place, &stored, &seen, health, mending).await;
        }
        let events = health.take_events();
        if !events.is_empty()
            && let Err(error) = self.record(place, &events).await
        {
            tracing::warn!(%error, cluster = %place.1, "events could not be stored");
            health.give_back(events);
        }
    }

    /// Probes all nodes at once; answers in the order of [`Cluster::nodes`].
    pub(crate) async fn probe_all(&self, cluster: &Cluster) -> Vec<health::Seen> {
        let probes = cluster.nodes().map(|(_, node)| self.probe(cluster, node));
        futures_util::future::join_all(probes).await
    }

    pub(crate) async fn probe(&self, cluster: &Cluster, node: &Node) -> health::Seen {
        let access = self
            .secrets
            .access(node)
            .map_err(|error| NodeError::Password(error.to_string()))?;
        let probe = self.engines.of(cluster.engine).probe(&access);
        let patience = self.options.with(&cluster.settings).probe_timeout();
        match timeout(patience, probe).await {
            Ok(answer) => answer,
            Err(_) => Err(NodeError::Unreachable(format!(
                "no answer within {} ms",
                patience.as_millis()
            ))),
        }
    }

    /// Probes all nodes of a cluster once, and says how many answered. The benchmark's way in.
    #[doc(hidden)]
    pub async fn probe_round(&self, cluster: &Cluster) -> usize {
        let seen = self.probe_all(cluster).await;
        seen.iter().filter(|seen| seen.is_ok()).count()
    }
}
