//! Clusters of real servers, Redis 7 and Valkey 9: made, imported, failed over, and their slots moved,
//! while an independent client writes and counts what it lost.

use std::collections::BTreeMap;
use std::time::Duration;

use portolan_tests::{
    ClusterClient, ClusterLoad, Flavour, RedisOptions, RedisServer, Resp, eventually, hash_slot,
    redis_cluster_by_hand,
};
use serde_json::{Value, json};

use crate::stage::{CLUSTER, RealStage};

/// More keys than a migration moves between two looks at it.
const KEYS: usize = 100_000;
/// How often each writer writes.
const PACE: Duration = Duration::from_millis(2);

impl RealStage {
    async fn load(&self) {
        let mut client = ClusterClient::new(&self.seeds(), None);
        let pairs = (0..KEYS).map(|n| (format!("key:{n}"), format!("value {n}")));
        client.pipeline_set(pairs).await.unwrap();
    }

    /// Every key has its value.
    async fn has_all(&self) {
        let mut client = ClusterClient::new(&self.seeds(), None);
        for n in (0..KEYS).step_by(7) {
            let key = format!("key:{n}");
            let value = client.get(&key).await.unwrap();
            assert_eq!(value, Some(format!("value {n}")), "{key}");
        }
        // And once only: no node has what another one serves.
        let mut sum = 0;
        for node in self.nodes.iter().filter(|node| node.is_running()) {
            if role(node).await == "master" {
                sum += node.call(&["DBSIZE"]).await.number();
            }
        }
        assert!(sum >= KEYS as i64, "{sum} keys are left");
    }

    /// All nodes that run agree with the store on who is a master and who has which slots.
    async fn nodes_agree(&self) {
        eventually("the nodes agree with the store", async || {
            let mut wanted = BTreeMap::new();
            for shard in self.shards().await {
                let nodes = shard["nodes"].as_array().unwrap();
                let master = nodes.iter().find(|node| node["role"] == "master").unwrap();
                let ranges = shard["slot_ranges"].as_array().cloned();
                let ranges: Vec<String> = ranges
                    .unwrap_or_default()
                    .iter()
                    .map(|range| range.as_str().unwrap().to_owned())
                    .collect();
                wanted.insert(master["id"].as_str().unwrap().to_owned(), ranges);
            }
            for node in self.nodes.iter().filter(|node| node.is_running()) {
                let text = node.call(&["CLUSTER", "NODES"]).await.text();
                let mut found = BTreeMap::new();
                for line in text.lines() {
                    let words: Vec<&str> = line.split(' ').collect();
                    if words[2].contains("master") && !words[2].contains("fail") {
                        let slots = words[8..].iter().map(|slot| (*slot).to_owned());
                        found.insert(words[0].to_owned(), slots.collect::<Vec<_>>());
                    }
                }
                if found != wanted {
                    return Err(format!("{} says {found:?}, not {wanted:?}", node.addr()));
                }
            }
            Ok(())
        })
        .await;
    }

    async fn failed_over_to(&self, shard: usize, old: &str) -> String {
        eventually("another node is the master", async || {
            let master = self.master(shard).await?;
            if master == old {
                return Err(format!("{master} still is"));
            }
            let node = self.nodes.iter().find(|node| node.addr() == master);
            match role(node.unwrap()).await.as_str() {
                "master" => Ok(master),
                role => Err(format!("{master} is a {role}")),
            }
        })
        .await
    }
}

/// What a server says that it is.
async fn role(server: &RedisServer) -> String {
    match server.call(&["ROLE"]).await {
        Resp::Array(items) => items[0].text(),
        other => panic!("{other:?}"),
    }
}

/// How many keys of `slots` a server has.
async fn keys_in(server: &RedisServer, slots: std::ops::Range<u16>) -> i64 {
    let mut client = server.client().await;
    let mut sum = 0;
    for slot in slots {
        let slot = slot.to_string();
        let count = client.call(&["CLUSTER", "COUNTKEYSINSLOT", &slot]).await;
        sum += count.number();
    }
    sum
}

/// A master dies under load: its replica takes over, what the client lost is counted, and the old master
/// comes back as a replica.
async fn a_master_dies_under_load(flavour: Flavour) {
    let mut stage = RealStage::real(flavour, 3, 2).await;
    stage.load().await;
    let load = ClusterLoad::start_every(&stage.seeds(), None, 8, PACE);
    load.goes_on_for(500).await;

    let old = stage.master(0).await.unwrap();
    stage.server(&old).kill();
    stage.failed_over_to(0, &old).await;
    load.goes_on_for(2_000).await;
    stage.server(&old).restart().await;
    stage.nodes_agree().await;
    load.goes_on_for(500).await;
    let report = load.stop().await;

    let losses = report.verify(&stage.seeds(), None).await;
    assert!(losses.wrong.is_empty(), "{losses:?}");
    // The replication is asynchronous: what the master acknowledged within its last moments may be
    // gone, once for each writer at most, since each waits for its answer before it writes again.
    println!(
        "{flavour}: {} of {} acknowledged writes lost, {} without an answer; {} ms without any",
        losses.lost.len(),
        report.acknowledged,
        report.unknown,
        report.longest_gap.as_millis()
    );
    assert!(losses.lost.len() <= 8, "{losses:?}");
    stage.has_all().await;
    assert_eq!(stage.count_events("failover").await, 1);
}

#[tokio::test]
async fn a_redis_master_dies_under_load() {
    a_master_dies_under_load(Flavour::Redis7).await;
}

#[tokio::test]
async fn a_valkey_master_dies_under_load() {
    a_master_dies_under_load(Flavour::Valkey9).await;
}

/// A failover by hand under load loses nothing at all.
async fn a_failover_by_hand_loses_nothing(flavour: Flavour) {
    let stage = RealStage::real(flavour, 3, 2).await;
    let load = ClusterLoad::start_every(&stage.seeds(), None, 8, PACE);
    load.goes_on_for(500).await;
    for _ in 0..2 {
        let path = format!("{CLUSTER}/shards/1/failover");
        // A replica that is still copying its master is refused, and nothing changes.
        eventually("the failover is carried out", async || {
            let reply = stage.client().post(&path, &json!({})).await;
            match reply.status {
                200 => Ok(()),
                409 => Err(reply.complaint()),
                other => panic!("{other}: {}", reply.complaint()),
            }
        })
        .await;
        load.goes_on_for(500).await;
    }
    stage.nodes_agree().await;
    let report = load.stop().await;
    let losses = report.verify(&stage.seeds(), None).await;
    assert!(losses.is_empty(), "{losses:?}");
}

#[tokio::test]
async fn a_redis_failover_by_hand_loses_nothing() {
    a_failover_by_hand_loses_nothing(Flavour::Redis7).await;
}

#[tokio::test]
async fn a_valkey_failover_by_hand_loses_nothing() {
    a_failover_by_hand_loses_nothing(Flavour::Valkey9).await;
}

/// A thousand slots go under load; another migration is cancelled in the middle.
async fn slots_move_under_load(flavour: Flavour) {
    let stage = RealStage::real(flavour, 3, 2).await;
    stage.load().await;
    let load = ClusterLoad::start_every(&stage.seeds(), None, 8, PACE);
    load.goes_on_for(500).await;
    let id = stage.migrate(json!({"target": 1, "slot": "0-999"})).await[0];
    let job = stage.job_is(id, "done").await;
    assert_eq!(job["slots_done"], 1_000, "{job}");
    load.goes_on_for(500).await;
    let shards = stage.shards().await;
    assert_eq!(shards[0]["slot_ranges"], json!(["1000-5460"]));
    assert_eq!(shards[1]["slot_ranges"], json!(["0-999", "5461-10921"]));
    stage.nodes_agree().await;
    assert_eq!(keys_in(&stage.nodes[0], 0..1_000).await, 0);

    // Cancelled in the middle: wherever the slots are then, each has one owner and all of its keys.
    let id = stage
        .migrate(json!({"target": 2, "slot": "1000-5460"}))
        .await[0];
    eventually("it is under way", async || {
        let job = stage.job(id).await?;
        let is_under_way = match flavour {
            Flavour::Redis7 => job["slots_done"].as_u64() > Some(0),
            Flavour::Valkey9 => job["state"] == "running" || job["state"] == "done",
        };
        if is_under_way {
            Ok(())
        } else {
            Err(job.to_string())
        }
    })
    .await;
    let path = format!("{CLUSTER}/migrations/{id}/cancel");
    let reply = stage.client().post(&path, &Value::Null).await;
    let job = eventually("it is over", async || {
        let job = stage.job(id).await?;
        match job["state"].as_str() {
            Some("cancelled" | "done") => Ok(job),
            _ => Err(job.to_string()),
        }
    })
    .await;
    let (state, moved) = (&job["state"], job["slots_done"].as_u64().unwrap());
    match flavour {
        Flavour::Redis7 => {
            assert_eq!(reply.status, 200, "{}", reply.complaint());
            assert_eq!(state, "cancelled", "{job}");
            assert!((1..4_461).contains(&moved), "{job}");
        }
        // All or nothing, and it may be faster than the request.
        Flavour::Valkey9 if state == "done" => assert_eq!(moved, 4_461, "{job}"),
        Flavour::Valkey9 => assert_eq!(moved, 0, "{job}"),
    }
    stage.nodes_agree().await;
    load.goes_on_for(500).await;
    let report = load.stop().await;
    let losses = report.verify(&stage.seeds(), None).await;
    assert!(losses.is_empty(), "{losses:?}");
    stage.has_all().await;
}

#[tokio::test]
async fn redis_slots_move_under_load() {
    slots_move_under_load(Flavour::Redis7).await;
}

#[tokio::test]
async fn valkey_slots_move_under_load() {
    slots_move_under_load(Flavour::Valkey9).await;
}

#[tokio::test]
async fn a_migration_by_hand_can_be_paused_and_goes_on_where_it_was() {
    let stage = RealStage::real(Flavour::Redis7, 2, 1).await;
    stage.load().await;
    let id = stage.migrate(json!({"target": 1, "slot": "0-8000"})).await[0];
    eventually("some slots have moved", async || {
        let job = stage.job(id).await?;
        if job["slots_done"].as_u64() > Some(0) {
            Ok(())
        } else {
            Err(job.to_string())
        }
    })
    .await;
    let act = async |action: &str| {
        let path = format!("{CLUSTER}/migrations/{id}/{action}");
        stage.client().post(&path, &Value::Null).await
    };
    let reply = act("pause").await;
    assert_eq!(reply.status, 200, "{}", reply.complaint());
    let job = stage.job_is(id, "paused").await;
    let done = job["slots_done"].as_u64().unwrap();
    assert!((1..8_001).contains(&done), "{job}");
    stage.nodes_agree().await;
    assert_eq!(act("resume").await.status, 200);
    let job = stage.job_is(id, "done").await;
    assert_eq!(job["slots_done"], 8_001, "{job}");
    assert!(job["keys_moved"].as_u64() > Some(10_000), "{job}");
    stage.nodes_agree().await;
    stage.has_all().await;
}

/// The leader dies together with a master, and later in the middle of a migration: the next one finishes
/// both, once.
async fn a_new_leader_finishes_what_was_begun(flavour: Flavour) {
    let mut stage = RealStage::real(flavour, 3, 2).await;
    stage.load().await;
    let old = stage.master(0).await.unwrap();
    let leader = stage.group.leader().await;
    stage.server(&old).kill();
    stage.group.members[leader].kill9();
    stage.failed_over_to(0, &old).await;
    stage.server(&old).restart().await;
    stage.nodes_agree().await;
    assert_eq!(stage.count_events("failover").await, 1);
    stage.group.members[leader].start();
    stage.group.all_ready().await;

    let id = stage.migrate(json!({"target": 2, "slot": "0-4000"})).await[0];
    stage.job_is(id, "running").await;
    let leader = stage.group.leader().await;
    stage.group.members[leader].kill9();
    let job = stage.job_is(id, "done").await;
    assert_eq!(job["slots_done"], 4_001, "{job}");
    stage.nodes_agree().await;
    stage.has_all().await;
    assert_eq!(stage.count_events("migration-started").await, 1);
    assert_eq!(stage.count_events("migration-done").await, 1);
}

#[tokio::test]
async fn a_new_leader_finishes_what_was_begun_with_redis() {
    a_new_leader_finishes_what_was_begun(Flavour::Redis7).await;
}

#[tokio::test]
async fn a_new_leader_finishes_what_was_begun_with_valkey() {
    a_new_leader_finishes_what_was_begun(Flavour::Valkey9).await;
}

/// A cluster that stands already is taken over; what its nodes do by themselves is followed; shards and
/// nodes come and go.
async fn a_cluster_is_imported_and_changed(flavour: Flavour) {
    let mut stage = RealStage::real(flavour, 1, 1).await;
    let mut options = RedisOptions::new(flavour);
    options.password = Some("a secret of the nodes".into());
    let servers = RedisServer::start_many(8, &options).await;
    redis_cluster_by_hand(&servers[..6], 1).await;
    let client = stage.client();
    let clusters = "/api/v1/namespaces/ns/clusters";
    let import = json!({"nodes": [servers[0].addr()], "password": "a secret of the nodes"});
    let reply = client.post(&format!("{clusters}/i/import"), &import).await;
    assert_eq!(reply.status, 201, "{}", reply.complaint());
    let cluster = async || {
        let reply = stage.client().get(&format!("{clusters}/i")).await;
        reply.json()["data"]["cluster"].clone()
    };
    let imported = cluster().await;
    assert_eq!(imported["engine"], "redis");
    let shards = imported["shards"].as_array().unwrap();
    assert_eq!(shards.len(), 3);
    assert!(
        shards
            .iter()
            .all(|shard| shard["nodes"].as_array().unwrap().len() == 2)
    );
    assert_eq!(shards[0]["nodes"][0]["addr"], servers[0].addr());
    assert_eq!(shards[0]["nodes"][0]["id"], servers[0].id().await);

    // By hand, past the daemon: the replica of the first shard takes over.
    let replica = &servers[3];
    assert_eq!(shards[0]["nodes"][1]["addr"], replica.addr());
    replica.call(&["CLUSTER", "FAILOVER"]).await;
    eventually("the store follows the nodes", async || {
        let cluster = cluster().await;
        let nodes = cluster["shards"][0]["nodes"].clone();
        match nodes[1]["role"].as_str() {
            Some("master") => Ok(()),
            _ => Err(nodes.to_string()),
        }
    })
    .await;

    // A shard more, with a replica, some slots for it, and away again.
    let more = json!({"nodes": [servers[6].addr(), servers[7].addr()], "password": "a secret of the nodes"});
    let reply = client.post(&format!("{clusters}/i/shards"), &more).await;
    assert_eq!(reply.status, 201, "{}", reply.complaint());
    let migrate = async |target: usize| {
        let body = json!({"target": target, "slot": "100-199"});
        let reply = client.post(&format!("{clusters}/i/migrate"), &body).await;
        assert_eq!(reply.status, 200, "{}", reply.complaint());
        eventually("the slots have moved", async || {
            let cluster = cluster().await;
            let ranges = cluster["shards"][target]["slot_ranges"].to_string();
            if ranges.contains("\"100-199\"") || ranges.contains("\"0-5460\"") {
                Ok(())
            } else {
                Err(cluster.to_string())
            }
        })
        .await;
    };
    migrate(3).await;
    let served = servers[6]
        .call(&["CLUSTER", "COUNTKEYSINSLOT", "100"])
        .await;
    assert_eq!(served.number(), 0);
    let reply = client
        .send_json("DELETE", &format!("{clusters}/i/shards/3"), &Value::Null)
        .await;
    assert_eq!(reply.status, 409, "it serves slots: {}", reply.body);
    migrate(0).await;
    let reply = client
        .send_json("DELETE", &format!("{clusters}/i/shards/3"), &Value::Null)
        .await;
    assert_eq!(reply.status, 200, "{}", reply.complaint());
    eventually("the nodes forget one another", async || {
        for server in &servers {
            let text = server.call(&["CLUSTER", "NODES"]).await.text();
            let wanted = if server.port() == servers[6].port() || server.port() == servers[7].port()
            {
                1
            } else {
                6
            };
            if text.lines().count() != wanted {
                return Err(format!("{}: {text}", server.addr()));
            }
        }
        Ok(())
    })
    .await;

    // What the nodes decided stayed.
    let reply = client.get(&format!("{clusters}/i/events")).await;
    let events = reply.json()["data"]["events"].clone();
    let mut failovers = events.as_array().unwrap().clone();
    failovers.retain(|event| event["kind"] == "failover");
    assert_eq!(failovers.len(), 1, "{events}");
    assert_eq!(role(replica).await, "master");

    // Nodes of the wrong kind, without cluster mode, or taken are refused.
    options.cluster = false;
    options.password = None;
    let plain = RedisServer::start(options).await;
    let refused = async |nodes: Value, status: u16, part: &str| {
        let body = json!({"name": "x", "nodes": nodes, "replicas": 1});
        let reply = client.post(clusters, &body).await;
        assert_eq!(reply.status, status, "{}", reply.complaint());
        assert!(reply.body.contains(part), "{}", reply.body);
    };
    refused(json!([plain.addr()]), 400, "cluster-enabled yes").await;
    refused(json!([servers[6].addr()]), 400, "password").await;
    refused(json!([servers[0].addr()]), 409, "belongs to cluster i").await;
    stage.nodes[0].kill();
    let body = json!({"target": 0, "slot": "1", "slot_only": true});
    let reply = client.post(&format!("{clusters}/i/migrate"), &body).await;
    assert_eq!(reply.status, 400, "{}", reply.complaint());
}

#[tokio::test]
async fn a_redis_cluster_is_imported_and_changed() {
    a_cluster_is_imported_and_changed(Flavour::Redis7).await;
}

#[tokio::test]
async fn a_valkey_cluster_is_imported_and_changed() {
    a_cluster_is_imported_and_changed(Flavour::Valkey9).await;
}

#[test]
fn the_keys_of_the_load_reach_every_shard() {
    let slots = (0..1_000).map(|n| hash_slot(format!("key:{n}").as_bytes()));
    let shards: std::collections::BTreeSet<u16> = slots.map(|slot| slot / 5_462).collect();
    assert_eq!(shards.len(), 3);
}
