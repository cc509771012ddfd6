//! A store, the control loop on top, and twins below.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use portolan_consensus::documents::decode;
use portolan_consensus::{Consistency, Limits, Member, Options, RaftOptions, Space, StartMode};
use portolan_shards::engine::Engines;
use portolan_shards::twin::Twin;
use portolan_shards::{Cluster, NoPolicies, NodeAddr, Shards, ShardsOptions};
use prometheus::Registry;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A call to a node that hangs gives up after this.
const PATIENCE: Duration = Duration::from_millis(100);

pub(crate) const NAMESPACE: &str = "ns";
pub(crate) const CLUSTER: &str = "c";
pub(crate) const CLUSTER_KEY: &str = "cluster/ns/c";

pub(crate) struct Stage {
    pub(crate) member: Member,
    pub(crate) twin: Arc<Twin>,
    pub(crate) shards: Mutex<Arc<Shards>>,
    worker: Mutex<Option<(CancellationToken, JoinHandle<()>)>>,
    _data: TempDir,
}

impl Stage {
    pub(crate) async fn new() -> Self {
        let data = TempDir::new().unwrap();
        let options = Options {
            id: None,
            advertise: "127.0.0.1:8420".to_owned(),
            data: data.path().to_owned(),
            start: StartMode::Bootstrap,
            raft: RaftOptions::default(),
            limits: Limits::default(),
            registry: Registry::new(),
        };
        let member = Member::start(options).await.unwrap();
        let twin = Twin::patient(PATIENCE);
        let shards = shards_on(&member, &twin);
        Self {
            member,
            twin,
            shards: Mutex::new(shards),
            worker: Mutex::default(),
            _data: data,
        }
    }

    pub(crate) fn shards(&self) -> Arc<Shards> {
        self.shards.lock().clone()
    }

    /// Starts the control loop.
    pub(crate) fn work(&self) {
        let stop = CancellationToken::new();
        let worker = tokio::spawn(self.shards().run(stop.clone()));
        *self.worker.lock() = Some((stop, worker));
    }

    /// Ends the control loop: wherever it is, it is gone.
    pub(crate) async fn cut_off(&self) {
        let worker = self.worker.lock().take();
        if let Some((stop, worker)) = worker {
            worker.abort();
            let _ = worker.await;
            stop.cancel();
        }
    }

    /// Another control loop that knows nothing but the store, as after the death of the one before.
    pub(crate) async fn succeed(&self) {
        self.cut_off().await;
        *self.shards.lock() = shards_on(&self.member, &self.twin);
        self.work();
    }

    /// The topology that stands in the store.
    pub(crate) async fn stored(&self) -> Cluster {
        let record = self
            .member
            .get(Space::Shards, CLUSTER_KEY, Consistency::Stale)
            .await
            .unwrap()
            .expect("the cluster is never deleted");
        decode(CLUSTER_KEY, &record.value).unwrap()
    }

    pub(crate) async fn end(&self) {
        self.cut_off().await;
        let _ = self.member.shutdown().await;
    }
}

fn shards_on(member: &Member, twin: &Arc<Twin>) -> Arc<Shards> {
    let options = ShardsOptions {
        probe_interval_ms: 10,
        probe_timeout_ms: 30,
        failover_after: 3,
        ..ShardsOptions::default()
    };
    Shards::new(
        member.clone(),
        Engines::only(twin.clone()),
        Arc::new(NoPolicies),
        options,
        &Registry::new(),
    )
    .unwrap()
}

/// The addresses of a shard.
pub(crate) fn addrs(cluster: &Cluster, shard: usize) -> Vec<NodeAddr> {
    let nodes = cluster.shards[shard].nodes.iter();
    nodes.map(|node| node.addr.clone()).collect()
}
