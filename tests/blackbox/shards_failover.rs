//! Masters that die and come back, replicas that take over, nodes that miss what they were told.

use portolan_tests::{KvrocksNode, Resp, eventually};
use serde_json::json;

use crate::stage::{CLUSTER, Stage};

impl Stage {
    async fn master_becomes(&self, shard: usize, node: &KvrocksNode) {
        eventually("the replica is the master", async || {
            let master = self.master(shard).await?;
            if master == node.addr() && node.follows().is_none() {
                Ok(())
            } else {
                Err(format!("{master} is"))
            }
        })
        .await;
    }

    async fn replica_has(&self, replica: &KvrocksNode, key: &str, value: &str) {
        eventually("the replica has the key", async || {
            match replica.value(key) {
                Some(found) if found == value => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
    }
}

#[tokio::test]
async fn a_replica_takes_over_from_a_master_that_dies_and_the_old_one_comes_back_as_its_replica() {
    let stage = Stage::new(2, 2).await;
    let (old, new) = (&stage.nodes[0], &stage.nodes[1]);
    old.client().await.call(&["SET", "key", "value"]).await;
    let (old, new) = match old.value("key") {
        Some(_) => (old, new),
        // The other shard serves it.
        None => (&stage.nodes[2], &stage.nodes[3]),
    };
    old.client().await.call(&["SET", "key", "value"]).await;
    let shard = usize::from(old.port() == stage.nodes[2].port());
    stage.replica_has(new, "key", "value").await;

    old.kill();
    stage.master_becomes(shard, new).await;
    assert_eq!(new.value("key").as_deref(), Some("value"));
    let event = stage.event("failover").await;
    let text = event["text"].as_str().unwrap();
    assert!(text.contains("3 of 3 voters cannot reach"), "{text}");
    stage.event("node-down").await;

    old.restart().await;
    eventually("the old master follows the new one", async || {
        match old.follows() {
            Some(port) if port == new.port() => Ok(()),
            other => Err(format!("{other:?}, version {}", old.topology_version())),
        }
    })
    .await;
    stage.event("node-up").await;
    assert_eq!(stage.master(shard).await.unwrap(), new.addr());
}

#[tokio::test]
async fn a_new_leader_goes_on_watching() {
    let mut stage = Stage::new(1, 2).await;
    let leader = stage.group.leader().await;
    stage.group.members[leader].kill9();
    stage.nodes[0].kill();
    stage.master_becomes(0, &stage.nodes[1]).await;
    let event = stage.event("failover").await;
    let text = event["text"].as_str().unwrap();
    assert!(text.contains("2 of 3 voters cannot reach"), "{text}");
}

#[tokio::test]
async fn a_master_without_a_replica_that_answers_is_not_replaced_and_the_reason_is_told() {
    let stage = Stage::new(1, 2).await;
    stage.nodes[1].kill();
    stage.event("node-down").await;
    stage.nodes[0].kill();
    let event = stage.event("failover-refused").await;
    let text = event["text"].as_str().unwrap();
    assert!(text.contains("no replica of shard 0 answers"), "{text}");
    assert_eq!(stage.master(0).await.unwrap(), stage.nodes[0].addr());
}

#[tokio::test]
async fn a_node_that_is_loading_is_alive() {
    let stage = Stage::new(1, 2).await;
    stage.nodes[0].set_loading(true);
    // Longer than a dead master would have stayed the master.
    tokio::time::sleep(std::time::Duration::from_secs(6)).await;
    assert_eq!(stage.master(0).await.unwrap(), stage.nodes[0].addr());
}

#[tokio::test]
async fn a_failover_by_hand_waits_for_the_replica_or_changes_nothing() {
    let stage = Stage::new(1, 2).await;
    let (master, replica) = (&stage.nodes[0], &stage.nodes[1]);
    let client = stage.client();
    let path = format!("{CLUSTER}/shards/0/failover");

    stage.net.hold_replication(replica);
    master.client().await.call(&["SET", "key", "value"]).await;
    let reply = client.post(&path, &json!({"preferred_node_id": ""})).await;
    assert_eq!(reply.status, 409, "{}", reply.complaint());
    assert!(reply.body.contains("1 writes behind"), "{}", reply.body);
    assert_eq!(stage.master(0).await.unwrap(), master.addr());
    // Its writes go on.
    let ok = master.client().await.call(&["SET", "key", "value2"]).await;
    assert_eq!(ok, Resp::ok());

    stage.net.release_replication(replica);
    let reply = client
        .post(&path, &json!({"preferred_node_id": replica.node_id()}))
        .await;
    assert_eq!(reply.status, 200, "{}", reply.complaint());
    assert_eq!(reply.json()["data"]["new_master_id"], replica.node_id());
    assert_eq!(stage.master(0).await.unwrap(), replica.addr());
    assert_eq!(replica.value("key").as_deref(), Some("value2"));
    assert_eq!(master.follows(), Some(replica.port()));

    let wrong = [
        ("short".to_owned(), 400, "40 letters"),
        ("a".repeat(40), 400, "no node of shard 0"),
        (replica.node_id(), 400, "is the master already"),
    ];
    for (id, status, part) in wrong {
        let reply = client.post(&path, &json!({"preferred_node_id": id})).await;
        assert_eq!(reply.status, status, "{}", reply.complaint());
        assert!(reply.body.contains(part), "{}", reply.body);
    }
    master.kill();
    let reply = client
        .post(&path, &json!({"preferred_node_id": master.node_id()}))
        .await;
    assert_eq!(reply.status, 502, "{}", reply.complaint());
}

#[tokio::test]
async fn nodes_that_are_behind_or_differ_are_mended_and_one_that_is_ahead_is_reported() {
    let stage = Stage::new(1, 2).await;
    let (master, replica) = (&stage.nodes[0], &stage.nodes[1]);
    let topology = |version: &str| {
        let id = master.node_id();
        let line = format!("{id} 127.0.0.1 {} master - 0-16383", master.port());
        let replica = replica.port();
        let other = "b".repeat(40);
        let text = format!("{line}\n{other} 127.0.0.1 {} slave {id}", replica + 1);
        [
            "CLUSTERX".to_owned(),
            "SETNODES".into(),
            text,
            version.to_owned(),
        ]
    };
    let tell = async |version: &str, force: bool| {
        let mut words = topology(version).to_vec();
        if force {
            words.push("force".into());
        }
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        master.client().await.call(&words).await
    };
    // Other content at the same version: nobody notices by the version.
    tell("1", true).await;
    let nodes = async || match master.client().await.call(&["CLUSTER", "NODES"]).await {
        Resp::Bulk(text) => String::from_utf8(text).unwrap(),
        other => panic!("{other:?}"),
    };
    assert!(!nodes().await.contains(&replica.node_id()));
    eventually("the content is mended", async || {
        let nodes = nodes().await;
        if nodes.contains(&replica.node_id()) {
            Ok(())
        } else {
            Err(nodes)
        }
    })
    .await;
    stage.event("topology-pushed").await;

    tell("9", false).await;
    let event = stage.event("conflict").await;
    let text = event["text"].as_str().unwrap();
    assert!(text.contains("ahead of the version 2 here"), "{text}");
    assert_eq!(
        master.topology_version(),
        9,
        "it is not overwritten unasked"
    );
}

#[tokio::test]
async fn a_master_that_the_leader_alone_does_not_reach_stays_until_a_majority_does_not() {
    let stage = Stage::new(1, 2).await;
    let (master, replica) = (&stage.nodes[0], &stage.nodes[1]);
    let leader = stage.group.leader().await;
    let name_of = |index: usize| format!("portolan-{}", stage.group.members[index].id());

    master.hide_from(&name_of(leader));
    let event = stage.event("failover-refused").await;
    let text = event["text"].as_str().unwrap();
    assert!(text.contains("only 1 of 3 voters cannot reach"), "{text}");
    assert_eq!(stage.master(0).await.unwrap(), master.addr());

    master.hide_from(&name_of((leader + 1) % 3));
    stage.master_becomes(0, replica).await;
    let event = stage.event("failover").await;
    let text = event["text"].as_str().unwrap();
    assert!(text.contains("2 of 3 voters cannot reach"), "{text}");
}

/// A master dies with writes that its replica does not have, which then writes as many of its own.
async fn a_master_with_writes_of_its_own_comes_back(stage: &Stage) -> String {
    let (old, new) = (&stage.nodes[0], &stage.nodes[1]);
    old.client().await.call(&["SET", "key", "both"]).await;
    stage.replica_has(new, "key", "both").await;
    stage.net.hold_replication(new);
    old.client().await.call(&["SET", "key", "lost"]).await;
    old.client().await.call(&["SET", "more", "lost"]).await;
    // Until a probe has seen how far it goes.
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    old.kill();
    stage.master_becomes(0, new).await;
    stage.net.release_replication(new);
    for value in ["1", "2"] {
        new.client().await.call(&["SET", "key", value]).await;
    }
    old.restart().await;
    let event = stage.event("needs-resync").await;
    event["text"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_former_master_with_writes_of_its_own_drops_them_where_it_compares_histories() {
    let stage = Stage::with(1, 2, true).await;
    let text = a_master_with_writes_of_its_own_comes_back(&stage).await;
    assert!(
        text.contains("2 writes that its successor does not have: it drops them"),
        "{text}"
    );
    let old = &stage.nodes[0];
    eventually("it has what its successor has", async || {
        match (old.value("key"), old.value("more"), old.follows()) {
            (Some(key), None, Some(_)) if key == "2" => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    let shards = stage.shards().await;
    assert_eq!(shards[0]["nodes"][0]["needs_resync"], false);
}

#[tokio::test]
async fn a_former_master_that_would_keep_writes_of_its_own_is_never_a_master_again() {
    let stage = Stage::with(1, 2, false).await;
    let text = a_master_with_writes_of_its_own_comes_back(&stage).await;
    assert!(text.contains("would keep them"), "{text}");
    let (old, new) = (&stage.nodes[0], &stage.nodes[1]);
    eventually("it follows its successor", async || {
        old.follows().map(drop).ok_or("it does not")
    })
    .await;
    assert_eq!(old.value("more").as_deref(), Some("lost"), "the trap");
    let shards = stage.shards().await;
    assert_eq!(shards[0]["nodes"][0]["needs_resync"], true);

    let path = format!("{CLUSTER}/shards/0/failover");
    let wanted = json!({"preferred_node_id": old.node_id()});
    let reply = stage.client().post(&path, &wanted).await;
    assert_eq!(reply.status, 400, "{}", reply.complaint());
    assert!(
        reply.body.contains("resynchronised first"),
        "{}",
        reply.body
    );
    new.kill();
    stage.event("failover-refused").await;
    assert_eq!(stage.master(0).await.unwrap(), new.addr());
}
