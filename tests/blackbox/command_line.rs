//! Sharded clusters and DNS steering from the command line: the real binary as a process, against three
//! members.

mod dns;
mod dns_import;
mod plans;
mod ran;
mod settings;

use std::fs;
use std::process::Stdio;

use portolan_tests::{KvrocksNode, Port, eventually, hash_slot};
use serde_json::{Value, json};
use tempfile::TempDir;

use self::ran::{Ran, ran, with_input};
use crate::stage::Stage;

#[tokio::test]
async fn a_cluster_is_shown_as_tables_and_a_map_of_its_slots() {
    let stage = Stage::new(2, 2).await;
    assert_eq!(stage.portolan("namespace list").await.done(), "ns\n");
    assert_eq!(stage.portolan("cluster list ns").await.done(), "c\n");

    let shown = stage.portolan("cluster show ns/c").await.done();
    let ids: Vec<String> = stage.nodes.iter().map(KvrocksNode::node_id).collect();
    let addrs: Vec<String> = stage.nodes.iter().map(KvrocksNode::addr).collect();
    let wide = addrs.iter().map(String::len).max().unwrap();
    let node = |shard: &str, role: &str, addr: &str, id: &str| {
        format!("{shard:<5}  {role:<6}  {addr:<wide$}  {id}")
    };
    let (half, none) = ("█".repeat(32), "·".repeat(32));
    let expected = [
        "ns/c: kvrocks, topology version 1, 2 shards, 4 nodes".to_owned(),
        String::new(),
        node("SHARD", "ROLE", "ADDRESS", "NODE"),
        node("0", "master", &addrs[0], &ids[0]),
        node("", "slave", &addrs[1], &ids[1]),
        node("1", "master", &addrs[2], &ids[2]),
        node("", "slave", &addrs[3], &ids[3]),
        String::new(),
        "SHARD  SLOTS".to_owned(),
        "0      0-8191".to_owned(),
        "1      8192-16383".to_owned(),
        String::new(),
        "   0               4096            8192            12288".to_owned(),
        format!("0  {half}{none}   8192   50.0%"),
        format!("1  {none}{half}   8192   50.0%"),
        "One column is 256 slots. █ all of them, ▒ some, · none".to_owned(),
    ];
    assert_eq!(shown.lines().collect::<Vec<_>>(), expected);

    let json = stage.portolan("cluster show ns/c --json").await.json();
    let asked = stage.client().get(crate::stage::CLUSTER).await.json();
    assert_eq!(json, asked["data"]);
    let shards = stage.portolan("shard list ns/c").await.done();
    let second = shards.lines().nth(2).unwrap();
    let words: Vec<&str> = second.split_whitespace().collect();
    assert_eq!(words[..5], ["1", &addrs[2], "2", "8192", "8192-16383"]);
    let nodes = stage.portolan("--json node list ns/c 1").await;
    assert_eq!(nodes.code, Some(2), "--json belongs to the noun");
    let nodes = stage.portolan("node --json list ns/c 1").await.json();
    assert_eq!(nodes["nodes"][1]["addr"], addrs[3]);
}

#[tokio::test]
async fn clusters_are_made_changed_and_taken_away_and_no_password_is_an_argument() {
    const PASSWORD: &str = "correct horse";
    let stage = Stage::new(1, 1).await;
    let home = TempDir::new().unwrap();
    let file = home.path().join("password");
    fs::write(&file, format!("{PASSWORD}\n")).unwrap();
    let (one, two, three) = (
        stage.spare(PASSWORD).await,
        stage.spare(PASSWORD).await,
        stage.spare(PASSWORD).await,
    );
    let with_file = format!("--password-file {}", file.display());

    let created = stage.portolan("namespace create shop").await.done();
    assert_eq!(created, "namespace shop is created\n");
    let create = format!("cluster create shop/cart --nodes {}", one.addr());
    let refused = stage.portolan(&create).await.failed(1);
    assert!(refused.contains("refuses the password"), "{refused}");
    let created = stage.portolan(&format!("{create} {with_file}")).await;
    assert_eq!(created.done(), "cluster shop/cart is created\n");

    let shard = format!("shard create shop/cart --nodes {}", two.addr());
    let by_variable = ran(stage
        .command(&shard)
        .env("PORTOLAN_NODE_PASSWORD", PASSWORD))
    .await;
    assert_eq!(by_variable.done(), "cluster shop/cart has a new shard\n");
    let add = format!("node add shop/cart 1 {} --password-stdin", three.addr());
    let added = with_input(stage.command(&add), PASSWORD).await;
    let sentence = format!("node {} is in shard 1 of shop/cart\n", three.addr());
    assert_eq!(added.done(), sentence);
    assert_eq!(three.follows(), Some(two.port()));

    let hidden = stage.portolan("cluster show shop/cart").await.done();
    assert!(!hidden.contains(PASSWORD) && !hidden.contains("PASSWORD"));
    let shown = stage.portolan("cluster show shop/cart --secrets").await;
    assert_eq!(shown.done().matches(PASSWORD).count(), 3);

    // A node that does not hear of a change is a warning, not a failure.
    one.kill();
    let remove = format!("node remove shop/cart 1 {}", three.node_id());
    let removed = stage.portolan(&remove).await;
    let warning = format!("portolan: warning: node {} has not heard", one.addr());
    assert!(removed.stderr.starts_with(&warning), "{}", removed.stderr);
    removed.done();
    one.restart().await;
    let synced = stage.portolan("cluster sync shop/cart --force").await;
    assert_eq!(synced.stderr, "");
    synced.done();
    stage.portolan("shard delete shop/cart 1").await.done();

    stage.portolan("cluster delete shop/cart").await.done();
    let import = format!(
        "cluster import shop/again --nodes {} {with_file}",
        one.addr()
    );
    stage.portolan(&import).await.done();
    let clusters = stage.portolan("cluster list shop --json").await.json();
    assert_eq!(clusters, json!({"clusters": ["again"]}));
    stage.portolan("cluster delete shop/again").await.done();
    stage.portolan("namespace delete shop").await.done();
    assert_eq!(stage.portolan("namespace list").await.done(), "ns\n");
}

#[tokio::test]
async fn migrations_are_waited_for_listed_and_changed() {
    let stage = Stage::new(2, 1).await;
    let waited = stage.portolan("migrate ns/c 0-99,200 --to 1 --wait").await;
    assert!(!waited.stderr.contains('\u{1b}'), "{}", waited.stderr);
    for slots in ["0-99", "200"] {
        let line = format!(" ({slots}): done");
        assert!(waited.stderr.contains(&line), "{}", waited.stderr);
    }
    assert_eq!(waited.done(), "2 migrations done\n");
    let shown = stage.portolan("cluster show ns/c").await.done();
    let map = format!("1  ▒{}{}   8293   50.6%", "·".repeat(31), "█".repeat(32));
    assert!(shown.contains(&map), "no {map:?} in\n{shown}");

    // One that a key keeps on its way, and one behind it in the queue.
    stage.net.hold_migrations();
    let mut keys = (0..).map(|n| format!("key-{n}"));
    let key = keys.find(|key| hash_slot(key.as_bytes()) < 8_192 && hash_slot(key.as_bytes()) > 200);
    let key = key.unwrap();
    stage.nodes[0].put(&key, "value");
    let slot = hash_slot(key.as_bytes());
    let line = format!("migrate ns/c {slot} --to 1 --json");
    let queued = stage.portolan(&line).await.json();
    let first = queued["migrations"][0].to_string();
    eventually("the slot is on its way", async || {
        let shown = stage.portolan("cluster show ns/c").await.done();
        let moves = format!("{slot} to shard 1");
        match shown.contains(&moves) && shown.contains(", > leaving, < arriving") {
            true => Ok(()),
            false => Err(shown),
        }
    })
    .await;
    let behind = stage.portolan("migrate ns/c 150 --to 1").await.done();
    let second = behind.trim_start_matches("queued as migration ").trim();
    let listed = stage.portolan("migrate list ns/c").await.done();
    let header = listed.lines().next().unwrap().split_whitespace();
    let header: Vec<&str> = header.take(5).collect();
    assert_eq!(header, ["ID", "SLOTS", "TO", "STATE", "DONE"], "{listed}");
    let last = listed.lines().last().unwrap().split_whitespace();
    let last: Vec<&str> = last.take(5).collect();
    assert_eq!(last, [second, "150", "1", "queued", "0/1"], "{listed}");

    for (action, state) in [
        ("pause", "paused"),
        ("resume", "queued"),
        ("cancel", "cancelled"),
    ] {
        let told = stage.change(action, second).await.done();
        assert_eq!(told, format!("migration {second} is {state}\n"));
    }
    stage.change("cancel", &first).await.failed(4);

    // Who waits for one that is cancelled meanwhile learns it from the exit code.
    let mut waiting = stage.command("migrate ns/c 160 --to 1 --wait --json");
    let waiting = waiting
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let waiting = waiting.unwrap();
    let third = (second.parse::<u64>().unwrap() + 1).to_string();
    eventually("the third migration can be cancelled", async || {
        let cancelled = stage.change("cancel", &third).await;
        match cancelled.code {
            Some(0) => Ok(()),
            _ => Err(cancelled.stderr),
        }
    })
    .await;
    let ended = Ran::from(waiting.wait_with_output().await.unwrap());
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    let ended: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(ended["migrations"][0]["state"], "cancelled");

    stage.net.release_migrations();
    let listed = eventually("the first migration is done", async || {
        let listed = stage.portolan("migrate list ns/c").await.done();
        let words = listed.lines().map(|line| line.split_whitespace().collect());
        let mut rows = words.filter(|row: &Vec<&str>| row[0] == first);
        match rows.next().is_some_and(|row| row[3] == "done") {
            true => Ok(listed),
            false => Err(listed),
        }
    })
    .await;
    assert!(listed.starts_with("ID"), "{listed}");
    assert_eq!(listed.matches(" cancelled ").count(), 2, "{listed}");
}

#[tokio::test]
async fn a_failover_by_hand_is_told_and_stands_in_the_events() {
    let stage = Stage::new(1, 2).await;
    let replica = &stage.nodes[1];
    eventually("the replica follows", async || match replica.follows() {
        Some(_) => Ok(()),
        None => Err("it does not"),
    })
    .await;
    let line = format!("failover ns/c 0 --to {}", replica.node_id());
    let told = eventually("the failover is done", async || {
        let ran = stage.portolan(&line).await;
        match ran.code {
            Some(0) => Ok(ran.stdout),
            _ => Err(ran.stderr),
        }
    })
    .await;
    let id = replica.node_id();
    assert_eq!(
        told,
        format!("node {id} is the master of shard 0 of ns/c\n")
    );

    let event = stage.event("failover").await;
    let events = stage.portolan("events ns/c").await.done();
    let line = events.lines().find(|line| line.contains(" failover "));
    let (time, rest) = line.unwrap().split_once(' ').unwrap();
    assert!(time.starts_with("20") && time.ends_with('Z'), "{time}");
    let (kind, text) = rest.split_once(' ').unwrap();
    assert_eq!(
        (kind, json!(text.trim())),
        ("failover", event["text"].clone())
    );
    let json = stage.portolan("events ns/c --json").await.json();
    let kinds = json["events"].as_array().unwrap().iter();
    assert!(
        kinds
            .map(|event| &event["kind"])
            .any(|kind| kind == "failover")
    );
}

#[tokio::test]
async fn every_failure_is_a_sentence_and_has_its_exit_code() {
    let stage = Stage::new(1, 1).await;
    let nobody = Port::reserve();
    let nobody = format!("namespace list --server 127.0.0.1:{}", nobody.number());
    for (line, code, part) in [
        ("namespace delete ns", 1, "ns"),
        (
            "migrate ns/c 5 --to 0",
            1,
            "shard 0 serves the slots 5 already",
        ),
        (
            "cluster create ns/d --nodes a:1 --password-file /nowhere",
            2,
            "/nowhere",
        ),
        ("cluster show ns/none", 3, "does not exist"),
        ("cluster list none", 3, "does not exist"),
        ("migrate cancel ns/c 99", 3, "99"),
        ("namespace create ns", 4, "already existed"),
        (&nobody, 5, "cannot reach http://127.0.0.1:"),
    ] {
        let complaint = stage.portolan(line).await.failed(code);
        assert!(complaint.contains(part), "{line}: {complaint}");
    }
    for line in [
        "cluster show c",
        "cluster create ns/d --nodes nowhere",
        "migrate ns/c 9-5 --to 0",
        "migrate ns/c 5",
        "migrate",
        "rebalance ns/c --wait",
        "shard set ns/c 0",
        "namespace list --server ftp://a",
    ] {
        let ran = stage.portolan(line).await;
        assert_eq!(ran.code, Some(2), "{line}: {}{}", ran.stdout, ran.stderr);
        assert!(ran.stderr.contains("error: "), "{line}: {}", ran.stderr);
    }
    let help = stage.portolan("cluster --help").await.done();
    for sentence in ["5 the server cannot be reached", "PORTOLAN_SERVER"] {
        let words = help.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains(sentence), "{help}");
    }
}
