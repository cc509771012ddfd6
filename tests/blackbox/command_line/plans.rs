//! Plans, and what is known of shards, from the command line.

use portolan_tests::eventually;
use serde_json::{Value, json};

use crate::stage::Stage;

/// The cells of the row that begins with this.
fn row<'a>(table: &'a str, first: &str) -> Vec<&'a str> {
    let mut rows = table.lines().map(|line| line.split_whitespace().collect());
    let found = rows.find(|row: &Vec<&str>| row.first() == Some(&first));
    found.unwrap_or_else(|| panic!("no row {first} in\n{table}"))
}

#[tokio::test]
async fn a_plan_is_made_looked_at_applied_and_explained() {
    let stage = Stage::new(2, 1).await;
    let moved = stage.portolan("migrate ns/c 0-4095 --to 1 --wait").await;
    moved.done();
    let listed = stage.portolan("migrate list ns/c").await.done();
    assert_eq!(listed.matches("0-4095").count(), 1, "{listed}");
    assert!(listed.contains(" 4096/4096"), "{listed}");

    // No more than was asked for.
    let rebalance = "rebalance ns/c --trigger scale-out --max-moves 1 --max-slots 1000";
    let shown = stage.portolan(rebalance).await.done();
    assert!(shown.contains("even-slots"), "{shown}");
    let (_, hint) = shown.split_once("portolan plan apply ns/c ").unwrap();
    let id = hint.trim();
    let show = format!("plan show ns/c {id}");
    let plan = stage.portolan(&format!("{show} --json")).await.json()["plan"].clone();
    let moves = plan["moves"].as_array().unwrap();
    assert_eq!(moves.len(), 1, "{plan}");
    assert_eq!(plan["trigger"], "scale-out");
    let range = moves[0]["slots"].as_str().unwrap();
    let (first, last) = range.split_once('-').unwrap();
    let slots = last.parse::<u32>().unwrap() - first.parse::<u32>().unwrap() + 1;
    assert!(slots <= 1_000, "{plan}");
    let shown = stage.portolan(&show).await.done();
    assert_eq!(row(&shown, range)[1..3], ["1", "0"], "{shown}");

    let apply = format!("plan apply ns/c {id}");
    let applied = stage.portolan(&format!("{apply} --wait")).await;
    assert!(applied.stderr.contains(": done"), "{}", applied.stderr);
    let applied = applied.done();
    assert!(applied.contains("1 migration queued"), "{applied}");
    assert!(applied.ends_with("1 migration done\n"), "{applied}");
    stage.portolan(&apply).await.failed(4);
    stage.portolan("plan show ns/c 99").await.failed(3);
    eventually("the plan is done", async || {
        let listed = stage.portolan("plan list ns/c").await.done();
        match row(&listed, id).contains(&"done") {
            true => Ok(()),
            false => Err(listed),
        }
    })
    .await;
    let explained = stage.portolan(&format!("plan explain ns/c {id}")).await;
    let explained = explained.done();
    assert!(explained.contains("from shard 1 to shard 0"), "{explained}");
    assert!(explained.contains("made by migration"), "{explained}");

    let unknown = stage.portolan("rebalance ns/c --policy nobody").await;
    let complaint = unknown.failed(1);
    assert!(complaint.contains("migration policies"), "{complaint}");
    let bored = stage.portolan("rebalance ns/c --trigger boredom").await;
    assert_eq!(bored.code, Some(2), "{}", bored.stderr);
}

#[tokio::test]
async fn what_is_said_of_a_shard_is_kept_but_for_what_is_said_anew() {
    let stage = Stage::new(2, 1).await;
    let set = async |flags: &str| {
        let line = format!("shard set ns/c 1 {flags}");
        let told = stage.portolan(&line).await.done();
        assert_eq!(told, "shard 1 of ns/c is changed\n");
    };
    let traits = async || {
        let listed = stage.portolan("shard list ns/c --json").await.json();
        let shard = listed["shards"][1].clone();
        json!([
            shard["weight"],
            shard["zone"],
            shard["draining"],
            shard["labels"]
        ])
    };
    set("--weight 50 --zone a --label disk=ssd --label rack=4").await;
    let labels = json!({"disk": "ssd", "rack": "4"});
    assert_eq!(traits().await, json!([50, "a", false, labels]));
    set("--draining true --label rack= --label room=1").await;
    let labels = json!({"disk": "ssd", "room": "1"});
    assert_eq!(traits().await, json!([50, "a", true, labels]));
    let listed = stage.portolan("shard list ns/c").await.done();
    let end = ["50", "a", "yes", "disk=ssd,", "room=1"];
    assert!(row(&listed, "1").ends_with(&end), "{listed}");
    set("--zone= --draining false").await;
    assert_eq!(traits().await, json!([50, Value::Null, false, labels]));

    let nowhere = "shard set ns/c 7 --label a=b";
    stage.portolan(nowhere).await.failed(3);
    let wrong = stage.portolan("shard set ns/c 1 --label a").await;
    assert_eq!(wrong.code, Some(2), "{}", wrong.stderr);
}
