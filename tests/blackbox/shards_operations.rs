//! What operators do to a cluster besides moving slots: settings, nodes that have moved, what the nodes
//! know better, and watching what happens.

use portolan_tests::{Flavour, PATIENCE, RedisOptions, RedisServer, Resp, eventually};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::stage::{CLUSTER, RealStage, Stage};

#[tokio::test]
async fn a_cluster_has_settings_of_its_own() {
    let stage = Stage::new(1, 2).await;
    let client = stage.client();
    let path = format!("{CLUSTER}/settings");
    let settings = client.get(&path).await.json()["data"].clone();
    assert_eq!(settings["effective"]["failover_after"], 3);
    assert!(settings["settings"]["failover_after"].is_null());

    for (body, part) in [
        (json!({"failover_after": 0}), "failover_after"),
        (json!({"probe_interval_ms": 1}), "probe_interval_ms"),
        (json!({"safe_mode_percent": 101}), "safe_mode_percent"),
        (json!({"failover": 3}), "failover"),
    ] {
        let reply = client.put(&path, &body).await;
        assert_eq!(reply.status, 400, "{body}: {}", reply.complaint());
        assert!(reply.body.contains(part), "{}", reply.body);
    }
    let own = json!({"automatic_failover": false, "probe_interval_ms": 200});
    let reply = client.put(&path, &own).await;
    assert_eq!(reply.status, 200, "{}", reply.complaint());
    assert_eq!(reply.json()["data"]["effective"]["probe_interval_ms"], 200);

    // Nobody replaces a master unasked.
    stage.nodes[0].kill();
    let event = stage.event("failover-refused").await;
    let text = event["text"].as_str().unwrap();
    assert!(
        text.contains("automatic failover is switched off"),
        "{text}"
    );
    assert_eq!(stage.master(0).await.unwrap(), stage.nodes[0].addr());
    let status = client.get(&format!("{CLUSTER}?status=true")).await;
    let nodes = status.json()["data"]["cluster"]["shards"][0]["nodes"].clone();
    assert_eq!(nodes[0]["status"]["state"], "down", "{nodes}");
    assert_eq!(nodes[1]["status"]["state"], "up", "{nodes}");
    assert_eq!(nodes[1]["status"]["version"], 1, "{nodes}");

    // Whoever is paged looks here.
    let leader = stage.group.client(stage.group.leader().await);
    let metrics = leader.get("/metrics").await.body;
    let labels = r#"cluster="c",namespace="ns""#;
    for line in [
        format!(r#"portolan_shards_nodes{{{labels},state="down"}} 1"#),
        format!(r#"portolan_shards_nodes{{{labels},state="up"}} 1"#),
        r#"portolan_shards_events_total{cluster="c",kind="node-down",namespace="ns"} 1"#.to_owned(),
    ] {
        assert!(metrics.contains(&line), "no {line} in {metrics}");
    }

    let reply = client.put(&path, &json!({})).await;
    assert_eq!(
        reply.json()["data"]["effective"]["automatic_failover"],
        true
    );
    stage.event("failover").await;
}

#[tokio::test]
async fn a_node_that_has_moved_is_found_at_its_new_address_and_no_other_node_is() {
    let options = RedisOptions::new(Flavour::Redis7);
    let mut stage = RealStage::real(Flavour::Redis7, 1, 2).await;
    let other = RedisServer::start(options).await;
    let replica = &mut stage.nodes[1];
    let (old, id) = (replica.addr(), replica.id().await);
    replica.restart_elsewhere().await;
    let new = replica.addr();
    assert_ne!(old, new);
    let client = stage.client();
    let path = format!("{CLUSTER}/nodes/{id}");
    let patch = async |addr: &str| {
        let body = json!({"addr": addr});
        client.send_json("PATCH", &path, &body).await
    };
    let reply = patch(&other.addr()).await;
    assert_eq!(reply.status, 409, "{}", reply.complaint());
    assert!(reply.body.contains("it is another one"), "{}", reply.body);
    assert_eq!(patch(&old).await.status, 502, "nobody is there");
    assert_eq!(patch("nowhere").await.status, 400);
    let reply = patch(&new).await;
    assert_eq!(reply.status, 200, "{}", reply.complaint());
    let nodes = stage.shards().await[0]["nodes"].clone();
    assert_eq!(nodes[1]["addr"], new);
    // The old address is free again, the new one is taken.
    let add = async |addr: &str| {
        let path = format!("{CLUSTER}/shards/0/nodes");
        client.post(&path, &json!({"addr": addr})).await
    };
    assert_eq!(add(&new).await.status, 409);
    assert_eq!(add(&old).await.status, 502);
}

#[tokio::test]
async fn what_the_nodes_know_better_is_adopted_or_overwritten_as_the_operator_says() {
    let stage = Stage::new(1, 2).await;
    let (master, replica) = (&stage.nodes[0], &stage.nodes[1]);
    let lines = |first: &str, second: &str| {
        let line = |node: &portolan_tests::KvrocksNode, role: &str| {
            format!("{} 127.0.0.1 {} {role}", node.node_id(), node.port())
        };
        format!("{}\n{}", line(master, first), line(replica, second))
    };
    // Somebody swaps the two by hand, at a higher version.
    let swapped = lines(&format!("slave {}", replica.node_id()), "master - 0-16383");
    let tell = async |version: &str| {
        for node in [master, replica] {
            let words = ["CLUSTERX", "SETNODES", &swapped, version];
            assert_eq!(node.client().await.call(&words).await, Resp::ok());
        }
    };
    tell("7").await;
    let event = stage.event("conflict").await;
    let text = event["text"].as_str().unwrap();
    assert!(text.contains("adopt=true"), "{text}");

    let client = stage.client();
    let sync = async |query: &str| {
        let path = format!("{CLUSTER}/sync?{query}");
        client.post(&path, &Value::Null).await
    };
    assert_eq!(sync("adopt=true&force=true").await.status, 400);
    let reply = sync("adopt=true").await;
    assert_eq!(reply.status, 200, "{}", reply.complaint());
    assert_eq!(reply.json()["pushed"]["version"], 7);
    assert_eq!(stage.master(0).await.unwrap(), replica.addr());
    assert_eq!(master.follows(), Some(replica.port()));

    // Swapped back in the store by a failover, and by hand once more: overwritten this time.
    let path = format!("{CLUSTER}/shards/0/failover");
    let reply = client.post(&path, &json!({})).await;
    assert_eq!(reply.status, 200, "{}", reply.complaint());
    tell("20").await;
    let reply = sync("force=true").await;
    assert_eq!(reply.status, 200, "{}", reply.complaint());
    assert_eq!(reply.json()["pushed"]["failed"], json!([]));
    assert_eq!(stage.master(0).await.unwrap(), master.addr());
    assert_eq!(replica.follows(), Some(master.port()));
    assert_eq!(replica.topology_version(), 8);
}

#[tokio::test]
async fn a_password_that_the_nodes_have_changed_is_taken_over() {
    let stage = RealStage::real(Flavour::Valkey9, 1, 2).await;
    let client = stage.client();
    let path = format!("{CLUSTER}/password");
    let put = async |password: &str| client.put(&path, &json!({"password": password})).await;
    for node in &stage.nodes {
        // A connection that is there already stays logged in.
        let mut connection = node.client().await;
        for option in ["requirepass", "masterauth"] {
            let set = connection.call(&["CONFIG", "SET", option, "new"]).await;
            assert_eq!(set, Resp::ok());
        }
    }
    let reply = put("wrong").await;
    assert_eq!(reply.status, 409, "{}", reply.complaint());
    assert!(
        reply.body.contains(&stage.nodes[1].addr()),
        "{}",
        reply.body
    );
    assert!(!reply.body.contains("wrong"), "{}", reply.body);
    let reply = put("new").await;
    assert_eq!(reply.status, 200, "{}", reply.complaint());
    let shown = client
        .get(&format!("{CLUSTER}?secrets=true&status=true"))
        .await;
    let nodes = shown.json()["data"]["cluster"]["shards"][0]["nodes"].clone();
    for node in nodes.as_array().unwrap() {
        assert_eq!(node["password"], "new");
        assert_eq!(node["status"]["state"], "up", "{nodes}");
    }
    let shown = client.get(CLUSTER).await;
    assert!(!shown.body.contains("new"), "{}", shown.body);
    // New connections of all members use it.
    let reply = client
        .post(&format!("{CLUSTER}/shards/0/failover"), &json!({}))
        .await;
    assert_eq!(reply.status, 200, "{}", reply.complaint());
}

#[tokio::test]
async fn a_node_that_is_taken_out_while_it_is_down_is_told_when_it_comes_back() {
    let stage = Stage::new(1, 2).await;
    let replica = &stage.nodes[1];
    replica.kill();
    stage.event("node-down").await;
    let client = stage.client();
    let path = format!("{CLUSTER}/shards/0/nodes/{}", replica.node_id());
    let reply = client.send_json("DELETE", &path, &Value::Null).await;
    assert_eq!(reply.status, 200, "{}", reply.complaint());
    let failed = reply.json()["pushed"]["failed"].clone();
    assert_eq!(failed[0]["addr"], replica.addr(), "{failed}");

    replica.restart().await;
    eventually("it follows nobody and is in no cluster", async || {
        let version = replica.client().await.call(&["CLUSTERX", "VERSION"]).await;
        match (replica.follows(), version.text().as_str()) {
            (None, "-1") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    // From now on nobody minds where it goes.
    let nodes = format!("{CLUSTER}/shards/0/nodes");
    let reply = client.post(&nodes, &json!({"addr": replica.addr()})).await;
    assert_eq!(reply.status, 201, "{}", reply.complaint());
    let master = stage.nodes[0].port();
    eventually("it follows the master again", async || {
        match replica.follows() {
            Some(port) if port == master => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}

/// Somebody who watches a cluster's events.
struct Watcher {
    stream: TcpStream,
    text: String,
}

impl Watcher {
    /// After the event with the number `last`, or from the first on.
    async fn new(address: &str, last: Option<&Value>) -> Self {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let last = last.map(|last| format!("last-event-id: {last}\r\n"));
        let request = format!(
            "GET {CLUSTER}/events?watch=true HTTP/1.1\r\nhost: {address}\r\n{}\r\n",
            last.unwrap_or_default()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        Self {
            stream,
            text: String::new(),
        }
    }

    /// What came so far, once `part` has come.
    async fn until(&mut self, part: &str) -> String {
        let mut buffer = [0; 4096];
        while !self.text.contains(part) {
            let read = timeout(PATIENCE, self.stream.read(&mut buffer)).await;
            let read = read.unwrap_or_else(|_| panic!("no {part:?} in {}", self.text));
            let read = read.unwrap();
            assert_ne!(read, 0, "it ended without {part:?}: {}", self.text);
            self.text
                .push_str(&String::from_utf8_lossy(&buffer[..read]));
        }
        self.text.clone()
    }
}

#[tokio::test]
async fn events_can_be_watched_as_they_happen() {
    let mut stage = Stage::new(1, 2).await;
    let leader = stage.group.leader().await;
    let follower = (leader + 1) % 3;
    let address = stage.group.members[follower].address();
    let mut watcher = Watcher::new(&address, None).await;
    watcher.until("text/event-stream").await;
    stage.nodes[1].kill();
    watcher.until("event: node-down").await;
    let text = watcher.until("does not answer").await;
    assert!(text.contains("id: "), "{text}");
    stage.nodes[1].restart().await;
    watcher.until("event: node-up").await;

    // From where somebody was.
    let events = stage.events().await.unwrap();
    let up = events.iter().find(|event| event["kind"] == "node-up");
    let number = up.unwrap()["number"].clone();
    let mut later = Watcher::new(&address, Some(&number)).await;
    let path = format!("{CLUSTER}/shards/0/failover");
    eventually("the failover is carried out", async || {
        let reply = stage.client().post(&path, &json!({})).await;
        if reply.status == 200 {
            Ok(())
        } else {
            Err(reply.complaint())
        }
    })
    .await;
    let text = later.until("event: failover").await;
    assert!(!text.contains("node-up"), "{text}");

    // A member that stops does not wait for those who watch.
    let status = stage.group.members[follower].stop().await;
    assert!(status.success(), "{status}");
}
