//! The sharded-clusters contract, against stand-ins of Kvrocks nodes.

use portolan_tests::{
    Client, Cluster, Daemon, Kvrocks, KvrocksNode, KvrocksOptions, files_containing,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::shape::assert_covers_shape;

const NAMESPACES: &str = "/api/v1/namespaces";
const CLUSTERS: &str = "/api/v1/namespaces/test-ns/clusters";
const CLUSTER: &str = "/api/v1/namespaces/test-ns/clusters/test-cluster";

/// What the contract shows of a shard, and of the node in it.
fn shard_example() -> Value {
    json!({
        "nodes": [{
            "id": "YotDSqzTeHK6CnIX2gZu27IlcYRTW4dkkFQvV382",
            "addr": "127.0.0.1:6666",
            "role": "master",
            "password": "",
            "master_auth": "",
            "created_at": 16_834_433_980_u64,
        }],
        "slot_ranges": ["0-16383"],
        "import_slot": -1,
        "migrating_slot": -1,
    })
}

async fn ok(client: &Client, method: &str, path: &str, body: Value, status: u16) -> Value {
    let reply = client.send_json(method, path, &body).await;
    assert_eq!(
        reply.status,
        status,
        "{method} {path}: {}",
        reply.complaint()
    );
    reply.json()
}

async fn get(client: &Client, path: &str) -> Value {
    let reply = client.get(path).await;
    assert_eq!(reply.status, 200, "{path}: {}", reply.complaint());
    reply.json()["data"].clone()
}

fn addrs(nodes: &[KvrocksNode]) -> Vec<String> {
    nodes.iter().map(KvrocksNode::addr).collect()
}

async fn start(net: &Kvrocks, count: usize) -> Vec<KvrocksNode> {
    let mut nodes = vec![];
    for _ in 0..count {
        nodes.push(net.start().await);
    }
    nodes
}

/// A daemon with `test-ns`, which mends nothing by itself.
async fn with_namespace(home: &TempDir) -> (Daemon, Client) {
    let mut member = Daemon::new(home.path(), 1).config("[shards]\nprobe_interval_ms = 3600000\n");
    member.start_ready().await;
    let client = member.client();
    ok(
        &client,
        "POST",
        NAMESPACES,
        json!({"namespace": "test-ns"}),
        201,
    )
    .await;
    (member, client)
}

#[tokio::test]
async fn every_endpoint_answers_as_the_contract_says_on_any_member() {
    let group = Cluster::start().await;
    let clients: Vec<Client> = (0..3).map(|index| group.client(index)).collect();
    let [one, two, three] = &clients[..] else {
        panic!("three members")
    };
    let net = Kvrocks::network();
    let nodes = start(&net, 6).await;
    let addr = addrs(&nodes);

    let namespace = json!({"namespace": "test-ns"});
    let reply = ok(one, "POST", NAMESPACES, namespace.clone(), 201).await;
    assert_eq!(reply["data"], "created");
    let again = ok(two, "POST", NAMESPACES, namespace, 409).await;
    let message = again["error"]["message"].as_str().unwrap();
    assert!(
        message.starts_with("the entry already existed"),
        "{message}"
    );
    for client in &clients {
        assert_eq!(
            get(client, NAMESPACES).await,
            json!({"namespaces": ["test-ns"]})
        );
    }

    let create = json!({"name": "test-cluster", "nodes": addr[..4], "replicas": 2, "password": ""});
    let reply = ok(two, "POST", CLUSTERS, create, 201).await;
    assert_eq!(reply["data"], "created");
    assert_eq!(reply["pushed"]["reached"].as_array().unwrap().len(), 4);
    assert_eq!(
        get(three, CLUSTERS).await,
        json!({"clusters": ["test-cluster"]})
    );

    let cluster = get(three, CLUSTER).await;
    let example =
        json!({"cluster": {"name": "test-cluster", "version": 0, "shards": [shard_example()]}});
    assert_covers_shape(&cluster, &example);
    assert_eq!(
        cluster["cluster"]["shards"][0]["slot_ranges"],
        json!(["0-8191"])
    );
    assert_eq!(
        cluster["cluster"]["shards"][1]["slot_ranges"],
        json!(["8192-16383"])
    );
    for (node, stored) in nodes[..4].iter().zip(
        cluster["cluster"]["shards"]
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|shard| shard["nodes"].as_array().unwrap()),
    ) {
        assert_eq!(node.topology_version(), 1);
        assert_eq!(stored["id"], node.node_id());
    }
    assert_eq!(
        nodes[1].follows(),
        Some(nodes[0].port()),
        "a replica follows its master"
    );

    let reply = ok(
        one,
        "POST",
        &format!("{CLUSTER}/shards"),
        json!({"nodes": [addr[4]], "password": ""}),
        201,
    )
    .await;
    assert_eq!(reply["data"], "created");
    let shards = get(two, &format!("{CLUSTER}/shards")).await;
    assert_eq!(shards["shards"].as_array().unwrap().len(), 3);
    assert_covers_shape(&shards["shards"][0], &shard_example());
    assert_eq!(shards["shards"][2]["slot_ranges"], Value::Null);
    let shard = get(two, &format!("{CLUSTER}/shards/2")).await;
    assert_eq!(shard["shard"], shards["shards"][2]);

    let path = format!("{CLUSTER}/shards/2/nodes");
    let node = json!({"addr": addr[5], "role": "slave", "password": ""});
    ok(three, "POST", &path, node, 201).await;
    let listed = get(one, &path).await;
    assert_covers_shape(&listed["nodes"][1], &shard_example()["nodes"][0]);
    assert_eq!(nodes[5].follows(), Some(nodes[4].port()));
    assert!(nodes.iter().all(|node| node.topology_version() == 3));

    let id = listed["nodes"][1]["id"].as_str().unwrap().to_owned();
    let reply = ok(two, "DELETE", &format!("{path}/{id}"), Value::Null, 200).await;
    assert_eq!(reply["data"], "ok");
    assert_eq!(nodes[5].topology_version(), -1, "it forgot the cluster");
    ok(
        two,
        "DELETE",
        &format!("{CLUSTER}/shards/2"),
        Value::Null,
        200,
    )
    .await;
    assert_eq!(nodes[4].topology_version(), -1);
    assert_eq!(nodes[0].topology_version(), 5);

    // What was deleted may be used again; what was forgotten may be taken over as it runs.
    ok(one, "DELETE", CLUSTER, Value::Null, 200).await;
    assert_eq!(one.get(CLUSTER).await.status, 404);
    let import = json!({"nodes": [addr[3]], "password": ""});
    ok(one, "POST", &format!("{CLUSTER}/import"), import, 201).await;
    let imported = get(two, CLUSTER).await;
    assert_eq!(imported["cluster"]["version"], 5);
    let ids = |cluster: &Value| -> Vec<Value> {
        let shards = cluster["cluster"]["shards"].as_array().unwrap().iter();
        let nodes = shards.flat_map(|shard| shard["nodes"].as_array().unwrap().clone());
        nodes.map(|node| node["id"].clone()).collect()
    };
    assert_eq!(ids(&imported), ids(&cluster));

    let leader = get(two, "/api/v1/controller/leader").await;
    let expected = group.members[group.leader().await].address();
    assert_eq!(leader, json!(expected));

    assert_eq!(
        one.send_json("DELETE", "/api/v1/namespaces/test-ns", &Value::Null)
            .await
            .status,
        403
    );
    ok(one, "DELETE", CLUSTER, Value::Null, 200).await;
    ok(
        one,
        "DELETE",
        "/api/v1/namespaces/test-ns",
        Value::Null,
        200,
    )
    .await;
    assert_eq!(get(three, NAMESPACES).await, json!({"namespaces": []}));
}

#[tokio::test]
async fn what_is_wrong_is_refused_with_a_sentence_and_changes_nothing() {
    let home = TempDir::new().unwrap();
    let (_member, client) = with_namespace(&home).await;
    let net = Kvrocks::network();
    let nodes = start(&net, 4).await;
    let addr = addrs(&nodes);
    let filled = net.start().await;
    filled.put("key", "value");
    let gone = net.start().await;
    gone.kill();
    let cluster = json!({"name": "test-cluster", "nodes": addr[..2], "replicas": 1});
    ok(&client, "POST", CLUSTERS, cluster.clone(), 201).await;
    let before = get(&client, CLUSTER).await;
    let master = before["cluster"]["shards"][0]["nodes"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();

    let make = |nodes: Value| json!({"name": "other", "nodes": nodes, "replicas": 1});
    let nobody = "a".repeat(40);
    let shards = format!("{CLUSTER}/shards");
    let cases = [
        (
            "POST",
            NAMESPACES.to_owned(),
            json!({"namespace": ""}),
            400,
            "must not be empty",
        ),
        (
            "POST",
            NAMESPACES.to_owned(),
            json!({"namespace": "a/b"}),
            400,
            "letters, digits",
        ),
        (
            "POST",
            NAMESPACES.to_owned(),
            json!({"name": "a"}),
            400,
            "namespace",
        ),
        (
            "DELETE",
            format!("{NAMESPACES}/none"),
            Value::Null,
            404,
            "does not exist",
        ),
        (
            "POST",
            format!("{NAMESPACES}/none/clusters"),
            cluster.clone(),
            404,
            "namespace none",
        ),
        (
            "GET",
            format!("{NAMESPACES}/none/clusters"),
            Value::Null,
            404,
            "does not exist",
        ),
        ("POST", CLUSTERS.into(), cluster, 409, "already existed"),
        (
            "POST",
            CLUSTERS.into(),
            make(json!([])),
            400,
            "a node at least",
        ),
        (
            "POST",
            CLUSTERS.into(),
            make(json!([addr[2], addr[2]])),
            409,
            "twice",
        ),
        (
            "POST",
            CLUSTERS.into(),
            make(json!([addr[0]])),
            409,
            "belongs to cluster test-cluster",
        ),
        (
            "POST",
            CLUSTERS.into(),
            make(json!(["nowhere"])),
            400,
            "host:port",
        ),
        (
            "POST",
            CLUSTERS.into(),
            make(json!([filled.addr()])),
            409,
            "holds keys",
        ),
        (
            "POST",
            CLUSTERS.into(),
            make(json!([gone.addr()])),
            502,
            "cannot be reached",
        ),
        (
            "POST",
            CLUSTERS.into(),
            json!({"name": "other", "nodes": addr[2..], "replicas": 3}),
            400,
            "cannot be divided",
        ),
        (
            "POST",
            CLUSTERS.into(),
            json!({"name": "", "nodes": addr[2..], "replicas": 1}),
            400,
            "must not be empty",
        ),
        (
            "POST",
            CLUSTERS.into(),
            json!({"name": "other", "nodes": addr[2..], "engine": "mysql"}),
            400,
            "kvrocks",
        ),
        (
            "GET",
            format!("{CLUSTERS}/none"),
            Value::Null,
            404,
            "does not exist",
        ),
        (
            "DELETE",
            format!("{CLUSTERS}/none"),
            Value::Null,
            404,
            "does not exist",
        ),
        (
            "POST",
            format!("{CLUSTERS}/none/sync"),
            Value::Null,
            404,
            "does not exist",
        ),
        (
            "POST",
            format!("{CLUSTERS}/other/import"),
            json!({"nodes": []}),
            400,
            "name a node",
        ),
        (
            "POST",
            format!("{CLUSTERS}/other/import"),
            json!({"nodes": [addr[2]]}),
            400,
            "in no cluster",
        ),
        (
            "POST",
            format!("{CLUSTERS}/other/import"),
            json!({"nodes": [addr[1]]}),
            409,
            "belongs to",
        ),
        (
            "POST",
            shards.clone(),
            json!({"nodes": []}),
            400,
            "a node at least",
        ),
        (
            "GET",
            format!("{shards}/2"),
            Value::Null,
            404,
            "shards 0 to 1",
        ),
        ("GET", format!("{shards}/x"), Value::Null, 400, "path"),
        (
            "DELETE",
            format!("{shards}/0"),
            Value::Null,
            409,
            "migrate them",
        ),
        (
            "DELETE",
            format!("{shards}/2"),
            Value::Null,
            404,
            "does not exist",
        ),
        (
            "POST",
            format!("{shards}/2/nodes"),
            json!({"addr": addr[2]}),
            404,
            "does not exist",
        ),
        (
            "POST",
            format!("{shards}/0/nodes"),
            json!({"addr": addr[2], "role": "master"}),
            409,
            "has a master",
        ),
        (
            "POST",
            format!("{shards}/0/nodes"),
            json!({"addr": addr[2], "role": "king"}),
            400,
            "slave",
        ),
        (
            "POST",
            format!("{shards}/0/nodes"),
            json!({"addr": addr[1]}),
            409,
            "belongs to",
        ),
        (
            "DELETE",
            format!("{shards}/0/nodes/short"),
            Value::Null,
            400,
            "40 letters",
        ),
        (
            "DELETE",
            format!("{shards}/0/nodes/{nobody}"),
            Value::Null,
            404,
            "does not exist",
        ),
        (
            "DELETE",
            format!("{shards}/0/nodes/{master}"),
            Value::Null,
            409,
            "is the master",
        ),
    ];
    for (method, path, body, status, part) in cases {
        let reply = client.send_json(method, &path, &body).await;
        let what = format!("{method} {path} {body}: {}", reply.complaint());
        assert_eq!(reply.status, status, "{what}");
        let answer = reply.json();
        let error = &answer["error"];
        let said = format!("{} {}", error["message"], error["at"]);
        assert!(said.contains(part), "no {part:?} in {what}");
    }
    assert_eq!(get(&client, CLUSTER).await, before);
    assert_eq!(
        get(&client, CLUSTERS).await,
        json!({"clusters": ["test-cluster"]})
    );
    assert_eq!(nodes[2].topology_version(), -1, "nobody told it anything");
}

#[tokio::test]
async fn a_node_that_missed_a_change_is_named_and_hears_of_it_by_sync() {
    let home = TempDir::new().unwrap();
    let (_member, client) = with_namespace(&home).await;
    let net = Kvrocks::network();
    let nodes = start(&net, 3).await;
    let addr = addrs(&nodes);
    let create = json!({"name": "test-cluster", "nodes": addr[..2], "replicas": 1});
    ok(&client, "POST", CLUSTERS, create, 201).await;

    nodes[1].kill();
    let shard = json!({"nodes": [addr[2]]});
    let reply = ok(&client, "POST", &format!("{CLUSTER}/shards"), shard, 201).await;
    assert_eq!(reply["pushed"]["failed"][0]["addr"], addr[1]);
    nodes[1].restart().await;
    assert_eq!(nodes[1].topology_version(), 1);

    let sync = format!("{CLUSTER}/sync");
    let reply = ok(&client, "POST", &sync, Value::Null, 200).await;
    assert_eq!(reply["pushed"]["failed"], json!([]), "{reply}");
    assert_eq!(nodes[1].topology_version(), 2);

    // A node that somebody else gave a higher version refuses, unless it is forced.
    let id = nodes[0].node_id();
    let line = format!("{id} 127.0.0.1 {} master - 0-16383", nodes[0].port());
    nodes[0]
        .client()
        .await
        .call(&["CLUSTERX", "SETNODES", &line, "9"])
        .await;
    let reply = ok(&client, "POST", &sync, Value::Null, 200).await;
    assert_eq!(reply["pushed"]["failed"][0]["addr"], addr[0]);
    let reason = reply["pushed"]["failed"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("Invalid cluster version"), "{reason}");
    ok(
        &client,
        "POST",
        &format!("{sync}?force=true"),
        Value::Null,
        200,
    )
    .await;
    assert_eq!(nodes[0].topology_version(), 2);
}

#[tokio::test]
async fn passwords_are_shown_when_asked_for_and_sealed_on_disk() {
    const PASSWORD: &str = "correct-horse-battery";
    let home = TempDir::new().unwrap();
    let (member, client) = with_namespace(&home).await;
    let net = Kvrocks::network();
    let node = net
        .start_with(KvrocksOptions {
            password: PASSWORD.into(),
            ..KvrocksOptions::default()
        })
        .await;
    let create = |password: &str| json!({"name": "test-cluster", "nodes": [node.addr()], "password": password});
    for wrong in ["", "wrong"] {
        let reply = client.post(CLUSTERS, &create(wrong)).await;
        assert_eq!(reply.status, 400, "{}", reply.complaint());
        assert!(
            reply.body.contains("refuses the password"),
            "{}",
            reply.body
        );
    }
    ok(&client, "POST", CLUSTERS, create(PASSWORD), 201).await;
    assert_eq!(node.topology_version(), 1);

    let hidden = get(&client, CLUSTER).await;
    let shown = get(&client, &format!("{CLUSTER}?secrets=true")).await;
    for field in ["password", "master_auth"] {
        assert_eq!(hidden["cluster"]["shards"][0]["nodes"][0][field], "");
        assert_eq!(shown["cluster"]["shards"][0]["nodes"][0][field], PASSWORD);
    }
    let found = files_containing(member.data(), PASSWORD);
    assert!(found.is_empty(), "{found:?}");
    assert!(!member.log().contains(PASSWORD));
}
