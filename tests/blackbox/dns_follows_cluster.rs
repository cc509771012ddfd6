//! DNS records that follow the masters and replicas of a cluster of real servers, each at an address of
//! its own, answered by the members themselves.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use portolan_tests::{
    Client, Daemon, Flavour, RedisOptions, RedisServer, Resp, Setup, dig, eventually,
    eventually_within,
};
use serde_json::{Value, json};

use crate::dns::{bind, in_sync};
use crate::stage::RealStage;

const ZONE: &str = "db.test";
const SHARDS: usize = 3;
/// Zones are compared so seldom that only the topology itself can move a record.
const CONFIG: &str = "[steering]\ninterval_ms = 600000\n";
/// How long a record may take once the topology in the store has changed. Two seconds are promised; a
/// busy machine gets more.
const FOLLOWS_WITHIN: Duration = Duration::from_secs(10);

/// Three shards of a master and a replica, and for each of them a service that follows its master and
/// one that follows its replica; `masters` and `replicas` follow those of all shards.
async fn stage() -> RealStage {
    let mut nodes = vec![];
    for host in 0..2 * SHARDS {
        let options = RedisOptions {
            host: Ipv4Addr::new(127, 66, 0, host as u8 + 1),
            ..RedisOptions::new(Flavour::Valkey9)
        };
        nodes.push(RedisServer::start(options).await);
    }
    let setup = Setup {
        config: CONFIG.into(),
        dns: true,
        ..Setup::default()
    };
    let stage = RealStage::of(setup, nodes, 2).await;
    let client = stage.client();
    bind(
        &client,
        "here",
        &json!({"plugin": "local", "zones": [ZONE]}),
    )
    .await;
    for shard in 0..SHARDS {
        let of_shard = |role| json!({"shard": shard, "role": role});
        follow(&client, &format!("master{shard}"), of_shard("master")).await;
        follow(&client, &format!("replica{shard}"), of_shard("replica")).await;
    }
    follow(&client, "masters", json!({})).await;
    follow(&client, "replicas", json!({"role": "replica"})).await;
    in_sync(&client, ZONE).await;
    stage
}

/// Adds a service whose record follows nodes of the cluster.
async fn follow(client: &Client, record: &str, which: Value) {
    let mut target = json!({"namespace": "ns", "cluster": "c"});
    for (field, value) in which.as_object().unwrap() {
        target[field] = value.clone();
    }
    let service = json!({
        "zone": ZONE, "record": record, "types": ["A"], "ttl": 5, "target": target,
    });
    let path = format!("/api/v1/dns/services/{record}");
    let reply = client.put(&path, &service).await;
    assert_eq!(reply.status, 200, "{}", reply.body);
}

impl RealStage {
    /// The addresses of the nodes with a role, shard after shard, as the store has them.
    async fn at(&self, role: &str) -> Vec<String> {
        let shards = self.shards().await;
        let nodes = shards
            .iter()
            .flat_map(|shard| shard["nodes"].as_array().unwrap());
        let nodes = nodes.filter(|node| node["role"] == role);
        let addrs = nodes.map(|node| node["addr"].as_str().unwrap());
        addrs.map(|addr| host(addr).to_owned()).collect()
    }

    /// Waits until every member answers every record as the store has the cluster.
    async fn records_agree(&self) {
        let (masters, replicas) = (self.at("master").await, self.at("slave").await);
        for server in self.group.members.iter().map(Daemon::dns_address) {
            for shard in 0..SHARDS {
                let name = |role: &str| format!("{role}{shard}");
                answers(server, &name("master"), &masters[shard..=shard]).await;
                answers(server, &name("replica"), &replicas[shard..=shard]).await;
            }
            answers(server, "masters", &masters).await;
            answers(server, "replicas", &replicas).await;
        }
    }

    /// Waits until the store has another master than `old` in a shard; then until all members answer with
    /// it. Says how long after the change of the store that was.
    async fn follows(&self, shard: usize, old: &str) -> (String, Duration) {
        let new = eventually("the store has another master", async || {
            match self.master(shard).await? {
                master if master == old => Err(format!("{master} still is")),
                master => Ok(master),
            }
        })
        .await;
        let wanted = [host(&new).to_owned()];
        for server in self.group.members.iter().map(Daemon::dns_address) {
            answers(server, &format!("master{shard}"), &wanted).await;
        }
        let answered = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let event = self.event("failover").await;
        let text = event["text"].as_str().unwrap();
        assert!(text.starts_with(&new), "{text}");
        let changed = Duration::from_millis(event["at_ms"].as_u64().unwrap());
        (new, answered.saturating_sub(changed))
    }
}

/// Waits until a member answers with these addresses.
async fn answers(server: SocketAddr, record: &str, wanted: &[String]) {
    let mut wanted = wanted.to_vec();
    wanted.sort();
    let name = format!("{record}.{ZONE}");
    let what = format!("{server} answers {name} with {wanted:?}");
    eventually_within(FOLLOWS_WITHIN, &what, async || {
        match dig(server, &name, "A") {
            found if found == wanted => Ok(()),
            found => Err(format!("{found:?}")),
        }
    })
    .await;
}

/// An address without its port.
fn host(addr: &str) -> &str {
    addr.rsplit_once(':').unwrap().0
}

#[tokio::test]
async fn dns_follows_a_cluster_whose_masters_die() {
    let mut stage = stage().await;
    stage.records_agree().await;
    let first = stage.at("master").await;
    let second = stage.at("slave").await;
    for (shard, replica) in second.iter().enumerate() {
        let old = stage.master(shard).await.unwrap();
        stage.server(&old).kill();
        let (new, after) = stage.follows(shard, &old).await;
        assert_eq!(host(&new), replica);
        println!("{old} died: DNS said {new} {after:.0?} after the store did");
    }
    // As in the store, each dead master is a replica now, of the one that it is to follow.
    assert_eq!(stage.at("slave").await, first);
    stage.records_agree().await;
}

#[tokio::test]
async fn dns_follows_a_cluster_whose_nodes_fail_over_by_themselves() {
    let mut stage = stage().await;
    for _ in 0..2 {
        let old = stage.master(1).await.unwrap();
        let replica = stage.at("slave").await[1].clone();
        let mut nodes = stage.nodes.iter();
        let node = nodes.find(|node| node.host().to_string() == replica);
        let node = node.unwrap().addr();
        let server = stage.server(&node);
        // Past the daemon, and without the votes that a cluster this young may not have yet.
        let reply = server.call(&["CLUSTER", "FAILOVER", "TAKEOVER"]).await;
        assert_eq!(reply, Resp::ok());
        let (new, after) = stage.follows(1, &old).await;
        assert_eq!(new, node, "their failover was not undone");
        println!("{old} stepped back: DNS said {new} {after:.0?} after the store did");
        stage.records_agree().await;
    }
    assert_eq!(stage.count_events("failover").await, 2);
}
