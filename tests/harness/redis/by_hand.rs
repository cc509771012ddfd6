//! A cluster as an operator makes one, by raw commands.

use super::RedisServer;
use crate::resp::Resp;
use crate::wait::eventually;

const SLOTS: usize = 16_384;

/// Makes one cluster of empty servers, `replicas` for every master: first all masters, each with an
/// equal part of the slots in order, then the first replica of each master, and so on. Returns when
/// every node calls the cluster well and every replica follows its master.
pub async fn redis_cluster_by_hand(servers: &[RedisServer], replicas: usize) {
    let masters = servers.len() / (replicas + 1);
    assert_eq!(
        masters * (replicas + 1),
        servers.len(),
        "some servers would be left over"
    );
    for (index, server) in servers.iter().enumerate() {
        let epoch = (index + 1).to_string();
        done(server, &["CLUSTER", "SET-CONFIG-EPOCH", &epoch]).await;
    }
    for server in &servers[1..] {
        let (host, port) = (server.host().to_string(), server.port().to_string());
        done(&servers[0], &["CLUSTER", "MEET", &host, &port]).await;
    }
    for (index, server) in servers[..masters].iter().enumerate() {
        let first = (SLOTS * index / masters).to_string();
        let last = (SLOTS * (index + 1) / masters - 1).to_string();
        done(server, &["CLUSTER", "ADDSLOTSRANGE", &first, &last]).await;
    }
    for (index, server) in servers.iter().enumerate().skip(masters) {
        let master = servers[index % masters].id().await;
        eventually("the replica knows its master", async || {
            let reply = server.call(&["CLUSTER", "REPLICATE", &master]).await;
            reply.error().map_or(Ok(()), |error| Err(error.to_owned()))
        })
        .await;
    }
    for (index, server) in servers.iter().enumerate() {
        let what = format!("{} is part of a whole cluster", server.addr());
        eventually(&what, async || {
            whole(server, servers.len(), masters, index >= masters).await
        })
        .await;
    }
}

async fn done(server: &RedisServer, command: &[&str]) {
    let reply = server.call(command).await;
    assert_eq!(reply, Resp::ok(), "{command:?} on {}", server.addr());
}

async fn whole(
    server: &RedisServer,
    known: usize,
    masters: usize,
    is_replica: bool,
) -> Result<(), String> {
    let info = server.call(&["CLUSTER", "INFO"]).await.text();
    let expected = [
        "cluster_state:ok".to_owned(),
        format!("cluster_known_nodes:{known}"),
        format!("cluster_size:{masters}"),
    ];
    if let Some(missing) = expected
        .iter()
        .find(|wanted| !info.lines().any(|line| line == wanted.as_str()))
    {
        return Err(format!("no {missing} in {info}"));
    }
    let nodes = server.call(&["CLUSTER", "NODES"]).await.text();
    let count = |flag: &str| nodes.matches(flag).count();
    if nodes.contains("handshake") || count("slave ") != known - masters {
        return Err(format!("nodes are missing: {nodes}"));
    }
    let replication = server.call(&["INFO", "replication"]).await.text();
    if is_replica && !replication.contains("master_link_status:up") {
        return Err(format!("it does not follow its master: {replication}"));
    }
    Ok(())
}
