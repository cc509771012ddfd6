//! Policies propose, the host disposes: plans are made, looked at, applied, refused, and made by a
//! cluster itself.

use portolan_tests::{Flavour, RedisOptions, RedisServer, eventually};
use serde_json::{Value, json};

use crate::stage::{CLUSTER, RealStage, Stage};

impl<N, W> Stage<N, W> {
    async fn rebalance(&self, body: Value) -> Value {
        let path = format!("{CLUSTER}/rebalance");
        let reply = self.client().post(&path, &body).await;
        assert_eq!(reply.status, 201, "{body}: {}", reply.complaint());
        reply.json()["data"]["plan"].clone()
    }

    async fn plan(&self, id: &Value) -> Result<Value, String> {
        let path = format!("{CLUSTER}/plans/{id}");
        let reply = self.client().send("GET", &path, &[], "").await?;
        Ok(reply.json()["data"]["plan"].clone())
    }

    async fn plan_is(&self, id: &Value, state: &str) -> Value {
        eventually(&format!("plan {id} is {state}"), async || {
            let plan = self.plan(id).await?;
            if plan["state"] == state {
                Ok(plan)
            } else {
                Err(plan.to_string())
            }
        })
        .await
    }

    async fn counts(&self) -> Vec<u64> {
        let shards = self.shards().await;
        let count = |shard: &Value| {
            let ranges = shard["slot_ranges"].as_array().cloned().unwrap_or_default();
            let counts = ranges.iter().map(|range| {
                let text = range.as_str().unwrap();
                let (first, last) = text.split_once('-').unwrap_or((text, text));
                last.parse::<u64>().unwrap() - first.parse::<u64>().unwrap() + 1
            });
            counts.sum()
        };
        shards.iter().map(count).collect()
    }
}

#[tokio::test]
async fn a_shard_that_was_added_gets_its_share_and_one_that_is_drained_can_go() {
    let stage = RealStage::real(Flavour::Valkey9, 2, 1).await;
    let client = stage.client();
    let more = RedisServer::start(RedisOptions::new(Flavour::Valkey9)).await;
    let reply = client
        .post(
            &format!("{CLUSTER}/shards"),
            &json!({"nodes": [more.addr()]}),
        )
        .await;
    assert_eq!(reply.status, 201, "{}", reply.complaint());

    // A plan first: nothing moves.
    let plan = stage
        .rebalance(json!({"policy": "even-slots", "trigger": "scale-out"}))
        .await;
    assert_eq!(plan["state"], "proposed", "{plan}");
    let moves = plan["moves"].as_array().unwrap();
    assert!(!moves.is_empty());
    assert!(moves.iter().all(|step| step["to"] == 2), "{plan}");
    assert!(moves.iter().all(|step| step["refused"].is_null()), "{plan}");
    assert!(plan["score_after"].as_f64() < plan["score_before"].as_f64());
    assert_eq!(stage.counts().await, [8_192, 8_192, 0]);

    // Another one, for the same topology; it is stale once the first is applied.
    let other = stage.rebalance(json!({})).await;
    let apply = async |id: &Value| {
        let path = format!("{CLUSTER}/plans/{id}/apply");
        stage.client().post(&path, &Value::Null).await
    };
    let reply = apply(&plan["id"]).await;
    assert_eq!(reply.status, 200, "{}", reply.complaint());
    let migrations = reply.json()["migrations"].as_array().unwrap().len();
    assert_eq!(migrations, moves.len());
    let done = stage.plan_is(&plan["id"], "done").await;
    assert!(done["moves"][0]["migration"].is_u64());
    let counts = stage.counts().await;
    assert_eq!(counts.iter().sum::<u64>(), 16_384);
    assert!(
        counts.iter().all(|count| (5_300..5_600).contains(count)),
        "{counts:?}"
    );

    let reply = apply(&other["id"]).await;
    assert_eq!(reply.status, 409, "{}", reply.complaint());
    assert!(reply.body.contains("ask for a new plan"), "{}", reply.body);
    assert_eq!(apply(&plan["id"]).await.status, 409, "it was applied");
    assert_eq!(apply(&json!(99)).await.status, 404);

    let again = stage.rebalance(json!({"dry_run": false})).await;
    assert_eq!(again["state"], "nothing-to-do", "{again}");
    assert!(!again["nothing_to_do"].as_array().unwrap().is_empty());

    // Emptied, it can be deleted.
    let path = format!("{CLUSTER}/shards/0");
    let reply = client
        .send_json("PATCH", &path, &json!({"draining": true, "zone": "a"}))
        .await;
    assert_eq!(reply.status, 200, "{}", reply.complaint());
    assert_eq!(reply.json()["data"]["shard"]["zone"], "a");
    let drain = json!({"policy": "drain", "trigger": "drain", "dry_run": false});
    let plan = stage.rebalance(drain).await;
    stage.plan_is(&plan["id"], "done").await;
    assert_eq!(stage.counts().await[0], 0);
    let reply = client
        .get(&format!("{CLUSTER}/plans/{}/explain", plan["id"]))
        .await;
    let explanation = reply.json()["data"]["explanation"].clone();
    let sentence = explanation["moves"][0].as_str().unwrap();
    assert!(sentence.contains("from shard 0 to shard"), "{sentence}");
    assert!(sentence.contains("made by migration"), "{sentence}");
    let reply = client.send_json("DELETE", &path, &Value::Null).await;
    assert_eq!(reply.status, 200, "{}", reply.complaint());
    assert_eq!(stage.shards().await.len(), 2);
    let plans = client.get(&format!("{CLUSTER}/plans")).await;
    assert_eq!(plans.json()["data"]["plans"].as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn a_cluster_balances_itself_where_it_is_told_to() {
    let stage = Stage::new(2, 1).await;
    let client = stage.client();
    let path = format!("{CLUSTER}/automatic");
    let get = async || stage.client().get(&path).await.json()["data"]["automatic"].clone();
    assert!(get().await.is_null(), "off by default");
    let id = stage.migrate(json!({"target": 1, "slot": "0-4095"})).await[0];
    stage.job_is(id, "done").await;
    assert_eq!(stage.counts().await, [4_096, 12_288]);

    // The slots that were just moved are left alone; there are others.
    let on = json!({"policy": "even-slots", "interval_s": 10, "max_slots": 1_000, "max_moves": 1});
    let reply = client.put(&path, &on).await;
    assert_eq!(reply.status, 200, "{}", reply.complaint());
    assert_eq!(get().await["max_slots"], 1_000);
    stage.event("plan").await;
    eventually("some slots have moved", async || {
        match stage.counts().await[0] {
            4_096 => Err("none has".to_owned()),
            _ => Ok(()),
        }
    })
    .await;
    let counts = stage.counts().await;
    assert!(
        counts[0] <= 4_096 + 2_000,
        "{counts:?}: at most 1,000 at a time"
    );
    let shards = stage.shards().await;
    let ranges = shards[1]["slot_ranges"].to_string();
    assert!(ranges.contains("\"0-4095\""), "{ranges}");

    let reply = client.send_json("DELETE", &path, &Value::Null).await;
    assert_eq!(reply.status, 200, "{}", reply.complaint());
    assert!(get().await.is_null());
}

#[tokio::test]
async fn what_cannot_be_planned_is_refused_with_a_sentence() {
    let stage = Stage::new(2, 1).await;
    let client = stage.client();
    let path = format!("{CLUSTER}/rebalance");
    let cases = [
        (
            json!({"policy": "nobody"}),
            400,
            "migration policies here: drain",
        ),
        (json!({"policy": "powerdns"}), 400, "not a migration policy"),
        (
            json!({"policy": "even-slots", "settings": {"threshold_percent": "much"}}),
            400,
            "threshold_percent",
        ),
        (
            json!({"policy": "even-slots", "settings": {"x": 1}}),
            400,
            "x",
        ),
        (json!({"polcy": "even-slots"}), 400, "polcy"),
        (json!({"trigger": "boredom"}), 400, "boredom"),
    ];
    for (body, status, part) in cases {
        let reply = client.post(&path, &body).await;
        assert_eq!(reply.status, status, "{body}: {}", reply.complaint());
        assert!(reply.body.contains(part), "no {part:?} in {}", reply.body);
    }
    let automatic = format!("{CLUSTER}/automatic");
    let cases = [
        (json!({"policy": "nobody"}), "migration policies here"),
        (
            json!({"policy": "even-slots", "interval_s": 1}),
            "interval_s",
        ),
        (
            json!({"policy": "even-slots", "hours": {"from": 3, "to": 3}}),
            "hours",
        ),
    ];
    for (body, part) in cases {
        let reply = client.put(&automatic, &body).await;
        assert_eq!(reply.status, 400, "{body}: {}", reply.complaint());
        assert!(reply.body.contains(part), "no {part:?} in {}", reply.body);
    }
    assert_eq!(client.get(&format!("{CLUSTER}/plans/0")).await.status, 404);

    // The host has the last word: a shard whose master is gone gets nothing.
    let id = stage.migrate(json!({"target": 1, "slot": "0-4095"})).await[0];
    stage.job_is(id, "done").await;
    let excluded = json!({"excluded_slots": ["4096-16383"]});
    let reply = client.put(&format!("{CLUSTER}/settings"), &excluded).await;
    assert_eq!(reply.status, 200, "{}", reply.complaint());
    let plan = stage.rebalance(json!({})).await;
    for step in plan["moves"].as_array().unwrap() {
        let slots = step["slots"].as_str().unwrap();
        let last: u64 = slots.rsplit('-').next().unwrap().parse().unwrap();
        assert!(last < 4_096, "{plan}");
    }
    assert_eq!(plan["state"], "proposed", "{plan}");
    stage.nodes[0].kill();
    stage.event("node-down").await;
    let reply = client
        .post(
            &format!("{CLUSTER}/plans/{}/apply", plan["id"]),
            &Value::Null,
        )
        .await;
    assert_eq!(reply.status, 409, "{}", reply.complaint());
    assert!(
        reply.body.contains("the master of shard 0"),
        "{}",
        reply.body
    );
}
