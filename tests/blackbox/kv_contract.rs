//! The KV contract's examples, from every member of a group of three.

use portolan_tests::Cluster;
use serde_json::{Value, json};

use crate::shape::{assert_covers_shape, assert_same_shape};

#[tokio::test]
async fn every_member_answers_data_requests_as_the_contract_shows() {
    let cluster = Cluster::start().await;
    for (index, member) in cluster.members.iter().enumerate() {
        let client = member.client();
        let key = format!("key-of-{index}");

        let put = client
            .post("/write", &json!({"Put": {"key": key, "value": "bar"}}))
            .await;
        assert_eq!((put.status, put.body.as_str()), (200, "\"OK\""));
        assert_eq!(put.header("content-type"), "application/json");

        let read = client.post("/read", &json!(key)).await;
        assert_eq!((read.status, read.json()), (200, json!({"OK": "bar"})));

        let all = client.get("/read-all").await;
        assert_eq!(
            (all.status, all.json()),
            (200, json!({"OK": [{"k": key, "v": "bar"}]}))
        );

        for _ in ["there", "already gone"] {
            let delete = client.post("/write", &json!({"Del": {"key": key}})).await;
            assert_eq!((delete.status, delete.body.as_str()), (200, "\"OK\""));
        }
        let gone = client.post("/read", &json!(key)).await;
        assert_eq!((gone.status, gone.json()), (200, json!({"OK": ""})));
        let empty = client.get("/read-all").await;
        assert_eq!((empty.status, empty.json()), (200, json!({"OK": []})));
    }
}

#[tokio::test]
async fn text_of_every_kind_survives_from_any_member_to_any_other() {
    let cluster = Cluster::start().await;
    let texts = [
        "",
        " ",
        "\"quoted\" \\ back",
        "line\nbreak\u{0}\u{1f}",
        "港口 ⚓ ß",
        "{\"OK\":1}",
    ];
    for (number, text) in texts.into_iter().enumerate() {
        let key = format!("{number}-{text}");
        let (writer, reader) = (cluster.client(number % 3), cluster.client((number + 1) % 3));
        writer.write(&key, text).await.unwrap();
        assert_eq!(reader.read(&key).await.unwrap(), text);
        assert_eq!(
            reader
                .read_all()
                .await
                .unwrap()
                .get(&key)
                .map(String::as_str),
            Some(text)
        );
    }
}

#[tokio::test]
async fn an_acknowledged_write_is_read_from_every_member_at_once() {
    let cluster = Cluster::start().await;
    for round in 0..100 {
        let writer = round % 3;
        let value = format!("round {round}");
        cluster
            .client(writer)
            .write("register", &value)
            .await
            .unwrap();
        for reader in 0..3 {
            let read = cluster.client(reader).read("register").await.unwrap();
            assert_eq!(read, value, "written through {writer}, read from {reader}");
        }
    }
}

#[tokio::test]
async fn every_member_shows_its_metrics_as_the_contract_shows_them() {
    let cluster = Cluster::start().await;
    cluster.client(0).write("foo", "bar").await.unwrap();
    cluster.all_caught_up().await;
    let leader = cluster.leader().await;
    for (index, member) in cluster.members.iter().enumerate() {
        let client = member.client();
        let asked = [("accept", "application/json")];
        let reply = client.send("GET", "/metrics", &asked, "").await.unwrap();
        assert_eq!(reply.status, 200);
        let metrics = reply.json();
        assert_covers_shape(&metrics, &example_of_metrics(index == leader));

        let ok = &metrics["Ok"];
        assert_eq!(ok["id"], json!(member.id()));
        assert_eq!(ok["current_leader"], json!(cluster.members[leader].id()));
        assert_eq!(
            ok["state"],
            if index == leader {
                "Leader"
            } else {
                "Follower"
            }
        );
        assert_eq!(
            ok["membership_config"]["membership"]["configs"],
            json!([[1, 2, 3]])
        );
        for other in &cluster.members {
            let node = &ok["membership_config"]["membership"]["nodes"][other.id().to_string()];
            assert_eq!(*node, json!({"addr": other.address()}));
        }
        for field in ["snapshot", "purged"] {
            assert!(
                ok[field].is_null() || ok[field]["index"].is_u64(),
                "{field}: {}",
                ok[field]
            );
        }
        // The contract's example shows them beside `Ok`, its origin inside: they stand in both.
        for field in ["heartbeat", "replication"] {
            assert!(metrics.get(field).is_some(), "no {field} beside Ok");
            assert_eq!(metrics[field], ok[field]);
        }
    }
}

/// The contract's example. Only a leader knows of the others' heartbeats and of its quorum.
fn example_of_metrics(leads: bool) -> Value {
    let log_id = json!({"leader_id": {"term": 1, "node_id": 1}, "index": 3});
    let mut example = json!({
        "Ok": {
            "running_state": {"Ok": null},
            "id": 1,
            "current_term": 1,
            "vote": {"leader_id": {"term": 1, "node_id": 1}, "committed": true},
            "last_log_index": 3,
            "last_applied": log_id,
            "state": "Leader",
            "current_leader": 1,
            "membership_config": {
                "log_id": log_id,
                "membership": {
                    "configs": [[1]],
                    "nodes": {
                        "1": {"addr": "127.0.0.1:21001"},
                        "2": {"addr": "127.0.0.1:21002"},
                        "3": {"addr": "127.0.0.1:21003"},
                    }
                }
            }
        }
    });
    if leads {
        example["Ok"]["millis_since_quorum_ack"] = json!(0);
        example["Ok"]["last_quorum_acked"] = json!(1_766_401_699_240_929_138_u64);
        let time = 1_766_401_699_239_579_794_u64;
        example["heartbeat"] = json!({"1": time, "2": time, "3": time});
        example["replication"] = json!({"1": log_id, "2": log_id, "3": log_id});
    }
    example
}

#[tokio::test]
async fn metrics_are_json_or_prometheus_text_by_what_the_client_says() {
    let cluster = Cluster::start().await;
    let client = cluster.client(1);
    let scraper = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,\
                   */*;q=0.2";
    let json_type = ("content-type", "application/json");
    let accept = |what| vec![("accept", what)];
    for (headers, body, wants_json) in [
        (vec![], "", false),
        (accept("*/*"), "", false),
        (accept("text/plain"), "", false),
        (accept(scraper), "", false),
        (
            accept("text/html,application/xhtml+xml,*/*;q=0.8"),
            "",
            false,
        ),
        (accept("application/json"), "", true),
        (accept("application/json;q=0.9, */*;q=0.1"), "", true),
        (vec![json_type], "null", true),
        (vec![("accept", "*/*"), json_type], "null", true),
    ] {
        let reply = client
            .send("GET", "/metrics", &headers, body)
            .await
            .unwrap();
        assert_eq!(reply.status, 200);
        let kind = if wants_json {
            "application/json"
        } else {
            "text/plain"
        };
        let found = reply.header("content-type");
        assert!(found.starts_with(kind), "{headers:?} {body:?} got {found}");
        assert_eq!(
            reply.body.contains("# HELP "),
            !wants_json,
            "{headers:?} {body:?}"
        );
    }
    assert!(client.get("/raft/metrics").await.json()["Ok"].is_object());
}

#[tokio::test]
async fn prometheus_text_explains_every_family_and_counts_by_route() {
    let cluster = Cluster::start().await;
    let client = cluster.client(0);
    client.write("a", "b").await.unwrap();
    client.get("/no/such/path/of-mine").await;
    let text = client.get("/metrics").await.body;

    let mut explained = std::collections::BTreeSet::new();
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (family, words) = help.split_once(' ').unwrap_or((help, ""));
            assert!(!words.trim().is_empty(), "{family} has no help text");
            explained.insert(family.to_owned());
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let family = kind.split(' ').next().unwrap();
            assert!(explained.contains(family), "{family} has no HELP line");
        }
    }
    for wanted in [
        "portolan_http_",
        "portolan_raft_",
        "portolan_store_",
        "process_",
    ] {
        assert!(
            explained.iter().any(|name| name.starts_with(wanted)),
            "no {wanted}* in {explained:?}"
        );
    }
    assert!(
        text.contains("route=\"/write\""),
        "requests are not counted by route"
    );
    assert!(!text.contains("of-mine"), "a path became a label");
}

#[tokio::test]
async fn the_first_page_is_alive_for_probes_and_for_people() {
    let cluster = Cluster::start().await;
    for path in ["/", "/v1"] {
        let probe = cluster.client(2).get(path).await;
        assert_eq!(probe.status, 200);
        assert!(probe.header("content-type").starts_with("text/plain"));
        let browser = [("accept", "text/html,application/xhtml+xml")];
        let page = cluster
            .client(2)
            .send("GET", path, &browser, "")
            .await
            .unwrap();
        assert_eq!(page.status, 200);
        assert!(page.header("content-type").starts_with("text/html"));
    }
}

#[tokio::test]
async fn any_member_takes_changes_of_the_membership() {
    let mut cluster = Cluster::start().await;
    let mut fourth = cluster.new_member(4).standby();
    fourth.start();
    fourth.listening().await;
    let address = fourth.address();
    cluster.members.push(fourth);

    for index in 0..3 {
        let reply = cluster
            .client(index)
            .post("/add-learner", &json!([4, address]))
            .await;
        assert_eq!(reply.status, 200, "{}", reply.complaint());
        assert_same_shape(&reply.json(), &example_of_change());
        assert_eq!(
            reply.json()["Ok"]["membership"]["configs"],
            json!([[1, 2, 3]])
        );
        assert_eq!(
            reply.json()["Ok"]["membership"]["nodes"]["4"],
            json!({"addr": address})
        );
    }
    for (index, voters) in [[1, 2, 3, 4].as_slice(), &[1, 2, 3, 4], &[1, 2, 3]]
        .iter()
        .enumerate()
    {
        let reply = cluster
            .client(index)
            .post("/change-membership", &json!(voters))
            .await;
        assert_eq!(reply.status, 200, "{}", reply.complaint());
        assert_eq!(reply.json()["Ok"]["membership"]["configs"], json!([voters]));
        assert_eq!(reply.json()["Ok"]["data"], json!({"value": null}));
        if voters.contains(&4) {
            assert_same_shape(&reply.json(), &example_of_change());
            cluster.members[3].ready().await;
            cluster
                .client(3)
                .write("through the fourth", "yes")
                .await
                .unwrap();
        }
    }
    assert_eq!(
        cluster.client(0).read("through the fourth").await.unwrap(),
        "yes"
    );
}

/// The contract's example, with this test's members.
fn example_of_change() -> Value {
    json!({
        "Ok": {
            "log_id": {"leader_id": {"term": 1, "node_id": 1}, "index": 5},
            "data": {"value": null},
            "membership": {
                "configs": [[1]],
                "nodes": {
                    "1": {"addr": "127.0.0.1:21001"},
                    "2": {"addr": "127.0.0.1:21002"},
                    "3": {"addr": "127.0.0.1:21003"},
                    "4": {"addr": "127.0.0.1:21004"},
                }
            }
        }
    })
}
