//! CLUSTER and CLUSTERX: what is taken, what is refused, what is shown and what is remembered.

use portolan_tests::{Kvrocks, KvrocksOptions, Resp};

use super::*;

const CLUSTERX_USAGE: &str =
    "ERR CLUSTERX command, CLUSTERX VERSION|MYID|SETNODEID|SETNODES|SETSLOT|MIGRATE";

#[tokio::test]
async fn a_node_without_a_topology_says_so() {
    let node = Kvrocks::network().start().await;
    for command in ["INFO", "NODES", "SLOTS"] {
        let reply = ask(&node, &["CLUSTER", command]).await;
        assert_eq!(reply, "CLUSTERDOWN The cluster is not initialized");
    }
    assert_eq!(ask(&node, &["PING"]).await, "PONG");
    let reply = ask(&node, &["SET", "a", "1"]).await;
    assert_eq!(reply, "CLUSTERDOWN Hash slot not served");
    let mut client = node.client().await;
    let version = client.call(&["CLUSTERX", "VERSION"]).await;
    assert_eq!(version, Resp::bulk("-1"));
    let own_id = client.call(&["CLUSTERX", "MYID"]).await;
    assert_eq!(own_id, Resp::bulk(""));
    for command in ["SHARDS", "MYID", "MEET", "FAILOVER", "SETNODES"] {
        let reply = ask(&node, &["CLUSTER", command]).await;
        let usage = "ERR CLUSTER command, CLUSTER INFO|NODES|SLOTS|KEYSLOT|RESET|REPLICAS";
        assert_eq!(reply, usage);
    }
    let reply = ask(&node, &["CLUSTERX", "SETNODEID", "short"]).await;
    assert_eq!(reply, CLUSTERX_USAGE);
    let reply = ask(&node, &["SLAVEOF", "127.0.0.1", "1"]).await;
    assert_eq!(reply, "ERR can't change to slave in cluster mode");
}

#[tokio::test]
async fn versions_of_a_topology_only_rise_unless_forced() {
    let node = Kvrocks::network().start().await;
    let lines = [master(1, &node, "0-16383")];
    push(&node, 1, &lines, 3).await;
    assert_eq!(set_nodes(&node, &lines, 7).await, "OK");
    // The same version is not even parsed.
    assert_eq!(set_nodes(&node, &["nonsense".into()], 7).await, "OK");
    for version in [6, -1] {
        let reply = set_nodes(&node, &lines, version).await;
        assert_eq!(reply, "ERR Invalid cluster version");
    }
    let text = lines.join("\n");
    for (arguments, wanted) in [
        (["2", "force"], "OK"),
        (["-1", "force"], "ERR Invalid cluster version"),
        (["9", "please"], "ERR Invalid setnodes options"),
        (["x", "force"], "ERR Invalid version"),
    ] {
        let command = ["CLUSTERX", "SETNODES", &text, arguments[0], arguments[1]];
        assert_eq!(ask(&node, &command).await, wanted, "{arguments:?}");
    }
    assert_eq!(node.topology_version(), 2);
}

#[tokio::test]
async fn a_topology_is_parsed_as_the_server_does() {
    let node = Kvrocks::network().start().await;
    let (me, other, port) = (id(1), id(2), node.port());
    let good = [
        format!("{me} 127.0.0.1 {port} master - 0-16383\n"),
        format!("{me}  localhost  {port}  MASTER  -  0-16383"),
        format!("{me} 127.0.0.1 {port} master - 0-9 10 11-16383\n{other} h 1 Replica {me}"),
    ];
    for (version, text) in (1..).zip(good) {
        assert_eq!(set_nodes(&node, &[text], version).await, "OK");
    }
    assert_eq!(node.node_id(), me, "found by host and port");
    let invalid = "ERR Invalid cluster nodes info";
    let range = "ERR Slot is out of range";
    for (text, wanted) in [
        (String::new(), invalid),
        (format!("{me} 127.0.0.1 {port} master"), invalid),
        (format!("{other} h 1 slave {me} 0-1"), invalid),
        (
            format!("x h {port} master -"),
            "ERR Invalid cluster node id",
        ),
        (format!("{me} h 1 slave -"), "ERR Invalid cluster node id"),
        (
            format!("{me} h x master -"),
            "ERR Invalid cluster node port",
        ),
        (
            format!("{me} h 1 slave,fail {me}"),
            "ERR Invalid cluster node role",
        ),
        (format!("{me} h 1 master - 0-16384"), range),
        (format!("{me} h 1 master - 10-10"), range),
        (
            format!("{me} h 1 master - 0-9\r\n{other} h 2 master - 10"),
            range,
        ),
        (
            format!("{me} h 1 master - 0-9\n{other} h 2 master - 9"),
            "ERR Slot distribution is overlapped",
        ),
        (
            format!("{me} h 1 master - 0-9 {other} h 2 master -"),
            "ERR Invalid nodes definition: Missing newline between node entries.",
        ),
    ] {
        let reply = set_nodes(&node, std::slice::from_ref(&text), 9).await;
        assert_eq!(reply, wanted, "{text:?}");
    }
    assert_eq!(node.topology_version(), 3);
}

#[tokio::test]
async fn the_topology_is_shown() {
    let net = Kvrocks::network();
    let (one, two, three) = (net.start().await, net.start().await, net.start().await);
    let lines = [
        master(1, &one, "0-3299 3301-8191"),
        master(2, &two, "3300 8192-16383"),
        replica(3, &three, 1),
    ];
    push(&one, 1, &lines, 5).await;

    let info = ask(&one, &["CLUSTER", "INFO"]).await;
    for line in [
        "cluster_state:ok\r\ncluster_slots_assigned:16384\r\ncluster_slots_ok:16384\r\n",
        "cluster_known_nodes:3\r\ncluster_size:2\r\n",
        "cluster_current_epoch:5\r\ncluster_my_epoch:5\r\n",
    ] {
        assert!(info.contains(line), "{info}");
    }
    assert!(!info.contains("migrating"), "{info}");

    let nodes = ask(&one, &["CLUSTER", "NODES"]).await;
    let (port, bus) = (one.port(), u32::from(one.port()) + 10_000);
    let start = format!("{} 127.0.0.1:{port}@{bus} myself,master - ", id(1));
    assert!(nodes.starts_with(&start), "{nodes}");
    assert!(nodes.contains(" 5 connected 0-3299 3301-8191\n"), "{nodes}");
    assert!(nodes.contains(&format!("slave {} ", id(1))), "{nodes}");

    let slots = one.client().await.call(&["CLUSTER", "SLOTS"]).await;
    let Resp::Array(ranges) = slots else {
        panic!("{slots:?} is no array")
    };
    assert_eq!(ranges.len(), 4);
    assert_eq!(texts(&ranges[1])[..2], ["3300", "3300"]);
    let reply = ask(&one, &["CLUSTER", "KEYSLOT", "foo"]).await;
    assert_eq!(reply, "12182");
    let replicas = ask(&one, &["CLUSTER", "REPLICAS", &id(1)]).await;
    assert!(replicas.starts_with(&id(3)), "{replicas}");
}

#[tokio::test]
async fn an_id_that_the_topology_lacks_is_kept_until_forced() {
    let node = Kvrocks::network().start().await;
    let lines = [master(2, &node, "0-16383")];
    push(&node, 1, &lines, 1).await;
    let nodes = ask(&node, &["CLUSTER", "NODES"]).await;
    assert!(!nodes.contains("myself"), "{nodes}");
    let reply = ask(&node, &["GET", "foo"]).await;
    assert_eq!(reply, format!("MOVED 12182 {}", node.addr()));

    let command = ["CLUSTERX", "SETNODES", &lines[0], "1", "force"];
    assert_eq!(ask(&node, &command).await, "OK");
    assert_eq!(node.node_id(), id(2));
    assert_eq!(ask(&node, &["SET", "foo", "1"]).await, "OK");
}

#[tokio::test]
async fn setslot_takes_the_next_version_only() {
    let net = Kvrocks::network();
    let (one, two) = master_and_replica(&net).await;
    let mut client = one.client().await;
    let (first, second) = (id(1), id(2));
    let invalid = "ERR Invalid cluster version";
    for (arguments, wanted) in [
        (["0", "NODE", &first, "1"], invalid),
        (["0", "NODE", &first, "3"], invalid),
        (["0", "NODE", &second, "2"], "ERR The node isn't a master"),
        (["0", "NODE", "short", "2"], "ERR Invalid node id"),
        (["0", "TO", &first, "2"], "ERR Invalid setslot options"),
        (["0-3 7", "node", &first, "2"], "OK"),
    ] {
        let [slots, node, id, version] = arguments;
        let command = ["CLUSTERX", "SETSLOT", slots, node, id, version];
        assert_eq!(client.call(&command).await.text(), wanted, "{command:?}");
    }
    assert_eq!((one.topology_version(), two.topology_version()), (2, 1));
}

#[tokio::test]
async fn the_topology_outlives_a_kill_where_it_is_persisted() {
    let net = Kvrocks::network();
    let forgetful = KvrocksOptions {
        persist: false,
        ..KvrocksOptions::default()
    };
    let (one, two) = (net.start().await, net.start_with(forgetful).await);
    for node in [&one, &two] {
        push(node, 1, &[master(1, node, "0-16383")], 4).await;
        assert_eq!(ask(node, &["SET", "foo", "1"]).await, "OK");
        node.kill();
        assert!(!node.is_running());
        node.restart().await;
        assert_eq!(node.value("foo").as_deref(), Some("1"));
    }
    assert_eq!((one.topology_version(), one.node_id()), (4, id(1)));
    assert_eq!(ask(&one, &["SET", "foo", "2"]).await, "OK");
    assert_eq!((two.topology_version(), two.node_id()), (-1, String::new()));
}

#[tokio::test]
async fn reset_forgets_the_topology_of_an_empty_node() {
    let net = Kvrocks::network();
    let (one, _two) = two_masters(&net).await;
    one.put("hidden", "1");
    let reply = ask(&one, &["CLUSTER", "RESET"]).await;
    assert_eq!(reply, "ERR Can't reset cluster while database is not empty");
    let empty = net.start().await;
    push(&empty, 3, &[master(3, &empty, "0-16383")], 9).await;
    assert_eq!(ask(&empty, &["CLUSTER", "RESET", "HARD"]).await, "OK");
    assert_eq!(empty.topology_version(), -1);
}
