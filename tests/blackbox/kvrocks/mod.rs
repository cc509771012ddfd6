//! The Kvrocks stand-in behaves as a real node was recorded to: one module per group of behaviour, and
//! one for the traps.

mod data;
mod faults;
mod migration;
mod replication;
mod topology;
mod traps;

use portolan_tests::{Kvrocks, KvrocksNode, Resp, eventually};

/// The id of the node number `n`: 40 characters.
fn id(n: usize) -> String {
    format!("{n:040x}")
}

fn master(n: usize, node: &KvrocksNode, slots: &str) -> String {
    let line = format!("{} 127.0.0.1 {} master - {slots}", id(n), node.port());
    line.trim_end().to_owned()
}

fn replica(n: usize, node: &KvrocksNode, of: usize) -> String {
    let (id, master) = (id(n), id(of));
    format!("{id} 127.0.0.1 {} slave {master}", node.port())
}

/// One command on a connection of its own; the text of its answer.
async fn ask(node: &KvrocksNode, command: &[&str]) -> String {
    node.client().await.call(command).await.text()
}

/// Sends a topology and expects it to be taken.
async fn push(node: &KvrocksNode, n: usize, lines: &[String], version: i64) {
    let reply = ask(node, &["CLUSTERX", "SETNODEID", &id(n)]).await;
    assert_eq!(reply, "OK");
    assert_eq!(set_nodes(node, lines, version).await, "OK");
}

async fn set_nodes(node: &KvrocksNode, lines: &[String], version: i64) -> String {
    let (text, version) = (lines.join("\n"), version.to_string());
    ask(node, &["CLUSTERX", "SETNODES", &text, &version]).await
}

/// Two masters with half of the slots each, at version 1.
async fn two_masters(net: &Kvrocks) -> (KvrocksNode, KvrocksNode) {
    let (one, two) = (net.start().await, net.start().await);
    let lines = [master(1, &one, "0-8191"), master(2, &two, "8192-16383")];
    push(&one, 1, &lines, 1).await;
    push(&two, 2, &lines, 1).await;
    (one, two)
}

/// A master of everything and its replica, at version 1.
async fn master_and_replica(net: &Kvrocks) -> (KvrocksNode, KvrocksNode) {
    let (one, two) = (net.start().await, net.start().await);
    let lines = [master(1, &one, "0-16383"), replica(2, &two, 1)];
    push(&one, 1, &lines, 1).await;
    push(&two, 2, &lines, 1).await;
    (one, two)
}

/// Waits until the answer to a command contains this.
async fn says(node: &KvrocksNode, command: &[&str], wanted: &str) {
    let what = format!("{} says {wanted} to {command:?}", node.addr());
    eventually(&what, async || {
        let text = ask(node, command).await;
        if text.contains(wanted) {
            Ok(())
        } else {
            Err(text)
        }
    })
    .await;
}

/// Waits until a node holds this under a key.
async fn holds(node: &KvrocksNode, key: &str, value: Option<&str>) {
    eventually(&format!("{key} is {value:?}"), async || {
        let found = node.value(key);
        if found.as_deref() == value {
            Ok(())
        } else {
            Err(format!("{found:?}"))
        }
    })
    .await;
}

/// The strings of an array.
fn texts(reply: &Resp) -> Vec<String> {
    let Resp::Array(items) = reply else {
        panic!("{reply:?} is no array");
    };
    items.iter().map(Resp::text).collect()
}
