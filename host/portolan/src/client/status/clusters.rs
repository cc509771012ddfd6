//! Sharded clusters, as their nodes are at the moment.

use serde_json::{Map, Value};

use super::super::connection::Session;
use super::super::error::ClientError;
use super::super::table::{count, table};
use super::super::views::Cluster;
use super::{Section, headed};

const NAMESPACES: &str = "/api/v1/namespaces";

/// All clusters, if there are any.
pub(super) async fn section(session: &Session, width: Option<u16>) -> Result<Section, ClientError> {
    let mut clusters = Vec::new();
    let mut json = Map::new();
    let namespaces: Vec<String> = session.api.get(NAMESPACES).await?.read("namespaces")?;
    for namespace in namespaces {
        let path = format!("{NAMESPACES}/{namespace}/clusters");
        let names: Vec<String> = session.api.get(&path).await?.read("clusters")?;
        for name in names {
            let path = format!("{path}/{name}?status=true");
            let answer = session.api.get(&path).await?;
            let name = format!("{namespace}/{name}");
            json.insert(name.clone(), answer.read::<Value>("cluster")?);
            clusters.push((name, answer.read::<Cluster>("cluster")?));
        }
    }
    Ok(Section {
        name: "clusters",
        text: text(&clusters, width),
        json: json.into(),
        troubles: clusters.iter().flat_map(troubles).collect(),
    })
}

fn text(clusters: &[(String, Cluster)], width: Option<u16>) -> String {
    if clusters.is_empty() {
        return String::new();
    }
    let rows = clusters.iter().map(|(name, cluster)| {
        let nodes = cluster.shards.iter().flat_map(|shard| &shard.nodes);
        let down = nodes.clone().filter(|node| !is_up(&node.status())).count();
        [
            name.clone(),
            cluster.engine.clone(),
            cluster.shards.len().to_string(),
            nodes.count().to_string(),
            down.to_string(),
        ]
    });
    let header = ["CLUSTER", "ENGINE", "SHARDS", "NODES", "DOWN"];
    let headline = format!("Clusters: {}", count(clusters.len(), "cluster"));
    headed(headline, &table(header, rows, width))
}

fn troubles((name, cluster): &(String, Cluster)) -> Vec<String> {
    let nodes = cluster.shards.iter().flat_map(|shard| &shard.nodes);
    let down = nodes.filter(|node| !is_up(&node.status()));
    let sentence = |addr: &str, role: &str, status: &str| {
        format!("cluster {name}: the {role} {addr} is {status}")
    };
    down.map(|node| sentence(&node.addr, &node.role, &node.status()))
        .collect()
}

/// `up`, or nothing where nobody was asked.
fn is_up(status: &str) -> bool {
    matches!(status, "up" | "")
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

    #[test]
    fn a_node_that_is_down_is_named() {
        let node = |addr: &str, role: &str, status: Value| json!({"id": "x", "addr": addr, "role": role, "status": status});
        let nodes = json!([
            node("a:1", "master", json!({"state": "up"})),
            node(
                "a:2",
                "slave",
                json!({"state": "down", "reason": "no answer"})
            ),
        ]);
        let cluster = json!({"engine": "kvrocks", "shards": [{ "nodes": nodes }]});
        let clusters = [("ns/c".to_owned(), from_value(cluster).unwrap())];
        let expected = ["cluster ns/c: the slave a:2 is down: no answer"];
        assert_eq!(troubles(&clusters[0]), expected);
        let expected = "\
Clusters: 1 cluster
CLUSTER  ENGINE   SHARDS  NODES  DOWN
ns/c     kvrocks  1       2      1";
        assert_eq!(text(&clusters, None), expected);
        assert_eq!(text(&[], None), "");
    }
}
