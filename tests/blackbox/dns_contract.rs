//! The contract `/v1`: an existing deployment of the earlier daemon pushes to a member and reads from it.

use portolan_tests::{
    AliRecord, AliStub, Client, Cluster, Reply, Setup, built_plugins, eventually,
};
use serde_json::{Value, json};

use crate::dns::bind;

const ZONE: &str = "example.com";
const SECRET: &str = "cocoa-of-a-test";
const KEY_ID: &str = "LTAI-of-a-test";
const KEY: &str = "the-secret-of-a-test-account";
const CONFIG: &str = r#"
    [contract]
    secret = "cocoa-of-a-test"
    [steering]
    interval_ms = 500
    [log]
    level = "info,portolan=trace,portolan_api=trace,portolan_sandbox=trace,portolan_steering=trace"
"#;

async fn cluster() -> Cluster {
    let mut cluster = Cluster::start_with(Setup {
        config: CONFIG.into(),
        plugins: Some(built_plugins()),
        ..Setup::default()
    })
    .await;
    cluster.all_ready().await;
    cluster
}

fn www() -> Value {
    json!({"serviceName": "测试", "domain": ZONE, "record": "www", "platformProvider": "Ali"})
}

/// A node as the earlier daemon marshals it.
fn node(code: &str, isps: &[&str], network: &str) -> Value {
    json!({
        "nodeName": format!("Node {code}"), "nodeCode": code,
        "nodeAddress": format!("https://{code}.example.net"), "workMode": "follower",
        "cocoaSecret": format!("own-secret-of-{code}"), "ISPs": isps, "networkType": network,
        "statusCode": 200, "watchDog": "2023-09-18T22:54:22.0765568+08:00",
        "cocoaManagedService": [www()],
    })
}

/// What its leader pushes: three lists, and Go's zero values for everything else.
fn push(nodes: &Value, access_secret: &str) -> Value {
    json!({
        "cocoaSecret": SECRET,
        "cocoaBasic": {
            "apiPort": 0, "nodeName": "", "nodeCode": "", "nodeAddress": "", "workMode": "",
            "cocoaSecret": "", "reverseProxy": false, "otherCocoaSyncer": nodes,
            "cocoaManagedService": [www()],
            "cloudPlatformInfo": [
                {"platformProvider": "Ali", "accessKey": KEY_ID, "accessSecret": access_secret}
            ],
            "timeout": 0, "DataBaseType": "", "Dsn": "", "createdAt": "0001-01-01T00:00:00Z",
            "updatedAt": "0001-01-01T00:00:00Z", "configImported": false,
        },
    })
}

async fn update(client: &Client, body: &Value) -> Value {
    answer(&client.post("/v1/updateClusterInfo", body).await)
}

async fn info(client: &Client) -> Value {
    let body = json!({"cocoaSecret": SECRET});
    answer(&client.post("/v1/getClusterInfo", &body).await)
}

fn answer(reply: &Reply) -> Value {
    assert_eq!(reply.status, 200, "always: {}", reply.body);
    assert!(!reply.body.contains(KEY), "{}", reply.body);
    assert!(!reply.body.contains("own-secret"), "{}", reply.body);
    reply.json()
}

fn node_of(info: &Value, code: &str) -> Option<Value> {
    let nodes = info["cocoaBasic"]["otherCocoaSyncer"].as_array()?;
    nodes.iter().find(|node| node["nodeCode"] == code).cloned()
}

async fn put_site(client: &Client, code: &str, site: Value) {
    let reply = client
        .put(&format!("/api/v1/dns/sites/{code}"), &site)
        .await;
    assert_eq!(reply.status, 200, "{}", reply.body);
}

#[tokio::test]
async fn a_push_to_a_follower_is_replicated_told_by_all_and_carried_out() {
    let server = AliStub::start(KEY_ID, KEY, &[ZONE]).await;
    for line in ["default", "telecom"] {
        let standing = AliRecord {
            line: line.into(),
            ..AliRecord::new("www", "A", "192.0.2.99")
        };
        server.insert(standing);
    }
    let cluster = cluster().await;
    let follower = cluster.client(cluster.follower().await);
    assert_eq!(
        info(&follower).await["statusCode"],
        201,
        "it knows nobody yet"
    );
    let ali = json!({
        "plugin": "alidns", "settings": {"endpoint": server.url()}, "hosts": [server.url()],
        "credentials": {"access-key-id": KEY_ID, "access-key-secret": "an-older-secret"},
    });
    bind(&follower, "ali", &ali).await;
    put_site(
        &follower,
        "SH",
        json!({"addresses": {"ipv4": ["203.0.113.10"]}}),
    )
    .await;

    let nodes = json!([
        node("SH", &["default", "CT"], "IPV4"),
        node("GZ", &["OverSea"], "IPV6"),
        node("BJ", &["None"], "Both"),
    ]);
    let pushed = update(&follower, &push(&nodes, KEY)).await;
    assert_eq!(
        (&pushed["statusCode"], &pushed["statusString"]),
        (&json!(200), &json!("MafuMafu~"))
    );

    for index in cluster.running() {
        let client = cluster.client(index);
        let told = eventually("every member tells what was pushed to one", async || {
            let told = info(&client).await;
            match node_of(&told, "BJ") {
                Some(_) if told["cocoaBasic"]["updatedAt"].as_str() > Some("1") => Ok(told),
                _ => Err(told.to_string()),
            }
        })
        .await;
        assert_eq!(told["statusCode"], 200);
        for pushed in nodes.as_array().unwrap() {
            let told = node_of(&told, pushed["nodeCode"].as_str().unwrap()).unwrap();
            for field in [
                "nodeName",
                "ISPs",
                "networkType",
                "nodeAddress",
                "cocoaManagedService",
            ] {
                assert_eq!(told[field], pushed[field], "{field} in {told}");
            }
            assert_eq!(told["cocoaSecret"], "***");
        }
        let leads = index == cluster.leader().await;
        let part = if leads { "leader" } else { "follower" };
        assert_eq!(told["cocoaBasic"]["workMode"], part);
        assert_eq!(
            told["cocoaBasic"]["cloudPlatformInfo"][0]["accessSecret"],
            "***"
        );
    }

    eventually("the records of the site's lines are its own", async || {
        let records = server.records();
        let moved = |line: &str| {
            records
                .iter()
                .any(|it| it.line == line && it.rtype == "A" && it.value == "203.0.113.10")
        };
        match moved("default") && moved("telecom") && records.len() == 2 {
            true => Ok(()),
            false => Err(format!("{records:?}")),
        }
    })
    .await;
    for member in &cluster.members {
        for secret in [KEY, SECRET, "own-secret-of"] {
            assert!(!member.log().contains(secret), "a secret in a log");
        }
    }
}

#[tokio::test]
async fn what_must_not_be_taken_is_refused_and_changes_nothing() {
    let cluster = cluster().await;
    let leader = cluster.client(cluster.leader().await);
    let follower = cluster.client(cluster.follower().await);
    let good = push(&json!([node("SH", &["CT"], "IPV4")]), KEY);

    assert_eq!(update(&leader, &good).await["statusCode"], 405);
    let mut foreign = good.clone();
    foreign["cocoaSecret"] = json!("another");
    assert_eq!(
        update(&leader, &foreign).await["statusCode"],
        405,
        "whatever the secret"
    );
    assert_eq!(update(&follower, &foreign).await["statusCode"], 401);
    for (nodes, words) in [
        (
            json!([
                node("SH", &["CT"], "IPV4"),
                node("BJ", &["telecom"], "IPV4")
            ]),
            "`telecom`",
        ),
        (json!([node("SH", &["CT"], "IPv4")]), "`IPv4`"),
        (json!([node("S H", &["CT"], "IPV4")]), "`S H`"),
    ] {
        let refused = update(&follower, &push(&nodes, KEY)).await;
        assert_eq!(refused["statusCode"], 422, "{refused}");
        let sentence = refused["statusString"].as_str().unwrap();
        assert!(
            sentence.contains(words) && sentence.contains("otherCocoaSyncer["),
            "{sentence}"
        );
    }
    for path in ["sites", "services", "providers"] {
        let stored = follower.get(&format!("/api/v1/dns/{path}")).await.json();
        assert_eq!(stored[path], json!([]), "{path}");
    }
}

#[tokio::test]
async fn a_node_feeds_its_own_dog_and_a_dead_one_is_told() {
    let mut cluster = cluster().await;
    let leader = cluster.leader().await;
    let followers: Vec<usize> = (0..3).filter(|index| *index != leader).collect();
    let (reader, victim) = (followers[0], followers[1]);
    let client = cluster.client(reader);
    // Where the members are is all that tells which node is which.
    let mut nodes = Vec::new();
    for (index, code) in ["one", "two", "three"].iter().enumerate() {
        let mut node = node(code, &["None"], "IPV4");
        node["nodeAddress"] = json!(format!("http://{}", cluster.members[index].address()));
        node["cocoaManagedService"] = Value::Null;
        nodes.push(node);
    }
    let mut body = push(&json!(nodes), KEY);
    body["cocoaBasic"]["cocoaManagedService"] = Value::Null;
    body["cocoaBasic"]["cloudPlatformInfo"] = Value::Null;
    let pushed = update(&client, &body).await;
    assert_eq!(pushed["statusCode"], 200, "{pushed}");

    let code = |index: usize| ["one", "two", "three"][index];
    let status = async |index: usize| {
        let told = info(&client).await;
        node_of(&told, code(index)).map(|node| node["statusCode"].clone())
    };
    for index in 0..3 {
        eventually("all live", async || match status(index).await {
            Some(code) if code == 200 => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
    }
    let told = info(&client).await;
    assert_eq!(told["cocoaBasic"]["nodeCode"], code(reader));
    assert_eq!(node_of(&told, code(leader)).unwrap()["workMode"], "leader");
    let fed = node_of(&told, code(reader)).unwrap()["watchDog"].clone();
    eventually("its own dog is fed again", async || {
        let told = info(&client).await;
        let again = node_of(&told, code(reader)).unwrap()["watchDog"].clone();
        match again.as_str() > fed.as_str() {
            true => Ok(()),
            false => Err(format!("{fed} {again}")),
        }
    })
    .await;

    cluster.members[victim].kill9();
    eventually("the dead node is told", async || {
        match status(victim).await {
            Some(code) if code == 504 => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    let badge = client.get("/v1/badge").await;
    assert_eq!(badge.header("content-type"), "image/svg+xml;charset=utf-8");
    assert!(badge.body.contains(">2/3<"), "{}", badge.body);
    let page = client.get("/v1/status").await;
    assert!(
        page.body.contains("Node one") && page.body.contains("2 of 3"),
        "{}",
        page.body
    );
    assert!(
        !page.body.contains(SECRET) && !page.body.contains(">one<"),
        "{}",
        page.body
    );
}
