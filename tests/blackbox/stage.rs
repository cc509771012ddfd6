//! The stage of the stories about clusters: three members, and a cluster of nodes.

use portolan_tests::{
    Client, Cluster, Flavour, Kvrocks, KvrocksNode, KvrocksOptions, RedisOptions, RedisServer,
    Setup, built_plugins, eventually,
};
use serde_json::{Value, json};

/// The cluster's path.
pub(crate) const CLUSTER: &str = "/api/v1/namespaces/ns/clusters/c";

/// Three members, and the cluster `c` in the namespace `ns`: of stand-ins for Kvrocks in a network, if
/// nothing else is said.
pub(crate) struct Stage<N = KvrocksNode, W = Kvrocks> {
    pub(crate) group: Cluster,
    pub(crate) net: W,
    pub(crate) nodes: Vec<N>,
}

/// A stage with real servers.
pub(crate) type RealStage = Stage<RedisServer, ()>;

impl Stage {
    /// Shards of so many nodes each, which compare histories before they follow a master.
    pub(crate) async fn new(shards: usize, per_shard: usize) -> Self {
        Self::with(shards, per_shard, true).await
    }

    /// The same; whether they compare histories is said.
    pub(crate) async fn with(shards: usize, per_shard: usize, rsid_psync: bool) -> Self {
        let net = Kvrocks::network();
        let mut nodes = vec![];
        for _ in 0..shards * per_shard {
            let options = KvrocksOptions {
                rsid_psync,
                ..KvrocksOptions::default()
            };
            nodes.push(net.start_with(options).await);
        }
        let addrs = nodes.iter().map(KvrocksNode::addr).collect();
        let group = group_with_cluster(with_plugins(), addrs, per_shard).await;
        Self { group, net, nodes }
    }
}

impl RealStage {
    /// Shards of so many nodes each.
    pub(crate) async fn real(flavour: Flavour, shards: usize, per_shard: usize) -> Self {
        let options = RedisOptions::new(flavour);
        let nodes = RedisServer::start_many(shards * per_shard, &options).await;
        Self::of(with_plugins(), nodes, per_shard).await
    }

    /// A group with this setup, and a cluster of these servers.
    pub(crate) async fn of(setup: Setup, nodes: Vec<RedisServer>, per_shard: usize) -> Self {
        let group = group_with_cluster(setup, addrs(&nodes), per_shard).await;
        Self {
            group,
            net: (),
            nodes,
        }
    }

    /// Where the servers are.
    pub(crate) fn seeds(&self) -> Vec<String> {
        addrs(&self.nodes)
    }

    /// The server at an address.
    pub(crate) fn server(&mut self, addr: &str) -> &mut RedisServer {
        let mut nodes = self.nodes.iter_mut();
        let found = nodes.find(|node| node.addr() == addr);
        found.unwrap_or_else(|| panic!("no server at {addr}"))
    }
}

fn addrs(nodes: &[RedisServer]) -> Vec<String> {
    nodes.iter().map(RedisServer::addr).collect()
}

fn with_plugins() -> Setup {
    Setup {
        plugins: Some(built_plugins()),
        ..Setup::default()
    }
}

async fn group_with_cluster(setup: Setup, nodes: Vec<String>, per_shard: usize) -> Cluster {
    let group = Cluster::start_with(setup).await;
    let client = group.client(group.running()[0]);
    client
        .post("/api/v1/namespaces", &json!({"namespace": "ns"}))
        .await;
    let create = json!({"name": "c", "nodes": nodes, "replicas": per_shard});
    let reply = client.post("/api/v1/namespaces/ns/clusters", &create).await;
    assert_eq!(reply.status, 201, "{}", reply.complaint());
    assert_eq!(reply.json()["pushed"]["failed"], json!([]));
    group
}

impl<N, W> Stage<N, W> {
    /// A client of a member that runs.
    pub(crate) fn client(&self) -> Client {
        let running = self.group.running();
        self.group.client(running[0])
    }

    /// All events so far.
    pub(crate) async fn events(&self) -> Result<Vec<Value>, String> {
        let path = format!("{CLUSTER}/events");
        let reply = self.client().send("GET", &path, &[], "").await?;
        let events = reply.json()["data"]["events"].clone();
        events.as_array().cloned().ok_or("no events".to_owned())
    }

    /// Waits for an event of this kind; the newest.
    pub(crate) async fn event(&self, kind: &str) -> Value {
        eventually(&format!("an event {kind}"), async || {
            let events = self.events().await?;
            let found = events.iter().rev().find(|event| event["kind"] == kind);
            found.cloned().ok_or_else(|| format!("{events:?}"))
        })
        .await
    }

    /// How many events of this kind there are.
    pub(crate) async fn count_events(&self, kind: &str) -> usize {
        let events = self.events().await.unwrap();
        events.iter().filter(|event| event["kind"] == kind).count()
    }

    /// The shards, as the store has them.
    pub(crate) async fn shards(&self) -> Vec<Value> {
        let reply = self.client().get(&format!("{CLUSTER}/shards")).await;
        reply.json()["data"]["shards"].as_array().unwrap().clone()
    }

    /// The address of a shard's master, as the store has it.
    pub(crate) async fn master(&self, shard: usize) -> Result<String, String> {
        let path = format!("{CLUSTER}/shards/{shard}/nodes");
        let reply = self.client().send("GET", &path, &[], "").await?;
        let nodes = reply.json()["data"]["nodes"].clone();
        let nodes = nodes.as_array().ok_or("no nodes")?;
        let master = nodes.iter().find(|node| node["role"] == "master");
        let addr = master.and_then(|node| node["addr"].as_str());
        addr.map(str::to_owned).ok_or_else(|| format!("{nodes:?}"))
    }

    /// Asks for a migration, and answers the ids.
    pub(crate) async fn migrate(&self, body: Value) -> Vec<u64> {
        let reply = self
            .client()
            .post(&format!("{CLUSTER}/migrate"), &body)
            .await;
        assert_eq!(reply.status, 200, "{body}: {}", reply.complaint());
        assert_eq!(reply.json()["data"], "ok");
        let ids = reply.json()["migrations"].clone();
        let ids = ids.as_array().unwrap().iter();
        ids.map(|id| id.as_u64().unwrap()).collect()
    }

    /// A migration.
    pub(crate) async fn job(&self, id: u64) -> Result<Value, String> {
        let path = format!("{CLUSTER}/migrations");
        let reply = self.client().send("GET", &path, &[], "").await?;
        let jobs = reply.json()["data"]["migrations"].clone();
        let jobs = jobs.as_array().ok_or("no migrations")?;
        let job = jobs.iter().find(|job| job["id"] == id).cloned();
        job.ok_or_else(|| format!("{jobs:?}"))
    }

    /// Waits until a migration is in this state.
    pub(crate) async fn job_is(&self, id: u64, state: &str) -> Value {
        eventually(&format!("migration {id} is {state}"), async || {
            let job = self.job(id).await?;
            if job["state"] == state {
                Ok(job)
            } else {
                Err(job.to_string())
            }
        })
        .await
    }
}
