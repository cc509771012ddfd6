//! Slots that go from shard to shard, while clients write and things break.

use std::collections::BTreeMap;

use portolan_tests::{KvrocksNode, Resp, RespClient, eventually, hash_slot};
use serde_json::{Value, json};

use crate::stage::{CLUSTER, Stage};

impl Stage {
    /// How often a node was asked to migrate.
    fn asked(&self, node: usize) -> usize {
        let commands = self.nodes[node].commands();
        let asks = |command: &&String| command.to_uppercase().starts_with("CLUSTERX MIGRATE");
        commands.iter().filter(asks).count()
    }
}

/// A client that follows MOVED and tries again on TRYAGAIN, as a cluster client does.
struct Follower {
    clients: BTreeMap<String, RespClient>,
    start: String,
}

impl Follower {
    fn new(start: &KvrocksNode) -> Self {
        Self {
            clients: BTreeMap::new(),
            start: start.addr(),
        }
    }

    async fn call(&mut self, command: &[&str]) -> Resp {
        let mut address = self.start.clone();
        for _ in 0..1_000 {
            if !self.clients.contains_key(&address) {
                let client = RespClient::connect(&address).await.unwrap();
                self.clients.insert(address.clone(), client);
            }
            let client = self.clients.get_mut(&address).unwrap();
            match client.call(command).await {
                Resp::Error(error) if error.starts_with("MOVED") => {
                    address = error.rsplit(' ').next().unwrap().to_owned();
                }
                Resp::Error(error) if error.starts_with("TRYAGAIN") => {
                    tokio::time::sleep(std::time::Duration::from_millis(10)).await;
                }
                answer => return answer,
            }
        }
        panic!("{command:?} was sent around for too long");
    }
}

/// A key of the slots of the first shard.
fn key_in(slots: std::ops::RangeInclusive<u16>) -> String {
    let mut names = (0..).map(|n| format!("key-{n}"));
    names
        .find(|key| slots.contains(&hash_slot(key.as_bytes())))
        .unwrap()
}

#[tokio::test]
async fn a_thousand_slots_move_under_load_and_no_value_is_wrong_or_lost() {
    let stage = Stage::new(2, 1).await;
    let mut client = Follower::new(&stage.nodes[0]);
    let mut written = BTreeMap::new();
    for n in 0..3_000 {
        let key = format!("key-{n}");
        assert_eq!(client.call(&["SET", &key, "0"]).await, Resp::ok());
        written.insert(key, 0);
    }
    let ids = stage
        .migrate(json!({"target": 1, "slot": "0-999", "slot_only": "false"}))
        .await;
    assert_eq!(ids.len(), 1);
    let mut round = 0;
    while stage.job(ids[0]).await.unwrap()["state"] != "done" {
        round += 1;
        for key in written.keys().take(500).cloned().collect::<Vec<_>>() {
            assert_eq!(
                client.call(&["SET", &key, &round.to_string()]).await,
                Resp::ok()
            );
            written.insert(key, round);
        }
        assert!(round < 1_000, "{:?}", stage.job(ids[0]).await);
    }
    let shards = stage.shards().await;
    assert_eq!(shards[0]["slot_ranges"], json!(["1000-8191"]));
    assert_eq!(shards[1]["slot_ranges"], json!(["0-999", "8192-16383"]));
    assert_eq!(shards[0]["migrating_slot"], -1);
    assert_eq!(stage.nodes[0].topology_version(), 2);
    let mut moved = 0;
    for (key, value) in &written {
        let value = value.to_string().into_bytes();
        assert_eq!(client.call(&["GET", key]).await, Resp::Bulk(value), "{key}");
        moved += usize::from(hash_slot(key.as_bytes()) < 1_000);
    }
    assert!(moved > 100, "{moved} keys were in the slots that moved");
}

#[tokio::test]
async fn a_queue_runs_one_after_the_other_and_can_be_paused_cancelled_and_resumed() {
    let stage = Stage::new(2, 1).await;
    let client = stage.client();
    let act = async |id: u64, action: &str| {
        let path = format!("{CLUSTER}/migrations/{id}/{action}");
        client.post(&path, &Value::Null).await
    };
    stage.net.hold_migrations();
    stage.nodes[0].put(&key_in(0..=0), "value");
    let first = stage.migrate(json!({"target": 1, "slot": 0})).await[0];
    let running = stage.job_is(first, "running").await;
    assert!(running["started_at_ms"].as_u64() >= running["created_at_ms"].as_u64());
    let shards = stage.shards().await;
    assert_eq!(shards[0]["migrating_slot"], 0);
    assert_eq!(shards[0]["target_shard_index"], 1);
    assert_eq!(shards[1]["import_slot"], 0);
    assert_eq!(
        act(first, "cancel").await.status,
        409,
        "Kvrocks cannot stop one"
    );

    let rest = stage.migrate(json!({"target": 1, "slot": "5,7-9"})).await;
    let [second, third] = rest[..] else {
        panic!("{rest:?}")
    };
    assert_eq!(act(second, "cancel").await.status, 200);
    assert_eq!(act(third, "pause").await.status, 200);
    stage.net.release_migrations();
    stage.job_is(first, "done").await;
    stage.job_is(second, "cancelled").await;
    assert_eq!(act(second, "resume").await.status, 409);
    assert_eq!(stage.job(third).await.unwrap()["state"], "paused");
    assert_eq!(act(third, "resume").await.status, 200);
    stage.job_is(third, "done").await;
    assert_eq!(
        stage.shards().await[1]["slot_ranges"],
        json!(["0", "7-9", "8192-16383"])
    );
    assert_eq!(act(99, "cancel").await.status, 404);
    assert_eq!(act(third, "explode").await.status, 404);
}

#[tokio::test]
async fn a_new_leader_finishes_what_the_old_one_began_and_begins_it_no_second_time() {
    let mut stage = Stage::new(2, 1).await;
    stage.net.hold_migrations();
    stage.nodes[0].put(&key_in(0..=9), "value");
    let id = stage.migrate(json!({"target": 1, "slot": "0-9"})).await[0];
    stage.job_is(id, "running").await;
    let leader = stage.group.leader().await;
    stage.group.members[leader].kill9();
    stage.net.release_migrations();
    stage.job_is(id, "done").await;
    assert_eq!(stage.asked(0), 1);
    assert_eq!(
        stage.nodes[1].value(&key_in(0..=9)).as_deref(),
        Some("value")
    );
}

#[tokio::test]
async fn a_target_that_dies_costs_attempts_and_no_data() {
    let stage = Stage::new(2, 1).await;
    let key = key_in(0..=9);
    stage.nodes[0].put(&key, "value");
    stage.nodes[1].kill();
    let id = stage.migrate(json!({"target": 1, "slot": "0-9"})).await[0];
    let job = eventually("an attempt has failed", async || {
        let job = stage.job(id).await?;
        if job["attempts"].as_u64() >= Some(1) {
            Ok(job)
        } else {
            Err(job.to_string())
        }
    })
    .await;
    let reason = job["reason"].as_str().unwrap();
    assert!(reason.contains("the migration has failed"), "{reason}");
    assert_eq!(stage.nodes[0].value(&key).as_deref(), Some("value"));
    stage.nodes[1].restart().await;
    stage.job_is(id, "done").await;
    assert_eq!(stage.nodes[1].value(&key).as_deref(), Some("value"));
}

#[tokio::test]
async fn slots_that_somebody_sent_away_without_telling_are_found_again() {
    let stage = Stage::new(3, 1).await;
    let key = key_in(5..=5);
    stage.nodes[0].put(&key, "value");
    // By hand, to shard 1, and nobody changes the topology: the abandoned success.
    let to = stage.nodes[1].node_id();
    let mut hand = stage.nodes[0].client().await;
    let answer = hand.call(&["CLUSTERX", "MIGRATE", "5", &to]).await;
    assert_eq!(answer, Resp::ok());
    eventually("the migration by hand has succeeded", async || {
        let mut client = stage.nodes[0].client().await;
        match client.call(&["CLUSTER", "INFO"]).await {
            Resp::Bulk(text) if String::from_utf8_lossy(&text).contains("success") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    // To another shard than where the key is: it goes there by way of the one that has it.
    let id = stage.migrate(json!({"target": 2, "slot": 5})).await[0];
    stage.job_is(id, "done").await;
    assert_eq!(stage.nodes[2].value(&key).as_deref(), Some("value"));
    let mut client = Follower::new(&stage.nodes[0]);
    assert_eq!(
        client.call(&["GET", &key]).await,
        Resp::Bulk(b"value".to_vec())
    );
    assert_eq!(client.call(&["SET", &key, "again"]).await, Resp::ok());
}

#[tokio::test]
async fn wrong_migrations_are_refused_with_a_sentence() {
    let stage = Stage::new(2, 1).await;
    let client = stage.client();
    let path = format!("{CLUSTER}/migrate");
    let cases = [
        (json!({"slot": 1}), 400, "target"),
        (json!({"target": 1}), 400, "slot"),
        (json!({"target": 2, "slot": 1}), 404, "shards 0 to 1"),
        (
            json!({"target": 0, "slot": 1}),
            400,
            "shard 0 serves the slots 1 already",
        ),
        (json!({"target": 1, "slot": 16384}), 400, "0 to 16383"),
        (json!({"target": 1, "slot": "9-5"}), 400, "not a slot range"),
        (json!({"target": 1, "slot": ""}), 400, "not a slot range"),
        (json!({"target": 1, "slot": [1]}), 400, "ranges as text"),
        (json!({"target": 1, "slot": "1-5,3"}), 400, "twice"),
        (
            json!({"target": 1, "slot": 1, "slot_only": "perhaps"}),
            400,
            "true, false",
        ),
    ];
    for (body, status, part) in cases {
        let reply = client.post(&path, &body).await;
        assert_eq!(reply.status, status, "{body}: {}", reply.complaint());
        assert!(
            reply.body.contains(part),
            "no {part:?} for {body} in {}",
            reply.body
        );
    }
    stage.net.hold_migrations();
    stage.nodes[0].put(&key_in(5..=5), "value");
    let id = stage.migrate(json!({"target": 1, "slot": 5})).await[0];
    stage.job_is(id, "running").await;
    let again = client
        .post(&path, &json!({"target": 1, "slot": "0-9"}))
        .await;
    assert_eq!(again.status, 409, "{}", again.complaint());
    stage.net.release_migrations();
    stage.job_is(id, "done").await;

    // Only the ownership: the keys stay where they are, as the contract has it.
    let id = stage
        .migrate(json!({"target": 1, "slot": "100", "slot_only": true}))
        .await[0];
    stage.job_is(id, "done").await;
    assert_eq!(stage.asked(0), 1);
}
