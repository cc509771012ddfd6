//! How many nodes one core probes in a second: the whole way from a stored cluster to what each node
//! said, passwords opened, with twins instead of servers, so that no network is measured.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use portolan_consensus::documents::decode;
use portolan_consensus::{Consistency, Limits, Member, Options, RaftOptions, Space, StartMode};
use portolan_shards::engine::Engines;
use portolan_shards::twin::Twin;
use portolan_shards::{Cluster, NewCluster, NewNodes, NoPolicies, Shards, ShardsOptions};
use prometheus::Registry;
use serde::Serialize;

const CLUSTERS: usize = 10;
const NODES_PER_CLUSTER: usize = 1_000;
const NODES_PER_SHARD: usize = 2;
const NAMESPACE: &str = "bench";
const PASSWORD: &str = "a password";
/// Rounds over all nodes: some to warm up, and those that are measured.
const WARM_UP: usize = 3;
const ROUNDS: usize = 50;

/// Probing on one core.
#[derive(Debug, Serialize)]
pub(crate) struct Probe {
    pub(crate) nodes: usize,
    /// Nodes per second of CPU time.
    pub(crate) per_second: f64,
}

pub(crate) async fn measure(directory: &Path) -> Probe {
    let data = directory.join("probe");
    let _ = fs::remove_dir_all(&data);
    let options = Options {
        id: None,
        advertise: "127.0.0.1:8420".to_owned(),
        data: data.clone(),
        start: StartMode::Bootstrap,
        raft: RaftOptions::default(),
        limits: Limits::default(),
        registry: prometheus::Registry::new(),
    };
    let member = Member::start(options).await.expect("start a member");
    let twin = Twin::network();
    let engines = Engines::only(twin.clone());
    let options = ShardsOptions::default();
    let policies = Arc::new(NoPolicies);
    let shards = Shards::new(member.clone(), engines, policies, options, &Registry::new());
    let shards = shards.expect("make the service");
    let made = shards.create_namespace(NAMESPACE).await;
    made.expect("create a namespace");
    let mut clusters = vec![];
    for number in 0..CLUSTERS {
        clusters.push(cluster(&shards, &member, &twin, number).await);
    }
    // The store's own threads are not in what is measured.
    let probing = thread::spawn(move || probe(&shards, &clusters));
    let per_second = probing.join().expect("the probing thread");
    member.shutdown().await.expect("stop the member");
    let _ = fs::remove_dir_all(&data);
    Probe {
        nodes: CLUSTERS * NODES_PER_CLUSTER,
        per_second,
    }
}

/// Makes a cluster, and reads it back from the store.
async fn cluster(shards: &Arc<Shards>, member: &Member, twin: &Twin, number: usize) -> Cluster {
    let name = format!("c{number}");
    let nodes = (0..NODES_PER_CLUSTER).map(|_| twin.start(PASSWORD).addr.to_string());
    let wanted = NewCluster {
        name: name.clone(),
        nodes: NewNodes {
            nodes: nodes.collect(),
            password: PASSWORD.to_owned().into(),
        },
        replicas: NODES_PER_SHARD,
        engine: None,
    };
    let push = shards.create_cluster(NAMESPACE, wanted).await;
    let push = push.expect("create a cluster");
    assert!(push.failed.is_empty(), "{:?}", push.failed);
    let key = format!("cluster/{NAMESPACE}/{name}");
    let record = member.get(Space::Shards, &key, Consistency::Linearizable);
    let record = record.await.expect("read the store").expect("the cluster");
    decode(&key, &record.value).expect("a cluster")
}

/// Nodes per second of this thread's CPU time.
fn probe(shards: &Shards, clusters: &[Cluster]) -> f64 {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let round = || {
        runtime.block_on(async {
            for cluster in clusters {
                let answered = shards.probe_round(cluster).await;
                assert_eq!(answered, NODES_PER_CLUSTER, "some nodes did not answer");
            }
        });
    };
    (0..WARM_UP).for_each(|_| round());
    let before = thread_cpu_seconds();
    (0..ROUNDS).for_each(|_| round());
    let nodes = ROUNDS * clusters.len() * NODES_PER_CLUSTER;
    nodes as f64 / (thread_cpu_seconds() - before)
}

/// CPU seconds of the calling thread so far, exact to less than a tick.
fn thread_cpu_seconds() -> f64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").expect("read schedstat");
    let nanoseconds = text
        .split(' ')
        .next()
        .and_then(|field| field.parse::<f64>().ok());
    nanoseconds.expect("nanoseconds on the CPU") / 1e9
}
