//! The stage of the stories about clusters: three members, and a cluster of stand-ins.

use portolan_tests::{Client, Cluster, Kvrocks, KvrocksNode, KvrocksOptions, eventually};
use serde_json::{Value, json};

/// The cluster's path.
pub(crate) const CLUSTER: &str = "/api/v1/namespaces/ns/clusters/c";

/// Three members, and the cluster `c` in the namespace `ns`.
pub(crate) struct Stage {
    pub(crate) group: Cluster,
    pub(crate) net: Kvrocks,
    pub(crate) nodes: Vec<KvrocksNode>,
}

impl Stage {
    /// Shards of so many nodes each, which compare histories before they follow a master.
    pub(crate) async fn new(shards: usize, per_shard: usize) -> Self {
        let group = Cluster::start().await;
        let net = Kvrocks::network();
        let mut nodes = vec![];
        for _ in 0..shards * per_shard {
            let options = KvrocksOptions {
                rsid_psync: true,
                ..KvrocksOptions::default()
            };
            nodes.push(net.start_with(options).await);
        }
        let stage = Self { group, net, nodes };
        let client = stage.client();
        client
            .post("/api/v1/namespaces", &json!({"namespace": "ns"}))
            .await;
        let addrs: Vec<String> = stage.nodes.iter().map(KvrocksNode::addr).collect();
        let create = json!({"name": "c", "nodes": addrs, "replicas": per_shard});
        let reply = client.post("/api/v1/namespaces/ns/clusters", &create).await;
        assert_eq!(reply.status, 201, "{}", reply.complaint());
        stage
    }

    /// A client of a member that runs.
    pub(crate) fn client(&self) -> Client {
        let running = self.group.running();
        self.group.client(running[0])
    }

    /// Waits for an event of this kind; the newest.
    pub(crate) async fn event(&self, kind: &str) -> Value {
        eventually(&format!("an event {kind}"), async || {
            let path = format!("{CLUSTER}/events");
            let reply = self.client().send("GET", &path, &[], "").await?;
            let events = reply.json()["data"]["events"].clone();
            let events = events.as_array().ok_or("no events")?;
            let found = events.iter().rev().find(|event| event["kind"] == kind);
            found.cloned().ok_or_else(|| format!("{events:?}"))
        })
        .await
    }
}
