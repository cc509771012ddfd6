//! Commands on keys, passwords, and the protocol itself.

use std::time::{Duration, Instant};

use portolan_tests::{Kvrocks, KvrocksOptions, Resp, hash_slot};

use super::*;

#[test]
fn slots_are_those_of_redis_cluster() {
    assert_eq!(hash_slot("123456789"), 12_739);
    assert_eq!(hash_slot("foo"), 12_182);
    assert_eq!(hash_slot("{user1000}.following"), hash_slot("user1000"));
    assert_eq!(hash_slot("foo{}{bar}"), 8_363);
    assert_eq!(hash_slot("foo{bar}{zap}"), hash_slot("bar"));
}

#[tokio::test]
async fn keys_are_served_or_redirected() {
    let net = Kvrocks::network();
    let (one, two) = two_masters(&net).await;
    let moved = ask(&one, &["SET", "foo", "1"]).await;
    assert_eq!(moved, format!("MOVED 12182 {}", two.addr()));
    let mut client = two.client().await;
    assert_eq!(client.call(&["SET", "foo", "1"]).await, Resp::ok());
    assert_eq!(client.call(&["GET", "foo"]).await, Resp::bulk("1"));
    assert_eq!(client.call(&["GET", "{foo}2"]).await, Resp::Nil);
    assert_eq!(client.call(&["DBSIZE"]).await, Resp::Integer(1));
    let crossed = client.call(&["DEL", "foo", "bar"]).await;
    assert!(crossed.text().starts_with("CROSSSLOT"), "{crossed:?}");
    let deleted = client.call(&["DEL", "foo", "{foo}2"]).await;
    assert_eq!(deleted, Resp::Integer(1));
    assert_eq!(two.sequence(), 2);
}

#[tokio::test]
async fn commands_can_be_pipelined() {
    let node = Kvrocks::network().start().await;
    let mut client = node.client().await;
    for text in ["a", "b\r\nc"] {
        client.send(&["ECHO", text]).await.unwrap();
    }
    assert_eq!(client.receive().await.unwrap(), Resp::bulk("a"));
    assert_eq!(client.receive().await.unwrap(), Resp::bulk("b\r\nc"));
    assert_eq!(node.commands(), ["ECHO a", "ECHO b\r\nc"]);
}

#[tokio::test]
async fn clients_introduce_themselves() {
    let node = Kvrocks::network().start().await;
    let mut client = node.client().await;
    let hello = client.call(&["HELLO", "3"]).await;
    let sentence = hello.error().unwrap();
    assert!(sentence.starts_with("ERR unknown command"), "{sentence}");
    for command in [
        &["CLIENT", "SETNAME", "x"][..],
        &["CLIENT", "SETINFO", "LIB-NAME", "x"],
        &["SELECT", "0"],
        &["READONLY"],
    ] {
        assert_eq!(client.call(command).await, Resp::ok(), "{command:?}");
    }
    assert_eq!(client.call(&["COMMAND"]).await, Resp::Array(vec![]));
    let info = client.call(&["INFO"]).await.text();
    assert!(info.contains("kvrocks_version:2.9.0\r\n"), "{info}");
    assert!(info.contains("redis_version:4.0.0\r\n"), "{info}");
}

#[tokio::test]
async fn a_password_is_asked_for() {
    let options = KvrocksOptions {
        password: "secret".into(),
        ..KvrocksOptions::default()
    };
    let node = Kvrocks::network().start_with(options).await;
    let mut client = node.client().await;
    for (command, wanted) in [
        (&["PING"][..], "NOAUTH Authentication required."),
        (&["AUTH", "wrong"], "ERR Invalid password"),
        (
            &["AUTH", "default", "secret"],
            "ERR wrong number of arguments",
        ),
        (&["AUTH", "secret"], "OK"),
        (&["PING"], "PONG"),
        (&["CONFIG", "SET", "requirepass", "other"], "OK"),
    ] {
        assert_eq!(client.call(command).await.text(), wanted, "{command:?}");
    }
    let masterauth = client.call(&["CONFIG", "GET", "masterauth"]).await;
    assert_eq!(texts(&masterauth), ["masterauth", "secret"]);
    assert_eq!(ask(&node, &["AUTH", "other"]).await, "OK");
}

#[tokio::test]
async fn paused_writes_wait_and_reads_do_not() {
    let node = Kvrocks::network().start().await;
    push(&node, 1, &[master(1, &node, "0-16383")], 1).await;
    let mut client = node.client().await;
    client.call(&["CLIENT", "PAUSE", "60000", "WRITE"]).await;
    let mut writer = node.client().await;
    writer.send(&["SET", "a", "1"]).await.unwrap();
    let write = "SET a 1".to_owned();
    eventually("the write has arrived", async || {
        let commands = node.commands();
        commands.contains(&write).then_some(()).ok_or("not yet")
    })
    .await;
    assert_eq!(client.call(&["GET", "a"]).await, Resp::Nil);
    client.call(&["CLIENT", "UNPAUSE"]).await;
    assert_eq!(writer.receive().await.unwrap(), Resp::ok());

    let start = Instant::now();
    client.call(&["CLIENT", "PAUSE", "50"]).await;
    assert_eq!(client.call(&["GET", "a"]).await, Resp::bulk("1"));
    assert!(start.elapsed() >= Duration::from_millis(50));
}
